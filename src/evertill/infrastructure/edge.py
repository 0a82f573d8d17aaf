"""The region's edge: the load balancer, its certificate, and which path goes where.

It is separate from `compute` because it has its own failures, and from `dns`, which decides when
this edge is the one that clients reach. The load balancer asks its targets for `/health` only: a
deeper question would let ECS replace every task while the database fails over. Route 53 asks the
deep one, `/ready`, through the same listener.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_route53 as route53
from constructs import Construct

from evertill.infrastructure.names import HTTP_PORT, HTTPS_PORT, SERVICE_PORT, Names
from evertill.infrastructure.stacks import DataStack, NetworkStack

HEALTH_PATH: Final = "/health"
HEALTH_INTERVAL_S: Final = 10
HEALTH_TIMEOUT_S: Final = 5
HEALTHY_AFTER: Final = 2
UNHEALTHY_AFTER: Final = 3
DEREGISTRATION_S: Final = 30
# The service closes idle connections after 75 s (service/http.py). The load balancer must be the
# one that closes first, or it sends a request into a connection that is just going away: a 502.
IDLE_TIMEOUT_S: Final = 60
# Figures are for us, and the documentation is on the web: neither is served to the internet.
HIDDEN: Final = ("/metrics", "/metrics/*", "/docs", "/docs/*")
HIDDEN_PRIORITY: Final = 10
VALIDATION_PATHS: Final = ("/v1/validations", "/v1/validations/*")
VALIDATION_PRIORITY: Final = 20
NOT_FOUND: Final = (
    '{"type":"about:blank","title":"Not found","status":404,"detail":"There is nothing here."}'
)
SHIFT_ATTRIBUTE: Final = "zonal_shift.config.enabled"


class Edge(Construct):
    """A region's load balancer: `balancer`, `certificate`, `listener`, `targets`."""

    def __init__(
        self, scope: Construct, construct_id: str, network: NetworkStack, data: DataStack
    ) -> None:
        """Open the region to the internet on 443; `targets` stays empty until tasks register."""
        super().__init__(scope, construct_id)
        names = data.names
        self._network = network
        self.balancer = self._balancer(names, data)
        self.certificate = self._certificate(names)
        self.targets = self._targets()
        self.listener = self._listen()
        CfnOutput(scope, "LoadBalancerDNS", value=self.balancer.load_balancer_dns_name)

    def take_tasks(self, service: ecs.FargateService) -> None:
        """Send everything else to the service's tasks, which register here by themselves."""
        self.targets.add_target(service)
        # ECS refuses a service whose target group no listener uses yet.
        service.node.add_dependency(self.listener)

    def route_validations(self, targets: elbv2.CfnTargetGroup) -> None:
        """Send validations to the function behind `targets` instead of to the service's tasks."""
        rule = elbv2.CfnListenerRule
        paths = rule.PathPatternConfigProperty(values=list(VALIDATION_PATHS))
        # The CDK's own construct takes no group that it has not made.
        rule(
            self,
            "Validations",
            listener_arn=self.listener.listener_arn,
            priority=VALIDATION_PRIORITY,
            conditions=[
                rule.RuleConditionProperty(field="path-pattern", path_pattern_config=paths)
            ],
            actions=[rule.ActionProperty(type="forward", target_group_arn=targets.ref)],
        )

    def _balancer(self, names: Names, data: DataStack) -> elbv2.ApplicationLoadBalancer:
        balancer = elbv2.ApplicationLoadBalancer(
            self,
            "Balancer",
            load_balancer_name=names.balancer,
            vpc=self._network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            internet_facing=True,
            security_group=self._network.groups.balancer,
            deletion_protection=True,
            drop_invalid_header_fields=True,
            desync_mitigation_mode=elbv2.DesyncMitigationMode.DEFENSIVE,
            idle_timeout=Duration.seconds(IDLE_TIMEOUT_S),
            # Authentication, limits and card checks are the service's own. A firewall that cannot
            # be asked is no reason to stop payments:
            # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-waf.html
            waf_fail_open=True,
        )
        balancer.log_access_logs(data.access_logs, "alb")
        # A zone that half works can be taken out by hand, or by AWS, without any deployment:
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/zonal-shift.html
        balancer.set_attribute(SHIFT_ATTRIBUTE, "true")
        return balancer

    def _certificate(self, names: Names) -> acm.Certificate:
        """Return a certificate for the region's own name and for the one that clients call.

        ACM proves the names by a record in the zone. Where the zone's id is a setting, that record
        is written for us; where the zone is still to be created, CloudFormation waits for somebody
        to write it, which the runbook tells when to do.
        """
        return acm.Certificate(
            self,
            "Certificate",
            domain_name=names.regional_domain(),
            subject_alternative_names=[names.front_domain],
            validation=acm.CertificateValidation.from_dns(self._zone(names)),
        )

    def _zone(self, names: Names) -> route53.IHostedZone | None:
        settings = names.settings
        if settings.hosted_zone == "create":
            return None
        return route53.PublicHostedZone.from_hosted_zone_attributes(
            self, "Zone", hosted_zone_id=settings.hosted_zone, zone_name=settings.domain
        )

    def _targets(self) -> elbv2.ApplicationTargetGroup:
        return elbv2.ApplicationTargetGroup(
            self,
            "Targets",
            vpc=self._network.vpc,
            port=SERVICE_PORT,
            # Inside the VPC, between two security groups that only know each other.
            protocol=elbv2.ApplicationProtocol.HTTP,
            target_type=elbv2.TargetType.IP,
            # A batch of 1000 and a look-up differ too much to be dealt out in turns.
            load_balancing_algorithm_type=(
                elbv2.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS
            ),
            deregistration_delay=Duration.seconds(DEREGISTRATION_S),
            health_check=elbv2.HealthCheck(
                path=HEALTH_PATH,
                port=str(SERVICE_PORT),
                protocol=elbv2.Protocol.HTTP,
                interval=Duration.seconds(HEALTH_INTERVAL_S),
                timeout=Duration.seconds(HEALTH_TIMEOUT_S),
                healthy_threshold_count=HEALTHY_AFTER,
                unhealthy_threshold_count=UNHEALTHY_AFTER,
                healthy_http_codes="200",
            ),
        )

    def _listen(self) -> elbv2.ApplicationListener:
        listener = self.balancer.add_listener(
            "Https",
            port=HTTPS_PORT,
            protocol=elbv2.ApplicationProtocol.HTTPS,
            certificates=[self.certificate],
            # TLS 1.2 and 1.3 without CBC, with a key exchange that outlives today's recordings:
            # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
            ssl_policy=elbv2.SslPolicy.TLS13_12_RES_PQ,
            default_target_groups=[self.targets],
            # The network stack's security groups say who may connect; nothing is to be added.
            open=False,
        )
        elbv2.ApplicationListenerRule(
            self,
            "Hidden",
            listener=listener,
            priority=HIDDEN_PRIORITY,
            conditions=[elbv2.ListenerCondition.path_patterns(list(HIDDEN))],
            action=elbv2.ListenerAction.fixed_response(
                404, content_type="application/json", message_body=NOT_FOUND
            ),
        )
        self.balancer.add_listener(
            "Http",
            port=HTTP_PORT,
            protocol=elbv2.ApplicationProtocol.HTTP,
            default_action=elbv2.ListenerAction.redirect(
                port=str(HTTPS_PORT), protocol="HTTPS", permanent=True
            ),
            open=False,
        )
        return listener
