"""How the containers and volumes of an injection are recognised, in Python and, beside it, in CEL.

What has our names must be what is injected, or the pod is refused and the field named. Of any image, resources, probes
and settings of an installation: other webhooks may have changed those, and the pod may come from another installation.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.injection.cel_text import param, text, texts
from emulator.injection.json_values import at, maps

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]

EMULATOR_ARGS = ["serve"]
REDIRECT_ARGS = ["redirect"]
REDIRECT_WAITS_ARGS = [*REDIRECT_ARGS, "--wait"]
REDIRECT_CAPABILITIES = ["NET_ADMIN", "NET_RAW"]
OUR_CONTAINERS = (names.REDIRECT_CONTAINER, names.EMULATOR_CONTAINER)
OUR_VOLUMES = (names.TOKEN_VOLUME, names.EMPTY_VOLUME)
TOKEN_PATH = f"{names.TOKEN_DIRECTORY}/{names.TOKEN_FILE}"

# In pods injected by 0.1.0 the role is the annotation's, read by the downward API at each start of the container.
FORMER_ROLE_FIELD = f"metadata.annotations['{names.ANNOTATION_ROLE_ARN}']"

# Another webhook may add variables to our containers, but none that our programs would read.
OWN_PREFIX = "IMDS_EMULATOR_"
ALWAYS_THERE = (
    names.ENV_OWN_ROLE_ARN,
    names.ENV_OWN_TOKEN_FILE,
    names.ENV_OWN_REGION,
    names.ENV_IMDS_VERSION,
    names.ENV_OWN_SESSION_NAME,
    names.ENV_SESSION_POLICIES,
)
KNOWN = (
    *ALWAYS_THERE,
    names.ENV_OWN_STS_ENDPOINT,
    names.ENV_OWN_USE_FIPS,
    names.ENV_OWN_USE_DUALSTACK,
    names.ENV_OWN_CA_BUNDLE,
    names.ENV_OWN_HTTPS_PROXY,
    names.ENV_OWN_NO_PROXY,
    names.ENV_ALLOW_INSECURE_ENDPOINT,
    names.ENV_PORT,
    names.ENV_HEALTH_PORT,
    names.ENV_DURATION_SECONDS,
    names.ENV_STARTUP_SECONDS,
    names.ENV_SERVE_AFTER_SIGTERM_SECONDS,
    names.ENV_END_WITH_APP_SECONDS,
    names.ENV_POD_REGION,
    names.ENV_POD_IMDS_VERSION,
)


def _odd(env: str) -> str:
    """Return CEL for the names in a list of variables that are there twice, or ours and unknown."""
    return (
        f"{env}.filter(e, !{env}.exists_one(f, f.name == e.name)"
        f" || (e.name.startsWith({text(OWN_PREFIX)}) && !(e.name in {texts(KNOWN)}))).map(e, string(e.name))"
    )


def _value(env: str, name: str) -> str:
    return f"{env}.filter(e, e.name == {text(name)}).map(e, e.?value.orValue(''))"


# CEL over `variables.our_emulator` and `variables.our_redirect`, which are asked for only where there is one of each.
EMULATOR_VARIABLES = {
    "emulator_env": "variables.our_emulator.?env.orValue([])",
    "emulator_odd": _odd("variables.emulator_env"),
}
REDIRECT_VARIABLES = {
    "redirect_env": "variables.our_redirect.?env.orValue([])",
    "redirect_odd": _odd("variables.redirect_env"),
}
IS_FORMER = (
    f"!variables.emulator_env.exists(e, e.name == {text(names.ENV_OWN_ROLE_ARN)})"
    f" && variables.emulator_env.exists(e, e.name == {text(names.ENV_ROLE_ARN)}"
    f" && e.?valueFrom.?fieldRef.?fieldPath.orValue('') == {text(FORMER_ROLE_FIELD)})"
)
_TOKEN_VARIABLE = f"(variables.former ? {text(names.ENV_TOKEN_FILE)} : {text(names.ENV_OWN_TOKEN_FILE)})"
_MISSING = f"{texts(ALWAYS_THERE)}.filter(n, !variables.former && !variables.emulator_env.exists(e, e.name == n))"
_MOUNTS = "variables.our_emulator.?volumeMounts.orValue([])"


def _chain(*rows: tuple[str, str]) -> str:
    """Return CEL for the text of the first row whose condition holds, or ''."""
    return "\n".join(f"{condition} ? {found} :" for condition, found in rows) + " ''"


def _security_rows(container: str, uid: int, added: str) -> list[tuple[str, str]]:
    context = f"{container}.?securityContext"
    user = f"{context}.?runAsUser.orValue(-1)"
    # Without a redirect, which tells the emulator by its user, the cluster may have chosen another, but not root.
    free = f"!(variables.redirects.size() == 0 && {user} != 0 && {context}.?runAsNonRoot.orValue(false))"
    return [
        (f"{user} != {uid} && {free}" if uid else f"{user} != {uid}", "'.securityContext.runAsUser'"),
        (f"{context}.?privileged.orValue(false)", "'.securityContext.privileged'"),
        (f"{context}.?allowPrivilegeEscalation.orValue(true)", "'.securityContext.allowPrivilegeEscalation'"),
        (
            (
                f"{context}.?capabilities.?add.orValue([]) != {added}"
                f" || !('ALL' in {context}.?capabilities.?drop.orValue([]))"
            ),
            "'.securityContext.capabilities'",
        ),
    ]


EMULATOR_FAULT = _chain(
    (
        "variables.emulator_at >= 0 && variables.our_emulator.?restartPolicy.orValue('') != 'Always'",
        "'.restartPolicy'",
    ),
    ("has(variables.our_emulator.command)", "'.command'"),
    (f"variables.our_emulator.?args.orValue([]) != {texts(EMULATOR_ARGS)}", "'.args'"),
    ("has(variables.our_emulator.envFrom)", "'.envFrom'"),
    ("variables.emulator_odd.size() > 0", "'.env[' + variables.emulator_odd[0] + ']'"),
    (f"{_MISSING}.size() > 0", f"'.env[' + {_MISSING}[0] + ']'"),
    (
        f"!variables.emulator_env.exists(e, e.name == {_TOKEN_VARIABLE} && e.?value.orValue('') == {text(TOKEN_PATH)})",
        f"'.env[' + {_TOKEN_VARIABLE} + ']'",
    ),
    (
        (
            f"!{_MOUNTS}.exists_one(m, m.?mountPath.orValue('').startsWith({text(names.TOKEN_DIRECTORY)}))"
            f" || !{_MOUNTS}.exists(m, m.name == {text(names.TOKEN_VOLUME)}"
            f" && m.?mountPath.orValue('') == {text(names.TOKEN_DIRECTORY)}"
            " && m.?subPath.orValue('') == '' && m.?subPathExpr.orValue('') == '')"
        ),
        "'.volumeMounts'",
    ),
    *_security_rows("variables.our_emulator", names.EMULATOR_UID, "[]"),
)

REDIRECT_FAULT = _chain(
    # What follows a container that is restarted waits for its start alone.
    ("has(variables.our_redirect.restartPolicy)", "'.restartPolicy'"),
    ("has(variables.our_redirect.command)", "'.command'"),
    (
        (
            f"!(variables.our_redirect.?args.orValue([]) == {texts(REDIRECT_ARGS)}"
            " || (variables.emulator_at >= 0"
            f" && variables.our_redirect.?args.orValue([]) == {texts(REDIRECT_WAITS_ARGS)}))"
        ),
        "'.args'",
    ),
    ("has(variables.our_redirect.envFrom)", "'.envFrom'"),
    ("variables.redirect_odd.size() > 0", "'.env[' + variables.redirect_odd[0] + ']'"),
    (
        f"{_value('variables.redirect_env', names.ENV_PORT)} != {_value('variables.emulator_env', names.ENV_PORT)}",
        f"'.env[{names.ENV_PORT}]'",
    ),
    *_security_rows("variables.our_redirect", 0, texts(REDIRECT_CAPABILITIES)),
)

_SOURCES = "v.?projected.?sources.orValue([])"
# All of a ConfigMap's keys would be files, in the token's place too.
_PATHS = "s.?configMap.?items.orValue([]).map(i, i.path)"
IS_TOKEN_VOLUME = f"""v.name == {text(names.TOKEN_VOLUME)}
 && {_SOURCES}.all(s, has(s.serviceAccountToken) || {_PATHS} == {texts([names.CA_BUNDLE_FILE])})
 && {_SOURCES}.exists_one(s, has(s.serviceAccountToken))
 && {_SOURCES}.exists(s, s.?serviceAccountToken.?audience.orValue('') == {param("tokenAudience")}
    && s.?serviceAccountToken.?path.orValue('') == {text(names.TOKEN_FILE)})"""
IS_EMPTY_VOLUME = f"""v.name == {text(names.EMPTY_VOLUME)} && has(v.downwardAPI)
 && v.?downwardAPI.?items.orValue([]).size() == 0"""


def emulator_faults(container: Object, *, is_sidecar: bool, has_redirect: bool) -> Iterator[str]:
    """Yield each field of the emulator's container that is not as injected; `is_sidecar`: it is an init container."""
    if is_sidecar and container.get("restartPolicy") != "Always":
        yield ".restartPolicy"
    yield from _program_faults(container, (EMULATOR_ARGS,))
    variables = {entry.get("name"): entry.get("value") for entry in maps(container, "env")}
    former = is_former(container)
    yield from (f".env[{name}]" for name in ALWAYS_THERE if not former and name not in variables)
    token = names.ENV_TOKEN_FILE if former else names.ENV_OWN_TOKEN_FILE
    if variables.get(token) != TOKEN_PATH:
        yield f".env[{token}]"
    mounts = [m for m in maps(container, "volumeMounts") if _text(m, "mountPath").startswith(names.TOKEN_DIRECTORY)]
    if len(mounts) != 1 or not _is_token_mount(mounts[0]):
        yield ".volumeMounts"
    yield from _security_faults(container, names.EMULATOR_UID, [], any_user=not has_redirect)


def redirect_faults(container: Object, emulator: Object, *, is_sidecar: bool) -> Iterator[str]:
    """Yield each field of the redirect's container that is not as injected; `is_sidecar`: of the emulator."""
    if container.get("restartPolicy"):
        yield ".restartPolicy"
    yield from _program_faults(container, (REDIRECT_ARGS, REDIRECT_WAITS_ARGS) if is_sidecar else (REDIRECT_ARGS,))
    if _values(container, names.ENV_PORT) != _values(emulator, names.ENV_PORT):
        yield f".env[{names.ENV_PORT}]"
    yield from _security_faults(container, 0, REDIRECT_CAPABILITIES)


def is_former(container: Object) -> bool:
    """Tell whether an emulator's role is the annotation's, as 0.1.0 had it."""
    entries = maps(container, "env")
    return not any(entry.get("name") == names.ENV_OWN_ROLE_ARN for entry in entries) and any(
        entry.get("name") == names.ENV_ROLE_ARN and at(entry, "valueFrom", "fieldRef", "fieldPath") == FORMER_ROLE_FIELD
        for entry in entries
    )


def is_token_volume(volume: Object, audience: str) -> bool:
    """Tell whether a volume has the one token that we project, and nothing else but a ConfigMap's authority."""
    sources = maps(volume, "projected", "sources")
    tokens = [source["serviceAccountToken"] for source in sources if source.get("serviceAccountToken") is not None]
    return (
        volume.get("name") == names.TOKEN_VOLUME
        and all(
            source.get("serviceAccountToken") is not None
            or [item.get("path") for item in maps(source, "configMap", "items")] == [names.CA_BUNDLE_FILE]
            for source in sources
        )
        and [(at(token, "audience"), at(token, "path")) for token in tokens] == [(audience, names.TOKEN_FILE)]
    )


def is_empty_volume(volume: Object) -> bool:
    """Tell whether a volume is the empty one that keeps the API token out."""
    return (
        volume.get("name") == names.EMPTY_VOLUME
        and volume.get("downwardAPI") is not None
        and not maps(volume, "downwardAPI", "items")
    )


def _program_faults(container: Object, args: tuple[list[str], ...]) -> Iterator[str]:
    if container.get("command"):
        yield ".command"
    if container.get("args") not in args:
        yield ".args"
    if container.get("envFrom"):
        yield ".envFrom"
    counts = Counter(entry.get("name") or "" for entry in maps(container, "env"))
    for name, count in counts.items():
        if count > 1 or (name.startswith(OWN_PREFIX) and name not in KNOWN):
            yield f".env[{name}]"


def _security_faults(container: Object, uid: int, added: list[str], *, any_user: bool = False) -> Iterator[str]:
    context = at(container, "securityContext")
    user = at(context, "runAsUser")
    is_free = any_user and user != 0 and at(context, "runAsNonRoot") is True
    if user != uid and not is_free:
        yield ".securityContext.runAsUser"
    if at(context, "privileged"):
        yield ".securityContext.privileged"
    if at(context, "allowPrivilegeEscalation") is not False:
        yield ".securityContext.allowPrivilegeEscalation"
    dropped = at(context, "capabilities", "drop")
    if (at(context, "capabilities", "add") or []) != added or not isinstance(dropped, list) or "ALL" not in dropped:
        yield ".securityContext.capabilities"


def _is_token_mount(mount: Object) -> bool:
    is_whole = not mount.get("subPath") and not mount.get("subPathExpr")
    return mount.get("name") == names.TOKEN_VOLUME and mount.get("mountPath") == names.TOKEN_DIRECTORY and is_whole


def _values(container: Object, name: str) -> list[Any]:
    return [entry.get("value") or "" for entry in maps(container, "env") if entry.get("name") == name]


def _text(value: Object, key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
