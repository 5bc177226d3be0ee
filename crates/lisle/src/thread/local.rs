//! `Local`: a value per thread, and per instance.

use crate::park::current;
use crate::park::sys::PlainLock;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// A value of which each thread has its own, made when the thread first asks for it. Where
/// `thread_local!` makes a static, this is a value itself: each instance has its own values, and
/// may be made and dropped at any time.
///
/// A value is dropped when its thread ends, on that thread, or when the `Local` is dropped, on the
/// thread that does so. Hence `T: Send`; it need not be `Sync`, as no two threads see one value.
/// Values that the destructor of a `thread_local!` makes may stay until the `Local` goes.
///
/// In the child of a fork, a `Local` for which another thread was just making or dropping its value
/// must not be used: that may hang.
///
/// # Examples
/// ```
/// use lisle::thread::{self, Local};
/// use std::cell::Cell;
///
/// let calls = Local::new(|| Cell::new(0));
/// thread::scope(|s| {
///     for thread in 1..=3 {
///         let calls = &calls;
///         s.spawn(move || {
///             (0..thread).for_each(|_| calls.set(calls.get() + 1));
///             assert_eq!(calls.get(), thread);
///         });
///     }
/// });
/// assert_eq!(calls.get(), 0);
/// ```
pub struct Local<T: Send + 'static> {
    id: u64,
    home: Arc<Home<T>>,
}

/// What an instance owns: each thread's value, by the thread's number.
struct Home<T> {
    init: Box<dyn Fn() -> T + Send + Sync>,
    values: PlainLock<HashMap<NonZeroU64, Arc<Own<T>>>>,
}

/// A value that only one thread looks at.
struct Own<T>(T);

// SAFETY: `Local::with` alone reads the value, and it finds the value of the calling thread only.
// What other threads do with an `Own` is to drop it, for which `T: Send` is enough.
unsafe impl<T: Send> Sync for Own<T> {}

/// An instance, as a thread that ends sees it.
trait Remember: Send + Sync {
    /// Drops the value of that thread.
    fn forget(&self, thread: NonZeroU64);
}

impl<T: Send + 'static> Remember for Home<T> {
    fn forget(&self, thread: NonZeroU64) {
        let value = self.values.lock().remove(&thread);
        drop(value); // not under the lock: its destructor may come back here
    }
}

/// One of a thread's values, and the instance that owns it.
type Entry = (Weak<dyn Any + Send + Sync>, Weak<dyn Remember>);

/// What a thread knows of its values: the fast way to them, and whom to tell at its end.
#[derive(Default)]
struct Known {
    thread: Option<NonZeroU64>,
    values: HashMap<u64, Entry>,
}

impl Drop for Known {
    fn drop(&mut self) {
        for (_, home) in self.values.values() {
            if let (Some(home), Some(thread)) = (home.upgrade(), self.thread) {
                home.forget(thread);
            }
        }
    }
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

impl<T: Send + 'static> Local<T> {
    /// An instance whose values are made by `init`, on the thread that each is for.
    pub fn new(init: impl Fn() -> T + Send + Sync + 'static) -> Local<T> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let home = Home { init: Box::new(init), values: PlainLock::new(HashMap::new()) };
        Local { id: NEXT.fetch_add(1, Ordering::Relaxed), home: Arc::new(home) }
    }

    /// Calls `use_it` with the calling thread's value.
    ///
    /// # Panics
    /// If `init` or `use_it` do.
    pub fn with<R>(&self, use_it: impl FnOnce(&T) -> R) -> R {
        let known = KNOWN.try_with(|known| {
            let value = known.borrow().values.get(&self.id)?.0.upgrade()?;
            value.downcast::<Own<T>>().ok()
        });
        let value = known.ok().flatten().unwrap_or_else(|| self.look_up());
        use_it(&value.0)
    }

    /// The calling thread's value, which it does not know: usually because there is none yet.
    #[cold]
    fn look_up(&self) -> Arc<Own<T>> {
        let thread = current::with(|me| me.serial);
        let there = self.home.values.lock().get(&thread).cloned();
        there.unwrap_or_else(|| self.make(thread))
    }

    fn make(&self, thread: NonZeroU64) -> Arc<Own<T>> {
        let value = Arc::new(Own((self.home.init)()));
        let before = self.home.values.lock().insert(thread, value.clone());
        drop(before); // one that `init` made by asking for the value it was to make
        let entry: Entry = (Arc::downgrade(&value) as _, Arc::downgrade(&self.home) as _);
        let _ = KNOWN.try_with(|known| {
            let mut known = known.borrow_mut();
            known.thread = Some(thread);
            if known.values.len() == known.values.capacity() {
                known.values.retain(|_, (value, _)| value.strong_count() > 0); // of instances that are gone
            }
            known.values.insert(self.id, entry);
        });
        value
    }
}

// As a `LocalKey`, which gives a shared reference too.
impl<T: Send> UnwindSafe for Local<T> {}
impl<T: Send> RefUnwindSafe for Local<T> {}

/// As on a [`LocalKey`](std::thread::LocalKey) of a cell.
impl<T: Send + 'static> Local<Cell<T>> {
    /// Sets the calling thread's value.
    pub fn set(&self, value: T) {
        self.with(|cell| cell.set(value));
    }

    /// A copy of the calling thread's value.
    pub fn get(&self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    /// Takes the calling thread's value and leaves the default.
    pub fn take(&self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    /// Sets the calling thread's value and returns what it was.
    pub fn replace(&self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

/// As on a [`LocalKey`](std::thread::LocalKey) of a `RefCell`; they panic where that does.
impl<T: Send + 'static> Local<RefCell<T>> {
    /// Calls `use_it` with a borrow of the calling thread's value.
    pub fn with_borrow<R>(&self, use_it: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| use_it(&cell.borrow()))
    }

    /// Calls `use_it` with a mutable borrow of the calling thread's value.
    pub fn with_borrow_mut<R>(&self, use_it: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| use_it(&mut cell.borrow_mut()))
    }

    /// Sets the calling thread's value.
    pub fn set(&self, value: T) {
        self.with(|cell| cell.replace(value));
    }

    /// Takes the calling thread's value and leaves the default.
    pub fn take(&self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    /// Sets the calling thread's value and returns what it was.
    pub fn replace(&self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: Send + Default + 'static> Default for Local<T> {
    fn default() -> Local<T> {
        Local::new(T::default)
    }
}

impl<T: Send + fmt::Debug + 'static> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|value| f.debug_tuple("Local").field(value).finish())
    }
}
