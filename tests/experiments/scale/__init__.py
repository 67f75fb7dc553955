"""A cluster of 10,000 nodes and 200,000 injected pods: what it asks of STS, of the API server, of its nodes."""
