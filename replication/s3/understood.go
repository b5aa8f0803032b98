package s3

import "sync"

// maxUnderstood bounds the documents of one kind that are kept; when there are more an arbitrary one goes.
const maxUnderstood = 1024

// understood keeps what documents mean, by their text: they are asked for every request and change rarely.
type understood[T any] struct {
	mu sync.Mutex
	m  map[string]T
}

// get gives what a document means, reading it if it was not seen. Errors are not kept.
func (u *understood[T]) get(doc string, read func() (T, error)) (T, error) {
	u.mu.Lock()
	v, ok := u.m[doc]
	u.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := read()
	if err != nil {
		return v, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.m) >= maxUnderstood {
		for old := range u.m {
			delete(u.m, old)
			break
		}
	}
	if u.m == nil {
		u.m = map[string]T{}
	}
	u.m[doc] = v
	return v, nil
}
