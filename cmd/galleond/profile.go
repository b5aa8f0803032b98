package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"syscall"
)

// profileVar is an environment variable with a directory for CPU profiles, for who looks for where the time goes: with it,
// SIGUSR1 to one of the two children begins a profile and the next ends it, and ROLE-PID.pprof is there when it is
// complete. Without it there is no such signal, no port and no file.
const profileVar = "GALLEON_PROFILE"

// profiling waits for the signal until what it returns is called.
func profiling(role string, log *slog.Logger) (stop func()) {
	dir := os.Getenv(profileVar)
	if dir == "" {
		return func() {}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for range signals {
			if err := profile(filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", role, os.Getpid())), signals); err != nil {
				log.Error("no CPU profile", "err", err)
			}
		}
	})
	return func() {
		signal.Stop(signals)
		close(signals)
		waiting.Wait()
	}
}

// profile profiles until the next signal. The file gets its name when it is complete.
func profile(path string, until <-chan os.Signal) error {
	f, err := os.CreateTemp(filepath.Dir(path), "unfinished-")
	if err != nil {
		return fmt.Errorf("profile to %s: %w", path, err)
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return fmt.Errorf("profile to %s: %w", path, err)
	}
	<-until
	pprof.StopCPUProfile()
	return os.Rename(f.Name(), path)
}
