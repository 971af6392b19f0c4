//! Regular expressions with bounded size and linear time.

use ::regex::bytes::{Regex, RegexBuilder};

use super::Invalid;

/// Bytes of the largest compiled expression.
pub const MAX_COMPILED_REGEX: usize = 1 << 20;
/// Bytes of the lazily built automaton of one thread; when it is full, matching goes on more slowly.
const MAX_AUTOMATON: usize = 1 << 20;
/// Deepest nesting of groups.
const MAX_NESTING: u32 = 64;

/// Compiles an expression; matching is not anchored.
pub(crate) fn compile(text: &str) -> Result<Regex, Invalid> {
    RegexBuilder::new(text)
        .size_limit(MAX_COMPILED_REGEX)
        .dfa_size_limit(MAX_AUTOMATON)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                Invalid::new(format!("the regular expression is larger than {MAX_COMPILED_REGEX} bytes when compiled"))
                    .hint("bound its repetitions or split it over several rules")
            }
            error => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Invalid::new(format!("not a regular expression: {reason}"))
                    .hint("the syntax is Perl's without look-around and back-references")
            }
        })
}
