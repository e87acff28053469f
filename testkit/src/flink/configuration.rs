//! Flink's configuration, and the memory of its processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::name::unique_name;

/// Keys and values of `config.yaml`; a later value overrides an earlier one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configuration(BTreeMap<String, String>);

/// Who says which of several JobManagers leads.
#[derive(Clone, Debug)]
pub(crate) enum Election {
    ZooKeeper {
        quorum: String,
    },
    Kubernetes {
        /// The configuration of a client with the rights of the JobManagers.
        account: PathBuf,
    },
}

/// Sizes in MiB. They are given to Flink one by one, so that nothing is derived from a total.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) job_manager_heap: u32,
    pub(crate) task_heap: u32,
    pub(crate) task_off_heap: u32,
    pub(crate) managed: u32,
    pub(crate) network: u32,
}

const FRAMEWORK_HEAP: u32 = 128;
const FRAMEWORK_OFF_HEAP: u32 = 128;
const METASPACE: u32 = 256;
const OVERHEAD: u32 = 192;

/// The log goes to standard output.
pub(crate) const LOG4J: &str = "\
status=warn
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1} %m%n
rootLogger.level=info
rootLogger.appenderRef.c.ref=C
logger.pekko.name=org.apache.pekko
logger.pekko.level=warn
logger.zookeeper.name=org.apache.flink.shaded.zookeeper3
logger.zookeeper.level=warn
";

impl Default for Memory {
    fn default() -> Self {
        Self { job_manager_heap: 384, task_heap: 384, task_off_heap: 64, managed: 64, network: 64 }
    }
}

impl Memory {
    /// Flags of the JVM of a JobManager.
    pub(crate) fn job_manager_flags(self) -> Vec<String> {
        // Small and quick to start: it moves no records.
        let quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"].map(str::to_owned);
        let sizes = [format!("-Xmx{}m", self.job_manager_heap), format!("-XX:MaxMetaspaceSize={METASPACE}m")];
        [quick, sizes].concat()
    }

    /// Flags of the JVM of a TaskManager.
    pub(crate) fn task_manager_flags(self) -> Vec<String> {
        let heap = FRAMEWORK_HEAP + self.task_heap;
        let direct = FRAMEWORK_OFF_HEAP + self.task_off_heap + self.network;
        vec![
            format!("-Xmx{heap}m"),
            format!("-XX:MaxDirectMemorySize={direct}m"),
            format!("-XX:MaxMetaspaceSize={METASPACE}m"),
        ]
    }

    fn keys(self) -> [(&'static str, u32); 10] {
        [
            ("framework.heap.size", FRAMEWORK_HEAP),
            ("framework.off-heap.size", FRAMEWORK_OFF_HEAP),
            ("task.heap.size", self.task_heap),
            ("task.off-heap.size", self.task_off_heap),
            ("managed.size", self.managed),
            ("network.min", self.network),
            ("network.max", self.network),
            ("jvm-metaspace.size", METASPACE),
            ("jvm-overhead.min", OVERHEAD),
            ("jvm-overhead.max", OVERHEAD),
        ]
    }
}

impl Configuration {
    /// What every test cluster has. Flink's defaults wait 50 s for a dead process and a minute for a dead
    /// session with ZooKeeper.
    pub(crate) fn usual(slots: u32, memory: Memory) -> Self {
        let mut configuration = Self::default();
        let keys = [
            ("jobmanager.rpc.address", "127.0.0.1"),
            ("jobmanager.bind-host", "127.0.0.1"),
            ("rest.address", "127.0.0.1"),
            ("rest.bind-address", "127.0.0.1"),
            ("taskmanager.host", "127.0.0.1"),
            ("taskmanager.bind-host", "127.0.0.1"),
            ("heartbeat.interval", "1000"),
            ("heartbeat.timeout", "5000"),
            ("rest.flamegraph.enabled", "false"),
            ("restart-strategy.type", "fixed-delay"),
            ("restart-strategy.fixed-delay.attempts", "100"),
            ("restart-strategy.fixed-delay.delay", "500 ms"),
            ("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION"),
            ("metrics.fetcher.update-interval", "500"),
            ("web.refresh-interval", "500"),
        ];
        for (key, value) in keys {
            configuration.set(key, value);
        }
        configuration.set("taskmanager.numberOfTaskSlots", slots.to_string());
        configuration.set("taskmanager.cpu.cores", slots.to_string());
        configuration.set("parallelism.default", slots.to_string());
        for (key, size) in memory.keys() {
            configuration.set(&format!("taskmanager.memory.{key}"), format!("{size}m"));
        }
        configuration
    }

    /// Several JobManagers, of which one is elected.
    pub(crate) fn high_availability(&mut self, election: &Election, storage: &str) {
        self.set("high-availability.storageDir", format!("{storage}/high-availability"));
        // Otherwise the standby runs a bounded job of an application cluster once more when it takes over.
        self.set("job-result-store.delete-on-commit", "false");
        let cluster = unique_name("cluster");
        match election {
            Election::ZooKeeper { quorum } => self.zookeeper(quorum, &cluster),
            Election::Kubernetes { account } => self.kubernetes(account, &cluster),
        }
    }

    fn zookeeper(&mut self, quorum: &str, cluster: &str) {
        self.set("high-availability.type", "zookeeper");
        self.set("high-availability.cluster-id", format!("/{cluster}"));
        let keys = [
            ("quorum", quorum),
            ("path.root", "/flink"),
            ("client.session-timeout", "6000"),
            ("client.connection-timeout", "3000"),
            ("client.retry-wait", "500"),
        ];
        for (key, value) in keys {
            self.set(&format!("high-availability.zookeeper.{key}"), value);
        }
    }

    fn kubernetes(&mut self, account: &Path, cluster: &str) {
        self.set("high-availability.type", "kubernetes");
        self.set("kubernetes.cluster-id", cluster);
        self.set("kubernetes.config.file", account.display().to_string());
        let keys = [("lease-duration", "5 s"), ("renew-deadline", "4 s"), ("retry-period", "500 ms")];
        for (key, value) in keys {
            self.set(&format!("high-availability.kubernetes.leader-election.{key}"), value);
        }
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Writes `config.yaml` and the configuration of the log to `dir`.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir)?;
        fs::write(dir.join("config.yaml"), self.yaml())?;
        Ok(fs::write(dir.join("log4j.properties"), LOG4J)?)
    }

    // JSON strings are YAML.
    fn yaml(&self) -> String {
        self.0
            .iter()
            .map(|(key, value)| format!("{key}: {}\n", serde_json::Value::from(value.as_str())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_overrides_and_values_are_quoted() {
        let mut configuration = Configuration::default();
        configuration.set("b", "1");
        configuration.set("a", r#"x: "y""#);
        configuration.set("b", "2 s");
        assert_eq!(configuration.yaml(), "a: \"x: \\\"y\\\"\"\nb: \"2 s\"\n");
    }

    #[test]
    fn the_jvm_gets_what_flink_is_told() {
        let memory = Memory { task_heap: 100, task_off_heap: 200, network: 50, ..Memory::default() };
        let flags = memory.task_manager_flags().join(" ");
        assert!(flags.starts_with("-Xmx228m -XX:MaxDirectMemorySize=378m"), "{flags}");
    }
}
