package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/galleon-net/galleon/replication/weights"
)

// coded is what Galleon made of a case.
type coded struct {
	bytes                 int
	index, encode, decode float64 // MB/s of the file
	modes                 map[string]int
}

// shelf is what a destination has: one file at most.
type shelf struct {
	file io.ReaderAt
	at   map[weights.Sum]int64
	ix   *weights.Index
}

func newShelf(file io.ReaderAt, size int64) (*shelf, error) {
	s := &shelf{file: file, at: map[weights.Sum]int64{}}
	if size == 0 {
		return s, nil
	}
	ix, err := index(file, size)
	if err != nil {
		return nil, err
	}
	s.ix = ix
	for i := range ix.Segments {
		s.at[ix.Segments[i].Sum] = ix.Segments[i].Offset
	}
	return s, nil
}

func (s *shelf) read(p []byte, segment weights.Sum, off int64) error {
	at, ok := s.at[segment]
	if !ok {
		return errors.New("not here")
	}
	_, err := s.file.ReadAt(p, at+off)
	return err
}

func (s *shelf) indexes() []*weights.Index {
	if s.ix == nil {
		return nil
	}
	return []*weights.Index{s.ix}
}

// index reads a file as it would arrive.
func index(file io.ReaderAt, size int64) (*weights.Index, error) {
	x := weights.NewIndexer(size)
	buf := make([]byte, 256<<10)
	for at := int64(0); at < size; {
		n, err := file.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
		if n == 0 {
			return nil, err
		}
		if _, err := x.Write(buf[:n]); err != nil {
			return nil, err
		}
		at += int64(n)
	}
	return x.Finish()
}

// code measures a case in rounds, all of it in memory, and checks that what comes out is what went in.
func code(r row, rounds int, level weights.Level) (c coded, err error) {
	s, err := newShelf(weights.Memory(r.base), int64(len(r.base)))
	if err != nil {
		return c, err
	}
	wire := bytes.NewBuffer(make([]byte, 0, len(r.file)+len(r.file)/100+1<<20))
	var times [3][]float64
	timed := func(which int, f func() error) error {
		start := time.Now()
		err := f()
		times[which] = append(times[which], float64(len(r.file))/1e6/time.Since(start).Seconds())
		return err
	}
	e, d := weights.NewEncoder(level), new(weights.Decoder)
	for range rounds {
		var ix *weights.Index
		wire.Reset()
		err := timed(0, func() (err error) { ix, err = index(weights.Memory(r.file), int64(len(r.file))); return err })
		if err != nil {
			return c, err
		}
		err = timed(1, func() error {
			recipe := weights.Search(ix, s.indexes()...)
			if err := recipe.Refine(weights.Memory(r.file), s.read); err != nil {
				return err
			}
			return (&weights.File{Recipe: recipe, Read: s.read}).Encode(e, wire, weights.Memory(r.file))
		})
		if err != nil {
			return c, err
		}
		err = timed(2, func() error {
			_, err := weights.Decode(d, io.Discard, bytes.NewReader(wire.Bytes()), s.read)
			return err
		})
		if err != nil {
			return c, err
		}
	}
	// Once more, to look at what comes out beyond its sums.
	var out bytes.Buffer
	if _, err := weights.Decode(d, &out, bytes.NewReader(wire.Bytes()), s.read); err != nil {
		return c, err
	}
	if !bytes.Equal(out.Bytes(), r.file) {
		return c, errors.New("another file came out")
	}
	c.bytes, c.modes = wire.Len(), modesOf(wire.Bytes())
	c.index, c.encode, c.decode = median(times[0]), median(times[1]), median(times[2])
	return c, nil
}

// modesOf counts the frames of a stream by mode.
func modesOf(wire []byte) map[string]int {
	modes := map[string]int{}
	n := int(wire[0]) | int(wire[1])<<8 | int(wire[2])<<16 | int(wire[3])<<24
	for wire = wire[4+n:]; len(wire) > 0; {
		h, err := weights.ParseHeader(wire)
		if err != nil {
			break
		}
		modes[h.Mode.String()]++
		wire = wire[weights.HeaderLen+h.Body:]
	}
	return modes
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// worker is what this program is in a process of its own, to see its memory: it codes file for a destination that has base
// and decodes the result, all from and to files.
func worker(file, base string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	old, err := os.Open(base)
	if err != nil {
		return err
	}
	defer old.Close()
	oldInfo, err := old.Stat()
	if err != nil {
		return err
	}
	s, err := newShelf(old, oldInfo.Size())
	if err != nil {
		return err
	}
	ix, err := index(in, info.Size())
	if err != nil {
		return err
	}
	wire, err := os.Create(file + ".wire")
	if err != nil {
		return err
	}
	defer wire.Close()
	recipe := weights.Search(ix, s.indexes()...)
	if err := recipe.Refine(in, s.read); err != nil {
		return err
	}
	f := &weights.File{Recipe: recipe, Read: s.read}
	if err := f.Encode(weights.NewEncoder(weights.Dense), wire, in); err != nil {
		return err
	}
	if _, err := wire.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := weights.Decode(new(weights.Decoder), io.Discard, wire, s.read); err != nil {
		return err
	}
	peak, err := peakKiB()
	if err != nil {
		return err
	}
	fmt.Println(peak)
	return nil
}
