"""Every name that one stack or region knows of another, in one place.

No CloudFormation reference crosses a region (decision 0011), so these names are the bridge: what is
deterministic is spelled here once, and both sides read it.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import Aws

from evertill.infrastructure.settings import Settings

DATABASE_NAME: Final = "evertill"
DATABASE_USER: Final = "payment_user"
VALIDATION_USER: Final = "validation_user"
DATABASE_ADMIN: Final = "evertill_admin"
DATABASE_PORT: Final = 5432
SERVICE_PORT: Final = 8080
HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80


class Names:
    """The names of an environment, seen from one of its regions."""

    def __init__(self, settings: Settings, region: str) -> None:
        """Spell the names of `settings` as they are in `region`."""
        self.settings = settings
        self.region = region
        self.suffix = settings.suffix
        self.account = settings.account or Aws.ACCOUNT_ID

    def named(self, what: str) -> str:
        """Return `payment-{what}-{suffix}`, the form of every name here."""
        return f"payment-{what}-{self.suffix}"

    def arn(self, service: str, resource: str, region: str | None = None) -> str:
        """Return the ARN of what this account has in this region, or in `region` ("" for IAM)."""
        place = self.region if region is None else region
        return f"arn:{Aws.PARTITION}:{service}:{place}:{self.account}:{resource}"

    @property
    def vpc(self) -> str:
        """The network's name."""
        return self.named("vpc")

    @property
    def global_database(self) -> str:
        """The identifier under which both clusters join."""
        return self.named("global")

    @property
    def database(self) -> str:
        """The identifier of this region's cluster; one name serves both, as regions differ."""
        return self.named("db")

    @property
    def admin_secret(self) -> str:
        """The name of the admin's secret, which its replica in the standby shares.

        The suffix is not last: a name that ends in a hyphen and six characters cannot be found by
        an ARN without its random end, which has that very form:
        https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html
        """
        return f"{self.database}-admin"

    @property
    def cluster(self) -> str:
        """The ECS cluster's name."""
        return self.named("cluster")

    @property
    def service(self) -> str:
        """The ECS service's name."""
        return self.named("service")

    @property
    def balancer(self) -> str:
        """The load balancer's name."""
        return self.named("alb")

    @property
    def validation(self) -> str:
        """The validation function's name."""
        return self.named("validation")

    @property
    def topic(self) -> str:
        """The name of the topic that alarms go to."""
        return self.named("alerts")

    @property
    def events_topic(self) -> str:
        """The name of the topic that payments' events go to; a FIFO topic's name must end so."""
        return f"{self.named('events')}.fifo"

    @property
    def lease_table(self) -> str:
        """The DynamoDB table of the write lease, the same in every region."""
        return self.named("lease")

    @property
    def key_alias(self) -> str:
        """The alias of the region's key for data at rest."""
        return f"alias/{self.named('data')}"

    @property
    def replication_role(self) -> str:
        """The role by which S3 copies this region's log to the other; IAM knows no regions."""
        return f"{self.named('log-copy')}-{self.region}"

    def log_bucket(self, region: str | None = None) -> str:
        """Return the transaction log's bucket in this region, or in another."""
        place = region or self.region
        tail = "" if self.settings.is_active(place) else "-replica"
        return f"{self.named('logs')}-{self.account}-{place}{tail}"

    @property
    def access_log_bucket(self) -> str:
        """The bucket that the load balancer and S3 write access logs to."""
        return f"{self.named('access')}-{self.account}-{self.region}"

    @property
    def backup_vault(self) -> str:
        """This region's vault of AWS Backup, where the other region's copies arrive too."""
        return self.named("vault")

    @property
    def front_domain(self) -> str:
        """The name that clients call."""
        return f"payments.{self.settings.domain}"

    def regional_domain(self, region: str | None = None) -> str:
        """Return the name under which one region answers, whoever is active."""
        return f"{region or self.region}.payments.{self.settings.domain}"
