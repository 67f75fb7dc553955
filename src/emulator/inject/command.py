"""`imds-emulator inject`: injects manifests before they are applied, for clusters where nothing is installed.

Goes in: files, directories or standard input, and settings of the injection.
Comes out: the manifests, injected, and exit status 0; or why not, on standard error, status 1 and no manifest at all.
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
from emulator.injection import judgement, patch
from emulator.injection.facts import Facts
from emulator.injection.json_values import at
from emulator.injection.parameters import check_parameters
from emulator.injection.pod import MIRROR_ANNOTATION
from emulator.injection.steps import PARAMETERS
from emulator.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from emulator.inject.documents import Document
    from emulator.injection.workloads import Place

DEFAULTS = Path(__file__).with_name("default_parameters.json")
SUFFIXES = (".yaml", ".yml", ".json")
RESOURCE_LIST = "ResourceList"
LABEL_WORD = names.LABEL_ENABLED.rpartition("/")[2]  # a slash can be written in two ways


class InputError(Exception):
    """What was given can't be used; the message is one line that names it."""


@dataclass
class Report:
    """What was found, a line each."""

    refused: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.krm:
            return _krm(_read("-"))
        parameters = chosen(_given(options.parameters, options.set))
        texts = [(name, _read(name)) for name in _files(options.filename)]
        report = Report()
        output = [inject(name, text, parameters, report) for name, text in texts]
    except InputError as error:
        return _fail([str(error)])
    _say(f"warning: {line}" for line in report.warned)
    if report.refused:
        return _fail(report.refused)
    if options.check:
        for line in report.found:
            print(line)  # noqa: T201
    else:
        sys.stdout.write(joined(output))
    return 0


def inject(name: str, text: str, parameters: Mapping[str, str], report: Report) -> str:
    """Return the text of a file with its labelled pods injected, and note in `report` what became of them."""
    # ruamel.yaml is not in the images, which have no use for this command.
    from emulator.inject.documents import documents  # noqa: PLC0415
    from emulator.injection.workloads import places  # noqa: PLC0415

    try:
        found = documents(text, LABEL_WORD)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
    for document in found:
        where = f"{name}: document {document.number}" if len(found) > 1 else name
        for place in places(document.content):
            _inject_pod(document, place, f"{where}: {place.owner}", parameters, report)
    try:
        return "".join(document.text for document in found)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None


def _inject_pod(document: Document, place: Place, title: str, parameters: Mapping[str, str], report: Report) -> None:
    from emulator.inject.documents import plain  # noqa: PLC0415 - see `inject`
    from emulator.injection.workloads import shape_fault  # noqa: PLC0415 - see `inject`

    if place.label is not True and place.label != names.LABEL_ENABLED_VALUE:
        return
    pod = plain(place.pod)
    if fault := shape_fault(pod):
        report.refused.append(f"{title}: {fault}")
        return
    if MIRROR_ANNOTATION in (pod["metadata"].get("annotations") or {}):
        return
    if place.is_job:
        # As the Job controller will.
        pod["metadata"]["ownerReferences"] = [{"kind": "Job"}]
    facts = Facts(pod, parameters)
    if refusal := judgement.refusal(facts):
        report.refused.append(f"{title}: {refusal}")
        return
    report.warned += [f"{title}: {line}" for line in judgement.warnings(facts)]
    operations = patch.operations(facts)
    for operation in operations:
        document.add(place.pod, patch.parts(operation["path"]), operation["value"])
    report.found.append(f"{title}: {'to be injected' if operations else 'injected already'}")


def _krm(text: str) -> int:
    """Be a KRM function: a ResourceList in, the same with its items injected out.

    Source: Configuration Functions Specification (config.kubernetes.io/v1).
    """
    from emulator.inject.documents import documents, plain  # noqa: PLC0415 - see `inject`

    try:
        [content] = [document.content for document in documents(text) if document.content is not None]
    except ValueError as error:
        raise InputError(f"standard input is no {RESOURCE_LIST}: {error}") from None
    if not isinstance(content, dict) or content.get("kind") != RESOURCE_LIST:
        raise InputError(f"standard input is no {RESOURCE_LIST}: run the command by kustomize or kpt, or without --krm")
    data = at(plain(content), "functionConfig", "data") or {}
    if not isinstance(data, dict):
        raise InputError("functionConfig.data is no map: give it parameters of the injection, or leave it out")
    report = Report()
    output = inject("items", text, chosen(data), report)
    _say(f"warning: {line}" for line in report.warned)
    if report.refused:
        return _fail(report.refused)
    sys.stdout.write(output)
    return 0


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
            raise InputError(f"there is no parameter {key!r}: give one of {', '.join(PARAMETERS)}")
        if not isinstance(value, str):
            raise InputError(f"parameter {key} is {value!r}, no text: put it in quotes")
    parameters = {**defaults, **given}
    try:
        check_parameters(parameters)
    except SettingsError as error:
        raise InputError(str(error)) from None
    return parameters


def _given(file: str | None, pairs: list[str]) -> dict[str, Any]:
    """Return the parameters of a file, a ConfigMap or a map, and those of `--set`, which win."""
    from emulator.inject.documents import documents, plain  # noqa: PLC0415 - see `inject`

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
        raise InputError(f"{name}: {error.strerror if isinstance(error, OSError) else 'is no UTF-8 text'}") from None


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"imds-emulator inject: {line}", file=sys.stderr)  # noqa: T201


def _fail(lines: list[str]) -> int:
    _say(lines)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imds-emulator inject", description="Print manifests with the emulator in their labelled pods."
    )
    parser.add_argument(
        "-f", "--filename", action="append", default=[], help="file, directory, or - for standard input"
    )
    parser.add_argument("--parameters", metavar="FILE", help="ConfigMap, or map, of parameters other than the defaults")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one such parameter")
    parser.add_argument("--check", action="store_true", help="print no manifest, but what would become of each pod")
    parser.add_argument("--krm", action="store_true", help="be a KRM function: a ResourceList from standard input")
    return parser
