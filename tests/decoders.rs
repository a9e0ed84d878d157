//! Decoder processes: the real ones, on real pictures; killed, kept waiting, and looked into while they wait.

// A test may look into /proc, say what it left out, and stop at what it did not expect.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "harness/corpus.rs"]
mod corpus;
mod imaging_samples;
#[path = "decoders/lives.rs"]
mod lives;
#[path = "harness/needs.rs"]
mod needs;
#[path = "harness/wait.rs"]
#[expect(dead_code, reason = "shared with tests that wait for more")]
mod wait;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use halidom::imaging::{
    Decoders, Extent, Format, ImagingError, Ladder, Limits, Made, MadeFrom, Order, OutputFormat, Priority, Recipe, Rendered, Renderer,
    Rung, inspect, placeholder, render,
};
use halidom::model::TenantId;
use halidom::runtime::BlockingPool;
use imaging_samples::raw::Raw;
use imaging_samples::{corners, encoded, exif_block, jpeg_of, jpeg_with_exif, jpeg_with_segment};
use turbojpeg::Subsamp;

const LONG: Duration = Duration::from_secs(120);

fn decoders(threads: usize, time: Duration) -> Decoders {
    let program = Path::new(env!("CARGO_BIN_EXE_halidom"));
    let pool = BlockingPool::new("decoders", threads);
    ours(Decoders::in_processes(program, pool, Limits::default(), 64 << 20, time, Priority::Awaited))
}

/// For photos of one tenant.
fn ours(started: std::io::Result<(Decoders, bool)>) -> Decoders {
    started.unwrap().0.of_tenant(Some(TenantId::DEFAULT))
}

fn photo(side: u32) -> Bytes {
    Bytes::from(encoded(&corners(side, side / 2), Format::Png))
}

/// A field of `/proc/ID/status`.
fn status(id: u32, field: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(|value| value.trim().to_owned())
}

#[tokio::test]
async fn the_same_is_made_as_in_this_process() {
    let (decoders, limits) = (decoders(2, LONG), Limits::default());
    let photo = photo(600);
    for format in OutputFormat::ALL {
        let recipe = Recipe::fit(200, 0, format);
        assert_eq!(decoders.render(photo.clone(), recipe.clone()).await.unwrap(), render(&photo, &recipe, &limits), "{format:?}");
    }
    assert_eq!(decoders.inspect(photo.clone(), 7).await.unwrap(), (inspect(&photo, &limits), 7));
    assert_eq!(decoders.placeholder(photo.clone(), ()).await.unwrap(), placeholder(&photo, &limits));
    let broken = photo.slice(..photo.len() / 2);
    let recipe = Recipe::fit(200, 0, OutputFormat::Jpeg);
    assert_eq!(decoders.render(broken.clone(), recipe.clone()).await.unwrap(), render(&broken, &recipe, &limits));
    assert_eq!(decoders.render(Bytes::from_static(b"no image"), recipe).await.unwrap(), Err(ImagingError::NotAnImage));
    assert_eq!(decoders.processes(), Some((1, 0)), "one at a time needs one process");
}

/// How nice a process is.
fn nice(id: u32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // After the name, which stands in brackets, the 17th field (proc(5)).
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
}

#[test]
fn they_let_the_process_that_they_work_for_go_first() {
    let own = nice(std::process::id());
    for (priority, nicer) in [(Priority::Awaited, 10), (Priority::Slow, 12), (Priority::Background, 19)] {
        let (program, pool) = (Path::new(env!("CARGO_BIN_EXE_halidom")), BlockingPool::new("decoders", 1));
        let decoders = ours(Decoders::in_processes(program, pool, Limits::default(), 64 << 20, LONG, priority));
        let [id] = decoders.idle_processes()[..] else { panic!("no process") };
        assert_eq!(nice(id), (own + nicer).min(19), "{priority:?}");
    }
}

#[tokio::test]
async fn previews_are_those_of_this_process() {
    let pool = BlockingPool::new("decoders", 1);
    let program = Path::new(env!("CARGO_BIN_EXE_halidom"));
    let limits = Limits::default();
    let decoders = ours(Decoders::in_processes(program, pool, limits.clone(), 64 << 20, LONG, Priority::Background));
    let photo = Bytes::from(jpeg_of(&corners(2_600, 1_000), Subsamp::Sub2x2, false));
    let preview = Renderer::default().preview(&photo, &limits).unwrap().unwrap();
    assert_eq!(decoders.preview(photo).await.unwrap(), Ok(Some(preview.clone())));
    for format in OutputFormat::ALL {
        let (recipe, shown) = (Recipe::fit(200, 0, format), (2_600, 1_000));
        let made = decoders.render_preview(preview.bytes.clone().into(), shown, recipe.clone()).await.unwrap();
        assert_eq!(made, Renderer::default().render_preview(&preview.bytes, shown, &recipe, &limits), "{format:?}");
    }
    let mut transparent = vec![];
    let encoder = image::codecs::png::PngEncoder::new(&mut transparent);
    image::ImageEncoder::write_image(encoder, &[9; 8], 2, 2, image::ExtendedColorType::La8).unwrap();
    assert_eq!(decoders.preview(transparent.into()).await.unwrap(), Ok(None));
    assert_eq!(decoders.preview(Bytes::from_static(b"no image")).await.unwrap(), Err(ImagingError::NotAnImage));
    assert_eq!(decoders.processes(), Some((1, 0)));
}

#[tokio::test]
async fn what_a_jpeg_says_of_itself_is_not_brought_to_a_decoder_and_changes_nothing() {
    // Large ones, too: these are looked at by their beginning.
    for (limits, side) in [(Limits::default(), 160), (Limits { inspect_decodes_pixels: 0, ..Limits::default() }, 640)] {
        let pool = BlockingPool::new("decoders", 1);
        let program = Path::new(env!("CARGO_BIN_EXE_halidom"));
        let decoders = ours(Decoders::in_processes(program, pool, limits.clone(), 64 << 20, LONG, Priority::Awaited));
        let bare = jpeg_of(&corners(side, side / 2), Subsamp::Sub2x2, false);
        let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
        let with_profile = jpeg_with_segment(&bare, 0xE2, &[b"ICC_PROFILE\0\x01\x01".as_slice(), &profile].concat());
        let turned = jpeg_with_exif(&with_profile, &exif_block(6));
        let noted = jpeg_with_segment(&turned, 0xFE, &[0xAB; 60_000]);
        // More pieces than a file is cut into.
        let scattered = (0..100).fold(bare.clone(), |jpeg, _| jpeg_with_segment(&jpeg_with_segment(&jpeg, 0xFE, b"note"), 0xDD, &[0, 0]));
        for jpeg in [bare, with_profile, turned, noted, scattered] {
            let jpeg = Bytes::from(jpeg);
            let expected = inspect(&jpeg, &limits);
            assert!(expected.is_ok(), "{expected:?}");
            assert_eq!(decoders.inspect(jpeg.clone(), ()).await.unwrap().0, expected);
            for cut in [jpeg.len() / 2, jpeg.len() - 1] {
                let cut = jpeg.slice(..cut);
                assert_eq!(decoders.inspect(cut.clone(), ()).await.unwrap().0, inspect(&cut, &limits));
            }
        }
        assert_eq!(decoders.processes(), Some((1, 0)));
    }
}

#[tokio::test]
async fn of_a_raw_file_they_get_the_preview_and_say_the_same() {
    for inspect_decodes_pixels in [0, 4_000_000] {
        let limits = Limits { inspect_decodes_pixels, ..Limits::default() };
        let pool = BlockingPool::new("decoders", 1);
        let program = Path::new(env!("CARGO_BIN_EXE_halidom"));
        let decoders = ours(Decoders::in_processes(program, pool, limits.clone(), 64 << 20, LONG, Priority::Awaited));
        let jpeg = |width, height| encoded(&corners(width, height), Format::Jpeg);
        let mut damaged = jpeg(96, 64);
        let end = damaged.len() - 2;
        damaged[end - 60..end].fill(0);
        for preview in [jpeg(96, 64), damaged] {
            for (format, bytes) in Raw::of(&preview, &jpeg(72, 64)).all() {
                let bytes = Bytes::from(bytes);
                let recipe = Recipe::fit(20, 20, OutputFormat::Jpeg);
                assert_eq!(decoders.inspect(bytes.clone(), ()).await.unwrap().0, inspect(&bytes, &limits), "{format}");
                assert_eq!(decoders.render(bytes.clone(), recipe.clone()).await.unwrap(), render(&bytes, &recipe, &limits), "{format}");
                assert_eq!(decoders.placeholder(bytes.clone(), ()).await.unwrap(), placeholder(&bytes, &limits), "{format}");
            }
        }
        assert_eq!(decoders.processes(), Some((1, 0)));
    }
}

#[tokio::test]
async fn every_kind_of_file_is_decoded_in_confinement() {
    let Some(directory) = corpus::corpus("confined decoders of every kind of file") else { return };
    let (decoders, limits) = (decoders(2, LONG), Limits::default());
    for file in corpus::files(&directory) {
        let bytes = Bytes::from(file.bytes);
        let recipe = Recipe::fit(64, 64, OutputFormat::ALL[file.at % OutputFormat::ALL.len()]);
        assert_eq!(decoders.render(bytes.clone(), recipe.clone()).await.unwrap(), render(&bytes, &recipe, &limits), "{}", file.name);
        assert_eq!(decoders.inspect(bytes.clone(), ()).await.unwrap().0, inspect(&bytes, &limits), "{}", file.name);
    }
    assert_eq!(decoders.processes().unwrap().1, 0, "none died");
}

#[tokio::test]
async fn it_can_do_no_harm() {
    let ours = tempfile::NamedTempFile::new().unwrap();
    let decoders = decoders(1, LONG);
    let [id] = decoders.idle_processes()[..] else { panic!("no process") };
    assert_eq!(status(id, "NoNewPrivs").as_deref(), Some("1"));
    assert_eq!(status(id, "Seccomp").as_deref(), Some("2"), "a filter");
    assert_eq!(status(id, "Threads").as_deref(), Some("1"));
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    for (limit, value) in [("Max core file size", "0"), ("Max open files", "3")] {
        let line = limits.lines().find_map(|line| line.strip_prefix(limit)).unwrap();
        assert_eq!(line.split_whitespace().next(), Some(value), "{limit}");
    }
    if std::fs::read_dir(format!("/proc/{id}/fd")).is_err() {
        needs::skipped("what is open in a decoder process", "nobody but root may look into one");
        return;
    }
    // The socket, the shared memory, and nowhere to complain; beside them only what the test itself was started with, if anything.
    let open_at = |descriptor: &str| std::fs::read_link(format!("/proc/{id}/fd/{descriptor}")).unwrap().to_string_lossy().into_owned();
    for (descriptor, expected) in [("0", "socket:"), ("1", "/memfd:halidom-photo"), ("2", "/dev/null")] {
        assert!(open_at(descriptor).starts_with(expected), "{descriptor}: {}", open_at(descriptor));
    }
    for entry in std::fs::read_dir(format!("/proc/{id}/fd")).unwrap() {
        let target = std::fs::read_link(entry.unwrap().path()).unwrap();
        assert_ne!(target, ours.path(), "a file of ours is open there");
    }
    let environment = std::fs::read_to_string(format!("/proc/{id}/environ")).unwrap_or_default();
    assert!(environment.split('\0').all(|variable| variable.is_empty() || variable.starts_with("MIMALLOC_")), "{environment}");
}

#[tokio::test]
async fn one_that_dies_is_replaced() {
    let decoders = decoders(1, LONG);
    let [id] = decoders.idle_processes()[..] else { panic!("no process") };
    rustix::process::kill_process(rustix::process::Pid::from_raw(id.try_into().unwrap()).unwrap(), rustix::process::Signal::KILL).unwrap();
    let recipe = Recipe::fit(100, 0, OutputFormat::Jpeg);
    decoders.render(photo(300), recipe).await.unwrap().unwrap();
    assert_eq!(decoders.processes(), Some((2, 1)));
    assert_ne!(decoders.idle_processes(), [id]);
}

#[tokio::test]
async fn a_photo_is_not_to_blame_for_what_others_kill() {
    // By what it may have it is told from the processes of other tests.
    let (program, pool, max_photo_bytes) = (Path::new(env!("CARGO_BIN_EXE_halidom")), BlockingPool::new("decoders", 1), (63 << 20) + 7);
    let decoders = ours(Decoders::in_processes(program, pool, Limits::default(), max_photo_bytes, LONG, Priority::Awaited));
    let [id] = decoders.idle_processes()[..] else { panic!("no process") };
    let arguments = move |id: u32| std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let (own, is_done) = (arguments(id), Arc::new(AtomicBool::new(false)));
    let killer = std::thread::spawn({
        let is_done = is_done.clone();
        move || {
            // Whatever lives of it is killed, over and over, as by a system without memory.
            while !is_done.load(Ordering::Relaxed) {
                let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
                for id in all.filter(|id| arguments(*id) == own) {
                    let _ =
                        rustix::process::kill_process(rustix::process::Pid::from_raw(id as i32).unwrap(), rustix::process::Signal::KILL);
                }
            }
        }
    });
    let recipe = Recipe { enlarge: true, ..Recipe::fit(2_000, 0, OutputFormat::Png) };
    let refused = decoders.render(photo(600), recipe).await.unwrap();
    is_done.store(true, Ordering::Relaxed);
    killer.join().unwrap();
    assert_eq!(refused, Err(ImagingError::Interrupted));
}

#[tokio::test]
async fn what_ended_them_while_they_waited_is_nothing_to_the_next_photo() {
    let decoders = decoders(3, LONG);
    let photo = photo(1_200);
    let recipe = Recipe::fit(1_000, 0, OutputFormat::Png);
    futures_util::future::join_all((0..9).map(|_| decoders.render(photo.clone(), recipe.clone()))).await;
    let idle = decoders.idle_processes();
    for id in &idle {
        let pid = rustix::process::Pid::from_raw((*id).try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        // It stays until it is waited for.
        while !status(*id, "State").is_none_or(|state| state.starts_with('Z')) {
            std::thread::yield_now();
        }
    }
    decoders.render(photo, recipe).await.unwrap().unwrap();
    assert_eq!(decoders.processes().unwrap().1, idle.len() as u64);
}

#[tokio::test]
async fn one_that_takes_too_long_is_ended() {
    let decoders = decoders(1, Duration::from_millis(1));
    let [id] = decoders.idle_processes()[..] else { panic!("no process") };
    // AVIF of this size takes far more than a millisecond.
    let recipe = Recipe { enlarge: true, ..Recipe::fit(3_200, 0, OutputFormat::Avif) };
    let refused = decoders.render(photo(600), recipe).await.unwrap();
    assert!(matches!(refused, Err(ImagingError::TooLarge { .. })), "{refused:?}");
    assert_eq!(status(id, "Pid"), None, "nothing is left of it");
    assert!(decoders.idle_processes().is_empty());
}

#[tokio::test]
async fn none_outlives_its_work() {
    let decoders = decoders(1, LONG);
    let [id] = decoders.idle_processes()[..] else { panic!("no process") };
    drop(decoders);
    assert_eq!(status(id, "Pid"), None);
}

type Pictures = BTreeMap<Option<u32>, Result<Option<Rendered>, ImagingError>>;

/// What processes make of an order; the preview without a number. `at_first` is done when the first picture is there.
async fn climbed(decoders: &Decoders, order: Order, at_first: impl FnOnce() + Send + 'static) -> Pictures {
    let (all, mut at_first) = (Arc::<Mutex<Pictures>>::default(), Some(at_first));
    let into = all.clone();
    let each = move |made| {
        if let Some(at_first) = at_first.take() {
            at_first();
        }
        let (number, made) = match made {
            Made::Rung(number, made) => (Some(number), made.map(Some)),
            Made::Preview(made) => (None, made),
        };
        assert!(into.lock().unwrap().insert(number, made).is_none(), "{number:?} is told once");
    };
    decoders.ladder(move || Some(order), each).await.unwrap();
    std::mem::take(&mut *all.lock().unwrap())
}

fn ladder(shown: (u32, u32), recipes: impl IntoIterator<Item = (Recipe, MadeFrom)>) -> Ladder {
    Ladder { shown, rungs: (0..).zip(recipes).map(|(number, (recipe, from))| Rung { number, recipe, from }).collect() }
}

#[tokio::test]
async fn several_pictures_are_those_that_are_made_alone() {
    let (decoders, limits, shown) = (decoders(1, LONG), Limits::default(), (2_600, 1_000));
    let photo = Bytes::from(jpeg_of(&corners(shown.0, shown.1), Subsamp::Sub2x2, false));
    let preview = Renderer::default().preview(&photo, &limits).unwrap().unwrap();
    let fit = |side, format| Recipe::fit(side, side, format);
    let too_large = Recipe { enlarge: true, ..fit(20_000, OutputFormat::Png) };
    let of_photo = [fit(1_280, OutputFormat::Jpeg), too_large, fit(700, OutputFormat::WebP)].map(|recipe| (recipe, MadeFrom::Photo));
    let of_preview = [fit(200, OutputFormat::Jpeg), fit(100, OutputFormat::Png)].map(|recipe| (recipe, MadeFrom::Preview));
    let ladder = ladder(shown, of_photo.into_iter().chain(of_preview));
    let mut expected: Pictures = BTreeMap::new();
    for Rung { number, recipe, from } in &ladder.rungs {
        let made = match from {
            MadeFrom::Photo => render(&photo, recipe, &limits),
            MadeFrom::Preview => Renderer::default().render_preview(&preview.bytes, shown, recipe, &limits),
        };
        expected.insert(Some(*number), made.map(Some));
    }
    assert!(matches!(expected[&Some(1)], Err(ImagingError::TooLarge { .. })), "one fails");
    let stored = Order { original: photo.clone(), preview: Some(preview.bytes.clone().into()), ladder: ladder.clone() };
    assert_eq!(climbed(&decoders, stored, || ()).await, expected);
    let of_preview_alone = Ladder { rungs: ladder.rungs[3..].to_vec(), ..ladder };
    let without = Order { original: Bytes::new(), preview: Some(preview.bytes.clone().into()), ladder: of_preview_alone };
    assert_eq!(climbed(&decoders, without, || ()).await.len(), 2, "the photo is not needed");
    expected.insert(None, Ok(Some(preview)));
    let cold = Order { original: photo, preview: None, ladder: ladder.clone() };
    assert_eq!(climbed(&decoders, cold, || ()).await, expected);

    let broken = Order { original: Bytes::from_static(b"no image"), preview: None, ladder };
    let told = climbed(&decoders, broken, || ()).await;
    assert_eq!((told.len(), told.values().all(|made| *made == Err(ImagingError::NotAnImage))), (6, true));
    decoders.ladder(|| None, |_| panic!("nothing was asked for")).await.unwrap();
    assert_eq!(decoders.processes(), Some((1, 0)));
}

#[tokio::test]
async fn what_one_that_dies_has_not_made_is_made_by_another() {
    let decoders = decoders(1, LONG);
    let [id] = decoders.idle_processes()[..] else { panic!("no process") };
    let photo = photo(600);
    // The small ones come first, and the large one takes a while.
    let recipes = [2_000, 100, 1_900].map(|width| (Recipe { enlarge: true, ..Recipe::fit(width, 0, OutputFormat::Png) }, MadeFrom::Photo));
    let expected = recipes.clone().map(|(recipe, _)| render(&photo, &recipe, &Limits::default()).map(Some));
    let pid = rustix::process::Pid::from_raw(id.try_into().unwrap()).unwrap();
    let kill = move || rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let order = Order { original: photo, preview: None, ladder: ladder((600, 300), recipes) };
    let told = climbed(&decoders, order, kill).await;
    assert_eq!(told.into_values().collect::<Vec<_>>(), expected);
    assert_eq!(decoders.processes(), Some((2, 1)));
}

#[tokio::test]
async fn of_several_pictures_the_one_that_takes_too_long_fails() {
    let decoders = decoders(1, Duration::from_millis(50));
    let slow = Recipe { enlarge: true, ..Recipe::fit(3_200, 0, OutputFormat::Avif) };
    let recipes = [(slow, MadeFrom::Photo), (Recipe::fit(9, 9, OutputFormat::Jpeg), MadeFrom::Photo)];
    let told = climbed(&decoders, Order { original: photo(60), preview: None, ladder: ladder((60, 30), recipes) }, || ()).await;
    assert!(matches!(told[&Some(0)], Err(ImagingError::TooLarge { extent: Extent::Seconds, .. })), "{told:?}");
    assert_eq!(told.len(), 2, "the other is told as well");
}

#[tokio::test]
async fn a_photo_that_takes_too_long_does_so_for_all_of_its_pictures() {
    let decoders = decoders(1, Duration::from_millis(1));
    // Whatever is made of it takes far more than a millisecond.
    let recipes = (0..8).map(|more| (Recipe { enlarge: true, ..Recipe::fit(3_000 + more, 0, OutputFormat::Png) }, MadeFrom::Photo));
    let order = Order { original: photo(600), preview: None, ladder: ladder((600, 300), recipes.collect::<Vec<_>>()) };
    let told = climbed(&decoders, order, || ()).await;
    let too_long = |made: &Result<_, _>| matches!(made, Err(ImagingError::TooLarge { extent: Extent::Seconds, .. }));
    assert!(told.len() == 8 && told.values().all(too_long), "{told:?}");
    assert_eq!(decoders.processes().unwrap().1, 2, "all together, and one alone");
}

/// Set for the process in which [`what_is_confined_has_nothing`] tries what it must not be able to do.
const CONFINED: &str = "HALIDOM_TEST_CONFINED";

#[test]
fn what_is_confined_has_nothing() {
    if std::env::var_os(CONFINED).is_none() {
        let this = std::env::current_exe().unwrap();
        let status = std::process::Command::new(this)
            .args(["--exact", "what_is_confined_has_nothing", "--test-threads", "1"])
            .env(CONFINED, "1")
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(0), "the exit code says which try went through");
        return;
    }
    halidom::imaging::confine(1 << 30, 1 << 20).unwrap();
    let went_through = [
        std::fs::File::open("/etc/passwd").is_ok(),
        std::fs::read_dir("/").is_ok(),
        std::fs::write("/tmp/halidom-confined", b"x").is_ok(),
        std::fs::remove_file("/tmp/halidom-confined").is_ok(),
        std::net::TcpStream::connect("127.0.0.1:1").is_err_and(|error| error.kind() != std::io::ErrorKind::PermissionDenied),
        std::net::UdpSocket::bind("127.0.0.1:0").is_ok(),
        std::os::unix::net::UnixStream::pair().is_ok(),
        std::process::Command::new("/bin/true").spawn().is_ok(),
        rustix::process::kill_process(rustix::process::Pid::INIT, rustix::process::Signal::CONT).is_ok(),
        std::env::set_current_dir("/tmp").is_ok(),
        // And what it has to be able to do.
        std::thread::Builder::new().spawn(|| vec![1_u8; 1 << 20].len()).is_err(),
    ];
    let first = went_through.iter().position(|went| *went).map_or(0, |at| at as i32 + 1);
    std::process::exit(first);
}
