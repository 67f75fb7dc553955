"""The chart as it is published: with the registry and the digests of this release in its values, and in one package.

`helm package` writes the time of day into the package, so that a second run would publish another digest under the same
version; this one is the same each time.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

from emulator.build.release import layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "imds-emulator"
# Source: Helm, HIP-6 "OCI Support", and helm.sh/helm/v3/pkg/registry, constants.
CONFIG = "application/vnd.cncf.helm.config.v1+json"
CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
IGNORED = ("ci",)  # as .helmignore has it
IMAGES = {"image": "emulator", "redirectImage": "redirect"}  # values' key -> image


def host_and_path(registry: str) -> tuple[str, str]:
    """Return the host of REGISTRY, and the path below it with a slash at its end, or ""."""
    host, _, path = registry.strip("/").partition("/")
    if not re.fullmatch(r"localhost(:\d+)?|[\w-]+(\.[\w-]+)+(:\d+)?|[\w-]+:\d+", host):
        raise ValueError(
            f"REGISTRY: Invalid value: {registry!r}: must be HOST[:PORT][/PATH], the host with a dot or a port"
        )
    return host, f"{path}/" if path else ""


def published_values(text: str, registry: str, digests: Mapping[str, str]) -> str:
    """Return values.yaml with the registry as the default of `global.imageRegistry`, so that a mirror takes its place.

    `digests`: by image.
    """
    host, path = host_and_path(registry)
    changes = {"global.imageRegistry": host}
    for key, image in IMAGES.items():
        changes |= {f"{key}.repository": f"{path}{image}", f"{key}.digest": digests[image]}
    for dotted, value in changes.items():
        text = _set(text, dotted, value)
    return text


def _set(text: str, dotted: str, value: str) -> str:
    """Return YAML text with one value of the second level changed, comments and all else kept."""
    group, key = dotted.split(".")
    pattern = re.compile(rf"(^{group}:\n(?:(?:  .*)?\n)*?  {key}: )(.*)$", re.MULTILINE)
    changed, count = pattern.subn(lambda found: found[1] + json.dumps(value), text, count=1)
    expected = yaml.safe_load(text)
    if not count or key not in expected.get(group, {}):
        raise ValueError(f"values.yaml: {dotted}: must be a key of the second level, on a line of its own")
    expected[group][key] = value
    if yaml.safe_load(changed) != expected:
        raise ValueError(f"values.yaml: {dotted}: cannot be set without changing other values")
    return changed


def published_metadata(text: str, annotations: Mapping[str, str]) -> str:
    """Return Chart.yaml with more annotations."""
    metadata: dict[str, Any] = yaml.safe_load(text)
    metadata["annotations"] = {**metadata.get("annotations", {}), **annotations}
    return yaml.safe_dump(metadata, sort_keys=False, width=1000, allow_unicode=True)


def for_artifact_hub(
    version: str, registry: str, digests: Mapping[str, str], changes: list[dict[str, str]], *, is_security_fix: bool
) -> dict[str, str]:
    """Return what Artifact Hub reads of a chart. Source: Artifact Hub, "Helm annotations"."""
    images = [{"name": name, "image": f"{registry}/{name}:{version}@{digest}"} for name, digest in digests.items()]
    return {
        "artifacthub.io/changes": yaml.safe_dump(changes, sort_keys=False, width=1000, allow_unicode=True),
        "artifacthub.io/images": yaml.safe_dump(images, sort_keys=False, width=1000),
        "artifacthub.io/containsSecurityUpdates": json.dumps(is_security_fix),
        "artifacthub.io/prerelease": json.dumps("-" in version),
    }


def package(folder: Path, changed: Mapping[str, str], epoch: int) -> bytes:
    """Return the .tgz of the chart in `folder`, with the texts of `changed` in the place of its files'."""
    contents = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.relative_to(folder).parts[0] not in (*IGNORED, ".helmignore")
    }
    contents |= {name: text.encode() for name, text in changed.items()}
    return layout.compressed(layout.tar({f"{NAME}/{name}": content for name, content in contents.items()}, epoch))


def blobs(packaged: bytes, metadata: str) -> tuple[layout.Blob, list[layout.Blob]]:
    """Return the blobs of a chart in a registry; `metadata`: the text of its Chart.yaml."""
    config = json.dumps(yaml.safe_load(metadata), sort_keys=True).encode()
    return layout.Blob(CONFIG, config), [layout.Blob(CONTENT, packaged)]
