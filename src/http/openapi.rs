//! `/openapi.json`: OpenAPI 3.1, gathered from the handlers.

use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{admin, albums, health, me, original, photos, renditions, sending, upload, urls};

#[derive(OpenApi)]
#[openapi(
    info(title = "Halidom", description = "A content-addressed photo store."),
    modifiers(&Tokens),
    paths(
        me::show, albums::create, albums::list, albums::show, albums::edit, albums::delete, photos::list, photos::show, photos::edit,
        photos::delete, upload::create, upload::put, original::get, sending::missing, sending::link, urls::sign, renditions::get,
        admin::usage::show, admin::check::run, admin::audit::list, admin::tenants::create, admin::tenants::show, admin::tenants::list,
        admin::tenants::keys,
        admin::users::create, admin::users::show, admin::users::edit, admin::users::list, admin::tokens::create, admin::tokens::list,
        admin::tokens::revoke, health::live, health::ready,
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

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(super) async fn show() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
