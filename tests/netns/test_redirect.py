"""`imds-emulator redirect` in real network namespaces: what is led where, and what is left alone."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.netns.pods import IMDS_IPV4, IMDS_IPV6, NODE_IPV4, PEER, POD_IPV4, POD_IPV6, ROOT, Pod

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BACKENDS = ("nft", "legacy")
JUMP = "-A OUTPUT -m comment --comment imds-emulator -j IMDS_EMULATOR"
RULE = (
    "-A IMDS_EMULATOR -d 169.254.169.254/32 -p tcp -m tcp --dport 80 "
    "-m comment --comment imds-emulator -j REDIRECT --to-ports 16925"
)
OURS = ["-N IMDS_EMULATOR", JUMP, RULE]
OURS_IPV6 = [line.replace("169.254.169.254/32", "fd00:ec2::254/128") for line in OURS]


def mesh(pod: Pod, backend: str) -> list[str]:
    """Take all TCP of the pod to port 15001, as a service mesh does; returns its rules (C19)."""
    for rule in (
        "-N MESH",
        "-A MESH -m owner --uid-owner 1337 -j RETURN",
        "-A MESH -p tcp -j REDIRECT --to-ports 15001",
        "-A OUTPUT -p tcp -j MESH",
    ):
        assert pod.run(f"iptables-{backend}", "-w", "-t", "nat", *rule.split()).status == 0
    pod.serve("mesh", "127.0.0.1", 15001)
    return [line for line in pod.rules(f"iptables-{backend}") if "MESH" in line]


def test_before(pod: Pod) -> None:
    """Without the redirect the pod reaches the node's metadata service: the tests below see a difference."""
    assert "node" == pod.ask(IMDS_IPV4, 80)


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend(pod: Pod, path_with: Callable[..., str], backend: str) -> None:
    """A node with only nf_tables or only ip_tables: the rule is in effect (C23)."""
    result = pod.redirect(PATH=path_with(backend))

    assert f"imds-emulator redirect: 169.254.169.254 port 80 leads to port 16925 by iptables-{backend}\n" == result.out
    assert (0, "") == (result.status, result.err)
    assert pod.rules(f"iptables-{backend}") == OURS
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


def test_only_this_destination(pod: Pod) -> None:
    """Only TCP to 169.254.169.254:80 is redirected; ports, protocols, hosts and directions beside it are not (C20)."""
    pod.node.serve("node", IMDS_IPV4, 8080)
    pod.node.serve("host", NODE_IPV4, 80)
    pod.serve("app", "0.0.0.0", 80)  # noqa: S104 - a web server in the pod
    assert pod.redirect().status == 0

    answers = {
        "metadata": pod.ask(IMDS_IPV4, 80),
        "other port": pod.ask(IMDS_IPV4, 8080),
        "udp": pod.ask(IMDS_IPV4, 80, "udp"),
        "other host": pod.ask(NODE_IPV4, 80),
        "own port 80 by loopback": pod.ask("127.0.0.1", 80),
        "own port 80 by the pod's address": pod.ask(POD_IPV4, 80),
        "inbound": pod.node.ask(POD_IPV4, 80),
    }

    assert answers == {
        "metadata": "emulator",
        "other port": "node",
        "udp": "node",
        "other host": "host",
        "own port 80 by loopback": "app",
        "own port 80 by the pod's address": "app",
        "inbound": "app",
    }


@pytest.mark.parametrize("user", [0, 1000, 1337, 16925])
def test_every_user(pod: Pod, user: int) -> None:
    """No uid is exempt: not the emulator's own, nor a mesh's."""
    assert pod.redirect().status == 0

    as_user = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
    asked = pod.run(*as_user, sys.executable, "-I", "-c", PEER.read_text(), "ask", "tcp", IMDS_IPV4, "80")

    assert ("emulator\n", "") == (asked.out, asked.err)


@pytest.mark.parametrize("backend", BACKENDS)
def test_mesh_before(pod: Pod, working: set[str], backend: str) -> None:
    """A mesh that was there first keeps all traffic but that to the metadata address (C19)."""
    if backend not in working:
        pytest.skip(f"this kernel lacks {backend}")
    foreign = mesh(pod, backend)

    assert pod.redirect().status == 0
    assert ("emulator", "mesh") == (pod.ask(IMDS_IPV4, 80), pod.ask(NODE_IPV4, 80))
    assert foreign == [line for line in pod.rules(f"iptables-{backend}") if "MESH" in line]


@pytest.mark.parametrize("backend", BACKENDS)
def test_mesh_after(pod: Pod, working: set[str], backend: str) -> None:
    """A mesh that comes later, with whichever backend, does not get before the redirect (C19)."""
    if backend not in working:
        pytest.skip(f"this kernel lacks {backend}")
    assert pod.redirect().status == 0
    mesh(pod, backend)

    assert ("emulator", "mesh") == (pod.ask(IMDS_IPV4, 80), pod.ask(NODE_IPV4, 80))


def test_first_again(pod: Pod, path_with: Callable[..., str]) -> None:
    """A rule that was put before the redirect is behind it after the next run (C19, C22)."""
    path = path_with("nft")
    assert pod.redirect(PATH=path).status == 0
    in_front = ["-w", "-t", "nat", "-I", "OUTPUT", "-p", "tcp", "-j", "REDIRECT", "--to-ports", "15001"]
    assert pod.run("iptables-nft", *in_front).status == 0
    pod.serve("mesh", "127.0.0.1", 15001)
    between = pod.ask(IMDS_IPV4, 80)

    assert pod.redirect(PATH=path).status == 0
    assert ("mesh", "emulator") == (between, pod.ask(IMDS_IPV4, 80))
    assert [*OURS[:2], "-A OUTPUT -p tcp -j REDIRECT --to-ports 15001", RULE] == pod.rules("iptables-nft")


def test_rerun(pod: Pod, working: set[str]) -> None:
    """The init container runs again after a restart of the sandbox: status 0, exactly one redirect (C22)."""
    assert [0, 0, 0] == [pod.redirect().status for _ in range(3)]
    assert dict.fromkeys(working, OURS) == {name: pod.rules(f"iptables-{name}") for name in working}
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


def test_another_port(pod: Pod) -> None:
    """A run with another port replaces the rule."""
    pod.serve("other", "127.0.0.1", 18080)
    assert pod.redirect().status == 0

    assert pod.redirect(IMDS_EMULATOR_PORT="18080").status == 0
    assert "other" == pod.ask(IMDS_IPV4, 80)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.claim("S30")
def test_never_without(pod: Pod, path_with: Callable[..., str], backend: str) -> None:
    """While the program runs again, no client gets through to the node: rules change in one commit."""
    path = path_with(backend)
    assert pod.redirect(PATH=path).status == 0
    watch = pod.enter(sys.executable, str(PEER), "watch", IMDS_IPV4, "80")

    with subprocess.Popen(watch, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        first = client.stdout.readline()
        runs = [pod.redirect(PATH=path).status for _ in range(5)]
        rest, _ = client.communicate(timeout=30)

    assert [0] * 5 == runs
    assert ("emulator\n", "") == (first, rest)


def test_before_the_emulator(new_pod: Callable[..., Pod]) -> None:
    """As the first container, with nobody on the port yet, it proves the way itself and leaves the port free."""
    pod = new_pod()

    assert pod.redirect().status == 0
    pod.start_emulator()
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


@pytest.mark.claim("S30")
def test_no_effect(new_pod: Callable[..., Pod]) -> None:
    """Rules that are written but don't work, here for a filter on loopback, are a failure, not a success."""
    pod = new_pod()
    block = "-A OUTPUT -p tcp -d 127.0.0.1 --dport 16925 -j REJECT --reject-with tcp-reset"
    assert pod.run("iptables-nft", "-w", *block.split()).status == 0

    result = pod.redirect()

    assert (1, "") == (result.status, result.out)
    assert (
        "imds-emulator redirect: 169.254.169.254 port 80 does not lead to 127.0.0.1 port 16925: "
        "[Errno 111] Connection refused\n"
    ) == result.err


@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit"])
def test_closed_route(pod: Pod, kind: str) -> None:
    """Where the network closes the route to the metadata address, the pod's own address still leads there."""
    pod.ip("route", "add", kind, f"{IMDS_IPV4}/32")

    assert pod.redirect().status == 0
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


@pytest.mark.claim("S30")
def test_no_programs(pod: Pod, tmp_path: Path) -> None:
    """Neither backend: one line that names both, another status than 0, so that the pod does not start (C23)."""
    result = pod.redirect(PATH=str(tmp_path))

    assert (1, "") == (result.status, result.out)
    assert (
        "imds-emulator redirect: no IPv4 nat tables here: load nf_tables or iptable_nat on the node, "
        "or annotate the pod imds-emulator/redirect: env "
        "(iptables-nft: no such program; iptables-legacy: no such program)\n"
    ) == result.err


@pytest.mark.parametrize(
    ("dropped", "named"), [("-net_admin", "NET_ADMIN"), ("-net_admin,-net_raw", "NET_ADMIN and NET_RAW")]
)
@pytest.mark.parametrize("families", [{"ipv4": True}, {"ipv4": False, "ipv6": True}])
@pytest.mark.claim("S30")
def test_no_capability(new_pod: Callable[..., Pod], dropped: str, named: str, families: dict[str, bool]) -> None:
    """Without NET_ADMIN the line says so, and what to do."""
    result = new_pod(**families).redirect("setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}")

    assert (1, "") == (result.status, result.out)
    assert re.fullmatch(
        rf"imds-emulator redirect: no capability {named}: run as uid 0 with NET_ADMIN and NET_RAW, "
        r"or annotate the pod imds-emulator/redirect: env \(iptables-nft: .+; iptables-legacy: .+\)\n",
        result.err,
    )


@pytest.mark.claim("S24")
def test_capabilities_of_the_init_container(pod: Pod) -> None:
    """NET_ADMIN and NET_RAW are all that it needs."""
    only = "-all,+net_admin,+net_raw"

    result = pod.redirect("setpriv", f"--bounding-set={only}", f"--inh-caps={only}")

    assert (0, "") == (result.status, result.err)
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


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
        "from emulator.redirect import command, iptables; iptables.LOCK_SECONDS = 1; raise SystemExit(command.main([]))"
    )
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = pod.run(sys.executable, "-c", code, PATH=path_with("legacy"), XTABLES_LOCKFILE=str(lock))

    assert (1, 1) == (result.status, result.err.count("\n"))
    assert f"{lock}: Resource temporarily unavailable" in result.err


def test_ipv4_pod_gets_nothing_of_ipv6(pod: Pod) -> None:
    """In a pod without IPv6 nothing of IPv6 is touched: resolvers look at which addresses there are."""
    assert pod.redirect().status == 0
    assert [] == pod.rules("ip6tables-nft")
    assert "fd00" not in pod.run("ip", "address").out


def test_dual_stack(new_pod: Callable[..., Pod]) -> None:
    """A pod with both families is served at both addresses, and no other IPv6 is touched."""
    pod = new_pod(ipv6=True)
    pod.start_emulator()
    pod.serve("app", POD_IPV6, 80)

    result = pod.redirect()

    assert (0, "") == (result.status, result.err)
    assert OURS_IPV6 == pod.rules("ip6tables-nft")
    assert ("emulator", "emulator", "app", "node") == (
        pod.ask(IMDS_IPV4, 80),
        pod.ask(IMDS_IPV6, 80),
        pod.node.ask(POD_IPV6, 80),
        pod.ask(IMDS_IPV6, 80, "udp"),
    )


def test_ipv6_only(new_pod: Callable[..., Pod]) -> None:
    """A pod with IPv6 alone is served at 169.254.169.254 too: the address is put on `lo`, once."""
    pod = new_pod(ipv4=False, ipv6=True)
    pod.start_emulator()
    before = pod.ask(IMDS_IPV4, 80)

    assert [0, 0] == [pod.redirect().status, pod.redirect().status]
    assert ("ENETUNREACH", "emulator", "emulator") == (before, pod.ask(IMDS_IPV4, 80), pod.ask(IMDS_IPV6, 80))
    assert 1 == pod.run("ip", "address", "show", "dev", "lo").out.count("inet 169.254.169.254/32 scope host lo")


@pytest.mark.parametrize("ipv4", [True, False])
def test_no_ipv6_tables(new_pod: Callable[..., Pod], path_with: Callable[..., str], ipv4: bool) -> None:  # noqa: FBT001
    """A lack of IPv6 tables fails no pod: IPv4 is served, and fd00:ec2::254 ends in the pod, not at the node (C23)."""
    pod = new_pod(ipv4=ipv4, ipv6=True)
    pod.start_emulator()
    before = pod.ask(IMDS_IPV6, 80)

    result = pod.redirect(PATH=path_with("nft", families=("iptables",)))

    assert (0, "") == (result.status, result.err)
    assert (
        "imds-emulator redirect: fd00:ec2::254 port 80 is closed: no IPv6 nat tables "
        "(ip6tables-nft: no such program; ip6tables-legacy: no such program)"
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
    assert "no IPv4 nat tables here" in result.err
