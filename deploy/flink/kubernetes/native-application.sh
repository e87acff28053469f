#!/usr/bin/env bash
# Starts the application without the operator: Flink's command line creates the JobManagers, which create the
# TaskManagers. Before it: rbac.yaml, the ConfigMap and the Secret, as application.yaml says.
#
#   native-application.sh CLUSTER_ID IMAGE [ARGUMENT_OF_FLINK_RUN ...]
#   native-application.sh clickstream clickstream-flink:0.1.0
#   native-application.sh clickstream clickstream-flink:0.2.0 -s s3://clickstream/savepoints/savepoint-1f2e3d-0123456789ab
#
# It ends with: flink cancel -t kubernetes-application -Dkubernetes.cluster-id=CLUSTER_ID JOB_ID
# Like all commands for the running job, that one must reach the service CLUSTER_ID-rest: type it in a pod, or start
# the application with -Dkubernetes.rest-service.exposed.type=NodePort.
set -euo pipefail
cluster=${1:?the cluster id} image=${2:?the image}
shift 2
here=$(cd "$(dirname "$0")" && pwd)
exec "${FLINK_HOME:?the folder of Flink}/bin/flink" run -t kubernetes-application "$@" \
  -Dkubernetes.cluster-id="$cluster" \
  -Dkubernetes.container.image.ref="$image" \
  -Dkubernetes.service-account=flink \
  -Dkubernetes.pod-template-file.default="$here/pod-template.yaml" \
  -Dkubernetes.jobmanager.replicas=3 \
  -Dkubernetes.jobmanager.cpu.amount=1 \
  -Dkubernetes.taskmanager.cpu.amount=4 \
  -Dhigh-availability.type=kubernetes \
  -Dhigh-availability.storageDir=s3://clickstream/ha \
  -Djob-result-store.delete-on-commit=false \
  -Djobmanager.memory.process.size=2g \
  -Djobmanager.memory.off-heap.size=512m \
  -Dtaskmanager.numberOfTaskSlots=4 \
  -Dtaskmanager.memory.process.size=8g \
  -Dtaskmanager.memory.task.off-heap.size=4g \
  -Dtaskmanager.memory.managed.size=0b \
  -Dmetrics.reporters=prom \
  -Dmetrics.reporter.prom.factory.class=org.apache.flink.metrics.prometheus.PrometheusReporterFactory \
  -Dmetrics.reporter.prom.port=9249 \
  local:///opt/flink/usrlib/pipeline.jar --config /opt/millstream/job.yaml
