"""The webhook's process under load: where it runs, who asks it, and who only troubles it.

It records the times of all answers, and the CPU time and memory of the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import yaml

from tests.support.webhook.fake_api import FakeApi
from tests.support.webhook.running import OF_THE_CHECKOUT, Webhook, environment, review, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.webhook.running import Object

SOURCE = Path(__file__).with_name("webhook_peers")
VALUES = Path(__file__).parents[3] / "charts" / "imds-emulator" / "values.yaml"
OPEN_SECONDS = 60


@dataclass(frozen=True)
class Pace:
    """How a series of reviews at a fixed rate went; times are from the moment at which each was due."""

    asked: int
    failed: int
    reasons: list[str]
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class Peers:
    """The program of the peers, the webhook that they are of, and a core of their own if there is one."""

    program: Path
    webhook: Webhook
    core: int | None

    @contextlib.contextmanager
    def flood(self, **kinds: int) -> Iterator[None]:
        """Keep so many ill-behaved peers of each kind at it."""
        orders = [f"{kind}={count}" for kind, count in kinds.items()]
        command = [*_on(self.core), str(self.program), "flood", f"127.0.0.1:{self.webhook.port}", *orders]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peers:
            try:
                assert cast("IO[str]", peers.stdout).readline() == "open\n"
                yield
            finally:
                peers.kill()

    @contextlib.contextmanager
    def asking(self, body: Path, *, kept: int, rate: int, seconds: int) -> Iterator[list[Pace]]:
        """Ask for reviews at a rate while the context lasts, or longer; the list has the result afterwards."""
        url = f"https://127.0.0.1:{self.webhook.port}/mutate?timeout=5s"
        arguments = [str(each) for each in (body, kept, rate, seconds)]
        command = [*_on(self.core), str(self.program), "pace", url, *arguments]
        result: list[Pace] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as peers:
            try:
                yield result
                out, _ = peers.communicate(timeout=seconds + 60)
            finally:
                peers.kill()
        assert peers.returncode == 0
        result.append(Pace(**json.loads(out)))

    def ask(self, body: Path, *, kept: int, rate: int, seconds: int) -> Pace:
        """Ask for reviews at a rate, and return how that went."""
        with self.asking(body, kept=kept, rate=rate, seconds=seconds) as result:
            pass
        return result[0]


@contextlib.contextmanager
def pinned(program: Path, directory: Path) -> Iterator[Peers]:
    """Run a webhook on one core, and have its peers on another where the machine has two."""
    cores = sorted(os.sched_getaffinity(0))
    with FakeApi() as api:
        service_account = api.service_account(directory / "service-account")
        environ = environment(
            directory, ("127.0.0.1", api.port), service_account, IMDS_EMULATOR_CERTIFICATE_POLL_SECONDS="5"
        )
        with running(environ, directory / "webhook.log", command=(*_on(cores[0]), *OF_THE_CHECKOUT)) as webhook:
            yield Peers(program, webhook, cores[1] if len(cores) > 1 else None)
            assert "Traceback" not in webhook.log


def body_of(pod: Object, file: Path) -> Path:
    """Write the review of a pod's creation."""
    file.write_text(json.dumps(review(pod)))
    return file


def processor_seconds(process: int) -> float:
    """Return the processor time that a process has used, in both modes: proc(5), utime and stime."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(process: int) -> float:
    """Return the most memory that a process has had, MiB."""
    line = next(each for each in Path(f"/proc/{process}/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def memory_limit() -> float:
    """Return the chart's limit for the webhook, MiB."""
    limit = str(yaml.safe_load(VALUES.read_text())["resources"]["limits"]["memory"])
    assert limit.endswith("Mi")
    return float(limit.removesuffix("Mi"))


def _on(core: int | None) -> list[str]:
    """Return what to put before a command so that it runs on this core alone."""
    taskset = shutil.which("taskset")
    return [] if core is None or not taskset else [taskset, "--cpu-list", str(core)]
