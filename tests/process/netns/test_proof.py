"""That the redirect reports success only when it is the emulator who answers, and with --wait once it has started."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.netns.pods import EMULATOR_UID, IMDS_IPV4, IMDS_IPV6, Pod

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOT = "imds-emulator redirect: 169.254.169.254 port 80 is not redirected to 127.0.0.1 port 16925: "
REMEDY = ": find the rules or the process in the pod that prevent it, or annotate the pod imds-emulator/redirect: env\n"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """Return a file as of a projected token."""
    file = tmp_path / "token"
    file.write_text("header.payload.signature")
    return file


@pytest.mark.parametrize("user", [0, 1000])
@pytest.mark.claim("S30")
def test_port_of_a_dead_emulator(new_pod: Callable[..., Pod], user: int) -> None:
    """Another process that has the port, and answers as the emulator does, is found out by its user."""
    pod = new_pod()
    pod.start_emulator()
    assert pod.redirect().status == 0
    pod.stop_servers()
    pod.serve("taken", "127.0.0.1", 16925, user)

    result = pod.redirect()

    assert (1, "") == (result.status, result.out)
    assert f"{NOT}port 16925 is held by uid {user}, not by the emulator (uid 16925){REMEDY}" == result.err


def test_port_on_all_addresses(new_pod: Callable[..., Pod]) -> None:
    """One that listens on every address of both families has the port, too."""
    pod = new_pod(ipv6=True)
    pod.serve("taken", "::", 16925, 1000)

    result = pod.redirect()

    assert (1, "") == (result.status, result.out)
    assert f"{NOT}port 16925 is held by uid 1000, not by the emulator (uid 16925){REMEDY}" == result.err


def test_answer_of_another(new_pod: Callable[..., Pod]) -> None:
    """A process of the emulator's user that answers otherwise is not the emulator."""
    pod = new_pod()
    pod.serve("HTTP/1.1 200 OK\r\n\r\n", "127.0.0.1", 16925, EMULATOR_UID)

    result = pod.redirect()

    assert f"{NOT}the listener on port 16925 does not answer as the emulator does{REMEDY}" == result.err


@pytest.mark.parametrize("priority", ["-100", "-150"])
def test_somebody_s_nat_ahead(pod: Pod, priority: str) -> None:
    """A nat chain ahead of ours takes the connection away: the run says so and fails."""
    rule = "ip daddr 169.254.169.254 tcp dport 80 dnat ip to 192.0.2.1:80"
    chain = f"add chain ip other c {{ type nat hook output priority {priority}; }}"
    assert pod.run("nft", f"add table ip other; {chain}; add rule ip other c {rule}").status == 0
    pod.node.serve("host", "192.0.2.1", 80)

    result = pod.redirect()

    if priority == "-100":
        assert (0, "emulator") == (result.status, pod.ask(IMDS_IPV4, 80))
    else:
        assert f"{NOT}a connection does not arrive at 127.0.0.1 port 16925{REMEDY}" == result.err


@pytest.mark.parametrize("table", ["raw", "mangle"])
def test_somebody_s_drop_ahead(pod: Pod, table: str) -> None:
    """So does a rule that drops the address before any nat."""
    drop = f"-t {table} -A OUTPUT -d {IMDS_IPV4}/32 -j DROP"
    assert pod.run("iptables-nft", "-w", *drop.split()).status == 0

    result = pod.redirect()

    assert (1, f"{NOT}timed out{REMEDY}") == (result.status, result.err)


@pytest.mark.parametrize("families", [{}, {"ipv6": True}])
def test_waits_for_the_emulator(new_pod: Callable[..., Pod], token: Path, families: dict[str, bool]) -> None:
    """With --wait the rules are there before the emulator, whose port stays free, and success means that it started."""
    pod = new_pod(**families)
    started = time.monotonic()
    emulator = pod.start_real_emulator(token, IMDS_EMULATOR_STARTUP_SECONDS="3")

    result = pod.redirect(wait=True, IMDS_EMULATOR_STARTUP_SECONDS="3")

    assert (0, "", None) == (result.status, result.err, emulator.poll())
    assert 1 + len(families) == result.out.count("is redirected to port 16925 by nft")
    assert time.monotonic() - started >= 3  # the gate's end, as there is no STS
    assert 0 == pod.redirect(wait=True).status
    if families:
        assert pod.ask(IMDS_IPV6, 80).startswith("timeout")  # a client that asks nothing is given nothing


def test_rules_are_there_while_it_waits(new_pod: Callable[..., Pod], token: Path) -> None:
    """Nothing gets through to the node while the emulator is waited for."""
    pod = new_pod()
    waiting = pod.begin_redirect(wait=True)
    end = time.monotonic() + 20
    while pod.ask(IMDS_IPV4, 80) == "node" and time.monotonic() < end:
        time.sleep(0.05)

    assert ("ECONNREFUSED", None) == (pod.ask(IMDS_IPV4, 80), waiting.poll())
    pod.start_real_emulator(token, IMDS_EMULATOR_STARTUP_SECONDS="0")
    assert 0 == waiting.wait(timeout=30)


def test_no_emulator(new_pod: Callable[..., Pod]) -> None:
    """An emulator that never comes is a failure with a line that says where to look."""
    code = (
        "from emulator import names; names.STARTUP_MARGIN_SECONDS = 1\n"
        "from emulator.redirect import redirect; raise SystemExit(redirect.main(['--wait']))"
    )

    result = new_pod().python(code, IMDS_EMULATOR_STARTUP_SECONDS="1")

    assert (1, "") == (result.status, result.out)
    assert (
        "imds-emulator redirect: the emulator does not answer at port 16926 within 2 s: "
        "see the log of container imds-emulator\n"
    ) == result.err


def test_emulator_that_does_not_start(new_pod: Callable[..., Pod], token: Path) -> None:
    """Nor does one count as started that listens and has not yet credentials, a refusal or the end of its time."""
    code = (
        "from emulator import names; names.STARTUP_MARGIN_SECONDS = 1\n"
        "from emulator.redirect import redirect; raise SystemExit(redirect.main(['--wait']))"
    )
    pod = new_pod()
    pod.start_real_emulator(token, IMDS_EMULATOR_STARTUP_SECONDS="600")

    result = pod.python(code, IMDS_EMULATOR_STARTUP_SECONDS="4")

    assert 1 == result.status
    assert result.err.startswith("imds-emulator redirect: the emulator has not started at port 16926 within 5 s: ")
