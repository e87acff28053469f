//! What a program says about itself, and how its job is named.

use millstream_api::Environment;
use millstream_operators::collection::{Collected, Collection};

use super::*;
use crate::builder::{App, NoOptions};

fn numbers(_: &NoOptions, env: &Environment) -> Result<()> {
    env.source("numbers", Collection::of([1_i64, 2, 3])).sink_to("results", Collected::default());
    Ok(())
}

fn orders() -> impl Application<Options = NoOptions> {
    App::new("orders").about("Orders per customer").version("1.2.3").program(numbers)
}

fn help_of(words: &[&str]) -> String {
    let program = complete(program(&orders()));
    program.try_get_matches_from(words).unwrap_err().to_string()
}

#[test]
fn a_program_has_its_own_name_and_text() {
    let help = help_of(&["orders", "--help"]);
    for part in ["Orders per customer", "Usage: orders", "completions", "man", "savepoint", "Exit codes:"] {
        assert!(help.contains(part), "{part}: {help}");
    }
    assert!(!help.contains("clickstream"), "{help}");
    let version = format!("orders 1.2.3 (Millstream {})\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(help_of(&["orders", "--version"]), version);
}

#[test]
fn each_command_that_changes_something_has_examples_with_the_programs_name() {
    for command in ["run", "plan", "list", "checkpoints", "savepoint", "stop", "cancel", "restore"] {
        let help = help_of(&["orders", command, "--help"]);
        assert!(help.contains(&format!("Examples:\n  orders {command}")), "{help}");
        assert!(!help.contains("PROGRAM"), "{help}");
    }
}

#[test]
fn a_job_is_named_like_its_program_unless_the_file_names_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let args = ConfigArgs { config: file.path().to_owned(), set: Vec::new() };
    assert_eq!(load_for(&orders(), &args).unwrap().engine.name, "orders");
    std::fs::write(file.path(), "pipeline.name: returns\n").unwrap();
    assert_eq!(load_for(&orders(), &args).unwrap().engine.name, "returns");
    let set = ConfigArgs { set: vec!["pipeline.name=job".to_owned()], ..args.clone() };
    assert_eq!(load_for(&orders(), &set).unwrap().engine.name, "job");
    std::fs::write(file.path(), "topic: a\n").unwrap();
    assert!(load_for(&orders(), &args).unwrap_err().chain().contains("unknown key \"topic\""));
}
