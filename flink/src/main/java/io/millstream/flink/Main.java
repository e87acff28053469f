package io.millstream.flink;

import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Submits the pipeline in this jar to Flink. The arguments are those of the pipeline's own command line. */
public final class Main {
    private static final Logger LOG = LoggerFactory.getLogger(Main.class);

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        byte[] described = NativeLibrary.apart(() -> Native.describe(arguments));
        if (described.length == 0) {
            return; // the arguments asked for help, which has been printed
        }
        PlanDescription plan = new PlanDescription(described);
        plan.notes.forEach(LOG::info);
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
        JobSettings settings = new JobSettings(environment);
        settings.apply(plan.settings);
        settings.check();
        new GraphBuilder(environment, plan).build();
        environment.execute(plan.jobName);
    }
}
