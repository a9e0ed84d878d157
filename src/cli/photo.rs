use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::TryStreamExt;

use super::exit::Outcome;
use super::global::Session;
use super::output::fields;
use super::{resolve, similar, units};
use crate::api::{Camera, PatchPhoto, Photo};
use crate::model::PhotoId;

/// List, show, compare, edit and delete photos
#[derive(Debug, Args)]
pub(super) struct PhotoOptions {
    #[command(subcommand)]
    command: PhotoCommand,
}

#[derive(Debug, Subcommand)]
enum PhotoCommand {
    /// List the photos of an album
    List {
        /// The album's id or exact name
        album: String,
    },
    /// Show one photo
    Show {
        /// Its id
        photo: PhotoId,
    },
    Similar(similar::SimilarOptions),
    /// Move a photo to another album
    Move {
        /// Its id
        photo: PhotoId,
        /// The other album's id or exact name
        album: String,
    },
    /// Set a photo's caption
    Caption {
        /// Its id
        photo: PhotoId,
        /// The caption; an empty one takes it away
        caption: String,
    },
    /// Move a photo to the trash
    Delete {
        /// Its id
        photo: PhotoId,
    },
}

pub(super) async fn run(options: PhotoOptions, session: &Session) -> anyhow::Result<Outcome> {
    let Session { client, output, .. } = session;
    match options.command {
        PhotoCommand::List { album } => {
            let album = resolve::album(client, &album).await?;
            let photos: Vec<Photo> = client.photos(album.id).try_collect().await.context("could not list the photos")?;
            output.list(&photos, ["ID", "NAME", "SIZE", "PIXELS", "TAKEN", "HASH"], |photo| {
                [
                    photo.id.to_string(),
                    photo.name.clone(),
                    units::bytes(photo.size_bytes),
                    format!("{}x{}", photo.width, photo.height),
                    photo.taken_at.clone().unwrap_or_default(),
                    photo.hash.to_string(),
                ]
            })?;
        }
        PhotoCommand::Show { photo } => output.either(&client.photo(photo).await.context("could not show the photo")?, show)?,
        PhotoCommand::Similar(options) => return similar::run(options, session).await,
        PhotoCommand::Move { photo, album } => {
            let album = resolve::album(client, &album).await?;
            let patch = PatchPhoto { album: Some(album.id), ..PatchPhoto::default() };
            output.either(&client.patch_photo(photo, &patch).await.context("could not move the photo")?, show)?;
        }
        PhotoCommand::Caption { photo, caption } => {
            let patch = PatchPhoto { caption: Some(caption), ..PatchPhoto::default() };
            output.either(&client.patch_photo(photo, &patch).await.context("could not set the caption")?, show)?;
        }
        PhotoCommand::Delete { photo } => {
            client.delete_photo(photo).await.context("could not delete the photo")?;
            output.either(&serde_json::json!({ "id": photo }), |_| format!("Moved photo {photo} to the trash\n"))?;
        }
    }
    Ok(Outcome::Done)
}

fn show(photo: &Photo) -> String {
    let camera = |part: fn(&Camera) -> Option<&String>| photo.camera.as_ref().and_then(part).cloned();
    fields([
        ("id", Some(photo.id.to_string())),
        ("name", Some(photo.name.clone())),
        ("caption", photo.caption.clone()),
        ("album", Some(photo.album.to_string())),
        ("hash", Some(photo.hash.to_string())),
        ("size", Some(units::bytes(photo.size_bytes))),
        ("format", Some(photo.format.clone())),
        ("pixels", Some(format!("{}x{}", photo.width, photo.height))),
        ("taken", photo.taken_at.clone()),
        ("make", camera(|camera| camera.make.as_ref())),
        ("model", camera(|camera| camera.model.as_ref())),
        ("lens", camera(|camera| camera.lens.as_ref())),
        ("place", photo.gps.map(|gps| format!("{:.6}, {:.6}", gps.latitude, gps.longitude))),
        ("uploaded", Some(photo.uploaded_at.clone())),
        ("thumbnail", Some(photo.urls.thumbnail.clone())),
    ])
}
