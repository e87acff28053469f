//! OpenSearch comes up and takes documents.

use anyhow::{Context, Result};
use millstream_testkit::OpenSearch;
use millstream_testkit::http::{get, request};

#[test]
fn it_takes_documents_and_says_what_it_is() -> Result<()> {
    let opensearch = OpenSearch::start()?;
    let port = opensearch.url().rsplit(':').next().context("no port")?.parse()?;
    assert_eq!(request(port, "PUT", "/a/_doc/1", None, r#"{"n":1}"#)?.status, 201);
    assert!(get(port, "/_nodes", None)?.body.contains("opensearch"));
    Ok(())
}
