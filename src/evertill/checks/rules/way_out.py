"""What runs in a subnet has the way out that its start needs."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, Value
from evertill.assembly.values import texts_in
from evertill.checks.findings import Report
from evertill.checks.views.containers import FUNCTION, SERVICE, subnets_of
from evertill.checks.views.networks import default_route, subnets

ENDPOINT = "AWS::EC2::VPCEndpoint"
# docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
REGISTRY = "ecr.dkr"
PUBLIC_IP = "NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp"


def check(model: Model) -> Iterator[Report]:
    """Look at the default route of each service's and function's subnets."""
    for runner in model.resources_of(SERVICE, FUNCTION):
        for subnet in subnets(model, subnets_of(runner)) or []:
            found = _stuck(model, runner, subnet)
            if found is not None:
                yield found
                break


def _stuck(model: Model, runner: Resource, subnet: Resource) -> Report | None:
    is_known, route = default_route(model, subnet)
    if not is_known:
        return None
    is_public = route is not None and _is_internet_gateway(model, route.get("GatewayId"))
    if runner.type == FUNCTION:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc-internet.html
        return (
            Report(
                runner,
                f"A function never has a public address, and {subnet.logical_id} leads out through "
                "an internet gateway, which needs one: every call to the internet times out.",
                "Place it in a private subnet with a NAT gateway.",
            )
            if is_public
            else None
        )
    hidden = is_public and runner.text(PUBLIC_IP, "DISABLED") == "DISABLED"
    walled = route is None and not _has_endpoint(model, subnet)
    if hidden or walled:
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-task-networking.html
        return Report(
            runner,
            f"From {subnet.logical_id} its tasks reach no registry: the image cannot be pulled and "
            "no task starts.",
            "Place it in a subnet with a NAT gateway, or add endpoints for ECR, S3 and logs.",
        )
    return None


def _is_internet_gateway(model: Model, value: Value) -> bool:
    gateway = model.resource(value)
    return gateway is not None and gateway.type == "AWS::EC2::InternetGateway"


def _has_endpoint(model: Model, subnet: Resource) -> bool:
    vpc = model.resource(subnet.get("VpcId"))
    return vpc is None or any(
        REGISTRY in str(text)
        for endpoint in model.referrers(vpc, ENDPOINT)
        for text in texts_in(endpoint.get("ServiceName"))
    )
