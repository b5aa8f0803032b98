package sigv4

// Anonymous gives the claim of a request that claims nothing: its body is framed and measured as it says, and nothing
// is signed. Verify never says nil for it.
func Anonymous(r Request) (*Auth, error) {
	v := r.Header.Get("X-Amz-Content-Sha256")
	if v == "" {
		v = unsignedPayload
	}
	a := &Auth{decoded: r.ContentLength}
	var err error
	if a.Payload, err = parsePayload(v); err != nil {
		return nil, err
	}
	if a.Payload.Signed {
		return nil, refuse("InvalidRequest", "Anonymous requests don't support this x-amz-content-sha256 value. Please use %s or %s.", unsignedPayload, streamingUnsigned)
	}
	if err := once(r.Header); err != nil {
		return nil, err
	}
	if !a.Payload.Chunked {
		return a, nil
	}
	return a, a.chunked(r)
}
