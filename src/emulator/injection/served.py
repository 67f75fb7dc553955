"""What an injected pod serves: the values that admission wrote into its emulator, whatever its annotations say now."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.injection.json_values import at, maps
from emulator.injection.precedence import SETTINGS
from emulator.settings import DURATION_DEFAULT_SECONDS, STARTUP_DEFAULT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

Object = dict[str, Any]

OURS = (names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER)
# Variable of the emulator -> parameter of the injection, for the rules that ask about it.
PARAMETERS = {
    names.ENV_PORT: "port",
    names.ENV_HEALTH_PORT: "healthPort",
    names.ENV_OWN_STS_ENDPOINT: "stsEndpoint",
    names.ENV_OWN_USE_FIPS: "useFipsEndpoint",
    names.ENV_OWN_USE_DUALSTACK: "useDualStackEndpoint",
    names.ENV_DURATION_SECONDS: "durationSeconds",
    names.ENV_STARTUP_SECONDS: "startupSeconds",
    **{each.variable: each.parameter for each in SETTINGS.values() if each.variable and each.parameter},
}


@dataclass(frozen=True)
class Served:
    """A pod's emulator. `values`: its variables; `is_fixed`: does it hold its role, as 0.2.0 and later write it?"""

    container: Object
    values: Mapping[str, str]
    is_native: bool

    @property
    def is_fixed(self) -> bool:
        """Does the container hold its role? In pods injected by 0.1.0 it follows the annotation."""
        return names.ENV_OWN_ROLE_ARN in self.values

    @property
    def has_startup_probe(self) -> bool:
        """Has it a startup probe, as 0.1.0 gave it?"""
        return "startupProbe" in self.container

    def role_arn(self, pod: Object) -> str:
        """Return the role that is served."""
        return self.values[names.ENV_OWN_ROLE_ARN] if self.is_fixed else annotation(pod, names.ANNOTATION_ROLE_ARN)

    @property
    def region(self) -> str:
        """The region of the STS endpoint; '' for the partition's default."""
        return self.values.get(names.ENV_OWN_REGION, self.values.get(names.ENV_REGION, ""))

    @property
    def imds_version(self) -> str:
        """The version of IMDS."""
        return self.values.get(names.ENV_IMDS_VERSION) or names.IMDS_VERSION_DEFAULT


def served(pod: Object) -> Served | None:
    """Return the pod's emulator, or None."""
    for part in ("initContainers", "containers"):
        for container in maps(pod, "spec", part):
            if container.get("name") == names.EMULATOR_CONTAINER:
                # `$$` stands for a dollar sign in a value (Kubernetes, EnvVar).
                pairs = ((entry.get("name"), entry.get("value")) for entry in maps(container, "env"))
                values = {str(name): str(value).replace("$$", "$") for name, value in pairs if value is not None}
                return Served(container, values, part == "initContainers")
    return None


def annotation(pod: Object, key: str) -> str:
    """Return an annotation without white space around it, or ''."""
    value = at(pod, "metadata", "annotations", key)
    return value.strip() if isinstance(value, str) else ""


def differences(pod: Object, emulator: Served) -> list[tuple[str, str, str]]:
    """Return each annotation that says something else than what is served: key, its value, and the one served."""
    if not emulator.is_fixed:
        return []
    found = [
        (each, _said(pod, each.annotation), emulator.values.get(each.variable, ""))
        for each in SETTINGS.values()
        if each.variable
    ]
    # An annotation that is absent leaves the value to the installation, if that has a say.
    return [
        (each.annotation, said, value) for each, said, value in found if said != value and (said or not each.parameter)
    ]


def _said(pod: Object, key: str) -> str:
    text = annotation(pod, key)
    if key == names.ANNOTATION_SESSION_POLICIES:
        text = ",".join(part.strip() for part in text.split(",") if part.strip())  # as admission writes them
    return text


def as_served(pod: Object, emulator: Served) -> Object:
    """Return the pod with annotations that say what is served, for rules that read them."""
    annotations = {**(at(pod, "metadata", "annotations") or {}), names.ANNOTATION_IMDS_VERSION: emulator.imds_version}
    return {**pod, "metadata": {**pod["metadata"], "annotations": annotations}}


def parameters(pod: Object, emulator: Served) -> dict[str, str]:
    """Return the installation's parameters as far as the emulator knows them; '' for the others."""
    known = {key: emulator.values.get(name, "") for name, key in PARAMETERS.items()}
    named = {container.get("name") for container in maps(pod, "spec", "initContainers")}
    numbers = {
        "port": names.PORT_DEFAULT,
        "healthPort": names.HEALTH_PORT_DEFAULT,
        "durationSeconds": DURATION_DEFAULT_SECONDS,
        "startupSeconds": STARTUP_DEFAULT_SECONDS,
    }
    return defaultdict(
        str,
        {
            **known,
            **{key: known[key] or str(default) for key, default in numbers.items()},
            "sidecarMode": "native" if emulator.is_native else "classic",
            "redirectMode": "iptables" if names.REDIRECT_CONTAINER in named else "env",
            "allowedRolesMode": "off",
        },
    )
