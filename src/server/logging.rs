//! Logs: events to stderr, for people or for machines.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Environment, LogConfig, LogFormat};

/// Logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is none; settings that were loaded are checked for it before.
    #[error("log.level: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Something else has set them up already.
    #[error("logs are set up twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends all events of the process to stderr from now on; data alone goes to stdout.
///
/// Text is in colour on a terminal, unless `NO_COLOR` is set. JSON has one object a line, with the fields of the event and of the
/// spans around it (the request's id among them).
///
/// # Errors
/// [`LoggingError`].
pub fn init(config: &LogConfig, environment: &Environment) -> Result<(), LoggingError> {
    let color = io::stderr().is_terminal() && !environment.no_color();
    Ok(subscriber(config, color, io::stderr)?.try_init()?)
}

/// What writes events as `config` says. Control characters in them, which a client may have sent, are escaped.
fn subscriber<W>(config: &LogConfig, color: bool, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter: Targets = config.level.parse()?;
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let registry = tracing_subscriber::registry();
    Ok(match config.format {
        LogFormat::Text => Box::new(registry.with(layer.with_ansi(color).with_filter(filter))),
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(true);
            Box::new(registry.with(layer.with_filter(filter)))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of three events.
    fn written(format: LogFormat, level: &str, color: bool) -> String {
        let page = Page::default();
        let writer = page.clone();
        let config = LogConfig { format, level: level.to_owned() };
        tracing::subscriber::with_default(subscriber(&config, color, move || writer.clone()).unwrap(), || {
            let request = tracing::info_span!("request", id = "r-1");
            let _entered = request.enter();
            tracing::info!(hash = "abc", "photo stored");
            tracing::warn!(name = "a\u{1b}[31m\nb", "odd name");
            tracing::debug!(target: "halidom::blobs", "fsync");
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_for_people() {
        let text = written(LogFormat::Text, "info", false);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("photo stored") && text.contains("hash=\"abc\"") && text.contains("request{id=\"r-1\"}"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colour where none is wanted, and no escapes from outside: {text}");
        assert!(written(LogFormat::Text, "info", true).contains('\u{1b}'));
    }

    #[test]
    fn json_is_for_machines() {
        let text = written(LogFormat::Json, "info", true);
        let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), 2);
        assert_eq!(
            (&events[0]["message"], &events[0]["hash"], &events[0]["level"]),
            (&"photo stored".into(), &"abc".into(), &"INFO".into())
        );
        assert_eq!(events[0]["spans"][0]["id"], "r-1");
        assert_eq!(events[1]["name"], "a\u{1b}[31m\nb");
    }

    #[test]
    fn levels_are_kept() {
        assert_eq!(written(LogFormat::Text, "warn", false).lines().count(), 1);
        assert_eq!(written(LogFormat::Text, "off", false), "");
        assert_eq!(written(LogFormat::Text, "warn,halidom::blobs=debug", false).lines().count(), 2);
        assert!(matches!(
            subscriber(&LogConfig { level: "halidom=loud".into(), ..LogConfig::default() }, false, io::stderr),
            Err(LoggingError::Level(_))
        ));
    }
}
