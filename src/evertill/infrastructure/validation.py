"""The validation function: decides about a payment without taking it, behind `/v1/validations`.

It is separate from `compute` because it scales and fails on its own. Its handler is the room
`evertill.validation`; a region has the function exactly when that room is there, and until then the
service's tasks answer the same path.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from evertill.infrastructure.log_groups import log_group
from evertill.infrastructure.names import DATABASE_USER
from evertill.infrastructure.stacks import DataStack, NetworkStack

ASSET: Final = Path(__file__).parents[1] / "validation"
HANDLER: Final = "handler.handle"
TIMEOUT_S: Final = 30
MEMORY_MIB: Final = 512
# A function in a VPC makes its own network interfaces, and EC2 knows no narrower resource for most
# of these: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
INTERFACE_ACTIONS: Final = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)


def find_asset(folder: Path = ASSET) -> Path | None:
    """Return the folder of the handler, None while there is none."""
    return folder if folder.is_dir() else None


class Validation(Construct):
    """The validation function of a region and the load balancer's way to it.

    `function` is the function, `targets` the target group that holds nothing else.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        network: NetworkStack,
        data: DataStack,
        *,
        asset: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run the handler in `asset`, a folder that holds its dependencies too."""
        super().__init__(scope, construct_id)
        names = data.names
        self.log_group = log_group(self, f"/aws/lambda/{names.validation}", data)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=names.validation,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=lambda_.Code.from_asset(str(asset)),
            handler=HANDLER,
            timeout=Duration.seconds(TIMEOUT_S),
            memory_size=MEMORY_MIB,
            # Reserved: a flood here cannot use up the account's concurrency, nor the database's
            # connections, one per copy of the function.
            reserved_concurrent_executions=data.settings.service.validation_concurrency,
            tracing=lambda_.Tracing.ACTIVE,
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            security_groups=[network.groups.function],
            role=self._role(data),
            log_group=self.log_group,
            environment=dict(environment or {}),
            environment_encryption=data.key,
        )
        self.targets = self._targets(data)
        CfnOutput(scope, "LambdaFunctionArn", value=self.function.function_arn)

    def _role(self, data: DataStack) -> iam.Role:
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="What the validation function may do",
        )
        login = data.names.arn("rds-db", f"dbuser:{data.database.resource_id}/{DATABASE_USER}")
        statements = {
            "LogIn": (["rds-db:connect"], login),
            "AddToLog": (["s3:PutObject"], data.log_bucket.arn_for_objects("*")),
            "EncryptLog": (["kms:GenerateDataKey"], data.key.key_arn),
            "JoinNetwork": (list(INTERFACE_ACTIONS), "*"),
        }
        for sid, (actions, resource) in statements.items():
            role.add_to_policy(iam.PolicyStatement(sid=sid, actions=actions, resources=[resource]))
        self.log_group.grant_write(role)
        return role

    def _targets(self, data: DataStack) -> elbv2.CfnTargetGroup:
        name = data.names.validation
        permission = lambda_.CfnPermission(
            self,
            "Permission",
            action="lambda:InvokeFunction",
            function_name=self.function.function_arn,
            principal="elasticloadbalancing.amazonaws.com",
            source_account=data.account,
            # The group needs the permission before it exists, so it is named and not referred to.
            source_arn=data.names.arn("elasticloadbalancing", f"targetgroup/{name}/*"),
        )
        targets = elbv2.CfnTargetGroup(
            self,
            "Targets",
            name=name,
            target_type="lambda",
            targets=[elbv2.CfnTargetGroup.TargetDescriptionProperty(id=self.function.function_arn)],
            # A check would be an invocation that costs and says what the alarms say anyway.
            health_check_enabled=False,
        )
        targets.node.add_dependency(permission)
        return targets
