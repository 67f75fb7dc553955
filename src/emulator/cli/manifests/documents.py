"""The documents of a manifest file, each kept as text until something in it is changed.

Goes in: the text of a file of YAML documents, or of JSON. Comes out: `Document`s, whose texts make up the file again;
comments, order and quotes of a changed one stay as far as ruamel.yaml can keep them. That reads 100 kB in a second, so
a document in which nothing of interest can be is left to libyaml, which tells fast whether it is YAML.
"""

from __future__ import annotations

import copy
import io
import json
import re
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from emulator.cli.manifests.scalars import keep_written
from emulator.injection.patch import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

_FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
# A key on a line of its own, and the first item of the list under it.
_LIST = re.compile(r"^( *)(?:- +)*[^\s#-].*:[ \t]*(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*( *)(- +)(?=[^\s#])", re.MULTILINE)
# Texts that YAML 1.1, which kubectl speaks, would take for something else; ruamel quotes those of YAML 1.2.
_AMBIGUOUS = re.compile(r"[-+.\d][-+.\d_:,eExXoO]*|~|y|n|yes|no|on|off|true|false|null", re.IGNORECASE)
# Escapes, of double quotes and of JSON, that can stand for a letter, or join the halves of a word.
_ESCAPE = re.compile(r"\\[xuU\r\n]")
_WIDE = 1_000_000
DEPTH_LIMIT = 100  # lists and maps within each other; a pod has 10
NODES_LIMIT = 1_000_000  # with what aliases stand for


class Document:
    """One document. `number` counts from 1; `content` is what it says, decoded; change it by `apply` and `add` alone.

    `word`: letters and such without which the document is of no interest; its `content` is None then.
    """

    def __init__(self, number: int, text: str, word: str = "") -> None:
        self.number = number
        self._text = text
        self._is_changed = False
        # The marker's line stays as it is, unless the document begins on it.
        marker = re.match(r"---[ \t]*(#.*)?\r?\n", text)
        self._marker = marker.group() if marker else ""
        self._line_end = "\r\n" if "\r\n" in text else "\n"
        self._body = text[len(self._marker) :].replace("\r\n", "\n")
        self._is_json = self._body.lstrip().startswith("{") and _is_json(self._body)
        self.content: Any = None
        if word not in text and not _ESCAPE.search(text) and (self._is_json or _is_yaml(self._body)):
            return
        self._yaml = YAML()
        self._yaml.preserve_quotes = True
        keep_written(self._yaml)
        self._yaml.width = _WIDE
        self.content = json.loads(self._body) if self._is_json else self._load()
        if found := fault(self.content):
            raise ValueError(f"document {number} {found}")
        self._shared = _shared(self.content)

    def _load(self) -> Any:  # noqa: ANN401 - anything that YAML has
        try:
            offset, width = _indent(self._body)
            self._yaml.indent(mapping=2, sequence=offset + width, offset=offset)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of anchors used twice, say, which YAML allows
                return self._yaml.load(self._body)
        except Exception as error:  # noqa: BLE001 - ruamel.yaml fails in many ways where a text is wrong
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"document {self.number} is no YAML: {reason}") from None

    def apply(self, within: Any, operation: dict[str, Any]) -> None:  # noqa: ANN401 - a node of content
        """Carry out an operation of JSON patch on a node of the content, as `injection.patch.apply` does."""
        if operation["op"] == "replace":
            target, last = self._reach(within, parts(operation["path"]))
            target[int(last)] = _node(operation["value"])
        elif operation["op"] == "move":
            target, last = self._reach(within, parts(operation["from"]))
            moved = target.pop(int(last))
            target, last = self._reach(within, parts(operation["path"]))
            target.insert(int(last), moved)
        else:
            self.add(within, parts(operation["path"]), operation["value"])

    def add(self, within: Any, path: list[str], value: Any) -> None:  # noqa: ANN401 - a node of content; any JSON
        """Do as `add` of JSON patch does."""
        target, last = self._reach(within, path)
        if not isinstance(target, list):
            target[last] = _node(value)
            return
        if isinstance(target, CommentedSeq) and not target:
            target.fa.set_block_style()
        target.insert(len(target) if last == "-" else int(last), _node(value))

    def _reach(self, within: Any, path: list[str]) -> tuple[Any, str]:  # noqa: ANN401 - a node of content
        """Return the list or map to be changed and the last token; no other place that shares it will change."""
        self._is_changed = True
        *parents, last = path
        target = within
        for part in parents:
            key: Any = int(part) if isinstance(target, list) else part
            if id(target[key]) in self._shared:
                target[key] = _without_anchors(copy.deepcopy(target[key]))
                self._shared = _shared(self.content)
            target = target[key]
        return target, last

    @property
    def text(self) -> str:
        """The document's text, as it came if nothing was added; ValueError if it can't be written."""
        if not self._is_changed:
            return self._text
        made = json.dumps(self.content, indent=2, ensure_ascii=False) + "\n" if self._is_json else self._dump()
        # kubectl reads as libyaml does, which has another idea of anchors, say.
        if not self._says_the_same(made) or (_is_yaml(self._body) and not _is_yaml(made)):
            raise ValueError(f"document {self.number} can't be written anew: give it without tags or odd comments")
        return self._marker + made.replace("\n", self._line_end)

    def _dump(self) -> str:
        buffer = io.StringIO()
        try:
            self._yaml.dump(self.content, buffer)
        except Exception:  # noqa: BLE001 - as in `_load`
            return ""
        return buffer.getvalue()

    def _says_the_same(self, made: str) -> bool:
        """Tell whether a text is read as what was to be written: a manifest is injected right or not at all."""
        try:
            made.encode()
            again = Document(self.number, self._marker + made)
            # Nor is there any way to tell an API server of a number that is none, such as 1e999.
            said, meant = (
                json.dumps(plain(content), allow_nan=False, sort_keys=True) for content in (again.content, self.content)
            )
        except ValueError:
            return False
        return said == meant


def documents(text: str, word: str = "") -> list[Document]:
    """Return the documents of a file, decoded if `word` may be in them; raises ValueError for what is no YAML."""
    starts = sorted({0, *(match.start() for match in _MARKER.finditer(text))})
    ends = [*starts[1:], len(text)]
    return [Document(number, text[a:b], word) for number, (a, b) in enumerate(zip(starts, ends, strict=True), start=1)]


def plain(node: Any) -> Any:  # noqa: ANN401 - anything that YAML has
    """Return the node as json would decode it."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    if isinstance(node, ScalarBoolean):
        return bool(node)
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return None if node is None else str(node)


def _node(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON as nodes whose texts stay texts for every reader of YAML."""
    if isinstance(value, dict):
        return CommentedMap({key: _node(item) for key, item in value.items()})
    if isinstance(value, list):
        return CommentedSeq([_node(item) for item in value])
    if isinstance(value, str) and _AMBIGUOUS.fullmatch(value):
        return DoubleQuotedScalarString(value)
    return value


def _shared(content: Any) -> set[int]:  # noqa: ANN401 - anything that YAML has
    """Return the ids of lists and maps that are at more than one place, by an alias or a merge key."""
    places = Counter(id(node) for node in _nodes(content) if isinstance(node, list | dict))
    return {node for node, count in places.items() if count > 1}


def _nodes(node: Any) -> Iterator[Any]:  # noqa: ANN401 - anything that YAML has
    yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _nodes(child)


def _without_anchors(node: Any) -> Any:  # noqa: ANN401 - anything that YAML has
    for found in _nodes(node):
        if isinstance(found, CommentedMap | CommentedSeq) and found.anchor.value:
            found.yaml_set_anchor(None)
    return node


def _indent(text: str) -> tuple[int, int]:
    """Return how far the first list is indented in its map, and how far its items from their dashes."""
    first = _LIST.search(text)
    return (max(len(first[2]) - len(first[1]), 0), len(first[3])) if first else (0, 2)


def fault(content: Any) -> str:  # noqa: ANN401 - anything that YAML has
    """Return what of a document is too much for those who walk through it, '' if nothing."""
    sizes: dict[int, int] = {}  # of lists and maps, with what aliases in them stand for
    open_nodes: set[int] = set()

    def size(node: Any) -> int:  # noqa: ANN401 - anything that YAML has
        if not isinstance(node, dict | list):
            return 1
        if id(node) in open_nodes:
            raise _TooMuch("holds itself by an alias")
        if len(open_nodes) == DEPTH_LIMIT:
            raise _TooMuch(f"is nested deeper than {DEPTH_LIMIT}")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            sizes[id(node)] = 1 + sum(map(size, node.values() if isinstance(node, dict) else node))
            open_nodes.remove(id(node))
        return sizes[id(node)]

    try:
        return "" if size(content) <= NODES_LIMIT else f"has more than {NODES_LIMIT} values by its aliases"
    except _TooMuch as error:
        return str(error)


class _TooMuch(Exception):  # noqa: N818 - it is never seen outside
    """A document that is nested too deeply or for ever."""


def _is_yaml(text: str) -> bool:
    try:
        for _ in yaml.parse(text, Loader=_FAST_LOADER):
            pass
    except yaml.YAMLError:
        return False
    return True


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return False
    return True


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
