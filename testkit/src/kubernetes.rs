//! Kubernetes: an API server with etcd, to try manifests and leader elections on. No pod runs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rcgen::KeyPair;
use serde_json::json;

use crate::go::Repository;
use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};
use crate::tls::Certificate;
use crate::{cache, fetch, wait};

/// The module is 1.36.3, and those that it is made of are 0.36.3.
const VERSION: &str = "36.3";

/// The first release of Flink's operator whose resource types are to be had; it does not name Flink 2.
const FLINK_OPERATOR: &str = "1.10.0";

/// A token of the administrator's: the server listens on loopback only, and lives as long as a test.
const ADMINISTRATOR: &str = "millstream";

const PATIENCE: Duration = Duration::from_secs(120);

/// An API server.
#[derive(Debug)]
pub struct Kubernetes {
    software: PathBuf,
    url: String,
    administrator: PathBuf,
    _api: Server,
    // Ends after the API server.
    _etcd: Server,
}

impl Kubernetes {
    /// Starts an API server of one's own, with roles and without controllers: 5 s.
    ///
    /// # Errors
    /// If it cannot be built or does not start.
    pub fn start() -> Result<Self> {
        let software = Self::software()?;
        let (etcd, etcd_port) = etcd()?;
        let home = Home::temporary("kubernetes")?;
        let dir = home.dir().to_owned();
        let certificate = Certificate::create(&dir)?;
        fs::write(dir.join("tokens.csv"), format!("{ADMINISTRATOR},admin,admin,system:masters\n"))?;
        let key = KeyPair::generate()?;
        fs::write(dir.join("accounts.key"), key.serialize_pem())?;
        fs::write(dir.join("accounts.pub"), key.public_key_pem())?;
        let port = Port::reserve()?;
        let url = format!("https://127.0.0.1:{}", port.number());
        let administrator = dir.join("administrator.yaml");
        fs::write(&administrator, kubeconfig(&url, &certificate.ca, ADMINISTRATOR))?;
        let command = api_server(&software, &dir, port.number(), etcd_port, &certificate);
        let launch =
            launch("Kubernetes' API server", command, &dir, Ready::Log("Serving securely on 127.0.0.1"));
        let api = Server::start(launch, home, vec![port])?;
        let kubernetes = Self { software, url, administrator, _api: api, _etcd: etcd };
        let ready = || kubernetes.kubectl(&["get", "--raw", "/readyz"]).is_ok();
        ensure!(wait::until(PATIENCE, ready), "Kubernetes' API server listens, but does not become ready");
        Ok(kubernetes)
    }

    /// Builds the software, if that has not been done, and returns the directory with its programs.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn software() -> Result<PathBuf> {
        cache::once(&cache::dir()?, &format!("kubernetes-1.{VERSION}"), |target| {
            fetch::say("building Kubernetes' API server from its Go modules: this takes 10 minutes, once");
            let (major, minor) = ("1", VERSION.split('.').next().unwrap_or(VERSION));
            let package = "k8s.io/component-base/version";
            let repository = Repository {
                module: format!("k8s.io/kubernetes@v1.{VERSION}"),
                parts: format!("v0.{VERSION}"),
                linker_flags: format!(
                    "-s -w -X {package}.gitVersion=v1.{VERSION} -X {package}.gitMajor={major} \
                     -X {package}.gitMinor={minor}"
                ),
            };
            repository.build(&["kube-apiserver", "kubectl"], target)
        })
    }

    /// The configuration of clients that may do everything.
    pub fn administrator(&self) -> &Path {
        &self.administrator
    }

    /// Runs `kubectl` as the administrator and returns what it prints.
    ///
    /// # Errors
    /// If it fails; the message has what it says.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.software.join("kubectl"));
        command.arg("--kubeconfig").arg(&self.administrator).args(arguments);
        // Discovery is cached there otherwise, by address: ports are used again.
        command.arg("--cache-dir").arg(self.administrator.with_file_name("discovery"));
        let output = command.output().context("cannot run kubectl")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), errors.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The configuration of clients that have the rights of a service account of the default namespace.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn account(&self, name: &str) -> Result<PathBuf> {
        let token = self.kubectl(&["create", "token", name, "--duration", "1h"])?;
        let config = self.administrator.with_file_name(format!("{name}.yaml"));
        let authority = self.administrator.with_file_name("ca.pem");
        fs::write(&config, kubeconfig(&self.url, &authority, token.trim()))?;
        Ok(config)
    }

    /// Makes the resource types of Flink's operator known, for Flink 2 too.
    ///
    /// # Errors
    /// If they cannot be fetched, or are refused.
    pub fn add_flink_operator_types(&self) -> Result<()> {
        let artifact = format!("org.apache.flink:flink-kubernetes-operator-api:{FLINK_OPERATOR}:jar");
        let name = format!("flink-operator-types-{FLINK_OPERATOR}");
        let dir = cache::once(&cache::dir()?, &name, |target| fetch::maven_unpack(&artifact, target))?;
        let kind = "flinkdeployments.flink.apache.org";
        let file = dir.join(format!("META-INF/fabric8/{kind}-v1.yml"));
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let newest = text.lines().find(|line| line.trim() == "- v1_20");
        let newest = newest.context("the operator's types do not name Flink 1.20")?;
        let newer = ["v2_0", "v2_1", "v2_2", "v2_3"].map(|version| newest.replace("v1_20", version));
        let patched = self.administrator.with_file_name("flink-operator-types.yaml");
        fs::write(&patched, text.replacen(newest, &format!("{newest}\n{}", newer.join("\n")), 1))?;
        self.kubectl(&["create", "-f", &patched.display().to_string()])?;
        let served = || self.kubectl(&["get", kind]).is_ok();
        ensure!(wait::until(PATIENCE, served), "Kubernetes does not serve {kind}");
        Ok(())
    }
}

fn etcd() -> Result<(Server, u16)> {
    let program = fetch::apt("etcd", "etcd-server")?;
    let (home, clients, peers) = (Home::temporary("etcd")?, Port::reserve()?, Port::reserve()?);
    let (dir, port) = (home.dir().to_owned(), clients.number());
    let (client_url, peer_url) =
        (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", peers.number()));
    let options = [
        ("--name", "test"),
        ("--data-dir", "data"),
        ("--listen-client-urls", &client_url),
        ("--advertise-client-urls", &client_url),
        ("--listen-peer-urls", &peer_url),
        ("--initial-advertise-peer-urls", &peer_url),
        ("--initial-cluster", &format!("test={peer_url}")),
        ("--log-level", "warn"),
        ("--logger", "zap"),
    ];
    let mut command: Vec<OsString> = vec![program.into()];
    command.extend(options.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
    let ready = Ready::Http { port, path: "/health", login: None };
    Ok((Server::start(launch("etcd", command, &dir, ready), home, vec![clients, peers])?, port))
}

fn api_server(software: &Path, dir: &Path, port: u16, etcd: u16, certificate: &Certificate) -> Vec<OsString> {
    let issuer = "https://kubernetes.default.svc";
    let (etcd, port) = (format!("http://127.0.0.1:{etcd}"), port.to_string());
    let words = [
        ("bind-address", "127.0.0.1"),
        ("advertise-address", "127.0.0.1"),
        ("secure-port", &port),
        ("etcd-servers", &etcd),
        ("token-auth-file", "tokens.csv"),
        ("authorization-mode", "RBAC"),
        ("service-account-issuer", issuer),
        ("api-audiences", issuer),
        ("service-cluster-ip-range", "10.0.0.0/24"),
        ("endpoint-reconciler-type", "none"),
    ];
    let files = [
        ("tls-cert-file", certificate.cert.clone()),
        ("tls-private-key-file", certificate.key.clone()),
        ("service-account-key-file", dir.join("accounts.pub")),
        ("service-account-signing-key-file", dir.join("accounts.key")),
    ];
    let mut command: Vec<OsString> = vec![software.join("kube-apiserver").into()];
    command.extend(words.map(|(name, value)| format!("--{name}={value}").into()));
    command.extend(files.map(|(name, value)| format!("--{name}={}", value.display()).into()));
    command
}

fn launch(name: &str, command: Vec<OsString>, dir: &Path, ready: Ready) -> Launch {
    Launch {
        name: name.to_owned(),
        command,
        env: Vec::new(),
        dir: dir.to_owned(),
        refuses_root: false,
        ready,
        patience: PATIENCE,
    }
}

/// JSON is YAML.
fn kubeconfig(url: &str, authority: &Path, token: &str) -> String {
    let named = |kind: &str, value| json!([{"name": "test", kind: value}]);
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": named("cluster", json!({"server": url, "certificate-authority": authority})),
        "users": named("user", json!({"token": token})),
        "contexts": named("context", json!({"cluster": "test", "user": "test", "namespace": "default"})),
        "current-context": "test",
    })
    .to_string()
}
