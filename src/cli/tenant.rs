use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::TryStreamExt;

use super::exit::Outcome;
use super::global::Session;
use super::resolve;
use crate::api::{CreateTenant, Tenant};

/// Make and list tenants (for administrators)
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
    /// Print the keys that sign a tenant's thumbnail URLs: secrets, for its web servers
    Keys {
        /// Its id or name; absent: your token's own
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
        TenantCommand::Keys { tenant } => {
            let tenant = match resolve::maybe_tenant(client, tenant.as_deref()).await? {
                Some(tenant) => tenant,
                None => client.me().await.context("could not ask whom the token speaks for")?.tenant,
            };
            let keys = client.signing_keys(tenant).await.context("could not get the tenant's keys")?;
            output.either(&keys, |keys| {
                let lines = keys.items.iter().map(|key| format!("IMGPROXY_KEY={}\nIMGPROXY_SALT={}\n", key.key, key.salt));
                lines.collect::<Vec<_>>().join("\n")
            })?;
        }
    }
    Ok(Outcome::Done)
}
