"""HTTP/1.x as bytes: requests parsed, responses encoded. No sockets.

Forgiving where old clients need it (bare line feeds, missing lengths), strict about what a body's length is.
"""

from emulator.names import IMDS_IPV4, IMDS_IPV6

HEAD_LIMIT = 8192  # bytes of request line and headers
BODY_LIMIT = 8192  # bytes of a body, which nothing here wants: it is read past
SEEN_LIMIT = 64  # requests whose reading is remembered
SEEN_REQUEST_LIMIT = 1024  # bytes of a request that is worth remembering
# Whom a request in absolute form may be for: the metadata service and loopback. For others this would be a proxy.
OWN_HOSTS = (IMDS_IPV4.encode(), b"[%b]" % IMDS_IPV6.encode(), b"127.0.0.1", b"[::1]", b"localhost")
HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


class Malformed(Exception):  # noqa: N818 - the word of RFC 9112
    """A malformed or oversized request: `status` is the only answer, after which the connection ends."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Request:
    """One request. `segments`: the path without query, doubled and last slashes; `size`: its bytes, body included."""

    __slots__ = (
        "body_length",
        "connection",
        "expects_continue",
        "extended",
        "forwarded",
        "keep_alive",
        "method",
        "segments",
        "size",
        "token",
        "ttl",
    )

    def __init__(self, method: str, segments: tuple[str, ...]) -> None:
        self.method = method
        self.segments = segments
        self.keep_alive = True
        self.connection = b""  # what the answer says about it, a header with its line end, if anything
        self.expects_continue = False
        self.body_length: int | None = 0  # None: chunked
        self.token: str | None = None  # X-aws-ec2-metadata-token, None where the client sent none
        self.ttl: str | None = None  # X-aws-ec2-metadata-token-ttl-seconds
        self.forwarded = False  # X-Forwarded-For is there
        self.extended = False  # X-amzn-extended is 1
        self.size = 0


class Response:
    """One response, encoded but for its date: made once, sent many times."""

    __slots__ = ("_after_date", "_before_date", "_body", "status")

    def __init__(self, status: int, body: str = "", *, media_type: str = "text/plain", headers: str = "") -> None:
        self.status = status
        self._body = body.encode()
        # Clients look for "EC2" in the header Server, on errors too.
        self._before_date = f"HTTP/1.1 {status} {REASONS[status]}\r\nServer: EC2ws\r\nDate: ".encode()
        self._after_date = f"\r\nContent-Type: {media_type}\r\nContent-Length: {len(self._body)}\r\n{headers}".encode()

    def with_header(self, header: str) -> "Response":
        """Return the same response with one more header, given with its line end."""
        response = Response(self.status)
        response._body = self._body
        response._after_date = self._after_date + header.encode()
        return response

    def encode(self, request: Request | None, date: bytes) -> bytes:
        """Return the bytes that answer `request`; None stands for one that could not be read."""
        if request is None:
            return b"%b%b%bConnection: close\r\n\r\n%b" % (self._before_date, date, self._after_date, self._body)
        body = b"" if request.method == "HEAD" else self._body
        return b"%b%b%b%b\r\n%b" % (self._before_date, date, self._after_date, request.connection, body)


class Reader:
    """Reads requests, and remembers how: a client repeats itself to the byte, and reading is a pure function.

    Figure: a remembered request costs 0.1 us, a read one 8 us (Python 3.13).
    """

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen: dict[bytes, Request] = {}  # by their bytes, of which they take all

    def read(self, data: bytes) -> Request | None:
        """Return the first request in `data`, None if it is not whole; raises Malformed."""
        request = self.seen.get(data) or parse(data)
        if request is not None and request.size == len(data) <= SEEN_REQUEST_LIMIT:
            if len(self.seen) == SEEN_LIMIT:
                self.seen.clear()
            self.seen[data] = request
        return request


def parse(data: bytes) -> Request | None:
    """Return the first request in `data`, its body included, or None if it is not whole; raises Malformed."""
    head = _parse_head(data)
    if head is None:
        return None
    end = _body_end(data, head.size, head.body_length)
    if end is None:
        return None
    head.size = end
    return head


def awaits_continue(data: bytes) -> bool:
    """Tell whether the client of a request that is not whole waits for 100 Continue before it sends its body."""
    head = _parse_head(data)
    return head is not None and head.expects_continue and head.size == len(data)


def _parse_head(data: bytes) -> Request | None:
    """Return the request without its body; `size` is where the body begins."""
    start = len(data) - len(data.lstrip(b"\r\n"))  # RFC 9112 section 2.2: empty lines before a request
    ends = [(at, at + len(mark)) for mark in (b"\n\r\n", b"\n\n") if (at := data.find(mark, start)) >= 0]
    end, after = min(ends, default=(len(data), 0))
    if end > HEAD_LIMIT:  # empty lines count: they are kept until the request is whole
        raise Malformed(431)
    if not after:
        return None
    lines = data[start:end].split(b"\n")
    request = _parse_request_line(lines[0].rstrip(b"\r"))
    _parse_headers(request, lines[1:])
    request.size = after
    return request


def _parse_request_line(line: bytes) -> Request:
    words = line.split(b" ")
    if len(words) != 3 or not all(words):  # noqa: PLR2004 - method, target, version: RFC 9112 section 3
        raise Malformed(400)
    method, target, version = words
    if not version.startswith(b"HTTP/"):
        raise Malformed(400)
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Malformed(505)
    request = Request(method.decode("latin-1"), _segments(target))
    if version == b"HTTP/1.0":
        request.keep_alive = False
    return request


def _segments(target: bytes) -> tuple[str, ...]:
    """Return the names in a path: absolute form, query and percent-encoding undone, empty ones left out."""
    path = target.partition(b"?")[0].partition(b"#")[0]
    if not path.startswith(b"/"):
        scheme, separator, rest = path.partition(b"://")  # RFC 9112 section 3.2.2
        if not separator:
            raise Malformed(400)
        authority, _, path = rest.partition(b"/")
        host = authority if authority.endswith(b"]") else authority.rpartition(b":")[0] or authority
        if scheme.lower() != b"http" or host.lower() not in OWN_HOSTS:
            raise Malformed(421)  # RFC 9110 section 15.5.20
    return tuple(_unquote(name) for name in path.split(b"/") if name)


def _unquote(name: bytes) -> str:
    """Return a name with its percent-encoding undone; clients encode the +=,@ that a role's name may have."""
    first, *rest = name.split(b"%")
    if all(len(part) >= 2 and HEX_DIGITS.issuperset(part[:2]) for part in rest):  # noqa: PLR2004 - RFC 3986 section 2.1
        name = first + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in rest)
    return name.decode("latin-1")


def _parse_headers(request: Request, lines: list[bytes]) -> None:
    """Take from the headers what matters here.

    A line without a colon is passed over: the shell recipe of the AWS documentation sends an error's body,
    line breaks included, as its token.
    """
    headers: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    request.token = _last(headers, b"x-aws-ec2-metadata-token")
    request.ttl = _last(headers, b"x-aws-ec2-metadata-token-ttl-seconds")
    request.forwarded = b"x-forwarded-for" in headers
    request.extended = _last(headers, b"x-amzn-extended") == "1"
    http_1_0 = not request.keep_alive
    request.expects_continue = not http_1_0 and _options(headers, b"expect") == {b"100-continue"}
    request.body_length = _body_length(headers, http_1_0=http_1_0)
    connection = _options(headers, b"connection")
    if b"close" in connection or (http_1_0 and b"keep-alive" not in connection):
        request.keep_alive = False
        request.connection = b"Connection: close\r\n"
    elif http_1_0:
        request.keep_alive = True
        request.connection = b"Connection: keep-alive\r\n"


def _last(headers: dict[bytes, list[bytes]], name: bytes) -> str | None:
    return headers[name][-1].decode("latin-1") if name in headers else None


def _options(headers: dict[bytes, list[bytes]], name: bytes) -> set[bytes]:
    """Return the comma-separated words of a header, in lower case."""
    return {word.strip().lower() for value in headers.get(name, ()) for word in value.split(b",")}


def _body_length(headers: dict[bytes, list[bytes]], *, http_1_0: bool) -> int | None:
    """Return the body's length, None for a chunked one; 0 without a header about it, for PUT too."""
    lengths = set(headers.get(b"content-length", ()))
    chunked = b"transfer-encoding" in headers
    if len(lengths) > 1 or (chunked and (lengths or http_1_0)):
        raise Malformed(400)  # RFC 9112 section 6.3: two statements about one length
    if chunked:
        if _options(headers, b"transfer-encoding") != {b"chunked"}:
            raise Malformed(501)
        return None
    text = lengths.pop() if lengths else b"0"
    if not text.isdigit():
        raise Malformed(400)
    if len(text) > len(str(BODY_LIMIT)) or int(text) > BODY_LIMIT:
        raise Malformed(413)
    return int(text)


def _body_end(data: bytes, start: int, length: int | None) -> int | None:
    """Return where the body ends in `data`, None if that is yet to come."""
    if length is not None:
        return start + length if len(data) >= start + length else None
    # What is beyond the limit is not looked at, so that the answer is the same in whatever pieces the body comes.
    limit = start + BODY_LIMIT
    end = _chunked_end(data[:limit], start)
    if end is None and len(data) > limit:
        raise Malformed(413)
    return end


def _chunked_end(data: bytes, at: int) -> int | None:
    """Return where a chunked body ends, its trailers included (RFC 9112 section 7.1)."""
    size = -1
    while True:
        end_of_line = data.find(b"\n", at)
        if end_of_line < 0:
            return None
        line = data[at:end_of_line].strip()
        at = end_of_line + 1
        if size == 0:  # trailers, up to an empty line
            if not line:
                return at
            continue
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > len("ffff") or not HEX_DIGITS.issuperset(digits):
            raise Malformed(400)
        size = int(digits, 16)
        if size:
            at += size
            if data[at : at + 2] == b"\r\n":
                at += 2
            elif data[at : at + 1] == b"\n":
                at += 1
            elif len(data) >= at + 2:
                raise Malformed(400)
