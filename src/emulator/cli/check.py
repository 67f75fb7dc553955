"""`imds-emulator check [cluster | pod NAME | pods]`: says why a cluster or a pod gets no credentials.

A line each for what was looked at, ok or with its remedy; exit status 1 if anything failed, 2 if the cluster can't be
read. What the user may not look at is unknown, which is not a failure.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from emulator.cli.diagnosis import cluster_findings as check_cluster
from emulator.cli.diagnosis import pod_findings as check_pod
from emulator.cli.diagnosis import pod_table as check_pods
from emulator.cli.diagnosis.token_claims import Claims, read_claims
from emulator.cli.kubeconfig import KubeconfigCluster
from emulator.probe.api import Unreadable
from emulator.probe.findings import as_json, as_text, status, unknown
from emulator.probe.trial import role_arn_argument
from emulator.terminal import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.probe.api import Cluster
    from emulator.probe.findings import Finding


def main(arguments: list[str], cluster: Cluster | None = None) -> int:
    """Print the findings for the cluster, for one pod, or a table of pods; see the module for the status."""
    options = parse(arguments)
    try:
        token = _token(options)
        reachable = cluster or KubeconfigCluster(options.context, options.kubeconfig)
    except (Unreadable, ValueError) as error:
        show([f"imds-emulator check: {error}"], sys.stderr)
        return 2
    namespace = options.namespace or getattr(reachable, "namespace", "default")
    if options.what == "pods":
        return _table(reachable, None if options.all_namespaces else namespace, options.output)
    if options.what == "pod":
        return _report(check_pod.findings(reachable, namespace, options.name), options.output)
    return _report(check_cluster.findings(reachable, namespace, options.role_arn, token=token), options.output)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; `pod/NAME` stands for `pod NAME`, as with kubectl."""
    words = [part for word in arguments for part in (word.split("/", 1) if word.startswith("pod/") else [word])]
    defaults = {
        "what": "cluster",
        "namespace": None,
        "context": None,
        "kubeconfig": None,
        "output": "text",
        "role_arn": None,
        "issuer": None,
        "token_file": None,
        "all_namespaces": False,
    }
    given = {key: value for key, value in vars(parser().parse_args(words)).items() if value is not None}
    return argparse.Namespace(**{**defaults, **given})


def _token(options: argparse.Namespace) -> Claims | None:
    """Return what the token of the command line says, or a stand-in for one; raises ValueError."""
    if options.token_file is None:
        return Claims(options.issuer, "", "", "") if options.issuer else None
    found = read_claims(options.token_file)
    if options.issuer not in (None, found.issuer):
        raise ValueError(f"--issuer: Invalid value: {options.issuer!r}: the token's issuer is {found.issuer!r}")
    return found


def _report(found: Sequence[Finding], output: str) -> int:
    print(as_json(found) if output == "json" else as_text(found, coloured=sys.stdout.isatty()))  # noqa: T201
    return status(found)


def _table(cluster: Cluster, namespace: str | None, output: str) -> int:
    try:
        found = check_pods.rows(cluster, namespace)
    except Unreadable as error:
        if not error.is_forbidden:
            show([f"imds-emulator check: {error.message}"], sys.stderr)
            return 2
        where = f"in namespace {namespace}" if namespace else "in all namespaces, or give -n NAMESPACE"
        return _report([unknown("labelled pods", error.message, f"list pods {where}")], output)
    if output == "json":
        print(check_pods.as_json(found))  # noqa: T201
    else:
        show(check_pods.as_table(found, with_namespace=namespace is None))
    return int(any(row.is_bad for row in found))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("-n", "--namespace", help="default: the context's")
    common.add_argument("--context", help="context of the kubeconfig; default: the current one")
    common.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, or ~/.kube/config")
    common.add_argument("-o", "--output", choices=("text", "json"), help="default: text")
    tried = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    tried.add_argument(
        "--role-arn",
        metavar="ARN",
        type=role_arn_argument,
        help="of the labelled pod that is tried; default: one that stands in, which an allow-list may refuse",
    )
    tried.add_argument(
        "--token-file", metavar="FILE", help="a token of the cluster, whose issuer decides; default: one is asked for"
    )
    tried.add_argument("--issuer", metavar="URL", help="the issuer, where no token is at hand")
    made = argparse.ArgumentParser(
        prog="imds-emulator check",
        description="Say why a cluster or a pod gets no credentials. Nothing is changed.",
        parents=[common, tried],
    )
    what = made.add_subparsers(dest="what", metavar="[WHAT]", title="what to check")
    cluster_help = "would a labelled pod get credentials on this cluster? (the default)"
    what.add_parser("cluster", parents=[common, tried], help=cluster_help, description=cluster_help)
    pod_help = "why does this pod get no credentials?"
    pod = what.add_parser("pod", parents=[common], help=pod_help, description=pod_help)
    pod.add_argument("name", metavar="NAME", help="of the pod; pod/NAME is the same")
    pods_help = "a table of all labelled pods: injected, ready, role, last answer of STS"
    pods = what.add_parser("pods", parents=[common], help=pods_help, description=pods_help)
    pods.add_argument(
        "-A", "--all-namespaces", action="store_true", default=argparse.SUPPRESS, help="of all namespaces"
    )
    return made
