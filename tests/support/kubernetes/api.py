"""A few requests to an API server, with nothing between the test and the wire.

An `Answer` has the object or the refusal, and the warnings, as they were sent.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from kubernetes import client, config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Object = dict[str, Any]

DEADLINE_SECONDS = 60.0
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Answer:
    """What the API server said. `object` is the object, or the Status of a refusal."""

    status: int
    object: Object
    warnings: tuple[str, ...]

    @property
    def message(self) -> str:
        """The refusal's message, '' when there is none."""
        return str(self.object.get("message", "")) if self.status >= 400 else ""


class Api:
    """One API server; requests go one after the other over one connection."""

    def __init__(self, kubeconfig: Path) -> None:
        given = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=given)  # type: ignore[no-untyped-call]
        tls = ssl.create_default_context(cafile=given.ssl_ca_cert)
        assert given.cert_file, f"{kubeconfig} has no client certificate"
        tls.load_cert_chain(given.cert_file, given.key_file)
        self._connection = http.client.HTTPSConnection(urlsplit(given.host).netloc, context=tls)

    def send(self, method: str, path: str, body: Object | None = None, user: str = "", **query: str) -> Answer:
        """Send a request; PATCH is a merge patch, `user` is whom to act as."""
        content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if user:
            headers["Impersonate-User"] = user
        self._connection.request(method, f"{path}?{urlencode(query)}", json.dumps(body).encode(), headers)
        response = self._connection.getresponse()
        many = response.headers.get_all("Warning") or []
        warnings = [re.sub(r"\\(.)", r"\1", text) for line in many for text in _WARNING.findall(line)]
        return Answer(response.status, json.loads(response.read()), tuple(warnings))

    def create(self, path: str, body: Object, **query: str) -> Answer:
        """Create an object, which must succeed."""
        answer = self.send("POST", path, body, **query)
        assert answer.message == "", f"{path}: {answer.message}"
        return answer

    def try_pod(self, namespace: str, pod: Object) -> Answer:
        """Have a pod admitted and validated, and stored nowhere."""
        placed = {**pod, "metadata": {**pod["metadata"], "namespace": namespace}}
        path = f"/api/v1/namespaces/{namespace}/pods"
        return self.send("POST", path, placed, dryRun="All", fieldValidation="Ignore")


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait for a condition; fail with `what` when it does not come about."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < end, f"not within {DEADLINE_SECONDS:.0f} s: {what}"
        time.sleep(0.1)
