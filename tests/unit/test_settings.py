"""The settings of `serve`: defaults, and one line for each that is wrong."""

from __future__ import annotations

import pytest

from emulator import names
from emulator.settings import (
    OWN_NAMES,
    PODS_OF_0_1_0,
    SESSION_NAME_CHARACTERS,
    ServeSettings,
    SettingsError,
    serve_settings,
)

ARN = "arn:aws:iam::123456789012:role/team/app-role"
LEAST = {"AWS_ROLE_ARN": ARN, "AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}


def as_dict(settings: ServeSettings) -> dict[str, object]:
    """Return all fields."""
    return {name: getattr(settings, name) for name in ServeSettings.__slots__}


def test_defaults() -> None:
    """With what is required alone, everything else has its documented default."""
    expected = {
        "account_id": "123456789012",
        "ca_bundle": "",
        "duration_seconds": 3600,
        "health_port": 16926,
        "https_proxy": "",
        "imds_version": "v1",
        "no_proxy": "",
        "pod_name": "",
        "pod_namespace": "",
        "port": 16925,
        "role_arn": ARN,
        "role_name": "app-role",
        "root_certificates": "aws",
        "serve_after_sigterm_seconds": 0,
        "session_name": "imds-emulator",
        "session_policies": "",
        "startup_seconds": 60,
        "sts_url": "https://sts.us-east-1.amazonaws.com",
        "token_file": "/t",
    }

    assert expected == as_dict(serve_settings(LEAST))


def test_everything_set() -> None:
    """Every variable is read."""
    environ = {
        **LEAST,
        "AWS_ROLE_SESSION_NAME": "me",
        "IMDS_EMULATOR_SESSION_POLICIES": "arn:aws:iam::aws:policy/A, arn:aws:iam::aws:policy/B,",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_STS": "https://sts.example:8443/x",
        "AWS_CA_BUNDLE": "/ca",
        "HTTPS_PROXY": "http://u:p@proxy:3128",
        "NO_PROXY": ".svc",
        "POD_NAME": "app",
        "POD_NAMESPACE": "team",
        "IMDS_EMULATOR_PORT": "1",
        "IMDS_EMULATOR_HEALTH_PORT": "65535",
        "IMDS_EMULATOR_IMDS_VERSION": "v2",
        "IMDS_EMULATOR_DURATION_SECONDS": "43200",
        "IMDS_EMULATOR_STARTUP_SECONDS": "0",
        "IMDS_EMULATOR_SERVE_AFTER_SIGTERM_SECONDS": "30",
        "IMDS_EMULATOR_ROOT_CERTIFICATES": "aws",
    }
    expected = {
        "account_id": "123456789012",
        "ca_bundle": "/ca",
        "duration_seconds": 43200,
        "health_port": 65535,
        "https_proxy": "http://u:p@proxy:3128",
        "imds_version": "v2",
        "no_proxy": ".svc",
        "pod_name": "app",
        "pod_namespace": "team",
        "port": 1,
        "role_arn": ARN,
        "role_name": "app-role",
        "root_certificates": "aws",
        "serve_after_sigterm_seconds": 30,
        "session_name": "me",
        "session_policies": "arn:aws:iam::aws:policy/A,arn:aws:iam::aws:policy/B",
        "startup_seconds": 0,
        "sts_url": "https://sts.example:8443/x",
        "token_file": "/t",
    }

    assert expected == as_dict(serve_settings(environ))


def test_the_names_of_an_injected_pod() -> None:
    """Where our own name for the role is there, the SDKs' names are not read, be they set or wrong."""
    own = {name: own for name, own in OWN_NAMES.items() if name != own}
    values = {
        "AWS_ROLE_ARN": ARN,
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/t",
        "AWS_ROLE_SESSION_NAME": "me",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_STS": "https://sts.example",
        "AWS_USE_FIPS_ENDPOINT": "false",
        "AWS_CA_BUNDLE": "/ca",
        "HTTPS_PROXY": "http://proxy:3128",
        "NO_PROXY": ".svc",
    }
    foreign = {**dict.fromkeys(own, "wrong"), "https_proxy": "wrong", "no_proxy": "wrong"}

    actual = serve_settings({**foreign, **{own[name]: value for name, value in values.items()}})

    assert as_dict(serve_settings(values)) == as_dict(actual)


@pytest.mark.parametrize("name", [*(name for name, own in OWN_NAMES.items() if name != own), *PODS_OF_0_1_0.values()])
def test_no_name_of_the_sdks_in_an_injected_pod(name: str) -> None:
    """What our own names leave open is not filled in from the SDKs' names."""
    least = {"IMDS_EMULATOR_ROLE_ARN": ARN, "IMDS_EMULATOR_TOKEN_FILE": "/t"}

    assert as_dict(serve_settings(least)) == as_dict(serve_settings({**least, name: "wrong"}))


def test_an_injected_pod_without_a_role() -> None:
    """An empty role under our own name is an error, and not filled in from the SDKs' name."""
    with pytest.raises(SettingsError, match=r"^IMDS_EMULATOR_ROLE_ARN is not set: set it to a role's ARN"):
        serve_settings({**LEAST, "IMDS_EMULATOR_ROLE_ARN": ""})


@pytest.mark.parametrize(
    "least", [LEAST, {"IMDS_EMULATOR_ROLE_ARN": ARN, "IMDS_EMULATOR_TOKEN_FILE": "/t"}], ids=["by hand", "injected"]
)
def test_an_empty_variable_is_not_set(least: dict[str, str]) -> None:
    """An empty variable, as a pod has it for what nobody asked for, is as good as none."""
    known = {value for name, value in vars(names).items() if name.startswith("ENV_")} - {"IMDS_EMULATOR_ROLE_ARN"}

    assert as_dict(serve_settings(least)) == as_dict(serve_settings({**dict.fromkeys(known, ""), **least}))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"AWS_ROLE_ARN": " \n"}, "AWS_ROLE_ARN is not set: set it to a role's ARN"),
        (
            {"AWS_ROLE_ARN": "app-role"},
            "invalid AWS_ROLE_ARN: 'app-role' is not the ARN of an IAM role: it is not an ARN",
        ),
        (
            {"AWS_ROLE_ARN": "arn:aws-x:iam::123456789012:role/r"},
            "invalid AWS_ROLE_ARN: 'aws-x' is not a partition of AWS",
        ),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": ""}, "AWS_WEB_IDENTITY_TOKEN_FILE is not set: set it to the file"),
        ({"AWS_ROLE_SESSION_NAME": "a b"}, "invalid AWS_ROLE_SESSION_NAME='a b': must be 2 to 64 characters of"),
        ({"AWS_ROLE_SESSION_NAME": "a"}, "invalid AWS_ROLE_SESSION_NAME='a': must be 2 to 64 characters of"),
        (
            {"IMDS_EMULATOR_SESSION_POLICIES": "arn:aws:iam::aws:policy/A,B"},
            "invalid IMDS_EMULATOR_SESSION_POLICIES='B': must be the ARN of a managed policy",
        ),
        (
            {"IMDS_EMULATOR_SESSION_POLICIES": ",".join(["arn:aws:iam::aws:policy/A"] * 11)},
            "invalid IMDS_EMULATOR_SESSION_POLICIES: must be at most 10 ARNs, not 11",
        ),
        (
            {"AWS_REGION": "cn-north-1"},
            "invalid AWS_REGION='cn-north-1': must be a region of the role's partition aws, such as us-",
        ),
        (
            {"IMDS_EMULATOR_POD_REGION": "mars"},
            "invalid IMDS_EMULATOR_POD_REGION='mars': must be a region of the role's partition aws",
        ),
        ({"AWS_ENDPOINT_URL_STS": "http://x"}, "invalid AWS_ENDPOINT_URL_STS='http://x': must be https://HOST"),
        ({"AWS_ENDPOINT_URL_STS": "https://"}, "invalid AWS_ENDPOINT_URL_STS='https://': must be https://HOST"),
        ({"AWS_ENDPOINT_URL_STS": "https://u@h"}, "invalid AWS_ENDPOINT_URL_STS='https://u@h': must be https://HOST"),
        (
            {"AWS_ENDPOINT_URL_STS": "https://h:\u00b2"},
            "invalid AWS_ENDPOINT_URL_STS='https://h:\u00b2': must be https://HOST",
        ),
        (
            {"AWS_ENDPOINT_URL_STS": "https://h:65536"},
            "invalid AWS_ENDPOINT_URL_STS='https://h:65536': must be https://",
        ),
        ({"HTTPS_PROXY": "http://proxy:0"}, "invalid HTTPS_PROXY: must be http://[USER:PASSWORD@]HOST[:PORT]"),
        ({"AWS_ENDPOINT_URL_STS": "https://h:x"}, "invalid AWS_ENDPOINT_URL_STS='https://h:x': must be https://HOST"),
        ({"AWS_ENDPOINT_URL_STS": "https://h/\r\nX:y"}, "invalid AWS_ENDPOINT_URL_STS='https://h/\\r\\nX:y': must"),
        ({"AWS_ENDPOINT_URL_STS": "https://h/\r\nX: y"}, "invalid AWS_ENDPOINT_URL_STS='https://h/\\r\\nX: y': must"),
        (
            {"AWS_ENDPOINT_URL_STS": "http://x?y", "IMDS_EMULATOR_ALLOW_INSECURE_ENDPOINT": "true"},
            "invalid AWS_ENDPOINT",
        ),
        (
            {"AWS_ENDPOINT_URL_STS": "ftp://x", "IMDS_EMULATOR_ALLOW_INSECURE_ENDPOINT": "true"},
            "invalid AWS_ENDPOINT_URL_STS='ftp://x': must be https://HOST[:PORT][/PATH]",
        ),
        (
            {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_REGION": "eu-west-1"},
            "invalid AWS_USE_FIPS_ENDPOINT='true': must be false for eu-west-1, where STS has no FIPS endpoint",
        ),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "1"}, "invalid AWS_USE_DUALSTACK_ENDPOINT='1': must be true or false"),
        ({"AWS_USE_FIPS_ENDPOINT": "yes"}, "invalid AWS_USE_FIPS_ENDPOINT='yes': must be true or false"),
        ({"HTTPS_PROXY": "https://proxy"}, "invalid HTTPS_PROXY: must be http://[USER:PASSWORD@]HOST[:PORT]"),
        ({"HTTPS_PROXY": "http://u:secret@/"}, "invalid HTTPS_PROXY: must be http://[USER:PASSWORD@]HOST[:PORT]"),
        ({"HTTPS_PROXY": "socks5://proxy"}, "invalid HTTPS_PROXY: must be http://[USER:PASSWORD@]HOST[:PORT]"),
        ({"IMDS_EMULATOR_PORT": "0"}, "invalid IMDS_EMULATOR_PORT='0': must be a whole number from 1 to 65535"),
        ({"IMDS_EMULATOR_PORT": "65536"}, "invalid IMDS_EMULATOR_PORT='65536': must be a whole number from 1 to 65535"),
        ({"IMDS_EMULATOR_PORT": "http"}, "invalid IMDS_EMULATOR_PORT='http': must be a whole number from 1 to 65535"),
        ({"IMDS_EMULATOR_PORT": "²"}, "invalid IMDS_EMULATOR_PORT='²': must be a whole number from 1 to 65535"),
        (
            {"IMDS_EMULATOR_PORT": "16926"},
            "invalid IMDS_EMULATOR_HEALTH_PORT='16926': must differ from IMDS_EMULATOR_PORT",
        ),
        ({"IMDS_EMULATOR_IMDS_VERSION": "2"}, "invalid IMDS_EMULATOR_IMDS_VERSION='2': must be one of v1, v1-and"),
        ({"IMDS_EMULATOR_POD_IMDS_VERSION": "V2"}, "invalid IMDS_EMULATOR_POD_IMDS_VERSION='V2': must be one of v1, "),
        (
            {"IMDS_EMULATOR_DURATION_SECONDS": "899"},
            "invalid IMDS_EMULATOR_DURATION_SECONDS='899': must be a whole number",
        ),
        (
            {"IMDS_EMULATOR_DURATION_SECONDS": "1h"},
            "invalid IMDS_EMULATOR_DURATION_SECONDS='1h': must be a whole number",
        ),
        ({"IMDS_EMULATOR_STARTUP_SECONDS": "-1"}, "invalid IMDS_EMULATOR_STARTUP_SECONDS='-1': must be a whole number"),
        (
            {"IMDS_EMULATOR_ROOT_CERTIFICATES": "x"},
            "invalid IMDS_EMULATOR_ROOT_CERTIFICATES='x': must be one of aws, sy",
        ),
    ],
)
def test_wrong(extra: dict[str, str], message: str) -> None:
    """A wrong setting gives one line that names variable, value and remedy, and no password."""
    with pytest.raises(SettingsError) as error:
        serve_settings({**LEAST, **extra})

    actual = str(error.value)
    assert message == actual[: len(message)]
    assert "\n" not in actual
    assert "secret" not in actual


@pytest.mark.parametrize(
    ("extra", "url", "roots"),
    [
        (
            {"AWS_ROLE_ARN": "arn:aws-cn:iam::123456789012:role/r", "AWS_REGION": "cn-north-1"},
            "https://sts.cn-north-1.amazonaws.com.cn",
            "system",
        ),
        ({"AWS_ROLE_ARN": "arn:aws-us-gov:iam::123456789012:role/r"}, "https://sts.us-gov-west-1.amazonaws.com", "aws"),
        (
            {"AWS_ROLE_ARN": "arn:aws-cn:iam::123456789012:role/r"},
            "https://sts.cn-northwest-1.amazonaws.com.cn",
            "system",
        ),
        ({"AWS_REGION": "eu-west-1"}, "https://sts.eu-west-1.amazonaws.com", "aws"),
        (
            {"AWS_REGION": "eu-west-1", "IMDS_EMULATOR_POD_REGION": "eu-west-3"},
            "https://sts.eu-west-3.amazonaws.com",
            "aws",
        ),
        (
            {"AWS_REGION": "fr-par", "AWS_USE_FIPS_ENDPOINT": "true", "AWS_ENDPOINT_URL_STS": "https://sts.example"},
            "https://sts.example",
            "system",
        ),
        (
            {"AWS_ENDPOINT_URL_STS": "http://moto:5000", "IMDS_EMULATOR_ALLOW_INSECURE_ENDPOINT": "true"},
            "http://moto:5000",
            "system",
        ),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://sts.us-east-1.api.aws", "aws"),
        (
            {"AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_USE_FIPS_ENDPOINT": "true"},
            "https://sts-fips.us-east-1.api.aws",
            "aws",
        ),
        ({"AWS_USE_FIPS_ENDPOINT": "True"}, "https://sts-fips.us-east-1.amazonaws.com", "aws"),
        (
            {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_ENDPOINT_URL_STS": "https://[::1]:8443"},
            "https://[::1]:8443",
            "system",
        ),
    ],
)
def test_endpoint(extra: dict[str, str], url: str, roots: str) -> None:
    """STS is that of the region, or of the ARN's partition, or the one given; never the global one.

    With an endpoint of one's own, region and FIPS have no meaning, and are not compared with AWS's.
    """
    settings = serve_settings({**LEAST, **extra})

    assert (url, roots) == (settings.sts_url, settings.root_certificates)


def test_the_pods_own_version_wins() -> None:
    """What the pod's annotation says stands above the chart's setting."""
    environ = {**LEAST, "IMDS_EMULATOR_IMDS_VERSION": "v1", "IMDS_EMULATOR_POD_IMDS_VERSION": "v2"}

    assert "v2" == serve_settings(environ).imds_version


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
def test_proxy_in_lower_case(name: str) -> None:
    """The proxy's variables are read in lower case too, as curl and botocore do."""
    settings = serve_settings({**LEAST, name: "proxy:3128", "no_proxy": "x"})

    assert ("proxy:3128", "x") == (settings.https_proxy, settings.no_proxy)


def session_name(namespace: str, pod: str) -> str:
    """Return the session's name for a pod."""
    return serve_settings({**LEAST, "POD_NAMESPACE": namespace, "POD_NAME": pod}).session_name


def test_session_name() -> None:
    """The session is named for the pod."""
    assert "team-a.app-7c9f-x" == session_name("team-a", "app-7c9f-x")


@pytest.mark.parametrize(
    ("namespace", "pod"),
    [("n" * 63, "p" * 126 + "." + "q" * 126), ("", "p"), ("n" * 31, "p" * 32), ("n" * 32, "p" * 32)],
)
def test_session_name_of_any_pod(namespace: str, pod: str) -> None:
    """2 to 64 characters that STS allows, the same each time, another where the pods' names differ at the end."""
    name = session_name(namespace, pod)

    assert 2 <= len(name) <= 64
    assert SESSION_NAME_CHARACTERS.issuperset(name)
    assert name == session_name(namespace, pod)
    assert name != session_name(namespace, pod[:-1] + "z")
