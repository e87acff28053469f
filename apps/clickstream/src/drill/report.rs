//! What a drill tells its user.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use millstream::Result;
use millstream::cli::logs;

use super::DrillPlan;
use super::audit::Audit;
use super::config::Site;

/// How a drill went.
#[derive(Clone, Debug)]
pub struct DrillReport {
    job: String,
    dir: String,
    seed: u64,
    dealt: BTreeMap<String, u32>,
    hooks: Vec<String>,
    violations: Vec<String>,
    events: usize,
    took: Duration,
    audit: Audit,
}

impl DrillReport {
    pub(super) fn new(plan: &DrillPlan, site: &Site) -> Self {
        Self {
            job: site.job.clone(),
            dir: plan.dir.display().to_string(),
            seed: plan.seed,
            dealt: BTreeMap::new(),
            hooks: Vec::new(),
            violations: Vec::new(),
            events: 0,
            took: Duration::ZERO,
            audit: Audit::default(),
        }
    }

    pub(super) fn dealt(&mut self, number: u32, kind: &str, outcome: &Result<String>) -> String {
        *self.dealt.entry(kind.to_owned()).or_default() += 1;
        match outcome {
            Ok(result) => format!("{number:>4}  {kind}: {result}"),
            Err(error) => format!("{number:>4}  {kind}: FAILED: {}", error.chain()),
        }
    }

    pub(super) fn hooked(&mut self, name: &str, outcome: &Result<()>) -> String {
        let note = outcome.as_ref().err().map(|error| format!(" FAILED: {}", error.chain()));
        self.hooks.push(format!("{name}{}", note.unwrap_or_default()));
        format!("      {}", self.hooks[self.hooks.len() - 1])
    }

    pub(super) fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(super) fn catching_up(&mut self, events: usize) {
        self.events = events;
        logs::err(&format!(
            "      {events} events were sent; now the job catches up and everything is audited"
        ));
    }

    pub(super) fn finish(&mut self, audit: &Audit, took: Duration) {
        self.audit = audit.clone();
        self.took = took;
    }

    /// Whether nothing was lost, nothing doubled, and every blow went as it should.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.audit.is_right()
    }

    /// What the audit found.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }
}

impl fmt::Display for DrillReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "drill of {} (seed {}), {} s, {} events",
            self.job,
            self.seed,
            self.took.as_secs(),
            self.events
        )?;
        let dealt: Vec<_> = self.dealt.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        writeln!(f, "  blows: {}", dealt.join(", "))?;
        self.hooks.iter().try_for_each(|hook| writeln!(f, "  and: {hook}"))?;
        for store in &self.audit.stores {
            let verdict = if store.is_right() { "exact" } else { "WRONG" };
            writeln!(
                f,
                "  {verdict}  {}: {} rows expected, {} missing, {} wrong, {} too many, {} doubled",
                store.store, store.expected, store.missing, store.wrong, store.extra, store.doubled
            )?;
            store.examples.iter().try_for_each(|example| writeln!(f, "         {example}"))?;
        }
        self.violations.iter().try_for_each(|violation| writeln!(f, "  VIOLATION  {violation}"))?;
        let verdict = if self.is_clean() { "nothing lost, nothing doubled" } else { "NOT exactly once" };
        write!(f, "  {verdict}; logs and configuration: {}", self.dir)
    }
}
