"""How zones, regions, names and certificates are broken, each in one way."""

from __future__ import annotations

from tests.support.breaking import GONE, Case
from tests.support.platform_network import ref
from tests.support.templates import resource

BALANCER_SUBNETS = "active/Balancer.Properties.Subnets"

CASES = [
    Case("standby-capacity", {"standby/Scaling.Properties.MinCapacity": 0}, "Scaling", "no task"),
    Case(
        "standby-capacity",
        {"standby/Scaling.Properties.MaxCapacity": 10},
        "Scaling",
        "may grow to 10 tasks and the active region to 50",
    ),
    Case(
        "standby-capacity",
        {"standby/Writer": GONE, "standby/Reader": GONE},
        "Database",
        "has no instance",
    ),
    Case(
        "standby-capacity",
        {
            "standby/Writer": GONE,
            "standby/Reader.Properties.DBInstanceClass": "db.r7g.large",
        },
        "Database",
        "smaller than the primary's",
    ),
    Case(
        "standby-deploys-alone",
        {},
        "Vpc",
        "cdk deploy starts with the region that is down",
        {"standby": ("active",)},
    ),
    Case(
        "standby-deploys-alone",
        {"standby/Import": resource("Custom::CrossRegionExportReader")},
        "Import",
        "neither stack can be updated",
    ),
    Case(
        "standby-deploys-alone",
        {"standby/Look": resource("Custom::AWS", Create='{"service":"SSM","region":"us-east-1"}')},
        "Look",
        "fails when us-east-1 is down",
    ),
    Case(
        "standby-deploys-alone",
        {"standby/User": resource("Test::User", Value={"Fn::ImportValue": "shared"})},
        "User",
        "exports do not leave their region",
        outputs={"active": {"O": {"Value": "x", "Export": {"Name": "shared"}}}},
    ),
    Case("tls-on-443", {"active/Https.Properties.Port": 8443}, "Balancer", "nothing listens there"),
    Case("tls-on-443", {"active/Https.Properties.Protocol": "HTTP"}, "Https", "plain HTTP"),
    Case("tls-on-443", {"active/Https.Properties.Certificates": []}, "Https", "cannot be created"),
    Case(
        "tls-on-443",
        {
            "active/Https.Properties.Certificates.0.CertificateArn": (
                "arn:aws:acm:us-east-2:1:certificate/1"
            )
        },
        "Https",
        "certificate is in us-east-2",
    ),
    Case(
        "zone-exists",
        {"active/Privatea.Properties.AvailabilityZone": "dummy1a"},
        "Privatea",
        "There is no zone dummy1a in us-east-1",
    ),
    Case("zone-loss-tasks", {f"{BALANCER_SUBNETS}.1": GONE}, "Balancer", "in the zone us-east-1a"),
    Case(
        "zone-loss-tasks", {"active/Scaling.Properties.MinCapacity": 1}, "Scaling", "run one task"
    ),
    Case(
        "zone-loss-database",
        {"active/Reader": GONE, "active/Writer": GONE},
        "Database",
        "has no instance",
    ),
    Case("zone-loss-database", {"active/Reader": GONE}, "Database", "has one instance"),
    Case(
        "zone-loss-database",
        {
            "active/Reader.Properties.AvailabilityZone": "us-east-1a",
            "active/Writer.Properties.AvailabilityZone": "us-east-1a",
        },
        "Database",
        "pinned to us-east-1a",
    ),
    Case(
        "zone-loss-database",
        {"active/Small": resource("AWS::RDS::DBInstance", Engine="postgres")},
        "Small",
        "comes back from a backup",
    ),
    Case(
        "zone-loss-nat",
        {"active/PrivatebDefault.Properties.NatGatewayId": ref("Nata")},
        "Privateb",
        "leaves through Nata in us-east-1a",
    ),
    Case(
        "networks-do-not-overlap",
        {"standby/Vpc.Properties.CidrBlock": "10.0.128.0/17"},
        "Vpc",
        "overlap those of active.Vpc",
    ),
    Case(
        "networks-do-not-overlap",
        {
            "active/Other": resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/24"),
            "active/Peering": resource(
                "AWS::EC2::VPCPeeringConnection", VpcId=ref("Vpc"), PeerVpcId=ref("Other")
            ),
        },
        "Other",
        "can never be peered",
    ),
    Case("domain-is-real", {"dns/Zone.Properties.Name": "example.com"}, "Zone", "nobody can own"),
    Case(
        "domain-is-real",
        {"active/Certificate.Properties.DomainName": "payments.example.org"},
        "Certificate",
        "nobody can own",
    ),
    Case(
        "domain-is-real",
        {"active/Record.Properties.Name": "payments.example.net."},
        "Record",
        "nobody can own",
    ),
    Case("failover-pair", {"dns/Failover2": GONE}, "Failover1", "and no other"),
    Case(
        "failover-pair",
        {"dns/Failover1.Properties.HealthCheckId": GONE},
        "Failover1",
        "never fails over",
    ),
    Case("failover-pair", {"dns/Failover1.Properties.TTL": "300"}, "Failover1", "for 300 s"),
    Case(
        "name-is-certified",
        {"standby/Certificate.Properties.SubjectAlternativeNames": GONE},
        "Failover2",
        "asks for payments.evertill.dev",
    ),
    Case(
        "names-are-unique",
        {
            "active/Role": resource("AWS::IAM::Role", RoleName="payments-task"),
            "standby/Role": resource("AWS::IAM::Role", RoleName="payments-task"),
        },
        "Role",
        "active.Role has the name payments-task too",
    ),
    Case(
        "names-are-unique",
        {"standby/Log.Properties.BucketName": "log"},
        "Log",
        "whichever is deployed second fails",
    ),
    Case(
        "names-are-unique",
        {"active/Topics": resource("AWS::Backup::BackupVault", BackupVaultName="payments")},
        "Topics",
        "has the name payments too",
    ),
]
