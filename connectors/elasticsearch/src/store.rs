//! The cluster as the delivery engine sees it: a mapping, one request, and the start.

use std::sync::Arc;

use millstream_delivery::{ItemError, Items, Limits, Mapping, Names, NotReady, Reply, Store, Work};
use millstream_record::Result;
use millstream_record::record::Data;
use millstream_stage::{OpenContext, Version};

use crate::client::Client;
use crate::document::Document;
use crate::encode;
use crate::item::Write;
use crate::sink::Settings;
use crate::start::Start;

/// How a record becomes a document.
pub(crate) type Map<T> = Arc<dyn Fn(&T) -> Document + Send + Sync>;

/// The mapping, and where the documents go.
pub(crate) struct Documents<T> {
    pub(crate) settings: Arc<Settings>,
    pub(crate) map: Map<T>,
}

impl<T: Data> Mapping<T> for Documents<T> {
    type Store = Cluster;

    fn open(&self, _: &str, cx: &OpenContext) -> Result<(Cluster, Limits)> {
        let settings = Arc::clone(&self.settings);
        let client = Arc::new(Client::new(&settings.options, Arc::clone(&cx.clock))?);
        let limits = settings.limits();
        Ok((Cluster { client, settings }, limits))
    }

    fn item(&self, record: &T, version: Version) -> Result<Write, ItemError> {
        let document = (self.map)(record);
        let fault = document.fault(self.settings.options.max_document_bytes);
        let Document { index, id, body } = document;
        let index = self.settings.index(&index);
        match (fault, body) {
            (None, Ok(body)) => Ok(Write::new(index, id, version, &body)),
            (fault, body) => {
                let reason = format!("document {id:?} of index {index:?}: {}", fault.unwrap_or_default());
                let value = body.unwrap_or_else(|_| id.as_bytes().to_vec());
                Err(ItemError::Refused { value, reason })
            }
        }
    }
}

/// One writer's way to the cluster.
pub(crate) struct Cluster {
    client: Arc<Client>,
    settings: Arc<Settings>,
}

impl Store for Cluster {
    type Item = Write;

    fn names(&self) -> Names {
        Names {
            kind: "elasticsearch",
            product: "Elasticsearch",
            stale: "conflicts",
            overloaded: Some("rejected429"),
            start_timeout: "start.timeout",
            give_up: "bulk-flush.backoff.max-time",
        }
    }

    fn subject(&self) -> String {
        format!("Elasticsearch at {}", self.settings.options.hosts.join(", "))
    }

    fn start(&mut self, _: &Arc<Vec<Write>>) -> Work<Result<(), NotReady>> {
        let options = &self.settings.options;
        let templates = self.settings.templates.iter();
        let start = Start {
            client: Arc::clone(&self.client),
            templates: templates.map(|template| template.prefixed(&options.index_prefix)).collect(),
            timeout: options.start_timeout,
            said_unseen: Arc::clone(&self.settings.said_unseen),
        };
        Work::future(async move { start.attempt().await })
    }

    fn request(&mut self, items: Items<'_, Write>) -> Work<Reply> {
        let (client, body) = (Arc::clone(&self.client), encode::bulk(&items));
        Work::future(async move { client.bulk(body).await })
    }

    fn thaw(&self, item: &[u8]) -> Result<(Write, Version)> {
        Write::thaw(item)
    }
}
