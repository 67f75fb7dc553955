"""docs/reference.md: keys, variables and metrics, read from the code that obeys them.

The chart's values are in its README, which the page copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator import names
from emulator.injection.steps import PARAMETERS
from emulator.settings import OWN_NAMES
from emulator.sidecar import exposition
from emulator.variables import SERVE
from emulator.webhook import metrics as webhook_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

POD_KEYS = {
    f"label `{names.LABEL_ENABLED}`": f'exactly `"{names.LABEL_ENABLED_VALUE}"` turns the emulator on; required',
    f"annotation `{names.ANNOTATION_ROLE_ARN}`": "ARN of the role; required",
    f"annotation `{names.ANNOTATION_IMDS_VERSION}`": " or ".join(f"`{choice}`" for choice in names.IMDS_VERSIONS),
    f"annotation `{names.ANNOTATION_REGION}`": "region of the STS endpoint",
    f"annotation `{names.ANNOTATION_SESSION_NAME}`": "name of the role session; default: NAMESPACE.POD",
    f"annotation `{names.ANNOTATION_SESSION_POLICIES}`": "ARNs of session policies, separated by commas, at most 10",
    f"annotation `{names.ANNOTATION_REDIRECT}`": " or ".join(f"`{choice}`" for choice in names.REDIRECT_MODES),
    f"annotation `{names.ANNOTATION_APP_REGION}`": "`true` or `false`: give the containers `AWS_REGION`",
    f"annotation `{names.ANNOTATION_CPU_REQUEST}`": "CPU that each injected container requests",
    f"annotation `{names.ANNOTATION_CPU_LIMIT}`": "CPU limit of each; in a Guaranteed pod the request equals it",
    f"annotation `{names.ANNOTATION_MEMORY_REQUEST}`": "memory that each requests",
    f"annotation `{names.ANNOTATION_MEMORY_LIMIT}`": "memory limit of each; `32Mi` at least",
    f"annotation `{names.ANNOTATION_END_WITH_APP}`": (
        "`true` or `false`, classic sidecar only: does it end once the app has? Default: `true` for Jobs, otherwise"
        " `false`"
    ),
}
NAMESPACE_KEYS = {
    f"annotation `{names.ANNOTATION_ALLOWED_ROLES}`": "globs of role ARNs that its pods may request, by commas",
}


def reference(values_table: str) -> str:
    """Return the page; `values_table`: the Markdown table of the chart's values."""
    parts = [
        "# Reference",
        "## A pod's keys",
        _table(("key", "meaning"), POD_KEYS.items()),
        "## A namespace's keys",
        _table(("key", "meaning"), NAMESPACE_KEYS.items()),
        "## Variables of `imds-emulator serve`",
        "The chart sets them; by hand, `serve` runs anywhere with the first two. An empty variable counts as unset.",
        _table(("variable", "meaning"), ((f"`{name}`", meaning) for name, meaning in SERVE.items())),
        "An injected pod uses the emulator's own names. Where the first is set, the SDKs' names are ignored.",
        _table(("by hand", "in a pod"), ((f"`{name}`", f"`{own}`") for name, own in OWN_NAMES.items() if name != own)),
        f"## Metrics of the emulator, port {names.HEALTH_PORT_DEFAULT}",
        _metrics(exposition.TABLE),
        "## Metrics of the webhook",
        _metrics(webhook_metrics.TABLE),
        "## Parameters of the injection",
        "In the ConfigMap `imds-emulator-parameters`, of chart and kustomize; `inject` takes them by `--set`, too.",
        _table(("parameter", "meaning"), ((f"`{name}`", meaning) for name, meaning in PARAMETERS.items())),
        "## Values of the chart",
        values_table.rstrip(),
    ]
    return "\n\n".join(["<!-- Made by `make render` -->", *parts]) + "\n"


def _metrics(table: dict[str, tuple[str, tuple[str, ...], str]]) -> str:
    rows = (
        (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), purpose)
        for name, (kind, labels, purpose) in table.items()
    )
    return _table(("metric", "type", "labels", "meaning"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
