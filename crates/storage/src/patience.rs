//! Repeats an attempt until it succeeds, cannot succeed, or patience ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::backoff::Backoff;
use millstream_stage::chance::Chance;

use super::StorageOptions;
use super::reports::Watch;
use super::store::{StorageFailure, StorageResult};

/// What even a slow store moves within the time-out.
const LARGE: u64 = 64 << 20;
/// What even a slow store moves at once.
const SMALL: u64 = 64 << 10;

/// After this time without an answer to a request that moves little, the storage is said to be silent.
const SILENT: Duration = Duration::from_secs(5);

/// Time-out and repetitions of every call.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    timeout: Duration,
    retries: u32,
    first: Duration,
    cap: Duration,
    /// Whether so little is moved that even a slow storage answers soon.
    small: bool,
    watch: Option<Arc<Watch>>,
    chance: Chance,
}

impl Patience {
    pub(super) fn new(options: &StorageOptions, url: &str) -> Self {
        Self {
            timeout: options.timeout,
            retries: options.max_retries,
            first: options.retry_delay,
            cap: options.retry_max_delay,
            small: false,
            watch: options.reports.watch(url).map(Arc::new),
            chance: options.chance.clone(),
        }
    }

    /// Where names and waits get their randomness from.
    pub(super) fn chance(&self) -> &Chance {
        &self.chance
    }

    /// The same with more time for an attempt that moves many bytes: the time-out for each 64 MB begun.
    pub(super) fn for_bytes(&self, bytes: u64) -> Self {
        let times = u32::try_from(bytes / LARGE).unwrap_or(u32::MAX).saturating_add(1);
        Self { timeout: self.timeout.saturating_mul(times), small: bytes <= SMALL, ..self.clone() }
    }

    /// The first success, or the last failure; each attempt within the time-out.
    pub(super) async fn attempts<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = StorageResult<T>>,
    {
        self.repeated(|| self.within(attempt())).await
    }

    /// The first success, or the last failure, of attempts that mind the time-out themselves.
    pub(super) async fn repeated<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = StorageResult<T>>,
    {
        let mut backoff = Backoff::new(self.first, self.cap, self.chance.bits());
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match attempt().await {
                Ok(value) => {
                    self.watch.iter().for_each(|watch| watch.recovered());
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            self.watch.iter().for_each(|watch| watch.failed(&failure));
            if !failure.may_pass() || tries > self.retries {
                return Err(after(tries, failure));
            }
            let delay = backoff.delay(tries);
            tracing::debug!(tries, ?delay, cause = failure.chain(), "a storage request is tried again");
            tokio::time::sleep(delay).await;
        }
    }

    /// One attempt, cut off after the time-out.
    pub(super) async fn within<T>(
        &self,
        attempt: impl Future<Output = StorageResult<T>>,
    ) -> StorageResult<T> {
        match tokio::time::timeout(self.timeout, self.said_if_silent(attempt)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(StorageFailure::passing(Error::retry(format!("no answer within {:?}", self.timeout))))
            }
        }
    }

    /// The attempt; a storage that does not answer it soon is said to be silent, long before the time-out.
    async fn said_if_silent<T>(&self, attempt: impl Future<Output = StorageResult<T>>) -> StorageResult<T> {
        let Some(watch) = self.watch.as_ref().filter(|_| self.small && SILENT < self.timeout) else {
            return attempt.await;
        };
        let mut attempt = pin!(attempt);
        match tokio::time::timeout(SILENT, attempt.as_mut()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                watch.waits(format_args!("no answer within {SILENT:?} yet"));
                attempt.await
            }
        }
    }
}

fn after(tries: u32, failure: StorageFailure) -> Error {
    let error = failure.into_error();
    if tries > 1 { error.in_context(format_args!("{tries} attempts failed, lastly")) } else { error }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use millstream_record::ErrorKind;

    use super::*;

    fn patience(retries: u32) -> Patience {
        let millis = Duration::from_millis;
        let (first, cap, chance) = (millis(1), millis(2), Chance::seeded(1));
        Patience { timeout: millis(20), retries, first, cap, small: false, watch: None, chance }
    }

    async fn tried(retries: u32, outcome: impl Fn(u32) -> StorageResult<u32>) -> (Result<u32>, u32) {
        let calls = AtomicU32::new(0);
        let attempt = || std::future::ready(outcome(calls.fetch_add(1, Ordering::Relaxed) + 1));
        let result = patience(retries).attempts(attempt).await;
        (result, calls.into_inner())
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_again_up_to_the_limit() {
        let away = || StorageFailure::passing(Error::retry("connection refused"));
        let (result, calls) = tried(5, |call| if call < 3 { Err(away()) } else { Ok(call) }).await;
        assert_eq!((result.unwrap(), calls), (3, 3));
        let (result, calls) = tried(2, |_| Err(away())).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), calls), (ErrorKind::Retry, 3));
        assert!(error.chain().contains("3 attempts failed, lastly: connection refused"), "{}", error.chain());
    }

    #[tokio::test]
    async fn what_cannot_pass_is_not() {
        let (result, calls) =
            tried(5, |_| Err(StorageFailure::lasting(Error::configuration("no such bucket")))).await;
        assert_eq!((result.unwrap_err().kind(), calls), (ErrorKind::Configuration, 1));
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_counts_as_away() {
        let error = patience(1).attempts(std::future::pending::<StorageResult<()>>).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retry);
        assert!(error.to_string().contains("no answer within 20ms"), "{error}");
    }
}
