//! Which node is asked next.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use millstream_stage::time::Nanos;
use reqwest::Url;

/// A node that failed is asked only if no other can be, for so long.
const LEFT_OUT: Nanos = 10_000_000_000;

/// The nodes of a cluster, asked in turn.
#[derive(Debug)]
pub(crate) struct Hosts {
    hosts: Vec<Host>,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Host {
    // Without a slash at its end.
    base: String,
    url: Url,
    left_out_until: AtomicU64,
}

impl Hosts {
    pub(crate) fn new(urls: Vec<Url>) -> Self {
        let host = |url: Url| Host {
            base: url.as_str().trim_end_matches('/').to_owned(),
            url,
            left_out_until: AtomicU64::new(0),
        };
        Self { hosts: urls.into_iter().map(host).collect(), turn: AtomicUsize::new(0) }
    }

    /// All nodes in the order in which to try them: the healthy ones, beginning with another one each time,
    /// then the rest.
    pub(crate) fn order(&self, now: Nanos) -> Vec<usize> {
        let first = self.turn.fetch_add(1, Relaxed);
        let all = (0..self.hosts.len()).map(|offset| (first.wrapping_add(offset)) % self.hosts.len());
        let (mut healthy, failed): (Vec<_>, Vec<_>) =
            all.partition(|host| self.hosts[*host].left_out_until.load(Relaxed) <= now);
        healthy.extend(failed);
        healthy
    }

    /// The node's URL, without a slash at its end.
    pub(crate) fn base(&self, host: usize) -> &str {
        &self.hosts[host].base
    }

    /// All nodes, as text and in parts.
    pub(crate) fn urls(&self) -> impl Iterator<Item = (&str, &Url)> {
        self.hosts.iter().map(|host| (host.base.as_str(), &host.url))
    }

    /// The node did not answer, or not as it should.
    pub(crate) fn failed(&self, host: usize, now: Nanos) {
        self.hosts[host].left_out_until.store(now + LEFT_OUT, Relaxed);
    }

    /// The node answers.
    pub(crate) fn answered(&self, host: usize) {
        self.hosts[host].left_out_until.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(
            ["http://a:1/", "http://b:1/es/", "http://c:1"].map(|url| Url::parse(url).unwrap()).to_vec(),
        )
    }

    #[test]
    fn healthy_nodes_take_turns() {
        let hosts = hosts();
        assert_eq!((hosts.base(0), hosts.base(1)), ("http://a:1", "http://b:1/es"));
        assert_eq!(
            (hosts.order(0), hosts.order(0), hosts.order(0)),
            (vec![0, 1, 2], vec![1, 2, 0], vec![2, 0, 1])
        );
    }

    #[test]
    fn a_failed_node_comes_last_for_a_while() {
        let hosts = hosts();
        hosts.failed(1, 5);
        assert!((0..6).all(|_| hosts.order(6).last() == Some(&1)));
        assert!((0..3).any(|_| hosts.order(5 + LEFT_OUT)[0] == 1));
        hosts.answered(1);
        assert!((0..3).any(|_| hosts.order(6)[0] == 1));
    }
}
