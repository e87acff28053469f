package io.millstream.flink;

import java.io.File;
import java.nio.file.Files;
import java.util.UUID;
import org.apache.flink.runtime.checkpoint.CheckpointOptions;
import org.apache.flink.runtime.checkpoint.SnapshotType.SharingFilesStrategy;
import org.apache.flink.runtime.state.CheckpointStreamFactory;
import org.apache.flink.runtime.state.CheckpointedStateScope;
import org.apache.flink.runtime.state.IncrementalRemoteKeyedStateHandle;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.SnapshotResources;
import org.apache.flink.runtime.state.SnapshotResult;
import org.apache.flink.runtime.state.SnapshotStrategy;
import org.apache.flink.util.FileUtils;

/**
 * How the keyed state of a stage becomes a handle of Flink's: frozen on the task's thread, uploaded on
 * another.
 */
final class KeyedSnapshot implements SnapshotStrategy<KeyedStateHandle, KeyedSnapshot.Resources> {
    private final UUID backend = UUID.randomUUID();
    private final KeyGroupRange range;
    private final UploadedFiles uploaded = new UploadedFiles();
    /** What the operator froze for the snapshot that is about to be made. */
    private Resources offered;

    KeyedSnapshot(KeyGroupRange range) {
        this.range = range;
    }

    UploadedFiles uploaded() {
        return uploaded;
    }

    void offer(FrozenStage frozen, File folder) {
        offered = new Resources(frozen, folder);
    }

    /** What was offered, for somebody else to write and drop; null if nothing was. */
    FrozenStage takeOffered() {
        FrozenStage frozen = offered == null ? null : offered.frozen;
        offered = null;
        return frozen;
    }

    /** Whether nobody took what was offered. */
    boolean takeBack() {
        boolean unused = offered != null;
        offered = null;
        return unused;
    }

    @Override
    public Resources syncPrepareResources(long checkpoint) {
        Resources resources = offered;
        offered = null;
        return resources == null ? new Resources(null, null) : resources;
    }

    @Override
    public SnapshotResultSupplier<KeyedStateHandle> asyncSnapshot(
            Resources resources,
            long checkpoint,
            long timestamp,
            CheckpointStreamFactory storage,
            CheckpointOptions options) {
        if (resources.frozen == null) {
            return registry -> SnapshotResult.empty();
        }
        SharingFilesStrategy sharing = options.getCheckpointType().getSharingFilesStrategy();
        UploadedFiles.Upload known = sharing == SharingFilesStrategy.NO_SHARING
                ? UploadedFiles.none()
                : uploaded.begin(checkpoint, sharing == SharingFilesStrategy.FORWARD_BACKWARD);
        CheckpointedStateScope scope = sharing == SharingFilesStrategy.NO_SHARING
                ? CheckpointedStateScope.EXCLUSIVE
                : CheckpointedStateScope.SHARED;
        return registry -> upload(resources, checkpoint, new StateUpload(storage, scope, known, registry));
    }

    private SnapshotResult<KeyedStateHandle> upload(Resources resources, long checkpoint, StateUpload upload)
            throws Exception {
        upload.run(resources.write());
        return SnapshotResult.of(new IncrementalRemoteKeyedStateHandle(
                backend, range, checkpoint, upload.shared, upload.exclusive, upload.manifest, upload.size()));
    }

    /** Lives until the snapshot is made or given up. */
    static final class Resources implements SnapshotResources {
        private final FrozenStage frozen;
        private final File folder;

        private Resources(FrozenStage frozen, File folder) {
            this.frozen = frozen;
            this.folder = folder;
        }

        private WrittenState write() throws Exception {
            return frozen.write(Files.createDirectories(folder.toPath()).toFile());
        }

        @Override
        public void release() {
            if (frozen != null) {
                frozen.drop();
                FileUtils.deleteDirectoryQuietly(folder);
            }
        }
    }
}
