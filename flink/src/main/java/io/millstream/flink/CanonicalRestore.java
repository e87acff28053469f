package io.millstream.flink;

import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.StateSerializerProvider;
import org.apache.flink.runtime.state.metainfo.StateMetaInfoSnapshot;
import org.apache.flink.runtime.state.restore.FullSnapshotRestoreOperation;
import org.apache.flink.runtime.state.restore.KeyGroup;
import org.apache.flink.runtime.state.restore.KeyGroupEntry;
import org.apache.flink.runtime.state.restore.SavepointRestoreResult;
import org.apache.flink.runtime.state.restore.ThrowingIterator;

/** Reads keyed state from a canonical savepoint into files that the native side reads. */
final class CanonicalRestore<K> {
    /** What the native side wrote about its tables. */
    private static final String TABLES = "tables";
    /** To its end: key group, table, key, value. */
    private static final String ENTRIES = "entries";

    private final KeyGroupRange range;
    private final TypeSerializer<K> keySerializer;
    private final ClassLoader classLoader;

    CanonicalRestore(KeyGroupRange range, TypeSerializer<K> keySerializer, ClassLoader classLoader) {
        this.range = range;
        this.keySerializer = keySerializer;
        this.classLoader = classLoader;
    }

    /** Of the handle, the key groups of this subtask. */
    RestoredHandle run(KeyedStateHandle handle, File folder) throws Exception {
        FullSnapshotRestoreOperation<K> operation = new FullSnapshotRestoreOperation<>(
                range, classLoader, List.of(handle), StateSerializerProvider.fromNewRegisteredSerializer(keySerializer));
        try (ThrowingIterator<SavepointRestoreResult> results = operation.restore();
                DataOutputStream entries = create(new File(folder, ENTRIES))) {
            while (results.hasNext()) {
                SavepointRestoreResult result = results.next();
                write(result.getStateMetaInfoSnapshots(), folder);
                write(result.getRestoredKeyGroups(), entries);
            }
        }
        return new RestoredHandle(handle.getKeyGroupRange().getIntersection(range), null, folder);
    }

    private static DataOutputStream create(File file) throws IOException {
        return new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(file.toPath())));
    }

    private static void write(List<StateMetaInfoSnapshot> states, File folder) throws IOException {
        if (states.size() != 1 || !states.get(0).getName().equals(CanonicalForm.STATE)) {
            throw new IOException("The savepoint was not written by a pipeline: its keyed states are " + states + ".");
        }
        Files.write(new File(folder, TABLES).toPath(), CanonicalForm.tables(states.get(0)));
    }

    private static void write(ThrowingIterator<KeyGroup> groups, DataOutputStream out) throws Exception {
        while (groups.hasNext()) {
            KeyGroup group = groups.next();
            ThrowingIterator<KeyGroupEntry> entries = group.getKeyGroupEntries();
            while (entries.hasNext()) {
                write(group.getKeyGroupId(), entries.next(), out);
            }
        }
    }

    private static void write(int group, KeyGroupEntry entry, DataOutputStream out) throws IOException {
        byte[] key = entry.getKey();
        out.writeInt(group);
        // The number of the table is the beginning of the key.
        out.write(key, 0, Integer.BYTES);
        out.writeInt(key.length - Integer.BYTES);
        out.write(key, Integer.BYTES, key.length - Integer.BYTES);
        out.writeInt(entry.getValue().length);
        out.write(entry.getValue());
    }
}
