"""`imds-emulator check`: would a labelled pod get credentials on this cluster?

Findings, from the API server's version to the dry run of a labelled pod. Nothing is changed: the pod is created with
`dryRun=All`, and a token that is asked for is read and dropped.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.arn import SHOWN_LIMIT
from emulator.cli.diagnosis.issuer import https_get, issuer
from emulator.cli.diagnosis.node_findings import NATIVE_SIDECARS, nodes, version
from emulator.injection.served import served
from emulator.probe.api import Unreadable
from emulator.probe.findings import Finding, failed, ok, unknown, warning
from emulator.probe.trial import try_pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.cli.diagnosis.token_claims import Claims
    from emulator.injection.served import Served
    from emulator.probe.api import Cluster

SELECTOR = "app.kubernetes.io/name=imds-emulator"
OLDEST = (1, 24)
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
    """Is the newest certificate in the webhook configuration, which is the one in use, still valid?"""
    subject = f"certificate of {entry['name']}"
    bundle = entry["clientConfig"].get("caBundle")
    if not bundle:
        return failed(subject, "caBundle is empty", "see the webhook's log: it fills caBundle in when it starts")
    from cryptography import x509  # noqa: PLC0415 - an extra, for this command alone

    try:
        certificates = x509.load_pem_x509_certificates(base64.b64decode(bundle))
    except ValueError:
        return failed(
            subject,
            f"clientConfig.caBundle is {_shown(bundle)}, which is not a PEM certificate in base64",
            "see what fills it in: with certificate.mode `self` restart the webhook, with `secret` set"
            " certificate.caBundle",
        )
    # Those of before stay for a while, up to a year after an upgrade from 0.1.0.
    ends = max(certificates, key=lambda item: item.not_valid_before_utc).not_valid_after_utc
    days = (ends - datetime.now(UTC)).days
    if days < 0:
        remedy = "renew it; with certificate.mode `self` restart the webhook"
        return failed(subject, f"expired on {ends:%Y-%m-%d}", remedy)
    if days < EXPIRY_WARNING_DAYS:
        return warning(subject, f"expires on {ends:%Y-%m-%d}", "see why it has not been renewed")
    return ok(subject, f"valid until {ends:%Y-%m-%d}")


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
