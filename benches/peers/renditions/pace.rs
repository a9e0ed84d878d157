//! Asks for one thing at a steady pace, whatever else goes on.

use std::time::{Duration, Instant};

use super::connection::Connection;

/// Connections that ask.
const ASKING: u32 = 8;
/// How often each asks: 400 a second together, as many as a site has on average.
const EVERY: Duration = Duration::from_millis(20);

/// What is asked for, and of whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) port: u16,
    pub(super) path: &'a str,
    /// Who asks; `None` where nobody needs to know.
    pub(super) token: Option<&'a str>,
}

/// How long it took, in milliseconds.
///
/// A time is from when the one that asks had its turn, or was due to have it where the answer before came too late: what it waits for a processor
/// before it asks is not the server's. What it waits for one once the answer is there is in all times, of all peers alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paced {
    pub(super) median: f64,
    pub(super) p99: f64,
    /// The p99 of what those that ask waited for their own turns, which is in no other figure.
    pub(super) late: f64,
}

/// In a sentence.
pub(super) fn describe() -> String {
    let a_second = u128::from(ASKING) * 1_000 / EVERY.as_millis();
    format!(
        "Those that are asked for are asked for {a_second} times a second on {ASKING} connections, at a steady pace, by threads that come before others where that is allowed \
         (nice -10). A time is from when such a thread had its turn to the answer's last byte."
    )
}

/// Asks for so long.
pub(super) fn ask(asked: Asked<'_>, length: Duration) -> anyhow::Result<Paced> {
    let found = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..ASKING).map(|nth| scope.spawn(move || ask_alone(asked, EVERY * nth / ASKING, length))).collect();
        asking.into_iter().map(super::joined).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let (took, late): (Vec<_>, Vec<_>) = found.concat().into_iter().unzip();
    Ok(Paced { median: percentile(took.clone(), 50), p99: percentile(took, 99), late: percentile(late, 99) })
}

/// In milliseconds.
fn percentile(mut all: Vec<Duration>, percent: usize) -> f64 {
    all.sort_unstable();
    let at = (all.len() * percent).div_ceil(100).max(1) - 1;
    all.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
}

/// One connection: how long each answer took, and how late the thread had its turn.
fn ask_alone(asked: Asked<'_>, first: Duration, length: Duration) -> anyhow::Result<Vec<(Duration, Duration)>> {
    let _ = rustix::process::nice(-10);
    let mut connection = Connection::open(asked.port)?;
    let begun = Instant::now() + first;
    let (mut found, mut due) = (Vec::new(), begun);
    while due < begun + length {
        let is_in_time = Instant::now() < due;
        // A pace, by the clock: a timer of tokio's is only good to a millisecond.
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        // A turn that was missed is not waited for: the answer before took too long, and this one's time is from when it was due.
        let from = if is_in_time { Instant::now() } else { due };
        match asked.token {
            Some(token) => connection.get_as(asked.path, token)?,
            None => connection.get(asked.path)?,
        };
        found.push((from.elapsed(), from - due));
        due += EVERY;
    }
    Ok(found)
}
