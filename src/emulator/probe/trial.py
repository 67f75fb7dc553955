"""Tries a labelled pod: would admission let it in and inject it? Created with `dryRun=All`, so nothing is left."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.arn import parse_role_arn
from emulator.injection.judgement import is_of
from emulator.injection.rules import REFUSALS
from emulator.injection.served import served
from emulator.partitions import partition
from emulator.probe.api import Unreadable
from emulator.probe.findings import Finding, failed, ok, unknown, warning

if TYPE_CHECKING:
    from emulator.probe.api import Cluster

# Stands in where the user names no role. AWS is never asked for it.
PLACEHOLDER = parse_role_arn("arn:aws:iam::123456789012:role/imds-emulator-check")
NOT_ALLOWED = next(rule for rule in REFUSALS if rule.name == "role-not-allowed")
# What the API server says of a user without the right (apiserver, handlers/responsewriters); admission says otherwise.
MAY_NOT_CREATE = re.compile(r'User ".*" cannot create resource "pods"')


def role_arn_argument(text: str) -> str:
    """Return the role's ARN that the command line gives; argparse shows the message if it is not one."""
    try:
        return parse_role_arn(text).text
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def probe_pod(role_arn: str | None = None) -> dict[str, Any]:
    """Return a labelled pod, as JSON, with this role; else with a placeholder and a region that goes with it.

    It wants no region for its app, so it needs none where the installation has none.
    """
    annotations = {names.ANNOTATION_ROLE_ARN: role_arn or PLACEHOLDER.text, names.ANNOTATION_APP_REGION: "false"}
    if not role_arn:
        annotations[names.ANNOTATION_REGION] = partition(PLACEHOLDER.partition).default_region
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "imds-emulator-check-",
            "labels": {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE},
            "annotations": annotations,
        },
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "image": "none",
                    "resources": {key: {"cpu": "1m", "memory": "1Mi"} for key in ("requests", "limits")},
                }
            ]
        },
    }


def dry_run(cluster: Cluster, namespace: str, role_arn: str | None = None) -> Finding:
    """Would a labelled pod in `namespace` be admitted and injected, with this role, or with any where none is given?"""
    return try_pod(cluster, namespace, role_arn)[0]


def try_pod(cluster: Cluster, namespace: str, role_arn: str | None) -> tuple[Finding, dict[str, Any] | None]:
    """Return the finding of `dry_run`, and the pod as it would be admitted."""
    subject = f"labelled pod in {namespace}"
    try:
        pod = cluster.create(f"/api/v1/namespaces/{namespace}/pods", probe_pod(role_arn), dryRun="All")
    except Unreadable as error:
        return _refused(subject, error, namespace, role_arn), None
    if served(pod) is None:
        finding = failed(
            subject,
            "admitted without the emulator: it would take the node's role",
            "the namespace is outside the namespaceSelector, or the add-on is not installed",
        )
        return finding, pod
    return ok(subject, f"admitted (dry run) with {names.EMULATOR_CONTAINER}"), pod


def _refused(subject: str, error: Unreadable, namespace: str, role_arn: str | None) -> Finding:
    if is_of(NOT_ALLOWED, error.message) and not role_arn:
        return warning(
            subject,
            f"admission answers, but does not allow {PLACEHOLDER.text}, which stands in where no role is given",
            "to try the injection too, give a role on the list: --role-arn, or for `helm test` test.roleArn",
        )
    if MAY_NOT_CREATE.search(error.message):
        return unknown(subject, error.message, f"create pods in namespace {namespace}")
    return failed(subject, error.message, "the message says what rejects it")
