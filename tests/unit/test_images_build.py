"""The pure parts of the image build: what goes in, under which name, with what of the machine."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

import pytest

from emulator.build.images import build, host
from emulator.build.images.builders import IMAGES, ROOT
from emulator.build.images.stage.sbom import Package

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("FROM scratch\n", []),
        (
            "COPY LICENSE /build/\nCOPY src/emulator/*.py tests/support/sts /app/\n",
            ["LICENSE", "src/emulator/*.py", "tests/support/sts"],
        ),
        ("COPY --from=build /rootfs /\n", []),
    ],
)
def test_copied(dockerfile: str, expected: list[str]) -> None:
    """What a Dockerfile takes from the checkout, not from another stage."""
    assert expected == build.copied(dockerfile)


def test_files_of_the_product() -> None:
    """The product's images are made of its sources and the stage's, and of no cached bytecode."""
    paths = {str(path.relative_to(ROOT)) for path in build.files(build.PRODUCT[0])}

    assert {"Dockerfile", "LICENSE", "src/emulator/names.py", "src/emulator/build/images/stage/rootfs.py"} <= paths
    assert set() == {path for path in paths if not path.endswith(".py")} - {
        "Dockerfile",
        "LICENSE",
        "src/emulator/cli/default_parameters.json",
    }


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("imds-emulator/emulator:1.2.3", "emulator-1.2.3.tar"), ("imds-emulator-tests/clients:1", "clients-1.tar")],
)
def test_archive(tag: str, expected: str) -> None:
    """An archive is named after the image and its version."""
    assert IMAGES / expected == build.Image(tag).archive


def test_digest_sees_every_byte(tmp_path: Path) -> None:
    """A file's bytes, its name, a further file and the builder: each makes another digest."""
    (tmp_path / "a").write_text("1")
    seen = [build.digest(tmp_path, "x"), build.digest(tmp_path, "y")]
    (tmp_path / "a").write_text("2")
    seen.append(build.digest(tmp_path, "x"))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.append(build.digest(tmp_path, "x"))
    (tmp_path / "c").write_text("")
    seen.append(build.digest(tmp_path, "x"))

    assert 5 == len(set(seen))


def test_epoch_is_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """SOURCE_DATE_EPOCH, where it is set, is the one time that an image bears."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    assert 1700000000 == build.epoch(build.PRODUCT[0])


def test_pip_conf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A build's pip has the machine's index and proxy, variables before files, and the authorities as a secret."""
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://index.example/file\nproxy = http://proxy.example\ncolor = no\n")
    monkeypatch.setattr(host, "PIP_FILES", (file,))
    for key in host.PIP_KEYS:
        monkeypatch.delenv(f"PIP_{key.upper().replace('-', '_')}", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/variable")
    parser = configparser.RawConfigParser()

    parser.read_string(host.pip_conf(with_bundle=True))

    assert {
        "index-url": "https://index.example/variable",
        "proxy": "http://proxy.example",
        "cert": "/run/secrets/ca.crt",
    } == dict(parser["global"])


def test_purl() -> None:
    """A package URL quotes what it must and names the source package, which security notices are about."""
    package = Package("libc6", "2.41-12+deb13u5", "amd64", "glibc", "2.41-12+deb13u5")

    assert (
        "pkg:deb/debian/libc6@2.41-12%2Bdeb13u5?arch=amd64&distro=debian-13&upstream=glibc%402.41-12%2Bdeb13u5"
        == package.purl("13")
    )
