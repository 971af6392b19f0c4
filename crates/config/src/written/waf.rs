//! Written: `waf`, and what a site changes of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Size, Span};

/// The web application firewall. Rules are those of the OWASP Core Rule Set or others in its language; the engine is
/// libmodsecurity 3, which must be installed where a mode is on.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Waf {
    /// Off, report, or refuse; a site may override it. Holds as it is here for CDN URLs.
    pub mode: WafMode,
    /// Files of the rule sets, in this order; `*` stands for any part of a file name. They hold rules, and no settings of the
    /// engine: these are built in.
    pub rules: Vec<String>,
    /// Paranoia level, 1 to 4: how much the rules suspect.
    pub paranoia: u8,
    /// Anomaly score from which a request is refused.
    pub threshold: u32,
    /// What of a request is looked at.
    pub inspect: WafInspect,
    /// Bytes of a request body that are looked at, before any of them is passed on; 32 KiB at most.
    pub body_limit: Size,
    /// What becomes of a larger body.
    pub body_over_limit: WafOverLimit,
    /// Bytes of the name or the value of one argument, or of an upload's names; a request with a longer one is refused by rule
    /// 7700003, since the work of some patterns grows with the square. 32 KiB at most.
    pub argument_limit: Size,
    /// What becomes of a request that cannot be looked at in time; absent: `closed` in the mode `block`, `open` in `detect`.
    pub on_overload: Option<WafOverload>,
    /// The longest wait for a verdict.
    pub deadline: Span,
    /// Whether rules are left out that take seconds for a kilobyte made for it, and rules of Leeward's own take their place.
    pub redos_guard: WafGuard,
    /// Rules that are not asked. A site's own come on top.
    pub exclude: Vec<WafExclusion>,
}

impl Default for Waf {
    fn default() -> Self {
        Self {
            mode: WafMode::Off,
            rules: Vec::new(),
            paranoia: 1,
            threshold: 5,
            inspect: WafInspect::default(),
            body_limit: Size::kib(16),
            body_over_limit: WafOverLimit::Partial,
            argument_limit: Size::kib(4),
            on_overload: None,
            deadline: Span::secs(1),
            redos_guard: WafGuard::On,
            exclude: Vec::new(),
        }
    }
}

/// What a site changes of `waf`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiteWaf {
    /// Off, report, or refuse.
    pub mode: Option<WafMode>,
    /// Paranoia level, 1 to 4.
    pub paranoia: Option<u8>,
    /// Anomaly score from which a request is refused.
    pub threshold: Option<u32>,
    /// What of a request is looked at.
    pub inspect: Option<WafInspect>,
    /// Bytes of a request body that are looked at.
    pub body_limit: Option<Size>,
    /// What becomes of a larger body.
    pub body_over_limit: Option<WafOverLimit>,
    /// Bytes of the name or the value of one argument.
    pub argument_limit: Option<Size>,
    /// What becomes of a request that cannot be looked at in time.
    pub on_overload: Option<WafOverload>,
    /// The longest wait for a verdict.
    pub deadline: Option<Span>,
    /// Rules that are not asked for this site, besides those of `waf.exclude`.
    pub exclude: Vec<WafExclusion>,
}

/// `waf.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WafMode {
    /// Not used.
    #[default]
    Off,
    /// Findings are logged.
    Detect,
    /// Requests over the threshold are refused.
    Block,
}

/// `waf.body_over_limit`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WafOverLimit {
    /// Its beginning is judged, and the rest passed on.
    Partial,
    /// It is refused in the mode `block`: 413.
    Reject,
}

/// `waf.on_overload`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WafOverload {
    /// It is passed on.
    Open,
    /// It is refused: 503.
    Closed,
}

/// `waf.redos_guard`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WafGuard {
    /// They are left out, and others take their place.
    On,
    /// All rules of the files are asked: for sites whose clients are known.
    Off,
}

/// What of a request is looked at, besides its method and path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WafInspect {
    /// The query.
    pub query: bool,
    /// The fields; without it, only those that say what the body is.
    pub headers: bool,
    /// The body.
    pub body: bool,
}

impl Default for WafInspect {
    fn default() -> Self {
        Self { query: true, headers: true, body: true }
    }
}

/// A rule that is not asked. With `argument`, `cookie` or `header`: not about that one.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["rule"]))]
pub struct WafExclusion {
    /// The rule's id, as the log names it.
    pub rule: Option<u32>,
    /// Only for requests to this path and what is below it; absent: for all.
    pub path: Option<String>,
    /// Name of an argument of the query, a form, or a JSON body (`json.user.name`).
    pub argument: Option<String>,
    /// Name of a cookie.
    pub cookie: Option<String>,
    /// Name of a request field.
    pub header: Option<String>,
}
