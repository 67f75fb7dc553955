"""The sockets of the test STS: HTTPS for the endpoint, plain HTTP for the person or test that directs it.

In: a Service, a TLS context, addresses. Out: two running servers.
The admin listener: `/healthz`; `/calls` (GET, DELETE); `/faults` (PUT, DELETE); `/roles` (PUT).
"""

import json
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.support.sts.authority import Certificates
from tests.support.sts.faults import FaultError
from tests.support.sts.roles import RolesError, trust_policies
from tests.support.sts.service import Service
from tests.support.sts.sessions import Request

_TIMEOUT_SECONDS = 30
_MAX_BODY_BYTES = 1 << 20


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT_SECONDS

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
        """Say nothing: the call log tells more."""

    def body(self) -> bytes:
        """Read the request's body; AWS clients state its length."""
        return self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _MAX_BODY_BYTES))

    def reply(self, status: int, content: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        """Send one whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class _StsHandler(_Handler):
    service: Service
    context: ssl.SSLContext

    def setup(self) -> None:
        """Shake hands in this connection's own thread, so that a client that does not never holds up the others."""
        self.request.settimeout(_TIMEOUT_SECONDS)
        self.request = self.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        """End the TLS session as well as the stream."""
        super().finish()
        self.request.close()

    def do_POST(self) -> None:
        """Answer as STS."""
        headers: dict[str, str] = {}
        for name, value in self.headers.items():  # RFC 9110 section 5.3: repeated fields join with a comma
            headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
        request = Request(self.command, self.path, headers, self.body(), self.client_address[0])
        answer = self.service.answer(request)
        if answer.reset:
            self.close_connection = True
            return
        self.reply(answer.status, answer.text.encode(), answer.content_type, {"x-amzn-RequestId": answer.request_id})

    do_GET = do_POST  # noqa: N815 - the library's name


class _AdminHandler(_Handler):
    service: Service

    def _answer(self) -> None:
        content = self.body()
        route = self._routes().get((self.command, self.path))
        if route is None:
            self.reply(404, b"", "text/plain")
            return
        try:
            result = route(json.loads(content) if content else None)
        except (FaultError, RolesError, json.JSONDecodeError) as error:
            self.reply(400, f"{error}\n".encode(), "text/plain")
            return
        self.reply(200, json.dumps(result).encode(), "application/json")

    def _routes(self) -> Mapping[tuple[str, str], Callable[[Any], Any]]:
        service = self.service
        return {
            ("GET", "/healthz"): lambda _: "ok",
            ("GET", "/calls"): lambda _: service.calls(),
            ("DELETE", "/calls"): lambda _: service.forget(),
            ("PUT", "/faults"): service.faults.put,
            ("DELETE", "/faults"): lambda _: service.faults.put([]),
            ("PUT", "/roles"): self._set_roles,
        }

    def _set_roles(self, document: Any) -> None:  # noqa: ANN401 - decoded JSON
        self.service.policies = trust_policies(document)

    do_GET = do_PUT = do_DELETE = _answer  # noqa: N815 - the library's names


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the library's
        """One line for a connection that broke; clients that hang up are part of the tests."""
        print(f"connection from={client_address} error={sys.exception()!r}", flush=True)


@dataclass
class Running:
    """Two servers at work in threads of their own. Ends them when left as a context."""

    sts: _Server
    admin: _Server

    @property
    def port(self) -> int:
        """Where STS listens."""
        return int(self.sts.server_address[1])

    @property
    def admin_port(self) -> int:
        """Where the admin listener is."""
        return int(self.admin.server_address[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self.sts, self.admin):
            server.shutdown()
            server.server_close()


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a server context for PEM files."""
    result = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    result.load_cert_chain(certificate, key)
    return result


def write(directory: Path, certificates: Certificates) -> None:
    """Put `ca.crt`, `tls.crt` and `tls.key` into `directory`."""
    for name, text in {
        "ca.crt": certificates.ca,
        "tls.crt": certificates.certificate,
        "tls.key": certificates.key,
    }.items():
        file = directory / name
        file.touch(mode=0o600)
        file.write_text(text)


def start(service: Service, tls: ssl.SSLContext, host: str, port: int, admin_port: int) -> Running:
    """Listen on `host`; a port of 0 is a free one."""
    sts = _Server((host, port), type("Sts", (_StsHandler,), {"service": service, "context": tls}))
    admin = _Server((host, admin_port), type("Admin", (_AdminHandler,), {"service": service}))
    for server in (sts, admin):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    return Running(sts, admin)
