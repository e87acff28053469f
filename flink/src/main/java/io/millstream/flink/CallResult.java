package io.millstream.flink;

/** Reads the answer to a {@link Native#call}: what the stage wants next, and what it emitted. */
final class CallResult {
    /** Wants {@link CallKind#RESUME} soon and no data before. */
    static final int MORE = 1;
    /** Wants no data before a resume says otherwise. */
    static final int BLOCKED = 2;
    /** Has flushed everything and will emit nothing any more. */
    static final int ENDED = 4;
    /** Has frozen its state for the checkpoint of the last {@link CallKind#PREPARE}. */
    static final int PREPARED = 8;
    /** Has committed everything that the last checkpoint covers. */
    static final int SETTLED = 16;
    /** Its reader waits for splits. */
    static final int READY = 32;

    /** {@link #wakeAt} of a stage that waits for no time. */
    static final long NEVER = Long.MAX_VALUE;

    private static final byte ELEMENT = 0;
    private static final byte WATERMARK = 1;
    private static final byte IDLE = 2;
    private static final byte ACTIVE = 3;

    final int flags;
    /** When to resume at the latest, in milliseconds since 1970. */
    final long wakeAt;

    private final WireReader control;
    private final byte[][] parts;

    CallResult(byte[][] parts) {
        this.parts = parts;
        control = new WireReader(parts[0]);
        flags = control.readByte();
        wakeAt = control.readLong();
    }

    /** Hands everything that was emitted to {@code emitter}, in order. Once. */
    void emitTo(StageEmitter emitter) {
        int next = 1;
        for (int n = control.readInt(); n > 0; n--) {
            byte kind = control.readByte();
            switch (kind) {
                case ELEMENT:
                    emitter.element(control.readInt(), control.readInt(), parts[next++]);
                    break;
                case WATERMARK:
                    emitter.watermark(control.readLong());
                    break;
                case IDLE:
                    emitter.idle();
                    break;
                case ACTIVE:
                    emitter.active();
                    break;
                default:
                    throw new IllegalStateException("The stage emitted something of unknown kind " + kind + ".");
            }
        }
    }
}
