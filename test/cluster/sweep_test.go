package cluster

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A folder per way in which a cluster can be found. Only those that nobody will end
// may be removed.
func TestSweep(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files   []string // in the folder
		held    []string // those that somebody has locked
		age     time.Duration
		removed bool
	}{
		"owner lives":                     {files: []string{ownerFile, aliveFile}, held: []string{ownerFile}, age: time.Hour},
		"owner is dead":                   {files: []string{ownerFile, aliveFile}, age: time.Hour, removed: true},
		"owner is about to take it":       {},
		"owner died before it took it":    {age: time.Hour, removed: true},
		"kept and alive":                  {files: []string{ownerFile, aliveFile, keepFile}, held: []string{aliveFile}, age: time.Hour},
		"kept, ended while owner lives":   {files: []string{ownerFile, aliveFile, keepFile}, held: []string{ownerFile}, age: time.Hour},
		"kept, ended by a reboot":         {files: []string{ownerFile, aliveFile, keepFile}, age: time.Hour, removed: true},
		"owner is dead, just a while ago": {files: []string{ownerFile, aliveFile}, age: time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			dir := filepath.Join(parent, dirPrefix+"1")
			other := filepath.Join(parent, "another-program-1")
			for _, d := range []string{dir, other} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range tc.files {
				path := filepath.Join(dir, file)
				if !slices.Contains(tc.held, file) {
					if err := os.WriteFile(path, nil, 0o600); err != nil {
						t.Fatal(err)
					}
					continue
				}
				lock, err := lockFile(path)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = lock.Close() })
			}
			then := time.Now().Add(-tc.age)
			if err := os.Chtimes(dir, then, then); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			if err := sweep(parent, &said); err != nil {
				t.Fatal(err)
			}
			_, err := os.Stat(dir)
			if got := os.IsNotExist(err); got != tc.removed {
				t.Errorf("removed: %t, want %t", got, tc.removed)
			}
			if got := strings.Contains(said.String(), dir); got != tc.removed {
				t.Errorf("said %q", said.String())
			}
			if _, err := os.Stat(other); err != nil {
				t.Errorf("a folder of another program: %v", err)
			}
		})
	}
}

// What others can write may name any process as the one to end.
func TestSweepTrustsOwnFoldersOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, dir string){
		"others may write to it": func(t *testing.T, dir string) {
			t.Helper()
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)); err != nil {
				t.Fatal(err)
			}
		},
		"a link to it": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Symlink(t.TempDir(), dir); err != nil {
				t.Fatal(err)
			}
		},
	}
	if os.Geteuid() == 0 {
		tests["another user made it"] = func(t *testing.T, dir string) {
			t.Helper()
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 65534, 65534)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			dir := filepath.Join(parent, dirPrefix+"1")
			prepare(t, dir)
			then := time.Now().Add(-time.Hour)
			if err := os.Chtimes(dir, then, then); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			if err := sweep(parent, &said); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(dir); err != nil || said.Len() > 0 {
				t.Errorf("it was taken for a left cluster: %v, said %q", err, &said)
			}
		})
	}
}

func TestStopDirLeavesALivingOwnersClusterAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, file := range []string{ownerFile, aliveFile} {
		lock, err := lockFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = lock.Close() })
	}
	if err := StopDir(dir); err == nil || !strings.Contains(err.Error(), "the process that started it lives") {
		t.Errorf("error %v, want that its owner lives", err)
	}
}

func TestGroupID(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{"4711\n": true, "": false, "0\n": false, "1\n": false, "-5\n": false, "x\n": false} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, groupFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, err := groupID(dir); (err == nil) != ok {
			t.Errorf("groupID of %q = %d, %v", text, id, err)
		}
	}
}

// A clean-up that fails is told by Stop, and what another try needs stays.
func TestEndTellsAFailedCleanUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, err := claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGroup(dir, owner)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, workerProgram)
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"the bridge is busy\" >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := g.end(); err == nil || !strings.Contains(err.Error(), "the bridge is busy") {
		t.Errorf("error %v, want what the clean-up said", err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Errorf("what another try needs is gone: %v", err)
	}
}

// The id of a group that is gone may be another's by now.
func TestWatchdogSparesAnotherGroup(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skip("no flock on this machine: the watchdog cannot tell")
	}
	tests := map[string]struct{ held, killed bool }{
		"the group is gone": {},
		"the group lives":   {held: true, killed: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			other := exec.Command("sleep", "60")
			other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := other.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); _ = other.Wait() }()
			defer func() { _ = other.Process.Kill(); <-ended }()
			alive, err := lockFile(filepath.Join(dir, aliveFile))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = alive.Close() }()
			if !tc.held {
				if err := alive.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, groupFile), []byte(strconv.Itoa(other.Process.Pid)), 0o600); err != nil {
				t.Fatal(err)
			}
			// Its input is at its end, as when the owner is gone.
			if out, err := exec.Command("sh", "-c", watchdogScript, "mainstay-watchdog", dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			select {
			case <-ended:
				if !tc.killed {
					t.Error("the other's process is killed")
				}
			case <-time.After(2 * time.Second):
				if tc.killed {
					t.Error("the group is left")
				}
			}
		})
	}
}
