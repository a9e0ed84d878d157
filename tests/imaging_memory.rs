//! Memory stays under the limit, whatever the file: what needs more is refused before it is allocated. One test, alone in its process,
//! because it watches the process's own peak.

#![allow(clippy::unwrap_used)] // A test stops at what it did not expect.

mod imaging_samples;

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

    // Large enough that the C library gives every picture back to the kernel when it is dropped (above 32 MiB it always does), so that
    // what is left of earlier work hides nothing.
    let image = corners(6000, 4000);
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
    let (mut taken, mut highest) = (0, 0);
    for limit in [16 * MIB, 100 * MIB, 200 * MIB, 320 * MIB] {
        let limits = Limits { max_decoded_bytes: limit, ..Limits::default() };
        for (name, bytes) in &files {
            let grown = peak(|| {
                taken += u32::from(inspect(bytes, &limits).is_ok());
                let _ = placeholder(bytes, &limits);
                for format in [OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::WebP] {
                    let _ = render(bytes, &Recipe::fit(320, 320, format), &limits);
                }
            })
            .saturating_sub(before);
            highest = highest.max(grown);
            // A TIFF's metadata may lie anywhere in it, so that it is copied whole to be read.
            let allowed = limit + SLACK + bytes.len() as u64;
            assert!(grown <= allowed, "{name} of {} bytes: grew by {} MiB, limit {} MiB", bytes.len(), grown / MIB, limit / MIB);
        }
    }
    assert!(highest > 150 * MIB, "only {} MiB were ever seen: the peaks are not measured", highest / MIB);
    assert!(taken >= 12, "only {taken} were taken: the limits were not tried");
}
