"""RDS as boto3 and the `aws` command speak it, over the clusters that really run.

It is separate from the parts because it only translates: every answer is read from them, and every
change is one call of theirs. A region's answers tell what that region can know: of a global cluster
all regions know the same, as in AWS.
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from evertill.twin.api import rds_words as words
from evertill.twin.api.errors import ApiError
from evertill.twin.errors import PartFailed
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.global_cluster import GlobalCluster, NotAMember, WrongState
from evertill.twin.parts.snapshots import Snapshot, SnapshotExists, Snapshots

NOT_FOUND: Final = 404
# The least that Aurora takes for `rds.global_db_rpo`.
RPO_PARAMETER: Final = "rds.global_db_rpo"
RPO_MIN_S: Final = 20
RPO_MAX_S: Final = 2_147_483_647

Answer = dict[str, Any]


class Rds:
    """The RDS of one region."""

    def __init__(
        self,
        region: str,
        account: str,
        *,
        clusters: Sequence[Cluster],
        global_clusters: Sequence[GlobalCluster],
        snapshots: Snapshots,
        endpoints: words.Endpoints,
    ) -> None:
        """Answer for the `clusters` of the region; `endpoints` names their addresses."""
        self._region: Final = region
        self._account: Final = account
        self._clusters: Final = [item for item in clusters if item.spec.region == region]
        self._everywhere: Final = list(clusters)
        self._globals: Final = list(global_clusters)
        self._snapshots: Final = snapshots
        self._endpoints: Final = endpoints
        self._defaults: Final = {
            item.spec.parameter_group: dict(item.spec.parameters) for item in self._clusters
        }

    async def describe_db_clusters(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Describe one cluster of the region, or all."""
        named = parameters.get("DBClusterIdentifier")
        chosen = [self._cluster(named)] if named else self._clusters
        return {"DBClusters": [self._described(item) for item in chosen]}

    async def describe_db_instances(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Describe one instance of the region, or all."""
        named = parameters.get("DBInstanceIdentifier")
        found = [
            words.instance(cluster, instance, self._endpoints)
            for cluster in self._clusters
            for instance in cluster.instances.values()
            if named in {None, instance.member}
        ]
        if named and not found:
            raise ApiError("DBInstanceNotFound", f"DBInstance {named} not found.", NOT_FOUND)
        return {"DBInstances": found}

    async def describe_global_clusters(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Describe one global cluster, or all."""
        named = parameters.get("GlobalClusterIdentifier")
        chosen = [self._global(named)] if named else self._globals
        return {"GlobalClusters": [words.global_cluster(item) for item in chosen]}

    async def switchover_global_cluster(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Begin a switchover: AWS answers before it is done, and so do we."""
        group, target = self._change(parameters)
        if group.primary.spec.region != self._region:
            # AWS: "from the primary's Region"; the docs of the CLI say so for switchovers.
            message = "The switchover must be asked for in the region of the primary cluster."
            raise ApiError("InvalidGlobalClusterStateFault", message)
        return self._begin(group, target, is_failover=False)

    async def failover_global_cluster(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Begin a failover, or a switchover where neither flag allows a loss."""
        group, target = self._change(parameters)
        if parameters.get("AllowDataLoss") and parameters.get("Switchover"):
            message = "AllowDataLoss and Switchover exclude each other."
            raise ApiError("InvalidParameterCombination", message)
        return self._begin(group, target, is_failover=bool(parameters.get("AllowDataLoss")))

    async def remove_from_global_cluster(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Detach a cluster from its global cluster."""
        group = self._global(parameters["GlobalClusterIdentifier"])
        cluster = self._member(group, parameters["DbClusterIdentifier"])
        try:
            await group.remove(cluster)
        except WrongState as state:
            raise ApiError("InvalidGlobalClusterStateFault", str(state)) from state
        return {"GlobalCluster": words.global_cluster(group)}

    async def failover_db_cluster(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Move the writer within the region."""
        cluster = self._cluster(parameters["DBClusterIdentifier"])
        target = parameters.get("TargetDBInstanceIdentifier", "")
        readers = [item.member for item in cluster.standbys() if item.is_running]
        if not cluster.is_primary or not readers or (target and target not in readers):
            message = "There is no reader in the cluster that could become the writer."
            raise ApiError("InvalidDBClusterStateFault", message)
        try:
            await cluster.fail_over(target)
        except PartFailed as failure:
            raise ApiError("InvalidDBClusterStateFault", str(failure)) from failure
        return {"DBCluster": self._described(cluster)}

    async def describe_db_cluster_parameters(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """List what a parameter group sets, and the guard whether set or not."""
        group = parameters["DBClusterParameterGroupName"]
        cluster = self._of_group(group)
        defaults = self._defaults[group]
        listed = [
            words.parameter(name, value, "user")
            for name, value in {**defaults, **cluster.parameters}.items()
        ]
        if RPO_PARAMETER not in cluster.parameters:
            listed.append(words.parameter(RPO_PARAMETER, None, "engine-default"))
        source = parameters.get("Source")
        return {"Parameters": [item for item in listed if source in {None, item["Source"]}]}

    async def modify_db_cluster_parameter_group(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Set parameters of every cluster of the region that uses the group."""
        group = parameters["DBClusterParameterGroupName"]
        given = {item["ParameterName"]: item["ParameterValue"] for item in parameters["Parameters"]}
        _check(given)
        self._of_group(group)
        for cluster in self._clusters:
            if cluster.spec.parameter_group == group:
                cluster.set_parameters({**cluster.parameters, **given})
        return {"DBClusterParameterGroupName": group}

    async def reset_db_cluster_parameter_group(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Take parameters back to the engine's defaults."""
        group = parameters["DBClusterParameterGroupName"]
        named = {item["ParameterName"] for item in parameters.get("Parameters", ())}
        self._of_group(group)
        for cluster in self._clusters:
            if cluster.spec.parameter_group == group:
                kept = {
                    name: value
                    for name, value in cluster.parameters.items()
                    if not parameters.get("ResetAllParameters") and name not in named
                }
                cluster.set_parameters(kept)
        return {"DBClusterParameterGroupName": group}

    async def create_db_cluster_snapshot(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Keep a cluster's volume as it is now."""
        cluster = self._cluster(parameters["DBClusterIdentifier"])
        try:
            made = await self._snapshots.take(parameters["DBClusterSnapshotIdentifier"], cluster)
        except SnapshotExists as exists:
            raise ApiError("DBClusterSnapshotAlreadyExistsFault", str(exists)) from exists
        except PartFailed as failure:
            raise ApiError("InvalidDBClusterStateFault", str(failure)) from failure
        return {"DBClusterSnapshot": words.snapshot(made, cluster, self._account)}

    async def copy_db_cluster_snapshot(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Copy a snapshot of the region, named or by its ARN, into one that does not expire."""
        named = parameters["SourceDBClusterSnapshotIdentifier"].partition(":cluster-snapshot:")
        source = self._snapshot(named[2] or named[0])
        cluster = self._cluster(source.cluster)
        try:
            made = await self._snapshots.copy(
                source,
                parameters["TargetDBClusterSnapshotIdentifier"],
                cluster.world.clock.moment(),
            )
        except SnapshotExists as exists:
            raise ApiError("DBClusterSnapshotAlreadyExistsFault", str(exists)) from exists
        return {"DBClusterSnapshot": words.snapshot(made, cluster, self._account)}

    async def describe_db_cluster_snapshots(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """List the snapshots of the region, those of given-up primaries among them."""
        named = parameters.get("DBClusterSnapshotIdentifier")
        cluster = parameters.get("DBClusterIdentifier")
        kind = parameters.get("SnapshotType")
        found = [
            item
            for item in self._snapshots.of(self._region)
            if named in {None, item.identifier}
            and cluster in {None, item.cluster}
            and kind in {None, item.kind}
        ]
        if named and not found:
            self._snapshot(named)
        return {
            "DBClusterSnapshots": [
                words.snapshot(item, self._cluster(item.cluster), self._account) for item in found
            ]
        }

    def _snapshot(self, named: str) -> Snapshot:
        for item in self._snapshots.of(self._region):
            if item.identifier == named:
                return item
        message = f"DBClusterSnapshot {named} not found."
        raise ApiError("DBClusterSnapshotNotFoundFault", message, NOT_FOUND)

    def _described(self, cluster: Cluster) -> Answer:
        group = next((item for item in self._globals if cluster in item.members), None)
        return words.cluster(cluster, group, self._endpoints)

    def _begin(self, group: GlobalCluster, target: Cluster, *, is_failover: bool) -> Answer:
        try:
            (group.fail_over if is_failover else group.switch_over)(target)
        except (WrongState, NotAMember) as state:
            raise ApiError("InvalidGlobalClusterStateFault", str(state)) from state
        return {"GlobalCluster": words.global_cluster(group)}

    def _change(self, parameters: Answer) -> tuple[GlobalCluster, Cluster]:
        group = self._global(parameters["GlobalClusterIdentifier"])
        return group, self._member(group, parameters["TargetDbClusterIdentifier"])

    def _cluster(self, named: str) -> Cluster:
        for cluster in self._clusters:
            if named in {cluster.spec.identifier, cluster.spec.arn}:
                return cluster
        raise ApiError("DBClusterNotFoundFault", f"DBCluster {named} not found.", NOT_FOUND)

    def _global(self, named: str) -> GlobalCluster:
        for group in self._globals:
            if group.spec.identifier == named:
                return group
        message = f"Global cluster {named} not found."
        raise ApiError("GlobalClusterNotFoundFault", message, NOT_FOUND)

    @staticmethod
    def _member(group: GlobalCluster, named: str) -> Cluster:
        for cluster in group.members:
            if cluster.spec.arn == named:
                return cluster
        message = f"{named} is no member of {group.spec.identifier}; members are named by ARN."
        raise ApiError("DBClusterNotFoundFault", message, NOT_FOUND)

    def _of_group(self, named: str) -> Cluster:
        for cluster in self._clusters:
            if cluster.spec.parameter_group == named:
                return cluster
        message = f"DBClusterParameterGroup {named} not found."
        raise ApiError("DBParameterGroupNotFound", message, NOT_FOUND)


def _check(given: dict[str, str]) -> None:
    value = given.get(RPO_PARAMETER)
    if value is None or (value.isdecimal() and RPO_MIN_S <= int(value) <= RPO_MAX_S):
        return
    message = f"Invalid value {value} for {RPO_PARAMETER}: it takes {RPO_MIN_S} to {RPO_MAX_S}."
    raise ApiError("InvalidParameterValue", message)
