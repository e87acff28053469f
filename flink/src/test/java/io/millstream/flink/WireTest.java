package io.millstream.flink;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class WireTest {
    @Test
    void whatIsWrittenIsRead() {
        byte[] bytes = new WireWriter()
                .writeByte(-3)
                .writeBoolean(true)
                .writeInt(Integer.MIN_VALUE)
                .writeLong(Long.MAX_VALUE)
                .writeString("Grüße, 世界")
                .writeBytes(null)
                .writeBytes(new byte[0])
                .toBytes();
        WireReader in = new WireReader(bytes);
        assertEquals(-3, in.readByte());
        assertTrue(in.readBoolean());
        assertEquals(Integer.MIN_VALUE, in.readInt());
        assertEquals(Long.MAX_VALUE, in.readLong());
        assertEquals("Grüße, 世界", in.readString());
        assertNull(in.readBytes());
        assertArrayEquals(new byte[0], in.readBytes());
        assertTrue(in.isAtEnd());
    }

    @Test
    void anEnumeratorsStateComesBack() throws Exception {
        EnumeratorState state = new EnumeratorState(
                new byte[] {1, 2}, Map.of(3, List.of(new Assignment(new byte[] {4}), new Assignment(new byte[0]))));
        EnumeratorStateSerializer serializer = new EnumeratorStateSerializer();
        EnumeratorState back = serializer.deserialize(serializer.getVersion(), serializer.serialize(state));
        assertArrayEquals(state.snapshot, back.snapshot);
        assertEquals(1, back.pending.size());
        assertEquals(2, back.pending.get(3).size());
        assertArrayEquals(new byte[] {4}, back.pending.get(3).get(0).bytes);
    }

    @Test
    void anEnumeratorThatHasNotStartedHasNoSnapshot() throws Exception {
        EnumeratorStateSerializer serializer = new EnumeratorStateSerializer();
        byte[] bytes = serializer.serialize(new EnumeratorState(null, Map.of()));
        assertNull(serializer.deserialize(serializer.getVersion(), bytes).snapshot);
    }

    @Test
    void tablesOfAnySizeFitIntoACanonicalSavepoint() {
        for (int size : new int[] {0, 1, 24 * 1024, 300_000}) {
            byte[] tables = new byte[size];
            for (int i = 0; i < size; i++) {
                tables[i] = (byte) (i * 31);
            }
            assertArrayEquals(tables, CanonicalForm.tables(CanonicalForm.describe(tables)));
        }
    }
}
