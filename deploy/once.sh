#!/bin/sh
# Runs our image once in AWS with the database administrator's login, waits, and shows its log:
#
#     sh deploy/once.sh REGION SUFFIX COMMAND...     sh deploy/once.sh us-east-1 prod migrate
#
# Its exit status is the task's. It needs the AWS command line and the stacks network and migration.
set -eu
region=$1 suffix=$2
shift 2

output() {
    aws cloudformation describe-stacks --region "$region" --stack-name "payment-$1-$suffix" \
        --output text --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"
}

words=$(printf '"%s",' "$@")
subnets=$(output network TaskSubnets)
group=$(output network TaskSecurityGroup)
cluster=$(output migration ClusterName)
family=$(output migration MigrationTask)
network="awsvpcConfiguration={subnets=[$subnets],securityGroups=[$group],assignPublicIp=DISABLED}"
task=$(aws ecs run-task --region "$region" --cluster "$cluster" --task-definition "$family" \
    --launch-type FARGATE --network-configuration "$network" --output text \
    --overrides "{\"containerOverrides\":[{\"name\":\"evertill\",\"command\":[${words%,}]}]}" \
    --query 'tasks[0].taskArn')
aws ecs wait tasks-stopped --region "$region" --cluster "$cluster" --tasks "$task"
aws logs tail "/evertill/$family" --region "$region" --since 10m \
    --log-stream-names "evertill/evertill/${task##*/}"
status=$(aws ecs describe-tasks --region "$region" --cluster "$cluster" --tasks "$task" \
    --output text --query 'tasks[0].containers[0].exitCode')
# A container that never started has none.
[ "$status" != None ] || status=1
exit "$status"
