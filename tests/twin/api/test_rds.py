"""boto3 asks the twin's RDS, as recovery does, and what it asks for really happens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.databases import until_complete
from tests.support.regions import EAST, WEST, Scene, two_regions
from tests.support.twin import api, ask, client, site_of_the_test

from evertill.twin.addresses import Site
from evertill.twin.api.handled import Handled
from evertill.twin.api.rds import RPO_PARAMETER, Rds

ACCOUNT = "123456789012"
DEADLINE_S = 60.0


def rds_of(scene: Scene, region: str) -> Rds:
    clusters = [scene.east, scene.west]
    addresses = {(item.name, "writer"): f"writer.{item.spec.region}" for item in clusters}
    return Rds(
        region,
        ACCOUNT,
        clusters=clusters,
        global_clusters=[scene.group],
        snapshots=scene.group.snapshots,
        endpoints=addresses,
    )


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


async def until_available(rds: Any, states: set[str]) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            answer = await ask(rds.describe_global_clusters, GlobalClusterIdentifier="global")
            group: dict[str, Any] = answer["GlobalClusters"][0]
            if "FailoverState" in group:
                states.add(group["FailoverState"]["Status"])
            elif group["Status"] == "available":
                return group
            await asyncio.sleep(0.02)


async def tell_everything(scene: Scene, site: Site) -> None:
    """Go through what is asked and changed, on one pair of regions, which are slow to make."""
    async with (
        api({"rds": Handled("rds", rds_of(scene, EAST))}, site, EAST) as east_api,
        api({"rds": Handled("rds", rds_of(scene, WEST))}, site, WEST) as west_api,
    ):
        east, west = client("rds", east_api.url, EAST), client("rds", west_api.url, WEST)
        await describes(scene, east)
        await parameters(scene, east)
        await snapshots(east)
        await moves_the_writer(scene, east)
        await changes_region(scene, east, west)


async def describes(scene: Scene, rds: Any) -> None:
    cluster = (await ask(rds.describe_db_clusters))["DBClusters"][0]
    assert ["db-1"] == [
        item["DBInstanceIdentifier"]
        for item in cluster["DBClusterMembers"]
        if item["IsClusterWriter"]
    ]
    assert ("available", "writer.us-east-1") == (cluster["Status"], cluster["Endpoint"])
    assert "global" == cluster["GlobalClusterIdentifier"]
    instances = (await ask(rds.describe_db_instances))["DBInstances"]
    assert {"us-east-1a", "us-east-1b"} == {item["AvailabilityZone"] for item in instances}
    group = (await ask(rds.describe_global_clusters))["GlobalClusters"][0]
    assert {scene.east.spec.arn: True, scene.west.spec.arn: False} == {
        item["DBClusterArn"]: item["IsWriter"] for item in group["GlobalClusterMembers"]
    }
    for call, words, code in (
        (rds.describe_db_clusters, {"DBClusterIdentifier": "no"}, "DBClusterNotFoundFault"),
        (rds.describe_db_instances, {"DBInstanceIdentifier": "no"}, "DBInstanceNotFound"),
    ):
        with pytest.raises(ClientError) as caught:
            await ask(call, **words)
        assert code == code_of(caught)


async def parameters(scene: Scene, rds: Any) -> None:
    name = {"DBClusterParameterGroupName": "group-us-east-1"}

    def given(value: str) -> list[dict[str, str]]:
        return [
            {"ParameterName": RPO_PARAMETER, "ParameterValue": value, "ApplyMethod": "immediate"}
        ]

    await ask(rds.modify_db_cluster_parameter_group, **name, Parameters=given("20"))
    assert {RPO_PARAMETER: "20"} == scene.east.parameters
    listed = (await ask(rds.describe_db_cluster_parameters, **name, Source="user"))["Parameters"]
    assert [(RPO_PARAMETER, "20")] == [(p["ParameterName"], p["ParameterValue"]) for p in listed]
    with pytest.raises(ClientError) as caught:
        await ask(rds.modify_db_cluster_parameter_group, **name, Parameters=given("5"))
    assert "InvalidParameterValue" == code_of(caught)
    await ask(rds.reset_db_cluster_parameter_group, **name, Parameters=given("0"))
    assert {} == scene.east.parameters


async def snapshots(rds: Any) -> None:
    words = {"DBClusterIdentifier": "db", "DBClusterSnapshotIdentifier": "kept"}
    made = (await ask(rds.create_db_cluster_snapshot, **words))["DBClusterSnapshot"]
    assert ("available", "manual") == (made["Status"], made["SnapshotType"])
    with pytest.raises(ClientError) as caught:
        await ask(rds.create_db_cluster_snapshot, **words)
    assert "DBClusterSnapshotAlreadyExistsFault" == code_of(caught)
    copied = {
        "SourceDBClusterSnapshotIdentifier": made["DBClusterSnapshotArn"],
        "TargetDBClusterSnapshotIdentifier": "kept-too",
    }
    await ask(rds.copy_db_cluster_snapshot, **copied)
    listed = await ask(rds.describe_db_cluster_snapshots, SnapshotType="manual")
    assert ["kept", "kept-too"] == [
        s["DBClusterSnapshotIdentifier"] for s in listed["DBClusterSnapshots"]
    ]


async def moves_the_writer(scene: Scene, rds: Any) -> None:
    await ask(rds.failover_db_cluster, DBClusterIdentifier="db", TargetDBInstanceIdentifier="db-2")
    assert scene.east.writer is scene.east.instances["db-2"]
    await until_complete(scene.east)
    await until_complete(scene.west)


async def changes_region(scene: Scene, east: Any, west: Any) -> None:
    words = {
        "GlobalClusterIdentifier": "global",
        "TargetDbClusterIdentifier": scene.west.spec.arn,
    }
    with pytest.raises(ClientError) as caught:
        await ask(west.switchover_global_cluster, **words)
    assert "InvalidGlobalClusterStateFault" == code_of(caught)
    begun = (await ask(east.switchover_global_cluster, **words))["GlobalCluster"]
    assert scene.west.spec.arn == begun["FailoverState"]["ToDbClusterArn"]
    assert not begun["FailoverState"]["IsDataLossAllowed"]
    states = {begun["FailoverState"]["Status"]}
    group = await until_available(west, states)
    assert states <= {"pending", "switching-over"}
    assert [scene.west.spec.arn] == [
        item["DBClusterArn"] for item in group["GlobalClusterMembers"] if item["IsWriter"]
    ]
    await scene.load.until_more(20)
    back = {**words, "TargetDbClusterIdentifier": scene.east.spec.arn}
    begun = (await ask(east.failover_global_cluster, **back, AllowDataLoss=True))["GlobalCluster"]
    assert begun["FailoverState"]["IsDataLossAllowed"]
    await until_available(east, set())
    await scene.load.until_more(20)
    assert scene.group.primary is scene.east


def test_recovery_reads_and_changes_databases_through_boto3() -> None:
    async def story() -> None:
        with site_of_the_test() as site:
            async with two_regions() as scene:
                await tell_everything(scene, site)

    asyncio.run(story())
