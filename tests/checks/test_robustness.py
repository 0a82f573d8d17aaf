"""Whatever a template holds in place of a value, the rules do not fail over it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.platform import platform

from evertill.assembly import build
from evertill.assembly.reading import RawStack, parse_template
from evertill.checks import check
from evertill.domain.errors import EvertillError

Path = tuple[str | int, ...]
STACKS = platform()
TEMPLATES = {name: stack.template for name, stack in STACKS.items()}
ODDITIES: list[Any] = [
    None,
    [],
    {},
    -1,
    "",
    "x:y:z/a",
    True,
    [None],
    [[1]],
    [{}],
    {"a": [{"b": None}]},
    {"Ref": "AWS::NoValue"},
    {"Ref": "Nothing"},
    {"Fn::If": ["Nothing", 1, 2]},
    {"Ref": "Vpc"},
    {"Fn::GetAtt": ["Vpc", "Arn"]},
    {"Fn::Join": ["", ["a", {"Ref": "Vpc"}]]},
    {"Fn::Sub": "${AWS::StackId}-x"},
    {"Fn::Select": [0, {"Fn::Split": [",", {"Ref": "Vpc"}]}]},
]


def paths(value: Any, way: Path = ()) -> Iterator[Path]:
    """Give the way to every value inside another."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for step, item in inner:
        yield (*way, step)
        if isinstance(item, dict | list):
            yield from paths(item, (*way, step))


PLACES = [(name, path) for name, template in TEMPLATES.items() for path in paths(template)]


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(PLACES), oddity=st.sampled_from(ODDITIES))
def test_an_odd_value_anywhere_is_checked_or_refused(place: tuple[str, Path], oddity: Any) -> None:
    name, path = place
    templates = copy.deepcopy(TEMPLATES)
    holder: Any = templates[name]
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = oddity
    with suppress(EvertillError):
        stacks = [
            RawStack(key, key, STACKS[key].region, "1", parse_template(template, key))
            for key, template in templates.items()
        ]
        check(build(stacks))
