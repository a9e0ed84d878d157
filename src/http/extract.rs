//! Extractors: whom the request speaks for, and JSON, paths and queries whose errors are problems like all others.

use std::marker::PhantomData;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answers::Asker;
use super::error::ApiError;
use super::{App, request_id};
use crate::api::ACT_FOR;
use crate::model::Owner;
use crate::runtime;
use crate::service::{Caller, Scope, Secret, ServiceError};

/// The authenticated caller. A handler that takes none serves everyone.
pub(super) struct Auth(pub(super) Caller);

impl FromRequestParts<App> for Auth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let secret = bearer(&parts.headers).ok_or(ServiceError::Unauthenticated)?;
        let act_for = act_for(&parts.headers)?;
        let caller = app.services.authenticate(&Secret::from_client(secret), act_for, request_id::current()).await?;
        if let Some(asker) = parts.extensions.get::<Asker>() {
            asker.known(caller.owner);
        }
        Ok(Self(caller))
    }
}

/// The authenticated caller, where the token has one of the scopes `R`: asked before the body is read, so that who may not call sends none.
pub(super) struct AuthFor<R>(pub(super) Caller, pub(super) PhantomData<R>);

/// Scopes of which a call needs one.
pub(super) trait Reach {
    /// The one that a refusal names comes first.
    const ANY_OF: &'static [Scope];
}

/// What reads.
pub(super) struct ForRead;
/// What changes a user's photos and albums.
pub(super) struct ForUser;
/// What makes tokens: every user rules over its own.
pub(super) struct ForTokens;
/// What rules over a tenant.
pub(super) struct ForTenant;
/// What rules over the site.
pub(super) struct ForAdmin;
/// What edges ask.
pub(super) struct ForEdge;

impl Reach for ForRead {
    const ANY_OF: &'static [Scope] = &[Scope::Read];
}

impl Reach for ForUser {
    const ANY_OF: &'static [Scope] = &[Scope::User];
}

impl Reach for ForTokens {
    const ANY_OF: &'static [Scope] = &[Scope::User, Scope::Tenant];
}

impl Reach for ForTenant {
    const ANY_OF: &'static [Scope] = &[Scope::Tenant];
}

impl Reach for ForAdmin {
    const ANY_OF: &'static [Scope] = &[Scope::Admin];
}

impl Reach for ForEdge {
    const ANY_OF: &'static [Scope] = &[Scope::Edge];
}

impl<R: Reach> FromRequestParts<App> for AuthFor<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Auth(caller) = Auth::from_request_parts(parts, app).await?;
        if !R::ANY_OF.iter().any(|scope| caller.allows(*scope)) {
            R::ANY_OF.first().map_or(Ok(()), |scope| caller.require(*scope))?;
        }
        Ok(Self(caller, PhantomData))
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn act_for(headers: &HeaderMap) -> Result<Option<Owner>, ApiError> {
    let Some(value) = headers.get(ACT_FOR) else { return Ok(None) };
    let owner = value.to_str().ok().and_then(|text| {
        let (tenant, user) = text.split_once('/')?;
        Some(Owner { tenant: tenant.trim().parse().ok()?, user: user.trim().parse().ok()? })
    });
    match owner {
        Some(owner) => Ok(Some(owner)),
        None => Err(ApiError::Malformed { detail: format!("{ACT_FOR}: expected `{{tenant id}}/{{user id}}`") }),
    }
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::NotJson);
        }
        // Of most calls `layers::deadline` gives up on the body; a check has none.
        let receiving = app.limits.json_memory.receive(request.into_body(), app.limits.max_json_bytes);
        let Some(received) = runtime::timeout(app.limits.request_timeout, receiving).await else {
            return Err(ServiceError::TooSlow.into());
        };
        match Json::from_bytes(received?.bytes()) {
            Ok(Json(value)) => Ok(Self(value)),
            Err(error) => Err(ApiError::Malformed { detail: error.body_text() }),
        }
    }
}

/// `application/json`, or a type that is written so (`application/…+json`).
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

/// Parameters of the path. An id that is none names nothing, so it is not found.
pub(super) struct PathId<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, app).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(PathRejection::FailedToDeserializePathParams(_)) => Err(ServiceError::NotFound("id").into()),
            Err(error) => Err(ApiError::Malformed { detail: error.body_text() }),
        }
    }
}

/// Parameters of the query.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let read = <Query<T> as FromRequestParts<App>>::from_request_parts(parts, app).await;
        read.map(|Query(params)| Self(params)).map_err(|error| ApiError::Malformed { detail: error.body_text() })
    }
}

/// `limit` and `cursor` of a list.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Paging {
    limit: Option<usize>,
    cursor: Option<String>,
}

impl Paging {
    /// For lists that take other parameters beside.
    pub(super) fn new(limit: Option<usize>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// How many items the page has at most.
    pub(super) fn limit(&self, app: &App) -> usize {
        self.limit.unwrap_or(app.limits.default_page).clamp(1, app.limits.max_page)
    }

    /// What stood last on the page before.
    pub(super) fn after<T: DeserializeOwned>(&self) -> Result<Option<T>, ApiError> {
        self.cursor.as_deref().map(super::cursor::read).transpose()
    }
}
