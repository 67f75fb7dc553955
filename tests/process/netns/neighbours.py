"""Others that write rules into a pod's network, or beside it on the node: what each writes, and what it then does."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.netns.pods import EMULATOR_UID, IMDS_IPV4, NODE_IPV4, POD_IPV4, Pod
from tests.support.tools import programs
from tests.support.tools.table import find

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.netns.peer import Listener
    from tests.support.netns.pods import Question

API = Path(__file__).with_name("api.py")
API_PORT = 8001
SERVICE = "10.96.0.10"
RULES = Path(__file__).with_name("rules")
BACKENDS = ("nft", "legacy")
APP_UID = 1000
ANY = "0.0.0.0"  # noqa: S104 - as Envoy and apps do
HEALTH_PORT = 16926


@dataclass(frozen=True)
class Neighbour:
    """Who it is, in which version, how its rules get in, and for a mesh the user and ports of its proxy."""

    name: str
    version: str
    write: Callable[[Pod], None]
    proxy_uid: int = 0
    outbound: int = 0
    inbound: int = 0
    dns: int = 0
    service: bool = False  # it makes a Service of the cluster reachable

    @property
    def is_mesh(self) -> bool:
        """Tell whether it takes all traffic to a proxy."""
        return self.proxy_uid > 0

    def proxy(self) -> list[Listener]:
        """Return where the mesh's proxy listens."""
        ports = (("outbound", self.outbound), ("inbound", self.inbound), ("dns", self.dns))
        return [(word, ANY, port, self.proxy_uid) for word, port in ports if port]


def done(pod: Pod, *command: str, stdin: str = "") -> None:
    """Run a neighbour's program in a pod; it must succeed."""
    result = pod.run(*command, stdin=stdin)
    assert result.status == 0, f"{command}: {result.out}{result.err}"


def restored(name: str, backend: str) -> Callable[[Pod], None]:
    """Return what writes a file of iptables rules by one backend."""
    rules = (RULES / f"{name}.iptables").read_text()
    return lambda pod: done(pod, f"iptables-{backend}-restore", "--noflush", stdin=rules)


def istio(*options: str) -> Callable[[Pod], None]:
    """Return what runs Istio's own program as its injector's template does."""
    usual = (
        "-p",
        "15001",
        "-z",
        "15006",
        "-u",
        "1337",
        "-m",
        "REDIRECT",
        "-i",
        "*",
        "-b",
        "*",
        "-d",
        "15090,15021,15020",
    )
    return lambda pod: done(pod, str(programs.path("istio-iptables")), *usual, *options)


def istio_iptables(backend: str) -> Callable[[Pod], None]:
    """Return what runs Istio's program with one backend of iptables, DNS included."""
    return istio("--redirect-dns", "--capture-all-dns", "--force-iptables-binary", backend)


def kube_proxy(pod: Pod) -> None:
    """Run kube-proxy in nftables mode on the node, for one Service; returns once the pod reaches it."""
    api = pod.node.start(sys.executable, str(API), str(API_PORT), SERVICE, "80", NODE_IPV4, "443")
    assert api.stdout is not None
    assert api.stdout.readline() == "ready\n"
    options = ("--proxy-mode=nftables", "--hostname-override=node", "--conntrack-max-per-core=0")
    pod.node.start(str(programs.path("kube-proxy")), *options, f"--master=http://127.0.0.1:{API_PORT}")
    end = time.monotonic() + 60
    while pod.node.run("nft", "list", "map", "ip", "kube-proxy", "service-ips").out.count(SERVICE) == 0:
        assert time.monotonic() < end, "kube-proxy wrote no rule within a minute"
        time.sleep(0.1)


ISTIO_VERSION = find("istio-iptables").version
NEIGHBOURS = (
    *(
        Neighbour(f"Istio, iptables ({backend})", ISTIO_VERSION, istio_iptables(backend), 1337, 15001, 15006, 15053)
        for backend in BACKENDS
    ),
    Neighbour("Istio, native nftables", ISTIO_VERSION, istio("--native-nftables"), 1337, 15001, 15006),
    *(
        Neighbour(
            f"Linkerd, iptables ({backend})",
            "linkerd2-proxy-init 13138e5",
            restored("linkerd", backend),
            proxy_uid=2102,
            outbound=4140,
            inbound=4143,
        )
        for backend in BACKENDS
    ),
    *(
        Neighbour(
            f"Kuma, iptables ({backend})",
            "kuma 16cdfeb",
            restored("kuma", backend),
            proxy_uid=5678,
            outbound=15001,
            inbound=15006,
            dns=15053,
        )
        for backend in BACKENDS
    ),
    *(Neighbour(f"a DROP of the address, iptables ({backend})", "", restored("drop", backend)) for backend in BACKENDS),
    Neighbour("kube-proxy on the node, nftables", find("kube-proxy").version, kube_proxy, service=True),
    Neighbour("a DROP of the address, nftables", "", lambda pod: done(pod, "nft", "-f", str(RULES / "drop.nft"))),
)


def inside(neighbour: Neighbour | None) -> list[Listener]:
    """Return who answers in the pod: the app, the emulator's health port, and a mesh's proxy."""
    proxy = neighbour.proxy() if neighbour else []
    return [("app", ANY, 8080, APP_UID), ("health", ANY, HEALTH_PORT, EMULATOR_UID), *proxy]


OUTSIDE: list[Listener] = [("host", NODE_IPV4, 443, 0), ("host", NODE_IPV4, 53, 0)]


def traffic(pod: Pod, neighbour: Neighbour) -> tuple[dict[str, str], dict[str, str]]:
    """Return who gets what: the traffic that is the neighbour's business and not ours, and ours."""
    from_pod: dict[str, Question] = {
        "the app's connections": ("tcp", NODE_IPV4, 443, APP_UID),
        "the app's DNS": ("udp", NODE_IPV4, 53, APP_UID),
        "the app's datagrams": ("udp", NODE_IPV4, 443, APP_UID),
        "the proxy's connections": ("tcp", NODE_IPV4, 443, neighbour.proxy_uid),
        "the app's, to itself": ("tcp", "127.0.0.1", 8080, APP_UID),
        "the app's, to its own address": ("tcp", POD_IPV4, 8080, APP_UID),
        "the app's, to the metadata address": ("tcp", IMDS_IPV4, 80, APP_UID),
        "the emulator's, to STS": ("tcp", NODE_IPV4, 443, EMULATOR_UID),
        "the emulator's DNS": ("udp", NODE_IPV4, 53, EMULATOR_UID),
    }
    if neighbour.service:
        from_pod["the app's, to a Service"] = ("tcp", SERVICE, 80, APP_UID)
    from_node: dict[str, Question] = {
        "to the app": ("tcp", POD_IPV4, 8080, 0),
        "the kubelet's, to the health port": ("tcp", POD_IPV4, HEALTH_PORT, 0),
    }
    answers = dict(
        zip(
            (*from_pod, *from_node),
            (*pod.ask_all([*from_pod.values()]), *pod.node.ask_all([*from_node.values()])),
            strict=True,
        )
    )
    return (
        {name: answer for name, answer in answers.items() if name not in OURS},
        {name: answer for name, answer in answers.items() if name in OURS},
    )


OURS = {
    "the app's, to the metadata address": "emulator",
    "the emulator's, to STS": "host",
    "the emulator's DNS": "host",
    "the kubelet's, to the health port": "health",
}
