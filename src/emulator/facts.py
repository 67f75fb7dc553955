"""What the injection and the rules ask about a pod; each question once, in Python and, beside it, in CEL.

Goes in: a v1 Pod as decoded JSON, the installation's parameters, and what is known of cluster and namespace.
Comes out: `Facts`, read as attributes by the webhook; `VARIABLES`, the same by name, as variables of a policy.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from emulator import names
from emulator.arn import ROLE_ARN_PATTERN
from emulator.partitions import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    T = TypeVar("T")

Object = dict[str, Any]

EMULATOR_ARGS = ["serve"]
REDIRECT_ARGS = ["redirect"]
ROLE_ARN_FIELD = f"metadata.annotations['{names.ANNOTATION_ROLE_ARN}']"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"  # what the kubelet puts on the API object of a static pod
OS_LABELS = ("kubernetes.io/os", "beta.kubernetes.io/os")
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
OUR_CONTAINERS = (names.REDIRECT_CONTAINER, names.EMULATOR_CONTAINER)
OUR_VOLUMES = (names.TOKEN_VOLUME, names.EMPTY_VOLUME)

# Fact -> CEL over object, params, namespaceObject and the facts above it (`variables.NAME`).
VARIABLES: dict[str, str] = {}


def fact(cel: str) -> Callable[[Callable[[Any], T]], cached_property[T]]:
    """Give a method of `Facts` its CEL text."""

    def register(method: Callable[[Any], T]) -> cached_property[T]:
        VARIABLES[method.__name__] = cel
        return cached_property(method)

    return register


def text(value: str) -> str:
    """Return a string as a CEL literal."""
    if "'" in value and '"' not in value and "\\" not in value:
        return f'"{value}"'
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def texts(values: tuple[str, ...] | list[str]) -> str:
    """Return strings as a CEL list."""
    return "[" + ", ".join(text(value) for value in values) + "]"


def param(key: str) -> str:
    """Return a parameter of the installation as CEL."""
    return f"params.data.{key}"


def annotation(key: str) -> str:
    """Return an annotation of the pod as CEL, '' when it is not set."""
    return f"variables.annotations[?{text(key)}].orValue('')"


def annotation_or(key: str, parameter: str) -> str:
    """Return an annotation of the pod as CEL, or the parameter when it is not set."""
    return f"({annotation(key)} != '' ? {annotation(key)} : {param(parameter)})"


_REGION_PATTERNS = ", ".join(f"{text(row.name)}: {text(row.region_pattern)}" for row in PARTITIONS.values())

_IS_EMULATOR = f"""c.name == {text(names.EMULATOR_CONTAINER)} && !has(c.command)
 && c.?args.orValue([]) == {texts(EMULATOR_ARGS)}
 && c.?env.orValue([]).exists(e, e.name == {text(names.ENV_ROLE_ARN)}
    && e.?valueFrom.?fieldRef.?fieldPath.orValue('') == {text(ROLE_ARN_FIELD)})
 && c.?volumeMounts.orValue([]).exists(m, m.name == {text(names.TOKEN_VOLUME)}
    && m.mountPath == {text(names.TOKEN_DIRECTORY)})"""

_IS_REDIRECT = f"""!has(c.command) && c.?args.orValue([]) == {texts(REDIRECT_ARGS)}
 && c.?securityContext.?capabilities.?add.orValue([]).exists(a, a == 'NET_ADMIN')"""


class Facts:
    """One pod under one installation. `native_sidecars`: the API server is of 1.29 or later (KEP-753)."""

    def __init__(
        self,
        pod: Object,
        parameters: Mapping[str, str],
        *,
        native_sidecars: bool = True,
        namespace_annotations: Mapping[str, str] | None = None,
    ) -> None:
        self.spec: Object = pod.get("spec") or {}
        self.metadata: Object = pod.get("metadata") or {}
        self.parameters = parameters
        self.native_sidecars = native_sidecars
        self.namespace_annotations = namespace_annotations or {}

    # The pod's metadata, and what follows from it

    @fact(f"object.metadata.?labels[?{text(names.LABEL_ENABLED)}].orValue('')")
    def label(self) -> str:
        """The label's value."""
        return (self.metadata.get("labels") or {}).get(names.LABEL_ENABLED) or ""

    @fact("object.metadata.?annotations.orValue({})")
    def annotations(self) -> Mapping[str, str]:
        """The pod's annotations."""
        return self.metadata.get("annotations") or {}

    @fact(rf"{annotation(names.ANNOTATION_ROLE_ARN)}.find(r'(?s)[^ \t\r\n](?:.*[^ \t\r\n])?')")
    def role_arn(self) -> str:
        """The role's ARN without the white space that YAML block text leaves around it."""
        return (self.annotations.get(names.ANNOTATION_ROLE_ARN) or "").strip(" \t\r\n")

    @fact(f"variables.role_arn.matches({text(ROLE_ARN_PATTERN)}) ? variables.role_arn.split(':')[1] : ''")
    def partition(self) -> str:
        """The ARN's partition; '' when the ARN is none."""
        return self.role_arn.split(":")[1] if re.fullmatch(ROLE_ARN_PATTERN, self.role_arn) else ""

    @fact(annotation(names.ANNOTATION_REGION))
    def pod_region(self) -> str:
        """The region that the pod asks for; '' when it leaves that to the installation."""
        return self.annotations.get(names.ANNOTATION_REGION) or ""

    @fact(annotation_or(names.ANNOTATION_REGION, "region"))
    def region(self) -> str:
        """The region of the STS endpoint; '' stands for the default of the ARN's partition."""
        return self.pod_region or self.parameters["region"]

    @fact(
        f"variables.region == '' || !(variables.partition in {texts(tuple(PARTITIONS))})"
        f" || variables.region.matches({{{_REGION_PATTERNS}}}[variables.partition])"
    )
    def region_fits(self) -> bool:
        """Is the region of the ARN's partition? Also where another rule refuses the partition."""
        row = PARTITIONS.get(self.partition)
        return self.region == "" or row is None or re.fullmatch(row.region_pattern, self.region) is not None

    @fact(annotation_or(names.ANNOTATION_REDIRECT, "redirectMode"))
    def redirect_mode(self) -> str:
        """How clients find the emulator: iptables or env."""
        return self.annotations.get(names.ANNOTATION_REDIRECT) or self.parameters["redirectMode"]

    @fact("variables.redirect_mode == 'iptables'")
    def iptables(self) -> bool:
        """Is the init container wanted?"""
        return self.redirect_mode == "iptables"

    @fact("variables.redirect_mode == 'env'")
    def env(self) -> bool:
        """Are the app's containers to be told by a variable?"""
        return self.redirect_mode == "env"

    @fact(annotation_or(names.ANNOTATION_APP_REGION, "appRegion") + " == 'true'")
    def app_region(self) -> bool:
        """Do the app's containers get a region?"""
        return (self.annotations.get(names.ANNOTATION_APP_REGION) or self.parameters["appRegion"]) == "true"

    # Where policies exist, native sidecars do.
    @fact(f"{param('sidecarMode')} != 'classic'")
    def native(self) -> bool:
        """Is the emulator a restartable init container?"""
        mode = self.parameters["sidecarMode"]
        return mode == "native" or (mode == "auto" and self.native_sidecars)

    @fact("!variables.native")
    def classic(self) -> bool:
        """Is the emulator an ordinary container?"""
        return not self.native

    # The pod's containers and volumes

    @fact("object.spec.?initContainers.orValue([])")
    def init_containers(self) -> list[Object]:
        """All init containers."""
        return self.spec.get("initContainers") or []

    @fact("object.spec.?containers.orValue([])")
    def main_containers(self) -> list[Object]:
        """All containers but the init containers."""
        return self.spec.get("containers") or []

    @fact("variables.init_containers + variables.main_containers")
    def containers(self) -> list[Object]:
        """All of both kinds."""
        return self.init_containers + self.main_containers

    @fact(f"variables.containers.filter(c, !(c.name in {texts(OUR_CONTAINERS)}))")
    def others(self) -> list[Object]:
        """The containers that are not named as ours."""
        return [c for c in self.containers if c.get("name") not in OUR_CONTAINERS]

    @fact("object.spec.?volumes.orValue([])")
    def volumes(self) -> list[Object]:
        """All volumes."""
        return self.spec.get("volumes") or []

    @fact("variables.main_containers.map(c, string(c.name))[0]")
    def first_container(self) -> str:
        """The name of the pod's own first container."""
        return str(self.main_containers[0]["name"])

    @fact(f"!({text(DEFAULT_CONTAINER)} in variables.annotations)")
    def no_default_container(self) -> bool:
        """Has nobody said which container kubectl means?"""
        return DEFAULT_CONTAINER not in self.annotations

    @fact("object.metadata.?ownerReferences.orValue([]).exists(o, o.kind == 'Job')")
    def job(self) -> bool:
        """Is the pod a Job's?"""
        return any(owner.get("kind") == "Job" for owner in self.metadata.get("ownerReferences") or [])

    # A restartable init container ends by itself; an ordinary one must see when the app has ended.
    @fact(
        f"variables.classic && ({annotation(names.ANNOTATION_END_WITH_APP)} == 'true'"
        f" || ({annotation(names.ANNOTATION_END_WITH_APP)} == '' && variables.job))"
        " && object.spec.?shareProcessNamespace.orValue(true) && !object.spec.?hostPID.orValue(false)"
    )
    def ends_with_app(self) -> bool:
        """Is the emulator to end when the app has?"""
        said = self.annotations.get(names.ANNOTATION_END_WITH_APP) or ""
        shareable = self.spec.get("shareProcessNamespace") is not False and not self.spec.get("hostPID")
        return self.classic and (said == "true" or (said == "" and self.job)) and shareable

    # The kubelet waits up to 5 minutes before it starts a container again (Pod Lifecycle, Container restart policy).
    @fact("object.spec.?restartPolicy.orValue('') == 'Never' && variables.main_containers.size() == 1 ? '5' : '360'")
    def end_with_app_seconds(self) -> str:
        """How long no process of the app must be there until it has ended."""
        return "5" if self.spec.get("restartPolicy") == "Never" and len(self.main_containers) == 1 else "360"

    @fact("object.spec.?securityContext.?appArmorProfile.?type.orValue('') == 'Localhost'")
    def own_apparmor(self) -> bool:
        """Has the pod an AppArmor profile of its own?"""
        context = self.spec.get("securityContext") or {}
        return (context.get("appArmorProfile") or {}).get("type") == "Localhost"

    @fact(
        f"{param('imagePullSecrets')}.split(',').map(s, s.trim()).filter(s, s != ''"
        " && !object.spec.?imagePullSecrets.orValue([]).exists(p, p.name == s))"
    )
    def pull_secrets(self) -> list[str]:
        """The installation's pull secrets that the pod does not name."""
        named = [secret.get("name") for secret in self.spec.get("imagePullSecrets") or []]
        listed = [name.strip() for name in self.parameters["imagePullSecrets"].split(",")]
        return [name for name in listed if name and name not in named]

    @fact("variables.pull_secrets.size() > 0")
    def lacks_pull_secrets(self) -> bool:
        """Is one of them missing?"""
        return self.pull_secrets != []

    @fact(
        "object.spec.?os.?name.orValue('') == 'windows' ? 'spec.os.name'"
        f" : {texts(OS_LABELS)}.exists(k, object.spec.?nodeSelector[?k].orValue('') == 'windows')"
        " ? 'spec.nodeSelector' : ''"
    )
    def windows(self) -> str:
        """What asks for Windows, '' if nothing does."""
        if (self.spec.get("os") or {}).get("name") == "windows":
            return "spec.os.name"
        selector = self.spec.get("nodeSelector") or {}
        return "spec.nodeSelector" if any(selector.get(key) == "windows" for key in OS_LABELS) else ""

    # How far the pod is injected

    # The API server validates a pod between mutation and refusal: one that asks for Windows must get there as it came.
    @fact(
        f"!variables.containers.exists(c, c.name in {texts(OUR_CONTAINERS)})"
        f" && !variables.volumes.exists(v, v.name in {texts(OUR_VOLUMES)}) && variables.windows == ''"
    )
    def injectable(self) -> bool:
        """Is nothing in the pod named as ours, and can it run on Linux?"""
        taken = any(v.get("name") in OUR_VOLUMES for v in self.volumes)
        return len(self.others) == len(self.containers) and not taken and self.windows == ""

    @fact(
        f"(variables.init_containers.exists(c, {_IS_EMULATOR}\n && c.?restartPolicy.orValue('') == 'Always')"
        f"\n || variables.main_containers.exists(c, {_IS_EMULATOR}))"
        f"\n && variables.containers.exists_one(c, c.name == {text(names.EMULATOR_CONTAINER)})"
        f"\n && variables.volumes.exists(v, v.name == {text(names.TOKEN_VOLUME)}"
        f"\n    && v.?projected.?sources.orValue([]).exists(s, has(s.serviceAccountToken)))"
    )
    def has_emulator(self) -> bool:
        """Is the emulator there, of whatever image and settings, with its token and its role?"""
        named = [c for c in self.containers if c.get("name") == names.EMULATOR_CONTAINER]
        right = [c for c in self.init_containers if _is_emulator(c) and c.get("restartPolicy") == "Always"]
        right += [c for c in self.main_containers if _is_emulator(c)]
        return len(named) == len(right) == 1 and any(_is_token_volume(v) for v in self.volumes)

    @fact(
        f"variables.init_containers.exists(c, c.name == {text(names.REDIRECT_CONTAINER)}\n && {_IS_REDIRECT})"
        f"\n && variables.containers.exists_one(c, c.name == {text(names.REDIRECT_CONTAINER)})"
    )
    def has_redirect(self) -> bool:
        """Is the init container there, of whatever image and settings?"""
        named = [c for c in self.containers if c.get("name") == names.REDIRECT_CONTAINER]
        return len(named) == 1 and named[0] in self.init_containers and _is_redirect(named[0])

    @fact(
        "variables.has_emulator && (variables.has_redirect"
        f" || (variables.env && !variables.containers.exists(c, c.name == {text(names.REDIRECT_CONTAINER)})))"
    )
    def complete(self) -> bool:
        """Is the pod injected already?"""
        named = any(c.get("name") == names.REDIRECT_CONTAINER for c in self.containers)
        return self.has_emulator and (self.has_redirect or (self.env and not named))

    @fact(
        "variables.complete && (variables.has_redirect"
        f" || variables.others.all(c, c.?env.orValue([]).exists(e, e.name == {text(names.ENV_SERVICE_ENDPOINT)})))"
    )
    def protected(self) -> bool:
        """Does every container of the pod find the emulator, and none the node's role?"""
        return self.complete and (
            self.has_redirect or all(names.ENV_SERVICE_ENDPOINT in env_names(c) for c in self.others)
        )

    # The roles that a namespace may ask for

    @fact(
        f"namespaceObject.metadata.?annotations[?{text(names.ANNOTATION_ALLOWED_ROLES)}].orValue({param('allowedRoles')})"
        ".split(',').map(g, g.trim()).filter(g, g != '')"
    )
    def allowed_roles(self) -> list[str]:
        """Globs on the ARN, of the namespace, or of the installation where the namespace has none."""
        listed = self.namespace_annotations.get(names.ANNOTATION_ALLOWED_ROLES, self.parameters["allowedRoles"])
        return [glob.strip() for glob in listed.split(",") if glob.strip()]

    @fact(
        f"{param('allowedRolesMode')} == 'off' || variables.allowed_roles.exists(g,"
        r" variables.role_arn.matches('^\\Q' + g.replace('*', '\\E.*\\Q') + '\\E$'))"
    )
    def role_allowed(self) -> bool:
        """May a pod of this namespace ask for the role?"""
        return self.parameters["allowedRolesMode"] == "off" or any(
            glob_matches(glob, self.role_arn) for glob in self.allowed_roles
        )


def env_names(container: Object) -> list[str]:
    """Return the names of the variables that a container sets itself."""
    return [entry.get("name", "") for entry in container.get("env") or []]


def glob_matches(glob: str, subject: str) -> bool:
    """Tell whether `subject` is `glob`, in which each * stands for any run of characters.

    Without a regular expression: no list that someone writes can make it slow.
    """
    first, *rest = glob.split("*")
    if not rest:
        return glob == subject
    *middle, last = rest
    if not subject.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = subject.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return subject.endswith(last) and len(subject) - len(last) >= at


def _is_emulator(container: Object) -> bool:
    role = any(
        entry.get("name") == names.ENV_ROLE_ARN
        and ((entry.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath") == ROLE_ARN_FIELD
        for entry in container.get("env") or []
    )
    token = any(
        mount.get("name") == names.TOKEN_VOLUME and mount.get("mountPath") == names.TOKEN_DIRECTORY
        for mount in container.get("volumeMounts") or []
    )
    return (
        container.get("name") == names.EMULATOR_CONTAINER
        and not container.get("command")
        and container.get("args") == EMULATOR_ARGS
        and role
        and token
    )


def _is_redirect(container: Object) -> bool:
    added = ((container.get("securityContext") or {}).get("capabilities") or {}).get("add") or []
    return not container.get("command") and container.get("args") == REDIRECT_ARGS and "NET_ADMIN" in added


def _is_token_volume(volume: Object) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or []
    return volume.get("name") == names.TOKEN_VOLUME and any(source.get("serviceAccountToken") for source in sources)
