"""The certificate made by a real cert-manager."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import pytest

from tests.cluster.operators import cert_manager
from tests.support.kubernetes.creation import Creation, add, hold
from tests.support.kubernetes.kube import path, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kubernetes.kube import Kube
    from tests.support.kubernetes.release import Release
    from tests.support.reliability.figures import Figures

pytestmark = pytest.mark.full_only(
    reason="builds cert-manager (10 minutes), and waits for the kubelet to bring Secrets"
)

RENEWALS = 3
MOUNTED_SECONDS = 180  # the kubelet brings a changed Secret with its sync, once a minute or so
REGISTRATION = "admissionregistration.k8s.io/v1"


def test_cert_manager(kube: Kube, release: Release, namespace: str, figures: Figures, tmp_path: Path) -> None:
    """With cert-manager the webhook gets its certificate and caBundle, and renewals lose no creation.

    A leaf is renewed, then the authority, then the leaf of the renewed authority.
    """
    leaf, authority = f"{release.name}-certificate", f"{release.name}-ca"
    with cert_manager.running(kube, tmp_path):
        release.install({"certificate": {"mode": "cert-manager"}})
        secret = kube.request("GET", path("v1", "Secret", release.namespace, leaf))
        configuration = kube.request("GET", path(REGISTRATION, "MutatingWebhookConfiguration", name=release.name))
        (webhook,) = configuration["webhooks"]
        assert secret["data"]["ca.crt"] == webhook["clientConfig"]["caBundle"]
        assert b"BEGIN CERTIFICATE" in base64.b64decode(secret["data"]["ca.crt"])

        with Creation(kube, namespace) as creation:
            for name in (leaf, authority, leaf):
                before = cert_manager.revision(kube, release.namespace, name)
                cert_manager.renew(kube, release.namespace, name)
                wait_for("renewed", lambda: cert_manager.revision(kube, release.namespace, name) > before, 60)  # noqa: B023
                if name == leaf:
                    loaded = _loaded(kube, release)
                    wait_for("in service", lambda: min(_loaded(kube, release)) > max(loaded), MOUNTED_SECONDS)  # noqa: B023
            time.sleep(5)
        release.uninstall()

    figures.add("renewals", RENEWALS)
    add(figures, creation)
    hold(creation)


def _loaded(kube: Kube, release: Release) -> list[int]:
    """Return how many certificates each replica has put in service."""
    name = "imds_emulator_webhook_certificate_reloads_total"
    urls = [f"{path('v1', 'Pod', release.namespace, pod['metadata']['name'])}:16926" for pod in release.pods()]
    texts = [str(kube.request("GET", f"{url}/proxy/metrics")) for url in urls]
    return [int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith(f"{name} ")]
