package cluster

// apiPort is where an API server with an address of its own listens.
const apiPort = 6443

// realCertificates makes what an API server needs that talks to kubelets and to
// extension API servers.
func (p *plane) realCertificates() error {
	kubelets, err := p.ca.client("kube-apiserver-kubelet-client", "system:masters")
	if err != nil {
		return err
	}
	front, err := newAuthority()
	if err != nil {
		return err
	}
	proxy, err := front.client("front-proxy-client")
	if err != nil {
		return err
	}
	return p.write(map[string][]byte{
		"kubelets.crt": kubelets.cert, "kubelets.key": kubelets.key,
		"front-ca.crt": front.pem.cert,
		"front.crt":    proxy.cert, "front.key": proxy.key,
	})
}

// realArgs are the API server's flags that only real workers need.
func (p *plane) realArgs() []string {
	return []string{
		"--kubelet-client-certificate=" + p.file("kubelets.crt"),
		"--kubelet-client-key=" + p.file("kubelets.key"),
		"--kubelet-certificate-authority=" + p.file("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + p.file("front-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + p.file("front.crt"),
		"--proxy-client-key-file=" + p.file("front.key"),
		// No kube-proxy runs on this machine: webhooks are dialled by their endpoints.
		"--enable-aggregator-routing=true",
	}
}
