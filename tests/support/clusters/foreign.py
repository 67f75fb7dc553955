"""A person's own cluster of kind, minikube or k3d: its images come in by its own means.

In: a kubeconfig. Out: a way to load an archive, known by the name of the context that each of them writes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from emulator.build.progress import StepFailedError
from tests.support.clusters import archives
from tests.support.clusters.health import call
from tests.support.tools import programs


@dataclass(frozen=True)
class Foreign:
    """A cluster that this project neither makes nor ends."""

    command: Callable[[Path], list[str]]

    def load(self, archive: Path) -> list[str]:
        """Give the nodes the images of an archive; the names under which a pod finds them."""
        try:
            call(self.command(archive))
        except FileNotFoundError as error:
            raise StepFailedError(f"{error.filename} must be on PATH, to load images into this cluster") from error
        return [archives.plain(name) for name in archives.names(archive)]


def of(kubeconfig: Path) -> Foreign | None:
    """Return the cluster of the current context; None where images have to be there already."""
    context = str((yaml.safe_load(kubeconfig.read_text()) or {}).get("current-context", ""))
    kind, _, name = context.partition("-")
    match kind:
        case "kind" if name:
            return Foreign(
                lambda file: [str(programs.path("kind")), "load", "image-archive", str(file), f"--name={name}"]
            )
        case "k3d" if name:
            return Foreign(lambda file: ["k3d", "image", "import", str(file), f"--cluster={name}"])
        case "minikube" if not name:
            return Foreign(lambda file: ["minikube", "image", "load", str(file), f"--profile={context}"])
    return None
