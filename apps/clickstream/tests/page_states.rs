//! What the live page says when not all is well, and at the end.

mod common;

use std::time::Duration;

use anyhow::{Context, Result};
use chromiumoxide::Page;
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use common::window::{Demo, Window, until};
use millstream_testkit::Redis;

const MINUTE: i64 = 60_000;
/// 2026-03-04T04:30:00Z, which is 10:00 in Kolkata.
const START: i64 = 1_772_598_600_000;

async fn text(page: &Page, id: &str) -> Result<String> {
    let script = format!("document.getElementById({id:?}).textContent");
    Ok(page.evaluate(script).await?.into_value()?)
}

/// A store that does not answer is away, and its rows are late: neither the job's state nor the latency looks
/// as if all was well.
#[tokio::test]
async fn a_store_that_does_not_answer_comes_first() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let redis = Redis::start()?;
    let config = format!(
        "pipeline.name: shop\nrest.port: 0\njob.dir: job\ntime-zone: Asia/Kolkata\n\
         source: {{type: generator, rate: 500, event-rate: 25, start: {START}, users: 50}}\n\
         sinks:\n  - {{type: sqlite, path: clicks.db}}\n  - {{type: redis, url: \"{}\"}}\n",
        redis.url()
    );
    std::fs::write(dir.path().join("job.yaml"), config)?;
    let job = Demo::run(dir.path(), &["run", "--config", "job.yaml"])?;
    let mut window = Window::open().await?;
    let page = window.page(&job.url).await?;
    until(&page, "document.getElementById('p99').textContent.endsWith('s')").await?;
    until(&page, "document.getElementById('state').textContent === 'Running'").await?;
    assert_eq!(
        page.evaluate("document.querySelectorAll('.store.fine').length").await?.into_value::<u32>()?,
        3
    );
    // Old data is no lag, and its time is the shop's by a 24-hour clock.
    until(&page, "document.getElementById('progress-label').textContent.startsWith('Replay')").await?;
    let (time, note) = (text(&page, "progress").await?, text(&page, "progress-note").await?);
    assert!(time.starts_with("4 Mar") && time.contains(", 10:"), "{time}");
    assert!(note.starts_with("old data"), "{note}");

    let process = redis.server().and_then(millstream_testkit::server::Server::group).context("Redis runs")?;
    process.pause();
    until(&page, "document.querySelector('.store.away h3')?.textContent.startsWith('Redis')").await?;
    until(&page, "document.getElementById('state').textContent === 'Store away'").await?;
    until(&page, "/^≥\\s\\d+\\ss/.test(document.getElementById('p50').textContent)").await?;
    until(&page, "/rows, the oldest for \\d+\\ss/.test(document.getElementById('oldest').textContent)")
        .await?;
    let first = "document.querySelector('#stores .store').classList.contains('away')";
    assert!(page.evaluate(first).await?.into_value::<bool>()?, "what hurts comes first");
    let metrics = ureq::get(format!("{}metrics", job.url)).call()?.body_mut().read_to_string()?;
    let late = metrics.lines().filter(|line| line.contains("_oldestUnacknowledgedSeconds{"));
    let age = |line: &str| line.rsplit(' ').next().and_then(|age| age.parse().ok()).unwrap_or(0.0);
    let oldest = late.filter(|line| line.contains("Redis at")).map(age).fold(0.0, f64::max);
    assert!(oldest > 5.0, "{oldest}:\n{metrics}");

    process.resume();
    until(&page, "document.getElementById('state').textContent === 'Running'").await?;
    until(&page, "!document.getElementById('p50').textContent.startsWith('≥')").await?;
    window.close().await
}

/// The end of a bounded job stays on the page, with windows that are whole.
#[tokio::test]
async fn the_end_of_the_input_is_shown_with_whole_windows() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // 90 minutes and a half, in ten seconds.
    let (rate, events) = (1500, 90 * 150 + 75);
    let config = format!(
        "pipeline.name: shop\nrest.port: 0\njob.dir: job\ntime-zone: Asia/Kolkata\n\
         source: {{type: generator, rate: {rate}, event-rate: 2.5, start: {START}, count: {events}, users: 50}}\n\
         sinks:\n  - {{type: sqlite, path: clicks.db}}\n"
    );
    std::fs::write(dir.path().join("job.yaml"), config)?;
    let mut job = Demo::run(dir.path(), &["run", "--config", "job.yaml"])?;
    let mut window = Window::open().await?;
    let page = window.page(&job.url).await?;
    until(&page, "document.getElementById('state').textContent === 'Finished'").await?;
    assert!(job.process.wait()?.success());
    // The browser notices that the server has gone.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(text(&page, "state").await?, "Finished");
    assert_eq!(text(&page, "unwritten").await?, "0");
    let last: i64 = page.evaluate("chart.data[0].at(-1) * 1000").await?.into_value()?;
    assert_eq!((last - START) / MINUTE, 89, "the last minute is whole");
    assert_eq!(text(&page, "minute").await?, "in the minute from 11:29");
    let end: i64 = page.evaluate("Number(document.getElementById('hot').dataset.end)").await?.into_value()?;
    assert_eq!((end - START) / MINUTE, 90, "the hour is the last whole one");
    assert!(text(&page, "hot-window").await?.ends_with("11:30"), "{}", text(&page, "hot-window").await?);
    assert_eq!(text(&page, "progress-label").await?, "Last event");
    window.close().await
}

/// Nothing is wider than a phone, whatever the numbers are, and the axes have room for their labels.
#[tokio::test]
async fn the_page_fits_a_phone_and_the_axes_fit_their_numbers() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let demo = Demo::start(dir.path())?;
    let mut window = Window::open().await?;
    let page = window.page(&demo.url).await?;
    let phone = SetDeviceMetricsOverrideParams::builder();
    let phone = phone.width(360).height(800).device_scale_factor(1.0).mobile(true).build();
    page.execute(phone.map_err(anyhow::Error::msg)?).await?;
    until(&page, "document.querySelectorAll('#hot li').length === 10 && latest.samples.length > 0").await?;
    for minutes in [1, 5, 90, 180, 2000] {
        let show = format!(
            "events.close(); const base = 1772598600000, all = {{}};
             for (let n = 0; n < {minutes}; n++) all[base + n * 60000] = {{ pv: 54321 + n, uv: 43210 }};
             show({{ ...latest, zone: '+05:30', minutes: all, wall_time: base + {minutes} * 60000 }});"
        );
        page.evaluate(format!("{{ {show} }}")).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let width: u32 = page.evaluate("document.documentElement.scrollWidth").await?.into_value()?;
        assert_eq!(width, 360, "{minutes} minutes");
        let labels: Vec<String> = page.evaluate(TIME_LABELS).await?.into_value()?;
        assert!((2..=12).contains(&labels.len()), "{minutes} minutes: {labels:?}");
        let mut clocks = labels.iter().map(|label| label.split('\n').next().unwrap_or_default());
        assert!(clocks.all(|clock| clock.len() == 5 && &clock[2..3] == ":"), "{labels:?}");
        let room: f64 = page.evaluate(ROOM).await?.into_value()?;
        assert!(room >= 0.0, "{minutes} minutes: the widest number lacks {room} pixels");
    }
    assert_eq!(page.evaluate("clock.minute(1772598600000)").await?.into_value::<String>()?, "10:00");
    window.close().await
}

/// The labels of the time axis, as they are drawn.
const TIME_LABELS: &str = "timeLabels(clock, chart.plot.axes[0]._splits)";
/// How much wider the axis of numbers is than its widest label.
const ROOM: &str = "(() => {
  const pen = document.createElement('canvas').getContext('2d');
  pen.font = '12px system-ui, sans-serif';
  const axis = chart.plot.axes[1];
  return axis._size - axis.gap - Math.max(...axis._values.map(label => pen.measureText(label).width));
})()";
