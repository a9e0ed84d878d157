//! URLs that name presets.

use super::*;
use crate::model::tenant::RenditionSettings;

/// Presets of a tenant, and whether its URLs may hold anything else.
fn presets<'a>(named: impl IntoIterator<Item = (&'a str, &'a str)>, presets_only: bool) -> Presets {
    let presets = named.into_iter().map(|(name, options)| (name.to_owned(), options.to_owned())).collect();
    Presets::of(&RenditionSettings { presets, presets_only, ..RenditionSettings::default() })
}

#[test]
fn a_preset_is_read_in_its_place() {
    let presets = presets([("thumb", "rs:fill:320:240/g:sm/q:75"), ("sharp", "q:95/dpr:2"), ("webp", "f:webp")], false);
    let thumb = RecipeRequest {
        width: 320,
        height: 240,
        resize: Resize::Fill,
        gravity: Gravity::Smart,
        quality: Some(75),
        ..RecipeRequest::default()
    };
    let sharp = RecipeRequest { width: 640, height: 480, quality: Some(95), ..thumb };
    let webp = Some(RenditionFormat::WebP);
    for (options, expected) in [
        ("/pr:thumb", thumb),
        ("/preset:thumb", thumb),
        ("/q:10/w:5/pr:thumb", thumb),
        ("/pr:thumb/q:10", RecipeRequest { quality: Some(10), ..thumb }),
        ("/pr:thumb:sharp", sharp),
        ("/pr:thumb/pr:sharp", sharp),
        ("/pr:sharp:thumb", RecipeRequest { quality: Some(75), ..sharp }),
        ("/pr:thumb/pr:webp", RecipeRequest { format: webp, ..thumb }),
        // The server's own sizes are as they are, whatever was said before.
        ("/pr:sharp:halidom-320", RecipeRequest { width: 320, height: 320, quality: Some(95), ..RecipeRequest::default() }),
    ] {
        let url = read_with(&presets, options).unwrap();
        assert_eq!((url.recipe, url.by_preset), (expected, true), "{options}");
    }
    let own = read_with(&presets, "/pr:halidom-320").unwrap();
    assert_eq!((own.recipe, own.by_preset), (read("/rs:fit:320:320").unwrap().recipe, false));
    assert!(!read_with(&presets, "/w:5").unwrap().by_preset);
    assert_eq!(read_with(&presets, "/pr:thumb:other"), Err(UrlError::UnknownPreset { name: "other".into() }));
    assert_eq!(read_with(&presets, "/pr:thumb:"), Err(UrlError::UnknownPreset { name: String::new() }));
    assert_eq!(read_with(&presets, &format!("/pr:thumb{}", ":sharp".repeat(32))), Err(UrlError::NotARendition), "there is a limit");
    // A bare name is none where options are taken.
    assert_eq!(read_with(&presets, "/thumb"), Err(UrlError::Source));
}

#[test]
fn the_default_comes_first() {
    let presets = presets([("default", "q:60/el:1/rs:fill/dpr:2"), ("large", "s:800:600")], false);
    let filled = RecipeRequest { resize: Resize::Fill, enlarge: true, quality: Some(60), ..RecipeRequest::default() };
    for (options, expected) in [
        ("", filled),
        ("/w:5", RecipeRequest { width: 10, ..filled }),
        ("/q:90/pr:large", RecipeRequest { width: 1_600, height: 1_200, quality: Some(90), ..filled }),
        // A default has no say in the sizes that the server names, or they would not be what a page was told.
        ("/pr:halidom-640", RecipeRequest { width: 640, height: 640, quality: Some(60), ..RecipeRequest::default() }),
    ] {
        let url = read_with(&presets, options).unwrap();
        assert_eq!((url.recipe, url.by_preset), (expected, true), "{options}");
    }
    assert!(presets.name_own_sizes() && !Presets::default().name_own_sizes());
}

#[test]
fn where_presets_only_are_taken_nothing_else_is() {
    let named = [("thumb", "rs:fill:320:240"), ("sharp", "q:95"), ("w", "w:7"), ("rs", "w:7")];
    let (only, free) = (presets(named, true), presets(named, false));
    let base64 = URL_SAFE_NO_PAD.encode(hash().to_string());
    for (options, same) in [
        ("/thumb", "/pr:thumb"),
        ("/thumb:sharp", "/pr:thumb:sharp"),
        ("/pr:thumb:sharp", "/pr:thumb:sharp"),
        ("/preset:thumb/pr:sharp", "/pr:thumb:sharp"),
        ("/exp:1795530000/thumb/cb:7", "/pr:thumb/exp:1795530000"),
        ("/cb:a:b/thumb:sharp/expires:1795530000", "/pr:thumb:sharp/exp:1795530000"),
        ("/halidom-160", "/rs:fit:160:160"),
        ("/pr:halidom-2048", "/rs:fit:2048:2048"),
        // What the server has signed before is in pages.
        ("/rs:fit:320:320", "/pr:halidom-320"),
        // A tenant's own names go over those of options.
        ("/w:sharp", "/pr:w:sharp"),
    ] {
        let (url, same) = (read_with(&only, options).unwrap(), read_with(&free, same).unwrap());
        assert_eq!((url.recipe, url.expires), (same.recipe, same.expires), "{options}");
        for source in [format!("/{base64}"), format!("/{}/{}", &base64[..16], &base64[16..])] {
            assert_eq!(RenditionUrl::parse(&format!("{options}{source}"), &only), Ok(url), "{options}{source}");
        }
    }
    let refused = |option: &str| UrlError::PresetsOnly { option: option.into() };
    for (options, error) in [
        ("", UrlError::NoPreset),
        ("/exp:1795530000", UrlError::NoPreset),
        ("/s:320:240", refused("s")),
        ("/rs:fit:321:321", UrlError::UnknownPreset { name: "fit".into() }),
        ("/thumb/rs:fit:320:320:1", refused("rs")),
        ("/thumb/q:5", refused("q")),
        ("/q:5/thumb", refused("q")),
        ("/thumb/f:webp", refused("f")),
        ("/thumb/w:sharp", refused("w")),
        ("/thumb:other", UrlError::UnknownPreset { name: "other".into() }),
        ("/other", UrlError::UnknownPreset { name: "other".into() }),
        ("/thumb/sharp", UrlError::Source),
        ("/exp:soon/thumb", UrlError::BadValue { option: "exp".into(), value: "soon".into(), expected: "a time in seconds since 1970" }),
    ] {
        assert_eq!(read_with(&only, options), Err(error), "{options}");
    }
    let url = RenditionUrl::parse(&format!("/thumb/plain/{}@webp", hash()), &only).unwrap();
    assert_eq!(url.recipe.format, Some(RenditionFormat::WebP));
    for source in [format!("/{base64}"), format!("/{base64}.jpg")] {
        assert_eq!(RenditionUrl::parse(&source, &only), Err(UrlError::NoPreset), "{source}");
    }
    assert!(only.name_own_sizes() && !free.name_own_sizes());
}

#[test]
fn the_servers_own_sizes_are_taken_whatever_a_tenant_says() {
    let key = SigningKey::new(*b"mine", *b"salt");
    let default = [("default", "rs:force/el:1/dpr:3/w:9")];
    for presets in [presets([], false), presets([], true), presets(default, false), presets(default, true)] {
        for side in LADDER {
            let path = RenditionUrl::own_size_by_name(hash(), side, &key);
            let ((), url) = RenditionUrl::open(&path, [((), &key)], |()| &presets).unwrap();
            let recipe = RecipeRequest { width: side, height: side, format: Some(RenditionFormat::Jpeg), ..RecipeRequest::default() };
            assert_eq!(url.recipe, recipe);
        }
    }
}

#[test]
fn only_what_a_url_could_say_is_kept_as_a_preset() {
    let long = "x".repeat(65);
    for (name, options) in
        [("a", "w:5"), ("Thumb_2-x", "rs:fill:320:320/g:sm/q:75/f:webp/cb:1"), ("default", "q:60"), (&long[..64], "el:1")]
    {
        assert_eq!(Presets::check(name, options), Ok(()), "{name} {options}");
    }
    for (name, options, words) in [
        ("", "w:5", "name is 1 to 64"),
        (&long, "w:5", "name is 1 to 64"),
        ("a:b", "w:5", "not \"a:b\""),
        ("a/b", "w:5", "not \"a/b\""),
        ("größe", "w:5", "name is 1 to 64"),
        ("plain", "w:5", "no preset can be called \"plain\""),
        ("exp", "w:5", "no preset can be called"),
        ("halidom-320", "w:5", "no preset can be called"),
        ("halidom-", "w:5", "no preset can be called"),
        ("a", "", "the preset \"a\": the option \"\" is not known"),
        ("a", "/w:5", "the option \"\" is not known"),
        ("a", "w:5/", "the option \"\" is not known"),
        ("a", "sm", "the option \"sm\" is not known"),
        ("a", "sharpen:5", "the option \"sharpen\" is not known"),
        ("a", "w:wide", "w takes a width"),
        ("a", "w:5/pr:b", "holds \"pr\", which only a URL can"),
        ("a", "exp:1795530000", "holds \"exp\""),
        ("a", &format!("cb:{}", "x".repeat(510)), "more than 512 bytes"),
    ] {
        let error = Presets::check(name, options).unwrap_err().to_string();
        assert!(error.contains(words), "{name} {options}: {error}");
    }
}

proptest! {
    /// Whatever is kept as a preset is understood where a URL names it, and says what its options would.
    #[test]
    fn a_preset_says_what_its_options_say(
        name in "[A-Za-z0-9_-]{1,8}",
        options in "((rs|w|h|s|q|dpr|f|el|cb|g|bg|bl|x|pr|exp)(:([a-z0-9.:-]{0,6}|fill|fp|noea)){0,5}/?){1,4}",
        after in "(/(w|q|el):[0-9]{1,2}){0,2}",
    ) {
        if Presets::check(&name, &options).is_ok() {
            let of = |only| presets([(name.as_str(), options.as_str())], only);
            let default = if name == "default" { format!("/{options}") } else { String::new() };
            let expected = read(&format!("{default}/{options}{after}"));
            let url = read_with(&of(false), &format!("/pr:{name}{after}"));
            prop_assert_eq!(url.as_ref().map(|url| url.recipe), expected.as_ref().map(|url| url.recipe));
            if after.is_empty() {
                prop_assert_eq!(&read_with(&of(true), &format!("/{name}")), &url);
                prop_assert_eq!(&read_with(&of(true), &format!("/exp:0/pr:{name}")), &url);
            } else {
                let refused = read_with(&of(true), &format!("/pr:{name}{after}"));
                prop_assert!(refused.is_err(), "{refused:?}");
            }
        }
        let _ = read_with(&presets([(name.as_str(), options.as_str()), ("default", options.as_str())], true), &format!("/{options}{after}"));
    }
}
