// Package chunk cuts bytes into content-defined chunks and names them.
package chunk
