"""A tiny STS over real TLS, or without, for one test: its answers are scripted, what it was asked is kept.

A function maps the form of a request to an answer; the requests are recorded.
"""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass
class Reply:
    """What the stub answers, and after how long."""

    status: int
    body: str
    after_seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


def grant(
    access_key_id: str = "ASIASTUB", life_seconds: float = 3600, after_seconds: float = 0, now: float | None = None
) -> Reply:
    """Return the answer that gives credentials; `now` is the time that STS believes it is."""
    start = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    expiration = (start + timedelta(seconds=life_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = (
        f'<AssumeRoleWithWebIdentityResponse xmlns="{NAMESPACE}"><AssumeRoleWithWebIdentityResult><Credentials>'
        f"<AccessKeyId>{access_key_id}</AccessKeyId><SecretAccessKey>secret/{access_key_id}</SecretAccessKey>"
        f"<SessionToken>token/{access_key_id}==</SessionToken><Expiration>{expiration}</Expiration></Credentials>"
        "</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata>"
        "</AssumeRoleWithWebIdentityResponse>"
    )
    headers = {"Date": start.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    return Reply(200, body, after_seconds, headers)


def error(status: int, code: str, message: str) -> Reply:
    """Return the answer of an STS that refuses."""
    body = (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>'
        "</Error><RequestId>req-2</RequestId></ErrorResponse>"
    )
    return Reply(status, body)


class StubSts:
    """Serves `answer(form)` until closed. `requests` holds the form and the headers of each request."""

    def __init__(
        self, certificate: Path | None, key: Path | None, answer: Callable[[dict[str, str]], Reply], port: int = 0
    ) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, str]]] = []
        self.answer = answer
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
                stub.requests.append((form, dict(self.headers.items())))
                reply = stub.answer(form)
                time.sleep(reply.after_seconds)
                body = reply.body.encode()
                self.send_response_only(reply.status)
                for name, value in {"Content-Type": "text/xml", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class HttpsServer(ThreadingHTTPServer):
            request_queue_size = 64
            daemon_threads = True

            def finish_request(self, request: object, client_address: object) -> None:
                with context.wrap_socket(request, server_side=True) as connection:  # type: ignore[arg-type]
                    super().finish_request(connection, client_address)

            def handle_error(self, *_: object) -> None:
                pass  # a client that went away

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        self._server = (HttpsServer if certificate is not None else ThreadingHTTPServer)(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
