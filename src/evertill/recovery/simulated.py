"""Where a simulation on this machine has things, which a real deployment finds by its names.

It is separate because nothing of it is true of AWS: names lead nowhere here, so a load balancer is
reached at the address that its API tells, and ports that need root are moved up. It reads what the
simulation wrote for its users (`control.json`, `demo.json`), and imports nothing of it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from evertill.domain.errors import EvertillError
from evertill.recovery.deployment import Deployment
from evertill.recovery.observing import read_addresses
from evertill.recovery.regions import Region

HTTPS_PORT: Final = 8443
STATUS_TIMEOUT_S: Final = 5.0
# Where nobody answers: the service of a region that is lost, and whose address is not known.
NOWHERE: Final = "https://127.0.0.1:9"


def control(folder: Path) -> dict[str, Any]:
    """Return the status of the simulation in `folder`, empty when none tells it."""
    try:
        url = json.loads((folder / "control.json").read_text())["url"]
        found: dict[str, Any] = httpx.get(
            f"{url}/status", timeout=STATUS_TIMEOUT_S, trust_env=False
        ).json()
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return {}
    return found


def endpoints(status: Mapping[str, Any]) -> dict[str, str]:
    """Return the API of each region in a simulation's status."""
    return {name: item["endpoint"] for name, item in status.get("regions", {}).items()}


def demonstration_key(folder: Path) -> str:
    """Return the API key that a simulation made for its user, empty without one."""
    try:
        return str(json.loads((folder / "demo.json").read_text())["key"])
    except (OSError, ValueError, KeyError):
        return ""


def is_simulated(endpoint: str) -> bool:
    """Tell whether an endpoint is on this machine."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Doors:
    """Finds the services of simulated regions, by APIs that may be asked."""

    def __init__(self, endpoints: Mapping[str, str], deployment: Deployment) -> None:
        """Find the services of the regions behind `endpoints`."""
        self._regions: Final = {
            name: Region(name, endpoint, is_impatient=True) for name, endpoint in endpoints.items()
        }
        self._deployment: Final = deployment

    def forgo(self, name: str) -> None:
        """Call nothing of a region any more."""
        if name in self._regions:
            self._regions[name].forgo()

    def find(self, name: str) -> str:
        """Return where a region's service is: by its own API, else as Route 53's tells it."""
        if name not in self._regions or not is_simulated(self._regions[name].endpoint):
            return f"https://{self._deployment.regional(name)}"
        addresses = self._own(name) or self._named(name)
        return f"https://{addresses[0]}:{HTTPS_PORT}" if addresses else NOWHERE

    def _own(self, name: str) -> Sequence[str]:
        try:
            answer = self._regions[name].call(
                "elbv2", "describe_load_balancers", Names=[self._deployment.named("alb")]
            )
        except EvertillError:
            return ()
        zones = answer["LoadBalancers"][0]["AvailabilityZones"]
        return [item["IpAddress"] for zone in zones for item in zone["LoadBalancerAddresses"]]

    def _named(self, name: str) -> Sequence[str]:
        other = self._regions[self._deployment.other(name)]
        try:
            return read_addresses(other, self._deployment, self._deployment.regional(name))
        except (EvertillError, KeyError, StopIteration):
            return ()
