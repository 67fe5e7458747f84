package cluster

import (
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// envAssets is the variable of envtest that names a folder with etcd, kube-apiserver
// and kubectl.
const envAssets = "KUBEBUILDER_ASSETS"

// programs returns the paths of the programs that a cluster needs, taking from the
// folder assets what is there and building the rest.
func programs(ctx context.Context, existing bool, assets string, out io.Writer) (map[string]string, error) {
	names := tools.ControlPlane()
	if existing {
		names = []string{tools.Kubectl, tools.Kwok}
	}
	found := map[string]string{}
	var missing []string
	for _, name := range names {
		switch path := filepath.Join(assets, name); {
		case assets != "" && offered(name) && executable(path):
			found[name] = path
		default:
			missing = append(missing, name)
		}
	}
	builder, err := tools.Default(out)
	if err != nil {
		return nil, err
	}
	built, err := builder.Build(ctx, missing...)
	if err != nil {
		return nil, err
	}
	maps.Copy(found, built)
	return found, nil
}

// offered reports whether envtest's assets have a program of that name.
func offered(name string) bool {
	return name == tools.Etcd || name == tools.APIServer || name == tools.Kubectl
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
