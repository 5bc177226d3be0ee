//! What must not compile, each with the error that keeps it from doing so, and beside it the same
//! thing done right where that could be in doubt.

/// A guard belongs to the thread that locked.
///
/// ```compile_fail,E0277
/// let mutex = lisle::sync::Mutex::new(1);
/// let guard = mutex.lock();
/// std::thread::scope(|scope| drop(scope.spawn(move || drop(guard))));
/// ```
/// ```compile_fail,E0277
/// let mutex = lisle::sync::ReentrantMutex::new(1);
/// let guard = mutex.lock();
/// std::thread::scope(|scope| drop(scope.spawn(move || drop(guard))));
/// ```
/// ```compile_fail,E0277
/// let lock = lisle::sync::RwLock::new(1);
/// let guard = lock.read();
/// std::thread::scope(|scope| drop(scope.spawn(move || drop(guard))));
/// ```
/// ```compile_fail,E0277
/// let lock = lisle::sync::RwLock::new(1);
/// let guard = lock.write();
/// std::thread::scope(|scope| drop(scope.spawn(move || drop(guard))));
/// ```
/// The value may be read from another thread while the guard stays:
/// ```
/// let mutex = lisle::sync::Mutex::new(1);
/// let guard = mutex.lock();
/// std::thread::scope(|scope| drop(scope.spawn(|| assert_eq!(*guard, 1))));
/// ```
struct GuardsStay;

/// A guard does not outlive what it guards, nor the value its guard.
///
/// ```compile_fail,E0505
/// let mutex = lisle::sync::Mutex::new(1);
/// let guard = mutex.lock();
/// drop(mutex);
/// drop(guard);
/// ```
/// ```compile_fail,E0505
/// let mutex = lisle::sync::Mutex::new(String::new());
/// let guard = mutex.lock();
/// let text: &str = &guard;
/// drop(guard);
/// println!("{text}");
/// ```
/// ```compile_fail,E0502
/// let mut lock = lisle::sync::RwLock::new(1);
/// let guard = lock.read();
/// *lock.get_mut() = 2;
/// drop(guard);
/// ```
struct NothingOutlives;

/// A lock makes what can change threads shareable, and nothing else.
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>(_: T) {}
/// shared(lisle::sync::Mutex::new(std::rc::Rc::new(1)));
/// ```
/// ```compile_fail,E0277
/// fn shared<T: Sync>(_: T) {}
/// shared(lisle::sync::RwLock::new(std::cell::Cell::new(1)));
/// ```
/// ```compile_fail,E0277
/// fn shared<T: Sync>(_: T) {}
/// shared(lisle::sync::ReentrantMutex::new(std::rc::Rc::new(1)));
/// ```
/// ```compile_fail,E0277
/// fn shared<T: Sync>(_: T) {}
/// shared(lisle::queue::Queue::<std::rc::Rc<i32>>::new());
/// ```
/// ```compile_fail,E0277
/// fn sent<T: Send>(_: T) {}
/// sent(lisle::queue::SimpleQueue::<std::rc::Rc<i32>>::new());
/// ```
/// ```
/// fn shared<T: Sync + Send>(_: T) {}
/// shared(lisle::sync::Mutex::new(std::cell::Cell::new(1)));
/// shared(lisle::sync::ReentrantMutex::new(std::cell::Cell::new(1)));
/// shared(lisle::queue::Queue::<std::cell::Cell<i32>>::new());
/// ```
struct OnlyWhatCanBeShared;

/// A reentrant mutex may be locked twice, so it gives out shared references only.
///
/// ```compile_fail,E0594
/// let mutex = lisle::sync::ReentrantMutex::new(1);
/// *mutex.lock() += 1;
/// ```
struct ReentrantIsShared;

/// A thread borrows only in a scope, and only what outlives the scope.
///
/// ```compile_fail,E0373
/// let text = String::new();
/// lisle::thread::spawn(|| println!("{text}"));
/// ```
/// ```compile_fail,E0277
/// let shared = std::rc::Rc::new(1);
/// lisle::thread::spawn(move || println!("{shared}"));
/// ```
/// ```compile_fail,E0373
/// lisle::thread::scope(|scope| {
///     let inside = 1;
///     scope.spawn(|| println!("{inside}"));
/// });
/// ```
/// ```
/// let outside = 1;
/// lisle::thread::scope(|scope| drop(scope.spawn(|| println!("{outside}"))));
/// ```
struct ThreadsBorrowInScopes;

/// A pool's call borrows only in a scope, and only what outlives the scope; it and its value change
/// threads.
///
/// ```compile_fail,E0373
/// let text = String::new();
/// lisle::executor::ThreadPoolExecutor::new().submit(|| text.len());
/// ```
/// ```compile_fail,E0277
/// let shared = std::rc::Rc::new(1);
/// lisle::executor::ThreadPoolExecutor::new().submit(move || drop(shared));
/// ```
/// ```compile_fail,E0277
/// lisle::executor::ThreadPoolExecutor::new().submit(|| std::rc::Rc::new(1));
/// ```
/// ```compile_fail,E0373
/// lisle::executor::ThreadPoolExecutor::new().scope(|scope| {
///     let inside = 1;
///     scope.submit(|| println!("{inside}")).unwrap();
/// });
/// ```
/// ```compile_fail,E0277
/// let cell = std::cell::Cell::new(1);
/// lisle::executor::ThreadPoolExecutor::new().scope(|scope| drop(scope.submit(|| cell.set(2))));
/// ```
/// ```
/// let (outside, pool) = (String::from("outside"), lisle::executor::ThreadPoolExecutor::new());
/// let future = pool.scope(|scope| scope.submit(|| outside.len()).unwrap());
/// drop(outside); // the call is over; its value borrows nothing
/// assert_eq!(future.result().unwrap(), 7);
/// ```
struct CallsBorrowInScopes;

/// What a call in a scope returns does not outlive what it borrows, nor does a scope's handle get out.
///
/// ```compile_fail,E0505
/// let (text, pool) = (String::from("text"), lisle::executor::ThreadPoolExecutor::new());
/// let future = pool.scope(|scope| scope.submit(|| &*text).unwrap());
/// drop(text);
/// drop(future);
/// ```
/// ```compile_fail
/// let pool = lisle::executor::ThreadPoolExecutor::new();
/// let mut kept = None;
/// pool.scope(|scope| kept = Some(scope));
/// kept.unwrap().submit(|| ()).unwrap();
/// ```
/// ```compile_fail,E0499
/// let (mut number, pool) = (1, lisle::executor::ThreadPoolExecutor::new());
/// pool.scope(|scope| {
///     scope.submit(|| number += 1).unwrap();
///     scope.submit(|| number += 1).unwrap();
/// });
/// ```
struct NothingOutlivesItsScope;

/// A future hands its value to other threads, so only such values can be promised.
///
/// ```compile_fail,E0277
/// lisle::executor::Promise::<std::rc::Rc<i32>>::new();
/// ```
/// ```compile_fail,E0277
/// lisle::executor::Future::ready(std::rc::Rc::new(1));
/// ```
/// ```compile_fail,E0277
/// let shared = std::rc::Rc::new(1);
/// let promise = lisle::executor::Promise::<i32>::new();
/// promise.future().add_done_callback(move |_| drop(shared));
/// ```
/// ```compile_fail,E0277
/// let pool = lisle::executor::ThreadPoolExecutor::new();
/// let factor = std::cell::Cell::new(2);
/// let _ = pool.map(0..9, move |n| n * factor.get());
/// ```
/// A value need not be shareable, though its future is:
/// ```
/// fn shared<T: Sync + Send>(_: T) {}
/// shared(lisle::executor::Future::ready(std::cell::Cell::new(1)));
/// ```
struct OnlyWhatCanChangeThreads;

/// A GIL's token belongs to the thread that attached, and outlives neither the GIL nor what it lends.
///
/// ```compile_fail,E0277
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let token = gil.attach();
/// std::thread::scope(|scope| drop(scope.spawn(move || drop(token))));
/// ```
/// ```compile_fail,E0277
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let token = gil.attach();
/// std::thread::scope(|scope| drop(scope.spawn(|| token.gil())));
/// ```
/// ```compile_fail,E0505
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let token = gil.attach();
/// drop(gil);
/// drop(token);
/// ```
/// ```compile_fail,E0505
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let cell = lisle::gil::GilCell::new(&gil, 1);
/// let token = gil.attach();
/// let value = cell.get(&token);
/// drop(token);
/// println!("{}", *value);
/// ```
struct TokensStay;

/// Nothing that a token lends lives where another thread may come in.
///
/// ```compile_fail,E0502
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let cell = lisle::gil::GilCell::new(&gil, std::cell::Cell::new(1));
/// let mut token = gil.attach();
/// let value = cell.get(&token);
/// token.checkpoint();
/// value.set(2);
/// ```
/// ```compile_fail,E0502
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let cell = lisle::gil::GilCell::new(&gil, std::cell::Cell::new(1));
/// let mut token = gil.attach();
/// let value = cell.get(&token);
/// token.detach(|| value.set(2));
/// ```
/// ```compile_fail,E0502
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let cell = lisle::gil::GilCell::new(&gil, std::cell::Cell::new(1));
/// let mut token = gil.attach();
/// token.detach(|| cell.get(&token).set(2));
/// ```
/// ```compile_fail,E0277
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let cell = lisle::gil::GilCell::new(&gil, 1);
/// let token = gil.attach();
/// let value = cell.get(&token);
/// std::thread::scope(|scope| drop(scope.spawn(move || *value)));
/// ```
/// ```
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let cell = lisle::gil::GilCell::new(&gil, std::cell::Cell::new(1));
/// let mut token = gil.attach();
/// cell.get(&token).set(2);
/// token.checkpoint();
/// assert_eq!(token.detach(|| 3), cell.get(&token).get() + 1);
/// ```
struct NothingIsLentAcross;

/// What belongs to a GIL changes threads, so it must be able to; it need not be shareable. A token gives shared
/// references: there may be another one.
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>(_: T) {}
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// shared(lisle::gil::GilCell::new(&gil, std::rc::Rc::new(1)));
/// ```
/// ```compile_fail,E0594
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let cell = lisle::gil::GilCell::new(&gil, 1);
/// let mut token = gil.attach();
/// *cell.get(&mut token) += 1;
/// ```
/// ```compile_fail,E0616
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// let cell = lisle::gil::GilCell::new(&gil, 1);
/// cell.value = 2;
/// ```
/// ```
/// fn shared<T: Sync + Send>(_: T) {}
/// let gil = lisle::gil::Gil::new(std::time::Duration::ZERO);
/// shared(lisle::gil::GilCell::new(&gil, std::cell::Cell::new(1)));
/// shared(gil);
/// ```
struct WhatBelongsToAGil;
