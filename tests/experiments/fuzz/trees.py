"""Edits of JSON: keys and values taken out, put in, moved and exchanged for what admission knows, or does not expect.

A value is edited in one to three places.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

from emulator import names

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

ROLE = "arn:aws:iam::123456789012:role/app"
ANNOTATIONS = (
    names.ANNOTATION_ROLE_ARN,
    names.ANNOTATION_IMDS_VERSION,
    names.ANNOTATION_REGION,
    names.ANNOTATION_REDIRECT,
    names.ANNOTATION_APP_REGION,
    names.ANNOTATION_END_WITH_APP,
    "kubernetes.io/config.mirror",
    "kubectl.kubernetes.io/default-container",
)
KEYS = (
    *ANNOTATIONS,
    names.LABEL_ENABLED,
    *("apiVersion", "kind", "request", "uid", "operation", "object", "group", "subResource", "namespace", "dryRun"),
    *("metadata", "labels", "annotations", "name", "generateName", "ownerReferences", "spec", "template", "items"),
    *("containers", "initContainers", "volumes", "imagePullSecrets", "securityContext", "nodeSelector", "os", "env"),
    *("ports", "containerPort", "protocol", "volumeMounts", "mountPath", "args", "command", "valueFrom", "fieldRef"),
    *("fieldPath", "value", "hostNetwork", "hostPID", "shareProcessNamespace", "restartPolicy", "capabilities", "add"),
    *("appArmorProfile", "type", "projected", "sources", "serviceAccountToken", "jobTemplate", "data"),
)
TEXTS = (
    *KEYS,
    *("", "x", "True", "true", "false", "no", "v1-and-v2", "v2", "env", "iptables", "windows", "Localhost", "Always"),
    *("CREATE", "UPDATE", "Pod", "Job", "CronJob", "Deployment", "List", "PodList", "Never", "TCP", "UDP", "NET_ADMIN"),
    *("serve", "redirect", names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER, names.TOKEN_VOLUME, names.EMPTY_VOLUME),
    *(names.ENV_ROLE_ARN, names.ENV_REGION, names.ENV_SERVICE_ENDPOINT, names.TOKEN_DIRECTORY, "AWS_ACCESS_KEY_ID"),
    *(ROLE, "arn:aws-cn:iam::123456789012:role/app", f"{ROLE}\n", "eu-west-1", "cn-north-1", "mars-1", "team-a"),
    *("\0", "\ud800", "a\nb: c", "{{", '"', "'", "# c", "é", "\u2028", "-", "~", "0x1F", "1e3", "2026-11-25"),
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    80,
    16925,
    16926,
    2**63,
    1.5,
    math.nan,
    math.inf,
    [],
    {},
    [[]],
    [{}],
    {"name": []},
)


def edited(tree: Any, chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """Return the tree with a few edits."""
    whole = [copy.deepcopy(tree)]
    for _ in range(chance.randint(1, 3)):
        places = list(_places(whole))
        if not places:
            break
        parent, key = chance.choice(places)
        chance.choice(EDITS)(parent, key, chance, places)
    return whole[0] if whole else None


def _places(node: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - any JSON
    """Return list or map, and index or key, of every value."""
    keys = range(len(node)) if isinstance(node, list) else list(node) if isinstance(node, dict) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])


def _value(chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    return chance.choice(TEXTS) if chance.random() < 2 / 3 else copy.deepcopy(chance.choice(VALUES))


def _exchange(parent: Any, key: Any, chance: random.Random, _places: Any) -> None:  # noqa: ANN401 - any JSON
    parent[key] = _value(chance)


def _take_out(parent: Any, key: Any, _chance: random.Random, _places: Any) -> None:  # noqa: ANN401 - any JSON
    del parent[key]


def _put_in(parent: Any, key: Any, chance: random.Random, _places: Any) -> None:  # noqa: ANN401 - any JSON
    inside = parent[key] if isinstance(parent[key], dict | list) else parent
    if isinstance(inside, dict):
        inside[chance.choice(KEYS)] = _value(chance)
    else:
        inside.insert(chance.randint(0, len(inside)), _value(chance))


def _copy(parent: Any, key: Any, chance: random.Random, places: Any) -> None:  # noqa: ANN401 - any JSON
    """Put here what is elsewhere."""
    other, where = chance.choice(places)
    parent[key] = copy.deepcopy(other[where])


def _double(parent: Any, key: Any, chance: random.Random, _places: Any) -> None:  # noqa: ANN401 - any JSON
    """Put it once more into its list."""
    if isinstance(parent, list):
        parent.insert(chance.randint(0, len(parent)), copy.deepcopy(parent[key]))


def _rename(parent: Any, key: Any, chance: random.Random, _places: Any) -> None:  # noqa: ANN401 - any JSON
    if isinstance(parent, dict):
        parent[chance.choice(KEYS)] = parent.pop(key)


EDITS = (_exchange, _exchange, _take_out, _put_in, _put_in, _copy, _double, _rename)
