package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"strconv"
)

// checksumsXML are the checksums that documents have as elements.
type checksumsXML struct {
	ChecksumCRC32     string `xml:",omitempty"`
	ChecksumCRC32C    string `xml:",omitempty"`
	ChecksumCRC64NVME string `xml:",omitempty"`
	ChecksumSHA1      string `xml:",omitempty"`
	ChecksumSHA256    string `xml:",omitempty"`
	ChecksumSHA512    string `xml:",omitempty"`
	ChecksumMD5       string `xml:",omitempty"`
	ChecksumXXHASH64  string `xml:",omitempty"`
	ChecksumXXHASH3   string `xml:",omitempty"`
	ChecksumXXHASH128 string `xml:",omitempty"`
}

func checksumsOf(m map[string]string) checksumsXML {
	return checksumsXML{m["CRC32"], m["CRC32C"], m["CRC64NVME"], m["SHA1"], m["SHA256"], m["SHA512"], m["MD5"], m["XXHASH64"], m["XXHASH3"], m["XXHASH128"]}
}

func (x checksumsXML) byName() map[string]string {
	return map[string]string{
		"CRC32": x.ChecksumCRC32, "CRC32C": x.ChecksumCRC32C, "CRC64NVME": x.ChecksumCRC64NVME,
		"SHA1": x.ChecksumSHA1, "SHA256": x.ChecksumSHA256, "SHA512": x.ChecksumSHA512, "MD5": x.ChecksumMD5,
		"XXHASH64": x.ChecksumXXHASH64, "XXHASH3": x.ChecksumXXHASH3, "XXHASH128": x.ChecksumXXHASH128,
	}
}

func sizeOf(parts []Part) (n int64) {
	for _, p := range parts {
		n += p.Size
	}
	return n
}

// multipartETag is the MD5 of the parts' MD5s and their count.
func multipartETag(parts []Part) string {
	h := md5.New()
	for _, p := range parts {
		if b, err := hex.DecodeString(p.ETag); err == nil {
			h.Write(b)
		}
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

// wholeChecksum makes the object's checksum from those of its parts; nil when a part has none.
func wholeChecksum(u Upload, parts []Part) map[string]string {
	a, _ := u.algorithm()
	sums := make([][]byte, len(parts))
	for i, p := range parts {
		b, err := base64.StdEncoding.DecodeString(p.Checksums[a.name])
		if err != nil || len(b) != a.size {
			return nil
		}
		sums[i] = b
	}
	if u.Type == composite {
		h := a.new()
		for _, s := range sums {
			h.Write(s)
		}
		return map[string]string{a.name: base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))}
	}
	var whole uint64
	for i, s := range sums {
		whole = joinCRC(a.poly, uint(8*a.size), whole, bigEndian(s), parts[i].Size)
	}
	out := make([]byte, a.size)
	for i := range out {
		out[i] = byte(whole >> (8 * (a.size - 1 - i)))
	}
	return map[string]string{a.name: base64.StdEncoding.EncodeToString(out)}
}

func bigEndian(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}
