// Package seal turns payloads into datagrams that only the other router of a pair can open, and back.
// It is pure: secrets and times are handed in.
//
// # Key schedule
//
// A pair of routers (ingress and egress, never a hop) holds a TLS 1.3 session. Its exporter (RFC 8446
// section 7.5) gives 32 octets, the Secret of one epoch; both ends ask for it with ExporterLabel and
// Context. From the Secret, HKDF-Expand with SHA-256 (RFC 5869; the Secret is uniform, so there is
// nothing to extract) makes a key and an IV for each direction and lane:
//
//	key = Expand(Secret, "galleon1 key" | suite | from | to | epoch | lane, 16 or 32)
//	iv  = Expand(Secret, "galleon1 iv"  | suite | from | to | epoch | lane, 12)
//	tag = Expand(Secret, "galleon1 tag" | from | to, 16)
//
//	suite  1 octet      from, to  4 octets each      epoch  2 octets      lane  1 octet
//
// all big endian and of fixed length, so that no two inputs run together. An epoch is a new handshake
// with a new key exchange, not a ratchet of the old: whoever steals one epoch has that epoch.
//
// # A packet
//
// The nonce is the IV with the header's counter XORed into its last 8 octets, as in RFC 9001 section
// 5.3. The additional data are the 24 octets of the header with byte 1 (hop limit and link tag bit) as
// zero. See package wire for the bytes.
//
// AES-128-GCM may seal 2^28 packets of 2^11 octets with one key (RFC 9001 appendix B.1; that is 2^35
// blocks, which is what Sender counts, for packets may be larger). Opening bounds forgeries to 2^57
// with AES-GCM and 2^36 with ChaCha20-Poly1305 (appendix B.1.2 and section 6.6): in the life of an
// epoch no link carries that many.
//
// # Replay
//
// Each lane of each epoch has a window (RFC 6479). A counter is looked up before the packet is
// decrypted, and marked only after it was found genuine, so that a forged counter moves nothing.
//
// # Link tag
//
// A relay cannot open what it forwards, but must not forward for strangers. A relayed packet therefore
// ends in an 8-octet SipHash-2-4 under a key of the one hop: over the whole header with byte 1, the
// packet's length, and the last 16 octets (of a sealed packet its AEAD tag, which stands for the rest).
// SipHash is made for this: short input, 64-bit output, no tables, and as quick in Go as three AES
// blocks through crypto/cipher, without their scratch memory. What somebody on the path can still make
// a relay do is forward a packet twice or one that is broken in the middle; the seal drops both at the
// egress, and the relay never sent more than it received.
//
// # Epochs
//
// A Keyring holds the epochs of one peer and changes them make before break: install, both ends open;
// confirm, this end seals; the one before is opened for another OldFor; then forgotten.
package seal
