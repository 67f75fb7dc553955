"""Rotation of the webhook's certificate by steps of a clock, with replicas on one store of objects."""

from __future__ import annotations

import dataclasses
import functools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from emulator.webhook.certificates import encode, write_bundle
from emulator.webhook.kubeapi import ApiError, KubeApi
from emulator.webhook.rotation import MountedCertificate, OwnCertificate, Rotation
from emulator.webhook.settings import WebhookSettings
from emulator.webhook.tls import verification_error
from tests.support import certificates
from tests.support.webhook.fake_api import CONFIGURATION, SECRET, Store, configuration

POLL = 10.0
NAME = "injector.ns.svc"
SETTINGS = WebhookSettings(
    port=8443,
    health_port=16926,
    drain_seconds=0,
    parameters=Path(),
    configuration="imds-emulator",
    certificate_mode="self",
    certificate_directory=Path(),
    namespace="ns",
    secret="imds-emulator-certificate",
    poll_seconds=POLL,
    certificate_validity_seconds=300,
    log_level="info",
    api_host="api",
    api_port=443,
    service_account=Path(),
)


class StoreApi(KubeApi):
    """An API server in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def request(self, method: str, path: str, value: object = None, content_type: str = "") -> dict[str, Any]:  # noqa: ARG002
        """Answer from the store."""
        status, answer = self._store.answer(method, path, value)
        if status >= 400:
            raise ApiError(status, answer["message"])
        return answer


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


def replica(store: Store, clock: Clock, **changed: Any) -> Rotation:  # noqa: ANN401 - any setting
    """Return a replica in mode `self`."""
    settings = dataclasses.replace(SETTINGS, **changed)
    api = StoreApi(store)
    return Rotation(api, settings, OwnCertificate(api, settings, 2 / 3), clock)


def served(*replicas: Rotation) -> list[bytes | None]:
    """Return the chains in service."""
    return [each.served.pem if each.served else None for each in replicas]


def poll(replicas: list[Rotation]) -> None:
    """Let each replica poll once."""
    for each in replicas:
        each.poll()


def stored(store: Store, key: str) -> str:
    """Return a value of the Secret."""
    return str(store.get(SECRET).get("data", {}).get(key, ""))


def bundle(store: Store) -> str:
    """Return the caBundle, base64."""
    return str(store.get(CONFIGURATION)["webhooks"][0]["clientConfig"].get("caBundle", ""))


def test_first_start() -> None:
    """The first poll of an empty Secret creates a certificate, publishes it, and serves what the API server trusts."""
    store, clock = Store(), Clock()
    first = replica(store, clock)

    first.poll()

    assert first.problem is None
    assert first.served is not None
    assert first.served.expires_at == clock.now + timedelta(seconds=300)
    assert bundle(store) == stored(store, "served.crt") != ""
    assert {"served.crt", "served.key"} == store.get(SECRET)["data"].keys()
    assert verification_error(first.served.context, store.trusted()[0], NAME) is None


def test_other_fields_stay() -> None:
    """Labels, annotations and foreign keys of the Secret and the rest of the configuration are left as they are."""
    store, clock = Store(), Clock()
    secret = {**store.get(SECRET), "metadata": {"name": "x", "labels": {"a": "b"}}, "data": {"mine": "eA=="}}
    store.put(SECRET, secret)

    replica(store, clock).poll()

    assert "eA==" == stored(store, "mine")
    assert {"a": "b"} == store.get(SECRET)["metadata"]["labels"]
    without = store.get(CONFIGURATION)
    del without["webhooks"][0]["clientConfig"]["caBundle"], without["metadata"]["resourceVersion"]
    assert configuration() == without


def test_second_replica_takes_what_is_there() -> None:
    """A replica that comes later makes nothing and serves the same certificate at once."""
    store, clock = Store(), Clock()
    first, second = replica(store, clock), replica(store, clock)
    first.poll()
    before = len(store.asked)

    second.poll()

    assert served(first) == served(second)
    assert ["GET", "GET"] == [method for method, _, _ in store.asked[before:]]


def test_conflict_is_read_again() -> None:
    """Of two that start at the same moment the slower one takes over what the quicker one stored."""
    store, clock = Store(), Clock()
    first, second = replica(store, clock), replica(store, clock)
    ask = store.answer
    is_raced = False

    def race(method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:  # noqa: ANN401 - any JSON
        nonlocal is_raced
        if method == "PUT" and not is_raced:
            is_raced = True
            first.poll()
        return ask(method, path, body)

    store.answer = race  # type: ignore[method-assign]
    second.poll()

    assert ("PUT", SECRET, 409) in store.asked
    assert served(first) == served(second)
    assert first.problem is second.problem is None


def test_a_certificate_is_trusted_before_it_is_served() -> None:
    """At each step the API server trusts what each replica serves, for the caBundle of the poll before too."""
    store, clock = Store(), Clock()
    replicas = [replica(store, clock), replica(store, clock)]
    judged = functools.cache(verification_error)  # the same certificate under the same bundle is trusted as before
    chains = set()
    known = ""
    for _ in range(240):
        for each in replicas:
            each.poll()
            assert each.problem is None
            assert each.served is not None
            assert judged(each.served.context, known or store.trusted()[0], NAME) is None
        known = store.trusted()[0]
        chains.add(served(replicas[0])[0])
        clock.forward(POLL)

    assert 12 == len(chains)


def test_renewal_step_by_step() -> None:
    """A new certificate is published beside the old one at once, and served two polls after that.

    The old one stays in caBundle until it has expired.
    """
    store, clock = Store(), Clock()
    replicas = [replica(store, clock), replica(store, clock)]
    poll(replicas)
    old, old_bundle = served(*replicas), store.trusted()[0]
    clock.forward(200)
    poll(replicas)
    both = store.trusted()[0]
    assert both.endswith(old_bundle)
    assert 2 == both.count("BEGIN CERTIFICATE")
    clock.forward(POLL)
    poll(replicas)
    assert old == served(*replicas)
    for _ in range(2):
        clock.forward(POLL)
        poll(replicas)
    renewed = served(*replicas)
    assert 1 == len(set(renewed))
    assert renewed != old
    assert both == store.trusted()[0]
    clock.forward(71)
    poll(replicas)

    assert both == store.trusted()[0] + old_bundle


def test_restart_during_a_renewal() -> None:
    """A replica that starts while a new certificate is being published serves the one that is trusted, at once."""
    store, clock = Store(), Clock()
    first = replica(store, clock)
    first.poll()
    clock.forward(200)
    first.poll()
    assert {"served.crt", "served.key", "next.crt", "next.key"} == store.get(SECRET)["data"].keys()

    restarted = replica(store, clock)
    restarted.poll()

    assert served(first) == served(restarted)
    assert restarted.problem is None


def test_clocks_that_differ() -> None:
    """Replicas whose clocks differ by minutes renew in turn, and never serve what was published too late.

    Each counts the time for which caBundle has held a certificate by its own clock.
    """
    store, clock, ahead = Store(), Clock(), Clock()
    ahead.forward(60)
    replicas = [replica(store, clock), replica(store, ahead)]
    history = [""] * 2
    for _ in range(100):
        for each in replicas:
            each.poll()
            assert each.problem is None
            assert each.served is not None
            assert verification_error(each.served.context, history[-2] or store.trusted()[0], NAME) is None
        history.append(store.trusted()[0])
        clock.forward(POLL)
        ahead.forward(POLL)


class Upgrade:
    """A Secret and a caBundle as 0.1.0 left them: an authority, and the leaf that its replicas serve."""

    def __init__(self) -> None:
        self.store, self.clock = Store(), Clock()
        authority = certificates.authority(at=self.clock.now)
        leaf = authority.sign([NAME], at=self.clock.now)
        self.authority = authority.pem
        self.data = {
            "ca.crt": encode(authority.pem.encode()),
            "ca.key": encode(authority.key_pem.encode()),
            "tls.crt": encode(leaf.pem.encode()),
            "tls.key": encode(leaf.key_pem.encode()),
        }
        self.store.put(SECRET, {**self.store.get(SECRET), "data": self.data})
        changed = configuration()
        changed["webhooks"][0]["clientConfig"]["caBundle"] = self.data["ca.crt"]
        self.store.put(CONFIGURATION, changed)


def test_upgrade_from_0_1_0() -> None:
    """Replicas of 0.1.0 keep what they serve from and are trusted by; a new replica serves once it is trusted too."""
    upgrade = Upgrade()
    store, clock = upgrade.store, upgrade.clock
    new = replica(store, clock)
    for _ in range(3):
        new.poll()
        assert [None] == served(new)
        assert store.trusted()[0].endswith(upgrade.authority)
        clock.forward(POLL)
    new.poll()

    assert new.problem is None
    assert served(new) != [None]
    assert upgrade.data == {key: stored(store, key) for key in upgrade.data}
    assert store.trusted()[0].endswith(upgrade.authority)


def test_keys_of_0_1_0_go_with_the_first_renewal() -> None:
    """The authority's key does not stay in the Secret."""
    upgrade = Upgrade()
    new = replica(upgrade.store, upgrade.clock)
    for _ in range(30):
        new.poll()
        upgrade.clock.forward(POLL)

    assert {"served.crt", "served.key"} == upgrade.store.get(SECRET)["data"].keys()


def test_emptied_secret() -> None:
    """A Secret that was emptied is filled again, and the certificate before stays trusted: what is served goes on."""
    store, clock = Store(), Clock()
    only = replica(store, clock)
    only.poll()
    old, old_bundle = served(only), store.trusted()[0]
    secret = store.get(SECRET)
    del secret["data"]
    store.put(SECRET, secret)
    only.poll()

    assert old == served(only)
    assert only.problem is None
    assert store.trusted()[0].endswith(old_bundle)
    for _ in range(4):
        clock.forward(POLL)
        only.poll()
    assert old != served(only)
    assert only.problem is None


def test_deleted_secret() -> None:
    """A Secret that was deleted is created by one replica and read by the other; what is served goes on."""
    store, clock = Store(), Clock()
    replicas = [replica(store, clock), replica(store, clock)]
    poll(replicas)
    old = served(*replicas)
    store.remove(SECRET)

    for _ in range(6):
        clock.forward(POLL)
        for each in replicas:
            each.poll()
            assert each.problem is None
        if "served.key" not in store.get(SECRET)["data"]:
            assert old == served(*replicas)

    assert {"served.crt", "served.key"} == store.get(SECRET)["data"].keys()
    assert 1 == len(set(served(*replicas)))
    assert old != served(*replicas)


def test_deleted_configuration() -> None:
    """Without the webhook configuration, as at an uninstallation, no Secret is made."""
    store, clock = Store(), Clock()
    only = replica(store, clock)
    only.poll()
    store.remove(CONFIGURATION)
    store.remove(SECRET)
    clock.forward(POLL)

    with pytest.raises(ApiError, match="not found"):
        only.poll()

    with pytest.raises(KeyError):
        store.get(SECRET)


def test_emptied_bundle() -> None:
    """A caBundle that someone emptied is written again at the next look."""
    store, clock = Store(), Clock()
    only = replica(store, clock)
    only.poll()
    expected = bundle(store)
    store.put(CONFIGURATION, configuration())
    clock.forward(POLL)

    only.poll()

    assert expected == bundle(store)
    assert only.problem is None


def test_every_webhook_of_the_configuration() -> None:
    """Each clientConfig gets the caBundle, and the certificate each name."""
    store, clock = Store("https://a.example:8443/mutate", "https://127.0.0.1:8443/mutate"), Clock()
    only = replica(store, clock)
    only.poll()

    assert 1 == len(set(store.trusted()))
    assert only.served is not None
    assert [None, None] == [
        verification_error(only.served.context, store.trusted()[0], n) for n in ("a.example", "127.0.0.1")
    ]


def test_configuration_without_webhooks() -> None:
    """A configuration that holds nothing is an error, not a certificate for nobody."""
    store, clock = Store(), Clock()
    store.put(CONFIGURATION, {"metadata": {"name": "imds-emulator"}})

    with pytest.raises(ValueError, match="holds no webhook"):
        replica(store, clock).poll()


def test_what_is_served_goes_on_without_api_server() -> None:
    """While the API server is away the certificate in service stays in service."""
    store, clock = Store(), Clock()
    only = replica(store, clock)
    only.poll()
    expected = served(only)
    store.is_down = True

    with pytest.raises(ApiError, match="the API server is down"):
        only.poll()

    assert expected == served(only)
    assert only.problem is None


class Mounted:
    """A mounted pair, the CA in caBundle, and the replica that serves it."""

    def __init__(self, directory: Path) -> None:
        self.store, self.clock, self._directory = Store(), Clock(), directory
        settings = dataclasses.replace(SETTINGS, certificate_mode="secret", certificate_directory=directory)
        self.rotation = Rotation(StoreApi(self.store), settings, MountedCertificate(settings), self.clock)
        self.authority = certificates.authority(at=self.clock.now)

    def mount(self) -> None:
        """Write a new pair of the CA into the directory."""
        self.authority.sign([NAME], at=self.clock.now, life=timedelta(hours=1)).write(self._directory)

    def trust(self) -> None:
        """Write the CA into caBundle."""
        changed = configuration()
        changed["webhooks"][0]["clientConfig"]["caBundle"] = write_bundle([self.authority.certificate])
        self.store.put(CONFIGURATION, changed)


def test_mounted_pair(tmp_path: Path) -> None:
    """A mounted pair is served, and exchanged for a new one at the next look; nothing is written."""
    mounted = Mounted(tmp_path)
    mounted.trust()
    mounted.mount()
    mounted.rotation.poll()
    old = served(mounted.rotation)
    mounted.mount()
    mounted.rotation.poll()

    assert mounted.rotation.problem is None
    assert served(mounted.rotation) not in ([None], old)
    assert {"GET"} == {method for method, _, _ in mounted.store.asked}


def test_mounted_pair_waits_for_trust(tmp_path: Path) -> None:
    """A pair of a CA that caBundle lacks is not served in place of one that is trusted, until it is trusted."""
    mounted = Mounted(tmp_path)
    mounted.trust()
    mounted.mount()
    mounted.rotation.poll()
    old = served(mounted.rotation)
    mounted.authority = certificates.authority(at=mounted.clock.now)
    mounted.mount()
    mounted.rotation.poll()
    kept = served(mounted.rotation)
    mounted.trust()
    mounted.rotation.poll()

    assert old == kept
    assert old != served(mounted.rotation)
    assert mounted.rotation.problem is None


def test_mounted_pair_that_nobody_trusts(tmp_path: Path) -> None:
    """A pair that caBundle does not fit is a problem that names the configuration, the name and the reason."""
    mounted = Mounted(tmp_path)
    mounted.mount()

    mounted.rotation.poll()

    expected = (
        "the caBundle of imds-emulator does not trust the certificate for injector.ns.svc: "
        "caBundle holds no certificate"
    )
    assert expected == mounted.rotation.problem


def test_mounted_nonsense(tmp_path: Path) -> None:
    """Files that hold no pair are an error, and what was served before goes on."""
    mounted = Mounted(tmp_path)
    mounted.trust()
    mounted.mount()
    mounted.rotation.poll()
    expected = served(mounted.rotation)
    (tmp_path / "tls.crt").write_text("nonsense")

    with pytest.raises(ValueError, match="must hold a certificate and its key"):
        mounted.rotation.poll()

    assert expected == served(mounted.rotation)


def test_expired(tmp_path: Path) -> None:
    """A certificate past its end is a problem, however much its CA is trusted; so is an expired CA."""
    mounted = Mounted(tmp_path)
    mounted.trust()
    mounted.mount()
    mounted.rotation.poll()
    before = mounted.rotation.problem
    mounted.clock.forward(3600)
    mounted.rotation.poll()

    assert before is None
    assert "the certificate is not valid now, but until 2026-01-01 01:00:00+00:00" == mounted.rotation.problem
