//! The proof of exactly-once: a job with sinks of every kind, under failures of every kind, is right to the last record; and where a
//! rule is broken on purpose, it shows. `cargo xtask sim` runs the same under as many seeds as wanted.

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

fn is_found(rule: Broken) {
    let found = (0..PATIENCE).find(|seed| scenario::run(*seed, Some(rule), None).is_err());
    assert!(found.is_some(), "{rule:?} goes unnoticed under {PATIENCE} seeds");
}

#[test]
fn acknowledging_before_the_flush_is_found() {
    is_found(Broken::AcknowledgeBeforeFlush);
}

#[test]
fn completing_without_the_entry_is_found() {
    is_found(Broken::CompleteWithoutEntry);
}

#[test]
fn skipping_the_alignment_is_found() {
    is_found(Broken::AlignmentSkipped);
}

#[test]
fn firing_numbers_as_versions_are_found() {
    is_found(Broken::FiringNumberAsVersion);
}

#[test]
fn forgetting_the_watermark_is_found() {
    is_found(Broken::WatermarkNotRestored);
}
