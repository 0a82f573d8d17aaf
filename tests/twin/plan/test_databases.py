"""What becomes of a template's databases: zones, quorums, roles, endpoints and who may ask them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.templates import StackFile, resource, write_assembly

from evertill.assembly import Model, Reference
from evertill.twin.addresses import Addresses
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.consumers import consumers_of
from evertill.twin.plan.database_gates import DatabaseGateSpec, door_arn, plan_database_gates
from evertill.twin.plan.databases import DatabasePlan, DatabaseUnsupported, plan_databases
from evertill.twin.plan.places import Places, places_of
from evertill.twin.plan.policies import policies_of
from evertill.twin.plan.reading import read_model
from evertill.twin.policies import allows

FOREIGN = Path(__file__).parents[1] / "assemblies" / "foreign"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
SECRET = {
    "Fn::Join": ["", ["{{resolve:secretsmanager:", {"Ref": "Secret"}, ":SecretString:KEY::}}"]]
}


class Read:
    """An assembly as the database's planners see it."""

    def __init__(self, folder: Path) -> None:
        self.model: Model = read_model(folder)
        self.bindings = Bindings(self.model)
        self.places: Places = places_of(self.model)
        self.addresses = Addresses(99, dict(self.places.regions))

    def databases(self) -> DatabasePlan:
        return plan_databases(self.model, self.bindings, self.places, self.addresses)

    def gates(self) -> tuple[DatabaseGateSpec, ...]:
        consumers = consumers_of(self.model, self.places)
        return plan_database_gates(
            self.model, self.databases(), consumers, self.bindings, self.addresses
        )


def subnets() -> dict[str, Any]:
    return {
        f"Subnet{index}": resource("AWS::EC2::Subnet", AvailabilityZone=zone)
        for index, zone in enumerate(ZONES)
    }


def cluster(**properties: Any) -> dict[str, Any]:
    return resource(
        "AWS::RDS::DBCluster",
        **{
            "Engine": "aurora-postgresql",
            "EngineVersion": "17.7",
            "MasterUsername": "owner",
            "MasterUserPassword": "of-the-owner",
            "DBSubnetGroupName": {"Ref": "Subnets"},
            **properties,
        },
    )


def instances(count: int) -> dict[str, Any]:
    return {
        f"One{index}": resource(
            "AWS::RDS::DBInstance",
            DBClusterIdentifier={"Ref": "Db"},
            DBInstanceClass="db.r7g.large",
        )
        for index in range(count)
    }


def read(tmp_path: Path, count: int = 2, **resources: Any) -> Read:
    group = resource(
        "AWS::RDS::DBSubnetGroup", SubnetIds=[{"Ref": f"Subnet{i}"} for i in range(len(ZONES))]
    )
    everything = {
        **subnets(),
        "Subnets": group,
        "Db": cluster(),
        **instances(count),
        **resources,
    }
    return Read(write_assembly(tmp_path / "cdk.out", StackFile(everything)))


@pytest.mark.parametrize(("count", "logs"), [(1, 2), (2, 1), (3, 0)])
def test_every_cluster_has_its_log_in_three_zones(tmp_path: Path, count: int, logs: int) -> None:
    spec = read(tmp_path, count).databases().clusters[0]
    assert logs == len(spec.logs)
    assert 3 == len({item.zone for item in (*spec.instances, *spec.logs)})


def test_a_network_of_two_zones_has_its_third_copy_elsewhere_in_the_region() -> None:
    spec = Read(FOREIGN).databases().clusters[0]
    assert ("us-east-1",) == tuple(item.zone for item in spec.logs)


def test_clusters_that_join_no_global_cluster_are_on_their_own() -> None:
    plan = Read(FOREIGN).databases()
    assert () == plan.globals
    assert 2 == len(plan.clusters)
    assert all(item.master == "shopadmin" for item in plan.clusters)


def test_the_member_that_brings_the_first_user_is_the_first_primary(tmp_path: Path) -> None:
    joined = {"GlobalClusterIdentifier": "world"}
    world = resource("AWS::RDS::GlobalCluster", GlobalClusterIdentifier="world")
    second = cluster(**joined)
    del second["Properties"]["MasterUsername"], second["Properties"]["MasterUserPassword"]
    other = {
        **instances(1),
        "Db": second,
        **subnets(),
        "Subnets": resource("AWS::RDS::DBSubnetGroup", SubnetIds=[{"Ref": "Subnet0"}]),
    }
    for index in range(len(ZONES)):
        other[f"Subnet{index}"]["Properties"]["AvailabilityZone"] = f"us-east-2{'abc'[index]}"
    stacks = (
        StackFile(other, id="Second", region="us-east-2"),
        StackFile({**subnets(), **instances(1), "Db": cluster(**joined), "World": world,
                   "Subnets": resource("AWS::RDS::DBSubnetGroup", SubnetIds=[{"Ref": "Subnet0"}])},
                  id="First"),
    )  # fmt: skip
    plan = Read(write_assembly(tmp_path / "cdk.out", *stacks)).databases()
    assert ["us-east-1", "us-east-2"] == [
        name.partition("/")[0] for name in plan.globals[0].members
    ]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"Db": cluster(Engine="aurora-mysql")}, "aurora-mysql"),
        ({"Db": cluster(SnapshotIdentifier="old")}, "SnapshotIdentifier"),
        ({"Db": cluster(ManageMasterUserPassword=True)}, "leaves its password to RDS"),
        ({"Db": cluster(GlobalClusterIdentifier="nowhere")}, "nowhere"),
        ({"Db": cluster(MasterUsername=None)}, "has no first user"),
        ({"Alone": resource("AWS::RDS::DBInstance", Engine="postgres")}, "no Aurora cluster"),
    ],
)
def test_what_the_twin_cannot_run_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DatabaseUnsupported, match=complaint):
        read(tmp_path, **change).databases()


def test_a_login_that_is_written_in_a_secret_is_found_there(tmp_path: Path) -> None:
    text = {"SecretStringTemplate": '{"username": "shopkeeper"}', "GenerateStringKey": "password"}
    secret = resource("AWS::SecretsManager::Secret", GenerateSecretString=text)
    changed = cluster(MasterUsername=SECRET, MasterUserPassword=SECRET)
    spec = read(tmp_path, Db=changed, Secret=secret).databases().clusters[0]
    assert "shopkeeper" == spec.master
    assert spec.password.startswith("{{resolve:secretsmanager:arn:aws:secretsmanager:us-east-1:")


@pytest.mark.parametrize(
    ("version", "parameters", "expected"),
    [
        ("17.7", {}, True),
        ("16.8", {}, False),
        ("16.8", {"rds.force_ssl": "1"}, True),
        ("17.7", {"rds.force_ssl": "0"}, False),
    ],
)
def test_tls_is_a_must_where_the_version_or_the_parameters_say_so(
    tmp_path: Path, version: str, parameters: dict[str, str], *, expected: bool
) -> None:
    group = resource("AWS::RDS::DBClusterParameterGroup", Parameters=parameters)
    changed = cluster(EngineVersion=version, DBClusterParameterGroupName={"Ref": "Group"})
    spec = read(tmp_path, Db=changed, Group=group).databases().clusters[0]
    assert expected == spec.force_ssl


def test_each_consumer_has_endpoints_of_its_own_and_learns_which_rule_is_missing() -> None:
    made = Read(FOREIGN)
    gates = made.gates()
    mine = [gate for gate in gates if gate.consumer == "us-east-1/us-east-1a/shop-web-test"]
    assert {"writer", "reader"} == {gate.role for gate in mine}
    endpoint = Reference("AppPrimary", "Db", "Endpoint.Address")
    assert mine[0].host == made.bindings.text(endpoint, mine[0].consumer)
    assert made.bindings.text(endpoint) != mine[0].host
    refused = [gate.refusal for gate in gates if "shop-validate-test" in gate.consumer]
    assert all("no ingress rule of NetPrimary.DbGroup" in text for text in refused[:2])
    assert len(gates) == len({gate.address for gate in gates})


def test_a_role_may_do_what_its_own_and_its_separate_policies_say(tmp_path: Path) -> None:
    def document(action: str, target: object) -> dict[str, Any]:
        return {"Statement": {"Effect": "Allow", "Action": action, "Resource": target}}

    place = "arn:aws:rds-db:us-east-1:111111111111:dbuser:"
    user = {"Fn::Join": ["", [place, {"Fn::GetAtt": ["Db", "DBClusterResourceId"]}, "/app"]]}
    trust = {"Statement": [{"Principal": {"Service": "ecs-tasks.amazonaws.com"}}]}
    role = resource(
        "AWS::IAM::Role",
        RoleName="service",
        AssumeRolePolicyDocument=trust,
        Policies=[{"PolicyName": "own", "PolicyDocument": document("s3:GetObject", "*")}],
        ManagedPolicyArns=["arn:aws:iam::aws:policy/Unheard"],
    )
    policy = resource(
        "AWS::IAM::Policy", Roles=[{"Ref": "Role"}], PolicyDocument=document("rds-db:connect", user)
    )
    made = read(tmp_path, Role=role, Policy=policy)
    found = policies_of(made.model, made.bindings)
    statements = found.statements["arn:aws:iam::111111111111:role/service"]
    spec = made.databases().clusters[0]
    arn = door_arn(spec)
    assert allows(statements, "rds-db:connect", f"{arn}/app")
    assert not allows(statements, "rds-db:connect", f"{arn}/other")
    assert allows(statements, "s3:GetObject", "arn:aws:s3:::any/thing")
    assert ["Unheard" in line for line in found.unknown] == [True]
