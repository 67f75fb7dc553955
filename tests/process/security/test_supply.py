"""Where the product's and the tests' code comes from: pinned, known, without a hole that is published."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from emulator.build.images.stage import sysroot
from tests.support.tools.table import TOOLS

ROOT = Path(__file__).parents[3]
LOCK = ROOT / "requirements.lock"
CLIENTS = ROOT / "tests" / "experiments" / "conformance"
REQUIREMENT = re.compile(
    r"^[A-Za-z0-9._-]+==[^\s;\\]+( ; [^\\]+)? \\(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+$", re.MULTILINE
)
AUDIT_SECONDS = 120


def unpinned(requirements: str) -> str:
    """Return what of a requirements file is not one version of a package with its hashes, '' if nothing."""
    return REQUIREMENT.sub("", requirements).strip()


@pytest.mark.claim("S50")
@pytest.mark.parametrize("path", [LOCK, *sorted(CLIENTS.glob("python/*/requirements.txt"))], ids=str)
def test_python(path: Path) -> None:
    """Each Python package has one version and the SHA-256 of its files, and pip is told to insist on them."""
    assert "" == unpinned(path.read_text())
    assert "--require-hashes" in (ROOT / "tests/support/tools/venv.sh").read_text()
    assert "--require-hashes" in (CLIENTS / "languages.py").read_text()


@pytest.mark.claim("S50")
@pytest.mark.parametrize("text", ["a>=1\n", "a==1\n", "a==1 \\\n    --hash=md5:00\n", "--index-url x\na==1\n"])
def test_unpinned(text: str) -> None:
    """The test above sees what is not pinned."""
    assert "" != unpinned(text)


@pytest.mark.claim("S50")
@pytest.mark.parametrize("path", sorted(CLIENTS.glob("js/*/package-lock.json")), ids=lambda path: path.parent.name)
def test_npm(path: Path) -> None:
    """Each package of npm has the SHA-512 of its archive."""
    packages = {name: each for name, each in json.loads(path.read_text())["packages"].items() if name}

    assert packages
    assert [] == [name for name, each in packages.items() if not each.get("integrity", "").startswith("sha512-")]


@pytest.mark.claim("S50")
@pytest.mark.parametrize("path", sorted(CLIENTS.glob("rust/*/Cargo.lock")), ids=lambda path: path.parent.name)
def test_cargo(path: Path) -> None:
    """Each crate but ours has its SHA-256."""
    packages = tomllib.loads(path.read_text())["package"]

    assert len(packages) > 10
    assert 1 == len([each["name"] for each in packages if not re.fullmatch("[0-9a-f]{64}", each.get("checksum", ""))])


@pytest.mark.claim("S50")
@pytest.mark.parametrize("path", sorted(CLIENTS.glob("go/*/go.mod")), ids=lambda path: path.parent.name)
def test_go(path: Path) -> None:
    """Each module that a client in Go requires has its hash."""
    required = re.findall(r"^\s*(?:require )?(\S+\.\S+/\S+) (v\S+)", path.read_text(), re.MULTILINE)
    sums = path.with_name("go.sum").read_text()

    assert required
    assert [] == [(name, version) for name, version in required if f"{name} {version} h1:" not in sums]


@pytest.mark.claim("S50")
def test_tools() -> None:
    """Programs that are built from Go modules have one version each; a module's go.mod tells those of all others.

    Modules that publish none have a commit's (Go Modules Reference, "Pseudo-versions").
    """
    one = r"v\d+\.\d+\.\d+(-\d{14}-[0-9a-f]{12})?"
    versions = {tool.name: tool.version for tool in TOOLS.values() if not tool.source}

    assert {} == {name: version for name, version in versions.items() if not re.fullmatch(one, version)}


@pytest.mark.claim("S51")
def test_audit(tmp_path: Path) -> None:
    """No package of the development environment has a vulnerability that PyPI knows of."""
    one = tmp_path / "one.txt"
    one.write_text(REQUIREMENT.search(LOCK.read_text())[0] + "\n")  # type: ignore[index]
    if not audit(one).known:
        pytest.skip("PyPI tells of no vulnerabilities from here")

    assert ([], {}) == audit(LOCK)[1:]


class Audit(NamedTuple):
    """Which packages PyPI knows, which it does not, and the vulnerabilities of those that have some."""

    known: list[str]
    unknown: list[str]
    holes: dict[str, list[str]]


def audit(requirements: Path) -> Audit:
    """Ask PyPI about the packages of a file; nothing is known where it can't be asked."""
    options = ["--disable-pip", "--require-hashes", "--progress-spinner=off"]
    command = [str(Path(sys.executable).with_name("pip-audit")), "-r", str(requirements), *options, "--format=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=AUDIT_SECONDS)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return Audit([], [], {})
    known = [each for each in packages if "skip_reason" not in each]
    return Audit(
        [each["name"] for each in known],
        [each["name"] for each in packages if "skip_reason" in each],
        {each["name"]: [hole["id"] for hole in each["vulns"]] for each in known if each["vulns"]},
    )


@pytest.mark.claim("S52")
@pytest.mark.parametrize(("suites", "asked"), [("trixie trixie-security", True), ("trixie trixie-updates", False)])
def test_newest_packages(suites: str, asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """Packages come from lists that have just been fetched, and not without Debian's security suite."""
    done: list[str] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        done.append(next(word for word in command[1:] if not word.startswith("-")))
        return SimpleNamespace(stdout=suites)

    monkeypatch.setattr("emulator.build.images.stage.sysroot.subprocess.run", run)
    monkeypatch.setattr(sysroot, "certificates", lambda _: None)
    with nullcontext() if asked else pytest.raises(SystemExit, match="security suite"):
        sysroot.make(tmp_path, "amd64", ["python3"])

    assert done == ["update", "indextargets", *(["install"] if asked else [])]
    assert (tmp_path / sysroot.DPKG / "status").read_text() == ""  # nothing older is there already


@pytest.mark.claim("S53")
def test_security_rules() -> None:
    """All of ruff's rules on security hold for all of the product's code; tests and what builds may leave some out."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]

    assert ["ALL"] == lint["select"]
    assert [] == [rule for rule in lint["ignore"] if re.fullmatch(r"S\d*", rule)]
    assert {"tests/**", "src/emulator/build/**"} == {
        pattern for pattern, rules in lint["per-file-ignores"].items() if any(re.match(r"S\d", rule) for rule in rules)
    }


@pytest.mark.claim("S53")
def test_exceptions_to_security_rules() -> None:
    """Each line of the product that is excepted from one says why."""
    lines = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"# noqa(?!: [A-Z])|# ruff: noqa|# noqa:.*\bS\d{3}\b(?!.* - \w)|nosec", line)
    ]

    assert [] == lines
