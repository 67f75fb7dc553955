"""Certificates of the running webhook: renewed, mounted, and wrong ones."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from emulator.webhook.certificates import write_bundle
from tests.support import certificates
from tests.support.webhook.fake_api import CONFIGURATION, SECRET, configuration
from tests.support.webhook.running import (
    admit,
    connect,
    environment,
    free_ports,
    parameters,
    pod,
    running,
    wait_for,
)
from tests.support.webhook.traffic import Traffic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.certificates import Authority
    from tests.support.webhook.fake_api import FakeApi

NAME = "injector.ns.svc"
POLL_SECONDS = 0.2
LIFE_SECONDS = 12
ROTATIONS = 3  # ten, on a cluster, are in tests/cluster/operators


def test_rotations(api: FakeApi, environ: dict[str, str], tmp_path: Path) -> None:
    """With two replicas and certificates of 12 seconds no admission fails, even if the API server lags behind."""
    short = {
        "IMDS_EMULATOR_CERTIFICATE_POLL_SECONDS": str(POLL_SECONDS),
        "IMDS_EMULATOR_CERTIFICATE_VALIDITY_SECONDS": str(LIFE_SECONDS),
    }
    port, health_port = free_ports(2)
    other = {"IMDS_EMULATOR_WEBHOOK_PORT": str(port), "IMDS_EMULATOR_HEALTH_PORT": str(health_port)}
    with (
        running({**environ, **short}, tmp_path / "log-1") as first,
        running({**environ, **short, **other}, tmp_path / "log-2") as second,
        Traffic(lambda: [first.port, second.port], lambda: api.trusted(POLL_SECONDS / 2)[0], clients=2) as traffic,
    ):
        keys: set[str] = set()
        deadline = time.monotonic() + 180
        while len(keys) <= ROTATIONS and time.monotonic() < deadline:
            keys.add(api.get(SECRET)["data"]["served.key"])
            assert [(200, "ok\n")] * 2 == [each.health("/readyz") for each in (first, second)]
            time.sleep(0.05)

    assert ROTATIONS < len(keys)
    assert [] == traffic.failures
    assert traffic.answered > 20 * ROTATIONS
    assert "Traceback" not in first.log + second.log
    print(f"rotations {len(keys) - 1}, admissions {traffic.answered}, lost {len(traffic.failures)}")


def test_replicas_started_together_agree(api: FakeApi, environ: dict[str, str], tmp_path: Path) -> None:
    """Two replicas that start at the same moment serve one certificate, that of the Secret."""
    port, health_port = free_ports(2)
    other = {"IMDS_EMULATOR_WEBHOOK_PORT": str(port), "IMDS_EMULATOR_HEALTH_PORT": str(health_port)}
    with (
        running(environ, tmp_path / "log-1", until_ready=False) as first,
        running({**environ, **other}, tmp_path / "log-2", until_ready=False) as second,
    ):
        wait_for("both are ready", lambda: first.is_ready() and second.is_ready())
        stored = base64.b64decode(api.get(SECRET)["data"]["served.crt"]).decode()
        for each in (first, second):
            with connect(each.port, stored, NAME) as connection:
                assert admit(connection, pod())["allowed"]

    assert 1 == stored.count("BEGIN CERTIFICATE")
    assert [stored] == api.trusted()


def trust(api: FakeApi, *authorities: Authority) -> None:
    """Write caBundle, as cert-manager or a person does."""
    changed = configuration()
    changed["webhooks"][0]["clientConfig"]["caBundle"] = write_bundle(each.certificate for each in authorities)
    api.put(CONFIGURATION, changed)


@pytest.mark.parametrize("mode", ["secret", "cert-manager"])
def test_mounted_pair_is_reloaded(api: FakeApi, tmp_path: Path, mode: str) -> None:
    """A pair renewed by someone else is served without a restart, and only when caBundle trusts it.

    That is noted, though the two pairs end at the same second.
    """
    directory = tmp_path / "certificate"
    at = datetime.now(UTC)
    old, new = (certificates.authority() for _ in range(2))
    old.sign([NAME], at=at).write(directory)
    trust(api, old)
    environ = environment(
        tmp_path,
        ("127.0.0.1", api.port),
        api.service_account(tmp_path / "service-account"),
        IMDS_EMULATOR_CERTIFICATE_MODE=mode,
        IMDS_EMULATOR_CERTIFICATE_DIRECTORY=str(directory),
    )
    with running(environ, tmp_path / "log") as webhook:
        connect(webhook.port, old.pem, NAME).close()
        new.sign([NAME], at=at).write(directory)
        looks = len(api.asked)
        wait_for("two looks", lambda: len(api.asked) >= looks + 2)
        connect(webhook.port, old.pem, NAME).close()
        trust(api, old, new)
        wait_for("the new pair is served", lambda: is_trusted(webhook.port, new.pem))
        assert webhook.is_ready()
        wait_for("it is noted", lambda: webhook.log.count("event=certificate-served") == 2)
        assert "imds_emulator_webhook_certificate_reloads_total 2\n" in webhook.health("/metrics")[1]

    assert {"GET"} == {method for method, _, _ in api.asked}


def is_trusted(port: int, bundle: str) -> bool:
    """Tell whether a client that knows just this bundle gets a connection."""
    try:
        connect(port, bundle, NAME).close()
    except OSError:
        return False
    return True


def test_not_ready_while_the_api_server_does_not_trust_it(api: FakeApi, tmp_path: Path) -> None:
    """With a caBundle of another authority the webhook says why it is not ready, and heals by itself."""
    directory = tmp_path / "certificate"
    ours, other = (certificates.authority() for _ in range(2))
    ours.sign([NAME]).write(directory)
    trust(api, other)
    environ = environment(
        tmp_path,
        ("127.0.0.1", api.port),
        api.service_account(tmp_path / "service-account"),
        IMDS_EMULATOR_CERTIFICATE_MODE="secret",
        IMDS_EMULATOR_CERTIFICATE_DIRECTORY=str(directory),
    )
    expected = (
        "the caBundle of imds-emulator does not trust the certificate for injector.ns.svc: "
        "unable to get local issuer certificate\n"
    )
    with running(environ, tmp_path / "log", until_ready=False) as webhook:
        wait_for("it listens", lambda: is_trusted(webhook.port, ours.pem))
        assert (503, expected) == webhook.health("/readyz")
        assert 200 == webhook.health("/livez")[0]
        trust(api, ours)
        wait_for("it is ready", webhook.is_ready)


def test_start_without_api_server(api: FakeApi, environ: dict[str, str], tmp_path: Path) -> None:
    """While the API server is away the webhook waits for it, says so, and starts when it comes."""
    api.is_down = True
    with running(environ, tmp_path / "log", until_ready=False) as webhook:
        wait_for("it says so", lambda: "the API server is down" in webhook.log)
        assert (503, "GET /version: 503: the API server is down\n") == webhook.health("/readyz")
        api.is_down = False
        wait_for("it is ready", webhook.is_ready)

    assert 1 == webhook.log.count("the API server is down")


def test_missing_secret(api: FakeApi, environ: dict[str, str], tmp_path: Path) -> None:
    """Without its Secret the webhook creates it."""
    api.remove(SECRET)
    with running(environ, tmp_path / "log"):
        assert {"served.crt", "served.key"} == api.get(SECRET)["data"].keys()


def test_parameters_are_reread(api: FakeApi, environ: dict[str, str], tmp_path: Path) -> None:
    """A ConfigMap that changes is in force without a restart; one that lacks a key changes nothing and is named."""
    with running(environ, tmp_path / "log") as webhook:
        before = patch(webhook.port, api)
        parameters(tmp_path / "parameters", region="eu-central-1", durationSeconds="900")
        wait_for("the change is in force", lambda: patch(webhook.port, api) != before)
        assert "level=warning event=parameter message=\"durationSeconds='900': SDKs" in webhook.log
        changed = patch(webhook.port, api)
        (tmp_path / "parameters" / "region").unlink()
        wait_for("it says so", lambda: "region is missing" in webhook.log)

        assert changed == patch(webhook.port, api)
        assert webhook.is_ready()


def patch(port: int, api: FakeApi) -> str:
    """Return the patch for a pod."""
    with connect(port, api.trusted()[0], NAME) as connection:
        return str(admit(connection, pod())["patch"])
