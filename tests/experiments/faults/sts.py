"""An STS that can go wrong in every way a network and a server have, and that keeps what it issued."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from tests.support.wire.stub_sts import Reply, error, grant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROLE_SESSION = "arn:aws:sts::123456789012:assumed-role/app-role/team-a.app-0"
HUGE_BYTES = 4 << 20
DRIP_SECONDS = 0.5
HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Issued:
    """One set of credentials as a client must see it; `expires_at` in whole Unix seconds of the clock of STS."""

    access_key_id: str
    secret_access_key: str
    token: str
    expires_at: int


class Sts:
    """Serves each connection in a thread, as it was last told to `become`, until it is closed.

    `calls`: the forms that it was sent, and when.
    """

    def __init__(self, certificate: Path, key: Path, life_seconds: float, name: str) -> None:
        self.life_seconds = life_seconds
        self.issued: dict[str, Issued] = {}
        self.calls: list[tuple[float, dict[str, str]]] = []
        self._behave: Callable[[Call], None] = good
        self.closing = threading.Event()
        self._name = name
        self._numbers = itertools.count(1)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listening: socket.socket | None = None
        self.port = 0
        self.open()

    def become(self, behave: Callable[[Call], None]) -> None:
        """Behave so from now on."""
        self._behave = behave

    def open(self) -> None:
        """Listen, on the same port as before."""
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=[self._listening], daemon=True).start()

    def shut(self) -> None:
        """Refuse connections."""
        if self._listening is not None:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None

    def close(self) -> None:
        """End it, and whatever hangs."""
        self.closing.set()
        self.shut()

    def make(self, *, life_seconds: float | None = None) -> tuple[Issued, Reply]:
        """Make credentials that nobody has yet, and the answer that gives them."""
        key = f"ASIA{self._name}{next(self._numbers)}"
        now = time.time()
        life = self.life_seconds if life_seconds is None else life_seconds
        reply = grant(key, life_seconds=life, now=now)
        user = f"<AssumedRoleUser><Arn>{ROLE_SESSION}</Arn></AssumedRoleUser>"
        reply.body = reply.body.replace("<Credentials>", f"{user}<Credentials>")
        return Issued(key, f"secret/{key}", f"token/{key}==", int(now + life)), reply

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                raw, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[raw], daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with raw, contextlib.suppress(OSError):  # a client that went away, or was killed
            raw.settimeout(30)
            self._behave(Call(self, raw, self._context))


class Call:
    """One connection to STS, before its TLS."""

    def __init__(self, sts: Sts, raw: socket.socket, context: ssl.SSLContext) -> None:
        self.sts = sts
        self.raw = raw
        self.form: dict[str, str] = {}
        self._context = context
        self._tls: ssl.SSLSocket | None = None

    def read(self) -> None:
        """Shake hands and read the request."""
        self._tls = self._context.wrap_socket(self.raw, server_side=True)
        data = b""
        while (part := self._tls.recv(65536)) and not _is_whole(data := data + part):
            pass
        text = data.partition(b"\r\n\r\n")[2].decode()
        self.form = {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}
        self.sts.calls.append((time.time(), self.form))

    def send(self, data: bytes) -> None:
        """Send bytes over TLS."""
        assert self._tls is not None
        self._tls.sendall(data)

    def end(self) -> None:
        """End the connection as TLS does."""
        assert self._tls is not None
        with contextlib.suppress(OSError):
            self._tls.unwrap()
        self._tls.close()

    def reset(self) -> None:
        """End the connection as a machine does that is switched off and on."""
        assert self._tls is not None
        self._tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._tls.close()

    def reply(self, reply: Reply, length: int | None = None) -> None:
        """Send an answer and end; `length` is what it says of its body's length, if not the truth."""
        self.send(whole(reply, length))
        self.end()

    def give(self, after_seconds: float = 0) -> None:
        """Issue credentials, and give them so much later."""
        issued, reply = self.sts.make()
        self.sts.issued[issued.access_key_id] = issued
        self.sts.closing.wait(after_seconds)
        self.reply(reply)


def whole(reply: Reply, length: int | None = None) -> bytes:
    """Return an answer as bytes."""
    body = reply.body.encode()
    headers = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    head = f"HTTP/1.1 {reply.status} X\r\nContent-Type: text/xml\r\n{headers}"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def _is_whole(data: bytes) -> bool:
    head, separator, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(separator and lengths) and len(body) >= int(lengths[0])


def good(call: Call) -> None:
    """Issue credentials, as long as nothing is wrong."""
    call.read()
    call.give()


def silent(call: Call) -> None:
    """Take the connection and say nothing, not even for TLS."""
    call.sts.closing.wait(30)


def hangs(call: Call) -> None:
    """Take the request and never answer."""
    call.read()
    call.sts.closing.wait(30)


def resets(call: Call) -> None:
    """Take the request and reset the connection."""
    call.read()
    call.reset()


def closes(call: Call) -> None:
    """Take the request and end the connection without a word."""
    call.read()
    call.end()


def garbles_tls(call: Call) -> None:
    """Answer the handshake by what is no TLS."""
    call.raw.recv(65536)
    call.raw.sendall(bytes(range(256)) * 4)


def speaks_plain(call: Call) -> None:
    """Answer in the clear, as a proxy's login page would."""
    call.raw.recv(65536)
    call.raw.sendall(whole(call.sts.make()[1]))


def answers_html(call: Call) -> None:
    """Answer 200 with a page."""
    call.read()
    call.reply(Reply(200, HTML))


def answers_502(call: Call) -> None:
    """Answer as a gateway that has lost its server."""
    call.read()
    call.reply(Reply(502, HTML))


def answers_half(call: Call) -> None:
    """Break off in the middle of the secret."""
    call.read()
    data = whole(call.sts.make()[1])
    call.send(data[: data.index(b"</SecretAccessKey>") - 3])
    call.end()


def length_too_long(call: Call) -> None:
    """Announce more than comes."""
    call.read()
    reply = call.sts.make()[1]
    call.reply(reply, len(reply.body) + 100)


def length_too_short(call: Call) -> None:
    """Announce less than the credentials take."""
    call.read()
    reply = call.sts.make()[1]
    call.reply(reply, reply.body.index("</SessionToken>") - 3)


def other_role(call: Call) -> None:
    """Give credentials of a session of another role."""
    call.read()
    reply = call.sts.make()[1]
    reply.body = reply.body.replace("assumed-role/app-role/", "assumed-role/admin/")
    call.reply(reply)


def redirects(call: Call) -> None:
    """Send the caller elsewhere."""
    call.read()
    call.reply(Reply(302, "", headers={"Location": f"https://localhost:{call.sts.port}/elsewhere"}))


def answers_hugely(call: Call) -> None:
    """Put more around the credentials than any answer of STS has."""
    call.read()
    reply = call.sts.make()[1]
    reply.body += " " * HUGE_BYTES
    call.reply(reply)


def drips(call: Call) -> None:
    """Send the answer by a byte now and then."""
    call.read()
    for byte in whole(call.sts.make()[1]):
        call.send(bytes([byte]))
        if call.sts.closing.wait(DRIP_SECONDS):
            return


def gives_expired(call: Call) -> None:
    """Give credentials that have expired already."""
    call.read()
    call.reply(call.sts.make(life_seconds=-60)[1])


def gives_no_secret(call: Call) -> None:
    """Leave the secret out."""
    call.read()
    issued, reply = call.sts.make()
    reply.body = reply.body.replace(f"<SecretAccessKey>{issued.secret_access_key}</SecretAccessKey>", "")
    call.reply(reply)


def throttles(call: Call) -> None:
    """Refuse for too many calls."""
    call.read()
    call.reply(error(400, "Throttling", "Rate exceeded"))


def denies(call: Call) -> None:
    """Refuse for good, as with a trust policy taken away."""
    call.read()
    call.reply(error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"))
