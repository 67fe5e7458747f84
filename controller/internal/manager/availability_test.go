package manager

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestPeersAreTheOtherReplicasThatRun(t *testing.T) {
	t.Parallel()
	ours := map[string]string{"app.kubernetes.io/name": "mainstay", "app.kubernetes.io/component": "controller"}
	pod := func(name, ip string, change func(*corev1.Pod)) client.Object {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "mainstay-system", Name: name, Labels: ours},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip},
		}
		if change != nil {
			change(p)
		}
		return p
	}
	reader := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(
		pod("self", "10.0.0.1", nil),
		pod("other", "10.0.0.2", nil),
		pod("third", "fd00::3", nil),
		pod("no-address", "", nil),
		pod("pending", "10.0.0.4", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }),
		pod("going", "10.0.0.5", func(p *corev1.Pod) {
			p.Finalizers = []string{"test/kept"}
			p.DeletionTimestamp = new(metav1.Now())
		}),
		pod("stranger", "10.0.0.6", func(p *corev1.Pod) { p.Labels = nil }),
		pod("elsewhere", "10.0.0.7", func(p *corev1.Pod) { p.Namespace = "default" }),
	).Build()
	got, err := peers(reader, "mainstay-system", "self", "9443")(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"10.0.0.2:9443", "[fd00::3]:9443"}, got); diff != "" {
		t.Errorf("peers (-want +got):\n%s", diff)
	}
}

func TestWebhookOptions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		addr, url string
		wantSelf  string
		wantNames []string
	}{
		"the Service":        {addr: ":9443", wantSelf: "localhost:9443"},
		"all addresses":      {addr: "[::]:9443", wantSelf: "localhost:9443"},
		"one address":        {addr: "192.0.2.7:9444", wantSelf: "192.0.2.7:9444"},
		"by address":         {addr: ":9443", url: "https://203.0.113.7:8443", wantSelf: "localhost:9443", wantNames: []string{"203.0.113.7"}},
		"by name":            {addr: ":9443", url: "https://hook.example", wantSelf: "localhost:9443", wantNames: []string{"hook.example"}},
		"by an IPv6 address": {addr: ":9443", url: "https://[2001:db8::7]:8443", wantSelf: "localhost:9443", wantNames: []string{"2001:db8::7"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := Default()
			opts.PodName, opts.WebhookAddr, opts.WebhookURL = "self", tc.addr, tc.url
			if err := opts.Validate(); err != nil {
				t.Fatal(err)
			}
			if self, _ := opts.webhookSelf(); self != tc.wantSelf {
				t.Errorf("self %q, want %q", self, tc.wantSelf)
			}
			if diff := cmp.Diff(tc.wantNames, opts.webhookNames()); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}
