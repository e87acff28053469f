//! The proof of exactly-once: a job with sinks of every kind, under failures of every kind, is right to the
//! last record; and where a rule is broken on purpose, it shows. `cargo xtask sim` runs the same under as
//! many seeds as wanted.

#[path = "../proof/feed.rs"]
mod feed;
#[path = "../proof/job.rs"]
mod job;
#[path = "../proof/scenario.rs"]
mod scenario;
#[path = "../proof/stores.rs"]
mod stores;
#[path = "../proof/transactions.rs"]
mod transactions;
#[path = "../proof/upserts.rs"]
mod upserts;

use millstream_sim::Broken;

/// How many seeds a broken rule may go unnoticed.
const PATIENCE: u64 = 200;

#[test]
fn nothing_is_lost_and_nothing_doubled_under_300_seeds() {
    let (mut attempts, mut fenced, mut failed, mut stops, mut fallbacks) = (0, 0, 0, 0, 0);
    for seed in 0..300 {
        let outcome = scenario::run(seed, None, None);
        let outcome = outcome.unwrap_or_else(|wrong| {
            panic!("{wrong}\nOnce more: cargo xtask sim --from {seed} --seeds 1 --trace")
        });
        attempts += outcome.attempts;
        fenced += outcome.fenced;
        failed += outcome.failed_checkpoints;
        stops += outcome.stops;
        fallbacks += outcome.fallbacks;
    }
    // The seeds are worth something only if much goes wrong.
    let seen = format!(
        "{attempts} attempts, {fenced} fenced, {failed} failed, {stops} stops, {fallbacks} fallbacks"
    );
    assert!(attempts > 600 && fenced > 50 && failed > 50 && stops > 5 && fallbacks > 0, "{seen}");
}

fn is_found(name: &str) {
    let rule = Broken::ALL.iter().find(|(other, _)| *other == name).map(|(_, rule)| *rule);
    let rule = rule.expect("the rule has a name");
    let found = (0..PATIENCE).find(|seed| scenario::run(*seed, Some(rule), None).is_err());
    assert!(found.is_some(), "{name}, broken, goes unnoticed under {PATIENCE} seeds");
}

macro_rules! broken_rules {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                is_found($name);
            }
        )*

        #[test]
        fn every_rule_that_can_be_broken_is_tried() {
            assert_eq!(Broken::ALL.map(|(name, _)| name), [$($name),*]);
        }
    };
}

broken_rules! {
    acknowledging_before_the_flush_is_found: "acknowledge-before-flush",
    skipping_the_alignment_is_found: "alignment-skipped",
    an_assignment_that_overtakes_a_barrier_is_found: "assignment-overtakes-barrier",
    completing_without_the_entry_is_found: "complete-without-entry",
    dropping_an_empty_assignment_is_found: "empty-assignment-dropped",
    ending_before_the_flush_is_found: "end-before-flush",
    firing_numbers_as_versions_are_found: "firing-number-as-version",
    forgetting_a_held_source_is_found: "held-source-forgotten",
    reading_behind_a_held_barrier_is_found: "held-source-reads",
    settling_before_the_commit_is_found: "settled-before-commit",
    forgetting_the_watermark_is_found: "watermark-not-restored",
}
