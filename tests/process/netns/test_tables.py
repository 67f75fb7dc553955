"""Our tables in nftables: what is there, what others keep, and what holds where the kernel lacks a part."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.netns.pods import IMDS_IPV4, IMDS_IPV6, NODE_IPV4, POD_IPV4, Pod, program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OURS = {"table inet imds-emulator", "table netdev imds-emulator"}
LACKS = "imds-emulator redirect: not in effect on this node: {} (nft: Error: Could not process rule: Not supported)\n"
REDIRECTED = "imds-emulator redirect: 169.254.169.254 port 80 is redirected to port 16925 by {}\n"

# nft as on a kernel that lacks what a word of its input stands for.
LACKING = """#!{python}
import subprocess, sys
given = sys.stdin.read() if "-f" in sys.argv else ""
if {word!r} in given:
    sys.exit("Error: Could not process rule: Not supported")
sys.exit(subprocess.run([{nft!r}, *sys.argv[1:]], input=given, text=True).returncode)
"""


def tables(pod: Pod) -> set[str]:
    """Return the tables of the pod that nftables lists."""
    return set(pod.run("nft", "list", "tables").out.splitlines())


@pytest.fixture
def path_lacking(tmp_path: Path) -> Callable[[str], str]:
    """Make a PATH whose nft fails for input that has this word."""

    def make(word: str) -> str:
        for name in ("iptables", "ip6tables"):
            for suffix in ("-nft", "-nft-restore", "-legacy", "-legacy-restore"):
                (tmp_path / f"{name}{suffix}").symlink_to(program(f"{name}{suffix}"))
        wrapper = tmp_path / "nft"
        wrapper.write_text(LACKING.format(python=sys.executable, word=word, nft=program("nft")))
        wrapper.chmod(0o755)
        return str(tmp_path)

    return make


def test_only_ours(pod: Pod) -> None:
    """What is written is two tables of our own; iptables gets nothing, and other tables stay."""
    foreign = "add table inet other; add chain inet other c { type filter hook output priority 5; }"
    assert pod.run("nft", foreign).status == 0
    before = pod.run("nft", "list", "table", "inet", "other").out

    assert pod.redirect().status == 0
    assert OURS | {"table inet other"} == tables(pod)
    assert before == pod.run("nft", "list", "table", "inet", "other").out
    assert [] == pod.rules("iptables-legacy")


def test_replaces_what_is_there(pod: Pod) -> None:
    """What somebody changed in our tables is undone by the next run."""
    assert pod.redirect().status == 0
    right = pod.run("nft", "list", "ruleset").out
    for change in (
        "insert rule inet imds-emulator redirected accept",
        "flush chain inet imds-emulator closed",
        "delete table netdev imds-emulator",
        "add chain inet imds-emulator another",
    ):
        assert pod.run("nft", change).status == 0

    assert pod.redirect().status == 0
    assert right == pod.run("nft", "list", "ruleset").out


def test_beside_rules_of_before(pod: Pod) -> None:
    """What version 0.1.0 wrote by iptables, to another port, does no harm."""
    comment = "-m comment --comment imds-emulator"
    for words in (
        "-N IMDS_EMULATOR",
        f"-A IMDS_EMULATOR -d 169.254.169.254/32 -p tcp -m tcp --dport 80 {comment} -j REDIRECT --to-ports 18080",
        f"-A OUTPUT {comment} -j IMDS_EMULATOR",
    ):
        assert pod.run("iptables-nft", "-w", "-t", "nat", *words.split()).status == 0

    assert pod.redirect().status == 0
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


@pytest.mark.parametrize(
    ("word", "lost"),
    [
        ('"egress"', "the drop of raw frames"),
        ('"closed"', "the drop of other TCP to the metadata addresses"),
        ('"probes"', "the exemption of the emulator's connections from a mesh"),
    ],
)
def test_kernel_lacks_a_part(pod: Pod, path_lacking: Callable[[str], str], word: str, lost: str) -> None:
    """Where the kernel lacks a part, the others are there and one line says what is not."""
    result = pod.redirect(PATH=path_lacking(word))

    assert (0, "") == (result.status, result.err)
    assert LACKS.format(lost) + REDIRECTED.format("nft") == result.out
    assert "emulator" == pod.ask(IMDS_IPV4, 80)
    listed = pod.run("nft", "list", "ruleset").out
    assert {'"egress"', '"closed"', '"probes"'} - {word} == {
        f'"{name}"' for name in ("egress", "closed", "probes") if f"chain {name}" in listed
    }


def test_kernel_lacks_nat(pod: Pod, path_lacking: Callable[[str], str]) -> None:
    """Without nat in family inet the redirect is by iptables, and the drops are there."""
    pod.node.serve("node", IMDS_IPV4, 8080)
    result = pod.redirect(PATH=path_lacking('"nat"'))

    assert (0, "") == (result.status, result.err)
    by = REDIRECTED.format("iptables-nft, iptables-legacy")
    assert LACKS.format("the exemption of the emulator's connections from a mesh") + by == result.out
    assert ("emulator", "timeout") == (pod.ask(IMDS_IPV4, 80), pod.ask(IMDS_IPV4, 8080))


def test_written_and_not_there(pod: Pod, tmp_path: Path) -> None:
    """Rules that the program says it wrote, and that are not there, are a failure."""
    wrapper = tmp_path / "nft"
    wrapper.write_text(f'#!/bin/sh\nexec {program("nft")} -c "$@"\n')
    wrapper.chmod(0o755)

    result = pod.redirect(PATH=str(tmp_path))

    assert (1, "", 1) == (result.status, result.out, result.err.count("\n"))
    assert "or annotate the pod imds-emulator/redirect: env" in result.err
    assert "node" == pod.ask(IMDS_IPV4, 80)


def test_other_link_local_addresses(pod: Pod) -> None:
    """The cloud's DNS and clock, and the credentials of ECS and EKS, are as without us."""
    others = {"169.254.169.253": 53, "169.254.169.123": 123, "169.254.170.2": 80, "169.254.170.23": 80}
    for address, port in others.items():
        pod.node.ip("address", "add", address, "dev", "lo")
        pod.node.serve("node", address, port)
    assert pod.redirect().status == 0

    asked = {
        (address, kind): pod.ask(address, port, kind) for address, port in others.items() for kind in ("tcp", "udp")
    }

    assert dict.fromkeys(asked, "node") == asked


@pytest.mark.parametrize("port", [53, 123])
def test_dns_and_time(pod: Pod, port: int) -> None:
    """On some machines the metadata address is the DNS and NTP server too: UDP gets there."""
    pod.node.serve("node", IMDS_IPV4, port)
    assert pod.redirect().status == 0

    assert "node" == pod.ask(IMDS_IPV4, port, "udp")


def test_emulator_uses_the_network(pod: Pod) -> None:
    """What the emulator itself sends, and what reaches its health port, goes where it went before."""
    pod.node.serve("host", NODE_IPV4, 443)
    pod.serve("health", "0.0.0.0", 16926)  # noqa: S104
    assert pod.redirect().status == 0

    assert ("host", "host", "health") == (
        pod.ask(NODE_IPV4, 443, uid=16925),
        pod.ask(NODE_IPV4, 443, "udp", uid=16925),
        pod.node.ask(POD_IPV4, 16926),
    )


def test_no_devices(new_pod: Callable[..., Pod]) -> None:
    """A pod with no interface but loopback has no frames to keep in."""
    pod = new_pod()
    pod.ip("link", "delete", "eth0")

    result = pod.redirect()

    assert (0, REDIRECTED.format("nft"), "") == (result.status, result.out, result.err)
    assert {"table inet imds-emulator"} == tables(pod)
    assert "ENETUNREACH" == pod.ask(IMDS_IPV6, 80)
