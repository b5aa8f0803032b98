package weights

// Level is how much work an encoder puts into a frame. Any decoder reads any level.
type Level uint8

// The levels, from the fastest on.
const (
	// Plain finds what is the same as the base and sends the rest as it is.
	Plain Level = iota
	// Swift finds what changed as well, and codes it.
	Swift
	// Dense splits into planes and codes those that shrink.
	Dense
	// Densest tries zstd harder, for links that are slow.
	Densest
	levels
)

var levelNames = [levels]string{"plain", "swift", "dense", "densest"}

func (l Level) String() string { return levelNames[min(l, levels-1)] }
