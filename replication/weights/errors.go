package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Errors that a caller chooses by. In every case the bytes can be had raw from whoever has them.
var (
	// ErrCorrupt says that a frame, a recipe or an index is not what its writer made.
	ErrCorrupt = errors.New("coded weights are corrupt")
	// ErrMismatch says that what came out is not what was put in: the base differs from the one that
	// was meant, or a frame was changed.
	ErrMismatch = errors.New("decoded weights are not those that were coded")
	// ErrBase says that a base is needed that is not here.
	ErrBase = errors.New("the base of coded weights is missing")
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func orMismatch(err error) error {
	if err == nil {
		return ErrMismatch
	}
	return err
}

// lengthed gives the bytes that a uvarint at the beginning of b counts, and what is behind them.
func lengthed(b []byte) (part, rest []byte, err error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, corrupt("a length beyond the end")
	}
	return b[k : k+int(n)], b[k+int(n):], nil
}

// grow gives *b with n bytes, made anew only when it is too short.
func grow(b *[]byte, n int) []byte {
	if cap(*b) < n {
		*b = make([]byte, n)
	}
	*b = (*b)[:n]
	return *b
}
