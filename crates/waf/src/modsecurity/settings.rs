//! What is applied around the operator's rule files: engine settings, body processors, paranoia level and threshold, exclusions.
//!
//! A request tells the rules about itself by its `UNIQUE_ID`: `,l0,dtd,dup,x3,` is level 0, an XML body whose prolog is
//! not taken, a form's part with a field twice, exclusion 3.

use std::fmt::Write;

use super::commands;
use super::prolog::Prolog;
use crate::{Exclusion, Level, Plan, Request};

/// Whether an id is one of this file's, which files of the operator's must not use: those of the library's recommended
/// configuration, whose rules are here too, and some of our own.
pub(super) const fn is_own(id: u32) -> Option<&'static str> {
    match id {
        200_000..=200_007 => Some("200000 to 200007"),
        7_700_000..=7_799_999 => Some("7700000 to 7799999"),
        _ => None,
    }
}
/// Those of them that can match and say so.
pub(super) const KNOWN: &[u32] = &[
    200_002, 200_003, 200_004, 200_005, 200_007, ARGUMENT, 7_700_004, 7_700_005, 7_700_008, 7_700_010, 7_700_011,
    7_700_012, 7_700_013, 7_700_014, 7_700_015, 7_700_020, 7_700_021,
];
/// Refuses an argument that is longer than the level allows.
pub const ARGUMENT: u32 = 7_700_003;
/// Says the score of a request that stayed below the threshold.
pub(super) const SCORE: u32 = 7_700_002;
const LEVELS: u32 = 7_701_000;
const EXCLUSIONS: u32 = 7_710_000;
/// Exclusions of all sites together.
pub const MAX_EXCLUSIONS: usize = 10_000;
/// Different pairs of paranoia level and threshold.
pub const MAX_LEVELS: usize = 64;

/// Rules whose patterns take backtracking time: with them a kilobyte can cost seconds, and no limit of the library's bounds it.
/// Found by `every_printable_byte_and_pair_repeated_stays_cheap` (tests/hostile.rs), which says what each costs.
pub const EXPENSIVE: &[u32] = &[932_100, 932_105, 932_150, 932_230, 932_235, 932_250, 932_260, 932_340, 941_160];

/// Rules of this crate's own that judge, as the Core Rule Set does: by its score.
const OWN: &str = include_str!("own.conf");

/// What may reach a shell.
const SHELLS: &str = "REQUEST_COOKIES|!REQUEST_COOKIES:/__utm/|REQUEST_COOKIES_NAMES|ARGS_NAMES|ARGS|XML:/*";
/// What else, where there is such.
const NAMES: &str = "FILES|FILES_NAMES|XML://@*";
/// Counts a critical finding as the Core Rule Set does, 3 and 4.
const SCORES: &str = "pass,log,severity:2,setvar:'tx.anomaly_score_pl1=+%{tx.critical_anomaly_score}',\
    setvar:'tx.inbound_anomaly_score_pl1=+%{tx.critical_anomaly_score}'";

/// What makes a multipart body ambiguous. (All that `MULTIPART_STRICT_ERROR` sums up, but for a boundary in quotes, which is how some
/// clients write every boundary.)
const STRICT: &str = "MULTIPART_BOUNDARY_WHITESPACE|MULTIPART_DATA_BEFORE|MULTIPART_DATA_AFTER|MULTIPART_HEADER_FOLDING|\
    MULTIPART_LF_LINE|MULTIPART_MISSING_SEMICOLON|MULTIPART_INVALID_QUOTING|MULTIPART_INVALID_PART|\
    MULTIPART_INVALID_HEADER_FOLDING|MULTIPART_FILE_LIMIT_EXCEEDED";

/// More arguments than these are an attack on what parses them.
const MAX_ARGUMENTS: usize = 255;

/// Read before the operator's files. What they set for themselves wins over `tx` variables of this part.
pub(super) fn before(plan: &Plan) -> String {
    let commands = if plan.redos_guard { commands::rules(7_700_020, SHELLS, SCORES) } else { String::new() };
    let own = OWN.replace("# COMMANDS", &commands::rules(7_700_013, NAMES, SCORES));
    format!(
        r#"SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 1048576
SecRequestBodyNoFilesLimit 1048576
SecRequestBodyLimitAction ProcessPartial
SecRequestBodyJsonDepthLimit 32
SecResponseBodyAccess Off
SecAuditEngine Off
SecArgumentSeparator &
SecCookieFormat 0
SecUploadKeepFiles Off
SecPcreMatchLimit 100000
SecRule &REQUEST_HEADERS:Content-Type "@eq 0" "id:7700006,phase:1,t:none,pass,nolog,ctl:requestBodyProcessor=URLENCODED"
SecRule REQUEST_HEADERS:Content-Type "@rx ^text/" "id:7700007,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=URLENCODED"
SecRule REQUEST_HEADERS:Content-Type "^(?:application/(?:[a-z0-9.-]+[+])?|text/)xml" "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^(?:application|text)/(?:x-|[a-z0-9.-]+[+])?json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" "id:200002,phase:2,t:none,log,deny,status:400,msg:'The body cannot be parsed',severity:2"
SecRule {STRICT} "!@eq 0" "id:200003,phase:2,t:none,log,deny,status:400,msg:'The multipart body is not strict',severity:2"
SecRule MULTIPART_UNMATCHED_BOUNDARY "@eq 1" "id:200004,phase:2,t:none,log,deny,status:400,msg:'The multipart body has an unmatched boundary',severity:2"
SecRule TX:/^MSC_/ "!@streq 0" "id:200005,phase:2,t:none,log,deny,status:400,msg:'A limit of the engine was met',severity:2"
SecRule &ARGS "@gt {MAX_ARGUMENTS}" "id:200007,phase:2,t:none,log,deny,status:400,msg:'Too many arguments',severity:2"
SecRule ARGS|ARGS_NAMES|FILES|FILES_NAMES "@gt %{{tx.leeward_argument}}" "id:{ARGUMENT},phase:2,t:none,t:length,log,deny,status:400,msg:'An argument is longer than the limit',severity:2"
SecRule UNIQUE_ID "@contains ,dtd," "id:7700004,phase:2,t:none,log,deny,status:400,msg:'The XML body has a document type or an odd encoding',severity:2,chain"
SecRule REQBODY_PROCESSOR "@streq XML" "t:none"
SecRule REQUEST_HEADERS:Content-Type "@rx ^multipart/(?!form-data)" "id:7700005,phase:2,t:none,t:lowercase,log,deny,status:400,msg:'A multipart body that is no form is not looked into',severity:2"
SecRule UNIQUE_ID "@contains ,dup," "id:7700008,phase:2,t:none,log,deny,status:400,msg:'The head of a part has a field twice',severity:2,chain"
SecRule REQBODY_PROCESSOR "@streq MULTIPART" "t:none"
SecAction "id:7700000,phase:1,t:none,pass,nolog,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE'"
{own}{commands}"#
    )
}

/// Read before the rules that give defaults to what nobody set: this wins over the operator's files.
pub(super) fn levels(levels: &[Level]) -> String {
    let mut text = String::new();
    for (number, Level { paranoia, threshold, argument }) in levels.iter().enumerate() {
        let id = LEVELS.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
        // CRS 3 and 4 name them differently
        let _ = writeln!(
            text,
            "SecRule UNIQUE_ID \"@contains ,l{number},\" \"id:{id},phase:1,t:none,pass,nolog,\
             setvar:tx.paranoia_level={paranoia},setvar:tx.executing_paranoia_level={paranoia},\
             setvar:tx.blocking_paranoia_level={paranoia},setvar:tx.detection_paranoia_level={paranoia},\
             setvar:tx.inbound_anomaly_score_threshold={threshold},setvar:tx.leeward_argument={argument}\"",
        );
    }
    text
}

/// Exclusions, for the requests that name them. Read before the operator's rules.
pub(super) fn exclusions(exclusions: &[Exclusion]) -> String {
    let mut text = String::new();
    for (number, Exclusion { rule, target }) in exclusions.iter().enumerate() {
        let id = EXCLUSIONS.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
        let what = match target {
            Some(target) => format!("ctl:ruleRemoveTargetById={rule};{target}"),
            None => format!("ctl:ruleRemoveById={rule}"),
        };
        let _ =
            writeln!(text, "SecRule UNIQUE_ID \"@contains ,x{number},\" \"id:{id},phase:1,t:none,pass,nolog,{what}\"",);
    }
    text
}

/// Read behind the operator's files.
pub(super) fn after(plan: &Plan) -> String {
    let mut text = String::new();
    if plan.redos_guard {
        let ids: Vec<String> = EXPENSIVE.iter().map(u32::to_string).collect();
        let _ = writeln!(text, "SecRuleRemoveById {}", ids.join(" "));
    }
    let _ = writeln!(
        text,
        "SecRule TX:ANOMALY_SCORE|TX:BLOCKING_INBOUND_ANOMALY_SCORE \"@gt 0\" \
         \"id:{SCORE},phase:2,t:none,pass,log,msg:'Total Score: %{{MATCHED_VAR}}'\"",
    );
    text
}

/// What a request tells the rules about itself.
pub(super) fn unique_id(request: &Request, prolog: Prolog, repeats: bool) -> String {
    let mut id = format!(",l{},", request.level);
    if prolog != Prolog::Plain {
        id.push_str("dtd,");
    }
    if repeats {
        id.push_str("dup,");
    }
    for exclusion in &request.exclusions {
        let _ = write!(id, "x{exclusion},");
    }
    id
}
