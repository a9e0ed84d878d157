use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};

use super::ClientError;
use crate::api::Page;

/// How many items are asked for at once.
pub(super) const PAGE_LIMIT: u32 = 500;

/// All items of a paged list, one after the other; a page is fetched when the one before it is used up. Ends after the first error.
pub(super) fn items<T, F, Fut>(fetch: F) -> impl Stream<Item = Result<T, ClientError>> + Send
where
    T: Send,
    F: Fn(Option<String>) -> Fut + Send,
    Fut: Future<Output = Result<Page<T>, ClientError>> + Send,
{
    enum Next {
        First,
        At(String),
        Done,
    }
    stream::try_unfold((Next::First, fetch), |(next, fetch)| async move {
        let cursor = match next {
            Next::First => None,
            Next::At(cursor) => Some(cursor),
            Next::Done => return Ok(None),
        };
        let page = fetch(cursor.clone()).await?;
        let next = match page.next {
            // It would keep us for ever; and a list that is cut short must never pass for a whole one.
            Some(next) if cursor.as_ref() == Some(&next) => {
                return Err(ClientError::Protocol { server: "the server".into(), detail: "a page names itself as the next one".into() });
            }
            Some(next) => Next::At(next),
            None => Next::Done,
        };
        Ok::<_, ClientError>(Some((page.items, (next, fetch))))
    })
    .map_ok(|items| stream::iter(items).map(Ok))
    .try_flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: &[u32], next: Option<&str>) -> Page<u32> {
        Page { items: items.to_vec(), next: next.map(str::to_owned) }
    }

    #[tokio::test]
    async fn pages_become_one_list() {
        let fetch = |cursor: Option<String>| async move {
            Ok(match cursor.as_deref() {
                None => page(&[1, 2], Some("a")),
                Some("a") => page(&[], Some("b")),
                _ => page(&[3], None),
            })
        };
        assert_eq!(items(fetch).try_collect::<Vec<_>>().await.unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_cursor_that_does_not_move_is_an_error() {
        let fetch = |_| async { Ok(page(&[1], Some("same"))) };
        let all: Vec<_> = items(fetch).collect().await;
        assert!(matches!(all[..], [Ok(1), Err(ClientError::Protocol { .. })]), "{all:?}");
    }

    #[tokio::test]
    async fn an_error_ends_the_list() {
        let fetch = |cursor: Option<String>| async move {
            match cursor {
                None => Ok(page(&[1], Some("a"))),
                Some(_) => Err(ClientError::Changed),
            }
        };
        let all: Vec<_> = items(fetch).collect().await;
        assert!(matches!(all[..], [Ok(1), Err(ClientError::Changed)]), "{all:?}");
    }
}
