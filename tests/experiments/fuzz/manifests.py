"""`imds-emulator inject`: a file, to the same file injected, or to lines that say why not.

An input is one letter and the file: m..., manifests; p..., parameters; k..., the ResourceList of a KRM function.
"""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import yaml

from emulator import names
from emulator.cli import inject as command
from emulator.cli.manifests import documents
from emulator.cli.manifests.places import find
from tests.experiments.fuzz.reviews import MIRROR, assert_covered, assert_kept

ARGUMENTS = {b"m": ["-f", "-"], b"p": ["-f", "/dev/null", "--parameters", "-"], b"k": ["--krm"]}
PARAMETERS = command.chosen({})
AGAIN = 4  # of the files that were injected, one in so many is injected once more, which takes as long again


def one_input(data: bytes) -> None:
    """Inject a file, and if that went well once more."""
    arguments = ARGUMENTS.get(data[:1])
    if arguments is None:
        return
    given = data[1:]
    status, output, complaints = run(arguments, given)
    lines = complaints.split("\n")
    assert lines.pop() == "", "half a line"
    assert all(line.startswith("imds-emulator inject: ") for line in lines), "no line of ours"
    if status != 0:
        assert status == 1
        assert output == "" or (data[:1] == b"k" and "results" in output), "a manifest beside a refusal"
        assert lines, "a refusal without a reason"
        return
    assert all(line.startswith("imds-emulator inject: warning: ") for line in lines)
    if data[:1] == b"m":
        judge(given.decode(), output)
    if output and output.encode() != given and len(given) % AGAIN == 0:
        assert run(arguments, output.encode())[:2] == (0, output), "what is injected is injected again"


def run(arguments: list[str], given: bytes) -> tuple[int, str, str]:
    """Run the command with a standard input; return status, output and complaints."""
    output, complaints, stdin = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(given))
    try:
        with redirect_stdout(output), redirect_stderr(complaints):
            status = command.main(arguments)
    finally:
        sys.stdin = stdin
    return status, output.getvalue(), complaints.getvalue()


def judge(given: str, output: str) -> None:
    """Fail if a labelled pod was left out, or anything else was touched, as another reader of YAML sees it."""
    if output in (given, given + "\n"):
        for pod in read(given) or ():
            assert_covered(PARAMETERS, pod)
        return
    before, after = (
        [document for document in re.split(r"(?m)^(?=---(?:\s|$))", text) if document] for text in (given, output)
    )
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        if new in (old, old + "\n"):
            continue
        pods = read(old)
        if pods is None:
            continue
        assert pods, "a document without a labelled pod is written anew"
        injected = read(new)
        assert injected, "what was readable no longer is"
        for pod, made in zip(pods, injected, strict=True):
            assert_covered(PARAMETERS, made)
            assert_kept(pod, made)


def read(document: str) -> list[dict[str, Any]] | None:
    """Return the labelled pods in a text, None if libyaml can't read it: it knows YAML 1.1 alone."""
    try:
        contents = list(yaml.load_all(document, yaml.CSafeLoader))
        if any(documents.fault(content) for content in contents):
            return None
        found = [place for content in contents for place in find(content).places]
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return None
    return [place.pod for place in found if _asks(place.pod)]


def _asks(pod: dict[str, Any]) -> bool:
    labels, annotations = (pod["metadata"].get(field) or {} for field in ("labels", "annotations"))
    label = labels.get(names.LABEL_ENABLED) if isinstance(labels, dict) else None
    return label == names.LABEL_ENABLED_VALUE and isinstance(annotations, dict) and annotations.get(MIRROR) is None
