//! The inventory: lines that are taken as they come, and are all only where the last one says so.

use bytes::BytesMut;
use futures_util::{Stream, stream};
use http::Method;
use reqwest::Response;

use super::call::Failure;
use super::{Client, ClientError};
use crate::api::InventoryPart;
use crate::runtime::timeout;

/// The longest line: most of it is a path.
const MAX_LINE: usize = 64 << 10;
/// The silence that is borne is so many times that of other streams: a large copy is read between two lines.
const MORE_SILENCE: u32 = 5;

/// What came and was not given.
struct Lines<'a> {
    client: &'a Client,
    response: Response,
    buffer: BytesMut,
    /// How far there is no end of a line in it.
    seen: usize,
}

/// How far it has come.
enum Progress<'a> {
    Asking { client: &'a Client, read_data: bool },
    Going(Lines<'a>),
    Ended,
}

impl Client {
    /// Lists everything that lies in the site's backend, or should, as the server finds it; with `read_data` each copy is read there. It is whole where it
    /// ends with [`InventoryPart::End`]: else an error is its last item.
    pub fn inventory(&self, read_data: bool) -> impl Stream<Item = Result<InventoryPart, ClientError>> + Send + '_ {
        stream::try_unfold(Progress::Asking { client: self, read_data }, |progress| async move {
            let mut lines = match progress {
                Progress::Asking { client, read_data } => client.ask_inventory(read_data).await?,
                Progress::Going(lines) => lines,
                Progress::Ended => return Ok(None),
            };
            let part = lines.next().await?;
            let is_end = matches!(part, InventoryPart::End { .. });
            Ok(Some((part, if is_end { Progress::Ended } else { Progress::Going(lines) })))
        })
    }

    async fn ask_inventory(&self, read_data: bool) -> Result<Lines<'_>, ClientError> {
        let mut attempts = self.attempts();
        loop {
            match self.ask_inventory_once(read_data).await {
                Ok(response) => return Ok(Lines { client: self, response, buffer: BytesMut::new(), seen: 0 }),
                Err(failure) => attempts.pause(failure).await?,
            }
        }
    }

    async fn ask_inventory_once(&self, read_data: bool) -> Result<Response, Failure> {
        let request = self.request(Method::GET, "/v1/admin/inventory").query(&[("read_data", read_data)]);
        // As of a check: a second one beside the first, which may still run, would double the load.
        let sent = timeout(self.settings.idle_timeout * MORE_SILENCE, request.send()).await.ok_or_else(|| self.silent(false))?;
        self.judged(sent.map_err(|error| self.broken(&error, false))?, false).await
    }
}

impl Lines<'_> {
    async fn next(&mut self) -> Result<InventoryPart, ClientError> {
        let client = self.client;
        loop {
            if let Some(end) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.seen + end + 1);
                self.seen = 0;
                return serde_json::from_slice(&line).map_err(|error| client.protocol(format!("a line of the inventory: {error}")));
            }
            self.seen = self.buffer.len();
            if self.seen > MAX_LINE {
                return Err(client.protocol(format!("a line of more than {MAX_LINE} bytes")));
            }
            let chunk = timeout(client.settings.idle_timeout * MORE_SILENCE, self.response.chunk()).await;
            let chunk = chunk.ok_or_else(|| client.silent(false).error)?.map_err(|error| client.broken(&error, false).error)?;
            let cut = || client.protocol("the inventory ended without its last line".to_owned());
            self.buffer.extend_from_slice(&chunk.ok_or_else(cut)?);
        }
    }
}
