//! The parts of a test run, in the order in which they run.

use anyhow::Result;
use clap::ValueEnum;
use millstream_testkit::{Chromium, FlinkVersion, Hdfs, Kubernetes, MinIo, Yarn};

/// A part; the cheap ones come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// rustfmt
    Format,
    /// clippy, warnings denied
    Clippy,
    /// Unit, rig, golden and property tests: no server
    Unit,
    /// Examples in the documentation
    Doctests,
    /// Connectors against real servers
    Connectors,
    /// The application against real servers
    Apps,
    /// Its page in a real browser
    Browser,
    /// Pipelines in real Flink clusters
    Flink,
}

impl Part {
    /// All parts, or only those asked for, in order.
    pub(super) fn chosen(only: &[Self]) -> impl Iterator<Item = Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(move |part| only.is_empty() || only.contains(part))
    }

    /// What messages call it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Clippy => "clippy",
            Self::Unit => "unit, rig and property tests",
            Self::Doctests => "doctests",
            Self::Connectors => "connectors, real servers",
            Self::Apps => "application, real servers",
            Self::Browser => "browser",
            Self::Flink => "Flink clusters",
        }
    }

    /// The part of a test program, by its package's directory and its own name.
    pub(super) fn of(package: &str, program: &str) -> Self {
        match package.split('/').next() {
            _ if program.contains("browser") => Self::Browser,
            _ if package == "flink/golden" || program.starts_with("flink") => Self::Flink,
            // Storage on real servers, which the tests start themselves.
            _ if package == "crates/checkpoint" && (program.contains("s3") || program.contains("hdfs")) => {
                Self::Connectors
            }
            // The real `flink` command.
            Some("crates") if package == "crates/server" && program == "rest" => Self::Connectors,
            Some("connectors" | "testkit") => Self::Connectors,
            Some("apps") => Self::Apps,
            _ => Self::Unit,
        }
    }

    /// Whether Kafka, Elasticsearch and Redis must run.
    pub(super) fn needs_servers(self) -> bool {
        matches!(self, Self::Connectors | Self::Apps | Self::Browser)
    }

    /// Installs what it needs, so that no test's time limit includes a download.
    pub(super) fn prepare(self) -> Result<()> {
        if self == Self::Browser {
            Chromium::executable()?;
        }
        if self == Self::Connectors {
            MinIo::executable()?;
            Hdfs::software()?;
        }
        if self == Self::Flink {
            FlinkVersion::default().software()?;
            Kubernetes::software()?;
            Yarn::software()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_belong_to_parts_by_where_they_are() {
        assert_eq!(Part::of("crates/stage", "millstream_stage"), Part::Unit);
        assert_eq!(Part::of("connectors/kafka", "restart"), Part::Connectors);
        assert_eq!(Part::of("apps/clickstream", "main_job"), Part::Apps);
        assert_eq!(Part::of("apps/clickstream", "browser"), Part::Browser);
        assert_eq!(Part::of("crates/checkpoint", "store_s3"), Part::Connectors);
        assert_eq!(Part::of("crates/checkpoint", "file"), Part::Unit);
        assert_eq!(Part::of("flink/golden", "flink"), Part::Flink);
        assert_eq!(Part::of("apps/clickstream-flink", "flink_drill"), Part::Flink);
        assert_eq!(Part::of("testkit", "flink_versions"), Part::Flink);
        assert_eq!(Part::of("crates/flink", "millstream_flink"), Part::Unit);
        assert_eq!(Part::of("xtask", "xtask"), Part::Unit);
    }

    #[test]
    fn chosen_parts_keep_their_order() {
        let chosen: Vec<Part> = Part::chosen(&[Part::Apps, Part::Unit]).collect();
        assert_eq!(chosen, [Part::Unit, Part::Apps]);
        assert_eq!(Part::chosen(&[]).count(), 8);
    }
}
