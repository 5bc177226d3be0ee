//! A value that is replaced while others read it, without a lock that a fork could catch held.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The last of the values set. The earlier ones stay until the whole goes, so that a reference
/// handed out stays good.
pub(crate) struct Latest<T: Send + Sync>(AtomicPtr<Version<T>>);

struct Version<T> {
    value: T,
    before: *mut Version<T>,
}

impl<T: Send + Sync> Latest<T> {
    pub(crate) const fn none() -> Latest<T> {
        Latest(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn set(&self, value: T) {
        let mut before = self.0.load(Ordering::Acquire);
        let mut new = Box::new(Version { value, before });
        loop {
            let pointer = Box::into_raw(new);
            match self.0.compare_exchange(before, pointer, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => {
                    before = now;
                    // SAFETY: made from a box a moment ago, and not handed to anybody.
                    new = unsafe { Box::from_raw(pointer) };
                    new.before = before;
                }
            }
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: null, or a version that `set` published with release; it is freed by our `drop`
        // alone, which `&self` keeps off.
        unsafe { self.0.load(Ordering::Acquire).as_ref().map(|version| &version.value) }
    }
}

impl<T: Send + Sync> Drop for Latest<T> {
    fn drop(&mut self) {
        let mut next = *self.0.get_mut();
        while !next.is_null() {
            // SAFETY: each version came from a box in `set` and stands in the list once; nobody
            // reads it, as we have `&mut self`.
            next = unsafe { Box::from_raw(next) }.before;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_last_counts_and_all_go_in_the_end() {
        let value = Arc::new(());
        let latest = Latest::none();
        assert!(latest.get().is_none());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (latest, value) = (&latest, &value);
                scope.spawn(move || {
                    for round in 0..100 {
                        latest.set((thread, round, value.clone()));
                        assert!(latest.get().is_some());
                    }
                });
            }
        });
        assert_eq!(latest.get().map(|&(_, round, _)| round), Some(99));
        assert_eq!(Arc::strong_count(&value), 401);
        drop(latest);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
