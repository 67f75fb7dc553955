"""Another process on the same node or in the same pod, that tries to read a process: run as `python -c`, by any user.

In: a process, and a text to look for. Out: as JSON, what each file of /proc/PID gave it: the error's name, or whether
the text was found.
"""

import errno
import json
import re
import sys
from pathlib import Path


def main() -> None:
    """Print what can be read."""
    process, wanted = Path("/proc") / sys.argv[1], sys.argv[2].encode()
    readers = {"environ": _whole, "cmdline": _whole, "maps": _whole, "mem": _memory, "fd": _descriptors}
    found = {}
    for name, read in readers.items():
        try:
            found[name] = "found" if wanted in read(process / name) else "not found"
        except OSError as error:
            found[name] = errno.errorcode[error.errno or 0]
    print(json.dumps(found))


def _whole(path: Path) -> bytes:
    return path.read_bytes()


def _memory(path: Path) -> bytes:
    """Return all memory that the process may write."""
    areas = re.findall(r"^(\w+)-(\w+) rw", path.with_name("maps").read_text(), re.MULTILINE)
    with path.open("rb", buffering=0) as memory:
        read = b""
        for start, end in areas:
            memory.seek(int(start, 16))
            read += memory.read(int(end, 16) - int(start, 16))
    return read


def _descriptors(path: Path) -> bytes:
    return b"".join(str(each.readlink()).encode() for each in path.iterdir())


if __name__ == "__main__":
    main()
