//! What it means that HDFS failed.

use std::io;

use hdfs_native::HdfsError;
use millstream_record::Error;

use crate::store::StorageFailure;

/// Whether there is no such file.
pub(super) fn is_missing(error: &HdfsError) -> bool {
    match error {
        HdfsError::FileNotFound(_) | HdfsError::IsADirectoryError(_) => true,
        HdfsError::RPCError(class, _) => simple(class) == "FileNotFoundException",
        _ => false,
    }
}

/// What to do about an error.
pub(super) fn failure(error: HdfsError) -> StorageFailure {
    use HdfsError as E;
    let passing = |what: &str| StorageFailure::passing(Error::retry(what));
    let configuration = |what: &str| StorageFailure::lasting(Error::configuration(what));
    let failure = match &error {
        E::IOError(cause) => passing(unanswered(cause)),
        E::RPCError(_, why) if places_no_block(why) => passing(
            "no DataNode takes the block: do DataNodes run, have they space, and can this machine reach their addresses \
             (dfs.client.use.datanode.hostname in hdfs.config)?",
        ),
        E::RPCError(class, _) | E::FatalRPCError(class, _) => of_class(simple(class)),
        E::ChecksumError => StorageFailure::passing(Error::data("a block is damaged")),
        E::DataTransferError(_) | E::BlocksNotFound(_) | E::OperationFailed(_) => {
            passing("a DataNode failed")
        }
        E::AlreadyExists(_) | E::FileNotFound(_) => passing("another client changes the same files"),
        E::InternalError(_) | E::InvalidRPCResponse(_) => passing(
            "what answers is no NameNode: check the port (8020 or 9820 by default; 9870 is that of its web page)",
        ),
        E::SASLError(_) | E::GSSAPIError(..) | E::NoSASLMechanism => {
            configuration("HDFS refuses the login: check the Kerberos ticket and hdfs.config-dir")
        }
        E::IsADirectoryError(_) => configuration("a directory is where a file should be"),
        E::InvalidPath(_) | E::InvalidArgument(_) | E::UrlParseError(_) | E::XmlParseError(_) => {
            configuration("the URL or Hadoop's configuration is wrong")
        }
        E::TrashNotEnabled
        | E::UnsupportedErasureCodingPolicy(_)
        | E::ErasureCodingError(_)
        | E::UnsupportedFeature(_) => configuration("this HDFS has a setting that we cannot work with"),
    };
    failure.caused_by(error)
}

fn unanswered(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens at the address of the NameNode or a DataNode: is it running, and are host and port right?"
        }
        _ if cause.to_string().contains("failed to lookup address") => {
            "the name of the NameNode or a DataNode does not resolve: check the URL, hdfs.config-dir and the name server"
        }
        _ => "HDFS does not answer",
    }
}

/// Whether the NameNode found no DataNode that is not excluded; HDFS has no class of exception for that.
fn places_no_block(why: &str) -> bool {
    why.contains("could only be written to 0 of") || why.contains("could only be replicated to 0 nodes")
}

/// By the exception's name.
fn of_class(class: &str) -> StorageFailure {
    match class {
        "AccessControlException"
        | "AuthorizationException"
        | "SecretManager$InvalidToken"
        | "SaslException" => {
            let advice = "HDFS does not let this user do that: check hdfs.user, owner and mode";
            StorageFailure::lasting(Error::configuration(advice))
        }
        "DSQuotaExceededException" | "NSQuotaExceededException" | "QuotaByStorageTypeExceededException" => {
            StorageFailure::lasting(Error::retry(
                "the quota of the directory is used up: raise it or free some space",
            ))
        }
        "ParentNotDirectoryException" => {
            StorageFailure::lasting(Error::configuration("a file is where a directory should be"))
        }
        "SafeModeException" => StorageFailure::passing(Error::retry("HDFS is in safe mode")),
        "StandbyException" => {
            let advice = "this NameNode is on standby: name the name service in the URL, and hdfs.config-dir";
            StorageFailure::passing(Error::retry(advice))
        }
        // Mostly java.io.IOException: no DataNode takes the block (dead, full), or the lease was lost.
        _ => StorageFailure::passing(Error::retry("HDFS cannot do this now")),
    }
}

fn simple(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

#[cfg(test)]
mod tests {
    use millstream_record::ErrorKind;

    use super::*;

    #[test]
    fn exceptions_are_told_apart_by_what_to_do() {
        use ErrorKind::{Configuration, Retry};
        for (class, wanted) in [
            ("org.apache.hadoop.hdfs.server.namenode.SafeModeException", (true, Retry)),
            ("java.io.IOException", (true, Retry)),
            ("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException", (false, Retry)),
            ("org.apache.hadoop.security.AccessControlException", (false, Configuration)),
            ("org.apache.hadoop.fs.ParentNotDirectoryException", (false, Configuration)),
        ] {
            let failure = failure(HdfsError::RPCError(class.to_owned(), "why".to_owned()));
            assert_eq!((failure.may_pass(), failure.into_error().kind()), wanted, "{class}");
        }
        let away = failure(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
        assert!(away.may_pass());
        assert!(is_missing(&HdfsError::RPCError("java.io.FileNotFoundException".into(), String::new())));
    }
}
