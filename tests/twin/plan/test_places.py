"""Places, consumers and security groups are read from templates of any app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.templates import StackFile, resource, write_assembly

from evertill.assembly import Model, Reference
from evertill.twin.plan.bindings import Bindings, Unbound
from evertill.twin.plan.consumers import consumers_of
from evertill.twin.plan.groups import SecurityGroups
from evertill.twin.plan.places import PlaceUnknown, places_of
from evertill.twin.plan.reading import DEFAULT_REGION, read_model

FOREIGN = Path(__file__).parents[1] / "assemblies" / "foreign"


def model_of(folder: Path, resources: dict[str, Any], **fields: Any) -> Model:
    return read_model(write_assembly(folder, StackFile(resources, **fields)))


def group(*ingress: dict[str, Any], egress: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    more = {} if egress is None else {"SecurityGroupEgress": egress}
    return resource(
        "AWS::EC2::SecurityGroup",
        VpcId={"Ref": "Vpc"},
        SecurityGroupIngress=list(ingress),
        **more,
    )


def rule(port: int, **other_end: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **other_end}


def missing(model: Model, source: str | None, target: str, port: int) -> str | None:
    groups = SecurityGroups(model)
    sources = [Reference("App", source, "GroupId")] if source else []
    return groups.may_connect(sources, [Reference("App", target, "GroupId")], port)


VPC = resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16")


def test_zones_that_the_templates_leave_to_the_deployment_are_given() -> None:
    places = places_of(read_model(FOREIGN))
    assert {
        "us-east-1": ("us-east-1a", "us-east-1b"),
        "us-west-2": ("us-west-2a", "us-west-2b"),
    } == places.regions
    assert "us-west-2" == places.region_of_zones()["us-west-2b"]
    assert "us-east-1b" == places.zone(Reference("NetPrimary", "Private2"))


def test_a_stack_without_region_and_account_runs_in_the_default_ones(tmp_path: Path) -> None:
    subnet = resource("AWS::EC2::Subnet", AvailabilityZone={"Fn::Select": [1, {"Fn::GetAZs": ""}]})
    bucket = resource("AWS::S3::Bucket", BucketName={"Fn::Sub": "log-${AWS::AccountId}"})
    model = model_of(tmp_path, {"Net": subnet, "Log": bucket}, region=None, account=None)
    assert {DEFAULT_REGION: (f"{DEFAULT_REGION}b",)} == places_of(model).regions
    assert "log-123456789012" == Bindings(model).text(Reference("App", "Log"))


def test_a_subnet_that_names_no_zone_is_refused(tmp_path: Path) -> None:
    model = model_of(tmp_path, {"Net": resource("AWS::EC2::Subnet")})
    with pytest.raises(PlaceUnknown, match=r"App\.Net"):
        places_of(model)


def test_consumers_are_services_and_functions_in_each_of_their_zones() -> None:
    model = read_model(FOREIGN)
    names = [consumer.name for consumer in consumers_of(model, places_of(model))]
    assert [
        "us-east-1/us-east-1a/shop-web-test",
        "us-east-1/us-east-1b/shop-web-test",
        "us-west-2/us-west-2a/shop-web-test",
        "us-west-2/us-west-2b/shop-web-test",
        "us-east-1/us-east-1/shop-validate-test",
        "us-west-2/us-west-2/shop-validate-test",
    ] == names


def test_a_function_that_only_serves_a_deployment_is_no_consumer(tmp_path: Path) -> None:
    provider = resource("AWS::Lambda::Function", Code={"ZipFile": ""})
    custom = resource("Custom::S3AutoDeleteObjects", ServiceToken={"Fn::GetAtt": ["Fn", "Arn"]})
    model = model_of(tmp_path, {"Fn": provider, "Custom": custom})
    assert () == consumers_of(model, places_of(model))


def test_a_connection_needs_a_rule_on_both_sides_and_the_missing_one_is_named(
    tmp_path: Path,
) -> None:
    tasks = {"Fn::GetAtt": ["Tasks", "GroupId"]}
    database = {"Fn::GetAtt": ["Database", "GroupId"]}
    out = rule(5432, DestinationSecurityGroupId=database)
    model = model_of(
        tmp_path,
        {
            "Vpc": VPC,
            "Tasks": group(egress=[out]),
            "Others": group(),
            "Database": group(rule(5432, SourceSecurityGroupId=tasks)),
        },
    )
    assert missing(model, "Tasks", "Database", 5432) is None
    assert "no egress rule of App.Tasks" in (missing(model, "Tasks", "Database", 22) or "")
    assert "no ingress rule of App.Database" in (missing(model, "Others", "Database", 5432) or "")


def test_rules_in_resources_of_their_own_count_too(tmp_path: Path) -> None:
    opening = resource(
        "AWS::EC2::SecurityGroupIngress",
        GroupId={"Fn::GetAtt": ["Database", "GroupId"]},
        SourceSecurityGroupId={"Fn::GetAtt": ["Tasks", "GroupId"]},
        IpProtocol="tcp",
        FromPort=5000,
        ToPort=6000,
    )
    model = model_of(
        tmp_path, {"Vpc": VPC, "Tasks": group(), "Database": group(), "Opening": opening}
    )
    assert missing(model, "Tasks", "Database", 5432) is None
    assert missing(model, "Tasks", "Database", 6001) is not None


def test_from_the_internet_only_a_rule_for_everyone_lets_in(tmp_path: Path) -> None:
    model = model_of(
        tmp_path,
        {
            "Vpc": VPC,
            "Front": group(rule(443, CidrIp="0.0.0.0/0"), rule(80, CidrIp="10.0.0.0/16")),
        },
    )
    assert missing(model, None, "Front", 443) is None
    assert "from everyone" in (missing(model, None, "Front", 80) or "")


def test_a_rule_for_addresses_lets_in_who_lives_in_them(tmp_path: Path) -> None:
    elsewhere = resource("AWS::EC2::VPC", CidrBlock="10.9.0.0/16")
    closed = [{"IpProtocol": "icmp", "CidrIp": "255.255.255.255/32", "FromPort": 252, "ToPort": 86}]
    model = model_of(
        tmp_path,
        {
            "Vpc": VPC,
            "Elsewhere": elsewhere,
            "Tasks": group(),
            "Closed": group(egress=closed),
            "Database": group(rule(5432, CidrIp="10.0.0.0/16")),
            "Far": group(rule(5432, CidrIp="10.9.0.0/16")),
        },
    )
    assert missing(model, "Tasks", "Database", 5432) is None
    assert missing(model, "Tasks", "Far", 5432) is not None
    assert "no egress rule" in (missing(model, "Closed", "Database", 5432) or "")


def test_names_ids_and_arns_are_the_same_whenever_they_are_asked_for() -> None:
    model = read_model(FOREIGN)
    bindings = Bindings(model)

    def text(logical_id: str, attribute: str = "Ref") -> str:
        return bindings.text(Reference("AppPrimary", logical_id, attribute))

    assert "arn:aws:sns:us-east-1:123456789012:shop-alerts-test" == text("Topic")
    assert "arn:aws:ecs:us-east-1:123456789012:service/shop-cluster-test/shop-web-test" == (
        text("Service")
    )
    assert "shop-web-test" == text("Service", "Name")
    assert text("Alb").endswith(text("Alb", "LoadBalancerFullName"))
    assert text("Targets").endswith(text("Targets", "TargetGroupFullName"))
    assert len(text("Targets").split("/")[1]) <= 32
    assert text("Secret") == Bindings(read_model(FOREIGN)).text(Reference("AppPrimary", "Secret"))
    with pytest.raises(Unbound, match=r"Endpoint\.Address of AppPrimary\.Db"):
        text("Db", "Endpoint.Address")


def test_what_is_bound_for_one_consumer_is_not_read_by_another() -> None:
    bindings = Bindings(read_model(FOREIGN))
    endpoint = Reference("AppPrimary", "Db", "Endpoint.Address")
    bindings.bind(endpoint, "127.64.2.7", "us-east-1/us-east-1a/shop-web-test")
    assert "127.64.2.7" == bindings.text(endpoint, "us-east-1/us-east-1a/shop-web-test")
    with pytest.raises(Unbound):
        bindings.text(endpoint, "us-east-1/us-east-1b/shop-web-test")
