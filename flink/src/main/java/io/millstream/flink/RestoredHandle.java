package io.millstream.flink;

import java.io.File;
import org.apache.flink.runtime.state.KeyGroupRange;

/** The keyed state of one earlier subtask, downloaded into a folder. */
final class RestoredHandle {
    private final KeyGroupRange range;
    /** Null for state from a canonical savepoint. */
    private final byte[] manifest;
    private final File folder;

    RestoredHandle(KeyGroupRange range, byte[] manifest, File folder) {
        this.range = range;
        this.manifest = manifest;
        this.folder = folder;
    }

    void writeTo(WireWriter out) {
        out.writeInt(range.getStartKeyGroup());
        out.writeInt(range.getEndKeyGroup());
        out.writeBytes(manifest);
        out.writeString(folder.getAbsolutePath());
    }
}
