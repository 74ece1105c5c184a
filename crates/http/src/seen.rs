//! What is learnt of a request on its way in, for those who answer and record it on the way out.
//!
//! Never: a secret.

use std::sync::{Arc, Mutex, PoisonError};

use indelible_service::{Allowance, Grant};

/// A place in the request's extensions, shared by all who handle it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Learnt>>);

/// What was learnt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learnt {
    /// Who calls.
    pub(crate) grant: Option<Arc<Grant>>,
    /// Whose key it was, where one was refused that was good once.
    pub(crate) withdrawn: Option<Arc<Grant>>,
    /// What is left of its rate limit.
    pub(crate) allowance: Option<Allowance>,
}

impl Seen {
    /// Adds to what is known.
    pub(crate) fn learn(&self, add: impl FnOnce(&mut Learnt)) {
        add(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
    /// All that is known now.
    pub(crate) fn learnt(&self) -> Learnt {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
