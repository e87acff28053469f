package io.millstream.flink;

import java.util.Collections;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.state.CheckpointableKeyedStateBackend;
import org.apache.flink.runtime.state.KeyedStateBackendParametersImpl;
import org.apache.flink.runtime.state.OperatorStateBackend;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.hashmap.HashMapStateBackend;

/**
 * The state backend of a pipeline: keyed state is the native side's, in files of its own format. Flink moves,
 * keeps and deletes these files. Operator state, which is small, is Flink's.
 */
public final class MillstreamStateBackend implements StateBackend {
    private static final long serialVersionUID = 1L;

    private final HashMapStateBackend heap = new HashMapStateBackend();

    @Override
    public <K> CheckpointableKeyedStateBackend<K> createKeyedStateBackend(KeyedStateBackendParameters<K> parameters)
            throws Exception {
        KeyedStateBackendParametersImpl<K> empty =
                new KeyedStateBackendParametersImpl<>(parameters).setStateHandles(Collections.emptyList());
        return new MillstreamKeyedStateBackend<>(
                heap.createKeyedStateBackend(empty),
                parameters.getStateHandles(),
                parameters.getEnv().getUserCodeClassLoader().asClassLoader());
    }

    @Override
    public OperatorStateBackend createOperatorStateBackend(OperatorStateBackendParameters parameters) throws Exception {
        return heap.createOperatorStateBackend(parameters);
    }

    /** The first checkpoint after such a restore uploads all files, so nothing refers to the old ones. */
    @Override
    public boolean supportsNoClaimRestoreMode() {
        return true;
    }

    @Override
    public boolean supportsSavepointFormat(SavepointFormatType format) {
        return true;
    }
}
