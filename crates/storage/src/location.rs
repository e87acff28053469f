//! What a URL says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_record::{Error, Result};
use url::Url;

use super::file::FileStore;
use super::patience::Patience;
use super::{StorageOptions, Store};

/// A place, by the kind of its store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// A directory of this machine.
    File(PathBuf),
    /// A bucket, and a prefix in it.
    S3 { bucket: String, prefix: String },
    /// A NameNode (`host:port`; or the name of a service; or empty: Hadoop's default) and a directory.
    Hdfs { authority: String, path: String },
}

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), with an example of what
    /// would do.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wanted = "write it as file:///var/checkpoints, s3://bucket/prefix or hdfs://namenode:8020/path";
        let refused = |problem: &str| Error::configuration(format!("storage {text:?} {problem}: {wanted}"));
        let url = Url::parse(text).map_err(|cause| refused("is no URL").caused_by(cause))?;
        if !url.username().is_empty() || url.password().is_some() {
            // Not shown again: it may hold a password.
            return Err(Error::configuration(
                "a storage URL contains a login: use s3.access-key and s3.secret-key",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("has a part behind ? or #"));
        }
        if url.scheme() != "file" && url.path().contains('%') {
            return Err(refused("has characters in its path that stores spell differently"));
        }
        let authority = url.host_str().map(|host| host_and_port(host, url.port())).unwrap_or_default();
        let path = url.path().trim_matches('/').to_owned();
        match url.scheme() {
            "file" => directory(&url).map(Self::File).ok_or_else(|| refused("names another machine")),
            "s3" | "s3a" | "s3p" if authority.is_empty() => Err(refused("names no bucket")),
            "s3" | "s3a" | "s3p" => Ok(Self::S3 { bucket: authority, prefix: path }),
            "hdfs" => Ok(Self::Hdfs { authority, path }),
            other => Err(refused(&format!("has the unknown scheme {other}"))),
        }
    }

    /// The URL, without a slash at the end.
    pub(super) fn url(&self) -> String {
        let text = match self {
            Self::File(path) => encoded(path),
            Self::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
            Self::Hdfs { authority, path } => format!("hdfs://{authority}/{path}"),
        };
        text.trim_end_matches('/').to_owned()
    }

    /// The client. No I/O.
    pub(super) fn open(&self, options: &StorageOptions, patience: &Arc<Patience>) -> Result<Arc<dyn Store>> {
        match self {
            Self::File(root) => Ok(Arc::new(FileStore::new(root.clone(), options.chance.clone()))),
            Self::S3 { bucket, prefix } => s3(bucket, prefix, options, patience),
            Self::Hdfs { authority, path } => hdfs(authority, path, options, patience),
        }
    }
}

#[cfg(feature = "s3")]
fn s3(
    bucket: &str,
    prefix: &str,
    options: &StorageOptions,
    patience: &Arc<Patience>,
) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(super::s3::S3Store::new(bucket, prefix, options, patience)?))
}

#[cfg(not(feature = "s3"))]
fn s3(_: &str, _: &str, _: &StorageOptions, _: &Arc<Patience>) -> Result<Arc<dyn Store>> {
    Err(not_built_in("s3://", "s3"))
}

#[cfg(feature = "hdfs")]
fn hdfs(
    authority: &str,
    path: &str,
    options: &StorageOptions,
    patience: &Arc<Patience>,
) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(super::hdfs::HdfsStore::new(authority, path, options, patience)?))
}

#[cfg(not(feature = "hdfs"))]
fn hdfs(_: &str, _: &str, _: &StorageOptions, _: &Arc<Patience>) -> Result<Arc<dyn Store>> {
    Err(not_built_in("hdfs://", "hdfs"))
}

#[cfg(not(all(feature = "s3", feature = "hdfs")))]
fn not_built_in(scheme: &str, feature: &str) -> Error {
    Error::configuration(format!("this program cannot do {scheme}: build it with the feature `{feature}`"))
}

fn host_and_port(host: &str, port: Option<u16>) -> String {
    port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// As a URL, whatever characters it has.
fn encoded(path: &Path) -> String {
    Url::from_file_path(path).map_or_else(|()| format!("file://{}", path.display()), String::from)
}

fn directory(url: &Url) -> Option<PathBuf> {
    url.to_file_path().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_understood_and_written_back() {
        let s3 = |prefix: &str| Location::S3 { bucket: "my-bucket".to_owned(), prefix: prefix.to_owned() };
        for (text, location, written) in [
            ("file:///var/a%20b/", Location::File("/var/a b".into()), "file:///var/a%20b"),
            ("s3://my-bucket/a/b/", s3("a/b"), "s3://my-bucket/a/b"),
            ("s3a://my-bucket", s3(""), "s3://my-bucket"),
            ("s3p://my-bucket/a", s3("a"), "s3://my-bucket/a"),
        ] {
            assert_eq!(Location::parse(text).unwrap(), location);
            assert_eq!(location.url(), written);
        }
        let odd = Location::File("/a#b?c%d".into());
        assert_eq!(Location::parse(&odd.url()).unwrap(), odd);
        let hdfs = Location::parse("hdfs://127.0.0.1:8020/flink/chk").unwrap();
        assert_eq!(hdfs.url(), "hdfs://127.0.0.1:8020/flink/chk");
        assert_eq!(Location::parse("hdfs:///chk").unwrap().url(), "hdfs:///chk");
    }

    #[test]
    fn what_is_no_storage_is_refused_with_an_example() {
        for wrong in ["/var/checkpoints", "ftp://a/b", "s3:///a", "file://other/var", "s3://a/b?c", ""] {
            let error = Location::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), millstream_record::ErrorKind::Configuration);
            assert!(error.to_string().contains("write it as file:///"), "{error}");
        }
        let login = Location::parse("s3://key:geheim@bucket/a").unwrap_err();
        assert!(!login.chain().contains("geheim"), "{}", login.chain());
    }
}
