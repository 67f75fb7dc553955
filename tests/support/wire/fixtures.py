"""Fixtures: an authority, stubs of STS, emulators that ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.wire.authority import Authority, make_authority
from tests.support.wire.process import MAIN, Emulator, wait_until
from tests.support.wire.stub_sts import Reply, StubSts, grant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class World:
    """One test's STS and emulators. `answer` is what STS says, and may be changed while it runs."""

    def __init__(self, authority: Authority, directory: Path) -> None:
        self.authority = authority
        self.token_file = directory / "token"
        self.token_file.write_text("eyJhbGciOiJub25lIn0.token-a")
        self.sts = StubSts(authority.certificate, authority.key, lambda _: grant())
        self._emulators: list[Emulator] = []

    def answer(self, answer: Callable[[dict[str, str]], Reply]) -> None:
        """Let STS answer so."""
        self.sts.answer = answer

    def environ(self) -> dict[str, str]:
        """Return what an emulator must be told to ask this STS."""
        return {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token_file),
            "AWS_ENDPOINT_URL_STS": f"https://localhost:{self.sts.port}",
            "AWS_CA_BUNDLE": str(self.authority.ca),
        }

    def start(self, main: str = MAIN, **environ: str) -> Emulator:
        """Start an emulator, by a program of its own if need be, and wait until it listens."""
        emulator = Emulator({**self.environ(), **environ}, main=main)
        self._emulators.append(emulator)
        wait_until(lambda: emulator.health("/livez").status == 200, f"listening: {emulator.log()}")
        return emulator

    def start_ready(self, **environ: str) -> Emulator:
        """Start an emulator and wait until it has credentials."""
        emulator = self.start(**environ)
        wait_until(lambda: emulator.health("/readyz").status == 200, "credentials")
        return emulator

    def close(self) -> None:
        """End everything; no emulator may ever have failed by an exception."""
        logs = []
        for emulator in self._emulators:
            emulator.end()
            logs.append(emulator.log())
        self.sts.close()
        assert not [log for log in logs if "Traceback" in log]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority and a server's certificate for localhost."""
    return make_authority(tmp_path_factory.mktemp("authority"), "localhost", "127.0.0.1")


@pytest.fixture
def world(authority: Authority, tmp_path: Path) -> Iterator[World]:
    """Return an STS of this test's own."""
    world = World(authority, tmp_path)
    yield world
    world.close()


@pytest.fixture(scope="module")
def shared(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Return an emulator with credentials that the tests of a module share."""
    world = World(authority, tmp_path_factory.mktemp("shared"))
    yield world.start_ready()
    world.close()


@pytest.fixture(scope="module")
def shared_v2(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Return one that demands IMDSv2."""
    world = World(authority, tmp_path_factory.mktemp("shared"))
    yield world.start_ready(IMDS_EMULATOR_IMDS_VERSION="v2")
    world.close()
