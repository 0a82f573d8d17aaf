"""The topic that alarms speak to, encrypted, and the people who hear it.

It is separate from the alarms because the DNS stack has one too: its alarms are in another region
than those of the standby, and an alarm can only reach a topic of its own region.
"""

from __future__ import annotations

from aws_cdk import Aws, CfnOutput, RemovalPolicy
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from evertill.infrastructure.keys import let_alarms_use
from evertill.infrastructure.names import Names


class Alerts(Construct):
    """An encrypted topic with the settings' address subscribed: `topic`, `action`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        names: Names,
        name: str,
        key: kms.IKey | None = None,
    ) -> None:
        """Make the topic `name` under `key`, which alarms may use, or under one of its own."""
        super().__init__(scope, construct_id)
        master = key or self._key(names, name)
        self.topic = sns.Topic(self, "Topic", topic_name=name, master_key=master, enforce_ssl=True)
        self._let_alarms_publish()
        address = names.settings.alert_email
        if address is not None:
            # Nobody hears anything before the link in the first mail was followed.
            self.topic.add_subscription(subscriptions.EmailSubscription(address))
        self.action = actions.SnsAction(self.topic)
        CfnOutput(scope, "SNSTopicArn", value=self.topic.topic_arn)

    def _key(self, names: Names, name: str) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            alias=f"alias/{name}",
            description=f"Alarms of {names.suffix} on their way to people",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        let_alarms_use(key)
        return key

    def _let_alarms_publish(self) -> None:
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsPublish",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
