//! Linux: the kernel's futex and `membarrier`.

use super::super::name::shorten;
use super::FutexWait;
use super::atomic::{AtomicBool, AtomicU32, Ordering};
use std::io::Write;
use std::time::Instant;

/// Sleeps while `word` holds `expected`, until woken or until `deadline`.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> FutexWait {
    // The time limit is relative: `Instant` does not say which clock reading it stands for, and
    // FUTEX_WAIT without CLOCK_REALTIME counts on the monotonic clock, as `Instant` does.
    let mut limit = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let limit_ptr = match deadline {
        None => std::ptr::null(),
        Some(at) => {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return FutexWait::Expired;
            }
            limit.tv_sec = libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX);
            limit.tv_nsec = left.subsec_nanos() as _;
            &raw const limit
        }
    };
    // SAFETY: `word` is a live, aligned 32-bit word for the length of the call, and `limit_ptr` is
    // null or points to a timespec that outlives it. The kernel writes to neither.
    let result = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, limit_ptr)
    };
    if result == 0 {
        return FutexWait::Woken;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => FutexWait::Expired,
        Some(libc::EINTR) => FutexWait::Signalled,
        _ => FutexWait::Woken, // EAGAIN: the word had changed
    }
}

/// Wakes the one thread that may sleep on `word`.
pub(crate) fn futex_wake(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE only uses the address as a key; it reads and writes no memory there.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
    }
}

const MEMBARRIER_PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const MEMBARRIER_REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

/// Whether the light side of the barrier may be light: true once the kernel has taken our
/// registration. A thread that still reads `false` runs a full fence, which is always right.
static ASYMMETRIC: AtomicBool = AtomicBool::new(false);
/// Whether the kernel has been asked. Not a `Once`, which a fork could leave begun for ever: to ask
/// twice does no harm.
static ASKED: AtomicBool = AtomicBool::new(false);

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier takes no pointers; unknown commands answer EINVAL or ENOSYS.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Registers this process for [`heavy_barrier`]; called when a thread first meets the library.
pub(crate) fn register_barrier() {
    if !ASKED.load(Ordering::Acquire) {
        if membarrier(MEMBARRIER_REGISTER_PRIVATE_EXPEDITED) {
            ASYMMETRIC.store(true, Ordering::SeqCst);
        }
        ASKED.store(true, Ordering::Release);
    }
}

/// True when a store followed by a load needs only [`light_barrier`] against [`heavy_barrier`];
/// false: a full fence must stand between the two.
#[inline(always)]
pub(crate) fn barrier_is_asymmetric() -> bool {
    ASYMMETRIC.load(Ordering::Relaxed)
}

/// The cheap side of the asymmetric barrier: keeps the compiler from moving the load up. The
/// processor may still do so; [`heavy_barrier`] on the other side makes up for it.
#[inline(always)]
pub(crate) fn light_barrier() {
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// The dear side: when it returns, every running thread of the process has executed a full fence.
/// Costs microseconds; only for a thread that is about to sleep, which costs more.
pub(crate) fn heavy_barrier() {
    register_barrier();
    std::sync::atomic::fence(Ordering::SeqCst);
    if barrier_is_asymmetric() && !membarrier(MEMBARRIER_PRIVATE_EXPEDITED) {
        // The registration is gone (a child of a raw clone): renew it, once.
        if !(membarrier(MEMBARRIER_REGISTER_PRIVATE_EXPEDITED) && membarrier(MEMBARRIER_PRIVATE_EXPEDITED)) {
            // Locks were released in the trust that this works. Nor can it panic: a caller may have
            // to come back with a lock held.
            let _ = writeln!(std::io::stderr(), "lisle: the kernel took back membarrier, on which locks rely");
            std::process::abort();
        }
    }
}

/// Gives up the processor for a moment.
#[inline]
pub(crate) fn yield_now() {
    std::thread::yield_now();
}

/// The kernel's id of the calling thread.
pub(crate) fn native_id() -> u32 {
    // SAFETY: gettid has no preconditions.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// How much time of a processor the thread of this process has used.
#[cfg(feature = "watch")]
pub(crate) fn cpu_time(native_id: u32) -> Option<std::time::Duration> {
    // How the kernel writes the clock of one thread: its number, inverted, beside what is measured (2, the
    // scheduler's count) and of what (4, one thread).
    let clock = (!native_id << 3 | 4 | 2) as libc::clockid_t;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec to write to; a clock of a thread that is gone answers EINVAL.
    let known = native_id != 0 && unsafe { libc::clock_gettime(clock, &raw mut time) } == 0;
    known.then(|| std::time::Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32))
}

/// Whether the calling thread is the process's main thread. The kernel knows to the end, also when
/// the thread's locals are gone (`_late`).
pub(crate) fn is_main_thread(_late: bool) -> bool {
    native_id() == std::process::id()
}

/// What the kernel takes of a name: 15 bytes.
pub(crate) const NATIVE_NAME: usize = 15;

/// Tells the kernel the calling thread's name, shortened so that the tail stays, because that is
/// where the number is ("raftstore-apply-worker-0007" becomes "raft..rker-0007").
pub(crate) fn set_native_name(name: &str) {
    let Ok(short) = std::ffi::CString::new(shorten(name, NATIVE_NAME)) else { return };
    // SAFETY: PR_SET_NAME reads a NUL-terminated string of which it takes 15 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, short.as_ptr(), 0, 0, 0) };
}

/// Tells the kernel another thread's name. That the thread has ended or `/proc` is not there
/// leaves the name as it is: it is for the eyes only.
pub(crate) fn set_native_name_of(native_id: u32, name: &str) {
    let _ = std::fs::write(format!("/proc/self/task/{native_id}/comm"), shorten(name, NATIVE_NAME));
}

/// Nothing to hold across a fork: the kernel's futex has no state of its own.
pub(crate) type Closed = ();

pub(crate) fn close() -> Closed {}
