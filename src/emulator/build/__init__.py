"""What only a build runs, not in the wheel: the chart's and kustomize's files, and the images."""
