//! What a store says of everything in it, as one JSON value.

use std::ops::ControlFlow;

use halidom::metadata::column::{COLUMNS, SumOf};
use halidom::metadata::engine::Bounds;
use halidom::metadata::{Metadata, Read, SiteStats, Snapshot};
use halidom::model::photo::PhotoView;
use halidom::model::{Owner, RowKey, TenantId};
use serde_json::{Value, json};

use crate::copy::hex;

/// More than the fixture has of anything.
const LIMIT: usize = 1_000;

/// Users with their albums and photos, what waits for deletion, how much stands in each column, the set hashes.
pub fn describe(metadata: &Metadata) -> Value {
    let at = metadata.read();
    let users = at.list_users(TenantId::DEFAULT, None, LIMIT).unwrap().items;
    let users: Vec<Value> = users.iter().map(|user| json!({ "name": user.name, "owns": owner(&at, user.owner()) })).collect();
    let doomed = at.doomed(None, LIMIT).unwrap().items;
    let doomed: Vec<Value> = doomed.iter().map(|(key, doom)| json!({ "key": key.to_string(), "since": doom.since.0 })).collect();
    let audit = at.audit(None, LIMIT).unwrap().items;
    let audit: Vec<Value> = audit.iter().map(|record| json!([record.at.0, record.actor, record.action, record.subject])).collect();
    let blobs = at.list_blobs(None, LIMIT).unwrap().items;
    let blobs: Vec<Value> =
        blobs.iter().map(|row| json!([row.key.to_string(), row.size_bytes, row.sha256.to_string(), row.crc32])).collect();
    let columns: serde_json::Map<String, Value> =
        COLUMNS.iter().map(|column| (column.name.to_owned(), count(&at, column.id).into())).collect();
    json!({
        "site": metadata.site().to_string(),
        "users": users,
        "blobs": blobs,
        "doomed": doomed,
        "audit": audit,
        "rows_by_column": columns,
        "root": hex(&at.sum(SumOf::Root).unwrap().to_bytes()),
        "stats": stats(&at.stats().unwrap()),
    })
}

fn owner(at: &Snapshot, owner: Owner) -> Value {
    let albums = at.list_albums(owner, None, LIMIT).unwrap().items;
    let albums: Vec<Value> = albums
        .iter()
        .map(|(album, totals)| {
            let photos = at.list_photos(owner, album.id, None, LIMIT).unwrap().items;
            json!({
                "id": album.id.to_string(),
                "name": album.name,
                "description": album.description,
                "photos": photos.iter().map(photo).collect::<Vec<_>>(),
                "count": totals.photos,
                "bytes": totals.bytes,
            })
        })
        .collect();
    let tokens = at.list_tokens(owner, None, LIMIT).unwrap().items;
    let tokens: Vec<Value> = tokens
        .iter()
        .map(|token| {
            let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
            let used = at.token_use(token.id).unwrap().map(|at| at.0);
            json!({ "id": token.id.to_string(), "label": token.label, "scopes": scopes, "expires": token.expires.map(|at| at.0), "used": used })
        })
        .collect();
    json!({ "owner": [owner.tenant.to_string(), owner.user.to_string()], "albums": albums, "tokens": tokens })
}

fn photo(photo: &PhotoView) -> Value {
    let RowKey { id, .. } = photo.key;
    json!({
        "id": photo.id.to_string(),
        "row": id.to_string(),
        "hash": photo.hash.to_string(),
        "name": photo.name,
        "caption": photo.caption,
        "shown": [photo.width, photo.height, photo.orientation],
        "format": photo.format,
        "taken_at": photo.taken_at,
        "camera": [photo.camera_make, photo.camera_model, photo.lens],
        "gps": photo.gps.map(|gps| (gps.latitude_e7, gps.longitude_e7, gps.altitude_mm)),
        "placeholder": photo.placeholder.as_deref().map(hex),
        "created": hex(&photo.created.to_bytes()),
    })
}

fn count(at: &Snapshot, column: halidom::metadata::column::ColumnId) -> u64 {
    let mut count = 0;
    let mut each = |_: &[u8], _: &[u8]| {
        count += 1;
        ControlFlow::Continue(())
    };
    at.source().scan(column, &Bounds::all(), &mut each).unwrap();
    count
}

/// As a fixture's description has them, which knows of nothing that came later.
fn stats(stats: &SiteStats) -> String {
    let SiteStats { tenants, users, albums, photos, logical_bytes, blobs, stored_bytes, doomed, pins, cold } = stats;
    assert_eq!(*cold, Default::default(), "no fixture has recompressed photos");
    let photos = format!("photos: {photos}, logical_bytes: {logical_bytes}, blobs: {blobs}, stored_bytes: {stored_bytes}");
    format!("SiteStats {{ tenants: {tenants}, users: {users}, albums: {albums}, {photos}, doomed: {doomed}, pins: {pins} }}")
}
