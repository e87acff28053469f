//! Which priority our index template needs. Pure: the cluster's templates in, a number out.
//!
//! Of all templates whose patterns match a new index's name, the one of the highest priority alone counts.
//! Two of one priority whose patterns overlap are refused by the store.

use serde::Deserialize;
use serde_json::Value;

use crate::template::Template;

/// The answer to `GET _index_template`, as far as it is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Templates {
    index_templates: Vec<Named>,
}

#[derive(Clone, Debug, Deserialize)]
struct Named {
    name: String,
    index_template: Body,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    index_patterns: Vec<String>,
    priority: Option<u64>,
    data_stream: Option<Value>,
}

/// Only this is asked for: a cluster brings dozens of templates along.
pub(crate) const FILTER: &str = "index_templates.name,index_templates.index_template.index_patterns,\
                                 index_templates.index_template.priority,index_templates.index_template.data_stream";

impl Named {
    fn priority(&self) -> u64 {
        self.index_template.priority.unwrap_or(0)
    }

    fn matches(&self, pattern: &str) -> bool {
        self.index_template.index_patterns.iter().any(|own| overlap(own.as_bytes(), pattern.as_bytes()))
    }
}

impl Templates {
    /// The lowest priority that the store takes, or the one that our template has there already.
    pub(crate) fn lowest_for(&self, ours: &Template) -> u64 {
        let there = self.index_templates.iter().find(|named| named.name == ours.name);
        self.free_from(there.map_or(0, Named::priority), ours)
    }

    /// A priority with which our template wins for its indices.
    pub(crate) fn winning_for(&self, ours: &Template) -> u64 {
        let rivals = self.rivals(ours).map(Named::priority).max();
        self.free_from(rivals.map_or(0, |highest| highest + 1), ours)
    }

    /// The foreign template that would win against ours of this priority, with its own priority.
    pub(crate) fn winner_over<'a>(&'a self, ours: &'a Template, priority: u64) -> Option<(&'a str, u64)> {
        let highest = self.rivals(ours).max_by_key(|named| named.priority())?;
        (highest.priority() > priority).then(|| (highest.name.as_str(), highest.priority()))
    }

    /// Whether that template would make a data stream of the index.
    pub(crate) fn makes_data_stream(&self, name: &str) -> bool {
        let named = self.index_templates.iter().find(|named| named.name == name);
        named.is_some_and(|named| named.index_template.data_stream.is_some())
    }

    fn rivals<'a>(&'a self, ours: &'a Template) -> impl Iterator<Item = &'a Named> {
        let others = self.index_templates.iter().filter(|named| named.name != ours.name);
        others.filter(|named| ours.targets().iter().any(|target| named.matches(target)))
    }

    fn free_from(&self, lowest: u64, ours: &Template) -> u64 {
        let overlapping = self
            .index_templates
            .iter()
            .filter(|named| named.name != ours.name && ours.patterns().any(|pattern| named.matches(pattern)));
        let taken: Vec<_> = overlapping.map(Named::priority).collect();
        (lowest..).find(|priority| !taken.contains(priority)).unwrap_or(lowest)
    }
}

// Whether some name matches both patterns; `*` stands for any number of bytes. A star takes the other side's
// next byte, or nothing more.
fn overlap(left: &[u8], right: &[u8]) -> bool {
    match (left, right) {
        ([], []) => true,
        ([b'*', rest @ ..], other) | (other, [b'*', rest @ ..]) if overlap(rest, other) => true,
        ([b'*', ..], [_, right @ ..]) if overlap(left, right) => true,
        ([_, left @ ..], [b'*', ..]) if overlap(left, right) => true,
        ([one, left @ ..], [other, right @ ..]) if one == other => overlap(left, right),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ours() -> Template {
        Template { name: "clicks".into(), body: json!({ "index_patterns": ["clicks*"] }) }
    }

    fn there(templates: &[(&str, &str, Option<u64>)]) -> Templates {
        let named = |(name, pattern, priority): &(&str, &str, Option<u64>)| json!({ "name": name, "index_template": { "index_patterns": [pattern], "priority": priority } });
        let templates: Vec<_> = templates.iter().map(named).collect();
        serde_json::from_value(json!({ "index_templates": templates })).unwrap()
    }

    #[test]
    fn patterns_overlap_if_one_name_matches_both() {
        let overlap = |left: &str, right: &str| overlap(left.as_bytes(), right.as_bytes());
        for (left, right) in [
            ("a", "a"),
            ("*", "clicks"),
            ("cl*", "clicks*"),
            ("*s", "c*"),
            ("a*b", "*"),
            ("a*c", "ab*c"),
            ("", "*"),
        ] {
            assert!(overlap(left, right) && overlap(right, left), "{left} {right}");
        }
        for (left, right) in
            [("a", "b"), ("a*", "b*"), ("*a", "*b"), ("logs-*-*", "clicks"), ("a", "a?"), ("", "a")]
        {
            assert!(!overlap(left, right) && !overlap(right, left), "{left} {right}");
        }
    }

    #[test]
    fn alone_it_needs_no_priority() {
        for templates in [there(&[]), there(&[("logs", "logs-*-*", Some(100))])] {
            assert_eq!((templates.lowest_for(&ours()), templates.winner_over(&ours(), 0)), (0, None));
        }
    }

    #[test]
    fn a_rival_is_overridden_by_one_more() {
        let all = there(&[("all", "*", Some(10)), ("none", "other*", Some(99))]);
        assert_eq!(all.lowest_for(&ours()), 0);
        assert_eq!(all.winner_over(&ours(), 0), Some(("all", 10)));
        assert_eq!(all.winning_for(&ours()), 11);
        assert_eq!(all.winner_over(&ours(), 11), None);
    }

    #[test]
    fn no_two_overlapping_templates_have_one_priority() {
        let same = there(&[("all", "*", None), ("narrow", "clicks-old-*", Some(1))]);
        assert_eq!(same.lowest_for(&ours()), 2);
        assert_eq!(same.winning_for(&ours()), 2, "1 is taken by one that overlaps, though it is no rival");
    }

    #[test]
    fn the_priority_that_ours_has_stays() {
        let again = there(&[("all", "*", Some(10)), ("clicks", "clicks*", Some(11))]);
        assert_eq!(again.lowest_for(&ours()), 11);
    }

    #[test]
    fn a_template_of_data_streams_is_known() {
        let streams = json!({ "index_templates": [
            { "name": "s", "index_template": { "index_patterns": ["clicks"], "data_stream": {} } },
        ]});
        let streams: Templates = serde_json::from_value(streams).unwrap();
        assert!(streams.makes_data_stream("s") && !streams.makes_data_stream("t"));
    }
}
