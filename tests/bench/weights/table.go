package main

import (
	"fmt"
	"math"
)

// result is one row. Sizes are in bytes, speeds in MB/s, memory in MiB.
type result struct {
	Case    string  `json:"case"`
	Raw     int     `json:"raw"`
	Galleon int     `json:"galleon"`
	Ratio   float64 `json:"ratio"`
	Zstd3   *int    `json:"zstd3"`
	Zstd19  *int    `json:"zstd19"`
	Patch   *int    `json:"patch_from"`
	CDC     *int    `json:"cdc"`
	Base    *int    `json:"plain_split"`
	ZipLLM  *int    `json:"zipllm"`
	Index   float64 `json:"index_mb_s"`
	Encode  float64 `json:"encode_mb_s"`
	Decode  float64 `json:"decode_mb_s"`
	Peak    float64 `json:"peak_mib"`

	modes string
}

const heading = "case                 MB  galleon   zstd3  zstd19   patch     cdc    base  zipllm    index  encode  decode  peak MiB"

func (r result) String() string {
	share := func(n *int) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprintf("%.4f", float64(*n)/float64(r.Raw))
	}
	return fmt.Sprintf("%-17s %5.1f  %.5f %7s %7s %7s %7s %7s %7s  %7.0f %7.0f %7.0f  %8.0f", r.Case, float64(r.Raw)/1e6, r.Ratio,
		share(r.Zstd3), share(r.Zstd19), share(r.Patch), share(r.CDC), share(r.Base), share(r.ZipLLM), r.Index, r.Encode, r.Decode, r.Peak)
}

// rounded keeps what a figure is worth.
func rounded(x float64) float64 {
	if x >= 100 {
		return math.Round(x)
	}
	return math.Round(x*1e5) / 1e5
}
