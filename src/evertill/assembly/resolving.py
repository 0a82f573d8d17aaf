"""Resolves the intrinsic functions of all stacks, each where it stands.

It is separate from the functions that only compute, because these look around: at parameters,
mappings and conditions of the stack, at its nested stacks and its parent, and at what other stacks
of the same region export. Nothing here raises for what is merely unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from evertill.assembly.conditions import Truth, evaluate
from evertill.assembly.errors import TemplateMalformed
from evertill.assembly.functions import PURE, as_piece, concatenated
from evertill.assembly.limits import INDIRECTIONS_MAX, VALUES_MAX
from evertill.assembly.pseudo import PREFIX, pseudo_parameter
from evertill.assembly.reading import RawStack
from evertill.assembly.values import IMPORT, Piece, Reference, Unknown, Value, unknown

NO_VALUE: Final = "AWS::NoValue"
NESTED_STACK: Final = "AWS::CloudFormation::Stack"
SSM_PARAMETER: Final = "AWS::SSM::Parameter"
PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")
SSM_REFERENCE: Final = re.compile(r"\{\{resolve:ssm:([^:}]+)(?::\d+)?\}\}")

_DROPPED: Final = object()


class World:
    """What the stacks of one assembly know of each other."""

    def __init__(self, stacks: Sequence[RawStack], zones: Mapping[str, Sequence[str]]) -> None:
        """Index `stacks`; `zones` gives the availability zones by region."""
        self.zones = zones
        self.scopes = {stack.stack_id: Scope(stack, self) for stack in stacks}
        self._exports: dict[tuple[str | None, str], Value] = {}
        self._indirections = 0
        self._values = 0
        self._index_exports()

    def exported(self, region: str | None, name: str) -> Value:
        """Return what a stack of `region` exports as `name`, an Unknown when none does."""
        return self._exports.get((region, name), Unknown(f"{IMPORT}{name}"))

    def ssm_parameter(self, region: str | None, name: str) -> Value:
        """Return the value of a parameter that a stack of `region` writes, else an Unknown."""
        for scope in self.scopes.values():
            if scope.stack.region != region:
                continue
            for resource in scope.stack.template.resources.values():
                properties = resource.get("Properties", {})
                if resource["Type"] == SSM_PARAMETER and properties.get("Name") == name:
                    return scope.resolve(properties.get("Value"))
        return Unknown(f"SSM parameter {name}")

    def nested(self, stack_id: str, logical_id: str) -> Scope | None:
        """Return the scope of a nested stack whose template is part of the assembly."""
        return self.scopes.get(f"{stack_id}/{logical_id}")

    @contextmanager
    def indirection(self, to: str) -> Iterator[None]:
        """Bound how far one value leads through others, which also ends circles."""
        self._indirections += 1
        if self._indirections > INDIRECTIONS_MAX:
            message = f"{to} leads through more than {INDIRECTIONS_MAX} others, or in a circle."
            raise TemplateMalformed(message)
        try:
            yield
        finally:
            self._indirections -= 1

    def count(self, values: int = 1) -> None:
        """Bound how many values the assembly may come to."""
        self._values += values
        if self._values > VALUES_MAX:
            raise TemplateMalformed(f"the templates come to more than {VALUES_MAX} values.")

    def _index_exports(self) -> None:
        """Resolve exports again and again while imports of imports become known."""
        pending = [
            (scope, output)
            for scope in self.scopes.values()
            for output in scope.stack.template.outputs.values()
            if isinstance(output, dict) and isinstance(output.get("Export"), dict)
        ]
        for _ in range(INDIRECTIONS_MAX):
            before = dict(self._exports)
            for scope, output in pending:
                name = scope.resolve(output["Export"].get("Name"))
                if isinstance(name, str) and scope.truth_of(output.get("Condition")) is not False:
                    self._exports[scope.stack.region, name] = scope.resolve(output.get("Value"))
            if before == self._exports:
                return


class Scope:
    """One stack, and what its intrinsics resolve to."""

    def __init__(self, stack: RawStack, world: World) -> None:
        """Resolve for `stack` in `world`."""
        self.stack = stack
        self._world = world
        self._truths: dict[str, Truth] = {}
        self._functions: Mapping[str, Callable[[Any], object]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::If": self._if,
            "Fn::ImportValue": self._import_value,
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": self._get_azs,
        }

    def resolve(self, value: object) -> Value:
        """Return `value` with its intrinsics resolved; what is dropped at the top is None."""
        resolved = self._resolve(value)
        return None if resolved is _DROPPED else resolved  # type: ignore[return-value] # a Value

    def truth_of(self, name: object) -> Truth:
        """Return what a condition of the template comes to; no condition is true."""
        if name is None:
            return True
        if not isinstance(name, str) or name not in self.stack.template.conditions:
            raise TemplateMalformed(f"there is no condition {name}.")
        if name not in self._truths:
            with self._world.indirection(f"the condition {name}"):
                expression = self.stack.template.conditions[name]
                self._truths[name] = evaluate(expression, named=self.truth_of, resolve=self.resolve)
        return self._truths[name]

    def output(self, name: str) -> Value:
        """Return the value of an output, for the parent of a nested stack."""
        output = self.stack.template.outputs.get(name)
        if not isinstance(output, dict):
            return Unknown(f"output {name} of {self.stack.stack_id}")
        with self._world.indirection(f"the output {name}"):
            return self.resolve(output.get("Value"))

    def _resolve(self, value: object) -> object:
        self._world.count()
        if isinstance(value, list):
            items = (self._resolve(item) for item in value)
            return [item for item in items if item is not _DROPPED]
        if isinstance(value, dict):
            return self._resolve_object(value)
        if isinstance(value, str) and (matched := SSM_REFERENCE.fullmatch(value)):
            with self._world.indirection(f"the SSM parameter {matched[1]}"):
                return self._world.ssm_parameter(self.stack.region, matched[1])
        return value

    def _resolve_object(self, value: dict[str, object]) -> object:
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in self._functions:
                return self._functions[name](argument)
            if name in PURE:
                resolved = PURE[name](self.resolve(argument))
                self._world.count(len(resolved) if isinstance(resolved, list) else 1)
                return resolved
            if name.startswith("Fn::"):
                return unknown(f"{name}", *self._within(argument))
        resolved_items = {key: self._resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved_items.items() if item is not _DROPPED}

    def _within(self, argument: object) -> list[Value]:
        resolved = self.resolve(argument)
        return resolved if isinstance(resolved, list) else [resolved]

    def _ref(self, name: object) -> object:
        if name == NO_VALUE:
            return _DROPPED
        if not isinstance(name, str):
            raise TemplateMalformed("Ref takes a name.")
        if name.startswith(PREFIX):
            return pseudo_parameter(name, self.stack)
        if name in self.stack.template.parameters:
            return self._parameter(name)
        return self._reference(name)

    def _reference(self, logical_id: str, attribute: str = "Ref") -> Value:
        resource = self.stack.template.resources.get(logical_id)
        if resource is None:
            message = f"{logical_id} is neither a resource nor a parameter of the template."
            raise TemplateMalformed(message)
        if resource["Type"] == NESTED_STACK and attribute.startswith("Outputs."):
            nested = self._world.nested(self.stack.stack_id, logical_id)
            if nested is not None:
                return nested.output(attribute.removeprefix("Outputs."))
        return Reference(self.stack.stack_id, logical_id, attribute)

    def _get_att(self, argument: object) -> Value:
        if isinstance(argument, str):
            logical_id, _, attribute = argument.partition(".")
        elif isinstance(argument, list) and len(argument) == 2:  # noqa: PLR2004 - id, attribute
            logical_id, attribute = str(argument[0]), str(self.resolve(argument[1]))
        else:
            raise TemplateMalformed("Fn::GetAtt takes a resource and an attribute.")
        if not attribute:
            raise TemplateMalformed("Fn::GetAtt takes a resource and an attribute.")
        return self._reference(logical_id, attribute)

    def _parameter(self, name: str) -> Value:
        declared = self.stack.template.parameters[name]
        if not isinstance(declared, dict):
            raise TemplateMalformed(f"the parameter {name} is no JSON object.")
        with self._world.indirection(f"the parameter {name}"):
            given = self._given(name)
        value = declared.get("Default") if given is None else given
        if value is None:
            return Unknown(f"parameter {name} of {self.stack.stack_id}")
        kind = str(declared.get("Type", "String"))
        if kind.startswith("AWS::SSM::Parameter::Value"):
            return self._world.ssm_parameter(self.stack.region, str(value))
        if isinstance(value, str) and (kind == "CommaDelimitedList" or kind.startswith("List<")):
            return [item.strip() for item in value.split(",")]
        if isinstance(value, dict | list) and given is None:
            raise TemplateMalformed(f"the default of the parameter {name} is no scalar.")
        return value

    def _given(self, name: str) -> Value:
        """Return what the parent of a nested stack gives for a parameter."""
        if self.stack.parent is None:
            return None
        parent_id, logical_id = self.stack.parent
        parent = self._world.scopes[parent_id]
        properties = parent.stack.template.resources[logical_id].get("Properties", {})
        parameters = properties.get("Parameters", {})
        return parent.resolve(parameters.get(name)) if isinstance(parameters, dict) else None

    def _sub(self, argument: object) -> Value:
        template, variables = argument, {}
        if isinstance(argument, list) and len(argument) == 2:  # noqa: PLR2004 - text, variables
            template, variables = argument
        if not isinstance(template, str) or not isinstance(variables, dict):
            raise TemplateMalformed("Fn::Sub takes a string and, if any, its variables.")
        pieces: list[Piece] = []
        end = 0
        for found in PLACEHOLDER.finditer(template):
            pieces += [template[end : found.start()], self._variable(found[1], variables)]
            end = found.end()
        return concatenated([*pieces, template[end:]], "Fn::Sub")

    def _variable(self, name: str, variables: Mapping[str, object]) -> Piece:
        if name.startswith("!"):
            return f"${{{name[1:]}}}"
        name = name.strip()
        if name in variables:
            return as_piece(self.resolve(variables[name]), "Fn::Sub")
        value = self._get_att(name) if "." in name else self.resolve({"Ref": name})
        if isinstance(value, list):
            raise TemplateMalformed(f"Fn::Sub needs a string where {name} is a list.")
        return as_piece(value, "Fn::Sub")

    def _if(self, argument: object) -> object:
        if not isinstance(argument, list) or len(argument) != 3:  # noqa: PLR2004 - if, then, else
            raise TemplateMalformed("Fn::If takes a condition and two values.")
        name, then, otherwise = argument
        truth = self.truth_of(name)
        if truth is None:
            return unknown(f"the condition {name}", self.resolve(then), self.resolve(otherwise))
        return self._resolve(then if truth else otherwise)

    def _import_value(self, argument: object) -> Value:
        name = self.resolve(argument)
        if isinstance(name, str):
            return self._world.exported(self.stack.region, name)
        return unknown(f"{IMPORT}{name}", name)

    def _find_in_map(self, argument: object) -> Value:
        if not isinstance(argument, list) or len(argument) not in {3, 4}:
            raise TemplateMalformed("Fn::FindInMap takes a map and two keys.")
        keys = [self.resolve(key) for key in argument[:3]]
        if not all(isinstance(key, str | int) for key in keys):
            return unknown("Fn::FindInMap of " + ", ".join(map(str, keys)), *keys)
        found: object = self.stack.template.mappings
        for key in keys:
            found = found.get(str(key)) if isinstance(found, dict) else None
        if found is None and len(argument) == 4 and isinstance(argument[3], dict):  # noqa: PLR2004 - default
            return self.resolve(argument[3].get("DefaultValue"))
        if found is None:
            raise TemplateMalformed(f"no mapping has {'.'.join(map(str, keys))}.")
        return self.resolve(found)

    def _get_azs(self, argument: object) -> Value:
        region = self.resolve(argument) or self.resolve({"Ref": "AWS::Region"})
        given = self._world.zones.get(region) if isinstance(region, str) else None
        return list(given) if given else unknown(f"zones of {region}", region)
