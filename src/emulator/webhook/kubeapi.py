"""The little that the webhook asks of the Kubernetes API server, with the pod's own service account.

Goes in: where the API server is, the directory of the service account, the path of an object.
Comes out: objects as plain dicts; or ApiError with the HTTP status and what the server said.
"""

from __future__ import annotations

import http.client
import json
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from emulator import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Object = dict[str, Any]

TIMEOUT_SECONDS = 5
FIELD_MANAGER = "imds-emulator"
CONFLICTS = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)


class ApiError(Exception):
    """The API server refused (`status`), or could not be reached (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_conflict(self) -> bool:
        """Someone else was quicker: read again. A failed `test` of a JSON patch is answered with 422."""
        return self.status in CONFLICTS


class KubeApi:
    """An API server, spoken to as the service account; blocking.

    A connection for each request and the token read anew each time: requests are few, and both change under way.
    Source: Kubernetes documentation, "Accessing the Kubernetes API from a Pod".
    """

    def __init__(self, host: str, port: int, service_account: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._address = host, port
        self._timeout_seconds = timeout_seconds
        self._service_account = service_account

    def get(self, path: str) -> Object:
        """Return the object at `path`."""
        return self.request("GET", path)

    def update(self, path: str, value: Object) -> Object:
        """Replace the object at `path` and return it as stored; a conflict if its resourceVersion is not the newest."""
        return self.request("PUT", path, value, "application/json")

    def patch(self, path: str, operations: list[Object]) -> Object:
        """Apply a JSON patch (RFC 6902) to the object at `path` and return it as stored."""
        return self.request("PATCH", path, operations, "application/json-patch+json")

    def apply(self, path: str, value: Object) -> Object:
        """Make the object at `path` have what `value` says, created if it is not there, and return it as stored.

        The right to create is asked for by name here, as it is not for a POST, so a role can limit it to one object.
        Source: Kubernetes documentation, "Server-Side Apply"; and "Using RBAC Authorization", resourceNames.
        """
        return self.request("PATCH", f"{path}?fieldManager={FIELD_MANAGER}", value, "application/apply-patch+yaml")

    def request(self, method: str, path: str, value: object = None, content_type: str = "") -> Object:
        """Send one request and return the object in the answer; raises ApiError."""
        body = json.dumps(value).encode() if content_type else None
        try:
            connection = http.client.HTTPSConnection(
                *self._address, timeout=self._timeout_seconds, context=self._context()
            )
            try:
                connection.request(method, path, body, self._headers(content_type))
                response = connection.getresponse()
                status, raw = response.status, response.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            host, port = self._address
            raise ApiError(0, f"{method} {path}: no answer from {host}:{port}: {error}") from error
        answer = _decode(raw)
        if status >= HTTPStatus.BAD_REQUEST or answer is None:
            said = (answer or {}).get("message") or "an answer that is no JSON object"
            raise ApiError(status, f"{method} {path}: {status}: {said}")
        return answer

    def _headers(self, content_type: str) -> Mapping[str, str]:
        token = (self._service_account / "token").read_text().strip()
        headers = {
            "Accept": "application/json",
            "Authorization": f"Bearer {token}",
            "User-Agent": f"imds-emulator/{__version__}",
        }
        return {**headers, "Content-Type": content_type} if content_type else headers

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._service_account / "ca.crt")
        # From Python 3.13 on this is the default, and certificates that clusters were made with in the past
        # lack what it demands (an authority key identifier); the API server's own clients do not ask for it.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def _decode(raw: bytes) -> Object | None:
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
