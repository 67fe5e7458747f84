package faults

import (
	"os/exec"
	"syscall"
	"testing"
)

// The state that the kernel reports follows the signals.
func TestProcessState(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id := cmd.Process.Pid
	if err := signal(id, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := awaitStopped(t.Context(), []int{id}); err != nil {
		t.Fatal(err)
	}
	if got, err := processState(id); err != nil || got != "T" {
		t.Errorf("state %q, %v after SIGSTOP, want T", got, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("a killed process ended well")
	}
	if got, err := processState(id); err == nil {
		t.Errorf("state %q of a process that is gone", got)
	}
	if err := signal(id, syscall.SIGCONT); err != nil {
		t.Errorf("a signal to a process that is gone: %v", err)
	}
}
