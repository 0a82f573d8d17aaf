"""What the templates name is there, is found again, and mail arrives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.templates import StackFile, resource, write_assembly
from tests.support.twin import REGION, api, ask, client, emulator, site_of_the_test

from evertill.assembly import Model, Reference
from evertill.twin.api.messages import Endpoint
from evertill.twin.api.relay import Relay
from evertill.twin.api.secret_names import SecretNames
from evertill.twin.api.topics import Topics
from evertill.twin.clock import Clock
from evertill.twin.parts.mail import Mailbox
from evertill.twin.parts.storage import SecretFile, Spec, Storage
from evertill.twin.plan import storage
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.reading import read_model

KEY = [{"AttributeName": "lease", "KeyType": "HASH"}]
RESOURCES = {
    "Log": resource(
        "AWS::S3::Bucket",
        BucketName={"Fn::Sub": "log-${AWS::AccountId}"},
        VersioningConfiguration={"Status": "Enabled"},
        ObjectLockEnabled=True,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Days": 1, "Mode": "GOVERNANCE"}},
        },
    ),
    "Alerts": resource("AWS::SNS::Topic", TopicName="alerts"),
    "Mail": resource(
        "AWS::SNS::Subscription",
        TopicArn={"Ref": "Alerts"},
        Protocol="email",
        Endpoint="ops@example.com",
    ),
    "Admin": resource(
        "AWS::SecretsManager::Secret",
        Name="admin",
        GenerateSecretString={
            "GenerateStringKey": "password",
            "SecretStringTemplate": '{"username": "root"}',
            "PasswordLength": 40,
            "ExcludeCharacters": "\"'\\/@",
        },
    ),
    "Attachment": resource(
        "AWS::SecretsManager::SecretTargetAttachment",
        SecretId={"Ref": "Admin"},
        TargetId={"Ref": "Database"},
        TargetType="AWS::RDS::DBCluster",
    ),
    "Database": resource("AWS::RDS::DBCluster", DBClusterIdentifier="Db", DatabaseName="pay"),
    "Table": resource(
        "AWS::DynamoDB::Table",
        TableName="plain",
        KeySchema=KEY,
        AttributeDefinitions=[{"AttributeName": "lease", "AttributeType": "S"}],
    ),
}


class Region:
    """The resources above, planned."""

    def __init__(self, folder: Path) -> None:
        account = "123456789012"
        self.model: Model = read_model(
            write_assembly(folder / "cdk.out", StackFile(RESOURCES, account=account))
        )
        bindings = Bindings(self.model)
        bindings.bind(Reference("App", "Database", "Endpoint.Address"), "127.1.2.3")
        bindings.bind(Reference("App", "Database", "Endpoint.Port"), "5432")
        of = self.model.resources_of
        self.topic = storage.topic_spec(self.model, of(storage.TOPIC)[0], bindings)
        self.secret = storage.secret_spec(self.model, of(storage.SECRET)[0], bindings)
        self.specs: list[Spec] = [
            storage.bucket_spec(of(storage.BUCKET)[0], bindings),
            storage.table_spec(of(*storage.TABLES)[0], bindings),
            self.topic,
            self.secret,
        ]

    async def run(self, folder: Path, story: Callable[[str, Mailbox], Awaitable[Any]]) -> Any:
        mailbox = Mailbox(folder / "mail", Clock())
        with site_of_the_test() as site:
            async with emulator(folder, site) as part:
                secrets = SecretFile(folder / "secrets.json")
                await Storage(REGION, part.url, self.specs, secrets).start()
                relay = Relay(part.url)
                endpoints: dict[str, Endpoint] = {
                    "s3": relay,
                    "dynamodb": relay,
                    "sns": Topics(REGION, relay, mailbox, [self.topic]),
                    "secretsmanager": SecretNames(REGION, relay, [self.secret]),
                }
                async with api(endpoints, site) as server:
                    found = await story(server.url, mailbox)
                await relay.close()
                return found


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region(tmp_path)


def test_what_the_templates_name_is_there(tmp_path: Path, region: Region) -> None:
    async def look(url: str, _: Mailbox) -> tuple[Any, ...]:
        lock = await ask(client("s3", url).get_object_lock_configuration, Bucket="log-123456789012")
        tables = await ask(client("dynamodb", url).list_tables)
        secret = await ask(
            client("secretsmanager", url).get_secret_value, SecretId=region.secret.arn
        )
        return lock["ObjectLockConfiguration"]["Rule"], tables["TableNames"], secret

    rule, tables, secret = asyncio.run(region.run(tmp_path, look))
    assert {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}} == rule
    assert ["plain"] == tables
    assert region.secret.arn == secret["ARN"]
    fields = json.loads(secret["SecretString"])
    assert ("root", "127.1.2.3", "5432", "pay") == tuple(
        fields[name] for name in ("username", "host", "port", "dbname")
    )
    assert 40 == len(fields["password"])
    assert not set(fields["password"]) & set("\"'\\/@")


def test_a_generated_secret_is_the_same_at_the_next_start(tmp_path: Path, region: Region) -> None:
    async def look(url: str, _: Mailbox) -> str:
        found = await ask(client("secretsmanager", url).get_secret_value, SecretId="admin")
        return str(found["SecretString"])

    first = asyncio.run(region.run(tmp_path, look))
    assert first == asyncio.run(region.run(tmp_path, look))
    assert 0o600 == (tmp_path / "secrets.json").stat().st_mode & 0o777


def test_mail_arrives_for_who_is_subscribed_by_a_template_or_by_a_call(
    tmp_path: Path, region: Region
) -> None:
    async def publish(url: str, mailbox: Mailbox) -> list[tuple[str, str, str]]:
        sns = client("sns", url)
        arn = region.topic.arn
        await ask(sns.subscribe, TopicArn=arn, Protocol="email", Endpoint="cto@example.com")
        await ask(sns.publish, TopicArn=arn, Subject="Zone lost", Message="It is gone.\nReally.")
        return [(mail.to, mail.subject, mail.text) for mail in mailbox.mails()]

    mail = ("Zone lost", "It is gone.\nReally.")
    assert [("ops@example.com", *mail), ("cto@example.com", *mail)] == asyncio.run(
        region.run(tmp_path, publish)
    )


def test_an_alarm_publishes_as_anybody_does(tmp_path: Path, region: Region) -> None:
    async def publish(url: str, mailbox: Mailbox) -> list[str]:
        relay = Relay(url)
        topics = Topics(REGION, relay, mailbox, [])
        await topics.publish(region.topic.arn, "ALARM", "lag")
        await relay.close()
        return [mail.subject for mail in mailbox.mails()]

    assert ["ALARM"] == asyncio.run(region.run(tmp_path, publish))
