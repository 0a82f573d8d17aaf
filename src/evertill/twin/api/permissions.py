"""Whether a task or a function may make a request: by its role's policies in the templates.

It is separate because it only names things: which right a request needs, and on what. Who signed is
told by the key's id; a key that no role holds is the operator's own, at this machine, who may do
everything. What a role asks for that is not named here is refused, as nobody could tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import Request, Scope
from evertill.twin.plan.bindings import ACCOUNT
from evertill.twin.policies import Context

FORBIDDEN: Final = 403
OBJECT_ACTIONS: Final = {
    "GET": "GetObject",
    "HEAD": "GetObject",
    "PUT": "PutObject",
    "POST": "PutObject",
    "DELETE": "DeleteObject",
}
BUCKET_ACTIONS: Final = {"GET": "ListBucket", "HEAD": "ListBucket"}
# A query that makes another right of it:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
OBJECT_QUERIES: Final = {
    "retention": "ObjectRetention",
    "legal-hold": "ObjectLegalHold",
    "tagging": "ObjectTagging",
    "acl": "ObjectAcl",
}
BUCKET_QUERIES: Final = {
    "object-lock": "BucketObjectLockConfiguration",
    "versioning": "BucketVersioning",
    "replication": "ReplicationConfiguration",
    "location": "BucketLocation",
}
# Signing names that differ from the prefix of their actions.
PREFIXES: Final = {"monitoring": "cloudwatch"}
# Nobody needs a right to ask who one is.
FREE: Final = {("sts", "GetCallerIdentity")}

Right = tuple[str, str]
RoleOf = Callable[[str], str | None]
Allows = Callable[[str, str, str, Context], bool]


class Permissions:
    """Guards the API of a region."""

    def __init__(
        self,
        region: str,
        role_of: RoleOf,
        allows: Allows,
        secret_arns: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`role_of` tells whose a key's id is, `allows` what a role may do on a resource.

        The role of keys that have expired is "", and None is whoever has keys of another origin.
        `secret_arns` are the region's secrets by their names, which requests may give as well.
        """
        self._region: Final = region
        self._role_of: Final = role_of
        self._allows: Final = allows
        self._secret_arns: Final = secret_arns
        # What conditions may ask for. On AWS the SDK speaks TLS, which it does not on one machine.
        self._context: Final = {
            "aws:RequestedRegion": [region],
            "aws:SecureTransport": ["true"],
        }

    async def __call__(self, request: Request, scope: Scope) -> None:
        """Raise ApiError when the one who signed has no right to do this."""
        role = self._role_of(scope.key_id)
        if role is None or (scope.service, request.operation()) in FREE:
            return
        if not role:
            code = "ExpiredToken" if scope.service == "s3" else "ExpiredTokenException"
            raise ApiError(code, "The security token of the request has expired.", FORBIDDEN)
        for action, resource in self._needed(request, scope):
            if not self._allows(role, action, resource, self._context):
                code = "AccessDenied" if scope.service == "s3" else "AccessDeniedException"
                message = f"{role} is not authorized to perform {action} on {resource}."
                raise ApiError(code, message, FORBIDDEN)

    def _needed(self, request: Request, scope: Scope) -> Iterator[Right]:
        for action, resource in rights_needed(request, scope, self._region):
            yield action, self._secret_arns.get(resource, resource)


def rights_needed(request: Request, scope: Scope, region: str) -> Iterator[Right]:
    """Give the actions that a request needs, each with its resource."""
    operation = request.operation()
    match scope.service:
        case "s3":
            yield _of_s3(request)
        case "lambda":
            yield _of_lambda(request, region)
        case "dynamodb":
            for table in _tables(_document(request)):
                name = table if table.startswith("arn:") else _arn("dynamodb", region, table)
                yield f"dynamodb:{operation}", name
        case "secretsmanager":
            yield f"secretsmanager:{operation}", str(_document(request).get("SecretId", "*"))
        case "sns":
            form = request.form()
            yield f"sns:{operation}", form.get("TopicArn", form.get("TargetArn", "*"))
        case other:
            yield f"{PREFIXES.get(other, other)}:{operation or 'Unknown'}", "*"


def _of_s3(request: Request) -> Right:
    bucket, _, key = request.raw_path.lstrip("/").partition("/")
    query = request.query
    kind = "Put" if request.method in {"PUT", "POST"} else "Get"
    if not key:
        named = next((BUCKET_QUERIES[name] for name in BUCKET_QUERIES if name in query), None)
        action = f"{kind}{named}" if named else BUCKET_ACTIONS.get(request.method, "Unknown")
        return f"s3:{action}", f"arn:aws:s3:::{bucket}"
    named = next((OBJECT_QUERIES[name] for name in OBJECT_QUERIES if name in query), None)
    action = f"{kind}{named}" if named else OBJECT_ACTIONS.get(request.method, "Unknown")
    return f"s3:{action}", f"arn:aws:s3:::{bucket}/{unquote(key)}"


def _of_lambda(request: Request, region: str) -> Right:
    parts = request.path.split("/functions/", 1)
    named, _, rest = parts[-1].partition("/")
    is_invoke = len(parts) > 1 and rest == "invocations"
    arn = (
        named if named.startswith("arn:") else f"arn:aws:lambda:{region}:{ACCOUNT}:function:{named}"
    )
    return f"lambda:{'InvokeFunction' if is_invoke else 'GetFunction'}", arn


def _tables(document: dict[str, Any]) -> list[str]:
    if "TableName" in document:
        return [str(document["TableName"])]
    batch = document.get("RequestItems")
    return [str(name) for name in batch] if isinstance(batch, dict) else ["*"]


def _arn(service: str, region: str, table: str) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:table/{table}"


def _document(request: Request) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(request.body or b"{}")
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}
