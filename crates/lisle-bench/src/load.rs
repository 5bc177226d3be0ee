//! Who used the cores: this program, other programs, or the host of a virtual machine.

use std::mem::MaybeUninit;
use std::time::Duration;
use std::{fmt, fs};

/// The ticks of all cores since the system started.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    all: f64,
    others: f64,
    host: f64,
}

impl Load {
    pub(crate) fn now() -> Load {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let mut ticks = text.split_whitespace().skip(1).map_while(|word| word.parse::<f64>().ok());
        let [user, nice, system, idle, waiting, irq, softirq, host] = [(); 8].map(|()| ticks.next().unwrap_or(0.0));
        let busy = user + nice + system + irq + softirq;
        Load { all: busy + idle + waiting + host, others: busy - own_ticks(), host }
    }

    pub(crate) fn since(self, before: Load) -> Share {
        let all = (self.all - before.all).max(1.0);
        Share { others: ((self.others - before.others) / all).max(0.0), host: (self.host - before.host) / all }
    }
}

/// The part of the cores that this program did not have.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    others: f64,
    host: f64,
}

impl Share {
    /// What others had, in percent, where it was enough to have moved the numbers. The host is not
    /// to blame: what it takes is mostly what it needs to wake a core that these very threads have
    /// left idle.
    pub(crate) fn disturbance(self) -> Option<f64> {
        (self.others >= 0.05).then_some(self.others * 100.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [others, host] = [self.others, self.host].map(|part| part * 100.0);
        write!(out, "other programs had {others:.0} % of the cores, the host of this machine {host:.0} %")
    }
}

/// What this process and its children have used, in the ticks of `/proc/stat`.
fn own_ticks() -> f64 {
    let mut times = MaybeUninit::<libc::tms>::zeroed();
    // SAFETY: the pointer is valid for writes, and all zero is a value of its type too.
    let times = unsafe {
        libc::times(times.as_mut_ptr());
        times.assume_init()
    };
    (times.tms_utime + times.tms_stime + times.tms_cutime + times.tms_cstime) as f64
}

/// What this process has used of the cores so far.
pub(crate) fn process_time() -> Duration {
    time(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// What this thread has used of the cores so far.
pub(crate) fn thread_time() -> Duration {
    time(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn time(clock: libc::clockid_t) -> Duration {
    let mut time = MaybeUninit::uninit();
    // SAFETY: the pointer is valid for writes, and a call that succeeds has written the time.
    let time = unsafe {
        assert_eq!(libc::clock_gettime(clock, time.as_mut_ptr()), 0);
        time.assume_init()
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The bytes of this process that are in memory.
pub(crate) fn resident() -> f64 {
    // SAFETY: it only asks.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let pages =
        fs::read_to_string("/proc/self/statm").ok().and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok());
    pages.map_or(f64::NAN, |pages| pages * page as f64)
}
