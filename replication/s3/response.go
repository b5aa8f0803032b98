package s3

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"

// response counts what is sent and gives every write a deadline, so that a client that does not read
// cannot keep a request for ever.
type response struct {
	http.ResponseWriter
	rc     *http.ResponseController
	idle   time.Duration
	status int
	total  int64
	// promised is the Content-Length of the answer, -1 when there is none.
	promised int64
}

func newResponse(w http.ResponseWriter, l Limits) *response {
	return &response{ResponseWriter: w, rc: http.NewResponseController(w), idle: l.Idle, promised: -1}
}

func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil {
		w.promised = n
	}
	w.deadline()
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.deadline()
	n, err := w.ResponseWriter.Write(p)
	w.total += int64(n)
	return n, err
}

// torn reports whether less was sent than the header promised.
func (w *response) torn() bool { return w.status != 0 && w.promised >= 0 && w.total < w.promised }

// deadline fails on writers that have none, in tests; there is nothing to bound there.
func (w *response) deadline() { _ = w.rc.SetWriteDeadline(time.Now().Add(w.idle)) }

// release leaves a deadline for what net/http still has buffered; the next request sets its own.
func (w *response) release() { w.deadline() }

// writeXML answers with a document.
func (c *call) writeXML(status int, v any) error {
	b, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	b = append([]byte(xml.Header), b...)
	c.w.Header().Set("Content-Type", "application/xml")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	c.w.WriteHeader(status)
	// The status is out: an error here is the client's connection, and there is nobody to tell.
	_, _ = c.w.Write(b)
	return nil
}

type errorXML struct {
	XMLName    xml.Name `xml:"Error"`
	Code       string
	Message    string
	Region     string `xml:",omitempty"`
	Details    []detailXML
	BucketName string `xml:",omitempty"`
	Key        string `xml:",omitempty"`
	Resource   string
	RequestID  string `xml:"RequestId"`
}

// detailXML is an element that names itself.
type detailXML struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

// detailsXML gives an error's further elements but for those that every error has.
func detailsXML(e *apiError) (out []detailXML) {
	for _, d := range e.details {
		if d[1] != "" && d[0] != "Key" && d[0] != "BucketName" {
			out = append(out, detailXML{xml.Name{Local: d[0]}, d[1]})
		}
	}
	return out
}

func (c *call) writeError(e *apiError) {
	h := c.w.Header()
	for _, n := range []string{"Content-Length", "Content-Encoding", "Content-Range", "Accept-Ranges"} {
		if e.Code != "InvalidRange" || n != "Content-Range" {
			h.Del(n)
		}
	}
	if e.Region != "" {
		h["x-amz-bucket-region"] = []string{e.Region}
	}
	if e.status() == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	if !c.paced.done {
		// What is left of the body will not be read.
		h.Set("Connection", "close")
	}
	if c.r.Method == http.MethodHead {
		h.Set("Content-Type", "application/xml")
		c.w.WriteHeader(e.status())
		return
	}
	doc, err := xml.Marshal(errorXML{
		Code: e.Code, Message: e.Message, Region: e.Region, Details: detailsXML(e), BucketName: c.bucket, Key: c.key,
		Resource: c.r.URL.Path, RequestID: c.id,
	})
	if err != nil {
		return // no text that was put in it cannot be written
	}
	// Quotes need no escaping outside of attributes, of which there are none, and clients look at messages.
	plain := strings.NewReplacer("&#34;", `"`, "&#39;", "'").Replace(string(doc))
	_ = c.writeRawStatus(e.status(), "application/xml", xml.Header+plain)
}
