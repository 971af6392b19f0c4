//! Panics: none is expected, and one that happens costs a request. It is logged in a line of its own and counted.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::LazyLock;

use prometheus::IntCounter;

/// Characters of a panic's message that are logged.
const MAX_MESSAGE: usize = 300;
/// Name and meaning of the counter.
const NAME: &str = "leeward_panics_total";
const HELP: &str = "Panics, each of which ended one request or one task.";

/// One for the process, as the hook is. Without a counter there is no edge: making the metrics fails first.
static PANICS: LazyLock<Option<IntCounter>> = LazyLock::new(|| IntCounter::new(NAME, HELP).ok());

/// The counter of all panics of this process, for every registry that is to show it.
pub(crate) fn counter() -> Option<IntCounter> {
    PANICS.clone()
}

/// Logs and counts panics from now on, in the place of the standard library's message.
pub fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        if let Some(counter) = &*PANICS {
            counter.inc();
        }
        log::error!("{}", line(panic));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            log::error!("{trace}");
        }
    }));
}

fn line(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    format!("thread {name} panicked at {place}: {}", message(panic.payload_as_str().unwrap_or("no message")))
}

/// One line, whatever a client brought in.
fn message(text: &str) -> String {
    let shown: String = text.chars().take(MAX_MESSAGE).collect();
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_short_line() {
        for (text, want) in [
            ("index out of bounds", "\"index out of bounds\""),
            ("a\r\n[ERROR] forged", "\"a\\r\\n[ERROR] forged\""),
            ("\u{1b}[2J", "\"\\u{1b}[2J\""),
        ] {
            assert_eq!(message(text), want);
        }
        assert!(message(&"x".repeat(1 << 20)).len() <= MAX_MESSAGE + 2);
    }

    #[test]
    fn a_panic_is_counted() {
        watch();
        let before = counter().unwrap().get();
        let ended = std::thread::spawn(|| panic!("on purpose")).join();
        assert!(ended.is_err() && counter().unwrap().get() > before);
    }
}
