//! Sets of failure statuses.

use super::Invalid;

/// A set of statuses from 400 to 599, written as codes and inclusive ranges: `404 500:504`.
///
/// Source: policy-language 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusSet([u64; 4]);

/// The lowest status of a set.
const LOWEST: u16 = 400;
/// The highest status of a set.
const HIGHEST: u16 = 599;

impl StatusSet {
    /// Whether the status is a member.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        let Some(bit) = status.checked_sub(LOWEST).filter(|_| status <= HIGHEST) else { return false };
        self.0.get(usize::from(bit / 64)).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Adds a status; outside 400 to 599 nothing happens.
    pub(crate) fn insert(&mut self, status: u16) {
        let Some(bit) = status.checked_sub(LOWEST).filter(|_| status <= HIGHEST) else { return };
        if let Some(word) = self.0.get_mut(usize::from(bit / 64)) {
            *word |= 1 << (bit % 64);
        }
    }

    /// Every status that a set can have.
    #[must_use]
    pub fn all() -> Self {
        let mut all = Self::default();
        (LOWEST..=HIGHEST).for_each(|status| all.insert(status));
        all
    }

    /// Errors that speak of the client or of its URL, and that a second server would answer as well.
    #[must_use]
    pub fn client_errors() -> Self {
        let mut set = Self::default();
        [400, 401, 403, 404, 405].into_iter().for_each(|status| set.insert(status));
        set
    }

    /// The members of either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.word(i) | other.word(i)))
    }

    /// The members that the other has not.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.word(i) & !other.word(i)))
    }

    fn word(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or_default()
    }

    /// Members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (LOWEST..=HIGHEST).filter(|status| self.contains(*status))
    }

    /// Adds one item: a code or `low:high`.
    pub(crate) fn insert_item(&mut self, item: &str) -> Result<(), Invalid> {
        let (low, high) = match item.split_once(':') {
            Some((low, high)) => (code(low, item)?, code(high, item)?),
            None => (code(item, item)?, code(item, item)?),
        };
        if low > high {
            return Err(Invalid::new(format!("the range {item:?} descends")).hint(format!("write {high}:{low}")));
        }
        (low..=high).for_each(|status| self.insert(status));
        Ok(())
    }
}

impl StatusSet {
    /// Reads codes and ranges.
    ///
    /// # Errors
    /// Every item that is neither; an empty list.
    pub fn parse(text: &str) -> Result<Self, Vec<Invalid>> {
        let mut set = Self::default();
        let bad: Vec<Invalid> = super::tokens::split(text).filter_map(|item| set.insert_item(item).err()).collect();
        if !bad.is_empty() {
            return Err(bad);
        }
        if set == Self::default() {
            return Err(vec![Invalid::new("no status is listed").hint("list codes and ranges: 500 502:504")]);
        }
        Ok(set)
    }
}

/// In the grammar it is written in: `404 500:504`.
impl std::fmt::Display for StatusSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for status in self.iter() {
            match ranges.last_mut() {
                Some((_, high)) if *high + 1 == status => *high = status,
                _ => ranges.push((status, status)),
            }
        }
        for (i, (low, high)) in ranges.into_iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            if low == high { write!(f, "{space}{low}")? } else { write!(f, "{space}{low}:{high}")? }
        }
        Ok(())
    }
}

fn code(text: &str, item: &str) -> Result<u16, Invalid> {
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(status) if digits && (LOWEST..=HIGHEST).contains(&status) => Ok(status),
        Ok(_) if digits => Err(Invalid::new(format!("status {text} is not between {LOWEST} and {HIGHEST}"))),
        _ => Err(Invalid::new(format!("{item:?} is neither a status nor a range"))
            .hint("separate items by spaces; a range is low:high, as in 500:504")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_set_lists_codes_and_ascending_ranges() {
        let table: &[(&str, Option<&[u16]>)] = &[
            ("500 503:504", Some(&[500, 503, 504])),
            ("404 500:504", Some(&[404, 500, 501, 502, 503, 504])),
            ("  404   404 ", Some(&[404])),
            ("400 599", Some(&[400, 599])),
            ("463:465", Some(&[463, 464, 465])),
            ("500-504", None),
            ("504:500", None),
            ("5xx", None),
            ("500,503", None),
            ("", None),
            (" ", None),
            ("399", None),
            ("600", None),
            ("0500", None),
            ("+50", None),
            ("500:", None),
            (":500", None),
            ("500:501:502", None),
        ];
        for (text, expected) in table {
            let got = StatusSet::parse(text).ok().map(|set| set.iter().collect::<Vec<_>>());
            assert_eq!(got.as_deref(), *expected, "{text:?}");
        }
        let written = StatusSet::parse("504 503 404 500").unwrap().to_string();
        assert_eq!(written, "404 500 503:504");
    }

    #[test]
    fn sets_are_joined_and_taken_from_each_other() {
        let set = |text| StatusSet::parse(text).unwrap();
        for (one, other, or, without) in [
            ("404 500", "500 599", "404 500 599", "404"),
            ("400:463", "464:599", "400:599", "400:463"),
            ("400:599", "401:599", "400:599", "400"),
        ] {
            assert_eq!(set(one).or(set(other)), set(or), "{one} or {other}");
            assert_eq!(set(one).without(set(other)), set(without), "{one} without {other}");
        }
        assert_eq!(StatusSet::all(), set("400:599"));
        for text in ["404", "400:599", "400:401 403:405", "404 500:504 599"] {
            assert_eq!(set(text).to_string(), text);
        }
        assert_eq!(StatusSet::all().without(StatusSet::all()), StatusSet::default());
    }

    #[test]
    fn nothing_outside_four_and_five_hundred_is_ever_a_member() {
        assert_eq!(StatusSet::parse("500-504 500 504:500 9").map_err(|bad| bad.len()), Err(3));
        let all = StatusSet::parse("400:599").unwrap();
        for status in [0, 1, 200, 304, 399, 600, 999, u16::MAX] {
            assert!(!all.contains(status), "{status}");
        }
    }
}
