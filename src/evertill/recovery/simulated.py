"""Where a simulation on this machine has things, which a real deployment finds by its names.

It is separate because nothing of it is true of AWS: names lead nowhere here, so a load balancer is
reached at the address that its API tells, and ports that need root are moved up. It reads what the
simulation wrote for its users (`control.json`, `demo.json`), and imports nothing of it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from evertill.domain.errors import EvertillError
from evertill.recovery.deployment import Deployment
from evertill.recovery.regions import Region

HTTPS_PORT: Final = 8443
STATUS_TIMEOUT_S: Final = 5.0


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


def doors(endpoints: Mapping[str, str], deployment: Deployment) -> dict[str, str]:
    """Return where the services of simulated regions are, as far as their APIs tell."""
    found = {}
    for name, endpoint in endpoints.items():
        if is_simulated(endpoint):
            address = _address(Region(name, endpoint, attempts_max=1), deployment)
            # Port 9 is where nobody answers: a region that is lost, and whose address is not known.
            found[name] = f"https://{address}:{HTTPS_PORT}" if address else "https://127.0.0.1:9"
    return found


def _address(region: Region, deployment: Deployment) -> str:
    try:
        answer = region.call("elbv2", "describe_load_balancers", Names=[deployment.named("alb")])
    except EvertillError:
        return ""
    zones = answer["LoadBalancers"][0]["AvailabilityZones"]
    addresses = [
        address["IpAddress"] for zone in zones for address in zone.get("LoadBalancerAddresses", ())
    ]
    return addresses[0] if addresses else ""
