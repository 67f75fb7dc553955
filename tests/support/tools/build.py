"""Builds rows of the table with `go build`, once.

In: rows of the table. Out: folders of programs in the cache; each appears whole, by one rename.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from emulator.build.paths import log_path, scratch, tools
from emulator.build.progress import run, say
from tests.support.tools import golang, locks
from tests.support.tools.table import TOOLS, Tool

_SIBLING = "./staging/src/"


def folder(tool: Tool) -> Path:
    """Where the programs of a row are, or will be: keyed by version and by everything that makes them."""
    recipe = json.dumps(_recipe(tool), sort_keys=True)
    return tools() / f"{tool.name}-{tool.version}-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"


def program(tool: Tool, name: str) -> Path:
    """Return the path of one program of a row."""
    return folder(tool) / name


def ensure(wanted: Sequence[Tool], built: Callable[[Tool], object] = lambda _: None) -> None:
    """Build what is missing of `wanted`, in that order; calls `built` for each row as soon as it is there.

    One build at a time on a machine: a second caller waits for the first and then finds its programs. Rows share
    Go's caches, which go at the end: ask for all at once. After a failure they stay, for the next attempt.
    """
    if all(folder(tool).exists() for tool in wanted):
        for tool in wanted:
            built(tool)
        return
    with locks.held(tools() / "lock"):
        go = golang.ensure()
        outlook = Outlook([tool.cpu_seconds for tool in wanted if not folder(tool).exists()], os.cpu_count() or 1)
        for tool in wanted:
            if not folder(tool).exists():
                _build(go, tool, outlook)
                outlook.finish(time.monotonic())
            built(tool)
        _drop_scratch()


class Outlook:
    """How far the builds are, and how long they will take: by what each cost once, and by the speed so far."""

    def __init__(self, costs: Sequence[float], speed: float, started: float | None = None) -> None:
        """`costs`: CPU seconds of each build; `speed`: how many of them pass in a second, until there is a figure."""
        self._costs = list(costs)
        self._speed = speed
        self._started = self._began = time.monotonic() if started is None else started
        self._done = 0

    def finish(self, now: float) -> None:
        """Count one more build as done."""
        self._done += 1
        self._began = now
        self._speed = sum(self._costs[: self._done]) / max(now - self._started, 1)

    def text(self, now: float) -> str:
        """Return it in words."""
        current = self._costs[self._done]
        # One that takes longer than it did once is never quite done.
        left = sum(self._costs[self._done :]) - min((now - self._began) * self._speed, 0.9 * current)
        minutes = max(1, round(left / self._speed / 60))
        return f"{self._done} of {len(self._costs)} done, about {minutes} min left"


def executable(package: str) -> str:
    """Return how `go build` names the program of a package: the last part of its path that is not a major version."""
    *_, before, last = ("", *package.split("/"))
    return before if re.fullmatch(r"v[1-9]\d*", last) else last


def module_file(tool: Tool, versions: Mapping[str, str]) -> str:
    """Return a go.mod that requires the row's module, and takes others at `versions`, whatever go.mod files say."""
    replaced = "".join(f"replace {name} => {name} {version}\n" for name, version in versions.items())
    further = "".join(f"require {name} {version}\n" for name, version in tool.requires.items())
    return f"module build\n\ngo 1.21\n\nrequire {tool.module} {tool.version}\n{further}\n{replaced}"


def _source(tool: Tool) -> dict[str, str]:
    """Return the files of our own, a go.mod among them if they are a module by themselves; empty if there are none."""
    if not tool.source:
        return {}
    return {file.name: file.read_text() for file in sorted((Path(__file__).parent / tool.source).iterdir())}


def _kept(tool: Tool) -> list[str]:
    """Return the folder of the module that is kept, if there is one."""
    return [tool.keeps] if tool.keeps else []


def _recipe(tool: Tool) -> list[object]:
    """Return all that makes the programs of a row but its version."""
    parts = [tool.module, dict(tool.programs), tool.staging, _flags(tool), *_source(tool).items(), *_kept(tool)]
    return [*parts, *tool.requires.items(), *((tool.like, TOOLS[tool.like].version) if tool.like else ())]


def _flags(tool: Tool) -> list[str]:
    major, minor, _ = tool.version.lstrip("v").split(".", 2)
    # Not str.format: the flags are Go's and may hold braces some day.
    ldflags = tool.ldflags
    for key, value in (("version", tool.version), ("major", major), ("minor", minor)):
        ldflags = ldflags.replace(f"{{{key}}}", value)
    return ["-mod=mod", "-trimpath", f"-ldflags=-s -w {ldflags}".rstrip(), f"-tags={tool.tags}"]


def _build(go: Path, tool: Tool, outlook: Outlook) -> None:
    label = f"{tool.name} {tool.version}"
    started = time.monotonic()
    log = log_path(tool.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    work = scratch() / tool.name
    part = work / "programs"
    shutil.rmtree(work, ignore_errors=True)
    part.mkdir(parents=True)
    environment = golang.environment()
    (work / "go.mod").write_text("module build\n")
    for file, content in {"go.mod": module_file(tool, _versions(go, tool, work, log)), **_source(tool)}.items():
        (work / file).write_text(content)

    def count() -> str:
        lines = log.read_text(errors="replace").splitlines()
        compiled = sum(1 for line in lines if line[:1].isalpha() and not line.startswith("go: "))
        return f"({compiled} packages compiled; {outlook.text(time.monotonic())})"

    if tool.programs:
        # In one call, so that what they share is compiled once and links while the rest compiles.
        command = [str(go), "build", "-v", *_flags(tool), "-o", f"{part}/", *tool.programs.values()]
        say(f"{label}: {outlook.text(time.monotonic())}")
        run(command, f"{label}: build {' '.join(tool.programs)}", log, env=environment, cwd=work, status=count)
    for name, package in tool.programs.items():
        (part / executable(package)).rename(part / name)
    for kept in _kept(tool):
        shutil.copytree(Path(_fetched(go, tool, work, log)["Dir"]) / kept, part / Path(kept).name)
    tools().mkdir(parents=True, exist_ok=True)
    part.rename(folder(tool))
    shutil.rmtree(work)
    say(f"{label}: built in {time.monotonic() - started:.0f} s")


def _versions(go: Path, tool: Tool, work: Path, log: Path) -> dict[str, str]:
    """Return the versions at which a row takes other modules, by its go.mod or by that of the row that it is like."""
    if not tool.staging and not tool.like:
        return {}
    guide = TOOLS[tool.like] if tool.like else tool
    read = [str(go), "mod", "edit", "-json", _fetched(go, guide, work, log)["GoMod"]]
    found = versions(guide, json.loads(subprocess.check_output(read, env=golang.environment())), alone=not tool.like)
    # What belongs to the row's own project stays as the row has it.
    own = "/".join(tool.module.split("/")[:2])
    return {name: version for name, version in found.items() if guide is tool or not name.startswith(own)}


def versions(tool: Tool, file: Mapping[str, Any], *, alone: bool) -> dict[str, str]:
    """Return the versions of the modules that a row's go.mod replaces by folders of its repository, and of all others.

    `file`: as `go mod edit -json` tells it. The former go with the row: Kubernetes v1.MINOR.PATCH with v0.MINOR.PATCH.
    `alone`: without the others.
    """
    _, minor, patch = tool.version.split(".", 2)
    replaced = [row["Old"]["Path"] for row in file["Replace"] if row["New"]["Path"].startswith(_SIBLING)]
    others = {} if alone else {row["Path"]: row["Version"] for row in file["Require"]}
    return {**others, **dict.fromkeys(replaced, f"v0.{minor}.{patch}")}


def _fetched(go: Path, tool: Tool, work: Path, log: Path) -> dict[str, str]:
    """Return where the row's module is once it is fetched: `Dir`, and `GoMod`, its go.mod."""
    at = f"{tool.module}@{tool.version}"
    environment = golang.environment()
    run([str(go), "mod", "download", at], f"{tool.name} {tool.version}: fetch", log, env=environment, cwd=work)
    download = [str(go), "mod", "download", "-json", at]
    found: dict[str, str] = json.loads(subprocess.check_output(download, env=environment, cwd=work))
    return found


def _drop_scratch() -> None:
    """Remove Go's caches, gigabytes in small files, once the programs are there."""
    run(["rm", "-rf", str(scratch())], "remove the build cache", log_path("scratch"))
