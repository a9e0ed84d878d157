//! The marker: claimed by a conditional put, and looked at whatever that answers.

use bytes::Bytes;
use object_store::PutPayload;
use serde::{Deserialize, Serialize};

use super::calls::{Calls, Refusal, unavailable};
use crate::blobs::{BlobError, Marker, path};
use crate::runtime::Runtime;

/// The form of the marker.
const VERSION: u32 = 1;

/// The marker as it lies there. Fields of later versions are refused with the version; unknown ones of this are passed over.
#[derive(Debug, Serialize, Deserialize)]
struct MarkerObject {
    version: u32,
    #[serde(flatten)]
    marker: Marker,
    /// Drawn for each claim, so that whoever made it knows it again: what a service answers to a conditional put that it repeated itself, or
    /// whose answer got lost, says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
}

/// What stands, and under which tag.
struct Standing {
    object: MarkerObject,
    tag: Option<String>,
}

/// Reads the marker. A store that has vanished is an error, not an unclaimed one.
pub(super) async fn read(calls: &Calls) -> Result<Option<Marker>, BlobError> {
    Ok(standing(calls).await?.map(|standing| standing.object.marker))
}

async fn standing(calls: &Calls) -> Result<Option<Standing>, BlobError> {
    let Some((text, tag)) = calls.get_small(&calls.at(path::MARKER.as_ref())).await? else { return Ok(None) };
    match serde_json::from_slice::<MarkerObject>(&text) {
        Ok(object) if object.version == VERSION => Ok(Some(Standing { object, tag })),
        Ok(MarkerObject { version, .. }) => {
            Err(BlobError::Refused { reason: format!("the marker is of version {version}; this program knows {VERSION}") })
        }
        Err(error) => Err(BlobError::Refused { reason: format!("the marker cannot be read: {error}") }),
    }
}

/// Writes the marker if it is as expected.
pub(super) async fn claim(calls: &Calls, runtime: &Runtime, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
    let found = standing(calls).await?;
    Marker::check_claim(found.as_ref().map(|found| found.object.marker), expected, new)?;
    let tag = match found {
        None => None,
        Some(Standing { tag: Some(tag), .. }) => Some(tag),
        Some(Standing { tag: None, .. }) => return Err(BlobError::Refused { reason: "the object store gives no entity tags".to_owned() }),
    };
    let claim = uuid::Uuid::from_bytes(runtime.random.bytes()).to_string();
    let object = MarkerObject { version: VERSION, marker: new, claim: Some(claim.clone()) };
    let text = serde_json::to_vec(&object).map_err(|_| BlobError::Internal { reason: "a marker that is no JSON" })?;
    let put = calls.put_if(&calls.at(path::MARKER.as_ref()), PutPayload::from_bytes(Bytes::from(text)), tag).await;
    match &put {
        Ok(()) => {}
        Err(Refusal::Condition(error)) => tracing::info!(%error, "a claim was answered by a refusal: looking what stands"),
        Err(Refusal::Failed(error)) => return Err(error.clone()),
    }
    // Also where it was answered as done: a service that knows no conditions overwrites whatever stood, and then one of two finds the other's claim.
    match standing(calls).await? {
        Some(now) if now.object.claim.as_ref() == Some(&claim) => Ok(()),
        Some(now) => Err(BlobError::ClaimLost { found: Some(now.object.marker) }),
        None if put.is_ok() => Err(unavailable("claim the store", "the marker that was just put is not there")),
        None => Err(BlobError::ClaimLost { found: None }),
    }
}
