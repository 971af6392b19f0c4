//! Keeps secrets out of excerpts.

/// Keys whose values are secrets, wherever they stand; some of them are no keys, but what they are mistyped as.
const KEYS: [&str; 10] =
    ["token", "tokens", "secret", "secrets", "password", "primary_key", "backup_key", "transitionKey", "salt", "key"];
/// Hex digits from which on the value of a plain `key` is taken for a token key and not for a file name.
const LONG_HEX: usize = 8;

/// The line with every secret in it replaced by as many `*`: those that are known, and what looks like one, because the line may
/// belong to a file that could not be read.
pub(crate) fn secrets(line: &str, known: &[String]) -> String {
    let mut out = line.to_owned();
    for secret in known.iter().flat_map(|secret| secret.lines()).filter(|secret| !secret.is_empty()) {
        out = out.replace(secret, &"*".repeat(secret.chars().count()));
    }
    let mut from = 0;
    while let Some((begin, end)) = next(&out, from) {
        let stars = "*".repeat(out.get(begin..end).unwrap_or_default().chars().count());
        let after = begin + stars.len();
        out.replace_range(begin..end, &stars);
        from = after;
    }
    out
}

/// The next value of a secret key at or after `from`, as a range of bytes.
fn next(line: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let colon = at + line.get(at..)?.find(':')?;
        at = colon + 1;
        let before = line.get(..colon)?.trim_end().trim_end_matches(['"', '\'']);
        let Some(key) = KEYS.iter().find(|key| before.ends_with(**key)) else {
            continue;
        };
        let whole =
            before.strip_suffix(*key)?.chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_');
        let rest = line.get(at..)?;
        let begin = at + (rest.len() - rest.trim_start().len());
        let value = line.get(begin..)?;
        let quoted = value.starts_with(['"', '\'']);
        if !whole || value.is_empty() || value.starts_with('{') || value.starts_with('#') {
            continue;
        }
        let value = if quoted { value } else { value.split([',', '}']).next()?.trim_end() };
        let end = begin + value.len();
        let text = line.get(begin..end)?.trim_matches(['"', '\'', ' ', ',', '}', ']']);
        let hex = text.len() >= LONG_HEX && text.bytes().all(|b| b.is_ascii_hexdigit());
        if *key != "key" || hex {
            return Some((begin, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::secrets;

    #[test]
    fn a_secret_is_masked_where_it_is_known_or_its_key_says_so_and_nothing_else_is() {
        let known = ["hunter2".to_owned()];
        for (line, shown) in [
            ("admin: { token: hunter2 }", "admin: { token: ******* }"),
            ("admin: { token: sesame, address: x }", "admin: { token: ******, address: x }"),
            ("  token: sesame open", "  token: ***********"),
            ("  token: 'a, b}'", "  token: *******"),
            ("  \"token\": \"sesame\"", "  \"token\": ********"),
            ("  token: { file: token-file }", "  token: { file: token-file }"),
            ("  token:", "  token:"),
            ("  token: # later", "  token: # later"),
            ("primary_key: abc, backup_key: def", "primary_key: ***, backup_key: ***"),
            ("tls: { chain: www.pem, key: www.key }", "tls: { chain: www.pem, key: www.key }"),
            ("params: { key: 0123456789abcdef }", "params: { key: **************** }"),
            ("monkey: 0123456789abcdef", "monkey: 0123456789abcdef"),
            ("url: http://hunter2@example.net", "url: http://*******@example.net"),
            ("tokenName: hdnts", "tokenName: hdnts"),
        ] {
            assert_eq!(secrets(line, &known), shown, "{line}");
        }
    }
}
