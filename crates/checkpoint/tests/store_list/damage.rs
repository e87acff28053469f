//! Damage is seen and named, and an older checkpoint takes over.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use millstream_record::ErrorKind;
use millstream_storage::Storage;

use super::job::{Job, Machine};
use super::{exactly_what_is_referenced, folder, restored};

pub(super) async fn is_named(machine: &Machine, root: &Storage) -> Result<()> {
    let mut job = Job::large_items(9000);
    job.advance(2);
    let attempt = machine.claim(root, "job").await?;
    job.checkpoint(machine, &attempt, 1, 1).await?;
    let folder = folder(root, "job");
    let mut files: Vec<_> = folder.list("").await?.into_iter().map(|file| file.path).collect();
    files.retain(|path| !path.starts_with("log/"));
    ensure!(files.len() >= 8, "{files:?}");
    for path in files {
        let whole = folder.get(&path).await?.context("a file")?;
        let mut flipped = whole.to_vec();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x40;
        for (what, bad) in
            [("flipped", Some(flipped)), ("cut", Some(whole[..middle].to_vec())), ("missing", None)]
        {
            match bad {
                Some(bad) => folder.put(&path, bad.into()).await?,
                None => folder.delete(&[&path]).await?,
            }
            let error = restored(machine, root, &job).await.err();
            let error = error.with_context(|| format!("{path} is {what}, and nobody notices"))?;
            let chain = format!("{error:#}");
            ensure!(chain.contains(&path), "{path} is {what}: {chain}");
            let kind = error.downcast_ref::<millstream_record::Error>().map(millstream_record::Error::kind);
            ensure!(kind == Some(ErrorKind::Data), "{path} is {what}: {chain}");
        }
        folder.put(&path, whole).await?;
    }
    restored(machine, root, &job).await
}

pub(super) async fn an_older_checkpoint_helps(machine: &Machine, root: &Storage) -> Result<()> {
    let mut job = Job::default();
    job.advance(2);
    let attempt = machine.claim(root, "job").await?;
    let mut rounds = Vec::new();
    for id in 1..=3 {
        job.checkpoint(machine, &attempt, id, 3).await?;
        rounds.push(job.clone());
        job.advance(2);
    }
    let folder = folder(root, "job");
    folder.delete(&["chk-3-1/1-0.state"]).await?;
    folder.put("chk-2-1/manifest", Bytes::from_static(b"{}")).await?;
    let next = machine.claim(root, "job").await?;
    let recovered = next.restore().await?.context("the oldest")?;
    let passed: Vec<_> = recovered.passed_over.iter().map(|(reference, _)| reference.id).collect();
    ensure!((recovered.reference.id, passed) == (1, vec![3, 2]));
    ensure!(recovered.passed_over[0].1.chain().contains("chk-3-1/1-0.state is missing"));
    rounds[0].is_in(recovered.snapshot, true).await?;
    // It builds on what it has restored, not on what is damaged.
    job.checkpoint(machine, &next, 4, 1).await?;
    next.clean().await?;
    exactly_what_is_referenced(&folder, &next).await?;
    restored(machine, root, &job).await?;
    folder.delete(&["chk-4-2/manifest"]).await?;
    let Err(error) = machine.claim(root, "job").await?.restore().await else { bail!("nothing is whole") };
    ensure!(error.kind() == ErrorKind::Data && error.chain().contains("no retained checkpoint is whole"));
    Ok(())
}
