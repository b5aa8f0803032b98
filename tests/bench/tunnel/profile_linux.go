package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// profileVar tells galleond to profile on SIGUSR1 (cmd/galleond/profile.go).
const profileVar = "GALLEON_PROFILE"

// toggleProfiles begins the profiles of all forward processes, or ends them.
func (s *system) toggleProfiles() error {
	for _, r := range s.routers {
		pid, err := r.forwardPID()
		if err == nil {
			err = unix.Kill(pid, unix.SIGUSR1)
		}
		if err != nil {
			return fmt.Errorf("profile galleond %s: %w", r.name, err)
		}
	}
	return nil
}

// keepProfiles waits for the profiles and copies them to the directory that was asked for.
func (s *system) keepProfiles(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for _, r := range s.routers {
		pid, err := r.forwardPID()
		if err != nil {
			return err
		}
		from := filepath.Join(s.dir, fmt.Sprintf("forward-%d.pprof", pid))
		for {
			if err = copyFile(from, filepath.Join(s.env.profile, name+"-"+r.name+".pprof")); !errors.Is(err, os.ErrNotExist) {
				break
			}
			if e := pause(ctx, answerPoll); e != nil {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("keep the profile of galleond %s: %w", r.name, err)
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
