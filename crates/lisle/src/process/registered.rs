//! The functions that processes can be told to call.
#![forbid(unsafe_code)]

use super::child;
use super::wire::{self, Encoded};
use crate::executor::Function;
use crate::park::sys::PlainLock;
use crate::thread::hook::Panic;
use rustix::fd::OwnedFd;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::TypeId;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A [`Function`] whose argument and value can go from process to process.
pub trait Registered: sealed::Call + Sync {}

impl<A, R> Registered for Function<A, R>
where
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
}

/// What became of a call instead of a value.
pub(super) enum Trouble {
    Panicked(Panic),
    /// In words: the argument or the value cannot be read or written.
    Wire(String),
}

mod sealed {
    use super::{Encoded, OwnedFd, Trouble, TypeId};

    pub trait Call {
        #[doc(hidden)]
        fn name(&self) -> &'static str;

        #[doc(hidden)]
        #[allow(private_interfaces)]
        fn run(&self, argument: &[u8], descriptors: Vec<OwnedFd>, room: Vec<u8>) -> Result<Encoded, Trouble>;

        #[doc(hidden)]
        fn types(&self) -> TypeId;
    }
}

impl<A, R> sealed::Call for Function<A, R>
where
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    fn name(&self) -> &'static str {
        Function::name(self)
    }

    #[allow(private_interfaces)]
    fn run(&self, argument: &[u8], descriptors: Vec<OwnedFd>, room: Vec<u8>) -> Result<Encoded, Trouble> {
        let name = Function::name(self);
        let argument = wire::decode(argument, descriptors)
            .map_err(|reason| Trouble::Wire(format!("the argument of {name:?} cannot be read: {reason}")))?;
        // The value's `Serialize` and `Drop` are the user's as much as the function.
        catch_unwind(AssertUnwindSafe(|| wire::encode(&self.call(argument), room)))
            .map_err(|payload| Trouble::Panicked(Panic::caught(payload)))?
            .map_err(|reason| Trouble::Wire(format!("the value of {name:?} cannot be sent back: {reason}")))
    }

    fn types(&self) -> TypeId {
        TypeId::of::<(A, R)>()
    }
}

static TABLE: PlainLock<Option<Vec<&'static dyn Registered>>> = PlainLock::new(None);

/// Says which functions other processes of this program may call. To be called first thing in `main`.
///
/// A process is this program started again. In it, this call does what the process is there for and
/// **does not return**: nothing of `main` runs but what stands before it, so nothing should. In the
/// program that the user has started, it takes note of the functions and returns.
///
/// A second call adds to the first.
///
/// # Panics
/// If two functions have one name.
///
/// # Examples
/// ```no_run
/// use lisle::executor::Function;
/// use lisle::process;
///
/// const SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
///
/// fn main() {
///     process::init(&[&SQUARE]);
///     let square = process::spawn(SQUARE, 7).unwrap();
///     assert_eq!(square.join().unwrap(), 49);
/// }
/// ```
pub fn init(functions: &[&'static dyn Registered]) {
    {
        let mut table = TABLE.lock();
        let table = table.get_or_insert_default();
        for &function in functions {
            let taken = table.iter().any(|known| known.name() == function.name());
            assert!(!taken, "two functions are called {:?}: every process must know which is meant", function.name());
            table.push(function);
        }
    }
    if let Some(setup) = child::arrived() {
        child::serve(setup);
    }
}

pub(super) enum Lookup {
    Found,
    NotInitialised,
    NotRegistered,
}

/// Whether `function` is known by its name, with its types.
pub(super) fn look_up<A: 'static, R: 'static>(function: Function<A, R>) -> Lookup {
    match &*TABLE.lock() {
        None => Lookup::NotInitialised,
        Some(table) => {
            let same = |known: &&&'static dyn Registered| {
                known.name() == function.name() && known.types() == TypeId::of::<(A, R)>()
            };
            if table.iter().find(same).is_some() { Lookup::Found } else { Lookup::NotRegistered }
        }
    }
}

/// The function that is registered under `name`.
pub(super) fn by_name(name: &str) -> Option<&'static dyn Registered> {
    TABLE.lock().as_ref()?.iter().copied().find(|known| known.name() == name)
}
