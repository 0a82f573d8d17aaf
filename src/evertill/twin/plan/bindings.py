"""What references stand for in the twin: the text that `Ref` and `Fn::GetAtt` give here.

It is separate because each concern binds its own resources (a database its endpoints, a topic its
ARN) and every concern reads the others'. An endpoint may differ by who asks, since between a
consumer and what it uses stands a gate with an address of its own.
"""

from __future__ import annotations

from typing import Final

from evertill.assembly import Model, Reference, Text, Unknown, Value
from evertill.twin.errors import TwinError

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
        if reference.attribute == "Ref":
            name = resource.name
            return self.text(name, consumer) if name is not None else str(resource)
        message = f"The twin does not know {reference.attribute} of {resource} ({resource.type})."
        raise Unbound(message)
