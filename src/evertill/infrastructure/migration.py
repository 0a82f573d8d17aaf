"""The migration: a task that runs once before each service update, with an admin's login.

It is a task definition of its own, and never an init container, so that scaling out does not
depend on it and a serving task never holds the admin's secret. `evertill migrate` takes a lock in
the database (storage/migrate.py), so two runs at once are one migration and a no-op.
"""

from __future__ import annotations

from aws_cdk import CfnOutput
from aws_cdk import aws_iam as iam
from constructs import Construct

from evertill.infrastructure.addresses import writer_url
from evertill.infrastructure.containers import AUTHORITIES, OurTask
from evertill.infrastructure.names import DATABASE_USER, VALIDATION_USER
from evertill.infrastructure.stacks import DataStack


class Migration(Construct):
    """The task that migrates, and creates the logins that IAM lets in: `task`.

    Nothing starts it but the runbook (docs/runbooks/deploy.md), which reads the outputs of this
    stack and of the network's.
    """

    def __init__(self, scope: Construct, construct_id: str, data: DataStack) -> None:
        """Define the migration of a region, which only the writer's region can run."""
        super().__init__(scope, construct_id)
        self.task = OurTask(
            self,
            "Task",
            data=data,
            family=data.names.named("migration"),
            command=["migrate"],
            environment={
                # Whose logins it creates: the service's is the one in this address.
                "EVERTILL_DATABASE_URL": writer_url(data, AUTHORITIES, DATABASE_USER),
                "EVERTILL_DATABASE_LOGIN": "iam",
                "EVERTILL_VALIDATION_USER": VALIDATION_USER,
                "EVERTILL_REGION": data.place,
                "EVERTILL_ADMIN_SECRET": data.names.admin_secret,
                "EVERTILL_ADMIN_DATABASE_URL": writer_url(data, AUTHORITIES),
            },
        )
        self._give_admin(data)
        CfnOutput(scope, "MigrationTask", value=self.task.definition.family)

    def _give_admin(self, data: DataStack) -> None:
        """Let the task read the admin's login, which it asks for by name.

        ECS could put it into the container, but only by the secret's whole ARN, whose random end
        the standby's template cannot know (aws/aws-cdk#20744). IAM knows the end's length:
        https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples.html
        """
        secret = data.names.arn("secretsmanager", f"secret:{data.names.admin_secret}-??????")
        by_secrets = f"secretsmanager.{data.place}.amazonaws.com"
        for statement in (
            iam.PolicyStatement(
                sid="ReadAdminLogin",
                actions=["secretsmanager:GetSecretValue"],
                resources=[secret],
            ),
            iam.PolicyStatement(
                sid="DecryptAdminLogin",
                actions=["kms:Decrypt"],
                resources=[data.key.key_arn],
                conditions={"StringEquals": {"kms:ViaService": by_secrets}},
            ),
        ):
            self.task.role.add_to_policy(statement)
