"""The workflows of the forge, read without running them."""

from __future__ import annotations

import os
import re
import subprocess

import yaml

from emulator import __version__
from tests.support.chart.rendering import CHART, objects, one
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
    """A workflow may read the contents; a job that writes or signs says so, and what signs runs behind the tests."""
    workflows = {file.stem: yaml.safe_load(file.read_text()) for file in WORKFLOWS}
    release = workflows["release"]["jobs"]

    assert [{"contents": "read"}] * len(workflows) == [each["permissions"] for each in workflows.values()]
    for name, job in release.items():
        if name != "test":
            assert ("release", "write") == (job["environment"], job["permissions"]["id-token"])
    assert ("test", "images") == (release["images"]["needs"], release["chart"]["needs"])
    assert "./.github/workflows/test.yaml" == release["test"]["uses"]


def test_released_images_are_those_of_the_chart() -> None:
    """Images get the tag that the chart asks for, its appVersion, though the forge's tag begins with a `v`."""
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yaml").read_text())["jobs"]["images"]["steps"]
    (build_step,) = [step["with"] for step in steps if "docker/build-push-action" in step.get("uses", "")]
    (script,) = [step["run"] for step in steps if "VERSION=" in step.get("run", "")]
    image = one(objects(), "ConfigMap", "-parameters")["data"]["emulatorImage"]

    assert "${{ env.IMAGE_PREFIX }}/${{ matrix.target }}:${{ env.VERSION }}" == build_step["tags"]
    assert "VERSION=${{ env.VERSION }}" == build_step["build-args"]
    environment = {"GITHUB_REF_NAME": f"v{__version__}", "GITHUB_ENV": "/dev/stdout", "PATH": os.environ["PATH"]}
    said = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert f"VERSION={__version__}" in said.stdout.splitlines()
    assert image.endswith(f":{__version__}")


def test_what_workflows_run_is_there() -> None:
    """Every target of make and of the Dockerfile, and every folder, that a workflow names exists."""
    text = "\n".join(file.read_text() for file in WORKFLOWS)
    makefile, dockerfile = ((ROOT / name).read_text() for name in ("Makefile", "Dockerfile"))
    targets = {
        word for words in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", text) for word in words.split() if word[0] != "-"
    }
    stages = {each.strip() for found in re.findall(r"target: \[(.*)\]", text) for each in found.split(",")}

    assert {"check", "unit", "test"} <= targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"emulator", "redirect"} == stages <= set(re.findall(r"^FROM .* AS (\S+)", dockerfile, re.MULTILINE))
    assert "helm package charts/imds-emulator" in text
