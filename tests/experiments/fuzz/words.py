"""The words that people write: role ARNs, regions, globs, lists of roles or proxies, settings, parameters.

An input is one letter, a key of KINDS, and the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.arn import ROLE_ARN_PATTERN, parse_role_arn
from emulator.cli import inject as command
from emulator.injection import judgement
from emulator.injection.facts import QUESTIONS, Facts
from emulator.injection.globs import glob_matches
from emulator.injection.parameters import CHOICES, NUMBERS, check_parameters
from emulator.partitions import PARTITIONS, region_fits
from emulator.settings import (
    DURATION_SECONDS,
    PORTS,
    STARTUP_SECONDS,
    SettingsError,
    redirect_settings,
    serve_settings,
)
from emulator.sidecar.fetch import HTTPS_PORT, PROXY_PORT, split_authority, split_url
from emulator.sidecar.proxy import connect_request, is_exempt
from emulator.sidecar.sts import request
from emulator.webhook.settings import webhook_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROLE = "arn:aws:iam::123456789012:role/app"
PASSWORD = "hunter2hunter2"
LEAST = {names.ENV_ROLE_ARN: ROLE, names.ENV_TOKEN_FILE: "/t"}
LEAST_OF_WEBHOOK = {
    names.ENV_PARAMETERS: "/",
    names.ENV_CERTIFICATE_DIRECTORY: "/",
    names.ENV_SERVICE_ACCOUNT: "/",
    names.ENV_WEBHOOK_CONFIGURATION: "c",
    names.ENV_POD_NAMESPACE: "n",
    names.ENV_CERTIFICATE_SECRET: "s",
    names.ENV_API_HOST: "h",
}
PARAMETERS = command.chosen({})
SESSION_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
HOST = re.compile(r"[!-~]+")


def one_input(data: bytes) -> None:
    """Read a text as what its first letter says."""
    read = KINDS.get(data[:1])
    if read:
        read(data[1:].decode("utf-8", "replace"))


def pod_of(role: str) -> dict[str, Any]:
    """Return a labelled pod that asks for a role."""
    metadata = {"labels": {names.LABEL_ENABLED: "True"}, "annotations": {names.ANNOTATION_ROLE_ARN: role}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "app"}]}}


def arn(text: str) -> None:
    """Take what is of the form: its parts make it up again, and the policy takes it too."""
    stripped = text.strip(" \t\r\n")
    found = re.search(r"(?s)[^ \t\r\n](?:.*[^ \t\r\n])?", text)
    assert (found.group() if found else "") == stripped, "the policy strips otherwise"
    matches = re.fullmatch(ROLE_ARN_PATTERN, stripped) is not None
    refusal = judgement.refusal(Facts(pod_of(text), PARAMETERS))
    try:
        role = parse_role_arn(text)
    except ValueError as error:
        assert not matches, "the pattern takes what the parser refuses"
        assert refusal, "the webhook takes what the sidecar refuses"
        _assert_line(error)
        return
    assert matches, "the parser takes what the pattern refuses"
    assert stripped == role.text == f"arn:{role.partition}:iam::{role.account_id}:role{role.path}{role.name}"
    assert vars_of(role) == vars_of(parse_role_arn(role.text))
    assert (refusal == "") == (role.partition in PARTITIONS), refusal


def vars_of(role: object) -> list[object]:
    """Return the parts of a role."""
    return [getattr(role, name) for name in ("text", "partition", "account_id", "path", "name")]


def region(text: str) -> None:
    """Take a region as the policy's pattern does."""
    partition, _, name = text.partition(" ")
    if partition in PARTITIONS:
        matches = re.fullmatch(PARTITIONS[partition].region_pattern, name) is not None
        assert region_fits(partition, name) == matches
        assert not matches or HOST.fullmatch(PARTITIONS[partition].sts_host(name, fips=True, dualstack=True))


def glob(text: str) -> None:
    """Match as the textbook's matrix and the policy's regular expression do."""
    pattern, _, subject = text.partition("\n")
    if "\n" in subject or len(pattern) * len(subject) > 4000:
        return
    assert glob_matches(pattern, subject) == by_matrix(pattern, subject)
    if pattern.count("*") <= 3:
        assert glob_matches(pattern, subject) == by_policy(pattern, subject)


def by_matrix(pattern: str, subject: str) -> bool:
    """Tell whether a glob matches, cell by cell."""
    row = [True] + [False] * len(subject)
    for sign in pattern:
        before, row = row, [sign == "*" and row[0]]
        for at, letter in enumerate(subject):
            row.append(before[at + 1] or row[at] if sign == "*" else before[at] and sign == letter)
    return row[-1]


def by_policy(pattern: str, subject: str) -> bool:
    r"""Tell whether a glob matches as the policy has it: RE2, in which \Q...\E quotes."""
    made = POLICY_GLOB[0] + _replaced(pattern) + POLICY_GLOB[1]
    quoted = re.sub(r"(?s)\\Q(.*?)(?:\\E|\Z)", lambda found: re.escape(found[1]), made)
    return re.search(quoted, subject) is not None


def _replaced(pattern: str) -> str:
    for old, new in REPLACEMENTS:
        pattern = pattern.replace(old, new)
    return pattern


def _literals(cel: str) -> list[str]:
    """Return the text literals of an expression, as CEL reads them."""
    return [literal.replace("\\\\", "\\") for literal in re.findall(r"'((?:[^'\\]|\\.)*)'", cel)]


# Taken from the expression itself, so that this is about what the policy does.
_MATCHES = QUESTIONS["role_allowed"].partition(".matches(")[2]
_WORDS = _literals(_MATCHES)
POLICY_GLOB = (_WORDS[0], _WORDS[-1])
REPLACEMENTS = list(zip(_WORDS[1:-1:2], _WORDS[2:-1:2], strict=True))


def allowed(text: str) -> None:
    """Let a role in exactly if one of the globs of the list, without the space around it, matches."""
    listed, _, role = text.partition("\n")
    mode = {**PARAMETERS, "allowedRolesMode": "enforce"}
    facts = Facts(pod_of(role), mode, namespace_annotations={names.ANNOTATION_ALLOWED_ROLES: listed})
    globs = [each.strip() for each in listed.split(",")]
    if len(listed) * len(role) > 20000:
        return
    assert facts.role_allowed == any(by_matrix(each, facts.role_arn) for each in globs if each)


def no_proxy(text: str) -> None:
    """Read any list of hosts; * lets every host past the proxy."""
    host, _, listed = text.partition("\n")
    is_past = is_exempt(host, HTTPS_PORT, listed)
    assert is_past or "*" not in listed.split(",")


def settings(text: str) -> None:
    """Take settings of `serve` that are within their bounds and make a request that is one."""
    environ = environment(text)
    try:
        found = serve_settings({**LEAST, **environ})
    except SettingsError as error:
        elsewhere = "".join(value for key, value in environ.items() if not key.upper().endswith(names.ENV_HTTPS_PROXY))
        _assert_line(error, "" if PASSWORD in elsewhere else PASSWORD)
        return
    assert SESSION_NAME.fullmatch(found.session_name)
    assert found.imds_version in names.IMDS_VERSIONS
    for number, bounds in (
        (found.port, PORTS),
        (found.health_port, PORTS),
        (found.duration_seconds, DURATION_SECONDS),
        (found.startup_seconds, STARTUP_SECONDS),
    ):
        assert bounds[0] <= number <= bounds[1]
    host, port, path = split_url(found.sts_url)
    _assert_address(host, port)
    message = request(
        host,
        path,
        role_arn=found.role_arn,
        session_name="s",
        session_policies=found.session_policies,
        duration_seconds=900,
        token="t",
    )
    head = message.partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")
    assert re.fullmatch(r"POST /[!-~]* HTTP/1\.1", head[0])
    assert len(head) == 7, "a line of a request that is not ours"
    if found.https_proxy:
        userinfo, _, authority = found.https_proxy.rpartition("://")[2].rstrip("/").rpartition("@")
        _assert_address(*split_authority(authority, PROXY_PORT))
        assert connect_request("h:1", userinfo).count(b"\r\n") == (4 if userinfo else 3)


def _assert_address(host: str, port: int) -> None:
    assert HOST.fullmatch(host)
    assert PORTS[0] <= port <= PORTS[1]


def other_settings(text: str) -> None:
    """Read settings of `webhook` and `redirect`, or refuse them in one line."""
    environ = environment(text)
    for read, least in ((webhook_settings, LEAST_OF_WEBHOOK), (redirect_settings, {})):
        try:
            read({**least, **environ})
        except SettingsError as error:
            _assert_line(error)


def parameters(text: str) -> None:
    """Take parameters whose values the injection knows."""
    made = {**PARAMETERS, **{key: value for key, value in environment(text).items() if key in PARAMETERS}}
    try:
        check_parameters(made)
    except SettingsError as error:
        _assert_line(error)
        return
    assert all(made[key] in choices for key, choices in CHOICES.items())
    assert all(low <= int(made[key]) <= high for key, (low, high) in NUMBERS.items())
    judgement.refusal(Facts(pod_of(ROLE), made))


def environment(text: str) -> Mapping[str, str]:
    """Return lines of NAME=VALUE as a map; "%" followed by "n" stands for a line end in a value."""
    pairs = (line.partition("=") for line in text.split("\n"))
    return {name: value.replace("%n", "\n") for name, separator, value in pairs if separator}


def _assert_line(error: Exception, secret: str = "") -> None:
    message = str(error)
    assert message.isprintable(), "no error of one line"
    assert not secret or secret not in message, "a password is told"


KINDS: dict[bytes, Callable[[str], None]] = {
    b"a": arn,
    b"g": glob,
    b"l": allowed,
    b"n": no_proxy,
    b"o": other_settings,
    b"p": parameters,
    b"r": region,
    b"s": settings,
}
