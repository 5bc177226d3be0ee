//! Thread names: whole for us, short for the kernel.

use super::latest::Latest;

/// A thread's name, which may change while others read it. Old names stay until the thread's
/// record goes, so that a `&str` handed out stays good without a lock.
pub(crate) struct Name(Latest<Box<str>>);

impl Name {
    pub(crate) fn new(name: String) -> Name {
        let this = Name(Latest::none());
        this.0.set(name.into_boxed_str());
        this
    }

    /// Changes the name; an equal one leaves the old in place.
    pub(crate) fn set(&self, name: String) {
        if self.get() != name {
            self.0.set(name.into_boxed_str());
        }
    }

    pub(crate) fn get(&self) -> &str {
        self.0.get().expect("set by `new`")
    }
}

/// At most `max` bytes of `name`: itself, or a piece of its head, two dots and its tail.
pub(crate) fn shorten(name: &str, max: usize) -> String {
    // Each thread that begins comes here: nothing is copied twice, and names have a zero in them almost never.
    let without_zeros = |name: String| if name.contains('\0') { name.replace('\0', " ") } else { name };
    if name.len() <= max {
        return without_zeros(name.to_owned());
    }
    let tail = max * 3 / 5;
    let mut head_end = max - tail - 2;
    while !name.is_char_boundary(head_end) {
        head_end -= 1;
    }
    let mut tail_start = name.len() - tail;
    while !name.is_char_boundary(tail_start) {
        tail_start += 1;
    }
    without_zeros([&name[..head_end], "..", &name[tail_start..]].concat())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_number_survives() {
        assert_eq!(shorten("raftstore-apply-worker-0007", 15), "raft..rker-0007");
        assert_eq!(shorten("Thread-1", 15), "Thread-1");
        assert_eq!(shorten("exactly15bytes!", 15), "exactly15bytes!");
        assert_eq!(shorten("äöüäöüäöü-0007", 15), "äö..öü-0007");
        assert_eq!(shorten("a\0b", 15), "a b");
        assert_eq!(shorten("a\0bcdefgh-worker-000\0", 15), "a bc..rker-000 ");
        for length in 0..40 {
            assert!(shorten(&"é".repeat(length), 15).len() <= 15);
        }
    }

    #[test]
    fn an_old_name_stays_readable() {
        let name = Name::new("before".into());
        let before = name.get();
        name.set("after".into());
        assert_eq!((before, name.get()), ("before", "after"));
    }
}
