//! Python types over Rust structs.

use super::chain::bounded;
use super::ffi::{Obj, py};
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr;

pub(crate) type NoArgs = unsafe extern "C-unwind" fn(Obj, Obj) -> Obj;
pub(crate) type Fast = unsafe extern "C-unwind" fn(Obj, *const Obj, isize) -> Obj;
pub(crate) type Keywords = unsafe extern "C-unwind" fn(Obj, *const Obj, isize, Obj) -> Obj;
pub(crate) type Getter = unsafe extern "C-unwind" fn(Obj, *mut c_void) -> Obj;
pub(crate) type Setter = unsafe extern "C-unwind" fn(Obj, Obj, *mut c_void) -> c_int;

/// What an instance looks like in memory. Both pointers stay null as long as nobody needs them.
#[repr(C)]
pub(crate) struct Instance<T> {
    head: py::PyObject,
    weak: Obj,
    pub(crate) dict: Obj,
    pub(crate) body: T,
}

/// The Rust part of an instance. Shown to several threads at once on free-threaded interpreters.
pub(crate) trait Body: Sized {
    /// Shows every Python object that it refers to, for the collector.
    ///
    /// # Safety
    /// To be called by the collector alone.
    unsafe fn traverse(&self, visit: &mut dyn FnMut(Obj) -> c_int) -> c_int {
        let _ = visit;
        0
    }

    /// Lets go of every Python object. Their finalizers may run, and call in here: what is let go of
    /// must have been taken out before.
    ///
    /// # Safety
    /// Attached; `this` is alive.
    unsafe fn clear(this: *mut Self) {
        let _ = this;
    }
}

/// The Rust part of `object`.
///
/// # Safety
/// `object` is an instance of the type of `T` or of a subtype, and outlives the reference.
#[inline(always)]
pub(crate) unsafe fn body<'a, T>(object: Obj) -> &'a T {
    // SAFETY: as the caller says.
    unsafe { &(*object.cast::<Instance<T>>()).body }
}

/// Where the Rust part of `object` is, for who changes it while nobody else can reach it.
///
/// # Safety
/// `object` is an instance of the type of `T` or of a subtype.
pub(crate) unsafe fn body_at<T>(object: Obj) -> *mut T {
    // SAFETY: as the caller says.
    unsafe { &raw mut (*object.cast::<Instance<T>>()).body }
}

/// A type that is about to be made.
pub(crate) struct Class {
    name: &'static CStr,
    size: usize,
    flags: u64,
    slots: Vec<py::PyType_Slot>,
    methods: Vec<py::PyMethodDef>,
    getters: Vec<py::PyGetSetDef>,
    members: Vec<py::PyMemberDef>,
}

impl Class {
    /// `name` with the module that the type says it is of: `_thread.lock`. `new` makes an instance.
    pub(crate) fn of<T: Body>(name: &'static CStr, doc: &'static CStr) -> Class {
        let mut class = Class {
            name,
            size: size_of::<Instance<T>>(),
            flags: py::Py_TPFLAGS_DEFAULT | py::Py_TPFLAGS_HAVE_GC,
            slots: Vec::new(),
            methods: Vec::new(),
            getters: Vec::new(),
            members: Vec::new(),
        };
        class.members.push(offset(c"__weaklistoffset__", offset_of!(Instance<T>, weak)));
        class.slot(py::Py_tp_doc, doc.as_ptr().cast_mut().cast());
        class.slot(py::Py_tp_dealloc, dealloc::<T> as *mut c_void);
        class.slot(py::Py_tp_traverse, traverse::<T> as *mut c_void);
        class.slot(py::Py_tp_clear, clear::<T> as *mut c_void);
        class
    }

    /// Its instances take any attribute, and it can be derived from: as with a class made in Python.
    pub(crate) fn open<T>(mut self) -> Class {
        self.members.push(offset(c"__dictoffset__", offset_of!(Instance<T>, dict)));
        self.slot(py::Py_tp_getattro, py::PyObject_GenericGetAttr as *mut c_void);
        self.slot(py::Py_tp_setattro, py::PyObject_GenericSetAttr as *mut c_void);
        self.getters.push(py::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(py::PyObject_GenericGetDict),
            set: Some(py::PyObject_GenericSetDict),
            doc: ptr::null(),
            closure: ptr::null_mut(),
        });
        self.derivable()
    }

    /// Its instances refer to no other object, and cannot be derived from: the collector need not know them, which
    /// makes them cheaper to make.
    pub(crate) fn plain<T: Body>(mut self) -> Class {
        self.flags &= !py::Py_TPFLAGS_HAVE_GC;
        self.slots.retain(|it| ![py::Py_tp_dealloc, py::Py_tp_traverse, py::Py_tp_clear].contains(&it.slot));
        self.with_slot(py::Py_tp_dealloc, free::<T> as *mut c_void)
    }

    /// It can be derived from.
    pub(crate) fn derivable(mut self) -> Class {
        self.flags |= py::Py_TPFLAGS_BASETYPE;
        self
    }

    pub(crate) fn slot(&mut self, slot: c_int, function: *mut c_void) {
        self.slots.push(py::PyType_Slot { slot, pfunc: function });
    }

    pub(crate) fn with_slot(mut self, slot: c_int, function: *mut c_void) -> Class {
        self.slot(slot, function);
        self
    }

    fn method(mut self, name: &'static CStr, flags: c_int, function: *const c_void, doc: &'static CStr) -> Class {
        self.methods.push(py::PyMethodDef {
            ml_name: name.as_ptr(),
            // SAFETY: the flags say which kind of function it is; that it may unwind changes nothing
            // about how it is called.
            ml_meth: unsafe { std::mem::transmute::<*const c_void, py::PyMethodDefPointer>(function) },
            ml_flags: flags,
            ml_doc: doc.as_ptr(),
        });
        self
    }

    pub(crate) fn no_args(self, name: &'static CStr, function: NoArgs, doc: &'static CStr) -> Class {
        self.method(name, py::METH_NOARGS, function as *const c_void, doc)
    }

    pub(crate) fn one_arg(self, name: &'static CStr, function: NoArgs, doc: &'static CStr) -> Class {
        self.method(name, py::METH_O, function as *const c_void, doc)
    }

    pub(crate) fn fast(self, name: &'static CStr, function: Fast, doc: &'static CStr) -> Class {
        self.method(name, py::METH_FASTCALL, function as *const c_void, doc)
    }

    pub(crate) fn keywords(self, name: &'static CStr, function: Keywords, doc: &'static CStr) -> Class {
        self.method(name, py::METH_FASTCALL | py::METH_KEYWORDS, function as *const c_void, doc)
    }

    /// `__class_getitem__`: what `Queue[int]` means.
    pub(crate) fn generic(self) -> Class {
        let function = py::Py_GenericAlias as *const c_void;
        self.method(c"__class_getitem__", py::METH_O | py::METH_CLASS, function, c"See PEP 585")
    }

    pub(crate) fn getter(mut self, name: &'static CStr, get: Getter, set: Option<Setter>, doc: &'static CStr) -> Class {
        // SAFETY: they are called alike, whether they may unwind or not.
        unsafe {
            self.getters.push(py::PyGetSetDef {
                name: name.as_ptr(),
                get: Some(std::mem::transmute::<Getter, py::getter>(get)),
                set: set.map(|set| std::mem::transmute::<Setter, py::setter>(set)),
                doc: doc.as_ptr(),
                closure: ptr::null_mut(),
            });
        }
        self
    }

    /// Makes the type, which is never let go of. Null with an exception set if that fails.
    pub(crate) fn make(mut self, base: Obj) -> Obj {
        // The type refers to these tables for as long as it lives.
        // SAFETY: all zeros is the entry that ends a table.
        unsafe {
            self.methods.push(std::mem::zeroed());
            self.getters.push(std::mem::zeroed());
            self.members.push(std::mem::zeroed());
        }
        let methods = self.methods.leak().as_mut_ptr();
        let getters = self.getters.leak().as_mut_ptr();
        let members = self.members.leak().as_mut_ptr();
        self.slots.push(py::PyType_Slot { slot: py::Py_tp_methods, pfunc: methods.cast() });
        self.slots.push(py::PyType_Slot { slot: py::Py_tp_getset, pfunc: getters.cast() });
        self.slots.push(py::PyType_Slot { slot: py::Py_tp_members, pfunc: members.cast() });
        self.slots.push(py::PyType_Slot { slot: 0, pfunc: ptr::null_mut() });
        let mut spec = py::PyType_Spec {
            name: self.name.as_ptr(),
            basicsize: self.size as c_int,
            itemsize: 0,
            flags: self.flags as u32,
            slots: self.slots.as_mut_ptr(),
        };
        // SAFETY: attached; the spec and its tables are complete.
        unsafe { py::PyType_FromSpecWithBases(&mut spec, base) }
    }
}

fn offset(name: &'static CStr, offset: usize) -> py::PyMemberDef {
    py::PyMemberDef {
        name: name.as_ptr(),
        type_code: py::Py_T_PYSSIZET,
        offset: offset as isize,
        flags: py::Py_READONLY,
        doc: ptr::null(),
    }
}

/// Makes an instance around `body`.
///
/// # Safety
/// Attached; `class` is the type made for `T`, or a subtype.
#[inline(always)]
pub(crate) unsafe fn instance<T: Body>(class: *mut py::PyTypeObject, body: T) -> Obj {
    // SAFETY: as the caller says; `tp_alloc` gives the memory, zeroed behind the head.
    unsafe {
        let alloc = (*class).tp_alloc.unwrap_or(py::PyType_GenericAlloc);
        let object = alloc(class, 0);
        if !object.is_null() {
            ptr::write(&raw mut (*object.cast::<Instance<T>>()).body, body);
        }
        object
    }
}

unsafe extern "C-unwind" fn traverse<T: Body>(object: Obj, visit: py::visitproc, arg: *mut c_void) -> c_int {
    let mut show = |it: Obj| -> c_int {
        // SAFETY: the collector's function, for an object that the instance refers to.
        if it.is_null() { 0 } else { unsafe { visit(it, arg) } }
    };
    // SAFETY: the collector shows us an instance of ours.
    unsafe {
        let it = object.cast::<Instance<T>>();
        let seen = show(py::Py_TYPE(object).cast());
        if seen != 0 {
            return seen;
        }
        let seen = show((*it).dict);
        if seen != 0 { seen } else { (*it).body.traverse(&mut show) }
    }
}

unsafe extern "C-unwind" fn clear<T: Body>(object: Obj) -> c_int {
    // SAFETY: an instance of ours.
    unsafe {
        let it = object.cast::<Instance<T>>();
        T::clear(&raw mut (*it).body);
        let dict = std::mem::replace(&mut (*it).dict, ptr::null_mut());
        py::Py_XDECREF(dict);
    }
    0
}

unsafe extern "C-unwind" fn dealloc<T: Body>(object: Obj) {
    // SAFETY: nobody else refers to the instance any more.
    unsafe {
        py::PyObject_GC_UnTrack(object.cast());
        bounded(object, free::<T>);
    }
}

unsafe extern "C-unwind" fn free<T: Body>(object: Obj) {
    // SAFETY: as in `dealloc`.
    unsafe {
        let class = py::Py_TYPE(object);
        if !(*object.cast::<Instance<T>>()).weak.is_null() {
            py::PyObject_ClearWeakRefs(object);
        }
        clear::<T>(object);
        ptr::drop_in_place(&raw mut (*object.cast::<Instance<T>>()).body);
        let free = (*class).tp_free.unwrap_or(py::PyObject_GC_Del);
        free(object.cast());
        py::Py_DECREF(class.cast());
    }
}

/// The class of `object`, as the standard library has it in its reprs: with its module.
pub(crate) unsafe fn full_name(object: Obj) -> String {
    // SAFETY: attached; a type always has both names.
    unsafe {
        let class = py::Py_TYPE(object).cast::<py::PyObject>();
        let mut words = [String::new(), String::new()];
        for (word, attribute) in words.iter_mut().zip([c"__module__", c"__qualname__"]) {
            let text = py::PyObject_GetAttrString(class, attribute.as_ptr());
            if text.is_null() {
                py::PyErr_Clear();
                continue;
            }
            *word = super::args::text_of(text);
            py::Py_DECREF(text);
        }
        words.join(".")
    }
}
