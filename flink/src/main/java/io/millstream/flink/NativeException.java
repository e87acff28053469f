package io.millstream.flink;

/** An error of the native side; its message is the whole chain of causes. Thrown from native code. */
public final class NativeException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public NativeException(String message) {
        super(message);
    }
}
