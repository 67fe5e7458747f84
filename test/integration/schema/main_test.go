package schema_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/test/cluster"
	"github.com/mainstay-dev/mainstay/test/cluster/tools"
)

// startTimeout bounds the start of the control plane, which may include the build
// of its programs.
const startTimeout = 15 * time.Minute

// crdFolder is where the generated definitions are, from the project's root.
const crdFolder = "manifests/crd"

// environment is what the tests of this package share: they differ in the objects
// that they send only.
type environment struct {
	cluster   *cluster.Cluster
	dynamic   dynamic.Interface
	typed     client.Client
	crds      string
	namespace string
}

// env is one control plane for the whole package, started by TestMain.
var env environment

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	root, err := tools.Root()
	if err != nil {
		return 0, err
	}
	env.crds = filepath.Join(root, crdFolder)
	if env.cluster, err = cluster.Start(ctx, cluster.Options{Out: os.Stderr}); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, env.cluster.Stop()) }()
	if _, err := env.cluster.Kubectl(ctx, "apply", "--server-side", "-k", env.crds); err != nil {
		return 0, err
	}
	if err := awaitKinds(ctx); err != nil {
		return 0, err
	}
	if env.dynamic, err = dynamic.NewForConfig(env.cluster.Config()); err != nil {
		return 0, fmt.Errorf("making a dynamic client: %w", err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return 0, fmt.Errorf("making a scheme: %w", err)
	}
	if env.typed, err = client.New(env.cluster.Config(), client.Options{Scheme: scheme}); err != nil {
		return 0, fmt.Errorf("making a typed client: %w", err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "schema-"}}
	if err := env.typed.Create(ctx, namespace); err != nil {
		return 0, fmt.Errorf("creating a namespace: %w", err)
	}
	env.namespace = namespace.Name
	return m.Run(), env.typed.Delete(context.WithoutCancel(ctx), namespace)
}

// awaitKinds returns when the API server serves every kind and says so to kubectl,
// which keeps what it was told for the commands that follow.
func awaitKinds(ctx context.Context) error {
	want := []string{"clusterrules.mainstay.dev", "interventions.mainstay.dev", "lifelines.mainstay.dev", "rules.mainstay.dev"}
	if err := env.cluster.AwaitDefinitions(ctx); err != nil {
		return err
	}
	var got []string
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		out, err := env.cluster.Kubectl(ctx, "api-resources", "--api-group="+v1alpha1.GroupVersion.Group, "--output=name")
		if err != nil {
			return false, err
		}
		got = strings.Fields(out)
		slices.Sort(got)
		return slices.Equal(got, want), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %v, have %v: %w", want, got, err)
	}
	return nil
}
