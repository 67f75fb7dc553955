"""How the webhook starts and ends: under traffic, with wrong settings, on ports that are taken."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.webhook.running import (
    connect,
    exchange,
    free_ports,
    pod,
    post,
    receive,
    review,
    running,
    wait_for,
)
from tests.support.webhook.traffic import Traffic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.webhook.fake_api import FakeApi
    from tests.support.webhook.running import Webhook

NAME = "injector.ns.svc"
REVIEW = post(json.dumps(review(pod())).encode())
RESTARTS = 3


@pytest.mark.parametrize("keeps_alive", [False, True])
def test_rolling_restart_loses_nothing(
    api: FakeApi,
    environ: dict[str, str],
    tmp_path: Path,
    keeps_alive: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Replicas are replaced one after the other while pods are created: each review is answered.

    What the Service has lags behind: an address goes half a second after its pod was told to end.
    """
    serving: list[int] = []
    traffic = Traffic(lambda: list(serving), lambda: api.trusted()[0], clients=4, keeps_alive=keeps_alive)
    with contextlib.ExitStack() as replicas, contextlib.ExitStack() as pods:
        old = replicas.enter_context(running(environ, tmp_path / "log-0"))
        serving.append(old.port)
        pods.enter_context(traffic)
        for n in range(1, RESTARTS + 1):
            new = replicas.enter_context(running(with_free_ports(environ), tmp_path / f"log-{n}"))
            serving.append(new.port)
            old.terminate()
            time.sleep(0.5)
            serving.remove(old.port)
            assert 0 == old.process.wait(20)
            old = new

    assert [] == traffic.failures
    assert traffic.answered > 100


def with_free_ports(environ: dict[str, str]) -> dict[str, str]:
    """Return the environment of one more replica on this machine."""
    port, health_port = free_ports(2)
    return {**environ, "IMDS_EMULATOR_WEBHOOK_PORT": str(port), "IMDS_EMULATOR_HEALTH_PORT": str(health_port)}


def test_stop(webhook: Webhook, api: FakeApi) -> None:
    """After SIGTERM the webhook is unready at once, answers on for the drain, and ends with 0.

    Answers during the drain end their connection, so that the next review goes to another replica.
    """
    bundle = api.trusted()[0]
    with connect(webhook.port, bundle, NAME) as kept, connect(webhook.port, bundle, NAME) as in_flight:
        in_flight.sendall(REVIEW[:-10])
        webhook.terminate()
        wait_for("it is unready", lambda: webhook.health("/readyz") == (503, "shutting down\n"))
        status, headers, _ = exchange(kept, REVIEW)
        assert (200, "close") == (status, headers["connection"])
        with connect(webhook.port, bundle, NAME) as late:
            assert 200 == exchange(late, REVIEW)[0]
        wait_for("it accepts no more", lambda: not accepts(webhook.port))
        in_flight.sendall(REVIEW[-10:])
        assert 200 == receive(in_flight)[0]

    assert 0 == webhook.process.wait(10)


def accepts(port: int) -> bool:
    """Tell whether somebody listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_stop_before_ready(api: FakeApi, environ: dict[str, str], tmp_path: Path) -> None:
    """A webhook that never became ready ends at once when it is told to."""
    api.is_down = True
    with running({**environ, "IMDS_EMULATOR_DRAIN_SECONDS": "60"}, tmp_path / "log", until_ready=False) as webhook:
        wait_for("it has started", lambda: "the API server is down" in webhook.log)
        webhook.terminate()

        assert 0 == webhook.process.wait(10)


def test_wrong_setting(environ: dict[str, str], tmp_path: Path) -> None:
    """A wrong setting ends the program at once with one line and status 2."""
    wrong = {**environ, "IMDS_EMULATOR_CERTIFICATE_MODE": "vault"}
    with running(wrong, tmp_path / "log", until_ready=False) as webhook:
        assert 2 == webhook.process.wait(20)

    expected = (
        "imds-emulator: invalid IMDS_EMULATOR_CERTIFICATE_MODE='vault': must be one of self, cert-manager, secret\n"
    )
    assert expected == webhook.log


@pytest.mark.parametrize("kind", ["WEBHOOK", "HEALTH"])
def test_port_taken(environ: dict[str, str], tmp_path: Path, kind: str) -> None:
    """A port that somebody else listens on ends the program with one line that names it."""
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        with running({**environ, f"IMDS_EMULATOR_{kind}_PORT": port}, tmp_path / "log", until_ready=False) as webhook:
            assert 2 == webhook.process.wait(20)

    last = webhook.log.splitlines()[-1]
    assert last == f"imds-emulator: can't listen on port {port}: Address already in use"
