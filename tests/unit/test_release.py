"""What a release is made of: its layouts, chart, notes, plugin and provenance, and which steps are left."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import __version__
from emulator.build.release import (
    bundle,
    chart,
    krew,
    layout,
    notes,
    plan,
    programs,
    provenance,
    registry,
    signing,
    source,
    wheel,
)
from emulator.build.render import __main__ as render
from emulator.build.render import kustomize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REGISTRY = "registry.example:5000/team/imds-emulator"
DIGESTS = {name: f"sha256:{letter * 64}" for name, letter in (("emulator", "a"), ("redirect", "b"), ("cli", "c"))}
MADE_OF = source.Source("1.2.3", "c" * 40, 1_700_000_000, "https://forge.example/o/imds-emulator", is_clean=True)
CHANGELOG = """# Changelog

## [Unreleased] - 1.3.0

### Added

- What comes next.

## [1.2.3] - 2026-12-01

### Added

- A thing, told
  in two lines.

### Security

- A hole is closed.

## [1.2.2]

- Older.
"""


def test_layout_is_the_same_each_time(tmp_path: Path) -> None:
    """The digests of a layout depend on its contents alone, and name its blobs."""

    def make(name: str, content: bytes) -> str:
        made = layout.Layout(tmp_path / name)
        config, layers = layout.files({"a": content}, 7)
        return made.finish(made.index([made.manifest(config, layers, {"k": "v"})], {}))

    first, again, other = make("first", b"1"), make("again", b"1"), make("other", b"2")

    assert first == again != other
    assert first == layout.digest_of(tmp_path / "first")
    for blob in (tmp_path / "first" / "blobs" / "sha256").iterdir():
        assert blob.name == hashlib.sha256(blob.read_bytes()).hexdigest()


def test_layer_can_be_unpacked() -> None:
    """An image of files has one layer, whose digest uncompressed is the one that its configuration names."""
    config, (layer,) = layout.files({"b": b"22", "a": b"1"}, 7)
    content = gzip.decompress(layer.content)

    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert [("a", 1, 7, 0o644), ("b", 2, 7, 0o644)] == [(m.name, m.size, m.mtime, m.mode) for m in archive]
    assert [f"sha256:{hashlib.sha256(content).hexdigest()}"] == json.loads(config.content)["rootfs"]["diff_ids"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("registry.example/team/", ("registry.example", "team/")),
        ("localhost:5000", ("localhost:5000", "")),
        ("10.0.0.1:5000/a/b", ("10.0.0.1:5000", "a/b/")),
    ],
)
def test_registry(given: str, expected: tuple[str, str]) -> None:
    """A registry is a host, which has a dot or a port, and a path."""
    assert expected == chart.host_and_path(given)


@pytest.mark.parametrize("given", ["", "imds-emulator/emulator", "https://registry.example/x"])
def test_registry_without_a_host(given: str) -> None:
    """What a container runtime would take for a name of its default registry is refused."""
    with pytest.raises(ValueError, match=r"REGISTRY: Invalid value: .*: must be HOST\[:PORT\]"):
        chart.host_and_path(given)


def test_values_of_the_published_chart() -> None:
    """Registry, repositories and digests are written in; all else, comments too, stays as it is."""
    text = (bundle.CHART / "values.yaml").read_text()

    published = chart.published_values(text, REGISTRY, DIGESTS)

    expected = yaml.safe_load(text)
    expected["global"]["imageRegistry"] = "registry.example:5000"
    for key, name in (("image", "emulator"), ("redirectImage", "redirect")):
        expected[key] |= {"repository": f"team/imds-emulator/{name}", "digest": DIGESTS[name]}
    assert expected == yaml.safe_load(published)
    changed = [new for old, new in zip(text.splitlines(), published.splitlines(), strict=True) if old != new]
    assert len(changed) == 5


@pytest.mark.parametrize("text", ["image: {digest: ''}\n", "image:\n  other: 1\n", "other:\n  digest: ''\n"])
def test_values_in_another_form(text: str) -> None:
    """A values.yaml in which the keys can't be found is refused, so that no chart is published without them."""
    with pytest.raises(ValueError, match=r"values.yaml: global.imageRegistry: must be a key of the second level"):
        chart.published_values(text, REGISTRY, DIGESTS)


def test_chart_package() -> None:
    """The package has the chart's files but `ci`, with the changed texts in place, and is the same each time."""
    changed = {"Chart.yaml": "name: imds-emulator\n"}
    packed = chart.package(bundle.CHART, changed, 7)

    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        names = archive.getnames()
        file = archive.extractfile("imds-emulator/Chart.yaml")
        assert file
        assert "name: imds-emulator\n" == file.read().decode()
    assert {"imds-emulator/values.yaml", "imds-emulator/templates/_helpers.tpl"} <= set(names)
    assert [] == [name for name in names if "/ci/" in name or name.endswith(".helmignore")]
    assert packed == chart.package(bundle.CHART, changed, 7)


def test_artifact_hub() -> None:
    """Artifact Hub is told the changes, the images by digest, and whether it is about security."""
    said = notes.section(CHANGELOG, "1.2.3")
    annotations = chart.for_artifact_hub(
        "1.2.3", REGISTRY, DIGESTS, said.changes(), is_security_fix=said.is_security_fix
    )

    metadata = yaml.safe_load(chart.published_metadata("name: x\nannotations: {a: b}\n", annotations))

    assert {"a": "b", **annotations} == metadata["annotations"]
    assert [
        {"kind": "added", "description": "A thing, told in two lines."},
        {"kind": "security", "description": "A hole is closed."},
    ] == yaml.safe_load(annotations["artifacthub.io/changes"])
    assert f"{REGISTRY}/emulator:1.2.3@{DIGESTS['emulator']}" in annotations["artifacthub.io/images"]
    assert ("true", "false") == (
        annotations["artifacthub.io/containsSecurityUpdates"],
        annotations["artifacthub.io/prerelease"],
    )


@pytest.mark.parametrize(
    ("version", "date", "has"),
    [("1.3.0", "", "What comes next"), ("1.2.3", "2026-12-01", "A hole"), ("1.2.2", "", "Older")],
)
def test_section(version: str, date: str, has: str) -> None:
    """A version's section is found by its number, released or not, and ends where the next begins."""
    found = notes.section(CHANGELOG, version)

    assert (version, date) == (found.version, found.date)
    assert has in found.text
    assert "##" not in found.text.replace("###", "")


def test_section_missing() -> None:
    """A version without a section can't be released."""
    with pytest.raises(ValueError, match=r"CHANGELOG.md: Required value: there is no section for version 9.9.9"):
        notes.section(CHANGELOG, "9.9.9")


def test_notes() -> None:
    """The notes have the section, each reference by digest, and how to verify it."""
    text = notes.text(notes.section(CHANGELOG, "1.2.3"), ["r/x@sha256:1"], "--key cosign.pub")

    assert text.startswith("### Added\n\n- A thing")
    assert "\n- `r/x@sha256:1`\n" in text
    assert "\ncosign verify --key cosign.pub r/x@sha256:1\n" in text


def test_plugin() -> None:
    """Krew gets an archive with the wheel and a program that can be run, and a manifest with the archive's checksum."""
    packed = krew.archive("1.2.3", b"wheel", b"licence", 7)
    manifest = yaml.safe_load(krew.manifest("1.2.3", "https://forge.example/o/r", packed))
    (platform,) = manifest["spec"]["platforms"]

    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        modes = {member.name: member.mode for member in archive}
        file = archive.extractfile(krew.PROGRAM)
        assert file
        assert f'/{wheel.name("1.2.3")}"\n' in file.read().decode()
    assert {krew.PROGRAM: 0o755, wheel.name("1.2.3"): 0o644, "LICENSE": 0o644} == modes
    assert ("v1.2.3", krew.PROGRAM) == (manifest["spec"]["version"], platform["bin"])
    assert hashlib.sha256(packed).hexdigest() == platform["sha256"]
    assert f"https://forge.example/o/r/releases/download/v1.2.3/{krew.ARCHIVE}" == platform["uri"]


def test_checksums() -> None:
    """The checksums are those that sha256sum takes."""
    assert f"{hashlib.sha256(b'1').hexdigest()}  a\n{hashlib.sha256(b'2').hexdigest()}  b\n" == bundle.checksums(
        {"b": b"2", "a": b"1"}
    )


@pytest.mark.parametrize(
    ("environment", "builder", "metadata"),
    [
        ({}, f"{MADE_OF.repository}#make-release", {}),
        (
            {
                "GITHUB_SERVER_URL": "https://forge.example",
                "GITHUB_REPOSITORY": "o/r",
                "GITHUB_WORKFLOW_REF": "o/r/.github/workflows/release.yaml@refs/tags/v1.2.3",
                "GITHUB_RUN_ID": "7",
            },
            "https://forge.example/o/r/.github/workflows/release.yaml@refs/tags/v1.2.3",
            {"invocationId": "https://forge.example/o/r/actions/runs/7"},
        ),
    ],
)
def test_provenance(environment: dict[str, str], builder: str, metadata: dict[str, str]) -> None:
    """The provenance names commit, registry, programs, and the workflow if it ran there."""
    predicate = provenance.predicate(MADE_OF, REGISTRY, {"crane": "v1"}, environment)
    definition = predicate["buildDefinition"]

    assert {"builder": {"id": builder}, "metadata": metadata} == predicate["runDetails"]
    assert {"registry": REGISTRY, "version": "1.2.3"} == definition["externalParameters"]
    assert [{"gitCommit": "c" * 40}] == [each["digest"] for each in definition["resolvedDependencies"]]


@pytest.mark.parametrize(
    ("tag", "date", "is_clean", "named"),
    [
        ("v1.2.3", "2026-12-01", True, []),
        ("", "2026-12-01", True, []),
        ("v1.2.4", "2026-12-01", True, ["tag: Invalid value: 'v1.2.4': must be 'v1.2.3'"]),
        ("v1.2.3", "", True, ["CHANGELOG.md: the section of 1.2.3 must have a date"]),
        ("v1.2.3", "2026-12-01", False, ["work tree: must be clean"]),
    ],
)
def test_what_must_not_be_released(tag: str, date: str, *, is_clean: bool, named: list[str]) -> None:
    """A release is of a commit that is tagged as its version, with a dated section in the changelog."""
    made_of = source.Source("1.2.3", "c", 7, "https://forge.example", is_clean=is_clean)

    found = source.faults(made_of, tag, date)

    assert len(named) == len(found)
    assert all(fault.startswith(start) for fault, start in zip(found, named, strict=True))


@pytest.mark.parametrize(("done", "shown", "expected"), [("", True, ""), ("", False, "abc"), ("ac", False, "b")])
def test_what_is_left(done: str, *, shown: bool, expected: str) -> None:
    """A second run does what is left; a plan does nothing and says how much that is."""
    did: list[str] = []
    said: list[str] = []

    def step(name: str) -> plan.Step:
        return plan.Step(name, lambda: name in done, lambda: did.append(name))

    left = plan.carry_out([step(name) for name in "abc"], said.append, only_show=shown)

    assert list(expected) == did
    assert 3 - len(done) == left
    assert [f"{'done ' if name in done else 'to do'}  {name}" for name in "abc"] == said


def test_order_of_the_steps(tmp_path: Path) -> None:
    """Each artifact is pushed, signed and attested, with its platforms' SBOMs, before the next."""
    image = registry.Artifact("r.example/emulator:1", tmp_path / "emulator", "sha256:1", {"linux/arm64": "sha256:2"})
    packed = registry.Artifact("r.example/charts/imds-emulator:1", tmp_path / "chart", "sha256:3", {})
    signer = signing.Signer("https://forge.example/o/r", "1")

    found = [step.about for step in plan.steps([image, packed], signer, tmp_path, tmp_path / "provenance.json")]

    assert [
        "push r.example/emulator:1 (sha256:1)",
        "sign r.example/emulator@sha256:1",
        "attest emulator-arm64.cdx.json of r.example/emulator@sha256:2",
        "attest provenance.json of r.example/emulator@sha256:1",
        "push r.example/charts/imds-emulator:1 (sha256:3)",
        "sign r.example/charts/imds-emulator@sha256:3",
        "attest provenance.json of r.example/charts/imds-emulator@sha256:3",
    ] == found


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("echo sha256:1", True),
        ("echo 'MANIFEST_UNKNOWN: manifest unknown' >&2; exit 1", False),
        ("echo sha256:2", "r.example/x:1: is published already, as sha256:2, and this tree makes sha256:1"),
        ("echo 'UNAUTHORIZED' >&2; exit 1", "crane digest r.example/x:1: UNAUTHORIZED"),
    ],
)
def test_what_the_registry_has(
    answer: str,
    expected: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: Callable[[Path, str], None],
) -> None:
    """A version that is there with another content is never replaced; an error is not taken for an absence."""
    script(tmp_path / "crane", answer)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    artifact = registry.Artifact("r.example/x:1", tmp_path, "sha256:1", {})

    if isinstance(expected, bool):
        assert expected == registry.is_pushed(artifact)
    else:
        with pytest.raises((registry.OtherContentError, programs.FailedError), match=str(expected)):
            registry.is_pushed(artifact)


@pytest.fixture
def script() -> Callable[[Path, str], None]:
    """Return what writes a program of one line."""

    def write(path: Path, line: str) -> None:
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    return write


def test_who_signs(tmp_path: Path) -> None:
    """The workflow signs by its identity, which a person verifies; a rehearsal by a key, without the public log."""
    keyless = signing.Signer("https://forge.example/o/r", "1.2.3")
    with_key = signing.Signer("https://forge.example/o/r", "1.2.3", tmp_path / "c.key", tmp_path / "config.json")

    assert ["--yes"] == keyless.sign_words
    assert (
        "--certificate-identity=https://forge.example/o/r/.github/workflows/release.yaml@refs/tags/v1.2.3"
        f" --certificate-oidc-issuer={signing.ISSUER}"
    ) == keyless.verify_line
    assert ["--key", f"{tmp_path}/c.pub", "--insecure-ignore-tlog"] == with_key.verify_words
    assert f"{tmp_path}/config.json" in with_key.sign_words


def test_predicates() -> None:
    """What cosign prints is read: an envelope a line, with a statement in base64."""
    import base64  # noqa: PLC0415

    statement: dict[str, Any] = {"predicate": {"a": 1}}
    line = json.dumps({"payload": base64.b64encode(json.dumps(statement).encode()).decode()})

    assert [{"a": 1}] == signing.predicates(f"{line}\n\n")


def test_version_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new `__version__` reaches chart, kustomize and `inject` by `make render` alone."""
    monkeypatch.setattr(render, "__version__", "9.8.7")
    monkeypatch.setattr(kustomize, "__version__", "9.8.7")
    monkeypatch.setitem(kustomize._LABELS, "app.kubernetes.io/version", "9.8.7")  # noqa: SLF001
    written = {str(path): text for path, text in render.outputs().items()}

    metadata = yaml.safe_load(written["charts/imds-emulator/Chart.yaml"])
    assert ("9.8.7", "9.8.7") == (metadata["version"], str(metadata["appVersion"]))
    assert '"imds-emulator/emulator:9.8.7"' in written["src/emulator/cli/default_parameters.json"]
    assert [] == [path for path, text in written.items() if f"imds-emulator/emulator:{__version__}" in text]
