//! Index templates: explicit mappings that are in place before the first document.

use millstream_record::{Error, Result};
use serde_json::Value;

/// A composable index template, as `PUT /_index_template/NAME` takes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    pub(crate) name: String,
    pub(crate) body: Value,
}

impl Template {
    /// The template for indices whose names begin with `prefix`: its name and its patterns get it, too.
    pub(crate) fn prefixed(&self, prefix: &str) -> Self {
        let mut body = self.body.clone();
        let patterns = body.get_mut("index_patterns").and_then(Value::as_array_mut);
        for pattern in patterns.into_iter().flatten() {
            if let Some(text) = pattern.as_str() {
                *pattern = Value::String(format!("{prefix}{text}"));
            }
        }
        Self { name: format!("{prefix}{}", self.name), body }
    }

    /// The patterns of its indices' names.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        let patterns = self.body.get("index_patterns").and_then(Value::as_array);
        patterns.into_iter().flatten().filter_map(Value::as_str)
    }

    /// The names that can be looked at before the first document: those of its patterns, without a `*` at the
    /// end.
    pub(crate) fn targets(&self) -> Vec<String> {
        let names = self.patterns().map(|pattern| pattern.strip_suffix('*').unwrap_or(pattern));
        names.filter(|name| check_index_name(name).is_ok()).map(str::to_owned).collect()
    }

    /// The mapping that its indices get.
    pub(crate) fn mapping(&self) -> &Value {
        self.body.pointer("/template/mappings").unwrap_or(&Value::Null)
    }

    /// The priority that the user gave it, if any.
    pub(crate) fn own_priority(&self) -> Option<u64> {
        self.body.get("priority").and_then(Value::as_u64)
    }

    /// The same with this priority.
    pub(crate) fn with_priority(&self, priority: u64) -> Self {
        let mut body = self.body.clone();
        if let Some(body) = body.as_object_mut() {
            body.insert("priority".to_owned(), priority.into());
        }
        Self { name: self.name.clone(), body }
    }

    /// Refuses what is no template. Everything else about it the store itself will say.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    pub(crate) fn validate(&self) -> Result<()> {
        let refused =
            |reason: String| Err(Error::configuration(format!("template {:?} {reason}", self.name)));
        if let Err(reason) = check_index_name(&self.name) {
            return refused(reason);
        }
        let patterns = self.body.get("index_patterns").and_then(Value::as_array);
        match patterns {
            Some(patterns) if !patterns.is_empty() && patterns.iter().all(Value::is_string) => Ok(()),
            _ => refused(
                "lacks index_patterns: write the names of its indices, such as [\"user_clicks*\"]".to_owned(),
            ),
        }
    }
}

/// The rules for names of indices, and for what they begin with.
///
/// # Errors
/// What is wrong, to be put behind the name.
pub(crate) fn check_index_name(name: &str) -> std::result::Result<(), String> {
    const FORBIDDEN: &str = "\\/*?\"<>| ,#:";
    if name.is_empty() || name.len() > 255 {
        return Err(format!("has {} bytes: 1 to 255 are allowed", name.len()));
    }
    if name.starts_with(['-', '_', '+', '.']) {
        return Err("begins with one of - _ + . which is not allowed".to_owned());
    }
    match name.chars().find(|c| FORBIDDEN.contains(*c) || c.is_uppercase()) {
        Some(wrong) => {
            Err(format!("contains {wrong:?}: only small letters, digits, - _ + and . are allowed"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(body: Value) -> Template {
        Template { name: "clicks".into(), body }
    }

    #[test]
    fn the_prefix_comes_before_the_name_and_every_pattern() {
        let all = template(serde_json::json!({ "index_patterns": ["a*", "b"], "priority": 5 }));
        let prefixed = all.prefixed("shop-");
        assert_eq!(prefixed.name, "shop-clicks");
        assert_eq!(
            prefixed.body,
            serde_json::json!({ "index_patterns": ["shop-a*", "shop-b"], "priority": 5 })
        );
    }

    #[test]
    fn the_targets_are_what_its_patterns_name() {
        let all = template(serde_json::json!({ "index_patterns": ["clicks*", "a", "days-*", "*", "a*b*"] }));
        assert_eq!(all.targets(), ["clicks", "a", "days-"]);
        assert_eq!(all.with_priority(7).own_priority(), Some(7));
    }

    #[test]
    fn a_template_without_patterns_is_refused() {
        template(serde_json::json!({ "index_patterns": ["a*"] })).validate().unwrap();
        for body in
            [serde_json::json!({}), serde_json::json!({ "index_patterns": [] }), serde_json::json!("a")]
        {
            assert!(template(body).validate().unwrap_err().to_string().contains("index_patterns"));
        }
        let unnamed = Template { name: "a/b".into(), body: serde_json::json!({ "index_patterns": ["a*"] }) };
        assert!(unnamed.validate().is_err());
    }

    #[test]
    fn names_follow_the_rules_of_the_store() {
        for good in ["clicks", "shop-", "a.b_c-1", "überblick"] {
            assert_eq!(check_index_name(good), Ok(()));
        }
        for bad in ["", "Clicks", "-a", "_a", "a b", "a*", "a:b", ".a"] {
            assert!(check_index_name(bad).is_err(), "{bad}");
        }
    }
}
