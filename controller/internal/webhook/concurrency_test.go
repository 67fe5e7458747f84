package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/informer"
	"github.com/mainstay-dev/mainstay/controller/internal/policy"
	"github.com/mainstay-dev/mainstay/controller/internal/rule"
	"github.com/mainstay-dev/mainstay/test/bench"
)

// TestReviewsWhileListsChange has every answer be that of some moment: the list
// that a review sees is never one that is being made. Run it with -race.
func TestReviewsWhileListsChange(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	// The odd pods are always there; the even ones come and go in pairs of
	// changes that leave the list sorted and without duplicates.
	for i := 1; i < 20; i += 2 {
		name := fmt.Sprintf("web-%02d", i)
		objects.set(podsGVR, "shop", name, pod("shop", name, "web"))
	}
	objects.set(namespaces, "", "shop", namespace("shop", nil))
	r := podRule("a").Validate("false", "").MessageExpression("refs.pods.map(p, string(p.metadata.name)).join(',')").Obj()
	other := podRule("b").Validate("namespaceObject.metadata.name == 'shop' && refs.pods.size() > 0", "").Obj()
	f := start(t, objects, r, other)
	group := policy.AdmitPath + groupOf(t, r)

	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	write := func(step func(i int)) {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					step(i)
				}
			}
		})
	}
	write(func(i int) {
		name := fmt.Sprintf("web-%02d", 2*(i/2%10))
		if i%2 == 0 {
			objects.set(podsGVR, "shop", name, pod("shop", name, "web"))
		} else {
			objects.set(podsGVR, "shop", name, nil)
		}
	})
	write(func(i int) {
		objects.set(namespaces, "", "shop", namespace("shop", map[string]any{"n": strconv.Itoa(i)}))
		if i%16 == 0 {
			f.Replaced(podsGVR)
			f.StateChanged(podsGVR)
		}
		if i%64 == 0 {
			f.ResourcesChanged()
		}
	})
	write(func(i int) {
		key := rule.Key{Kind: rule.KindClusterRule, Name: "c"}
		spec := few("c", 100).Obj().Spec
		f.SetRule(key, "uid", int64(i+1), &spec)
		f.RemoveRule(key)
	})
	for reader := range 4 {
		readers.Go(func() {
			name := fmt.Sprintf("web-%02d", 51+reader)
			body := review(t, `{name: `+name+`, object: {metadata: {name: `+name+`, namespace: shop, labels: {app: web}}}}`)
			for range 150 {
				_, response := f.ask(t, group, body)
				if response.Allowed || response.Result.Code != http.StatusUnprocessableEntity {
					t.Errorf("answer %+v", response)
					return
				}
				list, _, _ := strings.Cut(strings.TrimPrefix(response.Result.Message, "ClusterRule a: "), " ")
				seen := strings.Split(list, ",")
				last := ""
				odd := 0
				for _, pod := range seen {
					if pod <= last {
						t.Errorf("%s after %s: %s", pod, last, list)
						return
					}
					last = pod
					if n, _ := strconv.Atoi(strings.TrimPrefix(pod, "web-")); n%2 == 1 && n < 20 {
						odd++
					}
				}
				if odd != 10 || last != name {
					t.Errorf("the list %s lacks what was always there, or the object itself", list)
					return
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writers.Wait()
	// What is left is what is there.
	f.await(t, "as it is", func() bool {
		_, response := f.ask(t, group, review(t, aPod))
		want := 0
		for _, obj := range objects.List(podsGVR, "shop") {
			if obj.GetName() != "web-1" {
				want++
			}
		}
		list, _, _ := strings.Cut(strings.TrimPrefix(response.Result.Message, "ClusterRule a: "), " ")
		return len(strings.Split(list, ",")) == want+1
	})
}

// TestReviewsTakeNoLock has reviews answered while everything that writers lock
// is held.
func TestReviewsTakeNoLock(t *testing.T) {
	t.Parallel()
	objects := newFakeObjects()
	objects.set(namespaces, "", "shop", namespace("shop", nil))
	r := podRule("a").Validate("refs.pods.size() <= 1 && namespaceObject.metadata.name == 'shop'", "").NamespaceLabels("a", "b").Obj()
	f := start(t, objects, r)
	group := policy.AdmitPath + groupOf(t, r)
	f.applying.Lock()
	defer f.applying.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	objects.mu.Lock()
	defer objects.mu.Unlock()
	done := make(chan int)
	go func() {
		recorder := httptest.NewRecorder()
		f.handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, group, bytes.NewReader(review(t, aPod))).WithContext(t.Context()))
		done <- recorder.Code
	}()
	if code := <-done; code != http.StatusOK {
		t.Errorf("HTTP %d", code)
	}
}

// BenchmarkReview is a review in the handler, each in a goroutine of its own as HTTP/2
// has it: of one pod, by rules that all match it and count the pods of its namespace.
// With BENCH_DIR set it writes review.json there.
func BenchmarkReview(b *testing.B) {
	metrics := map[string]bench.Metric{}
	for _, rules := range []int{10, 100, 1000} {
		b.Run(strconv.Itoa(rules), func(b *testing.B) {
			objects := newFakeObjects()
			for i := range 100 {
				name := fmt.Sprintf("web-%03d", i)
				objects.set(podsGVR, "shop", name, pod("shop", name, "web"))
			}
			var all []*v1alpha1.ClusterRule
			for i := range rules {
				all = append(all, podRule(fmt.Sprintf("r-%d", i)).Condition("named", "object.metadata.name != ''").
					Validate(fmt.Sprintf("refs.pods.size() <= %d && object.metadata.labels.app == 'web'", 1000+i), "too many").Obj())
			}
			f := start(b, objects, all...)
			group := policy.AdmitPath + groupOf(b, all[0]) + "?timeout=5s"
			body := review(b, aPod)
			once := func() {
				recorder := httptest.NewRecorder()
				f.handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, group, bytes.NewReader(body)))
				answer := admissionv1.AdmissionReview{}
				if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil || !answer.Response.Allowed {
					b.Fatalf("%d: %s", recorder.Code, recorder.Body)
				}
			}
			allocs := testing.AllocsPerRun(5, once)
			var took []float64
			b.ReportAllocs()
			used := processTime(b)
			for b.Loop() {
				done := make(chan time.Duration)
				go func() {
					began := time.Now()
					once()
					done <- time.Since(began)
				}()
				took = append(took, (<-done).Seconds()*1e3)
			}
			used = processTime(b) - used
			slices.Sort(took)
			name := fmt.Sprintf("%d_rules_", rules)
			metrics[name+"cpu"] = bench.Metric{Value: used.Seconds() * 1e3 / float64(len(took)), Unit: "ms/review", Runs: len(took)}
			metrics[name+"p50"] = bench.Metric{Value: took[len(took)/2], Unit: "ms", Runs: len(took)}
			metrics[name+"p99"] = bench.Metric{Value: took[len(took)*99/100], Unit: "ms", Runs: len(took)}
			metrics[name+"allocations"] = bench.Metric{Value: allocs, Unit: "allocs/review"}
		})
	}
	if dir := os.Getenv("BENCH_DIR"); dir != "" {
		if err := bench.Write(filepath.Clean(dir), bench.Result{Name: "review", Metrics: metrics}); err != nil {
			b.Fatal(err)
		}
	}
}

// processTime is what the process has used of its processors, the garbage collector too.
func processTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

var _ Objects = (*informer.Set)(nil)
