package io.millstream.flink;

import java.io.File;
import java.util.concurrent.atomic.AtomicBoolean;

/** The state of a stage as it was at a checkpoint. It outlives the stage and must be dropped exactly once. */
final class FrozenStage {
    private final long pointer;
    private final StageIdentity identity;
    private final AtomicBoolean dropped = new AtomicBoolean();

    FrozenStage(long pointer, StageIdentity identity) {
        this.pointer = pointer;
        this.identity = identity;
    }

    byte[] lists() {
        return identity.explain(() -> Native.frozenLists(pointer));
    }

    /** Writes the keyed state into files below {@code folder}, which exists. Any thread. */
    WrittenState write(File folder) {
        return identity.explain(() -> new WrittenState(Native.writeFrozen(pointer, folder.getAbsolutePath())));
    }

    byte[] tables() {
        return identity.explain(() -> Native.frozenTables(pointer));
    }

    /** The entries of a key group: their number, then table, key and value of each. Any thread. */
    byte[] entries(int group) {
        return identity.explain(() -> Native.frozenEntries(pointer, group));
    }

    void drop() {
        if (dropped.compareAndSet(false, true)) {
            Native.dropFrozen(pointer);
        }
    }
}
