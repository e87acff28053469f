//! DataNodes that the NameNode should leave out when it places a new block.
//!
//! This file is not part of the published crate: see README.md.

use std::io::ErrorKind;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::HdfsError;
use crate::proto::hdfs::{BlockOpResponseProto, DatanodeInfoProto, LocatedBlockProto};

/// As dfs.client.write.exclude.nodes.cache.expiry.interval.millis
const EXPIRY: Duration = Duration::from_secs(600);

/// A block's pipeline could not be set up.
#[derive(Debug)]
pub(crate) struct PipelineSetupError {
    pub(crate) error: HdfsError,
    /// Which DataNodes failed; None if it was not their fault
    pub(crate) failure: Option<NodeFailure>,
}

/// The DataNodes that failed in a pipeline.
#[derive(Debug)]
pub(crate) enum NodeFailure {
    /// This one failed
    Certain(DatanodeInfoProto),
    /// No answer came from a pipeline of several nodes: its first node, or any of these that it forwards to.
    /// Leaving these out tells, since a pipeline of the first node alone leaves no doubt.
    Suspected(Vec<DatanodeInfoProto>),
}

impl PipelineSetupError {
    /// The first DataNode could not be reached.
    pub(crate) fn first_node(error: HdfsError, block: &LocatedBlockProto) -> Self {
        Self {
            error,
            failure: Some(NodeFailure::Certain(block.locs[0].clone())),
        }
    }

    /// The request was sent to the first DataNode, and no response came.
    pub(crate) fn no_response(error: HdfsError, block: &LocatedBlockProto) -> Self {
        let timed_out =
            matches!(&error, HdfsError::IOError(cause) if cause.kind() == ErrorKind::TimedOut);
        if timed_out && block.locs.len() > 1 {
            return Self {
                error,
                failure: Some(NodeFailure::Suspected(block.locs[1..].to_vec())),
            };
        }
        Self::first_node(error, block)
    }

    /// The first DataNode responded that it, or the one that it names, failed.
    pub(crate) fn refused(response: &BlockOpResponseProto, block: &LocatedBlockProto) -> Self {
        let bad_link = response.first_bad_link().to_string();
        let named = |node: &&DatanodeInfoProto| {
            let port = node.id.xfer_port;
            bad_link == format!("{}:{port}", node.id.ip_addr)
                || bad_link == format!("{}:{port}", node.id.host_name)
        };
        let node = block.locs.iter().find(named).unwrap_or(&block.locs[0]);
        let error = HdfsError::DataTransferError(format!(
            "DataNode {}:{} failed to create a block: {}",
            node.id.host_name,
            node.id.xfer_port,
            response.message()
        ));
        Self {
            error,
            failure: Some(NodeFailure::Certain(node.clone())),
        }
    }
}

impl From<HdfsError> for PipelineSetupError {
    fn from(error: HdfsError) -> Self {
        Self {
            error,
            failure: None,
        }
    }
}

impl From<PipelineSetupError> for HdfsError {
    fn from(setup: PipelineSetupError) -> Self {
        setup.error
    }
}

#[derive(Debug)]
struct ExcludedNode {
    node: DatanodeInfoProto,
    suspected: bool,
    until: Instant,
}

/// The excluded DataNodes of a client. Each one is used again after a while.
#[derive(Debug, Default)]
pub(crate) struct ExcludedNodes(Mutex<Vec<ExcludedNode>>);

impl ExcludedNodes {
    pub(crate) fn current(&self) -> Vec<DatanodeInfoProto> {
        let mut nodes = self.0.lock().unwrap();
        let now = Instant::now();
        nodes.retain(|excluded| excluded.until > now);
        nodes.iter().map(|excluded| excluded.node.clone()).collect()
    }

    pub(crate) fn add(&self, failure: NodeFailure) {
        let mut nodes = self.0.lock().unwrap();
        let (failed, suspected) = match failure {
            NodeFailure::Certain(node) => (vec![node], false),
            NodeFailure::Suspected(nodes) => (nodes, true),
        };
        if !suspected {
            // Whoever was suspected had nothing to do with it
            nodes.retain(|excluded| !excluded.suspected);
        }
        for node in failed {
            let uuid = &node.id.datanode_uuid;
            nodes.retain(|excluded| excluded.node.id.datanode_uuid != *uuid);
            nodes.push(ExcludedNode {
                node,
                suspected,
                until: Instant::now() + EXPIRY,
            });
        }
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::hdfs::DatanodeIdProto;

    fn node(name: &str) -> DatanodeInfoProto {
        DatanodeInfoProto {
            id: DatanodeIdProto {
                datanode_uuid: name.to_string(),
                ip_addr: name.to_string(),
                xfer_port: 1,
                ..Default::default()
            },
            ..Default::default()
        }
    }

    fn block() -> LocatedBlockProto {
        LocatedBlockProto {
            locs: vec![node("a"), node("b"), node("c")],
            ..Default::default()
        }
    }

    fn names(nodes: &ExcludedNodes) -> Vec<String> {
        nodes.current().into_iter().map(|node| node.id.datanode_uuid).collect()
    }

    #[test]
    fn the_named_link_is_to_blame_else_the_first_node() {
        for (link, blamed) in [("b:1", "b"), ("", "a"), ("c:1", "c"), ("x:9", "a")] {
            let response = BlockOpResponseProto {
                first_bad_link: Some(link.to_string()),
                ..Default::default()
            };
            let Some(NodeFailure::Certain(node)) =
                PipelineSetupError::refused(&response, &block()).failure
            else {
                panic!("a refusal is certain");
            };
            assert_eq!(node.id.datanode_uuid, blamed);
        }
    }

    #[test]
    fn who_was_only_suspected_comes_back_when_the_culprit_is_found() {
        let excluded = ExcludedNodes::default();
        let silence = || HdfsError::IOError(ErrorKind::TimedOut.into());
        let first = PipelineSetupError::no_response(silence(), &block());
        excluded.add(first.failure.unwrap());
        assert_eq!(names(&excluded), ["b", "c"]);
        let alone = LocatedBlockProto {
            locs: vec![node("a")],
            ..Default::default()
        };
        let second = PipelineSetupError::no_response(silence(), &alone);
        excluded.add(second.failure.unwrap());
        assert_eq!(names(&excluded), ["a"]);
        excluded.clear();
        assert!(excluded.current().is_empty());
    }
}
