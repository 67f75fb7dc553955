"""What is published beside the images: the chart, and the files that people fetch."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from emulator.build.release import chart, images, krew, layout, notes, provenance, wheel
from emulator.build.release.registry import Artifact
from emulator.build.release.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from emulator.build.release.source import Source

CHART = ROOT / "charts" / chart.NAME
CHANGELOG = ROOT / "CHANGELOG.md"


def make_chart(source: Source, registry: str, made: list[Artifact], said: notes.Section, folder: Path) -> Artifact:
    """Write the layout of the chart that installs these images."""
    digests = {name: artifact.digest for name, artifact in zip(images.NAMES, made, strict=True)}
    annotations = chart.for_artifact_hub(
        source.version, registry, digests, said.changes(), is_security_fix=said.is_security_fix
    )
    metadata = chart.published_metadata((CHART / "Chart.yaml").read_text(), annotations)
    values = chart.published_values((CHART / "values.yaml").read_text(), registry, digests)
    packed = chart.package(CHART, {"Chart.yaml": metadata, "values.yaml": values}, source.epoch)
    (folder / f"{chart.NAME}-{source.version}.tgz").write_bytes(packed)
    config, layers = chart.blobs(packed, metadata)
    about = {
        "org.opencontainers.image.title": chart.NAME,
        "org.opencontainers.image.source": source.repository,
        "org.opencontainers.image.revision": source.commit,
        "org.opencontainers.image.version": source.version,
    }
    return _artifact(
        f"{registry}/charts/{chart.NAME}:{source.version}", folder / "images" / "chart", config, layers, about
    )


def make_files(source: Source, registry: str, folder: Path) -> Artifact:
    """Write the wheel, the plugin, its manifest, the SBOMs and their checksums, and the layout that holds them all."""
    built = wheel.make(source)
    packed = krew.archive(source.version, built, (ROOT / "LICENSE").read_bytes(), source.epoch)
    contents = {
        wheel.name(source.version): built,
        krew.ARCHIVE: packed,
        f"{krew.NAME}.yaml": krew.manifest(source.version, source.repository, packed).encode(),
        **{file.name: file.read_bytes() for file in folder.glob("*.cdx.json")},
    }
    contents["SHA256SUMS"] = checksums(contents).encode()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    config, layers = layout.files(contents, source.epoch)
    about = {"org.opencontainers.image.source": source.repository, "org.opencontainers.image.revision": source.commit}
    return _artifact(f"{registry}/files:{source.version}", folder / "images" / "files", config, layers, about)


def make_provenance(
    source: Source, registry: str, versions: Mapping[str, str], environment: Mapping[str, str], folder: Path
) -> Path:
    """Write the predicate that tells where all of it came from."""
    path = folder / "provenance.json"
    content = provenance.predicate(source, registry, versions, environment)
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    return path


def checksums(contents: Mapping[str, bytes]) -> str:
    """Return the files' checksums, as `sha256sum --check` reads them."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(contents.items()))


def _artifact(
    reference: str, at: Path, config: layout.Blob, layers: list[layout.Blob], about: Mapping[str, str]
) -> Artifact:
    made = layout.Layout(at)
    return Artifact(reference, at, made.finish(made.manifest(config, layers, about)), {})
