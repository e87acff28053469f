//! Which dead letters can be sent again, and where to.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use millstream::Error;
use millstream::connectors::files::StoredDeadLetter;

/// Where a letter's message goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Goal {
    /// To this topic; to this partition of it, where it came from there.
    Topic(String, Option<i32>),
    /// To the one target that the command line names.
    Target,
}

/// Why a letter is not sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kept {
    /// The line is no dead letter.
    NoLetter,
    /// It is of this stage, and another one was asked for.
    OtherStage(String),
    /// Only a part of its bytes is there.
    Cut,
    /// It is a result that a store refused: its bytes are no event.
    NoEvent,
    /// It came from a file, and no target is named.
    NoTopic,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLetter => "no dead letters",
            Self::OtherStage(stage) => return write!(f, "of the stage {stage}"),
            Self::Cut => "cut when they were written: their source has all bytes, at their position",
            Self::NoEvent => {
                "rows that a store refused, not events: a job that starts earlier computes them anew"
            }
            Self::NoTopic => "from files, which can only be sent to a target: name one with --topic or --to",
        })
    }
}

/// Decides what becomes of one line. `goal` is the target of the command line, if it names one.
pub(super) fn judge(
    line: &[u8],
    stage: Option<&str>,
    goal: Option<&Goal>,
) -> Result<(StoredDeadLetter, Goal), Kept> {
    let stored = StoredDeadLetter::parse(line).map_err(|_| Kept::NoLetter)?;
    if stage.is_some_and(|stage| stage != stored.letter.stage) {
        return Err(Kept::OtherStage(stored.letter.stage));
    }
    if stored.letter.position < 0 {
        return Err(Kept::NoEvent);
    }
    if stored.is_cut {
        return Err(Kept::Cut);
    }
    let origin = || stored.partition.clone().map(|(topic, partition)| Goal::Topic(topic, Some(partition)));
    let goal = goal.cloned().or_else(origin).ok_or(Kept::NoTopic)?;
    Ok((stored, goal))
}

/// What is to be done, counted before it is done.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    read: u64,
    repeated: u64,
    // By topic, or none for the target; by stage.
    goals: BTreeMap<Option<String>, BTreeMap<String, u64>>,
    kept: BTreeMap<Kept, u64>,
    // By id: where it goes. What is written behind these while they are sent is left for the next time.
    wanted: HashMap<String, Goal>,
}

impl Summary {
    pub(super) fn note(&mut self, judged: Result<(StoredDeadLetter, Goal), Kept>) {
        self.read += 1;
        let (stored, goal) = match judged {
            Ok(wanted) => wanted,
            Err(kept) => return *self.kept.entry(kept).or_default() += 1,
        };
        let topic = if let Goal::Topic(topic, _) = &goal { Some(topic.clone()) } else { None };
        if self.wanted.insert(stored.letter.id, goal).is_some() {
            self.repeated += 1;
            return;
        }
        *self.goals.entry(topic).or_default().entry(stored.letter.stage).or_default() += 1;
    }

    /// How many are to be sent.
    pub(super) fn count(&self) -> usize {
        self.wanted.len()
    }

    /// Refuses a stage that no letter is of, as a misspelt one would be: somebody expects that something is
    /// sent.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream::ErrorKind::Configuration), naming the stages that there are.
    pub(super) fn expect_stage(&self, stage: &str) -> Result<(), Error> {
        let mut others = Vec::new();
        for (kept, count) in &self.kept {
            match kept {
                Kept::OtherStage(stage) => others.push(format!("{stage} ({count})")),
                Kept::NoLetter => {}
                // One of the wanted stage that cannot be sent.
                Kept::Cut | Kept::NoEvent | Kept::NoTopic => return Ok(()),
            }
        }
        if others.is_empty() || self.count() > 0 {
            return Ok(());
        }
        let there = others.join(", ");
        Err(Error::configuration(format!(
            "--stage {stage}: no dead letter is of this stage; the stages are {there}"
        )))
    }

    /// The topics that they go to.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.goals.keys().flatten().map(String::as_str)
    }

    /// Where a letter goes, the first time that it is asked for.
    pub(super) fn take(&mut self, id: &str) -> Option<Goal> {
        self.wanted.remove(id)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dead letters were read; {} to send", self.read, self.count())?;
        for (topic, stages) in &self.goals {
            let stages: Vec<_> = stages.iter().map(|(stage, count)| format!("{count} {stage}")).collect();
            write!(f, "\n  to {}: {}", topic.as_deref().unwrap_or("the target"), stages.join(", "))?;
        }
        if self.repeated > 0 {
            write!(f, "\n  written more than once, sent once: {}", self.repeated)?;
        }
        for (kept, count) in &self.kept {
            write!(f, "\n  not sent: {count} {kept}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use millstream::DeadLetter;
    use millstream::connectors::files::{dead_letter_json, shorter_dead_letter_json};

    use super::*;

    fn letter(split: &str, position: i64, stage: &str) -> Vec<u8> {
        dead_letter_json(&DeadLetter {
            id: format!("clicks/{split}/{position}/{stage}"),
            split: split.to_owned(),
            position,
            ..DeadLetter::of_value("clicks", stage, b"{}".to_vec(), 5, "why")
        })
    }

    #[test]
    fn a_letter_goes_where_it_came_from_unless_a_target_is_named() {
        let goal = |line: &[u8], stage, target| judge(line, stage, target).map(|(_, goal)| goal);
        let of_topic = letter("clicks-3", 7, "decode");
        let of_file = letter("/data/a.jsonl", 7, "late");
        let other = Goal::Topic("other".into(), None);
        assert_eq!(goal(&of_topic, None, None), Ok(Goal::Topic("clicks".into(), Some(3))));
        assert_eq!(goal(&of_topic, None, Some(&other)), Ok(other.clone()));
        assert_eq!(goal(&of_file, None, None), Err(Kept::NoTopic));
        assert_eq!(goal(&of_file, Some("late"), Some(&Goal::Target)), Ok(Goal::Target));
        assert_eq!(goal(&of_file, Some("decode"), Some(&Goal::Target)), Err(Kept::OtherStage("late".into())));
        assert_eq!(goal(&letter("", -1, "elasticsearch"), None, None), Err(Kept::NoEvent));
        let cut = shorter_dead_letter_json(&of_topic).unwrap();
        assert_eq!(goal(&cut, None, None), Err(Kept::Cut));
        assert_eq!(goal(b"{}", None, None), Err(Kept::NoLetter));
    }

    #[test]
    fn a_stage_that_no_letter_is_of_is_refused_with_the_stages_that_there_are() {
        let summary = |stage: &str| {
            let mut summary = Summary::default();
            for line in
                [letter("clicks-3", 7, "decode"), letter("clicks-3", 8, "late"), letter("", -1, "redis")]
            {
                summary.note(judge(&line, Some(stage), None));
            }
            summary.expect_stage(stage)
        };
        let error = summary("lat").unwrap_err().to_string();
        assert_eq!(
            error,
            "--stage lat: no dead letter is of this stage; the stages are decode (1), late (1), redis (1)"
        );
        assert!(summary("late").is_ok());
        assert!(summary("redis").is_ok(), "there are such letters, though none can be sent");
        assert!(
            Summary::default().expect_stage("late").is_ok(),
            "where nothing was read nothing is misspelt"
        );
    }

    #[test]
    fn each_letter_counts_once_and_the_rest_says_why() {
        let mut summary = Summary::default();
        for line in [
            letter("clicks-3", 7, "decode"),
            letter("clicks-3", 7, "decode"),
            letter("clicks-3", 7, "late"),
            letter("carts-0", 1, "late"),
            letter("", -1, "redis"),
            b"x".to_vec(),
        ] {
            summary.note(judge(&line, None, None));
        }
        let says = summary.to_string();
        for part in [
            "6 dead letters were read; 3 to send",
            "to clicks: 1 decode, 1 late",
            "to carts: 1 late",
            "written more than once, sent once: 1",
            "not sent: 1 rows that a store refused",
            "not sent: 1 no dead letters",
        ] {
            assert!(says.contains(part), "{part}: {says}");
        }
        assert_eq!(summary.topics().collect::<Vec<_>>(), ["carts", "clicks"]);
        assert_eq!(summary.take("clicks/clicks-3/7/late"), Some(Goal::Topic("clicks".into(), Some(3))));
        assert_eq!(summary.take("clicks/clicks-3/7/late"), None);
    }
}
