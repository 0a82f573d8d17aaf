"""What is wrong with a value, in our words: msgspec tells types, which no reader of TOML wants.

It is separate from `settings`, whose fields it asks for what they may hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

# What a text that must have a form looks like, by its key.
FORMS: Final = {
    "account": "12 digits",
    "base_image_digest": "sha256: and 64 hexadecimal digits",
    "engine_version": "a version of PostgreSQL 15, 16 or 17 like 17.7",
    "image_digest": "sha256: and 64 hexadecimal digits",
    "image_repository": "the name of an ECR repository like evertill",
    "instance_class": "a class of instances with much memory like r7g.2xlarge",
    "name": "the name of a region like us-east-1",
    "witness_region": "the name of a region like us-west-2",
}
TYPES: Final = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "a table",
    "str": "a text in quotes",
}
_RULES: Final[tuple[tuple[str, Callable[[re.Match[str], str, Any], str]], ...]] = (
    (r"Expected `int` >= (\d+)", lambda found, *_: f"it must be {found[1]} or more"),
    (r"Expected `int` <= (\d+)", lambda found, *_: f"it must be {found[1]} or less"),
    (r"Expected `array` of length (\d+), got (\d+)", lambda f, *_: f"it holds {f[2]}, not {f[1]}"),
    (r"Expected `str` matching", lambda _found, key, _: f"it must be {FORMS.get(key, 'a name')}"),
    (r"Invalid enum value", lambda _found, _key, hint: f"it must be {_choices(hint)}"),
    (r"Expected `(\w+)", lambda found, *_: f"it must be {TYPES.get(found[1], 'something else')}"),
)


def sentence(failure: msgspec.ValidationError, struct: type[msgspec.Struct]) -> str:
    """Return a sentence that begins with the key of `struct` that is wrong."""
    words, _, place = str(failure).partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    found = re.fullmatch(r"Object (missing required|contains unknown) field `(.+)`", words)
    if found is not None:
        key = f"{path}.{found[2]}" if path else found[2]
        if found[1].startswith("missing"):
            return f"{key}: it is missing and has no default; docs/runbooks/deploy.md explains it."
        return f"{key}: this key is unknown; settings.py lists those that there are."
    path = re.sub(r"\[[^]]*\]", "", path)
    for pattern, phrase in _RULES:
        match = re.match(pattern, words)
        if match is not None:
            told = phrase(match, path.rpartition(".")[2], _hint(struct, path))
            return f"{path}: {told}." if path else f"{told}."
    return f"{path}: {words}."


def _hint(struct: Any, path: str) -> Any:  # noqa: ANN401 - annotations are of any kind
    """Return what a field is annotated with, following the tables that lead there."""
    hint = struct
    for step in path.split("."):
        tables = [t for t in (hint, *get_args(hint)) if hasattr(t, "__struct_fields__")]
        hint = get_type_hints(tables[0]).get(step) if tables else None
    return hint


def _choices(hint: Any) -> str:  # noqa: ANN401 - the same
    if get_origin(hint) is not Literal:
        return "one of the values that there are"
    *others, last = map(str, get_args(hint))
    return f"{', '.join(others)} or {last}"
