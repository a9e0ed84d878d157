use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::TryStreamExt;

use super::exit::Outcome;
use super::global::Session;
use super::output::fields;
use super::{resolve, units};
use crate::api::{Album, CreateAlbum, PatchAlbum};

/// List, make, rename and delete albums
#[derive(Debug, Args)]
pub(super) struct AlbumOptions {
    #[command(subcommand)]
    command: AlbumCommand,
}

#[derive(Debug, Subcommand)]
enum AlbumCommand {
    /// List your albums
    List,
    /// Show one album
    Show {
        /// Its id or exact name
        album: String,
    },
    /// Make an album; a second one of the same name is another album
    Create {
        /// Its name
        name: String,
        /// A longer text
        #[arg(long)]
        description: Option<String>,
    },
    /// Give an album another name
    Rename {
        /// Its id or exact name
        album: String,
        /// The new name
        name: String,
    },
    /// Move an album and the photos in it to the trash
    Delete {
        /// Its id or exact name
        album: String,
    },
}

pub(super) async fn run(options: AlbumOptions, session: &Session) -> anyhow::Result<Outcome> {
    let Session { client, output, .. } = session;
    match options.command {
        AlbumCommand::List => {
            let albums: Vec<Album> = client.albums(None).try_collect().await.context("could not list the albums")?;
            output.list(&albums, ["ID", "NAME", "PHOTOS", "SIZE", "CREATED"], |album| {
                [
                    album.id.to_string(),
                    album.name.clone(),
                    album.photo_count.to_string(),
                    units::bytes(album.bytes),
                    album.created_at.clone(),
                ]
            })?;
        }
        AlbumCommand::Show { album } => output.either(&resolve::album(client, &album).await?, show)?,
        AlbumCommand::Create { name, description } => {
            let album = client.create_album(&CreateAlbum { name, id: None, description }).await.context("could not make the album")?;
            output.either(&album, |album| format!("{}\n", album.id))?;
        }
        AlbumCommand::Rename { album, name } => {
            let album = resolve::album(client, &album).await?;
            let patch = PatchAlbum { name: Some(name), description: None };
            let album = client.patch_album(album.id, &patch).await.context("could not rename the album")?;
            output.either(&album, show)?;
        }
        AlbumCommand::Delete { album } => {
            let album = resolve::album(client, &album).await?;
            client.delete_album(album.id).await.context("could not delete the album")?;
            output.either(&album, |album| {
                format!("Moved album `{}` with {} to the trash\n", album.name, units::count(album.photo_count, "photo"))
            })?;
        }
    }
    Ok(Outcome::Done)
}

fn show(album: &Album) -> String {
    fields([
        ("id", Some(album.id.to_string())),
        ("name", Some(album.name.clone())),
        ("description", album.description.clone()),
        ("photos", Some(album.photo_count.to_string())),
        ("size", Some(units::bytes(album.bytes))),
        ("created", Some(album.created_at.clone())),
    ])
}
