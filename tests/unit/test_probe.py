"""`probe`, which `helm test` runs: what it asks, what it says, and its exit status."""

from __future__ import annotations

import io
from email.message import Message
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import pytest

from emulator import names
from emulator.probe import probe
from emulator.probe.api import Unreadable
from emulator.probe.findings import Finding
from emulator.sidecar.credentials import Credentials
from emulator.sidecar.imds import Service, respond
from emulator.sidecar.imds_tokens import Tokens
from emulator.sidecar.wire import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_795_597_200.0  # 2026-11-25T09:00:00Z
KEYS = Credentials("ASIAEXAMPLE", "secret", "token", NOW + 3600, NOW)
ARN = "arn:aws:iam::123456789012:role/path/app-role"
IMDS = "http://169.254.169.254"


class Emulator:
    """The emulator in one IMDS version, at one address; `naps` are what the probe slept until it had credentials."""

    def __init__(self, version: str = "v1", base: str = IMDS, naps_needed: int = 0) -> None:
        tokens = None if version == "v1" else Tokens(b"key")
        self.service = Service("app-role", "123456789012", tokens, NOW, token_needed=version == "v2")
        self.base = base
        self.naps_needed = naps_needed
        self.naps: list[float] = []
        self.sleep(0)

    def sleep(self, seconds: float) -> None:
        """Get credentials after so many naps."""
        self.naps += [seconds] if seconds else []
        if len(self.naps) == self.naps_needed:
            self.service.offer(KEYS)

    def ask(self, method: str, url: str, headers: Mapping[str, str]) -> str:
        """Answer as the emulator does."""
        assert url.startswith(self.base + "/")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = parse(f"{method} {url.removeprefix(self.base)} HTTP/1.1\r\n{lines}\r\n".encode())
        assert request is not None
        response = respond(request, self.service, NOW)
        assert response is not None
        head, _, body = response.encode(request, b"-").decode().partition("\r\n\r\n")
        status = int(head.split(" ")[1])
        if status != 200:
            raise HTTPError(url, status, "refused", Message(), io.BytesIO())
        return body


@pytest.mark.parametrize("version", names.IMDS_VERSIONS)
def test_credentials(version: str) -> None:
    """In each IMDS version the role that the list names is asked for, until it has credentials; no key is told."""
    emulator = Emulator(version, naps_needed=1)
    expected = Finding("credentials", "ok", "app-role, until 2026-11-25T10:00:00Z")

    assert expected == probe.credentials(emulator.ask, emulator.sleep, IMDS, ARN)
    assert [2] == emulator.naps


def test_credentials_of_another_role() -> None:
    """Those of another role, such as the node's, are no success, and there is nothing to wait for."""
    emulator = Emulator("v2")
    found = probe.credentials(emulator.ask, emulator.sleep, IMDS, "arn:aws:iam::123456789012:role/other")

    assert ("failed", f"{IMDS} has those of role 'app-role', not of 'other'") == (found.state, found.seen)
    assert "such as the node" in found.remedy
    assert [] == emulator.naps


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", IMDS), ("http://127.0.0.1:16925", "http://127.0.0.1:16925"), ("http://[::1]/", "http://[::1]")],
)
def test_endpoint(value: str, expected: str) -> None:
    """Redirect mode `env` says where to ask."""
    emulator = Emulator(base=expected)
    service = probe.endpoint({"AWS_EC2_METADATA_SERVICE_ENDPOINT": value})

    assert "ok" == probe.credentials(emulator.ask, emulator.sleep, service).state


def test_no_credentials() -> None:
    """After a minute it gives up and says what it saw and where to look."""
    naps: list[float] = []

    def ask(_method: str, url: str, _headers: Mapping[str, str]) -> str:
        raise OSError(f"nobody at {url}")

    remedy = "see the log of this pod's container imds-emulator, and the role's trust policy"
    expected = Finding("credentials", "failed", f"OSError: nobody at {IMDS}/latest/api/token", remedy)
    assert expected == probe.credentials(ask, naps.append, IMDS)
    assert 60 == sum(naps)


def test_arguments(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`credentials` asks where the environment says, by HTTP, and for the role that it is given."""
    emulator = Emulator("v2", "http://127.0.0.1:16925")
    monkeypatch.setattr(probe, "environment", lambda: {"AWS_EC2_METADATA_SERVICE_ENDPOINT": emulator.base})
    monkeypatch.setattr(probe, "ask_http", emulator.ask)

    assert 0 == probe.main(["credentials", "--role-arn", ARN])
    assert 1 == probe.main(["credentials", "--role-arn", f"{ARN}-2"])
    assert "not of 'app-role-2'" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        probe.main(["admission", "default", "--role-arn", "app-role"])
    assert "'app-role' is not the ARN of an IAM role" in capsys.readouterr().err


def test_outside_a_cluster(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an API server around it says so in one line, with exit status 2."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    assert 2 == probe.main(["admission", "default"])
    assert "imds-emulator probe: KUBERNETES_SERVICE_HOST is not set: run this in a pod\n" == capsys.readouterr().err


def test_admission_that_may_not_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """`helm test` does not pass where its own account may not create the pod: nothing was proved."""
    forbidden = 'pods is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "a"'

    class Forbidding:
        def __init__(self, _: Mapping[str, str]) -> None:
            pass

        def create(self, *_: object, **__: str) -> None:
            raise Unreadable(403, forbidden)

    monkeypatch.setattr(probe, "ServiceAccountCluster", Forbidding)

    assert probe.main(["admission", "a"]) == 2
