"""An estimate multiplies what the templates hold with dated prices, and says what it leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.support.templates import StackFile, write_assembly

from evertill.cli import evertill, main
from evertill.cost.estimate import Estimate, NoPrice, estimate
from evertill.cost.prices import HOURS_PER_MONTH, read_prices
from evertill.cost.standing import NotTold
from evertill.infrastructure.settings import ENVIRONMENTS, read_environment

WIDTH_MAX = 80
TASK = {
    "Type": "AWS::ECS::TaskDefinition",
    "Properties": {"Cpu": "1024", "Memory": "2048"},
}
SERVICE = {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "Task"}}}
SCALING = {
    "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
    "Properties": {
        "MinCapacity": 10,
        "MaxCapacity": 50,
        "ResourceId": {"Fn::Join": ["/", ["service/main", {"Fn::GetAtt": ["Service", "Name"]}]]},
    },
}
BALANCER = {
    "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "Properties": {"Subnets": ["one", "two", "three"]},
}


def assembly(folder: Path, *stacks: Mapping[str, Any], region: str | None = "us-east-1") -> Path:
    """Write a stack of resources to `region`, and a second one, if any, to us-east-2."""
    places = zip(stacks, (region, "us-east-2"), strict=False)
    return write_assembly(
        folder, *(StackFile(dict(one), id=f"stack-{place}", region=place) for one, place in places)
    )


def priced(name: str) -> Decimal:
    return read_prices().prices[name].usd


def estimated(folder: Path) -> Estimate:
    return estimate(folder, read_prices())


def test_a_nat_gateway_costs_its_hours_and_its_address(tmp_path: Path) -> None:
    found = estimated(assembly(tmp_path, {"Nat": {"Type": "AWS::EC2::NatGateway"}}))
    hour = priced("nat_gateway_hour") + priced("public_ipv4_hour")
    assert hour * HOURS_PER_MONTH == found.month_usd
    assert [("NAT gateways", "us-east-1")] == [(i.component, i.region) for i in found.items]


def test_a_service_costs_what_always_runs_and_not_what_it_may_grow_to(tmp_path: Path) -> None:
    resources = {"Task": TASK, "Service": SERVICE, "Scaling": SCALING}
    found = estimated(assembly(tmp_path, resources))
    task = priced("fargate_arm_vcpu_hour") + 2 * priced("fargate_arm_gib_hour")
    assert (10 * task * HOURS_PER_MONTH).quantize(Decimal("0.01")) == found.month_usd


def test_an_interface_endpoint_costs_in_every_zone_and_a_gateway_endpoint_nothing(
    tmp_path: Path,
) -> None:
    kind = "AWS::EC2::VPCEndpoint"
    interface = {"VpcEndpointType": "Interface", "SubnetIds": ["one", "two", "three"]}
    gateway = {"VpcEndpointType": "Gateway"}
    resources = {
        "One": {"Type": kind, "Properties": interface},
        "Two": {"Type": kind, "Properties": gateway},
    }
    found = estimated(assembly(tmp_path, resources))
    assert 3 * priced("interface_endpoint_hour") * HOURS_PER_MONTH == found.month_usd


def test_payments_cost_once_for_each_region_that_keeps_them(tmp_path: Path) -> None:
    cluster = {"Type": "AWS::RDS::DBCluster", "Properties": {}}
    home = {"Global": {"Type": "AWS::RDS::GlobalCluster"}, "Alb": BALANCER, "Db": cluster}
    written = assembly(tmp_path, home, {"Alb": BALANCER, "Db": cluster})
    both = {(i.component, i.region) for i in estimated(written).items}
    assert {("Aurora I/O", "us-east-1"), ("Aurora I/O", "us-east-2")} <= both
    # Clients call one region only.
    assert ("Transfer to the internet", "us-east-1") in both
    assert ("Transfer to the internet", "us-east-2") not in both


def test_a_month_with_payments_costs_its_standing_part_and_theirs(tmp_path: Path) -> None:
    cluster = {"Type": "AWS::RDS::DBCluster", "Properties": {}}
    found = estimated(assembly(tmp_path, {"Alb": BALANCER, "Db": cluster}))
    assert found.month_usd == found.total_usd(0)
    assert found.month_usd + 2 * found.per_million_usd == found.total_usd(2_000_000)


def test_a_type_that_nobody_priced_is_named_and_not_passed_over(tmp_path: Path) -> None:
    found = estimated(assembly(tmp_path, {"New": {"Type": "AWS::Quantum::Ledger"}}))
    assert ["AWS::Quantum::Ledger"] == found.not_priced


def test_a_region_without_prices_is_refused(tmp_path: Path) -> None:
    folder = assembly(tmp_path, {"Nat": {"Type": "AWS::EC2::NatGateway"}}, region="eu-west-1")
    with pytest.raises(NoPrice, match="knows nothing of eu-west-1"):
        estimated(folder)


def test_templates_that_name_no_region_are_refused(tmp_path: Path) -> None:
    folder = assembly(tmp_path, {"Nat": {"Type": "AWS::EC2::NatGateway"}}, region=None)
    with pytest.raises(NoPrice, match="name no region for: NAT gateways"):
        estimated(folder)


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"Service": SERVICE | {"Properties": {"TaskDefinition": "run:1"}}}, "do not define"),
        ({"Service": SERVICE, "Task": {"Type": TASK["Type"]}}, "does not tell its Cpu"),
    ],
    ids=["a task of somebody else", "a task without a size"],
)
def test_a_quantity_that_the_templates_leave_open_is_refused(
    tmp_path: Path, resources: Mapping[str, Any], sentence: str
) -> None:
    with pytest.raises(NotTold, match=sentence):
        estimated(assembly(tmp_path, resources))


def test_every_price_names_its_page() -> None:
    unnamed = [n for n, p in read_prices().prices.items() if not p.source.startswith("https://")]
    assert [] == unnamed


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_database_classes_that_we_deploy_have_prices(name: str) -> None:
    size = read_environment(name, rehearsal=True).database.instance_class
    assert f"aurora_db.{size}_hour" in read_prices().prices


def test_the_command_prints_eighty_columns_and_says_that_nobody_paid_it(tmp_path: Path) -> None:
    folder = assembly(tmp_path, {"Task": TASK, "Service": SERVICE, "Alb": BALANCER})
    shown = CliRunner().invoke(evertill, ["cost", "prod", "--assembly", str(folder)])
    assert 0 == shown.exit_code, shown.output
    assert max(map(len, shown.output.splitlines())) <= WIDTH_MAX
    assert "never held against a bill" in shown.output
    assert "Left out:" in shown.output


def test_the_command_gives_programs_the_same_figures(tmp_path: Path) -> None:
    folder = assembly(tmp_path, {"Nat": {"Type": "AWS::EC2::NatGateway"}})
    shown = CliRunner().invoke(evertill, ["cost", "dev", "--assembly", str(folder), "--json"])
    told = json.loads(shown.output)
    assert str(estimated(folder).month_usd) == told["month_usd"]
    assert 10_000_000 == told["payments"]


def test_a_folder_without_templates_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == main(["cost", "prod", "--assembly", str(tmp_path)])
    said = capsys.readouterr().err
    assert 1 == said.count("\n")
    assert "holds no stack" in said
    assert "`make synth` writes an assembly." in said


def test_a_settings_file_of_ones_own_can_be_priced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('colour = "red"\n')
    assert 1 == main(["cost", str(path)])
    said = capsys.readouterr().err
    assert 1 == said.count("\n")
    assert "mine.toml: " in said


def test_the_validation_function_costs_its_calls_and_its_objects(tmp_path: Path) -> None:
    log = {"Type": "AWS::S3::Bucket", "Properties": {"ObjectLockEnabled": True}}
    front = {"Alb": BALANCER, "Log": log, "Db": {"Type": "AWS::RDS::DBCluster"}}
    function = {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "validation"}}
    without = estimated(assembly(tmp_path / "without", front))
    found = estimated(assembly(tmp_path / "with", {**front, "Function": function}))
    more = {i.component: i.per_million_usd for i in found.items}
    less = {i.component: i.per_million_usd for i in without.items}
    assert more["Validation function"] > 0
    # One payment in ten is asked about, and each decision is an object of the log.
    assert 100 * priced("s3_put_thousand") == more["Transaction log"] - less["Transaction log"]
