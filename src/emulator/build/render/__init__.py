"""Build time: chart, kustomize files and reference from templates."""
