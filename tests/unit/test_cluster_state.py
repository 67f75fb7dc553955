"""What is kept of a cluster: its record, and whether its process is still the same."""

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.clusters import state


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMDS_EMULATOR_CACHE", str(tmp_path))


def _record(number: int) -> state.Record:
    process = state.identify(os.getpid())
    assert process is not None
    return state.Record(number, process, "recipe")


def test_a_record_is_read_back() -> None:
    """What `up` wrote down is what the next command reads."""
    state.folder("one").mkdir(parents=True)
    state.write("one", _record(3))

    assert _record(3) == state.read("one")
    assert state.read("two") is None


def test_a_process_is_not_taken_for_a_later_one_of_the_same_number() -> None:
    """A process number alone, or one from before a restart of the machine, does not count as alive."""
    process = _record(0).process

    assert state.alive(process)
    assert not state.alive(dataclasses.replace(process, started=process.started + 1))
    assert not state.alive(dataclasses.replace(process, boot="another"))


def test_an_ended_process_is_not_alive() -> None:
    """A process that ended is gone, also while its parent has not asked for its exit code."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as child:
        process = state.identify(child.pid)
        assert process is not None
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert not state.alive(process)
