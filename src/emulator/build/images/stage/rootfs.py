"""Assembles an image's files in the build stage: what runs, what that needs, and nothing else.

Reads packages that `sysroot` unpacked, of any architecture. Makes a root file system: modules as .pyc without source,
programs with their libraries, an SBOM.
"""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from importlib.machinery import ExtensionFileLoader, FileFinder, PathFinder, SourceFileLoader
from modulefinder import ModuleFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from elftools.elf.elffile import ELFFile

from emulator import __version__, names
from emulator.__main__ import COMMANDS, IN_IMAGES
from emulator.build.images.stage import sbom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from modulefinder import Module

    from _typeshed.importlib import PathEntryFinderProtocol

PYTHON = Path(f"/usr/bin/python{sysconfig.get_python_version()}")
LIBRARY = Path(sysconfig.get_path("stdlib"))  # the one folder on sys.path with -I -S, so all modules go there
EXTENSIONS = LIBRARY / "lib-dynload"
PACKAGES = Path("/usr/lib/python3/dist-packages")
MULTIARCH = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
CERTIFICATES = Path("/usr/share/ca-certificates/mozilla")

ENCODINGS = ("aliases", "ascii", "idna", "latin_1", "utf_8")  # found by name at run time; the first is the finder's
# `os` marks the library's folder at start, `_strptime` is imported by datetime's C; the others are for a person who
# leaves -S out, or says -m.
BY_NAME = ("os", "_strptime", "site", "runpy", "importlib._abc")
WHOLE = ("cryptography", "kubernetes")  # they import modules by name
PACKAGE = 5  # modulefinder's kind of a folder

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
# kubernetes and what it needs import more of it.
NEVER_IN_CLI = ("curses", "doctest", "ensurepip", "readline", "test", "tkinter", "unittest")

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
OPENSSL_LEGACY = "ossl-modules/legacy.so"  # cryptography does not start without

NFT = "/usr/sbin/nft"
IPTABLES = tuple(
    f"/usr/sbin/{program}-{backend}{suffix}"
    for program in ("iptables", "ip6tables")
    for backend in ("nft", "legacy")
    for suffix in ("", "-restore")
)
# All of them: reading the rules means to understand those of a mesh too, whatever they match.
XTABLES_PATTERNS = ("libxt_*.so", "libipt_*.so", "libip6t_*.so")


@dataclass(frozen=True)
class System:
    """Unpacked packages of one architecture: paths are as an image has them."""

    root: Path
    architecture: str

    @property
    def libraries(self) -> Path:
        """The folder of shared libraries."""
        return Path("/usr/lib") / MULTIARCH[self.architecture]

    def real(self, path: Path) -> Path:
        """Return where a path of an image is here."""
        return self.root / path.relative_to("/")

    def path(self, real: Path) -> Path:
        """Return the path of an image that is `real` here."""
        return Path("/") / real.relative_to(self.root)


class Rootfs:
    """A root file system in the making, on top of another one; keeps what all its files were made from."""

    def __init__(self, target: Path, system: System, below: Path | None = None) -> None:
        """`below`: the record of the other one, as `record` wrote it."""
        self.target = target
        self.system = system
        said = json.loads(below.read_text()) if below else {"sources": [], "present": []}
        self.sources = {Path(path) for path in said["sources"]}
        self.present = {Path(path) for path in said["present"]}

    def record(self, path: Path) -> None:
        """Write what another image on top of this one has to know."""
        said = {"sources": self.sources, "present": self.present}
        path.write_text(json.dumps({name: sorted(map(str, paths)) for name, paths in said.items()}))

    def copy(self, path: Path) -> None:
        """Copy a file to the same place, each symbolic link on the way to it too."""
        for step in [*reversed(path.parents), path]:
            if (real := self.system.real(step)).is_symlink():
                beyond = path.relative_to(step)
                if self._claim(step):
                    self.place(step).symlink_to(real.readlink())
                self.copy(Path(os.path.normpath(step.parent / real.readlink() / beyond)))
                return
        self.sources.add(path)
        if self._claim(path):
            real = self.system.real(path)
            shutil.copyfile(real, self.place(path))
            self.place(path).chmod(0o755 if real.stat().st_mode & 0o100 else 0o644)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of ours."""
        if self._claim(Path(path)):
            self.place(Path(path)).write_text(text)
            self.place(Path(path)).chmod(mode)

    def module(self, source: Path, path: Path) -> None:
        """Put a module where Python finds it; of Python's own kind only its compiled form."""
        if source.is_relative_to(self.system.root):
            self.sources.add(self.system.path(source))
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


class Finder(ModuleFinder):
    """A ModuleFinder that takes a package without `__init__` (PEP 420), such as ruamel's, for an empty one."""

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:  # noqa: ANN401 - as ModuleFinder
        """Return the file and the kind of a module."""
        spec = PathFinder.find_spec(name, path or self.path)
        if spec and spec.loader is None and spec.submodule_search_locations:
            return None, next(iter(spec.submodule_search_locations)), ("", "", PACKAGE)
        return super().find_module(name, path, parent)

    def load_package(self, fqname: str, pathname: str) -> Module:
        """Return a package's module."""
        if (Path(pathname) / "__init__.py").exists():
            return super().load_package(fqname, pathname)
        module: Any = self.add_module(fqname)
        module.__path__ = [pathname]
        return cast("Module", module)


def modules(system: System, source: Path, wanted: Iterable[str], never: tuple[str, ...]) -> Iterator[tuple[Path, Path]]:
    """Yield file and destination of each module that the wanted ones import, at once or later."""
    library, extensions, packages = (system.real(path) for path in (LIBRARY, EXTENSIONS, PACKAGES))
    sys.path_hooks.insert(0, _hook(system))
    finder = Finder([str(source), str(library), str(extensions), str(packages)], excludes=list(never))
    for name in ("emulator.__main__", *wanted, *(f"encodings.{name}" for name in ENCODINGS), *BY_NAME):
        finder.import_hook(name)
    for package in WHOLE:
        for file in sorted((packages / package).rglob("*.py")) if package in finder.modules else ():
            name = ".".join(file.relative_to(packages).with_suffix("").parts)
            finder.import_hook(name.removesuffix(".__init__"))
    if "cryptography" in finder.modules:
        finder.import_hook("_cffi_backend")
    for module in finder.modules.values():
        if found := getattr(module, "__file__", None):  # a module in C that is part of Python has none
            file = Path(found)
            root = next(root for root in (source, extensions, library, packages) if file.is_relative_to(root))
            yield file, (EXTENSIONS if root == extensions else LIBRARY) / file.relative_to(root)


def _hook(system: System) -> Callable[[str], PathEntryFinderProtocol]:
    """Return the hook by which modules in C are found whatever their architecture is, as their names tell."""
    tag = f".cpython-{sys.version_info[0]}{sys.version_info[1]}-{MULTIARCH[system.architecture]}.so"
    find = FileFinder.path_hook((ExtensionFileLoader, [tag, ".abi3.so", ".so"]), (SourceFileLoader, [".py"]))

    def hook(path: str) -> PathEntryFinderProtocol:
        if not Path(path).is_relative_to(system.root):
            raise ImportError(path)
        return find(path)

    return hook


def libraries(system: System, files: Iterable[Path]) -> set[Path]:
    """Return the shared libraries that these ELF files are linked with, the loader too."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        with system.real(waiting.pop()).resolve().open("rb") as file:
            elf = ELFFile(file)
            loader = [Path(part.get_interp_name()) for part in elf.iter_segments("PT_INTERP")]
            dynamic = elf.get_section_by_name(".dynamic")
            needed = [system.libraries / tag.needed for tag in dynamic.iter_tags("DT_NEEDED")]
        waiting += {*needed} - found
        found |= {*loader, *needed}
    return found


def emulator(rootfs: Rootfs, source: Path) -> None:
    """Put in Python, the commands, what they import, and root certificates."""
    system = rootfs.system
    linked = [PYTHON, *_modules(rootfs, source, (module for module, _ in IN_IMAGES.values()), NEVER)]
    if system.real(legacy := system.libraries / OPENSSL_LEGACY).exists():
        linked.append(legacy)
        rootfs.copy(legacy)
    for file in (PYTHON, *libraries(system, linked), Path("/usr/lib/ssl/cert.pem")):
        rootfs.copy(file)
    rootfs.place(PYTHON).chmod(RUN_ONLY)
    roots = [CERTIFICATES / f"{name}.crt" for name in AWS_ROOTS]
    rootfs.sources.update(roots)
    rootfs.write("/etc/ssl/aws-roots.pem", "".join(system.real(root).read_text() for root in roots))
    rootfs.write("/etc/passwd", USERS)
    rootfs.write("/etc/group", GROUPS)
    rootfs.write("/etc/nsswitch.conf", "hosts: files dns\n")
    rootfs.write("/usr/bin/imds-emulator", PROGRAM, 0o755)


def redirect(rootfs: Rootfs, _: Path) -> None:
    """Put in nftables, and both kinds of iptables under the names that say which kind it is."""
    system = rootfs.system
    programs = [Path(name) for name in (NFT, *IPTABLES)]
    folder = system.real(system.libraries / "xtables")
    extensions = [system.path(file) for pattern in XTABLES_PATTERNS for file in sorted(folder.glob(pattern))]
    for file in (*programs, *extensions, *libraries(system, [*programs, *extensions])):
        rootfs.copy(file)


def cli(rootfs: Rootfs, source: Path) -> None:
    """Put in the commands that a person runs, and the libraries that they need."""
    settings = f"_sysconfigdata__linux_{MULTIARCH[rootfs.system.architecture]}"  # found by name, too
    wanted = [*(module for module, _ in COMMANDS.values()), settings]
    for file in libraries(rootfs.system, _modules(rootfs, source, wanted, NEVER_IN_CLI)):
        rootfs.copy(file)
    for file in source.rglob("*.json"):
        rootfs.write(str(LIBRARY / file.relative_to(source)), file.read_text())


def _modules(rootfs: Rootfs, source: Path, wanted: Iterable[str], never: tuple[str, ...]) -> list[Path]:
    """Put in modules and what they import; return those in C."""
    found = list(modules(rootfs.system, source, wanted, never))
    for file, path in found:
        rootfs.module(file, path)
    return [rootfs.system.path(file) for file, _ in found if file.suffix == ".so"]


IMAGES = {"emulator": emulator, "redirect": redirect, "cli": cli}


def main() -> None:
    """Assemble images: `rootfs.py SYSTEM ARCHITECTURE SOURCE LICENCE TARGET IMAGE...`, the emulator before the others.

    SOURCE_DATE_EPOCH is in the environment.
    """
    root, architecture, *paths = sys.argv[1:6]
    source, licence, target = map(Path, paths)
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    system = System(Path(root), architecture)
    for image in sys.argv[6:]:
        record = target / "emulator.json"
        rootfs = Rootfs(target / image, system, record if record.exists() else None)
        IMAGES[image](rootfs, source)
        owners = sbom.owners(system.root, rootfs.sources)
        for package in owners:
            rootfs.copy(Path(f"/usr/share/doc/{package.name}/copyright"))
        rootfs.write("/usr/share/doc/imds-emulator/copyright", licence.read_text())
        document = sbom.document(f"imds-emulator/{image}", __version__, owners, sbom.release(system.root), epoch)
        rootfs.write(f"/usr/share/sbom/{image}.cdx.json", document)
        rootfs.finish(epoch)
        if not record.exists():
            rootfs.record(record)


if __name__ == "__main__":
    main()
