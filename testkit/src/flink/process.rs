//! The processes of a Flink cluster: how each is configured and started.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::configuration::{Configuration, Memory};
use super::software::{self, FlinkVersion};
use super::submission::Submission;
use crate::java;
use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};

const PATIENCE: Duration = Duration::from_secs(120);

/// What all processes of a cluster have in common.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) version: FlinkVersion,
    pub(crate) software: PathBuf,
    pub(crate) plugins: PathBuf,
    /// Jars on top of Flink's own on the class path.
    pub(crate) jars: Vec<PathBuf>,
    pub(crate) memory: Memory,
    pub(crate) java_options: Vec<String>,
    pub(crate) configuration: Configuration,
    pub(crate) application: Option<Submission>,
}

/// A JobManager with its ports, before it is started.
pub(crate) struct JobManager {
    pub(crate) name: String,
    pub(crate) home: Home,
    pub(crate) rest: Port,
    pub(crate) rpc: Port,
    pub(crate) blob: Port,
}

impl Common {
    pub(crate) fn start_job_manager(&self, it: JobManager) -> Result<Server> {
        let dir = it.home.dir().to_owned();
        let mut configuration = self.configuration.clone();
        configuration.set("rest.port", it.rest.number().to_string());
        configuration.set("rest.bind-port", it.rest.number().to_string());
        configuration.set("jobmanager.rpc.port", it.rpc.number().to_string());
        configuration.set("high-availability.jobmanager.port", it.rpc.number().to_string());
        configuration.set("blob.server.port", it.blob.number().to_string());
        configuration.set("jobmanager.resource-id", &it.name);
        self.configure(&dir, configuration)?;
        self.place_application(&dir)?;
        let (class, words) = self.entry_point();
        let flags = self.memory.job_manager_flags();
        let ready = Ready::Http { port: it.rest.number(), path: "/overview", login: None };
        let launch = self.launch(&it.name, &dir, &flags, class, &words, ready)?;
        Server::start(launch, it.home, vec![it.rest, it.rpc, it.blob])
    }

    pub(crate) fn start_task_manager(&self, name: &str, home: Home, job_manager: u16) -> Result<Server> {
        let (rpc, data) = (Port::reserve()?, Port::reserve()?);
        let dir = home.dir().to_owned();
        let mut configuration = self.configuration.clone();
        configuration.set("jobmanager.rpc.port", job_manager.to_string());
        configuration.set("taskmanager.rpc.port", rpc.number().to_string());
        configuration.set("taskmanager.data.port", data.number().to_string());
        configuration.set("taskmanager.resource-id", name);
        self.configure(&dir, configuration)?;
        self.place_application(&dir)?;
        let flags = self.memory.task_manager_flags();
        let class = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner";
        let ready = Ready::Log("Successful registration at resource manager");
        let launch = self.launch(name, &dir, &flags, class, &[], ready)?;
        Server::start(launch, home, vec![rpc, data])
    }

    /// A command that runs `class`, to which words are to be added.
    pub(crate) fn command(&self, dir: &Path, flags: &[String], class: &str) -> Result<Vec<OsString>> {
        let mut command: Vec<OsString> = vec![java::program()?.into()];
        command.extend(flags.iter().map(Into::into));
        command.extend(software::opens());
        let mut log4j = OsString::from("-Dlog4j2.configurationFile=");
        log4j.push(dir.join("conf/log4j.properties"));
        let mut path = self.software.join("lib/*").into_os_string();
        for jar in &self.jars {
            path.push(":");
            path.push(jar);
        }
        command.extend([log4j, "-cp".into(), path, class.into()]);
        Ok(command)
    }

    /// The environment variables that Flink's scripts set. Flink looks for the jars of an application beside
    /// its `lib`, in `usrlib`.
    pub(crate) fn env(&self, dir: &Path) -> Vec<(String, OsString)> {
        let set = |name: &str, path: PathBuf| (name.to_owned(), path.into_os_string());
        vec![
            set("FLINK_CONF_DIR", dir.join("conf")),
            set("FLINK_PLUGINS_DIR", self.plugins.clone()),
            set("FLINK_LIB_DIR", dir.join("lib")),
        ]
    }

    fn configure(&self, dir: &Path, mut configuration: Configuration) -> Result<()> {
        for name in ["lib", "tmp"] {
            fs::create_dir_all(dir.join(name))?;
        }
        configuration.set("io.tmp.dirs", dir.join("tmp").display().to_string());
        configuration.set("process.working-dir", dir.join("tmp").display().to_string());
        configuration.write(&dir.join("conf"))
    }

    fn entry_point(&self) -> (&'static str, Vec<String>) {
        match &self.application {
            None => ("org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", Vec::new()),
            Some(application) => {
                let class = "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint";
                (class, application.entry_point_words())
            }
        }
    }

    /// TaskManagers have an application's jar too: it is not sent to them. Its path is taken relative to the
    /// working directory.
    fn place_application(&self, dir: &Path) -> Result<()> {
        let Some(application) = &self.application else {
            return Ok(());
        };
        let (jar, target) = (&application.jar, dir.join("usrlib"));
        fs::create_dir_all(&target)?;
        fs::copy(jar, target.join("application.jar"))
            .with_context(|| format!("cannot copy {}", jar.display()))?;
        Ok(())
    }

    fn launch(
        &self,
        name: &str,
        dir: &Path,
        flags: &[String],
        class: &str,
        words: &[String],
        ready: Ready,
    ) -> Result<Launch> {
        let flags = [flags, &self.java_options].concat();
        let flags = [flags, vec![format!("-Dlog.file={}", dir.join("server.log").display())]].concat();
        let mut command = self.command(dir, &flags, class)?;
        command.extend(["--configDir".into(), dir.join("conf").into_os_string()]);
        command.extend(words.iter().map(Into::into));
        Ok(Launch {
            name: format!("{name} of Flink {}", self.version.number()),
            command,
            env: self.env(dir),
            dir: dir.to_owned(),
            refuses_root: false,
            ready,
            patience: PATIENCE,
        })
    }
}
