//! Requests as clients write them. Examples of the specification are of an image of 300 x 200 pixels.

use proptest::prelude::*;

use super::request::Settled;
use super::*;
use crate::imaging::{Region, Resize, Tone, Turn};
use crate::service::rendition_url::{RecipeRequest, RenditionFormat};

const BOUNDS: Bounds = Bounds { max_side: 8_192, max_pixels: 64 << 20 };
const IMAGE: (u32, u32) = (300, 200);

fn settle_within(request: &str, shown: (u32, u32), bounds: Bounds) -> Result<Settled, IiifError> {
    let parts: Vec<&str> = request.split('/').collect();
    ImageRequest::parse(parts.try_into().expect("four parts"))?.settle(shown, bounds)
}

fn settle(request: &str) -> Result<Settled, IiifError> {
    settle_within(request, IMAGE, BOUNDS)
}

/// Region and size of a request that is whole otherwise.
fn size_of(region: &str, size: &str, shown: (u32, u32), bounds: Bounds) -> Result<(u32, u32), IiifError> {
    settle_within(&format!("{region}/{size}/0/default.jpg"), shown, bounds).map(|settled| (settled.recipe.width, settled.recipe.height))
}

#[test]
fn the_specifications_regions() {
    for (text, expected) in [
        ("full", None),
        ("square", Some([50, 0, 200, 200])),
        ("125,15,120,140", Some([125, 15, 120, 140])),
        ("pct:41.6,7.5,40,70", Some([125, 15, 120, 140])),
        ("125,15,200,200", Some([125, 15, 175, 185])),
        ("pct:41.6,7.5,66.6,100", Some([125, 15, 175, 185])),
        ("0,0,300,200", None),
        ("0,0,99999999999999999999,200", None),
        ("pct:0,0,100,100", None),
        ("pct:0,0,0.001,0.001", Some([0, 0, 1, 1])),
        ("299,199,1,1", Some([299, 199, 1, 1])),
    ] {
        let expected = expected.map(|[x, y, width, height]| Region { x, y, width, height });
        assert_eq!(settle(&format!("{text}/max/0/default.jpg")).unwrap().recipe.region, expected, "{text}");
    }
    for text in ["", "all", "1,2,3", "1,2,3,4,5", "1,2,3,", "-1,0,5,5", "1.5,0,5,5", "pct:1,2,3", "pct:-1,0,5,5", "pct:", "square,"] {
        assert!(matches!(settle(&format!("{text}/max/0/default.jpg")), Err(IiifError::BadValue { parameter: "region", .. })), "{text}");
    }
    for text in ["0,0,0,5", "0,0,5,0", "pct:0,0,0,5"] {
        assert_eq!(settle(&format!("{text}/max/0/default.jpg")), Err(IiifError::Empty { parameter: "region" }), "{text}");
    }
    for text in ["300,0,5,5", "0,200,5,5", "pct:100,0,5,5"] {
        assert_eq!(settle(&format!("{text}/max/0/default.jpg")), Err(IiifError::Outside { width: 300, height: 200 }), "{text}");
    }
}

#[test]
fn the_specifications_sizes() {
    for (text, expected) in [
        ("max", (300, 200)),
        ("^max", (300, 200)),
        ("150,", (150, 100)),
        ("^360,", (360, 240)),
        (",150", (225, 150)),
        ("^,240", (360, 240)),
        ("pct:50", (150, 100)),
        ("^pct:120", (360, 240)),
        ("225,100", (225, 100)),
        ("^360,360", (360, 360)),
        ("!225,100", (150, 100)),
        ("^!360,360", (360, 240)),
        ("!300,5000", (300, 200)),
        ("^!2000,100", (150, 100)),
        ("1,", (1, 1)),
        ("pct:0.3", (1, 1)),
    ] {
        assert_eq!(size_of("full", text, IMAGE, BOUNDS), Ok(expected), "{text}");
    }
    for text in [
        "", ",", "full", "^", "!", "^^max", "!^5,5", "150", "1,2,3", "-1,", "1.5,", "pct:", "pct:-5", "pct:1,5", "!5,", "!,5", "MAX",
        "max,",
    ] {
        assert!(matches!(size_of("full", text, IMAGE, BOUNDS), Err(IiifError::BadValue { parameter: "size", .. })), "{text}");
    }
    for text in ["301,", ",201", "301,5", "5,201", "pct:101", "!400,400"] {
        assert_eq!(size_of("full", text, IMAGE, BOUNDS), Err(IiifError::Enlarges { width: 300, height: 200 }), "{text}");
        assert!(size_of("full", &format!("^{text}"), IMAGE, BOUNDS).is_ok(), "{text}");
    }
    // By what is asked of the region, not of the image.
    assert_eq!(size_of("0,0,100,100", "150,", IMAGE, BOUNDS), Err(IiifError::Enlarges { width: 100, height: 100 }));
    for text in ["0,", ",0", "0,5", "5,0", "!0,5", "^!5,0", "pct:0", "pct:0.1"] {
        assert_eq!(size_of("full", text, IMAGE, BOUNDS), Err(IiifError::Empty { parameter: "size" }), "{text}");
    }
}

#[test]
fn nothing_is_larger_than_the_site_makes() {
    let bounds = Bounds { max_side: 2_000, max_pixels: 1_000_000 };
    let image = (4_000, 2_000);
    let of = |region, size| size_of(region, size, image, bounds);
    // 2,000 wide it would have 2 million pixels.
    let max = of("full", "max").unwrap();
    assert!(max.0 * max.1 <= 1_000_000 && max.0 > 1_400 && max.0.abs_diff(2 * max.1) <= 2, "{max:?}");
    assert_eq!(of("full", "^max"), Ok(max));
    assert_eq!(of("full", "!4000,4000"), Ok(max));
    assert_eq!(of("full", "^!9000,9000"), Ok(max));
    for size in ["1500,", ",1000", "pct:50", "^3000,10", "^5,2001", "^pct:200"] {
        assert!(matches!(of("full", size), Err(IiifError::TooLarge { .. })), "{size}");
    }
    // A region is shown no larger than the whole is.
    assert_eq!(of("0,0,100,100", "^max"), Ok((max.1, max.1)));
    assert_eq!(of("0,0,100,100", "^1000,"), Ok((1_000, 1_000)), "the promise is less than what is made");
    for (thin, expected) in [((1_000_000, 1), (2_000, 1)), ((1, 50_000), (1, 2_000))] {
        assert_eq!(size_of("full", "max", thin, bounds), Ok(expected));
    }
    assert_eq!(Bounds { max_side: 65_535, max_pixels: 1_000 }.fit((60_000, 1), (60_000, 1), false), (1_000, 1));
}

#[test]
fn rotations_are_quarters() {
    for (text, mirrored, quarters, spelt) in [
        ("0", false, 0, "0"),
        ("90", false, 1, "90"),
        ("180.0", false, 2, "180"),
        ("!270", true, 3, "!270"),
        ("!0", true, 0, "!0"),
        ("360", false, 0, "0"),
    ] {
        let settled = settle(&format!("full/max/{text}/default.jpg")).unwrap();
        assert_eq!(settled.recipe.turn, Turn { mirrored, quarters }, "{text}");
        assert_eq!(settled.canonical, format!("full/max/{spelt}/default.jpg"));
    }
    for text in ["", "!", "22.5", "45", "361", "450", "-90", "90!", "!!90", "+90", "90,"] {
        assert!(
            matches!(settle(&format!("full/max/{text}/default.jpg")), Err(IiifError::BadValue { parameter: "rotation", .. })),
            "{text}"
        );
    }
}

#[test]
fn qualities_and_formats_are_named() {
    for (text, tone, format) in [
        ("default.jpg", Tone::Colour, RenditionFormat::Jpeg),
        ("color.png", Tone::Colour, RenditionFormat::Png),
        ("gray.webp", Tone::Grey, RenditionFormat::WebP),
        ("bitonal.avif", Tone::Bitonal, RenditionFormat::Avif),
    ] {
        let recipe = settle(&format!("full/max/0/{text}")).unwrap().recipe;
        assert_eq!((recipe.tone, recipe.format), (tone, Some(format)), "{text}");
    }
    for (text, parameter) in [
        ("native.jpg", "quality"),
        ("grey.jpg", "quality"),
        ("default", "format"),
        ("default.jpeg", "format"),
        ("default.tif", "format"),
        ("default.x.jpg", "quality"),
        (".jpg", "quality"),
        ("", "quality"),
    ] {
        assert_eq!(settle(&format!("full/max/0/{text}")).unwrap_err().parameter(), parameter, "{text}");
    }
}

#[test]
fn a_request_comes_to_one_recipe() {
    let whole =
        RecipeRequest { width: 300, height: 200, resize: Resize::Force, format: Some(RenditionFormat::Jpeg), ..RecipeRequest::default() };
    for text in ["full/max/0/default.jpg", "pct:0,0,100,100/300,/360/color.jpg", "0,0,300,200/^pct:100/0.0/default.jpg"] {
        assert_eq!(settle(text), Ok(Settled { recipe: whole, canonical: "full/max/0/default.jpg".into() }), "{text}");
    }
    for (text, canonical) in [
        ("square/pct:50/!90.0/gray.png", "50,0,200,200/100,100/!90/gray.png"),
        ("full/^600,/0/bitonal.webp", "full/^600,400/0/bitonal.webp"),
        ("0,0,100,100/^max/0/color.jpg", "0,0,100,100/^max/0/default.jpg"),
        ("0,0,100,100/^!200,500/0/color.jpg", "0,0,100,100/^max/0/default.jpg"),
    ] {
        assert_eq!(settle(text).unwrap().canonical, canonical, "{text}");
    }
}

fn any_request() -> impl Strategy<Value = String> {
    let region = prop_oneof![
        Just("full".to_owned()),
        Just("square".to_owned()),
        (0..2_000_u32, 0..2_000_u32, 0..3_000_u32, 0..3_000_u32).prop_map(|(x, y, w, h)| format!("{x},{y},{w},{h}")),
        (0..120_u32, 0..12_000_u32, 0..120_u32, 0..12_000_u32).prop_map(|(x, y, w, h)| format!(
            "pct:{x},{}.{:02},{w},{}.{:02}",
            y / 100,
            y % 100,
            h / 100,
            h % 100
        )),
    ];
    let size = prop_oneof![
        Just("max".to_owned()),
        (0..3_000_u32).prop_map(|w| format!("{w},")),
        (0..3_000_u32).prop_map(|h| format!(",{h}")),
        (0..3_000_u32, 0..3_000_u32).prop_map(|(w, h)| format!("{w},{h}")),
        (0..3_000_u32, 0..3_000_u32).prop_map(|(w, h)| format!("!{w},{h}")),
        (0..300_u32, 0..10_u32).prop_map(|(n, tenth)| format!("pct:{n}.{tenth}")),
    ];
    let ends = (
        "!?",
        0..=4_u32,
        prop::sample::select(vec!["default", "color", "gray", "bitonal"]),
        prop::sample::select(vec!["jpg", "png", "webp", "avif"]),
    );
    (region, "\\^?", size, ends).prop_map(|(region, up, size, (mirror, quarters, quality, format))| {
        format!("{region}/{up}{size}/{mirror}{}/{quality}.{format}", quarters * 90)
    })
}

proptest! {
    #[test]
    fn any_text_is_survived(parts in prop::array::uniform4("\\PC{0,20}"), numbers in prop::array::uniform4("(pct:|\\^|!|max|full){0,2}[0-9.,!^]{0,20}")) {
        for parts in [&parts, &numbers] {
            let parts: [&str; 4] = std::array::from_fn(|at| parts[at].as_str());
            let _ = ImageRequest::parse(parts).and_then(|request| request.settle(IMAGE, BOUNDS));
            let [region, size, ..] = parts;
            let _ = ImageRequest::parse([region, size, "0", "default.jpg"]).and_then(|request| request.settle(IMAGE, BOUNDS));
        }
    }

    #[test]
    fn the_canonical_form_says_the_same_of_itself(
        request in any_request(), shown in (1_u32..2_500, 1_u32..2_500), max_side in 16_u32..3_000, max_pixels in 1_u64..9_000_000,
    ) {
        let bounds = Bounds { max_side, max_pixels };
        if let Ok(settled) = settle_within(&request, shown, bounds) {
            let RecipeRequest { width, height, .. } = settled.recipe;
            prop_assert!(width >= 1 && height >= 1 && width.max(height) <= max_side);
            prop_assert!(u64::from(width) * u64::from(height) <= max_pixels);
            prop_assert_eq!(settle_within(&settled.canonical, shown, bounds), Ok(settled), "{}", request);
        }
    }

    #[test]
    fn the_largest_is_within_the_bounds(source in (1_u32..70_000, 1_u32..70_000), max_side in 16_u32..17_000, max_pixels in 1_u64..90_000_000, enlarge: bool) {
        let (width, height) = Bounds { max_side, max_pixels }.fit(source, (u32::MAX, u32::MAX), enlarge);
        prop_assert!(width >= 1 && height >= 1 && width.max(height) <= max_side);
        prop_assert!(u64::from(width) * u64::from(height) <= max_pixels, "{width} x {height}");
        if !enlarge {
            prop_assert!(width <= source.0 && height <= source.1);
        }
    }
}
