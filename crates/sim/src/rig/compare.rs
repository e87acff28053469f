//! Runs every mode and says where one differs.

use std::fmt;

use millstream_record::{Error, Result};

use super::below::Below;
use super::mode::{KEYED, MODES, Mode, PARALLEL, Restore};
use super::run::{Layout, Run};
use super::script::Script;
use super::transcript::Segment;
use crate::driven_writer::wrong;

/// What went wrong, in which mode and at which step. Its `Debug` form is readable, so that a test can end in
/// `.unwrap()`.
pub struct RigFailure(Error);

impl RigFailure {
    pub(super) fn new(error: Error) -> Self {
        Self(error)
    }

    /// The error that a call of the operator gave, or one that says what differed.
    pub fn into_error(self) -> Error {
        self.0
    }
}

impl fmt::Display for RigFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.chain())
    }
}

impl fmt::Debug for RigFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for RigFailure {}

/// What the modes must keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Rows come in the order of the records.
    pub(super) ordered: bool,
    /// Records can be dealt to several subtasks.
    pub(super) parallel: bool,
    /// How batches are cut may change the rows.
    pub(super) batches: bool,
}

/// What came out record by record; all other modes gave the same.
pub(super) fn run_all(layout: &Layout, script: &Script, rules: Rules) -> Result<Vec<Segment>> {
    let keyed: &[Mode] = if layout.keyed { KEYED } else { &[] };
    let parallel: &[Mode] = if rules.parallel { PARALLEL } else { &[] };
    let reference = run(layout, script, &MODES[0], Below::Nothing)?.segments;
    let backends = if layout.keyed { Below::ALL.as_slice() } else { &[Below::Nothing] };
    for mode in MODES.iter().chain(keyed).chain(parallel) {
        if mode.batch > 1 && !rules.batches {
            continue;
        }
        for below in backends {
            if *below == Below::InTurn && mode.restore == Restore::Never {
                continue;
            }
            let rules = Rules { ordered: rules.ordered && *below == Below::Nothing, ..rules };
            check(layout, script, mode, *below, rules, &reference)?;
        }
    }
    Ok(reference)
}

fn check(
    layout: &Layout,
    script: &Script,
    mode: &Mode,
    below: Below,
    rules: Rules,
    reference: &[Segment],
) -> Result<()> {
    let transcript = run(layout, script, mode, below)?;
    let ordered = rules.ordered && mode.keeps_order();
    let compared = same(script, reference, &transcript.segments, ordered);
    compared.map_err(|error| in_mode(error, mode, below.name()))?;
    let Some(shadow) = transcript.shadow else { return Ok(()) };
    let compared = same(script, reference, &shadow, ordered);
    let which = format!("{} (the stage that went on after its snapshot)", below.name());
    compared.map_err(|error| in_mode(error, mode, &which))
}

fn run(layout: &Layout, script: &Script, mode: &Mode, below: Below) -> Result<super::run::Transcript> {
    Run::new(layout, script, mode, below).go().map_err(|error| in_mode(error, mode, below.name()))
}

fn in_mode(error: Error, mode: &Mode, which: &str) -> Error {
    error.in_context(format_args!("{}{which}", mode.name))
}

fn same(script: &Script, reference: &[Segment], other: &[Segment], ordered: bool) -> Result<()> {
    for (number, (expected, came)) in reference.iter().zip(other).enumerate() {
        if !came.equals(expected, ordered) {
            return Err(wrong(format!(
                "in answer to [{}]\n  came:{}\n  but record by record came:{}",
                script.describe(number),
                came.show(),
                expected.show()
            )));
        }
    }
    Ok(())
}
