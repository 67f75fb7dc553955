"""`helm test`: proves an installation from inside the cluster."""
