"""`imds-emulator redirect` where there is no nf_tables: by iptables, in each of its two backends."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.netns.pods import IMDS_IPV4, IMDS_IPV6, NODE_IPV4, ROOT, Pod

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BACKENDS = ("nft", "legacy")
JUMP = "-A OUTPUT -j IMDS_EMULATOR"
RULE = "-A IMDS_EMULATOR -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 16925"
OURS = ["-N IMDS_EMULATOR", JUMP, RULE]
OURS_IPV6 = [line.replace("169.254.169.254/32", "fd00:ec2::254/128") for line in OURS]
LOST = (
    "imds-emulator redirect: not in effect on this node: the exemption of the emulator's connections from a mesh, "
    "the drop of other TCP to the metadata addresses, the drop of raw frames (nft: program not found)\n"
)


def mesh(pod: Pod, backend: str) -> list[str]:
    """Take all TCP of the pod to port 15001, as a service mesh does; returns its rules."""
    for rule in (
        "-N MESH",
        "-A MESH -m owner --uid-owner 1337 -j RETURN",
        "-A MESH -p tcp -j REDIRECT --to-ports 15001",
        "-A OUTPUT -p tcp -j MESH",
    ):
        assert pod.run(f"iptables-{backend}", "-w", "-t", "nat", *rule.split()).status == 0
    pod.serve("mesh", "127.0.0.1", 15001)
    return [line for line in pod.rules(f"iptables-{backend}") if "MESH" in line]


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend(pod: Pod, path_with: Callable[..., str], backend: str) -> None:
    """A node with only nf_tables or only ip_tables: the rule is in effect."""
    result = pod.redirect(PATH=path_with(backend))

    by = f"imds-emulator redirect: 169.254.169.254 port 80 is redirected to port 16925 by iptables-{backend}\n"
    assert LOST + by == result.out
    assert (0, "") == (result.status, result.err)
    assert pod.rules(f"iptables-{backend}") == OURS
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


@pytest.mark.parametrize("backend", BACKENDS)
def test_mesh_before(pod: Pod, path_with: Callable[..., str], backend: str) -> None:
    """A mesh that was there first keeps all traffic but that to the metadata address."""
    path = path_with(*BACKENDS)
    foreign = mesh(pod, backend)

    assert pod.redirect(PATH=path).status == 0
    assert ("emulator", "mesh") == (pod.ask(IMDS_IPV4, 80), pod.ask(NODE_IPV4, 80))
    assert foreign == [line for line in pod.rules(f"iptables-{backend}") if "MESH" in line]


@pytest.mark.parametrize("backend", BACKENDS)
def test_mesh_after(pod: Pod, path_with: Callable[..., str], backend: str) -> None:
    """A mesh that comes later, with whichever backend, does not get before the redirect."""
    assert pod.redirect(PATH=path_with(*BACKENDS)).status == 0
    mesh(pod, backend)

    assert ("emulator", "mesh") == (pod.ask(IMDS_IPV4, 80), pod.ask(NODE_IPV4, 80))


def test_first_again(pod: Pod, path_with: Callable[..., str]) -> None:
    """A rule that was put before the redirect is behind it after the next run."""
    path = path_with("nft")
    assert pod.redirect(PATH=path).status == 0
    in_front = ["-w", "-t", "nat", "-I", "OUTPUT", "-p", "tcp", "-j", "REDIRECT", "--to-ports", "15001"]
    assert pod.run("iptables-nft", *in_front).status == 0
    pod.serve("mesh", "127.0.0.1", 15001)
    between = pod.ask(IMDS_IPV4, 80)

    assert pod.redirect(PATH=path).status == 0
    assert ("mesh", "emulator") == (between, pod.ask(IMDS_IPV4, 80))
    assert [*OURS[:2], "-A OUTPUT -p tcp -j REDIRECT --to-ports 15001", RULE] == pod.rules("iptables-nft")


def test_waits_for_the_lock(pod: Pod, path_with: Callable[..., str], tmp_path: Path) -> None:
    """While another program holds the lock of the tables it waits, then does its work."""
    lock = tmp_path / "xtables.lock"
    environment = {"PATH": path_with("legacy"), "XTABLES_LOCKFILE": str(lock)}
    command = pod.enter("env", *(f"{name}={value}" for name, value in environment.items()), sys.executable, "-m")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with subprocess.Popen([*command, "emulator", "redirect"], env={"PYTHONPATH": str(ROOT / "src")}) as waiting:
            until_waiting(waiting.pid)
            held = waiting.poll()
            fcntl.flock(file, fcntl.LOCK_UN)
            status = waiting.wait(timeout=60)

    assert (None, 0) == (held, status)
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


def until_waiting(pid: int, seconds: float = 30) -> None:
    """Return once a child of this process is an iptables that sleeps for the lock."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        listing = ["ps", "-o", "args=,wchan:32=", "--ppid", str(pid)]
        found = subprocess.run(listing, capture_output=True, text=True, check=False)
        if re.search(r"iptables-legacy .*(nanosleep|lock)", found.stdout):
            return
        time.sleep(0.05)
    raise AssertionError(found.stdout)


def test_lock_held_for_good(pod: Pod, path_with: Callable[..., str], tmp_path: Path) -> None:
    """A lock that is never let go ends in a line that says so, not in a pod that waits without a word."""
    lock = tmp_path / "xtables.lock"
    code = (
        "from emulator.redirect import iptables, redirect; iptables.LOCK_SECONDS = 1;"
        " raise SystemExit(redirect.main([]))"
    )
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = pod.run(sys.executable, "-c", code, PATH=path_with("legacy"), XTABLES_LOCKFILE=str(lock))

    assert (1, 1) == (result.status, result.err.count("\n"))
    assert f"{lock}: Resource temporarily unavailable" in result.err


@pytest.mark.parametrize("ipv4", [True, False])
def test_no_ipv6_tables(new_pod: Callable[..., Pod], path_with: Callable[..., str], ipv4: bool) -> None:  # noqa: FBT001
    """A lack of IPv6 tables fails no pod: IPv4 is served, and fd00:ec2::254 ends in the pod, not at the node."""
    pod = new_pod(ipv4=ipv4, ipv6=True)
    pod.start_emulator()
    before = pod.ask(IMDS_IPV6, 80)

    result = pod.redirect(PATH=path_with("nft", families=("iptables",)))

    assert (0, "") == (result.status, result.err)
    assert (
        "imds-emulator redirect: fd00:ec2::254 port 80 is closed: IPv6 nat tables are missing "
        "(ip6tables-nft: program not found; ip6tables-legacy: program not found)"
    ) in result.out
    assert ("node", "emulator", "ECONNREFUSED") == (before, pod.ask(IMDS_IPV4, 80), pod.ask(IMDS_IPV6, 80))


def test_ipv6_only_without_ipv4_tables(new_pod: Callable[..., Pod], path_with: Callable[..., str]) -> None:
    """A pod with IPv6 alone needs no IPv4 tables: nothing leads to the node by IPv4."""
    pod = new_pod(ipv4=False, ipv6=True)
    pod.start_emulator()

    result = pod.redirect(PATH=path_with("nft", families=("ip6tables",)))

    assert (0, "") == (result.status, result.err)
    assert ("ECONNREFUSED", "emulator") == (pod.ask(IMDS_IPV4, 80), pod.ask(IMDS_IPV6, 80))


def test_ipv6_only_without_any_tables(new_pod: Callable[..., Pod], tmp_path: Path) -> None:
    """A pod that would be served at no address does not start."""
    result = new_pod(ipv4=False, ipv6=True).redirect(PATH=str(tmp_path))

    assert (1, "") == (result.status, result.out)
    assert 1 == result.err.count("\n")
    assert "169.254.169.254 port 80 is closed" in result.err
    assert "fd00:ec2::254 port 80 is closed" in result.err


def test_dual_stack_without_ipv4_tables(new_pod: Callable[..., Pod], path_with: Callable[..., str]) -> None:
    """With a way to the node by IPv4 there must be IPv4 tables: clients ask at that address first."""
    result = new_pod(ipv6=True).redirect(PATH=path_with("nft", families=("ip6tables",)))

    assert (1, "") == (result.status, result.out)
    assert "IPv4 nat tables are missing" in result.err


def test_each_family(new_pod: Callable[..., Pod], path_with: Callable[..., str]) -> None:
    """A pod with both families has the rule in both, and once however often the program runs."""
    pod = new_pod(ipv6=True)
    pod.start_emulator()
    path = path_with("nft")

    assert [0, 0] == [pod.redirect(PATH=path).status for _ in range(2)]
    assert (OURS, OURS_IPV6) == (pod.rules("iptables-nft"), pod.rules("ip6tables-nft"))
    assert ("emulator", "emulator") == (pod.ask(IMDS_IPV4, 80), pod.ask(IMDS_IPV6, 80))


def test_rules_of_before(pod: Pod, path_with: Callable[..., str]) -> None:
    """Rules that an earlier version wrote, whose jump had a comment, are replaced by ours and not added to."""
    path = path_with("nft")
    comment = "-m comment --comment imds-emulator"
    for words in (
        "-N IMDS_EMULATOR",
        f"-A IMDS_EMULATOR -d 169.254.169.254/32 -p tcp -m tcp --dport 80 {comment} -j REDIRECT --to-ports 18080",
        f"-A OUTPUT {comment} -j IMDS_EMULATOR",
    ):
        assert pod.run("iptables-nft", "-w", "-t", "nat", *words.split()).status == 0

    assert pod.redirect(PATH=path).status == 0
    assert OURS == pod.rules("iptables-nft")
