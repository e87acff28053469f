package io.millstream.flink;

import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.runtime.state.StateBackendFactory;

/**
 * Named in the job's configuration as {@code state.backend.type}, so that Flink makes our backend everywhere.
 */
public final class MillstreamStateBackendFactory implements StateBackendFactory<MillstreamStateBackend> {
    @Override
    public MillstreamStateBackend createFromConfig(ReadableConfig config, ClassLoader classLoader) {
        return new MillstreamStateBackend();
    }
}
