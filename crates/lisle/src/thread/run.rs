//! What a thread does.
#![forbid(unsafe_code)]

/// Something a thread can do: a callable, or a type of your own.
///
/// # Examples
/// ```
/// use lisle::thread::{self, Run};
///
/// struct Sum(Vec<u64>);
///
/// impl Run for Sum {
///     type Output = u64;
///
///     fn run(self) -> u64 {
///         self.0.iter().sum()
///     }
/// }
///
/// let sum = thread::create(Sum(vec![1, 2, 3]));
/// assert!(!sum.is_alive());
/// sum.start().unwrap();
/// assert_eq!(sum.join().unwrap(), 6);
/// ```
pub trait Run: Send + 'static {
    /// What comes of it.
    type Output: Send + 'static;

    /// Does it. Called once, on the thread.
    fn run(self) -> Self::Output;

    #[doc(hidden)]
    fn target() -> Option<&'static str> {
        None
    }
}

impl<F, T> Run for F
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn run(self) -> T {
        self()
    }

    fn target() -> Option<&'static str> {
        target_of::<F>()
    }
}

/// The name of a function, for the names of the threads that run it. Other callables have none.
pub(crate) fn target_of<F>() -> Option<&'static str> {
    if size_of::<F>() != 0 {
        return None; // a closure that holds something, a pointer, a box
    }
    let path = std::any::type_name::<F>();
    let path = path.split_once('<').map_or(path, |(path, _)| path);
    let last = path.rsplit("::").next()?;
    let is_name = last.chars().all(|c| c.is_alphanumeric() || c == '_') && !last.is_empty();
    is_name.then_some(last)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn fetch() {}
    fn fetch_all<T>() {}

    fn of<F: FnOnce()>(_: &F) -> Option<&'static str> {
        target_of::<F>()
    }

    #[test]
    fn functions_have_names_and_closures_have_none() {
        assert_eq!(of(&fetch), Some("fetch"));
        assert_eq!(of(&fetch_all::<Vec<u8>>), Some("fetch_all"));
        assert_eq!(of(&|| ()), None);
        let pointer: fn() = fetch;
        assert_eq!(of(&pointer), None);
        let boxed: Box<dyn FnOnce()> = Box::new(fetch);
        assert_eq!(of(&boxed), None);
    }
}
