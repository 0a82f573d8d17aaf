"""What references stand for in the twin: the text that `Ref` and `Fn::GetAtt` give here.

It is separate because each concern binds its own resources (a database its endpoints, a topic its
ARN) and every concern reads the others'. An endpoint may differ by who asks, since between a
consumer and what it uses stands a gate with an address of its own.
"""

from __future__ import annotations

from typing import Final

from evertill.assembly import Model, Reference, Resource, Text, Unknown, Value
from evertill.assembly.pseudo import partition
from evertill.twin.errors import TwinError
from evertill.twin.plan.identity import physical_name, value_of

# No account is meant; AWS's documentation uses this one.
ACCOUNT: Final = "123456789012"
PSEUDO: Final = {"AWS::AccountId": ACCOUNT}


class Unbound(TwinError):
    """A value of the templates has no meaning here."""

    code = "unbound"


class Bindings:
    """The texts of references, some of them for one consumer only."""

    def __init__(self, model: Model) -> None:
        """Bind the resources of `model`; what nobody binds has a physical name made of its id."""
        self._model: Final = model
        self._texts: dict[tuple[Reference, str], str] = {}

    def bind(self, reference: Reference, text: str, consumer: str = "") -> None:
        """Let `reference` read `text`, to `consumer` alone where one is named."""
        self._texts[reference, consumer] = text

    def text(self, value: Value, consumer: str = "") -> str:
        """Return `value` as a process reads it; raise Unbound for what cannot be known."""
        match value:
            case Reference():
                return self._of(value, consumer)
            case Text(parts=parts):
                return "".join(self.text(part, consumer) for part in parts)
            case Unknown(reason=reason) if reason in PSEUDO:
                return PSEUDO[reason]
            case bool():
                return "true" if value else "false"
            case str() | int() | float():
                return str(value)
        message = f"The twin cannot tell what {value} is."
        raise Unbound(message)

    def _of(self, reference: Reference, consumer: str) -> str:
        for asked in dict.fromkeys((consumer, "")):
            if (reference, asked) in self._texts:
                return self._texts[reference, asked]
        resource = self._model.resource(reference)
        if resource is None:
            message = f"{reference} names a resource that the templates do not have."
            raise Unbound(message)
        made = value_of(resource, reference.attribute)
        if made is not None:
            return made
        if resource.type == "AWS::ECS::Service" and reference.attribute in {"Ref", "Arn"}:
            return self._service_arn(resource)
        template = resource.get(reference.attribute)
        if template is not None and not isinstance(template, list | dict):
            return self.text(template, consumer)
        message = f"The twin does not know {reference.attribute} of {resource} ({resource.type})."
        raise Unbound(message)

    def _service_arn(self, service: Resource) -> str:
        cluster = self._model.find(
            service.get("Cluster"), "AWS::ECS::Cluster", region=service.region
        )
        name = physical_name(cluster) if cluster is not None else "default"
        place = f"{partition(service.region)}:ecs:{service.region}:{service.account}"
        return f"arn:{place}:service/{name}/{physical_name(service)}"
