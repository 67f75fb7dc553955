"""Sends what no nat rule sees: raw packets and raw frames with a TCP segment for a metadata address.

Arguments: the hardware address of the next hop, and names of `CASES`. It prints the name of each error, one per line.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICE = "eth0"
IPV4, IPV6 = socket.inet_aton("169.254.169.254"), socket.inet_pton(socket.AF_INET6, "fd00:ec2::254")
POD_IPV4, POD_IPV6 = socket.inet_aton("192.0.2.2"), socket.inet_pton(socket.AF_INET6, "2001:db8::2")
NODE_IPV4 = socket.inet_aton("192.0.2.1")
# linux/if_ether.h, linux/if_packet.h, linux/in.h
IP, ARP, IP6, VLAN, SERVICE_VLAN = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8
SOL_PACKET, PACKET_QDISC_BYPASS, IP_NODEFRAG = 263, 20, 22
TCP, UDP, FRAGMENT, OPTIONS = 6, 17, 44, 60
SYN, ACK = 2, 16
HTTP, HTTPS, DNS, NTP = 80, 443, 53, 123


def checksum(data: bytes) -> int:
    """Return the Internet checksum, RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp(source: bytes, target: bytes, port: int = HTTP, flags: int = SYN, data: bytes = b"") -> bytes:
    """Return a TCP segment."""
    segment = struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 5 << 4, flags, 64000, 0, 0) + data
    if len(source) == len(IPV4):
        length = struct.pack("!BBH", 0, TCP, len(segment))
    else:
        length = struct.pack("!I3xB", len(segment), TCP)
    total = checksum(source + target + length + segment)
    return segment[:16] + struct.pack("!H", total) + segment[18:]


def udp(port: int) -> bytes:
    """Return an empty datagram."""
    return struct.pack("!HHHH", 40000, port, 8, 0)


def ipv4(  # noqa: PLR0913
    payload: bytes,
    protocol: int = TCP,
    target: bytes = IPV4,
    offset: int = 0,
    *,
    more: bool = False,
    options: bytes = b"",
) -> bytes:
    """Return an IPv4 packet; `offset` in units of 8 bytes."""
    words = 5 + len(options) // 4
    start = struct.pack("!BBHHHBBH", 0x40 | words, 0, 4 * words + len(payload), 7, more << 13 | offset, 64, protocol, 0)
    header = start + POD_IPV4 + target + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ipv6(payload: bytes, protocol: int = TCP, target: bytes = IPV6) -> bytes:
    """Return an IPv6 packet."""
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + POD_IPV6 + target + payload


def frame(kind: int, packet: bytes, *tags: int) -> bytes:
    """Return an Ethernet frame with these VLAN tags; each is its kind and, below, its number."""
    own = bytes.fromhex(Path(f"/sys/class/net/{DEVICE}/address").read_text().strip().replace(":", ""))
    return NEXT_HOP + own + b"".join(struct.pack("!I", tag) for tag in tags) + struct.pack("!H", kind) + packet


def send(data: bytes, said: int, *, bypass: bool = False) -> None:
    """Hand a frame to the interface; `said` is what the kernel is told that it is, 0 to let it look."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        if bypass:
            raw.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        raw.sendto(data, (DEVICE, said))


def cooked(packet: bytes, kind: int) -> None:
    """Have the kernel put a packet into a frame."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as raw:
        raw.sendto(packet, (DEVICE, kind, 0, 0, NEXT_HOP))


def raw4(packet: bytes, *, whole: bool = True) -> None:
    """Send an IPv4 packet with a header of its own; not `whole`: it may be a fragment."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        if not whole:
            raw.setsockopt(socket.SOL_IP, IP_NODEFRAG, 1)
        raw.sendto(packet, (socket.inet_ntoa(IPV4), 0))


def raw6(packet: bytes) -> None:
    """Send an IPv6 packet with a header of its own."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(packet, (socket.inet_ntop(socket.AF_INET6, IPV6), 0))


SEGMENT4, SEGMENT6 = tcp(POD_IPV4, IPV4, data=b"x" * 28), tcp(POD_IPV6, IPV6, data=b"x" * 24)
PACKET4, PACKET6 = ipv4(SEGMENT4), ipv6(SEGMENT6)
ZERO, ZERO_URGENT, FIVE = VLAN << 16, VLAN << 16 | 0x6000, VLAN << 16 | 5
OUTER_ZERO = SERVICE_VLAN << 16
FIRST6, SECOND6 = struct.pack("!BxHI", TCP, 1, 9), struct.pack("!BxHI", TCP, 8, 9)

# What must not leave the pod.
CLOSED: dict[str, Callable[[], object]] = {
    "frame": lambda: send(frame(IP, PACKET4), IP),
    "frame, IPv6": lambda: send(frame(IP6, PACKET6), IP6),
    "frame that the kernel looks at": lambda: send(frame(IP, PACKET4), 0),
    "frame said to be ARP": lambda: send(frame(IP, PACKET4), ARP),
    "frame said to be IPv6": lambda: send(frame(IP, PACKET4), IP6),
    "frame, IPv6, said to be IPv4": lambda: send(frame(IP6, PACKET6), IP),
    "frame said to be VLAN": lambda: send(frame(IP, PACKET4), VLAN),
    "frame past the queue": lambda: send(frame(IP, PACKET4), IP, bypass=True),
    "frame past the queue that the kernel looks at": lambda: send(frame(IP, PACKET4), 0, bypass=True),
    "frame past the queue, said to be ARP": lambda: send(frame(IP, PACKET4), ARP, bypass=True),
    "frame past the queue, said to be VLAN": lambda: send(frame(IP, PACKET4), VLAN, bypass=True),
    "frame made by the kernel": lambda: cooked(PACKET4, IP),
    "frame made by the kernel, IPv6": lambda: cooked(PACKET6, IP6),
    "VLAN 0": lambda: send(frame(IP, PACKET4, ZERO), VLAN),
    "VLAN 0, IPv6": lambda: send(frame(IP6, PACKET6, ZERO), VLAN),
    "VLAN 0 with a priority": lambda: send(frame(IP, PACKET4, ZERO_URGENT), VLAN),
    "VLAN 0 said to be IPv4": lambda: send(frame(IP, PACKET4, ZERO), IP),
    "VLAN 0 of a provider": lambda: send(frame(IP, PACKET4, OUTER_ZERO), SERVICE_VLAN),
    "VLAN 0 twice": lambda: send(frame(IP, PACKET4, OUTER_ZERO, ZERO), SERVICE_VLAN),
    "VLAN 0 past the queue": lambda: send(frame(IP, PACKET4, ZERO), 0, bypass=True),
    "VLAN 0 past the queue, said to be IPv4": lambda: send(frame(IP, PACKET4, ZERO), IP, bypass=True),
    "VLAN 0 twice past the queue, said to be IPv6": lambda: send(
        frame(IP, PACKET4, ZERO_URGENT, ZERO), IP6, bypass=True
    ),
    "frame with options": lambda: send(frame(IP, ipv4(SEGMENT4, options=b"\1" * 4)), IP),
    "frame with options, IPv6": lambda: send(
        frame(IP6, ipv6(struct.pack("!BxBB4x", TCP, 1, 4) + SEGMENT6, OPTIONS)), IP6
    ),
    "first fragment": lambda: send(frame(IP, ipv4(SEGMENT4[:8], more=True)), IP),
    "later fragment": lambda: send(frame(IP, ipv4(SEGMENT4[8:], offset=1)), IP),
    "first fragment, IPv6": lambda: send(frame(IP6, ipv6(FIRST6 + SEGMENT6[:8], FRAGMENT)), IP6),
    "later fragment, IPv6": lambda: send(frame(IP6, ipv6(SECOND6 + SEGMENT6[8:], FRAGMENT)), IP6),
    "packet": lambda: raw4(PACKET4),
    "packet of no connection": lambda: raw4(ipv4(tcp(POD_IPV4, IPV4, flags=ACK))),
    "packet for another port": lambda: raw4(ipv4(tcp(POD_IPV4, IPV4, HTTPS))),
    "packet in fragments": lambda: raw4(ipv4(SEGMENT4[8:], offset=1), whole=False),
    "packet, IPv6": lambda: raw6(PACKET6),
    "packet of no connection, IPv6": lambda: raw6(ipv6(tcp(POD_IPV6, IPV6, flags=ACK))),
}
# What must.
OPEN: dict[str, Callable[[], object]] = {
    "DNS by UDP": lambda: send(frame(IP, ipv4(udp(DNS), UDP)), IP),
    "NTP": lambda: send(frame(IP, ipv4(udp(NTP), UDP)), IP),
    "NTP, IPv6": lambda: send(frame(IP6, ipv6(udp(NTP), UDP)), IP6),
    "DNS by TCP": lambda: send(frame(IP, ipv4(tcp(POD_IPV4, IPV4, DNS))), IP),
    "another host": lambda: send(frame(IP, ipv4(tcp(POD_IPV4, NODE_IPV4), target=NODE_IPV4)), IP),
    "another host, past the queue": lambda: send(
        frame(IP, ipv4(tcp(POD_IPV4, NODE_IPV4), target=NODE_IPV4)), 0, bypass=True
    ),
}
CASES = {**CLOSED, **OPEN}

if __name__ == "__main__":
    NEXT_HOP = bytes.fromhex(sys.argv[1].replace(":", ""))
    for name in sys.argv[2:]:
        try:
            CASES[name]()
        except OSError as error:
            print(errno.errorcode[error.errno or 0], end="")
        print(flush=True)
        time.sleep(0.02)
