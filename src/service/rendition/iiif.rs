//! Images by IIIF: the same renditions, the same cache and queue; only what names them is another.

use std::sync::Arc;

use super::{Freshness, PhotoUrlSigner, RenditionRequest, RenditionService, keys};
use crate::imaging::OutputFormat;
use crate::metadata::Read;
use crate::model::{BlobHash, WallMs};
use crate::service::iiif::{Bounds, Identifier, ImageRequest};
use crate::service::rendition_url::{LADDER, RenditionFormat};
use crate::service::{Caller, Scope, ServiceError, Services};

/// What the longest side of WebP can be: an image has the same sizes in every format.
const MAX_SIDE: u32 = 16_383;
/// A tile's side in pixels. Each tile has the photo decoded, so there are few of them.
const TILE: u32 = 1_024;

/// An image that a client may see: its identifier's signature was checked, and its tenant has the blob.
#[derive(Debug, Clone)]
pub struct IiifImage {
    identifier: String,
    hash: BlobHash,
    shown: (u32, u32),
    bounds: Bounds,
    freshness: Freshness,
    expires: Option<WallMs>,
}

impl IiifImage {
    /// The identifier, as it needs no escaping.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// Width and height in pixels, as shown.
    pub fn size(&self) -> (u32, u32) {
        self.shown
    }

    /// For how long caches may show it.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The largest that it is promised in, in its own shape; larger ones may be had.
    pub fn max_size(&self) -> (u32, u32) {
        self.bounds.fit(self.shown, self.shown, false)
    }

    /// Sizes of the whole image that others ask for too, from small to large.
    pub fn sizes(&self) -> Vec<(u32, u32)> {
        let max = self.max_size();
        let mut sizes: Vec<_> =
            LADDER.into_iter().map(|side| self.bounds.fit(self.shown, (side.min(max.0), side.min(max.1)), false)).collect();
        sizes.dedup();
        sizes
    }

    /// The side of its tiles, and by what the image is divided for them: until one tile holds it.
    pub fn tiles(&self) -> (u32, Vec<u32>) {
        let longest = self.shown.0.max(self.shown.1);
        let side = TILE.min(self.bounds.max_side).min(self.bounds.max_pixels.isqrt().try_into().unwrap_or(TILE));
        let mut factors = vec![1];
        let mut factor = 1_u32;
        while longest.div_ceil(factor) > side && factor < 1 << 16 {
            factor *= 2;
            factors.push(factor);
        }
        (side, factors)
    }
}

impl RenditionService {
    /// Reads an image's identifier, checks its signature against every live key, and that its tenant has the blob.
    ///
    /// # Errors
    /// `BadSignature`, also for one that has expired; `NotFound` for what is no identifier, and for a blob that no user of the tenant has,
    /// whether another tenant has it or not.
    pub async fn resolve_iiif(self: &Arc<Self>, text: &str) -> Result<IiifImage, ServiceError> {
        let keys = self.live_keys().await?;
        let (tenant, identifier) = Identifier::open(text, keys::candidates(&keys))?;
        let now = WallMs(self.runtime.clock.unix_ms());
        if identifier.is_expired(now) {
            return Err(ServiceError::BadSignature("the identifier has expired"));
        }
        if tenant.presets.only() {
            return Err(ServiceError::BadSignature("this tenant's photos are shown by presets only"));
        }
        let freshness = Freshness::of(tenant.max_age_seconds, identifier.expires, now);
        let (hash, tenant) = (identifier.hash, tenant.id);
        let expires = identifier.expires.map(|seconds| WallMs(seconds.saturating_mul(1_000)));
        let shown = self.catalogue.shown_to(tenant, hash).await?.ok_or(ServiceError::NotFound("image"))?;
        Ok(IiifImage { identifier: text.to_owned(), hash, shown, bounds: self.iiif_bounds(), freshness, expires })
    }

    /// What a request asks of an image, and the same request in its canonical form.
    ///
    /// # Errors
    /// `Invalid` for what the image cannot be made into.
    pub fn iiif_rendition(&self, image: &IiifImage, request: &ImageRequest) -> Result<(RenditionRequest, String), ServiceError> {
        let settled = request.settle(image.shown, image.bounds)?;
        let recipe = self.settle(&settled.recipe, RenditionFormat::Jpeg)?;
        let key = self.renditions.key(image.hash, recipe);
        let IiifImage { freshness, expires, .. } = *image;
        Ok((RenditionRequest { key, meanwhile: None, freshness, expires, is_negotiated: false }, settled.canonical))
    }

    fn iiif_bounds(&self) -> Bounds {
        let limits = &self.limits.config;
        let max_pixels = limits.max_pixels.min(limits.max_decoded_bytes.as_u64() / OutputFormat::Jpeg.drawn_bytes_per_pixel()).max(1);
        Bounds { max_side: self.renditions.max_side.min(MAX_SIDE), max_pixels }
    }
}

impl Services {
    /// The base URI of an image without scheme and host, signed. Signs only for blobs that the caller owns.
    ///
    /// # Errors
    /// `NotFound` for a blob that is not the caller's; `Invalid` where the tenant's photos are shown by presets only.
    pub async fn sign_iiif(&self, caller: &Caller, hash: BlobHash, expires: Option<u64>) -> Result<String, ServiceError> {
        caller.require(Scope::Read)?;
        let owner = caller.owner;
        if !self.look_up(move |at| Ok(at.owns(owner, &hash)?)).await? {
            return Err(ServiceError::NotFound("image"));
        }
        let signer = self.signer(owner.tenant).await?;
        if signer.presets.only() {
            // It would be refused.
            return Err(ServiceError::Invalid { field: "iiif", detail: "this tenant's photos are shown by presets only".into() });
        }
        Ok(Identifier { hash, expires }.to_path(&signer.key))
    }
}

impl PhotoUrlSigner {
    /// The base URI of the photo as an IIIF image, without scheme and host; `None` where the tenant's photos are shown by presets only.
    pub fn iiif(&self, hash: BlobHash) -> Option<String> {
        (!self.presets_only).then(|| Identifier { hash, expires: None }.to_path(&self.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(shown: (u32, u32), max_side: u32, max_pixels: u64) -> IiifImage {
        IiifImage {
            identifier: String::new(),
            hash: BlobHash::of(b"photo"),
            shown,
            bounds: Bounds { max_side, max_pixels },
            freshness: Freshness::of(60, None, WallMs(0)),
            expires: None,
        }
    }

    #[test]
    fn tiles_go_down_to_one() {
        for (shown, expected) in [
            ((6_000, 4_000), (1_024, vec![1, 2, 4, 8])),
            ((1_024, 1_024), (1_024, vec![1])),
            ((1, 1_025), (1_024, vec![1, 2])),
            ((24, 16), (1_024, vec![1])),
        ] {
            assert_eq!(image(shown, 8_192, 64 << 20).tiles(), expected, "{shown:?}");
        }
        assert_eq!(image((600, 400), 300, 64 << 20).tiles(), (300, vec![1, 2]));
        assert_eq!(image((600, 400), 300, 40_000).tiles(), (200, vec![1, 2, 4]));
    }

    #[test]
    fn sizes_are_the_ladder_as_far_as_there_is_one() {
        assert_eq!(image((6_000, 4_000), 8_192, 64 << 20).sizes(), [(160, 107), (320, 213), (640, 427), (1_280, 853), (2_048, 1_365)]);
        assert_eq!(image((600, 400), 8_192, 64 << 20).sizes(), [(160, 107), (320, 213), (600, 400)]);
        assert_eq!(image((24, 16), 8_192, 64 << 20).sizes(), [(24, 16)]);
        let small = image((6_000, 4_000), 1_000, 600_000);
        assert!(small.sizes().iter().all(|(width, height)| width * height <= 600_000 && *width <= 1_000));
        assert_eq!(small.sizes().last(), Some(&small.max_size()));
    }
}
