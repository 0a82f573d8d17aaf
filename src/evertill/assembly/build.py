"""From raw stacks to the model: every property resolved, and every complaint with its place.

It is separate because it is the only part that knows both languages, CloudFormation's and the
model's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from evertill.assembly.errors import TemplateMalformed
from evertill.assembly.model import Model, Output, Resource, Stack
from evertill.assembly.reading import RawStack
from evertill.assembly.resolving import Scope, World
from evertill.assembly.values import Value


def build(stacks: Sequence[RawStack], zones: Mapping[str, Sequence[str]] | None = None) -> Model:
    """Return the model of `stacks`; raise TemplateMalformed for what CloudFormation would refuse.

    `zones` gives the availability zones by region, for `Fn::GetAZs`.
    """
    try:
        world = World(stacks, zones or {})
    except TemplateMalformed as error:
        raise TemplateMalformed(f"The exports cannot be resolved: {error}") from error
    return Model([_stack(scope) for scope in world.scopes.values()])


def _stack(scope: Scope) -> Stack:
    raw = scope.stack
    resources: dict[str, Resource] = {}
    for logical_id, declared in raw.template.resources.items():
        with _located(raw, logical_id):
            is_true = scope.truth_of(declared.get("Condition"))
            if is_true is not False:
                resources[logical_id] = _resource(
                    scope, logical_id, declared, is_certain=is_true is True
                )
    outputs: dict[str, Output] = {}
    for name, declared in raw.template.outputs.items():
        with _located(raw, name):
            if not isinstance(declared, dict):
                raise TemplateMalformed("an output is a JSON object.")
            if scope.truth_of(declared.get("Condition")) is not False:
                outputs[name] = _output(scope, name, declared)
    return Stack(
        id=raw.stack_id,
        name=raw.name,
        region=raw.region,
        account=raw.account,
        dependencies=raw.dependencies,
        resources=resources,
        outputs=outputs,
        parent=raw.parent[0] if raw.parent else None,
        file=raw.file,
    )


def _resource(
    scope: Scope, logical_id: str, declared: Mapping[str, Any], *, is_certain: bool
) -> Resource:
    depends_on = declared.get("DependsOn", [])
    depends_on = [depends_on] if isinstance(depends_on, str) else depends_on
    if not isinstance(depends_on, list) or not all(isinstance(item, str) for item in depends_on):
        raise TemplateMalformed("DependsOn takes a logical id or a list of them.")
    policies = [
        scope.resolve(declared.get(policy)) for policy in ("DeletionPolicy", "UpdateReplacePolicy")
    ]
    return Resource(
        stack=scope.stack.stack_id,
        logical_id=logical_id,
        type=declared["Type"],
        region=scope.stack.region,
        account=scope.stack.account,
        properties=_object(scope.resolve(declared.get("Properties", {}))),
        metadata=declared.get("Metadata", {}),
        depends_on=tuple(depends_on),
        deletion_policy=policies[0] if isinstance(policies[0], str) else None,
        update_replace_policy=policies[1] if isinstance(policies[1], str) else None,
        is_certain=is_certain,
    )


def _output(scope: Scope, name: str, declared: Mapping[str, Any]) -> Output:
    export = declared.get("Export")
    exported = scope.resolve(export.get("Name")) if isinstance(export, dict) else None
    return Output(name, scope.resolve(declared.get("Value")), exported)


def _object(value: Value) -> dict[str, Value]:
    # Properties that are one intrinsic function as a whole, such as a transform, are not known.
    return value if isinstance(value, dict) else {}


@contextmanager
def _located(stack: RawStack, place: str) -> Iterator[None]:
    try:
        yield
    except TemplateMalformed as error:
        raise TemplateMalformed(f"{stack.stack_id}, {place}: {error}") from error
