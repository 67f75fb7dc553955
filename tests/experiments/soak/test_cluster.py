"""Two hours of a cluster in which is renewed what otherwise is renewed in two months."""

import itertools
import os
import time

import pytest

from emulator.build.progress import say
from tests.experiments.soak import flatness, pods, reckoning
from tests.experiments.soak.repeated import Repeated, together
from tests.experiments.soak.stage import Stage
from tests.experiments.soak.verdict import Verdict
from tests.support.reliability.figures import Figures

MINUTES = float(os.environ.get("IMDS_EMULATOR_SOAK_MINUTES", "125"))
DAYS = min(60, MINUTES / 2)
"""What the run must stand for at least: 60 days, or their share of a run that is cut short."""

SIDECAR_MB, WEBHOOK_MB = 0.3, 2.0
"""How much private memory may grow."""


@pytest.mark.full_only(reason="two hours, with a release of the chart of its own; test_sidecar.py is its short form")
@pytest.mark.timeout(MINUTES * 60 + 1800)
def test_cluster(stage: Stage, figures: Figures) -> None:
    """Credentials live 5 seconds, the webhook's certificates 2 minutes and their authority 10 minutes.

    Clients ask each second and prove each new key by a signed call, while labelled pods are admitted, come and go: no
    call fails, no pod is refused, and memory, descriptors and threads of sidecars and webhook stay flat. The cluster
    goes before other work of the machine: a lack of CPU is another experiment's.
    """
    stage.start_clients()
    watched = stage.watched()
    before = {name: pods.exchanges(stage.team, name) for name in pods.CLIENTS}
    teams = [stage.connect() for _ in range(5)]
    reviews = Repeated(5, lambda: pods.review(teams[0]))
    briefs = Repeated(60, lambda: pods.brief(teams[1]))
    renewals = Repeated(60, lambda: pods.renew_token(teams[2], pods.RENEWED))
    calls = Repeated(30, lambda: stage.read_calls(teams[3]))
    certificates = Repeated(15, lambda: stage.read_certificates(teams[4]))
    samples = Repeated(MINUTES / 4, lambda: stage.sample(watched))
    threads = {
        "reviews": reviews,
        "brief pods": briefs,
        "token renewals": renewals,
        "reads of STS": calls,
        "reads of certificates": certificates,
        "samples": samples,
    }
    load_before = os.getloadavg()[2]
    with together(*threads.values()):
        _wait(stage, threads)

    verdict = Verdict(figures)
    verdict.tell("duration", MINUTES, "min")
    verdict.tell(
        "load of the machine over 15 minutes, before and after", f"{load_before:.1f}, {os.getloadavg()[2]:.1f}"
    )
    _judge_clients(stage, verdict, before)
    _judge_admission(stage, verdict, reviews, briefs)
    _judge_processes(stage, verdict)
    problems = [f"{name}: {text}" for name, thread in threads.items() for text in thread.failures]
    complaints = [text for name in pods.CLIENTS for text in pods.failures(stage.team, name)]
    for text in [*problems, *complaints, *stage.refused]:
        say(text)

    assert verdict.broken == []
    assert [*problems, *complaints] == []


def _wait(stage: Stage, threads: dict[str, Repeated]) -> None:
    """Wait for the end, with a line each minute."""
    began = time.monotonic()
    for minute in range(1, int(MINUTES) + 1):
        time.sleep(max(0.0, began + minute * 60 - time.monotonic()))
        try:
            counted = [pods.counts(stage.team, name) for name in pods.CLIENTS]
        except Exception as error:  # noqa: BLE001 - the line is for a person; the next one may succeed
            say(f"minute {minute}: {error}")
            continue
        total = {key: sum(counts[key] for counts in counted) for key in ("calls", "failed", "slow", "keys")}
        slowest = max(counts["slowest"] for counts in counted)
        done = ", ".join(f"{name} {thread.done}/{len(thread.failures)}" for name, thread in threads.items())
        rotated = f"certificates {len(stage.certificates)}"
        say(f"minute {minute}: {total}, slowest {slowest} s; done/failed: {done}; {rotated}")


def _judge_clients(stage: Stage, verdict: Verdict, before: dict[str, tuple[int, int]]) -> None:
    counted = {name: pods.counts(stage.team, name) for name in pods.CLIENTS}
    verdict.tell("calls of the clients to the metadata service", sum(each["calls"] for each in counted.values()))
    verdict.most("of these failed, or brought expired or mixed credentials", _sum(counted, "failed"), "", 0)
    verdict.tell("of these took more than 1 s", _sum(counted, "slow"))
    verdict.tell("the slowest", max(each["slowest"] for each in counted.values()), "s")
    verdict.tell("different keys that clients proved by a signed call", _sum(counted, "keys"))
    after = {name: pods.exchanges(stage.team, name) for name in pods.CLIENTS}
    refreshes = {name: after[name][0] - before[name][0] for name in pods.CLIENTS}
    verdict.tell("refreshes of all sidecars", sum(refreshes.values()))
    verdict.tell("exchanges that failed and were tried again", sum(after[name][1] - before[name][1] for name in after))
    verdict.most("exchanges that STS refused", len(stage.refused), "", 0)
    least = min(refreshes.values())
    verdict.tell("refreshes of the sidecar with the fewest", least)
    verdict.least(
        "the time in which the defaults bring as many refreshes",
        reckoning.days(least, reckoning.REFRESH_SECONDS),
        "days",
        DAYS,
    )
    sessions = {name: stage.tokens[f"{stage.team.namespace}.{name}"] for name in pods.CLIENTS}
    renewed = len(sessions.pop(pods.RENEWED)) - 1
    verdict.tell("tokens that followed another in the sidecar whose token the test renews each minute", renewed)
    verdict.least(
        "the time in which the defaults bring as many tokens",
        reckoning.days(renewed, reckoning.TOKEN_SECONDS),
        "days",
        DAYS,
    )
    fewest = min(map(len, sessions.values())) - 1
    verdict.tell(
        "tokens that followed another by the kubelet, of 10 minutes, the least there is, in each sidecar", fewest
    )
    verdict.tell(
        "the time in which the defaults bring as many tokens by the kubelet",
        reckoning.days(fewest, reckoning.TOKEN_SECONDS),
        "days",
    )


def _sum(counted: dict[str, dict[str, int]], key: str) -> int:
    return sum(counts[key] for counts in counted.values())


def _judge_admission(stage: Stage, verdict: Verdict, reviews: Repeated, briefs: Repeated) -> None:
    certificates = len(stage.certificates) - 1
    verdict.tell("certificates of the webhook that followed another", certificates)
    verdict.least(
        "the time in which the defaults bring as many certificates",
        reckoning.days(certificates, reckoning.CERTIFICATE_SECONDS),
        "days",
        DAYS,
    )
    verdict.tell("labelled pods admitted by dry run", reviews.done)
    verdict.tell("labelled pods that ran from creation to end and got credentials", briefs.done)
    verdict.most(
        "labelled pods refused or not injected or without credentials",
        len(reviews.failures) + len(briefs.failures),
        "",
        0,
    )
    verdict.most("restarts of containers", pods.restarts([*stage.clients(), *stage.chart.pods()]), "", 0)


def _judge_processes(stage: Stage, verdict: Verdict) -> None:
    for name, series in sorted(stage.samples.items()):
        private = flatness.change(series, lambda sample: sample.private_mb)
        resident = flatness.change(series, lambda sample: sample.resident_mb)
        fds = flatness.change(series, lambda sample: sample.fds, min)
        threads = flatness.change(series, lambda sample: sample.threads)
        (began, first), (ended, last) = series[0], series[-1]
        cpu = (last.cpu_seconds - first.cpu_seconds) / (ended - began)
        verdict.tell(f"{name}: CPU, with that of its children", cpu * 1000, "ms a second")
        bound = SIDECAR_MB if name.startswith("sidecar") else WEBHOOK_MB
        verdict.tell(f"{name}: private memory, early", private.early, "MB")
        verdict.most(f"{name}: its growth", private.growth, "MB", bound)
        verdict.most(f"{name}: growth of resident memory", resident.growth, "MB", bound)
        verdict.tell(f"{name}: file descriptors, the fewest early", fds.early)
        verdict.most(f"{name}: growth of the fewest file descriptors", fds.growth, "", 0)
        verdict.tell(f"{name}: threads, early", threads.early)
        verdict.most(f"{name}: growth of threads", threads.growth, "", 0)
        verdict.most(f"{name}: children at a time, the most", max(sample.children for _, sample in series), "", 1)
        verdict.most(f"{name}: zombies in two samples that follow each other", _lasting_zombies(series), "", 0)


def _lasting_zombies(series: flatness.Series) -> int:
    """Return how many zombies stayed; one that a sample meets at the moment of its end is none."""
    zombies = [sample.zombies for _, sample in series]
    return max(min(pair) for pair in itertools.pairwise(zombies))
