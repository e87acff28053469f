#!/usr/bin/env bash
# Starts the application on YARN: the jar and the job's file travel with it. HADOOP_CLASSPATH must be set, as for
# every use of Flink on YARN.
#
#   yarn-application.sh JAR JOB_FILE [ARGUMENT_OF_FLINK_RUN ...]
#   yarn-application.sh target/clickstream-flink.jar deploy/flink/job.yaml
#
# Variables of the job's file must be set in every container: -Dcontainerized.master.env.NAME=VALUE and
# -Dcontainerized.taskmanager.env.NAME=VALUE. These values can be read in Flink's configuration; a secret is safer
# in a file that the machines have, named by `password-file` in the job's file.
set -euo pipefail
jar=${1:?the jar} job=${2:?the file of the job}
shift 2
exec "${FLINK_HOME:?the folder of Flink}/bin/flink" run -t yarn-application "$@" \
  -Dyarn.application.name=clickstream \
  -Dyarn.application-attempts=10 \
  -Dyarn.ship-files="$(realpath "$job")" \
  -Dhigh-availability.type=zookeeper \
  -Dhigh-availability.zookeeper.quorum="${ZOOKEEPER:-zookeeper-1:2181,zookeeper-2:2181,zookeeper-3:2181}" \
  -Dhigh-availability.storageDir="${HA_STORAGE:-hdfs:///flink/ha}" \
  -Djob-result-store.delete-on-commit=false \
  -Djobmanager.memory.process.size=2g \
  -Djobmanager.memory.off-heap.size=512m \
  -Dtaskmanager.numberOfTaskSlots=4 \
  -Dtaskmanager.memory.process.size=8g \
  -Dtaskmanager.memory.task.off-heap.size=4g \
  -Dtaskmanager.memory.managed.size=0b \
  "$jar" --config "$(basename "$job")"
