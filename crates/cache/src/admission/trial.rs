//! An answer that has not been asked for often enough when it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// On a meta: the answer is read along by who asks for it while it arrives, and kept only if one of them says so. So a burst on a
/// cold object costs its origin one request, and an object that is asked for once still pushes nothing out.
#[derive(Debug, Clone)]
pub struct Trial {
    kept: Arc<AtomicBool>,
    awaited: bool,
}

impl Trial {
    /// `awaited`: others wait for this fetch already, so the answer stays until they have had the time to look.
    #[must_use]
    pub fn new(awaited: bool) -> Self {
        Self { kept: Arc::default(), awaited }
    }

    /// The object has been asked for often enough.
    pub fn keep(&self) {
        self.kept.store(true, Ordering::Release);
    }

    /// Whether the answer is kept when it is there.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    pub(crate) fn awaited(&self) -> bool {
        self.awaited
    }
}
