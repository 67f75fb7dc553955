"""The redirect in gVisor's sandbox, whose kernel is not Linux: it has its own iptables and no nf_tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.process.images import container
from tests.support.netns.pods import NODE_IPV4
from tests.support.tools import programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.netns.pods import Pod

# A stand-in for the emulator, as its user; the redirect before and after it is there; what a client is answered.
CODE = """
import os, signal, socket
from emulator.redirect import redirect

def serve():
    os.setgid(16925)
    os.setuid(16925)
    listener = socket.create_server(("127.0.0.1", 16925))
    os.write(ready[1], b"1")
    while True:
        client, _ = listener.accept()
        if client.recv(1024):
            client.sendall(b"HTTP/1.1 200 OK\\r\\nServer: EC2ws\\r\\n\\r\\nemulator")
        client.close()

def ask(address, port):
    with socket.create_connection((address, port), 5) as client:
        client.sendall(b"?")
        return client.recv(1024).rpartition(b"\\r\\n")[2].decode()

print(ask("169.254.169.254", 80), flush=True)
print(redirect.main([]), flush=True)
ready = os.pipe()
child = os.fork()
if not child:
    serve()
os.read(ready[0], 1)
print(redirect.main([]), ask("169.254.169.254", 80), ask("192.0.2.1", 443), flush=True)
os.kill(child, signal.SIGKILL)
"""
CAPABILITIES = ("NET_ADMIN", "NET_RAW", "SETGID", "SETUID", "KILL")
LOST = (
    "imds-emulator redirect: not in effect on this node: the exemption of the emulator's connections from a mesh, "
    "the drop of other TCP to the metadata addresses, the drop of raw frames (nft: "
)
LINES = (
    LOST,
    "imds-emulator redirect: 169.254.169.254 port 80 is redirected to port 16925 by iptables-legacy",
)


@pytest.fixture
def runsc(tmp_path: Path) -> tuple[str, ...]:
    """Return the runtime with which a node's class for gVisor starts containers."""
    options = ("--ignore-cgroups", "--network=sandbox", "--net-raw", "--platform=systrap")
    return (str(programs.path("runsc")), "--root", str(tmp_path), *options)


def test_gvisor(rootfs: dict[str, Path], new_pod: Callable[..., Pod], runsc: tuple[str, ...]) -> None:
    """The redirect is in effect by iptables, also when it runs again, and one line says what is not."""
    pod = new_pod()
    pod.node.serve("host", NODE_IPV4, 443)

    done = container.run(
        rootfs["redirect"],
        *("/usr/bin/python3.13", "-IS", "-c", CODE),
        uid=0,
        capabilities=CAPABILITIES,
        network=pod.name,
        runtime=runsc,
    )

    lines = done.out.splitlines()
    assert ["node", "0", "0 emulator host"] == [line for line in lines if not line.startswith("imds-emulator")]
    assert [2, 2] == [sum(line.startswith(start) for line in lines) for start in LINES]
    assert (0, "") == (done.status, done.err)
