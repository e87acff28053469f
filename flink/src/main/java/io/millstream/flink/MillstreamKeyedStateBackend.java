package io.millstream.flink;

import java.io.File;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.RunnableFuture;
import java.util.stream.Stream;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.State;
import org.apache.flink.api.common.state.StateDescriptor;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.core.fs.CloseableRegistry;
import org.apache.flink.runtime.checkpoint.CheckpointOptions;
import org.apache.flink.runtime.state.CheckpointStreamFactory;
import org.apache.flink.runtime.state.CheckpointableKeyedStateBackend;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyGroupedInternalPriorityQueue;
import org.apache.flink.runtime.state.Keyed;
import org.apache.flink.runtime.state.KeyedStateFunction;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.PriorityComparable;
import org.apache.flink.runtime.state.SavepointResources;
import org.apache.flink.runtime.state.SnapshotExecutionType;
import org.apache.flink.runtime.state.SnapshotResult;
import org.apache.flink.runtime.state.SnapshotStrategyRunner;
import org.apache.flink.runtime.state.StateSnapshotTransformer.StateSnapshotTransformFactory;
import org.apache.flink.runtime.state.heap.HeapPriorityQueueElement;
import org.apache.flink.util.IOUtils;

/**
 * The keyed state of a stage, as Flink sees it. What Flink itself may want to keep by key goes to a backend
 * on the heap that is never part of a snapshot: the harness uses none of it.
 *
 * <p>Methods that not all supported versions of Flink have carry no {@code @Override}.
 */
final class MillstreamKeyedStateBackend<K> implements CheckpointableKeyedStateBackend<K>, CheckpointListener {
    private final CheckpointableKeyedStateBackend<K> heap;
    private final Collection<KeyedStateHandle> restored;
    private final ClassLoader classLoader;
    private final CloseableRegistry registry = new CloseableRegistry();
    private final KeyedSnapshot snapshot;
    private final SnapshotStrategyRunner<KeyedStateHandle, KeyedSnapshot.Resources> runner;

    MillstreamKeyedStateBackend(
            CheckpointableKeyedStateBackend<K> heap, Collection<KeyedStateHandle> restored, ClassLoader classLoader) {
        this.heap = heap;
        this.restored = restored;
        this.classLoader = classLoader;
        snapshot = new KeyedSnapshot(heap.getKeyGroupRange());
        runner = new SnapshotStrategyRunner<>(
                "Millstream keyed state", snapshot, registry, SnapshotExecutionType.ASYNCHRONOUS);
    }

    /** Downloads the state to restore into folders below {@code directory}. */
    List<RestoredHandle> download(File directory) throws Exception {
        CanonicalRestore<K> canonical = new CanonicalRestore<>(getKeyGroupRange(), getKeySerializer(), classLoader);
        return new StateDownload(registry, canonical).run(restored, directory);
    }

    /** The operator brings what it froze, just before Flink asks for the snapshot. */
    void offer(FrozenStage frozen, File folder) {
        snapshot.offer(frozen, folder);
    }

    /** Whether Flink did not ask, so that the frozen state still belongs to the operator. */
    boolean takeBack() {
        return snapshot.takeBack();
    }

    @Override
    public RunnableFuture<SnapshotResult<KeyedStateHandle>> snapshot(
            long checkpoint, long timestamp, CheckpointStreamFactory storage, CheckpointOptions options)
            throws Exception {
        return runner.snapshot(checkpoint, timestamp, storage, options);
    }

    /** For a savepoint in Flink's canonical format. */
    @Override
    public SavepointResources<K> savepoint() throws Exception {
        FrozenStage frozen = snapshot.takeOffered();
        if (frozen == null) {
            return heap.savepoint();
        }
        return new SavepointResources<>(
                new CanonicalSnapshot<>(frozen, getKeyGroupRange(), getKeySerializer()),
                SnapshotExecutionType.ASYNCHRONOUS);
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) {
        snapshot.uploaded().confirm(checkpoint);
    }

    @Override
    public void notifyCheckpointAborted(long checkpoint) {
        snapshot.uploaded().giveUp(checkpoint);
    }

    @Override
    public KeyGroupRange getKeyGroupRange() {
        return heap.getKeyGroupRange();
    }

    /** Ends uploads that are under way. */
    @Override
    public void dispose() {
        IOUtils.closeQuietly(registry);
        heap.dispose();
    }

    @Override
    public void close() throws IOException {
        registry.close();
        heap.close();
    }

    public String getBackendTypeIdentifier() {
        return "millstream";
    }

    @Override
    public void setCurrentKey(K key) {
        heap.setCurrentKey(key);
    }

    @Override
    public K getCurrentKey() {
        return heap.getCurrentKey();
    }

    public void setCurrentKeyAndKeyGroup(K key, int keyGroup) {
        heap.setCurrentKey(key);
    }

    @Override
    public TypeSerializer<K> getKeySerializer() {
        return heap.getKeySerializer();
    }

    @Override
    public <N, S extends State, T> void applyToAllKeys(
            N namespace,
            TypeSerializer<N> namespaceSerializer,
            StateDescriptor<S, T> descriptor,
            KeyedStateFunction<K, S> function) throws Exception {
        heap.applyToAllKeys(namespace, namespaceSerializer, descriptor, function);
    }

    @Override
    public <N> Stream<K> getKeys(String state, N namespace) {
        return heap.getKeys(state, namespace);
    }

    public <N> Stream<K> getKeys(List<String> states, N namespace) {
        return states.stream().flatMap(state -> heap.<N>getKeys(state, namespace)).distinct();
    }

    @Override
    public <N> Stream<Tuple2<K, N>> getKeysAndNamespaces(String state) {
        return heap.getKeysAndNamespaces(state);
    }

    @Override
    public <N, S extends State, T> S getOrCreateKeyedState(
            TypeSerializer<N> namespaceSerializer, StateDescriptor<S, T> descriptor) throws Exception {
        return heap.getOrCreateKeyedState(namespaceSerializer, descriptor);
    }

    @Override
    public <N, S extends State> S getPartitionedState(
            N namespace, TypeSerializer<N> namespaceSerializer, StateDescriptor<S, ?> descriptor) throws Exception {
        return heap.getPartitionedState(namespace, namespaceSerializer, descriptor);
    }

    @Override
    public void registerKeySelectionListener(KeySelectionListener<K> listener) {
        heap.registerKeySelectionListener(listener);
    }

    @Override
    public boolean deregisterKeySelectionListener(KeySelectionListener<K> listener) {
        return heap.deregisterKeySelectionListener(listener);
    }

    @Override
    public <N, SV, SEV, S extends State, IS extends S> IS createOrUpdateInternalState(
            TypeSerializer<N> namespaceSerializer,
            StateDescriptor<S, SV> descriptor,
            StateSnapshotTransformFactory<SEV> transformFactory) throws Exception {
        return heap.createOrUpdateInternalState(namespaceSerializer, descriptor, transformFactory);
    }

    @Override
    public <T extends HeapPriorityQueueElement & PriorityComparable<? super T> & Keyed<?>>
            KeyGroupedInternalPriorityQueue<T> create(String state, TypeSerializer<T> elementSerializer) {
        return heap.create(state, elementSerializer);
    }
}
