//! Opening: new stores, lives, versions; and what lists show.

use super::super::column::{Column, Format};
use super::super::engine::Batch;
use super::super::rocks::{RocksEngine, RocksSettings};
use super::*;
use crate::model::entry::Entry;
use crate::model::token::{NewToken, Scope};
use crate::model::user::NewUser;
use crate::model::{Origin, Seq, TokenId};

#[tokio::test]
async fn a_new_store_has_the_default_tenant_and_user_and_keeps_its_site() {
    let engine = MemoryEngine::new();
    let metadata = open_over(engine.clone(), 1);
    let read = metadata.read();
    let tenant = read.tenant(TenantId::DEFAULT).unwrap().unwrap();
    assert_eq!((tenant.name.as_str(), tenant.signing_keys.len()), ("default", 1));
    assert_eq!(read.user(Owner::DEFAULT).unwrap().unwrap().name, "default");
    assert_eq!(read.tenant_by_name("default").unwrap().unwrap().id, TenantId::DEFAULT);
    assert_eq!(read.user_by_name(TenantId::DEFAULT, "default").unwrap().unwrap().id, UserId::DEFAULT);
    assert!(read.user_by_name(TenantId::DEFAULT, "Default").unwrap().is_none());
    let stats = read.stats().unwrap();
    assert_eq!((stats.tenants, stats.users, stats.albums, stats.photos), (1, 1, 0, 0));
    let site = metadata.site();
    metadata.close();
    let again = open_over(engine.clone(), 2);
    assert_eq!(again.site(), site);
    assert_eq!(again.read().tenant(TenantId::DEFAULT).unwrap().unwrap(), tenant, "made once");
    assert_sound(&again);
}

#[tokio::test]
async fn every_opening_is_a_new_life_that_names_the_one_before() {
    let engine = MemoryEngine::new();
    let mut lives: Vec<(Origin, Seq)> = vec![];
    for life in 0..4u8 {
        let metadata = open_over(engine.clone(), 20 + u64::from(life));
        if life == 2 {
            // A life without a write leaves no trace.
            metadata.close();
            continue;
        }
        create_album(&metadata, owner(1), album(life), "a").await;
        create_album(&metadata, owner(1), album(life + 100), "b").await;
        let commit = metadata.read().last_commit().unwrap();
        let journal = metadata.read().list_journal(Commit(commit.0 - 1), 5).unwrap().items;
        let [(_, JournalRow::Entry { origin, seq })] = journal[..] else { panic!("{journal:?}") };
        let first = Entry::decode(&metadata.read().entry(origin, Seq(1)).unwrap().unwrap().bytes).unwrap();
        let named = first.predecessor.map(|before| (before.origin, before.seq));
        assert_eq!(named, lives.last().copied());
        assert!(lives.iter().all(|(before, _)| *before != origin));
        lives.push((origin, seq));
        assert_sound(&metadata);
        metadata.close();
    }
}

#[tokio::test]
async fn time_goes_on_over_a_clock_that_went_back() {
    let engine = MemoryEngine::new();
    let stamp = |metadata: &Metadata| {
        let metadata = metadata.clone();
        async move {
            let write =
                metadata.write("album", |tx| tx.apply(NewAlbum::default().create(owner(1), album(1), tx.stamp())).map(|()| tx.stamp()));
            write.await.unwrap()
        }
    };
    let metadata = open_with(Arc::new(engine.clone()), &Runtime::simulated(1, START_MS), 9);
    let before = stamp(&metadata).await;
    metadata.close();
    let metadata = open_with(Arc::new(engine), &Runtime::simulated(2, START_MS - 1_000_000), 9);
    assert!(stamp(&metadata).await > before);
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let engines: [Arc<dyn Engine>; 2] =
        [Arc::new(MemoryEngine::new()), Arc::new(RocksEngine::open(directory.path(), &RocksSettings::default()).unwrap())];
    for engine in engines {
        open_with(engine.clone(), &Runtime::simulated(1, START_MS), 9).close();
        let mut batch = Batch::default();
        batch.put(Format::ID, vec![], 2u64.to_be_bytes().to_vec());
        engine.write(batch, true).unwrap();
        let opened = Metadata::open(engine.clone(), Runtime::simulated(2, START_MS), MetadataSettings::default());
        assert_eq!(opened.map(drop), Err(MetadataError::Newer { what: "the metadata store", found: 2, known: FORMAT }));
        assert_eq!(engine.get(Format::ID, &[]).unwrap().unwrap(), 2u64.to_be_bytes());
    }
}

#[tokio::test]
async fn lists_are_pages_without_a_hole_or_a_repetition() {
    let metadata = open_over(MemoryEngine::new(), 3);
    for n in 1..=7 {
        create_album(&metadata, owner(1), album(n), &format!("album {n}")).await;
        upload(&metadata, owner(1), album(1), photo(n), n).await.unwrap();
    }
    create_album(&metadata, owner(2), album(1), "another's").await;
    // An album without a row is shown while a photo is in it.
    upload(&metadata, owner(1), album(9), photo(9), 1).await.unwrap();
    let read = metadata.read();
    for limit in [1, 2, 3, 7, 8, 100] {
        let (mut albums, mut after) = (vec![], None);
        loop {
            let page = read.list_albums(owner(1), after, limit).unwrap();
            assert!(page.items.len() <= limit);
            albums.extend(page.items.into_iter().map(|(album, totals)| (album.name, totals.photos)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut expected: Vec<_> = (1..=7).map(|n| (format!("album {n}"), if n == 1 { 7 } else { 0 })).collect();
        expected.push((crate::model::album::RECOVERED.to_owned(), 1));
        assert_eq!(albums, expected);
        let (mut photos, mut after) = (vec![], None);
        loop {
            let page = read.list_photos(owner(1), album(1), after, limit).unwrap();
            assert!(page.items.len() <= limit);
            photos.extend(page.items.iter().map(|photo| photo.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(photos, (1..=7).map(photo).collect::<Vec<_>>(), "oldest first");
    }
    assert_eq!(read.photo_in_album_by_hash(owner(1), album(1), &hash(3)).unwrap(), Some(photo(3)));
    assert_eq!(read.photo_in_album_by_hash(owner(1), album(2), &hash(3)).unwrap(), None);
    assert_eq!(read.list_photos(owner(2), album(1), None, 9).unwrap().items, []);
    let blobs = read.list_blobs(None, 3).unwrap();
    assert_eq!(blobs.items.len(), 3);
    assert_eq!(read.list_blobs(blobs.next, 100).unwrap().items.len(), 4);
}

#[tokio::test]
async fn users_and_tokens_are_found_and_revoked() {
    let metadata = open_over(MemoryEngine::new(), 4);
    for n in 1..=3 {
        metadata.write("user", move |tx| tx.apply(NewUser { name: format!("user {n}") }.create(owner(n), tx.stamp()))).await.unwrap();
    }
    // A name that two sites gave away: the older one holds it.
    metadata.write("user", |tx| tx.apply(NewUser { name: "user 1".to_owned() }.create(owner(9), tx.stamp()))).await.unwrap();
    let read = metadata.read();
    assert_eq!(read.user_by_name(TenantId::DEFAULT, "user 1").unwrap().unwrap().id, owner(1).user);
    let page = read.list_users(TenantId::DEFAULT, None, 2).unwrap();
    let rest = read.list_users(TenantId::DEFAULT, page.next, 9).unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.next), (2, 3, None));
    let id = TokenId::from_bytes([5; 16]);
    let new = NewToken { secret_hash: [8; 32], scopes: [Scope::User].into_iter().collect(), expires: None, label: String::new() };
    metadata.write("token", move |tx| tx.apply(new.create(owner(2), id, tx.stamp()))).await.unwrap();
    let token = metadata.read().token_by_secret(&[8; 32]).unwrap().unwrap();
    assert_eq!((token.id, token.owner), (id, owner(2)));
    assert_eq!(metadata.read().list_tokens(owner(2), None, 9).unwrap().items, std::slice::from_ref(&token));
    assert!(metadata.read().list_tokens(owner(1), None, 9).unwrap().items.is_empty());
    metadata.write("revoke", move |tx| tx.apply_all(token.revoke())).await.unwrap();
    assert_eq!(metadata.read().token_by_secret(&[8; 32]).unwrap(), None);
    assert_eq!(metadata.read().token(owner(2), id).unwrap(), None);
    assert_sound(&metadata);
}

#[tokio::test]
async fn the_audit_log_is_read_from_its_end() {
    let metadata = open_over(MemoryEngine::new(), 5);
    for n in 0..5 {
        let record = AuditRecord {
            at: WallMs(n),
            actor: "token".to_owned(),
            action: "user.create".to_owned(),
            subject: format!("{n}"),
            detail: String::new(),
        };
        let write = metadata.write("audit", move |tx| {
            tx.audit(record.clone())?;
            tx.audit(AuditRecord { subject: format!("{n} again"), ..record })
        });
        write.await.unwrap();
    }
    let read = metadata.read();
    let page = read.audit(None, 3).unwrap();
    let rest = read.audit(page.next, 100).unwrap();
    let subjects: Vec<_> = page.items.iter().chain(&rest.items).map(|record| record.subject.clone()).collect();
    assert_eq!(subjects, (0..5).rev().flat_map(|n| [format!("{n} again"), format!("{n}")]).collect::<Vec<_>>());
    assert_sound(&metadata);
}
