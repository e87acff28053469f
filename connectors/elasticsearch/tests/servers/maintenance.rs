//! What passes when somebody has seen to it: an index that is closed, a limit that is reached, a proxy that
//! answers in the cluster's place.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millstream_elasticsearch::ElasticsearchOptions;
use millstream_record::ErrorKind;
use millstream_sim::DrivenWriter;
use millstream_testkit::Elasticsearch;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Row, check, counted, index, options, rows, values, writer};

// Its settings are changed for all indices, so one test at a time has it.
fn own() -> &'static Mutex<Elasticsearch> {
    static SERVER: OnceLock<Mutex<Elasticsearch>> = OnceLock::new();
    SERVER.get_or_init(|| Mutex::new(Elasticsearch::start().unwrap()))
}

fn quick(url: &str) -> ElasticsearchOptions {
    ElasticsearchOptions { backoff_max_delay: Duration::from_millis(500), ..options(url) }
}

fn settings(cluster: &Cluster, name: &str, value: &Value) {
    cluster.ask(Method::PUT, "/_cluster/settings", &json!({ "persistent": { name: value } }).to_string());
}

#[test]
fn a_check_finds_an_index_or_a_cluster_that_takes_no_documents() {
    let server = own().lock();
    let (cluster, options) = (Cluster::of(&server), options(server.url()));
    type Step = fn(&Cluster, &str);
    let blocks: [(&str, Step, Step); 3] = [
        (
            "is closed",
            |cluster, index| drop(cluster.ask(Method::POST, &format!("/{index}/_close"), "")),
            |cluster, index| drop(cluster.ask(Method::POST, &format!("/{index}/_open"), "")),
        ),
        (
            "index.blocks.write",
            |cluster, index| cluster.set(index, &json!({ "index.blocks.write": true })),
            |cluster, index| cluster.set(index, &json!({ "index.blocks.write": null })),
        ),
        (
            "cluster.blocks.read_only",
            |cluster, _| settings(cluster, "cluster.blocks.read_only", &json!(true)),
            |cluster, _| settings(cluster, "cluster.blocks.read_only", &Value::Null),
        ),
    ];
    let index = index();
    let mut writer = writer(options.clone(), &index);
    writer.write(rows(0..5)).unwrap();
    writer.flush().unwrap();
    for (told, block, free) in blocks {
        block(&cluster, &index);
        let error = check(&options, &index).unwrap_err();
        free(&cluster, &index);
        assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
        assert!(error.to_string().contains(told), "{error}");
        check(&options, &index).unwrap();
    }
}

// Until every document that waits was sent again several times.
fn wait_in_vain(writer: &mut DrivenWriter<Row>, trouble: &str) {
    let before = counted(writer, "retries");
    while counted(writer, "retries") < before + 40 {
        assert!(!writer.try_flush().unwrap().is_complete(), "{trouble}: {:?}", writer.dead_letters());
        writer.turn().unwrap();
    }
}

#[test]
fn what_lies_in_the_index_or_in_the_cluster_waits_and_catches_up() {
    let server = own().lock();
    let cluster = Cluster::of(&server);
    cluster.ask(Method::PUT, "/something-else", "");
    type Step = fn(&Cluster, &str);
    let delete: Step = |cluster, index| drop(cluster.ask(Method::DELETE, &format!("/{index}"), ""));
    let troubles: [(&str, bool, Step, Step); 6] = [
        (
            "closed",
            true,
            |cluster, index| drop(cluster.ask(Method::POST, &format!("/{index}/_close"), "")),
            |cluster, index| drop(cluster.ask(Method::POST, &format!("/{index}/_open"), "")),
        ),
        (
            "cluster read-only",
            true,
            |cluster, _| settings(cluster, "cluster.blocks.read_only", &json!(true)),
            |cluster, _| settings(cluster, "cluster.blocks.read_only", &Value::Null),
        ),
        (
            "pipeline missing",
            true,
            |cluster, index| cluster.set(index, &json!({ "index.default_pipeline": "not-there-yet" })),
            |cluster, index| cluster.set(index, &json!({ "index.default_pipeline": null })),
        ),
        (
            "no primary",
            false,
            |cluster, index| {
                let nowhere = json!({ "settings": { "index.routing.allocation.require._name": "nobody" } });
                cluster.ask(Method::PUT, &format!("/{index}?wait_for_active_shards=0"), &nowhere.to_string());
            },
            |cluster, index| {
                cluster.set(index, &json!({ "index.routing.allocation.require._name": null }));
            },
        ),
        (
            "creation of indices switched off",
            false,
            |cluster, _| settings(cluster, "action.auto_create_index", &json!("false")),
            |cluster, _| settings(cluster, "action.auto_create_index", &Value::Null),
        ),
        (
            "as many shards as the cluster may have",
            false,
            |cluster, _| settings(cluster, "cluster.max_shards_per_node", &json!(1)),
            |cluster, _| settings(cluster, "cluster.max_shards_per_node", &Value::Null),
        ),
    ];
    for (name, index_is_there, begin, end) in troubles {
        let index = index();
        let mut options = quick(server.url());
        // The cluster itself waits for a primary before it refuses.
        options.request_timeout = Duration::from_secs(2);
        let mut writer = writer(options, &index);
        writer.write(rows(0..10)).unwrap();
        writer.flush().unwrap();
        if !index_is_there {
            delete(&cluster, &index);
        }
        begin(&cluster, &index);
        writer.write(rows(10..20)).unwrap();
        wait_in_vain(&mut writer, name);
        end(&cluster, &index);
        writer.flush().unwrap();
        let expected = if index_is_there { values(0..20) } else { values(10..20) };
        assert_eq!(cluster.visible(&index), expected, "{name}");
        assert!(writer.dead_letters().is_empty(), "{name}: {:?}", writer.dead_letters());
        delete(&cluster, &index);
    }
}

// As after a full disk: it is no right that the login lacks.
#[test]
fn a_cluster_that_is_read_only_at_the_start_is_waited_for() {
    let server = own().lock();
    let (cluster, index) = (Cluster::of(&server), index());
    settings(&cluster, "cluster.blocks.read_only", &json!(true));
    let mut writer = writer(quick(server.url()), &index);
    writer.write(rows(0..10)).unwrap();
    let troubles = Arc::clone(&writer.harness().metrics().troubles);
    while troubles.ongoing(u64::MAX).is_empty() {
        assert!(!writer.try_flush().unwrap().is_complete());
        writer.turn().unwrap();
    }
    assert!(troubles.ongoing(u64::MAX)[0].why.contains("cluster_block_exception"));
    settings(&cluster, "cluster.blocks.read_only", &Value::Null);
    writer.flush().unwrap();
    assert_eq!((cluster.visible(&index), writer.dead_letters().len()), (values(0..10), 0));
}

/// Passes everything on, or answers every request itself.
struct Proxy {
    url: String,
    page: Arc<Mutex<Option<String>>>,
}

impl Proxy {
    fn before(server: &Elasticsearch) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = server.url().trim_start_matches("http://").to_owned();
        let page = Arc::<Mutex<Option<String>>>::default();
        let shared = Arc::clone(&page);
        spawn(move || {
            for client in listener.incoming().flatten() {
                let (upstream, page) = (TcpStream::connect(&upstream).unwrap(), Arc::clone(&shared));
                let (mut from, mut to) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                spawn(move || drop(std::io::copy(&mut from, &mut to)));
                spawn(move || pass_on(client, upstream, &page));
            }
        });
        Self { url, page }
    }

    fn answer(&self, page: Option<String>) {
        *self.page.lock() = page;
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().spawn(run).unwrap();
}

fn pass_on(mut client: TcpStream, mut upstream: TcpStream, page: &Mutex<Option<String>>) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        let page = page.lock().clone();
        let passed = match page {
            None => upstream.write_all(&bytes[..count]),
            // The answer may come before the whole request is there, as a proxy's does.
            Some(page) => client.write_all(page.as_bytes()).and_then(|()| client.shutdown(Shutdown::Both)),
        };
        if passed.is_err() {
            break;
        }
    }
    drop(upstream.shutdown(Shutdown::Both));
}

#[test]
fn a_page_of_a_proxy_is_no_answer_of_the_cluster() {
    let server = Elasticsearch::shared().unwrap();
    let (cluster, proxy, index) = (Cluster::of(server), Proxy::before(server), index());
    let mut writer = writer(quick(&proxy.url), &index);
    writer.write(rows(0..10)).unwrap();
    writer.flush().unwrap();
    let pages =
        ["404 Not Found", "502 Bad Gateway", "400 Bad Request", "403 Forbidden", "301 Moved", "200 OK"];
    for (number, status) in (1..).zip(pages) {
        let body = format!("<html><h1>{status}</h1></html>");
        proxy.answer(Some(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())));
        writer.write(rows(number * 10..number * 10 + 10)).unwrap();
        wait_in_vain(&mut writer, status);
        proxy.answer(None);
        writer.flush().unwrap();
        assert_eq!(cluster.visible(&index), values(0..number * 10 + 10), "{status}");
    }
    assert!(writer.dead_letters().is_empty(), "{:?}", writer.dead_letters());
}
