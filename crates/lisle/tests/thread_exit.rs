//! The end of the process. Each case is this program run again with `LISLE_CASE` set: then `main`
//! does what the case says and returns, or exits, and the test looks at what became of it.

use lisle::executor::{Pending, ThreadPoolExecutor};
use lisle::sync::{Barrier, Condvar, Mutex};
use lisle::thread::{self, Builder};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Long enough to be noticed if somebody waits for it.
const LONG: Duration = Duration::from_secs(600);

fn main() {
    if let Ok(case) = std::env::var("LISLE_CASE") {
        let case = CASES.iter().find(|known| known.name == case).expect("a case of the list");
        return (case.program)();
    }
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    for case in CASES.iter().filter(|case| case.name.contains(&wanted)) {
        (case.check)(&Run { case: case.name });
        println!("test {} ... ok", case.name);
    }
}

struct Case {
    name: &'static str,
    /// What runs as a process of its own.
    program: fn(),
    /// What must be true of it.
    check: fn(&Run),
}

struct Run {
    case: &'static str,
}

impl Run {
    /// A file that a program may write. It says more than an exit code: the thread got to its end.
    fn file(&self) -> PathBuf {
        std::env::temp_dir().join(format!("lisle-exit-{}-{}", std::process::id(), self.case))
    }

    fn command(&self, environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .env("LISLE_CASE", self.case)
            .env("LISLE_FILE", self.file())
            .env_remove("LISLE_EXIT_REPORT")
            .env("RUST_BACKTRACE", "0")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end; it must come within a minute.
    fn run(&self, environment: &[(&str, &str)]) -> Ended {
        let start = Instant::now();
        let mut child = self.command(environment).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("{} does not end: {:?}", self.case, child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let written = self.file().exists();
        let _ = std::fs::remove_file(self.file());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: status.code(), written, stdout: text(stdout), stderr: text(stderr) }
    }

    /// Ends well, having printed this and nothing else.
    fn prints(&self, text: &str) {
        let ended = self.run(&[]);
        assert_eq!(ended, Ended { code: Some(0), written: false, stdout: text.into(), stderr: String::new() });
    }

    /// Ends well and silently, with the file written or not.
    fn ends(&self, code: i32, written: bool) {
        let ended = self.run(&[]);
        assert_eq!(ended, Ended { code: Some(code), written, stdout: String::new(), stderr: String::new() });
    }
}

#[derive(PartialEq, Eq, Debug)]
struct Ended {
    code: Option<i32>,
    written: bool,
    stdout: String,
    stderr: String,
}

/// Writes the file after 200 ms.
fn write_later() {
    thread::sleep(Duration::from_millis(200));
    write();
}

fn write() {
    std::fs::write(Path::new(&std::env::var_os("LISLE_FILE").unwrap()), "done").unwrap();
}

/// A pool that nobody drops.
fn leaked(builder: lisle::executor::Builder) -> &'static ThreadPoolExecutor {
    Box::leak(Box::new(builder.build().unwrap()))
}

/// Prints a line each, after a while.
fn submit_three(pool: &'static ThreadPoolExecutor) {
    for n in 0..3 {
        let call = move || {
            thread::sleep(Duration::from_millis(50));
            println!("{n}");
        };
        pool.execute(call).unwrap();
    }
}

static JOBS: Mutex<()> = Mutex::new(());

fn wait_for_ever() {
    let jobs = Condvar::named("jobs to come");
    jobs.wait(&mut JOBS.lock()).unwrap(); // the report names this line
}

const CASES: &[Case] = &[
    Case {
        name: "a_worker_finishes_after_main",
        program: || drop(thread::spawn(write_later)),
        check: |run| run.ends(0, true),
    },
    Case {
        name: "a_daemon_holds_nobody_up",
        program: || {
            let daemon = Builder::new().daemon(true).spawn(|| {
                thread::sleep(LONG);
                write();
            });
            drop(daemon.unwrap());
        },
        check: |run| run.ends(0, false),
    },
    Case {
        name: "what_a_daemon_starts_is_one",
        program: || {
            let daemon = Builder::new().daemon(true).spawn(|| drop(thread::spawn(|| thread::sleep(LONG))));
            daemon.unwrap().join().unwrap();
        },
        check: |run| run.ends(0, false),
    },
    Case {
        name: "an_unstarted_thread_holds_nobody_up",
        program: || std::mem::forget(thread::create(|| thread::sleep(LONG))),
        check: |run| run.ends(0, false),
    },
    Case {
        name: "threads_started_meanwhile_finish_too",
        program: || {
            fn generation(left: u32) {
                thread::sleep(Duration::from_millis(20));
                match left {
                    0 => write(),
                    _ => drop(thread::spawn(move || generation(left - 1))),
                }
            }
            drop(thread::spawn(|| generation(8)));
        },
        check: |run| run.ends(0, true),
    },
    Case {
        name: "main_calls_exit",
        program: || {
            drop(thread::spawn(write_later));
            std::process::exit(4);
        },
        check: |run| run.ends(4, true),
    },
    Case {
        name: "a_worker_calls_exit",
        program: || {
            drop(thread::spawn(write_later));
            let worker = thread::spawn(|| std::process::exit(3));
            let joined = worker.join();
            println!("a thread in `exit` has not finished: {}", joined.is_ok());
        },
        check: |run| run.ends(3, true),
    },
    Case {
        name: "two_workers_exit_at_once",
        program: || {
            drop(thread::spawn(write_later));
            static BOTH: Barrier = Barrier::new(2);
            let workers = [(); 2].map(|()| {
                thread::spawn(|| {
                    BOTH.wait().unwrap();
                    thread::exit(7);
                })
            });
            for worker in workers {
                println!("a thread in `exit` has not finished: {}", worker.join().is_ok());
            }
        },
        check: |run| run.ends(7, true),
    },
    Case {
        name: "a_worker_exits_while_another_is_at_it",
        program: || {
            let late = thread::spawn(|| {
                write_later();
                thread::exit(8);
            });
            drop(late);
            std::process::exit(9);
        },
        check: |run| run.ends(9, true),
    },
    Case {
        name: "an_adopted_thread_calls_exit",
        program: || {
            drop(thread::spawn(write_later));
            let foreign = std::thread::spawn(|| {
                thread::current();
                std::process::exit(5)
            });
            let _ = foreign.join();
            thread::sleep(LONG);
        },
        check: |run| run.ends(5, true),
    },
    Case {
        name: "a_thread_unknown_so_far_calls_exit",
        program: || {
            drop(thread::spawn(write_later));
            let _ = std::thread::spawn(|| std::process::exit(6)).join();
            thread::sleep(LONG);
        },
        check: |run| run.ends(6, true),
    },
    Case {
        name: "main_is_finished_for_those_who_join_it",
        program: || {
            drop(thread::spawn(|| {
                thread::main_thread().join().unwrap();
                assert!(!thread::main_thread().is_alive());
                write();
            }));
        },
        check: |run| run.ends(0, true),
    },
    Case {
        name: "thread_locals_are_dropped_first",
        program: || {
            struct Last;
            impl Drop for Last {
                fn drop(&mut self) {
                    write_later();
                }
            }
            thread_local!(static LAST: Last = const { Last });
            drop(thread::spawn(|| LAST.with(|_| ())));
        },
        check: |run| run.ends(0, true),
    },
    Case {
        name: "a_panic_while_main_has_returned",
        program: || {
            drop(Builder::new().name("unlucky".into()).spawn(|| {
                thread::main_thread().join().unwrap();
                panic!("too late");
            }));
        },
        check: |run| {
            let ended = run.run(&[]);
            assert_eq!(ended.code, Some(0));
            let line = ended.stderr.lines().find(|line| line.starts_with("lisle: ")).unwrap();
            assert!(line.starts_with("lisle: thread \"unlucky\" panicked at "), "{line}");
            assert!(line.contains("thread_exit.rs:") && line.ends_with(": too late"), "{line}");
        },
    },
    Case {
        name: "a_lock_that_main_keeps_is_a_deadlock",
        program: || {
            std::mem::forget(JOBS.lock());
            drop(Builder::new().name("wants it".into()).spawn(|| drop(JOBS.lock())));
        },
        check: |run| {
            let ended = run.run(&[]);
            assert_eq!(ended.code, Some(0));
            for part in ["and nobody joined it: deadlock: 2 threads", "thread \"main\"", "thread \"wants it\""] {
                assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
            }
        },
    },
    Case {
        name: "what_is_printed_after_main_comes_out",
        program: || {
            drop(thread::spawn(|| {
                thread::main_thread().join().unwrap();
                print!("from behind");
            }));
        },
        check: |run| assert_eq!(run.run(&[]).stdout, "from behind"),
    },
    Case {
        name: "a_pool_runs_what_is_pending",
        program: || submit_three(leaked(ThreadPoolExecutor::builder().max_workers(1))),
        check: |run| run.prints("0\n1\n2\n"),
    },
    Case {
        name: "a_pool_runs_what_is_submitted_meanwhile",
        program: || {
            let pool = leaked(ThreadPoolExecutor::builder().max_workers(2));
            pool.execute(|| {
                thread::main_thread().join().unwrap();
                thread::sleep(Duration::from_millis(50)); // the other workers have been let go
                submit_three(pool);
                // A pool that is made so late too.
                let late = leaked(ThreadPoolExecutor::builder());
                println!("{}", late.submit(|| 6 * 7).unwrap().result().unwrap());
            })
            .unwrap();
        },
        check: |run| {
            let ended = run.run(&[]);
            let mut lines: Vec<_> = ended.stdout.lines().collect();
            lines.sort_unstable();
            assert_eq!((ended.code, lines), (Some(0), vec!["0", "1", "2", "42"]), "{}", ended.stderr);
        },
    },
    Case {
        name: "a_pool_with_nothing_to_do_holds_nobody_up",
        program: || {
            let pool = leaked(ThreadPoolExecutor::builder().max_workers(3));
            let both = std::sync::Arc::new(Barrier::new(2));
            let calls = [both.clone(), both].map(|both| pool.submit(move || both.wait().is_ok()).unwrap());
            calls.iter().for_each(|call| assert!(call.result().unwrap()));
        },
        check: |run| run.ends(0, false),
    },
    Case {
        name: "a_pool_of_which_some_have_nothing_to_do",
        program: || {
            let pool = leaked(ThreadPoolExecutor::builder().max_workers(4));
            let all = std::sync::Arc::new(Barrier::new(4));
            for n in 0..4 {
                let all = all.clone();
                let call = move || {
                    all.wait().unwrap();
                    if n == 0 {
                        write_later();
                    }
                };
                pool.execute(call).unwrap();
            }
        },
        check: |run| run.ends(0, true),
    },
    Case {
        name: "a_pool_of_daemons_holds_nobody_up",
        program: || {
            let pool = leaked(ThreadPoolExecutor::builder().max_workers(1).daemon(true));
            let begun = std::sync::Arc::new(lisle::sync::Event::new());
            let its = begun.clone();
            pool.execute(move || {
                its.set();
                thread::sleep(LONG);
                write();
            })
            .unwrap();
            pool.execute(write).unwrap();
            begun.wait().unwrap();
        },
        check: |run| run.ends(0, false),
    },
    Case {
        name: "a_pool_of_a_daemon_keeps_the_process",
        program: || {
            let daemon = Builder::new().daemon(true).spawn(|| {
                leaked(ThreadPoolExecutor::builder()).execute(write_later).unwrap();
            });
            daemon.unwrap().join().unwrap();
        },
        check: |run| run.ends(0, true),
    },
    Case {
        name: "a_pool_that_was_closed_holds_nobody_up",
        program: || {
            let pool = leaked(ThreadPoolExecutor::builder().max_workers(1));
            pool.execute(|| thread::sleep(Duration::from_millis(50))).unwrap();
            pool.execute(write).unwrap();
            pool.close(Pending::Cancel);
        },
        check: |run| assert_eq!(run.run(&[]).code, Some(0)),
    },
    Case {
        name: "a_static_pool_and_exit",
        program: || {
            static POOL: std::sync::LazyLock<ThreadPoolExecutor> = std::sync::LazyLock::new(ThreadPoolExecutor::new);
            POOL.execute(write_later).unwrap();
            std::process::exit(3);
        },
        check: |run| run.ends(3, true),
    },
    Case {
        name: "a_call_calls_exit",
        program: || {
            let pool = leaked(ThreadPoolExecutor::builder().max_workers(1));
            pool.submit(|| std::process::exit(5)).unwrap().wait().unwrap();
        },
        check: |run| run.ends(5, false),
    },
    Case {
        name: "the_report_names_thread_object_and_line",
        program: || drop(Builder::new().name("waits-for-jobs".into()).spawn(wait_for_ever)),
        check: |run| {
            let mut child = run.command(&[("LISLE_EXIT_REPORT", "0.2")]).spawn().unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
            let head = lines.next().unwrap().unwrap();
            assert_eq!(head, "lisle: the process ends when this thread has finished:");
            let line = lines.next().unwrap().unwrap();
            let call = include_str!("thread_exit.rs").lines().position(|line| line.contains("names this line"));
            let site = format!("{}:{}:", file!(), call.unwrap() + 1);
            for part in ["thread \"waits-for-jobs\"", "for condvar \"jobs to come\"", &site] {
                assert!(line.contains(part), "{part} in {line}");
            }
            ends_by_interrupt(child);
        },
    },
    Case {
        name: "the_report_comes_once",
        program: || {
            for name in ["sleeper", "runner"] {
                drop(Builder::new().name(name.into()).spawn(move || {
                    let end = Instant::now() + Duration::from_millis(500);
                    match name {
                        "sleeper" => thread::sleep_until(end),
                        _ => std::thread::sleep(Duration::from_millis(500)),
                    }
                }));
            }
        },
        check: |run| {
            let ended = run.run(&[("LISLE_EXIT_REPORT", "0.05")]);
            assert_eq!(ended.code, Some(0));
            let lines: Vec<_> = ended.stderr.lines().collect();
            assert_eq!(lines.len(), 3, "{lines:?}");
            assert_eq!(lines[0], "lisle: the process ends when these 2 threads have finished:");
            assert!(lines[1].contains("thread \"sleeper\"") && lines[1].contains("for sleep"), "{lines:?}");
            assert!(lines[2].contains("thread \"runner\"") && lines[2].ends_with("is running"), "{lines:?}");
        },
    },
    Case {
        name: "the_report_can_be_switched_off",
        program: || drop(thread::spawn(write_later)),
        check: |run| {
            let ended = run.run(&[("LISLE_EXIT_REPORT", "0")]);
            assert!(ended.written && ended.stderr.is_empty(), "{ended:?}");
        },
    },
    Case {
        name: "a_malformed_limit_is_told",
        program: || drop(thread::spawn(write_later)),
        check: |run| {
            for malformed in ["soon", "-1", "NaN", ""] {
                let ended = run.run(&[("LISLE_EXIT_REPORT", malformed)]);
                let expected = format!("lisle: LISLE_EXIT_REPORT={malformed:?} is not a number of seconds");
                assert!(ended.stderr.starts_with(&expected), "{ended:?}");
                assert_eq!((ended.stderr.lines().count(), ended.written), (1, true));
            }
        },
    },
];

/// Ctrl-C ends it.
fn ends_by_interrupt(mut child: Child) {
    use std::os::unix::process::ExitStatusExt;
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    // SAFETY: `kill` takes no pointers; the child has not been waited for, so the number is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGINT));
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}
