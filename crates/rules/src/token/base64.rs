//! Base64 for URLs without padding (RFC 4648 5). Reading takes `+` and `/` for `-` and `_` too, as the reference does.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The text of these bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=chunk.len() {
            let index = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap_or(0);
            text.push(char::from(DIGITS.get(index).copied().unwrap_or(b'A')));
        }
    }
    text
}

/// How many bytes the text holds, written to the front of `out`. Nothing when a character is no digit, when `out` is too small,
/// or when bits that belong to no byte are set: each byte string has one text (but for the two spellings of two digits).
pub(super) fn decode(text: &str, out: &mut [u8]) -> Option<usize> {
    let digits = text.as_bytes();
    if digits.len() % 4 == 1 {
        return None;
    }
    let mut length = 0;
    for chunk in digits.chunks(4) {
        let mut bits = 0;
        for at in 0..4 {
            bits = bits << 6 | chunk.get(at).map_or(Some(0), |digit| value(*digit))?;
        }
        let bytes = bits.to_be_bytes();
        let (held, rest) = bytes.get(1..)?.split_at_checked(chunk.len() - 1)?;
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        out.get_mut(length..length + held.len())?.copy_from_slice(held);
        length += held.len();
    }
    Some(length)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'-' | b'+' => 62,
        b'_' | b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_text_are_one_to_one() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            (b"fooba", "Zm9vYmE"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xfb, 0xff, 0xfe], "-__-"),
        ] {
            assert_eq!(encode(bytes), text, "{bytes:?}");
            let mut out = [0; 16];
            let length = decode(text, &mut out).unwrap();
            assert_eq!(&out[..length], bytes, "{text}");
        }
    }

    #[test]
    fn both_spellings_of_the_last_digits_are_read_and_nothing_else_is() {
        let mut out = [0; 3];
        for text in ["-__-", "+//+", "-/_+"] {
            assert_eq!((decode(text, &mut out), out), (Some(3), [0xfb, 0xff, 0xfe]), "{text}");
        }
        for text in ["Z", "Zg=", "Zg==", "Zh", "Zm9", "Zm9v!", "Zm9 v", "Zm9vYmE", "é", "Zm9v\n"] {
            assert_eq!(decode(text, &mut out), None, "{text}");
        }
    }
}
