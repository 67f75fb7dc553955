"""A registry on this machine, with TLS by an authority of its own, and what `make release` publishes there."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import create_default_context
from typing import TYPE_CHECKING

from tests.support.clusters import pki
from tests.support.tools import ports, programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[3]
START_SECONDS = 20
RELEASE_SECONDS = 3600


@dataclass(frozen=True)
class Registry:
    """`host`: with its port; `authority`: the file of the certificate that signed its own."""

    host: str
    folder: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate."""
        return self.folder / "ca.crt"

    @property
    def prefix(self) -> str:
        """The REGISTRY of `make release`."""
        return f"{self.host}/team/imds-emulator"

    @property
    def key(self) -> Path:
        """The key of cosign that signs; its public part is beside it."""
        return self.folder / "cosign.key"

    @property
    def environment(self) -> Mapping[str, str]:
        """That of programs in Go which trust the authority; cosign's key has no password."""
        found = os.pathsep.join(str(programs.path(name).parent) for name in ("crane", "cosign"))
        path = f"{found}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "SSL_CERT_FILE": str(self.authority), "COSIGN_PASSWORD": "", "PATH": path}

    def run(self, *command: str, cwd: Path = ROOT) -> str:
        """Run a program; return what it printed. Raises AssertionError with its complaint."""
        done = subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=RELEASE_SECONDS
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def release(self, *words: str) -> str:
        """Run `make release` from this checkout, in whatever state it is; return all that it printed."""
        return self.run("make", "release", f"REGISTRY={self.prefix}", f"KEY={self.key}", "REHEARSAL=1", *words)


@contextmanager
def serving(address: str, folder: Path) -> Iterator[Registry]:
    """Run CNCF's Distribution on `address`, with its content in `folder`."""
    (port,) = ports.free(1)
    made = Registry(f"{address}:{port}", folder)
    pki.certify(pki.authority(folder), "registry", "registry", hosts=[address])
    made.run("cosign", "generate-key-pair", cwd=folder)
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{accesslog: {{disabled: true}}, level: warn}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/store}}}}\n"
        f"http: {{addr: '{made.host}', tls: {{certificate: {folder}/registry.crt, key: {folder}/registry.key}}}}\n"
    )
    with (folder / "log").open("w") as log:
        command = [str(programs.path("registry")), "serve", str(folder / "config.yml")]
        server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        await_answer(made)
        yield made
    finally:
        server.terminate()
        server.wait()


def await_answer(registry: Registry) -> None:
    """Wait until it answers."""
    context = create_default_context(cafile=registry.authority)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"https://{registry.host}/v2/", timeout=START_SECONDS, context=context):
                return
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
