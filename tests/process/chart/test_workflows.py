"""The workflows of the forge, read without running them."""

from __future__ import annotations

import re
import subprocess

import yaml

from emulator.build.release import images
from tests.support.chart.rendering import CHART
from tests.support.tools import programs

ROOT = CHART.parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def test_workflows() -> None:
    """`actionlint` finds nothing: syntax, expressions, contexts, inputs of well-known actions."""
    linted = subprocess.run(
        [programs.path("actionlint"), *WORKFLOWS], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert WORKFLOWS
    assert (0, "") == (linted.returncode, linted.stdout + linted.stderr)


def test_actions_are_pinned() -> None:
    """Each action is named by the commit of a release, since a tag can be moved, and the release stands beside it."""
    used = [
        line.split("uses: ", 1)[1] for file in WORKFLOWS for line in file.read_text().splitlines() if "uses: " in line
    ]
    foreign = [each for each in used if not each.startswith("./")]

    assert len(foreign) > 10
    assert [] == [each for each in foreign if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)]


def test_workflows_only_read_by_default() -> None:
    """A workflow may read the contents; the job that signs says so, behind the tests and a person's consent."""
    workflows = {file.stem: yaml.safe_load(file.read_text()) for file in WORKFLOWS}
    jobs = workflows["release"]["jobs"]

    assert [{"contents": "read"}] * len(workflows) == [each["permissions"] for each in workflows.values()]
    assert ("release", "test") == (jobs["release"]["environment"], jobs["release"]["needs"])
    assert {"contents": "write", "id-token": "write"} == jobs["release"]["permissions"]
    assert "./.github/workflows/test.yaml" == jobs["test"]["uses"]


def test_the_workflow_does_what_is_rehearsed() -> None:
    """Beside the checkout and the login, the job that publishes runs `make release` and nothing else."""
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yaml").read_text())["jobs"]["release"]

    used = [step["uses"].split("@")[0] for step in job["steps"] if "uses" in step]
    assert ["actions/checkout", "docker/login-action"] == used
    assert ['make release REGISTRY="$REGISTRY/$NAMESPACE"'] == [step["run"] for step in job["steps"] if "run" in step]


def test_what_workflows_run_is_there() -> None:
    """Every target of make and every image that a workflow names exists."""
    text = "\n".join(file.read_text() for file in WORKFLOWS)
    makefile = (ROOT / "Makefile").read_text()
    targets = {
        word for words in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", text) for word in words.split() if word[0] != "-"
    }
    scanned = {each.strip() for found in re.findall(r"target: \[(.*)\]", text) for each in found.split(",")}

    assert {"check", "unit", "test", "release"} <= targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(images.NAMES) == scanned


def test_images_of_the_release_are_targets() -> None:
    """Every image of a release is a target of the Dockerfile."""
    assert set(images.NAMES) <= set(re.findall(r"^FROM .* AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
