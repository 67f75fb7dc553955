"""What decides a setting of a pod: its annotation, else the installation's parameter, else ''.

One table: the facts read it in Python and print it as CEL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulator import names
from emulator.injection.cel_text import annotation, param

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Setting:
    """One setting. `parameter`: '' where an installation has no say.

    `variable`, `value`: the emulator's variable that holds it, and the fact that is written there.
    """

    annotation: str
    parameter: str = ""
    variable: str = ""
    value: str = ""

    def of(self, annotations: Mapping[str, str], parameters: Mapping[str, str]) -> str:
        """Return it for a pod with these annotations."""
        given = annotations.get(self.annotation) or ""
        return given or (parameters[self.parameter] if self.parameter else "")

    @property
    def cel(self) -> str:
        """The same as CEL."""
        given = annotation(self.annotation)
        return f"({given} != '' ? {given} : {param(self.parameter)})" if self.parameter else given


KEYS = {
    ("cpu", "request"): names.ANNOTATION_CPU_REQUEST,
    ("cpu", "limit"): names.ANNOTATION_CPU_LIMIT,
    ("memory", "request"): names.ANNOTATION_MEMORY_REQUEST,
    ("memory", "limit"): names.ANNOTATION_MEMORY_LIMIT,
}
CONTAINERS = ("emulator", "redirect")

# By the fact that it is.
SETTINGS = {
    # '' is refused.
    "role_arn": Setting(names.ANNOTATION_ROLE_ARN, "", names.ENV_OWN_ROLE_ARN, "role_arn_value"),
    # Of the STS endpoint; '' is the default of the ARN's partition.
    "region": Setting(names.ANNOTATION_REGION, "region", names.ENV_OWN_REGION, "region_value"),
    "imds_version": Setting(names.ANNOTATION_IMDS_VERSION, "imdsVersion", names.ENV_IMDS_VERSION, "imds_version"),
    # Of the sessions at STS; '' is one made of the pod's name.
    "session_name": Setting(names.ANNOTATION_SESSION_NAME, "", names.ENV_OWN_SESSION_NAME, "session_name"),
    # That narrow the sessions.
    "session_policies": Setting(
        names.ANNOTATION_SESSION_POLICIES, "", names.ENV_SESSION_POLICIES, "session_policies_value"
    ),
    # How clients find the emulator: iptables or env.
    "redirect_mode": Setting(names.ANNOTATION_REDIRECT, "redirectMode"),
    # Do the app's containers get a region?
    "app_region": Setting(names.ANNOTATION_APP_REGION, "appRegion"),
    # Does a classic sidecar end when the app has? '' is yes for Jobs.
    "end_with_app": Setting(names.ANNOTATION_END_WITH_APP),
    # The parameter counts only where nothing else suits the pod better, see `resources`.
    **{
        f"{container}_{resource}_{kind}": Setting(key, f"{container}{resource.capitalize()}{kind.capitalize()}")
        for container in CONTAINERS
        for (resource, kind), key in KEYS.items()
    },
}
