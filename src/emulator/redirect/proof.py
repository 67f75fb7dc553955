"""The proof that a connection to the metadata address arrives at the emulator, and at nobody else.

While the port is free, a listener of this process takes the emulator's place. Once it is taken, the kernel says who
listens there (the emulator has a user of its own), and the answer must be the emulator's.
"""

from __future__ import annotations

import errno
import posix
import struct
import sys
import time
from _socket import AF_INET, AF_INET6, SO_LINGER, SOL_SOCKET, inet_ntop

from emulator import names
from emulator.redirect.families import IPV4, IPV6
from emulator.redirect.network import Socket, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.redirect.families import Family

SECONDS = 3.0
POLL_SECONDS = (0.005, 0.2)  # at first, and at the most
POLL_GROWTH = 1.25
ESTABLISHED, LISTEN = 0x01, 0x0A  # include/net/tcp_states.h
SERVER = b"\r\nServer: EC2ws\r\n"
OK = 200


class ProofError(Exception):
    """The metadata address does not answer as the emulator; the message says what was found instead."""


class Row:
    """A row of /proc/net/tcp or tcp6, proc(5)."""

    def __init__(self, local: tuple[str, int], remote: tuple[str, int], state: int, uid: int) -> None:
        self.local = local
        self.remote = remote
        self.state = state
        self.uid = uid


def prove(family: Family, port: int) -> None:
    """Connect to the metadata address and see the connection arrive at `port`; raises ProofError."""
    try:
        with Socket(family.inet) as listener:
            listener.bind((family.loopback, port))
            listener.listen()
            _arrives(family, listener)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ProofError(str(error)) from None
        try:
            _is_emulator(family, port)
        except OSError as failed:
            raise ProofError(str(failed)) from None


def _arrives(family: Family, listener: Socket) -> None:
    with Socket(family.inet) as client:
        listener.settimeout(SECONDS)
        client.settimeout(SECONDS)
        # Ends with a reset: no TIME_WAIT is left that could keep the emulator from binding the port.
        client.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        client.connect((family.address, names.IMDS_PORT))
        arrived, sender = listener._accept()  # type: ignore[attr-defined] # noqa: SLF001 - `accept` is in the module `socket`
        posix.close(arrived)
        if sender[:2] != client.getsockname()[:2]:
            raise ProofError("a different connection arrived")


def _is_emulator(family: Family, port: int) -> None:
    """Raise ProofError unless a connection ends in a socket of the emulator's user, which answers as it does."""
    if (held := _holders(family, port)) != {names.EMULATOR_UID}:
        users = f"uid {', '.join(map(str, sorted(held)))}" if held else "no process"
        raise ProofError(f"port {port} is held by {users}, not by the emulator (uid {names.EMULATOR_UID})")
    with Socket(family.inet) as client:
        client.settimeout(SECONDS)
        client.connect((family.address, names.IMDS_PORT))
        at, sender = (family.loopback, port), client.getsockname()[:2]
        # Its other end may take a moment to be established: gVisor's network works on its own time.
        if not wait_until(lambda: arrived(_sockets(family), at, sender), time.monotonic() + SECONDS):
            raise ProofError(f"a connection does not arrive at {family.loopback} port {port}")
        client.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % family.address.encode())
        if SERVER not in _head(client):
            raise ProofError(f"the listener on port {port} does not answer as the emulator does")


def _holders(family: Family, port: int) -> set[int]:
    found = _sockets(family)
    if family is IPV4:  # a listener on all of IPv6 can take IPv4 too
        found += _sockets(IPV6)
    return holders(found, (family.loopback, family.any_address, IPV6.any_address), port)


def _sockets(family: Family) -> list[Row]:
    return sockets(read(family.sockets))


def sockets(listing: str) -> list[Row]:
    """Return the rows of /proc/net/tcp or tcp6."""
    rows = [line.split() for line in listing.splitlines()[1:]]
    return [Row(address(row[1]), address(row[2]), int(row[3], 16), int(row[7])) for row in rows]


def address(text: str) -> tuple[str, int]:
    """Return address and port of a column: words of 32 bits as the machine orders their bytes, in hexadecimal."""
    host, _, port = text.partition(":")
    words = (int(host[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8))
    packed = b"".join(words)
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed), int(port, 16)  # noqa: PLR2004


def arrived(found: list[Row], at: tuple[str, int], sender: tuple[str, int]) -> bool:
    """Tell whether there is a connection's end at this address that the sender is the other end of."""
    return any((row.local, row.remote, row.state) == (at, sender, ESTABLISHED) for row in found)


def holders(found: list[Row], addresses: tuple[str, ...], port: int) -> set[int]:
    """Return the users of all sockets that listen on the port at one of these addresses."""
    return {row.uid for row in found if row.state == LISTEN and row.local[1] == port and row.local[0] in addresses}


def started(health_port: int) -> int:
    """Return the status that the emulator gives of its start, 0 where nobody listens yet."""
    try:
        with Socket(IPV4.inet) as client:
            client.settimeout(SECONDS)
            client.connect((IPV4.loopback, health_port))
            client.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % _STARTUP)
            words = _head(client).split(None, 2)
            return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    except OSError:
        return 0


_STARTUP = names.STARTUP_PATH.encode()


def wait_until(happens: Callable[[], bool], end: float) -> bool:
    """Return whether it happens before `end`, on the clock of time.monotonic().

    Looked for often at first, since each pod waits for it, and ever more rarely.
    """
    pause, longest = POLL_SECONDS
    while not happens():
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
        pause = min(pause * POLL_GROWTH, longest)
    return True


def _head(client: Socket) -> bytes:
    """Return what is answered, up to the end of the headers."""
    answer = b""
    while b"\r\n\r\n" not in answer and (more := client.recv(4096)):
        answer += more
    return answer
