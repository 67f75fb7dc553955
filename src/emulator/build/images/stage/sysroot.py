"""Unpacks Debian packages of one architecture into a folder, with dpkg's records of them; nothing of them is run.

So each machine makes the images of every architecture, and of these packages alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIRST = "base-files"  # brings /lib and its kind, which are links
APT, CACHE, DPKG = "var/lib/apt", "var/cache/apt", "var/lib/dpkg"


def main() -> None:
    """Make the folder, or add to it: `sysroot.py FOLDER ARCHITECTURE PACKAGE...`."""
    folder, architecture, *packages = sys.argv[1:]
    make(Path(folder), architecture, packages)


def make(root: Path, architecture: str, packages: list[str]) -> None:
    """Fetch and unpack the packages and what they depend on; fails where Debian's security suite is not asked."""
    for path in (f"{APT}/lists/partial", f"{CACHE}/archives/partial", f"{DPKG}/info"):
        (root / path).mkdir(parents=True, exist_ok=True)
    (root / DPKG / "status").touch()
    (root / DPKG / "info" / "format").write_text("1\n")
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Dir::Cache": root / CACHE,
        "Dir::State": root / APT,
        "Dir::State::status": root / DPKG / "status",
    }
    apt = ["apt-get", "--quiet", *(f"--option={name}={value}" for name, value in options.items())]
    subprocess.run([*apt, "update"], check=True)
    if not any(
        suite.endswith("-security") for suite in _output(*apt, "indextargets", "--format", "$(CODENAME)").split()
    ):
        sys.exit("sysroot: Debian's security suite must be among apt's sources")
    subprocess.run(
        [*apt, "install", "--yes", "--no-install-recommends", "--download-only", FIRST, *packages], check=True
    )
    archives = sorted((root / CACHE / "archives").glob("*.deb"))
    for archive in sorted(archives, key=lambda file: not file.name.startswith(f"{FIRST}_")):
        unpack(archive, root)
        archive.unlink()
    certificates(root)


def unpack(archive: Path, root: Path) -> None:
    """Unpack one package, and record it where `dpkg-query` looks. Source: dpkg(1), FILES; deb-control(5)."""
    control = _output("dpkg-deb", "--field", archive)
    fields = dict(line.split(": ", 1) for line in control.splitlines() if ": " in line and not line.startswith(" "))
    contents = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], capture_output=True, check=True).stdout
    # Packages name folders that are links by now.
    unpacked = ["tar", "--extract", "--verbose", "--keep-directory-symlink", f"--directory={root}"]
    listed = subprocess.run(unpacked, input=contents, capture_output=True, check=True).stdout.decode()
    paths = [line.removeprefix(".").rstrip("/") or "/." for line in listed.splitlines()]
    name = fields["Package"]
    known_by = f"{name}:{fields['Architecture']}" if fields.get("Multi-Arch") == "same" else name
    (root / DPKG / "info" / f"{known_by}.list").write_text("".join(f"{path}\n" for path in paths))
    with (root / DPKG / "status").open("a") as status:
        status.write(f"{control.rstrip()}\nStatus: install ok installed\n\n")


def certificates(root: Path) -> None:
    """Write the file of all certificate authorities, as the installation of ca-certificates would."""
    files = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    (root / "etc/ssl/certs/ca-certificates.crt").write_text("".join(file.read_text() for file in files))


def _output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
