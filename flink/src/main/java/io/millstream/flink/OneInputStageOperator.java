package io.millstream.flink;

import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.LatencyMarker;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/** A stage with one input, or the stage of a source behind its FLIP-27 reader. */
final class OneInputStageOperator extends StageOperator implements OneInputStreamOperator<byte[], byte[]>, BoundedOneInput {
    OneInputStageOperator(StreamOperatorParameters<byte[]> parameters, StageSpec spec) {
        super(parameters, spec);
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) {
        driver().element(0, element.getValue());
    }

    /** Event time travels in the elements. */
    @Override
    public void processWatermark(Watermark watermark) {}

    @Override
    public void processWatermarkStatus(WatermarkStatus status) {}

    @Override
    public void processLatencyMarker(LatencyMarker marker) {
        forward(marker);
    }

    /** The reader in front of a source's stage is no input of the stage. */
    @Override
    public void endInput() {
        if (!spec.source) {
            driver().endInput(0);
        }
    }
}
