"""What the webhook's environment may say, and the line that names what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from emulator.injection.parameters import parameter_warnings, read_parameters
from emulator.settings import SettingsError
from emulator.webhook.settings import WebhookSettings, webhook_settings
from tests.support.webhook.running import PARAMETERS, parameters


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return the least that a webhook needs."""
    return {
        "POD_NAMESPACE": "ns",
        "IMDS_EMULATOR_WEBHOOK_CONFIGURATION": "imds-emulator",
        "IMDS_EMULATOR_CERTIFICATE_SECRET": "imds-emulator-certificate",
        "IMDS_EMULATOR_PARAMETERS": str(tmp_path),
        "IMDS_EMULATOR_SERVICE_ACCOUNT": str(tmp_path),
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    }


def test_defaults(environ: dict[str, str], tmp_path: Path) -> None:
    """What is not said has a default; an empty variable says nothing."""
    expected = WebhookSettings(
        port=8443,
        health_port=16926,
        drain_seconds=10,
        parameters=tmp_path,
        configuration="imds-emulator",
        certificate_mode="self",
        certificate_directory=Path("/etc/imds-emulator/certificate"),
        namespace="ns",
        secret="imds-emulator-certificate",
        poll_seconds=5.0,
        certificate_validity_seconds=30 * 86400,
        api_host="10.0.0.1",
        api_port=443,
        service_account=tmp_path,
        log_level="info",
    )

    assert expected == webhook_settings({**environ, "IMDS_EMULATOR_WEBHOOK_PORT": " "})


def test_given_certificate_needs_no_secret(environ: dict[str, str], tmp_path: Path) -> None:
    """Where someone else makes the certificate, only its directory is needed."""
    del environ["IMDS_EMULATOR_CERTIFICATE_SECRET"], environ["POD_NAMESPACE"]
    given = {"IMDS_EMULATOR_CERTIFICATE_MODE": "cert-manager", "IMDS_EMULATOR_CERTIFICATE_DIRECTORY": str(tmp_path)}

    assert tmp_path == webhook_settings({**environ, **given}).certificate_directory


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("IMDS_EMULATOR_CERTIFICATE_MODE", "vault", "='vault': must be one of self, cert-manager, secret"),
        ("IMDS_EMULATOR_LOG_LEVEL", "warn", "='warn': must be one of debug, info, error"),
        ("IMDS_EMULATOR_CERTIFICATE_SECRET", "", " is not set: set it to the name of the Secret for the certificate"),
        ("POD_NAMESPACE", "", " is not set: set it to the namespace of the Secret"),
        (
            "IMDS_EMULATOR_WEBHOOK_CONFIGURATION",
            "",
            " is not set: set it to the name of the MutatingWebhookConfiguration",
        ),
        ("KUBERNETES_SERVICE_HOST", "", " is not set: run in a pod, or set it to the API server's host"),
        ("IMDS_EMULATOR_WEBHOOK_PORT", "0", "='0': must be a whole number from 1 to 65535"),
        (
            "IMDS_EMULATOR_HEALTH_PORT",
            "8443",
            "='8443': must differ from IMDS_EMULATOR_WEBHOOK_PORT",
        ),
        ("IMDS_EMULATOR_DRAIN_SECONDS", "x", "='x': must be a whole number from 0 to 600"),
        ("IMDS_EMULATOR_CERTIFICATE_POLL_SECONDS", "nan", "='nan': must be a number from 0.1 to 3600"),
        ("IMDS_EMULATOR_CERTIFICATE_POLL_SECONDS", "0", "='0': must be a number from 0.1 to 3600"),
        (
            "IMDS_EMULATOR_CERTIFICATE_VALIDITY_SECONDS",
            "99",
            "='99': must be at least 100, 20 times IMDS_EMULATOR_CERTIFICATE_POLL_SECONDS",
        ),
        (
            "IMDS_EMULATOR_PARAMETERS",
            "/no/such",
            ": no directory '/no/such': mount it, or set IMDS_EMULATOR_PARAMETERS to where it is",
        ),
        (
            "IMDS_EMULATOR_PARAMETERS",
            "/" + "x" * 300,
            f": no directory '/{'x' * 300}': mount it, or set IMDS_EMULATOR_PARAMETERS to where it is",
        ),
        (
            "IMDS_EMULATOR_SERVICE_ACCOUNT",
            "/no/such",
            ": no directory '/no/such': mount it, or set IMDS_EMULATOR_SERVICE_ACCOUNT to where it is",
        ),
    ],
)
def test_wrong(environ: dict[str, str], name: str, value: str, expected: str) -> None:
    """A variable that is missing or wrong is named in one line, with its value and the remedy."""
    with pytest.raises(SettingsError) as caught:
        webhook_settings({**environ, name: value})

    assert f"{name}{expected}" == str(caught.value).removeprefix("invalid ")


def test_parameters(tmp_path: Path) -> None:
    """The parameters of the golden pods are right, and read as they are."""
    expected = yaml.safe_load(PARAMETERS.read_text())

    assert expected == read_parameters(parameters(tmp_path))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("port", "http", "port='http': must be a whole number from 1 to 65535"),
        ("healthPort", "", "healthPort is not set: set it in the ConfigMap"),
        ("tokenExpirationSeconds", "599", "='599': must be a whole number from 600 to 4294967296"),
        ("durationSeconds", "60", "durationSeconds='60': must be a whole number from 900 to 43200"),
        ("sidecarMode", "old", "sidecarMode='old': must be one of auto, native, classic"),
        ("useFipsEndpoint", "yes", "useFipsEndpoint='yes': must be one of true, false"),
        ("allowedRolesMode", "on", "allowedRolesMode='on': must be one of off, audit, enforce"),
        ("allowedRolesMode", "enforce\n", "allowedRolesMode='enforce\\n': must not begin or end with white space"),
        ("redirectAllowed", "", "redirectAllowed is not set: set it to one or more of iptables, env"),
        ("redirectAllowed", "iptables,ebpf", "redirectAllowed='ebpf': must be one of iptables, env"),
        ("mesh", "kuma", "mesh='kuma': must be one of none, istio, linkerd"),
        ("emulatorMemoryLimit", "64MB", "='64MB': must be a quantity greater than 0, such as 100m or 64Mi, or empty"),
        ("redirectCpuRequest", "300m", "='300m': must be at most redirectCpuLimit, '200m'"),
        ("healthPort", "16925", "healthPort='16925': must differ from port"),
        (
            "stsEndpoint",
            "http://sts",
            "='http://sts': must be https://HOST[:PORT][/PATH], unless allowInsecureEndpoint=true",
        ),
        (
            "httpsProxy",
            "https://u:p@proxy",
            "httpsProxy: must be http://[USER:PASSWORD@]HOST[:PORT], a proxy that supports CONNECT",
        ),
        ("emulatorImage", " ", "emulatorImage is not set: set it in the ConfigMap"),
    ],
)
def test_wrong_parameter(tmp_path: Path, key: str, value: str, expected: str) -> None:
    """A parameter that would break every injection is named with its value and the remedy."""
    directory = parameters(tmp_path, **{key: value})

    with pytest.raises(SettingsError) as caught:
        read_parameters(directory)

    assert (
        str(caught.value).replace(": invalid ", ": ").startswith(f"IMDS_EMULATOR_PARAMETERS={str(tmp_path)!r}: {key}")
    )
    assert str(caught.value).endswith(expected)


def test_mode_that_is_not_allowed(tmp_path: Path) -> None:
    """The default mode of the redirect must be one that pods may have."""
    with pytest.raises(SettingsError, match=r"redirectMode='iptables': must be one of redirectAllowed, 'env'$"):
        read_parameters(parameters(tmp_path, redirectAllowed="env"))


@pytest.mark.parametrize(("seconds", "expected"), [("1799", 1), ("1800", 0)])
def test_short_duration(seconds: str, expected: int) -> None:
    """Half of the life is left when the emulator renews: below 15 minutes botocore and Java ask at every call."""
    assert expected == len(parameter_warnings({"durationSeconds": seconds}))


def test_missing_parameter(tmp_path: Path) -> None:
    """A key that the mounted ConfigMap lacks is named."""
    with pytest.raises(SettingsError) as caught:
        read_parameters(tmp_path)

    assert str(caught.value).endswith(": emulatorImage is missing: add the key to the ConfigMap")
