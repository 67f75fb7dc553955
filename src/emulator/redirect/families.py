"""The two families of addresses: where clients ask for metadata, and where the emulator listens."""

from __future__ import annotations

from _socket import AF_INET, AF_INET6

from emulator import names


class Family:
    """IPv4 or IPv6: the metadata address that clients use, and what the kernel and iptables call the family."""

    def __init__(  # noqa: PLR0913 - the columns of the table below
        self,
        name: str,
        inet: int,
        address: str,
        prefix_length: int,
        *,
        loopback: str,
        any_address: str,
        program: str,
        sockets: str,
    ) -> None:
        self.name = name
        self.inet = inet
        self.address = address
        self.prefix_length = prefix_length
        self.loopback = loopback  # where a redirect takes what the pod itself sends: iptables-extensions(8), REDIRECT
        self.any_address = any_address
        self.program = program
        self.sockets = sockets  # the kernel's list of TCP sockets, proc(5)


IPV4 = Family(
    "IPv4",
    AF_INET,
    names.IMDS_IPV4,
    32,
    loopback="127.0.0.1",
    any_address="0.0.0.0",  # noqa: S104 - compared with, not listened on
    program="iptables",
    sockets="/proc/net/tcp",
)
IPV6 = Family(
    "IPv6",
    AF_INET6,
    names.IMDS_IPV6,
    128,
    loopback="::1",
    any_address="::",
    program="ip6tables",
    sockets="/proc/net/tcp6",
)
