"""The images of a release: one OCI layout for each, with both platforms, and their SBOMs beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.build.images import archive, build
from emulator.build.release import layout
from emulator.build.release.registry import Artifact

if TYPE_CHECKING:
    from pathlib import Path

    from emulator.build.release.source import Source

NAMES = ("emulator", "redirect", "cli")
PLATFORMS = ("linux/amd64", "linux/arm64")


def make(source: Source, registry: str, folder: Path) -> list[Artifact]:
    """Build what is out of date, and write the layouts and SBOMs into `folder`."""
    wanted = {(name, platform): build.product(name, platform) for name in NAMES for platform in PLATFORMS}
    build.ensure(tuple(wanted.values()))
    found = []
    for name in NAMES:
        at = folder / "images" / name
        made = layout.Layout(at)
        descriptors = {
            platform: _add(made, archive.read(wanted[name, platform].archive), platform, _annotations(source, name))
            for platform in PLATFORMS
        }
        for platform in PLATFORMS:
            sbom(folder, name, platform).write_bytes(wanted[name, platform].sbom.read_bytes())
        digest = made.finish(made.index(descriptors.values(), _annotations(source, name)))
        parts = {platform: str(each["digest"]) for platform, each in descriptors.items()}
        found.append(Artifact(f"{registry}/{name}:{source.version}", at, digest, parts))
    return found


def sbom(folder: Path, name: str, platform: str) -> Path:
    """Return where the SBOM of an image for one platform is."""
    return folder / f"{name}-{platform.rpartition('/')[2]}.cdx.json"


def _add(made: layout.Layout, image: archive.Archive, platform: str, annotations: dict[str, str]) -> dict[str, Any]:
    system, _, architecture = platform.partition("/")
    if architecture != (said := image.config["architecture"]):
        raise ValueError(f"{platform}: the image's configuration says {said!r}")
    config, layers = layout.image(image.config, image.layers)
    described = made.manifest(config, layers, annotations)
    return {**described, "platform": {"architecture": architecture, "os": system}}


def _annotations(source: Source, name: str) -> dict[str, str]:
    """Return an image's annotations. Source: OCI Image Format Specification, "Pre-Defined Annotation Keys"."""
    return {
        "org.opencontainers.image.title": f"imds-emulator {name}",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": source.commit,
        "org.opencontainers.image.source": source.repository,
        "org.opencontainers.image.version": source.version,
    }
