"""The service of one region over HTTPS: is it ready, and does it take a payment.

It is separate from the APIs because this is what clients see, and because it stays when AWS's
control planes do not. The name in the handshake is the regional one, wherever its address is.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

CONNECT_TIMEOUT_S: Final = 2.0
READ_TIMEOUT_S: Final = 5.0
PAYMENT_TIMEOUT_S: Final = 15.0
OK: Final = 200
CREATED: Final = 201
# The least that is a payment anywhere. It is authorized and then canceled: no money moves.
SMOKE_AMOUNT_MINOR: Final = 100
SMOKE_CURRENCY: Final = "USD"


class Seen(msgspec.Struct, frozen=True):
    """What a question to `/ready` got: a status and the service's own reason, or why nothing."""

    is_ready: bool
    text: str


class Door:
    """A region's service at `url`, under its regional name."""

    def __init__(self, url: str, name: str, authorities: Path | None) -> None:
        """Ask there; `authorities` are trusted beside the system's."""
        self.url: Final = url.rstrip("/")
        self.name: Final = name
        context = ssl.create_default_context()
        if authorities is not None:
            context.load_verify_locations(authorities)
        self._context: Final = context

    def ready(self) -> Seen:
        """Ask once whether the region can take a payment, on a connection of its own."""
        try:
            with self._client() as client:
                response = client.get("/ready", extensions=self._extensions())
        except (httpx.HTTPError, ssl.SSLError) as failure:
            return Seen(is_ready=False, text=f"no answer: {type(failure).__name__}")
        if response.status_code == OK:
            return Seen(is_ready=True, text="ready")
        try:
            reason = str(response.json().get("reason") or response.status_code)
        except ValueError:
            reason = str(response.status_code)
        return Seen(is_ready=False, text=reason)

    def pay(self, key: str, idempotency_key: str) -> str:
        """Authorize a payment and cancel it; return its id, or raise httpx.HTTPError or ValueError.

        Repeated under the same idempotency key it is the same payment.
        """
        body = {
            "amount": SMOKE_AMOUNT_MINOR,
            "currency": SMOKE_CURRENCY,
            "source": f"tok_recovery_{idempotency_key}"[:64],
            "capture": False,
            "description": "Recovery asks whether this region takes payments",
        }
        with self._client(PAYMENT_TIMEOUT_S) as client:
            payment = self._post(client, "/v1/payments", key, idempotency_key, body)
            if payment.get("status") != "authorized":
                raise ValueError(f"the payment is {payment.get('status')}")
            path = f"/v1/payments/{payment['id']}/cancel"
            self._post(client, path, key, f"{idempotency_key}-cancel", {})
        return str(payment["id"])

    def _post(
        self, client: httpx.Client, path: str, key: str, idempotency_key: str, body: object
    ) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": idempotency_key}
        response = client.post(path, json=body, headers=headers, extensions=self._extensions())
        if response.status_code not in {OK, CREATED}:
            raise ValueError(f"{path} answered {response.status_code}: {response.text[:200]}")
        found: dict[str, object] = response.json()
        return found

    def _client(self, read_timeout_s: float = READ_TIMEOUT_S) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            headers={"Host": self.name},
            verify=self._context,
            timeout=httpx.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S),
            trust_env=urlsplit(self.url).hostname == self.name,
        )

    def _extensions(self) -> dict[str, str]:
        return {"sni_hostname": self.name}
