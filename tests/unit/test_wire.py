"""HTTP/1.x: requests out of bytes, responses into bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sidecar.wire import (
    BODY_LIMIT,
    HEAD_LIMIT,
    SEEN_LIMIT,
    SEEN_REQUEST_LIMIT,
    Malformed,
    Reader,
    Request,
    Response,
    awaits_continue,
    parse,
)

GET = b"GET / HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"
PUT = b"PUT /latest/api/token HTTP/1.1\r\n"
DATE = b"Wed, 25 Nov 2026 09:00:00 GMT"


def whole(data: bytes) -> Request:
    """Return the request in `data`, which must be one."""
    request = parse(data)
    assert request is not None
    return request


@pytest.mark.parametrize(
    ("target", "segments"),
    [
        (b"/", ()),
        (b"/latest/meta-data/", ("latest", "meta-data")),
        (b"//latest//meta-data", ("latest", "meta-data")),
        (b"/a?x=1", ("a",)),
        (b"/a/?", ("a",)),
        (b"/a#b", ("a",)),
        (b"http://169.254.169.254/a/b", ("a", "b")),  # absolute form
        (b"http://169.254.169.254", ()),
        (b"HTTP://[FD00:EC2::254]/a", ("a",)),
        (b"http://127.0.0.1:16925/a", ("a",)),
        (b"http://[::1]:16925/a", ("a",)),
        (b"http://169.254.169.254/a?u=http://b/c", ("a",)),
        (b"/a%2Bb%3dc%40d", ("a+b=c@d",)),
        (b"/a%2", ("a%2",)),
        (b"/a%+1", ("a%+1",)),
        (b"/a%zz%41", ("a%zz%41",)),
        (b"/a+b", ("a+b",)),
        (b"/\xff", ("\xff",)),
    ],
)
def test_path(target: bytes, segments: tuple[str, ...]) -> None:
    """A path's names, without doubled and last slashes, query, host and percent-encoding."""
    assert segments == whole(b"GET " + target + b" HTTP/1.1\r\n\r\n").segments


@pytest.mark.parametrize(
    ("head", "keep_alive", "connection"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True, b""),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False, b"Connection: close\r\n"),
        (b"GET / HTTP/1.1\r\nconnection: TE, Close\r\n\r\n", False, b"Connection: close\r\n"),
        (b"GET / HTTP/1.0\r\n\r\n", False, b"Connection: close\r\n"),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True, b"Connection: keep-alive\r\n"),
    ],
)
def test_keep_alive(head: bytes, keep_alive: bool, connection: bytes) -> None:  # noqa: FBT001 - a parameter of the test
    """The connection goes on as version and header say."""
    request = whole(head)

    assert (keep_alive, connection) == (request.keep_alive, request.connection)


def test_headers_of_imdsv2() -> None:
    """Token, TTL and forwarding are taken from the headers, whatever the case of their names."""
    request = whole(
        GET[:-2]
        + b"x-AWS-ec2-metadata-TOKEN: aB=\r\nX-aws-ec2-metadata-token-ttl-seconds:60\r\nx-forwarded-for: 1\r\n\r\n"
    )

    assert ("aB=", "60", True) == (request.token, request.ttl, request.forwarded)


def test_absent_headers() -> None:
    """A token that was not sent is None, an empty one is empty."""
    assert (None, "") == (whole(GET).token, whole(GET[:-2] + b"X-aws-ec2-metadata-token:\r\n\r\n").token)


@pytest.mark.parametrize(
    "data", [GET.replace(b"\r\n", b"\n"), b"\r\n\r\n" + GET, b"\n" + GET, GET.replace(b"\r\n\r\n", b"\n\r\n")]
)
def test_line_ends(data: bytes) -> None:
    """Bare line feeds and empty lines before a request are taken (RFC 9112 section 2.2)."""
    request = whole(data)

    assert ("GET", (), len(data)) == (request.method, request.segments, request.size)


def test_line_feed_in_a_header() -> None:
    """A header that goes on, after a bare line feed, with text that is not a header, does not fail (clients.md 3.8)."""
    request = whole(b"GET /a HTTP/1.1\r\nX-aws-ec2-metadata-token: <html>\n <p>\nnot found</html>\r\nHost: x\r\n\r\n")

    assert (("a",), "<html>") == (request.segments, request.token)


@pytest.mark.parametrize(
    "data",
    [
        GET,
        PUT + b"Content-Length: 3\r\n\r\nabc",
        PUT + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: r\r\n\r\n",
        PUT + b"Transfer-Encoding: Chunked\n\n1\na\n0\n\n",
    ],
)
def test_in_pieces(data: bytes) -> None:
    """A request is not there before its last byte is, and the next one's bytes are not taken for its own."""
    for length in range(len(data)):
        assert parse(data[:length]) is None

    assert len(data) == whole(data + GET).size


def test_put_without_length() -> None:
    """A PUT that says nothing about a body has none."""
    data = PUT + b"\r\n"

    assert len(data) == whole(data + GET).size


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET http://example.com/ HTTP/1.1\r\n\r\n", 421),  # this is not a proxy
        (b"GET http://169.254.169.254@example.com/ HTTP/1.1\r\n\r\n", 421),
        (b"GET http://169.254.169.254.example.com/ HTTP/1.1\r\n\r\n", 421),
        (b"GET http:///latest/ HTTP/1.1\r\n\r\n", 421),
        (b"GET https://169.254.169.254/ HTTP/1.1\r\n\r\n", 421),
        (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400),  # TLS
        (b"GET / FTP/1.1\r\n\r\n", 400),
        (b"GET latest HTTP/1.1\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (PUT + b"Content-Length: x\r\n\r\n", 400),
        (PUT + b"Content-Length: -1\r\n\r\n", 400),
        (PUT + b"Content-Length: +1\r\n\r\n", 400),
        (PUT + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (PUT + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n", 400),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + b"x" * BODY_LIMIT, 413),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: r\r\n" * BODY_LIMIT, 413),
        (PUT + b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + 1), 413),
        (PUT + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        # In pieces it would be 413 before the wrong chunk has come.
        (PUT + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * BODY_LIMIT + b"zz\r\n", 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_LIMIT, 431),
        (b"\r\n" * HEAD_LIMIT, 431),  # empty lines are kept too, so they have a limit
        (b"GET /" + b"x" * HEAD_LIMIT + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
def test_malformed(data: bytes, status: int) -> None:
    """What is not a request, or has no clear end, or is too large, is answered by a status of its own."""
    with pytest.raises(Malformed) as error:
        parse(data)

    assert status == error.value.status


def test_equal_lengths_twice() -> None:
    """The same length said twice is not a contradiction (RFC 9110 section 8.6)."""
    data = PUT + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n"

    assert len(data) == whole(data).size


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (PUT + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (PUT + b"Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", True),
        (PUT + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", False),  # it did not wait
        (PUT + b"Content-Length: 1\r\n\r\n", False),
        (PUT + b"Expect: 100-continue\r\n", False),
        (b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", False),  # RFC 9110 section 10.1.1
    ],
)
def test_expect_continue(data: bytes, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A client that holds its body back is told to go on, once its head is whole."""
    assert expected == awaits_continue(data)


def test_response() -> None:
    """Every answer has Server: EC2ws, a date and a length; nothing says more than that."""
    expected = (
        b"HTTP/1.1 404 Not Found\r\nServer: EC2ws\r\nDate: Wed, 25 Nov 2026 09:00:00 GMT\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 9\r\n\r\nnot found"
    )

    assert expected == Response(404, "not found").encode(whole(GET), DATE)


def test_response_to_head() -> None:
    """HEAD gets the headers of GET, and no body."""
    to_get = Response(200, "latest").encode(whole(GET), DATE)

    assert to_get.removesuffix(b"latest") == Response(200, "latest").encode(whole(GET.replace(b"GET", b"HEAD")), DATE)


def test_response_to_what_could_not_be_read() -> None:
    """The last answer on a connection says so."""
    expected = (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nServer: EC2ws\r\nDate: Wed, 25 Nov 2026 09:00:00 GMT\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )

    assert expected == Response(431).encode(None, DATE)


def test_response_with_header() -> None:
    """A header more changes the copy, not the response."""
    response = Response(200, "x", headers="A: b\r\n")
    plain = response.encode(whole(GET), DATE)

    actual = response.with_header("C: d\r\n").encode(whole(GET), DATE)

    assert plain.replace(b"A: b\r\n", b"A: b\r\nC: d\r\n") == actual
    assert plain == response.encode(whole(GET), DATE)


def test_reader_remembers_no_more_than_its_limit() -> None:
    """Requests that are read once only do not add up."""
    reader = Reader()
    for number in range(3 * SEEN_LIMIT):
        reader.read(b"GET /%d HTTP/1.1\r\n\r\n" % number)

    assert len(reader.seen) <= SEEN_LIMIT


@pytest.mark.parametrize(("size", "expected"), [(SEEN_REQUEST_LIMIT, 1), (SEEN_REQUEST_LIMIT + 1, 0)])
def test_reader_remembers_no_large_request(size: int, expected: int) -> None:
    """A request that is larger than most is read, and not kept."""
    reader = Reader()
    before, after = b"GET / HTTP/1.1\r\nX: ", b"\r\n\r\n"
    request = reader.read(before + b"x" * (size - len(before) - len(after)) + after)

    assert request is not None
    assert (size, expected) == (request.size, len(reader.seen))


def test_reader_reads_as_parse_does() -> None:
    """A remembered request is the one that was read; a request with more behind it is not confused with it."""
    reader = Reader()
    first = reader.read(GET)
    longer = reader.read(GET + b"G")

    assert first is reader.read(GET)
    assert longer is not None
    assert len(GET) == longer.size


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Whatever comes is a request, the beginning of one, or malformed; a request is no longer than the data."""
    _check(data)


FRAGMENTS = [
    b"GET ",
    b"PUT ",
    b"/",
    b"latest",
    b"%4",
    b" HTTP/1.1",
    b" HTTP/1.0",
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"Content-Length: ",
    b"3",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Connection: close",
    b":",
    b" ",
    b"0",
    b"f",
    b"?",
    b"http://x",
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30))
def test_any_fragments(fragments: list[bytes]) -> None:
    """The same for bytes that look much like requests."""
    _check(b"".join(fragments))


def _check(data: bytes) -> None:
    try:
        request = parse(data)
        awaits_continue(data)
    except Malformed as error:
        request = None
        Response(error.status)  # has a reason
    assert request is None or 0 < request.size <= len(data)
