//! Recompressing the corpus: cameras' files become a fifth smaller, and nothing in it, however hostile, comes back as anything but itself.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

#[path = "harness/corpus.rs"]
mod corpus;
#[path = "harness/needs.rs"]
mod needs;

use std::sync::Arc;

use halidom::blobs::{BlobStore, ColdStore, MemoryStore, StaysRaw, VerifySettings, VerifyStore, encode_cold};
use halidom::model::{BlobHash, BlobKey, BlobNonce};
use halidom::runtime::{BlockingPool, Clock};

/// What is promised of cameras' files as a whole.
const SAVED_PERCENT: usize = 18;

#[test]
fn every_file_of_the_corpus_stays_itself_and_cameras_files_become_smaller() {
    let Some(directory) = corpus::corpus("recompressing the corpus") else { return };
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (mut before, mut after, mut recompressed) = (0, 0, 0);
    for file in corpus::files(&directory) {
        let kept = match encode_cold(&file.bytes) {
            Ok(encoded) => {
                let key = BlobKey { hash: BlobHash::of(&file.bytes), nonce: BlobNonce::from_random([1; 12]) };
                let inner = ColdStore::new(MemoryStore::new(), BlockingPool::new("decoding", 1), 1 << 30);
                let store = VerifyStore::new(Arc::new(inner), Clock::manual(0), VerifySettings::default());
                let back = threads.block_on(async {
                    let mut staged = store.stage(None).await.unwrap();
                    staged.write(encoded.bytes().clone()).await.unwrap();
                    staged.publish_as(&key, encoded.content()).await.unwrap();
                    store.open(&key).await.unwrap().read_at(0, file.bytes.len()).await
                });
                assert_eq!(back.unwrap(), file.bytes, "{}", file.name);
                recompressed += 1;
                encoded.bytes().len()
            }
            Err(why) => {
                // The codec gives back other bytes of some files that were cut off, which is what the proof is for: they stay as they are.
                assert!(!matches!(why, StaysRaw::Unproven(_)) || file.get("class") == "trunc", "{}: {why}", file.name);
                file.bytes.len()
            }
        };
        if file.get("class") == "cam" && file.get("true_format") == "JPEG" {
            before += file.bytes.len();
            after += kept;
        }
    }
    assert!(recompressed > 0 && before > 0);
    let saved_percent = 100 * (before - after) / before;
    assert!(saved_percent >= SAVED_PERCENT, "{saved_percent} % of {before} bytes");
}
