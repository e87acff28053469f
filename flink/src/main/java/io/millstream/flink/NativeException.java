package io.millstream.flink;

import java.util.List;

/**
 * An error of the native side, thrown by native code. The message begins with the error's kind in brackets
 * and holds the whole chain of causes.
 */
public final class NativeException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** The same would happen again after a restart. */
    private static final List<String> FINAL_KINDS = List.of("[configuration]", "[fenced]", "[data]");

    public NativeException(String message) {
        super(message);
    }

    boolean suppressesRestarts() {
        return FINAL_KINDS.stream().anyMatch(getMessage()::startsWith);
    }
}
