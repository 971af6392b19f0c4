//! The text that Prometheus scrapes.

use std::collections::BTreeMap;

/// All samples of one scrape.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the exposition format.
    ///
    /// # Panics
    /// When a line is neither a comment nor a sample.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { samples: samples.map(|line| sample(line).unwrap_or_else(|| panic!("no sample: {line:?}"))).collect() }
    }

    /// The sum of all samples of a name that have these labels among theirs.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits =
            |s: &&Sample| s.name == name && labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|have| have == v));
        // Not `sum()`: that of nothing is -0.
        self.samples.iter().filter(fits).fold(0.0, |sum, s| sum + s.value)
    }

    /// The sum for `name` or `name{label="value",...}`.
    ///
    /// # Panics
    /// When that is not what it says.
    #[must_use]
    pub fn sum_of(&self, selector: &str) -> f64 {
        let Sample { name, labels, .. } =
            sample(&format!("{selector} 0")).unwrap_or_else(|| panic!("no selector: {selector:?}"));
        let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        self.sum(&name, &labels)
    }

    /// Whether any sample has this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|s| s.name == name)
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.samples.len()
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
    };
    let mut pairs = BTreeMap::new();
    let mut rest = labels;
    while let Some((name, after)) = rest.split_once("=\"") {
        let end = after.char_indices().scan(false, |escaped, (at, c)| {
            let ends = c == '"' && !*escaped;
            *escaped = c == '\\' && !*escaped;
            Some((at, ends))
        });
        let end = end.filter(|(_, ends)| *ends).map(|(at, _)| at).next()?;
        pairs.insert(
            name.trim_start_matches(',').trim().to_owned(),
            after[..end].replace("\\\"", "\"").replace("\\\\", "\\"),
        );
        rest = &after[end + 1..];
    }
    Some(Sample { name: name.to_owned(), labels: pairs, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    const SCRAPE: &str = "# HELP a b\na{site=\"x\",to=\"q\\\"{},\"} 2\na{site=\"y\"} 3\nb 4.5\n";

    #[test]
    fn a_sum_takes_the_samples_that_have_the_labels() {
        let metrics = Metrics::parse(SCRAPE);
        for (selector, sum) in
            [("a", 5.0), ("a{site=\"x\"}", 2.0), ("a{site=\"z\"}", 0.0), ("b", 4.5), ("a{to=\"q\\\"{},\"}", 2.0)]
        {
            assert!(
                (metrics.sum_of(selector) - sum).abs() < f64::EPSILON,
                "{selector}: {} instead of {sum}",
                metrics.sum_of(selector)
            );
        }
        assert_eq!(metrics.series(), 3);
    }
}
