use super::*;
use crate::blobs::{BlobStore as _, DerivedKind, DerivedStore as _};
use crate::service::Graces;

impl Site {
    async fn has_preview(&self, bytes: &[u8]) -> bool {
        self.store.get_derived(DerivedKind::Preview, &BlobHash::of(bytes)).await.unwrap().is_some()
    }

    fn claim() -> Marker {
        Marker { site: SiteId::from_bytes([1; 16]), epoch: 1 }
    }

    /// A copy that will be deleted next.
    async fn doom(&self, hash: BlobHash) {
        drop(self.metadata.begin_copy(hash));
        let after = self.metadata.write("after", |tx| -> Result<(), ServiceError> {
            tx.probe();
            Ok(())
        });
        after.await.unwrap();
    }

    async fn delete_doomed(&self) {
        if self.store.marker().await.unwrap().is_none() {
            self.store.claim(None, Self::claim()).await.unwrap();
        }
        assert_eq!(self.services.delete_doomed(Self::claim(), Graces::NONE, 10).await.unwrap().failed, 0);
    }
}

#[tokio::test]
async fn a_preview_goes_with_its_blob_and_not_before() {
    let site = Site::new(30);
    let ann = site.user("ann").await;
    let (kept, gone) = (photo(1), photo(2));
    site.send(&ann, PhotoName::Fresh, &kept).await.unwrap();
    for bytes in [&kept, &gone] {
        site.store.put_derived(DerivedKind::Preview, &BlobHash::of(bytes), "preview".into()).await.unwrap();
        site.doom(BlobHash::of(bytes)).await;
    }
    site.delete_doomed().await;
    assert!(site.has_preview(&kept).await, "another copy of the blob is there");
    assert!(!site.has_preview(&gone).await);
}

#[tokio::test]
async fn a_tree_goes_with_its_blob_and_after_it() {
    let site = Site::new(32);
    let ann = site.user("ann").await;
    let (kept, gone) = (photo(1), photo(2));
    site.send(&ann, PhotoName::Fresh, &kept).await.unwrap();
    let has_tree = async |bytes: &[u8]| site.store.get_derived(DerivedKind::Tree, &BlobHash::of(bytes)).await.unwrap().is_some();
    for bytes in [&kept, &gone] {
        site.store.put_derived(DerivedKind::Tree, &BlobHash::of(bytes), "tree".into()).await.unwrap();
    }
    site.doom(BlobHash::of(&kept)).await;
    site.delete_doomed().await;
    assert!(has_tree(&kept).await, "another copy of the blob is there");
    // The preview, the copy, then the tree. Where that fails the key stays queued.
    site.doom(BlobHash::of(&gone)).await;
    site.store.faults().fail(Operation::Delete, 2, BlobError::NoSpace);
    assert_eq!(site.services.delete_doomed(Site::claim(), Graces::NONE, 10).await.unwrap().failed, 1);
    assert!(has_tree(&gone).await);
    site.delete_doomed().await;
    assert!(!has_tree(&gone).await && has_tree(&kept).await);
}

#[tokio::test]
async fn a_preview_that_cannot_be_removed_keeps_its_copy_queued() {
    let site = Site::new(31);
    let hash = BlobHash::of(b"gone");
    site.store.put_derived(DerivedKind::Preview, &hash, "preview".into()).await.unwrap();
    site.doom(hash).await;
    site.store.claim(None, Site::claim()).await.unwrap();
    site.store.faults().fail(Operation::Delete, 0, BlobError::NoSpace);
    assert_eq!(site.services.delete_doomed(Site::claim(), Graces::NONE, 10).await.unwrap().failed, 1);
    assert!(site.has_preview(b"gone").await);
    site.delete_doomed().await;
    assert!(!site.has_preview(b"gone").await);
}
