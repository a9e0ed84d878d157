use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A tree of these files.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = place.path().join("tree").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    place
}

fn go_through(place: &tempfile::TempDir, options: &PlanOptions) -> (Layout, Vec<Batch>, Root) {
    let root = Root::open(place.path(), Path::new("tree")).unwrap();
    let mut plan = Plan::new(&root, options).unwrap();
    let batches = std::iter::from_fn(|| plan.next(&root).unwrap()).collect();
    (plan.layout(), batches, root)
}

fn photos(batches: &[Batch]) -> Vec<(&str, &str)> {
    let photos = batches.iter().flat_map(|batch| &batch.photos);
    photos.map(|found| (found.path.to_str().unwrap(), found.album.as_str())).collect()
}

#[test]
fn plain_folders() {
    let xmp = "<dc:description>By the lake</dc:description>";
    let place = tree(&[("b/c.jpg", ""), ("a.jpg", ""), ("b/d/e.png", ""), ("b/e.mov", ""), ("b/c.jpg.xmp", xmp), (".hidden/x.jpg", "")]);
    let (layout, batches, root) = go_through(&place, &PlanOptions::default());
    assert_eq!(layout, Layout::Folders);
    assert_eq!(photos(&batches), [("a.jpg", "tree"), ("b/c.jpg", "b"), ("b/e.mov", "b"), ("b/d/e.png", "b / d")]);
    assert_eq!(batches.iter().map(|batch| (batch.passed_over, batch.sidecars)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)), (1, 1));
    let sidecar = batches[0].photos[1].sidecar.as_ref().unwrap();
    assert_eq!(sidecar.read(&root).caption.as_deref(), Some("By the lake"));
    assert!(looks_like_photo(Path::new("b/c.JPG")) && !looks_like_photo(Path::new("b/e.mov")));
}

#[test]
fn a_large_directory_comes_in_parts() {
    let names: Vec<_> = (0..3 * BATCH + 7).map(|number| format!("{number:04}.jpg")).collect();
    let listed: Vec<_> = names.iter().map(|name| (name.as_str(), "")).chain([("z/last.jpg", "")]).collect();
    let (_, batches, _) = go_through(&tree(&listed), &PlanOptions::default());
    assert_eq!(batches.iter().map(|batch| batch.photos.len()).collect::<Vec<_>>(), [BATCH, BATCH, BATCH, 8]);
    let found: Vec<_> = photos(&batches).into_iter().map(|(path, _)| path.to_owned()).collect();
    assert_eq!(found, names.into_iter().chain(["z/last.jpg".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn takeout() {
    let album = r#"{"title": "Ski: die Woche"}"#;
    let json = r#"{"description": "Peak", "photoTakenTime": {"timestamp": "1563105600"}}"#;
    let place = tree(&[
        ("Takeout/Google Photos/Photos from 2019/x.jpg", ""),
        ("Takeout/Google Photos/Photos from 2019/y.jpg", ""),
        ("Takeout/Google Photos/Photos from 2019/metadata.json", album),
        ("Takeout/Google Photos/Ski_ die Woche/x.jpg", ""),
        ("Takeout/Google Photos/Ski_ die Woche/x.jpg.supplemental-metadata.json", json),
        ("Takeout/Google Photos/Ski_ die Woche/metadata.json", album),
        ("Takeout/archive_browser.html", ""),
    ]);
    let (layout, batches, root) = go_through(&place, &PlanOptions::default());
    assert_eq!(layout, Layout::Takeout);
    let expected = [
        ("Takeout/archive_browser.html", "Takeout"),
        ("Takeout/Google Photos/Ski_ die Woche/x.jpg", "Ski: die Woche"),
        ("Takeout/Google Photos/Photos from 2019/x.jpg", "Photos from 2019"),
        ("Takeout/Google Photos/Photos from 2019/y.jpg", "Photos from 2019"),
    ];
    assert_eq!(photos(&batches), expected);
    let years = |batch: &Batch| batch.photos.iter().all(|found| found.unless_owned);
    assert!(batches.len() == 2 && !years(&batches[0]) && years(&batches[1]), "albums come before years, apart");
    let facts = batches[0].photos[1].sidecar.as_ref().unwrap().read(&root);
    assert_eq!((facts.caption.as_deref(), facts.taken_at.unwrap().to_string().as_str()), (Some("Peak"), "2019-07-14T12:00:00+00:00"));
    assert_eq!(batches.iter().map(|batch| batch.sidecars).sum::<u64>(), 3);
}

#[test]
fn immich() {
    let place = tree(&[
        ("library/ann/2022/2022-02-03/a.jpg", ""),
        ("library/ann/2022/2022-02-03/a.jpg.xmp", ""),
        ("library/bob/2021/Ski/b.heic", ""),
        ("thumbs/ann/a.webp", ""),
    ]);
    let (layout, batches, _) = go_through(&place, &PlanOptions::default());
    assert_eq!(layout, Layout::Immich);
    let found: Vec<_> = batches.iter().flat_map(|batch| &batch.photos).map(|found| (found.user.as_deref(), found.album.as_str())).collect();
    assert_eq!(found, [(Some("ann"), "2022"), (Some("bob"), "Ski")]);
}

#[test]
fn a_manifest() {
    let csv = "path,album,user,name\na/b.jpg,Ski,ann,B.jpg\na/c.jpg,,,\n";
    let place = tree(&[("list.csv", csv), ("a/b.jpg", ""), ("a/not-named.jpg", "")]);
    let options = PlanOptions { manifest: Some("list.csv".into()), ..PlanOptions::default() };
    let (layout, batches, _) = go_through(&place, &options);
    assert_eq!(layout, Layout::Manifest);
    let found: Vec<_> = batches[0]
        .photos
        .iter()
        .map(|found| (found.path.to_str().unwrap(), found.album.as_str(), found.user.as_deref(), found.name.as_str()))
        .collect();
    assert_eq!(found, [("a/b.jpg", "Ski", Some("ann"), "B.jpg"), ("a/c.jpg", "a", None, "c.jpg")]);
    let missing = PlanOptions { manifest: Some("none.csv".into()), ..PlanOptions::default() };
    assert!(matches!(Plan::new(&Root::open(place.path(), Path::new("tree")).unwrap(), &missing), Err(TreeError::Unreadable { .. })));
}

#[test]
fn a_wrong_line_of_a_manifest_costs_no_other() {
    let place = tree(&[("list.csv", "path,album\na.jpg,A\nb.jpg\nc.jpg,C\nd.jpg,\"D\n")]);
    let root = Root::open(place.path(), Path::new("tree")).unwrap();
    let options = PlanOptions { manifest: Some("list.csv".into()), ..PlanOptions::default() };
    let mut plan = Plan::new(&root, &options).unwrap();
    let batch = plan.next(&root).unwrap().unwrap();
    assert_eq!(photos(std::slice::from_ref(&batch)), [("a.jpg", "A"), ("c.jpg", "C")]);
    let [refusal] = &batch.refused[..] else { panic!("{batch:?}") };
    assert_eq!((refusal.path.as_path(), refusal.code), (Path::new("list.csv"), "invalid"));
    assert!(refusal.error.to_string().contains("line 3: 1 fields"), "{}", refusal.error);
    let error = plan.next(&root).unwrap_err().to_string();
    assert!(error.contains("never closed"), "where the rest begins is not known: {error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_file_of_folders_is_found_once(files in proptest::collection::btree_map("([abé ]{1,3}/){0,3}[abc]{1,3}\\.(jpg|png|txt)", 0_usize..2, 0..60)) {
        // A name cannot be both a file and a folder.
        let listed: Vec<_> = files.keys().map(|path| (path.as_str(), "")).collect();
        let place = tree(&listed);
        std::fs::create_dir_all(place.path().join("tree")).unwrap();
        let (_, batches, _) = go_through(&place, &PlanOptions { layout: Some(Layout::Folders), ..PlanOptions::default() });
        let mut found = BTreeMap::new();
        for (path, album) in photos(&batches) {
            prop_assert!(found.insert(path.to_owned(), album.to_owned()).is_none(), "{} twice", path);
            let folder = Path::new(path).parent().unwrap().to_str().unwrap();
            prop_assert_eq!(album.to_owned(), if folder.is_empty() { "tree".to_owned() } else { folder.replace('/', " / ") });
        }
        prop_assert_eq!(found.keys().cloned().collect::<Vec<_>>(), files.into_keys().collect::<Vec<_>>());
    }
}
