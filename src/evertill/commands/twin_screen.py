"""The status of a twin as one screen of 80 columns.

It is separate from the command because it is pure: a document in, something that rich can draw out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

GOOD: Final = "green"
BAD: Final = "bold red"
DIM: Final = "dim"
ID_LENGTH: Final = 8
COLOURS: Final = {
    "active": GOOD,
    "standby": "cyan",
    "lost": BAD,
    "up": GOOD,
    "OK": GOOD,
    "ALARM": BAD,
    "running": GOOD,
    "available": GOOD,
}

Document = dict[str, Any]


def screen(status: Document) -> RenderableType:
    """Return what is shown of a status document."""
    parts: list[RenderableType] = [_head(status)]
    parts += [_region(name, region) for name, region in status["regions"].items()]
    parts.append(_foot(status))
    return Group(*parts)


def _head(status: Document) -> Text:
    door = status["door"]
    text = Text(f"{status['processes']} processes, {status['memory_mb']} MB, ")
    text.append(f"up {status['up_s']:.0f} s at speed {status['speed']:g}")
    if door is not None:
        text.append(f"\n{door['url']} leads to ")
        text.append(door["answers_from"] or "nowhere", GOOD if door["answers_from"] else BAD)
    lease = status["lease"]
    if lease is not None:
        text.append(f"; {lease['region']} holds the lease, epoch {lease['epoch']}")
    return text


def _region(name: str, region: Document) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_column(style=DIM, no_wrap=True)
    table.add_column(ratio=1)
    table.add_row("zones", _zones(region))
    for service in region["services"]:
        table.add_row("service", _service(service))
    for cluster in region["database"]["clusters"]:
        table.add_row("database", _cluster(cluster))
    for balancer in region["load_balancer"]:
        table.add_row("balancer", _balancer(balancer))
    table.add_row("traffic", _traffic(region["traffic"]))
    table.add_row("alarms", _alarms(region["alarms"]))
    title = Text(f"{name} ").append(region["role"], COLOURS.get(region["role"], BAD))
    return Panel(table, title=title, title_align="left")


def _zones(region: Document) -> Text:
    text = Text()
    for zone, state in region["zones"].items():
        tasks = [task for task in region["tasks"] if task["zone"] == zone]
        frozen = sum(task["frozen"] for task in tasks)
        text.append(f"{zone} ")
        text.append(state["state"], COLOURS.get(state["state"], BAD))
        text.append(f" ({len(tasks)} tasks{f', {frozen} frozen' if frozen else ''})  ")
    return text


def _service(service: Document) -> Text:
    wanted = min(service["desired"], service["started_max"] or service["desired"])
    text = Text(f"{service['name']} ")
    text.append(f"{service['running']}/{wanted}", GOOD if service["running"] == wanted else BAD)
    if wanted != service["desired"]:
        text.append(f" (stands for {service['desired']})", DIM)
    deployment = service["deployment"]
    if deployment is not None and deployment["state"] != "COMPLETED":
        text.append(f" {deployment['state']}")
    return text


def _cluster(cluster: Document) -> Text:
    text = Text(f"{cluster['identifier']} ")
    text.append(cluster["state"], COLOURS.get(cluster["state"], BAD))
    if cluster["lag_ms"] is not None:
        text.append(f", standby {cluster['lag_ms']} ms behind")
    for instance in cluster["instances"]:
        text.append(f"\n  {instance['role']} in {instance['zone']} ")
        state = "frozen" if instance["frozen"] else instance["state"]
        text.append(state, COLOURS.get(state, BAD))
    return text


def _balancer(balancer: Document) -> Text:
    text = Text(f"{balancer['name']} nodes ")
    for node in balancer["nodes"]:
        text.append(f"{node['zone'][-1]} ")
        text.append(f"{node['state']} ", COLOURS.get(node["state"], BAD))
    counts = Counter(target["health"] for target in balancer["targets"])
    text.append("targets ")
    text.append(", ".join(f"{count} {health}" for health, count in counts.items()) or "none")
    return text


def _traffic(traffic: Document) -> Text:
    text = Text(f"{traffic['requests_per_s']:g} requests/s, ")
    errors = traffic["errors_5xx_per_s"]
    text.append(f"{errors:g} errors/s", BAD if errors else "")
    text.append(f", p50 {traffic['latency_p50_ms']:g} ms, p99 {traffic['latency_p99_ms']:g} ms")
    return text


def _alarms(alarms: list[Document]) -> Text:
    counts = Counter(alarm["state"] for alarm in alarms)
    text = Text(", ".join(f"{count} {state}" for state, count in counts.items()) or "none")
    for alarm in alarms:
        if alarm["state"] == "ALARM":
            text.append(f"\n  {alarm['name']}", BAD)
            text.append(f" since {alarm['since_s']:.0f} s")
    return text


def _foot(status: Document) -> Text:
    text = Text()
    for record in status["dns"]["records"]:
        if record["role"] and record["answers"]:
            text.append(f"DNS {record['name']} ({record['type']}) names {record['region']}\n")
    for link in status["links"]:
        words = "cut" if link["is_cut"] else f"+{link['delay_ms']:g} ms"
        text.append(f"link {link['from']} -> {link['to']} {words}\n", BAD)
    for fault in status["faults"]:
        parameters = " ".join(f"{name}={value}" for name, value in fault["parameters"].items())
        text.append(f"fault {fault['id']} {fault['fault']} {parameters}\n", BAD)
    text.rstrip()
    return text
