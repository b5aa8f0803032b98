package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/cpu"

	"github.com/galleon-net/galleon/fabric/aesgcm"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Suite is an AEAD. The numbers are on the wire, in the hello.
type Suite uint8

// The suites. AES where both CPUs have instructions for it; ChaCha20 where one has not.
const (
	AES128GCM        Suite = 1
	ChaCha20Poly1305 Suite = 2
)

func (s Suite) String() string {
	switch s {
	case AES128GCM:
		return "AES-128-GCM"
	case ChaCha20Poly1305:
		return "ChaCha20-Poly1305"
	}
	return fmt.Sprintf("suite-%d", uint8(s))
}

// Preferred lists the suites as this CPU would have them, for wire.Hello.
func Preferred() [4]uint8 {
	x86 := cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ
	arm := cpu.ARM64.HasAES && cpu.ARM64.HasPMULL
	if x86 || arm || cpu.S390X.HasAESGCM {
		return [4]uint8{uint8(AES128GCM), uint8(ChaCha20Poly1305)}
	}
	return [4]uint8{uint8(ChaCha20Poly1305), uint8(AES128GCM)}
}

// SecretLen is how many octets to take from the TLS exporter.
const SecretLen = 32

// Secret is what one handshake of a pair gives. It prints as a placeholder.
type Secret [SecretLen]byte

// String keeps a Secret out of logs and error texts.
func (Secret) String() string { return "secret" }

// GoString does so for %#v.
func (Secret) GoString() string { return "seal.Secret{…}" }

// Format does so for every other verb, %x and %d among them.
func (Secret) Format(f fmt.State, _ rune) { f.Write([]byte("secret")) }

// ExporterLabel is the label for tls.ConnectionState.ExportKeyingMaterial. The first word is the one
// that RFC 5705 section 4 leaves to unregistered use.
const ExporterLabel = "EXPERIMENTAL-galleon-pair-1"

// Context is the context for the exporter: the two routers, the lower first, and the epoch.
func Context(pair topo.Pair, epoch uint16) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(pair.A))
	b = binary.BigEndian.AppendUint32(b, uint32(pair.B))
	return binary.BigEndian.AppendUint16(b, epoch)
}

const (
	labelKey = "galleon1 key"
	labelIV  = "galleon1 iv"
	labelTag = "galleon1 tag"
	ivLen    = 12
)

// laneKey is what the key schedule gives for one lane in one direction.
type laneKey struct {
	key []byte
	iv  [ivLen]byte
}

// derive is the key schedule of the package comment.
func derive(s Secret, suite Suite, from, to topo.RouterID, epoch uint16, lane uint8) (laneKey, error) {
	length := map[Suite]int{AES128GCM: 16, ChaCha20Poly1305: chacha20poly1305.KeySize}[suite]
	if length == 0 {
		return laneKey{}, fmt.Errorf("derive keys from %s to %s: %s is not known here", from, to, suite)
	}
	info := append([]byte{byte(suite)}, routers(from, to)...)
	info = binary.BigEndian.AppendUint16(info, epoch)
	info = append(info, lane)
	key, err := expand(s, labelKey, info, length)
	if err != nil {
		return laneKey{}, err
	}
	iv, err := expand(s, labelIV, info, ivLen)
	if err != nil {
		return laneKey{}, err
	}
	return laneKey{key, [ivLen]byte(iv)}, nil
}

// aead makes the cipher of a suite.
func (k laneKey) aead(suite Suite) (cipher.AEAD, error) {
	if suite == ChaCha20Poly1305 {
		return chacha20poly1305.New(k.key)
	}
	return aesgcm.New(k.key)
}

// direction makes the AEAD and the IV of one lane in one direction.
func direction(s Secret, suite Suite, from, to topo.RouterID, epoch uint16, lane uint8) (cipher.AEAD, [ivLen]byte, error) {
	k, err := derive(s, suite, from, to, epoch, lane)
	if err != nil {
		return nil, k.iv, err
	}
	aead, err := k.aead(suite)
	if err != nil {
		return nil, k.iv, fmt.Errorf("make %s from %s to %s: %w", suite, from, to, err)
	}
	return aead, k.iv, nil
}

func routers(from, to topo.RouterID) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(from))
	return binary.BigEndian.AppendUint32(b, uint32(to))
}

func expand(s Secret, label string, info []byte, n int) ([]byte, error) {
	b, err := hkdf.Expand(sha256.New, s[:], label+string(info), n)
	if err != nil {
		return nil, fmt.Errorf("derive %s: %w", label, err)
	}
	return b, nil
}
