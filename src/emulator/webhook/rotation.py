"""Which certificate to serve: made and renewed in a Secret that the replicas share, or read from a mounted directory.

Goes in: an API server, the settings, the time.
Comes out: a TLS context to serve, exchanged while the server runs; and why, if so, the API server does not trust it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from cryptography import x509

from emulator.webhook.certificates import certificate_pem, issue_time, key_pem, merge_bundle, write_bundle
from emulator.webhook.holdings import (
    LEAF_CERTIFICATE,
    LEAF_KEY,
    Holdings,
    Plan,
    add_authority,
    add_leaf,
    due,
    read_holdings,
    write_holdings,
)
from emulator.webhook.kubeapi import ApiError, KubeApi, Object
from emulator.webhook.tls import server_context
from emulator.webhook.webhook_configuration import CONFIGURATIONS, bundles, certificate_names, problem_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from emulator.webhook.settings import WebhookSettings

    Clock = Callable[[], datetime]

CONFLICTS = 5  # in a row, until one is an error


@dataclass(frozen=True)
class Offer:
    """A chain and its key in PEM, where they are from, and when they may take the place of one that is trusted."""

    origin: str
    chain: bytes
    key: bytes
    serve_from: datetime


@dataclass(frozen=True)
class Served:
    """What the listener serves; `pem` tells it from others."""

    context: ssl.SSLContext
    pem: bytes
    chain: tuple[x509.Certificate, ...]

    @property
    def expires_at(self) -> datetime:
        """When the first of the chain ends."""
        return min(each.not_valid_after_utc for each in self.chain)


class Source(Protocol):
    """Where certificates come from."""

    def current(self, configuration: Object, now: datetime) -> tuple[Offer | None, Object]:
        """Return the newest certificate, if there is one, and the webhook configuration as it is now."""
        ...


class Rotation:
    """The certificate in service. `look` is called again and again; what it sets may be read from another thread."""

    def __init__(self, api: KubeApi, settings: WebhookSettings, source: Source, clock: Clock) -> None:
        self.served: Served | None = None
        self.problem: str | None = "no certificate yet"
        self._api = api
        self._path = f"{CONFIGURATIONS}/{settings.configuration}"
        self._poll = timedelta(seconds=settings.poll_seconds)
        self._source = source
        self._clock = clock

    def look(self) -> datetime:
        """Read everything again, exchange the certificate if it is time to, and return when to look next.

        Raises ApiError or OSError if something can't be read and ValueError if it is no certificate; what is served
        goes on being served.
        """
        for _ in range(CONFLICTS):
            try:
                return self._look(self._clock())
            except ApiError as error:
                if not error.is_conflict:
                    raise
        return self._look(self._clock())

    def _look(self, now: datetime) -> datetime:
        next_look = now + self._poll
        offer, configuration = self._source.current(self._api.get(self._path), now)
        problem = _problem(self.served, configuration, now)
        if offer and (self.served is None or offer.chain != self.served.pem):
            if problem is None and now < offer.serve_from:
                next_look = min(next_look, offer.serve_from)
            else:
                candidate = _served(offer)
                remaining = _problem(candidate, configuration, now)
                if problem is not None or remaining is None:
                    self.served, problem = candidate, remaining
        self.problem = problem
        return next_look


class OwnCertificate:
    """CA and leaf kept in a Secret. Replicas agree through its resourceVersion: who comes second reads again.

    A new CA is stored and published first. A leaf of it is made when each caBundle has held the CA for a while, so that
    every API server has learnt it, and is served by all replicas from the same moment on. The older CA is trusted until
    it expires; as renewal comes at two thirds of life, no admission meets a certificate that it does not trust.
    """

    def __init__(self, api: KubeApi, settings: WebhookSettings, renewal_share: float) -> None:
        self._api = api
        self._name = settings.secret
        self._path = f"/api/v1/namespaces/{settings.namespace}/secrets/{settings.secret}"
        self._poll = timedelta(seconds=settings.poll_seconds)
        self._plan = Plan(
            frozenset(),
            timedelta(seconds=settings.ca_validity_seconds),
            timedelta(seconds=settings.leaf_validity_seconds),
            renewal_share,
        )
        self._published_since: dict[x509.Certificate, datetime] = {}

    def current(self, configuration: Object, now: datetime) -> tuple[Offer | None, Object]:
        """Renew what is due in the Secret, publish its CAs, and return its leaf."""
        found = bundles(configuration)
        everywhere = set.intersection(*map(set, found))
        self._published_since = {each: self._published_since.get(each, now) for each in everywhere}
        nothing_is_trusted = not any(merge_bundle(each, (), now) for each in found)
        plan = replace(self._plan, names=certificate_names(configuration))
        holdings = self._stored(plan, now, at_once=nothing_is_trusted)
        configuration = self._publish(configuration, holdings, now)
        if holdings.leaf is None:
            return None, configuration
        leaf = holdings.leaf
        serve_from = issue_time(leaf.certificate) + 2 * self._poll
        offer = Offer(f"Secret {self._name}", certificate_pem(leaf.certificate), key_pem(leaf), serve_from)
        return offer, configuration

    def _stored(self, plan: Plan, now: datetime, *, at_once: bool) -> Holdings:
        """Return what the Secret holds, with what is due made and stored; a conflict if another replica was quicker.

        `at_once`: no API server trusts anything that could break.
        """
        secret = self._secret()
        data = secret.get("data") or {}
        holdings = stored = read_holdings(data)
        while step := due(holdings, plan, now, is_settled=at_once or self._is_settled(holdings, now)):
            holdings = add_authority(holdings, plan, now) if step == "authority" else add_leaf(holdings, plan, now)
        if holdings is not stored:
            self._api.update(self._path, {**secret, "data": {**data, **write_holdings(holdings)}})
        return holdings

    def _secret(self) -> Object:
        """Return the Secret; one that someone deleted is made anew, and what is served goes on meanwhile.

        At an uninstallation the webhook configuration is gone before the Secret, so that this is not reached any more.
        """
        try:
            return self._api.get(self._path)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
        named = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self._name}, "type": "Opaque"}
        return self._api.apply(self._path, named)

    def _is_settled(self, holdings: Holdings, now: datetime) -> bool:
        since = self._published_since.get(holdings.authority.certificate) if holdings.authority else None
        return since is not None and now - since >= self._poll

    def _publish(self, configuration: Object, holdings: Holdings, now: datetime) -> Object:
        """Return the configuration with the CAs in each caBundle; others that are there stay until they expire."""
        operations: list[Object] = []
        for index, found in enumerate(bundles(configuration)):
            merged = merge_bundle(holdings.bundle, found, now)
            if set(merged) != set(found):
                path = f"/webhooks/{index}/clientConfig/caBundle"
                operations.append({"op": "add", "path": path, "value": write_bundle(merged)})
        if not operations:
            return configuration
        metadata = configuration["metadata"]
        unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
        return self._api.patch(f"{CONFIGURATIONS}/{metadata['name']}", [unchanged, *operations])


class MountedCertificate:
    """A certificate that someone else renews, in a directory that the kubelet keeps up to date."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._directory = settings.certificate_directory

    def current(self, configuration: Object, now: datetime) -> tuple[Offer | None, Object]:
        """Return the files' content; the caBundle is the concern of whoever writes them."""
        chain = (self._directory / LEAF_CERTIFICATE).read_bytes()
        key = (self._directory / LEAF_KEY).read_bytes()
        return Offer(str(self._directory), chain, key, serve_from=now), configuration


def _served(offer: Offer) -> Served:
    try:
        chain = tuple(x509.load_pem_x509_certificates(offer.chain))
        return Served(server_context(offer.chain, offer.key), offer.chain, chain)
    except ValueError as error:
        raise ValueError(f"{offer.origin} holds no certificate with its key: {error}") from None


def _problem(served: Served | None, configuration: Object, now: datetime) -> str | None:
    return problem_of(served.context, served.chain, configuration, now) if served else "no certificate yet"
