//! What a tenant says of its thumbnail URLs.

use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;

use super::super::output::{Output, fields};
use super::super::units;
use crate::api::{PatchTenant, PatchTenantRenditions, TenantDetails};
use crate::client::Client;
use crate::model::TenantId;

#[derive(Debug, Subcommand)]
pub(super) enum PresetCommand {
    /// Keep options under a name; those that it had go
    Set {
        /// 1 to 64 of A-Z, a-z, 0-9, _ and -; `default` is applied to every URL first
        name: String,
        /// As in a URL, with slashes between them: rs:fill:320:320/g:sm
        options: String,
        /// The tenant's id or name; absent: your token's own
        tenant: Option<String>,
    },
    /// Take a preset away: URLs that name it are refused from then on
    Remove {
        /// The preset's name
        name: String,
        /// The tenant's id or name; absent: your token's own
        tenant: Option<String>,
    },
    /// List the presets
    List {
        /// The tenant's id or name; absent: your token's own
        tenant: Option<String>,
    },
}

impl PresetCommand {
    /// The tenant that it names.
    pub(super) fn tenant(&self) -> Option<&str> {
        match self {
            Self::Set { tenant, .. } | Self::Remove { tenant, .. } | Self::List { tenant } => tenant.as_deref(),
        }
    }
}

pub(super) async fn preset(command: PresetCommand, client: &Client, output: &Output, tenant: TenantId) -> anyhow::Result<()> {
    let (name, options) = match command {
        PresetCommand::Set { name, options, .. } => (name, Some(options)),
        PresetCommand::Remove { name, .. } => (name, None),
        PresetCommand::List { .. } => {
            let tenant = client.tenant(tenant).await.context("could not get the tenant")?;
            return list(&tenant, output);
        }
    };
    let patch = PatchTenantRenditions { presets: [(name, options)].into_iter().collect(), ..PatchTenantRenditions::default() };
    list(&change(client, tenant, patch).await?, output)
}

/// Sets what is there.
pub(super) async fn set(
    client: &Client,
    output: &Output,
    tenant: TenantId,
    max_age: Option<Duration>,
    presets_only: Option<bool>,
) -> anyhow::Result<()> {
    // Longer than any number of seconds that it can be: refused as too long.
    let max_age_seconds = max_age.map(|age| age.as_secs().try_into().unwrap_or(u32::MAX));
    let patch = PatchTenantRenditions { presets_only, max_age_seconds, ..PatchTenantRenditions::default() };
    show(&change(client, tenant, patch).await?, output)
}

/// The tenant and what it says.
pub(super) fn show(tenant: &TenantDetails, output: &Output) -> anyhow::Result<()> {
    let text = |tenant: &TenantDetails| {
        let renditions = &tenant.renditions;
        let names: Vec<_> = renditions.presets.keys().map(String::as_str).collect();
        fields([
            ("id", Some(tenant.id.to_string())),
            ("name", Some(tenant.name.clone())),
            ("created", Some(tenant.created_at.clone())),
            ("max age", Some(units::seconds(renditions.max_age_seconds))),
            ("presets only", Some(if renditions.presets_only { "yes" } else { "no" }.into())),
            ("presets", (!names.is_empty()).then(|| names.join(", "))),
        ])
    };
    Ok(output.either(tenant, text)?)
}

async fn change(client: &Client, tenant: TenantId, renditions: PatchTenantRenditions) -> anyhow::Result<TenantDetails> {
    let patch = PatchTenant { renditions: Some(renditions) };
    client.patch_tenant(tenant, &patch).await.context("could not change the tenant")
}

fn list(tenant: &TenantDetails, output: &Output) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Preset<'a> {
        name: &'a str,
        options: &'a str,
    }
    let presets: Vec<_> = tenant.renditions.presets.iter().map(|(name, options)| Preset { name, options }).collect();
    Ok(output.list(&presets, ["NAME", "OPTIONS"], |preset| [preset.name.to_owned(), preset.options.to_owned()])?)
}
