"""A real Kubernetes for the tests: up, down, kubeconfig, load, status; by kind, or on the machine itself."""
