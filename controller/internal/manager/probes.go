package manager

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"
)

// probeTimeout bounds a request of a kubelet, which waits for a second or two.
const probeTimeout = 10 * time.Second

// newProbes returns the server that kubelets ask: /healthz answers for as long as the process
// does, /readyz by the checks. controller-runtime's own ends with the manager, and a replica
// that lost its Lease serves on.
func newProbes(opts Options, checks map[string]healthz.Checker) (*ctrlmanager.Server, error) {
	listener, err := net.Listen("tcp", opts.HealthAddr) //nolint:noctx // there is nothing to wait for
	if err != nil {
		return nil, fmt.Errorf("listen for probes at %s: %w", opts.HealthAddr, err)
	}
	mux := http.NewServeMux()
	for path, checks := range map[string]map[string]healthz.Checker{
		"/healthz": {"ping": healthz.Ping},
		"/readyz":  checks,
	} {
		handler := http.StripPrefix(path, unavailable(&healthz.Handler{Checks: checks}))
		mux.Handle(path, handler)
		mux.Handle(path+"/", handler)
	}
	return &ctrlmanager.Server{
		Name: "health probe", Listener: listener, ShutdownTimeout: new(time.Second),
		Server: &http.Server{Handler: mux, ReadTimeout: probeTimeout, WriteTimeout: probeTimeout, MaxHeaderBytes: maxHeader},
	}, nil
}

// unavailable has a check that fails answered with 503, for which controller-runtime has
// 500: the replica is not ready, and nothing is wrong with the question.
func unavailable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(unavailableWriter{w}, r) })
}

type unavailableWriter struct{ http.ResponseWriter }

func (w unavailableWriter) WriteHeader(code int) {
	if code == http.StatusInternalServerError {
		code = http.StatusServiceUnavailable
	}
	w.ResponseWriter.WriteHeader(code)
}
