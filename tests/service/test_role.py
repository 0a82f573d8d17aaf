"""A region's role in the service's log, which metrics in AWS are made of."""

from __future__ import annotations

from tests.support.service import Service, wait_until

from evertill.service.health import READ_ONLY, WRITABLE

WAIT_TIMEOUT_S = 20.0


def test_a_service_that_can_write_says_so(service: Service) -> None:
    told = {WRITABLE, READ_ONLY}
    wait_until(lambda: any(e["message"] in told for e in service.entries()), WAIT_TIMEOUT_S)
    first = next(entry for entry in service.entries() if entry["message"] in told)
    assert (WRITABLE, "info") == (first["message"], first["level"])
