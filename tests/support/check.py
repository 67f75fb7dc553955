"""`make check`: the checks that read the code without running it, each named, all run, the worst status returned.

Each tool prints its own complaints, and each check one line.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

SITE = str(Path(tempfile.gettempdir()) / "imds-emulator-site")
CHECKS = {
    "lint": ["ruff", "check", "--quiet"],
    "format": ["ruff", "format", "--check", "--quiet"],
    "types": ["mypy"],
    "imports": ["lint-imports"],
    "generated files": ["python", "-m", "emulator.build.render", "--check"],
    "reliability page": ["python", "-m", "tests.support.reliability", "--check"],
    "documentation": ["mkdocs", "build", "--strict", "--quiet", "--site-dir", SITE],
}


def main() -> int:
    """Run every check; 0 if all passed, else 1."""
    failed = [name for name, command in CHECKS.items() if not passes(name, command)]
    if failed:
        print(f"check: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def passes(name: str, command: list[str]) -> bool:
    """Run one check by its program beside this interpreter; show its output only if it fails."""
    started = time.monotonic()
    program = Path(sys.executable).with_name(command[0])
    result = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    print(f"check: {name}: {'ok' if result.returncode == 0 else 'FAILED'} ({time.monotonic() - started:.1f} s)")
    if result.returncode:
        print(result.stdout + result.stderr, file=sys.stderr)
    return result.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
