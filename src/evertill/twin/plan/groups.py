"""Security groups: who may open a connection to whom, and which rule is missing where not.

It is separate because every gate asks before it exists. Rules that name addresses count for
whoever lives in the other group's network, since a template knows no single address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from evertill.assembly import Model, Reference, Resource, Value
from evertill.assembly.model import as_number, as_text, child

GROUP: Final = "AWS::EC2::SecurityGroup"
INGRESS: Final = "AWS::EC2::SecurityGroupIngress"
EGRESS: Final = "AWS::EC2::SecurityGroupEgress"
# The CDK's provider that takes the rules out of a network's default group.
RESTRICTED: Final = "Custom::VpcRestrictDefaultSG"
EVERYONE: Final = ("0.0.0.0/0", "::/0")
TCP: Final = ("tcp", "6", "-1")
PORT_MAX: Final = 65_535

Key = tuple[str, str]


class Rule(msgspec.Struct, frozen=True):
    """One opening for tcp: its ports, and who is at the other end, a group or a network."""

    first: int
    last: int
    group: Key | None = None
    network: str | None = None

    def covers(self, port: int) -> bool:
        """Tell whether `port` is open."""
        return self.first <= port <= self.last


class Group(msgspec.Struct, frozen=True):
    """A group: its name for messages, the network that its members live in, and its rules."""

    name: str
    network: str | None
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]


ANYTHING: Final = Rule(0, PORT_MAX, network="0.0.0.0/0")


class SecurityGroups:
    """The groups of all templates, by what refers to them."""

    def __init__(self, model: Model) -> None:
        """Read every group of `model`, and the default ones of its networks."""
        self._groups: dict[Key, Group] = {}
        for group in model.resources_of(GROUP):
            self._groups[_key(group)] = _group(model, group)
        restricted = {
            _key(network)
            for custom in model.resources_of(RESTRICTED)
            for network in model.referred_by(custom.get("DefaultSecurityGroupId"))
        }
        for network in model.resources_of("AWS::EC2::VPC"):
            key = _key(network)
            self._groups[key] = _default(network, is_restricted=key in restricted)

    def may_connect(
        self, from_groups: Sequence[Value], to_groups: Sequence[Value], port: int
    ) -> str | None:
        """Return None when the one may connect to the other's `port`, else the missing rule.

        Without `from_groups` it is somebody outside, whom only rules for everyone let in.
        """
        sources = self._known(from_groups)
        targets = self._known(to_groups)
        if sources and not any(_opens(sources, targets, port, "egress")):
            return f"no egress rule of {_names(sources)} lets tcp {port} out to {_names(targets)}"
        if not any(_opens(targets, sources, port, "ingress")):
            whom = _names(sources) if from_groups else "everyone"
            return f"no ingress rule of {_names(targets)} lets tcp {port} in from {whom}"
        return None

    def _known(self, values: Sequence[Value]) -> dict[Key, Group]:
        keys = [(v.stack, v.logical_id) for v in values if isinstance(v, Reference)]
        return {key: self._groups[key] for key in keys if key in self._groups}


def _opens(
    groups: dict[Key, Group], others: dict[Key, Group], port: int, direction: str
) -> Iterator[bool]:
    """Give, for each rule of `groups` in a direction, whether it lets the others through."""
    for group in groups.values():
        for rule in group.ingress if direction == "ingress" else group.egress:
            yield rule.covers(port) and _is_meant(rule, others)


def _is_meant(rule: Rule, others: dict[Key, Group]) -> bool:
    if rule.group is not None:
        return rule.group in others
    if rule.network in EVERYONE:
        return True
    return any(
        other.network is not None and rule.network is not None and _meet(rule.network, other)
        for other in others.values()
    )


def _meet(network: str, group: Group) -> bool:
    try:
        one, other = ipaddress.ip_network(network), ipaddress.ip_network(str(group.network))
    except ValueError:
        return False
    return one.version == other.version and one.overlaps(other)


def _group(model: Model, group: Resource) -> Group:
    vpc = model.resource(group.get("VpcId"))
    ingress = [*group.items("SecurityGroupIngress"), *_separate(model, group, INGRESS)]
    # Without any of its own a group lets everything out; the first inline one replaces that.
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-securitygroup.html
    inline = group.get("SecurityGroupEgress")
    egress = [*group.items("SecurityGroupEgress"), *_separate(model, group, EGRESS)]
    return Group(
        name=str(group),
        network=vpc.text("CidrBlock") if vpc else None,
        ingress=tuple(_rules(model, ingress, "SourceSecurityGroupId")),
        egress=(
            (ANYTHING,)
            if inline is None
            else tuple(_rules(model, egress, "DestinationSecurityGroupId"))
        ),
    )


def _separate(model: Model, group: Resource, kind: str) -> list[Value]:
    found = model.referrers(group, kind)
    return [rule.properties for rule in found if model.resource(rule.get("GroupId")) == group]


def _rules(model: Model, listed: Sequence[Value], other_end: str) -> Iterator[Rule]:
    for item in listed:
        protocol = (as_text(child(item, "IpProtocol")) or "").lower()
        if protocol not in TCP:
            continue
        first = as_number(child(item, "FromPort"), 0) if protocol != "-1" else 0
        last = as_number(child(item, "ToPort"), PORT_MAX) if protocol != "-1" else PORT_MAX
        group = model.resource(child(item, other_end))
        network = as_text(child(item, "CidrIp")) or as_text(child(item, "CidrIpv6"))
        yield Rule(int(first or 0), int(last or 0), _key(group) if group else None, network)


def _default(network: Resource, *, is_restricted: bool) -> Group:
    """Return a network's default group, whose members may speak to each other and to all."""
    own = Rule(0, PORT_MAX, group=_key(network))
    return Group(
        name=f"the default group of {network}",
        network=network.text("CidrBlock"),
        ingress=() if is_restricted else (own,),
        egress=() if is_restricted else (ANYTHING,),
    )


def _key(resource: Resource) -> Key:
    return resource.stack, resource.logical_id


def _names(groups: dict[Key, Group]) -> str:
    return " or ".join(group.name for group in groups.values()) or "what has no security group"
