"""Where labelled pods are in manifests: found by their shape, in objects of every kind and at any depth.

Operators have pod templates of their own, such as `spec.headGroupSpec.template` of a RayCluster. Others take a pod's
labels outside a template (`spec.podMetadata` of an Argo Workflow): nothing can be injected there, and a label passed
over in silence would mean a pod with the node's role.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.injection.json_values import at

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]
Path = tuple[str | int, ...]

# Where the kinds of Kubernetes itself have their pod template, which need not have containers to be one.
TEMPLATES: tuple[Path, ...] = (("spec", "template"), ("spec", "jobTemplate", "spec", "template"), ("template",))
# Groups of Kubernetes' own kinds, and of its SIGs' that make no pods. Others end in .k8s.io, too: sparkoperator.k8s.io.
GROUPS = {
    f"{group}.k8s.io"
    for group in (
        *("admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization"),
        *("certificates", "coordination", "discovery", "events", "flowcontrol.apiserver", "internal.apiserver"),
        *("networking", "node", "rbac.authorization", "resource", "scheduling", "storage", "storagemigration"),
        *("autoscaling", "gateway.networking", "metrics", "policy.networking", "snapshot.storage"),
    )
}
# Kinds whose pods belong to a Job of kind Job in the end. A ControllerRevision is only the history of another object.
JOBS = {"Job", "CronJob", "JobSet", "ScaledJob"}
HISTORY = {"ControllerRevision"}
# Kinds of others that make no pods, which kustomize labels together with the workloads beside them.
NO_PODS = {
    *("Certificate", "ClusterIssuer", "Issuer"),  # cert-manager
    *("ExternalSecret", "ClusterExternalSecret", "SecretStore", "ClusterSecretStore", "SealedSecret"),
    *("PodMonitor", "Probe", "PrometheusRule", "ScrapeConfig", "ServiceMonitor"),  # the Prometheus operator
    *("ClusterTriggerAuthentication", "ScaledObject", "TriggerAuthentication"),  # KEDA
    *("AuthorizationPolicy", "DestinationRule", "PeerAuthentication", "ServiceEntry", "Sidecar", "VirtualService"),
}
SUBMITTER = "submitterPodTemplate"  # of a RayJob, which runs it as a Job
LABELS = ("metadata", "labels")
# The label in a text: a file in a ConfigMap, say, in YAML, JSON or TOML.
_IN_TEXT = re.compile(re.escape(names.LABEL_ENABLED) + r"""["']?\s*[:=]\s*["']?""" + names.LABEL_ENABLED_VALUE + r"\b")
# True: somebody forgot the quotes.
_ASKING = (names.LABEL_ENABLED_VALUE, True)


@dataclass(frozen=True)
class Place:
    """A labelled pod or pod template. `owner`: kind and name of the object that it is in; `path`: where in that."""

    owner: Owner
    path: Path
    pod: Object

    @property
    def title(self) -> str:
        """Kind and name, and the path where the kind does not tell it."""
        usual = not self.path or (self.owner.kind and self.path in TEMPLATES)
        return self.owner.title if usual else f"{self.owner.title}: {shown_path(self.path)}"

    @property
    def is_job(self) -> bool:
        """Do a Job's pods come of it?"""
        return self.owner.kind in JOBS or self.path[-1:] == (SUBMITTER,)


@dataclass(frozen=True)
class Stray:
    """The label at a place where no pod template is. `instead`: the template it may belong to, in the same object."""

    owner: Owner
    path: Path
    instead: Path | None = None

    @property
    def message(self) -> str:
        """What was found, and what to do."""
        found = f"{shown_path(self.path)}: label {names.LABEL_ENABLED} is not in a pod template, so nothing is injected"
        if self.instead is not None:
            return f"{found}: set it in {shown_path((*self.instead, *LABELS))}"
        return f"{found}: leave these pods to the webhook or policy, or use the kind's pod template if it has one"


@dataclass(frozen=True)
class Owner:
    """An object, by what it says of itself; a document without a kind is one, too."""

    kind: str
    name: str
    namespace: str
    api_version: str

    @property
    def title(self) -> str:
        """Kind and name, as kubectl writes them."""
        return f"{self.kind or '?'}/{self.name or '?'}"

    @property
    def is_built_in(self) -> bool:
        """Is it of a kind that comes with Kubernetes, or of an extension of its own that makes no pods?"""
        group = self.api_version.rpartition("/")[0]
        return bool(self.kind) and ("." not in group or group in GROUPS)


@dataclass(frozen=True)
class Findings:
    """What there is in a document. `templates`: paths of all pod templates, by owner, with the label or without."""

    places: list[Place]
    strays: list[Stray]


def find(content: Any) -> Findings:  # noqa: ANN401 - anything that YAML has
    """Return the labelled pods of a document, with those of the objects in it, and the labels elsewhere."""
    search = _Search()
    search.walk(content, (), owner_of({}))
    return Findings(search.places, list(search.strays()))


def owner_of(node: Object) -> Owner:
    """Return what an object says of itself, '' for what it does not say in printable letters."""
    given = (
        node.get("kind"),
        at(node, "metadata", "name") or at(node, "metadata", "generateName"),
        at(node, "metadata", "namespace"),
        node.get("apiVersion"),
    )
    return Owner(*(value if isinstance(value, str) and value.isprintable() else "" for value in given))


def shown_path(path: Path) -> str:
    """Return a path as the API server writes one: spec.containers[0].env."""
    steps = (f"[{step}]" if isinstance(step, int) or not re.fullmatch(r"[\w-]+", step) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".").encode("unicode_escape").decode()


class _Search:
    """A walk through a document, and what it has met."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self._templates: list[tuple[Owner, Path]] = []
        self._labels: list[tuple[Owner, Path]] = []

    def walk(self, node: Any, path: Path, owner: Owner) -> None:  # noqa: ANN401 - anything that YAML has
        """Note what is in a node; `path` begins at the owner."""
        if isinstance(node, list):
            for index, item in enumerate(node):
                self.walk(item, (*path, index), owner)
        elif isinstance(node, dict):
            self._walk_map(node, path, owner)
        elif isinstance(node, str) and names.LABEL_ENABLED in node and _IN_TEXT.search(node):
            self._labels.append((owner, path))

    def _walk_map(self, node: Object, path: Path, owner: Owner) -> None:
        if isinstance(node.get("kind"), str) and ("metadata" in node or "apiVersion" in node):
            owner, path = owner_of(node), ()
            if owner.kind in HISTORY:
                return
        is_template = _is_template(node, path, owner)
        if is_template:
            self._templates.append((owner, path))
            if _asks(at(node, *LABELS)):
                self.places.append(Place(owner, path, node))
        is_pair = names.LABEL_ENABLED in (node.get("key"), node.get("name")) and node.get("value") in _ASKING
        if is_pair or _asks(node):
            self._labels.append((owner, path))
        for key, value in node.items():
            if not _is_elsewhere(key, path) and not (is_template and key == "metadata"):
                self.walk(value, (*path, str(key)), owner)

    def strays(self) -> Iterator[Stray]:
        """Return the labels that no template has, and that are not there for another reason."""
        for owner, path in self._labels:
            holder = path[: -len(LABELS)] if path[-len(LABELS) :] == LABELS else None
            if holder is None:
                yield Stray(owner, path)
                continue
            # kustomize, told to label templates too, labels everything about them.
            within = [place.path for place in self.places if place.owner is owner]
            if any(found[: len(holder)] == holder for found in within) or "volumeClaimTemplates" in path:
                continue
            templates = [found for maker, found in self._templates if maker is owner and found[: len(holder)] == holder]
            if templates or not (owner.is_built_in or owner.kind in NO_PODS):
                yield Stray(owner, path, templates[0] if templates else None)


def _asks(labels: Any) -> bool:  # noqa: ANN401 - anything that YAML has
    return isinstance(labels, dict) and labels.get(names.LABEL_ENABLED) in _ASKING


def _is_template(node: Object, path: Path, owner: Owner) -> bool:
    """Tell whether this is a pod or a pod template; one of Kubernetes' own may be broken, and is refused then."""
    is_own = owner.is_built_in and ((owner.kind == "Pod" and not path) or path in TEMPLATES)
    return is_own or isinstance(at(node, "spec", "containers"), list)


def _is_elsewhere(key: Any, path: Path) -> bool:  # noqa: ANN401 - anything that YAML has
    """Tell whether what is under a key says nothing of pods to be made: annotations, selectors, an object's status."""
    word = str(key).lower()
    return word in {"annotations", "matchlabels"} or word.endswith("selector") or (word == "status" and not path)
