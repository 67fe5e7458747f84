package faults

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// addresses are what the rules of a fault speak of.
type addresses struct {
	pods     string // the range of the worker's pods
	services string // the range of Service addresses
	apiHost  string
	apiPort  string
}

// netfilter is a fault that drops packets: a table of its own in the worker's network
// namespace, so that neither kube-proxy, in either of its modes, nor the CNI plugins
// touch it, and so that one command removes it whole.
type netfilter struct {
	table  string
	chains func(addresses) string
}

func (n netfilter) supported() error {
	sample := addresses{pods: "10.244.1.0/24", services: "10.96.0.0/16", apiHost: "192.0.2.1", apiPort: "6443"}
	return tryInNewNetwork(n.put(sample), "nft", "-f", "-")
}

func (n netfilter) inject(ctx context.Context, t Target) error {
	a, err := addressesOf(t)
	if err != nil {
		return err
	}
	return n.load(ctx, t, n.put(a))
}

func (n netfilter) heal(ctx context.Context, t Target) error { return n.load(ctx, t, n.remove()) }

// remove is the ruleset that takes the table away, also where there is none: nft
// 1.0.6 has no "destroy".
func (n netfilter) remove() string {
	return fmt.Sprintf("add table ip %[1]s\ndelete table ip %[1]s\n", n.table)
}

// put is the ruleset that makes the table anew. nft applies it as a whole.
func (n netfilter) put(a addresses) string {
	return n.remove() + fmt.Sprintf("table ip %s {\n%s}\n", n.table, n.chains(a))
}

func (n netfilter) load(ctx context.Context, t Target, ruleset string) error {
	cmd, err := t.Cluster.WorkerCommand(ctx, t.Worker, "nft", "-f", "-")
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(ruleset)
	return run(cmd)
}

func addressesOf(t Target) (addresses, error) {
	pods, err := t.Cluster.PodCIDR(t.Worker)
	if err != nil {
		return addresses{}, err
	}
	host := t.Cluster.Config().Host
	api, err := url.Parse(host)
	if err != nil {
		return addresses{}, fmt.Errorf("reading the API server's address: %w", err)
	}
	if api.Hostname() == "" || api.Port() == "" {
		return addresses{}, fmt.Errorf("reading the API server's address: %q has no host or no port", host)
	}
	return addresses{pods: pods, services: t.Cluster.ServiceRange(), apiHost: t.Cluster.HostIP(), apiPort: api.Port()}, nil
}

// clusterIPBroken sits before conntrack (-200) and kube-proxy's DNAT (-100): later
// the packet no longer has the Service's address. It sees the packets of open
// connections too, which pods always send to the Service's address.
func clusterIPBroken(a addresses) string {
	return chain("prerouting", "prerouting", -300, fmt.Sprintf("ip saddr %s ip daddr %s", a.pods, a.services))
}

// podNetworkCut drops what is forwarded, which is everything but what the node itself
// sends and gets; with br_netfilter that includes packets between two pods of the
// node. From pods to the node only answers pass, so that the kubelet's probes work.
func podNetworkCut(a addresses) string {
	return chain("forward", "forward", -10, "ip saddr "+a.pods, "ip daddr "+a.pods) +
		chain("input", "input", -10, fmt.Sprintf(`iifname != "lo" ip saddr %s ct direction original`, a.pods))
}

// apiServerUnreachable drops one direction only, after kube-proxy's DNAT, so that it
// catches the way through the Service and the direct one. The API server's own
// connections into the worker have another destination port.
func apiServerUnreachable(a addresses) string {
	match := fmt.Sprintf("ip daddr %s tcp dport %s", a.apiHost, a.apiPort)
	return chain("output", "output", 0, match) + chain("forward", "forward", 0, match)
}

// dnsBroken matches questions (destination port 53), not a DNS server's answers.
func dnsBroken(a addresses) string {
	return chain("prerouting", "prerouting", -300, fmt.Sprintf("ip saddr %s meta l4proto { tcp, udp } th dport 53", a.pods))
}

// chain is a base chain that drops, and counts, what matches.
func chain(name, hook string, priority int, matches ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  chain %s {\n    type filter hook %s priority %d; policy accept;\n", name, hook, priority)
	for _, match := range matches {
		fmt.Fprintf(&b, "    %s counter drop\n", match)
	}
	b.WriteString("  }\n")
	return b.String()
}
