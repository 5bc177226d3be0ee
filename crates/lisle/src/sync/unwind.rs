//! What a panic may leave behind for who goes on after it: the same as in `std`.
//!
//! These are no guard rails that memory depends on. Where `std` marks the value as poisoned, here
//! the lock is free again, and what was half done to the value stays half done.
#![forbid(unsafe_code)]

use super::{Barrier, Mutex, ReentrantMutex, RwLock};
use std::panic::{RefUnwindSafe, UnwindSafe};

impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

// Gives shared references only, so it is as good as what is in it.
impl<T: UnwindSafe + ?Sized> UnwindSafe for ReentrantMutex<T> {}
impl<T: RefUnwindSafe + ?Sized> RefUnwindSafe for ReentrantMutex<T> {}

impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}
