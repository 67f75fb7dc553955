"""Assembles an image's files in the build stage: what runs, what that needs, and nothing else.

Goes in: a Debian system with the packages installed, the source tree, the name of the image.
Comes out: a root file system; modules as .pyc without source, programs with their libraries, an SBOM.
"""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
from modulefinder import ModuleFinder
from pathlib import Path
from typing import TYPE_CHECKING

from emulator import __version__, names
from emulator.__main__ import IN_IMAGES
from emulator.build.images.stage import sbom

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PYTHON = Path(f"/usr/bin/python{sysconfig.get_python_version()}")
LIBRARY = Path(sysconfig.get_path("stdlib"))  # the one folder on sys.path with -I -S, so all modules go there
EXTENSIONS = LIBRARY / "lib-dynload"
PACKAGES = Path("/usr/lib/python3/dist-packages")
MULTIARCH = sysconfig.get_config_var("MULTIARCH")
CERTIFICATES = Path("/usr/share/ca-certificates/mozilla")

ENCODINGS = ("aliases", "ascii", "idna", "latin_1", "utf_8")  # found by name at run time; the first is the finder's
# `os` marks the library's folder at start, `_strptime` is imported by datetime's C; the others are for a person who
# leaves -S out, or says -m.
BY_NAME = ("os", "_strptime", "site", "runpy", "importlib._abc")
FROM_RUST = "cryptography"  # its extension imports modules by name, so the package goes in whole

# Nobody but root may read the interpreter. A process whose program its user can't read has memory that this user can't
# read either, and dumps no core that another than root sees. Source: prctl(2), PR_SET_DUMPABLE; proc(5), /proc/PID.
RUN_ONLY = 0o711

# Imported in corners of the standard library and of cryptography that nothing here comes to.
NEVER = (
    *("_pyrepl", "code", "codeop", "curses", "doctest", "pdb", "pydoc", "readline", "rlcompleter", "tkinter"),
    *("ctypes", "ensurepip", "multiprocessing", "test", "unittest", "xmlrpc"),
    *("_pydatetime", "_pydecimal", "_pyio", "decimal", "fractions", "statistics"),  # stand-ins for C; offered by random
    *("asyncio.proactor_events", "asyncio.windows_events", "asyncio.windows_utils", "encodings.mbcs", "encodings.oem"),
    *("bz2", "lzma", "tarfile", "zipfile"),  # archives, offered by shutil
    *("concurrent.futures.process", "importlib.metadata", "importlib.readers", "importlib.resources"),
    *("bcrypt",),  # SSH keys with a password
)

PROGRAM = f"""#!{PYTHON} -IS
import sys
from emulator.__main__ import main
sys.exit(main())
"""
# AWS's own root certificates: Amazon Trust Services, Repository, "Root CAs".
AWS_ROOTS = (*(f"Amazon_Root_CA_{n}" for n in (1, 2, 3, 4)), "Starfield_Services_Root_Certificate_Authority_-_G2")
USERS = f"""root:x:0:0:root:/:/sbin/nologin
imds-emulator:x:{names.EMULATOR_UID}:{names.EMULATOR_GID}:imds-emulator:/:/sbin/nologin
"""
GROUPS = f"""root:x:0:
imds-emulator:x:{names.EMULATOR_GID}:
"""
OPENSSL_LEGACY = Path(f"/usr/lib/{MULTIARCH}/ossl-modules/legacy.so")  # cryptography does not start without

NFT = "/usr/sbin/nft"
IPTABLES = tuple(
    f"/usr/sbin/{program}-{backend}{suffix}"
    for program in ("iptables", "ip6tables")
    for backend in ("nft", "legacy")
    for suffix in ("", "-restore")
)
# All of them: reading the rules means to understand those of a mesh too, whatever they match.
XTABLES = Path(f"/usr/lib/{MULTIARCH}/xtables")
XTABLES_PATTERNS = ("libxt_*.so", "libipt_*.so", "libip6t_*.so")


class Rootfs:
    """A root file system in the making, on top of another one; keeps what all its files were made from."""

    def __init__(self, target: Path, below: Rootfs | None = None) -> None:
        self.target = target
        self.sources: set[Path] = set(below.sources) if below else set()
        self.present: set[Path] = set(below.present) if below else set()

    def copy(self, path: Path) -> None:
        """Copy a file to the same place, each symbolic link on the way to it too."""
        for step in [*reversed(path.parents), path]:
            if step.is_symlink():
                beyond = path.relative_to(step)
                if self._claim(step):
                    self.place(step).symlink_to(step.readlink())
                self.copy(Path(os.path.normpath(step.parent / step.readlink() / beyond)))
                return
        self.sources.add(path)
        if self._claim(path):
            shutil.copyfile(path, self.place(path))
            self.place(path).chmod(0o755 if os.access(path, os.X_OK) and path.stat().st_mode & 0o100 else 0o644)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of ours."""
        if self._claim(Path(path)):
            self.place(Path(path)).write_text(text)
            self.place(Path(path)).chmod(mode)

    def module(self, source: Path, path: Path) -> None:
        """Put a module where Python finds it; of Python's own kind only its compiled form."""
        self.sources.add(source)
        if not self._claim(path):
            return
        if source.suffix != ".py":
            shutil.copyfile(source, self.place(path))
            return
        target = str(self.place(path.with_suffix(".pyc")))
        # Without docstrings: they would be in each sidecar's memory. Without a time stamp: the same bytes each time.
        py_compile.compile(
            str(source),
            target,
            str(path),
            doraise=True,
            optimize=2,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )

    def place(self, path: Path) -> Path:
        """Return where `path` is in the target, with its folder made."""
        target = self.target / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def finish(self, epoch: int) -> None:
        """Give everything the one time of the build."""
        for path in (self.target, *self.target.rglob("*")):
            os.utime(path, (epoch, epoch), follow_symlinks=False)

    def _claim(self, path: Path) -> bool:
        """Tell whether `path` is still to be made."""
        known = path in self.present
        self.present.add(path)
        return not known


def modules(source: Path) -> Iterator[tuple[Path, Path]]:
    """Yield file and destination of each module that the commands import, at once or later."""
    finder = ModuleFinder([str(source), str(LIBRARY), str(EXTENSIONS), str(PACKAGES)], excludes=list(NEVER))
    finder.import_hook("emulator.__main__")
    for name in (
        *(module for module, _ in IN_IMAGES.values()),
        *(f"encodings.{name}" for name in ENCODINGS),
        *BY_NAME,
    ):
        finder.import_hook(name)
    if FROM_RUST in finder.modules:
        for file in sorted((PACKAGES / FROM_RUST).rglob("*.py")):
            name = ".".join(file.relative_to(PACKAGES).with_suffix("").parts)
            finder.import_hook(name.removesuffix(".__init__"))
        finder.import_hook("_cffi_backend")
    for module in finder.modules.values():
        if found := getattr(module, "__file__", None):  # a module in C that is part of Python has none
            file = Path(found)
            root = next(root for root in (source, EXTENSIONS, LIBRARY, PACKAGES) if file.is_relative_to(root))
            yield file, (EXTENSIONS if root == EXTENSIONS else LIBRARY) / file.relative_to(root)


def libraries(files: Iterable[Path]) -> set[Path]:
    """Return the shared libraries that these ELF files are linked with, the loader too."""
    listing = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=True).stdout
    words = (word for line in listing.splitlines() if not line.endswith(":") for word in line.split())
    return {Path(word) for word in words if word.startswith("/")}


def emulator(rootfs: Rootfs, source: Path) -> None:
    """Put in Python, the commands, what they import, and root certificates."""
    found = list(modules(source))
    for file, path in found:
        rootfs.module(file, path)
    linked = [PYTHON, *(file for file, _ in found if file.suffix == ".so")]
    if OPENSSL_LEGACY.exists():
        linked.append(OPENSSL_LEGACY)
        rootfs.copy(OPENSSL_LEGACY)
    for file in (PYTHON, *libraries(linked), Path("/usr/lib/ssl/cert.pem")):
        rootfs.copy(file)
    rootfs.place(PYTHON).chmod(RUN_ONLY)
    roots = [CERTIFICATES / f"{name}.crt" for name in AWS_ROOTS]
    rootfs.sources.update(roots)
    rootfs.write("/etc/ssl/aws-roots.pem", "".join(root.read_text() for root in roots))
    rootfs.write("/etc/passwd", USERS)
    rootfs.write("/etc/group", GROUPS)
    rootfs.write("/etc/nsswitch.conf", "hosts: files dns\n")
    rootfs.write("/usr/bin/imds-emulator", PROGRAM, 0o755)


def redirect(rootfs: Rootfs) -> None:
    """Put in nftables, and both kinds of iptables under the names that say which kind it is."""
    programs = [Path(name) for name in (NFT, *IPTABLES)]
    extensions = [file for pattern in XTABLES_PATTERNS for file in sorted(XTABLES.glob(pattern))]
    for file in (*programs, *extensions, *libraries([*programs, *extensions])):
        rootfs.copy(file)


def main() -> None:
    """Assemble both images: `rootfs.py SOURCE LICENCE TARGET`, with SOURCE_DATE_EPOCH in the environment."""
    source, licence, target = map(Path, sys.argv[1:])
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    below = None
    for image, fill in (("emulator", lambda rootfs: emulator(rootfs, source)), ("redirect", redirect)):
        rootfs = below = Rootfs(target / image, below)
        fill(rootfs)
        owners = sbom.owners(file for file in rootfs.sources if not file.is_relative_to(source))
        for package in owners:
            rootfs.copy(Path(f"/usr/share/doc/{package.name}/copyright"))
        rootfs.write("/usr/share/doc/imds-emulator/copyright", licence.read_text())
        document = sbom.document(f"imds-emulator/{image}", __version__, owners, epoch)
        rootfs.write(f"/usr/share/sbom/{image}.cdx.json", document)
        rootfs.finish(epoch)


if __name__ == "__main__":
    main()
