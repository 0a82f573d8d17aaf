"""The rules of composite alarms: `(ALARM("a") OR ALARM("b")) AND NOT OK("c")`. Pure.

The grammar is in the API reference of PutCompositeAlarm,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html.
It is separate from the evaluation of metrics, with which it shares the states only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from evertill.twin.alarming import State
from evertill.twin.errors import TwinError

TOKEN: Final = re.compile(
    r'\s*(?:(?P<word>[A-Z_]+(?=[\s()]|$))|(?P<sign>[()])|"(?P<quoted>[^"]*)"|(?P<plain>[^\s()"]+))'
)
RULE_LENGTH_MAX: Final = 10_240
DEPTH_MAX: Final = 100

# The state of an alarm, by its name or its ARN.
States = Callable[[str], State]
Rule = Callable[[States], bool]
Token = tuple[str, str]


class RuleUnknown(TwinError):
    """The twin cannot read the rule of a composite alarm."""

    code = "rule_unknown"


def parse(rule: str) -> tuple[Rule, list[str]]:
    """Return what decides by the states of others, and the others; raise RuleUnknown."""
    if len(rule) > RULE_LENGTH_MAX:
        raise RuleUnknown(f"A composite alarm's rule is longer than {RULE_LENGTH_MAX}.")
    reader = _Reader(rule)
    decide = reader.either(0)
    if reader.next is not None:
        raise RuleUnknown(f"A composite alarm's rule goes on after its end: {rule}")
    return decide, list(dict.fromkeys(reader.alarms))


class _Reader:
    """Reads from the left, one token ahead; OR binds weaker than AND, AND weaker than NOT."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._tokens = _tokens(rule)
        self.alarms: list[str] = []
        self.next: Token | None = next(self._tokens, None)

    def either(self, depth: int) -> Rule:
        parts = [self._both(depth)]
        while self._takes(("word", "OR")):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else lambda states: any(p(states) for p in parts)

    def _both(self, depth: int) -> Rule:
        parts = [self._one(depth)]
        while self._takes(("word", "AND")):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else lambda states: all(p(states) for p in parts)

    def _one(self, depth: int) -> Rule:
        if depth > DEPTH_MAX:
            raise RuleUnknown(f"A composite alarm's rule is nested deeper than {DEPTH_MAX}.")
        if self._takes(("word", "NOT")):
            inner = self._one(depth + 1)
            return lambda states: not inner(states)
        if self._takes(("sign", "(")):
            inner = self.either(depth + 1)
            self._demand(("sign", ")"))
            return inner
        kind, text = self._take()
        if (kind, text) in {("word", "TRUE"), ("word", "FALSE")}:
            return lambda _: text == "TRUE"
        if kind == "word" and text in State.__members__:
            return self._state_of(State[text])
        raise self._unreadable()

    def _state_of(self, state: State) -> Rule:
        self._demand(("sign", "("))
        kind, name = self._take()
        if kind == "sign":
            raise self._unreadable()
        self._demand(("sign", ")"))
        self.alarms.append(name)
        return lambda states: states(name) is state

    def _take(self) -> Token:
        token, self.next = self.next, next(self._tokens, None)
        if token is None:
            raise self._unreadable()
        return token

    def _takes(self, token: Token) -> bool:
        if self.next != token:
            return False
        self._take()
        return True

    def _demand(self, token: Token) -> None:
        if not self._takes(token):
            raise self._unreadable()

    def _unreadable(self) -> RuleUnknown:
        return RuleUnknown(f"The twin cannot read a composite alarm's rule: {self._rule}")


def _tokens(rule: str) -> Iterator[Token]:
    position = 0
    text = rule.rstrip()
    while position < len(text):
        found = TOKEN.match(text, position)
        if found is None:
            raise RuleUnknown(f"The twin cannot read a composite alarm's rule: {rule}")
        position = found.end()
        kind = found.lastgroup or ""
        yield kind, found[kind]
