package io.millstream.flink;

/**
 * The native side of a pipeline. {@code JNI_OnLoad} registers these methods; {@link NativeLibrary#load()}
 * must have returned before the first of them is called. Byte arrays are read with {@link WireReader}.
 *
 * <p>Every method may throw {@link NativeException}, but for {@link #closeStage}, {@link #closeEnumerator}
 * and {@link #dropFrozen}.
 */
final class Native {
    private Native() {}

    /** The version of the library, for the log. */
    static native String version();

    /** From now on log lines of this level and above go to {@link NativeLog}. Once per library. */
    static native void startLogs(String level);

    /** The plan for these command line arguments; see {@link PlanDescription}. */
    static native byte[] describe(String[] arguments);

    /**
     * Claims an epoch above {@code atLeast} in the job's log. Blocks on the log's storage.
     *
     * @param claimant 32 hexadecimal digits
     * @param again whether the claimant has claimed before; then it fails if somebody else has since
     */
    static native long claimEpoch(byte[] job, String claimant, boolean again, long atLeast);

    static native long openEnumerator(byte[] job, int stage, int parallelism);

    /** Tells the enumerator about an event of {@link EnumeratorCalls}. May block on the source's system. */
    static native byte[] enumerator(long handle, int event, byte[] argument);

    static native void closeEnumerator(long handle);

    /** An assignment without splits. */
    static native byte[] emptyAssignment(boolean last);

    /** Whether this assignment says that no other will follow. */
    static native boolean isLast(byte[] assignment);

    /** Opens a subtask of a stage; see {@link StageRequest}. */
    static native long openStage(byte[] job, byte[] request, Waker waker);

    /** One call of a stage, of a kind in {@link CallKind}; see {@link CallResult}. */
    static native byte[][] call(long handle, int kind, long argument, byte[] data);

    /** The state that was frozen for a checkpoint. Only after the stage said that it is prepared. */
    static native long takeFrozen(long handle, long checkpoint);

    static native byte[] frozenLists(long frozen);

    /** Writes keyed state into files below {@code folder}. Any thread. */
    static native byte[] writeFrozen(long frozen, String folder);

    /** What the numbers of tables mean, for a canonical savepoint. */
    static native byte[] frozenTables(long frozen);

    /** The keyed state of one key group, for a canonical savepoint. Any thread. */
    static native byte[] frozenEntries(long frozen, int group);

    static native void dropFrozen(long frozen);

    /** What the stage counted. Any thread, until {@link #closeStage}. */
    static native byte[] metrics(long handle);

    /** Ends the stage and joins its threads. */
    static native void closeStage(long handle);
}
