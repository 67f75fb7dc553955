"""The MutatingWebhookConfiguration, as decoded JSON: the names that API servers call, and what they trust."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from emulator.webhook.certificates import certificate_pem, read_bundle
from emulator.webhook.tls import verification_error

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography import x509

    from emulator.webhook.kubeapi import Object

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def clients(configuration: Object) -> list[Object]:
    """Return the clientConfig of each webhook; raises ValueError if there is none."""
    found = [each["clientConfig"] for each in configuration.get("webhooks") or []]
    if not found:
        raise ValueError("the webhook configuration holds no webhook")
    return found


def bundles(configuration: Object) -> list[tuple[x509.Certificate, ...]]:
    """Return the certificates of each caBundle."""
    return [read_bundle(each.get("caBundle") or "") for each in clients(configuration)]


def called_name(client: Object) -> str:
    """Return the name that the API server verifies in the certificate.

    Source: Kubernetes documentation, "Dynamic Admission Control", Contacting the webhook.
    """
    service = client.get("service")
    return f"{service['name']}.{service['namespace']}.svc" if service else urlsplit(client["url"]).hostname or ""


def certificate_names(configuration: Object) -> frozenset[str]:
    """Return the names that a certificate needs: what the API server calls, and a Service without its `.svc`."""
    called = {called_name(each) for each in clients(configuration)}
    services = [each["service"] for each in clients(configuration) if each.get("service")]
    return frozenset(called | {f"{each['name']}.{each['namespace']}" for each in services})


def problem_of(
    served: ssl.SSLContext, chain: Sequence[x509.Certificate], configuration: Object, now: datetime
) -> str | None:
    """Return why an API server that knows this configuration would refuse what is served, None if it would not."""
    if not all(_is_valid(each, now) for each in chain):
        return f"the certificate is not valid now, but until {min(each.not_valid_after_utc for each in chain)}"
    for client, bundle in zip(clients(configuration), bundles(configuration), strict=True):
        pem = b"".join(certificate_pem(each) for each in bundle if _is_valid(each, now)).decode()
        name = called_name(client)
        if reason := verification_error(served, pem, name):
            title = configuration["metadata"]["name"]
            return f"the caBundle of {title} does not trust the certificate for {name}: {reason}"
    return None


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
