"""What a service account's token says: its issuer above all, which IAM compares as it is written."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.probe.api import Cluster

# Of a token that is asked for only to be read: no one takes it for anything.
AUDIENCE = "imds-emulator-check"
EXPIRATION_SECONDS = 600  # the least that the API server gives
SUBJECT = "system:serviceaccount:"


@dataclass(frozen=True)
class Claims:
    """`issuer`: `iss`; `key_id`: the signature's key; `namespace` and `account`: of `sub`, '' if it has none."""

    issuer: str
    key_id: str
    namespace: str
    account: str


def claims(token: str) -> Claims:
    """Return what a token says; raises ValueError, which does not repeat the token.

    Its signature is not checked: that is AWS's part. Source: RFC 7519 sections 3 and 4.1.1.
    """
    header, payload = (_part(token, index) for index in (0, 1))
    issuer = payload.get("iss")
    if not isinstance(issuer, str) or not issuer:
        raise ValueError("the token has no issuer (claim `iss`)")
    subject = str(payload.get("sub", ""))
    namespace, _, account = subject.removeprefix(SUBJECT).partition(":") if subject.startswith(SUBJECT) else ("",) * 3
    return Claims(issuer, str(header.get("kid", "")), namespace, account)


def read_claims(file: str) -> Claims:
    """Return what the token in the file of option --token-file says; raises ValueError."""
    try:
        return claims(Path(file).read_text(encoding="utf-8").strip())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"--token-file: Invalid value: {file!r}: {reason}") from None


def request_claims(cluster: Cluster, namespace: str, account: str) -> Claims:
    """Return what a new token of a service account says; raises Unreadable.

    Source: Kubernetes API, TokenRequest. The token is dropped at once, and its audience is nobody's.
    """
    spec = {"audiences": [AUDIENCE], "expirationSeconds": EXPIRATION_SECONDS}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = cluster.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", body)
    return claims(answer["status"]["token"])


def _part(token: str, index: int) -> dict[str, Any]:
    parts = token.split(".")
    decoded: Any = None
    if len(parts) == 3:  # noqa: PLR2004 - header, payload, signature
        with suppress(ValueError):
            decoded = json.loads(base64.urlsafe_b64decode(parts[index] + "=" * (-len(parts[index]) % 4)))
    if not isinstance(decoded, dict):
        raise ValueError("must be a JSON Web Token (HEADER.PAYLOAD.SIGNATURE)")  # noqa: TRY004 - it is a value's fault
    return decoded
