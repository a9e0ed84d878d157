//! How long decoder processes live, and for whom they work.

use std::io::{BufRead as _, Write as _};

use super::wait::until;
use super::*;

#[tokio::test]
async fn none_sees_photos_of_two_tenants() {
    let decoders = decoders(1, LONG);
    let of = |tenant: u8| decoders.of_tenant(Some(TenantId::from_bytes([tenant; 16])));
    let (photo, recipe) = (photo(60), Recipe::fit(9, 9, OutputFormat::Jpeg));
    let order = |photo: &Bytes| {
        let recipes = [(recipe.clone(), MadeFrom::Photo), (Recipe::fit(8, 8, OutputFormat::Jpeg), MadeFrom::Photo)];
        Order { original: photo.clone(), preview: None, ladder: ladder((60, 30), recipes) }
    };
    for tenant in [1, 2, 1, 2] {
        of(tenant).render(photo.clone(), recipe.clone()).await.unwrap().unwrap();
        of(tenant).inspect(photo.clone(), ()).await.unwrap().0.unwrap();
        of(tenant).placeholder(photo.clone(), ()).await.unwrap().unwrap();
        assert_eq!(climbed(&of(tenant), order(&photo), || ()).await.len(), 2);
    }
    assert_eq!(decoders.processes(), Some((2, 0)), "each has its own");
    let before = decoders.idle_processes();
    of(3).render(photo.clone(), recipe.clone()).await.unwrap().unwrap();
    let after = decoders.idle_processes();
    assert_eq!((decoders.processes(), after.len(), after[0]), (Some((3, 0)), 2, before[1]), "the one that waited longest makes room");
    assert_eq!(status(before[0], "Pid"), None);
    // Of whom nothing is known, each is somebody else.
    for count in [4, 5] {
        decoders.of_tenant(None).render(photo.clone(), recipe.clone()).await.unwrap().unwrap();
        assert_eq!((decoders.processes(), decoders.idle_processes().len()), (Some((count, 0)), 1));
    }
}

#[tokio::test]
async fn one_is_replaced_after_a_hundred_jobs() {
    let (decoders, photo) = (decoders(1, LONG), photo(60));
    for (jobs, started) in [(100, 1), (100, 2), (1, 3)] {
        for _ in 0..jobs {
            decoders.render(photo.clone(), Recipe::fit(4, 4, OutputFormat::Jpeg)).await.unwrap().unwrap();
        }
        assert_eq!(decoders.processes(), Some((started, 0)));
    }
}

#[tokio::test]
async fn one_that_could_not_work_says_nothing_of_the_photo() {
    let (decoders, photo) = (decoders(1, Duration::from_secs(1)), photo(60));
    let stopped = rustix::process::Pid::from_raw(decoders.idle_processes()[0].try_into().unwrap()).unwrap();
    rustix::process::kill_process(stopped, rustix::process::Signal::STOP).unwrap();
    assert_eq!(decoders.inspect(photo.clone(), ()).await.unwrap().0, Err(ImagingError::Interrupted));
    decoders.inspect(photo, ()).await.unwrap().0.unwrap();
    assert_eq!(decoders.processes(), Some((2, 1)));
}

/// Set for the process that [`nor_does_one_outlive_a_server_that_is_killed`] kills.
const KILLED: &str = "HALIDOM_TEST_KILLED";

#[tokio::test]
async fn nor_does_one_outlive_a_server_that_is_killed() {
    if std::env::var_os(KILLED).is_some() {
        let decoders = decoders(1, LONG);
        writeln!(std::io::stdout(), "decoder {}", decoders.idle_processes()[0]).unwrap();
        // Takes seconds.
        let slow = Recipe { enlarge: true, ..Recipe::fit(3_200, 0, OutputFormat::Avif) };
        loop {
            decoders.render(photo(600), slow.clone()).await.unwrap().unwrap();
        }
    }
    // So that it can be told what ended the decoder.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let mut server = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lives::nor_does_one_outlive_a_server_that_is_killed", "--test-threads", "1", "--nocapture"])
        .env(KILLED, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(server.stdout.take().unwrap()).lines();
    let id = lines.map_while(Result::ok).find_map(|line| line.split_once("decoder ")?.1.parse().ok()).expect("it has a decoder");
    let idle = cpu_ticks(id);
    until("it works", || cpu_ticks(id), |ticks| *ticks > idle + 10);
    server.kill().unwrap();
    server.wait().unwrap();
    let pid = rustix::process::Pid::from_raw(id.try_into().unwrap()).unwrap();
    let (_, ended) = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(ended.terminating_signal(), Some(9), "killed, and not when it had done its work: {ended:?}");
}

/// What a process has used of the processors, without the system's part.
fn cpu_ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(11).unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_outlives_the_thread_that_asked_for_it() {
    let decoders = std::thread::spawn(|| decoders(1, LONG)).join().unwrap();
    let idle = decoders.idle_processes();
    decoders.render(photo(60), Recipe::fit(9, 9, OutputFormat::Jpeg)).await.unwrap().unwrap();
    assert_eq!((decoders.processes(), decoders.idle_processes()), (Some((1, 0)), idle));
}
