package io.millstream.flink;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/**
 * The calls of one native enumerator. They may block, so they belong on the source coordinator's worker
 * thread.
 */
final class EnumeratorCalls implements AutoCloseable {
    private static final int START = 0;
    private static final int READER_READY = 1;
    private static final int TICK = 2;

    private final String stage;
    private final long handle;

    EnumeratorCalls(StageSpec spec, int parallelism) {
        stage = spec.name;
        handle = explain(() -> NativeLibrary.apart(() -> Native.openEnumerator(spec.job, spec.stage, parallelism)));
    }

    /** {@code snapshot} is null on a fresh start. */
    Answer start(byte[] snapshot) {
        return call(START, snapshot);
    }

    Answer readerReady(int subtask) {
        return call(READER_READY, new WireWriter().writeInt(subtask).toBytes());
    }

    Answer tick() {
        return call(TICK, null);
    }

    private Answer call(int event, byte[] argument) {
        return explain(() -> new Answer(Native.enumerator(handle, event, argument)));
    }

    private <T> T explain(Supplier<T> nativeCall) {
        try {
            return nativeCall.get();
        } catch (NativeException e) {
            throw StageException.of("Enumerator of stage " + stage, e);
        }
    }

    @Override
    public void close() {
        NativeLibrary.apart(() -> {
            Native.closeEnumerator(handle);
            return null;
        });
    }

    /** What follows from an event. */
    static final class Answer {
        /** How often to call {@link #tick}; 0 for never. */
        final long tickEveryMillis;
        /** The enumerator's state from now on. */
        final byte[] snapshot;

        final List<Integer> subtasks = new ArrayList<>();
        /** One for each of {@link #subtasks}. */
        final List<Assignment> assignments = new ArrayList<>();

        private Answer(byte[] bytes) {
            WireReader in = new WireReader(bytes);
            tickEveryMillis = in.readLong();
            snapshot = in.readBytes();
            for (int n = in.readInt(); n > 0; n--) {
                subtasks.add(in.readInt());
                assignments.add(new Assignment(in.readBytes()));
            }
        }
    }
}
