"""One experiment's own world: STS, a projected token as the kubelet keeps it, a sidecar, a witness.

Goes in: an authority, a directory, how long credentials live. Comes out: things to break.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.dns import Dns
from tests.faults.sts import Sts
from tests.faults.witness import Witness
from tests.wire.process import MAIN, Emulator, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.wire.authority import Authority

NAME = "sts.faults.example"  # of STS, for those who ask a DNS of the experiment's own


class Lab:
    """What an experiment has at hand. `close` ends it all, and fails if anything was served that may never be."""

    def __init__(self, name: str, authority: Authority, directory: Path, life_seconds: float) -> None:
        self.name = name
        self.directory = directory
        self.directory.mkdir()
        self.dns: Dns | None = None  # one of its own, where that is to break
        self.sts = Sts(authority.certificate, authority.key, life_seconds, name.replace("_", "").upper())
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

    def start(
        self,
        *,
        before: Sequence[str] = (),
        main: str = MAIN,
        stderr: int | None = None,
        **environ: str,
    ) -> None:
        """Start the sidecar and its witness, and wait for the first credentials."""
        self.emulator = Emulator(
            {**self.environ, **environ}, before=[*before, *without_privileges()], main=main, stderr=stderr
        )
        wait_until(lambda: self.emulator.health("/livez").status == 200, f"listening: {self.emulator.log()}")
        self.witness = Witness(self.emulator.port, self.sts.issued)
        wait_until(lambda: self.witness.ask().status == 200, f"credentials: {self.emulator.log()}")

    def restart(self) -> None:
        """Start the sidecar anew, in the place of one that has ended: the kubelet's part."""
        ports = self.emulator.port, self.emulator.health_port
        self.emulator = Emulator(self.environ, before=without_privileges(), ports=ports)

    def exchanges(self) -> int:
        """Return how many exchanges have ended, as its metrics tell."""
        lines = self.emulator.health("/metrics").body.splitlines()
        return sum(int(line.split()[-1]) for line in lines if line.startswith("imds_emulator_exchanges_total"))

    def descriptors(self) -> list[str]:
        """Return what the sidecar has open."""
        return sorted(os.readlink(entry) for entry in Path(f"/proc/{self.emulator.process.pid}/fd").iterdir())

    def close(self) -> None:
        """End it."""
        self.witness.end()
        self.emulator.end()
        self.sts.close()
        if self.dns is not None:
            self.dns.close()
        assert [] == self.witness.lies
        assert "Traceback" not in self.emulator.log()

    def _swap(self, generation: Path) -> None:
        link = self.directory / "..data_tmp"
        link.symlink_to(generation.name)
        link.rename(self.directory / "..data")


def without_privileges() -> list[str]:
    """Return the words that run a program as a container's: what root may and others may not, it may not."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"] if os.geteuid() == 0 else []
