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
