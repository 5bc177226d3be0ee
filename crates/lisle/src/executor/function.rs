//! One interface for threads and processes.

use super::{Future, SubmitError};
use std::fmt;

/// A function with a name that is the same in all processes of a program: what an [`Executor`] calls,
/// be it on a thread of this process or in another one.
///
/// The name is yours to choose; it stands in reports and errors. For other processes the function has
/// to be registered under it.
///
/// # Examples
/// ```
/// use lisle::executor::Function;
///
/// fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// const SQUARE: Function<u64, u64> = Function::new("square", square);
/// assert_eq!(SQUARE.name(), "square");
/// assert_eq!(SQUARE.call(7), 49);
/// ```
pub struct Function<A, R> {
    name: &'static str,
    function: fn(A) -> R,
}

impl<A, R> Function<A, R> {
    /// `function`, by this name.
    pub const fn new(name: &'static str, function: fn(A) -> R) -> Function<A, R> {
        Function { name, function }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Calls the function here and now.
    pub fn call(&self, argument: A) -> R {
        (self.function)(argument)
    }
}

impl<A, R> Clone for Function<A, R> {
    fn clone(&self) -> Function<A, R> {
        *self
    }
}

impl<A, R> Copy for Function<A, R> {}

impl<A, R> fmt::Debug for Function<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Function").field(&self.name).finish()
    }
}

/// What runs submitted calls: the interface that pools of threads and of processes have in common.
///
/// # Examples
/// ```
/// use lisle::executor::{Executor, Function, ThreadPoolExecutor};
///
/// const SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
///
/// fn sum_of_squares(executor: &impl Executor<u64, u64>) -> u64 {
///     let squares: Vec<_> = (1..=4).map(|n| executor.call(SQUARE, n).unwrap()).collect();
///     squares.iter().map(|square| square.result().unwrap()).sum()
/// }
///
/// assert_eq!(sum_of_squares(&ThreadPoolExecutor::new()), 30);
/// ```
pub trait Executor<A, R> {
    /// Has `function` called with `argument`; the future is the handle on its result. Blocks only if
    /// the executor was made to, for want of room.
    ///
    /// # Errors
    /// If the executor does not take the call, with the reason.
    fn call(&self, function: Function<A, R>, argument: A) -> Result<Future<R>, SubmitError>;

    /// Takes no more calls, and has those that are pending run, or cancels them. Does not wait.
    fn close(&self, pending: Pending);
}

/// What becomes of calls that are pending when an executor is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pending {
    /// They are run.
    Run,
    /// They are cancelled.
    Cancel,
}
