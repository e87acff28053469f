package io.millstream.flink;

import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.OperatorCoordinator;
import org.apache.flink.streaming.api.operators.AbstractStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.ChainingStrategy;
import org.apache.flink.streaming.api.operators.CoordinatedOperatorFactory;
import org.apache.flink.streaming.api.operators.OneInputStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;

/** Makes the operator of a stage in its task, and its coordinator in the JobManager. */
abstract class StageOperatorFactory extends AbstractStreamOperatorFactory<byte[]>
        implements CoordinatedOperatorFactory<byte[]> {
    private static final long serialVersionUID = 1L;

    protected final StageSpec spec;

    private StageOperatorFactory(StageSpec spec) {
        this.spec = spec;
        // The stage of a source must share its reader's thread. All others have a task of their own.
        chainingStrategy = spec.source ? ChainingStrategy.ALWAYS : ChainingStrategy.HEAD;
    }

    static OneInput oneInput(StageSpec spec) {
        return new OneInput(spec);
    }

    static StageOperatorFactory multipleInput(StageSpec spec) {
        return new MultipleInput(spec);
    }

    protected abstract StageOperator create(StreamOperatorParameters<byte[]> parameters);

    @Override
    @SuppressWarnings("unchecked")
    public <T extends StreamOperator<byte[]>> T createStreamOperator(StreamOperatorParameters<byte[]> parameters) {
        StageOperator operator = create(parameters);
        OperatorID id = parameters.getStreamConfig().getOperatorID();
        parameters.getOperatorEventDispatcher().registerEventHandler(id, operator);
        return (T) operator;
    }

    @Override
    public OperatorCoordinator.Provider getCoordinatorProvider(String operatorName, OperatorID operatorID) {
        return new StageCoordinator.Provider(spec.job, spec.source, operatorID);
    }

    static final class OneInput extends StageOperatorFactory implements OneInputStreamOperatorFactory<byte[], byte[]> {
        private static final long serialVersionUID = 1L;

        private OneInput(StageSpec spec) {
            super(spec);
        }

        @Override
        protected StageOperator create(StreamOperatorParameters<byte[]> parameters) {
            return new OneInputStageOperator(parameters, spec);
        }

        @Override
        @SuppressWarnings("rawtypes")
        public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
            return OneInputStageOperator.class;
        }
    }

    private static final class MultipleInput extends StageOperatorFactory {
        private static final long serialVersionUID = 1L;

        private MultipleInput(StageSpec spec) {
            super(spec);
        }

        @Override
        protected StageOperator create(StreamOperatorParameters<byte[]> parameters) {
            return new MultipleInputStageOperator(parameters, spec);
        }

        @Override
        @SuppressWarnings("rawtypes")
        public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
            return MultipleInputStageOperator.class;
        }
    }
}
