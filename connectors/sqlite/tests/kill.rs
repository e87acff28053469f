//! A writing process that is killed leaves whole transactions and a file that another one goes on with.
//!
//! This program runs itself once more, as the victim.
#![allow(clippy::print_stdout, reason = "a test program of its own, and a victim that reports")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

mod common;
use common::{Clicks, File, table, write, writer};
use millstream_sqlite::SqliteOptions;

const VICTIM: &str = "MILLSTREAM_SQLITE_VICTIM";
const ROUND: i64 = 500;

fn main() -> Result<()> {
    if let Ok(path) = std::env::var(VICTIM) {
        return write_for_ever(SqliteOptions::at(path));
    }
    let file = File::new()?;
    for attempt in 1..=3 {
        let acknowledged = kill_after(&file, 10 * attempt)?;
        audit(&file, acknowledged)?;
    }
    go_on(&file)?;
    println!("test a_killed_writer_leaves_whole_transactions ... ok");
    Ok(())
}

// Each round replaces all rows; what was flushed is reported.
fn write_for_ever(options: SqliteOptions) -> Result<()> {
    let mut writer = writer(options, table(), 1)?;
    for round in 1.. {
        write(&mut writer, rows(round))?;
        writer.flush()?;
        println!("{round}");
    }
    Ok(())
}

fn rows(round: u64) -> Vec<Clicks> {
    (0..ROUND).map(|user| Clicks { user_id: user.to_string(), window_start: 0, count: round }).collect()
}

fn kill_after(file: &File, rounds: usize) -> Result<i64> {
    let mut victim = Command::new(std::env::current_exe()?);
    let mut victim = victim.env(VICTIM, &file.path).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(victim.stdout.take().context("no pipe")?).lines();
    lines.nth(rounds - 1).context("the victim has ended early")??;
    victim.kill()?;
    victim.wait()?;
    // What it had reported before it died, too.
    let reported = lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).last();
    Ok(reported.unwrap_or(rounds as i64))
}

fn audit(file: &File, acknowledged: i64) -> Result<()> {
    let check: String = file.database()?.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    ensure!(check == "ok", "{check}");
    ensure!(file.number("SELECT count(*) FROM user_clicks")? == ROUND);
    let (least, most) = (
        file.number("SELECT min(count) FROM user_clicks")?,
        file.number("SELECT max(count) FROM user_clicks")?,
    );
    ensure!(least == most, "half a transaction: rounds {least} to {most}");
    ensure!(most >= acknowledged, "round {acknowledged} was acknowledged, round {most} is there");
    Ok(())
}

fn go_on(file: &File) -> Result<()> {
    let mut writer = file.writer(2)?;
    write(&mut writer, rows(1_000_000))?;
    writer.flush()?;
    ensure!(file.number("SELECT min(count) FROM user_clicks")? == 1_000_000);
    Ok(())
}
