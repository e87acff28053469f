//! The server as a browser and Prometheus see it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use millstream_server::{Live, Page, Server, ServerOptions};
use millstream_stage::metrics::{JobMetrics, SubtaskMetrics};

const PAGE: Page = Page { path: "/", content_type: "text/html", content: "<h1>clicks</h1>" };

fn options(bind_address: &str, password: Option<&str>) -> ServerOptions {
    ServerOptions { bind_address: bind_address.into(), port: 0, password: password.map(Into::into) }
}

fn start(options: &ServerOptions, live: &Live) -> Server {
    let metrics = JobMetrics {
        job: "clicks".into(),
        subtasks: vec![Arc::new(SubtaskMetrics::new("count", 0))],
        ..JobMetrics::default()
    };
    let operator = metrics.subtasks[0].operator("say \"hi\"");
    operator.records_in.add(7);
    operator.latency.record(2_000_000, 3);
    Server::start(options, Arc::new(metrics), &[PAGE], live.clone()).expect("the address is free")
}

/// Sends a request and gives back what can be read of the answer.
fn request(address: SocketAddr, path: &str, login: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n{login}\r\n").expect("the server reads");
    stream
}

fn answer(address: SocketAddr, path: &str, login: &str) -> String {
    let mut text = String::new();
    request(address, path, login).read_to_string(&mut text).expect("the server answers in text");
    text
}

#[test]
fn the_page_the_metrics_and_what_is_pushed() {
    let live = Live::default();
    let server = start(&options("127.0.0.1", None), &live);
    let page = answer(server.address(), "/", "");
    assert!(page.contains("content-type: text/html") && page.ends_with(PAGE.content), "{page}");
    let metrics = answer(server.address(), "/metrics", "");
    let labels = r#"{job_name="clicks",task_name="count",subtask_index="0",operator_name="say \"hi\""}"#;
    assert!(
        metrics.contains(&format!("flink_taskmanager_job_task_operator_numRecordsIn{labels} 7")),
        "{metrics}"
    );
    assert!(metrics.contains("quantile=\"0.99\"} 0.0020"), "{metrics}");
    live.publish(&serde_json::json!({"events": 1}));
    let mut lines = BufReader::new(request(server.address(), "/live", "")).lines();
    assert!(lines.any(|line| line.unwrap() == r#"data: {"events":1}"#));
    live.publish(&serde_json::json!({"events": 2}));
    assert!(lines.any(|line| line.unwrap() == r#"data: {"events":2}"#));
    live.publish(&serde_json::json!({"events": 3}));
    drop(server);
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(rest.contains(&r#"data: {"events":3}"#.to_owned()), "the page has missed the end: {rest:?}");
}

#[test]
fn beyond_loopback_only_with_the_password() {
    let live = Live::default();
    let metrics = Arc::new(JobMetrics::default());
    let open = Server::start(&options("0.0.0.0", None), metrics, &[PAGE], live.clone());
    assert!(open.unwrap_err().to_string().contains("rest.password-file"));
    let server = start(&options("0.0.0.0", Some("s3cret")), &live);
    let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    // any:wrong and any:s3cret in base64.
    for (login, status) in [("", 401), ("Authorization: Basic YW55Ondyb25n\r\n", 401), (LOGIN, 200)] {
        let answer = answer(address, "/metrics", login);
        assert!(answer.starts_with(&format!("HTTP/1.0 {status}")), "{login}: {answer}");
    }
}

const LOGIN: &str = "Authorization: Basic YW55OnMzY3JldA==\r\n";

#[test]
fn a_port_in_use_is_a_clear_error() {
    let live = Live::default();
    let server = start(&options("127.0.0.1", None), &live);
    let taken = ServerOptions { port: server.address().port(), ..options("127.0.0.1", None) };
    let error = Server::start(&taken, Arc::new(JobMetrics::default()), &[PAGE], live).unwrap_err();
    assert!(error.chain().contains("choose another port"), "{}", error.chain());
}
