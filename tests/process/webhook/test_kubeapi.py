"""The client of the API server, over TLS."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from emulator.webhook.kubeapi import ApiError, KubeApi
from tests.support.webhook.fake_api import CONFIGURATION, SECRET, TOKEN, FakeApi
from tests.support.webhook.running import free_ports

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def account(api: FakeApi, tmp_path: Path) -> Path:
    """Return the directory of the service account."""
    return api.service_account(tmp_path / "service-account")


@pytest.fixture
def client(api: FakeApi, account: Path) -> KubeApi:
    """Return the client."""
    return KubeApi("127.0.0.1", api.port, account)


def test_update(client: KubeApi, api: FakeApi) -> None:
    """What was read can be written back changed, once: then it is no longer the newest."""
    secret = client.get(SECRET)
    stored = client.update(SECRET, {**secret, "data": {"a": "Yg=="}})

    with pytest.raises(ApiError) as caught:
        client.update(SECRET, secret)

    assert api.get(SECRET) == stored
    assert {"a": "Yg=="} == stored["data"]
    assert caught.value.is_conflict
    assert f"PUT {SECRET}: 409: the object has been modified" == str(caught.value)


def test_patch(client: KubeApi) -> None:
    """A patch whose test fails is a conflict, and changes nothing."""
    before = client.get(CONFIGURATION)
    unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": "0"}

    with pytest.raises(ApiError) as caught:
        client.patch(CONFIGURATION, [unchanged, {"op": "add", "path": "/metadata/labels", "value": {}}])

    assert caught.value.is_conflict
    assert before == client.get(CONFIGURATION)


def test_token_is_read_anew(client: KubeApi, account: Path) -> None:
    """The kubelet renews the token in its file; the next request carries it."""
    (account / "token").write_text("old")
    with pytest.raises(ApiError, match=f"GET {SECRET}: 401: Unauthorized") as caught:
        client.get(SECRET)
    (account / "token").write_text(f"{TOKEN}\n")

    assert not caught.value.is_conflict
    assert "Opaque" == client.get(SECRET)["type"]


def test_nobody_listens(account: Path) -> None:
    """An API server that can't be reached is an error that names address and reason."""
    (port,) = free_ports(1)

    with pytest.raises(ApiError, match=rf"^GET /version: no answer from 127\.0\.0\.1:{port}: .*refused$") as caught:
        KubeApi("127.0.0.1", port, account).get("/version")

    assert 0 == caught.value.status


def test_another_api_server(account: Path) -> None:
    """The token is not sent to a server that the service account's CA does not vouch for."""
    with FakeApi() as other:
        with pytest.raises(ApiError, match="certificate verify failed"):
            KubeApi("127.0.0.1", other.port, account).get("/version")

        assert [] == other.asked


def test_missing_account(tmp_path: Path) -> None:
    """Without a service account the error names the file."""
    with pytest.raises(ApiError, match="No such file"):
        KubeApi("127.0.0.1", 1, tmp_path).get("/version")


def test_something_else_answers(account: Path) -> None:
    """What is no TLS server is an error like any other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        with pytest.raises(ApiError, match="no answer from"):
            KubeApi("127.0.0.1", server.getsockname()[1], account, timeout_seconds=0.2).get("/version")
