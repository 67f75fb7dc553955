"""The image's process, as others on its node and in its pod see it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from emulator import names
from tests.process.security import spy
from tests.support.wire.process import CREDENTIALS, ROLE_ARN, ask, free_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.webhook.running import Webhook
    from tests.support.wire.fixtures import World

UID = names.EMULATOR_UID
SECRET = "secret/ASIASTUB"
# What a container has if nothing else is said. Source: containerd, pkg/oci/spec.go, `defaultUnixCaps`.
CONTAINER = (
    *("chown", "dac_override", "fsetid", "fowner", "mknod", "net_raw", "setgid", "setuid", "setfcap", "setpcap"),
    *("net_bind_service", "sys_chroot", "kill", "audit_write"),
)
AS_CONTAINER_ROOT = ["setpriv", "--inh-caps=-all", f"--bounding-set=-all,{','.join(f'+{name}' for name in CONTAINER)}"]
NO_CORES = "nothing leaves a core on this machine, see core(5)"
SLEEP = "import os, time\nif os.path.exists('/writable'): os.chdir('/writable')\nprint(flush=True)\ntime.sleep(60)"


class Running(NamedTuple):
    """The emulator of the image, with credentials."""

    process: subprocess.Popen[bytes]
    log: Path


def in_image(rootfs: Path, *command: str) -> list[str]:
    """Return the command line that runs a command of an image as its user."""
    words = ["setpriv", "--no-new-privs", "--inh-caps=-all", "chroot", f"--userspec={UID}:{UID}"]
    return [*words, str(rootfs), *command]


@pytest.fixture
def dumping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let what a test starts leave cores, in a folder of the test's: a limit that it inherits would prove nothing."""
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError:
        pytest.skip(f"core dumps are limited to {hard} bytes here, and lifting the limit needs a right")
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, resource.RLIM_INFINITY))


@pytest.fixture(scope="module")
def image(rootfs: dict[str, Path]) -> Path:
    """Return the files of the emulator's image, with a second interpreter that its user may read, to compare with."""
    files = rootfs["emulator"]
    readable = files / "usr/bin/readable-python"
    shutil.copy(files / "usr/bin/python3.13", readable)
    readable.chmod(0o755)
    return files


@pytest.fixture
def running(image: Path, world: World, tmp_path: Path) -> Iterator[Running]:
    """Run the image's emulator until it has credentials."""
    for name, source in {"token": world.token_file, "ca.pem": world.authority.ca}.items():
        shutil.copy(source, image / name)
        (image / name).chmod(0o644)
    port, health_port = free_ports(2)
    environ = {
        "PATH": os.environ["PATH"],
        "AWS_ROLE_ARN": ROLE_ARN,
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
        "AWS_CA_BUNDLE": "/ca.pem",
        "AWS_ENDPOINT_URL_STS": f"https://127.0.0.1:{world.sts.port}",
        "IMDS_EMULATOR_PORT": str(port),
        "IMDS_EMULATOR_HEALTH_PORT": str(health_port),
    }
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(in_image(image, "/usr/bin/imds-emulator", "serve"), env=environ, stderr=file)
    try:
        wait_until(lambda: process.poll() is None and ask(port, CREDENTIALS).status == 200, "credentials")
        assert SECRET in ask(port, CREDENTIALS).body
        yield Running(process, log)
    finally:
        process.kill()
        process.wait()


def spied(process: int, *before: str) -> dict[str, str]:
    """Return what a spy, run by the words `before`, gets to see of a process."""
    command = [*before, sys.executable, "-I", "-c", Path(spy.__file__).read_text(), str(process), SECRET]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def as_user(uid: int) -> list[str]:
    """Return the words that run a command as a user without any right."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


@pytest.mark.claim("S14")
@pytest.mark.parametrize(
    "who",
    [
        pytest.param(as_user(1000), id="another user"),
        pytest.param(as_user(UID), id="the emulator's own user"),
        pytest.param(AS_CONTAINER_ROOT, id="root of a container"),
        pytest.param([*AS_CONTAINER_ROOT, *as_user(UID)[:4]], id="root of a container, become the emulator's user"),
    ],
)
def test_memory(running: Running, who: Sequence[str]) -> None:
    """Anyone who sees the process, as in a pod with shareProcessNamespace, reads its command line and no more."""
    expected = {"environ": "EACCES", "cmdline": "not found", "maps": "EACCES", "mem": "EACCES", "fd": "EACCES"}

    assert expected == spied(running.process.pid, *who)


@pytest.mark.claim("S14")
def test_memory_by_root_of_the_node(running: Running) -> None:
    """Root with CAP_SYS_PTRACE does read the keys: the test above would see them."""
    found = spied(running.process.pid)

    assert ("found", "not found", "not found") == (found["mem"], found["environ"], found["cmdline"])


@pytest.mark.claim("S13")
@pytest.mark.usefixtures("dumping")
def test_no_core(image: Path) -> None:
    """A crash of the image's interpreter leaves no core, where one that its user may read does."""
    (image / "writable").mkdir()
    (image / "writable").chmod(0o777)

    assert not crash(in_image(image, "/usr/bin/python3.13", "-ISc", SLEEP))
    if not crash(in_image(image, "/usr/bin/readable-python", "-ISc", SLEEP)):
        pytest.skip(NO_CORES)


@pytest.mark.claim("S13")
@pytest.mark.usefixtures("dumping")
def test_no_core_by_limit(running: Running) -> None:
    """The server, and the children of its exchanges, may write a core of one byte, which starts no core handler either.

    So no core is left on a node whose `fs.suid_dumpable` is 2, as systemd sets it.
    """
    assert [["1", "1", "bytes"]] == core_limits(running.process.pid)


@pytest.mark.claim("S13")
@pytest.mark.usefixtures("dumping")
def test_no_core_of_the_webhook(webhook: Webhook) -> None:
    """So may the webhook, which holds private keys."""
    assert [["1", "1", "bytes"]] == core_limits(webhook.process.pid)


def core_limits(process: int) -> list[list[str]]:
    """Return the soft and the hard limit of a process' core dumps, and their unit."""
    limits = Path(f"/proc/{process}/limits").read_text()
    return [line.split()[4:] for line in limits.splitlines() if "core file" in line]


@pytest.mark.claim("S13")
@pytest.mark.usefixtures("dumping")
def test_no_core_outside_of_the_image(world: World) -> None:
    """The limit is enough by itself: an emulator whose program can be read leaves no core."""
    emulator = world.start_ready()

    assert not aborted(emulator.process)
    if not crash([sys.executable, "-ISc", SLEEP]):
        pytest.skip(NO_CORES)


def crash(command: Sequence[str]) -> bool:
    """Run a command until it is ready, abort it, and tell whether the kernel made a core."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        return aborted(process)


def aborted(process: subprocess.Popen[bytes]) -> bool:
    """Abort a process and tell whether the kernel made a core."""
    process.send_signal(signal.SIGABRT)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -os.WTERMSIG(status)
    assert process.returncode == -signal.SIGABRT
    return os.WCOREDUMP(status)
