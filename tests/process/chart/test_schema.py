"""The schema refuses what is wrong and says which key; values, schema and code name the same things."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import names
from emulator.partitions import FIPS_REGIONS
from emulator.settings import SettingsError, endpoint, proxy
from tests.support.chart.rendering import CHART, HelmError, objects, one, template

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())

# These may be null, for none, or pass straight through.
FREE = (
    *("resources", "priorityClassName", "dashboard.labels", "global"),
    *("nodeSelector", "podSecurityContext", "securityContext"),
)

REFUSED = {
    "regio=eu-west-1": "at '': additional properties 'regio' not allowed",
    "sts.regio=eu-west-1": "at '/sts': additional properties 'regio' not allowed",
    "sidecar.resources.limits.gpu=1": "at '/sidecar/resources/limits': additional properties 'gpu' not allowed",
    "sidecar.resources.limits=null": "at '/sidecar/resources': missing property 'limits'",
    "mode=Policy": "at '/mode': value must be one of 'webhook', 'policy', 'both'",
    "image.pullPolicy=Sometimes": "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
    "imds.version=v3": "at '/imds/version': value must be one of 'v1', 'v1-and-v2', 'v2'",
    "imds.port=80": "at '/imds/port': minimum: got 80, want 1,024",
    "sidecar.mode=old": "at '/sidecar/mode': value must be one of 'auto', 'native', 'classic'",
    "redirect.mode=ebpf": "at '/redirect/mode': value must be one of 'iptables', 'env'",
    "redirect.allowed={ebpf}": "at '/redirect/allowed/0': value must be one of 'iptables', 'env'",
    "redirect.allowed=null": "at '/redirect': missing property 'allowed'",
    "mesh.kind=kuma": "at '/mesh/kind': value must be one of 'none', 'istio', 'linkerd'",
    "token.expirationSeconds=300": "at '/token/expirationSeconds': minimum: got 300, want 600",
    "token.expirationSeconds=86401": "at '/token/expirationSeconds': maximum: got 86,401, want 86,400",
    "token.audience=": "at '/token/audience': minLength: got 0, want 1",
    "sts.durationSeconds=899": "at '/sts/durationSeconds': minimum: got 899, want 900",
    "sts.durationSeconds=43201": "at '/sts/durationSeconds': maximum: got 43,201, want 43,200",
    "sts.region=Ireland": "at '/sts/region': 'Ireland' does not match pattern '^$|^[a-z]{2,4}(-[a-z]+)+-[0-9]+$'",
    "sts.endpoint=ftp://sts": (
        "at '/sts/endpoint': 'ftp://sts' does not match pattern '^$|^https?://[^\\\\s/?#@]+(/[^\\\\s?#]*)?$'"
    ),
    "sts=null": "at '': missing property 'sts'",
    "imds.port=null": "at '/imds': missing property 'port'",
    "image.repository=null": "at '/image': missing property 'repository'",
    "sidecar.startupSeconds=0": "at '/sidecar/startupSeconds': minimum: got 0, want 1",
    "admission.timeoutSeconds=11": "at '/admission/timeoutSeconds': maximum: got 11, want 10",
    "replicas=0": "at '/replicas': minimum: got 0, want 1",
    "certificate.mode=given": "at '/certificate/mode': value must be one of 'self', 'cert-manager', 'secret'",
    "certificate.mode=secret": "at '/certificate/secretName': minLength: got 0, want 1",
    "allowedRoles.mode=false": "at '/allowedRoles/mode': value must be one of 'off', 'audit', 'enforce'",
    "podLabels.team=true": "at '/podLabels/team': got boolean, want string",
    "imagePullSecrets[0]=reg": "at '/imagePullSecrets/0': got string, want object",
    "enabled=false": "at '/enabled': value must be true",
    "logLevel=trace": "at '/logLevel': value must be one of 'debug', 'info', 'error'",
    "nodeSelector.kubernetes\\.io/os=windows": "at '/nodeSelector/kubernetes.io~1os': value must be 'linux'",
    "service.ipFamilies[0]=IPv5": "at '/service/ipFamilies/0': value must be one of 'IPv4', 'IPv6'",
}


@pytest.mark.parametrize(("setting", "expected"), REFUSED.items())
def test_wrong_value(setting: str, expected: str) -> None:
    """A typo or a value out of range fails at `helm template`, in one line with the key's name."""
    with pytest.raises(HelmError) as refusal:
        template("--set", setting)

    lines = [line.removeprefix("- ") for line in str(refusal.value).splitlines() if line.startswith("- ")]

    assert [expected] == lines


@pytest.mark.parametrize(
    ("setting", "expected"),
    {
        "imds.healthPort=16925": "imds.port and imds.healthPort are both 16925: choose another imds.healthPort",
        "redirect.allowed={env}": (
            "redirect.mode is iptables, which is not in redirect.allowed (env): add it there, or choose another mode"
        ),
        "sts.useFipsEndpoint=true,sts.region=eu-west-1": (
            "sts.useFipsEndpoint is true, and STS has no FIPS endpoint in sts.region, eu-west-1: choose one of"
            f" {', '.join(FIPS_REGIONS)}, or set sts.useFipsEndpoint to false"
        ),
        "sts.endpoint=http://moto:5000": (
            "sts.endpoint is http://moto:5000, without TLS: use https://, or for local development set"
            " sts.allowInsecureEndpoint to true"
        ),
        "ports.health=8443": "ports.webhook and ports.health are both 8443: choose another ports.health",
        "image.registry=a.example,image.repository=b.example/p": (
            'image.repository is b.example/p, which has a registry already: set image.registry to "",'
            " or leave the registry out of the repository"
        ),
    }.items(),
)
def test_values_against_each_other(setting: str, expected: str) -> None:
    """Two values that can't be right together are refused by name."""
    with pytest.raises(HelmError) as refusal:
        template("--set", setting)

    assert expected == str(refusal.value).splitlines()[0].split(": ", 2)[2]


@pytest.mark.parametrize(
    "setting",
    [
        *("sts.endpoint=https://x?y=1", "sts.endpoint=https://u:p@x/", "sts.endpoint=https://"),
        *("sts.httpsProxy=https://proxy:3128", "sts.httpsProxy=http://proxy:3128/path", "sts.httpsProxy=socks5://p"),
    ],
)
def test_url_that_the_sidecar_would_refuse(setting: str) -> None:
    """What `serve` refuses as a setting is refused before any pod has it."""
    key, _, value = setting.partition("=")
    read = partial(endpoint, insecure_allowed_by="sts.allowInsecureEndpoint") if key == "sts.endpoint" else proxy
    with pytest.raises(SettingsError):
        read({key: value}, key)
    with pytest.raises(HelmError, match="does not match pattern"):
        template("--set", setting)


@pytest.mark.parametrize(
    "value", ["http://proxy:3128", "http://u:p@w/d@proxy/", "proxy:3128", "http://[::1]:3128", "proxy"]
)
def test_proxy(value: str) -> None:
    """What `serve` takes for a proxy the chart takes."""
    found = objects("--set-string", f"sts.httpsProxy={value}")

    assert value == proxy({"HTTPS_PROXY": value}, "HTTPS_PROXY")
    assert value == one(found, "ConfigMap", "-parameters")["data"]["httpsProxy"]


def test_region_of_another_vendor() -> None:
    """With an endpoint of one's own the region is not compared with the names of AWS's."""
    settings = "sts.region=fr-par,sts.endpoint=https://sts.fr-par.example"

    assert "fr-par" == one(objects("--set", settings), "ConfigMap", "-parameters")["data"]["region"]
    with pytest.raises(HelmError, match="'fr-par' does not match pattern"):
        template("--set", "sts.region=fr-par")


def test_what_may_be_null(tmp_path: Path) -> None:
    """A value that is empty by default may be null, which is the same; what has a default is required."""
    empty, full = nullable(VALUES)
    values = tmp_path / "values.json"
    values.write_text(json.dumps(empty))
    everything = "--set=mode=both,serviceMonitor.enabled=true,podMonitor.enabled=true,prometheusRule.enabled=true"

    assert objects(everything) == objects(everything, f"--values={values}")
    assert "sts" in full
    for path in full:
        *group, key = path.split(".")
        holder = SCHEMA if not group else resolved(SCHEMA["properties"][group[0]])
        assert key in holder["required"], path


def nullable(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values that are empty by default as null, and the paths of those that are not."""
    empty: dict[str, Any] = {}
    full = []
    for key, value in values.items():
        if key in FREE:
            continue
        if is_empty(value):
            empty[key] = None
            continue
        full.append(key)
        for inner, each in value.items() if isinstance(value, dict) else ():
            if is_empty(each):
                empty.setdefault(key, {})[inner] = None
            elif f"{key}.{inner}" not in FREE:
                full.append(f"{key}.{inner}")
    return empty, full


def is_empty(value: Any) -> bool:  # noqa: ANN401 - YAML
    """Tell whether a default is none at all."""
    return value in ("", {}, [])


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the schema, or what it refers to."""
    return at(SCHEMA, part["$ref"].removeprefix("#/")) if "$ref" in part else part


def test_objects_are_closed() -> None:
    """Each object of the schema with named properties refuses others; `global` alone is shared with other charts."""
    open_objects = [path for path, part in parts(SCHEMA) if "properties" in part and part.get("type") == "object"]
    open_objects = [path for path in open_objects if at(SCHEMA, path).get("additionalProperties") is not False]

    assert ["properties/global"] == open_objects


def test_every_default_passes() -> None:
    """The schema knows each default by name, and no key that values.yaml does not have."""
    assert VALUES.keys() == SCHEMA["properties"].keys()
    for key, part in SCHEMA["properties"].items():
        if "properties" in part:
            assert VALUES[key].keys() == part["properties"].keys()


def test_two_levels() -> None:
    """Keys of our own are at most two deep; what is below is Kubernetes' own or cpu and memory."""
    deeper = {
        f"{group}.{key}"
        for group, part in SCHEMA["properties"].items()
        for key, inner in part.get("properties", {}).items()
        if "properties" in inner
    }

    assert {"namespaces.selector", "certificate.issuerRef"} == deeper


def test_enumerations_are_those_of_the_code() -> None:
    """The schema allows what the program understands."""
    properties = SCHEMA["properties"]

    assert list(names.IMDS_VERSIONS) == properties["imds"]["properties"]["version"]["enum"]
    assert list(names.REDIRECT_MODES) == properties["redirect"]["properties"]["mode"]["enum"]
    assert list(names.CERTIFICATE_MODES) == properties["certificate"]["properties"]["mode"]["enum"]


def test_defaults_are_those_of_the_code() -> None:
    """What the program takes where nothing is set is what the chart sets."""
    expected = {
        "imds": {
            "version": names.IMDS_VERSION_DEFAULT,
            "port": names.PORT_DEFAULT,
            "healthPort": names.HEALTH_PORT_DEFAULT,
        },
        "redirect": names.REDIRECT_MODE_DEFAULT,
        "audience": names.DEFAULT_AUDIENCE,
        "ports": {"webhook": names.WEBHOOK_PORT_DEFAULT, "health": names.HEALTH_PORT_DEFAULT, "service": 443},
    }

    actual = {
        "imds": VALUES["imds"],
        "redirect": VALUES["redirect"]["mode"],
        "audience": VALUES["token"]["audience"],
        "ports": VALUES["ports"],
    }

    assert expected == actual


def parts(schema: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:  # noqa: ANN401 - JSON
    """Return each object of the JSON and its path, the root aside."""
    found = []
    for key, part in schema.items() if isinstance(schema, dict) else []:
        here = f"{path}/{key}".lstrip("/")
        if isinstance(part, dict):
            found += [(here, part), *parts(part, here)]
    return found


def at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the part of the JSON at a path."""
    found: Any = schema
    for key in path.split("/"):
        found = found[key]
    return dict(found)
