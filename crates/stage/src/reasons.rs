//! Dead letters by reason: few enough reasons for a page and for a metric, however many different values they
//! mention.
//!
//! ```
//! use millstream_stage::reasons::pattern;
//!
//! let reason = "field timestamp: wants a whole number, has \"soon\", at byte 83";
//! assert_eq!(pattern(reason), "field timestamp: wants a whole number, has \"…\", at byte …");
//! ```

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::dead_letter::DeadLetter;

/// Reasons that one operator tells apart.
const MOST: usize = 32;
/// Characters of a reason.
const LONGEST: usize = 160;
/// The reason of all others.
const OTHERS: &str = "other reasons";

/// How many dead letters there are for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonCount {
    /// The stage of the letters, such as `decode`.
    pub stage: String,
    /// Their reason without the values that differ from letter to letter.
    pub reason: String,
    /// How many.
    pub letters: u64,
}

/// Counts the dead letters of one operator.
#[derive(Debug, Default)]
pub struct Reasons(Mutex<BTreeMap<(String, String), u64>>);

impl Reasons {
    /// Counts letters. Those with the reason of the one before cost next to nothing.
    pub fn count<'a>(&self, letters: impl IntoIterator<Item = &'a DeadLetter>) {
        let mut letters = letters.into_iter().peekable();
        while let Some(letter) = letters.next() {
            let mut same = 1;
            while letters.next_if(|next| next.reason == letter.reason && next.stage == letter.stage).is_some()
            {
                same += 1;
            }
            self.add(&letter.stage, pattern(&letter.reason), same);
        }
    }

    fn add(&self, stage: &str, reason: String, letters: u64) {
        let mut counts = self.0.lock();
        let mut key = (stage.to_owned(), reason);
        if counts.len() >= MOST && !counts.contains_key(&key) {
            OTHERS.clone_into(&mut key.1);
        }
        *counts.entry(key).or_default() += letters;
    }

    /// All reasons, the commonest first.
    pub fn all(&self) -> Vec<ReasonCount> {
        let counts = self.0.lock();
        let all = counts.iter().map(|((stage, reason), letters)| {
            let (stage, reason) = (stage.clone(), reason.clone());
            ReasonCount { stage, reason, letters: *letters }
        });
        sorted(all.collect())
    }
}

/// The counts of several operators together, the commonest reason first.
pub fn merged(counts: impl IntoIterator<Item = ReasonCount>) -> Vec<ReasonCount> {
    let mut sums = BTreeMap::new();
    for ReasonCount { stage, reason, letters } in counts {
        *sums.entry((stage, reason)).or_default() += letters;
    }
    let all = sums.into_iter().map(|((stage, reason), letters)| ReasonCount { stage, reason, letters });
    sorted(all.collect())
}

fn sorted(mut counts: Vec<ReasonCount>) -> Vec<ReasonCount> {
    counts.sort_by_key(|count| std::cmp::Reverse(count.letters));
    counts
}

/// A reason without what differs from letter to letter: quoted values, and words that begin with a digit,
/// such as positions and times.
pub fn pattern(reason: &str) -> String {
    let mut text = String::new();
    for (index, part) in reason.split('"').enumerate() {
        if index % 2 == 1 {
            text.push_str("\"…\"");
        } else {
            without_numbers(part, &mut text);
        }
    }
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn without_numbers(text: &str, into: &mut String) {
    for word in text.split_inclusive(' ') {
        let start = word.find(|letter: char| letter.is_alphanumeric()).unwrap_or(word.len());
        if !word[start..].starts_with(|letter: char| letter.is_ascii_digit()) {
            into.push_str(word);
            continue;
        }
        let end = word.rfind(|letter: char| letter.is_alphanumeric()).map_or(word.len(), |last| last + 1);
        into.push_str(word[..start].trim_end_matches('-'));
        into.push('…');
        into.push_str(word.get(end..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(stage: &str, reason: &str) -> DeadLetter {
        DeadLetter::of_value("clicks", stage, Vec::new(), 0, reason)
    }

    #[test]
    fn a_reason_keeps_its_words_and_loses_its_values() {
        let late = "late for pv-uv-1min: the windows of its event time 2017-11-26T01:00:00Z were closed";
        assert_eq!(pattern(late), "late for pv-uv-1min: the windows of its event time … were closed");
        assert_eq!(pattern("document \"7-60\" of index \"pv\": no"), "document \"…\" of index \"…\": no");
        assert_eq!(pattern("wants (3) fields, has -12, \"a 7"), "wants (…) fields, has …, \"…\"");
        assert_eq!(pattern("at 7é8"), "at …");
        assert_eq!(pattern(&"é".repeat(200)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn letters_are_counted_by_stage_and_reason_the_commonest_first() {
        let (one, other) = (Reasons::default(), Reasons::default());
        one.count(&[letter("decode", "no JSON at byte 1"), letter("decode", "no JSON at byte 2")]);
        one.count(&[letter("late", "no JSON at byte 1")]);
        other.count(&vec![letter("late", "no JSON at byte 9"); 4]);
        let count = |stage: &str, letters| ReasonCount {
            stage: stage.into(),
            reason: "no JSON at byte …".into(),
            letters,
        };
        assert_eq!(one.all(), [count("decode", 2), count("late", 1)]);
        let both = merged(one.all().into_iter().chain(other.all()));
        assert_eq!(both, [count("late", 5), count("decode", 2)]);
    }

    #[test]
    fn there_are_never_many_reasons() {
        let reasons = Reasons::default();
        let words = (0..500).map(|number| letter("decode", &format!("r{number}")));
        reasons.count(&words.collect::<Vec<_>>());
        let all = reasons.all();
        assert_eq!(
            (all.len(), all[0].reason.as_str(), all[0].letters),
            (MOST + 1, OTHERS, 500 - MOST as u64)
        );
    }
}
