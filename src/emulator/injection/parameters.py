"""The parameters of the injection, as a ConfigMap is mounted: a file for each key.

The kubelet replaces the directory as a whole, behind one symbolic link. A parameter that would break the injection
raises SettingsError, which names its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator import names
from emulator.injection.pod import MESH_ANNOTATIONS
from emulator.injection.quantities import exceeds, is_number
from emulator.injection.steps import PARAMETERS
from emulator.settings import (
    DURATION_SECONDS,
    PORTS,
    SHORT_DURATION_SECONDS,
    STARTUP_SECONDS,
    SettingsError,
    choice,
    endpoint,
    integer,
    proxy,
    required,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKEN_SECONDS = (600, 2**32)  # Kubernetes API, ServiceAccountTokenProjection, expirationSeconds
BOOLEANS = ("true", "false")

NUMBERS = {
    "port": PORTS,
    "healthPort": PORTS,
    "tokenExpirationSeconds": TOKEN_SECONDS,
    "durationSeconds": DURATION_SECONDS,
    "startupSeconds": STARTUP_SECONDS,
}
QUANTITIES = [key for key in PARAMETERS if key.endswith(("Request", "Limit"))]
CHOICES = {
    "sidecarMode": ("auto", "native", "classic"),
    "emulatorUser": ("own", "cluster"),
    "redirectMode": names.REDIRECT_MODES,
    "imdsVersion": names.IMDS_VERSIONS,
    "mesh": ("none", *MESH_ANNOTATIONS),
    "useFipsEndpoint": BOOLEANS,
    "useDualStackEndpoint": BOOLEANS,
    "allowInsecureEndpoint": BOOLEANS,
    "appRegion": BOOLEANS,
    "allowedRolesMode": ("off", "audit", "enforce"),
}
NEEDED = ("emulatorImage", "redirectImage", "tokenAudience", *NUMBERS, *CHOICES)


def read_parameters(directory: Path) -> Mapping[str, str]:
    """Return all parameters; raises SettingsError if one is missing, can't be read or can't be right."""
    parameters = {}
    for key in PARAMETERS:
        try:
            parameters[key] = (directory / key).read_text()
        except FileNotFoundError:
            raise _error(directory, f"{key} is missing: add the key to the ConfigMap") from None
        except (OSError, UnicodeDecodeError) as error:
            raise _error(directory, f"{key} cannot be read: {error}") from None
    try:
        check_parameters(parameters)
    except SettingsError as error:
        raise _error(directory, str(error)) from None
    return parameters


def check_parameters(parameters: Mapping[str, str]) -> None:
    """Raise SettingsError for the first parameter that can't be right."""
    for key in NEEDED:
        required(parameters, key, "set it in the ConfigMap")
    for key, value in parameters.items():
        if value != value.strip():  # a policy compares it as it is
            raise wrong(key, value, "must not begin or end with white space")
    for key, bounds in NUMBERS.items():
        integer(parameters, key, 0, bounds)
    for key, choices in CHOICES.items():
        choice(parameters, key, "", choices)
    _check_redirect(parameters)
    for key in QUANTITIES:
        _check_quantity(parameters, key)
    # What `serve` would refuse when the pod has been made.
    endpoint(parameters, "stsEndpoint", insecure_allowed_by="allowInsecureEndpoint")
    proxy(parameters, "httpsProxy")
    if parameters["port"] == parameters["healthPort"]:
        raise wrong("healthPort", parameters["port"], "must differ from port")


def _check_redirect(parameters: Mapping[str, str]) -> None:
    key = "redirectAllowed"
    allowed = required(parameters, key, f"set it to one or more of {', '.join(names.REDIRECT_MODES)}")
    for mode in allowed.split(","):
        choice({key: mode}, key, "", names.REDIRECT_MODES)
    if parameters["redirectMode"] not in allowed.split(","):
        raise wrong("redirectMode", parameters["redirectMode"], f"must be one of {key}, {allowed!r}")


def _check_quantity(parameters: Mapping[str, str], key: str) -> None:
    given, most = parameters[key], key.replace("Request", "Limit")
    if given and not is_number(given):
        raise wrong(key, given, "must be a quantity greater than 0, such as 100m or 64Mi, or empty")
    if exceeds(given, parameters[most]):
        raise wrong(key, given, f"must be at most {most}, {parameters[most]!r}")


def parameter_warnings(parameters: Mapping[str, str]) -> list[str]:
    """Return a line for each parameter that works, but probably not as intended."""
    if int(parameters["durationSeconds"]) < SHORT_DURATION_SECONDS:
        problem = "SDKs that renew credentials 15 minutes before they expire ask for new ones at nearly every call"
        given = f"durationSeconds={parameters['durationSeconds']!r}"
        return [f"{given}: {problem}: use {SHORT_DURATION_SECONDS} or more"]
    return []


def _error(directory: Path, message: str) -> SettingsError:
    return SettingsError(f"{names.ENV_PARAMETERS}={str(directory)!r}: {message}")
