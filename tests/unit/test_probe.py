"""`probe`, which `helm test` runs: what it asks, what it says, and its exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from emulator.check import probe
from emulator.check.findings import Finding
from emulator.check.probe import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def test_credentials() -> None:
    """The role that the list names is asked for, after a first answer that has none yet; no key is told."""
    answers: Iterator[tuple[str, str | OSError]] = iter(
        [
            (CREDENTIALS, OSError("HTTP Error 503: Service Unavailable")),
            (CREDENTIALS, "app-role"),
            (f"{CREDENTIALS}app-role", json.dumps({"SecretAccessKey": "s", "Expiration": "2030-01-01T00:00:00Z"})),
        ]
    )
    naps: list[float] = []

    def fetch(url: str) -> str:
        expected, answer = next(answers)
        assert expected == url
        if isinstance(answer, OSError):
            raise answer
        return answer

    assert Finding("credentials", "ok", "app-role, until 2030-01-01T00:00:00Z") == probe.credentials(fetch, naps.append)
    assert [2] == naps


def test_no_credentials() -> None:
    """After a minute it gives up and says what it saw and where to look."""
    naps: list[float] = []

    def fetch(url: str) -> str:
        raise OSError(f"nobody at {url}")

    remedy = "see the log of this pod's container imds-emulator, and the role's trust policy"
    expected = Finding("credentials", "failed", f"OSError: nobody at {CREDENTIALS}", remedy)
    assert expected == probe.credentials(fetch, naps.append)
    assert 60 == sum(naps)


def test_outside_a_cluster(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an API server around it says so in one line, with exit status 2."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    assert 2 == probe.main(["admission", "default"])
    assert "imds-emulator probe: KUBERNETES_SERVICE_HOST is not set: run this in a pod\n" == capsys.readouterr().err
