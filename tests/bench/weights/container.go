package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/galleon-net/galleon/replication/weights/table"
)

// stored is a tensor as it lies in a file.
type stored struct {
	name  string
	dtype table.DType
	shape []int
	data  []byte
}

func store(list []tensor, c coding) (out []stored) {
	for _, t := range list {
		out = append(out, stored{t.name, c.dtype, []int{t.rows, t.cols}, c.bytes(t.v)})
	}
	return out
}

// safetensors writes a file.
func safetensors(list []stored) []byte {
	var head bytes.Buffer
	at := 0
	head.WriteString(`{"__metadata__":{"format":"pt"}`)
	for _, t := range list {
		name, _ := json.Marshal(t.name)
		shape := strings.ReplaceAll(fmt.Sprint(t.shape), " ", ",")
		fmt.Fprintf(&head, `,%s:{"dtype":"%v","shape":%s,"data_offsets":[%d,%d]}`, name, t.dtype, shape, at, at+len(t.data))
		at += len(t.data)
	}
	head.WriteByte('}')
	for head.Len()%8 != 0 {
		head.WriteByte(' ')
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(head.Len()))
	out = append(out, head.Bytes()...)
	for _, t := range list {
		out = append(out, t.data...)
	}
	return out
}

// resharded gives the same values under other names and in another order; two tensors are cut along rows and one along columns.
func resharded(list []stored) (out []stored) {
	for i, t := range list {
		name := fmt.Sprintf("transformer.h.0.%d.w", i)
		row := 0
		if t.shape[0] > 1 {
			row = len(t.data) / t.shape[0]
		}
		switch i {
		case 1, 4:
			cut := t.shape[0] / 3
			out = append(out, stored{name + ".1", t.dtype, []int{t.shape[0] - cut, t.shape[1]}, t.data[cut*row:]},
				stored{name + ".0", t.dtype, []int{cut, t.shape[1]}, t.data[:cut*row]})
		case 2:
			for half := range 2 {
				var data []byte
				for r := range t.shape[0] {
					data = append(data, t.data[r*row+half*row/2:][:row/2]...)
				}
				out = append(out, stored{fmt.Sprintf("%s.%d", name, half), t.dtype, []int{t.shape[0], t.shape[1] / 2}, data})
			}
		default:
			out = append(out, stored{name, t.dtype, t.shape, t.data})
		}
	}
	for i, k := 0, len(out)-1; i < k; i, k = i+1, k-1 {
		out[i], out[k] = out[k], out[i]
	}
	return out
}

// gguf writes a file of version 3 with a few pairs.
func gguf(list []stored, kind uint32) []byte {
	str := func(b []byte, s string) []byte {
		return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	b := binary.LittleEndian.AppendUint32([]byte("GGUF"), 3)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(list)))
	b = binary.LittleEndian.AppendUint64(b, 1)
	b = binary.LittleEndian.AppendUint32(str(b, "general.architecture"), 8)
	b = str(b, "llama")
	offset := uint64(0)
	for _, t := range list {
		b = binary.LittleEndian.AppendUint32(str(b, t.name), 2)
		b = binary.LittleEndian.AppendUint64(b, uint64(t.shape[1]))
		b = binary.LittleEndian.AppendUint64(b, uint64(t.shape[0]))
		b = binary.LittleEndian.AppendUint32(b, kind)
		b = binary.LittleEndian.AppendUint64(b, offset)
		offset += uint64(len(t.data)+31) / 32 * 32
	}
	for _, t := range list {
		for len(b)%32 != 0 {
			b = append(b, 0)
		}
		b = append(b, t.data...)
	}
	return b
}
