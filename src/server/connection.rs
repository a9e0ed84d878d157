//! One connection, and how long it may do nothing: a head that does not come, a client that does not read, a line that lies idle.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{self, Either};
use http::{Request, Response, Version};
use http_body::{Frame, SizeHint};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::streams::{Streams, Taking};
use crate::http::{ClientEnd, Entrance, Outgoing, SendfileStream};
use crate::runtime::{self, Clock};

/// What goes out that is at most so much more than what came in is taken for HTTP/2's own: answers to pings and settings, which are as long
/// as what they answer, and a few frames of the server's. It says nothing of a client that takes an answer.
const CONTROL_BYTES: u64 = 64;
/// Bytes that a socket holds of what has not gone out yet (TCP_NOTSENT_LOWAT, tcp(7)): it takes more once half of them have. Over
/// loopback a client of 10 kB/s goes on, and one of 5 kB/s looks as if it took nothing for 30 s.
const UNSENT_BYTES: u32 = 512 << 10;
/// Bytes of an answer that are handed over at once for a stream of HTTP/2, a frame of the usual size.
const PIECE_BYTES: usize = 16 << 10;

/// How long a connection waits for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From the first byte of a request's head, or from the begin of the connection, to the head's end.
    pub(super) header: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// While the client takes none of what is to be sent.
    pub(super) stall: Duration,
}

impl Patience {
    /// How often a connection is looked at: what is overdue is cut at most this much late.
    fn look_every(&self) -> Duration {
        (self.header.min(self.idle).min(self.stall) / 2).max(Duration::from_millis(1))
    }
}

/// Why a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overdue {
    Head,
    Idle,
    Stalled,
}

/// What goes on on a connection.
#[derive(Debug)]
struct Activity {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests whose head has come and whose answer has not been handed over whole: its last part may still have to go out.
    open: usize,
    /// When the last of them ended, or the client last took something.
    quiet_since: Duration,
    /// Bytes that came in and went out since then.
    came: u64,
    went: u64,
    /// When the connection began, until its first request.
    fresh_since: Option<Duration>,
    /// When the first byte of a head came that is not whole yet. HTTP/2 has frames of its own between requests: not for those.
    head_since: Option<Duration>,
    /// Since when the client takes nothing of what is to be sent.
    blocked_since: Option<Duration>,
    has_frames: bool,
}

impl State {
    fn quiet_from(&mut self, now: Duration) {
        (self.quiet_since, self.came, self.went) = (now, 0, 0);
    }
}

impl Activity {
    fn new(clock: Clock) -> Arc<Self> {
        let now = clock.monotonic();
        let state = State {
            open: 0,
            quiet_since: now,
            came: 0,
            went: 0,
            fresh_since: Some(now),
            head_since: None,
            blocked_since: None,
            has_frames: false,
        };
        Arc::new(Self { clock, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn came(&self, bytes: usize) {
        let mut state = self.state();
        state.came += bytes as u64;
        if state.open == 0 && state.head_since.is_none() && !state.has_frames {
            state.head_since = Some(self.clock.monotonic());
        }
    }

    fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        let mut state = self.state();
        match polled {
            Poll::Ready(Ok(bytes)) => {
                state.blocked_since = None;
                state.went += *bytes as u64;
                if state.went > state.came + CONTROL_BYTES {
                    state.quiet_from(self.clock.monotonic());
                }
            }
            Poll::Ready(Err(_)) => state.blocked_since = None,
            Poll::Pending if state.blocked_since.is_none() => state.blocked_since = Some(self.clock.monotonic()),
            Poll::Pending => {}
        }
    }

    fn begin(self: &Arc<Self>, version: Version) -> Open {
        let mut state = self.state();
        state.open += 1;
        state.head_since = None;
        state.fresh_since = None;
        state.has_frames = version == Version::HTTP_2;
        Open(self.clone())
    }

    /// Why the connection is to be cut now, if it is.
    fn overdue(&self, patience: &Patience) -> Option<Overdue> {
        let state = self.state();
        let now = self.clock.monotonic();
        let passed = |since: Duration, limit: Duration| now.saturating_sub(since) >= limit;
        if state.blocked_since.is_some_and(|since| passed(since, patience.stall)) {
            return Some(Overdue::Stalled);
        }
        if state.open > 0 {
            return None;
        }
        let head_since = state.head_since.or(state.fresh_since);
        match head_since {
            Some(since) => passed(since, patience.header).then_some(Overdue::Head),
            None => passed(state.quiet_since, patience.idle).then_some(Overdue::Idle),
        }
    }

    /// Ends once the connection is to be cut.
    async fn until_overdue(&self, patience: &Patience) -> Overdue {
        let pause = patience.look_every();
        loop {
            if let Some(overdue) = self.overdue(patience) {
                return overdue;
            }
            runtime::sleep(pause).await;
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
struct Open(Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        if state.open == 0 {
            state.quiet_from(self.0.clock.monotonic());
        }
    }
}

/// Serves a connection until it ends, is overdue, or the stop has let its last request end.
pub(super) async fn serve(
    stream: TcpStream,
    entrance: Entrance,
    builder: &auto::Builder<Streams>,
    watcher: Watcher,
    clock: Clock,
    patience: Patience,
) {
    // Small answers must not wait for the peer's acknowledgement; where the option cannot be set they do.
    let _ = stream.set_nodelay(true);
    // Else a socket takes megabytes at once, and the next only once a third of them are gone: who reads slowly would look like who reads nothing.
    let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
    let activity = Activity::new(clock);
    let (outgoing, client_end) = (Outgoing::default(), ClientEnd::default());
    let service = hyper::service::service_fn({
        let activity = activity.clone();
        let (outgoing, client_end) = (outgoing.clone(), client_end.clone());
        move |mut request: Request<hyper::body::Incoming>| {
            let open = activity.begin(request.version());
            let answering = match entrance.at_once(&request) {
                Some(response) => Either::Left(future::ready(response)),
                None => {
                    request.extensions_mut().insert(outgoing.clone());
                    if request.version() <= Version::HTTP_11 {
                        request.extensions_mut().insert(client_end.clone());
                    }
                    Either::Right(entrance.clone().answer(request))
                }
            };
            answering.map(|response: Response<Body>| Ok::<_, Infallible>(response.map(|body| OpenBody::new(body, open))))
        }
    });
    let stream = Watched { stream: SendfileStream::new(stream, outgoing), client_end, activity: activity.clone() };
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    tokio::select! {
        ended = watcher.watch(connection) => if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended with an error");
        },
        overdue = activity.until_overdue(&patience) => tracing::debug!(?overdue, "a connection was cut"),
    }
}

/// A stream whose reads and writes are noticed.
struct Watched {
    stream: SendfileStream,
    client_end: ClientEnd,
    activity: Arc<Activity>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        let came = into.filled().len() - before;
        if came > 0 {
            self.activity.came(came);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.wrote(&polled);
        polled
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.activity.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes whenever it is woken, and does not read while a request is answered.
        if self.client_end.is_awaited() && self.stream.poll_client_end(context).is_ready() {
            self.client_end.came();
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// An answer's body; its request is open until it goes. Over HTTP/2 it is handed over in small pieces: what is handed over nobody bounds.
struct OpenBody {
    body: Body,
    /// What is still to be handed over of the last piece.
    rest: Bytes,
    taking: Option<Arc<Taking>>,
    _open: Open,
}

impl OpenBody {
    fn new(body: Body, open: Open) -> Self {
        let taking = Taking::current();
        taking.iter().for_each(|taking| taking.handed());
        Self { body, rest: Bytes::new(), taking, _open: open }
    }
}

impl HttpBody for OpenBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(taking) = self.taking.clone() else { return Pin::new(&mut self.body).poll_frame(context) };
        taking.asked();
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => {
                        taking.handed();
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                },
                other => return Poll::Ready(other),
            }
        }
        taking.handed();
        let length = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { header: Duration::from_secs(10), idle: Duration::from_secs(75), stall: Duration::from_secs(30) };
    const MOMENT: Duration = Duration::from_millis(1);

    fn activity() -> (Clock, Arc<Activity>) {
        let clock = Clock::manual(1_000);
        (clock.clone(), Activity::new(clock))
    }

    /// Nothing is overdue a moment before `limit` has passed, and `expected` is then.
    fn assert_cut(clock: &Clock, activity: &Activity, limit: Duration, expected: Overdue) {
        clock.advance(limit - MOMENT);
        assert_eq!(activity.overdue(&PATIENCE), None);
        clock.advance(MOMENT);
        assert_eq!(activity.overdue(&PATIENCE), Some(expected));
    }

    #[test]
    fn a_head_has_to_come() {
        let (clock, activity) = activity();
        // Whatever the server says meanwhile.
        clock.advance(MOMENT);
        activity.wrote(&Poll::Ready(Ok(1_000)));
        assert_cut(&clock, &activity, PATIENCE.header - MOMENT, Overdue::Head);
    }

    #[test]
    fn a_line_may_lie_idle_for_longer_but_a_begun_head_may_not() {
        let (clock, activity) = activity();
        activity.came(100);
        let request = activity.begin(Version::HTTP_11);
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(activity.overdue(&PATIENCE), None, "a request may take its time");
        drop(request);
        clock.advance(PATIENCE.idle - MOMENT);
        activity.came(100);
        clock.advance(MOMENT);
        activity.came(100);
        assert_cut(&clock, &activity, PATIENCE.header - MOMENT, Overdue::Head);
        drop(activity.begin(Version::HTTP_11));
        assert_cut(&clock, &activity, PATIENCE.idle, Overdue::Idle);
    }

    #[test]
    fn what_was_handed_over_may_still_be_on_its_way() {
        let (clock, activity) = activity();
        drop(activity.begin(Version::HTTP_2));
        for _ in 0..3 {
            clock.advance(PATIENCE.idle - MOMENT);
            assert_eq!(activity.overdue(&PATIENCE), None);
            activity.wrote(&Poll::Ready(Ok(1_000)));
        }
        // A ping of the server's, and what answers the client's own, each or all at once.
        clock.advance(PATIENCE.idle - MOMENT);
        activity.wrote(&Poll::Ready(Ok(17)));
        for pings in 1..10 {
            activity.came(pings * 17);
            activity.wrote(&Poll::Ready(Ok(pings * 17)));
        }
        assert_cut(&clock, &activity, MOMENT, Overdue::Idle);
    }

    #[test]
    fn frames_between_requests_are_no_head() {
        let (clock, activity) = activity();
        let (one, other) = (activity.begin(Version::HTTP_2), activity.begin(Version::HTTP_2));
        drop(one);
        clock.advance(PATIENCE.idle);
        assert_eq!(activity.overdue(&PATIENCE), None, "the other one is open");
        drop(other);
        activity.came(100);
        assert_cut(&clock, &activity, PATIENCE.idle, Overdue::Idle);
    }

    #[test]
    fn a_client_has_to_read() {
        let (clock, activity) = activity();
        let _request = activity.begin(Version::HTTP_11);
        activity.wrote(&Poll::Pending);
        clock.advance(PATIENCE.stall - MOMENT);
        activity.wrote(&Poll::Ready(Ok(1_000)));
        clock.advance(PATIENCE.stall);
        assert_eq!(activity.overdue(&PATIENCE), None, "it moved");
        activity.wrote(&Poll::Pending);
        clock.advance(MOMENT);
        activity.wrote(&Poll::Pending);
        assert_cut(&clock, &activity, PATIENCE.stall - MOMENT, Overdue::Stalled);
    }
}
