"""What a client asks the emulator, seen on the loopback device: no client knows of it.

In: the packets since the last look, with the kernel's times. Out: exchanges, in the order in which they were asked.
"""

import re
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emulator.names import IMDS_PORT, PORT_DEFAULT

ETH_P_IP = 0x0800  # linux/if_ether.h
PACKET_OUTGOING = 4  # linux/if_packet.h
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35  # asm-generic/socket.h
BUFFER_BYTES = 1 << 23

# Short names of what clients ask; anything else is shown as it is.
TOKEN, ROLES, CREDENTIALS, REGION, ZONE = "T", "L", "C", "R", "Z"
NAMES = {
    r"PUT /latest/api/token": TOKEN,
    r"GET /latest/meta-data/iam/security-credentials/?": ROLES,
    r"GET /latest/meta-data/iam/security-credentials/[^/]+/?": CREDENTIALS,
    r"GET /latest/meta-data/placement/region": REGION,
    r"GET /latest/meta-data/placement/availability-zone": ZONE,
}


@dataclass(frozen=True)
class Exchange:
    """A request by its short name and the status of its answer, 0 if there was none; times in seconds."""

    name: str
    status: int
    asked_at: float
    answered_at: float

    def __str__(self) -> str:
        return self.name if self.status == 200 else f"{self.name} {self.status}"


def tap() -> socket.socket:
    """Return a socket that gathers what passes loopback, until it is read (packet(7))."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    tap.bind(("lo", ETH_P_IP))
    tap.settimeout(0)
    return tap


def exchanges(tap: socket.socket) -> list[Exchange]:
    """Take what the socket has gathered; a request and the next answer on its connection belong together."""
    # The redirect changes where a request goes to, and later where its answer comes from: both are seen after that.
    found: list[Exchange] = []
    open_at: dict[int, int] = {}
    for at, source, target, payload in _segments(tap):
        if target == PORT_DEFAULT and (request := re.match(rb"([A-Z]+ [^ ]+) HTTP/1", payload)):
            open_at[source] = len(found)
            found.append(Exchange(_name(request[1].decode(errors="replace")), 0, at, at))
        elif source == IMDS_PORT and target in open_at and (answer := re.match(rb"HTTP/1\.\d ([2-5]\d\d) ", payload)):
            asked = found[open_at[target]]
            found[open_at.pop(target)] = Exchange(asked.name, int(answer[1]), asked.asked_at, at)
    return found


def seconds(exchanges: Sequence[Exchange]) -> float:
    """Return the time from the first request to the first credentials, or to the last answer if there are none."""
    if not exchanges:
        return 0.0
    ends = [exchange.answered_at for exchange in exchanges if (exchange.name, exchange.status) == (CREDENTIALS, 200)]
    return min(ends, default=exchanges[-1].answered_at) - exchanges[0].asked_at


def _name(request: str) -> str:
    return next((name for pattern, name in NAMES.items() if re.fullmatch(pattern, request)), request)


def _segments(tap: socket.socket) -> Iterator[tuple[float, int, int, bytes]]:
    """Yield the time, the two ports and the payload of each TCP segment (RFC 791, RFC 9293)."""
    while True:
        try:
            packet, ancillary, _, address = tap.recvmsg(65536, 64)
        except BlockingIOError:
            return
        header = (packet[0] & 0xF) * 4
        if address[2] == PACKET_OUTGOING or packet[9] != socket.IPPROTO_TCP:  # loopback shows each packet twice
            continue
        whole, nanoseconds = struct.unpack("@qq", ancillary[0][2])
        source, target = struct.unpack_from("!HH", packet, header)
        yield whole + nanoseconds / 1e9, source, target, packet[header + (packet[header + 12] >> 4) * 4 :]
