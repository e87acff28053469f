//! What is at the target's name before the job comes.

use millstream_elasticsearch::ElasticsearchOptions;
use millstream_record::{Error, ErrorKind};
use millstream_testkit::{Elasticsearch, OpenSearch, unique_name};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, index, options, rows, values, writer};

/// One server and what every test does there.
struct TargetServer {
    url: String,
    cluster: Cluster,
}

impl TargetServer {
    fn at(url: &str) -> Self {
        Self { url: url.to_owned(), cluster: Cluster::at(url) }
    }

    fn put(&self, path: &str, body: &Value) {
        self.cluster.ask(Method::PUT, path, &body.to_string());
    }

    fn write(&self, index: &str) -> Result<(), Error> {
        let mut writer = writer(options(&self.url), index);
        writer.write(rows(0..20)).and_then(|_| writer.flush())
    }

    fn refusal(&self, index: &str) -> String {
        let error = self.write(index).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        error.to_string()
    }

    fn mapping(&self, index: &str) -> Value {
        let mut answer = self.cluster.ask(Method::GET, &format!("/{index}/_mapping"), "");
        answer.as_object_mut().unwrap().values_mut().next().unwrap()["mappings"].take()
    }

    fn everything(&self) {
        self.an_index_of_other_types();
        self.an_index_that_can_still_learn();
        self.an_index_that_takes_anything();
        self.aliases();
        self.templates();
    }

    fn an_index_of_other_types(&self) {
        let index = index();
        let theirs = json!({ "key": { "type": "text" }, "value": { "type": "date" }, "filler": { "type": "keyword" } });
        self.put(&format!("/{index}"), &json!({ "mappings": { "dynamic": "strict", "properties": theirs } }));
        let refusal = self.refusal(&index);
        for part in [&*index, "key is text there, the job needs long", "value is date there", "index-prefix"]
        {
            assert!(refusal.contains(part), "{refusal}");
        }
        let count = self.cluster.ask(Method::GET, &format!("/{index}/_count"), "");
        assert_eq!(count["count"], 0, "nothing was written");
    }

    fn an_index_that_can_still_learn(&self) {
        for mapping in
            [json!({}), json!({ "dynamic": "strict", "properties": { "key": { "type": "long" } } })]
        {
            let index = index();
            self.put(&format!("/{index}"), &json!({ "mappings": mapping }));
            self.write(&index).unwrap();
            assert_eq!(self.cluster.visible(&index), values(0..20));
            let learned = self.mapping(&index);
            assert_eq!(
                (&learned["dynamic"], &learned["properties"]["value"]["type"]),
                (&json!("strict"), &json!("long"))
            );
        }
    }

    fn an_index_that_takes_anything(&self) {
        let index = index();
        let properties = json!({ "key": { "type": "long" }, "value": { "type": "long" }, "filler": { "type": "keyword" } });
        self.put(&format!("/{index}"), &json!({ "mappings": { "properties": properties } }));
        assert!(self.refusal(&index).contains("dynamic is true there, the job needs strict"));
    }

    fn aliases(&self) {
        let (several, rolls, one) = (index(), index(), index());
        for (name, alias) in [
            (format!("{several}-a"), json!({ &several: {} })),
            (format!("{several}-b"), json!({ &several: { "is_write_index": true } })),
            (format!("{rolls}-000001"), json!({ &rolls: { "is_write_index": true } })),
            (format!("{one}-v2"), json!({ &one: {} })),
        ] {
            self.put(&format!("/{name}"), &json!({ "aliases": alias }));
        }
        let refusal = self.refusal(&several);
        assert!(
            refusal.contains("alias of 2 indices") && refusal.contains(&format!("{several}-b")),
            "{refusal}"
        );
        assert!(self.refusal(&rolls).contains("rolls over"));
        self.write(&one).unwrap();
        assert_eq!(self.cluster.visible(&format!("{one}-v2")), values(0..20));
    }

    fn templates(&self) {
        for priority in [None, Some(0), Some(700)] {
            let (name, index) = (unique_name("all").to_lowercase(), index());
            let mut theirs =
                json!({ "index_patterns": [format!("{index}*")], "template": { "mappings": {} } });
            theirs["priority"] = json!(priority.unwrap_or(0));
            self.put(&format!("/_index_template/{name}"), &theirs);
            self.write(&index).unwrap();
            assert_eq!(self.mapping(&index)["dynamic"], "strict", "ours counts");
            // Once more: the priority that it has is kept.
            self.cluster.ask(Method::DELETE, &format!("/{index}"), "");
            self.write(&index).unwrap();
            let ours = self.cluster.ask(Method::GET, &format!("/_index_template/{index}"), "");
            let kept = &ours["index_templates"][0]["index_template"]["priority"];
            assert_eq!(kept, &json!(priority.unwrap_or(0) + 1));
        }
        self.a_template_that_fits_stays();
    }

    fn a_template_that_fits_stays(&self) {
        let (name, index) = (unique_name("fits").to_lowercase(), index());
        let fields = json!({ "key": { "type": "long" }, "value": { "type": "long" }, "filler": { "type": "keyword" } });
        let template = json!({
            "settings": { "number_of_replicas": 0, "refresh_interval": "7s" },
            "mappings": { "dynamic": "strict", "properties": fields },
        });
        let theirs = json!({ "index_patterns": [index], "priority": 40, "template": template });
        self.put(&format!("/_index_template/{name}"), &theirs);
        self.write(&index).unwrap();
        let settings = self.cluster.ask(Method::GET, &format!("/{index}/_settings"), "");
        assert_eq!(settings[&index]["settings"]["index"]["refresh_interval"], "7s");
    }

    fn a_data_stream(&self) {
        let index = index();
        let template = json!({ "index_patterns": [index], "priority": 9, "data_stream": {} });
        self.put(&format!("/_index_template/{index}-streams"), &template);
        self.put(&format!("/_data_stream/{index}"), &json!({}));
        assert!(self.refusal(&index).contains("is a data stream"));
        self.cluster.ask(Method::DELETE, &format!("/_data_stream/{index}"), "");
        self.write(&index).unwrap();
        assert_eq!(self.cluster.visible(&index), values(0..20), "its template is overridden");
    }
}

#[test]
fn elasticsearch_is_looked_at_before_the_first_document() {
    TargetServer::at(Elasticsearch::shared().unwrap().url()).everything();
}

#[test]
fn elasticsearch_7_is_looked_at_before_the_first_document() {
    let server = Elasticsearch::builder().version("7.17.29").start().unwrap();
    TargetServer::at(server.url()).everything();
}

#[test]
fn opensearch_is_looked_at_before_the_first_document() {
    let server = OpenSearch::start().unwrap();
    let place = TargetServer::at(server.url());
    place.everything();
    place.a_data_stream();
}

#[test]
fn a_login_that_may_not_look_writes_all_the_same() {
    let index = index();
    // The bare distribution cannot keep users in an index: they are in files, this one's password as bcrypt.
    let role = format!(
        "writer:\n  cluster: [manage_index_templates]\n  indices:\n  - names: [{index}]\n    privileges: [index, auto_configure]\n"
    );
    let server = Elasticsearch::builder().password("open-sesame-17");
    let server = server.config_file("roles.yml", &role).config_file("users_roles", "writer:writer\n");
    let user = "writer:$2a$04$cu0o1o8Xugx.zZbqbXGlGu3INCdkdPmiFYKnTfIEmp1nlW.z/PIDm\n";
    let server = server.config_file("users", user).start().unwrap();
    let cluster = Cluster::of(&server).password("open-sesame-17");
    let (username, password) = (Some("writer".into()), Some("writes-only-1".into()));
    let mut writer = writer(ElasticsearchOptions { username, password, ..options(server.url()) }, &index);
    writer.write(rows(0..20)).unwrap();
    writer.flush().unwrap();
    assert_eq!(cluster.visible(&index), values(0..20));
}
