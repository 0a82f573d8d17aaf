"""The validation function: decides about a payment without taking it, behind `/v1/validations`.

It is separate from `compute` because it scales and fails on its own. Its code is the room
`evertill.validation` with what it imports, which `asset` finds. It logs in as itself, and what it
may do in the database is less than what the service may (decision 0020).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from evertill.infrastructure.addresses import database_urls
from evertill.infrastructure.asset import AUTHORITIES
from evertill.infrastructure.log_groups import log_group
from evertill.infrastructure.names import VALIDATION_USER, Names
from evertill.infrastructure.rights import add_to_log, log_in
from evertill.infrastructure.stacks import DataStack, NetworkStack

HANDLER: Final = "evertill.validation.handler.handle"
# Where Lambda unpacks the asset: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
ROOT: Final = "/var/task"
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
            environment=_environment(data),
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
        own = (_read_variables(data), *_join_network(data.names))
        for statement in (log_in(data, VALIDATION_USER), *add_to_log(data), *own):
            role.add_to_policy(statement)
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


def _read_variables(data: DataStack) -> iam.PolicyStatement:
    """Let Lambda decrypt the function's own variables and nothing else that is under the key.

    Lambda is granted that when the function is made, but to the role as it was then: a role that is
    made anew under the same name would start no function.
    """
    context = "kms:EncryptionContext:aws:lambda:FunctionArn"
    function = data.names.arn("lambda", f"function:{data.names.validation}")
    return iam.PolicyStatement(
        sid="ReadVariables",
        actions=["kms:Decrypt"],
        resources=[data.key.key_arn],
        conditions={"StringEquals": {context: function}},
    )


def _join_network(names: Names) -> list[iam.PolicyStatement]:
    """Let Lambda make the function's network interfaces, and the function's own code not.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """
    actions, function = list(INTERFACE_ACTIONS), f"function:{names.validation}"
    return [
        iam.PolicyStatement(sid="JoinNetwork", actions=actions, resources=["*"]),
        iam.PolicyStatement(
            sid="ByLambdaItselfOnly",
            effect=iam.Effect.DENY,
            actions=actions,
            resources=["*"],
            conditions={"ArnEquals": {"lambda:SourceFunctionArn": names.arn("lambda", function)}},
        ),
    ]


def _environment(data: DataStack) -> dict[str, str]:
    """Return what the function is told; its credentials are Lambda's own variables."""
    authorities = f"{ROOT}/{AUTHORITIES}"
    return {
        **database_urls(data, VALIDATION_USER, authorities),
        "EVERTILL_DATABASE_LOGIN": "iam",
        "EVERTILL_REGION": data.place,
        "EVERTILL_LOG_BUCKET": data.log_bucket.bucket_name,
    }
