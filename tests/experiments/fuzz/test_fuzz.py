"""Every target: its corpus, and as many executions as the size of the experiment says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.experiments.fuzz.__main__ import RUNS
from tests.experiments.fuzz.run import HANG_SECONDS, run
from tests.experiments.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.reliability.figures import Figures

SHORT_RUNS = 1000
SHORT_SECONDS = 4
GROWTH_MB = 32  # libFuzzer's own corpus is part of it
CORPUS_FILES = 300
INPUTS = [(target.name, path) for target in TARGETS.values() for path in target.inputs()]


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=[f"{name}-{path.name}" for name, path in INPUTS])
def test_input(name: str, path: Path) -> None:
    """An input of the corpus, of real life or once a find, breaks nothing."""
    TARGETS[name].load().one_input(path.read_bytes())


def test_corpus_is_small() -> None:
    """The corpus stays a thing that people read."""
    assert CORPUS_FILES > len(INPUTS)


@pytest.mark.timeout(60 * max(target.minutes for target in TARGETS.values()) + 60)
@pytest.mark.parametrize("name", TARGETS)
def test_fuzz(name: str, full: bool, figures: Figures, tmp_path: Path) -> None:  # noqa: FBT001 - a fixture
    """Inputs by the million, led by coverage from real ones and former finds, break, hang and grow nothing."""
    target = TARGETS[name]
    runs, seconds = (RUNS, 60 * target.minutes) if full else (SHORT_RUNS, SHORT_SECONDS)

    result = run(target, runs, seconds, kept=None if full else tmp_path)

    assert result.status == 0, f"{result.failed}\n{result.report}"
    assert result.executions > 0
    assert result.growth_mb <= GROWTH_MB
    assert result.executions >= runs or result.seconds >= seconds
    figures.add("what is read", target.reads)
    figures.add("executions", result.executions, bound=f"{RUNS:,}, or as many as {target.minutes} minutes allow")
    figures.add("executions a second", result.executions / result.seconds)
    figures.add("inputs that broke it", int(result.failed is not None), bound="0")
    figures.add("slowest input, in whole seconds", result.slowest_seconds, "s", bound=f"at most {HANG_SECONDS} s")
    figures.add("memory at its end", result.rss_mb[-1][1], "MB")
    figures.add("growth after the first fifth", result.growth_mb, "MB", bound=f"at most {GROWTH_MB} MB")
