"""A listener's rules in HAProxy's language: conditions as ACLs, actions as answers or a backend.

It is separate from the rest of the configuration because it is the part that a template decides,
and because what a pattern matches is AWS's rule and not HAProxy's:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from evertill.twin.addresses import local_port
from evertill.twin.plan.balancer_specs import (
    Action,
    Condition,
    FixedResponse,
    Forward,
    ListenerSpec,
    Redirect,
)

# Every answer that the load balancer makes up itself names it so.
SERVER_HEADER: Final = "hdr Server awselb/2.0"
DEFAULT_PRIORITY: Final = 0
REASONS: Final[Mapping[int, str]] = {
    301: "Moved Permanently",
    302: "Found",
    400: "Bad Request",
    403: "Forbidden",
    405: "Not Allowed",
    408: "Request Time-out",
    413: "Request Entity Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}

# `#{host}` and its like as what HAProxy puts in; the path comes without its first slash.
PLACEHOLDERS: Final[Mapping[str, str]] = {
    "#{host}": "%[req.hdr(host),field(1,:)]",
    "#{path}": "%[path,regsub(^/,)]",
    "#{query}": "%[query]",
}
KEYWORD: Final = re.compile(r"#\{[a-z]+\}")


def quoted(text: str) -> str:
    """Return `text` as one word of HAProxy's configuration, taken as it is."""
    return "'" + text.replace("'", "'\\''") + "'"


def page(status: int) -> str:
    """Return the body of an answer that the load balancer makes up itself."""
    title = f"{status} {REASONS[status]}"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )


def rule_lines(
    listener: ListenerSpec, folder: Path, backend_of: Callable[[str], str]
) -> Iterator[str]:
    """Give the lines of a frontend that choose and carry out one rule.

    Long texts are written into `folder`, HAProxy's own. `backend_of` names a group's backend.
    """
    for rule in sorted(listener.rules, key=lambda rule: rule.priority):
        tests: list[str] = []
        for number, condition in enumerate(rule.conditions):
            test = f"r{rule.priority}-{number}"
            yield from (f"acl {test} {line}" for line in acl_patterns(condition))
            tests.append(test)
        # The first rule that holds is the only one.
        yield (
            f"http-request set-var(txn.rule) int({rule.priority})"
            f" if !{{ var(txn.rule) -m found }} {' '.join(tests)}"
        )
    yield f"http-request set-var-fmt(txn.rule) {DEFAULT_PRIORITY} if !{{ var(txn.rule) -m found }}"
    actions = [(rule.priority, rule.action) for rule in listener.rules]
    for priority, action in [*actions, (DEFAULT_PRIORITY, listener.default)]:
        chosen = f"{{ var(txn.rule) -m int {priority} }}"
        yield from _action(
            action, chosen, listener, folder / f"rule-{listener.port}-{priority}", backend_of
        )


def acl_patterns(condition: Condition) -> Iterator[str]:
    """Give what follows the name of an ACL, a line for each value: any of them will do."""
    match condition.kind:
        case "path":
            yield from (f"path -m reg {_pattern(value)}" for value in condition.values)
        case "host":
            host = "req.hdr(host),field(1,:)"
            yield from (f"{host} -m reg -i {_pattern(value)}" for value in condition.values)
        case "header":
            header = f"req.fhdr({condition.header})"
            yield from (f"{header} -m reg -i {_pattern(value)}" for value in condition.values)
        case "method":
            yield from (f"method -m str {quoted(value)}" for value in condition.values)
        case "source":
            yield from (f"src {quoted(value)}" for value in condition.values)
        case "query":
            yield from (f"query -m reg -i {_parameter(value)}" for value in condition.values)


def _pattern(value: str) -> str:
    return quoted(f"^{_wild(value, '.')}$")


def _parameter(value: str) -> str:
    key, separator, text = value.partition("=")
    wanted = f"{_wild(key, '[^&=]')}={_wild(text, '[^&]')}"
    if not separator:
        wanted = f"[^&=]*={_wild(value, '[^&]')}"
    return quoted(f"(^|&){wanted}(&|$)")


def _wild(value: str, anything: str) -> str:
    """Return a regular expression for a value in which `*` is any text and `?` one character."""
    pieces = {"*": f"{anything}*", "?": anything}
    return "".join(pieces.get(letter, re.escape(letter)) for letter in value)


def _action(
    action: Action,
    chosen: str,
    listener: ListenerSpec,
    file: Path,
    backend_of: Callable[[str], str],
) -> Iterator[str]:
    match action:
        case Forward(groups=groups):
            yield from _forward(groups, chosen, backend_of)
        case FixedResponse():
            body = ""
            if action.body:
                file.write_text(action.body)
                body = f" content-type {quoted(action.content_type)} file {file.name}"
            yield f"http-request return status {action.status}{body} {SERVER_HEADER} if {chosen}"
        case Redirect():
            yield from _redirect(action, chosen, listener, file)


def _forward(
    groups: Sequence[tuple[str, int]], chosen: str, backend_of: Callable[[str], str]
) -> Iterator[str]:
    total = sum(weight for _, weight in groups)
    if len(groups) > 1 and total:
        yield f"http-request set-var(txn.dice) rand({total}) if {chosen}"
    upper = 0
    for arn, weight in groups:
        upper += weight
        within = f" {{ var(txn.dice) -m int lt {upper} }}" if len(groups) > 1 and total else ""
        unless = " !{ var(txn.group) -m found }" if within else ""
        if weight or len(groups) == 1:
            backend = f"str({backend_of(arn)})"
            yield f"http-request set-var(txn.group) {backend} if {chosen}{unless}{within}"


def _redirect(action: Redirect, chosen: str, listener: ListenerSpec, file: Path) -> Iterator[str]:
    file.write_text(page(action.status))
    protocol = action.protocol.replace("#{protocol}", listener.protocol).lower()
    port = int(action.port.replace("#{port}", str(listener.port)))
    address = f"{protocol}://{_filled(action.host)}:{local_port(port)}{_filled(action.path)}"
    query = _filled(action.query)
    for address_, test in (
        # Nothing but the query that was asked for can be empty, and then no question mark stands.
        ((f"{address}?{query}", " { query -m found }"), (address, " !{ query -m found }"))
        if action.query == "#{query}"
        else ((f"{address}?{query}" if query else address, ""),)
    ):
        yield (
            f"http-request return status {action.status} content-type text/html file {file.name}"
            f' {SERVER_HEADER} hdr Location "{address_}" if {chosen}{test}'
        )


def _filled(text: str) -> str:
    filled = KEYWORD.sub(lambda found: PLACEHOLDERS.get(found[0], ""), text.replace("%", "%%"))
    return filled.replace('"', '\\"')
