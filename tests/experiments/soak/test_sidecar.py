"""A sidecar alone, without a cluster, while its credentials live seconds: the short form of the soak."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.experiments.soak import client, flatness, processes, reckoning
from tests.experiments.soak.repeated import Repeated, together
from tests.experiments.soak.verdict import Verdict
from tests.support.reliability.figures import Figures
from tests.support.sts.local import SUBJECT, LocalSts, local_sts
from tests.support.wire.process import Emulator

SECONDS, SECONDS_FULL = 15, 180
LIFE_SECONDS = 6
TOKEN_SECONDS, TOKEN_LIFE_SECONDS = 2, 10
GROWTH_MB = 0.3
READY_SECONDS = 30


def test_sidecar_alone(full: bool, figures: Figures, tmp_path: Path) -> None:  # noqa: FBT001 - a fixture
    """A sidecar alone whose credentials live 6 seconds and whose token is replaced every 2 seconds and lives 10.

    A client asks each second and proves each new key by a signed call: no call fails, each exchange shows a token that
    is valid, and memory, descriptors and threads stay flat.
    """
    seconds = SECONDS_FULL if full else SECONDS
    series: list[tuple[float, processes.Sample]] = []
    with local_sts(tmp_path) as sts, serving(sts) as sidecar:
        pid = sidecar.process.pid
        samples = Repeated(seconds / 60, lambda: series.append((time.monotonic(), processes.look([], [pid])[pid])))
        renewals = Repeated(TOKEN_SECONDS, lambda: renew_token(sts))
        with asking(sidecar, sts, tmp_path / "client") as counts, together(samples, renewals):
            time.sleep(seconds)
        calls = [call for call in sts.service.calls() if call["action"] == "AssumeRoleWithWebIdentity"]

    verdict = Verdict(figures)
    verdict.tell("duration", seconds, "s")
    verdict.tell("calls of the client to the metadata service", counts["calls"])
    verdict.most("of these failed, or brought expired or mixed credentials", counts["failed"], "", 0)
    verdict.least("different keys that the client proved by a signed call", counts["keys"], "", seconds // LIFE_SECONDS)
    verdict.most("exchanges that STS refused", sum(call["code"] != "" for call in calls), "", 0)
    tokens = [token for token, _ in itertools.groupby(call["tokenDigest"] for call in calls)]
    verdict.least("tokens that STS saw one after another", len(tokens), "", seconds // LIFE_SECONDS)
    verdict.tell(
        "the time in which the defaults bring as many", reckoning.days(len(tokens), reckoning.TOKEN_SECONDS), "days"
    )
    verdict.most(
        "growth of private memory", flatness.change(series, lambda each: each.private_mb).growth, "MB", GROWTH_MB
    )
    verdict.most("growth of file descriptors", flatness.change(series, lambda each: each.fds, min).growth, "", 0)
    verdict.most("threads", max(sample.threads for _, sample in series), "", 1)
    verdict.most("children at a time, the most", max(sample.children for _, sample in series), "", 1)

    assert [*counts["failures"], *samples.failures, *renewals.failures] == []
    assert verdict.broken == []


@contextmanager
def serving(sts: LocalSts) -> Iterator[Emulator]:
    """Run a sidecar that has credentials; they live as this test wants."""
    sts.service.faults.put([{"answer": "normal", "lifetimeSeconds": LIFE_SECONDS}])
    sidecar = Emulator(sts.environment())
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready(sidecar):
            assert time.monotonic() < deadline, sidecar.log()
            time.sleep(0.05)
        yield sidecar
    finally:
        sidecar.end()


def is_ready(sidecar: Emulator) -> bool:
    """Tell whether it serves credentials."""
    try:
        return sidecar.health("/readyz").status == 200
    except OSError:
        return False


@contextmanager
def asking(sidecar: Emulator, sts: LocalSts, log: Path) -> Iterator[dict[str, Any]]:
    """Run the client; its counts are there after the block."""
    counts: dict[str, Any] = {}
    options = ["--imds", f"http://127.0.0.1:{sidecar.port}", "--sts", sts.endpoint, "--ca", str(sts.ca_file)]
    with log.open("w") as output:
        running = subprocess.Popen([sys.executable, client.__file__, *options], stdout=output)
        try:
            yield counts
        finally:
            running.terminate()
            running.wait()
    told = [json.loads(line) for line in log.read_text().splitlines()]
    counts.update(told[-1], failures=[line["failure"] for line in told if "failure" in line])


def renew_token(sts: LocalSts) -> None:
    """Put a new token in the place of the old one, all at once, as the kubelet does."""
    new = sts.token_file.with_name("token.new")
    new.write_text(sts.issuer.token(SUBJECT, lifetime_seconds=TOKEN_LIFE_SECONDS))
    new.replace(sts.token_file)
