package weights

import (
	"cmp"
	"slices"
)

// match is an anchor of a segment and a place with the same hash in what the destination has.
type match struct {
	at int64
	where
}

func (m *match) shift() int64 { return m.where.at - m.at }

const (
	// chance is how many anchors must agree on a stretch: one may have the same hash by chance, or lie in something
	// that everybody has.
	chance = 2
	// agree is which share of matches must lie in a grid for it to be taken as one.
	agree = 0.7
)

// byAnchors finds stretches of a segment that others have.
func (s *searcher) byAnchors(t *Segment) []Span {
	var all []match
	for _, a := range t.Anchors {
		for _, w := range s.find(a.Hash) {
			all = append(all, match{a.At, w})
		}
	}
	if len(all) == 0 {
		return nil
	}
	if spans := s.grid(t, all); spans != nil {
		return spans
	}
	return s.runs(t, all)
}

// runs takes matches that follow each other at one distance as one stretch, and extends each as far as both
// segments and the neighbours allow: a base may always be wrong in places, it only costs.
func (s *searcher) runs(t *Segment, all []match) (spans []Span) {
	type run struct {
		segment     int32
		shift       int64
		first, last int64
		n           int
	}
	var list []run
	for i := 0; i < len(all); {
		at := all[i].at
		end := i
		for end < len(all) && all[end].at == at {
			end++
		}
		// Whoever goes on with the run that there is comes first.
		pick := all[i]
		for _, m := range all[i:end] {
			if n := len(list); n > 0 && list[n-1].segment == m.segment && list[n-1].shift == m.shift() {
				pick = m
			}
		}
		if n := len(list); n > 0 && list[n-1].segment == pick.segment && list[n-1].shift == pick.shift() {
			list[n-1].last = at
			list[n-1].n++
		} else {
			list = append(list, run{pick.segment, pick.shift(), at, at, 1})
		}
		i = end
	}
	few := len(t.Anchors) < 2*chance
	list = slices.DeleteFunc(list, func(r run) bool { return r.n < chance && !few })
	end := int64(0)
	for i, r := range list {
		b := s.segments[r.segment]
		from, to := max(end, -r.shift), min(t.Size, b.Size-r.shift)
		if i+1 < len(list) {
			next := list[i+1]
			to = min(to, next.first)
			if other := s.segments[next.segment]; other != b {
				to = min(to, max(r.last, max(0, -next.shift))) // the next one's beginning, if it lies between
			}
		}
		if from > r.first || to <= r.last {
			from, to = max(end, r.first&^7), max(to, r.last+8)
		}
		if to > from && len(spans) < spansMost {
			spans = append(spans, Span{Base: b.Sum, At: from, Off: from + r.shift, Row: to - from, Rows: 1})
			end = to
		}
	}
	return spans
}

// grid recognises cuts along columns: a tensor's rows are parts of another's rows, or the other way about. Then
// matches are in the same row of both, at one distance between columns.
func (s *searcher) grid(t *Segment, all []match) (spans []Span) {
	if t.Row == 0 || t.Size%t.Row != 0 || t.Size == t.Row {
		return nil
	}
	type column struct {
		segment int32
		shift   int64
	}
	votes := map[column]int{}
	plain := 0
	for i := range all {
		m := &all[i]
		b := s.segments[m.segment]
		if b.Row == t.Row {
			plain++ // also what is only moved looks like a grid then
			continue
		}
		if b.Row == 0 || m.at/t.Row != m.where.at/b.Row {
			continue
		}
		votes[column{m.segment, m.where.at%b.Row - m.at%t.Row}]++
	}
	var list []column
	total := 0
	for c, n := range votes {
		if n >= chance || len(t.Anchors) < 2*chance {
			list = append(list, c)
			total += n
		}
	}
	if float64(total) < agree*float64(len(all)-plain) || total <= plain {
		return nil
	}
	slices.SortFunc(list, func(a, b column) int {
		return cmp.Or(cmp.Compare(votes[a], votes[b]), cmp.Compare(a.segment, b.segment), cmp.Compare(a.shift, b.shift))
	})
	for _, c := range list {
		b := s.segments[c.segment]
		rows := min(t.Size/t.Row, b.Size/b.Row)
		// The columns of t from .. to are those of b from .. to, moved by shift.
		from, to := max(0, -c.shift), min(t.Row, b.Row-c.shift)
		if to-from < minRow || len(spans) == spansMost {
			continue
		}
		spans = append(spans, Span{
			Base: b.Sum, At: from, Off: from + c.shift, Row: to - from, Rows: rows, AtStride: t.Row, OffStride: b.Row,
		})
	}
	return spans
}
