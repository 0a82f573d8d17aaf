"""Where a name that something uses leads: to a resource here, in another region, or nowhere.

It is separate because alarms, environments and copies all use names, and because the answer is
often that nothing can be said: a name may belong to something outside of the assembly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from evertill.assembly import Model, Resource, Text, Value
from evertill.assembly.model import as_text, child


def other_region(
    model: Model, value: Value, types: Iterable[str], region: str | None
) -> Resource | None:
    """Return the resource of another region that `value` names, when none here has that name."""
    wanted = tuple(types)
    if region is None or not isinstance(value, str | Text):
        return None
    if model.find(value, *wanted, region=region) is not None:
        return None
    found = model.find(value, *wanted)
    if found is None or found.region in {None, region} or has_replica(found, region):
        return None
    return found


def has_replica(resource: Resource, region: str) -> bool:
    """Tell whether a resource is there in `region` too, under the same name.

    So are the replicas of a global table and of a secret.
    """
    copies = [*resource.items("Replicas"), *resource.items("ReplicaRegions")]
    # A region that is not known may be this one.
    return any(as_text(child(copy, "Region"), region) in {region, None} for copy in copies)


def leads_nowhere(model: Model, value: Value, types: Iterable[str], region: str | None) -> bool:
    """Tell whether a name is nobody's although the names of all candidates are known.

    Without any candidate the name may be of something that exists already.
    """
    wanted = tuple(types)
    if not isinstance(value, str) or model.find(value, *wanted) is not None:
        return False
    candidates = [item for item in model.resources_of(*wanted) if item.region == region]
    return bool(candidates) and not any(_may_be_named(item, value) for item in candidates)


def _may_be_named(resource: Resource, name: str) -> bool:
    """Tell whether a resource could have that name, for all that its template tells."""
    own = resource.name
    if isinstance(own, Text):
        pattern = "".join(re.escape(part) if isinstance(part, str) else ".+" for part in own.parts)
        return re.search(f"(^|[:/]){pattern}($|[:/])", name) is not None
    return not isinstance(own, str)
