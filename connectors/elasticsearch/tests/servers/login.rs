//! Login and TLS.

use std::sync::OnceLock;

use millstream_elasticsearch::ElasticsearchOptions;
use millstream_record::{Error, ErrorKind};
use millstream_testkit::tls::{Certificate, CertificateFault};
use millstream_testkit::{Elasticsearch, TlsFront};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::cluster::{Cluster, check, index, options, rows, values, writer};

const PASSWORD: &str = "open-sesame-17";

fn server() -> &'static Elasticsearch {
    static SERVER: OnceLock<Elasticsearch> = OnceLock::new();
    SERVER.get_or_init(|| Elasticsearch::builder().password(PASSWORD).start().unwrap())
}

fn tls_server() -> &'static Elasticsearch {
    static SERVER: OnceLock<Elasticsearch> = OnceLock::new();
    SERVER.get_or_init(|| Elasticsearch::builder().password(PASSWORD).tls().start().unwrap())
}

fn as_elastic(url: &str, password: &str) -> ElasticsearchOptions {
    ElasticsearchOptions { username: Some("elastic".into()), password: Some(password.into()), ..options(url) }
}

fn refused(options: ElasticsearchOptions) -> Error {
    refused_at(options, &index())
}

fn refused_at(options: ElasticsearchOptions, index: &str) -> Error {
    let mut writer = writer(options, index);
    writer.write(rows(0..3)).unwrap();
    writer.flush().unwrap_err()
}

#[test]
fn a_login_that_is_right_writes() {
    let index = index();
    let mut writer = writer(as_elastic(server().url(), PASSWORD), &index);
    writer.write(rows(0..50)).unwrap();
    writer.flush().unwrap();
    let cluster = Cluster::of(server()).password(PASSWORD);
    assert_eq!(cluster.visible(&index), values(0..50));
}

#[test]
fn a_login_that_is_wrong_or_missing_is_a_clear_error_without_the_password() {
    let wrong_key = ElasticsearchOptions { api_key: Some("aWQ6a2V5".into()), ..options(server().url()) };
    for options in [as_elastic(server().url(), "wrong-guess"), options(server().url()), wrong_key] {
        let error = refused(options);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("the login is wrong"), "{error}");
        assert!(!error.chain().contains("wrong-guess") && !error.chain().contains("aWQ6a2V5"));
    }
}

/// A cluster on which three users lack a right each.
fn three_users() -> Elasticsearch {
    let role = |name: &str, cluster: &str, rights: &str| {
        format!(
            "{name}:\n  cluster: [{cluster}]\n  indices:\n  - names: ['rows*']\n    privileges: [{rights}]\n"
        )
    };
    let roles = [
        role("reader", "manage_index_templates", "read, view_index_metadata, auto_configure"),
        role("filler", "manage_index_templates", "index, view_index_metadata"),
        role("lodger", "monitor", "index, view_index_metadata, auto_configure"),
    ];
    // In files, as bcrypt: the bare distribution cannot keep users in an index.
    let users = ["reader", "filler", "lodger"].map(|name| format!("{name}:{HASH}\n"));
    let pairs = ["reader", "filler", "lodger"].map(|name| format!("{name}:{name}\n"));
    let server = Elasticsearch::builder().password(PASSWORD).config_file("roles.yml", &roles.concat());
    server.config_file("users", &users.concat()).config_file("users_roles", &pairs.concat()).start().unwrap()
}

/// Of `reads-only-1`.
const HASH: &str = "$2a$04$UM6hz8nB9XK/GKgxTEHxZu4rdJBK8h6i93hlp/syzRVR6MIioIDlG";

#[test]
fn a_right_that_is_missing_is_told_before_the_first_document() {
    let server = three_users();
    let cluster = Cluster::of(&server).password(PASSWORD);
    for (user, lacks) in
        [("reader", "may not write to"), ("filler", "may not make it"), ("lodger", "manage_index_templates")]
    {
        let index = index();
        let (username, password) = (Some(user.into()), Some("reads-only-1".into()));
        let options = ElasticsearchOptions { username, password, ..options(server.url()) };
        for error in [check(&options, &index).unwrap_err(), refused_at(options.clone(), &index)] {
            assert_eq!(error.kind(), ErrorKind::Configuration, "{user}: {error}");
            assert!(error.to_string().contains(lacks), "{user}: {error}");
        }
        if user == "filler" {
            // Where somebody else has made the index, the right to make it is not missed.
            let admin = as_elastic(server.url(), PASSWORD);
            check(&admin, &index).unwrap();
            for options in [admin, options] {
                let mut writer = writer(options.clone(), &index);
                writer.write(rows(0..20)).unwrap();
                writer.flush().unwrap();
                check(&options, &index).unwrap();
            }
            assert_eq!(cluster.visible(&index), values(0..20));
        }
    }
}

#[test]
fn tls_with_the_authority_named_writes() {
    let ca = &tls_server().certificate().unwrap().ca;
    let options =
        ElasticsearchOptions { ca_file: Some(ca.clone()), ..as_elastic(tls_server().url(), PASSWORD) };
    let index = index();
    let mut writer = writer(options, &index);
    writer.write(rows(0..50)).unwrap();
    writer.flush().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    assert_eq!(
        Cluster::trusting(tls_server().url(), roots).password(PASSWORD).visible(&index),
        values(0..50)
    );
}

#[test]
fn tls_with_an_unknown_authority_is_a_clear_error_at_once() {
    let error = refused(as_elastic(tls_server().url(), PASSWORD));
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("ca-file"), "{error}");
}

/// A certificate with this fault in front of a cluster that is all right; what the start says.
fn refused_behind(fault: CertificateFault) -> String {
    let (dir, cluster) = (tempfile::tempdir().unwrap(), Elasticsearch::shared().unwrap());
    let certificate = Certificate::faulty(dir.path(), fault).unwrap();
    let front = TlsFront::start(&certificate, cluster.url().trim_start_matches("http://")).unwrap();
    let url = format!("https://127.0.0.1:{}", front.port());
    let error = refused(ElasticsearchOptions { ca_file: Some(certificate.ca), ..options(&url) });
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains(&url), "{error}");
    error.to_string()
}

#[test]
fn each_fault_of_a_certificate_has_its_own_advice() {
    for (fault, advice) in [
        (CertificateFault::AuthorityAsServer, "CA:FALSE"),
        (CertificateFault::Expired, "is expired: renew it"),
        (CertificateFault::NotYetValid, "is not valid yet"),
        (CertificateFault::OtherHost, "it names shop.example"),
    ] {
        let message = refused_behind(fault);
        assert!(message.contains(advice), "{message}");
    }
}

#[test]
fn a_certificate_in_front_of_the_cluster_that_is_right_works() {
    let (dir, cluster) = (tempfile::tempdir().unwrap(), Elasticsearch::shared().unwrap());
    let certificate = Certificate::create(dir.path()).unwrap();
    let front = TlsFront::start(&certificate, cluster.url().trim_start_matches("http://")).unwrap();
    let url = format!("https://localhost:{}", front.port());
    let index = index();
    let mut writer = writer(ElasticsearchOptions { ca_file: Some(certificate.ca), ..options(&url) }, &index);
    writer.write(rows(0..50)).unwrap();
    writer.flush().unwrap();
    assert_eq!(Cluster::of(cluster).visible(&index), values(0..50));
}

#[test]
fn plain_text_to_a_tls_port_and_the_reverse_are_told() {
    let plain = refused(options(&tls_server().url().replace("https", "http")));
    let tls = refused(options(&Elasticsearch::shared().unwrap().url().replace("http", "https")));
    for (error, advice) in [(plain, "the port speaks TLS"), (tls, "the port does not speak TLS")] {
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}
