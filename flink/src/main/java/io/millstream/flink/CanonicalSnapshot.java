package io.millstream.flink;

import java.util.List;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.runtime.state.FullSnapshotResources;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyValueStateIterator;
import org.apache.flink.runtime.state.StreamCompressionDecorator;
import org.apache.flink.runtime.state.UncompressedStreamCompressionDecorator;
import org.apache.flink.runtime.state.metainfo.StateMetaInfoSnapshot;

/** Frozen state as Flink's writer of canonical savepoints wants it. */
final class CanonicalSnapshot<K> implements FullSnapshotResources<K> {
    private final FrozenStage frozen;
    private final KeyGroupRange range;
    private final TypeSerializer<K> keySerializer;
    private final List<StateMetaInfoSnapshot> states;

    CanonicalSnapshot(FrozenStage frozen, KeyGroupRange range, TypeSerializer<K> keySerializer) {
        this.frozen = frozen;
        this.range = range;
        this.keySerializer = keySerializer;
        this.states = List.of(CanonicalForm.describe(frozen.tables()));
    }

    @Override
    public List<StateMetaInfoSnapshot> getMetaInfoSnapshots() {
        return states;
    }

    @Override
    public KeyValueStateIterator createKVStateIterator() {
        return new CanonicalEntries(frozen, range);
    }

    @Override
    public KeyGroupRange getKeyGroupRange() {
        return range;
    }

    @Override
    public TypeSerializer<K> getKeySerializer() {
        return keySerializer;
    }

    @Override
    public StreamCompressionDecorator getStreamCompressionDecorator() {
        return UncompressedStreamCompressionDecorator.INSTANCE;
    }

    @Override
    public void release() {
        frozen.drop();
    }
}
