"""The table of resource types, by what becomes of them; `registry` says what that means.

It is separate because it is data that grows by a line at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RUN: Final[Mapping[str, str]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "Holds a service's count between its bounds.",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "Target tracking follows the measured metric.",
    "AWS::CloudWatch::Alarm": "Is evaluated by CloudWatch's rules, and its state changes act.",
    "AWS::CloudWatch::CompositeAlarm": "Is evaluated whenever an alarm that it names changes.",
    "AWS::DynamoDB::GlobalTable": "A table in the AWS API of each replica's region.",
    "AWS::DynamoDB::Table": "A table in the AWS API of its region.",
    "AWS::ECS::Cluster": "The services of a region, and the metrics of Container Insights.",
    "AWS::ECS::Service": "Keeps its count of tasks up, and replaces them release by release.",
    "AWS::ECS::TaskDefinition": "The containers' commands run as processes.",
    "AWS::ElasticLoadBalancingV2::Listener": "A port that every front of its balancer listens on.",
    "AWS::ElasticLoadBalancingV2::ListenerRule": "A rule of the real load balancer.",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "A real load balancer, one front in each zone.",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "Servers behind the fronts, checked as it says.",
    "AWS::Lambda::Function": "The built asset under the official runtime interface client.",
    "AWS::Logs::LogGroup": "A log group in the AWS API of its region.",
    "AWS::Logs::MetricFilter": "Counts the lines that containers write to its log group.",
    "AWS::RDS::DBCluster": "Real PostgreSQL instances, which lose nothing within the region.",
    "AWS::RDS::DBInstance": "A real PostgreSQL instance, the writer or a reader of its cluster.",
    "AWS::RDS::GlobalCluster": "Replication between regions, with switchover and failover.",
    "AWS::Route53::HealthCheck": "Is probed from three vantage points.",
    "AWS::Route53::HostedZone": "A name server on loopback answers for it.",
    "AWS::Route53::RecordSet": "Is answered by Route 53's rules.",
    "AWS::Route53::RecordSetGroup": "Its records are answered by Route 53's rules.",
    "AWS::S3::Bucket": "A bucket in the AWS API of its region, with real replication.",
    "AWS::SNS::Subscription": "E-mail lands in a local mailbox.",
    "AWS::SNS::Topic": "A topic in the AWS API of its region.",
    "AWS::SecretsManager::Secret": "A secret in the AWS API of its region.",
}

ENFORCED: Final[Mapping[str, str]] = {
    "AWS::CertificateManager::Certificate": "The local authority signs a certificate of its names.",
    "AWS::EC2::SecurityGroup": "A connection exists only where groups allow it.",
    "AWS::EC2::SecurityGroupEgress": "A connection exists only where groups allow it.",
    "AWS::EC2::SecurityGroupIngress": "A connection exists only where groups allow it.",
    "AWS::EC2::Subnet": "Places what is in it into a zone.",
    "AWS::IAM::ManagedPolicy": "Roles may do what it grants.",
    "AWS::IAM::Policy": "Roles may do what it grants.",
    "AWS::IAM::Role": "Database logins and the AWS API follow what it grants.",
    "AWS::IAM::RolePolicy": "Roles may do what it grants.",
    "AWS::Lambda::Alias": "A name under which its function is invoked.",
    "AWS::Lambda::Permission": "Who may invoke a function.",
    "AWS::Lambda::Version": "A name under which its function is invoked.",
    "AWS::RDS::DBClusterParameterGroup": "Its parameters reach PostgreSQL where it has them.",
    "AWS::RDS::DBParameterGroup": "Its parameters reach PostgreSQL where it has them.",
    "AWS::SecretsManager::SecretTargetAttachment": "The secret learns where its database is.",
    "AWS::WAFv2::WebACL": "Each front keeps its limits on rates; its other rules filter nothing.",
    "AWS::WAFv2::WebACLAssociation": "Puts the limits of a web ACL before a load balancer.",
}

_ROUTING: Final = "One machine has no routes; what may connect is decided by security groups."
_WATCHED: Final = "People look at it; nothing acts on it."
_BACKED_UP: Final = "No backup is taken here: a run is shorter than the plan's schedule."
_FIREWALL: Final = "Nobody reads logs of a firewall here; its limits are kept without them."
_DEPLOYED: Final = "It matters while a stack is deployed, and the twin deploys none."
_SEEN_BY_NOBODY: Final = "Access between accounts is not tried: there is one account here."

NO_EFFECT: Final[Mapping[str, str]] = {
    "AWS::ApplicationInsights::Application": _WATCHED,
    "AWS::Backup::BackupPlan": _BACKED_UP,
    "AWS::Backup::BackupSelection": _BACKED_UP,
    "AWS::Backup::BackupVault": _BACKED_UP,
    "AWS::Budgets::Budget": _WATCHED,
    "AWS::CDK::Metadata": "The CDK's note about itself.",
    "AWS::CloudFormation::Stack": "Its own template's resources are read in its place.",
    "AWS::CloudFormation::WaitCondition": _DEPLOYED,
    "AWS::CloudFormation::WaitConditionHandle": _DEPLOYED,
    "AWS::CloudTrail::Trail": _WATCHED,
    "AWS::CloudWatch::AnomalyDetector": _WATCHED,
    "AWS::CloudWatch::Dashboard": _WATCHED,
    "AWS::Config::ConfigRule": _WATCHED,
    "AWS::EC2::EIP": _ROUTING,
    "AWS::EC2::FlowLog": _WATCHED,
    "AWS::EC2::InternetGateway": _ROUTING,
    "AWS::EC2::NatGateway": _ROUTING,
    "AWS::EC2::NetworkAcl": _ROUTING,
    "AWS::EC2::NetworkAclEntry": _ROUTING,
    "AWS::EC2::Route": _ROUTING,
    "AWS::EC2::RouteTable": _ROUTING,
    "AWS::EC2::SubnetNetworkAclAssociation": _ROUTING,
    "AWS::EC2::SubnetRouteTableAssociation": _ROUTING,
    "AWS::EC2::VPC": "Its networks are told apart by their zones' addresses.",
    "AWS::EC2::VPCEndpoint": "The AWS API of the region is at hand without one.",
    "AWS::EC2::VPCGatewayAttachment": _ROUTING,
    "AWS::ECR::Repository": "No image is pulled: programs run from this environment.",
    "AWS::ECS::ClusterCapacityProviderAssociations": "Every task is a process of this machine.",
    "AWS::GuardDuty::Detector": _WATCHED,
    "AWS::IAM::InstanceProfile": _SEEN_BY_NOBODY,
    "AWS::IAM::ServiceLinkedRole": _SEEN_BY_NOBODY,
    "AWS::KMS::Alias": "A name of a key.",
    "AWS::KMS::Key": "Nothing is encrypted at rest on this machine by it.",
    "AWS::KMS::ReplicaKey": "Nothing is encrypted at rest on this machine by it.",
    "AWS::Lambda::EventInvokeConfig": "Functions are invoked and waited for here.",
    "AWS::Lambda::LayerVersion": "Its function is run with what its own asset holds.",
    "AWS::Logs::LogStream": "Streams are made when they are written to.",
    "AWS::Logs::ResourcePolicy": _SEEN_BY_NOBODY,
    "AWS::RDS::DBSubnetGroup": "Says which zones a cluster may use; its instances say the rest.",
    "AWS::ResourceGroups::Group": _WATCHED,
    "AWS::S3::BucketPolicy": _SEEN_BY_NOBODY,
    "AWS::SNS::TopicPolicy": _SEEN_BY_NOBODY,
    "AWS::SSM::Document": _WATCHED,
    "AWS::SSM::Parameter": "Values that refer to it are resolved when the templates are read.",
    "AWS::SecretsManager::ResourcePolicy": _SEEN_BY_NOBODY,
    "AWS::SecretsManager::RotationSchedule": "A run is shorter than the days between rotations.",
    "AWS::SecurityHub::Hub": _WATCHED,
    "AWS::WAFv2::LoggingConfiguration": _FIREWALL,
    "AWS::XRay::Group": _WATCHED,
    # The CDK's own providers, by the names that its constructs give them.
    "Custom::CrossRegionExportReader": "Exports are resolved when the templates are read.",
    "Custom::CrossRegionExportWriter": "Exports are resolved when the templates are read.",
    "Custom::LogRetention": "A run is shorter than any retention.",
    "Custom::S3AutoDeleteObjects": _DEPLOYED,
    "Custom::S3BucketNotifications": _WATCHED,
    "Custom::VpcRestrictDefaultSG": "The network's default group has no rules, and that is kept.",
}

_SERVERS: Final = "Machines are not run here, only containers' commands."

UNSUPPORTED: Final[Mapping[str, str]] = {
    "AWS::ApiGateway::RestApi": "Nothing here answers for an API Gateway.",
    "AWS::ApiGatewayV2::Api": "Nothing here answers for an API Gateway.",
    "AWS::AutoScaling::AutoScalingGroup": _SERVERS,
    "AWS::CloudFront::Distribution": "Nothing here stands in front of the load balancers.",
    "AWS::EC2::Instance": _SERVERS,
    "AWS::EC2::LaunchTemplate": _SERVERS,
    "AWS::EC2::TransitGateway": "Networks of two regions reach each other by links only.",
    "AWS::EC2::VPCPeeringConnection": "Networks of two regions reach each other by links only.",
    "AWS::EKS::Cluster": "There is no Kubernetes here.",
    "AWS::ElastiCache::ReplicationGroup": "There is no cache server here.",
    "AWS::Events::Rule": "No schedule and no event bus runs here.",
    "AWS::GlobalAccelerator::Accelerator": "Clients find a region by DNS only.",
    "AWS::Lambda::EventSourceMapping": "Functions are invoked by name or by a load balancer only.",
    "AWS::Lambda::Url": "Functions are invoked by name or by a load balancer only.",
    "AWS::RDS::DBProxy": "There is no connection proxy here.",
    "AWS::Route53RecoveryControl::Cluster": "There are no routing controls here.",
    "AWS::Route53RecoveryControl::ControlPanel": "There are no routing controls here.",
    "AWS::Route53RecoveryControl::RoutingControl": "There are no routing controls here.",
    "AWS::SQS::Queue": "No queue is kept here.",
    "AWS::SQS::QueuePolicy": "No queue is kept here.",
    "AWS::StepFunctions::StateMachine": "No state machine runs here.",
}
