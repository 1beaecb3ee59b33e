//! The clock, passed in wherever time matters, so that tests and simulations own it.

use std::time::Duration;

use jiff::Timestamp;

/// Tells the time in UTC.
pub trait Clock: Send + Sync + 'static {
    /// The present moment. It may jump backwards; callers never assume that it does not.
    fn now(&self) -> Timestamp;

    /// How long a span of this clock takes on the wall's: what to sleep for. Shorter where this clock runs faster, as in a
    /// demonstration.
    fn real(&self, span: Duration) -> Duration {
        span
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn real(&self, span: Duration) -> Duration {
        (**self).real(span)
    }
}
