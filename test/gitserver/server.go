package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// closeGrace is how long Close waits for requests that are being answered.
const closeGrace = 2 * time.Second

// Options of Start.
type Options struct {
	// Address is where to listen, host:port. Port 0 is a free one.
	Address string
	// Dir holds the bare repositories. It is made when it is missing, repositories
	// that it has already are served too, and Close leaves it as it is.
	Dir string
	// Out gets a line for each request and what git complains about. The default is
	// to say nothing.
	Out io.Writer
}

// Server serves the repositories of one folder. Its methods may be called from
// several goroutines.
type Server struct {
	dir     string
	url     string
	http    *http.Server
	log     *log
	serving chan error
	active  sync.WaitGroup

	once   sync.Once
	closed error
}

// Start serves until Close. It returns once connections are accepted.
func Start(ctx context.Context, opts Options) (*Server, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("finding git: %w", err)
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("finding the folder of the repositories: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the folder of the repositories: %w", err)
	}
	out := opts.Out
	if out == nil {
		out = io.Discard
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", opts.Address)
	if err != nil {
		return nil, fmt.Errorf("listening for git clients: %w", err)
	}
	s := &Server{
		dir:     dir,
		url:     "http://" + listener.Addr().String(),
		log:     &log{out: out},
		serving: make(chan error, 1),
	}
	backend := &cgi.Handler{
		Path: git,
		Args: []string{"http-backend"},
		Env: append(environment(),
			"GIT_PROJECT_ROOT="+dir,
			"GIT_HTTP_EXPORT_ALL=1",
		),
		Stderr: s.log,
	}
	s.http = &http.Server{
		Handler:           s.handler(backend),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          s.log.logger(),
	}
	go func() { s.serving <- s.http.Serve(listener) }()
	return s, nil
}

// handler lets through what reads.
func (s *Server) handler(backend http.Handler) http.Handler {
	mux := http.NewServeMux()
	// The dumb protocol is left out: it would serve refs that are being written.
	read := func(w http.ResponseWriter, r *http.Request) {
		s.active.Add(1)
		defer s.active.Done()
		if r.Method == http.MethodGet && r.URL.Query().Get("service") != "git-upload-pack" {
			http.Error(w, "the repositories are read-only, over the smart protocol", http.StatusForbidden)
			return
		}
		backend.ServeHTTP(w, r)
	}
	mux.HandleFunc("GET /{repo}/info/refs", read)
	mux.HandleFunc("POST /{repo}/git-upload-pack", read)
	mux.HandleFunc("POST /{repo}/git-receive-pack", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the repositories are read-only", http.StatusForbidden)
	})
	return s.log.requests(mux)
}

// URL is the server's address, such as http://10.89.0.1:3000.
func (s *Server) URL() string { return s.url }

// Create makes an empty repository, whose branch is main. A repository of that name
// must not exist. The name is of lower-case letters, digits and dashes.
func (s *Server) Create(ctx context.Context, name string) (*Repo, error) {
	if !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(name) {
		return nil, fmt.Errorf("creating repository %q: the name is not of lower-case letters, digits and dashes", name)
	}
	dir := filepath.Join(s.dir, name+".git")
	if err := os.Mkdir(dir, 0o750); err != nil {
		return nil, fmt.Errorf("creating repository %s: %w", name, err)
	}
	// Without a template there are no hooks, samples or excludes to copy.
	if _, err := run(ctx, nil, "init", "--quiet", "--bare", "--template=", "--initial-branch="+branch, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("creating repository %s: %w", name, err), os.RemoveAll(dir))
	}
	return &Repo{dir: dir, url: s.url + "/" + name + ".git"}, nil
}

// Close ends the server and returns when no request is being answered any more.
// The repositories stay. Closing twice gives the same answer as once.
func (s *Server) Close() error {
	s.once.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		// A client that does not read is cut off.
		err = s.http.Close()
	}
	s.active.Wait()
	if served := <-s.serving; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("closing the git server: %w", err)
	}
	return nil
}
