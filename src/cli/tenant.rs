mod renditions;

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::TryStreamExt;

use super::exit::Outcome;
use super::global::Session;
use super::resolve;
use super::units::parse_duration;
use crate::api::{CreateTenant, SigningKey, Tenant};
use crate::client::Client;
use crate::model::{SigningKeyId, TenantId};
use renditions::PresetCommand;

/// Make, list and change tenants (for administrators)
#[derive(Debug, Args)]
pub(super) struct TenantOptions {
    #[command(subcommand)]
    command: TenantCommand,
}

#[derive(Debug, Subcommand)]
enum TenantCommand {
    /// Make a tenant
    Create {
        /// Its name, unique at the site
        name: String,
    },
    /// List the tenants
    List,
    /// Show a tenant
    Show {
        /// Its id or name; absent: your token's own
        tenant: Option<String>,
    },
    /// Change what holds for a tenant's thumbnail URLs
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Set {
        /// Its id or name; absent: your token's own
        tenant: Option<String>,
        /// How long browsers and CDNs may show a thumbnail without asking, such as 12h or 30d; at most 365d, 0s: they ask each time
        #[arg(long, value_name = "DURATION", value_parser = parse_duration, group = "change")]
        max_age: Option<Duration>,
        /// Whether URLs may ask for presets only
        #[arg(long, value_name = "BOOL", group = "change")]
        presets_only: Option<bool>,
    },
    /// Keep the options of thumbnail URLs under names
    #[command(subcommand)]
    Preset(PresetCommand),
    /// Print the keys that sign a tenant's thumbnail URLs: secrets, for its web servers
    Keys {
        /// Its id or name; absent: your token's own
        tenant: Option<String>,
    },
    /// Make another key: URLs that it signs are accepted at once
    AddKey {
        /// The tenant's id or name; absent: your token's own
        tenant: Option<String>,
    },
    /// Have a key sign the URLs that the server makes; the others go on being accepted
    UseKey {
        /// The key's id, as `tenant keys` prints it
        key: SigningKeyId,
        /// The tenant's id or name; absent: your token's own
        tenant: Option<String>,
    },
    /// Take a key away: URLs that it signed are refused from then on
    RemoveKey {
        /// The key's id, as `tenant keys` prints it
        key: SigningKeyId,
        /// The tenant's id or name; absent: your token's own
        tenant: Option<String>,
    },
}

pub(super) async fn run(options: TenantOptions, session: &Session) -> anyhow::Result<Outcome> {
    let Session { client, output, .. } = session;
    match options.command {
        TenantCommand::Create { name } => {
            let tenant = client.create_tenant(&CreateTenant { name }).await.context("could not make the tenant")?;
            output.either(&tenant, |tenant| format!("{}\n", tenant.id))?;
        }
        TenantCommand::List => {
            let tenants: Vec<Tenant> = client.tenants().try_collect().await.context("could not list the tenants")?;
            output.list(&tenants, ["ID", "NAME", "CREATED"], |tenant| {
                [tenant.id.to_string(), tenant.name.clone(), tenant.created_at.clone()]
            })?;
        }
        TenantCommand::Show { tenant } => {
            let tenant = tenant_or_own(client, tenant).await?;
            let tenant = client.tenant(tenant).await.context("could not get the tenant")?;
            renditions::show(&tenant, output)?;
        }
        TenantCommand::Set { tenant, max_age, presets_only } => {
            let tenant = tenant_or_own(client, tenant).await?;
            renditions::set(client, output, tenant, max_age, presets_only).await?;
        }
        TenantCommand::Preset(command) => {
            let tenant = tenant_or_own(client, command.tenant().map(str::to_owned)).await?;
            renditions::preset(command, client, output, tenant).await?;
        }
        TenantCommand::Keys { tenant } => {
            let tenant = tenant_or_own(client, tenant).await?;
            let keys = client.signing_keys(tenant).await.context("could not get the tenant's keys")?;
            output.either(&keys, |keys| keys.items.iter().map(lines).collect::<Vec<_>>().join("\n"))?;
        }
        TenantCommand::AddKey { tenant } => {
            let tenant = tenant_or_own(client, tenant).await?;
            let key = client.add_signing_key(tenant).await.context("could not make a key")?;
            output.either(&key, lines)?;
        }
        TenantCommand::UseKey { key, tenant } => {
            let tenant = tenant_or_own(client, tenant).await?;
            let key = client.use_signing_key(tenant, key).await.context("could not have the key sign")?;
            output.either(&key, lines)?;
        }
        TenantCommand::RemoveKey { key, tenant } => {
            let tenant = tenant_or_own(client, tenant).await?;
            client.remove_signing_key(tenant, key).await.context("could not remove the key")?;
        }
    }
    Ok(Outcome::Done)
}

async fn tenant_or_own(client: &Client, tenant: Option<String>) -> anyhow::Result<TenantId> {
    match resolve::maybe_tenant(client, tenant.as_deref()).await? {
        Some(tenant) => Ok(tenant),
        None => Ok(client.me().await.context("could not ask whom the token speaks for")?.tenant),
    }
}

/// As the environment of a web server takes it.
fn lines(key: &SigningKey) -> String {
    let signs = if key.signs { ", signs here" } else { "" };
    format!("# {}{signs}\nIMGPROXY_KEY={}\nIMGPROXY_SALT={}\n", key.id, key.key, key.salt)
}
