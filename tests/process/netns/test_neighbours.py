"""Beside each of those who write rules, before ours, after ours, and ours once more."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import pytest

from tests.process.netns.neighbours import NEIGHBOURS, OURS, OUTSIDE, Neighbour, inside, traffic
from tests.support.netns.pods import Pod, new_name

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = {"theirs first": "theirs ours", "ours first": "ours theirs", "ours once more": "ours theirs ours"}
MESHES = [neighbour for neighbour in NEIGHBOURS if neighbour.is_mesh]


@pytest.fixture
def make(new_pod: Callable[..., Pod]) -> Callable[[Neighbour | None], Pod]:
    """Make pods with an emulator, an app, a host to call, a neighbour's proxy, and nobody's rules."""

    def pod(neighbour: Neighbour | None) -> Pod:
        return furnished(new_pod(), neighbour)

    return pod


def furnished(pod: Pod, neighbour: Neighbour | None) -> Pod:
    """Have somebody answer wherever traffic may go."""
    pod.start_emulator()
    pod.serve_all(inside(neighbour))
    pod.node.serve_all(OUTSIDE)
    return pod


@functools.cache
def without_us(neighbour: Neighbour) -> tuple[dict[str, str], dict[str, str]]:
    """Return who gets what where there are no rules of ours."""
    pod = furnished(Pod(new_name()), neighbour)
    try:
        neighbour.write(pod)
        return traffic(pod, neighbour)
    finally:
        pod.delete()


def theirs(pod: Pod) -> list[object]:
    """Return all rules but ours, as nftables and iptables print them."""
    listed = json.loads(pod.run("nft", "--json", "--stateless", "list", "ruleset").out)["nftables"]
    kept = [each for each in listed if "imds-emulator" not in str(each)]
    legacy = pod.run("iptables-legacy-save").out.splitlines()
    return [*kept, *(line for line in legacy if line.startswith("-"))]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("neighbour", NEIGHBOURS, ids=lambda neighbour: neighbour.name)
@pytest.mark.claim("S30", "S35")
def test_beside(make: Callable[[Neighbour | None], Pod], neighbour: Neighbour, order: str) -> None:
    """The emulator answers, what is its own is let through, and the neighbour's traffic is as without us."""
    pod = make(neighbour)
    for turn in ORDERS[order].split():
        before = theirs(pod)
        if turn == "theirs":
            neighbour.write(pod)
        else:
            result = pod.redirect()
            assert (0, "", before) == (result.status, result.err, theirs(pod))
    expected, in_the_way = without_us(neighbour)

    assert in_the_way != OURS  # else the test sees nothing
    assert (expected, OURS) == traffic(pod, neighbour)


@pytest.mark.parametrize("neighbour", MESHES, ids=lambda neighbour: neighbour.name)
@pytest.mark.claim("S35")
def test_no_proxy_yet(make: Callable[[Neighbour | None], Pod], neighbour: Neighbour) -> None:
    """A mesh's rules without its proxy, as its CNI plugin leaves them, hold up neither exchange nor probes."""
    pod = make(None)
    neighbour.write(pod)
    _, held_up = traffic(pod, neighbour)
    assert pod.redirect().status == 0

    assert "ECONNREFUSED" == held_up["the emulator's, to STS"]
    assert OURS == traffic(pod, neighbour)[1]
