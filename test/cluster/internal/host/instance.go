package host

import (
	"fmt"
	"os"
	"strconv"
)

const (
	// maxInstances bounds how many real clusters run on a machine at once.
	maxInstances = 16
	// firstWorkerByte is added to a worker's number: the addresses below it are the
	// machine's.
	firstWorkerByte = 10
)

// Instance is one real cluster among those of this machine. Its number gives it
// names and addresses that no other one has.
type Instance struct {
	// Number is between 0 and 15.
	Number int
	// Dir is the cluster's folder.
	Dir string

	lock *os.File
}

// Bridge is the name of the bridge that joins the workers and this machine.
func (i *Instance) Bridge() string { return "mainstay" + strconv.Itoa(i.Number) }

// HostIP is the address of this machine on the bridge.
func (i *Instance) HostIP() string { return fmt.Sprintf("10.89.%d.1", i.Number) }

// WorkerIP is the address of a worker, whose number counts from 1.
func (i *Instance) WorkerIP(worker int) string {
	return fmt.Sprintf("10.89.%d.%d", i.Number, firstWorkerByte+worker)
}

// PodCIDR is the range of the addresses of a worker's pods.
func (i *Instance) PodCIDR(worker int) string {
	return fmt.Sprintf("10.%d.%d.0/24", 100+i.Number, worker)
}

// ClusterCIDR holds the ranges of all workers.
func (i *Instance) ClusterCIDR() string { return fmt.Sprintf("10.%d.0.0/16", 100+i.Number) }

// Link is this machine's side of a worker's veth pair.
func (i *Instance) Link(worker int) string { return fmt.Sprintf("ms%dw%d", i.Number, worker) }

// Cgroup is the cluster's cgroup in every hierarchy.
func (i *Instance) Cgroup() string { return "/mainstay-" + strconv.Itoa(i.Number) }

// WorkerCgroup is a worker's cgroup in every hierarchy.
func (i *Instance) WorkerCgroup(name string) string { return i.Cgroup() + "/" + name }

// Lock is the open file that holds the instance for as long as it, or a copy of it
// that a process inherited, is open.
func (i *Instance) Lock() *os.File { return i.lock }
