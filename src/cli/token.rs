use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use futures_util::TryStreamExt;

use super::exit::Outcome;
use super::global::Session;
use super::resolve;
use super::units::parse_duration;
use crate::api::{CreateToken, Scope, Token};
use crate::model::TokenId;

/// Make, list and revoke tokens (for administrators)
#[derive(Debug, Args)]
pub(super) struct TokenOptions {
    #[command(subcommand)]
    command: TokenCommand,
    /// The user's id or name; absent: whom your token speaks for
    #[arg(long, global = true)]
    user: Option<String>,
    /// The tenant's id or name; absent: your token's own
    #[arg(long, global = true)]
    tenant: Option<String>,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print its secret, this once
    Create {
        /// What it may do; may be given several times [default: user and read]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<ScopeName>,
        /// What it is for
        #[arg(long)]
        label: Option<String>,
        /// It ceases after this time, such as 12h or 90d [default: never]
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        expires_in: Option<Duration>,
    },
    /// List a user's tokens, without their secrets
    List,
    /// Revoke a token: it is refused from now on
    Revoke {
        /// Its id
        #[arg(value_name = "ID")]
        id: TokenId,
    },
}

/// The scopes, as they are written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScopeName {
    /// Everything, at every tenant
    Admin,
    /// Users and tokens of one tenant
    Tenant,
    /// One user's albums and photos
    User,
    /// Reading them only
    Read,
    /// What an edge asks of its site: every tenant's signing keys and every photo
    Edge,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Admin => Self::Admin,
            ScopeName::Tenant => Self::Tenant,
            ScopeName::User => Self::User,
            ScopeName::Read => Self::Read,
            ScopeName::Edge => Self::Edge,
        }
    }
}

pub(super) async fn run(options: TokenOptions, session: &Session) -> anyhow::Result<Outcome> {
    let Session { client, output, .. } = session;
    let tenant = resolve::maybe_tenant(client, options.tenant.as_deref()).await?;
    let user = match &options.user {
        Some(user) => Some(resolve::user(client, tenant, user).await?),
        None => None,
    };
    match options.command {
        TokenCommand::Create { scopes, label, expires_in } => {
            let scopes: Vec<Scope> = scopes.into_iter().map(Scope::from).collect();
            let scopes = (!scopes.is_empty()).then_some(scopes);
            let request = CreateToken { user, tenant, scopes, label, expires_in_seconds: expires_in.map(|after| after.as_secs()) };
            let created = client.create_token(&request).await.context("could not make the token")?;
            if !output.is_json() {
                output.note("note: keep it well: it is not shown again");
            }
            output.either(&created, |created| format!("{}\n", created.token))?;
        }
        TokenCommand::List => {
            let tokens: Vec<Token> = client.tokens(tenant, user).try_collect().await.context("could not list the tokens")?;
            output.list(&tokens, ["ID", "SCOPES", "LABEL", "CREATED", "EXPIRES", "LAST USED"], |token| {
                [
                    token.id.to_string(),
                    token.scopes.iter().map(|scope| scope_name(*scope)).collect::<Vec<_>>().join(","),
                    token.label.clone().unwrap_or_default(),
                    token.created_at.clone(),
                    token.expires_at.clone().unwrap_or_else(|| "never".into()),
                    token.last_used_at.clone().unwrap_or_else(|| "never".into()),
                ]
            })?;
        }
        TokenCommand::Revoke { id } => {
            client.revoke_token(tenant, user, id).await.context("could not revoke the token")?;
            output.either(&serde_json::json!({ "id": id }), |_| format!("Revoked token {id}\n"))?;
        }
    }
    Ok(Outcome::Done)
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Admin => "admin",
        Scope::Tenant => "tenant",
        Scope::User => "user",
        Scope::Read => "read",
        Scope::Edge => "edge",
    }
}
