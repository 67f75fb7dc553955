"""Where the certificate comes from: each mode with what it needs and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.chart.rendering import (
    objects,
    one,
    pod_spec,
    values_file,
    webhook,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_self_mode() -> None:
    """Mode `self`: no caBundle, a Secret without data that the release owns, and the right to that one."""
    found = objects("--set=certificate.mode=self")

    assert "caBundle" not in webhook(found)["clientConfig"]
    assert {"apiVersion", "kind", "metadata", "type"} == one(found, "Secret").keys()
    assert [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["imds-emulator-certificate"],
            "verbs": ["get", "update", "create", "patch"],
        }
    ] == one(found, "Role")["rules"]
    assert [
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations"],
            "resourceNames": ["imds-emulator"],
            "verbs": ["get", "patch"],
        }
    ] == one(found, "ClusterRole")["rules"]
    assert ["parameters"] == [volume["name"] for volume in pod_spec(found)["volumes"]]


def test_cert_manager_mode() -> None:
    """Mode `cert-manager` fills in caBundle; the webhook mounts the Secret of its Certificate and may only read."""
    found = objects("--set=certificate.mode=cert-manager", release="r", namespace="ns")
    configuration = one(found, "MutatingWebhookConfiguration")

    source = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]

    assert "ns/r-imds-emulator-certificate" == source
    assert "caBundle" not in webhook(found)["clientConfig"]
    assert [] == [item for item in found if item["kind"] in ("Secret", "Role", "RoleBinding")]
    assert ["get"] == one(found, "ClusterRole")["rules"][0]["verbs"]
    secret = one(found, "Certificate", "-certificate")["spec"]["secretName"]
    assert {"name": "certificate", "secret": {"secretName": secret}} in pod_spec(found)["volumes"]
    assert {"name": "r-imds-emulator-ca", "kind": "Issuer", "group": "cert-manager.io"} == one(
        found, "Certificate", "-certificate"
    )["spec"]["issuerRef"]


def test_cert_manager_with_an_issuer() -> None:
    """A given issuer takes the place of the chart's own authority."""
    options = "--set=certificate.issuerRef.name=corp,certificate.issuerRef.kind=ClusterIssuer"
    found = objects("--set=certificate.mode=cert-manager", options)

    assert {"name": "corp", "kind": "ClusterIssuer"} == one(found, "Certificate")["spec"]["issuerRef"]
    assert [] == [item for item in found if item["kind"] == "Issuer"]


def test_secret_mode(tmp_path: Path) -> None:
    """Mode `secret`: the given Secret is mounted and the given authority is the caBundle."""
    values = values_file(
        tmp_path,
        """
        certificate:
          mode: secret
          secretName: tls
          caBundle: |
            -----BEGIN CERTIFICATE-----
            AAAA
            -----END CERTIFICATE-----
        """,
    )
    found = objects(values)

    bundle = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
    assert bundle == webhook(found)["clientConfig"]["caBundle"]
    assert {"name": "certificate", "secret": {"secretName": "tls"}} in pod_spec(found)["volumes"]
    assert [] == [item for item in found if item["kind"] in ("Secret", "Certificate", "Issuer", "Role")]


def test_secret_mode_filled_by_others() -> None:
    """Mode `secret` without an authority leaves caBundle out, so that the value that something else fills in stays."""
    found = objects("--set=certificate.mode=secret,certificate.secretName=tls")

    assert "caBundle" not in webhook(found)["clientConfig"]
