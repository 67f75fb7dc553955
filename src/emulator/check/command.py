"""`imds-emulator check [pod NAME]`: tells why a cluster or a pod gets no credentials.

Goes in: the user's kubeconfig. Comes out: a line each for what was looked at, ok or with its remedy; exit status 1 if
anything failed, 2 when the cluster can't be read.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from emulator.check import cluster as check_cluster
from emulator.check import pod as check_pod
from emulator.check.cluster_client import KubeconfigCluster, Unreadable
from emulator.check.findings import as_json, as_text, status

if TYPE_CHECKING:
    from emulator.check.cluster_client import Cluster


def main(arguments: list[str], cluster: Cluster | None = None) -> int:
    """Print the findings for the cluster, or for one pod; see the module for the status."""
    options = _parser().parse_args(arguments)
    if options.what == "pod" and not options.name:
        print("imds-emulator check pod: which pod? give its NAME", file=sys.stderr)  # noqa: T201
        return 2
    try:
        reachable = cluster or KubeconfigCluster(options.context)
    except Unreadable as error:
        print(f"imds-emulator check: {error.message}", file=sys.stderr)  # noqa: T201
        return 2
    if options.what == "pod":
        found = check_pod.findings(reachable, options.namespace, options.name)
    else:
        found = check_cluster.findings(reachable, options.namespace, options.role_arn)
    print(as_json(found) if options.output == "json" else as_text(found, coloured=sys.stdout.isatty()))  # noqa: T201
    return status(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imds-emulator check", description="Tell why there are no credentials.")
    parser.add_argument("what", nargs="?", choices=("cluster", "pod"), default="cluster", help="default: %(default)s")
    parser.add_argument("name", nargs="?", help="of the pod")
    parser.add_argument("-n", "--namespace", default="default", help="default: %(default)s")
    parser.add_argument(
        "--role-arn",
        type=check_cluster.role_arn_argument,
        help="of the labelled pod that is tried; default: one that stands in, which an allow-list may refuse",
    )
    parser.add_argument("--context", help="context of the kubeconfig")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    return parser
