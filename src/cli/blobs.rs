use std::time::Duration;

use anyhow::Context as _;
use bytesize::ByteSize;
use clap::{Args, Subcommand};

use super::exit::Outcome;
use super::global::Session;
use super::meter::Meter;
use super::output::fields;
use super::units;
use crate::api::{MirrorStatus, MoveRequest, MoveStatus};
use crate::runtime;

/// How often it is asked how far it has come.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Move a site's blobs to another place, while it is used (for administrators)
#[derive(Debug, Args)]
pub(super) struct BlobsOptions {
    #[command(subcommand)]
    command: BlobsCommand,
}

#[derive(Debug, Subcommand)]
enum BlobsCommand {
    /// Say where the blobs are, how far a move has come, and how the mirror stands
    Status,
    /// Copy every blob to another place, verify it, then use that; asked for again it goes on where it was
    Move {
        /// Where to: `file:///dir` or `s3://bucket/prefix?endpoint=http://…`, as the server sees it
        #[arg(long, value_name = "URL")]
        to: String,
        /// The most to copy in a second, such as 50MiB
        #[arg(long, value_name = "SIZE")]
        rate: Option<ByteSize>,
        /// Leave damaged blobs behind, which cannot be copied
        #[arg(long)]
        despite_damage: bool,
        /// Do not wait for its end: the server goes on by itself
        #[arg(long)]
        detach: bool,
    },
    /// Call a move off; after its end, move back to where the blobs were
    Back,
    /// Let go of where the blobs were: nothing more is written or deleted there
    Finish,
}

pub(super) async fn run(options: BlobsOptions, session: &Session) -> anyhow::Result<Outcome> {
    let client = &session.client;
    let status = match options.command {
        BlobsCommand::Status => client.move_status().await.context("could not ask where the blobs are")?,
        BlobsCommand::Move { to, rate, despite_damage, detach } => {
            let request = MoveRequest { to, max_bytes_per_second: rate.map_or(0, |rate| rate.as_u64()), despite_damage };
            let begun = client.start_move(&request).await.context("could not move the blobs")?;
            if detach { begun } else { follow(session, begun).await? }
        }
        BlobsCommand::Back => {
            let begun = client.move_back().await.context("could not go back")?;
            follow(session, begun).await?
        }
        BlobsCommand::Finish => client.finish_move().await.context("could not finish the move")?,
    };
    session.output.either(&status, text)?;
    Ok(if status.phase == "stopped" { Outcome::of_problems(1) } else { Outcome::Done })
}

/// Waits for the end.
async fn follow(session: &Session, mut status: MoveStatus) -> anyhow::Result<MoveStatus> {
    let meter = Meter::start(&session.output, "copying", status.total_bytes, status.total_blobs);
    let (mut blobs, mut bytes) = (0, 0);
    while ["copying", "verifying", "switching"].contains(&status.phase.as_str()) {
        meter.advance(status.bytes.saturating_sub(bytes));
        meter.files(status.blobs.saturating_sub(blobs));
        (blobs, bytes) = (status.blobs.max(blobs), status.bytes.max(bytes));
        runtime::sleep(ASK_EVERY).await;
        status = session.client.move_status().await.context("the server does not say how far the move has come; it goes on by itself")?;
    }
    Ok(status)
}

fn text(status: &MoveStatus) -> String {
    let is_moving = status.total_blobs > 0;
    let other = match status.phase.as_str() {
        "switched" => "still gets everything",
        "settled" => "",
        _ => "goes to",
    };
    let next = match status.phase.as_str() {
        "switched" => Some(
            "`halidom blobs finish` lets go of where they were, `halidom blobs back` goes back; storage.blobs should say the new place",
        ),
        "stopped" => Some("asking for it again goes on, `halidom blobs back` calls it off"),
        _ => None,
    };
    fields([
        ("blobs", Some(status.home.clone())),
        (other, status.other.clone()),
        ("state", Some(status.phase.clone())),
        (
            "looked at",
            is_moving.then(|| {
                format!(
                    "{} of {} blobs, {} of {}",
                    status.blobs,
                    status.total_blobs,
                    units::bytes(status.bytes),
                    units::bytes(status.total_bytes)
                )
            }),
        ),
        ("copied", is_moving.then(|| units::bytes(status.copied_bytes))),
        ("seconds left", status.eta_seconds.map(|seconds| seconds.to_string())),
        ("damaged", (status.damaged > 0).then(|| status.damaged.to_string())),
        ("waits for", status.error.clone()),
        ("next", next.map(str::to_owned)),
        ("mirror", status.mirror.as_ref().map(|mirror| mirror.url.clone())),
        ("mirror is", status.mirror.as_ref().map(mirror_text)),
        ("mirror waits for", status.mirror.as_ref().and_then(|mirror| mirror.error.clone())),
    ])
}

/// How a mirror stands, in a line.
fn mirror_text(mirror: &MirrorStatus) -> String {
    let mut parts = vec![match mirror.phase.as_str() {
        "filling" | "verifying" => format!(
            "{} ({} of {} blobs, {} of {})",
            mirror.phase,
            mirror.blobs,
            mirror.total_blobs,
            units::bytes(mirror.bytes),
            units::bytes(mirror.total_bytes)
        ),
        phase => phase.to_owned(),
    }];
    let counts = [
        (mirror.missed, "to copy"),
        (mirror.to_repair, "to repair"),
        (mirror.repaired, "repaired"),
        (mirror.copied, "copied again"),
        (mirror.lost, "lost"),
    ];
    parts.extend(counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    if mirror.braked {
        parts.push("too much is wrong: nothing is repaired until the hour is over".to_owned());
    }
    parts.join(", ")
}
