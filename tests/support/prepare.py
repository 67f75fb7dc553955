"""`python -m tests.support.prepare [TARGET]`: builds what a target of make needs before its first test.

In: the target, `test` by default; the test cluster's provider. Out: programs and images in the cache; how far it is and
how long it will take on stderr.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from emulator.build.progress import StepFailedError
from tests.support.clusters import node_image
from tests.support.clusters.kind import Kind
from tests.support.clusters.native import Native
from tests.support.clusters.provider import choose
from tests.support.kubernetes import images
from tests.support.tools import build, programs
from tests.support.tools.table import Tool

# What the tests of each target start beside the cluster, the longest to build first.
NEEDED = {
    "test": (
        *("etcd", "kubernetes", "kube-apiserver-1.24", "kube-apiserver-1.29", "helm", "kubectl", "kustomize", "ct"),
        *("coredns", "actionlint", "pod-security-admission"),
    ),
    "chaos": (
        *("etcd", "kubernetes", "kube-apiserver-1.34", "helm", "kubectl", "flux-kustomize-controller", "flux-sources"),
        *("cert-manager", "ct", "cosign", "crane", "registry"),
    ),
    "soak": ("helm", "kubectl"),
}
# For tests that need root, and are skipped without.
AS_ROOT = ("gvisor", "istio-iptables")


def everything(rows: Iterable[Tool]) -> None:
    """Build the rows, and the images meanwhile: one waits for the network and for links while the other computes."""
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(images.archives)
        build.ensure(list(rows))
        made.result()


def needed(target: str) -> list[str]:
    """Return the rows that a target needs on this machine beside those of its cluster."""
    rows = list(NEEDED[target])
    if target == "test" and os.geteuid() == 0:
        rows += AS_ROOT
    if target == "chaos":
        rows += ["kube-router"] if isinstance(choose("ops"), Native) else []
        rows += node_image.ROWS if _wants_node_image() else []
    return rows


def _wants_node_image() -> bool:
    """Tell whether kind could be used here, were it not for the image."""
    return "node image" in Kind("main").refusal()


def main() -> int:
    """Build it all; 1 if a step failed."""
    # End like Ctrl-C, so that the compiler ends too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m tests.support.prepare", description=__doc__)
    parser.add_argument("target", nargs="?", choices=sorted(NEEDED), default="test")
    target = parser.parse_args().target
    try:
        rows = [*choose("main").rows(), *programs.rows(needed(target))]
        everything({tool.name: tool for tool in rows}.values())
        if target == "chaos" and _wants_node_image():
            node_image.ensure()
    except StepFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
