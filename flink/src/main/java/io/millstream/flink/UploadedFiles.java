package io.millstream.flink;

import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.runtime.state.StreamStateHandle;

/**
 * Which shared files are already on the checkpoint storage, so that the next checkpoint only refers to them.
 *
 * <p>A file may be referred to when the last confirmed checkpoint holds it: Flink keeps that one until a
 * later one is complete. Confirmations come late, though. A later checkpoint may be complete without this
 * task having heard of it, and Flink may have deleted what only the confirmed one held. So a file counts only
 * if every later checkpoint that was not given up holds the very same handle, or may still come to hold it.
 */
final class UploadedFiles {
    private final NavigableMap<Long, Upload> uploads = new TreeMap<>();
    private Long confirmed;

    /** Starts the record of a checkpoint. Later ones will build on it once it is confirmed. */
    synchronized Upload begin(long checkpoint, boolean mayReuse) {
        Upload upload = new Upload(mayReuse ? reusable() : Map.of());
        uploads.put(checkpoint, upload);
        return upload;
    }

    /** For a snapshot that shares no files with others. */
    static Upload none() {
        return new Upload(Map.of());
    }

    /** A confirmed checkpoint takes the place of all before it. */
    synchronized void confirm(long checkpoint) {
        if (uploads.containsKey(checkpoint)) {
            confirmed = checkpoint;
            uploads.headMap(checkpoint, false).clear();
        }
    }

    synchronized void giveUp(long checkpoint) {
        if (confirmed == null || confirmed != checkpoint) {
            uploads.remove(checkpoint);
        }
    }

    private Map<String, StreamStateHandle> reusable() {
        if (confirmed == null) {
            return Map.of();
        }
        Map<String, StreamStateHandle> base = new ConcurrentHashMap<>(uploads.get(confirmed).handles());
        for (Upload later : uploads.tailMap(confirmed, false).values()) {
            Map<String, StreamStateHandle> handles = later.handles();
            base.entrySet().removeIf(file -> !isSame(file.getValue(), handles.get(file.getKey())));
        }
        return base;
    }

    private static boolean isSame(StreamStateHandle one, StreamStateHandle other) {
        return other != null && one.getStreamStateHandleID().equals(other.getStreamStateHandleID());
    }

    /** The shared files of one checkpoint, by their ids. */
    static final class Upload {
        private final Map<String, StreamStateHandle> base;
        private final Map<String, StreamStateHandle> files = new ConcurrentHashMap<>();
        private volatile boolean complete;

        private Upload(Map<String, StreamStateHandle> base) {
            this.base = base;
        }

        /** The handle of a file that needs no upload, or null. */
        StreamStateHandle reusable(String id) {
            return base.get(id);
        }

        void add(String id, StreamStateHandle handle) {
            files.put(id, handle);
        }

        void complete() {
            complete = true;
        }

        /** What it holds; while it is under way, what it may come to hold. */
        private Map<String, StreamStateHandle> handles() {
            return complete ? files : base;
        }
    }
}
