"""The site has a copy per version, as the workflow `docs` publishes it: plain files, for any static host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
NEEDED = ("docs", "kustomize", "mkdocs.yml")
BESIDE_PYTHON = Path(sys.executable).parent
WORKFLOW = ROOT / ".github" / "workflows" / "docs.yaml"


def run(folder: Path, *command: str | Path) -> str:
    """Return what a command prints; a commit needs an author."""
    who = {f"GIT_{role}_{what}": "site@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{BESIDE_PYTHON}:{os.environ['PATH']}"  # mike calls mkdocs
    environment = {**os.environ, **who, "PATH": path, "NO_MKDOCS_2_WARNING": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository in which two versions were published, each as the workflow does it."""
    folder = tmp_path_factory.mktemp("repository")
    for name in NEEDED:
        run(folder, "cp", "-r", ROOT / name, ".")
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", "docs")
    for version in ("0.1", "0.2"):
        run(folder, BESIDE_PYTHON / "mike", "deploy", "--update-aliases", version, "latest")
    run(folder, BESIDE_PYTHON / "mike", "set-default", "latest")
    return folder


def show(repository: Path, path: str) -> str:
    """Return a published file."""
    return run(repository, "git", "show", f"gh-pages:{path}")


def test_versions(published: Path) -> None:
    """Both are there, the newer one also as `latest`, where a visitor of the root is sent."""
    versions = {each["version"]: each["aliases"] for each in json.loads(show(published, "versions.json"))}

    assert {"0.1": [], "0.2": ["latest"]} == versions
    assert "latest/" in show(published, "index.html")


@pytest.mark.parametrize("version", ["0.1", "0.2", "latest"])
def test_pages(published: Path, version: str) -> None:
    """Each has its pages, with the version selector turned on, and a search of its own."""
    assert '"version": {"provider": "mike"}' in show(published, f"{version}/runbooks/index.html")
    assert "ImdsEmulatorWebhookDown" in show(published, f"{version}/search/search_index.json")


def test_no_other_host(published: Path) -> None:
    """A page loads nothing from another host."""
    page = show(published, "0.2/index.html")

    assert [] == [line for line in page.splitlines() if ("<script" in line or "<link" in line) and 'src="http' in line]


def test_workflow() -> None:
    """The workflow publishes a release's version as `latest`, and what is on main as `dev`."""
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["publish"]["steps"]
    script = "\n".join(step.get("run", "") for step in steps)

    assert "mike deploy --push --update-aliases" in script
    assert "mike deploy --push dev" in script
