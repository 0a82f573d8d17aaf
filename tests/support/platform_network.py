"""The network and the edge of a small payment platform that breaks no rule."""

from __future__ import annotations

from typing import Any

from tests.support.templates import resource

ACTIVE, STANDBY = "us-east-1", "us-east-2"
DOMAIN = "payments.evertill.dev"
CIDRS = {ACTIVE: "10.0.0.0/16", STANDBY: "10.1.0.0/16"}
Resources = dict[str, Any]


def ref(name: str) -> dict[str, str]:
    """Return a reference."""
    return {"Ref": name}


def att(name: str, attribute: str) -> dict[str, list[str]]:
    """Return an attribute."""
    return {"Fn::GetAtt": [name, attribute]}


def dimensions(**named: Any) -> list[dict[str, Any]]:
    """Return the dimensions of a metric."""
    return [{"Name": name, "Value": value} for name, value in named.items()]


def network(region: str) -> Resources:
    """Return a VPC over two zones."""
    found: Resources = {
        "Vpc": resource("AWS::EC2::VPC", CidrBlock=CIDRS[region]),
        "Gateway": resource("AWS::EC2::InternetGateway"),
    }
    for zone in ("a", "b"):
        for kind, way in (
            ("Public", {"GatewayId": ref("Gateway")}),
            ("Private", {"NatGatewayId": ref(f"Nat{zone}")}),
        ):
            name = f"{kind}{zone}"
            found[name] = resource(
                "AWS::EC2::Subnet", VpcId=ref("Vpc"), AvailabilityZone=f"{region}{zone}"
            )
            found[f"{name}Table"] = resource("AWS::EC2::RouteTable", VpcId=ref("Vpc"))
            found[f"{name}Use"] = resource(
                "AWS::EC2::SubnetRouteTableAssociation",
                SubnetId=ref(name),
                RouteTableId=ref(f"{name}Table"),
            )
            found[f"{name}Default"] = resource(
                "AWS::EC2::Route",
                RouteTableId=ref(f"{name}Table"),
                DestinationCidrBlock="0.0.0.0/0",
                **way,
            )
        found[f"Nat{zone}"] = resource("AWS::EC2::NatGateway", SubnetId=ref(f"Public{zone}"))
    return found


def group(*ingress: dict[str, Any]) -> dict[str, Any]:
    """Return a security group that everything may leave."""
    return resource("AWS::EC2::SecurityGroup", VpcId=ref("Vpc"), SecurityGroupIngress=list(ingress))


def from_group(name: str, port: int) -> dict[str, Any]:
    """Return a rule that lets another group in."""
    source = att(name, "GroupId")
    return {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "SourceSecurityGroupId": source,
    }


def groups() -> Resources:
    """Return who may talk to whom."""
    everyone = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}
    return {
        "BalancerGroup": group(everyone),
        "TaskGroup": group(from_group("BalancerGroup", 8080)),
        "FunctionGroup": group(),
        "DatabaseGroup": group(from_group("TaskGroup", 5432), from_group("FunctionGroup", 5432)),
    }


def edge(region: str) -> Resources:
    """Return the load balancer, its listeners and target groups, and the regional record."""
    return {
        "Certificate": resource(
            "AWS::CertificateManager::Certificate",
            DomainName=f"{region}.{DOMAIN}",
            SubjectAlternativeNames=[DOMAIN],
        ),
        "Balancer": resource(
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            Subnets=[ref("Publica"), ref("Publicb")],
            SecurityGroups=[att("BalancerGroup", "GroupId")],
            LoadBalancerAttributes=[
                {"Key": "deletion_protection.enabled", "Value": "true"},
                {"Key": "access_logs.s3.bucket", "Value": ref("AccessLogs")},
            ],
        ),
        "Https": resource(
            "AWS::ElasticLoadBalancingV2::Listener",
            LoadBalancerArn=ref("Balancer"),
            Port=443,
            Protocol="HTTPS",
            Certificates=[{"CertificateArn": ref("Certificate")}],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": ref("Targets")}],
        ),
        "Http": resource(
            "AWS::ElasticLoadBalancingV2::Listener",
            LoadBalancerArn=ref("Balancer"),
            Port=80,
            Protocol="HTTP",
            DefaultActions=[{"Type": "redirect", "RedirectConfig": {"Port": "443"}}],
        ),
        "FunctionRule": resource(
            "AWS::ElasticLoadBalancingV2::ListenerRule",
            ListenerArn=ref("Https"),
            Priority=10,
            Actions=[{"Type": "forward", "TargetGroupArn": ref("FunctionTargets")}],
        ),
        "MetricsRule": resource(
            "AWS::ElasticLoadBalancingV2::ListenerRule",
            ListenerArn=ref("Https"),
            Priority=5,
            Actions=[{"Type": "fixed-response"}],
        ),
        "Targets": resource(
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            TargetType="ip",
            Port=8080,
            TargetGroupAttributes=[
                {"Key": "deregistration_delay.timeout_seconds", "Value": "30"}
            ],
        ),
        "FunctionTargets": resource(
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            TargetType="lambda",
            Targets=[{"Id": att("Function", "Arn")}],
        ),
        "Record": resource(
            "AWS::Route53::RecordSet",
            Name=f"{region}.{DOMAIN}.",
            Type="A",
            AliasTarget={"DNSName": att("Balancer", "DNSName"), "EvaluateTargetHealth": False},
        ),
    }  # fmt: skip
