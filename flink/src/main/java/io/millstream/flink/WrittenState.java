package io.millstream.flink;

import java.io.File;
import java.util.ArrayList;
import java.util.List;

/** The files that a frozen stage wrote, to be uploaded. */
final class WrittenState {
    /** What the native side needs to find its way in the files again. */
    final byte[] manifest;

    final List<WrittenFile> files = new ArrayList<>();

    WrittenState(byte[] bytes) {
        WireReader in = new WireReader(bytes);
        manifest = in.readBytes();
        for (int n = in.readInt(); n > 0; n--) {
            files.add(new WrittenFile(in));
        }
    }

    static final class WrittenFile {
        /** Its path in the folder that a restore gets. */
        final String name;
        /** Two shared files with the same id have the same bytes. */
        final String id;
        final File path;
        final long size;
        /** Whether later checkpoints may hold the same file. */
        final boolean shared;

        private WrittenFile(WireReader in) {
            name = in.readString();
            id = in.readString();
            path = new File(in.readString());
            size = in.readLong();
            shared = in.readBoolean();
        }
    }
}
