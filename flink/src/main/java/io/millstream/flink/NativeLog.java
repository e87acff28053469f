package io.millstream.flink;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.EventConstants;

/** Brings log lines of the native side into Flink's log. Called by native threads. */
final class NativeLog {
    /** The logger whose level decides what the native side sends at all. */
    private static final Logger ROOT = LoggerFactory.getLogger("millstream");

    private NativeLog() {}

    /** {@code level} is one of slf4j's {@link EventConstants}, {@code target} a Rust module. */
    static void log(int level, String target, String message) {
        Logger logger = LoggerFactory.getLogger("millstream." + target.replace("::", "."));
        switch (level) {
            case EventConstants.ERROR_INT:
                logger.error(message);
                break;
            case EventConstants.WARN_INT:
                logger.warn(message);
                break;
            case EventConstants.INFO_INT:
                logger.info(message);
                break;
            case EventConstants.DEBUG_INT:
                logger.debug(message);
                break;
            default:
                logger.trace(message);
        }
    }

    /** The name of the most detailed level that somebody reads. */
    static String level() {
        if (ROOT.isTraceEnabled()) {
            return "TRACE";
        }
        if (ROOT.isDebugEnabled()) {
            return "DEBUG";
        }
        if (ROOT.isInfoEnabled()) {
            return "INFO";
        }
        return ROOT.isWarnEnabled() ? "WARN" : "ERROR";
    }
}
