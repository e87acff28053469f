package io.millstream.flink;

import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * The FLIP-27 part of a source. It finds splits and brings them to the task; reading them is the work of the
 * stage that is chained behind it, which also keeps their positions in its state.
 */
final class NativeSource implements Source<byte[], Assignment, EnumeratorState> {
    private static final long serialVersionUID = 1L;

    private final StageSpec spec;

    NativeSource(StageSpec spec) {
        this.spec = spec;
    }

    /**
     * Flink only asks to choose between streaming and batch, and a pipeline is a stream even where it ends.
     */
    @Override
    public Boundedness getBoundedness() {
        return Boundedness.CONTINUOUS_UNBOUNDED;
    }

    @Override
    public SourceReader<byte[], Assignment> createReader(SourceReaderContext context) {
        return new AssignmentReader(context);
    }

    @Override
    public SplitEnumerator<Assignment, EnumeratorState> createEnumerator(SplitEnumeratorContext<Assignment> context) {
        return new NativeEnumerator(spec, context, null);
    }

    @Override
    public SplitEnumerator<Assignment, EnumeratorState> restoreEnumerator(
            SplitEnumeratorContext<Assignment> context, EnumeratorState state) {
        return new NativeEnumerator(spec, context, state);
    }

    @Override
    public SimpleVersionedSerializer<Assignment> getSplitSerializer() {
        return new AssignmentSerializer();
    }

    @Override
    public SimpleVersionedSerializer<EnumeratorState> getEnumeratorCheckpointSerializer() {
        return new EnumeratorStateSerializer();
    }
}
