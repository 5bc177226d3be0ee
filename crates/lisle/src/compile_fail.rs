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
