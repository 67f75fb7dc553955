"""Fixtures of the webhook's tests: an API server that is a dictionary, and one webhook that is ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.webhook.fake_api import FakeApi
from tests.support.webhook.running import Webhook, environment, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """Run an API server with an empty Secret and a configuration of the Service injector in ns."""
    with FakeApi() as running_api:
        yield running_api


@pytest.fixture
def environ(api: FakeApi, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a webhook of that API server."""
    return environment(tmp_path, ("127.0.0.1", api.port), api.service_account(tmp_path / "service-account"))


@pytest.fixture
def webhook(environ: dict[str, str], tmp_path: Path) -> Iterator[Webhook]:
    """Run one webhook until it is ready; it must not have shown a traceback at the end."""
    with running(environ, tmp_path / "log") as process:
        yield process
        assert "Traceback" not in process.log
