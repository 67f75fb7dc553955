"""What the pod's network has, and the one address that may be added to it; OSError where the kernel refuses."""

from __future__ import annotations

import posix
import struct
from _socket import AF_NETLINK, SOCK_DGRAM, SOCK_RAW, if_nameindex, if_nametoindex, inet_pton, socket

from emulator import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from emulator.redirect.families import Family

INTERFACE_ADDRESSES = "/proc/net/if_inet6"  # proc(5): address, index, prefix length, scope, flags, name
GLOBAL_SCOPE = "00"
LOOPBACK = "lo"

# linux/rtnetlink.h, linux/netlink.h, linux/if_addr.h
NETLINK_ROUTE = 0
RTM_NEWADDR = 20
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE = 0x1, 0x4, 0x100, 0x400
RT_SCOPE_HOST = 254
IFA_ADDRESS, IFA_LOCAL = 1, 2
HEADER = "=IHHII"  # struct nlmsghdr: length, type, flags, sequence, port id
MESSAGE = "=BBBBI"  # struct ifaddrmsg: family, prefix length, flags, scope, interface


class Socket(socket):
    """A socket that a `with` closes, as those of `socket` are: the module would be 9 ms in the start of each pod."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def read(path: str) -> str:
    """Return the text of a file; "" where there is none, as a kernel may have no IPv6."""
    try:
        with open(path) as file:  # noqa: PTH123 - pathlib would be 13 ms in the start of each pod
            return file.read()
    except FileNotFoundError:
        return ""


def devices() -> list[str]:
    """Return the interfaces by which something can leave the pod."""
    return [name for _, name in if_nameindex() if name != LOOPBACK]


def source_address(family: Family) -> str:
    """Return the address from which the pod would reach the metadata address, "" where no route goes there."""
    try:
        with Socket(family.inet, SOCK_DGRAM) as probe:
            probe.connect((family.address, names.IMDS_PORT))  # a datagram socket sends nothing here
            address: str = probe.getsockname()[0]
            return address
    except OSError:
        return ""


def has_ipv6(listing: str) -> bool:
    """Tell whether /proc/net/if_inet6 lists an address with which a pod can talk IPv6 to others."""
    rows = [line.split() for line in listing.splitlines()]
    return any(scope == GLOBAL_SCOPE and interface != LOOPBACK for _, _, _, scope, _, interface in rows)


def ipv6_addresses() -> str:
    """Return /proc/net/if_inet6; "" where the kernel has no IPv6."""
    return read(INTERFACE_ADDRESSES)


def add_to_loopback(family: Family) -> None:
    """Give `lo` the metadata address, so that it is the pod's own; once more changes nothing."""
    with Socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) as kernel:
        kernel.send(new_address(family, if_nametoindex(LOOPBACK)))
        (code,) = struct.unpack_from("=i", kernel.recv(4096), struct.calcsize(HEADER))
    if code:
        raise OSError(-code, posix.strerror(-code))


def new_address(family: Family, interface: int) -> bytes:
    """Return the rtnetlink(7) message that gives an interface the metadata address."""
    packed = inet_pton(family.inet, family.address)
    body = struct.pack(MESSAGE, family.inet, family.prefix_length, 0, RT_SCOPE_HOST, interface)
    for attribute in (IFA_LOCAL, IFA_ADDRESS):
        body += struct.pack("=HH", 4 + len(packed), attribute) + packed  # both lengths are multiples of 4: no padding
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE | NLM_F_CREATE
    return struct.pack(HEADER, struct.calcsize(HEADER) + len(body), RTM_NEWADDR, flags, 1, 0) + body
