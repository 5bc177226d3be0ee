//! `.await`: a future of ours as one of `std`'s.

use super::core::{Done, Listener, Watcher};
use super::failure::FutureError;
use super::future::Future;
use crate::park::Limit;
use crate::park::sys::InnerLock;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The waker of one handle: the last it was polled with, told once.
pub(super) struct Alarm(InnerLock<Option<Waker>>);

impl Listener for Alarm {
    fn tell(&self, _: usize, _: Done) {
        let waker = self.0.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Gives what [`result`](Future::result) gives. Any runtime will do, also none of note. A handle wakes
/// the task that polled it last; tasks that wait for one future have a clone each.
///
/// # Examples
/// ```
/// use lisle::executor::Promise;
/// use std::future::Future;
/// use std::pin::pin;
/// use std::task::{Context, Poll, Waker};
///
/// let promise = Promise::new();
/// let mut answer = pin!(async { promise.future().await.unwrap() + 1 });
/// let mut context = Context::from_waker(Waker::noop());
/// assert!(answer.as_mut().poll(&mut context).is_pending());
/// promise.set(41).unwrap();
/// assert_eq!(answer.poll(&mut context), Poll::Ready(42));
/// ```
impl<T: Send> std::future::Future for Future<T> {
    type Output = Result<T, FutureError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let site = Location::caller();
        if self.is_done() {
            return Poll::Ready(self.core().take(Limit::Never, site));
        }
        let this = self.get_mut();
        let waker = Some(context.waker().clone());
        match &this.alarm {
            Some(alarm) => {
                let old = std::mem::replace(&mut *alarm.0.lock(), waker);
                drop(old); // a waker's destructor may be anybody's code: not under the lock
            }
            None => {
                let alarm = Arc::new(Alarm(InnerLock::new(waker)));
                this.alarm = Some(alarm.clone());
                this.watch(Watcher::Tell(alarm, 0));
            }
        }
        // Done after the look above, perhaps before the waker was in.
        if this.is_done() { Poll::Ready(this.core().take(Limit::Never, site)) } else { Poll::Pending }
    }
}
