"""The measurements, each of which takes the subjects in turn, round by round."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from emulator.build.progress import say
from tests.experiments.bench import subjects
from tests.experiments.bench.process import PATH, cpu_seconds, memory, session_token, threads, wake_ups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.experiments.bench.process import Running
    from tests.experiments.bench.subjects import Bench

SERVERS = (
    subjects.EMULATOR,
    subjects.EMULATOR_145,
    subjects.PEER,
    subjects.FLOOR_145,
    subjects.FLOOR_6,
)
START_ROUNDS = 9
COPIES = 10
SETTLE_SECONDS = 1.0
LOAD_ROUNDS = 5
CONNECTIONS = 4
REQUESTS = {"keep": 20_000, "new": 4_000}
GROWTH_REQUESTS = 100_000
GROWTH_REFRESHES = 100
GROWTH_LIFE_SECONDS = 2  # the shortest wait of the emulator between two exchanges is 1 s

Figures = dict[str, dict[str, float]]  # subject -> figure -> value


@contextlib.contextmanager
def running(bench: Bench, name: str, copies: int = 1) -> Iterator[list[Running]]:
    """Start copies of a subject that have credentials, and end them."""
    started: list[Running] = []
    try:
        for _ in range(copies):
            started.append(bench.start(name))
            if started[-1].port:
                started[-1].first_answer(name == subjects.PEER)
        yield started
    finally:
        for each in started:
            each.end()


def starts(bench: Bench) -> Figures:
    """Return how long each subject takes to its first answer, and the CPU for that."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number in range(START_ROUNDS):
        say(f"start: round {number + 1} of {START_ROUNDS}")
        for name in SERVERS:
            server = bench.start(name)
            wall_seconds = server.first_answer(name == subjects.PEER)
            found[name].append((wall_seconds * 1000, server.end() * 1000))
    return {
        name: {
            "start ms": statistics.median(wall for wall, _ in rows),
            "best start ms": min(wall for wall, _ in rows),
            "CPU ms": statistics.median(cpu for _, cpu in rows),
        }
        for name, rows in found.items()
    }


def memories(bench: Bench) -> Figures:
    """Return the memory of one of several copies, idle after its first answer."""
    found: Figures = {}
    for name in (subjects.INTERPRETER, *SERVERS):
        say(f"memory: {COPIES} copies of {name}")
        with running(bench, name, COPIES) as copies:
            time.sleep(SETTLE_SECONDS)  # children of the start end, pages of shared libraries are counted for all
            rows = [memory(each.id) for each in copies]
        found[name] = {
            "private KB": statistics.median(row.private_dirty for row in rows),
            "PSS KB": statistics.median(row.pss for row in rows),
            "RSS KB": statistics.median(row.rss for row in rows),
        }
    return found


def loads(bench: Bench) -> Figures:
    """Return what a request costs the server, and how long the client waits, on kept and on new connections."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with contextlib.ExitStack() as stack:
        names = (subjects.EMULATOR, subjects.PEER, subjects.FLOOR_145)
        servers = {name: stack.enter_context(running(bench, name))[0] for name in names}
        for number in range(LOAD_ROUNDS):
            say(f"load: round {number + 1} of {LOAD_ROUNDS}")
            for mode, requests in REQUESTS.items():
                for name, server in servers.items():
                    token = [session_token(server.port)] if name == subjects.PEER else []
                    before = cpu_seconds(server.id)
                    median, slowest = load(bench, server.port, requests, mode, token)
                    found[name][f"{mode} CPU us"].append((cpu_seconds(server.id) - before) * 1e6 / requests)
                    found[name][f"{mode} p50 us"].append(median)
                    found[name][f"{mode} p99 us"].append(slowest)
    return {
        name: {figure: statistics.median(values) for figure, values in rows.items()} for name, rows in found.items()
    }


def load(bench: Bench, port: int, requests: int, mode: str, token: list[str]) -> tuple[float, float]:
    """Send requests on some connections at once; return the median and the 99th percentile, in microseconds."""
    url = f"http://127.0.0.1:{port}{PATH}app-role"
    command = [str(bench.program), "load", url, str(CONNECTIONS), str(requests), mode, *token]
    _, median, slowest = subprocess.check_output(command, text=True).split()
    return float(median), float(slowest)


def idle(bench: Bench, seconds: int) -> Figures:
    """Return how often each subject wakes while nothing happens, and its threads."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(running(bench, name))[0] for name in SERVERS}
        time.sleep(SETTLE_SECONDS)
        before = {name: wake_ups(server.id) for name, server in servers.items()}
        say(f"idle: {seconds} s")
        time.sleep(seconds)
        return {
            name: {"wake-ups": wake_ups(server.id) - before[name], "threads": threads(server.id)}
            for name, server in servers.items()
        }


def growth(bench: Bench) -> Figures:
    """Return by how much the emulator's private memory grows over many requests and refreshes.

    `bench`: with an upstream whose keys live GROWTH_LIFE_SECONDS.
    """
    with running(bench, subjects.EMULATOR) as (server,):
        time.sleep(SETTLE_SECONDS)
        before = memory(server.id).private_dirty
        done = 0
        while done < GROWTH_REQUESTS:
            load(bench, server.port, 10_000, "keep", [])
            done += 10_000
            say(f"growth: {done} requests")
        while (refreshes := exchanges(server)) <= GROWTH_REFRESHES:
            say(f"growth: {refreshes} refreshes")
            time.sleep(10)
        return {subjects.EMULATOR: {"growth KB": memory(server.id).private_dirty - before}}


def exchanges(server: Running) -> int:
    """Return how many exchanges an emulator has made."""
    from tests.experiments.bench.process import ask  # noqa: PLC0415 - for this alone

    text = ask(server.port + 1, "/metrics")
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("imds_emulator_exchanges_total"))
