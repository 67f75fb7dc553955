"""Conversations: bytes in, bytes out, in any pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.sidecar.conversation import ENDING, READING, REFUSED, Answering, Conversation
from emulator.sidecar.wire import Request, Response

NOW = 1_795_597_200.0
REQUESTS = [
    b"GET /a HTTP/1.1\r\n\r\n",
    b"PUT /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz",
    b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    b"GET /d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]


def echo(request: Request, now: float) -> Response | None:  # noqa: ARG001 - the form of an answer
    """Answer with the path; a path of one name `wait` is to wait."""
    return None if request.segments == ("wait",) else Response(200, "/".join(request.segments))


def make() -> tuple[Conversation, list[int]]:
    """Return a conversation and the statuses that it counts."""
    counted: list[int] = []
    return Conversation(Answering(echo, lambda: Response(503), counted.append)), counted


def bodies(output: bytes) -> list[str]:
    """Return the bodies of the answers."""
    return [part.partition(b"\r\n\r\n")[2].decode() for part in output.split(b"HTTP/1.1 200 OK")[1:]]


def said(conversation: Conversation, data: bytes) -> bytes:
    """Return all that is answered to bytes, by a server whose client takes each answer."""
    output = conversation.feed(data, NOW)
    while more := conversation.answers(NOW):
        output += more
    return output


@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6), st.lists(st.integers(1, 60), max_size=20))
def test_any_pieces(requests: list[bytes], cuts: list[int]) -> None:
    """However the bytes are cut, each request is answered once, in its order."""
    conversation, counted = make()
    data = b"".join(requests)
    output = b""
    for cut in [*cuts, len(data)]:
        output += said(conversation, data[:cut])
        data = data[cut:]

    expected = [request.split(b" ")[1][1:].decode() for request in requests]
    assert expected == bodies(output)
    assert [200] * len(requests) == counted
    assert (b"", READING) == (conversation.buffer, conversation.state)


def test_one_answer_at_once() -> None:
    """Answers are made as the client takes them, and one client's many requests are no one else's wait."""
    conversation, _ = make()
    first = conversation.feed(REQUESTS[0] * 1000, NOW)
    total = 1
    while output := conversation.answers(NOW):
        assert 1 == len(bodies(output))
        total += 1

    assert (["a"], 1000) == (bodies(first), total)


def test_waiting() -> None:
    """What comes behind a request that waits is answered after it."""
    conversation, _ = make()
    before = said(conversation, REQUESTS[0] + b"GET /wait HTTP/1.1\r\n\r\n" + REQUESTS[0])
    waits = conversation.waiting is not None and conversation.feed(REQUESTS[0], NOW) == b""
    waited = conversation.answer_waiting(Response(200, "late"), NOW) + said(conversation, b"")

    assert (["a"], True, ["late", "a", "a"], b"") == (bodies(before), waits, bodies(waited), conversation.buffer)


def test_nothing_after_the_last() -> None:
    """After Connection: close, and after what is not a request, nothing more is answered."""
    for last, state in ((b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n", ENDING), (b"nonsense\r\n\r\n", REFUSED)):
        conversation, counted = make()
        conversation.feed(last + REQUESTS[0], NOW)

        assert (state, b"", 1) == (conversation.state, conversation.buffer, len(counted))


def test_continue_is_said_once() -> None:
    """A client that holds its body back is told to go on once."""
    conversation, _ = make()
    put = b"PUT /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    outputs = [conversation.feed(data, NOW) for data in (put[:-1], put[-1:], b"x", b"y")]

    assert [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b""] == outputs[:3]
    assert ["b"] == bodies(outputs[3])


def test_date() -> None:
    """The date is that of the answer (RFC 9110 section 5.6.7)."""
    conversation, _ = make()
    dates = [
        conversation.feed(REQUESTS[0], NOW + seconds).split(b"Date: ")[1].split(b"\r\n")[0] for seconds in (0, 0.9, 1)
    ]

    expected = [b"Wed, 25 Nov 2026 09:00:00 GMT"] * 2 + [b"Wed, 25 Nov 2026 09:00:01 GMT"]
    assert expected == dates
