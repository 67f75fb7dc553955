"""`python -m tests.experiments.conformance.pod MODE CLIENT=FOLDER ...`: clients beside an emulator, as in a pod.

In: to be process 1 of pid, mount and network namespaces of its own. Out: one line of JSON on stdout for each client.
Here STS is at loopback, 169.254.169.254 is led to the emulator by `imds-emulator redirect`, and nothing else answers.
"""

import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emulator import names
from tests.experiments.conformance import program, s3, wire
from tests.experiments.conformance.clients import CLIENTS, Client
from tests.experiments.conformance.outcome import Outcome, Seen, judge
from tests.experiments.conformance.program import CHECKOUT
from tests.support.sts.local import ROLE_ARN, LocalSts, local_sts

START_SECONDS = 30.0
_POLL_SECONDS = 0.01
_PATH = os.environ["PATH"]


class PodError(Exception):
    """The pod can't be set up; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Beside:
    """What runs beside the clients, and sees what they do."""

    s3: s3.S3
    tap: socket.socket


def main(mode: str, arguments: list[str]) -> int:
    """Set the pod up and run the clients, one after the other."""
    folders = dict(argument.split("=", 1) for argument in arguments)
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        try:
            _network()
            beside = Beside(s3.start(), wire.tap())
            with local_sts(directory) as sts, _emulator(mode, sts):
                for client in CLIENTS:
                    if client.id in folders:
                        outcome = _case(client, Path(folders[client.id]), mode, sts, beside)
                        # At once: the pods of other modes write into the same pipe.
                        os.write(sys.stdout.fileno(), f"{json.dumps(dataclasses.asdict(outcome))}\n".encode())
        except PodError as error:
            print(f"pod of mode {mode}: {error}", file=sys.stderr)
            return 1
    return 0


def _network() -> None:
    """Give the namespace what a pod has: loopback, and an address with a way out; this one leads nowhere."""
    for arguments in (
        ("link", "set", "lo", "up"),
        ("link", "add", "eth0", "type", "veth", "peer", "name", "node0"),
        ("address", "add", "192.0.2.2/24", "dev", "eth0"),  # TEST-NET-1, RFC 5737
        ("link", "set", "eth0", "up"),
        ("link", "set", "node0", "up"),
        ("route", "add", "default", "via", "192.0.2.1"),
    ):
        _must(["ip", *arguments], {"PATH": _PATH})


@contextmanager
def _emulator(mode: str, sts: LocalSts) -> Iterator[None]:
    """Lead the metadata address to an emulator and run it until the clients are through."""
    environment = {"PATH": _PATH, "PYTHONPATH": str(CHECKOUT / "src")}
    _must([sys.executable, "-m", "emulator", "redirect"], environment)
    environment |= {**sts.environment(), names.ENV_IMDS_VERSION: mode, names.ENV_POD_NAME: "app"}
    log = sts.directory / "emulator.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "emulator", "serve"], env=environment, cwd=sts.directory, stdout=file, stderr=file
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _started():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise PodError(f"the emulator has no credentials: {log.read_text()[-1000:]}")
                time.sleep(_POLL_SECONDS)
            yield
            if process.poll() is not None:
                raise PodError(f"the emulator ended: {log.read_text()[-1000:]}")
        finally:
            process.kill()
            process.wait()


def _must(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PodError(f"{' '.join(command)}: {done.stderr.strip()}")


def _started() -> bool:
    url = f"http://127.0.0.1:{names.HEALTH_PORT_DEFAULT}{names.READY_PATH}"
    try:
        with urllib.request.urlopen(url, timeout=START_SECONDS):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _case(client: Client, folder: Path, mode: str, sts: LocalSts, beside: Beside) -> Outcome:
    """Run one client in a home folder of its own."""
    beside.s3.forget()
    wire.exchanges(beside.tap)
    with tempfile.TemporaryDirectory() as home:
        arguments = [":".join(map(str, s3.ADDRESS)), ROLE_ARN.rpartition("/")[2]]
        command = [*client.language.command(client.recipe, folder), *arguments]
        environment = {"PATH": _PATH, "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", **client.environment}
        ended = program.run(command, environment, Path(home), beside.s3.signed)
    seen = Seen(ended, wire.exchanges(beside.tap), beside.s3.requests)
    return judge(client, mode, seen, sts.service.sessions)


sys.exit(main(sys.argv[1], sys.argv[2:]))
