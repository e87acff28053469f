package io.millstream.flink;

/** What Flink shows when a stage fails: which stage, which subtask, and why. */
public final class StageException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public StageException(String message, Throwable cause) {
        super(message, cause);
    }
}
