//! Several pictures from one decoding are, byte by byte, those that are made alone: of pictures made here and of the corpus.

#![allow(clippy::unwrap_used)] // A test stops at what it did not expect.

#[path = "harness/corpus.rs"]
mod corpus;
mod imaging_samples;
#[path = "harness/needs.rs"]
mod needs;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use halidom::imaging::{
    Align, Format, Gravity, ImagingError, Ladder, Limits, MAX_RUNGS, Made, MadeFrom, OutputFormat, Recipe, Region, Rendered, Renderer,
    Resize, Rung, Tone, Turn, render,
};
use imaging_samples::{corners, encoded, exif_block, jpeg_of, jpeg_with_exif, one_of_each};
use proptest::prelude::*;
use turbojpeg::Subsamp;

/// What was made of a ladder, in the order in which it was told.
fn climbed(photo: &[u8], ladder: &Ladder, limits: &Limits) -> Vec<Made> {
    let mut told = vec![];
    Renderer::default().ladder(photo, ladder, limits, &mut |made| told.push(made));
    told
}

type Picture = Result<Rendered, ImagingError>;

/// The same, each made alone.
fn alone(photo: &[u8], ladder: &Ladder, limits: &Limits) -> (BTreeMap<u32, Picture>, Result<Option<Rendered>, ImagingError>) {
    let preview = Renderer::default().preview(photo, limits);
    let rung = |rung: &Rung| match (rung.from, &preview) {
        (MadeFrom::Preview, Ok(Some(preview))) => Renderer::default().render_preview(&preview.bytes, ladder.shown, &rung.recipe, limits),
        (MadeFrom::Preview, Err(error)) => Err(error.clone()),
        _ => render(photo, &rung.recipe, limits),
    };
    (ladder.rungs.iter().map(|one| (one.number, rung(one))).collect(), preview)
}

fn check(name: &str, photo: &[u8], ladder: &Ladder, limits: &Limits) {
    let (expected, preview) = alone(photo, ladder, limits);
    let told = climbed(photo, ladder, limits);
    assert_eq!(told.len(), expected.len() + usize::from(ladder.needs_preview()), "{name}: {ladder:?}");
    let mut is_preview_told = false;
    for made in told {
        match made {
            Made::Preview(made) => {
                assert!(ladder.needs_preview() && !is_preview_told, "{name}");
                assert_eq!(made, preview, "{name}");
                is_preview_told = true;
            }
            Made::Rung(number, made) => {
                let rung = ladder.rungs.iter().find(|rung| rung.number == number).unwrap();
                assert!(
                    rung.from == MadeFrom::Photo || is_preview_told,
                    "{name}: the preview is kept before what is made from it is shown"
                );
                assert_eq!(made, expected[&number], "{name}: {rung:?}");
            }
        }
    }
    if let Ok(Some(preview)) = preview {
        let mut told = BTreeMap::new();
        Renderer::default().ladder_of_preview(&preview.bytes, ladder, limits, &mut |made| match made {
            Made::Rung(number, made) => assert!(told.insert(number, made).is_none()),
            Made::Preview(_) => panic!("{name}: it is there"),
        });
        for rung in &ladder.rungs {
            let expected = Renderer::default().render_preview(&preview.bytes, ladder.shown, &rung.recipe, limits);
            assert_eq!(told[&rung.number], expected, "{name}: {rung:?}");
        }
    }
}

/// Photos of every kind that is decoded differently, and their sizes as shown. The last ones are larger than their previews.
static PHOTOS: LazyLock<Vec<(&'static str, Vec<u8>)>> = LazyLock::new(|| {
    let mut photos = one_of_each();
    let image = corners(700, 500);
    photos.push(("jpeg 4:2:2 that is turned", jpeg_with_exif(&jpeg_of(&image, Subsamp::Sub2x1, false), &exif_block(6))));
    photos.push(("jpeg 4:4:4", jpeg_of(&image, Subsamp::None, false)));
    photos.push(("png", encoded(&image, Format::Png)));
    photos.push(("no image", b"no image".to_vec()));
    photos.push(("jpeg that is cut off", photos.iter().find(|(name, _)| *name == "jpeg 4:4:4").unwrap().1[..3_000].to_vec()));
    photos.push(("jpeg 4:2:0, large", jpeg_of(&corners(2_700, 1_100), Subsamp::Sub2x2, false)));
    photos
});

fn recipes() -> impl Strategy<Value = Recipe> {
    let side = || prop_oneof![Just(0_u32), Just(64), Just(160), Just(320), 1_u32..400, 1_u32..1_500];
    // AVIF takes seconds, and has no part of its own in this.
    let format =
        prop::sample::select(vec![OutputFormat::Jpeg, OutputFormat::Jpeg, OutputFormat::Jpeg, OutputFormat::WebP, OutputFormat::Png]);
    let resize = prop::sample::select(vec![Resize::Fit, Resize::Fit, Resize::Fill, Resize::FillDown, Resize::Force, Resize::Auto]);
    let gravity = prop_oneof![
        3 => Just(Gravity::CENTRE),
        1 => Just(Gravity::Smart),
        1 => (0_u16..=10_000, 0_u16..=10_000).prop_map(|(x, y)| Gravity::Point { x, y }),
        1 => (-50_i32..50).prop_map(|offset| Gravity::Towards { x: Align::End, y: Align::Start, offset_x: offset, offset_y: offset }),
    ];
    let region = prop::option::weighted(0.2, (0_u32..600, 0_u32..400, 1_u32..600, 1_u32..400));
    let tone = prop::sample::select(vec![Tone::Colour, Tone::Colour, Tone::Colour, Tone::Grey, Tone::Bitonal]);
    let rest = (
        any::<bool>(),
        prop_oneof![4 => Just(0_u32), 1 => 1_u32..300],
        prop_oneof![3 => Just(0_u8), 1 => 0_u8..4],
        1_u8..=100,
        any::<bool>(),
    );
    ((side(), side()), format, resize, gravity, region, tone, rest).prop_map(
        |((width, height), format, resize, gravity, region, tone, (enlarge, blur, quarters, quality, animated))| Recipe {
            region: region.map(|(x, y, width, height)| Region { x, y, width, height }),
            resize,
            gravity,
            enlarge: enlarge && width.max(height) < 200,
            turn: Turn { mirrored: quarters == 3, quarters },
            tone,
            blur,
            quality,
            animated,
            background: (quality % 3 == 0).then_some([quality, 0, 9]),
            ..Recipe::fit(width, height, format)
        },
    )
}

fn ladders() -> impl Strategy<Value = Vec<(Recipe, MadeFrom)>> {
    let from = prop::sample::select(vec![MadeFrom::Photo, MadeFrom::Photo, MadeFrom::Preview]);
    prop::collection::vec((recipes(), from), 1..=MAX_RUNGS)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_made_together_is_what_is_made_alone(at in any::<prop::sample::Index>(), pictures in ladders(), small_limit in prop::bool::weighted(0.2)) {
        let (name, photo) = at.get(PHOTOS.as_slice());
        // Past which some can be made, and some not.
        let max_decoded_bytes = if small_limit { 2 << 20 } else { 512 << 20 };
        let limits = Limits { max_decoded_bytes, ..Limits::default() };
        let shown = halidom::imaging::inspect(photo, &Limits::default()).map_or((1, 1), |photo| (photo.width, photo.height));
        let rungs = (7..).step_by(3).zip(pictures).map(|(number, (recipe, from))| Rung { number, recipe, from }).collect();
        check(name, photo, &Ladder { shown, rungs }, &limits);
    }
}

/// What a gallery asks for, as it is made where there are previews and where there are none.
fn gallery(shown: (u32, u32), previews: bool) -> Ladder {
    let rung = |(number, side): (u32, u32)| {
        let recipe = Recipe::fit(side, side, OutputFormat::Jpeg);
        let from = if previews && halidom::imaging::preview_serves(shown, &recipe) { MadeFrom::Preview } else { MadeFrom::Photo };
        Rung { number, recipe, from }
    };
    Ladder { shown, rungs: (0..).zip([2_048, 1_280, 640, 320, 160]).map(rung).collect() }
}

#[test]
fn a_gallerys_sizes_are_what_is_made_alone() {
    let limits = Limits::default();
    for (name, photo) in PHOTOS.iter() {
        let shown = halidom::imaging::inspect(photo, &limits).map_or((1, 1), |photo| (photo.width, photo.height));
        for previews in [false, true] {
            check(name, photo, &gallery(shown, previews), &limits);
        }
    }
    let Some(directory) = corpus::corpus("sizes of one decoding, of every kind of file") else { return };
    // All of them would take minutes.
    for file in corpus::files(&directory).into_iter().step_by(16) {
        let shown = halidom::imaging::inspect(&file.bytes, &limits).map_or((1, 1), |photo| (photo.width, photo.height));
        check(&file.name, &file.bytes, &gallery(shown, file.at % 2 == 0), &limits);
    }
}
