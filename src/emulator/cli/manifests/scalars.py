"""Numbers and times in YAML that are written again as they were read.

Goes in: scalars, to a `ruamel.yaml.YAML` that was given to `keep_written`. Comes out: numbers that know their text, and
times that are their text. ruamel.yaml writes -017 as -17, which a reader of YAML 1.1, such as kubectl, takes for
another number, 1e-400 as 0e+000, and digits beyond a float's precision as others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt
from ruamel.yaml.scalarstring import ScalarString

if TYPE_CHECKING:
    from collections.abc import Callable

    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import ScalarNode


def keep_written(yaml: YAML) -> None:
    """Let a reader and writer keep the texts of numbers and times."""
    yaml.Constructor = _Constructor
    yaml.Representer = _Representer


class _Integer(ScalarInt):
    pass


class _Float(ScalarFloat):
    pass


class _Time(ScalarString):
    pass


class _Constructor(RoundTripConstructor):
    pass


class _Representer(RoundTripRepresenter):
    pass


def _read_integer(constructor: _Constructor, node: ScalarNode) -> Any:  # noqa: ANN401 - ruamel.yaml has no types here
    return _with_text(_Integer(constructor.construct_yaml_int(node), anchor=node.anchor), node)


def _read_float(constructor: _Constructor, node: ScalarNode) -> Any:  # noqa: ANN401 - as above
    return _with_text(_Float(constructor.construct_yaml_float(node), anchor=node.anchor), node)


def _read_time(constructor: _Constructor, node: ScalarNode) -> Any:  # noqa: ANN401 - as above
    constructor.construct_yaml_timestamp(node)  # for its error
    return _with_text(_Time(node.value, anchor=node.anchor), node)


def _with_text(made: Any, node: ScalarNode) -> Any:  # noqa: ANN401 - as above
    made.text, made.style = node.value, node.style
    return made


def _writer(tag: str) -> Callable[[_Representer, Any], ScalarNode]:
    def write(representer: _Representer, made: Any) -> ScalarNode:  # noqa: ANN401 - as above
        return representer.represent_scalar(tag, made.text, style=made.style, anchor=made.yaml_anchor(any=True))

    return write


for _tag, _kind, _read in (
    ("tag:yaml.org,2002:int", _Integer, _read_integer),
    ("tag:yaml.org,2002:float", _Float, _read_float),
    ("tag:yaml.org,2002:timestamp", _Time, _read_time),
):
    _Constructor.add_constructor(_tag, _read)
    _Representer.add_representer(_kind, _writer(_tag))
