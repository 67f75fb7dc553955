"""Pods to test in, and the programs that write their rules."""

from tests.support.netns.fixtures import new_pod, path_with, pod, programs, working  # noqa: F401 - fixtures
