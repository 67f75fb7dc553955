"""The words that manifests/*/*.j2 use, in two tongues: as Helm actions, and as plain text at the chart's defaults.

Goes in: the default values, for plain text. Comes out: `words()`, the names that a template may use; both targets
have the same ones, so a template never asks which it is written for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from emulator import __version__, names

if TYPE_CHECKING:
    from collections.abc import Callable

_ABSENT = object()


class Helm:
    """Prints Helm actions: `value("sts.region")` is `{{ .Values.sts.region | quote }}`."""

    def words(self) -> dict[str, Any]:
        """Return name -> string or function, for the templates' use."""
        return {
            "name": _include("fullname"),
            "namespace": "{{ .Release.Namespace }}",
            "service_account": _include("serviceAccountName"),
            "certificate_secret": _include("certificateSecret"),
            "mutating_policy_api": _include("mutatingPolicyApi"),
            "labels": lambda indent: _include("labels", indent),
            "selector_labels": lambda indent: _include("selectorLabels", indent),
            "pod_labels": lambda indent: _include("podLabels", indent),
            "namespace_selector": lambda indent: _include("namespaceSelector", indent),
            "ca_bundle": lambda: (
                '{{- if eq .Values.certificate.mode "secret" }}{{- with .Values.certificate.caBundle }}\n'
                "      caBundle: {{ . | b64enc }}\n"
                "      {{- end }}{{- end }}"
            ),
            # Helm leaves all but its own double braces alone.
            "yaml": lambda value, indent: _yaml(value, indent).replace("{{", '{{ "{{" }}'),
            "parameters_checksum": lambda: (
                'checksum/parameters: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}'
            ),
            **{name: getattr(self, name) for name in _SHARED},
        }

    def value(self, path: str) -> str:
        """Print the value at `path` as a string."""
        return f"{{{{ .Values.{path} | quote }}}}"

    def optional(self, path: str) -> str:
        """Print the value at `path` as a string, empty where the operator took it away with `null`."""
        return f'{{{{ .Values.{path} | default "" | quote }}}}'

    def number(self, path: str) -> str:
        """Print the value at `path` as it is."""
        return f"{{{{ .Values.{path} }}}}"

    def text(self, path: str, indent: int) -> str:
        """Print the key and its string, or nothing where the string is empty."""
        margin = " " * indent
        return f"{{{{- with .Values.{path} }}}}\n{margin}{_key(path)}: {{{{ . | quote }}}}\n{margin}{{{{- end }}}}"

    def tree(self, path: str, indent: int, key: str | None = None) -> str:
        """Print the key (an empty one: none) and what is under it, unchanged, or nothing where that is empty."""
        title = _key(path) if key is None else key
        begin, inner = (f"\n{' ' * indent}{title}:", indent + 2) if title else ("", indent)
        return (
            f"{{{{- with .Values.{path} }}}}{begin}\n"
            f"{' ' * inner}{{{{- toYaml . | nindent {inner} }}}}\n"
            f"{' ' * indent}{{{{- end }}}}"
        )

    def joined(self, path: str, attribute: str = "") -> str:
        """Print a list, or one attribute of its items, as one string with commas."""
        item = f".{attribute}" if attribute else "."
        inner = f"{{{{ range $i, $_ := .Values.{path} }}}}{{{{ if $i }}}},{{{{ end }}}}{{{{ {item} }}}}{{{{ end }}}}"
        return f'"{inner}"'

    def image(self, path: str) -> str:
        """Print the full name of an image."""
        return f'{{{{ include "imds-emulator.image" (dict "image" .Values.{path} "root" .) | quote }}}}'

    def when(self, path: str, equals: object = _ABSENT, caller: Callable[[], str] = str) -> str:
        """Print the block where the value is not empty, or equals."""
        test = f".Values.{path}" if equals is _ABSENT else f"eq .Values.{path} {json.dumps(equals)}"
        return f"{{{{- if {test} }}}}\n{caller()}{{{{- end }}}}\n"

    def unless(self, path: str, equals: object = _ABSENT, caller: Callable[[], str] = str) -> str:
        """Print the block where `when` would not."""
        test = f"not .Values.{path}" if equals is _ABSENT else f"ne .Values.{path} {json.dumps(equals)}"
        return f"{{{{- if {test} }}}}\n{caller()}{{{{- end }}}}\n"

    def since(self, version: str, caller: Callable[[], str] = str) -> str:
        """Print the block where the API server has this version or a later one, whatever its vendor's suffix."""
        return (
            f'{{{{- if semverCompare ">={version}-0" .Capabilities.KubeVersion.Version }}}}\n{caller()}{{{{- end }}}}\n'
        )


class Kustomize:
    """Prints what Helm would at the chart's default values, for release and namespace `imds-emulator`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def words(self) -> dict[str, Any]:
        """Return name -> string or function, for the templates' use."""
        own = {"app.kubernetes.io/name": names.APP, "app.kubernetes.io/instance": names.APP}
        all_labels = {**own, "app.kubernetes.io/version": __version__, "app.kubernetes.io/managed-by": "kustomize"}
        excluded = [names.APP, *self._get("namespaces.excluded")]
        selector = {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded}]
        }
        return {
            "name": names.APP,
            "namespace": names.APP,
            "service_account": names.APP,
            "certificate_secret": f"{names.APP}-certificate",
            "mutating_policy_api": "admissionregistration.k8s.io/v1",
            "labels": lambda indent: _yaml(all_labels, indent),
            "selector_labels": lambda indent: _yaml(own, indent),
            "pod_labels": lambda indent: _yaml(own, indent),
            "namespace_selector": lambda indent: _yaml(selector, indent),
            "ca_bundle": str,
            "yaml": _yaml,
            # The webhook rereads its parameters; the chart's checksum only makes that sooner.
            "parameters_checksum": str,
            **{name: getattr(self, name) for name in _SHARED},
        }

    def value(self, path: str) -> str:
        """Print the default at `path` as a string."""
        default = self._get(path)
        return json.dumps(json.dumps(default) if isinstance(default, bool) else str(default))

    optional = value

    def number(self, path: str) -> str:
        """Print the default at `path` as it is."""
        return str(self._get(path))

    def text(self, path: str, indent: int) -> str:  # noqa: ARG002 - as Helm's
        """Print the key and its string, or nothing where the string is empty."""
        return f"{_key(path)}: {self.value(path)}" if self._get(path) else ""

    def tree(self, path: str, indent: int, key: str | None = None) -> str:
        """Print the key (an empty one: none) and what is under it, or nothing where that is empty."""
        default, title = self._get(path), _key(path) if key is None else key
        if not default:
            return ""
        return f"{title}:\n{' ' * (indent + 2)}{_yaml(default, indent + 2)}" if title else _yaml(default, indent)

    def joined(self, path: str, attribute: str = "") -> str:
        """Print a list, or one attribute of its items, as one string with commas."""
        return json.dumps(",".join(item[attribute] if attribute else item for item in self._get(path)))

    def image(self, path: str) -> str:
        """Print the full name of an image."""
        return json.dumps(f"{self._get(path)['repository']}:{__version__}")

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


_SHARED = ("value", "optional", "number", "text", "tree", "joined", "image", "when", "unless", "since")


def _include(name: str, indent: int = 0) -> str:
    if indent:
        return f'{{{{- include "imds-emulator.{name}" . | nindent {indent} }}}}'
    return f'{{{{ include "imds-emulator.{name}" . }}}}'


def _key(path: str) -> str:
    return path.rsplit(".", maxsplit=1)[-1]


def _yaml(value: Any, indent: int) -> str:  # noqa: ANN401 - YAML
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000).rstrip()
    return text.replace("\n", "\n" + " " * indent)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
