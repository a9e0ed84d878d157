//! Memory stays under the limit, whatever the file: what needs more is refused before it is allocated. One test, alone in its process,
//! because it watches the process's own peak.
//!
//! Decoders compiled without optimisation take seconds for a large picture, so each is tried once where it must refuse and once where it
//! may decode; with `HALIDOM_TEST_LONG` set, at more limits, into every format, and at twice the size.

#![allow(clippy::unwrap_used)] // A test stops at what it did not expect.

mod imaging_samples;

use halidom::config::environment;
use halidom::imaging::{Format, Limits, OutputFormat, Recipe, inspect, placeholder, render};
use imaging_samples::{corners, encoded, jpeg_of};
use turbojpeg::Subsamp;

/// The kernel's line about this process's memory, in bytes.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    value.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The most memory that this process had while `work` ran.
fn peak(work: impl FnOnce()) -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    work();
    memory("VmHWM:")
}

#[test]
fn peaks_stay_under_the_limit() {
    const MIB: u64 = 1 << 20;
    // What is allowed on top: the small picture that is made, buffers of fixed size, what the allocator keeps.
    const SLACK: u64 = 24 * MIB;

    let long = environment().get("HALIDOM_TEST_LONG").is_some();
    // Large enough that the C library gives every picture back to the kernel when it is dropped (above 32 MiB it always does), so that
    // what is left of earlier work hides nothing.
    let (width, height) = if long { (6000, 4000) } else { (4200, 3000) };
    let limits: &[u64] = if long { &[16, 100, 200, 320] } else { &[16, 160] };
    let image = corners(width, height);
    let mut files = vec![
        ("jpeg 4:2:0", jpeg_of(&image, Subsamp::Sub2x2, false)),
        ("jpeg progressive 4:2:0", jpeg_of(&image, Subsamp::Sub2x2, true)),
        ("jpeg progressive 4:4:4", jpeg_of(&image, Subsamp::None, true)),
    ];
    files.extend(
        [Format::Png, Format::Gif, Format::WebP, Format::Tiff, Format::Bmp].map(|format| (format.as_str(), encoded(&image, format))),
    );
    drop(image);
    let before = memory("VmRSS:");
    let outputs = [OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::WebP];
    let (mut rendered, mut highest) = (0, 0);
    for limit in limits.iter().map(|mib| mib * MIB) {
        let limits = Limits { max_decoded_bytes: limit, ..Limits::default() };
        for (at, (name, bytes)) in files.iter().enumerate() {
            let mut made = |output| rendered += u32::from(render(bytes, &Recipe::fit(320, 320, output), &limits).is_ok());
            let grown = peak(|| {
                let _ = inspect(bytes, &limits);
                if long {
                    let _ = placeholder(bytes, &limits);
                    outputs.into_iter().for_each(&mut made);
                } else {
                    made(outputs[at % outputs.len()]);
                }
            })
            .saturating_sub(before);
            highest = highest.max(grown);
            // A TIFF's metadata may lie anywhere in it, so that it is copied whole to be read.
            let allowed = limit + SLACK + bytes.len() as u64;
            assert!(grown <= allowed, "{name} of {} bytes: grew by {} MiB, limit {} MiB", bytes.len(), grown / MIB, limit / MIB);
        }
    }
    let pixels_mib = u64::from(width) * u64::from(height) * 3 / MIB;
    assert!(highest > 2 * pixels_mib, "only {} MiB were ever seen: the peaks are not measured", highest / MIB);
    // At the highest limit every file is made a picture of.
    let least = if long { 3 * files.len() } else { files.len() } as u32;
    assert!(rendered >= least, "only {rendered} were made: the limits were not tried");
}
