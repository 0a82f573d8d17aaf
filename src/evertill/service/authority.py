"""This process's leave to write, as the settings say: shared with another region, or nobody's.

It is separate because storage does not know of leases, nor the lease of databases.
"""

from __future__ import annotations

from collections.abc import Callable

from evertill.authority.keeping import Alone, Keeper
from evertill.authority.table import Table
from evertill.domain.errors import UsageError
from evertill.service.settings import Settings


def keeper(settings: Settings, may_found: Callable[[], bool]) -> Keeper | Alone:
    """Return who keeps the leave to write; `may_found` tells whether the database takes writes.

    Raise UsageError for a table without regions.
    """
    if not settings.authority_table:
        return Alone()
    regions = [region.strip() for region in settings.authority_regions.split(",")]
    if not all(regions) or regions[0] != settings.region:
        message = (
            "EVERTILL_AUTHORITY_REGIONS must name the regions of EVERTILL_AUTHORITY_TABLE, "
            f"this one, {settings.region}, first."
        )
        raise UsageError(message)
    table = Table(settings.authority_table, regions, settings.aws_endpoint_url)
    return Keeper(table, settings.region, may_found=may_found, speed=settings.time_scale)
