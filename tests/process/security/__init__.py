"""The claims of docs/security.md, each with tests that prove it; `pytest -m claim` runs them all."""
