"""`imds-emulator inject`: injects manifests before they are applied, for clusters where nothing is installed.

Prints the manifests, injected, with exit status 0; or none of them, with status 1 and the reasons on standard error.
`--krm` makes it a KRM function, for kustomize's transformers and kpt; `--check` only reports.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.cli.manifests.places import Owner, find, shown_path
from emulator.cli.manifests.places import Path as PlacePath
from emulator.injection import judgement, patch
from emulator.injection.facts import Facts
from emulator.injection.json_values import at
from emulator.injection.parameters import check_parameters, parameter_warnings
from emulator.injection.pod import MIRROR_ANNOTATION
from emulator.injection.shapes import shape_fault
from emulator.injection.steps import PARAMETERS
from emulator.settings import SettingsError
from emulator.terminal import show

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from emulator.cli.manifests.documents import Document
    from emulator.cli.manifests.places import Place

DEFAULTS = Path(__file__).with_name("default_parameters.json")
SUFFIXES = (".yaml", ".yml", ".json")
RESOURCE_LIST = "ResourceList"
LABEL_WORD = names.LABEL_ENABLED.rpartition("/")[2]  # a slash can be written in two ways


class InputError(Exception):
    """What was given can't be used; the message is one line that names it."""


@dataclass(frozen=True)
class Note:
    """What was found of one pod, or of one label without a pod. `where`: file and document."""

    where: str
    title: str
    message: str
    owner: Owner
    path: PlacePath

    @property
    def line(self) -> str:
        """The note as a line."""
        return f"{self.where}: {self.title}: {self.message}"

    @property
    def reference(self) -> dict[str, Any]:
        """Object and field, as in a result of a KRM function."""
        owner = self.owner
        named = {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "namespace": owner.namespace}
        reference: dict[str, Any] = {"resourceRef": {key: value for key, value in named.items() if value}}
        return reference | ({"field": {"path": shown_path(self.path)}} if self.path else {})


@dataclass
class Report:
    """What was found. `refused` and `stray` end the command with status 1."""

    refused: list[Note] = field(default_factory=list)
    stray: list[Note] = field(default_factory=list)
    warned: list[Note] = field(default_factory=list)
    found: list[Note] = field(default_factory=list)

    @property
    def is_bad(self) -> bool:
        """Is there a label without effect, or a pod that can't be injected? Then nothing is printed."""
        return bool(self.refused or self.stray)

    def results(self) -> list[dict[str, Any]]:
        """Return refusals and warnings as the results of a KRM function."""
        notes = [("error", note) for note in (*self.refused, *self.stray)]
        notes += [("warning", note) for note in self.warned]
        return [{"message": note.message, "severity": severity, **note.reference} for severity, note in notes]

    def complain(self) -> None:
        """Print warnings and refusals to standard error."""
        for prefix, notes in (("warning: ", self.warned), ("warning: ", self.stray), ("", self.refused)):
            _say(prefix + note.line for note in notes)


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        if options.krm:
            return _krm(_read("-"))
        parameters = chosen(_given(options.parameters, options.set))
        _say(f"warning: parameter {line}" for line in parameter_warnings(parameters))
        texts = [(name, _read(name)) for name in _files(options.filename)]
        report = Report()
        output = [inject(name, text, parameters, report) for name, text in texts]
    except InputError as error:
        _say([str(error)])
        return 1
    report.complain()
    if options.check:
        show(note.line for note in report.found)
    elif not report.is_bad:
        sys.stdout.write(joined(output))
    return int(report.is_bad)


def inject(name: str, text: str, parameters: Mapping[str, str], report: Report) -> str:
    """Return the text of a file with its labelled pods injected, and note in `report` what became of them."""
    # ruamel.yaml is not in the images, which have no use for this command.
    from emulator.cli.manifests.documents import documents  # noqa: PLC0415

    try:
        found = documents(text, LABEL_WORD)
        _inject_documents(found, name, parameters, report)
        return "".join(document.text for document in found)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None


def _inject_documents(found: list[Document], name: str, parameters: Mapping[str, str], report: Report) -> None:
    for document in found:
        where = f"{name}: document {document.number}" if len(found) > 1 else name
        _inject_document(document, where, parameters, report)


def _inject_document(document: Document, where: str, parameters: Mapping[str, str], report: Report) -> None:
    found = find(document.content)
    report.stray += [Note(where, each.owner.title, each.message, each.owner, each.path) for each in found.strays]
    for place in found.places:
        _inject_pod(document, place, where, parameters, report)


def _inject_pod(document: Document, place: Place, where: str, parameters: Mapping[str, str], report: Report) -> None:
    from emulator.cli.manifests.documents import plain  # noqa: PLC0415 - see `inject`

    def note(message: str) -> Note:
        return Note(where, place.title, message, place.owner, place.path)

    pod = plain(place.pod)
    if fault := shape_fault(pod):
        report.refused.append(note(fault))
        return
    if MIRROR_ANNOTATION in (pod["metadata"].get("annotations") or {}):
        return
    if place.is_job:
        # As the Job controller will.
        pod["metadata"]["ownerReferences"] = [{"kind": "Job"}]
    facts = Facts(pod, parameters)
    if refusal := judgement.refusal(facts):
        report.refused.append(note(refusal))
        return
    operations = patch.operations(facts)
    report.warned += [note(line) for line in (*judgement.warnings(facts), *_secrets_warning(facts, operations))]
    for operation in operations:
        document.apply(place.pod, operation)
    report.found.append(note("to be injected" if operations else "injected already"))


def _secrets_warning(facts: Facts, operations: list[dict[str, Any]]) -> list[str]:
    """Return the warning that the pod will lack its service account's pull secrets.

    A webhook sees them in the pod already. Source: Kubernetes, "Add ImagePullSecrets to a service account".
    """
    if not operations or not facts.lacks_pull_secrets or facts.spec.get("imagePullSecrets"):
        return []
    account = facts.spec.get("serviceAccountName") or "default"
    line = (
        f"spec.imagePullSecrets: the API server adds those of ServiceAccount {account!r} only to pods that name none:"
        " if it has any, name them here or in the parameter imagePullSecrets, too"
    )
    return [line]


def _krm(text: str) -> int:
    """Be a KRM function: a ResourceList in, the same with its items injected, and what was found, out.

    Source: Configuration Functions Specification (config.kubernetes.io/v1), ResourceList.results.
    """
    from emulator.cli.manifests.documents import documents, plain  # noqa: PLC0415 - see `inject`

    try:
        found = documents(text)
        [content] = [document.content for document in found if document.content is not None]
    except ValueError as error:
        raise InputError(f"standard input is not a {RESOURCE_LIST}: {error}") from None
    if not isinstance(content, dict) or content.get("kind") != RESOURCE_LIST:
        raise InputError(
            f"standard input is not a {RESOURCE_LIST}: have kustomize or kpt run the command, or leave out --krm"
        )
    data = at(plain(content), "functionConfig", "data") or {}
    if not isinstance(data, dict):
        raise InputError("functionConfig.data: Invalid value: must be an object with parameters, or absent")
    report = Report()
    parameters = chosen(data)
    _say(f"warning: parameter {line}" for line in parameter_warnings(parameters))
    try:
        _inject_documents(found, "items", parameters, report)
        report.complain()
        if report.is_bad:
            found = documents(text)  # as it came
        if results := report.results():
            [document] = [document for document in found if document.content is not None]
            before = plain(document.content.get("results"))
            document.add(document.content, ["results"], [*(before if isinstance(before, list) else ()), *results])
        sys.stdout.write("".join(document.text for document in found))
    except ValueError as error:
        raise InputError(f"items: {error}") from None
    return int(report.is_bad)


def joined(texts: list[str]) -> str:
    """Return the texts of several files as one stream of documents."""
    stream = ""
    for text in texts:
        if stream and not text.startswith("---"):
            stream += "---\n"
        stream += text if text.endswith("\n") or not text else text + "\n"
    return stream


def chosen(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the chart's default parameters with those given in their place."""
    defaults: dict[str, str] = json.loads(DEFAULTS.read_text())
    for key, value in given.items():
        if key not in PARAMETERS:
            raise InputError(f"unknown parameter {key!r}: must be one of {', '.join(PARAMETERS)}")
        if not isinstance(value, str):
            raise InputError(f"parameter {key}: Invalid value: {value!r}: must be a string; quote it")
    parameters = {**defaults, **given}
    try:
        check_parameters(parameters)
    except SettingsError as error:
        raise InputError(str(error)) from None
    return parameters


def _given(file: str | None, pairs: list[str]) -> dict[str, Any]:
    """Return the parameters of a file, a ConfigMap or a map, and those of `--set`, which win."""
    from emulator.cli.manifests.documents import documents, plain  # noqa: PLC0415 - see `inject`

    given: dict[str, Any] = {}
    if file is not None:
        try:
            found = [plain(document.content) for document in documents(_read(file))]
        except ValueError as error:
            raise InputError(f"{file}: {error}") from None
        data = found[0] if len(found) == 1 else None
        if isinstance(data, dict) and data.get("kind") == "ConfigMap":
            data = data.get("data") or {}
        if not isinstance(data, dict):
            raise InputError(f"{file}: expected one ConfigMap, or one map of parameters")
        given |= data
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise InputError(f"--set {pair}: expected KEY=VALUE")
        given[key] = value
    return given


def _files(given: list[str]) -> list[str]:
    """Return the files of the command line, and those in its directories, in order."""
    if not given:
        raise InputError("nothing to inject: give -f with a file, a directory, or - for standard input")
    found: list[str] = []
    for name in given:
        path = Path(name)
        if name != "-" and path.is_dir():
            found += sorted(str(file) for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
        else:
            found.append(name)
    return found


def _read(name: str) -> str:
    try:
        # As bytes, so that line ends stay what they are.
        return (sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: {error.strerror if isinstance(error, OSError) else 'is not UTF-8 text'}") from None


def _say(lines: Iterable[str]) -> None:
    show((f"imds-emulator inject: {line}" for line in lines), sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="imds-emulator inject", description="Print manifests with the emulator in their labelled pods."
    )
    made.add_argument(
        "-f",
        "--filename",
        metavar="FILE",
        action="append",
        default=[],
        help="file, directory, or - for standard input",
    )
    made.add_argument("--parameters", metavar="FILE", help="ConfigMap, or map, of parameters other than the defaults")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one such parameter")
    made.add_argument("--check", action="store_true", help="print no manifest, but what would become of each pod")
    made.add_argument("--krm", action="store_true", help="be a KRM function: a ResourceList from standard input")
    return made
