//! `waf`, and what sites change of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::gather::{self, Gathered};
use crate::place::Part;
use crate::ready::{Exclusion, Guard, Level, Slot, Waf, Written};
use crate::report::{At, Report};
use crate::written::{self, SiteWaf, Size, Span, WafExclusion, WafGuard, WafMode, WafOverLimit, WafOverload};

/// Bytes of a body that are looked at. What is held back must fit into the buffer from which a request is sent again, together with
/// what one read brings.
const BODY: std::ops::RangeInclusive<Size> = Size::kib(1)..=Size::kib(32);
/// Bytes of one argument.
const ARGUMENT: std::ops::RangeInclusive<Size> = Size(256)..=Size::kib(32);
/// Waits for a verdict.
const DEADLINE: std::ops::RangeInclusive<Span> = Span(Duration::from_millis(10))..=Span::secs(30);
/// Anomaly scores.
const THRESHOLD: std::ops::RangeInclusive<u32> = 1..=10_000;
/// Different levels: paranoia, threshold and argument limit together.
const MAX_LEVELS: usize = 64;
/// Exclusions of all sites together.
const MAX_EXCLUSIONS: usize = 10_000;
/// Bytes of the name of an argument, cookie or field.
const MAX_NAME: usize = 128;

/// The WAF of every site, in the order of the sites.
pub(super) struct Guards {
    /// What they share; `None` where no mode is on.
    pub(super) shared: Option<Arc<Waf>>,
    /// For CDN URLs.
    pub(super) default: Option<Arc<Guard>>,
    pub(super) sites: Vec<Option<Arc<Guard>>>,
}

pub(super) fn guards(report: &Report, gathered: &Gathered) -> Guards {
    let mut common = Common::new(report, gathered.root.key("waf"), &gathered.main.waf);
    let default = common.guard(&common.at.clone(), &SiteWaf::default());
    let sites = gathered.sites.iter().map(|found| found.value.waf.as_ref().map(|site| (found.at.key("waf"), site)));
    let sites: Vec<Option<Option<Guard>>> = sites.map(|site| site.map(|(at, site)| common.guard(&at, site))).collect();
    let Some(shared) = common.finish() else {
        return Guards { shared: None, default: None, sites: sites.iter().map(|_| None).collect() };
    };
    let with_rules = |guard: Guard| Arc::new(Guard { waf: Arc::clone(&shared), ..guard });
    let default = default.map(with_rules);
    let sites = sites.into_iter().map(|own| own.map_or_else(|| default.clone(), |own| own.map(with_rules))).collect();
    Guards { default, sites, shared: Some(Arc::clone(&shared)) }
}

/// What is common to all sites, while they are built.
struct Common<'w> {
    report: &'w Report,
    at: At,
    written: &'w written::Waf,
    levels: Vec<Level>,
    exclusions: Vec<Exclusion>,
    /// Of `waf.exclude`, for every site.
    shared: Vec<(String, usize)>,
    any: bool,
}

impl<'w> Common<'w> {
    fn new(report: &'w Report, at: At, written: &'w written::Waf) -> Self {
        let (levels, exclusions) = (Vec::new(), Vec::new());
        let mut common = Self { report, at, written, levels, exclusions, shared: Vec::new(), any: false };
        common.shared = common.exclusions(&common.at.key("exclude"), &written.exclude);
        common
    }

    /// How one site is judged, but for the rules, which are not known before all sites are. `None` where the mode is off: what is
    /// wrong is said either way.
    fn guard(&mut self, at: &At, site: &SiteWaf) -> Option<Guard> {
        let written = self.written;
        let paranoia = site.paranoia.unwrap_or(written.paranoia);
        let threshold = site.threshold.unwrap_or(written.threshold);
        let body_limit = site.body_limit.unwrap_or(written.body_limit);
        let argument_limit = site.argument_limit.unwrap_or(written.argument_limit);
        let deadline = site.deadline.unwrap_or(written.deadline);
        // what a site does not change is looked at once
        let default = at == &self.at;
        let own = |given: bool| given || default;
        if own(site.paranoia.is_some()) && !(1..=4).contains(&paranoia) {
            self.report.error(&at.key("paranoia"), format!("`paranoia` is {paranoia}, not from 1 to 4"));
        }
        if own(site.threshold.is_some()) && !THRESHOLD.contains(&threshold) {
            let (least, most) = (THRESHOLD.start(), THRESHOLD.end());
            self.report
                .error(&at.key("threshold"), format!("`threshold` is {threshold}, not from {least} to {most}"))
                .hint("5 is one critical finding");
        }
        if own(site.body_limit.is_some()) && !BODY.contains(&body_limit) {
            let (least, most) = (BODY.start(), BODY.end());
            self.report
                .error(&at.key("body_limit"), format!("`body_limit` is {body_limit}, not from {least} to {most}"))
                .hint("`inspect: { body: false }` leaves bodies alone");
        }
        if own(site.argument_limit.is_some()) && !ARGUMENT.contains(&argument_limit) {
            let (least, most) = (ARGUMENT.start(), ARGUMENT.end());
            self.report
                .error(
                    &at.key("argument_limit"),
                    format!("`argument_limit` is {argument_limit}, not from {least} to {most}"),
                )
                .hint("`exclude: [{ rule: 7700003, argument: NAME }]` takes one argument out of it");
        }
        if own(site.deadline.is_some()) && !DEADLINE.contains(&deadline) {
            let (least, most) = (DEADLINE.start(), DEADLINE.end());
            self.report.error(&at.key("deadline"), format!("`deadline` is {deadline}, not from {least} to {most}"));
        }
        let mut exclusions = self.shared.clone();
        exclusions.extend(self.exclusions(&at.key("exclude"), &site.exclude));
        exclusions.sort_by_key(|(_, number)| *number);
        exclusions.dedup();
        let block = match site.mode.unwrap_or(written.mode) {
            WafMode::Off => return None,
            WafMode::Detect => false,
            WafMode::Block => true,
        };
        self.any = true;
        let inspect = site.inspect.unwrap_or(written.inspect);
        let open = match site.on_overload.or(written.on_overload) {
            Some(overload) => overload == WafOverload::Open,
            None => !block,
        };
        Some(Guard {
            block,
            level: self.level(Level {
                paranoia,
                threshold,
                argument: u32::try_from(argument_limit.0).unwrap_or(u32::MAX),
            }),
            exclusions,
            query: inspect.query,
            headers: inspect.headers,
            body: inspect.body,
            body_limit: usize::try_from(body_limit.0).unwrap_or(usize::MAX),
            reject_larger: site.body_over_limit.unwrap_or(written.body_over_limit) == WafOverLimit::Reject,
            open,
            deadline: deadline.0,
            waf: Arc::default(),
        })
    }

    fn level(&mut self, level: Level) -> usize {
        if let Some(number) = self.levels.iter().position(|known| *known == level) {
            return number;
        }
        if self.levels.len() == MAX_LEVELS {
            let message = format!(
                "the sites have more than {MAX_LEVELS} different sets of `paranoia`, `threshold` and `argument_limit`"
            );
            self.report.error(&self.at, message);
            return 0;
        }
        self.levels.push(level);
        self.levels.len() - 1
    }

    fn exclusions(&mut self, at: &At, written: &[WafExclusion]) -> Vec<(String, usize)> {
        let mut of_site = Vec::new();
        for (i, exclusion) in written.iter().enumerate() {
            let at = at.index(i);
            let path = exclusion.path.as_deref().map(|path| super::sites::prefix(self.report, &at.key("path"), path));
            let target = self.target(&at, exclusion);
            let Some(rule) = exclusion.rule else {
                self.report.missing(&at, "rule").hint("the rule's id, as the log names it: `rule: 942100`");
                continue;
            };
            if rule == 0 {
                self.report.error(&at.key("rule"), "`rule` is 0: rules are numbered from 1");
            }
            let exclusion = Exclusion { rule, target };
            let known = self.exclusions.iter().position(|known| *known == exclusion);
            let number = known.unwrap_or_else(|| {
                self.exclusions.push(exclusion);
                self.exclusions.len() - 1
            });
            of_site.push((path.unwrap_or_default(), number));
        }
        of_site.sort_by_key(|(_, number)| *number);
        of_site
    }

    /// `ARGS:comment`
    fn target(&self, at: &At, exclusion: &WafExclusion) -> Option<String> {
        let WafExclusion { argument, cookie, header, .. } = exclusion;
        let named = [
            ("argument", "ARGS", argument),
            ("cookie", "REQUEST_COOKIES", cookie),
            ("header", "REQUEST_HEADERS", header),
        ];
        let mut named = named.into_iter().filter_map(|(key, of, name)| Some((key, of, name.as_deref()?)));
        let (key, of, name) = named.next()?;
        if let Some((other, ..)) = named.next() {
            self.report.error(&at.key(other), format!("an exclusion has `{key}` or `{other}`, not both"));
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
            self.report
                .error(
                    &at.key(key),
                    format!(
                        "`{name}` cannot be the name of {}",
                        if key == "argument" { "an argument" } else { "a field" }
                    ),
                )
                .hint(format!("letters, digits, `_`, `-`, `.`, `[` and `]`, {MAX_NAME} at most"));
        }
        Some(format!("{of}:{name}"))
    }

    /// What all share, once every site is known; `None` where no mode is on.
    fn finish(self) -> Option<Arc<Waf>> {
        let rules = self.at.key("rules");
        if self.exclusions.len() > MAX_EXCLUSIONS {
            let number = self.exclusions.len();
            self.report.error(&self.at, format!("{number} exclusions are more than {MAX_EXCLUSIONS}"));
        }
        if !self.any {
            // the files may not be there where nobody needs them
            return None;
        }
        let files = self.files(&rules);
        let place = self.report.place(&rules, Part::Value);
        Some(Arc::new(Waf {
            files,
            levels: self.levels,
            exclusions: self.exclusions,
            redos_guard: self.written.redos_guard == WafGuard::On,
            written: Written { file: self.report.path(self.at.file), line: place.line, column: place.column },
            loaded: Slot::default(),
        }))
    }

    /// The rule files, in the order in which they are named, those of one pattern by name.
    fn files(&self, at: &At) -> Vec<PathBuf> {
        let report = self.report;
        if self.written.rules.is_empty() {
            report.missing(&self.at, "rules").hint(
                "`rules: [/etc/modsecurity/crs/crs-setup.conf, /usr/share/modsecurity-crs/rules/*.conf]`, where Debian's \
                 package `modsecurity-crs` has them",
            );
        }
        let mut files: Vec<PathBuf> = Vec::new();
        for (i, pattern) in self.written.rules.iter().enumerate() {
            let at = at.index(i);
            match gather::named(report, &at, pattern) {
                Ok(paths) if paths.is_empty() => {
                    report.error(&at, format!("`{pattern}` names no file"));
                }
                Ok(paths) => paths.into_iter().for_each(|path| {
                    if !files.contains(&path) {
                        files.push(path);
                    }
                }),
                Err(reason) => {
                    report.error(&at, reason);
                }
            }
        }
        files
    }
}
