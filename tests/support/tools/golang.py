"""A Go new enough for the pinned tools: the one on PATH, else fetched through an older `go`.

In: the environment. Out: the path of a `go` program.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from emulator.build import apt
from emulator.build.paths import log_path, scratch, tools
from emulator.build.progress import StepFailedError, run, say
from tests.support.tools.table import GO_MINIMUM, GO_VERSION

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def version_of(text: str) -> tuple[int, int]:
    """Major and minor out of what `go version` prints; (0, 0) if it prints something else."""
    match = re.search(r"go version go(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def environment() -> Mapping[str, str]:
    """Return the environment for `go`: no toolchain of its own choice, caches that can be dropped afterwards.

    The compiler collects its garbage seldom (Go, A Guide to the Go Garbage Collector, "GOGC"): a fifth less CPU. One
    that nears the limit collects as usual, so that a machine with little memory builds too.
    """
    return {
        "GOGC": "800",
        "GOMEMLIMIT": "2GiB",
        **os.environ,
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOWORK": "off",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOCACHE": str(scratch() / "go-build"),
        "GOMODCACHE": str(scratch() / "go-mod"),
        "GOPATH": str(scratch() / "go-path"),
    }


def ensure() -> Path:
    """Return the `go` to build with; installs Debian's and fetches the pinned toolchain with it where needed."""
    on_path = shutil.which("go")
    if on_path and _version(Path(on_path)) >= GO_MINIMUM:
        return Path(on_path)
    fetched = tools() / f"go-{GO_VERSION}"
    if not (fetched / "bin" / "go").exists():
        apt.ensure({"golang-go": "go"})
        older = apt.program("go")
        assert older is not None
        _fetch(older, fetched)
    return fetched / "bin" / "go"


def _version(go: Path) -> tuple[int, int]:
    return version_of(subprocess.check_output([go, "version"], text=True, env=environment()))


def _fetch(older: Path, target: Path) -> None:
    """Fetch the toolchain as the module golang.org/toolchain (Go Toolchains, "Downloading toolchains").

    A module archive carries no modes and no nested go.mod files: these are named `_go.mod` in it.
    """
    platform = f"linux-{_ARCHITECTURES[os.uname().machine]}"
    module = f"golang.org/toolchain@v0.0.1-go{GO_VERSION}.{platform}"
    folder = scratch() / "toolchain"
    folder.mkdir(parents=True, exist_ok=True)
    # -json on stdout, so by hand: an old `go mod download` refuses to run outside a module.
    (folder / "go.mod").write_text("module toolchain\n")
    run(
        [str(older), "mod", "download", module], f"fetch Go {GO_VERSION}", log_path("go"), env=environment(), cwd=folder
    )
    listed = subprocess.run(
        [older, "mod", "download", "-json", module],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd=folder,
    )
    if listed.returncode != 0:
        raise StepFailedError(f"fetch Go {GO_VERSION}: {listed.stderr.strip() or listed.stdout.strip()}")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(json.loads(listed.stdout)["Dir"], part)
    for file in part.rglob("_go.mod"):
        file.rename(file.with_name("go.mod"))
    for file in (*part.glob("bin/*"), *part.glob("pkg/tool/*/*")):
        file.chmod(0o755)
    part.rename(target)
    say(f"Go {GO_VERSION}: {target}")
