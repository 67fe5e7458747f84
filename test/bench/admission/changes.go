package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mainstay-dev/mainstay/test/bench"
	"github.com/mainstay-dev/mainstay/test/replicas"
)

// around is load before and after what happens.
const around = 3 * time.Second

// change is something that happens to the replicas under load.
type change struct {
	name string
	// free is false where requests may be lost.
	free bool
	do   func(ctx context.Context) error
}

func (b *bed) list() []change {
	return []change{
		{"rolling_restart", true, b.roll},
		{"leader_change", true, b.changeLeader},
		{"lease_lost", true, b.loseLease},
		{"rotation", true, b.rotate},
		{"leader_kill", false, b.killLeader},
		{"serving_kill", false, b.killServing},
	}
}

// changes has each happen under load, with ten rules in force. lost says which of those that
// must lose nothing did.
func (b *bed) changes(ctx context.Context, metrics map[string]bench.Metric) (lost, err error) {
	if err := b.rules(ctx, 10, true); err != nil {
		return nil, err
	}
	values := map[string][]float64{}
	for number := range b.runs {
		for _, change := range b.list() {
			out, err := b.underLoad(ctx, change.do)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", change.name, err)
			}
			b.say("run %d of %d, %s: %s", number+1, b.runs, change.name, out)
			for name, value := range map[string]float64{"requests": float64(len(out.took) + out.failed), "failed": float64(out.failed), "over_1s": float64(out.slow)} {
				name = change.name + "_" + name
				values[name] = append(values[name], value)
				metrics[name] = bench.Of("requests", values[name]...)
			}
			name := change.name + "_max"
			values[name] = append(values[name], out.quantile(1))
			metrics[name] = bench.Of("s", values[name]...)
			if change.free && out.failed+out.slow > 0 {
				lost = errors.Join(lost, fmt.Errorf("%s: %d requests failed, %d took over %s", change.name, out.failed, out.slow, slow))
			}
		}
	}
	return lost, nil
}

// underLoad has something happen while requests are made.
func (b *bed) underLoad(ctx context.Context, do func(context.Context) error) (*outcome, error) {
	b.matched.lasts(ctx, warmUp)
	stop, result := make(chan struct{}), make(chan *outcome, 1)
	go func() { result <- b.matched.during(ctx, stop) }()
	err := b.pause(ctx, around)
	if err == nil {
		err = do(ctx)
	}
	if err == nil {
		err = b.pause(ctx, around)
	}
	close(stop)
	return <-result, err
}

func (b *bed) pause(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// roll replaces every replica, as the Deployment does: one more, then one less.
func (b *bed) roll(ctx context.Context) error {
	for _, old := range b.replicas.Running() {
		if _, err := b.another(ctx); err != nil {
			return err
		}
		if err := old.Stop(); err != nil {
			return err
		}
	}
	return nil
}

// changeLeader ends the leader gracefully.
func (b *bed) changeLeader(ctx context.Context) error {
	return b.replaceLeader(ctx, (*replicas.Replica).Stop)
}

// loseLease gives the Lease to somebody else. The leader gives up, and is started again.
func (b *bed) loseLease(ctx context.Context) error {
	leader, err := b.replicas.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	starts := leader.Starts()
	lease := &coordinationv1.Lease{}
	err = b.until(ctx, "the Lease is somebody else's", func(ctx context.Context) error {
		if err := b.client.Get(ctx, client.ObjectKey{Namespace: replicas.Namespace, Name: replicas.LeaseName}, lease); err != nil {
			return err
		}
		lease.Spec.HolderIdentity = new("somebody-else")
		return b.client.Update(ctx, lease)
	})
	if err != nil {
		return err
	}
	return b.until(ctx, "the former leader is back", func(context.Context) error {
		if leader.Starts() == starts || b.replicas.Endpoints() < len(b.replicas.Running()) {
			return errors.New("it is not")
		}
		return nil
	})
}

// killLeader ends it at once, which nobody is told.
func (b *bed) killLeader(ctx context.Context) error {
	return b.replaceLeader(ctx, (*replicas.Replica).Kill)
}

// killServing ends the replica that is asked most: on HTTP/2 an API server keeps to one
// connection.
func (b *bed) killServing(ctx context.Context) error {
	before := map[*replicas.Replica]uint64{}
	var serving *replicas.Replica
	most := uint64(0)
	for _, look := range []bool{false, true} {
		for _, r := range b.replicas.Running() {
			families, err := r.Metrics(ctx)
			if err != nil {
				return err
			}
			n := uint64(0)
			for _, metric := range families[reviewSeconds].GetMetric() {
				n += metric.GetHistogram().GetSampleCount()
			}
			if look && n-before[r] >= most {
				serving, most = r, n-before[r]
			}
			before[r] = n
		}
		if err := b.pause(ctx, time.Second); err != nil {
			return err
		}
	}
	if err := serving.Kill(); err != nil {
		return err
	}
	_, err := b.another(ctx)
	return err
}

func (b *bed) replaceLeader(ctx context.Context, end func(*replicas.Replica) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	leader, err := b.replicas.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	if err := end(leader); err != nil {
		return err
	}
	if _, err := b.another(ctx); err != nil {
		return err
	}
	_, err = b.replicas.AwaitLeader(ctx)
	return err
}

// rotate has the CA lost, and waits until a certificate of another one is served.
func (b *bed) rotate(ctx context.Context) error {
	before, err := b.served(ctx)
	if err != nil {
		return err
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: replicas.Namespace, Name: "mainstay-webhook-tls"}}
	if err := b.client.Delete(ctx, secret); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete the certificate: %w", err)
	}
	return b.until(ctx, "every replica serves another certificate", func(ctx context.Context) error {
		for range 2 * len(b.replicas.Running()) { // connections go to one after the other
			now, err := b.served(ctx)
			if err != nil {
				return err
			}
			if now == before {
				return errors.New("the former one is served")
			}
		}
		return nil
	})
}

// served is the signature of the certificate that the Front's next replica serves.
func (b *bed) served(ctx context.Context) (string, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: slow}, Config: &tls.Config{InsecureSkipVerify: true}} // it is only looked at
	conn, err := dialer.DialContext(ctx, "tcp", b.replicas.Front().Addr())
	if err != nil {
		return "", fmt.Errorf("look at the certificate: %w", err)
	}
	defer func() { _ = conn.Close() }()
	secure, ok := conn.(*tls.Conn)
	if !ok || len(secure.ConnectionState().PeerCertificates) == 0 {
		return "", errors.New("look at the certificate: there is none")
	}
	return string(secure.ConnectionState().PeerCertificates[0].Signature), nil
}

func sortedKeys(of map[float64]uint64) []float64 { return slices.Sorted(maps.Keys(of)) }
