"""The server that the API server asks, and its certificates."""
