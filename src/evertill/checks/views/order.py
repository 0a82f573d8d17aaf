"""In which order CloudFormation creates the resources of a stack.

It is separate because AWS refuses several things whose other half is not there yet, and a template
says only with references and DependsOn what comes first.
"""

from __future__ import annotations

from evertill.assembly import Model, Resource


def created_before(model: Model, resource: Resource) -> set[str]:
    """Return the logical ids of the stack's resources that exist before `resource` is created."""
    seen: set[str] = set()
    open_ids = [resource.logical_id]
    stack = model.stack(resource.stack)
    while open_ids and stack is not None:
        waiting = stack.resources.get(open_ids.pop())
        if waiting is None:
            continue
        named = {ref.logical_id for ref in waiting.references if ref.stack == stack.id}
        fresh = (named | set(waiting.depends_on)) - seen
        seen |= fresh
        open_ids.extend(fresh)
    return seen
