"""`imds-emulator redirect` in real network namespaces: what is redirected, and what is left alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.netns.pods import (
    EMULATOR_UID,
    IMDS_IPV4,
    IMDS_IPV6,
    NODE_IPV4,
    PEER,
    POD_IPV4,
    POD_IPV6,
    Pod,
    Result,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BY = "imds-emulator redirect: {} port 80 is redirected to port 16925 by nft\n"


def test_before(pod: Pod) -> None:
    """Without the redirect the pod reaches the node's metadata service: the tests below see a difference."""
    assert "node" == pod.ask(IMDS_IPV4, 80)


def test_only_this_destination(pod: Pod) -> None:
    """Only TCP to 169.254.169.254:80 is redirected; protocols, hosts and directions beside it are left alone.

    Other ports of the address by TCP are closed, but for DNS.
    """
    pod.node.serve("dns", IMDS_IPV4, 53)
    pod.node.serve("node", IMDS_IPV4, 8080)
    pod.node.serve("host", NODE_IPV4, 80)
    pod.serve("app", "0.0.0.0", 80)  # noqa: S104 - a web server in the pod
    assert pod.redirect().status == 0

    answers = {
        "metadata": pod.ask(IMDS_IPV4, 80),
        "other port": pod.ask(IMDS_IPV4, 8080),
        "dns": pod.ask(IMDS_IPV4, 53),
        "dns by udp": pod.ask(IMDS_IPV4, 53, "udp"),
        "udp": pod.ask(IMDS_IPV4, 80, "udp"),
        "other host": pod.ask(NODE_IPV4, 80),
        "own port 80 by loopback": pod.ask("127.0.0.1", 80),
        "own port 80 by the pod's address": pod.ask(POD_IPV4, 80),
        "inbound": pod.node.ask(POD_IPV4, 80),
    }

    assert answers == {
        "metadata": "emulator",
        "other port": "timeout",
        "dns": "dns",
        "dns by udp": "dns",
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

    assert "emulator" == pod.ask(IMDS_IPV4, 80, uid=user)


def test_rerun(pod: Pod) -> None:
    """The init container runs again after a restart of the sandbox: status 0, exactly one redirect."""
    first = pod.redirect()
    once = pod.run("nft", "list", "ruleset").out

    assert [(0, BY.format(IMDS_IPV4), "")] * 3 == [(run.status, run.out, run.err) for run in (first, *again(pod, 2))]
    assert once == pod.run("nft", "list", "ruleset").out
    assert 1 == once.count("ip daddr 169.254.169.254 tcp dport 80 redirect to :16925")
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


def again(pod: Pod, times: int) -> list[Result]:
    """Run the init container some more times."""
    return [pod.redirect() for _ in range(times)]


def test_another_port(pod: Pod) -> None:
    """A run with another port replaces the rule."""
    pod.serve("other", "127.0.0.1", 18080, EMULATOR_UID)
    assert pod.redirect().status == 0

    assert pod.redirect(IMDS_EMULATOR_PORT="18080").status == 0
    assert "other" == pod.ask(IMDS_IPV4, 80)


@pytest.mark.parametrize("backends", [(), ("nft",), ("legacy",)])
@pytest.mark.claim("S30")
def test_never_without(pod: Pod, path_with: Callable[..., str], backends: tuple[str, ...]) -> None:
    """While the program runs again, no client gets through to the node: rules change in one commit."""
    path = path_with(*backends) if backends else os.environ["PATH"]
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
        "imds-emulator redirect: 169.254.169.254 port 80 is not redirected to 127.0.0.1 port 16925: "
        "[Errno 111] Connection refused: find the rules or the process in the pod that prevent it, "
        "or annotate the pod imds-emulator/redirect: env\n"
    ) == result.err


@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit"])
def test_closed_route(pod: Pod, kind: str) -> None:
    """Where the network closes the route to the metadata address, the pod's own address is still redirected."""
    pod.ip("route", "add", kind, f"{IMDS_IPV4}/32")

    assert pod.redirect().status == 0
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


@pytest.mark.claim("S30")
def test_no_programs(pod: Pod, tmp_path: Path) -> None:
    """Neither nftables nor iptables: one line that names all, status 1, so that the pod does not start."""
    result = pod.redirect(PATH=str(tmp_path))

    assert (1, "") == (result.status, result.out)
    assert (
        "imds-emulator redirect: IPv4 nat tables are missing: load nf_tables or iptable_nat on the node, "
        "or annotate the pod imds-emulator/redirect: env "
        "(nft: program not found; iptables-nft: program not found; iptables-legacy: program not found)\n"
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
        rf"imds-emulator redirect: capability {named} is missing: run as uid 0 with NET_ADMIN and NET_RAW, "
        r"or annotate the pod imds-emulator/redirect: env \(nft: .+; iptables-nft: .+; iptables-legacy: .+\)\n",
        result.err,
    )


@pytest.mark.claim("S24")
def test_capabilities_of_the_init_container(pod: Pod) -> None:
    """NET_ADMIN and NET_RAW are all that it needs."""
    only = "-all,+net_admin,+net_raw"

    result = pod.redirect("setpriv", f"--bounding-set={only}", f"--inh-caps={only}")

    assert (0, "") == (result.status, result.err)
    assert "emulator" == pod.ask(IMDS_IPV4, 80)


def test_ipv4_pod_gets_nothing_of_ipv6(pod: Pod) -> None:
    """A pod without IPv6 gets no IPv6 address: resolvers look at which there are."""
    assert pod.redirect().status == 0
    assert [] == pod.rules("ip6tables-legacy")
    assert "fd00" not in pod.run("ip", "address").out


def test_dual_stack(new_pod: Callable[..., Pod]) -> None:
    """A pod with both families is served at both addresses, and no other IPv6 is touched."""
    pod = new_pod(ipv6=True)
    pod.start_emulator()
    pod.serve("app", POD_IPV6, 80)

    result = pod.redirect()

    assert (0, "") == (result.status, result.err)
    assert BY.format(IMDS_IPV4) + BY.format(IMDS_IPV6) == result.out
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
