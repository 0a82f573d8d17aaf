"""One region put together: what AWS does by itself, load balancers, services, tasks, its API.

It is separate from the whole because a region is what is lost, and everything in it with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from evertill.twin.api.autoscaling import ApplicationAutoScaling
from evertill.twin.api.ecs import Ecs
from evertill.twin.api.elbv2 import LoadBalancing
from evertill.twin.api.handled import Handled
from evertill.twin.api.messages import Endpoint, Request, Scope
from evertill.twin.api.permissions import Permissions
from evertill.twin.api.secret_names import arns_in
from evertill.twin.api.server import ApiServer
from evertill.twin.api.throttle import Throttle
from evertill.twin.definitions import Definitions
from evertill.twin.part import Part
from evertill.twin.parts.aws_region import PORT, AwsRegion
from evertill.twin.parts.balancer import Balancer, Detour
from evertill.twin.parts.function import Function
from evertill.twin.parts.function_bridge import FunctionBridge, Outcome
from evertill.twin.parts.meter import Meter
from evertill.twin.parts.runner import Runner
from evertill.twin.parts.scaling import Scaling, readings_of
from evertill.twin.parts.service import Service
from evertill.twin.parts.target_group import TargetGroup
from evertill.twin.parts.task import TaskTools
from evertill.twin.plan.balancer_specs import BalancerSpec, TargetGroupSpec
from evertill.twin.plan.bindings import ACCOUNT
from evertill.twin.plan.groups import SecurityGroups
from evertill.twin.plan.identity import arn_of
from evertill.twin.running.ground import Ground

ALARM: Final = "ALARM"
BRIDGE_PORT: Final = 8090


def api_url(ground: Ground, region: str) -> str:
    """Return where a region's API answers, before it does."""
    return f"http://{ground.plan.addresses.take(region, 'api')}:{PORT}"


class Region:
    """A region of the twin."""

    def __init__(
        self, name: str, ground: Ground, aws: AwsRegion, tools: TaskTools, detour: Detour
    ) -> None:
        """Put the region together from the plan."""
        plan = ground.plan
        self.name: Final = name
        self.aws: Final = aws
        self.throttle: Final = Throttle()
        self.zones: Final = plan.places.regions[name]
        self._ground: Final = ground
        self.groups: Final = {
            spec.arn: TargetGroup(spec, ground.clock, ground.timeline)
            for spec in plan.balancing.groups
            if spec.region == name
        }
        self._functions: Final = {item.spec.arn: item for item in aws.functions}
        self.bridges: Final = {
            arn: self._bridge(group.spec)
            for arn, group in self.groups.items()
            if group.spec.kind == "lambda"
        }
        self._detour: Final = detour
        self.balancers: Final = [
            self._balancer(spec) for spec in plan.balancing.balancers if spec.region == name
        ]
        folder = ground.folder / name
        self.services: Final = [
            Service(
                spec,
                tools,
                folder / "tasks" / spec.name,
                addresses=plan.addresses,
                target_groups=self.groups,
                rings=self._rings,
                timeline=ground.timeline,
            )
            for spec in plan.services
            if spec.region == name
        ]
        by_name = {item.spec.name: item for item in self.services}
        for service in self.services:
            self._count_for_all(service)
        self.scalings: Final = [
            Scaling(
                spec,
                by_name[spec.service.name],
                readings_of(ground.store),
                ground.clock,
                ground.timeline,
            )
            for spec in plan.scaling
            if spec.service.region == name
        ]
        self.meters: Final = [Meter(item, ground.store, ground.clock) for item in self.services]
        self.runner: Final = Runner(
            name, tools, folder / "once", addresses=plan.addresses, timeline=ground.timeline
        )

    @property
    def parts(self) -> list[Part]:
        """Return what serves, in the order of its start."""
        return [
            *self.bridges.values(),
            *self.balancers,
            *self.services,
            *self.scalings,
            *self.meters,
            self.aws.alarms,
        ]

    def api(self, others: Mapping[str, Endpoint]) -> ApiServer:
        """Return the region's API; `others` answer for what is not this region's alone."""
        plan = self._ground.plan
        zones = {
            plan.bindings.text(reference): zone
            for reference, zone in plan.places.subnets.items()
            if zone in plan.places.regions[self.name]
        }
        specs = [item.task for item in plan.services] + [item.task for item in plan.loose_tasks]
        definitions = Definitions(
            [spec for spec in specs if spec.region == self.name], plan.places.regions[self.name]
        )
        ecs = Ecs(
            self.name,
            ACCOUNT,
            services=self.services,
            runner=self.runner,
            definitions=definitions,
            zone_of_subnet=zones,
        )
        balancing = LoadBalancing(self.balancers, list(self.groups.values()))
        handlers: dict[str, Endpoint] = {
            "ecs": Handled("ecs", ecs),
            "application-autoscaling": Handled(
                "application-autoscaling", ApplicationAutoScaling(self.scalings)
            ),
            "elasticloadbalancing": Handled("elbv2", balancing),
        }
        identities = self._ground.identities
        arns = arns_in(self.name, self.aws.plan.secrets)
        permissions = Permissions(self.name, identities.role_of, identities.allows, arns)

        async def guard(request: Request, scope: Scope) -> None:
            # Who asks too often is turned down before anybody looks at what he may.
            await self.throttle(request, scope)
            await permissions(request, scope)

        return self.aws.api({**handlers, **others}, guard)

    def _count_for_all(self, service: Service) -> None:
        """Let the targets of a service be counted for all tasks that they stand for."""
        for attachment in service.spec.attachments:
            group = self.groups.get(attachment.target_group)
            if group is not None:
                group.stands_for = lambda: service.stands_for

    def _rings(self, alarm: str) -> bool:
        try:
            return self.aws.alarms.state_of(alarm) == ALARM
        except KeyError:
            return False

    def _balancer(self, spec: BalancerSpec) -> Balancer:
        ground = self._ground
        return Balancer(
            spec,
            self.groups,
            addresses={zone: ground.plan.addresses.take(zone, spec.name) for zone in spec.zones},
            certify=ground.authority.certificate,
            bridges={arn: bridge.address for arn, bridge in self.bridges.items()},
            may_connect=SecurityGroups(ground.plan.model).may_connect,
            detour=self._detour,
            clock=ground.clock,
            links=ground.links,
            timeline=ground.timeline,
            metrics=ground.store,
            processes=ground.processes,
            folder=ground.folder / self.name / spec.name,
        )

    def _bridge(self, spec: TargetGroupSpec) -> FunctionBridge:
        function = self._function_of(spec)
        address = self._ground.plan.addresses.take(self.name, f"bridge {spec.name}")

        async def invoke(principal: str, source: str, payload: bytes) -> Outcome:
            return await function.invoke_for(principal, source, payload)

        return FunctionBridge(spec, (address, BRIDGE_PORT), invoke)

    def _function_of(self, spec: TargetGroupSpec) -> Function:
        for resource in self._ground.plan.model.referred_by(spec.function):
            if str(arn_of(resource)) in self._functions:
                return self._functions[str(arn_of(resource))]
        raise LookupError(spec.name)
