"""The init container: leads 169.254.169.254:80 to the sidecar."""
