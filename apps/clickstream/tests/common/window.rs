//! The page of a running job in a real browser.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use chromiumoxide::{Browser, BrowserConfig, Page};
use futures::StreamExt;
use millstream_testkit::Chromium;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::program::clickstream;

/// A running demo; ended when dropped.
pub struct Demo {
    pub process: Child,
    pub url: String,
}

impl Demo {
    pub fn start(dir: &Path) -> Result<Self> {
        Self::run(dir, &["demo", "--rate", "4000", "--speed", "120", "--port", "0", "--dir", "."])
    }

    pub fn run(dir: &Path, arguments: &[&str]) -> Result<Self> {
        let mut process = clickstream(dir).args(arguments).stderr(Stdio::piped()).spawn()?;
        let said = BufReader::new(process.stderr.take().context("standard error is piped")?);
        let mut lines = said.lines();
        let found = lines.find_map(|line| Some(line.ok()?.strip_prefix("live page: ")?.to_owned()));
        // Goes on reading: a program that cannot write its errors would stand still.
        std::thread::Builder::new().spawn(move || lines.for_each(drop))?;
        Ok(Self { process, url: found.context("the demo says where its page is")? })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A browser.
pub struct Window {
    browser: Browser,
    handler: JoinHandle<()>,
    _profile: TempDir,
}

impl Window {
    pub async fn open() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let (browser, mut events) = Browser::launch(chromium(profile.path())?).await?;
        let handler = tokio::spawn(async move { while events.next().await.is_some() {} });
        Ok(Self { browser, handler, _profile: profile })
    }

    pub async fn page(&self, url: &str) -> Result<Page> {
        Ok(self.browser.new_page(url).await?)
    }

    pub async fn close(&mut self) -> Result<()> {
        self.browser.close().await?;
        self.handler.abort();
        Ok(())
    }
}

fn chromium(profile: &Path) -> Result<BrowserConfig> {
    BrowserConfig::builder()
        .chrome_executable(Chromium::executable()?)
        .user_data_dir(profile)
        .no_sandbox()
        .args(Chromium::ARGUMENTS.map(|argument| argument.trim_start_matches("--")))
        .window_size(1280, 900)
        .build()
        .map_err(anyhow::Error::msg)
}

/// Waits for a condition in JavaScript, for a minute.
pub async fn until(page: &Page, condition: &str) -> Result<()> {
    for _ in 0..240 {
        let holds: bool = page.evaluate(format!("Boolean({condition})")).await?.into_value().unwrap_or(false);
        if holds {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let text = page.evaluate("document.body.innerText").await?;
    anyhow::bail!("not on the page after a minute: {condition}\n{:?}", text.value())
}
