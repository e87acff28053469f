//! What a Flink cluster is to be like.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};

use super::Flink;
use super::configuration::{Configuration, Election, Memory};
use super::logs::Logs;
use super::process::{Common, JobManager};
use super::rest::Rest;
use super::software::{self, FlinkVersion};
use super::submission::Submission;
use crate::MinIo;
use crate::handle::placed;
use crate::port::Port;
use crate::server::{Home, Server};

/// What a [`Flink`] is to be like.
#[derive(Debug)]
pub struct FlinkBuilder {
    version: FlinkVersion,
    job_managers: usize,
    task_managers: usize,
    slots: u32,
    election: Option<Election>,
    storage: Option<String>,
    memory: Memory,
    hadoop: bool,
    s3: bool,
    jars: Vec<PathBuf>,
    java_options: Vec<String>,
    settings: Vec<(String, String)>,
    application: Option<Submission>,
    port: Option<u16>,
    home: Option<Home>,
}

impl Default for FlinkBuilder {
    fn default() -> Self {
        Self {
            version: FlinkVersion::default(),
            job_managers: 1,
            task_managers: 1,
            slots: 2,
            election: None,
            storage: None,
            memory: Memory::default(),
            hadoop: false,
            s3: false,
            jars: Vec::new(),
            java_options: Vec::new(),
            settings: Vec::new(),
            application: None,
            port: None,
            home: None,
        }
    }
}

placed!(FlinkBuilder);

impl FlinkBuilder {
    /// Which Flink.
    pub fn version(mut self, version: FlinkVersion) -> Self {
        self.version = version;
        self
    }

    /// How many TaskManagers, each with its [`slots`](Self::slots).
    pub fn task_managers(mut self, number: usize) -> Self {
        self.task_managers = number;
        self
    }

    /// How many slots each TaskManager has; that is `parallelism.default`, too.
    pub fn slots(mut self, number: u32) -> Self {
        self.slots = number;
        self
    }

    /// Several JobManagers, of which the ZooKeeper servers in `quorum` (`127.0.0.1:2181,…`) say who leads.
    pub fn high_availability(mut self, quorum: &str, job_managers: usize) -> Self {
        self.election = Some(Election::ZooKeeper { quorum: quorum.to_owned() });
        self.job_managers = job_managers;
        self
    }

    /// Several JobManagers that elect their leader in Kubernetes. They have the rights of whoever this
    /// client's configuration names.
    pub fn kubernetes_high_availability(mut self, account: &Path, job_managers: usize) -> Self {
        self.election = Some(Election::Kubernetes { account: account.to_owned() });
        self.job_managers = job_managers;
        self
    }

    /// The URL of the folder for checkpoints, savepoints and what high availability stores; a local one if
    /// not said. Single ones can be overridden by a [`setting`](Self::setting).
    pub fn storage(mut self, url: &str) -> Self {
        self.storage = Some(url.trim_end_matches('/').to_owned());
        self
    }

    /// The heap of tasks, in MiB.
    pub fn task_heap(mut self, mib: u32) -> Self {
        self.memory.task_heap = mib;
        self
    }

    /// Memory of tasks outside the heap, in MiB: `taskmanager.memory.task.off-heap.size`.
    pub fn task_off_heap(mut self, mib: u32) -> Self {
        self.memory.task_off_heap = mib;
        self
    }

    /// Managed memory of a TaskManager, in MiB.
    pub fn managed_memory(mut self, mib: u32) -> Self {
        self.memory.managed = mib;
        self
    }

    /// Memory for network buffers of a TaskManager, in MiB.
    pub fn network_memory(mut self, mib: u32) -> Self {
        self.memory.network = mib;
        self
    }

    /// The heap of a JobManager, in MiB.
    pub fn job_manager_heap(mut self, mib: u32) -> Self {
        self.memory.job_manager_heap = mib;
        self
    }

    /// A key of Flink's configuration, over the test kit's own, for all processes.
    pub fn setting(mut self, key: &str, value: impl Into<String>) -> Self {
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    /// An option of all JVMs, such as `-Dx=y`.
    pub fn java_option(mut self, option: &str) -> Self {
        self.java_options.push(option.to_owned());
        self
    }

    /// A jar on the class path of all processes, as if it were in Flink's `lib`.
    pub fn jar(mut self, jar: &Path) -> Self {
        self.jars.push(jar.to_owned());
        self
    }

    /// Hadoop's clients on the class path, for `hdfs://` URLs.
    pub fn with_hadoop(mut self) -> Self {
        self.hadoop = true;
        self
    }

    /// Flink's S3 plugin, for `s3://` URLs of buckets on `server`.
    pub fn with_s3_plugin(mut self, server: &MinIo) -> Self {
        self.s3 = true;
        self.setting("s3.endpoint", server.endpoint())
            .setting("s3.path.style.access", "true")
            .setting("s3.access-key", server.access_key())
            .setting("s3.secret-key", server.secret_key())
    }

    /// An application cluster: the JobManager runs this jar's main method itself, and ends with its job.
    pub fn application(mut self, submission: Submission) -> Self {
        self.application = Some(submission);
        self
    }

    /// Starts it and waits until a JobManager leads and knows all TaskManagers.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start(mut self) -> Result<Flink> {
        let one = self.job_managers == 1 || self.election.is_some() && self.job_managers > 0;
        ensure!(one, "several JobManagers need an election: see high_availability()");
        let home = self.home.take().map_or_else(|| Home::temporary("flink"), Ok)?;
        let configuration = self.configuration(home.dir());
        let (slots, task_managers) = (self.slots, self.task_managers);
        let place = |name: &str| home.another("flink", name);
        let job_managers = (0..self.job_managers)
            .map(|number| job_manager(number, self.port, &place))
            .collect::<Result<Vec<_>>>()?;
        let task_managers_at = (0..task_managers)
            .map(|number| format!("taskmanager-{number}"))
            .map(|name| Ok((place(&name)?, name)))
            .collect::<Result<Vec<_>>>()?;
        let application = self.application.is_some();
        let common = self.common(home.dir(), configuration)?;
        let logs = logs(&job_managers, &task_managers_at);
        let ports: Vec<u16> = job_managers.iter().map(|it| it.rest.number()).collect();
        let rpc = job_managers[0].rpc.number();
        client_configuration(&common, home.dir(), ports[0])?;
        let started = start_all(&common, job_managers, task_managers_at, rpc);
        let (job_managers, task_managers_started) = started.map_err(|error| error.context(logs.keep()))?;
        let rest = Arc::new(Rest::new(ports.clone(), logs.clone()));
        let flink =
            Flink { common, job_managers, task_managers: task_managers_started, rest, ports, logs, home };
        if !application {
            flink.wait_for_slots(u64::from(slots) * u64::try_from(task_managers)?)?;
        }
        Ok(flink)
    }

    fn configuration(&self, dir: &Path) -> Configuration {
        let mut configuration = Configuration::usual(self.slots, self.memory);
        let storage = self.storage.clone().unwrap_or_else(|| format!("file://{}", dir.display()));
        configuration.set("execution.checkpointing.dir", format!("{storage}/checkpoints"));
        configuration.set("execution.checkpointing.savepoint-dir", format!("{storage}/savepoints"));
        if let Some(election) = &self.election {
            configuration.high_availability(election, &storage);
        }
        for (key, value) in &self.settings {
            configuration.set(key, value.as_str());
        }
        configuration
    }

    fn common(self, dir: &Path, configuration: Configuration) -> Result<Common> {
        let mut jars = self.jars;
        if self.hadoop {
            jars.push(software::hadoop()?.join("*"));
        }
        let software = self.version.software()?;
        let plugins = dir.join("plugins");
        link_plugins(self.version, &software, self.s3, &plugins)?;
        Ok(Common {
            version: self.version,
            software,
            plugins,
            jars,
            memory: self.memory,
            java_options: self.java_options,
            configuration,
            application: self.application,
        })
    }
}

fn job_manager(
    number: usize,
    port: Option<u16>,
    place: &impl Fn(&str) -> Result<Home>,
) -> Result<JobManager> {
    let name = format!("jobmanager-{number}");
    let rest = Port::exactly_or_free(port.filter(|_| number == 0))?;
    Ok(JobManager { home: place(&name)?, name, rest, rpc: Port::reserve()?, blob: Port::reserve()? })
}

fn logs(job_managers: &[JobManager], task_managers: &[(Home, String)]) -> Logs {
    let job_managers = job_managers.iter().map(|it| (&it.name, &it.home));
    let all = job_managers.chain(task_managers.iter().map(|(home, name)| (name, home)));
    Logs::new(all.map(|(name, home)| (name.clone(), home.dir().join("server.log"))).collect())
}

fn client_configuration(common: &Common, dir: &Path, port: u16) -> Result<()> {
    let mut configuration = common.configuration.clone();
    configuration.set("rest.port", port.to_string());
    configuration.set("execution.target", "remote");
    configuration.write(&dir.join("conf"))
}

/// A directory of plugins, of which each is a link to where it was fetched to.
fn link_plugins(version: FlinkVersion, software: &Path, s3: bool, target: &Path) -> Result<()> {
    let mut plugins = Vec::new();
    for entry in fs::read_dir(software.join("plugins"))? {
        plugins.push(entry?.path());
    }
    if s3 {
        plugins.push(version.s3_plugin()?);
    }
    fs::create_dir_all(target).with_context(|| format!("cannot create {}", target.display()))?;
    for plugin in plugins.iter().filter(|plugin| plugin.is_dir()) {
        let link = target.join(plugin.file_name().unwrap_or_default());
        let _ = fs::remove_file(&link); // of an earlier cluster in a lasting home
        symlink(plugin, &link).with_context(|| format!("cannot link {}", link.display()))?;
    }
    Ok(())
}

/// All at once: TaskManagers wait for the JobManager anyhow.
fn start_all(
    common: &Common,
    job_managers: Vec<JobManager>,
    task_managers: Vec<(Home, String)>,
    rpc: u16,
) -> Result<(Vec<Server>, Vec<Server>)> {
    thread::scope(|scope| {
        let spawn_job_manager = |it| scope.spawn(move || common.start_job_manager(it));
        let job_managers: Vec<_> = job_managers.into_iter().map(spawn_job_manager).collect();
        let spawn_task_manager =
            |(home, name): (Home, String)| scope.spawn(move || common.start_task_manager(&name, home, rpc));
        let task_managers: Vec<_> = task_managers.into_iter().map(spawn_task_manager).collect();
        let join = |threads: Vec<thread::ScopedJoinHandle<'_, Result<Server>>>| {
            let ended = threads.into_iter().map(|it| it.join().map_err(|_| anyhow!("a start panicked"))?);
            ended.collect::<Result<Vec<_>>>().context("the cluster does not start")
        };
        Ok((join(job_managers)?, join(task_managers)?))
    })
}
