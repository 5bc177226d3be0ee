//! Queues with another order than that of arrival.

use super::pile::{Lifo, Smallest};
use super::{Iter, Queue, bound};
use crate::park::sys::const_fn;
use std::fmt;
use std::ops::Deref;
use std::panic::Location;

macro_rules! ordered {
    ($(#[$meta:meta])* $name:ident, $store:ident $(, $ord:path)?) => {
        $(#[$meta])*
        pub struct $name<T>(Queue<T, $store<T>>);

        impl<T> $name<T> {
            const_fn! {
                /// A queue with room for any number of items.
                #[track_caller]
                pub const fn new() -> $name<T> {
                    $name::unbounded()
                }
            }

            const_fn! {
                /// [`new`](Self::new), by a name that says more.
                #[track_caller]
                pub const fn unbounded() -> $name<T> {
                    $name(Queue::over($store::new(usize::MAX), Location::caller()))
                }
            }

            const_fn! {
                /// A queue with room for `capacity` items.
                ///
                /// # Panics
                /// If `capacity` is 0.
                #[track_caller]
                pub const fn bounded(capacity: usize) -> $name<T> {
                    $name(Queue::over($store::new(bound(capacity)), Location::caller()))
                }
            }

            /// The same queue, which reports call by `name`.
            #[must_use]
            pub fn with_name(self, name: impl Into<String>) -> $name<T> {
                $name(self.0.with_name(name))
            }
        }

        impl<T> Deref for $name<T> {
            type Target = Queue<T, $store<T>>;

            #[inline(always)]
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl<T> Default for $name<T> {
            #[track_caller]
            fn default() -> $name<T> {
                $name::new()
            }
        }

        impl<T $(: $ord)?> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'a, T $(: $ord)?> IntoIterator for &'a $name<T> {
            type Item = T;
            type IntoIter = Iter<'a, T, $store<T>>;

            fn into_iter(self) -> Self::IntoIter {
                self.0.iter()
            }
        }
    };
}

ordered! {
    /// A [`Queue`] that gives out first what came last. All methods of `Queue` are its methods.
    ///
    /// ```
    /// let queue = lisle::queue::LifoQueue::new();
    /// queue.put_many([1, 2, 3]).unwrap();
    /// assert_eq!(queue.get_many(3).unwrap(), [3, 2, 1]);
    /// ```
    LifoQueue, Lifo
}

ordered! {
    /// A [`Queue`] that gives out the smallest item first, and of equal ones the one that came
    /// first. All methods of `Queue` are its methods.
    ///
    /// Items are compared while the queue is locked. If a comparison panics, so does the call; the
    /// queue stays usable and no item is lost (one that was being put is in), but for those that
    /// are in, the order is no longer sure. A comparison that uses the same queue is a deadlock,
    /// which is reported.
    ///
    /// ```
    /// use std::cmp::Reverse;
    ///
    /// let queue = lisle::queue::PriorityQueue::new();
    /// queue.put_many([2, 3, 1]).unwrap();
    /// assert_eq!(queue.get_many(3).unwrap(), [1, 2, 3]);
    ///
    /// let largest_first = lisle::queue::PriorityQueue::new();
    /// largest_first.put_many([2, 3, 1].map(Reverse)).unwrap();
    /// assert_eq!(largest_first.get(), Ok(Reverse(3)));
    /// ```
    PriorityQueue, Smallest, Ord
}
