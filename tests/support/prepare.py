"""`python -m tests.support.prepare`: builds what `make test` needs before its first test, and says how long.

In: the test cluster's provider and names of programs. Out: programs and images in the cache.
"""

import signal
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from emulator.build.progress import StepFailedError
from tests.support.clusters.provider import choose
from tests.support.kubernetes import images
from tests.support.tools import build, programs
from tests.support.tools.table import Tool

# What tests of `make test` start beside the cluster, the longest to build first.
SUITE = (
    "etcd",
    "kubernetes",
    "kube-apiserver-1.24",
    "kube-apiserver-1.29",
    "helm",
    "kubectl",
    "kustomize",
    "ct",
    "actionlint",
    "gvisor",
    "istio-iptables",
)


def everything(rows: Iterable[Tool]) -> None:
    """Build the rows, and the images meanwhile: one waits for the network and for links while the other computes."""
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(images.archives)
        build.ensure(list(rows))
        made.result()


def main() -> int:
    """Build it all; 1 if a step failed."""
    # End like Ctrl-C, so that the compiler ends too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        rows = [*choose("main").rows(), *programs.rows(SUITE)]
        everything({tool.name: tool for tool in rows}.values())
    except StepFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
