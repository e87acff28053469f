//! The live page in a real browser: what it shows is what SQLite holds.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chromiumoxide::Page;
use common::window::{Demo, Window, until};
use serde::Deserialize;

/// What can be read on the page.
#[derive(Debug, Deserialize)]
struct Shown {
    /// Start of a minute in seconds, PV, UV.
    minutes: Vec<(i64, u64, u64)>,
    hot: Vec<(String, u64)>,
    hot_end: Option<i64>,
    rate: String,
    p99: String,
    dead: String,
    samples: Vec<String>,
    /// Count, stage, reason.
    reasons: Vec<Vec<String>>,
    pv: String,
}

const READ: &str = r##"(() => {
  const text = id => document.getElementById(id).textContent;
  const [seconds, pv, uv] = chart.data;
  const row = li => [li.firstChild.textContent, Number(li.querySelector("b").textContent.replaceAll(",", ""))];
  return {
    minutes: [...seconds].map((start, n) => [start, pv[n], uv[n]]),
    hot: [...document.querySelectorAll("#hot li")].map(row),
    hot_end: Number(document.getElementById("hot").dataset.end) || null,
    rate: text("rate"), p99: text("p99"), dead: text("dead"), pv: text("pv"),
    reasons: [...document.querySelectorAll("#reasons tr")].map(row => [...row.children].map(cell => cell.textContent)),
    samples: [...document.querySelectorAll("#samples li")].map(li => li.textContent),
  };
})()"##;

#[tokio::test]
async fn the_numbers_on_the_page_are_those_in_sqlite() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let demo = Demo::start(dir.path())?;
    let mut window = Window::open().await?;
    let page = window.page(&demo.url).await?;
    let shown = until_it_shows_everything(&page).await?;
    compare(&shown, &dir.path().join("clicks.db")).await?;
    window.close().await
}

/// Two checkpoints that stand, what ails the next one while its storage is gone, and that they go on when it
/// is back.
#[tokio::test]
async fn the_page_shows_checkpoints_and_what_ails_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = "pipeline.name: shown\nrest.port: 0\nsource: {type: generator, rate: 500}\n\
                  sinks:\n  - {type: sqlite, path: clicks.db}\njob.dir: job\n\
                  execution.checkpointing.interval: 200ms\n\
                  execution.checkpointing.tolerable-failed-checkpoints: 1000\n";
    std::fs::write(dir.path().join("job.yaml"), config)?;
    // A link can be turned elsewhere, and back, in one step.
    let (checkpoints, storage) = (dir.path().join("job/checkpoints"), dir.path().join("storage"));
    for folder in ["job", "storage"] {
        std::fs::create_dir(dir.path().join(folder))?;
    }
    std::os::unix::fs::symlink(&storage, &checkpoints)?;
    let job = Demo::run(dir.path(), &["run", "--config", "job.yaml"])?;
    let mut window = Window::open().await?;
    let page = window.page(&job.url).await?;
    until(&page, "Number(document.getElementById('completed').textContent) >= 2").await?;
    until(&page, "[...document.querySelectorAll('#history td:nth-child(5)')].some(td => td.textContent.endsWith(' ms'))").await?;
    std::fs::write(dir.path().join("nothing"), "no directory")?;
    std::fs::rename(dir.path().join("nothing"), &checkpoints)?;
    // It has failed, or its entry in the log is in doubt: that depends on how far it was.
    until(&page, "document.querySelector('#history td span')?.textContent.length > 10").await?;
    std::os::unix::fs::symlink(&storage, dir.path().join("back"))?;
    std::fs::rename(dir.path().join("back"), &checkpoints)?;
    page.evaluate("window.before = Number(document.getElementById('completed').textContent)").await?;
    until(&page, "Number(document.getElementById('completed').textContent) > window.before").await?;
    window.close().await
}

// Five minutes of the shop for the first hot items, and a broken record: some seconds of the demo.
async fn until_it_shows_everything(page: &Page) -> Result<Shown> {
    for _ in 0..240 {
        let shown: Shown = page.evaluate(READ).await?.into_value()?;
        if shown.minutes.len() >= 8
            && shown.hot.len() == 10
            && !shown.samples.is_empty()
            && shown.p99.contains("ms")
        {
            return Ok(shown);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    anyhow::bail!(
        "the page does not show everything after a minute: {:?}",
        page.evaluate(READ).await?.value()
    )
}

async fn compare(shown: &Shown, database: &Path) -> Result<()> {
    let last = shown.minutes.last().context("there are minutes")?;
    assert_eq!(shown.pv.replace(',', ""), last.1.to_string(), "the metric is the chart's last point");
    assert!(shown.rate.replace(',', "").parse::<f64>()? > 0.0, "{}", shown.rate);
    assert!(
        shown.dead.replace(',', "").parse::<u64>()? > 0 && shown.samples[0].contains("decode"),
        "{shown:?}"
    );
    let letters = |text: &str| text.replace(',', "").parse::<u64>();
    let by_reason: u64 = shown.reasons.iter().map(|row| letters(&row[0])).sum::<Result<u64, _>>()?;
    assert_eq!(by_reason, letters(&shown.dead)?, "{:?}", shown.reasons);
    assert!(shown.reasons.iter().all(|row| row[1] == "decode" && !row[2].is_empty()), "{:?}", shown.reasons);
    let database = rusqlite::Connection::open(database)?;
    let minutes =
        "select pv, uv from pv_uv where granularity = '1min' and dimension = 'all' and window_start = ?1";
    for (start, pv, uv) in &shown.minutes {
        let row = wait_for(|| {
            Ok(database.query_row(minutes, [start * 1000], |row| {
                Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
            })?)
        });
        assert_eq!(row.await?, (*pv, *uv), "the minute {start}");
    }
    let end = shown.hot_end.context("the ranking has an end")?;
    let ranking = wait_for(|| {
        let mut statement =
            database.prepare("select rank, item_id, count from hot_items where window_end = ?1")?;
        let rows = statement.query_map([end], |row| {
            Ok((row.get::<_, u32>(0)?, (row.get(1)?, row.get::<_, i64>(2)? as u64)))
        })?;
        let rows: BTreeMap<u32, (String, u64)> = rows.collect::<rusqlite::Result<_>>()?;
        ensure!(!rows.is_empty(), "no ranking until {end} yet");
        Ok(rows.into_values().collect::<Vec<_>>())
    });
    assert_eq!(ranking.await?, shown.hot);
    Ok(())
}

// SQLite has it within a flush.
async fn wait_for<T>(read: impl Fn() -> Result<T>) -> Result<T> {
    for _ in 0..40 {
        if let Ok(value) = read() {
            return Ok(value);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    read()
}
