//! One Lua state for many threads. Lua knows nothing of threads; that one at a time is in it, and how they
//! take turns, is the business of a [`Gil`].
//!
//! Each thread has a Lua thread (a stack) of its own in the common state, so they can be anywhere in their
//! scripts when they take turns. This goes to Lua's C interface (`mlua::ffi`): `mlua`'s own types assume that a
//! call into Lua is over before the next one begins.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::process::abort;
use std::ptr::NonNull;
use std::time::Duration;

use lisle::gil::{Gil, GilCell, GilToken};
use mlua::ffi;

/// Lua looks whether its thread is to hand over each time it has executed so many instructions.
const CHECKPOINT_EVERY: c_int = 1_000;

/// The common state.
struct State(NonNull<ffi::lua_State>);

// SAFETY: a Lua state may be used by any thread, one at a time. In a `GilCell` it is.
unsafe impl Send for State {}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: made by `luaL_newstate`, and nobody uses it any more: all that did borrow the interpreter.
        unsafe { ffi::lua_close(self.0.as_ptr()) };
    }
}

/// A Lua interpreter that threads share.
pub(crate) struct Interpreter {
    // Before the GIL, with which nothing is left to do when it goes.
    state: GilCell<State>,
    gil: Box<Gil>,
}

/// A function for Lua. It is called by an attached thread, and may detach.
pub(crate) trait Function: Sync {
    /// Takes what Lua passed, as text, and what it returns is returned to Lua.
    fn call(&self, token: &mut GilToken<'_>, argument: &[u8]) -> Answer;
}

/// What a [`Function`] returns to Lua.
pub(crate) enum Answer {
    Nothing,
    Bool(bool),
    Number(u64),
    Text([u8; 64], usize),
}

impl Interpreter {
    pub(crate) fn new(switch_interval: Duration) -> Interpreter {
        let gil = Box::new(Gil::named(switch_interval, "lua"));
        // SAFETY: it has no preconditions.
        let state = NonNull::new(unsafe { ffi::luaL_newstate() }).expect("there is memory for it");
        // SAFETY: a new state, in whose extra space there is room for a pointer. Each Lua thread gets a copy of
        // that. The GIL stays where it is, in its box, as long as the state.
        unsafe {
            ffi::lua_getextraspace(state.as_ptr()).cast::<*const Gil>().write(&raw const *gil);
            ffi::luaL_openlibs(state.as_ptr());
        }
        Interpreter { state: GilCell::new(&gil, State(state)), gil }
    }

    pub(crate) fn gil(&self) -> &Gil {
        &self.gil
    }

    /// Runs a script on the calling thread, with these functions, until it ends.
    pub(crate) fn run(&self, name: &str, script: &str, functions: &[(&str, &dyn Function)]) -> Result<(), String> {
        let token = self.gil.attach();
        // The reference must not be kept where others come in, the pointer may.
        let common = self.state.get(&token).0.as_ptr();
        let name = CString::new(name).expect("no name has a NUL");
        // SAFETY: this thread is attached, so nobody else is in the state. Others come in by the hook and by
        // functions that detach; they use Lua threads of their own, and the common one, whose stack is as
        // before whenever we let them in. The new Lua thread is kept by the registry while it is used. Nothing
        // here raises an error outside of the protected call but for want of memory, which ends the program.
        unsafe {
            let lua = ffi::lua_newthread(common);
            let kept = ffi::luaL_ref(common, ffi::LUA_REGISTRYINDEX);
            ffi::lua_sethook(lua, Some(checkpoint), ffi::LUA_MASKCOUNT, CHECKPOINT_EVERY);
            let script = script.as_bytes();
            let mut status = ffi::luaL_loadbuffer(lua, script.as_ptr().cast::<c_char>(), script.len(), name.as_ptr());
            if status == ffi::LUA_OK {
                // Functions are globals of the script alone: each script has its own.
                ffi::lua_createtable(lua, 0, functions.len() as c_int);
                for (name, function) in functions {
                    let name = CString::new(*name).expect("no name has a NUL");
                    ffi::lua_pushlightuserdata(lua, (&raw const *function).cast_mut().cast::<c_void>());
                    ffi::lua_pushcclosure(lua, call, 1);
                    ffi::lua_setfield(lua, -2, name.as_ptr());
                }
                ffi::lua_getglobal(lua, c"tostring".as_ptr());
                ffi::lua_setfield(lua, -2, c"tostring".as_ptr());
                ffi::lua_setupvalue(lua, -2, 1); // a chunk's first upvalue is its table of globals
                status = ffi::lua_pcall(lua, 0, 0, 0);
            }
            let result = if status == ffi::LUA_OK { Ok(()) } else { Err(message(lua)) };
            ffi::luaL_unref(common, ffi::LUA_REGISTRYINDEX, kept);
            result
        }
    }
}

/// The error on top of the stack.
///
/// # Safety
/// A call has failed in this Lua thread, which nobody else uses.
unsafe fn message(lua: *mut ffi::lua_State) -> String {
    // SAFETY: an error of ours is text, which stays where it is as long as it is on the stack.
    let text = unsafe { ffi::lua_tostring(lua, -1) };
    if text.is_null() {
        return "an error that is no text".into();
    }
    // SAFETY: likewise; Lua ends its texts with a NUL.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The GIL of the state that this Lua thread belongs to.
///
/// # Safety
/// The Lua thread is one of an [`Interpreter`], which lives.
unsafe fn gil_of<'a>(lua: *mut ffi::lua_State) -> &'a Gil {
    // SAFETY: that is what `Interpreter::new` wrote there, and Lua copied.
    unsafe { &**ffi::lua_getextraspace(lua).cast::<*const Gil>() }
}

/// Lua calls this between two instructions, of which it has executed a number.
unsafe extern "C-unwind" fn checkpoint(lua: *mut ffi::lua_State, _: *mut ffi::lua_Debug) {
    // SAFETY: the hook was set by `run`, or inherited by a coroutine from there.
    let gil = unsafe { gil_of(lua) };
    // `run` is attached: another token costs a few instructions, and that it was lent to nobody is known.
    gil.attach().checkpoint();
}

/// Lua calls this for each of our functions.
unsafe extern "C-unwind" fn call(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls it with a stack that holds the arguments, and room for 20 values; the text that is
    // passed on stays on it during the call. The function is what `run` has put into the closure, and outlives
    // the script. Nothing that needs dropping is left when Lua is asked to make a value, for which it may have
    // no memory: then it does not come back.
    unsafe {
        let function = &*ffi::lua_touserdata(lua, ffi::lua_upvalueindex(1)).cast::<&dyn Function>();
        let mut length = 0;
        let text =
            if ffi::lua_gettop(lua) == 0 { std::ptr::null() } else { ffi::lua_tolstring(lua, 1, &raw mut length) };
        let argument = if text.is_null() { &[] } else { std::slice::from_raw_parts(text.cast::<u8>(), length) };
        let answer = {
            let mut token = gil_of(lua).attach();
            // A panic must not unwind into C.
            let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| function.call(&mut token, argument)));
            called.unwrap_or_else(|_| abort())
        };
        match answer {
            Answer::Nothing => return 0,
            Answer::Bool(value) => ffi::lua_pushboolean(lua, c_int::from(value)),
            Answer::Number(value) => ffi::lua_pushinteger(lua, value as ffi::lua_Integer),
            Answer::Text(text, length) => {
                ffi::lua_pushlstring(lua, text.as_ptr().cast::<c_char>(), length);
            }
        }
        1
    }
}
