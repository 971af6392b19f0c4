//! Dictionaries of structured fields (RFC 9651 section 3.2), as far as cache directives care for them: parsed strictly, and what
//! is malformed anywhere is nothing at all.

/// Members of one dictionary that are looked at; one with more is malformed.
const MEMBERS: usize = 64;

/// The value of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// True or false; a member without a value is true.
    Boolean(bool),
    /// An integer of at most 15 digits.
    Integer(i64),
    /// The text of a string.
    Text(String),
    /// Another type, which no directive uses.
    Other,
}

/// Parses a dictionary: the lines of a field, joined by `, `. The last of equal keys wins, in the place of the first.
pub(super) fn dictionary(text: &str) -> Option<Vec<(String, Value)>> {
    let mut input = Input(text.as_bytes());
    let mut members: Vec<(String, Value)> = Vec::new();
    input.skip(b" ");
    while !input.0.is_empty() {
        let key = input.key()?;
        let value = if input.take(b'=') {
            input.member()?
        } else {
            input.parameters()?;
            Value::Boolean(true)
        };
        if let Some((_, old)) = members.iter_mut().find(|(known, _)| *known == key) {
            *old = value;
        } else if members.len() < MEMBERS {
            members.push((key, value));
        } else {
            return None;
        }
        input.skip(b" \t");
        if input.0.is_empty() {
            break;
        }
        // a comma, and something behind it
        input.take(b',').then_some(())?;
        input.skip(b" \t");
        (!input.0.is_empty()).then_some(())?;
    }
    Some(members)
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take(&mut self, wanted: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == wanted => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn skip(&mut self, white: &[u8]) {
        while let Some((first, rest)) = self.0.split_first()
            && white.contains(first)
        {
            self.0 = rest;
        }
    }

    /// The bytes up to the first that is not fine.
    fn run(&mut self, fine: impl Fn(u8) -> bool) -> &[u8] {
        let end = self.0.iter().position(|byte| !fine(*byte)).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        run
    }

    fn key(&mut self) -> Option<String> {
        let first = *self.0.first()?;
        (first.is_ascii_lowercase() || first == b'*').then_some(())?;
        let key = self.run(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte));
        str::from_utf8(key).ok().map(str::to_owned)
    }

    fn member(&mut self) -> Option<Value> {
        let value = if self.take(b'(') {
            self.inner_list()?;
            Value::Other
        } else {
            self.bare()?
        };
        self.parameters()?;
        Some(value)
    }

    fn inner_list(&mut self) -> Option<()> {
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Some(());
            }
            self.bare()?;
            self.parameters()?;
            matches!(self.0.first(), Some(b' ' | b')')).then_some(())?;
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn bare(&mut self) -> Option<Value> {
        match *self.0.first()? {
            b'"' => self.string().map(Value::Text),
            b'?' => {
                self.next()?;
                match self.next()? {
                    b'0' => Some(Value::Boolean(false)),
                    b'1' => Some(Value::Boolean(true)),
                    _ => None,
                }
            }
            b':' => {
                self.next()?;
                self.run(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.take(b':').then_some(Value::Other)
            }
            b'@' => {
                self.next()?;
                matches!(self.number()?, Value::Integer(_)).then_some(Value::Other)
            }
            b'%' => {
                self.next()?;
                self.display()
            }
            first if first.is_ascii_alphabetic() || first == b'*' => {
                self.run(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
                Some(Value::Other)
            }
            _ => self.number(),
        }
    }

    fn string(&mut self) -> Option<String> {
        self.next()?;
        let mut text = String::new();
        loop {
            match self.next()? {
                b'"' => return Some(text),
                b'\\' => text.push(char::from(self.next().filter(|byte| b"\"\\".contains(byte))?)),
                byte @ 0x20..=0x7e => text.push(char::from(byte)),
                _ => return None,
            }
        }
    }

    /// A display string: in quotes, with two lower-case digits behind every `%`.
    fn display(&mut self) -> Option<Value> {
        self.take(b'"').then_some(())?;
        let digit = |byte: Option<u8>| byte.filter(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte));
        loop {
            match self.next()? {
                b'"' => return Some(Value::Other),
                b'%' => {
                    digit(self.next())?;
                    digit(self.next())?;
                }
                0x20..=0x7e => {}
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<Value> {
        let negative = self.take(b'-');
        let whole = self.run(|byte| byte.is_ascii_digit()).to_vec();
        (!whole.is_empty()).then_some(())?;
        if self.take(b'.') {
            let fraction = self.run(|byte| byte.is_ascii_digit()).len();
            return (whole.len() <= 12 && (1..=3).contains(&fraction)).then_some(Value::Other);
        }
        let value: i64 = (whole.len() <= 15).then(|| str::from_utf8(&whole).ok()?.parse().ok())??;
        Some(Value::Integer(if negative { -value } else { value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_read_and_the_last_of_equal_keys_wins() {
        let int = Value::Integer;
        let yes = || Value::Boolean(true);
        let table: &[(&str, &[(&str, Value)])] = &[
            ("", &[]),
            ("a", &[("a", yes())]),
            (" a=1 ", &[("a", int(1))]),
            ("a=1, b=?0,\tc;x=1;y", &[("a", int(1)), ("b", Value::Boolean(false)), ("c", yes())]),
            ("a=1, b=2, a=3", &[("a", int(3)), ("b", int(2))]),
            ("a=-999999999999999", &[("a", int(-999_999_999_999_999))]),
            ("a=1.5", &[("a", Value::Other)]),
            ("a=\"x, y\\\"z\"", &[("a", Value::Text("x, y\"z".into()))]),
            ("a=tok/en:x", &[("a", Value::Other)]),
            ("a=:YWJj:", &[("a", Value::Other)]),
            ("a=@1659578233, b=%\"f%c3%bc\"", &[("a", Value::Other), ("b", Value::Other)]),
            ("a=(1 \"x\";q=1  z );p, *b", &[("a", Value::Other), ("*b", yes())]),
        ];
        for (text, want) in table {
            let want: Vec<_> = want.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            assert_eq!(dictionary(text), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_anywhere_is_nothing() {
        for text in [
            "A",
            "a=",
            "a,",
            "a,,b",
            ",a",
            "a b",
            "a =1",
            "a= 1",
            "1",
            "&",
            "a, &&&",
            "a=\"x",
            "a=\"\\x\"",
            "a=?2",
            "a=?",
            "a=-",
            "a=1.",
            "a=1.2345",
            "a=1234567890123456",
            "a=1x",
            "a=(1",
            "a=(1,2)",
            "a=(\"x\"y)",
            "a;",
            "a;B",
            "a=:x",
            "a=@1.5",
            "a=%x",
            "a=%\"%C3\"",
            "a=ü",
        ] {
            assert_eq!(dictionary(text), None, "{text}");
        }
    }
}
