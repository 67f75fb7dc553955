"""How a client of each language is made ready, once, and started.

In: a driver, a folder with lock files, a folder in the cache. Out: an installed client there, and its command line.
"""

import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.build.paths import cache, log_path
from emulator.build.progress import StepFailedError, run
from tests.support.tools.locks import held

HERE = Path(__file__).parent


class UnavailableError(Exception):
    """The machine lacks what the client needs; the message says what."""


@dataclass(frozen=True)
class Recipe:
    """What makes one client: `package` and `version` name the folder of its lock files, `driver` its program.

    `variant` tells clients apart that differ in nothing but the driver. A version of "" is the machine's own.
    """

    package: str
    version: str
    driver: str
    variant: str = ""


@dataclass(frozen=True)
class Language:
    """`folder` has drivers and lock files, `programs` must be on PATH, `shared` goes with each driver.

    `install` fills the cache's folder of a client; `command` starts what is there.
    `tool`: the program is not ours, and tells of an error in its own words instead of JSON.
    """

    name: str
    folder: str
    programs: Sequence[str]
    install: Callable[[Recipe, Path], None]
    command: Callable[[Recipe, Path], list[str]]
    shared: Sequence[str] = ()
    tool: bool = False

    def files(self, recipe: Recipe) -> list[Path]:
        """Return everything that the installed client depends on."""
        locks = HERE / self.folder / f"{recipe.package}-{recipe.version}"
        drivers = [HERE / self.folder / name for name in (*self.shared, recipe.driver)]
        return [*drivers, *(sorted(locks.iterdir()) if locks.is_dir() else ())]

    def missing(self) -> str:
        """Say which program is missing, "" if none is."""
        absent = [name for name in self.programs if shutil.which(name) is None]
        return f"{', '.join(absent)} not on PATH" if absent else ""


def _step(recipe: Recipe, at: Path, argv: Sequence[str | Path], more: Mapping[str, str] | None = None) -> None:
    """Run one step of an installation in its folder, quietly and with low priority."""
    label = f"install {recipe.package} {recipe.version}"
    command = ["nice", "-n", "19", *map(str, argv)]
    log = log_path(f"conformance-{recipe.package}-{recipe.version}")
    run(command, label, log, env={**os.environ, **(more or {})}, cwd=at)


def _copy(language: Language, recipe: Recipe, at: Path) -> None:
    for file in language.files(recipe):
        shutil.copy(file, at / file.name)


def _python(program: str) -> Callable[[Recipe, Path], None]:
    def install(recipe: Recipe, at: Path) -> None:
        _environment(recipe, at, program)

    return install


def _environment(recipe: Recipe, at: Path, program: str | Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    locks = HERE / "python" / f"{recipe.package}-{recipe.version}" / "requirements.txt"
    _step(recipe, at, [uv, "venv", "--quiet", "--no-python-downloads", "--python", program, at / "venv"])
    pip = [uv, "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
    _step(recipe, at, [*pip, "--python", at / "venv" / "bin" / "python", "-r", locks])


def _python_of_maven(recipe: Recipe, at: Path) -> None:
    if platform.machine() != "x86_64":
        raise UnavailableError("its Python is for x86_64 alone")
    # CPython as Maven Central has it, a folder that runs from anywhere: Debian's is too old for the client.
    python = "org.bytedeco:cpython:3.14.3-1.5.13:jar:linux-x86_64"
    _maven(recipe, at, "copy", f"-Dartifact={python}", f"-DoutputDirectory={at}")
    with zipfile.ZipFile(next(at.glob("cpython-*.jar"))) as jar:
        jar.extractall(at)
    root = at / "org" / "bytedeco" / "cpython" / "linux-x86_64"
    program = root / "bin" / "python3.14"
    program.chmod(0o755)  # an archive of Java knows no modes
    _environment(recipe, at, program)


def _maven(recipe: Recipe, at: Path, goal: str, *arguments: str) -> None:
    """Run a goal of Maven's dependency plugin; its repository is not made for two at a time."""
    repository = cache() / "conformance" / "maven"
    plugin = f"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:{goal}"
    with held(repository.with_name("maven.lock")):
        _step(recipe, at, ["mvn", "-B", "-q", f"-Dmaven.repo.local={repository}", plugin, *arguments])


def _go(recipe: Recipe, at: Path) -> None:
    _copy(GO, recipe, at)
    shared = cache() / "conformance"
    caches = {"GOCACHE": str(shared / "go-build"), "GOMODCACHE": str(shared / "go-mod")}
    more = {**caches, "GOFLAGS": "-modcacherw -buildvcs=false", "GOWORK": "off", "CGO_ENABLED": "0"}
    _step(recipe, at, ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", "client", "."], more)


def _java(recipe: Recipe, at: Path) -> None:
    _copy(JAVA, recipe, at)
    _maven(recipe, at, "copy-dependencies", f"-DoutputDirectory={at / 'lib'}")
    _step(recipe, at, ["javac", "-cp", "lib/*", "-d", "classes", "Answer.java", recipe.driver])


def _js(recipe: Recipe, at: Path) -> None:
    _copy(JS, recipe, at)
    _step(recipe, at, ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])


def _rust(recipe: Recipe, at: Path) -> None:
    _copy(RUST, recipe, at)
    # The committed lock file names no registry: each package with a checksum is of the one that cargo is set up with.
    _step(recipe, at, ["cargo", "generate-lockfile"])
    lock = at / "Cargo.lock"
    source = next(line for line in lock.read_text().splitlines() if line.startswith("source = "))
    committed = (HERE / "rust" / f"{recipe.package}-{recipe.version}" / "Cargo.lock").read_text()
    lock.write_text(committed.replace("\nchecksum = ", f"\n{source}\nchecksum = "))
    target = cache() / "conformance" / "rust-target"
    _step(recipe, at, ["cargo", "build", "--locked", "--quiet", "--target-dir", target])
    shutil.copy(target / "debug" / "client", at / "client")


def _debian(recipe: Recipe, at: Path) -> None:
    """Install the distribution's package, if its version is the one that is asked for; `at` stays empty."""
    del at
    _apt(recipe.package)
    have = _dpkg_version(recipe.package)
    if have.partition("-")[0].partition("+")[0] != recipe.version:
        raise UnavailableError(f"{recipe.package} {recipe.version} is of another release of Debian; here it is {have}")


def _php(recipe: Recipe, at: Path) -> None:
    _apt("php-cli")
    _debian(recipe, at)


def _apt(package: str) -> None:
    if _dpkg_version(package):
        return
    if os.geteuid() != 0:
        raise UnavailableError(f"package {package} is not installed, and installing it needs root")
    more = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log = log_path(f"conformance-{package}")
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    with held(cache() / "conformance" / "apt.lock"):  # apt-get's own lock on its lists ends a second one
        run([*apt, "update"], f"look {package} up", log, env=more)
        try:
            run([*apt, "install", "--no-install-recommends", package], f"install {package}", log, env=more)
        except StepFailedError as error:
            raise UnavailableError(f"apt-get does not install {package}; see {log}") from error


def _dpkg_version(package: str) -> str:
    """Return the version of an installed package without its epoch, "" if it is not installed."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", package]
    status, _, version = subprocess.run(query, capture_output=True, text=True, check=False).stdout.partition(" ")
    return version.rpartition(":")[2] if status == "installed" else ""


def _nothing(recipe: Recipe, at: Path) -> None:
    """Install nothing: it is the machine's own program."""


def _run_python(recipe: Recipe, at: Path) -> list[str]:
    return [
        str(at / "venv" / "bin" / "python"),
        "-m",
        f"tests.experiments.conformance.python.{recipe.driver.removesuffix('.py')}",
    ]


def _run_replay(recipe: Recipe, at: Path) -> list[str]:
    del at
    return [sys.executable, "-m", "tests.experiments.conformance.replay.play", str(HERE / "replay" / recipe.driver)]


def _run_built(recipe: Recipe, at: Path) -> list[str]:
    del recipe
    return [str(at / "client")]


def _run_java(recipe: Recipe, at: Path) -> list[str]:
    # Java takes the home folder from the user database instead of HOME.
    classes = f"{at / 'classes'}:{at / 'lib'}/*"
    return [
        "sh",
        "-c",
        'exec java -Duser.home="$HOME" "$@"',
        "java",
        "-cp",
        classes,
        recipe.driver.removesuffix(".java"),
    ]


def _run_js(recipe: Recipe, at: Path) -> list[str]:
    return ["node", str(at / recipe.driver)]


def _run_script(interpreter: str, folder: str) -> Callable[[Recipe, Path], list[str]]:
    return lambda recipe, _: [interpreter, str(HERE / folder / recipe.driver)]


PYTHON = Language("Python", "python", (), _python(sys.executable), _run_python, ("answer.py",))
PYTHON_3_11 = Language("Python 3.11", "python", ("python3.11",), _python("python3.11"), _run_python, ("answer.py",))
PYTHON_3_14 = Language("Python 3.14", "python", ("mvn",), _python_of_maven, _run_python, ("answer.py",))
GO = Language("Go", "go", ("go",), _go, _run_built, ("answer.go",))
JAVA = Language("Java", "java", ("javac", "mvn"), _java, _run_java, ("Answer.java",))
JS = Language("JavaScript", "js", ("node", "npm"), _js, _run_js, ("answer.js",))
RUST = Language("Rust", "rust", ("cargo",), _rust, _run_built)
RUBY = Language("Ruby", "ruby", ("apt-get",), _debian, _run_script("ruby", "ruby"))
PHP = Language("PHP", "php", ("apt-get",), _php, _run_script("php", "php"))
DEBIAN = Language("Debian", "shell", ("apt-get",), _debian, _run_script("sh", "shell"), tool=True)
SHELL = Language("shell", "shell", ("curl",), _nothing, _run_script("sh", "shell"), tool=True)
REPLAY = Language("replay", "replay", (), _nothing, _run_replay)
