"""Clients in the cache: each installed once, and anew when anything that it is made of changes.

In: a client. Out: the folder that it is installed in, or the reason why this machine can't have it.
"""

import contextlib
import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.conformance import languages
from tests.conformance.clients import Client
from tests.conformance.languages import UnavailableError
from tests.tools.paths import cache

_COMPLETE = ".complete"


def folder(client: Client) -> Path:
    """Return where the client is, or will be: its name tells the version and a digest of all that makes it."""
    digest = hashlib.sha256()
    for file in (*client.language.files(client.recipe), Path(languages.__file__)):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return cache() / "conformance" / f"{client.id}-{digest.hexdigest()[:8]}"


def prepare(client: Client) -> Path:
    """Install the client unless it is there; raises UnavailableError, and StepFailedError if an installation fails."""
    if missing := client.language.missing():
        raise UnavailableError(missing)
    target = folder(client)
    with _one_at_a_time():
        if not (target / _COMPLETE).exists():
            # Not a folder that is renamed when it is done: virtual environments know where they are.
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            client.language.install(client.recipe, target)
            (target / _COMPLETE).touch()
    return target


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep a second run from installing into the same folders."""
    path = cache() / "conformance" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
