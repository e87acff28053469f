package io.millstream.flink;

import org.apache.flink.api.java.functions.KeySelector;

/** The first four bytes of an element: where it goes. Written just before the element is sent. */
final class RoutingKey implements KeySelector<byte[], Integer> {
    private static final long serialVersionUID = 1L;

    @Override
    public Integer getKey(byte[] element) {
        return read(element);
    }

    static int read(byte[] element) {
        return (element[0] & 0xff) << 24
                | (element[1] & 0xff) << 16
                | (element[2] & 0xff) << 8
                | (element[3] & 0xff);
    }

    static void write(byte[] element, int key) {
        element[0] = (byte) (key >>> 24);
        element[1] = (byte) (key >>> 16);
        element[2] = (byte) (key >>> 8);
        element[3] = (byte) key;
    }
}
