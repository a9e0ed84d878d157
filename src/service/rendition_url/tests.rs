//! URLs as clients write them.

mod presets;

use proptest::prelude::*;

use super::*;
use crate::imaging::{Align, Gravity, Resize};

fn hash() -> BlobHash {
    BlobHash::of(b"photo")
}

/// Reads options before the plain source, for a tenant without presets.
fn read(options: &str) -> Result<RenditionUrl, UrlError> {
    read_with(&Presets::default(), options)
}

/// Reads options before the plain source, for a tenant with these presets.
fn read_with(presets: &Presets, options: &str) -> Result<RenditionUrl, UrlError> {
    RenditionUrl::parse(&format!("{options}/plain/{}", hash()), presets)
}

/// Reads the signed part of a path for a tenant without presets.
fn parse(signed: &str) -> Result<RenditionUrl, UrlError> {
    RenditionUrl::parse(signed, &Presets::default())
}

/// Opens a path with the keys of tenants without presets.
fn open<'a, T>(path: &str, candidates: impl IntoIterator<Item = (T, &'a SigningKey)>) -> Result<(T, RenditionUrl), UrlError> {
    static NONE: std::sync::LazyLock<Presets> = std::sync::LazyLock::new(Presets::default);
    RenditionUrl::open(path, candidates, |_| &NONE)
}

#[test]
fn options_say_the_same_in_every_spelling() {
    let fit = RecipeRequest { width: 640, height: 480, ..RecipeRequest::default() };
    let enlarged = RecipeRequest { enlarge: true, ..fit };
    let wide = RecipeRequest { width: 640, ..RecipeRequest::default() };
    let north_east = Gravity::Towards { x: Align::End, y: Align::Start, offset_x: 20, offset_y: -10 };
    let (jpeg, webp) = (Some(RenditionFormat::Jpeg), Some(RenditionFormat::WebP));
    for (options, expected) in [
        ("", RecipeRequest::default()),
        ("/rs:fit:640:480", fit),
        ("/resize:fit:640:480:0:0", fit),
        ("/rs::640:480", fit),
        ("/s:640:480", fit),
        ("/size:640:480:f", fit),
        ("/w:640/h:480", fit),
        ("/width:640/height:480/rt:fit", fit),
        ("/w:1/rs:fit:640:480", fit),
        ("/h:480/rs:fit:640", fit),
        ("/rs:fit:320:240/dpr:2", fit),
        ("/dpr:0.5/rs:fit:1280:960", fit),
        ("/rs:fit:640:480/cb:v7:x/cachebuster:", fit),
        ("/rs:fit:640:480/q:0", fit),
        ("/rs:fit:640:480/exp:0/", fit),
        ("/ar:t/sm:1/rs:fit:640:480", fit),
        ("/rs:fit:640:480:1", enlarged),
        ("/rs:fit:640:480/el:t", enlarged),
        ("/w:640", wide),
        ("/rs:fit:640", wide),
        ("/rs:fit:640:0", wide),
        ("/rs:fit:640:::", wide),
        ("/w:320/dpr:2.0", wide),
        ("/q:75", RecipeRequest { quality: Some(75), ..RecipeRequest::default() }),
        ("/f:webp", RecipeRequest { format: webp, ..RecipeRequest::default() }),
        ("/format:webp/ext:jpeg", RecipeRequest { format: jpeg, ..RecipeRequest::default() }),
        ("/rs:fill:640:480/g:sm", RecipeRequest { resize: Resize::Fill, gravity: Gravity::Smart, ..fit }),
        ("/rt:fill-down/s:640:480", RecipeRequest { resize: Resize::FillDown, ..fit }),
        ("/rs:force:640:480", RecipeRequest { resize: Resize::Force, ..fit }),
        ("/rs:auto:640:480/g:ce", RecipeRequest { resize: Resize::Auto, ..fit }),
        ("/rs:fill:320:240/dpr:2/gravity:noea:10:-5", RecipeRequest { resize: Resize::Fill, gravity: north_east, ..fit }),
        ("/g:fp:0.25:1", RecipeRequest { gravity: Gravity::Point { x: 2_500, y: 10_000 }, ..RecipeRequest::default() }),
        ("/bg:255:0:127", RecipeRequest { background: Some([255, 0, 127]), ..RecipeRequest::default() }),
        ("/background:FF007f/bl:", RecipeRequest { background: Some([255, 0, 127]), ..RecipeRequest::default() }),
        ("/bg:1:2:3/bg:", RecipeRequest::default()),
        ("/bl:2.5", RecipeRequest { blur: 250, ..RecipeRequest::default() }),
        ("/f:avif/scp:1", RecipeRequest { format: Some(RenditionFormat::Avif), ..RecipeRequest::default() }),
        ("/w:1/dpr:0.001", RecipeRequest { width: 1, ..RecipeRequest::default() }),
        ("/w:4294967295/dpr:8", RecipeRequest { width: u32::MAX, ..RecipeRequest::default() }),
    ] {
        let options = options.trim_end_matches('/');
        assert_eq!(read(options).map(|url| url.recipe), Ok(expected), "{options}");
    }
    assert_eq!(read("/exp:1795530000").unwrap().expires, Some(1_795_530_000));
}

#[test]
fn what_is_not_understood_is_named() {
    for (options, name) in [
        ("/rs:crop:640:480", "rs takes fit, fill, fill-down, force or auto, not \"crop\""),
        ("/rt:crop", "rt takes fit"),
        ("/rs:fit:640:480:0:1", "rs takes no extending"),
        ("/rs:fit:640:480:0:0:ce", "rs takes fewer arguments, not \"ce\""),
        ("/w:wide", "w takes a width in pixels, not \"wide\""),
        ("/w:-5", "w takes a width"),
        ("/w:+5", "w takes a width"),
        ("/height:4294967296", "height takes a height"),
        ("/w:640:480", "w takes fewer arguments"),
        ("/q:101", "q takes a quality"),
        ("/dpr:0", "dpr takes a pixel ratio"),
        ("/dpr:9", "dpr takes a pixel ratio"),
        ("/dpr:.", "dpr takes a pixel ratio"),
        ("/dpr:1.2345", "dpr takes a pixel ratio"),
        ("/dpr:-1", "dpr takes a pixel ratio"),
        ("/f:bmp", "f takes jpg, png, webp or avif, not \"bmp\""),
        ("/f:", "f takes jpg"),
        ("/exp:tomorrow", "exp takes a time"),
        ("/el:maybe", "el takes 1 or 0"),
        ("/sm:0", "sm takes 1: metadata is always left out, not \"0\""),
        ("/g:up", "g takes no, so, ea"),
        ("/g:sm:1", "g takes fewer arguments"),
        ("/g:no:1.5", "g takes an offset in whole pixels, not \"1.5\""),
        ("/g:fp:1.1:0", "g takes parts of width and height"),
        ("/g:fp:0.12345", "g takes parts"),
        ("/bg:red", "bg takes red, green and blue from 0 to 255"),
        ("/bg:1:2", "bg takes red"),
        ("/bg:1:2:256", "bg takes red"),
        ("/bg:ffffff:1", "bg takes fewer arguments"),
        ("/bl:100.01", "bl takes a blur in pixels, at most 100"),
        ("/bl:-1", "bl takes a blur"),
        ("/scp:0", "scp takes 1: colours are always converted"),
        ("/preset:thumb", "there is no preset \"thumb\""),
        ("/pr:", "there is no preset \"\""),
        ("/pr:halidom-321", "there is no preset \"halidom-321\""),
        ("/:5", "the option \"\" is not known"),
    ] {
        let error = read(options).unwrap_err().to_string();
        assert!(error.starts_with(name), "{options}: {error}");
    }
}

#[test]
fn sources_are_hashes() {
    let base64 = URL_SAFE_NO_PAD.encode(hash().to_string());
    let jpeg = Some(RenditionFormat::Jpeg);
    for (path, format) in [
        (format!("/plain/{}", hash()), None),
        (format!("/plain/{}@jpg", hash()), jpeg),
        (format!("/plain/{}@", hash()), None),
        (format!("/plain/{}%40jpeg", hash()), jpeg),
        (format!("/f:webp/plain/{}@jpg", hash()), jpeg),
        (format!("/{base64}"), None),
        (format!("/{base64}.jpg"), jpeg),
        (format!("/{base64}==.jpg"), jpeg),
        (format!("/w:5/{}/{}.jpg", &base64[..16], &base64[16..]), jpeg),
    ] {
        let url = parse(&path).unwrap();
        assert_eq!((url.hash, url.recipe.format), (hash(), format), "{path}");
    }
    let upper = hash().to_string().to_uppercase();
    let url = "/plain/http://example.com/a.jpg@png";
    for path in ["/", "/plain/", "/plain/abc@jpg", "/abc.jpg", "/fill/300/300/no/1/abc.png", url, &format!("/plain/{upper}"), "/w:5"] {
        assert_eq!(parse(path), Err(UrlError::Source), "{path}");
    }
    assert_eq!(parse(""), Err(UrlError::NotARendition));
    assert_eq!(parse(&format!("/cb:{}/plain/{}", "x".repeat(2_048), hash())), Err(UrlError::NotARendition));
    assert_eq!(read(&"/w:1".repeat(33)), Err(UrlError::NotARendition));
    assert!(matches!(parse(&format!("/plain/{}@svg", hash())), Err(UrlError::BadValue { .. })));
}

#[test]
fn a_path_is_opened_by_its_own_key_only() {
    let (mine, other) = (SigningKey::new(*b"mine", *b"salt"), SigningKey::new(*b"other", *b"salt"));
    let recipe = RecipeRequest { width: 320, format: Some(RenditionFormat::WebP), ..RecipeRequest::default() };
    let url = RenditionUrl { hash: hash(), recipe, expires: Some(2_000_000_000), by_preset: false };
    let path = url.to_path(&mine);
    assert!(path.starts_with("/i/") && path.ends_with(&format!("/rs:fit:320:0/exp:2000000000/plain/{}@webp", hash())), "{path}");
    assert_eq!(open(&path, [("other", &other), ("mine", &mine)]), Ok(("mine", url)));
    assert_eq!(open(&path, [("other", &other)]), Err(UrlError::Signature));
    assert_eq!(open(&path.replace("320", "321"), [("mine", &mine)]), Err(UrlError::Signature));
    let unsigned = format!("/i/insecure/g:sm/plain/{}", hash());
    assert_eq!(open(&unsigned, [("mine", &mine)]), Err(UrlError::Signature), "what is not signed is not looked at");
    for path in ["", "/", "/i", "/i/", "/i/signature", "/iiif/3/x", "i/x/y"] {
        assert_eq!(open(path, [((), &mine)]), Err(UrlError::NotARendition), "{path}");
    }
}

/// Made by npm's `@imgproxy/imgproxy-node` with the key and salt of imgproxy's documentation.
#[test]
fn urls_of_imgproxys_own_library_are_opened() {
    let key = signature::tests::documented_key();
    let hash: BlobHash = "a".repeat(64).parse().unwrap();
    let large = RecipeRequest { width: 600, height: 400, format: Some(RenditionFormat::WebP), ..RecipeRequest::default() };
    let plain = RecipeRequest { width: 300, ..RecipeRequest::default() };
    let digits = "a".repeat(64);
    let base64 = URL_SAFE_NO_PAD.encode(&digits);
    for (path, recipe) in [
        (format!("/i/Y-GlVhtd7af7C5S9sxquhfiCTJORXSLT1Pal6l8h4c8/dpr:2/f:webp/h:200/rt:fit/w:300/plain/{digits}"), large),
        (format!("/i/9tHjOLFozURBI35_m-M8H3k2juN2ZBlYLYJwzr1-0wQ/dpr:2/f:webp/h:200/rt:fit/w:300/{base64}"), large),
        (format!("/i/8K-Ik4BQ5wnj0gvxp0ex4l7NlJC0ywa66Rl85pWwf5A/w:300/{base64}"), plain),
    ] {
        assert_eq!(open(&path, [((), &key)]), Ok(((), RenditionUrl { hash, recipe, expires: None, by_preset: false })), "{path}");
    }
}

#[test]
fn a_url_holds_until_it_expires() {
    let url = |expires| RenditionUrl { hash: hash(), recipe: RecipeRequest::default(), expires, by_preset: false };
    assert!(!url(None).is_expired(WallMs(u64::MAX)));
    assert!(!url(Some(10)).is_expired(WallMs(9_999)));
    assert!(url(Some(10)).is_expired(WallMs(10_000)));
    assert!(!url(Some(u64::MAX)).is_expired(WallMs(10_000)));
}

#[test]
fn recipes_that_give_the_same_bytes_share_a_key() {
    let key = |options: &str| read(options).unwrap().recipe.settle(RenditionFormat::Jpeg, 80, 8_192).unwrap().to_string();
    assert_eq!(key("/w:640"), "640x0q80.jpg");
    assert_eq!(key("/w:640"), key("/rs:fit:320:0/dpr:2/q:80/f:jpeg/cb:7/exp:2000000000"));
    assert_eq!(key("/el:1"), key(""));
    assert_eq!(key("/f:png/q:10"), key("/f:png/q:90"));
    assert_eq!(key("/w:5/h:7/el:1/f:webp/q:1"), "5x7eq1.webp");
    assert_eq!(key("/w:5/da:0/f:webp"), "5x0-anq80.webp");
    assert_eq!(key("/w:5/da:0"), key("/w:5"), "nothing moves in a JPEG");
    assert_eq!(key("/w:5/da:0/da:1/f:webp"), key("/w:5/f:webp"));
    let different = ["/w:640", "/w:641", "/h:640", "/w:640/el:1", "/w:640/q:81", "/w:640/f:webp", "/w:640/f:png", ""];
    let keys: std::collections::BTreeSet<_> = different.iter().map(|options| key(options)).collect();
    assert_eq!(keys.len(), different.len());
    let too_large = read("/h:8193").unwrap().recipe.settle(RenditionFormat::Jpeg, 80, 8_192);
    assert_eq!(too_large, Err(SideTooLarge { asked: 8_193, limit: 8_192 }));
}

#[test]
fn what_iiif_says_beside_is_in_the_key() {
    use crate::imaging::{Region, Tone, Turn};
    let plain = RecipeRequest { width: 64, height: 48, resize: Resize::Force, ..RecipeRequest::default() };
    let region = Some(Region { x: 10, y: 20, width: 640, height: 480 });
    let turned = |mirrored, quarters| RecipeRequest { turn: Turn { mirrored, quarters }, ..plain };
    for (recipe, expected) in [
        (plain, "64x48-forceq80.jpg"),
        (RecipeRequest { region, ..plain }, "64x48-force-r=10,20,640,480q80.jpg"),
        (turned(false, 3), "64x48-force-t=3q80.jpg"),
        (turned(true, 0), "64x48-force-t=!0q80.jpg"),
        (RecipeRequest { tone: Tone::Grey, ..plain }, "64x48-force-greyq80.jpg"),
        (RecipeRequest { region, tone: Tone::Bitonal, ..turned(true, 1) }, "64x48-force-r=10,20,640,480-t=!1-bitonalq80.jpg"),
    ] {
        assert_eq!(recipe.settle(RenditionFormat::Jpeg, 80, 8_192).unwrap().to_string(), expected);
    }
}

fn any_url() -> impl Strategy<Value = RenditionUrl> {
    use RenditionFormat::{Avif, Jpeg, Png, WebP};
    let format = prop::option::of(prop::sample::select(vec![Jpeg, Png, WebP, Avif]));
    let resize = prop::sample::select(vec![Resize::Fit, Resize::Fill, Resize::FillDown, Resize::Force, Resize::Auto]);
    let align = || prop::sample::select(vec![Align::Start, Align::Middle, Align::End]);
    let gravity = prop_oneof![
        Just(Gravity::Smart),
        (0..=10_000_u16, 0..=10_000_u16).prop_map(|(x, y)| Gravity::Point { x, y }),
        (align(), align(), any::<(i32, i32)>()).prop_map(|(x, y, (offset_x, offset_y))| Gravity::Towards { x, y, offset_x, offset_y }),
    ];
    let effects = (prop::option::of(any::<[u8; 3]>()), 0..=10_000_u32);
    let ends = (prop::option::of(1..=100_u8), format, prop::option::of(1..u64::MAX));
    (any::<[u8; 32]>(), any::<(u32, u32, bool, bool)>(), resize, gravity, effects, ends).prop_map(
        |(hash, (width, height, enlarge, animated), resize, gravity, (background, blur), (quality, format, expires))| RenditionUrl {
            hash: BlobHash::from_bytes(hash),
            recipe: RecipeRequest {
                width,
                height,
                resize,
                gravity,
                enlarge,
                background,
                blur,
                quality,
                format,
                animated,
                ..RecipeRequest::default()
            },
            expires,
            by_preset: false,
        },
    )
}

proptest! {
    #[test]
    fn any_path_is_survived(path in "\\PC{0,80}", options in "(/(rs|w|h|s|q|dpr|f|exp|el|cb|g|bg|bl|da|x)(:([a-z0-9.:-]{0,6}|fill|fp|noea)){0,5}){0,4}") {
        let key = SigningKey::new(*b"key", *b"salt");
        let _ = open(&path, [((), &key)]);
        let _ = open(&format!("/i/x{path}"), [((), &key)]);
        let _ = parse(&path);
        let _ = parse(&format!("/{path}"));
        // What is understood has one spelling that says the same.
        if let Ok(url) = read(&options) {
            prop_assert_eq!(parse(&url.to_signed_part()), Ok(url));
        }
    }

    #[test]
    fn what_is_written_is_read(url in any_url(), key in any::<[u8; 32]>(), salt in any::<[u8; 16]>()) {
        let key = SigningKey::new(key, salt);
        prop_assert_eq!(open(&url.to_path(&key), [((), &key)]), Ok(((), url)));
        prop_assert_eq!(parse(&url.to_signed_part()), Ok(url));
    }
}
