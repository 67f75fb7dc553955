"""Which certificate to serve: created and renewed in a Secret that the replicas share, or read from a directory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from cryptography import x509

from emulator.webhook.certificates import certificate_pem, key_pem, merge_bundle, write_bundle
from emulator.webhook.kubeapi import ApiError, KubeApi, Object
from emulator.webhook.stored_certificates import Plan, StoredCertificates, advance, read_stored, write_stored
from emulator.webhook.tls import server_context
from emulator.webhook.webhook_configuration import CONFIGURATIONS, bundles, certificate_names, problem_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from emulator.webhook.settings import WebhookSettings

    Clock = Callable[[], datetime]

CONFLICTS = 5  # in a row, until one is an error
TRUST_POLLS = 2  # in which every API server learns a changed caBundle
CERTIFICATE_FILE, KEY_FILE = "tls.crt", "tls.key"  # as in a Secret of type kubernetes.io/tls


@dataclass(frozen=True)
class Candidate:
    """A chain and its key in PEM, and where they are from."""

    origin: str
    chain: bytes
    key: bytes


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

    def current(self, configuration: Object, now: datetime) -> tuple[Candidate | None, Object]:
        """Return the newest certificate, if there is one, and the webhook configuration as it is now."""
        ...


class Rotation:
    """The certificate in service. `poll` is called regularly; what it sets may be read from another thread."""

    def __init__(self, api: KubeApi, settings: WebhookSettings, source: Source, clock: Clock) -> None:
        self.served: Served | None = None
        self.problem: str | None = "no certificate yet"
        self._api = api
        self._path = f"{CONFIGURATIONS}/{settings.configuration}"
        self._source = source
        self._clock = clock

    def poll(self) -> None:
        """Read everything again, and exchange the certificate if there is a newer one that API servers trust.

        Raises ApiError or OSError if something can't be read and ValueError if it is not a certificate; what is served
        goes on being served.
        """
        for attempt in range(CONFLICTS + 1):
            try:
                self._poll(self._clock())
            except ApiError as error:
                if not error.is_conflict or attempt == CONFLICTS:
                    raise
            else:
                return

    def _poll(self, now: datetime) -> None:
        candidate, configuration = self._source.current(self._api.get(self._path), now)
        problem = _problem(self.served, configuration, now)
        if candidate and (self.served is None or candidate.chain != self.served.pem):
            newer = _served(candidate)
            remaining = _problem(newer, configuration, now)
            if problem is not None or remaining is None:
                self.served, problem = newer, remaining
        self.problem = problem


class OwnCertificate:
    """A self-signed certificate kept in a Secret, of which each replica serves the same.

    A new one is stored beside it and published in each caBundle. When it has been there for a while, so that every API
    server has learnt it, it is served, and the one before stays trusted until it expires. Replicas agree through the
    Secret's resourceVersion: of two that write, the second one reads again.
    """

    def __init__(self, api: KubeApi, settings: WebhookSettings, renewal_share: float) -> None:
        self._api = api
        self._name = settings.secret
        self._path = f"/api/v1/namespaces/{settings.namespace}/secrets/{settings.secret}"
        self._trust_period = timedelta(seconds=TRUST_POLLS * settings.poll_seconds)
        self._plan = Plan(frozenset(), timedelta(seconds=settings.certificate_validity_seconds), renewal_share)
        self._published_since: dict[x509.Certificate, datetime] = {}

    def current(self, configuration: Object, now: datetime) -> tuple[Candidate | None, Object]:
        """Renew in the Secret what is due, publish its certificates, and return the one to serve."""
        found = bundles(configuration)
        everywhere = set.intersection(*map(set, found))
        self._published_since = {each: self._published_since.get(each, now) for each in everywhere}
        nothing_is_trusted = not any(merge_bundle(each, (), now) for each in found)

        def is_trusted(certificate: x509.Certificate) -> bool:
            """Return whether API servers know it by now, or know nothing that it could replace too early."""
            since = self._published_since.get(certificate, now)
            return nothing_is_trusted or now - since >= self._trust_period

        secret = self._secret()
        data = secret.get("data") or {}
        before = read_stored(data)
        stored = advance(before, replace(self._plan, names=certificate_names(configuration)), now, is_trusted)
        if stored is not before:
            self._api.update(self._path, {**secret, "data": write_stored(stored, data)})
        configuration = self._publish(configuration, stored, now)
        if stored.served is None:
            return None, configuration
        chain, key = certificate_pem(stored.served.certificate), key_pem(stored.served)
        return Candidate(f"Secret {self._name}", chain, key), configuration

    def _secret(self) -> Object:
        """Return the Secret; one that was deleted is created again, and what is served goes on meanwhile.

        An uninstallation deletes the webhook configuration before the Secret, and so does not come here.
        """
        try:
            return self._api.get(self._path)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
        named = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self._name}, "type": "Opaque"}
        return self._api.apply(self._path, named)

    def _publish(self, configuration: Object, stored: StoredCertificates, now: datetime) -> Object:
        """Return the configuration with the certificates in each caBundle; others there stay until they expire."""
        operations: list[Object] = []
        for index, found in enumerate(bundles(configuration)):
            merged = merge_bundle(stored.bundle, found, now)
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

    def current(self, configuration: Object, now: datetime) -> tuple[Candidate | None, Object]:  # noqa: ARG002 - as Source
        """Return the files' content; the caBundle is the concern of whoever writes them."""
        chain = (self._directory / CERTIFICATE_FILE).read_bytes()
        key = (self._directory / KEY_FILE).read_bytes()
        return Candidate(str(self._directory), chain, key), configuration


def _served(candidate: Candidate) -> Served:
    try:
        chain = tuple(x509.load_pem_x509_certificates(candidate.chain))
        return Served(server_context(candidate.chain, candidate.key), candidate.chain, chain)
    except ValueError as error:
        raise ValueError(f"{candidate.origin} must hold a certificate and its key: {error}") from None


def _problem(served: Served | None, configuration: Object, now: datetime) -> str | None:
    return problem_of(served.context, served.chain, configuration, now) if served else "no certificate yet"
