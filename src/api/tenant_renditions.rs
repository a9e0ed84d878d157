use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::TenantId;
use crate::model::tenant::RenditionSettings;

/// A banner, with what it says of its rendition URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantDetails {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: TenantId,
    /// Its name, unique at the site.
    pub name: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// What holds for its rendition URLs.
    pub renditions: TenantRenditions,
}

/// What a tenant says of its rendition URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantRenditions {
    /// Options by name, with slashes between them: `rs:fill:320:320/g:sm`. A URL asks for them by `pr:NAME`; those of `default` are applied
    /// to every URL first.
    pub presets: BTreeMap<String, String>,
    /// Whether URLs may hold nothing but names of presets, `exp`, `cb` and an extension.
    pub presets_only: bool,
    /// For how long caches may show a rendition without asking, in seconds: 0 to 31,536,000.
    pub max_age_seconds: u32,
}

impl From<RenditionSettings> for TenantRenditions {
    fn from(settings: RenditionSettings) -> Self {
        let RenditionSettings { presets, presets_only, max_age_seconds } = settings;
        Self { presets, presets_only, max_age_seconds }
    }
}

impl From<TenantRenditions> for RenditionSettings {
    fn from(said: TenantRenditions) -> Self {
        let TenantRenditions { presets, presets_only, max_age_seconds } = said;
        Self { presets, presets_only, max_age_seconds }
    }
}

/// Edits a tenant; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchTenant {
    /// What holds for its rendition URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renditions: Option<PatchTenantRenditions>,
}

/// Edits what a tenant says of its rendition URLs; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchTenantRenditions {
    /// Presets that are made or get other options; `null` removes one, and the others stay (RFC 7396). Names are 1 to 64 of A-Z, a-z, 0-9, _
    /// and -, options at most 512 bytes, and a tenant has at most 64 presets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub presets: BTreeMap<String, Option<String>>,
    /// Whether URLs may hold nothing but names of presets, `exp`, `cb` and an extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presets_only: Option<bool>,
    /// For how long caches may show a rendition without asking, in seconds: 0 to 31,536,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u32>,
}
