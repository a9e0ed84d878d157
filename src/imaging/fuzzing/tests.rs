//! Every target over its seeds.

use crate::runtime::seeds::{PHOTOS, run};

#[test]
fn targets_of_pictures_hold_for_their_seeds() {
    type Target = (&'static str, fn(&[u8]));
    let targets: [Target; 12] = [
        ("sniff", super::sniff),
        ("exif", super::exif),
        ("structure", super::structure),
        ("inspect", super::inspect),
        ("decode_jpeg", super::decode_jpeg),
        ("decode_png", super::decode_png),
        ("decode_gif", super::decode_gif),
        ("decode_webp", super::decode_webp),
        ("decode_tiff", super::decode_tiff),
        ("decode_bmp", super::decode_bmp),
        ("decode_heif", super::decode_heif),
        ("decode_raw", super::decode_raw),
    ];
    for (name, target) in targets {
        run(target, &["fuzz/seeds/pictures", &format!("fuzz/seeds/{name}"), PHOTOS]);
    }
}

#[test]
fn recipes_hold_for_their_seeds() {
    run(super::render_recipe, &["fuzz/seeds/render_recipe"]);
}

/// Found by `structure`: brought to a decoder without its first segment, it no longer began as a JPEG does, and was refused.
#[test]
fn a_jpeg_with_something_between_its_segments_is_one_for_a_decoder_too() {
    let sound = include_bytes!("../../../fixtures/photos/clock.jpg");
    let (start, rest) = sound.split_at(2);
    let odd = [start, b"\xFF\xE1\0\x04XXjunk", rest].concat();
    let parts = super::jpeg_without_notes(&odd).unwrap();
    assert!(parts.concat().starts_with(&[0xFF, 0xD8, 0xFF]));
    super::structure(&odd);
    super::inspect(&odd);
}
