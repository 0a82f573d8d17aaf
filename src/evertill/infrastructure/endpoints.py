"""The ways from the private subnets to AWS that do not lead over the NAT gateways.

They are apart from `network` because each interface endpoint has an hourly price in each zone:
which there are, and in how many zones, is decision 0014.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

# What a task needs to start, to log and to sign, so that a NAT gateway's loss stops no task.
INTERFACES: Final = {
    "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Metrics": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING,
    "Secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Keys": ec2.InterfaceVpcEndpointAwsService.KMS,
    "Topics": ec2.InterfaceVpcEndpointAwsService.SNS,
}
# Gateway endpoints are free: https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
GATEWAYS: Final = {
    "Objects": ec2.GatewayVpcEndpointAwsService.S3,
    "Tables": ec2.GatewayVpcEndpointAwsService.DYNAMODB,
}


def build_endpoints(
    scope: Construct, vpc: ec2.Vpc, group: ec2.SecurityGroup, zones: tuple[str, ...]
) -> None:
    """Add the endpoints, the interface ones to the private subnets of `zones`."""
    private = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
    for name, gateway in GATEWAYS.items():
        vpc.add_gateway_endpoint(name, service=gateway, subnets=[private])
    inside = ec2.SubnetSelection(
        subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, availability_zones=list(zones)
    )
    for name, service in INTERFACES.items():
        ec2.InterfaceVpcEndpoint(
            scope,
            f"{name}Endpoint",
            vpc=vpc,
            service=service,
            subnets=inside,
            security_groups=[group],
            # The group says who may call; the default would let the whole network in.
            open=False,
            private_dns_enabled=True,
        )
