package io.millstream.flink;

import java.util.Map;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** Flink's configuration of the job: what the pipeline asks for, and what it cannot run with. */
final class JobSettings {
    private static final ConfigOption<Boolean> CHANGELOG = flag("state.changelog.enabled", false);
    private static final ConfigOption<Boolean> CHECKPOINTS_AFTER_FINISH =
            flag("execution.checkpointing.checkpoints-after-tasks-finish", true)
                    .withDeprecatedKeys("execution.checkpointing.checkpoints-after-tasks-finish.enabled");

    private final StreamExecutionEnvironment environment;

    JobSettings(StreamExecutionEnvironment environment) {
        this.environment = environment;
    }

    private static ConfigOption<Boolean> flag(String key, boolean byDefault) {
        return ConfigOptions.key(key).booleanType().defaultValue(byDefault);
    }

    /**
     * What the pipeline's file says overrides the settings of the cluster, as what a program says does in
     * Flink.
     */
    void apply(Map<String, String> wanted) {
        Configuration settings = Configuration.fromMap(wanted);
        // The older of the two names is read by Flink 1.20.
        settings.setString("state.backend.type", MillstreamStateBackendFactory.class.getName());
        settings.setString("state.backend", MillstreamStateBackendFactory.class.getName());
        environment.configure(settings, JobSettings.class.getClassLoader());
        // Flink would copy every element between the reader of a source and its stage.
        environment.getConfig().enableObjectReuse();
    }

    /** Refuses what would give wrong results or none. */
    void check() {
        refuse(environment.getConfiguration().get(ExecutionOptions.RUNTIME_MODE) == RuntimeExecutionMode.BATCH,
                "execution.runtime-mode is BATCH, but a pipeline is a stream even where its input ends:"
                        + " set it to STREAMING.");
        refuse(environment.getCheckpointConfig().isUnalignedCheckpointsEnabled(),
                "execution.checkpointing.unaligned.enabled is true, but elements hold records of several key groups and"
                        + " cannot be split when the job is rescaled: set it to false.");
        refuse(environment.getConfiguration().get(CHANGELOG),
                "state.changelog.enabled is true, but the changelog does not see the pipeline's state, which would be"
                        + " lost: set it to false.");
        refuse(!environment.getConfiguration().get(CHECKPOINTS_AFTER_FINISH),
                "execution.checkpointing.checkpoints-after-tasks-finish is false, but sinks commit their last output"
                        + " with the checkpoint after the end: set it to true.");
        refuse(!environment.isChainingEnabled(),
                "pipeline.operator-chaining.enabled is false, but the stage of a source must be chained to its reader:"
                        + " set it to true.");
    }

    private static void refuse(boolean condition, String message) {
        if (condition) {
            throw new IllegalArgumentException(message);
        }
    }
}
