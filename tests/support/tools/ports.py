"""Ports for servers of a test, which nobody else takes between the choice and the server's start.

In: how many. Out: ports of 127.0.0.1 below those that the kernel gives to outgoing connections.
"""

import contextlib
import random
import socket
from pathlib import Path

_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_RANGE = 12_000


def free(count: int) -> list[int]:
    """Return ports that nobody listens on; held together until all are known, so that they differ."""
    end = int(_OUTGOING.read_text().split()[0])
    candidates = iter(random.sample(range(max(end - _RANGE, 1024), end), k=min(_RANGE, end - 1024)))
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            each = stack.enter_context(socket.socket())
            port = next(candidates)
            with contextlib.suppress(OSError):
                each.bind(("127.0.0.1", port))
                found.append(port)
        return found
