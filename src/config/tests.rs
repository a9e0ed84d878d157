//! How settings are laid over one another, and what is refused.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::layers::Layers;
use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = file(text);
    let environment = environment.iter().copied().collect();
    Config::load(LoadOptions { config: Some(file.path().to_owned()), environment, ..LoadOptions::default() })
}

/// The findings as people read them, the file's name taken out.
fn findings(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    match load(text, environment) {
        Err(ConfigError::Invalid { findings }) => findings
            .iter()
            .map(|finding| match &finding.source {
                Source::File(_) => format!("{}: {} (from the file)", finding.key, finding.reason),
                _ => finding.to_string(),
            })
            .collect(),
        other => panic!("expected findings, got {other:?}"),
    }
}

#[test]
fn nothing_given_is_the_defaults() {
    let config = Config::load(LoadOptions::default()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8420");
    assert_eq!(config.storage.blobs.directory(&config.storage.data), Some("./data/blobs".into()));
}

#[test]
fn flags_go_over_environment_over_file_over_defaults() {
    let file = file("[server]\nlisten = '127.0.0.1:1'\npeer_listen = '127.0.0.1:2'\n[storage]\ndata = '/file'\n[limits]\nmax_page = 500\n");
    let config = Config::load(LoadOptions {
        config: Some(file.path().to_owned()),
        environment: [("HALIDOM_SERVER__LISTEN", "127.0.0.1:3"), ("HALIDOM_STORAGE__DATA", "/environment"), ("PATH", "/bin")]
            .into_iter()
            .collect(),
        data: Some("/flag".into()),
        admin_listen: Some("off".into()),
        blobs: Some("file:///srv/blobs".into()),
        mirror: Some("file:///srv/mirror".into()),
        ..LoadOptions::default()
    })
    .unwrap();
    assert_eq!(config.storage.data, Path::new("/flag"));
    assert_eq!(config.storage.blobs, BlobsUrl::File("/srv/blobs".into()));
    assert_eq!(config.mirror.place(), Some(BlobsUrl::File("/srv/mirror".into())));
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.server.peer_listen.to_string(), "127.0.0.1:2");
    assert_eq!(config.server.admin_listen, Listen::Off);
    assert_eq!(config.limits.max_page, 500);
    assert_eq!(config.limits.default_page, LimitsConfig::default().default_page);
}

#[test]
fn values_are_read_by_the_kind_of_their_key() {
    let environment = [
        ("HALIDOM_LIMITS__MAX_UPLOAD_BYTES", "64MiB"),
        ("HALIDOM_LIMITS__MAX_JSON_BYTES", "2097152"),
        ("HALIDOM_LIMITS__MAX_PAGE", "200"),
        ("HALIDOM_SERVER__REQUEST_TIMEOUT", "1m 30s"),
        ("HALIDOM_STORAGE__DATA", "2026"),
        ("HALIDOM_AUTH__TOKEN_EXPIRY", "90days"),
        ("HALIDOM_BLOBS__DIRECTORIES_AHEAD", "false"),
        ("HALIDOM_LOG__FORMAT", "json"),
        ("HALIDOM_LOG__LEVEL", "warn,halidom::blobs=debug"),
    ];
    let config = load("", &environment).unwrap();
    assert_eq!(config.limits.max_upload_bytes, ByteSize::mib(64));
    assert_eq!(config.limits.max_json_bytes, ByteSize::mib(2));
    assert_eq!(config.limits.max_page, 200);
    assert_eq!(config.server.request_timeout, Duration::from_secs(90));
    assert_eq!(config.storage.data, Path::new("2026"), "a path that looks like a number is a path");
    assert_eq!(config.auth.token_expiry, Expiry::After(Duration::from_secs(90 * 24 * 60 * 60)));
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn what_is_unknown_is_refused_with_what_there_is() {
    let text = "loud = true\n[limits]\nmax_uplod_bytes = 1\n[photos]\nx = 1\n";
    let found = findings(text, &[("HALIDOM_AUTH__TOKEN", "x"), ("HALIDOM_LIMITS_MAX_PAGE", "5")]);
    assert_eq!(found.len(), 5, "{found:#?}");
    for (key, word) in [
        ("limits.max_uplod_bytes", "max_upload_bytes"),
        ("loud", "outside of a section"),
        ("photos.x", "there is no section \"photos\"; there are auth, blobs"),
        ("auth.token", "there are token_expiry (from the environment variable HALIDOM_AUTH__TOKEN)"),
        ("limits.max_page", "HALIDOM_LIMITS__MAX_PAGE (from the environment variable HALIDOM_LIMITS_MAX_PAGE)"),
    ] {
        assert!(found.iter().any(|line| line.starts_with(&format!("{key}: ")) && line.contains(word)), "{key}: {found:#?}");
    }
}

#[test]
fn the_command_lines_own_variables_are_left_alone() {
    let environment = [("HALIDOM_SERVER", "http://x"), ("HALIDOM_TOKEN", "secret"), ("HALIDOM_PROFILE", "p"), ("HALIDOM_", "")];
    assert_eq!(load("", &environment).unwrap(), Config::default());
}

#[test]
fn what_is_of_the_wrong_kind_names_key_and_source() {
    for (text, environment, expected) in [
        ("[limits]\nmax_page = 'many'", None, "limits.max_page: invalid type: found string \"many\", expected u32 (from the file)"),
        ("[limits]\nmax_page = -1", None, "limits.max_page: invalid value"),
        ("[limits]\nmax_upload_bytes = true", None, "limits.max_upload_bytes: invalid type: found bool true, expected a number of bytes"),
        ("[limits]\nmax_upload_bytes = -5", None, "limits.max_upload_bytes: invalid value"),
        ("[server]\nheader_timeout = 'soon'", None, "server.header_timeout: "),
        ("[server]\nheader_timeout = 30", None, "server.header_timeout: "),
        ("[server]\nlisten = 'localhost'", None, "server.listen: "),
        (
            "[server]\nlisten = 'off'",
            None,
            "server.listen: \"off\" is not an address and port like \"127.0.0.1:8420\" or \"[::]:8420\" (from the file)",
        ),
        ("[log]\nformat = 'xml'", None, "log.format: unknown variant"),
        ("[storage]\nblobs = '/srv'", None, "storage.blobs: \"/srv\" is not a URL; for a directory write \"file:///dir\" (from the file)"),
        (
            "",
            Some(("HALIDOM_LIMITS__MAX_PAGE", "1e3")),
            "limits.max_page: invalid type: found string \"1e3\", expected u32 (from the environment",
        ),
        (
            "",
            Some(("HALIDOM_BLOBS__DIRECTORIES_AHEAD", "no")),
            "blobs.directories_ahead: invalid type: found string \"no\", expected a boolean (from the environment",
        ),
        ("", Some(("HALIDOM_RENDITIONS__DEFAULT_QUALITY", "300")), "renditions.default_quality: "),
    ] {
        let environment: Vec<_> = environment.into_iter().collect();
        let found = findings(text, &environment);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}{environment:?}: {found:#?}");
    }
}

#[test]
fn what_is_out_of_bounds_names_key_and_source() {
    for (text, expected) in [
        ("[limits]\nmax_page = 50", "limits.default_page: 100 is not within 1 and 50 (from the default)"),
        ("[limits]\nmax_page = 0", "limits.default_page: "),
        (
            "[limits]\nmax_concurrent_uploads = 8\nmax_concurrent_uploads_per_user = 9",
            "limits.max_concurrent_uploads_per_user: 9 is not within 0 and 8",
        ),
        ("[limits]\ndecode_memory_bytes = '1MiB'", "limits.decode_memory_bytes: 1MiB holds not even two photos"),
        ("[limits]\njson_memory_bytes = '1MiB'", "limits.json_memory_bytes: 1MiB is not within 2MiB and 64GiB"),
        ("[limits]\nmax_json_bytes = '4KiB'", "limits.max_json_bytes: 4KiB is less than the 68064B"),
        ("[server]\nadmin_listen = '0.0.0.0:8420'", "server.admin_listen: 0.0.0.0:8420 is already taken by server.listen"),
        ("[server]\nadmin_listen = '127.0.0.1:8420'", "server.admin_listen: 127.0.0.1:8420 is already taken by server.listen"),
        ("[server]\nidle_timeout = '0s'", "server.idle_timeout: 0s is not within 1ms and "),
        ("[storage]\ndata = '/x'\nblobs = 'file:///x'", "storage.blobs: blobs need a directory of their own"),
        ("[s3]\nencryption = 'rot13'", "s3.encryption: there are"),
        ("[s3]\nkms_key = 'x'", "s3.kms_key: a key goes with"),
        ("[storage]\ndata = '/mnt'\nblobs = 'nfs:///mnt'", "storage.blobs: blobs need a directory of their own"),
        ("[nfs]\ndeadline = '0s'", "nfs.deadline"),
        ("[mirror]\nurl = '/mnt'", "mirror.url: \"/mnt\" is not a URL"),
        ("[mirror]\nurl = 'default'", "mirror.url: a mirror needs a place"),
        ("[storage]\nblobs = 'file:///x'\n[mirror]\nurl = 'file:///x'", "mirror.url: the photos are there already"),
        ("[mirror]\nverify_every = '1ms'", "mirror.verify_every"),
        ("[storage]\ndata = ''", "storage.data: no directory"),
        ("[metadata]\ngroup_limit = 9000", "metadata.queue_limit: 4096 is not within 9000 and"),
        ("[renditions]\ndefault_quality = 0", "renditions.default_quality: 0 is not within 1 and 100"),
        ("[log]\nlevel = 'inof'", "log.level: \"inof\" is neither"),
        ("[log]\nlevel = 'info,halidom=loud'", "log.level: "),
        ("[log]\nlevel = ''", "log.level: "),
    ] {
        let found = findings(text, &[]);
        assert!(found.iter().any(|line| line.starts_with(expected)), "{text}: {found:#?}");
    }
}

#[test]
fn a_user_has_a_quarter_of_the_uploads_and_downloads_where_nothing_else_is_said() {
    for (all, of_one, expected) in [(256, 0, 64), (3, 0, 1), (256, 256, 256), (256, 5, 5)] {
        let limits = LimitsConfig {
            max_concurrent_uploads: all,
            max_concurrent_uploads_per_user: of_one,
            max_concurrent_downloads: all,
            max_concurrent_downloads_per_user: of_one,
            ..LimitsConfig::default()
        };
        assert_eq!((limits.uploads_per_user(), limits.downloads_per_user()), (expected, expected));
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    assert_eq!(findings("[limits]\nmax_side = 0\n[server]\nmax_connections = 0\n[renditions]\nmax_side = 1\n", &[]).len(), 3);
}

#[test]
fn a_file_that_is_no_settings_file_is_refused() {
    let missing = Config::load(LoadOptions { config: Some("/nonexistent/halidom.toml".into()), ..LoadOptions::default() });
    assert!(matches!(missing, Err(ConfigError::Unreadable { .. })), "{missing:?}");
    let broken = load("[server\nlisten = 1", &[]).unwrap_err();
    assert!(matches!(broken, ConfigError::Syntax { .. }) && broken.to_string().contains("line 1"), "{broken}");
    assert!(matches!(load("[a]\nb = 1\n[a]\nb = 2\n", &[]), Err(ConfigError::Syntax { .. })));
    let huge = load(&"#".repeat((1 << 20) + 1), &[]);
    assert!(matches!(huge, Err(ConfigError::Unreadable { .. })));
}

#[test]
fn values_that_are_not_text_are_refused() {
    let environment = [("HALIDOM_STORAGE__DATA", OsString::from_vec(vec![b'/', 0xff]))].into_iter().collect();
    let error = Config::load(LoadOptions { environment, ..LoadOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("storage.data: the value is not UTF-8"), "{error}");
    let data = Some(OsString::from_vec(vec![b'/', 0xff]).into());
    let error = Config::load(LoadOptions { data, ..LoadOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("storage.data: the path is not UTF-8 (from the flag --data)"), "{error}");
}

#[test]
fn settings_for_tests_are_sound() {
    let mut found = error::Findings::default();
    Config::for_testing("/tmp/site").check(&mut found);
    found.into_result(|_| Source::Default).unwrap();
}

#[test]
fn every_example_is_read_and_the_reference_shows_every_default() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(&examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            Config::load(LoadOptions { config: Some(path.clone()), ..LoadOptions::default() })
                .unwrap_or_else(|error| panic!("{path:?}: {error}"));
            seen += 1;
        }
    }
    assert!(seen > 0, "no example in {examples:?}");

    let reference = examples.join("halidom.toml");
    let mut layers = Layers::defaults();
    layers.file(&reference).unwrap();
    let hidden: Vec<_> = layers.keys().into_iter().filter(|key| layers.source(key) == Source::Default).collect();
    assert!(hidden.is_empty(), "{reference:?} does not show {hidden:?}");
    assert_eq!(layers.finish().unwrap(), Config::default(), "{reference:?} shows other values than the defaults");
}

proptest! {
    #[test]
    fn loading_never_panics(text in "(\\[?[a-z_.]{0,12}\\]?[=\n ]{0,2}[-'\"a-z0-9]{0,8}\n){0,6}", name in "HALIDOM_[A-Z_é]{0,20}", value in "\\PC{0,12}") {
        let _ = load(&text, &[(&name, &value)]);
    }
}
