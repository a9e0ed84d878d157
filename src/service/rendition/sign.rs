//! Signs the URLs of renditions: those that come with every photo, and those that are asked for.

use crate::imaging;
use crate::metadata::Read;
use crate::model::{BlobHash, TenantId};
use crate::service::rendition_url::{LADDER, Presets, RecipeRequest, RenditionFormat, RenditionUrl, SigningKey, signed_path};
use crate::service::{Caller, Scope, ServiceError, Services};

// Sides of the ladder.
pub(super) const THUMBNAIL: u32 = 320;
const PREVIEW: u32 = 1_280;

/// What a signed URL shall ask for.
#[derive(Debug, Clone, Default)]
pub struct UrlOptions {
    /// Width to fit into, in pixels; 0: any.
    pub width: u32,
    /// Height to fit into, in pixels; 0: any.
    pub height: u32,
    /// 1 to 100.
    pub quality: Option<u8>,
    /// `jpg`, `webp`, `avif` or `png`; absent: `jpg`, or with a preset what that or the browser says.
    pub format: Option<String>,
    /// Presets of the tenant, with colons between their names. What else is said goes over them.
    pub preset: Option<String>,
    /// Seconds since the Unix epoch after which the URL is refused.
    pub expires: Option<u64>,
}

impl UrlOptions {
    /// The signed part of the path that says so.
    fn signed_part(&self, hash: BlobHash, format: Option<RenditionFormat>) -> Result<String, ServiceError> {
        let Self { width, height, quality, expires, .. } = *self;
        let recipe = RecipeRequest { quality, format, ..RecipeRequest::default() };
        let url = |recipe| RenditionUrl { hash, recipe, expires, by_preset: false }.to_signed_part();
        let Some(names) = &self.preset else { return Ok(url(RecipeRequest { width, height, ..recipe })) };
        if names.contains('/') {
            return Err(ServiceError::Invalid { field: "preset", detail: "the name of a preset".into() });
        }
        // Only what is said goes over it: a width leaves its way of resizing, and its height.
        let side = |option: &str, side: u32| if side > 0 { format!("/{option}:{side}") } else { String::new() };
        Ok(format!("/pr:{names}{}{}{}", side("w", width), side("h", height), url(recipe)))
    }
}

impl Services {
    /// The path of a rendition, signed. Signs only for blobs that the caller owns.
    ///
    /// # Errors
    /// `NotFound` for a blob that is not the caller's; `Invalid` for the sizes, an unknown preset, and what the tenant's URLs may not say.
    pub async fn sign_rendition(&self, caller: &Caller, hash: BlobHash, options: &UrlOptions) -> Result<String, ServiceError> {
        caller.require(Scope::Read)?;
        let owner = caller.owner;
        if !self.look_up(move |at| Ok(at.owns(owner, &hash)?)).await? {
            return Err(ServiceError::NotFound("image"));
        }
        let format = match options.format.as_deref() {
            None => options.preset.is_none().then_some(RenditionFormat::Jpeg),
            Some(name) => Some(
                RenditionFormat::from_extension(name)
                    .ok_or_else(|| ServiceError::Invalid { field: "format", detail: "jpg, webp, avif or png".into() })?,
            ),
        };
        if options.quality.is_some_and(|quality| !(1..=100).contains(&quality)) {
            return Err(ServiceError::Invalid { field: "quality", detail: "1 to 100".into() });
        }
        let signed = options.signed_part(hash, format)?;
        let signer = self.signer(caller.owner.tenant).await?;
        // Only what will be served is signed.
        let understood = RenditionUrl::parse(&signed, &signer.presets)?;
        self.renditions.settle(&understood.recipe, RenditionFormat::Jpeg)?;
        Ok(signed_path(&signer.key, &signed))
    }

    /// What signs the rendition URLs that come with every photo of a caller's.
    ///
    /// # Errors
    /// Where the tenant has no signing key.
    pub async fn photo_urls(&self, caller: &Caller) -> Result<PhotoUrlSigner, ServiceError> {
        let Signer { key, presets } = self.signer(caller.owner.tenant).await?;
        Ok(PhotoUrlSigner { key, by_name: presets.name_own_sizes(), presets_only: presets.only(), max_side: self.renditions.max_side() })
    }

    pub(super) async fn signer(&self, tenant: TenantId) -> Result<Signer, ServiceError> {
        let view = self.look_up(move |at| Ok(at.tenant(tenant)?)).await?.ok_or(ServiceError::NotFound("tenant"))?;
        let presets = Presets::of(&view.renditions);
        let key = view.signing_keys.into_iter().next().ok_or(ServiceError::NotFound("signing key"))?;
        Ok(Signer { key: SigningKey::new(key.key, key.salt), presets })
    }
}

/// What a tenant's URLs are signed with, and how they are read.
pub(super) struct Signer {
    pub(super) key: SigningKey,
    pub(super) presets: Presets,
}

/// Signs the rendition URLs of a photo.
#[derive(Debug)]
pub struct PhotoUrlSigner {
    pub(super) key: SigningKey,
    /// Whether sizes are asked for by the names of the presets that every tenant has.
    by_name: bool,
    /// Whether nothing else may be asked for.
    pub(super) presets_only: bool,
    max_side: u32,
}

impl PhotoUrlSigner {
    /// A thumbnail: fits 320 × 320.
    pub fn thumbnail(&self, hash: BlobHash) -> String {
        self.fit(hash, THUMBNAIL)
    }

    /// A preview: fits 1280 × 1280.
    pub fn preview(&self, hash: BlobHash) -> String {
        self.fit(hash, PREVIEW)
    }

    /// What `srcset` of an HTML image takes: each size of [`LADDER`] and how wide the photo is in it, from small to large. One that is not larger than the size
    /// before is left out: small photos are not enlarged; so is one that the site does not make. `shown` is the photo's width and height.
    pub fn srcset(&self, hash: BlobHash, shown: (u32, u32)) -> String {
        let mut srcset = String::new();
        let mut widest = 0;
        for side in LADDER.into_iter().filter(|side| *side <= self.max_side) {
            let (width, _) = imaging::fit(shown, (side, side), false);
            if width > widest {
                let separator = if srcset.is_empty() { "" } else { ", " };
                srcset.push_str(&format!("{separator}{} {width}w", self.fit(hash, side)));
                widest = width;
            }
        }
        srcset
    }

    fn fit(&self, hash: BlobHash, side: u32) -> String {
        if self.by_name {
            return RenditionUrl::own_size_by_name(hash, side, &self.key);
        }
        RenditionUrl { hash, recipe: thumbnail_recipe(side), expires: None, by_preset: false }.to_path(&self.key)
    }
}

/// What pages show: within a square of this side.
pub(super) fn thumbnail_recipe(side: u32) -> RecipeRequest {
    RecipeRequest { width: side, height: side, format: Some(RenditionFormat::Jpeg), ..RecipeRequest::default() }
}
