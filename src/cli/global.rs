use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::UsageError;
use super::output::Output;
use super::profile::{Profile, read_token};
use crate::client::{Client, ClientSettings};
use crate::config;
use crate::model::Owner;
use crate::runtime::Runtime;

/// Where `halidom serve` listens by itself.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8420";
/// Where a local server's admin token lies by itself.
const LOCAL_TOKEN: &str = "data/admin.token";

// Options of every command. (Not a doc comment: clap would take it for the program's description.)
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalOptions {
    /// The server to speak to [default: http://127.0.0.1:8420]
    #[arg(long, global = true, env = "HALIDOM_SERVER", value_name = "URL")]
    server: Option<String>,
    /// The token to speak with; better in the environment or a profile than in the shell's history
    #[arg(long, global = true, env = "HALIDOM_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The profile to take server and token from [default: `default`]
    #[arg(long, global = true, env = "HALIDOM_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// The file that holds the profiles [default: ~/.config/halidom/config.toml]
    #[arg(long, global = true, env = "HALIDOM_PROFILES", value_name = "FILE", hide_short_help = true)]
    profiles: Option<PathBuf>,
    #[arg(long, global = true, env = "XDG_CONFIG_HOME", hide = true)]
    config_home: Option<PathBuf>,
    /// Act for this user, with an administrator's token
    #[arg(long, global = true, value_name = "TENANT/USER", value_parser = parse_owner, hide_short_help = true)]
    act_for: Option<Owner>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// What commands that speak to a server need.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) output: Output,
    pub(super) runtime: Runtime,
}

impl Session {
    /// Settles server and token: options and environment first, then the profile, then the local server's own.
    pub(super) fn open(options: &GlobalOptions, output: Output) -> anyhow::Result<Self> {
        let profile = Profile::load(options.profiles_file().as_deref(), options.profile.as_deref())?;
        let server = options.server.clone().or_else(|| profile.server.clone()).unwrap_or_else(|| DEFAULT_SERVER.into());
        let token = match &options.token {
            Some(token) => Some(token.trim().to_owned()),
            // A token is for the server that stands beside it, and goes to no other.
            None if profile.server.as_ref().is_none_or(|of_token| *of_token == server) => profile.token()?,
            None => None,
        };
        let token = match token {
            None if is_loopback(&server) => local_token(Path::new(LOCAL_TOKEN), &output)?,
            token => token,
        };
        let runtime = Runtime::system();
        let mut client = Client::new(&server, token.as_deref(), ClientSettings::default(), runtime.clone())
            .map_err(|error| UsageError(error.to_string()))?;
        if let Some(owner) = options.act_for {
            client = client.acting_for(owner);
        }
        Ok(Self { client, output, runtime })
    }
}

impl GlobalOptions {
    fn profiles_file(&self) -> Option<PathBuf> {
        let home = || self.config_home.clone().or_else(|| config::home_directory().map(|home| home.join(".config")));
        self.profiles.clone().or_else(|| home().map(|home| home.join("halidom/config.toml")))
    }
}

/// The admin token of a server that was started in this directory; `None` where there is none to read.
fn local_token(file: &Path, output: &Output) -> anyhow::Result<Option<String>> {
    if std::fs::File::open(file).is_err() {
        return Ok(None);
    }
    let token = read_token(file)?;
    if !output.is_json() {
        output.note(&format!("note: no token was given; using the administrator's in `{}`", file.display()));
    }
    Ok(Some(token))
}

/// Only a server on this machine gets the token that lies about in the working directory.
fn is_loopback(server: &str) -> bool {
    reqwest::Url::parse(server).is_ok_and(|url| {
        url.host_str().is_some_and(|host| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    })
}

fn parse_owner(text: &str) -> Result<Owner, String> {
    let expected = || "expected {tenant id}/{user id}".to_owned();
    let (tenant, user) = text.split_once('/').ok_or_else(expected)?;
    Ok(Owner { tenant: tenant.parse().map_err(|_| expected())?, user: user.parse().map_err(|_| expected())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_gets_the_local_token() {
        for server in ["http://127.0.0.1:8420", "http://localhost", "https://[::1]:1/", "http://127.1.2.3"] {
            assert!(is_loopback(server), "{server}");
        }
        for server in ["http://10.0.0.1", "https://localhost.example.org", "http://127.0.0.1.example.org", "http://[2001:db8::1]", "x"] {
            assert!(!is_loopback(server), "{server}");
        }
    }

    #[test]
    fn owners_are_two_ids() {
        let owner = Owner::DEFAULT;
        assert_eq!(parse_owner(&format!("{}/{}", owner.tenant, owner.user)), Ok(owner));
        assert!(parse_owner("a/b").is_err() && parse_owner("").is_err());
    }
}
