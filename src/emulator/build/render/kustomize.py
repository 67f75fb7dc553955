"""The words of manifests/*/*.j2 as plain text: what Helm prints at the chart's default values.

Release and namespace are `imds-emulator`. `helm` defines the same words, so that a manifest need not know which of the
two it is rendered for.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from emulator import __version__, names
from emulator.build.render.values import CHART, to_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ABSENT = object()
_SELECTOR = {"app.kubernetes.io/name": names.APP, "app.kubernetes.io/instance": names.APP}
_LABELS = {**_SELECTOR, "app.kubernetes.io/version": __version__, "app.kubernetes.io/managed-by": "kustomize"}


class Kustomize:
    """Each public name but `words` is a word."""

    name = names.APP
    namespace = names.APP
    service_account = names.APP
    certificate_secret = f"{names.APP}-certificate"
    mutating_policy_api = "admissionregistration.k8s.io/v1"
    parameters_checksum = ""  # the webhook rereads its parameters; the chart's checksum only makes that sooner

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def words(self) -> dict[str, Any]:
        """Return word -> string or function."""
        return {word: getattr(self, word) for word in dir(self) if not word.startswith("_") and word != "words"}

    def labels(self, indent: int, more: str = "") -> str:
        """Print the labels of an object, with those of the map at `more`, which win."""
        return to_yaml({**_LABELS, **(self._get(more) if more else {})}, indent)

    def merged(self, indent: int, ours: dict[str, str], *paths: str) -> str:
        """Print `ours` with the maps at `paths`, of which a later one wins."""
        return to_yaml(self._merged(ours, *paths), indent)

    def annotations(self, indent: int, ours: dict[str, str] | None = None, more: str = "") -> str:
        """Print the key `annotations`: `ours`, those of every object, those of the map at `more`; nothing if empty."""
        found = self._merged(ours or {}, "commonAnnotations", *([more] if more else []))
        return f"annotations:\n{' ' * (indent + 2)}{to_yaml(found, indent + 2)}" if found else ""

    def _merged(self, ours: dict[str, str], *paths: str) -> dict[str, str]:
        return {key: value for part in (ours, *map(self._get, paths)) for key, value in part.items()}

    def selector_labels(self, indent: int) -> str:
        """Print the labels that select the webhook's pods."""
        return to_yaml(_SELECTOR, indent)

    def pod_labels(self, indent: int) -> str:
        """Print the labels of the webhook's pods."""
        return to_yaml(_SELECTOR, indent)

    def pull_secrets(self, indent: int) -> str:
        """Print the pull secrets of the webhook's pods, or nothing where there are none."""
        return self.tree("imagePullSecrets", indent)

    def namespace_selector(self, indent: int) -> str:
        """Print the selector of the namespaces that are injected."""
        excluded = [*self._get("namespaces.excluded"), self.namespace]
        expression = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded}
        return to_yaml({"matchExpressions": [expression]}, indent)

    def value(self, path: str) -> str:
        """Print the default at `path` as a string."""
        default = self._get(path)
        return json.dumps(json.dumps(default) if isinstance(default, bool) else str(default))

    optional = value

    def number(self, path: str) -> str:
        """Print the default at `path` as it is."""
        return str(self._get(path))

    def base64(self, path: str) -> str:
        """Print the text at `path` in base64."""
        return b64encode(self._get(path).encode()).decode()

    def joined(self, path: str, attribute: str = "") -> str:
        """Print a list, or one attribute of its items, as one string with commas."""
        return json.dumps(",".join(item[attribute] if attribute else item for item in self._get(path)))

    def image(self, path: str) -> str:
        """Print the full name of an image."""
        return json.dumps(f"{self._get(path)['repository']}:{__version__}")

    def parameters(self, indent: int, keys: Iterable[str]) -> str:  # noqa: ARG002 - as Helm's
        """Print the map of the parameters in CEL."""
        return "params.data"

    def parameters_apart(self, caller: Callable[[], str]) -> str:
        """Print the block: policies read the ConfigMap, for a kustomization on top can't reach into an expression."""
        return caller()

    def text(self, path: str, indent: int) -> str:  # noqa: ARG002 - as Helm's
        """Print the key and its string, or nothing where the string is empty."""
        return f"{_key(path)}: {self.value(path)}" if self._get(path) else ""

    def tree(self, path: str, indent: int, key: str | None = None) -> str:
        """Print the key (an empty one: none) and what is under it, or nothing where that is empty."""
        default, title = self._get(path), _key(path) if key is None else key
        if not default:
            return ""
        return f"{title}:\n{' ' * (indent + 2)}{to_yaml(default, indent + 2)}" if title else to_yaml(default, indent)

    def chart_file(self, path: str, indent: int) -> str:
        """Print a file of the chart."""
        return (CHART / path).read_text().rstrip().replace("\n", "\n" + " " * indent)

    def yaml(self, data: Any, indent: int) -> str:  # noqa: ANN401 - YAML
        """Print data that is not a value."""
        return to_yaml(data, indent)

    def when(self, path: str, equals: object = _ABSENT, caller: Callable[[], str] = str) -> str:
        """Print the block if the default is not empty, or equals."""
        default = self._get(path)
        return caller() if (bool(default) if equals is _ABSENT else default == equals) else ""

    def unless(self, path: str, equals: object = _ABSENT, caller: Callable[[], str] = str) -> str:
        """Print the block if `when` would not."""
        return "" if self.when(path, equals, caller=lambda: "yes") else caller()

    def since(self, version: str, caller: Callable[[], str] = str) -> str:  # noqa: ARG002 - as Helm's
        """Print the block: kustomize knows no API server, so these files are for a current one."""
        return caller()

    def _get(self, path: str) -> Any:  # noqa: ANN401 - YAML
        found: Any = self._values
        for part in path.split("."):
            if part not in found:
                raise KeyError(f"{path} is not in values.yaml; add it there, or correct the template")
            found = found[part]
        return found


def _key(path: str) -> str:
    return path.rsplit(".", maxsplit=1)[-1]
