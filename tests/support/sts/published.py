"""The keys that a cluster publishes, read from its API server with the pod's own service account.

In: the files that Kubernetes mounts into a pod. Out: issuer and JWKS.
Source: Kubernetes docs, "Configure Service Accounts for Pods", service account issuer discovery.
"""

import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

_SERVER = "https://kubernetes.default.svc"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT_SECONDS = 5


def issuer() -> str:
    """Read the issuer of the cluster's service account tokens."""
    return str(_get("/.well-known/openid-configuration")["issuer"])


def jwks() -> dict[str, Any]:
    """Read the cluster's public keys (RFC 7517)."""
    return _get("/openid/v1/jwks")


def _get(path: str) -> dict[str, Any]:
    token = (_ACCOUNT / "token").read_text()
    request = urllib.request.Request(_SERVER + path, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - https
    tls = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=tls) as answer:  # noqa: S310 - https
        document: dict[str, Any] = json.load(answer)
    return document
