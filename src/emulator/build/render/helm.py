"""The words of manifests/*/*.j2 as Helm actions: `value("sts.region")` is `{{ .Values.sts.region | quote }}`.

`kustomize` defines the same words, so that a manifest need not know which of the two it is rendered for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emulator.build.render.values import to_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ABSENT = object()


class Helm:
    """Each public name but `words` is a word."""

    name = '{{ include "imds-emulator.fullname" . }}'
    namespace = "{{ .Release.Namespace }}"
    service_account = '{{ include "imds-emulator.serviceAccountName" . }}'
    certificate_secret = '{{ include "imds-emulator.certificateSecret" . }}'  # noqa: S105 - the name of a Secret
    mutating_policy_api = '{{ include "imds-emulator.mutatingPolicyApi" . }}'
    parameters_checksum = (
        'checksum/parameters: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}'
    )

    def words(self) -> dict[str, Any]:
        """Return word -> string or function."""
        return {word: getattr(self, word) for word in dir(self) if not word.startswith("_") and word != "words"}

    def labels(self, indent: int, more: str = "") -> str:
        """Print the labels of an object, with those of the map at `more`, which win."""
        if not more:
            return _include("labels", indent)
        ours = '(include "imds-emulator.labels" . | fromYaml)'
        return f"{{{{- toYaml (mergeOverwrite {ours} (.Values.{more} | default dict)) | nindent {indent} }}}}"

    def merged(self, indent: int, ours: dict[str, str], *paths: str) -> str:
        """Print `ours` with the maps at `paths`, of which a later one wins."""
        return f"{{{{- toYaml ({_merged(ours, paths)}) | nindent {indent} }}}}"

    def annotations(self, indent: int, ours: dict[str, str] | None = None, more: str = "") -> str:
        """Print the key `annotations`: `ours`, those of every object, those of the map at `more`; nothing if empty."""
        margin, inner = " " * indent, indent + 2
        return (
            f"{{{{- with {_merged(ours or {}, ('commonAnnotations', more) if more else ('commonAnnotations',))} }}}}\n"
            f"{margin}annotations:\n{' ' * inner}{{{{- toYaml . | nindent {inner} }}}}\n{margin}{{{{- end }}}}"
        )

    def selector_labels(self, indent: int) -> str:
        """Print the labels that select the webhook's pods."""
        return _include("selectorLabels", indent)

    def pod_labels(self, indent: int) -> str:
        """Print the labels of the webhook's pods."""
        return _include("podLabels", indent)

    def pull_secrets(self, indent: int) -> str:
        """Print the pull secrets of the webhook's pods, or nothing where there are none."""
        return f'{{{{- with include "imds-emulator.pullSecrets" . }}}}{{{{ . | nindent {indent} }}}}{{{{- end }}}}'

    def namespace_selector(self, indent: int) -> str:
        """Print the selector of the namespaces that are injected."""
        return _include("namespaceSelector", indent)

    def value(self, path: str) -> str:
        """Print the value at `path` as a string."""
        return f"{{{{ .Values.{path} | quote }}}}"

    def optional(self, path: str) -> str:
        """Print the value at `path` as a string, empty where the operator took it away with `null`."""
        return f'{{{{ .Values.{path} | default "" | quote }}}}'

    def number(self, path: str) -> str:
        """Print the value at `path` as it is."""
        return f"{{{{ .Values.{path} }}}}"

    def base64(self, path: str) -> str:
        """Print the text at `path` in base64."""
        return f"{{{{ .Values.{path} | b64enc }}}}"

    def joined(self, path: str, attribute: str = "") -> str:
        """Print a list, or one attribute of its items, as one string with commas."""
        if not attribute:
            return f'{{{{ join "," (.Values.{path} | default list) | quote }}}}'
        item = f"{{{{ if $i }}}},{{{{ end }}}}{{{{ .{attribute} }}}}"
        return f'"{{{{ range $i, $_ := .Values.{path} }}}}{item}{{{{ end }}}}"'

    def image(self, path: str) -> str:
        """Print the full name of an image."""
        return f'{{{{ include "imds-emulator.image" (dict "image" .Values.{path} "key" "{path}" "root" .) | quote }}}}'

    def parameters(self, indent: int, keys: Iterable[str]) -> str:
        """Print the map of some parameters in CEL."""
        listed = " ".join(json.dumps(key) for key in keys)
        include = f'include "imds-emulator.parameters" (dict "root" . "keys" (list {listed}))'
        return f"|-\n{' ' * indent}{{{{- {include} | nindent {indent} }}}}"

    def parameters_apart(self, caller: Callable[[], str]) -> str:  # noqa: ARG002 - as kustomize's
        """Print nothing: policies have the parameters in themselves.

        An API server whose last policy with parameters was removed does not find those of the next, installed again
        (kubernetes/kubernetes#130887).
        """
        return ""

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

    def chart_file(self, path: str, indent: int) -> str:
        """Print a file of the chart."""
        return f'{{{{- .Files.Get "{path}" | nindent {indent} }}}}'

    def yaml(self, data: Any, indent: int) -> str:  # noqa: ANN401 - YAML
        """Print data that is not a value; Helm leaves all but its own double braces alone."""
        return to_yaml(data, indent).replace("{{", '{{ "{{" }}')

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


def _include(name: str, indent: int) -> str:
    return f'{{{{- include "imds-emulator.{name}" . | nindent {indent} }}}}'


def _merged(ours: dict[str, str], paths: tuple[str, ...]) -> str:
    words = "".join(f" {json.dumps(word)}" for pair in ours.items() for word in pair)
    return f"mergeOverwrite (dict{words})" + "".join(f" (.Values.{path} | default dict)" for path in paths)


def _key(path: str) -> str:
    return path.rsplit(".", maxsplit=1)[-1]
