//! Command injection, in patterns of linear time: what takes the place of the Core Rule Set's rules that
//! [`EXPENSIVE`](super::settings::EXPENSIVE) leaves out. Every repetition is bounded, so that the work at one place of a text does not
//! grow with the text.
//!
//! A command is taken for one behind something that a shell separates commands by, and if what follows it fits: many are words of
//! everyday language as well.

use std::collections::BTreeMap;

/// Say something by themselves.
const ALONE: &str = "uname whoami ifconfig netstat printenv lsof lscpu dmesg lsb_release lsmod lspci lsusb lsblk blkid iptables \
                     journalctl hostnamectl";
/// Do something with any argument.
const WITH_ANY: &str = "chmod chown chgrp wget nslookup mkfifo systemctl crontab ncat netcat mawk gawk nawk awk sed grep egrep fgrep \
                        zgrep xargs tftp sftp useradd usermod userdel groupadd sudo mknod tcpdump objdump hexdump xxd pgrep pkill \
                        killall nohup zcat zless bzcat gunzip bunzip2 xzcat readlink mktemp mkdir rmdir traceroute socat umount fdisk \
                        busybox chroot strace printf openssl passwd apt-get dpkg eval echo powershell";
/// Do something with the name of a machine.
const WITH_HOST: &str = "curl ping dig host telnet ftp nc ssh scp rsync nmap mysql psql";
/// Do something with an argument as only shells have them.
const WITH_OPTION: &str = "cat tac nl od less more head tail cut tr sort uniq wc tee rev strings find locate which whereis file stat ls \
                           dir id who w last ps top env set export source exec sh bash zsh ksh csh dash curl ping host nc telnet ssh \
                           scp ftp rsync rm mv cp ln dd touch tar zip unzip gzip base64 print read kill sleep date python python2 \
                           python3 perl ruby php node nodejs java gcc make vi vim nano git npm pip apt yum rpm docker kubectl mysql \
                           psql openssl mount df du free uptime su at mail nmap ip ss arp route hostname type service";
/// Say something by themselves where nothing else can be meant.
const ALONE_LAST: &str = "id ls pwd env ps who uptime hostname df dir";
/// Begin a whole value.
const FIRST: &str =
    "cat ls uname wget curl bash sh zsh ksh dash python python2 python3 perl ruby php node nc ncat netcat busybox";

/// What a shell leaves out of a word.
const LEFT_OUT: &str = r"[\x5c\x27\x22^]{0,2}";
/// Where a command may begin.
const SEPARATOR: &str = r"(?:[;|`&\n\r]|\$[({]|[<>]\(|\(\s?\)\s?\{)";
/// What may stand before it: white space, quotes, brackets, an assignment.
const BEFORE: &str = r"[\s\x27\x22\x5c({!]{0,8}+(?:[A-Za-z_]\w{0,20}=[^\s;|&]{0,40}\s{1,4})?+";
/// Its folder, with wildcards.
const FOLDER: &str = r"(?:[\w.~?*\[\]/-]{0,40}/)?";
/// Nothing that would make it a longer word.
const END: &str = r"(?=[\s;|&`<>)},]|$)";
/// White space, or what stands for it.
const GAP: &str = r"(?:[\s,]{1,4}|\$\{?IFS[\}$\d@*]{0,3}|\s{0,4}<\s{0,4})";
/// An option, a path, a variable, an address, a redirection.
const OPTION: &str = r"[\x27\x22\x5c]{0,2}(?:(?:aux|root|run|exec|clone|install|[cxtvzj]{1,4}f)\b|[A-Za-z_]\w{0,20}=\S|\d{1,3}[<>]|-{1,2}[A-Za-z0-9]{1,12}(?:[\s=:\x27\x22]|$)|\.{0,2}/[\w.*?$~-]|~/|[$*`][\w({]|[<>]|(?:https?|ftp)://|\S{1,40}@\w|\d{1,4}\s{0,4}(?:$|[;|&`)]))";

/// The rules, two of them from `first_id`, with `variables` and `actions` that they share.
pub(super) fn rules(first_id: u32, variables: &str, actions: &str) -> String {
    let separated = format!(
        "{SEPARATOR}{BEFORE}{FOLDER}{LEFT_OUT}(?:{alone}{LEFT_OUT}{END}|{any}{LEFT_OUT}{GAP}\\S|{host}{LEFT_OUT}{GAP}\\S{{0,60}}[.@:/]\\w|\
         {option}{LEFT_OUT}(?:{GAP}{OPTION}|\\s{{0,4}}[<>]{{1,2}}\\s{{0,4}}[\\w/&.]))",
        alone = any_of(ALONE),
        any = any_of(WITH_ANY),
        host = any_of(WITH_HOST),
        option = any_of(WITH_OPTION),
    );
    let last = format!(
        "(?:(?:^|[\\s\\d.)\\x27\\x22=])(?:[;|]{{1,2}}|&&)|(?:^|\\d)\\s{{0,2}}&|[`\\n]|\\$\\()\\s{{0,4}}{FOLDER}{LEFT_OUT}{last}{LEFT_OUT}\\s{{0,4}}(?:[;|&`)#]|$)|\
         (?:^|[\\s\\x27\\x22])\\|\\s{{0,4}}{FOLDER}(?:ba|z|k|da|c)?sh\\s{{0,4}}$",
        last = any_of(ALONE_LAST),
    );
    // a command that begins the value; a folder of wildcards; a source; a brace
    let begins = format!(
        "^\\s{{0,4}}{FOLDER}{LEFT_OUT}{first}{LEFT_OUT}{GAP}{OPTION}|{SEPARATOR}\\s{{0,4}}(?:/[?*\\[][^\\s/]{{0,12}}/|\\.\\s{{1,4}}/\\w)",
        first = any_of(FIRST),
    );
    let others = r"\bcmd(?:\.exe)?\s{1,4}/[ckrv]\b|\bpowershell(?:\.exe)?\s{1,4}-[a-z]{1,16}\s|\bprocess\s{0,2}\.\s{0,2}(?:mainmodule|binding)\b|\bchild_process\b|\bognl\.|#_memberaccess|%\{\s{0,4}\(?#|\b(?:execsync|spawnsync)\s{0,4}\(";
    let serialized = r"(?:^|[^a-z0-9+/])(?:ro0ab[qxy]|kztaau|cs7qaf)|\xac\xed\x00\x05";
    let rule = |id: u32, pattern: &str, how: &str, msg: &str| {
        format!(
            "SecRule {variables} \"@rx {pattern}\" \"id:{id},phase:2,t:none,t:urlDecodeUni{how},msg:'{msg}',{actions}\"\n"
        )
    };
    [
        rule(first_id, &format!("{separated}|{last}|{begins}"), "", "A command of a shell"),
        rule(
            first_id + 1,
            &format!("{others}|{serialized}"),
            ",t:lowercase",
            "What runs commands in Java, Node.js and Windows",
        ),
    ]
    .concat()
}

/// A pattern for words of a list, letters of which may have something between them that a shell leaves out.
fn any_of(words: &str) -> String {
    let mut root = Node::default();
    for word in words.split_whitespace() {
        let mut node = &mut root;
        for letter in word.chars() {
            node = node.next.entry(letter).or_default();
        }
        node.ends = true;
    }
    root.pattern(true)
}

/// Words with a common beginning.
#[derive(Default)]
struct Node {
    ends: bool,
    next: BTreeMap<char, Node>,
}

impl Node {
    fn pattern(&self, first: bool) -> String {
        if self.next.is_empty() {
            return String::new();
        }
        let between = if first { "" } else { LEFT_OUT };
        let branches: Vec<String> =
            self.next.iter().map(|(letter, node)| format!("{letter}{}", node.pattern(false))).collect();
        match (self.ends, branches.as_slice()) {
            (false, [one]) => format!("{between}{one}"),
            (false, all) => format!("{between}(?:{})", all.join("|")),
            (true, all) => format!("(?:{between}(?:{}))?", all.join("|")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_share_their_beginnings() {
        let plain = any_of("ls lsof id").replace(LEFT_OUT, "");
        assert_eq!(plain, "(?:id|ls(?:(?:of))?)");
        assert_eq!(any_of("id"), format!("i{LEFT_OUT}d"));
    }

    /// A repetition without a bound inside another is what takes time by the square.
    #[test]
    fn no_pattern_repeats_without_a_bound() {
        for line in rules(1, "ARGS", "deny").lines() {
            let pattern = line.split('"').nth(1).unwrap();
            let in_class = regexless(pattern);
            assert!(!in_class.contains('*') && !in_class.contains(",}"), "{in_class}");
            assert!(!in_class.replace("}+", "}").replace("?+", "?").contains('+'), "{in_class}");
        }
    }

    /// A pattern without its classes and escapes.
    fn regexless(pattern: &str) -> String {
        let (mut out, mut class, mut escaped) = (String::new(), false, false);
        for c in pattern.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '[' => class = true,
                ']' => class = false,
                _ if class => {}
                c => out.push(c),
            }
        }
        out
    }
}
