package certs

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ready waits until replicas show what the Secret holds.
func (e *env) ready(t *testing.T, replicas ...*replica) material {
	t.Helper()
	var m material
	eventually(t, 20*time.Second, func() (bool, string) {
		secret := e.secret()
		if err := e.admin.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); err != nil {
			return false, err.Error()
		}
		var err error
		if m, err = parse(secret.Data); err != nil {
			return false, err.Error()
		}
		for i, r := range replicas {
			if err := r.Ready(); err != nil {
				return false, fmt.Sprintf("replica %d: %v", i, err)
			}
			if shown := r.shown(); shown == nil || !shown.pair.Leaf.Equal(m.pair.Leaf) {
				return false, fmt.Sprintf("replica %d shows another certificate than the Secret's", i)
			}
		}
		return true, ""
	})
	return m
}

func TestRaceForTheSecret(t *testing.T) {
	e := clean(t)
	const rounds = 30
	a, b := e.prepare(t, options()), e.prepare(t, options())
	for round := range rounds {
		// Made anew every other round, and mended in the others.
		if round%2 == 0 {
			if err := e.admin.Delete(t.Context(), e.secret()); client.IgnoreNotFound(err) != nil {
				t.Fatal(err)
			}
		} else {
			secret, _ := e.stored(t)
			secret.Data[KeyCA] = []byte("garbage")
			if err := e.admin.Update(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		var errs [2]error
		start := make(chan struct{})
		for i, r := range []*replica{a, b} {
			wg.Go(func() {
				<-start
				errs[i] = r.write(t.Context())
			})
		}
		close(start)
		wg.Wait()
		_, m := e.stored(t)
		for i, r := range []*replica{a, b} {
			if errs[i] != nil {
				t.Errorf("round %d, replica %d: %v", round, i, errs[i])
			}
			if shown := r.shown(); shown == nil || !shown.pair.Leaf.Equal(m.pair.Leaf) {
				t.Errorf("round %d: replica %d does not show what the Secret holds", round, i)
			}
			if !bytes.Equal(r.Bundle(), encode(m.bundle)) {
				t.Errorf("round %d: replica %d has another CA", round, i)
			}
		}
	}
}

func TestSecretIsMadeAndMended(t *testing.T) {
	e := clean(t)
	a, b := e.start(t, options()), e.start(t, options())
	first := e.ready(t, a, b)

	t.Run("its type and labels", func(t *testing.T) {
		secret, _ := e.stored(t)
		if secret.Type != corev1.SecretTypeTLS || secret.Labels["app.kubernetes.io/name"] != "mainstay" {
			t.Errorf("type %s, labels %v", secret.Type, secret.Labels)
		}
	})
	t.Run("nothing is written while nothing changes", func(t *testing.T) {
		before, _ := e.stored(t)
		time.Sleep(2 * time.Second)
		if after, _ := e.stored(t); after.ResourceVersion != before.ResourceVersion {
			t.Error("the Secret was written")
		}
	})
	t.Run("deleted", func(t *testing.T) {
		if err := e.admin.Delete(t.Context(), e.secret()); err != nil {
			t.Fatal(err)
		}
		second := e.ready(t, a, b)
		if first.bundle[0].Equal(second.bundle[0]) {
			t.Error("the CA is the one whose key was lost")
		}
	})
	t.Run("garbage", func(t *testing.T) {
		secret, _ := e.stored(t)
		for key := range secret.Data {
			secret.Data[key] = []byte("garbage")
		}
		secret.Data["somebody-elses"] = []byte("kept")
		if err := e.admin.Update(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		e.ready(t, a, b)
		if secret, _ = e.stored(t); string(secret.Data["somebody-elses"]) != "kept" {
			t.Errorf("another key of the Secret is gone")
		}
	})
	t.Run("of another type", func(t *testing.T) {
		opaque := e.secret()
		opaque.Type = corev1.SecretTypeOpaque
		for {
			if err := e.admin.Delete(t.Context(), e.secret()); client.IgnoreNotFound(err) != nil {
				t.Fatal(err)
			}
			err := e.admin.Create(t.Context(), opaque)
			if err == nil {
				break
			}
			if !apierrors.IsAlreadyExists(err) {
				t.Fatal(err)
			}
		}
		e.ready(t, a, b)
	})
	t.Run("only the serving certificate is lost", func(t *testing.T) {
		secret, before := e.stored(t)
		secret.Data[corev1.TLSCertKey] = []byte("garbage")
		if err := e.admin.Update(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		if after := e.ready(t, a, b); !after.bundle[0].Equal(before.bundle[0]) {
			t.Error("the CA was made anew")
		}
	})
}

func TestSomebodyElseWritesTheSecret(t *testing.T) {
	e := clean(t)
	var log bytes.Buffer
	var mu sync.Mutex
	opts := options()
	opts.Rotate = false
	opts.Log = funcr.New(func(_, args string) {
		mu.Lock()
		defer mu.Unlock()
		log.WriteString(args + "\n")
	}, funcr.Options{})
	r := e.start(t, opts)
	time.Sleep(time.Second)
	if err := e.admin.Get(t.Context(), client.ObjectKeyFromObject(e.secret()), e.secret()); !apierrors.IsNotFound(err) {
		t.Errorf("reading the Secret: %v, want that there is none", err)
	}
	if err := r.Ready(); err == nil || err.Error() != "there is no certificate to serve yet: secret mainstay-system/mainstay-webhook-tls is missing" {
		t.Errorf("ready: %v", err)
	}
	if _, err := r.GetCertificate(nil); err == nil {
		t.Error("a certificate is shown, and there is none")
	}
	if r.Bundle() != nil {
		t.Error("there is a bundle without a Secret")
	}

	auth := New(opts).authority
	data, _, err := auth.renew(material{}, renewAll, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	delete(data, KeyCAKey)
	secret := e.secret()
	secret.Type, secret.Data = corev1.SecretTypeTLS, data
	if err := e.admin.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	e.ready(t, r)

	// What it wrote is left alone, whatever it is.
	secret.Data[corev1.TLSCertKey] = []byte("garbage")
	if err := e.admin.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() (bool, string) {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Contains(log.Bytes(), []byte("tls.crt and tls.key are no certificate and its key")), log.String()
	})
	if err := r.Ready(); err != nil {
		t.Errorf("what was loaded is no longer served: %v", err)
	}
	now := e.secret()
	if err := e.admin.Get(t.Context(), client.ObjectKeyFromObject(now), now); err != nil || now.ResourceVersion != secret.ResourceVersion {
		t.Errorf("the Secret was written: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, content := range data {
		if bytes.Contains(log.Bytes(), content[:min(len(content), 60)]) {
			t.Error("the log has content of the Secret")
		}
	}
}
