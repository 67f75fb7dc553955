"""The workflows of the forge, read without running them."""

from __future__ import annotations

import re
import subprocess

from tests.chart.rendering import CHART
from tests.tools import build
from tests.tools.table import find

ROOT = CHART.parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def test_workflows() -> None:
    """`actionlint` finds nothing: syntax, expressions, contexts, inputs of well-known actions."""
    tool = find("actionlint")
    build.ensure([tool])

    linted = subprocess.run(
        [build.program(tool, "actionlint"), *WORKFLOWS], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert WORKFLOWS
    assert (0, "") == (linted.returncode, linted.stdout + linted.stderr)


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
