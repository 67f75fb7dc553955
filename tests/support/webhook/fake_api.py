"""An API server that is a dictionary: what the webhook asks of one, with resourceVersions that conflict.

It is an HTTPS server on 127.0.0.1 that records what it was asked. It keeps every caBundle with its time, so that a
client can lag a little behind, as those that watch a real API server do.
"""

from __future__ import annotations

import base64
import copy
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from emulator.webhook.tls import server_context
from tests.support import certificates

if TYPE_CHECKING:
    from pathlib import Path

Object = dict[str, Any]

CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/imds-emulator"
SECRET = "/api/v1/namespaces/ns/secrets/imds-emulator-certificate"
TOKEN = "token-of-the-webhook"


def configuration(*urls: str) -> Object:
    """Return a webhook configuration without caBundle: one webhook for each URL, or one of the Service injector/ns."""
    service: Object = {"service": {"name": "injector", "namespace": "ns", "path": "/mutate", "port": 443}}
    clients: list[Object] = [{"url": url} for url in urls] or [service]
    return {
        "metadata": {"name": "imds-emulator"},
        "webhooks": [{"name": f"pods-{n}.imds-emulator", "clientConfig": each} for n, each in enumerate(clients)],
    }


class Store:
    """Objects by path, and answers as an API server gives them; may be changed by a test at any time."""

    def __init__(self, *urls: str) -> None:
        self.version = {"major": "1", "minor": "37"}
        self.is_down = False
        self.bundles: list[tuple[float, list[str]]] = []
        self.asked: list[tuple[str, str, int]] = []
        self._lock = threading.Lock()
        self._objects: dict[str, Object] = {}
        self._count = 0
        self.put(CONFIGURATION, configuration(*urls))
        self.put(SECRET, {"metadata": {"name": "imds-emulator-certificate", "namespace": "ns"}, "type": "Opaque"})

    def get(self, path: str) -> Object:
        """Return a copy of an object."""
        with self._lock:
            return copy.deepcopy(self._objects[path])

    def put(self, path: str, value: Object) -> Object:
        """Store an object under a new resourceVersion."""
        with self._lock:
            return self._store(path, value)

    def remove(self, path: str) -> None:
        """Delete an object."""
        with self._lock:
            del self._objects[path]

    def trusted(self, seconds_ago: float = 0.0) -> list[str]:
        """Return the caBundles, PEM, as they were so long ago."""
        with self._lock:
            before = [each for at, each in self.bundles if at <= time.monotonic() - seconds_ago]
            return before[-1] if before else []

    def answer(self, method: str, path: str, body: Any = None) -> tuple[int, Object]:  # noqa: ANN401 - any JSON
        """Return status and object for a request."""
        status, value = self._answer(method, path, body)
        self.asked.append((method, path, status))
        return status, value

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Object]:  # noqa: ANN401 - likewise
        if self.is_down or path == "/version":
            return (503, {"message": "the API server is down"}) if self.is_down else (200, self.version)
        path, _, query = path.partition("?")
        with self._lock:
            found = self._objects.get(path)
            if found is None and "fieldManager" in query:
                return 201, self._store(path, body)
            if found is None or method == "GET":
                return (200, copy.deepcopy(found)) if found else (404, {"message": f"{path} not found"})
            try:
                changed = body if method == "PUT" else _patched(found, body)
            except ValueError as error:
                return 422, {"message": str(error)}
            if changed["metadata"].get("resourceVersion") not in (None, found["metadata"]["resourceVersion"]):
                return 409, {"message": "the object has been modified"}
            return 200, self._store(path, changed)

    def _store(self, path: str, value: Object) -> Object:
        self._count += 1
        stored = copy.deepcopy(value)
        stored["metadata"]["resourceVersion"] = str(self._count)
        self._objects[path] = stored
        if path == CONFIGURATION:
            clients = [each["clientConfig"] for each in stored.get("webhooks", [])]
            pems = [base64.b64decode(each.get("caBundle", "")).decode() for each in clients]
            self.bundles.append((time.monotonic(), pems))
        return copy.deepcopy(stored)


class FakeApi(Store):
    """The same, served over HTTPS on a free port of 127.0.0.1."""

    def __init__(self, *urls: str) -> None:
        super().__init__(*urls)
        self._authority = certificates.authority()
        server = self._authority.sign(["127.0.0.1"])
        context = server_context(server.pem.encode(), server.key_pem.encode())
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def service_account(self, directory: Path) -> Path:
        """Write token and CA as the kubelet mounts them."""
        directory.mkdir(exist_ok=True)
        (directory / "token").write_text(TOKEN)
        (directory / "ca.crt").write_text(self._authority.pem)
        return directory


def _patched(found: Object, operations: list[Object]) -> Object:
    """Return `found` after a JSON patch of `test` and `add`; ValueError if a test fails (RFC 6902 section 5)."""
    changed = copy.deepcopy(found)
    for each in operations:
        *parents, last = each["path"].split("/")[1:]
        target: Any = changed
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        if each["op"] == "add":
            target[last] = each["value"]
        elif target[last] != each["value"]:
            raise ValueError(f"test of {each['path']} failed")
    return changed


def _handler(store: Store) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                status, value = 401, {"message": "Unauthorized"}
            else:
                status, value = store.answer(self.command, self.path, json.loads(raw) if raw else None)
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_PATCH = _any  # noqa: N815 - the names are those of http.server

        def log_message(self, *_: object) -> None:
            """Say nothing; `asked` has it."""

    return Handler
