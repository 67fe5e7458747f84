// Command check measures how long "mainstay check" takes for a repository of many
// manifests: Flux with the patches of this repository, and applications of five
// manifests with a patch each. It writes the figures to <out>/check.json. The
// program is built before the first run, outside of what is measured.
//
//	go run ./test/bench/check -manifests 500 -runs 5
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mainstay-dev/mainstay/test/bench"
	"github.com/mainstay-dev/mainstay/test/fluxgen"
)

// perApplication is how many manifests an application has.
const perApplication = 5

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	log.SetFlags(0)
	if err != nil {
		log.Fatal("bench check: ", err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	manifests := flags.Int("manifests", 500, "manifests of the repository, those of Flux among them")
	runs := flags.Int("runs", 5, "how often to check it")
	limit := flags.Duration("limit", 0, "fail where the median takes longer; 0 for never")
	dir := flags.String("out", "build/bench", "folder for check.json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *runs < 1 {
		return fmt.Errorf("-runs: %d is below 1", *runs)
	}
	work, err := os.MkdirTemp("", "mainstay-bench-check-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	mainstay := filepath.Join(work, "mainstay")
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", mainstay, "./controller/cmd/mainstay").CombinedOutput(); err != nil {
		return fmt.Errorf("build mainstay: %w: %s", err, text)
	}
	repository := filepath.Join(work, "repository")
	if err := write(ctx, repository, *manifests); err != nil {
		return err
	}
	var took []float64
	objects := 0
	for number := range *runs {
		began := time.Now()
		if objects, err = check(ctx, mainstay, repository); err != nil {
			return err
		}
		took = append(took, time.Since(began).Seconds())
		_, _ = fmt.Fprintf(out, "run %d of %d: %d objects in %.2f s\n", number+1, *runs, objects, took[number])
	}
	if objects != *manifests {
		return fmt.Errorf("%d objects were checked, want %d", objects, *manifests)
	}
	seconds := bench.Of("s", took...)
	if *limit > 0 && seconds.Value > limit.Seconds() {
		err = fmt.Errorf("the median is %.2f s, more than %s", seconds.Value, *limit)
	}
	return errors.Join(err, bench.Write(*dir, bench.Result{Name: "check", Metrics: map[string]bench.Metric{
		"check":     seconds,
		"manifests": {Value: float64(objects), Unit: "manifests"},
	}}))
}

// check returns how many objects were looked at. There must be no finding.
func check(ctx context.Context, mainstay, repository string) (int, error) {
	cmd := exec.CommandContext(ctx, mainstay, "check", "cluster", "--root", ".", "-o", "json", "--fail-on", "info")
	cmd.Dir = repository
	var said bytes.Buffer
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("check the repository: %w: %s%s", err, said.String(), text)
	}
	var report struct {
		Summary struct {
			Objects int `json:"objects"`
		} `json:"summary"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return 0, fmt.Errorf("read the report: %w", err)
	}
	return report.Summary.Objects, nil
}

// write makes a repository of that many manifests.
func write(ctx context.Context, dir string, manifests int) error {
	flux, err := fluxgen.Manifests(ctx, fluxgen.Options{})
	if err != nil {
		return fmt.Errorf("make Flux's manifests: %w", err)
	}
	if err := os.CopyFS(filepath.Join(dir, "patches"), os.DirFS("patches")); err != nil {
		return fmt.Errorf("copy the patches: %w", err)
	}
	files := map[string]string{
		"cluster/flux/gotk-components.yaml": string(flux),
		"cluster/flux/kustomization.yaml":   "resources:\n- gotk-components.yaml\ncomponents:\n- ../../patches/flux-ha\n",
	}
	// The Component adds its PodDisruptionBudgets.
	left := manifests - bytes.Count(flux, []byte("\nkind: ")) - budgets
	if left < 0 {
		return fmt.Errorf("-manifests: Flux alone has %d", manifests-left)
	}
	var top strings.Builder
	top.WriteString("resources:\n- flux\n")
	for number := 0; left > 0; number++ {
		n := min(left, perApplication)
		left -= n
		name := fmt.Sprintf("app-%03d", number)
		top.WriteString("- " + name + "\n")
		for file, content := range application(name, n) {
			files[filepath.Join("cluster", name, file)] = content
		}
	}
	files["cluster/kustomization.yaml"] = top.String()
	for file, content := range files {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make the folder of %s: %w", file, err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	return nil
}

// budgets that patches/flux-ha adds.
const budgets = 5
