//! Receiving: the body goes to a staged copy, is compared with what was promised, and looked at.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use super::ExpectedDigests;
use crate::blobs::{Digests, Staged};
use crate::imaging::{self, Decoders, Impression, Inspection, SNIFF_BYTES};
use crate::model::TenantId;
use crate::runtime;
use crate::service::{ServiceError, Services};

/// How long an upload may take to be inspected, its turn included: many times what the largest takes, and what a full house has to wait.
pub(in crate::service) const INSPECTION_WAIT: Duration = Duration::from_secs(60);
/// How long an upload waits for its placeholder, for a thread included: past it the photo goes without, and is never found as like another.
const PLACEHOLDER_WAIT: Duration = Duration::from_secs(15);

impl Services {
    /// Receives the body, into memory or staging, checks it against what was promised, and looks what it is.
    pub(super) async fn receive(
        &self,
        staged: &mut dyn Staged,
        mut body: impl Stream<Item = Result<Bytes, ServiceError>> + Send + Unpin,
        expected: ExpectedDigests,
        whose: TenantId,
    ) -> Result<(Digests, Inspection), ServiceError> {
        let max = self.limits.config.max_upload_bytes.as_u64();
        let mut head = Vec::with_capacity(SNIFF_BYTES);
        let mut size = 0_u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            size += chunk.len() as u64;
            if size > max {
                return Err(self.too_many_bytes());
            }
            if head.len() < SNIFF_BYTES {
                head.extend_from_slice(&chunk[..chunk.len().min(SNIFF_BYTES - head.len())]);
                if head.len() == SNIFF_BYTES && imaging::sniff(&head).is_none() {
                    return Err(ServiceError::NotAnImage("not an image of a kind that is taken".into()));
                }
            }
            staged.write(chunk).await?;
        }
        let digests = staged.digests().await?;
        if expected.sha256.is_some_and(|sha256| sha256 != digests.sha256) || expected.blake3.is_some_and(|hash| hash != digests.hash) {
            return Err(ServiceError::DigestMismatch);
        }
        let inspection = self.inspect(staged, size, &self.pools.inspecting.of_tenant(Some(whose))).await?;
        if let Some(warning) = &inspection.warning {
            tracing::info!(hash = %digests.hash, warning, "a photo came damaged inside");
        }
        Ok((digests, inspection))
    }

    /// Looks what the staged bytes are, holding them in memory under the budget.
    async fn inspect(&self, staged: &mut dyn Staged, size: u64, decoders: &Decoders) -> Result<Inspection, ServiceError> {
        let inspecting = async {
            let turn = self.limits.inspecting.acquire().await.map_err(|_| ServiceError::SHUTTING_DOWN)?;
            let memory = self.limits.inspect_memory.take(size).await?;
            let bytes = staged.contents().await?;
            // Given back by the thread: the bytes lie there to the end, also where nobody waits for it any more.
            let (inspection, memory) = decoders.inspect(bytes.clone(), memory).await?;
            Ok::<_, ServiceError>((turn, memory, bytes, inspection?))
        };
        let Some(inspected) = runtime::timeout(self.limits.inspection_wait, inspecting).await else {
            return Err(ServiceError::Busy("too many photos wait to be inspected"));
        };
        let (_turn, memory, bytes, mut inspection) = inspected?;
        if inspection.placeholder.is_none() {
            let impression = impression(bytes, memory, decoders).await;
            inspection.perceptual_hash = impression.as_ref().and_then(|impression| impression.perceptual_hash);
            inspection.placeholder = impression.map(|impression| impression.placeholder);
        }
        Ok(inspection)
    }
}

/// Decodes a photo that brings no picture of its own for its placeholder and its perceptual hash, as small as its format lets it. Where
/// that fails or takes too long there are none: they are no reason to refuse a photo that was found sound.
async fn impression(bytes: Bytes, memory: OwnedSemaphorePermit, decoders: &Decoders) -> Option<Impression> {
    // The memory is held to the decoder's end, also where nobody waits for it any more.
    let making = decoders.placeholder(bytes, memory);
    match runtime::timeout(PLACEHOLDER_WAIT, making).await {
        Some(Ok(Ok(impression))) => return Some(impression),
        Some(Ok(Err(error))) => tracing::debug!(%error, "no placeholder"),
        Some(Err(error)) => tracing::debug!(%error, "no placeholder"),
        None => tracing::debug!("no placeholder in time"),
    }
    None
}
