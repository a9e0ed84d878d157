use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Scope;
use crate::model::{TenantId, UserId};

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The banner.
    #[schema(value_type = uuid::Uuid)]
    pub tenant: TenantId,
    /// The user.
    #[schema(value_type = uuid::Uuid)]
    pub user: UserId,
    /// What the token may do.
    pub scopes: Vec<Scope>,
}
