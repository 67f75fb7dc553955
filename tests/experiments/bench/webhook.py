"""The webhook's cost for one review, beside the least that a Go webhook costs, in the same run.

It reports CPU per review, requests a second, percentiles and memory of both. CPU is the server's own, as the kernel
counts it: other load on the machine changes the times, but hardly the CPU.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.build.progress import say
from tests.experiments.bench import programs
from tests.support import certificates
from tests.support.webhook.fake_api import FakeApi
from tests.support.webhook.running import admit, connect, environment, free_ports, pod, review, running, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).with_name("webhook_floor")
WEBHOOK = "webhook"
FLOOR = "Go floor of the webhook"
CONNECTIONS = 8
WARM_UP = 500
REVIEWS = 5000
ROUNDS = 5
NAME = "injector.ns.svc"
INSIDE = "bench-webhook"  # the folder of our files in the image's root file system
# With /proc in a mount namespace of its own; each program takes the place of the one before it.
IN_ITS_IMAGE = (
    *("unshare", "--mount", "sh", "-c"),
    'mount -t proc proc "$0/proc" && exec chroot "$0" /usr/bin/imds-emulator webhook',
)


@dataclass(frozen=True)
class Row:
    """What one server did in one round, or the medians of rounds."""

    cpu_us_per_review: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    rss_mb: float


def measure(reviews: int = REVIEWS, rounds: int = ROUNDS) -> dict[str, Row]:
    """Return the medians of both servers, measured in turn, round by round."""
    with tempfile.TemporaryDirectory(prefix="imds-emulator-bench-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        program = programs.program(SOURCE)
        body = directory / "body.json"
        body.write_text(json.dumps(review(heavy_pod())))
        servers = {WEBHOOK: stack.enter_context(webhook(directory))}
        servers[FLOOR] = stack.enter_context(floor(program, directory))
        found: dict[str, list[Row]] = {server: [] for server in servers}
        for process, port in servers.values():
            _round(program, process, port, body, WARM_UP)
        for _ in range(rounds):
            for server, (process, port) in servers.items():
                found[server].append(_round(program, process, port, body, reviews))
        return {server: _median(rows) for server, rows in found.items()}


@contextlib.contextmanager
def webhook(directory: Path) -> Iterator[tuple[int, int]]:
    """Run the webhook as its image has it, and write down its patch for the floor; yield process and port."""
    rootfs = programs.rootfs()
    inside = rootfs / INSIDE
    shutil.rmtree(inside, ignore_errors=True)
    for folder in (inside, rootfs / "proc"):
        folder.mkdir(exist_ok=True)
    with FakeApi() as api:
        environ = environment(
            inside,
            ("127.0.0.1", api.port),
            api.service_account(inside / "service-account"),
            IMDS_EMULATOR_CERTIFICATE_POLL_SECONDS="60",
        )
        environ = {name: value.removeprefix(str(rootfs)) for name, value in environ.items()}
        with running(environ, directory / "webhook.log", command=(*IN_ITS_IMAGE, str(rootfs))) as process:
            with connect(process.port, api.trusted()[0], NAME) as connection:
                patch = admit(connection, heavy_pod())["patch"]
            (directory / "patch.json").write_bytes(base64.b64decode(patch))
            yield process.process.pid, process.port


@contextlib.contextmanager
def floor(program: Path, directory: Path) -> Iterator[tuple[int, int]]:
    """Run the Go server, which answers with the same patch; yield process and port."""
    (port,) = free_ports(1)
    authority = certificates.authority()
    authority.sign([NAME]).write(directory)
    chain, key = directory / "tls.crt", directory / "tls.key"
    with (directory / "floor.log").open("wb") as log:
        command = [str(each) for each in (program, "serve", f"127.0.0.1:{port}", chain, key, directory / "patch.json")]
        process = subprocess.Popen(command, stderr=log)
    try:
        wait_for("the floor listens", lambda: _is_there(port, authority.pem))
        with connect(port, authority.pem, NAME) as connection:
            ours = (directory / "patch.json").read_bytes()
            theirs = base64.b64decode(admit(connection, heavy_pod())["patch"])
            assert json.loads(theirs) == json.loads(ours), "the floor does not give the same answer"
        yield process.pid, port
    finally:
        process.kill()
        process.wait()


def _is_there(port: int, bundle: str) -> bool:
    try:
        connect(port, bundle, NAME).close()
    except OSError:
        return False
    return True


def heavy_pod() -> dict[str, Any]:
    """Return a pod of three containers, whose review takes about 9 KB: that of a common Deployment."""
    containers = [
        {
            "name": f"container-{n}",
            "image": f"registry.example/team/program-{n}:1.2.3",
            "env": [{"name": f"VARIABLE_{m}", "value": f"value-{m}" * 3} for m in range(30)],
            "ports": [{"name": "http", "containerPort": 8080 + n, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080 + n}, "periodSeconds": 10},
            "volumeMounts": [{"name": f"volume-{m}", "mountPath": f"/data/{m}"} for m in range(4)],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        for n in range(3)
    ]
    volumes = [{"name": f"volume-{m}", "configMap": {"name": f"config-{m}"}} for m in range(4)]
    return pod("app", spec={"containers": containers, "volumes": volumes, "serviceAccountName": "app"})


def review_bytes() -> int:
    """Return how long that review is."""
    return len(json.dumps(review(heavy_pod())))


def _round(program: Path, process: int, port: int, body: Path, reviews: int) -> Row:
    before = _cpu_seconds(process)
    url = f"https://127.0.0.1:{port}/mutate"
    command = [str(each) for each in (program, "load", url, body, CONNECTIONS, reviews)]
    result = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return Row((_cpu_seconds(process) - before) / reviews * 1e6, rss_mb=_rss_mb(process), **result)


def _median(rows: list[Row]) -> Row:
    return Row(**{key: statistics.median(asdict(row)[key] for row in rows) for key in asdict(rows[0])})


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def figures() -> dict[str, dict[str, float]]:
    """Return the medians as the bench has its figures: by subject, then by name."""
    say(f"webhook: {ROUNDS} rounds of {REVIEWS} reviews")
    names = ("review CPU us", "reviews/s", "review p50 ms", "review p99 ms", "review RSS MB")
    return {server: dict(zip(names, astuple(row), strict=True)) for server, row in measure().items()}


def main() -> int:
    """Print the table."""
    for server, row in figures().items():
        print(f"{server:24}" + "".join(f"  {name} {value:.1f}" for name, value in row.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
