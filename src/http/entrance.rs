//! Where requests come in: first what is answered at once, then the routes.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use tower::ServiceExt as _;

use super::{Front, hot};

/// All that a listener serves. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Entrance {
    router: Router,
    front: Option<Front>,
}

impl Entrance {
    pub(super) fn new(router: Router, front: Front) -> Self {
        Self { router, front: Some(front) }
    }

    /// What can be answered without asking anybody.
    pub fn at_once<B: HttpBody>(&self, request: &Request<B>) -> Option<Response> {
        hot::answer(self.front.as_ref()?, request)
    }

    /// Answers.
    pub async fn answer<B>(self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let answered: Result<Response, Infallible> = self.router.oneshot(request.map(Body::new)).await;
        answered.unwrap_or_else(|never| match never {})
    }
}

impl From<Router> for Entrance {
    /// Routes alone.
    fn from(router: Router) -> Self {
        Self { router, front: None }
    }
}
