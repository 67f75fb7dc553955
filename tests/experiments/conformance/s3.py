"""As much of S3 as makes a client sign a request: it lists one bucket, which is empty, and keeps what it was asked.

In: a port. Out: a server in a thread, and the requests that bore a signature.
"""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.sts.sessions import Request, Session

ADDRESS = ("127.0.0.1", 9000)
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_BUCKETS = f"<ListAllMyBucketsResult {_NAMESPACE}><Buckets/></ListAllMyBucketsResult>"
_OBJECTS = f"<ListBucketResult {_NAMESPACE}><Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>"


@dataclass
class S3:
    """The signed requests so far; `signed` is set by each."""

    requests: list[Request] = field(default_factory=list)
    signed: threading.Event = field(default_factory=threading.Event)

    def forget(self) -> None:
        """Be ready for the next client."""
        self.requests.clear()
        self.signed.clear()

    def keep(self, request: Request) -> None:
        """Add a signed request."""
        self.requests.append(request)
        self.signed.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    s3: S3

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "authorization" not in headers:
            self._send(403, "<Error><Code>AccessDenied</Code></Error>")
            return
        self.s3.keep(Request(self.command, self.path, headers, b""))
        path = self.path.partition("?")[0].rstrip("/")
        if path in ("", "/bucket"):
            self._send(200, _OBJECTS if path else _BUCKETS)
        else:
            self._send(404, "<Error><Code>NoSuchKey</Code></Error>")

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    do_GET = do_HEAD = do_PUT = do_POST = _answer  # noqa: N815 - the library's names


def start() -> S3:
    """Serve at ADDRESS until this process ends."""
    s3 = S3()
    server = ThreadingHTTPServer(ADDRESS, type("Handler", (_Handler,), {"s3": s3}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return s3


def access_key_id(request: Request) -> str:
    """Return whose signature a request bears (Amazon S3 API Reference, "Authenticating Requests")."""
    return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]


def is_signed_by(request: Request, session: Session) -> bool:
    """Tell whether the request bears the session's token, and a signature that botocore makes with its secret too."""
    authorization = request.headers["authorization"]
    fields = dict(part.strip().partition("=")[::2] for part in authorization.partition(" ")[2].split(","))
    _, _, region, service, _ = fields["Credential"].split("/")
    signer = S3SigV4Auth(Credentials(session.access_key_id, session.secret_access_key), service, region)
    headers = {name: request.headers[name] for name in fields["SignedHeaders"].split(";")}
    path, _, query = request.target.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))  # S3 encodes them in its own way before it compares
    again = AWSRequest(request.method, f"http://{headers['host']}{path}", headers, params=parameters)
    again.context["timestamp"] = headers["x-amz-date"]
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    return fields["Signature"] == signature and headers.get("x-amz-security-token") == session.session_token
