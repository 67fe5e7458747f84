package main

import (
	"fmt"
	"strings"
)

// application is the files of one with the given number of manifests, 1 to 5.
func application(name string, manifests int) map[string]string {
	all := []string{
		fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
  labels:
    app: %[1]s
spec:
  replicas: 2
  selector:
    matchLabels:
      app: %[1]s
  template:
    metadata:
      labels:
        app: %[1]s
    spec:
      topologySpreadConstraints:
      - topologyKey: kubernetes.io/hostname
        maxSkew: 1
        whenUnsatisfiable: ScheduleAnyway
        labelSelector:
          matchLabels:
            app: %[1]s
      containers:
      - name: main
        image: registry.example.com/%[1]s:1.0.0
        ports:
        - name: http
          containerPort: 8080
        readinessProbe:
          httpGet:
            path: /ready
            port: http
        resources:
          requests:
            cpu: 10m
            memory: 32Mi
          limits:
            memory: 64Mi
`, name),
		fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n", name),
		fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata:\n  name: %[1]s\nspec:\n  selector:\n    app: %[1]s\n  ports:\n  - name: http\n    port: 80\n    targetPort: http\n", name),
		fmt.Sprintf("apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata:\n  name: %[1]s\nspec:\n  maxUnavailable: 1\n  selector:\n    matchLabels:\n      app: %[1]s\n", name),
		fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  settings: |\n    level: info\n    workers: 4\n", name),
	}
	return map[string]string{
		"all.yaml": strings.Join(all[:manifests], "---\n"),
		"kustomization.yaml": fmt.Sprintf(`namespace: %[1]s
resources:
- all.yaml
patches:
- target:
    kind: Deployment
    name: %[1]s
  patch: |
    - op: replace
      path: /spec/replicas
      value: 3
`, name),
	}
}
