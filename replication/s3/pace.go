package s3

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// pacedReader reads a request's body under a deadline per read, so that a client must send at a least
// average rate and may not stand still. Only the time that reads wait for the client counts.
type pacedReader struct {
	r     io.Reader
	rc    *http.ResponseController
	l     Limits
	spent time.Duration
	total int64
	// done says that the whole body was read, err why it was not.
	done bool
	err  error
}

// discardTime is how long net/http may go on reading a body that the handler gave up.
const discardTime = time.Second

func newPacedReader(body io.Reader, w http.ResponseWriter, l Limits) *pacedReader {
	return &pacedReader{r: body, rc: http.NewResponseController(w), l: l, done: body == nil || body == http.NoBody}
}

func (p *pacedReader) Read(b []byte) (int, error) {
	if p.done {
		return 0, io.EOF
	}
	if p.err != nil {
		return 0, p.err
	}
	budget := p.l.BodyGrace + time.Duration(float64(p.total)/float64(p.l.BodyRate)*float64(time.Second)) - p.spent
	if budget <= 0 {
		p.err = p.tooSlow()
		return 0, p.err
	}
	began := time.Now()
	// Writers without deadlines are those of tests.
	_ = p.rc.SetReadDeadline(began.Add(min(budget, p.l.Idle)))
	n, err := p.r.Read(b)
	p.spent += time.Since(began)
	p.total += int64(n)
	switch {
	case err == nil:
	case err == io.EOF:
		p.done = true
		// A deadline that is left would end the request while it is being served.
		_ = p.rc.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = p.tooSlow()
		p.err = err
	default:
		p.err = err
	}
	return n, err
}

func (p *pacedReader) tooSlow() error {
	return apiErr("RequestTimeout", "the body came too slowly: at least %d bytes per second are expected, and no pause over %v",
		p.l.BodyRate, p.l.Idle)
}

// release bounds what net/http does with a body that was not read to its end.
func (p *pacedReader) release() {
	if !p.done {
		_ = p.rc.SetReadDeadline(time.Now().Add(discardTime))
	}
}
