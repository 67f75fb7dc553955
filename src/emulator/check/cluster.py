"""`imds-emulator check`: would a labelled pod get credentials on this cluster?

Findings, from the API server's version to the dry run of a labelled pod. Nothing is changed: the pod is created with
`dryRun=All`, and a token that is asked for is read and dropped.
"""

from __future__ import annotations

import argparse
import base64
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.arn import SHOWN_LIMIT, parse_role_arn
from emulator.check.cluster_client import Unreadable
from emulator.check.findings import Finding, failed, ok, unknown, warning
from emulator.check.issuer import https_get, issuer
from emulator.check.nodes import NATIVE_SIDECARS, nodes, version
from emulator.check.served import served
from emulator.injection.judgement import is_of
from emulator.injection.rules import REFUSALS
from emulator.partitions import partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.check.cluster_client import Cluster
    from emulator.check.served import Served
    from emulator.check.tokens import Claims

SELECTOR = "app.kubernetes.io/name=imds-emulator"
OLDEST = (1, 24)
# Stands in where the user names no role. AWS is never asked for it.
PLACEHOLDER = parse_role_arn("arn:aws:iam::123456789012:role/imds-emulator-check")
NOT_ALLOWED = next(rule for rule in REFUSALS if rule.name == "role-not-allowed")
# What the API server says of a user without the right (apiserver, handlers/responsewriters); admission says otherwise.
MAY_NOT_CREATE = re.compile(r'User ".*" cannot create resource "pods"')
EXPIRY_WARNING_DAYS = 7


def findings(
    cluster: Cluster,
    namespace: str,
    role_arn: str | None = None,
    fetch: Callable[[str], bytes] | None = None,
    token: Claims | None = None,
) -> list[Finding]:
    """Return what a labelled pod in `namespace` would meet, in the order in which it meets it.

    `role_arn`: see `dry_run`. `fetch`: GET of an https URL from where the user sits; AWS must be able to do the same.
    `token`: what a token of the cluster says, which is asked for if there is none.
    """
    found = [api_version(cluster)]
    if found[0].state == "failed":
        return found
    found += admission(cluster)
    tried, pod = try_pod(cluster, namespace, role_arn)
    form = served(pod) if pod else None
    too_old = version("") < version(found[0].seen) < NATIVE_SIDECARS
    native = form.is_native if form else False if too_old else None
    found += [tried, *sidecar(native=native), *insecure_endpoint(form), *nodes(cluster, native=native)]
    found.append(issuer(cluster, fetch or https_get, namespace, "default", token))
    return found


def insecure_endpoint(emulator: Served | None) -> list[Finding]:
    """Return the warning that tokens go over the network in the clear, where an installation allows that."""
    endpoint = emulator.values.get(names.ENV_OWN_STS_ENDPOINT, "") if emulator else ""
    if not endpoint.lower().startswith("http://"):
        return []
    return [
        warning(
            "STS endpoint",
            f"{endpoint} without TLS (sts.allowInsecureEndpoint): tokens and keys can be read on the network",
            "for local development only: use an https:// endpoint anywhere else",
        )
    ]


def api_version(cluster: Cluster) -> Finding:
    """Is the API server there, and new enough?"""
    subject = "API server"
    try:
        text = str(cluster.get("/version")["gitVersion"])
    except Unreadable as error:
        if error.is_forbidden:
            return unknown(subject, error.message, "read /version")
        return failed(subject, error.message, "check the kubeconfig and that the API server is reachable")
    if version(text) < OLDEST:
        return failed(subject, text, "upgrade to Kubernetes 1.24 or newer")
    return ok(subject, text)


def sidecar(*, native: bool | None) -> list[Finding]:
    """Return what the classic form means, where labelled pods get it; `native`: None where that is not known."""
    if native is not False:
        return []
    return [
        warning(
            "sidecar",
            "labelled pods get the classic form, in which their own init containers run before the redirect and meet"
            " the node's metadata service",
            "init containers must not use AWS; if API server and nodes are all of 1.29 or later, set sidecar.mode to"
            " native",
        )
    ]


def admission(cluster: Cluster) -> list[Finding]:
    """Is a webhook or a mutating policy installed, and does the webhook have a trusted, unexpired certificate?"""
    subject = "admission"
    group = "/apis/admissionregistration.k8s.io"
    try:
        webhooks = _items(cluster, f"{group}/v1/mutatingwebhookconfigurations")
        policies = [
            item
            for version in ("v1", "v1beta1")
            for item in _items(cluster, f"{group}/{version}/mutatingadmissionpolicies", absent_is_empty=True)
        ]
    except Unreadable as error:
        if error.is_forbidden:
            return [unknown(subject, error.message, "list mutatingwebhookconfigurations and mutatingadmissionpolicies")]
        return [failed(subject, error.message, "see the API server's log")]
    if policies:
        return [ok(subject, f"policy {policies[0]['metadata']['name']}")]
    if not webhooks:
        return [failed(subject, f"neither webhook nor policy with label {SELECTOR}", "helm install the chart")]
    webhook = webhooks[0]
    found = [ok(subject, f"webhook {webhook['metadata']['name']}")]
    for entry in webhook["webhooks"]:
        found += [certificate(entry), service(cluster, entry)]
    return found


def certificate(entry: dict[str, Any]) -> Finding:
    """Is there a CA certificate in the webhook configuration that has not expired?"""
    subject = f"certificate of {entry['name']}"
    bundle = entry["clientConfig"].get("caBundle")
    if not bundle:
        return failed(subject, "caBundle is empty", "see the webhook's log: it fills caBundle in when it starts")
    from cryptography import x509  # noqa: PLC0415 - an extra, for this command alone

    try:
        ends = max(item.not_valid_after_utc for item in x509.load_pem_x509_certificates(base64.b64decode(bundle)))
    except ValueError:
        return failed(
            subject,
            f"clientConfig.caBundle is {_shown(bundle)}, which is not a PEM certificate in base64",
            "see what fills it in: with certificate.mode `self` restart the webhook, with `secret` set"
            " certificate.caBundle",
        )
    days = (ends - datetime.now(UTC)).days
    if days < 0:
        remedy = "renew it; with certificate.mode `self` restart the webhook"
        return failed(subject, f"the CA expired on {ends:%Y-%m-%d}", remedy)
    if days < EXPIRY_WARNING_DAYS:
        return warning(subject, f"the CA expires on {ends:%Y-%m-%d}", "see why it has not been renewed")
    return ok(subject, f"CA valid until {ends:%Y-%m-%d}")


def service(cluster: Cluster, entry: dict[str, Any]) -> Finding:
    """Is there a ready endpoint behind the webhook's Service?"""
    reference = entry["clientConfig"].get("service")
    subject = f"endpoints of {entry['name']}"
    if not reference:
        return ok(subject, entry["clientConfig"].get("url", "no Service"))
    path = f"/apis/discovery.k8s.io/v1/namespaces/{reference['namespace']}/endpointslices"
    try:
        slices = cluster.get(path, labelSelector=f"kubernetes.io/service-name={reference['name']}")["items"]
    except Unreadable as error:
        return unknown(subject, error.message, f"list endpointslices in namespace {reference['namespace']}")
    ready = sum(
        1 for item in slices for end in item.get("endpoints") or [] if (end.get("conditions") or {}).get("ready")
    )
    if not ready:
        return failed(
            subject,
            f"no ready pod behind Service {reference['namespace']}/{reference['name']}",
            f"kubectl -n {reference['namespace']} get pods, and their logs",
        )
    return ok(subject, f"{ready} ready")


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


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_LIMIT else text[:SHOWN_LIMIT] + "...")


def _items(cluster: Cluster, path: str, *, absent_is_empty: bool = False) -> list[dict[str, Any]]:
    try:
        items: list[dict[str, Any]] = cluster.get(path, labelSelector=SELECTOR)["items"]
    except Unreadable as error:
        if absent_is_empty and error.status == 404:  # noqa: PLR2004 - the API group version is not served
            return []
        raise
    return items
