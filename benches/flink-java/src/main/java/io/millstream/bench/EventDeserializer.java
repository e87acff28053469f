package io.millstream.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.Locale;
import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.metrics.Counter;
import org.apache.flink.util.Collector;

/** Reads the fields of an event with Jackson's streaming parser; drops and counts what is no event of a user. */
public class EventDeserializer implements DeserializationSchema<Event> {
    private static final Set<String> PLACEHOLDERS = Set.of(
            "", "null", "(null)", "nil", "none", "undefined", "nan", "0", "00000000-0000-0000-0000-000000000000");
    private static final long YEAR_2000 = 946_684_800_000L;
    private static final long DAY = 86_400_000L;

    private transient JsonFactory json;
    private transient Counter broken;
    private transient Counter withoutUser;

    @Override
    public void open(InitializationContext context) {
        json = new JsonFactory();
        broken = context.getMetricGroup().counter("broken");
        withoutUser = context.getMetricGroup().counter("withoutUser");
    }

    @Override
    public void deserialize(byte[] message, Collector<Event> out) {
        Event event = parse(message);
        if (event == null) {
            broken.inc();
        } else if (PLACEHOLDERS.contains(event.userId.toLowerCase(Locale.ROOT))) {
            withoutUser.inc();
        } else {
            out.collect(event);
        }
    }

    @Override
    public Event deserialize(byte[] message) {
        throw new UnsupportedOperationException("the other method is called");
    }

    @Override
    public boolean isEndOfStream(Event event) {
        return false;
    }

    @Override
    public TypeInformation<Event> getProducedType() {
        return TypeInformation.of(Event.class);
    }

    /** Null for a message that is no event, or whose time is implausible. */
    private Event parse(byte[] message) {
        try (JsonParser parser = json.createParser(message)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                return null;
            }
            Event event = new Event();
            for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
                parser.nextToken();
                read(parser, name, event);
            }
            boolean plausible = event.timestamp >= YEAR_2000 && event.timestamp <= System.currentTimeMillis() + DAY;
            return plausible ? event : null;
        } catch (IOException error) {
            return null;
        }
    }

    private static void read(JsonParser parser, String name, Event event) throws IOException {
        switch (name) {
            case "userId":
                event.userId = parser.getText();
                break;
            case "itemId":
                event.itemId = parser.getText();
                break;
            case "categoryId":
                event.categoryId = parser.getText();
                break;
            case "behavior":
                event.behavior = parser.getText();
                break;
            case "timestamp":
                event.timestamp = parser.getLongValue();
                break;
            case "page":
                event.page = parser.getText();
                break;
            case "device":
                event.device = parser.getText();
                break;
            case "region":
                event.region = parser.getText();
                break;
            default:
                parser.skipChildren();
        }
    }
}
