package io.millstream.flink;

import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyValueStateIterator;

/** Walks over the entries of a frozen stage, key group by key group. */
final class CanonicalEntries implements KeyValueStateIterator {
    private final FrozenStage frozen;
    private final KeyGroupRange range;
    private int group;
    private WireReader entries;
    /** How many entries of the group come behind the current one. */
    private int left;
    private byte[] key;
    private byte[] value;
    private boolean newGroup;

    CanonicalEntries(FrozenStage frozen, KeyGroupRange range) {
        this.frozen = frozen;
        this.range = range;
        group = range.getStartKeyGroup() - 1;
        next();
    }

    @Override
    public void next() {
        newGroup = false;
        while (left == 0 && group < range.getEndKeyGroup()) {
            group++;
            entries = new WireReader(frozen.entries(group));
            left = entries.readInt();
            newGroup = true;
        }
        if (left == 0) {
            key = null;
            return;
        }
        left--;
        key = CanonicalForm.key(entries.readInt(), entries.readBytes());
        value = entries.readBytes();
    }

    @Override
    public int keyGroup() {
        return group;
    }

    @Override
    public byte[] key() {
        return key;
    }

    @Override
    public byte[] value() {
        return value;
    }

    @Override
    public int kvStateId() {
        return CanonicalForm.STATE_ID;
    }

    /** There is one state only. */
    @Override
    public boolean isNewKeyValueState() {
        return false;
    }

    @Override
    public boolean isNewKeyGroup() {
        return newGroup;
    }

    @Override
    public boolean isValid() {
        return key != null;
    }

    @Override
    public void close() {}
}
