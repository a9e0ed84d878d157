use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::TryStreamExt;

use super::exit::Outcome;
use super::global::Session;
use super::resolve;
use crate::api::{CreateUser, PatchUser, User};

/// Make, list and disable users (for administrators)
#[derive(Debug, Args)]
pub(super) struct UserOptions {
    #[command(subcommand)]
    command: UserCommand,
    /// The tenant's id or name; absent: the token's own
    #[arg(long, global = true)]
    tenant: Option<String>,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make a user
    Create {
        /// Its name, unique within the tenant
        name: String,
    },
    /// List the users of a tenant
    List,
    /// Refuse a user's tokens, or accept them again; nothing of the user's is lost
    Disable {
        /// Its id or name
        user: String,
        /// Accept them again
        #[arg(long)]
        undo: bool,
    },
}

pub(super) async fn run(options: UserOptions, session: &Session) -> anyhow::Result<Outcome> {
    let Session { client, output, .. } = session;
    let tenant = resolve::maybe_tenant(client, options.tenant.as_deref()).await?;
    match options.command {
        UserCommand::Create { name } => {
            let user = client.create_user(&CreateUser { name, tenant }).await.context("could not make the user")?;
            output.either(&user, |user| format!("{}\n", user.id))?;
        }
        UserCommand::List => {
            let users: Vec<User> = client.users(tenant).try_collect().await.context("could not list the users")?;
            output.list(&users, ["ID", "NAME", "STATE", "CREATED"], |user| {
                let state = if user.disabled { "disabled" } else { "active" };
                [user.id.to_string(), user.name.clone(), state.into(), user.created_at.clone()]
            })?;
        }
        UserCommand::Disable { user, undo } => {
            let user = resolve::user(client, tenant, &user).await?;
            let patch = PatchUser { name: None, disabled: Some(!undo) };
            let user = client.patch_user(tenant, user, &patch).await.context("could not change the user")?;
            output.either(&user, |user| format!("User `{}` is {}\n", user.name, if user.disabled { "disabled" } else { "active" }))?;
        }
    }
    Ok(Outcome::Done)
}
