package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/test/cluster/internal/host"
)

// Config describes one worker.
type Config struct {
	// Name is the worker's, and its Node's.
	Name string
	// Number is the worker's among those of its cluster, from 1.
	Number int
	// Instance is the number of the cluster, Cluster its folder.
	Instance int
	Cluster  string
	// Dir is the worker's folder, with a log for each component and its disk.
	Dir string
	// Workers is how many workers the cluster has.
	Workers int
	// Components are started in this order.
	Components []Component
}

// Component is a program that Init supervises.
type Component struct {
	// Name is the component's, and its log's.
	Name string
	// Command is the path of the program and its arguments.
	Command []string
	// Socket is that of a component that others need: they start when it answers.
	Socket string
}

// Files of a worker's folder.
const (
	configFile = "worker.json"
	pidFile    = "pid"
)

// Path of the config in a worker's folder.
func configPath(dir string) string { return filepath.Join(dir, configFile) }

// Write writes the config into the worker's folder.
func (c Config) Write() error {
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("writing the config of %s: %w", c.Name, err)
	}
	if err := os.WriteFile(configPath(c.Dir), text, 0o600); err != nil {
		return fmt.Errorf("writing the config of %s: %w", c.Name, err)
	}
	return nil
}

// Read reads the config in a worker's folder.
func Read(dir string) (Config, error) {
	var c Config
	text, err := os.ReadFile(configPath(dir))
	if err != nil {
		return c, fmt.Errorf("reading a worker's config: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("reading a worker's config %s: %w", configPath(dir), err)
	}
	return c, nil
}

// Replaced lists the folders that a worker has its own of. What this machine has
// there does not exist for a worker.
func Replaced() []string { return []string{"/run", "/var/run", "/var/lib", "/var/log", "/proc"} }

// Log is the path of a component's log.
func Log(dir, component string) string { return filepath.Join(dir, component+".log") }

// Disk is the folder that a worker has at /var/lib or /var/log.
func Disk(dir, name string) string { return filepath.Join(dir, "disk", name) }

func (c Config) instance() *host.Instance {
	return &host.Instance{Number: c.Instance, Dir: c.Cluster}
}
