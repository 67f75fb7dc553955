"""What a person sees first: where the project is said to be published, chart, changelog, and the site's pages."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from emulator.build.render import __main__ as render
from tests.support.monitoring.dashboard import alert_names
from tests.support.tools.table import TOOLS

if TYPE_CHECKING:
    import pytest

ROOT = render.ROOT
DOCS = ROOT / "docs"
CHART = yaml.safe_load((ROOT / render.CHART / "Chart.yaml").read_text())


def test_owner_is_said_once() -> None:
    """The placeholder of the owner is in pyproject.toml; all other files that have it are written from there."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    written = {str(path) for path in render.outputs()}
    this = str(Path(__file__).relative_to(ROOT))

    found = {
        name
        for name in tracked
        if (ROOT / name).is_file() and re.search(rf"\b{render.owner()}\b", (ROOT / name).read_text(errors="replace"))
    }

    assert {"pyproject.toml"} == found - written - {this}


def test_another_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published elsewhere, no file names the old place: templates, pages, chart, code owners."""
    before = render.repository()
    monkeypatch.setattr(render, "repository", lambda: "https://git.example.com/platform/imds-emulator")

    written = render.outputs()

    assert [] == [path for path, text in written.items() if before in text or f"@{before.split('/')[-2]}" in text]
    assert written[render.CODEOWNERS].endswith("\n* @platform\n")


def test_chart_has_a_face() -> None:
    """Home, sources and maintainers are the repository; the icon is a picture that is there."""
    repository = render.repository()

    assert (repository, [repository]) == (CHART["home"], CHART["sources"])
    assert [repository] == [each["url"] for each in CHART["maintainers"]]
    assert (ROOT / CHART["icon"].removeprefix(f"{repository}/raw/main/")).read_text().startswith("<svg")


def test_changelog_has_this_version() -> None:
    """The changelog has a section of the code's version, and says how to upgrade to each version after the first."""
    text = (ROOT / "CHANGELOG.md").read_text()
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    versions = [re.search(r"\d+\.\d+\.\d+", section.partition("\n")[0]) for section in sections]

    assert CHART["version"] in [match[0] for match in versions if match]
    assert [] == [section[:20] for section in sections[:-1] if "### Upgrade" not in section]


def test_runbooks() -> None:
    """Each alert has a section in the runbooks, and each section is of an alert."""
    sections = re.findall(r"^## (\w+)$", (DOCS / "runbooks.md").read_text(), re.MULTILINE)

    assert sorted(alert_names()) == sorted(sections)


def test_support_table() -> None:
    """The versions that the support page says the tests run with are those of the tests' programs."""
    page = (DOCS / "platforms.md").read_text()
    named = ("kubernetes", "containerd", "helm", "kustomize", "cert-manager", "flux-kustomize-controller")
    versions = {tool.version for tool in TOOLS.values() if tool.name in named or "kube-apiserver-" in tool.name}

    assert versions == set(re.findall(r"\bv\d+\.\d+\.\d+\b", page))


def test_every_picture_is_shown() -> None:
    """Each picture in docs/ is on a page, in the chart or in the site's settings."""
    texts = [path.read_text() for path in (*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "mkdocs.yml")]

    assert [] == [path.name for path in DOCS.glob("*.svg") if not any(path.name in text for text in texts)]
