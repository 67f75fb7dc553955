"""Long steps that are never silent: a child process whose elapsed time is shown while it runs.

In: a command, a label, a log file. Out: lines on stderr; `StepFailedError` with the log's last lines.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

BEAT_SECONDS = 10.0
TAIL_LINES = 25


class StepFailedError(Exception):
    """A step ended badly; the message names it and carries the end of its log."""


def say(text: str) -> None:
    """Print one progress line, at once."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, indented; a remark if it is missing."""
    if not log.exists():
        return f"    ({log} does not exist)"
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])


def run(  # noqa: PLR0913 - as subprocess.run
    argv: Sequence[str],
    label: str,
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    status: Callable[[], str] = lambda: "",
) -> None:
    """Run `argv` with its output appended to `log`; say how long it has taken every ten seconds."""
    started = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    say(label)
    with log.open("a") as output:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd)
        try:
            while True:
                try:
                    code = child.wait(BEAT_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"{label}: {time.monotonic() - started:.0f} s {status()}".rstrip())
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if code != 0:
        raise StepFailedError(f"{label}: exit code {code}; the end of {log}:\n{tail(log)}")
