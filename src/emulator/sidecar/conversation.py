"""One connection's conversation: requests in pieces or many at once, answers in their order. No sockets."""

import time

from emulator.sidecar.wire import CONTINUE, Malformed, Reader, Request, Response, awaits_continue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# States of a conversation: what it is about. Plain numbers, since `enum` would be in each pod's memory.
READING = 0  # a request, or what is left of one
CONTINUED = 1  # likewise, and its client was told to send the body
WAITING = 2  # an answer that is not known yet
ENDING = 3  # nothing: it is to be closed once the answers are sent
REFUSED = 4  # likewise, and what still comes is not read as a request

OUTPUT_LIMIT = 1  # bytes of answers after which it is the next client's turn: after each, be it of one who sends many


class Answering:
    """Who answers on a port.

    `respond(request, now)` returns None for a request that must wait; `late()` answers it once it has waited too long;
    `count(status)` is called for each answer.
    """

    __slots__ = ("_date", "_date_second", "count", "late", "reader", "respond")

    def __init__(
        self,
        respond: "Callable[[Request, float], Response | None]",
        late: "Callable[[], Response]",
        count: "Callable[[int], None]",
    ) -> None:
        self.respond = respond
        self.late = late
        self.count = count
        self.reader = Reader()
        self._date = b""
        self._date_second = -1

    def encode(self, request: Request | None, response: Response, now: float) -> bytes:
        """Return the bytes of an answer, and count it."""
        self.count(response.status)
        second = int(now)
        if second != self._date_second:
            self._date_second = second
            self._date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second)).encode()
        return response.encode(request, self._date)


class Conversation:
    """One client: what it sent and was not answered yet."""

    __slots__ = ("answering", "buffer", "state", "waiting")

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.buffer = b""
        self.state = READING
        self.waiting: Request | None = None  # the request that waits for its answer

    def feed(self, data: bytes, now: float) -> bytes:
        """Take what the client sent and return what to answer now, b"" if nothing."""
        if not self.buffer and self.state == READING:
            seen = self.answering.reader.seen.get(data)
            if seen is not None:  # one whole request, as nearly always
                return self._answer(seen, now)
        self.buffer += data
        return self.answers(now)

    def answers(self, now: float) -> bytes:
        """Return the next answers, until they are OUTPUT_LIMIT bytes; b"" if there is nothing to answer now."""
        output = b""
        while self.buffer and self.state <= CONTINUED and len(output) < OUTPUT_LIMIT:
            try:
                request = self.answering.reader.read(self.buffer)
                if request is None:
                    return output + self._told_to_continue()
            except Malformed as error:
                self.buffer = b""
                self.state = REFUSED
                return output + self.answering.encode(None, Response(error.status), now)
            self.buffer = self.buffer[request.size :]
            self.state = READING
            output += self._answer(request, now)
        return output

    def answer_waiting(self, response: Response, now: float) -> bytes:
        """Return the answer to the request that waits, and those to the requests that came behind it."""
        if self.waiting is None:
            return b""
        request, self.waiting, self.state = self.waiting, None, READING
        return self._encode(request, response, now) + self.answers(now)

    def _answer(self, request: Request, now: float) -> bytes:
        response = self.answering.respond(request, now)
        if response is None:
            self.waiting, self.state = request, WAITING
            return b""
        return self._encode(request, response, now)

    def _encode(self, request: Request, response: Response, now: float) -> bytes:
        if not request.keep_alive:
            self.buffer = b""
            self.state = ENDING
        return self.answering.encode(request, response, now)

    def _told_to_continue(self) -> bytes:
        """Return what makes a client that holds its body back send it, once."""
        if self.state == CONTINUED or not awaits_continue(self.buffer):
            return b""
        self.state = CONTINUED
        return CONTINUE
