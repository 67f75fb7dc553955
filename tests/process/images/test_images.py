"""What is in the images, and that it runs as a kubelet runs it."""

from __future__ import annotations

import re
import stat
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from emulator import __version__, names
from emulator.__main__ import COMMANDS, IN_IMAGES
from emulator.build.images import archive, build, builders
from tests.process.images import container
from tests.support.netns.pods import IMDS_IPV4, IMDS_IPV6, Pod

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emulator.build.images.archive import Archive

PROGRAM = "/usr/bin/imds-emulator"
LIBRARY = "usr/lib/python3.13/"
# The goal; a person who pulls the image over a slow line will thank us for each megabyte less.
EMULATOR_BYTES, EMULATOR_COMPRESSED_BYTES = 30_000_000, 12_000_000
REDIRECT_BYTES, REDIRECT_COMPRESSED_BYTES = 34_000_000, 13_000_000


@pytest.mark.claim("S24")
def test_configuration(images: dict[str, Archive]) -> None:
    """Each image starts its command by itself, the emulator as a user of its own, with labels that say what it is."""
    expected = {
        "emulator": {
            "User": f"{names.EMULATOR_UID}:{names.EMULATOR_GID}",
            "Env": ["PATH=/usr/sbin:/usr/bin"],
            "Entrypoint": [PROGRAM],
            "Cmd": ["serve"],
            "Labels": {
                "org.opencontainers.image.title": "imds-emulator",
                "org.opencontainers.image.description": (
                    "AWS credentials for labelled pods at 169.254.169.254: sidecar and webhook"
                ),
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.version": __version__,
            },
        },
        "redirect": {
            "User": "0:0",
            "Env": ["PATH=/usr/sbin:/usr/bin"],
            "Entrypoint": [PROGRAM],
            "Cmd": ["redirect"],
            "Labels": {
                "org.opencontainers.image.title": "imds-emulator redirect",
                "org.opencontainers.image.description": (
                    "Redirects 169.254.169.254 to the emulator inside a pod: the init container"
                ),
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.version": __version__,
            },
        },
    }

    # Builders differ in what they add, such as the default WorkingDir.
    assert expected == {
        name: {key: image.config["config"][key] for key in expected[name]} for name, image in images.items()
    }


def test_layers_are_shared(images: dict[str, Archive]) -> None:
    """A node pulls what both images have once: the redirect is the emulator and one layer more."""
    assert images["emulator"].digests == images["redirect"].digests[:-1]


def test_size(images: dict[str, Archive]) -> None:
    """The images stay small, unpacked and as a registry sends them."""
    compressed = images["redirect"].compressed()  # its lower layer is all of the emulator's

    assert images["emulator"].size <= EMULATOR_BYTES
    assert compressed[0] <= EMULATOR_COMPRESSED_BYTES
    assert images["redirect"].size <= REDIRECT_BYTES
    assert sum(compressed) <= REDIRECT_COMPRESSED_BYTES


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("emulator", {"usr/bin/imds-emulator", "usr/bin/python3.13"}),
        (
            "redirect",
            {
                "usr/bin/imds-emulator",
                "usr/bin/python3.13",
                "usr/sbin/nft",
                "usr/sbin/xtables-legacy-multi",
                "usr/sbin/xtables-nft-multi",
                *(
                    f"usr/sbin/{program}-{backend}{suffix}"
                    for program in ("iptables", "ip6tables")
                    for backend in ("legacy", "nft")
                    for suffix in ("", "-restore")
                ),
            },
        ),
    ],
)
@pytest.mark.claim("S52")
def test_programs(images: dict[str, Archive], image: str, expected: set[str]) -> None:
    """There is no shell, no package manager, no compiler: exactly these programs."""
    folders = ("bin/", "sbin/", "usr/bin/", "usr/sbin/", "usr/local/")

    assert expected == {
        path for path, member in images[image].files().items() if path.startswith(folders) and not member.isdir()
    }


def test_folders(images: dict[str, Archive]) -> None:
    """No logs, caches, package lists, documentation or home: exactly these folders."""
    files = images["redirect"].files()
    found = {str(PurePosixPath(*PurePosixPath(path).parts[:3])) for path, member in files.items() if member.isdir()}
    (multiarch,) = {path for path in found if re.fullmatch(r"usr/lib/[a-z0-9_]+-linux-gnu\w*", path)}

    assert {
        "etc",
        "etc/ssl",
        "etc/ssl/certs",
        "usr",
        "usr/bin",
        "usr/lib",
        "usr/lib/python3.13",
        "usr/lib/ssl",
        multiarch,
        "usr/lib64",
        "usr/sbin",
        "usr/share",
        "usr/share/doc",
        "usr/share/sbom",
    } == found


@pytest.mark.claim("S52")
def test_owners_and_modes(images: dict[str, Archive]) -> None:
    """All is root's, nobody else can write it, nothing gains privileges, all bears one time."""
    members = images["redirect"].files().values()

    assert {(0, 0)} == {(member.uid, member.gid) for member in members}
    assert {0o755} == {stat.S_IMODE(member.mode) for member in members if member.isdir()}
    assert {0o755, 0o711, 0o644} == {stat.S_IMODE(member.mode) for member in members if member.isfile()}
    assert 1 == len({member.mtime for member in members})


def test_modules(images: dict[str, Archive]) -> None:
    """Modules are there in compiled form only; of ours those that run in a cluster."""
    paths = images["emulator"].files()
    commands = {name: f"{LIBRARY}{module.replace('.', '/')}.pyc" for name, (module, _) in COMMANDS.items()}

    assert [] == [path for path in paths if path.endswith(".py") or "__pycache__" in path]
    assert set(IN_IMAGES) == {name for name, path in commands.items() if path in paths}


def test_every_module_can_be_imported(images: dict[str, Archive], rootfs: dict[str, Path]) -> None:
    """What was left out of Python is missed by no module that is there."""
    paths = (path.removeprefix(LIBRARY) for path in images["emulator"].files() if path.startswith(LIBRARY))
    modules = sorted(
        re.sub(r"(/__init__)?\.(pyc|[\w.-]+\.so)$", "", path.removeprefix("lib-dynload/")).replace("/", ".")
        for path in paths
        if path.endswith((".pyc", ".so")) and "__main__" not in path
    )
    code = f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\nprint(len(sys.modules))"

    done = container.run(rootfs["emulator"], "/usr/bin/python3.13", "-IS", "-W", "ignore", "-c", code)

    assert (0, "") == (done.status, done.err)
    assert int(done.out) >= len(modules) > 150


@pytest.mark.parametrize(
    ("command", "named"),
    [("serve", "AWS_ROLE_ARN is not set"), ("webhook", "IMDS_EMULATOR_PARAMETERS: no directory")],
)
def test_starts(rootfs: dict[str, Path], command: str, named: str) -> None:
    """A command without its settings ends with status 2 and one line that names what is missing."""
    done = container.run(rootfs["emulator"], PROGRAM, command)

    assert (2, "") == (done.status, done.out)
    assert named in done.err
    assert 1 == done.err.count("\n")


def test_command_of_a_checkout(rootfs: dict[str, Path]) -> None:
    """A command that only a checkout has says so."""
    done = container.run(rootfs["emulator"], PROGRAM, "inject")

    assert (2, "", "imds-emulator: inject is not part of the images: run it from a checkout\n") == astuple(done)


@pytest.mark.parametrize("command", [(PROGRAM,), ("/usr/bin/python3.13", "-m", "emulator")])
def test_version(rootfs: dict[str, Path], command: tuple[str, ...]) -> None:
    """The program says its version; as a module of the interpreter too."""
    assert (0, f"{__version__}\n", "") == astuple(container.run(rootfs["emulator"], *command, "--version"))


def test_environment_of_the_pod_is_not_python_s(rootfs: dict[str, Path]) -> None:
    """Variables of Python that reach the container, by an injector of others for example, change nothing."""
    hostile = {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere", "PYTHONVERBOSE": "1", "PYTHONINSPECT": "1"}

    done = container.run(rootfs["emulator"], PROGRAM, "--version", environment=hostile)

    assert (0, f"{__version__}\n", "") == astuple(done)


def astuple(result: container.Result) -> tuple[int, str, str]:
    """Return the parts of a result, to compare them at once."""
    return (result.status, result.out, result.err)


@pytest.mark.parametrize("families", [{"ipv4": True}, {"ipv4": True, "ipv6": True}, {"ipv4": False, "ipv6": True}])
@pytest.mark.claim("S24")
def test_redirect(rootfs: dict[str, Path], new_pod: Callable[..., Pod], families: dict[str, bool]) -> None:
    """The init container works as it is injected: uid 0, two capabilities, a read-only root; and once more."""
    pod = new_pod(**families)
    runs = [
        container.run(
            rootfs["redirect"],
            PROGRAM,
            "redirect",
            uid=0,
            capabilities=("NET_ADMIN", "NET_RAW"),
            network=pod.name,
            environment={names.ENV_PORT: "18080"},
        )
        for _ in range(2)
    ]
    pod.start_emulator(18080)

    assert [(0, ""), (0, "")] == [(run.status, run.err) for run in runs]
    assert "emulator" == pod.ask(IMDS_IPV4, 80)
    assert ("emulator" if families.get("ipv6") else "ENETUNREACH") == pod.ask(IMDS_IPV6, 80)


def test_redirect_without_capabilities(rootfs: dict[str, Path]) -> None:
    """Where the container was not given NET_ADMIN the pod does not start, and one line says why."""
    done = container.run(rootfs["redirect"], PROGRAM, "redirect", uid=0)

    assert (1, "") == (done.status, done.out)
    assert done.err.startswith(
        "imds-emulator redirect: capability NET_ADMIN and NET_RAW is missing: run as uid 0 with "
    )
    assert 1 == done.err.count("\n")


def test_certificates(rootfs: dict[str, Path]) -> None:
    """AWS's own roots are there, and the system's at the place where OpenSSL looks by itself."""
    code = (
        "import ssl\n"
        "for file in ('/etc/ssl/aws-roots.pem', ssl.get_default_verify_paths().cafile):\n"
        " found = ssl.create_default_context(cafile=file).get_ca_certs()\n"
        " print(sorted(dict(x[0] for x in ca['subject'])['commonName'] for ca in found"
        " if 'Amazon' in str(ca) or 'Starfield Services' in str(ca)), len(found) > 100)"
    )
    roots = [*(f"Amazon Root CA {n}" for n in (1, 2, 3, 4)), "Starfield Services Root Certificate Authority - G2"]

    done = container.run(rootfs["emulator"], "/usr/bin/python3.13", "-IS", "-c", code)

    assert (0, f"{roots} False\n{roots} True\n", "") == astuple(done)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("emulator", {"ca-certificates", "libc6", "libssl3t64", "python3-cryptography", "python3.13-minimal"}),
        (
            "redirect",
            {"iptables", "libc6", "libnftables1", "libnftnl11", "libxtables12", "nftables", "python3.13-minimal"},
        ),
    ],
)
@pytest.mark.claim("S52")
def test_sbom(images: dict[str, Archive], rootfs: dict[str, Path], image: str, expected: set[str]) -> None:
    """The SBOM names what the image's files come from, each with version, and its licence is there too."""
    bom = images[image].json(f"usr/share/sbom/{image}.cdx.json")
    ours, *theirs = bom["components"]
    packages = [package["name"] for package in bom["components"]]

    assert ("CycloneDX", "1.6", f"imds-emulator/{image}", __version__) == (
        bom["bomFormat"],
        bom["specVersion"],
        bom["metadata"]["component"]["name"],
        bom["metadata"]["component"]["version"],
    )
    assert ("imds-emulator", __version__) == (ours["name"], ours["version"])
    assert expected <= {package["name"] for package in theirs}
    assert [] == [name for name in packages if not (rootfs[image] / f"usr/share/doc/{name}/copyright").is_file()]
    assert all(
        re.fullmatch(r"pkg:deb/debian/[^@]+@[^?]+\?arch=\w+&distro=debian-\d+&upstream=.+", package["purl"])
        for package in theirs
    )


def test_sbom_beside_the_archive(rootfs: dict[str, Path]) -> None:
    """The same SBOM lies beside the archive, for those who sign and publish images."""
    for image in build.PRODUCT:
        inside = rootfs[image.target] / f"usr/share/sbom/{image.target}.cdx.json"
        assert inside.read_text() == image.archive.with_suffix(".cdx.json").read_text()


@pytest.mark.usefixtures("images")
@pytest.mark.claim("S52")
def test_reproducible() -> None:
    """Built again without any layer of before, the image is the same to the last bit."""
    before, anew = (
        build.Image(f"imds-emulator-tests/{name}:1", target="redirect", arguments=build.PRODUCT[1].arguments)
        for name in ("before", "anew")
    )

    def make(image: build.Image, *, fresh: bool) -> Archive:
        build.make(builder, image, context, 1_000_000_000, fresh=fresh)
        return archive.read(image.archive)

    with build.lock():  # both of one state of the tree
        builder = builders.choose()
        context = build.snapshot(build.PRODUCT)
        first, second = make(before, fresh=False), make(anew, fresh=True)
        if packages(first) != packages(second):  # Debian's have moved on since the layers of `first` were made
            first = make(before, fresh=True)

    assert first.digests == second.digests
    # The BuildKit of docker before 23 knows nothing of SOURCE_DATE_EPOCH: its images say when they were built.
    dated = builder.name == "docker" and not builders.works("docker", "buildx", "version")
    assert _undated(first) == _undated(second) if dated else first.config == second.config


def _undated(image: Archive) -> object:
    """Return an image's configuration without times."""
    history = [{key: value for key, value in step.items() if key != "created"} for step in image.config["history"]]
    return {**image.config, "created": "", "history": history}


def packages(image: Archive) -> object:
    """Return the packages and versions of an image."""
    return image.json("usr/share/sbom/redirect.cdx.json")["components"]
