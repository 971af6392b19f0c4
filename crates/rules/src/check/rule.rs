//! A rule while it is checked.

use crate::behaviors::{Setting, Slot};
use crate::matches::Test;

/// A rule as far as it could be read; what could not is missing.
pub(super) struct Read {
    pub(super) tests: Vec<Option<Test>>,
    pub(super) settings: Vec<Option<(Slot, Setting)>>,
}

impl Read {
    pub(super) fn is_whole(&self) -> bool {
        let whole = self.tests.iter().all(Option::is_some) && self.settings.iter().all(Option::is_some);
        whole && !self.tests.is_empty() && !self.settings.is_empty()
    }
}
