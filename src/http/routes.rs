//! Every route stands here.

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};

use crate::model::{AlbumId, PhotoId};

use super::{
    App, Entrance, Front, admin, albums, cors, edges, error::ApiError, health, iiif, layers, me, openapi, original, photos, renditions,
    sending, similar, upload, urls,
};

/// The route of a rendition, for what is answered without it.
pub(super) const RENDITION: &str = "/i/{*rendition}";

/// What the public listener serves.
pub fn entrance(app: App) -> Entrance {
    Entrance::new(router(app.clone()), app.front.clone())
}

fn router(app: App) -> Router {
    // Bodies of photos, streamed and bounded by the service, and what may take long: no overall timeout; a body that stands still is given up.
    let deadline = || axum::middleware::from_fn_with_state(app.front.clone(), layers::deadline);
    let uploads = Router::new()
        .route("/v1/albums/{album}/photos", get(photos::list).layer(deadline()).post(upload::create))
        .route("/v1/albums/{album}/photos/{photo}", axum::routing::put(upload::put))
        .route("/v1/photos/{photo}/original", get(original::get))
        .route("/v1/edge/blobs/{hash}/bytes", get(edges::bytes))
        .route("/v1/edge/blobs/{hash}/preview", get(edges::preview))
        // Waits ten seconds at most by itself: an edge whose quiet polls are answered 504 hears nothing of its site.
        .route("/v1/edge/feed", get(edges::feed))
        .route("/v1/admin/blobs/move", get(admin::blobs::show).post(admin::blobs::start))
        .route("/v1/admin/blobs/move/back", post(admin::blobs::back))
        .route("/v1/admin/blobs/move/finish", post(admin::blobs::finish))
        .route("/v1/admin/check", post(admin::check::run))
        .route("/v1/admin/inventory", get(admin::inventory::list));

    let calls = Router::new()
        .route("/v1/me", get(me::show))
        .route("/v1/albums", get(albums::list).post(albums::create))
        .route("/v1/albums/{album}", get(albums::show).patch(albums::edit).delete(albums::delete))
        .route("/v1/albums/{album}/photos/link", post(sending::link))
        .route("/v1/blobs/missing", post(sending::missing))
        .route("/v1/photos/{photo}", get(photos::show).patch(photos::edit).delete(photos::delete))
        .route("/v1/photos/{photo}/similar", get(similar::list))
        .route("/v1/urls", post(urls::sign))
        .route("/v1/admin/usage", get(admin::usage::show))
        .route("/v1/admin/audit", get(admin::audit::list))
        .route("/v1/admin/imports", get(admin::imports::list).post(admin::imports::create))
        .route("/v1/admin/imports/{import}", get(admin::imports::show).delete(admin::imports::stop))
        .route("/v1/admin/tenants", get(admin::tenants::list).post(admin::tenants::create))
        .route("/v1/admin/tenants/{tenant}", get(admin::tenants::show).patch(admin::tenants::edit))
        .route("/v1/admin/tenants/{tenant}/keys", get(admin::keys::list).post(admin::keys::create))
        .route("/v1/admin/tenants/{tenant}/keys/{key}", axum::routing::patch(admin::keys::edit).delete(admin::keys::remove))
        .route("/v1/admin/users", get(admin::users::list).post(admin::users::create))
        .route("/v1/admin/users/{user}", get(admin::users::show).patch(admin::users::edit))
        .route("/v1/admin/tokens", get(admin::tokens::list).post(admin::tokens::create))
        .route("/v1/admin/tokens/{token}", axum::routing::delete(admin::tokens::revoke))
        .route("/v1/edge/tenants", get(edges::tenants))
        .route("/v1/edge/blobs/{hash}", get(edges::blob))
        .route("/v1/edge/unowned", post(edges::unowned))
        .route("/openapi.json", get(openapi::show))
        .layer(deadline());

    let routes = uploads.merge(calls).merge(shown(&app.front)).fallback(no_route).method_not_allowed_fallback(no_method);
    layers::wrap(routes, app.front.clone()).with_state(app)
}

/// What a site and an edge serve alike.
fn shown<S: Clone + Send + Sync + 'static>(front: &Front) -> Router<S>
where
    Front: FromRef<S>,
{
    let deadline = || axum::middleware::from_fn_with_state(front.clone(), layers::deadline);
    // Painted by pages of any origin, the tenants' own sites, which may read too why they got none: so nothing here is left to fallbacks.
    let images = Router::new()
        .route(RENDITION, get(renditions::get))
        .route("/iiif/3/{*request}", get(iiif::get))
        .method_not_allowed_fallback(no_method)
        .layer(deadline())
        .layer(axum::middleware::from_fn(cors::open_to_all));

    let health = Router::new().route("/livez", get(health::live)).route("/readyz", get(health::ready));
    images.merge(health)
}

/// What an edge serves.
pub fn edge_entrance(front: Front) -> Entrance {
    let routes = shown(&front).fallback(no_route).method_not_allowed_fallback(no_method);
    Entrance::new(layers::wrap(routes, front.clone()).with_state(front.clone()), front)
}

/// What the admin listener serves.
pub fn admin_entrance(front: Front) -> Entrance {
    let routes = Router::new()
        .route("/metrics", get(health::metrics))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method);
    Entrance::from(routes.with_state(front))
}

/// Where a photo's original is fetched.
pub(super) fn original_path(photo: PhotoId) -> String {
    format!("/v1/photos/{photo}/original")
}

/// Where an album is found.
pub(super) fn album_path(album: AlbumId) -> String {
    format!("/v1/albums/{album}")
}

/// Where a photo is found.
pub(super) fn photo_path(photo: PhotoId) -> String {
    format!("/v1/photos/{photo}")
}

async fn no_route() -> ApiError {
    ApiError::NoRoute
}

async fn no_method() -> ApiError {
    ApiError::NoMethod
}
