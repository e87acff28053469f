//! The calls of Kafka's wire protocol that tests need before any client exists: create topics, look at them,
//! grant rights.
//!
//! Kafka's own command line tool would do, but starts a JVM for each topic.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::wait;

const PATIENCE: Duration = Duration::from_secs(30);

/// API keys and the versions spoken, the oldest that Kafka 4 still knows:
/// <https://kafka.apache.org/protocol>.
const METADATA: (i16, i16) = (3, 1);
const CREATE_TOPICS: (i16, i16) = (19, 2);
const CREATE_ACLS: (i16, i16) = (30, 1);

/// A topic to create.
#[derive(Debug)]
pub(crate) struct NewTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: i32,
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

impl<'a> NewTopic<'a> {
    pub(crate) fn new(name: &'a str, partitions: i32) -> Self {
        Self { name, partitions, settings: &[] }
    }
}

/// Creates topics and waits until every partition has a leader.
pub(crate) fn create_topics(bootstrap: &str, topics: &[NewTopic<'_>]) -> Result<()> {
    let mut broker = TcpStream::connect(bootstrap).with_context(|| format!("no Kafka at {bootstrap}"))?;
    broker.set_read_timeout(Some(PATIENCE))?;
    let mut response = call(&mut broker, CREATE_TOPICS, &create_request(topics))?;
    check_created(&mut response)?;
    let mut outcome = Ok(false);
    wait::until(PATIENCE, || {
        outcome = call(&mut broker, METADATA, &metadata_request(topics))
            .and_then(|mut response| all_led(&mut response));
        !matches!(outcome, Ok(false))
    });
    ensure!(outcome?, "the new topics have no leaders after {} s", PATIENCE.as_secs());
    Ok(())
}

/// Lets a user do something with a topic.
pub(crate) fn grant(bootstrap: &str, user: &str, operation: i8, topic: &str) -> Result<()> {
    let mut broker = TcpStream::connect(bootstrap).with_context(|| format!("no Kafka at {bootstrap}"))?;
    broker.set_read_timeout(Some(PATIENCE))?;
    let mut answer = call(&mut broker, CREATE_ACLS, &grant_request(user, operation, topic))?;
    answer.int32()?; // throttle time
    for _ in 0..answer.int32()? {
        let code = answer.int16()?;
        let message = answer.string()?;
        ensure!(code == 0, "Kafka grants nothing on {topic}: error {code} {message}");
    }
    Ok(())
}

fn grant_request(user: &str, operation: i8, topic: &str) -> Vec<u8> {
    const TOPIC: i8 = 2;
    const LITERAL: i8 = 3;
    const ALLOW: i8 = 3;
    let mut body = Vec::new();
    put_len(&mut body, 1);
    body.extend(TOPIC.to_be_bytes());
    put_str(&mut body, topic);
    body.extend(LITERAL.to_be_bytes());
    put_str(&mut body, &format!("User:{user}"));
    put_str(&mut body, "*"); // from any host
    body.extend(operation.to_be_bytes());
    body.extend(ALLOW.to_be_bytes());
    body
}

fn create_request(topics: &[NewTopic<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    put_len(&mut body, topics.len());
    for topic in topics {
        put_str(&mut body, topic.name);
        body.extend(topic.partitions.to_be_bytes());
        body.extend(1_i16.to_be_bytes()); // replicas
        put_len(&mut body, 0); // assignments by hand
        put_len(&mut body, topic.settings.len());
        for (name, value) in topic.settings {
            put_str(&mut body, name);
            put_str(&mut body, value);
        }
    }
    body.extend(30_000_i32.to_be_bytes()); // time-out, ms
    body.push(0); // not only validated
    body
}

fn metadata_request(topics: &[NewTopic<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    put_len(&mut body, topics.len());
    for topic in topics {
        put_str(&mut body, topic.name);
    }
    body
}

fn check_created(response: &mut Response) -> Result<()> {
    response.int32()?; // throttle time
    for _ in 0..response.int32()? {
        let name = response.string()?;
        let code = response.int16()?;
        let message = response.string()?;
        if code != 0 {
            bail!("Kafka did not create topic {name}: error {code} {message}");
        }
    }
    Ok(())
}

fn all_led(response: &mut Response) -> Result<bool> {
    for _ in 0..response.int32()? {
        response.int32()?; // node
        response.string()?; // host
        response.int32()?; // port
        response.string()?; // rack
    }
    response.int32()?; // controller
    let mut led = true;
    for _ in 0..response.int32()? {
        led &= response.int16()? == 0;
        response.string()?; // name
        response.int8()?; // internal
        for _ in 0..response.int32()? {
            led &= partition_led(response)?;
        }
    }
    Ok(led)
}

fn partition_led(response: &mut Response) -> Result<bool> {
    let error = response.int16()?;
    response.int32()?; // partition
    let leader = response.int32()?;
    for _ in ["replicas", "in sync"] {
        for _ in 0..response.int32()? {
            response.int32()?;
        }
    }
    Ok(error == 0 && leader >= 0)
}

fn call(broker: &mut TcpStream, (key, version): (i16, i16), body: &[u8]) -> Result<Response> {
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(1_i32.to_be_bytes()); // correlation id
    put_str(&mut request, "millstream-testkit");
    request.extend(body);
    let size = i32::try_from(request.len())?.to_be_bytes();
    broker.write_all(&size)?;
    broker.write_all(&request)?;
    let mut size = [0; 4];
    broker.read_exact(&mut size).context("Kafka closed the connection")?;
    let mut bytes = vec![0; usize::try_from(i32::from_be_bytes(size))?];
    broker.read_exact(&mut bytes)?;
    let mut response = Response { bytes, at: 0 };
    response.int32()?; // correlation id: requests are not pipelined
    Ok(response)
}

fn put_len(body: &mut Vec<u8>, len: usize) {
    body.extend(i32::try_from(len).unwrap_or(i32::MAX).to_be_bytes());
}

fn put_str(body: &mut Vec<u8>, text: &str) {
    body.extend(i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
    body.extend(text.as_bytes());
}

/// A response, read from front to back.
struct Response {
    bytes: Vec<u8>,
    at: usize,
}

impl Response {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.slice(N)?;
        Ok(bytes.try_into()?)
    }

    fn slice(&mut self, len: usize) -> Result<&[u8]> {
        let end = self.at + len;
        let slice = self.bytes.get(self.at..end).context("Kafka's response is cut short")?;
        self.at = end;
        Ok(slice)
    }

    fn int8(&mut self) -> Result<i8> {
        self.take().map(i8::from_be_bytes)
    }

    fn int16(&mut self) -> Result<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn int32(&mut self) -> Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// A string; empty if null.
    fn string(&mut self) -> Result<String> {
        let len = usize::try_from(self.int16()?).unwrap_or(0);
        Ok(String::from_utf8_lossy(self.slice(len)?).into_owned())
    }
}
