"""Can AWS read the keys of the issuer that the cluster's tokens name?"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from emulator.cli.diagnosis.token_claims import Claims, request_claims
from emulator.probe.api import Unreadable
from emulator.probe.findings import Finding, failed, ok, unknown, warning

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.probe.api import Cluster

DISCOVERY = "/.well-known/openid-configuration"
RIGHT = "create serviceaccounts/token in a namespace, or read /.well-known/openid-configuration and /openid/v1/jwks"


def issuer(
    cluster: Cluster, fetch: Callable[[str], bytes], namespace: str, account: str, given: Claims | None = None
) -> Finding:
    """Return whether the issuer's public documents are there and hold the key that signs the cluster's tokens.

    The token decides who the issuer is (`given`, else a new one of the account); without one, the API server's word.
    Source: OpenID Connect Discovery 1.0 section 4; Kubernetes, "Service account issuer discovery".
    """
    subject = "OIDC issuer"
    try:
        found = given or issuer_of(cluster, namespace, account)
    except Unreadable as error:
        if error.is_forbidden:
            return unknown(subject, error.message, RIGHT)
        return warning(subject, error.message, "see whether the API server has --service-account-issuer")
    keys = {found.key_id} if found.key_id else _own_keys(cluster)
    return _published(subject, found.issuer, keys, fetch)


def issuer_of(cluster: Cluster, namespace: str, account: str) -> Claims:
    """Return what a new token says, else what the API server says of itself; raises Unreadable."""
    try:
        return request_claims(cluster, namespace, account)
    except (Unreadable, ValueError, KeyError, TypeError):
        return Claims(str(cluster.get(DISCOVERY)["issuer"]), "", "", "")


def _published(subject: str, url: str, keys: set[str] | None, fetch: Callable[[str], bytes]) -> Finding:
    try:
        # A slash at the end of the issuer is not doubled; in IAM it stays (OpenID Connect Discovery 1.0 section 4).
        document = json.loads(fetch(url.rstrip("/") + DISCOVERY))
        public_keys = _key_ids(json.loads(fetch(document["jwks_uri"])))
        named = document["issuer"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return failed(
            subject,
            f"{url} can't be read from here ({error})",
            "AWS must reach it over HTTPS; self-hosted: publish both documents and set --service-account-issuer",
        )
    if named != url:
        return failed(
            subject,
            f"tokens name {url!r}, but the document published there names {named!r}",
            "AWS compares the two as they are written, a slash at the end included: publish the cluster's own document",
        )
    if keys is None:
        return unknown(subject, f"{url} is published; does it have the cluster's keys?", RIGHT)
    if not keys <= public_keys:
        return failed(
            subject, f"{url} lacks the cluster's signing key", "publish `kubectl get --raw /openid/v1/jwks` there again"
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


def _own_keys(cluster: Cluster) -> set[str] | None:
    """Return the ids of the cluster's own keys, None if the user may not read them."""
    try:
        return _key_ids(cluster.get("/openid/v1/jwks"))
    except Unreadable:
        return None


def _key_ids(jwks: Any) -> set[str]:  # noqa: ANN401 - decoded JSON
    if isinstance(jwks, str):
        jwks = json.loads(jwks)
    return {key["kid"] for key in jwks["keys"]}
