"""Publishing a release: `make release REGISTRY=...` on a maintainer's machine, in the workflow and in the rehearsal."""
