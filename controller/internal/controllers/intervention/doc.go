// Package intervention deletes Interventions whose retention is over, so that
// the record of what was done does not fill etcd.
package intervention
