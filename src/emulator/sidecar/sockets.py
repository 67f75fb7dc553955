"""The listening sockets: credentials on loopback only, health on every address of the pod."""

# `_socket` is the C module under `socket`, which would cost 1.4 MB in each pod.

from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_V6ONLY,
    SO_RCVBUF,
    SO_REUSEADDR,
    SO_SNDBUF,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    socket,
)

from emulator import names
from emulator.settings import wrong

BACKLOG = 4096  # the kernel's own bound; what overflows it is asked again after a second
BUFFER_SIZE = 16384  # bytes that the kernel may hold for a connection, each way: they count as the container's


def credential_sockets(port: int) -> list[socket]:
    """Return sockets on 127.0.0.1 and, where the pod has IPv6, on ::1."""
    listening = [_listen(names.ENV_PORT, AF_INET, "127.0.0.1", port)]
    if _has_ipv6("::1"):
        listening.append(_listen(names.ENV_PORT, AF_INET6, "::1", port))
    return listening


def health_socket(port: int) -> socket:
    """Return a socket on all addresses, of both families where the pod has both."""
    if _has_ipv6("::"):
        return _listen(names.ENV_HEALTH_PORT, AF_INET6, "::", port)
    return _listen(names.ENV_HEALTH_PORT, AF_INET, "0.0.0.0", port)  # noqa: S104 - the kubelet comes from outside


def _has_ipv6(address: str) -> bool:
    try:
        probe = socket(AF_INET6, SOCK_STREAM)
    except OSError:
        return False
    try:
        probe.bind((address, 0))
    except OSError:
        return False
    finally:
        probe.close()
    return True


def _listen(variable: str, family: int, address: str, port: int) -> socket:
    listening = socket(family, SOCK_STREAM)
    listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    for option in (SO_RCVBUF, SO_SNDBUF):  # connections inherit them
        listening.setsockopt(SOL_SOCKET, option, BUFFER_SIZE)
    listening.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # likewise
    if family == AF_INET6:
        listening.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, int(address != "::"))
    try:
        listening.bind((address, port))
        listening.listen(BACKLOG)
    except OSError as error:
        raise wrong(variable, str(port), f"can't listen on {address}: {error.strerror}: choose a free port") from None
    listening.setblocking(False)  # noqa: FBT003 - positional only
    return listening
