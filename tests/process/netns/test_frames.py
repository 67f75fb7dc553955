"""What a container with the usual capabilities sends by raw sockets does not leave its pod."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.netns import frames
from tests.support.netns.frames import CLOSED, OPEN
from tests.support.netns.pods import IMDS_IPV6, Pod

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES = Path(frames.__file__)
# Of the runtime's defaults (runc, containerd) the one that these sockets need.
USUAL = ("setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw")
# Behind the node's side of the link, before any rule of the node.
COUNTED = """
table inet counted {
  counter seen {}
  chain arrivals {
    type filter hook prerouting priority -500
    ip daddr { 169.254.169.254, 192.0.2.1 } ip protocol { tcp, udp } iifname pod counter name seen drop
    ip6 daddr fd00:ec2::254 iifname pod counter name seen drop
  }
}
"""


def sent(pod: Pod, *names: str) -> tuple[int, list[str]]:
    """Send these cases; returns how many packets came past the node's side of the link, and the sender's errors."""
    link = json.loads(pod.node.run("ip", "-json", "link", "show", "pod").out)[0]
    pod.node.run("nft", "reset", "counters")
    done = pod.run(*USUAL, sys.executable, str(FRAMES), link["address"], *names)
    assert (0, "") == (done.status, done.err)
    counters = json.loads(pod.node.run("nft", "--json", "list", "counters").out)["nftables"]
    (packets,) = (each["counter"]["packets"] for each in counters if "counter" in each)
    return packets, done.out.splitlines()


@pytest.fixture
def watched(new_pod: Callable[..., Pod]) -> Pod:
    """Return a pod of both families whose node counts what arrives for the metadata addresses."""
    pod = new_pod(ipv6=True)
    assert pod.node.run("nft", COUNTED).status == 0
    return pod


@pytest.mark.claim("S34")
def test_closed(watched: Pod) -> None:
    """TCP for the metadata addresses does not come past the node's side of the link, however it is written."""
    assert (len(CLOSED), [""] * len(CLOSED)) == sent(watched, *CLOSED)  # without us: the test sees all of them

    assert watched.redirect().status == 0
    if sent(watched, *CLOSED)[0]:
        assert [] == [name for name in CLOSED if sent(watched, name)[0]]  # which


def test_open(watched: Pod) -> None:
    """DNS and NTP at the metadata addresses, and frames for others, leave as before."""
    assert watched.redirect().status == 0
    assert (len(OPEN), [""] * len(OPEN)) == sent(watched, *OPEN)


@pytest.mark.claim("S34")
def test_later_address(new_pod: Callable[..., Pod]) -> None:
    """A pod that gets IPv6 after the init container does not reach the node at fd00:ec2::254."""
    pod = new_pod()
    pod.start_emulator()
    assert pod.redirect().status == 0
    pod.give_ipv6()
    answers = {"redirected": pod.ask(IMDS_IPV6, 80), "datagram": pod.ask(IMDS_IPV6, 80, "udp")}

    assert {"redirected": "emulator", "datagram": "node"} == answers


@pytest.mark.claim("S34")
def test_later_interface(new_pod: Callable[..., Pod]) -> None:
    """Nor does one that gets another interface then; with nobody on ::1, it reaches nobody."""
    pod = new_pod()
    pod.serve("emulator", "127.0.0.1", 16925, 16925)
    assert pod.redirect().status == 0
    pod.add_interface()
    pod.node.serve("node", IMDS_IPV6, 8080)

    assert ("ECONNREFUSED", "timeout", "node") == (
        pod.ask(IMDS_IPV6, 80),
        pod.ask(IMDS_IPV6, 8080),
        pod.ask(IMDS_IPV6, 8080, "udp"),
    )
