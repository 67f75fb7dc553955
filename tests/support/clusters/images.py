"""The images of a native cluster: what it needs itself, and what tests load.

In: image archives. Out: images in the node's containerd, under the names that pods use.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.support.clusters import archives
from tests.support.clusters.health import call
from tests.support.clusters.plan import IMAGES
from tests.support.tools import build
from tests.support.tools.table import TOOLS

_MADE_OF = "imds-emulator/archive"


def own(row: str) -> Path:
    """Return an archive of an image that holds one program of the table, made once and kept beside that."""
    path = build.folder(TOOLS[row]) / "image.tar"
    if not path.exists():
        archives.write(path, IMAGES[row], build.program(TOOLS[row], row))
    return path


def load(ctr: Sequence[str], archive: Path) -> list[str]:
    """Import an archive with `ctr`, run on the node, unless it is there; the names by which a pod finds its images."""
    images = [*ctr, "--namespace=k8s.io", "images"]
    written = archives.names(archive)
    names = [archives.plain(name) for name in written]
    made_of = archives.digest(archive)
    alike = call([*images, "list", "--quiet", f'labels."{_MADE_OF}"=={made_of}']).splitlines()
    stored = call([*images, "list", "--quiet"]).splitlines()
    if alike and {qualified(name, stored) for name in names} <= set(alike):
        return names
    with archives.unpacked(archive) as file:
        call([*images, "import", "--local", "-"], stdin=file.fileno())
    stored = call([*images, "list", "--quiet"]).splitlines()
    for name in written:
        target = qualified(archives.plain(name), stored)
        # Completed already, unless the archive is an OCI one or the name had another host.
        if name in stored and name != target:
            call([*images, "tag", "--force", name, target])
        call([*images, "label", target, f"{_MADE_OF}={made_of}"])
    return names


def qualified(name: str, stored: Sequence[str]) -> str:
    """Return the name as containerd stores it, which puts its default host before a name that has none.

    That host is read off the pause image, always `stored`; a name has a host if its first part has a dot or a port.
    """
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first):
        return name
    host = next(found for found in stored if found.endswith(f"/{IMAGES['pause']}")).removesuffix(IMAGES["pause"])
    return f"{host}{name}" if slash else f"{host}library/{name}"
