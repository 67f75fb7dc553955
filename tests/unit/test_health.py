"""Probes and metrics: what the kubelet and Prometheus get, and that it is never a credential."""

from __future__ import annotations

import pytest

from emulator.sidecar.credentials import Credentials, Failure, Lifecycle
from emulator.sidecar.health import respond
from emulator.sidecar.metrics import Metrics
from emulator.sidecar.wire import parse

NOW = 1_795_597_200.0
STARTUP_UNTIL = NOW + 60
PATHS = ("/startupz", "/readyz", "/livez")


def make_lifecycle(state: str) -> Lifecycle:
    """Return a lifecycle that has credentials for an hour, has been refused, has failed, or has done nothing yet."""
    lifecycle = Lifecycle(3600, NOW)
    if state == "good":
        lifecycle.succeed(Credentials("ASIAKEY", "SECRET", "TOKEN", NOW + 3600, NOW), NOW, 0.5)
    if state == "refused":
        lifecycle.fail(Failure("AccessDenied", "Not authorized", 403), NOW, 0.5)
    if state == "failed":
        lifecycle.fail(Failure("ServiceUnavailable", "", 503), NOW, 0.5)
    return lifecycle


def ask(path: str, lifecycle: Lifecycle, now: float = NOW, method: str = "GET") -> tuple[int, str]:
    """Return status and body."""
    request = parse(f"{method} {path} HTTP/1.1\r\n\r\n".encode())
    assert request is not None
    response = respond(request, lifecycle, Metrics("9.9", "v1"), STARTUP_UNTIL, now)
    return response.status, response.encode(request, b"-").decode().partition("\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("state", "now", "expected"),
    [
        ("new", NOW, (503, 503, 200)),
        ("new", STARTUP_UNTIL, (200, 503, 200)),  # The app starts, late but not never
        ("refused", NOW, (200, 503, 200)),  # to wait for what is refused for good would only cost time
        ("failed", NOW, (503, 503, 200)),
        ("failed", STARTUP_UNTIL, (200, 503, 200)),
        ("good", NOW, (200, 200, 200)),
        ("good", NOW + 3599, (200, 200, 200)),
        ("good", NOW + 3600, (200, 503, 200)),
    ],
)
def test_probes(state: str, now: float, expected: tuple[int, int, int]) -> None:
    """Started with credentials, after the bounded wait or a refusal; ready with unexpired ones; alive always."""
    lifecycle = make_lifecycle(state)

    assert expected == tuple(ask(path, lifecycle, now)[0] for path in PATHS)


def test_reason() -> None:
    """A probe that fails tells why; the kubelet puts it into the pod's events."""
    bodies = [ask("/readyz", make_lifecycle(state))[1] for state in ("new", "refused")]

    assert ["no credentials yet", "no credentials: AccessDenied: Not authorized"] == bodies


@pytest.mark.parametrize("path", [*PATHS, "/metrics", "/", "/latest/meta-data/iam/security-credentials/app-role"])
@pytest.mark.claim("S03")
def test_no_credential(path: str) -> None:
    """No answer of this port holds a key."""
    _, body = ask(path, make_lifecycle("good"))

    assert [] == [secret for secret in ("ASIAKEY", "SECRET", "TOKEN") if secret in body]


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/", "GET", 404),
        ("/healthz", "GET", 404),
        ("/readyz", "POST", 405),
        ("/readyz/", "HEAD", 200),
        ("/metrics?x", "GET", 200),
    ],
)
def test_other_requests(path: str, method: str, expected: int) -> None:
    """All else is not found, or not allowed."""
    assert expected == ask(path, make_lifecycle("good"), method=method)[0]


def test_metrics() -> None:
    """/metrics tells of the credentials by their life alone."""
    _, body = ask("/metrics", make_lifecycle("good"), NOW + 600)

    assert "imds_emulator_credentials_remaining_seconds 3000\n" in body
    assert "imds_emulator_last_success_age_seconds 600\n" in body
