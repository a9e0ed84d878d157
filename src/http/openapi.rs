//! `/openapi.json`: OpenAPI 3.1, gathered from the handlers.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::{admin, albums, edges, health, iiif, me, original, photos, renditions, sending, similar, upload, urls};

#[derive(OpenApi)]
#[openapi(
    info(title = "Halidom", description = "A content-addressed photo store."),
    modifiers(&Tokens, &Refusals),
    paths(
        me::show, albums::create, albums::list, albums::show, albums::edit, albums::delete, photos::list, photos::show, photos::edit,
        photos::delete, similar::list, upload::create, upload::put, original::get, sending::missing, sending::link, urls::sign, renditions::get, iiif::get,
        admin::usage::show, admin::check::run, admin::inventory::list, admin::blobs::show, admin::blobs::start, admin::blobs::back, admin::blobs::finish, admin::imports::create, admin::imports::list, admin::imports::show, admin::imports::stop, admin::audit::list, admin::tenants::create, admin::tenants::show, admin::tenants::edit,
        admin::tenants::list,
        admin::keys::list, admin::keys::create, admin::keys::edit, admin::keys::remove,
        admin::users::create, admin::users::show, admin::users::edit, admin::users::list, admin::tokens::create, admin::tokens::list,
        admin::tokens::revoke, edges::tenants, edges::blob, edges::bytes, edges::preview, edges::unowned, edges::feed, health::live, health::ready, show,
    )
)]
struct Document;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// What every call that takes a token may answer.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let refusals = [
            ("401", "No valid token"),
            ("403", "The token does not reach that far"),
            ("500", "A fault of the server, or stored bytes that are damaged"),
            ("503", "Busy, stopping, or a store is away: come again"),
            ("504", "It took too long; it may have been done"),
        ];
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten().filter(|operation| operation.security.is_some()) {
                for (status, description) in refusals {
                    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem(description));
                }
            }
        }
    }
}

/// An answer that refuses.
pub(super) fn problem(description: &str) -> RefOr<Response> {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    RefOr::T(ResponseBuilder::new().description(description).content("application/problem+json", problem).build())
}

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "show_openapi", tag = "health", responses((status = 200, body = Object)))]
pub(super) async fn show() -> ([(HeaderName, HeaderValue); 1], &'static str) {
    // Made once: anybody may ask for it, as often as they like.
    static TEXT: LazyLock<String> = LazyLock::new(|| serde_json::to_string(&document()).expect("a document of ours serialises"));
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], TEXT.as_str())
}
