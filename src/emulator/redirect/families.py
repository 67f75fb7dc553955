"""The two families of addresses: where clients ask for metadata, and where the emulator listens."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from emulator import names


@dataclass(frozen=True)
class Family:
    """IPv4 or IPv6: the metadata address that clients use, and what the kernel and iptables call the family."""

    name: str
    inet: socket.AddressFamily
    address: str
    prefix_length: int
    loopback: str  # where a redirect takes what the pod itself sends: iptables-extensions(8), REDIRECT
    any: str
    program: str
    sockets: str  # the kernel's list of TCP sockets, proc(5)


ALL = "0.0.0.0"  # noqa: S104 - compared with, not listened on

IPV4 = Family("IPv4", socket.AF_INET, names.IMDS_IPV4, 32, "127.0.0.1", ALL, "iptables", "/proc/net/tcp")
IPV6 = Family("IPv6", socket.AF_INET6, names.IMDS_IPV6, 128, "::1", "::", "ip6tables", "/proc/net/tcp6")
