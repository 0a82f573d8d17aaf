"""A health check over HTTPS names its host in the handshake, as every client does."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.records import HEALTH_CHECK


def check(model: Model) -> Iterator[Report]:
    """Look for checks that switch the name off; for HTTPS it is on by default."""
    # https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html
    for probe in model.resources_of(HEALTH_CHECK):
        is_secure = (probe.text("HealthCheckConfig.Type") or "").startswith("HTTPS")
        if is_secure and probe.flag("HealthCheckConfig.EnableSNI") is False:
            yield Report(
                probe,
                "Without a name in the handshake an endpoint that needs one refuses it, and one "
                "with several certificates shows its default: the check does not see what clients "
                "see.",
                "Set EnableSNI to true, or leave it out.",
            )
