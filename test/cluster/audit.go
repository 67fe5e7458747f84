package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// auditPolicy logs each request once, when it is answered. Metadata is who did what
// to which object with which outcome, without the objects.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

func (c *Cluster) auditLog() string { return filepath.Join(c.dir, "audit.log") }

// AuditEvents returns what the API server has answered since Start, in the order of
// its log. The log is written before the answer goes out, so a request whose answer
// the caller has seen is in it. It is an error to ask without Options.Audit.
func (c *Cluster) AuditEvents() ([]auditv1.Event, error) {
	if c.plane == nil || !c.opts.Audit {
		return nil, fmt.Errorf("reading the audit log: the cluster was started without one")
	}
	text, err := os.ReadFile(c.auditLog())
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return parseAudit(text)
}

// parseAudit reads one event a line. A last line without its end is still being
// written and is left out.
func parseAudit(text []byte) ([]auditv1.Event, error) {
	var events []auditv1.Event
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var event auditv1.Event
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("reading the audit log, line %d: %w", number, err)
		}
		events = append(events, event)
	}
	return events, nil
}
