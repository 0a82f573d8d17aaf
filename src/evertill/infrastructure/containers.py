"""Our image as a task: what the service's and the migration's tasks have in common.

It is separate from both because one image runs with different rights, and the two must not drift
apart in anything but those rights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Duration, Size
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from evertill.infrastructure.log_groups import log_group
from evertill.infrastructure.names import Names
from evertill.infrastructure.stacks import DataStack

# deploy/Dockerfile makes this user, and this folder for it; the rest of the file system is
# read-only. A bind mount belongs to root unless the image declares its folder as a volume:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/bind-mounts.html
USER: Final = "10001:10001"
SCRATCH: Final = "/scratch"
VOLUME: Final = "scratch"
# deploy/Dockerfile puts the certificates of Amazon's authorities for RDS here.
AUTHORITIES: Final = "/etc/evertill/rds-ca.pem"
CONTAINER: Final = "evertill"
# The service drains for 25 s (service/supervisor.py) and may have to kill a worker after that.
STOP_TIMEOUT_S: Final = 40
# Logs wait here while CloudWatch does not take them; beyond that they are lost, not payments.
LOG_BUFFER_MIB: Final = 16


class OurTask(Construct):
    """A Fargate task of our image: no root, no capabilities, one folder that it may write to.

    `definition` is the task, `role` what it may do, `start_role` what starting it may read,
    `container` its only container.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        data: DataStack,
        family: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        health_check: ecs.HealthCheck | None = None,
    ) -> None:
        """Define the task `family`, which runs `command`."""
        super().__init__(scope, construct_id)
        service = data.settings.service
        self.role = self._role("Role", f"What the containers of {family} may do")
        self.start_role = self._role("StartRole", f"Starts {family}: image, log, secrets")
        self.log_group = log_group(self, f"/evertill/{family}", data)
        self.definition = ecs.FargateTaskDefinition(
            self,
            "Definition",
            family=family,
            cpu=service.cpu,
            memory_limit_mib=service.memory_mib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
            task_role=self.role,
            execution_role=self.start_role,
            volumes=[ecs.Volume(name=VOLUME)],
        )
        self.container = self._container(data.names, command, environment, health_check)

    def _container(
        self,
        names: Names,
        command: Sequence[str],
        environment: Mapping[str, str],
        health_check: ecs.HealthCheck | None,
    ) -> ecs.ContainerDefinition:
        # An init process reaps what workers leave behind and hands signals on.
        limits = ecs.LinuxParameters(self, "Limits", init_process_enabled=True)
        limits.drop_capabilities(ecs.Capability.ALL)
        container = self.definition.add_container(
            CONTAINER,
            container_name=CONTAINER,
            image=self._image(names),
            command=list(command),
            environment=dict(environment),
            user=USER,
            readonly_root_filesystem=True,
            linux_parameters=limits,
            health_check=health_check,
            stop_timeout=Duration.seconds(STOP_TIMEOUT_S),
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix=CONTAINER,
                log_group=self.log_group,
                # A slow CloudWatch must not stop a payment that wants to write a line.
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
                max_buffer_size=Size.mebibytes(LOG_BUFFER_MIB),
            ),
        )
        container.add_mount_points(
            ecs.MountPoint(container_path=SCRATCH, source_volume=VOLUME, read_only=False)
        )
        return container

    def _image(self, names: Names) -> ecs.ContainerImage:
        """Return our own image by digest, or, where an environment names none, by its suffix.

        Even then all tasks of one deployment run the same image, for ECS resolves a tag once:
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
        """
        service = names.settings.service
        repository = ecr.Repository.from_repository_attributes(
            self,
            "Repository",
            repository_name=service.image_repository,
            repository_arn=names.arn("ecr", f"repository/{service.image_repository}"),
        )
        return ecs.ContainerImage.from_ecr_repository(
            repository, service.image_digest or names.suffix
        )

    def _role(self, construct_id: str, description: str) -> iam.Role:
        return iam.Role(
            self,
            construct_id,
            assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
            description=description,
        )
