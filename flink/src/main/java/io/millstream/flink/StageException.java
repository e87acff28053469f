package io.millstream.flink;

import org.apache.flink.runtime.execution.SuppressRestartsException;

/** What Flink shows when native code fails: where it happened, and why. */
public final class StageException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private StageException(String message, Throwable cause) {
        super(message, cause);
    }

    /**
     * The exception to throw for an error at {@code place}. Errors that a restart cannot heal say so to
     * Flink.
     */
    static RuntimeException of(Object place, NativeException error) {
        StageException exception = new StageException(place + ": " + error.getMessage(), error);
        return error.suppressesRestarts() ? new SuppressRestartsException(exception) : exception;
    }
}
