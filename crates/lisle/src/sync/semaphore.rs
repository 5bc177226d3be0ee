//! `Semaphore` and `BoundedSemaphore`: permits that threads take and give back.

use super::raw_semaphore::{RawSemaphore, TooMany};
use crate::park::sys::const_fn;
use crate::park::{Limit, WaitError};
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// A number of permits. A thread that wants one waits until there is one.
///
/// Permits belong to nobody: one thread may take them and another give them back, and any thread
/// may [`release`](Semaphore::release) more than there were at the beginning. Where that would be a
/// mistake, use a [`BoundedSemaphore`].
///
/// # Fairness
/// A thread that comes at the right moment may get a permit before those that sleep for one. Among
/// those, the one that has waited longest is served first, also if it wants many and others behind
/// it few. Once it has waited for a millisecond, permits are handed to it, and kept for it until
/// there are as many as it wants; that begins for at most one thread in each millisecond. A thread
/// that wants more permits than will ever be there keeps the others waiting.
///
/// # Examples
/// ```
/// use lisle::sync::Semaphore;
///
/// static SEATS: Semaphore = Semaphore::new(2);
///
/// let first = SEATS.access().unwrap();
/// SEATS.acquire().unwrap();
/// assert!(!SEATS.try_acquire());
/// drop(first); // gives it back
/// SEATS.release();
/// assert_eq!(SEATS.available(), 2);
/// ```
pub struct Semaphore {
    raw: RawSemaphore,
}

/// A [`Semaphore`] that knows how many permits there may be: as many as at its beginning. Giving
/// back more is an error.
///
/// # Fairness
/// As of [`Semaphore`].
///
/// # Examples
/// ```
/// use lisle::sync::BoundedSemaphore;
///
/// static LICENCES: BoundedSemaphore = BoundedSemaphore::new(1);
///
/// LICENCES.acquire().unwrap();
/// LICENCES.release().unwrap();
/// let error = LICENCES.release().unwrap_err();
/// assert!(error.to_string().contains("given back more often than taken"));
/// ```
pub struct BoundedSemaphore {
    raw: RawSemaphore,
    bound: u32,
}

const _: () = assert!(size_of::<Semaphore>() <= 8 || cfg!(loom));

/// What the two have in common.
macro_rules! common {
    ($Semaphore:ident) => {
        impl $Semaphore {
            /// Takes a permit, waiting as long as it takes.
            ///
            /// # On interrupt
            /// `Interrupted`; no permit was taken. If one was handed over at the same moment that
            /// counts, and the interrupt stays pending.
            ///
            /// # Errors
            /// `Interrupted` is the only one.
            #[inline]
            #[track_caller]
            pub fn acquire(&self) -> Result<(), WaitError> {
                self.raw.acquire(1, Limit::Never, Location::caller())
            }

            /// Takes a permit if that takes no waiting; tells whether it did.
            #[inline]
            pub fn try_acquire(&self) -> bool {
                self.raw.try_acquire(1)
            }

            #[doc = concat!("[`acquire`](", stringify!($Semaphore), "::acquire) within `limit`;")]
            /// `Duration::MAX` is for ever.
            ///
            /// # On timeout
            /// `TimedOut`; the semaphore is as if the call had not been.
            #[inline]
            #[track_caller]
            pub fn acquire_for(&self, limit: Duration) -> Result<(), WaitError> {
                self.raw.acquire(1, Limit::For(limit), Location::caller())
            }

            #[doc = concat!("[`acquire_for`](", stringify!($Semaphore), "::acquire_for), with the limit")]
            /// as a point in time; one in the past means not to wait at all.
            #[inline]
            #[track_caller]
            pub fn acquire_until(&self, limit: Instant) -> Result<(), WaitError> {
                self.raw.acquire(1, Limit::Until(limit), Location::caller())
            }

            /// Takes `n` permits at once: all of them or none.
            ///
            /// # On interrupt
            #[doc = concat!("As of [`acquire`](", stringify!($Semaphore), "::acquire).")]
            ///
            /// # Errors
            /// `Interrupted` is the only one.
            #[inline]
            #[track_caller]
            pub fn acquire_many(&self, n: u32) -> Result<(), WaitError> {
                self.raw.acquire(n, Limit::Never, Location::caller())
            }

            /// Takes `n` permits if that takes no waiting; tells whether it did.
            #[inline]
            pub fn try_acquire_many(&self, n: u32) -> bool {
                self.raw.try_acquire(n)
            }

            #[doc = concat!("[`acquire_many`](", stringify!($Semaphore), "::acquire_many) within `limit`.")]
            ///
            /// # On timeout
            /// `TimedOut`; the semaphore is as if the call had not been.
            #[inline]
            #[track_caller]
            pub fn acquire_many_for(&self, n: u32, limit: Duration) -> Result<(), WaitError> {
                self.raw.acquire(n, Limit::For(limit), Location::caller())
            }

            #[doc = concat!("[`acquire_many_for`](", stringify!($Semaphore), "::acquire_many_for), with")]
            /// the limit as a point in time.
            #[inline]
            #[track_caller]
            pub fn acquire_many_until(&self, n: u32, limit: Instant) -> Result<(), WaitError> {
                self.raw.acquire(n, Limit::Until(limit), Location::caller())
            }

            /// Takes a permit that gives itself back when dropped.
            ///
            /// # On interrupt
            #[doc = concat!("As of [`acquire`](", stringify!($Semaphore), "::acquire).")]
            ///
            /// # Errors
            /// `Interrupted` is the only one.
            #[inline]
            #[track_caller]
            pub fn access(&self) -> Result<Permit<'_>, WaitError> {
                self.raw.acquire(1, Limit::Never, Location::caller()).map(|()| self.permit())
            }

            /// Takes a permit that gives itself back when dropped, if that takes no waiting.
            #[inline]
            pub fn try_access(&self) -> Option<Permit<'_>> {
                self.raw.try_acquire(1).then(|| self.permit())
            }

            #[doc = concat!("[`access`](", stringify!($Semaphore), "::access) within `limit`.")]
            ///
            /// # On timeout
            /// `TimedOut`; the semaphore is as if the call had not been.
            #[inline]
            #[track_caller]
            pub fn access_for(&self, limit: Duration) -> Result<Permit<'_>, WaitError> {
                self.raw.acquire(1, Limit::For(limit), Location::caller()).map(|()| self.permit())
            }

            #[doc = concat!("[`access_for`](", stringify!($Semaphore), "::access_for), with the limit as")]
            /// a point in time.
            #[inline]
            #[track_caller]
            pub fn access_until(&self, limit: Instant) -> Result<Permit<'_>, WaitError> {
                self.raw.acquire(1, Limit::Until(limit), Location::caller()).map(|()| self.permit())
            }

            fn permit(&self) -> Permit<'_> {
                Permit { semaphore: &self.raw, most: self.most() }
            }

            /// How many permits there are at this moment, which may be over when the caller looks.
            pub fn available(&self) -> u32 {
                self.raw.available()
            }
        }

        impl fmt::Debug for $Semaphore {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Semaphore)).field("available", &self.available()).finish_non_exhaustive()
            }
        }
    };
}

common!(Semaphore);
common!(BoundedSemaphore);

impl Semaphore {
    const_fn! {
        /// A semaphore with that many permits.
        pub const fn new(permits: u32) -> Semaphore {
            Semaphore { raw: RawSemaphore::new(permits) }
        }
    }

    /// A semaphore that reports call by `name`; others they call by their address.
    pub fn named(permits: u32, name: impl Into<String>) -> Semaphore {
        Semaphore { raw: RawSemaphore::named(permits, name.into()) }
    }

    fn most(&self) -> u32 {
        u32::MAX
    }

    /// Gives back a permit, or adds one.
    ///
    /// # Panics
    /// If there would be more than [`u32::MAX`].
    #[inline]
    #[track_caller]
    pub fn release(&self) {
        self.release_many(1);
    }

    /// Gives back or adds `n` permits at once. Threads that wait get them in the order in which
    /// they came.
    ///
    /// # Panics
    /// If there would be more than [`u32::MAX`].
    #[inline]
    #[track_caller]
    pub fn release_many(&self, n: u32) {
        if self.raw.release(n, u32::MAX).is_err() {
            panic!("a Semaphore was released until it had more than u32::MAX permits: give back only what was taken");
        }
    }
}

impl BoundedSemaphore {
    const_fn! {
        /// A semaphore with that many permits, and never more.
        pub const fn new(permits: u32) -> BoundedSemaphore {
            BoundedSemaphore { raw: RawSemaphore::new(permits), bound: permits }
        }
    }

    /// A semaphore that reports call by `name`; others they call by their address.
    pub fn named(permits: u32, name: impl Into<String>) -> BoundedSemaphore {
        BoundedSemaphore { raw: RawSemaphore::named(permits, name.into()), bound: permits }
    }

    fn most(&self) -> u32 {
        self.bound
    }

    /// The number of permits if nobody has one.
    pub fn bound(&self) -> u32 {
        self.bound
    }

    /// Gives back a permit.
    ///
    /// # Errors
    /// If all permits are there already; nothing has changed.
    #[inline]
    pub fn release(&self) -> Result<(), ReleaseError> {
        self.release_many(1)
    }

    /// Gives back `n` permits at once, all or none.
    ///
    /// # Errors
    /// If there would be more than the [`bound`](BoundedSemaphore::bound); nothing has changed.
    #[inline]
    pub fn release_many(&self, n: u32) -> Result<(), ReleaseError> {
        self.raw.release(n, self.bound).map_err(|TooMany| ReleaseError { bound: self.bound })
    }
}

/// A [`BoundedSemaphore`] was released beyond its bound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseError {
    bound: u32,
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a permit was given back more often than taken: the semaphore is bounded to {}", self.bound)
    }
}

impl std::error::Error for ReleaseError {}

/// A permit, taken by `access`; gives itself back when dropped.
///
/// If the permit was given back by hand in the meantime, and a [`BoundedSemaphore`] has all its
/// permits therefore, dropping it does nothing.
#[must_use = "the permit is given back at once if it is not kept"]
pub struct Permit<'a> {
    semaphore: &'a RawSemaphore,
    most: u32,
}

impl Permit<'_> {
    /// Does not give it back: that is left to a call of `release`, or to nobody.
    pub fn keep(permit: Self) {
        std::mem::forget(permit);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        let _ = self.semaphore.release(1, self.most);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}
