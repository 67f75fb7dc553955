"""Tests of the kustomize files: the install without Helm, and the components for app repositories."""
