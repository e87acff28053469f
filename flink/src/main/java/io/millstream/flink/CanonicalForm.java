package io.millstream.flink;

import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.runtime.state.metainfo.StateMetaInfoSnapshot;
import org.apache.flink.runtime.state.metainfo.StateMetaInfoSnapshot.BackendStateType;
import org.apache.flink.runtime.state.metainfo.StateMetaInfoSnapshot.CommonOptionsKeys;
import org.apache.flink.runtime.state.metainfo.StateMetaInfoSnapshot.CommonSerializerKeys;

/**
 * The form of keyed state in a canonical savepoint: one state of Flink's that holds the entries of all native
 * tables. The key of an entry is the number of its table and the native key. Its first bit is 0, as Flink's
 * file format demands.
 */
final class CanonicalForm {
    static final String STATE = "millstream";
    /** The only state has the first number. */
    static final int STATE_ID = 0;

    private static final String TABLES = "tables-";
    /** Flink writes an option with {@code writeUTF}, which takes at most 65,535 bytes. */
    private static final int CHUNK = 32 * 1024;

    private CanonicalForm() {}

    /** {@code tables} is the native side's own description of its tables. */
    static StateMetaInfoSnapshot describe(byte[] tables) {
        Map<String, String> options = new HashMap<>();
        options.put(CommonOptionsKeys.KEYED_STATE_TYPE.toString(), "VALUE");
        String text = Base64.getEncoder().encodeToString(tables);
        for (int chunk = 0; chunk * CHUNK < text.length(); chunk++) {
            int end = Math.min(text.length(), (chunk + 1) * CHUNK);
            options.put(TABLES + chunk, text.substring(chunk * CHUNK, end));
        }
        Map<String, TypeSerializerSnapshot<?>> serializers = new HashMap<>();
        serializers.put(
                CommonSerializerKeys.NAMESPACE_SERIALIZER.toString(),
                VoidNamespaceSerializer.INSTANCE.snapshotConfiguration());
        serializers.put(
                CommonSerializerKeys.VALUE_SERIALIZER.toString(),
                BytePrimitiveArraySerializer.INSTANCE.snapshotConfiguration());
        return new StateMetaInfoSnapshot(STATE, BackendStateType.KEY_VALUE, options, serializers);
    }

    static byte[] tables(StateMetaInfoSnapshot described) {
        StringBuilder text = new StringBuilder();
        for (int chunk = 0; described.getOption(TABLES + chunk) != null; chunk++) {
            text.append(described.getOption(TABLES + chunk));
        }
        return Base64.getDecoder().decode(text.toString());
    }

    static byte[] key(int table, byte[] nativeKey) {
        byte[] key = new byte[Integer.BYTES + nativeKey.length];
        RoutingKey.write(key, table);
        System.arraycopy(nativeKey, 0, key, Integer.BYTES, nativeKey.length);
        return key;
    }
}
