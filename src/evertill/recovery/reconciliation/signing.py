"""Signs a report with a key of AWS KMS that never leaves it, and checks a signature.

An elliptic-curve key: KMS signs, and logs who asked; anybody can check with the public key, which
stands beside the signature, and `openssl`. What has to be trusted is that the public key is the
company's: `check` asks KMS for it. See docs/decisions/0054-reconciliation.md.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

import msgspec

from evertill.domain.errors import EvertillError, UsageError

ALGORITHM: Final = "ECDSA_SHA_256"
CONNECT_TIMEOUT_S: Final = 5
READ_TIMEOUT_S: Final = 10
ATTEMPTS_MAX: Final = 4
ANOTHER_SIGNATURE: Final = "KMSInvalidSignatureException"


class SigningFailed(EvertillError):
    """The report could not be signed."""

    code = "signing_failed"


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature over a file's SHA-256, with what is needed to check it; base64 of DER."""

    file: str
    sha256: str
    algorithm: str
    key: str
    signature: str
    public_key: str


class Signer:
    """A signing key of one region's KMS; `key` is its id, ARN or alias."""

    def __init__(self, key: str, region: str, endpoint_url: str = "") -> None:
        """Use the credentials of the environment."""
        # Only who signs pays for loading the SDK: it takes a third of a second.
        import boto3  # noqa: PLC0415 - see above
        from botocore.config import Config  # noqa: PLC0415 - see above
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see above

        self._key: Final = key
        self._failures: Final = (BotoCoreError, ClientError)
        self._client: Final[Any] = boto3.client(
            "kms",
            region_name=region,
            endpoint_url=endpoint_url or None,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"total_max_attempts": ATTEMPTS_MAX, "mode": "standard"},
            ),
        )

    def sign(self, file: str, content: bytes) -> Signature:
        """Return a signature of a file's content; raise SigningFailed."""
        digest = hashlib.sha256(content).digest()
        try:
            signed = self._client.sign(
                KeyId=self._key,
                Message=digest,
                MessageType="DIGEST",
                SigningAlgorithm=ALGORITHM,
            )
            public = self._client.get_public_key(KeyId=self._key)["PublicKey"]
        except self._failures as failure:
            message = (
                f"The report was not signed with {self._key}: {failure}. It needs a KMS key of "
                "the kind ECC_NIST_P256 for SIGN_VERIFY; docs/runbooks/reconcile.md makes one."
            )
            raise SigningFailed(message) from failure
        return Signature(
            file=file,
            sha256=digest.hex(),
            algorithm=ALGORITHM,
            key=signed["KeyId"],
            signature=base64.b64encode(signed["Signature"]).decode(),
            public_key=base64.b64encode(public).decode(),
        )

    def check(self, content: bytes, signature: Signature) -> bool:
        """Ask KMS whether the signature is this key's and of this content; raise SigningFailed."""
        digest = hashlib.sha256(content)
        if digest.hexdigest() != signature.sha256:
            return False
        try:
            answer = self._client.verify(
                KeyId=self._key,
                Message=digest.digest(),
                MessageType="DIGEST",
                Signature=base64.b64decode(signature.signature),
                SigningAlgorithm=ALGORITHM,
            )
        except self._failures as failure:
            response = getattr(failure, "response", None) or {}
            if response.get("Error", {}).get("Code") == ANOTHER_SIGNATURE:
                return False
            raise SigningFailed(f"The signature was not checked: {failure}.") from failure
        return bool(answer["SignatureValid"])


def read_signature(content: bytes) -> Signature:
    """Read a signature's file; raise UsageError when it is none."""
    try:
        return msgspec.json.decode(content, type=Signature)
    except msgspec.MsgspecError as failure:
        raise UsageError(f"That is no signature of a report: {failure}.") from failure
