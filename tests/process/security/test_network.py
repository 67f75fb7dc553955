"""Who reaches the credential port by network: nobody but the pod itself, whatever the node is made to route."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from emulator import names
from tests.support.netns.fixtures import programs  # noqa: F401 - a fixture that is in effect here too
from tests.support.netns.pods import IMDS_IPV4, NODE_IPV4, POD_IPV4, POD_IPV6, Namespace, Pod
from tests.support.wire.process import LIST, MAIN, ROLE_ARN, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ASK = """
import errno, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
try:
    with socket.create_connection((host, port), 1) as client:
        client.sendall(f"{sys.argv[3]} HTTP/1.0\\r\\n\\r\\n".encode())
        print(client.recv(4096).split()[1].decode())
except TimeoutError:
    print("no answer")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
PORT, HEALTH_PORT = names.PORT_DEFAULT, names.HEALTH_PORT_DEFAULT


@contextlib.contextmanager
def emulator(pod: Pod, folder: Path, **settings: str) -> Iterator[None]:
    """Run the emulator in a pod, with a token."""
    token = folder / "token"
    token.write_text("token")
    settings = {"AWS_ROLE_ARN": ROLE_ARN, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), **settings}
    command = pod.enter(sys.executable, "-I", "-S", "-c", MAIN, "serve")
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **settings}, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: ask(pod, "127.0.0.1", PORT) == "200", "the emulator")
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def pod(new_pod: Callable[..., Pod], tmp_path: Path) -> Iterator[Pod]:
    """Run the emulator in a pod of both families, behind the redirect."""
    pod = new_pod(ipv4=True, ipv6=True)
    assert pod.redirect().status == 0
    with emulator(pod, tmp_path):
        yield pod


def ask(who: Namespace, host: str, port: int, request: str = f"GET {LIST}") -> str:
    """Return the status that somebody gets for the role list, or why there is none."""
    return who.run(sys.executable, "-I", "-c", ASK, host, str(port), request).out.strip()


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


WATCH = """
import select, socket, sys
wires = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
seen = set()
print("ready", flush=True)
while wires in select.select([wires, sys.stdin], [], [])[0]:
    frame, (interface, protocol, kind, *_) = wires.recvfrom(65536)
    if interface != "lo" and kind == socket.PACKET_OUTGOING and protocol == 0x0800:
        ports = frame[14 + 4 * (frame[14] & 15) :]
        seen.add(f"{socket.inet_ntoa(frame[30:34])}:{int.from_bytes(ports[2:4], 'big')}")
print(*sorted(seen))
"""
METRICS = f"""
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:{HEALTH_PORT}/metrics").read().decode())
"""


@pytest.mark.claim("S04")
def test_connects_to_sts_alone(new_pod: Callable[..., Pod], tmp_path: Path) -> None:
    """From its start on, through failing exchanges and hostile requests, it sends packets to STS and to nobody else."""
    pod = new_pod()
    watch = subprocess.Popen(
        pod.enter(sys.executable, "-I", "-c", WATCH), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert watch.stdout is not None
    assert watch.stdout.readline() == "ready\n"
    requests = (
        f"GET http://{NODE_IPV4}:81/",
        f"CONNECT {NODE_IPV4}:82",
        f"GET {LIST}app-role",
        "GET /latest/user-data",
    )
    others = {
        "KUBERNETES_SERVICE_HOST": NODE_IPV4,
        "KUBERNETES_SERVICE_PORT": "6443",
        "HTTP_PROXY": f"{NODE_IPV4}:3128",
    }
    with emulator(pod, tmp_path, AWS_ENDPOINT_URL_STS=f"https://{NODE_IPV4}:8443", **others):
        for request in requests:
            ask(pod, "127.0.0.1", PORT, request)
        wait_until(lambda: "ConnectFailed" in pod.run(sys.executable, "-c", METRICS).out, "an exchange")
        told, _ = watch.communicate("")

    assert [f"{NODE_IPV4}:8443"] == told.split()


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
