package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Ask sends a request to the lab whose control socket is at path. For exec, files are the three standard ones.
func Ask(path string, req Request, files ...*os.File) (Answer, error) {
	var a Answer
	c, err := net.Dial("unix", path)
	if err != nil {
		return a, fmt.Errorf("reach the lab: %w: is one running (galleon-lab up), and is this its control socket (-socket)?", err)
	}
	defer c.Close()
	b, err := json.Marshal(req)
	if err != nil {
		return a, err
	}
	if len(b) > maxRequest {
		return a, fmt.Errorf("request of %d bytes: at most %d", len(b), maxRequest)
	}
	var rights []byte
	if len(files) == standardFDs {
		rights = unix.UnixRights(int(files[0].Fd()), int(files[1].Fd()), int(files[2].Fd()))
	}
	conn := c.(*net.UnixConn)
	n, _, err := conn.WriteMsgUnix(b[:1], rights, nil)
	if err == nil {
		_, err = conn.Write(b[n:])
	}
	if err == nil {
		err = json.NewDecoder(io.LimitReader(conn, maxAnswer)).Decode(&a)
	}
	if err != nil {
		return a, fmt.Errorf("speak to the lab: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}
