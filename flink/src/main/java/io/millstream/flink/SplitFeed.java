package io.millstream.flink;

/** How the stage of a source reaches the FLIP-27 reader in front of it. */
interface SplitFeed {
    /** The stage has something to read: poll it. */
    void signal();

    /** The reader waits for splits: ask the enumerator. */
    void requestSplits();
}
