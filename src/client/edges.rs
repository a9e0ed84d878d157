use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::call::{Call, Failure};
use super::{Client, ClientError};
use crate::api::{EdgeBlob, EdgeFeed, EdgeTenants, Unowned, UnownedRequest};
use crate::model::{BlobHash, HashPrefix, TenantId};
use crate::runtime::timeout;

/// Memory that an answer gets before it has come.
const FIRST_BYTES: usize = 1 << 20;

/// What an edge asks of a site. All fail with [`ClientError`] as its kinds say.
impl Client {
    /// All tenants with their signing keys.
    pub async fn edge_tenants(&self) -> Result<EdgeTenants, ClientError> {
        self.json(Call::get("edge/tenants")).await
    }

    /// What there is to know of a blob, where a user of the tenant has it, or, without a tenant, anybody.
    pub async fn edge_blob(&self, hash: BlobHash, tenant: Option<TenantId>) -> Result<EdgeBlob, ClientError> {
        self.json(Call::get(format!("edge/blobs/{hash}")).query("tenant", tenant)).await
    }

    /// Which of these beginnings of hashes are those of no blob that anybody has.
    pub async fn edge_unowned(&self, prefixes: Vec<HashPrefix>) -> Result<Unowned, ClientError> {
        self.json(Call::post("edge/unowned").repeatable().body(&UnownedRequest { prefixes })).await
    }

    /// What has to be forgotten since `after`; the server waits for it so long.
    pub async fn edge_feed(&self, after: Option<&str>, wait: Duration) -> Result<EdgeFeed, ClientError> {
        let call = Call::get("edge/feed").query("after", after).query("wait_seconds", Some(wait.as_secs()));
        self.json(call.timeout(self.settings.answer_timeout + wait)).await
    }

    /// A blob's bytes, all `size_bytes` of them, once, in this time: whoever asked looks whether they are those.
    pub async fn edge_bytes(&self, hash: BlobHash, size_bytes: u64, within: Duration) -> Result<Bytes, ClientError> {
        let limit = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        let bytes = self.whole(&format!("/v1/edge/blobs/{hash}/bytes"), limit, within).await?;
        if bytes.len() != limit {
            return Err(self.protocol(format!("{} bytes of a blob of {size_bytes}", bytes.len())));
        }
        Ok(bytes)
    }

    /// A blob's preview as the site keeps it, of at most `limit` bytes; `None` where it has none yet.
    pub async fn edge_preview(&self, hash: BlobHash, limit: usize, within: Duration) -> Result<Option<Bytes>, ClientError> {
        match self.whole(&format!("/v1/edge/blobs/{hash}/preview"), limit, within).await {
            Err(error) if error.is_not_found() => Ok(None),
            answered => answered.map(Some),
        }
    }

    /// Bytes of at most this length, asked for once, in this time.
    async fn whole(&self, path: &str, limit: usize, within: Duration) -> Result<Bytes, ClientError> {
        let idle = self.settings.idle_timeout;
        let once = async {
            let sent = timeout(idle, self.request(Method::GET, path).send()).await.ok_or_else(|| self.silent(false))?;
            let mut response = self.judged(sent.map_err(|error| self.broken(&error, false))?, false).await?;
            let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
            let mut body = bytes::BytesMut::with_capacity(expected.min(limit).min(FIRST_BYTES));
            loop {
                let chunk = timeout(idle, response.chunk()).await.ok_or_else(|| self.silent(false))?;
                let Some(chunk) = chunk.map_err(|error| self.broken(&error, false))? else { return Ok(body.freeze()) };
                if body.len() + chunk.len() > limit {
                    return Err(Failure::last(self.protocol(format!("more than {limit} bytes"))));
                }
                body.extend_from_slice(&chunk);
            }
        };
        let once = timeout(within, once).await.unwrap_or_else(|| Err(self.silent(false)));
        once.map_err(|failure: Failure| failure.error)
    }
}
