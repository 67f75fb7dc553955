"""How the containers and the volume of an injection are known again, in Python and, beside it, in CEL.

Goes in: a container, a volume.
Comes out: whether it is what is injected, of whatever version and settings; other webhooks may since have
changed its image or added to it. Nobody gains by feigning it: who may create pods may have one do the same.
"""

from __future__ import annotations

from typing import Any

from emulator import names
from emulator.injection.cel_text import text, texts
from emulator.injection.json_values import at, maps

Object = dict[str, Any]

EMULATOR_ARGS = ["serve"]
REDIRECT_ARGS = ["redirect"]
OUR_CONTAINERS = (names.REDIRECT_CONTAINER, names.EMULATOR_CONTAINER)
OUR_VOLUMES = (names.TOKEN_VOLUME, names.EMPTY_VOLUME)
ROLE_ARN_FIELD = f"metadata.annotations['{names.ANNOTATION_ROLE_ARN}']"

IS_EMULATOR = f"""c.name == {text(names.EMULATOR_CONTAINER)} && !has(c.command)
 && c.?args.orValue([]) == {texts(EMULATOR_ARGS)}
 && c.?env.orValue([]).exists(e, e.name == {text(names.ENV_ROLE_ARN)}
    && e.?valueFrom.?fieldRef.?fieldPath.orValue('') == {text(ROLE_ARN_FIELD)})
 && c.?volumeMounts.orValue([]).exists(m, m.name == {text(names.TOKEN_VOLUME)}
    && m.mountPath == {text(names.TOKEN_DIRECTORY)})"""

IS_REDIRECT = f"""c.name == {text(names.REDIRECT_CONTAINER)} && !has(c.command)
 && c.?args.orValue([]) == {texts(REDIRECT_ARGS)}
 && c.?securityContext.?capabilities.?add.orValue([]).exists(a, a == 'NET_ADMIN')"""

IS_TOKEN_VOLUME = f"""v.name == {text(names.TOKEN_VOLUME)}
 && v.?projected.?sources.orValue([]).exists(s, has(s.serviceAccountToken))"""


def is_emulator(container: Object) -> bool:
    """Tell whether a container serves the role of the annotation by the token that we mount."""
    if not _runs(container, names.EMULATOR_CONTAINER, EMULATOR_ARGS):
        return False
    has_role = any(
        entry.get("name") == names.ENV_ROLE_ARN and at(entry, "valueFrom", "fieldRef", "fieldPath") == ROLE_ARN_FIELD
        for entry in maps(container, "env")
    )
    has_token = any(
        mount.get("name") == names.TOKEN_VOLUME and mount.get("mountPath") == names.TOKEN_DIRECTORY
        for mount in maps(container, "volumeMounts")
    )
    return has_role and has_token


def is_redirect(container: Object) -> bool:
    """Tell whether a container may redirect, and does."""
    added = at(container, "securityContext", "capabilities", "add")
    may = isinstance(added, list) and "NET_ADMIN" in added
    return _runs(container, names.REDIRECT_CONTAINER, REDIRECT_ARGS) and may


def is_token_volume(volume: Object) -> bool:
    """Tell whether a volume is one of a projected service account token."""
    sources = maps(volume, "projected", "sources")
    return volume.get("name") == names.TOKEN_VOLUME and any(source.get("serviceAccountToken") for source in sources)


def _runs(container: Object, name: str, args: list[str]) -> bool:
    return container.get("name") == name and not container.get("command") and container.get("args") == args
