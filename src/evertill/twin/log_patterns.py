"""CloudWatch Logs' filter patterns: which lines one matches, and the values that it selects.

They are separate and pure because they are a small language of AWS's own, with a table of cases:
terms for lines of text, and conditions in braces for lines of JSON.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import msgspec

from evertill.twin.errors import TwinError

TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<sign>\{|\}|\(|\)|&&|\|\||!=|<=|>=|=|<|>)
      | (?P<selector>\$(?:\.[\w-]+|\[\d+\])+)
      | "(?P<quoted>(?:[^"\\]|\\.)*)"
      | (?P<word>[^\s(){}=<>!&|"]+)
    )""",
    re.VERBOSE,
)
STEP: Final = re.compile(r"\.([\w-]+)|\[(\d+)\]")
TERM: Final = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')
PATTERN_LENGTH_MAX: Final = 1_024
COMPARED: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Fields = dict[str, Any]
Matcher = Callable[[str, Fields | None], bool]
Test = Callable[[Fields], bool]
_decoder = msgspec.json.Decoder()


class PatternUnknown(TwinError):
    """The twin cannot read the pattern of a metric filter."""

    code = "pattern_unknown"


def parse(pattern: str) -> Matcher:
    """Return what tells whether a line, with its fields if it is JSON, matches.

    Raises PatternUnknown.
    """
    text = pattern.strip()
    if len(text) > PATTERN_LENGTH_MAX:
        raise PatternUnknown(f"A filter pattern has {PATTERN_LENGTH_MAX} characters at most.")
    if text.startswith("{"):
        test = _Parser(text).conditions()
        return lambda _, fields: fields is not None and test(fields)
    return _terms(text)


def fields_of(line: str) -> Fields | None:
    """Return the fields of a line that is a JSON object, None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        found = _decoder.decode(line)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def field(fields: Fields, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the field at `a.b[0]`, None when there is none such."""
    found: Any = fields
    for name, index in STEP.findall(f".{path}"):
        if name and isinstance(found, dict):
            found = found.get(name)
        elif index and isinstance(found, list) and int(index) < len(found):
            found = found[int(index)]
        else:
            return None
    return found


class _Parser:
    """Reads `{ ($.a = "b") && ($.c >= 5) || $.d IS NULL }`; `&&` binds more closely."""

    def __init__(self, text: str) -> None:
        self._text: Final = text
        self._tokens: Final = self._cut(text.strip())
        self._at = 0

    def conditions(self) -> Test:
        self._take("{")
        test = self._any()
        self._take("}")
        if self._at != len(self._tokens):
            self._fail()
        return test

    def _any(self) -> Test:
        tests = [self._all()]
        while self._peek() == "||":
            self._at += 1
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda record: any(t(record) for t in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._peek() == "&&":
            self._at += 1
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda record: all(t(record) for t in tests)

    def _one(self) -> Test:
        if self._peek() == "(":
            self._at += 1
            test = self._any()
            self._take(")")
            return test
        kind, selector = self._next()
        if kind != "selector":
            self._fail()
        return self._condition(selector.removeprefix("$."))

    def _condition(self, selector: str) -> Test:
        _, sign = self._next()
        if sign in {"IS", "NOT"}:
            state = _state(selector, f"{sign} {self._next()[1]}")
            return state if state is not None else self._fail()
        kind, value = self._next()
        if sign in COMPARED and kind == "word" and _number(value) is not None:
            return _compared(selector, COMPARED[sign], float(value))
        if sign not in {"=", "!="} or kind not in {"word", "quoted"} or value.startswith("%"):
            self._fail()
        equal = _equal(selector, value, is_quoted=kind == "quoted")
        # What is not there is not unequal: the condition does not hold.
        return (
            equal
            if sign == "="
            else lambda record: field(record, selector) is not None and not equal(record)
        )

    def _cut(self, text: str) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            found = TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                self._fail()
            tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        return tokens

    def _peek(self) -> str:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        return text if kind == "sign" else ""

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            self._fail()
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, sign: str) -> None:
        if self._next() != ("sign", sign):
            self._fail()

    def _fail(self) -> NoReturn:
        message = f"The twin does not understand the filter pattern {self._text}"
        raise PatternUnknown(message)


def _state(selector: str, words: str) -> Test | None:
    wanted = {"IS TRUE": True, "IS FALSE": False}
    if words in wanted:
        return lambda record: field(record, selector) is wanted[words]
    if words == "IS NULL":
        return lambda record: field(record, selector) is None and not _is_absent(selector, record)
    return (lambda record: _is_absent(selector, record)) if words == "NOT EXISTS" else None


def _is_absent(selector: str, record: Fields) -> bool:
    parent, _, name = selector.rpartition(".")
    holder = field(record, parent) if parent else record
    return not isinstance(holder, dict) or name not in holder


def _compared(selector: str, compare: Callable[[float, float], bool], value: float) -> Test:
    def test(record: Fields) -> bool:
        found = field(record, selector)
        if isinstance(found, bool) or not isinstance(found, int | float):
            return False
        return compare(found, value)

    return test


def _equal(selector: str, value: str, *, is_quoted: bool) -> Test:
    number = None if is_quoted else _number(value)
    text = re.compile(fnmatch.translate(value)) if "*" in value else None

    def test(record: Fields) -> bool:
        found = field(record, selector)
        if isinstance(found, bool) or found is None:
            return False
        if number is not None and isinstance(found, int | float):
            return found == number
        if not isinstance(found, str):
            return False
        return bool(text.fullmatch(found)) if text else found == value

    return test


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _terms(text: str) -> Matcher:
    """Read `ERROR "not found" -ignored ?either ?or`; nothing at all matches every line."""
    wanted: list[str] = []
    unwanted: list[str] = []
    either: list[str] = []
    if text.startswith("[") or "%" in text:
        raise PatternUnknown(f"The twin does not understand the filter pattern {text}")
    for sign, quoted, word in TERM.findall(text):
        {"-": unwanted, "?": either, "": wanted}[sign].append(quoted or word)
    return lambda line, _: (
        all(term in line for term in wanted)
        and not any(term in line for term in unwanted)
        and (not either or any(term in line for term in either))
    )
