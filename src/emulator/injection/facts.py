"""What a pod is to an installation: the questions of `pod` that need its parameters, in Python and in CEL.

Goes in: a v1 Pod as decoded JSON, the parameters, and what is known of cluster and namespace.
Comes out: `Facts`, all questions as attributes, and `QUESTIONS`, the same as variables of an admission policy.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from emulator import names
from emulator.injection.cel_text import annotation, annotation_or, param, text, texts
from emulator.injection.globs import glob_matches
from emulator.injection.json_values import maps
from emulator.injection.pod import VARIABLES, Object, Pod, fact
from emulator.injection.recognition import OUR_CONTAINERS, OUR_VOLUMES
from emulator.partitions import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

_REGION_PATTERNS = ", ".join(f"{text(row.name)}: {text(row.region_pattern)}" for row in PARTITIONS.values())


class Facts(Pod):
    """One pod under one installation. `native_sidecars`: the API server is of 1.29 or later (KEP-753)."""

    def __init__(
        self,
        pod: Object,
        parameters: Mapping[str, str],
        *,
        native_sidecars: bool = True,
        namespace_annotations: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(pod)
        self.parameters = parameters
        self.native_sidecars = native_sidecars
        self.namespace_annotations = namespace_annotations or {}

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

    # With a role ARN there are annotations, to which one can be added.
    @fact(
        f"variables.env && !({text(names.ANNOTATION_REDIRECT)} in variables.annotations)"
        f" && {text(names.ANNOTATION_ROLE_ARN)} in variables.annotations"
    )
    def env_by_installation(self) -> bool:
        """Is it the installation alone that wants the variable?"""
        said = names.ANNOTATION_REDIRECT in self.annotations
        return self.env and not said and names.ANNOTATION_ROLE_ARN in self.annotations

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

    @fact(
        f"{param('imagePullSecrets')}.split(',').map(s, s.trim()).filter(s, s != ''"
        " && !object.spec.?imagePullSecrets.orValue([]).exists(p, p.?name.orValue('') == s))"
    )
    def pull_secrets(self) -> list[str]:
        """The installation's pull secrets that the pod does not name."""
        named = [secret.get("name") for secret in maps(self.spec, "imagePullSecrets")]
        listed = [name.strip() for name in self.parameters["imagePullSecrets"].split(",")]
        return [name for name in listed if name and name not in named]

    @fact("variables.pull_secrets.size() > 0")
    def lacks_pull_secrets(self) -> bool:
        """Is one of them missing?"""
        return self.pull_secrets != []

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
        r" variables.role_arn.matches('^\\Q' + g.replace('\\', '\\E\\\\\\Q').replace('*', '\\E.*\\Q') + '\\E$'))"
    )
    def role_allowed(self) -> bool:
        """May a pod of this namespace ask for the role?"""
        return self.parameters["allowedRolesMode"] == "off" or any(
            glob_matches(glob, self.role_arn) for glob in self.allowed_roles
        )

    @cached_property
    def others_variables(self) -> list[tuple[Object, set[str]]]:
        """Each container that is not ours, with the names of the variables that it sets itself."""
        return [(container, set(env_names(container))) for container in self.others]


# Name -> CEL of all questions, in an order in which each stands on those before it.
QUESTIONS = dict(VARIABLES)


def env_names(container: Object) -> list[str]:
    """Return the names of the variables that a container sets itself."""
    return [entry.get("name", "") for entry in maps(container, "env")]
