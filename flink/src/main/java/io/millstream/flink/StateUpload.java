package io.millstream.flink;

import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.flink.core.fs.CloseableRegistry;
import org.apache.flink.runtime.state.CheckpointStateOutputStream;
import org.apache.flink.runtime.state.CheckpointStreamFactory;
import org.apache.flink.runtime.state.CheckpointedStateScope;
import org.apache.flink.runtime.state.IncrementalKeyedStateHandle.HandleAndLocalPath;
import org.apache.flink.runtime.state.PlaceholderStreamStateHandle;
import org.apache.flink.runtime.state.StreamStateHandle;
import org.apache.flink.runtime.state.memory.ByteStreamStateHandle;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Brings the files of one checkpoint of one subtask to the checkpoint storage. */
final class StateUpload {
    private static final Logger LOG = LoggerFactory.getLogger(StateUpload.class);

    private final CheckpointStreamFactory storage;
    /** Where shared files go; a savepoint shares none with others. */
    private final CheckpointedStateScope sharedScope;
    private final UploadedFiles.Upload known;
    private final CloseableRegistry registry;

    private final Collection<StreamStateHandle> created = new ConcurrentLinkedQueue<>();
    private final Collection<StreamStateHandle> reused = new ConcurrentLinkedQueue<>();

    final List<HandleAndLocalPath> shared = new ArrayList<>();
    final List<HandleAndLocalPath> exclusive = new ArrayList<>();
    StreamStateHandle manifest;

    StateUpload(
            CheckpointStreamFactory storage,
            CheckpointedStateScope sharedScope,
            UploadedFiles.Upload known,
            CloseableRegistry registry) {
        this.storage = storage;
        this.sharedScope = sharedScope;
        this.known = known;
        this.registry = registry;
    }

    void run(WrittenState state) throws Exception {
        try {
            upload(state);
        } catch (Exception e) {
            discard();
            throw e;
        }
    }

    private void upload(WrittenState state) throws Exception {
        List<Callable<StreamStateHandle>> tasks = new ArrayList<>();
        state.files.forEach(file -> tasks.add(() -> handleOf(file)));
        List<StreamStateHandle> handles = Transfers.inParallel(tasks);
        for (int i = 0; i < handles.size(); i++) {
            WrittenState.WrittenFile file = state.files.get(i);
            (file.shared ? shared : exclusive).add(HandleAndLocalPath.of(handles.get(i), file.name));
        }
        manifest = store(new ByteArrayInputStream(state.manifest), CheckpointedStateScope.EXCLUSIVE);
        storage.reusePreviousStateHandle(reused);
        known.complete();
    }

    /** How many bytes were sent. */
    long size() {
        return created.stream().mapToLong(StreamStateHandle::getStateSize).sum();
    }

    private StreamStateHandle handleOf(WrittenState.WrittenFile file) throws Exception {
        StreamStateHandle stored = file.shared ? known.reusable(file.id) : null;
        if (stored != null && storage.couldReuseStateHandle(stored)) {
            known.add(file.id, stored);
            reused.add(stored);
            return new PlaceholderStreamStateHandle(stored.getStreamStateHandleID(), stored.getStateSize(), false);
        }
        StreamStateHandle handle = store(file);
        if (file.shared) {
            known.add(file.id, handle);
        }
        return handle;
    }

    private StreamStateHandle store(WrittenState.WrittenFile file) throws Exception {
        try (InputStream in = new FileInputStream(file.path)) {
            return store(in, file.shared ? sharedScope : CheckpointedStateScope.EXCLUSIVE);
        }
    }

    private StreamStateHandle store(InputStream from, CheckpointedStateScope scope) throws Exception {
        CheckpointStateOutputStream out = storage.createCheckpointStateOutputStream(scope);
        registry.registerCloseable(out);
        try {
            Transfers.copy(from, out);
            StreamStateHandle handle = out.closeAndGetHandle();
            // Flink stores nothing for an empty file.
            StreamStateHandle stored = handle == null ? empty() : handle;
            created.add(stored);
            return stored;
        } finally {
            registry.unregisterCloseable(out);
            out.close();
        }
    }

    private static StreamStateHandle empty() {
        return new ByteStreamStateHandle("empty-" + UUID.randomUUID(), new byte[0]);
    }

    /** Files of a checkpoint that failed belong to nobody. */
    private void discard() {
        for (StreamStateHandle handle : created) {
            try {
                handle.discardState();
            } catch (Exception e) {
                LOG.warn("A file of a failed checkpoint could not be deleted: {}.", handle, e);
            }
        }
    }
}
