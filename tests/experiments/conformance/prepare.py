"""Clients in the cache: each installed once, and again when anything that it is made of changes.

In: clients. Out: the folders that they are installed in, or the reasons why this machine can't have them.
"""

import contextlib
import fcntl
import hashlib
import inspect
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from emulator.build.paths import cache
from emulator.build.progress import StepFailedError
from tests.experiments.conformance.clients import Client
from tests.experiments.conformance.languages import UnavailableError

AT_A_TIME = 2  # one downloads while the other compiles
_COMPLETE = ".complete"


def folder(client: Client) -> Path:
    """Return where the client is, or will be: its name tells the version and a digest of what makes it."""
    digest = hashlib.sha256(inspect.getsource(client.language.install).encode())
    for file in client.language.files(client.recipe):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    name = "-".join(filter(None, (client.recipe.package, client.recipe.version, digest.hexdigest()[:8])))
    return cache() / "conformance" / name


@dataclass(frozen=True)
class Prepared:
    """Where the clients are; why this machine can't have some; the log's end of what should have worked."""

    folders: dict[Client, Path] = field(default_factory=dict)
    unavailable: dict[Client, str] = field(default_factory=dict)
    failed: dict[Client, str] = field(default_factory=dict)


def prepare(clients: Iterable[Client]) -> Prepared:
    """Install the clients that are not there: those of one language after each other, two languages at a time."""
    prepared = Prepared()
    by_language: dict[str, list[Client]] = {}
    for client in clients:
        by_language.setdefault(client.language.name, []).append(client)

    def each(of_one: list[Client]) -> None:
        for client in of_one:
            try:
                prepared.folders[client] = _prepare(client)
            except UnavailableError as error:
                prepared.unavailable[client] = str(error)
            except StepFailedError as error:
                prepared.failed[client] = str(error)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(each, by_language.values()))
    return prepared


def _prepare(client: Client) -> Path:
    if missing := client.language.missing():
        raise UnavailableError(missing)
    target = folder(client)
    with _alone(target):
        if not (target / _COMPLETE).exists():
            # Not a folder that is renamed when it is done: virtual environments know where they are.
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            client.language.install(client.recipe, target)
            (target / _COMPLETE).touch()
    return target


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep a second run from installing into the same folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
