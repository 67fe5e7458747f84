package faults

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRulesets(t *testing.T) {
	a := addresses{pods: "10.244.2.0/24", services: "10.96.0.0/16", apiHost: "10.89.0.1", apiPort: "6443"}
	cases := map[string]string{
		"clusterip-broken": `add table ip mainstay_clusterip_broken
delete table ip mainstay_clusterip_broken
table ip mainstay_clusterip_broken {
  chain prerouting {
    type filter hook prerouting priority -300; policy accept;
    ip saddr 10.244.2.0/24 ip daddr 10.96.0.0/16 counter drop
  }
}
`,
		"pod-network-cut": `add table ip mainstay_pod_network_cut
delete table ip mainstay_pod_network_cut
table ip mainstay_pod_network_cut {
  chain forward {
    type filter hook forward priority -10; policy accept;
    ip saddr 10.244.2.0/24 counter drop
    ip daddr 10.244.2.0/24 counter drop
  }
  chain input {
    type filter hook input priority -10; policy accept;
    iifname != "lo" ip saddr 10.244.2.0/24 ct direction original counter drop
  }
}
`,
		"apiserver-unreachable": `add table ip mainstay_apiserver_unreachable
delete table ip mainstay_apiserver_unreachable
table ip mainstay_apiserver_unreachable {
  chain output {
    type filter hook output priority 0; policy accept;
    ip daddr 10.89.0.1 tcp dport 6443 counter drop
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip daddr 10.89.0.1 tcp dport 6443 counter drop
  }
}
`,
		"dns-broken": `add table ip mainstay_dns_broken
delete table ip mainstay_dns_broken
table ip mainstay_dns_broken {
  chain prerouting {
    type filter hook prerouting priority -300; policy accept;
    ip saddr 10.244.2.0/24 meta l4proto { tcp, udp } th dport 53 counter drop
  }
}
`,
	}
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			f, err := Named(name)
			if err != nil {
				t.Fatal(err)
			}
			n, ok := f.how.(netfilter)
			if !ok {
				t.Fatalf("%T is no netfilter", f.how)
			}
			if diff := cmp.Diff(want, n.put(a)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
