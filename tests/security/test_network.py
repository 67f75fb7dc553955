"""Who reaches the credential port by network: nobody but the pod itself, whatever the node is made to route."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from emulator import names
from tests.netns.conftest import programs  # noqa: F401 - a fixture that is in effect here too
from tests.netns.pods import IMDS_IPV4, NODE_IPV4, POD_IPV4, POD_IPV6, Namespace, Pod
from tests.wire.process import LIST, MAIN, ROLE_ARN, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASK = f"""
import errno, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
try:
    with socket.create_connection((host, port), 1) as client:
        client.sendall(b"GET {LIST} HTTP/1.0\\r\\n\\r\\n")
        print(client.recv(4096).split()[1].decode())
except TimeoutError:
    print("no answer")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
PORT, HEALTH_PORT = names.PORT_DEFAULT, names.HEALTH_PORT_DEFAULT


@pytest.fixture
def pod(new_pod: Callable[..., Pod]) -> Iterator[Pod]:
    """Run the emulator in a pod of both families, behind the redirect."""
    pod = new_pod(ipv4=True, ipv6=True)
    assert pod.redirect().status == 0
    settings = {"AWS_ROLE_ARN": ROLE_ARN, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere"}
    command = pod.enter(sys.executable, "-I", "-S", "-c", MAIN, "serve")
    process = subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: ask(pod, "127.0.0.1", PORT) == "200", "the emulator")
        yield pod
    finally:
        process.kill()
        process.wait()


def ask(who: Namespace, host: str, port: int) -> str:
    """Return the status that somebody gets for the role list, or why there is none."""
    return who.run(sys.executable, "-I", "-c", ASK, host, str(port)).out.strip()


@pytest.mark.claim("S01", "S02")
def test_from_outside(pod: Pod) -> None:
    """The pod is answered; another network namespace, as its neighbours and its node are, is refused."""
    inside = {address: ask(pod, address, port) for address, port in ((IMDS_IPV4, 80), ("::1", PORT))}
    outside = {address: ask(pod.node, address, PORT) for address in (POD_IPV4, POD_IPV6)}

    assert {IMDS_IPV4: "200", "::1": "200"} == inside
    assert {POD_IPV4: "ECONNREFUSED", POD_IPV6: "ECONNREFUSED"} == outside


@pytest.mark.claim("S03")
def test_health_port(pod: Pod) -> None:
    """The health port is reached from outside, and knows no path of the metadata service."""
    assert "404" == ask(pod.node, POD_IPV4, HEALTH_PORT)


@pytest.mark.claim("S02")
def test_loopback_routed_to_the_pod(pod: Pod) -> None:
    """A node that routes 127.0.0.1 to the pod gets no answer: the pod's kernel takes it for forged.

    It would answer if `route_localnet` were set in the pod, which needs rights that no container has by default.
    """
    pod.node.ip("address", "delete", "127.0.0.1/8", "dev", "lo")
    pod.node.ip("route", "add", "127.0.0.1", "via", POD_IPV4, "src", NODE_IPV4)
    allow_loopback_on_wires(pod.node)
    forged = ask(pod.node, "127.0.0.1", PORT)
    allow_loopback_on_wires(pod)

    assert ("no answer", "200") == (forged, ask(pod.node, "127.0.0.1", PORT))


@pytest.mark.claim("S02")
def test_metadata_address_routed_to_the_pod(pod: Pod) -> None:
    """A neighbour or a node that routes 169.254.169.254 to the pod is not redirected: only what the pod sends is."""
    pod.node.ip("address", "delete", IMDS_IPV4, "dev", "lo")
    pod.node.ip("route", "add", IMDS_IPV4, "via", POD_IPV4)

    assert ask(pod.node, IMDS_IPV4, 80) in {"no answer", "EHOSTUNREACH", "ECONNREFUSED"}
    assert "200" == ask(pod, IMDS_IPV4, 80)


def allow_loopback_on_wires(who: Namespace) -> None:
    """Let packets to and from 127.0.0.0/8 pass the interfaces of a namespace."""
    script = "for each in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 > $each; done"
    done = who.run("sh", "-c", script)
    assert (done.status, done.err) == (0, "")
