package io.millstream.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import org.apache.flink.runtime.state.StreamStateHandle;
import org.apache.flink.runtime.state.memory.ByteStreamStateHandle;
import org.junit.jupiter.api.Test;

class UploadedFilesTest {
    private final UploadedFiles files = new UploadedFiles();
    private int handles;

    private StreamStateHandle handle() {
        return new ByteStreamStateHandle("handle-" + handles++, new byte[1]);
    }

    /** A checkpoint that holds these files, and uploads those that it may not refer to. */
    private UploadedFiles.Upload checkpoint(long id, String... names) {
        UploadedFiles.Upload upload = files.begin(id, true);
        for (String name : names) {
            StreamStateHandle stored = upload.reusable(name);
            upload.add(name, stored == null ? handle() : stored);
        }
        upload.complete();
        return upload;
    }

    @Test
    void onlyConfirmedCheckpointsAreReferredTo() {
        checkpoint(1, "a");
        assertNull(files.begin(2, true).reusable("a"));
        files.giveUp(2);
        files.confirm(1);
        assertEquals("handle-0", files.begin(3, true).reusable("a").getStreamStateHandleID().getKeyString());
    }

    @Test
    void aFileThatALaterCheckpointUploadedAgainIsNotReferredTo() {
        checkpoint(1, "a", "b");
        // It begins before the first one is known to be complete, and so sends everything once more.
        checkpoint(2, "a");
        files.confirm(1);
        UploadedFiles.Upload third = files.begin(3, true);
        assertNull(third.reusable("a"));
        assertNull(third.reusable("b"));
    }

    @Test
    void aCheckpointThatWasGivenUpIsForgotten() {
        checkpoint(1, "a");
        checkpoint(2, "a");
        files.confirm(1);
        files.giveUp(2);
        assertEquals("handle-0", files.begin(3, true).reusable("a").getStreamStateHandleID().getKeyString());
    }

    @Test
    void aFileStaysKnownOverManyCheckpoints() {
        checkpoint(1, "a");
        files.confirm(1);
        for (long id = 2; id < 10; id++) {
            assertEquals("handle-0", checkpoint(id, "a").reusable("a").getStreamStateHandleID().getKeyString());
            files.confirm(id);
        }
    }

    @Test
    void aFullCheckpointRefersToNothingAndIsReferredTo() {
        checkpoint(1, "a");
        files.confirm(1);
        UploadedFiles.Upload full = files.begin(2, false);
        assertNull(full.reusable("a"));
        full.add("a", handle());
        full.complete();
        files.confirm(2);
        assertEquals("handle-1", files.begin(3, true).reusable("a").getStreamStateHandleID().getKeyString());
    }
}
