package images_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
	"github.com/mainstay-dev/mainstay/test/images"
)

func TestBuildsTheProjectsPrograms(t *testing.T) {
	t.Setenv(tools.EnvCache, t.TempDir())
	var said strings.Builder
	made, err := images.Build(t.Context(), &said, images.Pause, images.Mainstay, images.MainstayNext)
	if err != nil {
		t.Fatal(err)
	}
	users := map[string]string{}
	for _, image := range made {
		tag, err := name.NewTag(image.Ref)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := tarball.ImageFromPath(image.Archive, &tag)
		if err != nil {
			t.Fatal(err)
		}
		config, err := opened.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		users[image.Ref] = config.Config.User
	}
	want := map[string]string{
		"mainstay.test/pause:v1":                    "65535:65535",
		"ghcr.io/mainstay-dev/mainstay:v0.1.0":      "65532:65532",
		"ghcr.io/mainstay-dev/mainstay:v0.1.0-next": "65532:65532",
	}
	if diff := cmp.Diff(want, users); diff != "" {
		t.Errorf("images and their users (-want +got):\n%s", diff)
	}

	said.Reset()
	again, err := images.Build(t.Context(), &said, images.Pause, images.Mainstay, images.MainstayNext)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, again); diff != "" || said.String() != "" {
		t.Errorf("the same tree gave other images, saying %q (-first +second):\n%s", said.String(), diff)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv(tools.EnvCache), "images", "build-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Setenv(tools.EnvCache, t.TempDir())
	ended, end := context.WithCancel(t.Context())
	end()
	tests := map[string]struct {
		ctx  context.Context
		name string
		want string
	}{
		"unknown image": {t.Context(), "hammer", `no image is named "hammer"`},
		"cancelled":     {ended, images.Pause, "context canceled"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := images.Build(tc.ctx, nil, tc.name)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pause")
	if err := tools.BuildProgram(t.Context(), root, "./test/images/pause", "", path); err != nil {
		t.Fatal(err)
	}
	// The shell leaves a child to the program that takes its place.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `sleep 0.3 & echo $!; exec "$0" >/dev/null`, path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child := make([]byte, 32)
	n, err := out.Read(child)
	if err != nil {
		t.Fatal(err)
	}
	// A process that nobody reaps stays there as a zombie.
	process := filepath.Join("/proc", strings.TrimSpace(string(child[:n])))
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true,
		func(context.Context) (bool, error) {
			_, err := os.Stat(process)
			return os.IsNotExist(err), nil
		}); err != nil {
		t.Errorf("a child is not reaped: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("pause on SIGTERM: %v", err)
	}
}
