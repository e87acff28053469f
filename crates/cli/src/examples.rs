//! What stands below the help of the commands that every program has: examples with the program's own name.

use clap::Command;

// PROGRAM is replaced by the program's name.
const EXAMPLES: [(&str, &str); 8] = [
    ("run", RUN),
    ("plan", PLAN),
    ("list", LIST),
    ("checkpoints", CHECKPOINTS),
    ("savepoint", SAVEPOINT),
    ("stop", STOP),
    ("cancel", CANCEL),
    ("restore", RESTORE),
];

const RUN: &str = "\
Examples:
  PROGRAM run --config job.yaml
  PROGRAM run --config job.yaml --set parallelism.default=4 --set rest.port=8081
  PROGRAM run --config job.yaml --from-savepoint /var/savepoints/savepoint-2748be-f8a0

The first Ctrl-C or SIGTERM stops the job in order: it writes what it has read, and windows that are still \
open are not written. With checkpoints (execution.checkpointing.interval), a last one keeps those windows, \
and the same command goes on from it. To stop the job with \
a savepoint, use `PROGRAM stop`.";

const PLAN: &str = "\
Examples:
  PROGRAM plan --config job.yaml
  PROGRAM plan --config job.yaml --dot | dot -Tsvg > plan.svg

A plan reads the configuration and connects to nothing. It refuses what a run would refuse without asking anybody.";

const LIST: &str = "\
Examples:
  PROGRAM list                                 the job at http://127.0.0.1:8081
  PROGRAM list -m shop.example:8081 --password-file page.password

The job must serve its page: set rest.port in its configuration. A job that is RUNNING may have trouble all \
the same, such as a store that is away: each trouble has a line of its own.";

const CHECKPOINTS: &str = "\
Examples:
  PROGRAM checkpoints
  PROGRAM checkpoints -m shop.example:8081
  PROGRAM checkpoints --json | jq -r '[.[] | select(.kind == \"savepoint\" and .status == \"completed\")][0].path'

The newest one comes first; times are in UTC. SIZE is the whole state, WRITTEN the part of it that this \
checkpoint alone has stored. The list has the last 20 since the job's process started. --json prints an \
array of objects with id, kind (checkpoint or savepoint), status (in_progress, completed or failed), time (RFC 3339), \
age_seconds, size_bytes, path, discarded and failure; null stands for what is not known. More than that, such as who held a \
barrier for how long, is at http://127.0.0.1:8081/v1/jobs/ID/checkpoints, with the ID that `PROGRAM list` shows.";

const SAVEPOINT: &str = "\
Examples:
  PROGRAM savepoint                            to state.savepoints.dir of the job
  PROGRAM savepoint /var/savepoints
  PROGRAM savepoint s3://bucket/savepoints -m shop.example:8081

It prints where the savepoint is. A job starts from it with `PROGRAM run --config job.yaml --from-savepoint URL`.";

const STOP: &str = "\
Examples:
  PROGRAM stop                                 with a savepoint in state.savepoints.dir of the job
  PROGRAM stop --savepoint-path /var/savepoints
  PROGRAM stop --drain                         for the last time: open windows are written

It prints where the savepoint is. `PROGRAM run` with the same configuration goes on from it; after --drain it begins anew.";

const CANCEL: &str = "\
Examples:
  PROGRAM cancel
  PROGRAM cancel -m shop.example:8081

What was in the queues is lost. `PROGRAM run` with the same configuration goes on from the latest checkpoint, where there is one.";

const RESTORE: &str = "\
Examples:
  PROGRAM restore --dry-run --config job.yaml        what the next run would go on from
  PROGRAM restore --dry-run --config job.yaml --from /var/savepoints/savepoint-2748be-f8a0

Ask it before a new version of the program takes the place of the old one. It exits with 4 where a state \
does not fit, and with 2 where a state would be lost; --allow-non-restored-state gives such a state up.";

/// The program with examples below the help of its commands.
pub(crate) fn add(program: Command) -> Command {
    let name = program.get_name().to_owned();
    program.mut_subcommands(|command| {
        let examples = EXAMPLES.iter().find(|(of, _)| *of == command.get_name());
        match examples {
            Some((_, text)) => command.after_help(text.replace("PROGRAM", &name)),
            None => command,
        }
    })
}
