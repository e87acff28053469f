package io.millstream.flink;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.streaming.api.operators.BoundedMultiInput;
import org.apache.flink.streaming.api.operators.Input;
import org.apache.flink.streaming.api.operators.MultipleInputStreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.LatencyMarker;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/** A stage that several edges lead to, each of them one of Flink's inputs. */
final class MultipleInputStageOperator extends StageOperator
        implements MultipleInputStreamOperator<byte[]>, BoundedMultiInput {

    MultipleInputStageOperator(StreamOperatorParameters<byte[]> parameters, StageSpec spec) {
        super(parameters, spec);
    }

    @Override
    @SuppressWarnings("rawtypes")
    public List<Input> getInputs() {
        List<Input> inputs = new ArrayList<>();
        for (int index = 0; index < spec.inEdges.size(); index++) {
            inputs.add(new EdgeInput(index));
        }
        return inputs;
    }

    /** Flink counts inputs from 1. */
    @Override
    public void endInput(int input) {
        driver().endInput(input - 1);
    }

    private final class EdgeInput implements Input<byte[]> {
        private final int index;

        EdgeInput(int index) {
            this.index = index;
        }

        @Override
        public void processElement(StreamRecord<byte[]> element) {
            driver().element(index, element.getValue());
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

        @Override
        public void setKeyContextElement(StreamRecord<byte[]> record) {}
    }
}
