"""One experiment's own world: STS, a projected token as the kubelet keeps it, a sidecar, a witness."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.experiments.faults.sts import Sts
from tests.experiments.faults.witness import Witness
from tests.support.wire.process import DEADLINE_SECONDS, MAIN, Emulator, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.experiments.faults.clock import SetClock
    from tests.experiments.faults.dns import Dns
    from tests.support.wire.authority import Authority

NAME = "sts.faults.example"  # of STS, for those who ask a DNS of the experiment's own


class Lab:
    """What an experiment has at hand. `close` ends it all, and fails if anything was served that may never be."""

    def __init__(self, name: str, authority: Authority, directory: Path, life_seconds: float) -> None:
        self.name = name
        self.directory = directory
        self.directory.mkdir()
        self.dns: Dns | None = None  # one of its own, where that is to break
        self.clock: SetClock | None = None  # likewise
        self.sts = Sts(authority.certificate, authority.key, life_seconds, "".join(filter(str.isalnum, name)).upper())
        self.token_file = directory / "token"
        self._generations = itertools.count(1)
        self.token = self.rotate()
        self.token_file.symlink_to("..data/token")
        self.environ = {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token_file),
            "AWS_ENDPOINT_URL_STS": f"https://localhost:{self.sts.port}",
            "AWS_CA_BUNDLE": str(authority.ca),
        }

    def rotate(self, text: str | None = None, mode: int = 0o600) -> str:
        """Put another token there, as the kubelet does: a new directory, and a symlink that changes at once."""
        number = next(self._generations)
        token = f"eyJhbGciOiJub25lIn0.{self.name}-{number}" if text is None else text
        generation = self.directory / f"..{number}"
        generation.mkdir()
        (generation / "token").write_text(token)
        (generation / "token").chmod(mode)
        self._swap(generation)
        return token

    def rotate_to_directory(self) -> None:
        """Put a directory in the token's place."""
        generation = self.directory / f"..{next(self._generations)}"
        (generation / "token").mkdir(parents=True)
        self._swap(generation)

    def remove_token(self) -> None:
        """Take the token away."""
        (self.token_file.parent / "..data" / "token").unlink()

    def launch(
        self, *, before: Sequence[str] = (), main: str = MAIN, stderr: int | None = None, **environ: str
    ) -> None:
        """Start the sidecar, and its witness once it listens."""
        self.emulator = Emulator(
            {**self.environ, **environ}, before=[*before, *without_privileges()], main=main, stderr=stderr
        )
        wait_until(lambda: self.emulator.health("/livez").status == 200, f"listening: {self.emulator.log()}")
        self.witness = Witness(self.emulator.port, self.sts.issued)

    def start(self, *, before: Sequence[str] = (), main: str = MAIN, stderr: int | None = None, **environ: str) -> None:
        """Launch it, and wait for the first credentials."""
        self.launch(before=before, main=main, stderr=stderr, **environ)
        self.await_credentials()

    def await_credentials(self) -> None:
        """Wait for the first credentials."""
        self.wait(lambda: self.witness.ask().status == 200, "credentials")
        self.wait(lambda: not self.emulator.children(), "the end of the first exchange")

    def wait(self, condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until `condition()` is true; fail at the deadline with `what`, the log, and what the witness saw."""
        try:
            wait_until(condition, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.emulator.log()}\n{self.witness.seen[-30:]}") from None

    def restart(self, before: Sequence[str] = ()) -> None:
        """Start the sidecar again, in the place of one that has ended: the kubelet's part."""
        ports = self.emulator.port, self.emulator.health_port
        self.emulator = Emulator(self.environ, before=[*before, *without_privileges()], ports=ports)

    def exchanges(self) -> int:
        """Return how many exchanges have ended, as its metrics tell."""
        lines = self.emulator.health("/metrics").body.splitlines()
        return sum(int(line.split()[-1]) for line in lines if line.startswith("imds_emulator_exchanges_total"))

    def descriptors(self) -> int:
        """Return how many the sidecar has open."""
        return len(list(Path(f"/proc/{self.emulator.process.pid}/fd").iterdir()))

    def close(self) -> None:
        """End it."""
        self.witness.end()
        self.emulator.end()
        self.sts.close()
        for part in (self.dns, self.clock):
            if part is not None:
                part.close()
        assert [] == self.witness.lies
        assert "Traceback" not in self.emulator.log()

    def _swap(self, generation: Path) -> None:
        link, data = self.directory / "..data_tmp", self.directory / "..data"
        before = data.resolve() if data.is_symlink() else None
        link.symlink_to(generation.name)
        link.rename(data)
        if before is not None:
            shutil.rmtree(before)


def without_privileges() -> list[str]:
    """Return the words that run a program as a container's: what root may and others may not, it may not."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"] if os.geteuid() == 0 else []
