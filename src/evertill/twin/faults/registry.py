"""Every fault there is, in the order in which they are listed.

It is separate because it alone imports all of them; a fault that is not named here does not exist.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from evertill.twin.faults import aws, clocks, databases, edge, network, places, storage, tasks
from evertill.twin.faults.fault import Fault, FaultUnknown, TargetUnknown, Values
from evertill.twin.running.twin import Twin

FAULTS: Final[tuple[type[Fault], ...]] = (
    tasks.KillTask,
    tasks.FreezeTask,
    tasks.KillZoneTasks,
    tasks.FreezeZoneTasks,
    tasks.SlowTask,
    places.LoseZone,
    places.FreezeZone,
    places.LoseRegion,
    places.FreezeRegion,
    databases.KillWriter,
    databases.FreezeWriter,
    databases.KillReader,
    databases.FreezeReader,
    databases.ConnectionStorm,
    edge.KillBalancerNode,
    edge.FreezeBalancerNode,
    edge.KillBalancer,
    edge.KillFunction,
    edge.FreezeFunction,
    network.CutLink,
    network.DelayLink,
    network.ThrottleLink,
    aws.PauseObjects,
    aws.BreakDns,
    aws.ThrottleApi,
    storage.FillDisk,
    storage.SlowDisk,
    storage.SlowDatabase,
    storage.StopObjects,
    storage.StopWitness,
    clocks.JumpClock,
)
KINDS: Final = {fault.kind: fault for fault in FAULTS}
# So many of what there is are named to somebody who asked for what there is not.
NAMED_MAX: Final = 12


def described(twin: Twin) -> list[dict[str, Any]]:
    """Return every kind with its parameters, their defaults, and what it could be set on now."""
    return [
        {
            "fault": fault.kind,
            "summary": fault.summary,
            "passes": fault.passes,
            "parameters": [field.encode_name for field in msgspec.structs.fields(fault)],
            "defaults": {
                field.encode_name: field.default
                for field in msgspec.structs.fields(fault)
                if not field.required
            },
            "targets": fault.targets(twin),
        }
        for fault in FAULTS
    ]


def made(twin: Twin, kind: str, parameters: Values) -> Fault:
    """Return the fault of a kind with parameters; raise FaultUnknown or TargetUnknown."""
    if kind not in KINDS:
        message = f"There is no fault {kind!r}; there are {', '.join(KINDS)}."
        raise FaultUnknown(message)
    try:
        # What the command line gives is text, also where a number is meant.
        fault = msgspec.convert(parameters, KINDS[kind], strict=False)
    except msgspec.ValidationError as error:
        message = f"{kind}: {error}; {_usage(KINDS[kind])}."
        raise TargetUnknown(message) from None
    _check_target(twin, fault)
    return fault


def _usage(fault: type[Fault]) -> str:
    fields = msgspec.structs.fields(fault)
    needed = [f"{field.encode_name}=..." for field in fields if field.required]
    optional = [f"[{field.encode_name}={field.default}]" for field in fields if not field.required]
    return f"it takes {' '.join([*needed, *optional]) or 'no parameters'}"


def _check_target(twin: Twin, fault: Fault) -> None:
    """Raise TargetUnknown, naming what there is, when nothing there is meant."""
    given: Values = msgspec.to_builtins(fault)
    targets = fault.targets(twin)
    if any(all(given[name] == value for name, value in target.items()) for target in targets):
        return
    named = [", ".join(f"{name}={value}" for name, value in target.items()) for target in targets]
    more = f" and {len(named) - NAMED_MAX} more" if len(named) > NAMED_MAX else ""
    there_is = f"there is {'; '.join(named[:NAMED_MAX])}{more}" if named else "there is none now"
    asked = ", ".join(f"{name}={value}" for name, value in given.items() if value != "")
    message = f"{fault.kind} cannot be set on {asked or 'that'}: {there_is}."
    raise TargetUnknown(message)
