//! What a developer of Millstream types: `cargo xtask test | check | book | services | sim | flink | bench`.

mod bench;
mod book;
mod check;
mod console;
mod flink;
mod libclang;
mod licenses;
mod services;
mod shell;
mod sim;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tests, checks, servers and benchmarks of Millstream.
///
/// Start with `cargo xtask test`: it installs and starts what it needs, and runs every test there is.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run all tests, against real servers
    Test(test::TestArguments),
    /// Check format, lints, each feature alone, documentation and licences
    Check,
    /// Check the documents and build the book into docs/book
    Book,
    /// Start, stop or show servers to try things out on
    #[command(subcommand)]
    Services(services::ServicesCommand),
    /// Prove exactly-once in a simulation, under as many seeds as wanted
    Sim(sim::SimArguments),
    /// Build the jar that a Flink cluster runs
    Flink(flink::FlinkArguments),
    /// Run benchmarks and record them in benches/RESULTS.md
    Bench(bench::BenchArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Task::Test(arguments) => test::run(&arguments),
        Task::Check => check::run(),
        Task::Book => book::run().map(|()| true),
        Task::Services(command) => services::run(&command).map(|()| true),
        Task::Sim(arguments) => sim::run(&arguments).map(|()| true),
        Task::Flink(arguments) => flink::run(&arguments).map(|()| true),
        Task::Bench(arguments) => bench::run(&arguments).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE, // the report has said why
        Err(error) => {
            console::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
