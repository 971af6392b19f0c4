//! `leeward token`: makes and reads ectokens (`encrypt`, `decrypt`) and the tokens of `token-auth` (`sign`, `verify`).

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail};
use leeward_rules::grammar::Invalid;
use leeward_rules::token::mac::{self, Algorithm, Claims, Salt, Shape, What};
use leeward_rules::token::{self, Key, NONCE, TokenAuth};
use leeward_rules::{Facts, Scheme};

use super::explain::time;
use super::{say, say_error};

/// Bytes of a file with a key.
const MAX_KEY_FILE: u64 = 64 << 10;

/// Make and read tokens: ectokens, and those of token-auth.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an ectoken (version 3).
    Encrypt(Encrypt),
    /// Say what an ectoken requires: exit code 1 when no key made it, or its time is over.
    Decrypt(Decrypt),
    /// Make a token for the behavior token-auth.
    Sign(Sign),
    /// Say whether token-auth would accept a token: exit code 1 when not.
    Verify(Verify),
}

/// Where the key is.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct KeyArgs {
    /// The key itself. Other users of this machine can see it while the command runs.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A file that holds the key; one line end at its end does not count.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Until when a token is good.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Until {
    /// How long the token is good, such as 90s, 1h or 7d.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
    /// Until when, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_at: Option<SystemTime>,
}

impl Until {
    fn seconds(&self, at: Option<SystemTime>) -> Option<u64> {
        let until = self.expires_in.map(|span| at.unwrap_or_else(SystemTime::now) + span).or(self.expires_at)?;
        Some(unix(until))
    }
}

#[derive(Debug, clap::Args)]
struct Encrypt {
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    until: Until,
    /// When it is now, for --expires-in.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<SystemTime>,
    /// What the token requires, such as 'ec_url_allow=/videos/&ec_country_allow=US,CA'.
    text: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Decrypt {
    #[command(flatten)]
    key: KeyArgs,
    /// When it is asked whether the time is over; now, when absent.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<SystemTime>,
    token: String,
}

/// What maker and verifier of a signed token agree on.
#[derive(Debug, clap::Args)]
struct Agreed {
    /// hmacAlgorithm
    #[arg(long, default_value = "SHA256", value_parser = algorithm)]
    algorithm: Algorithm,
    /// escapeTokenInputs: true
    #[arg(long)]
    escape: bool,
    /// tokenDelimiter
    #[arg(long, default_value_t = '~', value_name = "CHARACTER")]
    delimiter: char,
    /// aclDelimiter
    #[arg(long, default_value_t = '!', value_name = "CHARACTER")]
    acl_delimiter: char,
    /// A text that is signed and not in the token.
    #[arg(long)]
    salt: Option<String>,
}

impl Agreed {
    fn shape(&self) -> Shape {
        Shape {
            delimiter: self.delimiter,
            acl_delimiter: self.acl_delimiter,
            escape: self.escape,
            salt: self.salt.as_deref().map(|salt| Salt(salt.into())),
        }
    }
}

#[derive(Debug, clap::Args)]
struct Sign {
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    agreed: Agreed,
    #[command(flatten)]
    until: Until,
    /// From when on the token is good.
    #[arg(long, value_name = "TIME", value_parser = time)]
    starts_at: Option<SystemTime>,
    /// When it is now, for --expires-in.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<SystemTime>,
    /// Paths that the token is good for; '*' is any text, '?' one character. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    acl: Vec<String>,
    /// The one path, and query unless that is ignored, that the token is good for.
    #[arg(long, value_name = "PATH", conflicts_with = "acl", required_unless_present = "acl")]
    url: Option<String>,
    /// The only client that may use it.
    #[arg(long)]
    ip: Option<IpAddr>,
    /// Whose session it is.
    #[arg(long)]
    id: Option<String>,
    /// Anything.
    #[arg(long)]
    data: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Verify {
    #[command(flatten)]
    key: KeyArgs,
    /// The second key that is accepted.
    #[arg(long, value_name = "KEY")]
    transition_key: Option<String>,
    #[command(flatten)]
    agreed: Agreed,
    /// ignoreQueryString: true
    #[arg(long)]
    ignore_query: bool,
    /// The path and query that are asked for, without the token.
    #[arg(long, value_name = "PATH")]
    url: String,
    /// The client's address.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    ip: IpAddr,
    /// When; now, when absent.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<SystemTime>,
    token: String,
}

fn algorithm(word: &str) -> Result<Algorithm, String> {
    let found = Algorithm::ALL.iter().find(|(name, _)| *name == word).map(|(_, algorithm)| *algorithm);
    found.ok_or_else(|| "an algorithm is SHA256, SHA1 or MD5".to_owned())
}

/// Makes or reads a token.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Encrypt(args) => encrypt(args),
        Command::Decrypt(args) => decrypt(args),
        Command::Sign(args) => sign(args),
        Command::Verify(args) => verify(args),
    }
}

impl KeyArgs {
    fn read(&self) -> anyhow::Result<Vec<u8>> {
        match (&self.key, &self.key_file) {
            (Some(key), _) => Ok(key.clone().into_bytes()),
            (None, Some(path)) => file(path).with_context(|| path.display().to_string()),
            (None, None) => bail!("--key or --key-file is needed"),
        }
    }

    /// The hexadecimal key of a signed token.
    fn hex(&self, algorithm: Algorithm) -> anyhow::Result<mac::Key> {
        let digits = String::from_utf8(self.read()?).map_err(|_| anyhow!("the key is not hexadecimal"))?;
        mac::Key::from_hex(algorithm, &digits).map_err(said)
    }
}

fn file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_KEY_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_KEY_FILE {
        bail!("this is no file with a key");
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(bytes)
}

fn said(invalid: Invalid) -> anyhow::Error {
    match invalid.hint {
        Some(hint) => anyhow!("{}; {hint}", invalid.message),
        None => anyhow!("{}", invalid.message),
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn encrypt(args: &Encrypt) -> anyhow::Result<ExitCode> {
    let key = args.key.read()?;
    token::key_text(&key).map_err(said)?;
    let expires = args.until.seconds(args.at).map(|until| format!("ec_expire={until}"));
    let parts: Vec<&str> = expires.as_deref().into_iter().chain(args.text.as_deref()).collect();
    let text = parts.join("&");
    for remark in token::remarks(&text) {
        say_error(&format!("leeward: note: {remark}"));
    }
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|error| anyhow!("no random numbers: {error}"))?;
    say(&Key::new(&key).encrypt(&text, nonce).map_err(said)?);
    Ok(ExitCode::SUCCESS)
}

fn decrypt(args: &Decrypt) -> anyhow::Result<ExitCode> {
    let Some(bytes) = Key::new(&args.key.read()?).decrypt(&args.token) else {
        say_error(&"leeward: this key did not make this token");
        return Ok(ExitCode::FAILURE);
    };
    let text = String::from_utf8_lossy(&bytes);
    say(&text);
    let Some(until) = token::expires_at(&text) else {
        say_error(&"leeward: it is never over");
        return Ok(ExitCode::SUCCESS);
    };
    let over = unix(args.at.unwrap_or_else(SystemTime::now)) > until;
    // more seconds than a date has: it says so in seconds
    let when = Duration::from_secs(until.min(LAST_DATE));
    let when = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + when);
    say_error(&format!("leeward: it {} good until {when} ({until})", if over { "was" } else { "is" }));
    Ok(if over { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The last second of the year 9999.
const LAST_DATE: u64 = 253_402_300_799;

fn sign(args: &Sign) -> anyhow::Result<ExitCode> {
    let key = args.key.hex(args.agreed.algorithm)?;
    let Some(expires) = args.until.seconds(args.at) else { bail!("--expires-in or --expires-at is needed") };
    let patterns: Vec<&str> = args.acl.iter().map(String::as_str).collect();
    let claims = Claims {
        ip: args.ip,
        start: args.starts_at.map(unix),
        expires,
        what: args.url.as_deref().map_or(What::Acl(&patterns), What::Url),
        id: args.id.as_deref(),
        data: args.data.as_deref(),
    };
    say(&mac::sign(&key, &args.agreed.shape(), &claims).map_err(said)?);
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &Verify) -> anyhow::Result<ExitCode> {
    let algorithm = args.agreed.algorithm;
    let key = args.key.hex(algorithm)?;
    let transition = args.transition_key.as_deref().map(|key| mac::Key::from_hex(algorithm, key));
    let transition = transition.transpose().map_err(said)?;
    let auth = TokenAuth::new("token", algorithm, key, transition, args.agreed.shape(), args.ignore_query);
    let (path, query) = match args.url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (args.url.as_str(), None),
    };
    let path = leeward_rules::Path::normalise(path).with_context(|| args.url.clone())?;
    let facts = Facts {
        method: "GET",
        scheme: Scheme::Https,
        host: "",
        authority: "",
        path: &path,
        query,
        headers: &http::HeaderMap::new(),
        client_ip: args.ip,
        place: None,
        now: unix(args.at.unwrap_or_else(SystemTime::now)),
    };
    let code = auth.map_err(said)?.verify(&args.token, &facts);
    say(&format!("{code}: {}", code.about()));
    Ok(if code.is_allow() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
