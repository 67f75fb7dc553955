"""`imds-emulator check`: would a labelled pod get credentials on this cluster?

Goes in: a cluster to read, and the namespace to try in. Comes out: findings, from the API server's version to the
dry run of a labelled pod. Nothing is changed: the pod is created with `dryRun=All`.
"""

from __future__ import annotations

import argparse
import base64
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.arn import SHOWN_LIMIT, parse_role_arn
from emulator.check.cluster_client import Unreadable
from emulator.check.findings import Finding, failed, ok, warning
from emulator.partitions import partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.check.cluster_client import Cluster

SELECTOR = "app.kubernetes.io/name=imds-emulator"
OLDEST = (1, 24)
NATIVE_SIDECARS = (1, 29)
# Stands in where the user names no role. AWS is never asked for it.
PLACEHOLDER = parse_role_arn("arn:aws:iam::123456789012:role/imds-emulator-check")
NOT_ALLOWED = "which this namespace may not use"  # of the refusal by an allow-list, see `injection.rules`
EXPIRY_WARNING_DAYS = 7


def findings(
    cluster: Cluster, namespace: str, role_arn: str | None = None, fetch: Callable[[str], bytes] | None = None
) -> list[Finding]:
    """Return what a labelled pod in `namespace` would meet, in the order in which it meets it.

    `role_arn`: see `dry_run`. `fetch`: GET of an https URL from where the user sits; AWS must be able to do the same.
    """
    found = [api_version(cluster)]
    if found[0].state == "failed":
        return found
    found += admission(cluster)
    found.append(dry_run(cluster, namespace, role_arn))
    found.append(issuer(cluster, fetch or https_get))
    return found


def api_version(cluster: Cluster) -> Finding:
    """Is the API server there, and new enough?"""
    subject = "API server"
    try:
        version = cluster.get("/version")
        major, minor = int(version["major"]), int("".join(filter(str.isdigit, version["minor"])))
    except Unreadable as error:
        return failed(subject, error.message, "check the kubeconfig and that the API server is reachable")
    if (major, minor) < OLDEST:
        return failed(subject, version["gitVersion"], "upgrade to Kubernetes 1.24 or newer")
    if (major, minor) < NATIVE_SIDECARS:
        return warning(
            subject,
            f"{version['gitVersion']}, without native sidecars",
            "the classic form is used: init containers of your own meet the node's metadata service, not the emulator",
        )
    return ok(subject, version["gitVersion"])


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
        return [failed(subject, error.message, "ask for the right to list webhook configurations and policies")]
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
            f"clientConfig.caBundle is {_shown(bundle)}, which is no certificate in PEM, in base64",
            "see what fills it in: in mode `self` restart the webhook, in mode `secret` set certificate.caBundle",
        )
    days = (ends - datetime.now(UTC)).days
    if days < 0:
        return failed(subject, f"the CA expired on {ends:%Y-%m-%d}", "renew it; in mode `self` restart the webhook")
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
        return warning(subject, error.message, "ask for the right to list endpointslices in the install namespace")
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
    """Return the role's ARN that the command line gives; argparse shows the message of what is none."""
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
    subject = f"labelled pod in {namespace}"
    try:
        pod = cluster.create(f"/api/v1/namespaces/{namespace}/pods", probe_pod(role_arn), dryRun="All")
    except Unreadable as error:
        if NOT_ALLOWED in error.message and not role_arn:
            return warning(
                subject,
                f"admission answers, but does not allow {PLACEHOLDER.text}, which stands in where no role is given",
                "to try the injection too, give a role on the list: --role-arn, or for `helm test` test.roleArn",
            )
        return failed(
            subject, error.message, "the message says what refuses it; `kubectl auth can-i create pods` if Forbidden"
        )
    containers = {
        container["name"] for part in ("initContainers", "containers") for container in pod["spec"].get(part) or []
    }
    if names.EMULATOR_CONTAINER not in containers:
        return failed(
            subject,
            "admitted without the emulator: it would take the node's role",
            "the namespace is outside the namespaceSelector, or the add-on is not installed",
        )
    return ok(subject, f"admitted (dry run) with {names.EMULATOR_CONTAINER}")


def issuer(cluster: Cluster, fetch: Callable[[str], bytes]) -> Finding:
    """Can AWS read the issuer's discovery document and the very keys that the cluster signs with?

    Source: OpenID Connect Discovery 1.0 section 4; Kubernetes, "Service account issuer discovery".
    """
    subject = "OIDC issuer"
    try:
        url = cluster.get("/.well-known/openid-configuration")["issuer"]
        own_keys = _key_ids(cluster.get("/openid/v1/jwks"))
    except Unreadable as error:
        return warning(
            subject, error.message, "ask for the right to read the issuer (system:service-account-issuer-discovery)"
        )
    try:
        document = json.loads(fetch(url.rstrip("/") + "/.well-known/openid-configuration"))
        public_keys = _key_ids(json.loads(fetch(document["jwks_uri"])))
    except (OSError, ValueError, KeyError) as error:
        return failed(
            subject,
            f"{url} can't be read from here ({error})",
            "AWS must reach it over HTTPS; self-hosted: publish both documents and set --service-account-issuer",
        )
    if document["issuer"] != url:
        return failed(
            subject, f"{url} calls itself {document['issuer']}", "publish the cluster's own discovery document"
        )
    if not own_keys <= public_keys:
        return failed(
            subject, f"{url} lacks the cluster's signing key", "publish `kubectl get --raw /openid/v1/jwks` there anew"
        )
    return ok(subject, f"{url}, {len(public_keys)} keys")


def https_get(url: str) -> bytes:
    """Return the body of a GET; raises OSError for anything but 200, ValueError for another scheme than https."""
    if not url.startswith("https://"):
        raise ValueError(f"{url} is not https")
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - https only, see above
            body: bytes = answer.read()
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from error
    return body


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_LIMIT else text[:SHOWN_LIMIT] + "...")


def _key_ids(jwks: Any) -> set[str]:  # noqa: ANN401 - decoded JSON
    if isinstance(jwks, str):
        jwks = json.loads(jwks)
    return {key["kid"] for key in jwks["keys"]}


def _items(cluster: Cluster, path: str, *, absent_is_empty: bool = False) -> list[dict[str, Any]]:
    try:
        items: list[dict[str, Any]] = cluster.get(path, labelSelector=SELECTOR)["items"]
    except Unreadable as error:
        if absent_is_empty and error.status == 404:  # noqa: PLR2004 - the API group version is not served
            return []
        raise
    return items
