"""The provider `kind`: a cluster in containers of a docker engine, where there is one.

In: a cluster's name; KIND_NODE_IMAGE, if the node's image is to be another. Out: a cluster whose node and DNS are
Ready.
"""

import contextlib
import functools
import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from emulator.build.paths import log_path
from emulator.build.progress import StepFailedError, run, say
from tests.support.clusters import health, images, node_image, state
from tests.support.tools import build, programs
from tests.support.tools.table import KIND_NODE_IMAGE, Tool

_CONFIG = Path(__file__).parent / "files" / "kind.yaml"
_READY_SECONDS = 180.0
_HEALTHY_SECONDS = 20.0
_ANSWER_SECONDS = 20
_REMEDY = "KIND_NODE_IMAGE names another, `python -m tests.support.clusters.node_image` builds one"


@dataclass(frozen=True)
class Kind:
    """One cluster of this provider."""

    name: str

    def kubeconfig(self) -> Path:
        """Tell where the administrator's kubeconfig is once `up` has run."""
        return state.folder(self.name) / "kind.kubeconfig"

    def rows(self) -> list[Tool]:
        """Return the rows of the table that it needs."""
        return programs.rows(("kind", "kubectl", "pause"))

    def exists(self) -> bool:
        """Tell whether kind has such a cluster, well or not."""
        containers = ["docker", "ps", "--all", "--quiet", f"--filter=label=io.x-k8s.kind.cluster={self._cluster}"]
        return bool(_output(containers))

    def refusal(self) -> str:
        """Tell why kind can't be used on this machine; nothing if it can."""
        if not _output(["docker", "info", "--format={{.ServerVersion}}"]):
            return "docker info does not answer"
        if not _has(self._image):
            try:
                run(["docker", "pull", "--quiet", self._image], f"docker pull {self._image}", log_path("kind"))
            except StepFailedError:
                return f"the node image {self._image} is not there and can't be pulled ({_REMEDY})"
        trial = ["docker", "run", "--rm", "--privileged", "--entrypoint=/bin/echo", self._image, "runs"]
        return "" if _output(trial) == "runs" else "docker starts no privileged container"

    def up(self) -> None:
        """Make the cluster, or check the one that runs; one that is not well is recreated."""
        build.ensure(self.rows())
        with state.lock():
            if self.exists():
                fault = self._fault(_HEALTHY_SECONDS)
                if not fault:
                    say(f"cluster {self.name} is well")
                    return
                say(f"cluster {self.name} is made anew: {fault}")
                self._delete()
            if refusal := self.refusal():
                raise StepFailedError(f"provider kind: {refusal}")
            self.kubeconfig().parent.mkdir(parents=True, exist_ok=True)
            create = ["create", "cluster", f"--config={_CONFIG}", f"--image={self._image}", "--wait=180s"]
            run(self._kind(*create), f"cluster {self.name}: kind create cluster", log_path("kind"))
            # As on the other provider, images.load reads from it how the runtime completes a name.
            self.load(images.own("pause"))
            if fault := self._fault(_READY_SECONDS):
                raise StepFailedError(fault)

    def down(self) -> None:
        """End the cluster and remove what it left."""
        with state.lock():
            self._delete()

    def status(self) -> str:
        """Tell what is wrong with the cluster, in a line or more; nothing if it is well."""
        return self._fault(0) if self.exists() else f"cluster {self.name} does not run"

    def enter(self) -> list[str]:
        """Tell what to put before a command so that it runs on the node."""
        return ["docker", "exec", "--interactive", f"{self._cluster}-control-plane"]

    def load(self, archive: Path) -> list[str]:
        """Give the node the images of an archive; the names under which a pod finds them."""
        return images.load([*self.enter(), "ctr"], archive)

    def _fault(self, seconds: float) -> str:
        try:
            for fault in (health.api_fault, health.node_fault, health.dns_fault):
                health.wait(f"cluster {self.name}", functools.partial(fault, self.kubeconfig()), seconds)
        except StepFailedError as error:
            return str(error)
        return ""

    def _delete(self) -> None:
        if self.exists():
            health.call(self._kind("delete", "cluster"))
        self.kubeconfig().unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it is not there, or it is that of a native cluster too
            self.kubeconfig().parent.rmdir()

    def _kind(self, *arguments: str) -> list[str]:
        options = [f"--name={self._cluster}"]
        if arguments[0] in {"create", "delete"}:
            options.append(f"--kubeconfig={self.kubeconfig()}")
        return [str(programs.path("kind")), *arguments, *options]

    @property
    def _cluster(self) -> str:
        """A name that no cluster of another cache has on this engine; short, since it is part of a host's name."""
        key = hashlib.sha256(str(state.folder(self.name)).encode()).hexdigest()[:8]
        return f"imds-{self.name}-{key}"

    @property
    def _image(self) -> str:
        """The node image: the one that is asked for, else the pinned one, unless the engine has only ours."""
        ours = node_image.NAME if not _has(KIND_NODE_IMAGE) and _has(node_image.NAME) else ""
        return os.environ.get("KIND_NODE_IMAGE") or ours or KIND_NODE_IMAGE


def _has(image: str) -> bool:
    """Tell whether the engine has an image."""
    return bool(_output(["docker", "image", "inspect", "--format={{.Id}}", image]))


def _output(command: list[str]) -> str:
    """Return what a command prints; nothing if it fails, is not there, or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_ANSWER_SECONDS)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
