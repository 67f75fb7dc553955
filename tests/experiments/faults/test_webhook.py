"""The webhook's certificate broken by somebody, with two replicas as processes, and reviews all the time."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.experiments.faults.corruption import BUNDLES, SECRETS, is_well
from tests.support.webhook.fake_api import CONFIGURATION, SECRET, FakeApi
from tests.support.webhook.running import admit, connect, environment, free_ports, pod, running, wait_for
from tests.support.webhook.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.reliability.figures import Figures
    from tests.support.webhook.running import Webhook

NAME = "injector.ns.svc"
HEALED_SECONDS = 15.0  # on a busy machine; the replicas look every 0.2 s


@pytest.fixture(scope="module")
def api() -> Iterator[FakeApi]:
    """Run an API server."""
    with FakeApi() as found:
        yield found


@pytest.fixture(scope="module")
def replicas(api: FakeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Webhook]]:
    """Run two replicas, which serve one certificate."""
    directory = tmp_path_factory.mktemp("webhook")
    environ = environment(directory, ("127.0.0.1", api.port), api.service_account(directory / "service-account"))
    port, health_port = free_ports(2)
    other = {"IMDS_EMULATOR_WEBHOOK_PORT": str(port), "IMDS_EMULATOR_HEALTH_PORT": str(health_port)}
    with running(environ, directory / "log-1") as one, running({**environ, **other}, directory / "log-2") as two:
        yield [one, two]
        assert "Traceback" not in one.log + two.log


@pytest.mark.parametrize("kind", SECRETS)
def test_broken_secret(api: FakeApi, replicas: list[Webhook], figures: Figures, kind: str) -> None:
    """Somebody breaks the Secret of the certificate: the replicas recreate it, and every review is answered."""
    corrupted, before = SECRETS[kind], api.get(SECRET)
    with Traffic(lambda: [each.port for each in replicas], lambda: api.trusted()[0]) as traffic:
        wait_for("reviews are answered", lambda: traffic.answered > 20)
        started = time.monotonic()
        if corrupted:
            api.put(SECRET, {**before, "data": corrupted(before["data"])})
        else:
            api.remove(SECRET)
        wait_for("the Secret is well", lambda: _is_well(api, before["data"]))
        healed = time.monotonic() - started
        answered = traffic.answered
        wait_for("both serve the new certificate", lambda: all(_serves_the_newest(api, each) for each in replicas))
        wait_for("more reviews are answered", lambda: traffic.answered > answered + 20)

    figures.add("until the Secret was well", healed, "s", f"{HEALED_SECONDS:g} s")
    figures.add("reviews answered", traffic.answered)
    figures.add("reviews lost", len(traffic.failures), bound="0")
    assert traffic.failures == []
    assert healed < HEALED_SECONDS


@pytest.mark.parametrize("kind", BUNDLES)
def test_overwritten_bundle(api: FakeApi, replicas: list[Webhook], figures: Figures, kind: str) -> None:
    """Somebody overwrites caBundle: the replicas add their CA to it at the next look, with nobody's help."""
    changed = api.get(CONFIGURATION)
    changed["webhooks"][0]["clientConfig"]["caBundle"] = BUNDLES[kind]()
    started = time.monotonic()
    api.put(CONFIGURATION, changed)
    wait_for("both are trusted again", lambda: all(_is_trusted(api, each) for each in replicas))
    healed = time.monotonic() - started

    figures.add("until both replicas were trusted", healed, "s", f"{HEALED_SECONDS:g} s")
    assert healed < HEALED_SECONDS
    assert all(each.is_ready() for each in replicas)


def _is_well(api: FakeApi, broken: dict[str, str]) -> bool:
    try:
        secret = api.get(SECRET)
    except KeyError:
        return False
    return is_well(secret.get("data") or {}, broken, api.get(CONFIGURATION))


def _is_trusted(api: FakeApi, replica: Webhook) -> bool:
    with contextlib.suppress(OSError), connect(replica.port, api.trusted()[0], NAME) as connection:
        return bool(admit(connection, pod())["allowed"])
    return False


def _serves_the_newest(api: FakeApi, replica: Webhook) -> bool:
    """Tell whether a client that knows just the newest CA of the Secret is served."""
    newest = api.trusted()[0].partition("-----END CERTIFICATE-----")
    with contextlib.suppress(OSError), connect(replica.port, "".join(newest[:2]), NAME) as connection:
        return bool(admit(connection, pod())["allowed"])
    return False
