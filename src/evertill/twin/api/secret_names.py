"""Secrets by the ARNs of the plan: the emulator makes up six letters of its own at their ends.

It is separate because nothing else about secrets differs: an ARN of the templates becomes the name
on the way in, and the emulator's own ARN becomes that of the templates on the way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from evertill.twin.api.messages import Answer, Endpoint, Request
from evertill.twin.plan.storage import SecretSpec


def arns_in(region: str, specs: Iterable[SecretSpec]) -> dict[str, str]:
    """Return the ARNs of the secrets in `region` by name; a replica's differs by its region."""
    return {
        spec.name: spec.arn.replace(f":{spec.regions[0]}:", f":{region}:")
        for spec in specs
        if region in spec.regions
    }


class SecretNames:
    """Passes requests on with the names of `specs` in place of their ARNs."""

    def __init__(self, region: str, relay: Endpoint, specs: Iterable[SecretSpec]) -> None:
        """Know the ARNs of `specs` in `region`."""
        self._relay: Final = relay
        self._arns: Final = arns_in(region, specs)
        self._names: Final = {arn: name for name, arn in self._arns.items()}
        names = "|".join(map(re.escape, self._arns)) or "(?!)"
        self._made_up: Final = re.compile(
            rf"arn:aws:secretsmanager:[a-z0-9-]+:\d+:secret:({names})-[A-Za-z0-9]{{6}}(?=\")"
        )

    async def __call__(self, request: Request) -> Answer:
        """Answer with the plan's ARNs."""
        answer = await self._relay(self._renamed(request))
        text = self._made_up.sub(lambda found: self._arns[found[1]], answer.body.decode())
        return msgspec.structs.replace(answer, body=text.encode())

    def _renamed(self, request: Request) -> Request:
        try:
            document: dict[str, Any] = msgspec.json.decode(request.body or b"{}")
        except msgspec.DecodeError:
            return request
        name = self._names.get(str(document.get("SecretId")))
        if name is None:
            return request
        body = msgspec.json.encode({**document, "SecretId": name})
        return msgspec.structs.replace(request, body=body)
