"""What the webhook is told by its environment; apart from `settings`, so that the sidecar does not carry it.

Goes in: a mapping of names to texts; an empty text is as good as none.
Comes out: settings, checked; or SettingsError with one line that names variable, value and remedy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulator import log, names
from emulator.settings import PORTS, SettingsError, choice, integer, required, text, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

DRAIN_SECONDS = (0, 600)
DRAIN_DEFAULT_SECONDS = 10
POLL_SECONDS = (0.1, 3600.0)
POLL_DEFAULT_SECONDS = 5.0
VALIDITY_SECONDS = (2, 10 * 365 * 86400)
VALIDITY_DEFAULT_SECONDS = 30 * 86400
# All serve a renewed certificate 5 polls after it is due, at most; the last 3/10 of its life must hold them.
POLLS_IN_A_LIFE = 20


@dataclass(frozen=True)
class WebhookSettings:
    """What `webhook` is told."""

    port: int
    health_port: int
    drain_seconds: int
    parameters: Path
    configuration: str
    certificate_mode: str
    certificate_directory: Path
    namespace: str
    secret: str
    poll_seconds: float
    certificate_validity_seconds: int
    api_host: str
    api_port: int
    service_account: Path
    log_level: str


def webhook_settings(environ: Mapping[str, str]) -> WebhookSettings:
    """Return the settings of `webhook`; raises SettingsError."""
    mode = choice(environ, names.ENV_CERTIFICATE_MODE, names.CERTIFICATE_MODES[0], names.CERTIFICATE_MODES)
    makes_its_own = mode == "self"
    settings = WebhookSettings(
        port=integer(environ, names.ENV_WEBHOOK_PORT, names.WEBHOOK_PORT_DEFAULT, PORTS),
        health_port=integer(environ, names.ENV_HEALTH_PORT, names.HEALTH_PORT_DEFAULT, PORTS),
        drain_seconds=integer(environ, names.ENV_DRAIN_SECONDS, DRAIN_DEFAULT_SECONDS, DRAIN_SECONDS),
        parameters=_directory(environ, names.ENV_PARAMETERS, names.PARAMETERS_DIRECTORY),
        configuration=required(
            environ, names.ENV_WEBHOOK_CONFIGURATION, "set it to the name of the MutatingWebhookConfiguration"
        ),
        certificate_mode=mode,
        certificate_directory=Path(text(environ, names.ENV_CERTIFICATE_DIRECTORY) or names.CERTIFICATE_DIRECTORY)
        if makes_its_own
        else _directory(environ, names.ENV_CERTIFICATE_DIRECTORY, names.CERTIFICATE_DIRECTORY),
        namespace=required(environ, names.ENV_POD_NAMESPACE, "set it to the namespace of the Secret")
        if makes_its_own
        else text(environ, names.ENV_POD_NAMESPACE),
        secret=required(environ, names.ENV_CERTIFICATE_SECRET, "set it to the name of the Secret for the certificate")
        if makes_its_own
        else text(environ, names.ENV_CERTIFICATE_SECRET),
        poll_seconds=_seconds(environ, names.ENV_CERTIFICATE_POLL_SECONDS, POLL_DEFAULT_SECONDS, POLL_SECONDS),
        certificate_validity_seconds=integer(
            environ, names.ENV_CERTIFICATE_VALIDITY_SECONDS, VALIDITY_DEFAULT_SECONDS, VALIDITY_SECONDS
        ),
        api_host=required(environ, names.ENV_API_HOST, "run in a pod, or set it to the API server's host"),
        api_port=integer(environ, names.ENV_API_PORT, 443, PORTS),
        service_account=_directory(environ, names.ENV_SERVICE_ACCOUNT, names.SERVICE_ACCOUNT_DIRECTORY),
        log_level=choice(environ, names.ENV_LOG_LEVEL, "info", log.LEVELS),
    )
    _check(settings)
    return settings


def _check(settings: WebhookSettings) -> None:
    """Hold the settings against each other."""
    if settings.port == settings.health_port:
        raise wrong(names.ENV_HEALTH_PORT, str(settings.port), f"must differ from {names.ENV_WEBHOOK_PORT}")
    shortest = POLLS_IN_A_LIFE * settings.poll_seconds
    if settings.certificate_validity_seconds < shortest:
        raise wrong(
            names.ENV_CERTIFICATE_VALIDITY_SECONDS,
            str(settings.certificate_validity_seconds),
            f"must be at least {shortest:g}, {POLLS_IN_A_LIFE} times {names.ENV_CERTIFICATE_POLL_SECONDS}",
        )


def _directory(environ: Mapping[str, str], name: str, default: str) -> Path:
    path = Path(text(environ, name) or default)
    if not _is_directory(path):
        raise SettingsError(f"{name}: no directory {str(path)!r}: mount it, or set {name} to where it is")
    return path


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, a directory on the way that may not be read
        return False


def _seconds(environ: Mapping[str, str], name: str, default: float, bounds: tuple[float, float]) -> float:
    value = text(environ, name)
    low, high = bounds
    try:
        seconds = float(value) if value else default
    except ValueError:
        seconds = -1
    if not low <= seconds <= high:
        raise wrong(name, value, f"must be a number from {low:g} to {high:g}")
    return seconds
