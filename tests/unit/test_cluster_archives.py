"""Image archives: what is read from them, and that what is made is read back."""

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.clusters import archives, images, plan

_HOST = "registry.example"
_STORED = (f"{_HOST}/imds-emulator/other:1", f"{_HOST}/{plan.IMAGES['pause']}")


def _archive(path: Path, files: dict[str, object]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"manifest.json": [{"RepoTags": ["a/b:1", "a/c:1"]}, {"RepoTags": None}]}, ["a/b:1", "a/c:1"]),
        ({"./index.json": {"manifests": [{"annotations": {"io.containerd.image.name": "a/b:1"}}]}}, ["a/b:1"]),
        (
            {"index.json": {"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "localhost/a/b:1"}}]}},
            ["localhost/a/b:1"],
        ),
    ],
)
def test_names_are_read_from_docker_and_oci_archives(
    tmp_path: Path, files: dict[str, object], expected: list[str]
) -> None:
    """Both kinds of archive tell the names of their images, wherever `./` stands."""
    assert expected == archives.names(_archive(tmp_path / "image.tar", files))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"other": 1}, "holds neither manifest.json nor index.json"),
        ({"manifest.json": [{"RepoTags": None}]}, "names no image; save it by NAME:TAG, not by id"),
        (
            {"index.json": {"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "1"}}]}},
            "names no image",
        ),
    ],
)
def test_an_archive_without_names_is_refused(tmp_path: Path, files: dict[str, object], message: str) -> None:
    """An archive that gives no name to load it under is refused, and the message names the file."""
    path = _archive(tmp_path / "image.tar", files)

    with pytest.raises(archives.BadArchiveError, match=f"image archive {path}: .*{message}"):
        archives.names(path)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """A file that tar can't read is refused, and the message names it."""
    path = tmp_path / "image.tar"
    path.write_text("no archive")

    with pytest.raises(archives.BadArchiveError, match=f"image archive {path}: "):
        archives.names(path)


def test_a_written_archive_is_read_back(tmp_path: Path) -> None:
    """What is written holds the program under its name, and is made alike twice."""
    program = Path("/bin/true")
    first, second = tmp_path / "a.tar", tmp_path / "b.tar"
    archives.write(first, "imds-emulator/pause:1", program)
    archives.write(second, "imds-emulator/pause:1", program)

    assert ["imds-emulator/pause:1"] == archives.names(first)
    with tarfile.open(first) as one, tarfile.open(second) as other:
        contents = [{member.name: archive.extractfile(member).read() for member in archive} for archive in (one, other)]  # type: ignore[union-attr]
    assert contents[0] == contents[1]
    with tarfile.open(fileobj=io.BytesIO(contents[0]["layer.tar"])) as layer:
        assert [("true", 0o755)] == [(member.name, member.mode) for member in layer]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("imds-emulator/emulator:0.1.0", f"{_HOST}/imds-emulator/emulator:0.1.0"),
        ("busybox:1", f"{_HOST}/library/busybox:1"),
        ("other.example/a/b:1", "other.example/a/b:1"),
        ("other:5000/b:1", "other:5000/b:1"),
    ],
)
def test_a_name_without_host_gets_the_one_of_the_runtime(name: str, expected: str) -> None:
    """A name is completed as the container runtime completes it, so that a pod's short name finds the image."""
    assert expected == images.qualified(name, _STORED)


def test_archives_that_differ_in_what_they_hold_have_other_digests(tmp_path: Path) -> None:
    """What an archive of either kind holds is known without reading its layers."""
    held: list[dict[str, object]] = [
        {"manifest.json": [{"Config": "config.json", "RepoTags": ["a/b:1"]}], "config.json": {"rootfs": ["one"]}},
        {"manifest.json": [{"Config": "config.json", "RepoTags": ["a/b:1"]}], "config.json": {"rootfs": ["two"]}},
        {"manifest.json": [{"Config": "config.json", "RepoTags": ["a/b:2"]}], "config.json": {"rootfs": ["two"]}},
        {"./index.json": {"manifests": [{"digest": "sha256:1"}]}},
        {"index.json": {"manifests": [{"digest": "sha256:2"}]}},
    ]
    paths = [_archive(tmp_path / f"{number}.tar", files) for number, files in enumerate(held)]
    again = _archive(tmp_path / "again.tar", {"layer.tar": "x", **held[0]})

    digests = [archives.digest(path) for path in paths]
    assert len(held) == len(set(digests))
    assert digests[0] == archives.digest(again)


_CTR = """#!{python}
import json, pathlib, sys
file = pathlib.Path({stored!r})
stored = json.loads(file.read_text())
command, *words = [word for word in sys.argv[2:] if not word.startswith("--") and word not in ("images", "-")]
with open({calls!r}, "a") as calls:
    print(command, file=calls)
if command == "list":
    print(*(name for name, label in stored.items() if not words or words[0].endswith(f"=={{label}}")), sep="\\n")
if command == "import":
    stored["registry.example/a/b:1"] = ""
if command == "label":
    stored[words[0]] = words[1].partition("=")[2]
file.write_text(json.dumps(stored))
"""


def test_an_image_is_imported_only_if_it_is_not_there(tmp_path: Path) -> None:
    """What a node has of the same archive is left alone; another archive under the same name replaces it."""
    ctr, stored, calls = tmp_path / "ctr", tmp_path / "stored", tmp_path / "calls"
    ctr.write_text(_CTR.format(python=sys.executable, stored=str(stored), calls=str(calls)))
    ctr.chmod(0o755)
    stored.write_text(json.dumps(dict.fromkeys(_STORED, "")))
    manifest = {"manifest.json": [{"Config": "config.json", "RepoTags": ["localhost/a/b:1"]}]}
    one, other = (_archive(tmp_path / f"{word}.tar", {**manifest, "config.json": word}) for word in ("one", "other"))

    for archive in (one, one, other, one):
        assert ["a/b:1"] == images.load([str(ctr)], archive)

    assert 3 == calls.read_text().split().count("import")
