//! The C interface of libmodsecurity 3, loaded at run time. The only file of the project with `unsafe` code: everything above it
//! is safe to call, whatever the order.
//!
//! What makes it sound: a [`Rules`] and the library it came from are never changed once they are loaded, and libmodsecurity
//! evaluates one rule set for many transactions at once; a [`Transaction`] stays on one thread (it is not `Send`); loading and
//! dropping rule sets is behind one lock, since the library's parser is not re-entrant; the library is never unloaded.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;

/// Messages of one transaction that are kept; further ones are only counted as there.
const MAX_MESSAGES: usize = 256;
/// Bytes of one message that are looked at.
const MAX_MESSAGE: usize = 64 * 1024;

/// `ModSecurityIntervention_t`
#[repr(C)]
struct Intervention {
    status: c_int,
    pause: c_int,
    url: *mut c_char,
    log: *mut c_char,
    disruptive: c_int,
}

type LogCallback = extern "C" fn(*mut c_void, *const c_void);
type ErrorCleanup = unsafe extern "C" fn(*const c_char) -> c_int;
type InterventionCleanup = unsafe extern "C" fn(*mut Intervention) -> c_int;

/// Declares the functions that the library must export: fields of [`Api`] and how they are looked up.
macro_rules! functions {
    ($($name:ident: fn($($arg:ty),*) $(-> $ret:ty)?;)+) => {
        /// Every function that is called, looked up once.
        struct Functions { $($name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)+ }

        impl Functions {
            fn of(library: &Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the type is that of the function in libmodsecurity's C header since 3.0.0, and the library is
                        // never unloaded, so that the pointer stays good.
                        *unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) }?
                    },)+
                })
            }
        }
    };
}

functions! {
    msc_init: fn() -> *mut c_void;
    msc_who_am_i: fn(*mut c_void) -> *const c_char;
    msc_set_log_cb: fn(*mut c_void, LogCallback);
    msc_create_rules_set: fn() -> *mut c_void;
    msc_rules_add: fn(*mut c_void, *const c_char, *mut *const c_char) -> c_int;
    msc_rules_add_file: fn(*mut c_void, *const c_char, *mut *const c_char) -> c_int;
    msc_rules_cleanup: fn(*mut c_void) -> c_int;
    msc_new_transaction_with_id: fn(*mut c_void, *mut c_void, *const c_char, *mut c_void) -> *mut c_void;
    msc_process_connection: fn(*mut c_void, *const c_char, c_int, *const c_char, c_int) -> c_int;
    msc_process_uri: fn(*mut c_void, *const c_char, *const c_char, *const c_char) -> c_int;
    msc_add_n_request_header: fn(*mut c_void, *const c_uchar, usize, *const c_uchar, usize) -> c_int;
    msc_process_request_headers: fn(*mut c_void) -> c_int;
    msc_append_request_body: fn(*mut c_void, *const c_uchar, usize) -> c_int;
    msc_process_request_body: fn(*mut c_void) -> c_int;
    msc_intervention: fn(*mut c_void, *mut Intervention) -> c_int;
    msc_transaction_cleanup: fn(*mut c_void);
}

/// The library, loaded and started.
pub(super) struct Api {
    functions: Functions,
    /// `msc_rules_error_cleanup`, which versions before 3.0.13 lack: then the C library's `free` does the same.
    error_cleanup: Option<ErrorCleanup>,
    /// `msc_intervention_cleanup`: as above.
    intervention_cleanup: Option<InterventionCleanup>,
    /// The `ModSecurity` object: the log callback and the collections of all transactions.
    root: NonNull<c_void>,
    /// Taken while a rule set is loaded or dropped.
    parser: Mutex<()>,
    /// `ModSecurity v3.0.9 (Linux)`
    pub(super) version: String,
}

// SAFETY: the pointer is to libmodsecurity's root object, whose shared state (collections, log callback) it guards itself; it is
// written once before this value is shared. The function pointers are plain addresses of a library that stays loaded.
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

unsafe extern "C" {
    /// The C library's, which libmodsecurity allocates with: not the one of this program's own allocator.
    fn free(pointer: *mut c_void);
}

impl Api {
    /// Loads the library by its file name.
    ///
    /// # Errors
    /// When it is not there, or is not libmodsecurity 3.
    pub(super) fn load(file: &str) -> Result<Self, String> {
        // SAFETY: loading runs the initialisers of libmodsecurity and of what it links, which are made for that; no thread of
        // this program unloads it again.
        let library = unsafe { Library::new(file) }.map_err(|error| why(&error))?;
        let functions = Functions::of(&library).map_err(|error| why(&error))?;
        // SAFETY: the type is that of the function in the C header of 3.0.13 and later.
        let error_cleanup = unsafe { library.get::<ErrorCleanup>(b"msc_rules_error_cleanup\0") };
        let error_cleanup = error_cleanup.ok().map(|symbol| *symbol);
        // SAFETY: as above.
        let intervention_cleanup = unsafe { library.get::<InterventionCleanup>(b"msc_intervention_cleanup\0") };
        let intervention_cleanup = intervention_cleanup.ok().map(|symbol| *symbol);
        // never unloaded: C++ libraries leave destructors and thread-local state behind
        std::mem::forget(library);
        // SAFETY: takes nothing and gives a new object or null.
        let root = NonNull::new(unsafe { (functions.msc_init)() }).ok_or("it could not be started")?;
        // SAFETY: `root` is the object just made, and the callback is a function that lives as long as the program.
        unsafe { (functions.msc_set_log_cb)(root.as_ptr(), on_message) };
        // SAFETY: `root` is the object just made; the answer is a string of its own or null.
        let version = unsafe { (functions.msc_who_am_i)(root.as_ptr()) };
        // SAFETY: not null where it is read, ended by NUL, and kept by `root`, which is never freed.
        let version = (!version.is_null()).then(|| unsafe { CStr::from_ptr(version) }.to_string_lossy().into_owned());
        let (parser, version) = (Mutex::new(()), version.unwrap_or_default());
        Ok(Self { functions, error_cleanup, intervention_cleanup, root, parser, version })
    }

    /// Takes a message of the parser's and frees it.
    fn take(&self, message: *const c_char) -> String {
        if message.is_null() {
            return String::new();
        }
        // SAFETY: not null, and the parser ends its messages with NUL.
        let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
        match self.error_cleanup {
            // SAFETY: the parser made it for the caller to give back so, once, and nothing refers to it any more.
            Some(cleanup) => drop(unsafe { cleanup(message) }),
            // SAFETY: the parser made it with `strdup` for the caller to free, and nothing refers to it any more.
            None => unsafe { free(message.cast_mut().cast()) },
        }
        text
    }
}

/// The loader's own words stand behind the crate's.
fn why(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// A rule set: first filled, then shared.
pub(super) struct Rules {
    api: &'static Api,
    set: NonNull<c_void>,
}

// SAFETY: after it was filled (which takes `&mut`) a rule set is only read, by any number of transactions on any thread.
unsafe impl Send for Rules {}
// SAFETY: as above.
unsafe impl Sync for Rules {}

impl Rules {
    /// An empty rule set.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn new(api: &'static Api) -> Result<Self, String> {
        let _parser = api.parser.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: takes nothing and gives a new object or null.
        let set = unsafe { (api.functions.msc_create_rules_set)() };
        NonNull::new(set).map(|set| Self { api, set }).ok_or_else(|| "there is no memory for a rule set".to_owned())
    }

    /// Adds rules from text.
    ///
    /// # Errors
    /// The parser's message.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        self.load(text, self.api.functions.msc_rules_add)
    }

    /// Adds the rules of a file; files that it names are looked for beside it.
    ///
    /// # Errors
    /// The parser's message.
    pub(super) fn add_file(&mut self, path: &str) -> Result<(), String> {
        self.load(path, self.api.functions.msc_rules_add_file)
    }

    fn load(
        &mut self,
        what: &str,
        add: unsafe extern "C" fn(*mut c_void, *const c_char, *mut *const c_char) -> c_int,
    ) -> Result<(), String> {
        let what = CString::new(what).map_err(|_| "it contains a NUL byte".to_owned())?;
        let _parser = self.api.parser.lock().unwrap_or_else(PoisonError::into_inner);
        let mut message: *const c_char = ptr::null();
        // SAFETY: the set is ours and nobody else uses it (`&mut`), the text ends with NUL and outlives the call, and the
        // message is written to a place of our own.
        let added = unsafe { add(self.set.as_ptr(), what.as_ptr(), &raw mut message) };
        let message = self.api.take(message);
        if added < 0 { Err(message) } else { Ok(()) }
    }

    /// The library that it is of.
    pub(super) fn api(&self) -> &'static Api {
        self.api
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        let _parser = self.api.parser.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: transactions borrow their rule set, so none is left; the set is freed once.
        unsafe { (self.api.functions.msc_rules_cleanup)(self.set.as_ptr()) };
    }
}

/// What is said by rules that match.
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) texts: Vec<Vec<u8>>,
}

impl Messages {
    fn add(&mut self, text: &CStr) {
        if self.texts.len() < MAX_MESSAGES {
            let bytes = text.to_bytes();
            self.texts.push(bytes.get(..MAX_MESSAGE).unwrap_or(bytes).to_vec());
        }
    }
}

/// One request in the engine.
pub(super) struct Transaction<'r> {
    api: &'static Api,
    raw: NonNull<c_void>,
    /// The library holds its address until the transaction ends.
    messages: Rc<RefCell<Messages>>,
    /// Not `Send`, not `Sync`, and no longer than the rules.
    _rules: PhantomData<(&'r Rules, *const ())>,
}

/// The functions that take a transaction and nothing else.
type Phase = unsafe extern "C" fn(*mut c_void) -> c_int;

impl<'r> Transaction<'r> {
    /// Begins one. `id` is what rules see as `UNIQUE_ID`.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn new(rules: &'r Rules, id: &CStr) -> Result<Self, &'static str> {
        let api = rules.api;
        let messages = Rc::new(RefCell::new(Messages::default()));
        let log = Rc::as_ptr(&messages).cast_mut().cast();
        // SAFETY: root and rules outlive the transaction (one is never freed, the other is borrowed), `id` is copied during the
        // call, and the address given to the callback is of a cell that is dropped after the transaction.
        let raw = unsafe {
            (api.functions.msc_new_transaction_with_id)(api.root.as_ptr(), rules.set.as_ptr(), id.as_ptr(), log)
        };
        let raw = NonNull::new(raw).ok_or("there is no memory for a transaction")?;
        Ok(Self { api, raw, messages, _rules: PhantomData })
    }

    /// Whose connection it is.
    pub(super) fn connection(&mut self, client: &CStr, client_port: u16, server: &CStr, server_port: u16) -> bool {
        // SAFETY: the transaction is ours, the texts end with NUL and are copied during the call.
        let done = unsafe {
            (self.api.functions.msc_process_connection)(
                self.raw.as_ptr(),
                client.as_ptr(),
                c_int::from(client_port),
                server.as_ptr(),
                c_int::from(server_port),
            )
        };
        done != 0
    }

    /// The request line. `version` is `1.1`.
    pub(super) fn request_line(&mut self, target: &CStr, method: &CStr, version: &CStr) -> bool {
        // SAFETY: the transaction is ours, the texts end with NUL and are copied during the call.
        let done = unsafe {
            (self.api.functions.msc_process_uri)(self.raw.as_ptr(), target.as_ptr(), method.as_ptr(), version.as_ptr())
        };
        done != 0
    }

    /// One field; its bytes are taken as they are.
    pub(super) fn header(&mut self, name: &[u8], value: &[u8]) -> bool {
        // SAFETY: the transaction is ours, both are read for exactly their length and copied during the call.
        let done = unsafe {
            (self.api.functions.msc_add_n_request_header)(
                self.raw.as_ptr(),
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        };
        done != 0
    }

    /// Evaluates the head (phase 1).
    pub(super) fn head_done(&mut self) -> bool {
        self.phase(self.api.functions.msc_process_request_headers)
    }

    /// A part of the body.
    pub(super) fn body(&mut self, part: &[u8]) {
        // SAFETY: the transaction is ours, the bytes are read for exactly their length and copied during the call. What it
        // answers is whether the configured limit was passed, which is far above what is ever given.
        unsafe { (self.api.functions.msc_append_request_body)(self.raw.as_ptr(), part.as_ptr(), part.len()) };
    }

    /// Evaluates the body, and the head again (phase 2).
    pub(super) fn body_done(&mut self) -> bool {
        self.phase(self.api.functions.msc_process_request_body)
    }

    fn phase(&mut self, phase: Phase) -> bool {
        // SAFETY: the transaction is ours; the function takes nothing else.
        let done = unsafe { phase(self.raw.as_ptr()) };
        done != 0
    }

    /// Whether a rule wants the request refused.
    pub(super) fn refused(&mut self) -> bool {
        let mut intervention =
            Intervention { status: 200, pause: 0, url: ptr::null_mut(), log: ptr::null_mut(), disruptive: 0 };
        // SAFETY: the transaction is ours, and what is written to has the layout of the C header.
        unsafe { (self.api.functions.msc_intervention)(self.raw.as_ptr(), &raw mut intervention) };
        if !intervention.log.is_null() {
            // what a rule that refuses says comes here and not to the callback
            // SAFETY: not null, and a text that ends with NUL, which is freed below and not before.
            self.messages.borrow_mut().add(unsafe { CStr::from_ptr(intervention.log) });
        }
        if let Some(cleanup) = self.api.intervention_cleanup {
            // SAFETY: what the library wrote is given back to it, once.
            unsafe { cleanup(&raw mut intervention) };
        } else {
            for text in [intervention.url, intervention.log] {
                // SAFETY: null, or made with `strdup` for the caller to free, and referred to nowhere else.
                unsafe { free(text.cast()) };
            }
        }
        intervention.disruptive != 0
    }

    /// What the rules said so far.
    pub(super) fn messages(&self) -> Messages {
        self.messages.take()
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // SAFETY: the transaction is ours and freed once; the cell that it writes to is dropped after this.
        unsafe { (self.api.functions.msc_transaction_cleanup)(self.raw.as_ptr()) };
    }
}

/// What the library calls for each rule that matches and logs. Must not unwind into C++, and prints nothing.
extern "C" fn on_message(log: *mut c_void, message: *const c_void) {
    if log.is_null() || message.is_null() {
        return;
    }
    // SAFETY: `log` is the address that `Transaction::new` gave for this transaction; its cell lives until the transaction ends,
    // on this thread, and `RefCell` refuses a second borrow.
    let messages: &RefCell<Messages> = unsafe { &*log.cast() };
    // SAFETY: the default form of the callback's argument is a text that ends with NUL and lives during the call.
    let text = unsafe { CStr::from_ptr(message.cast()) };
    let keep = || {
        if let Ok(mut messages) = messages.try_borrow_mut() {
            messages.add(text);
        }
    };
    // nothing in it panics; if something ever does, one message is lost and not the process
    let _ = catch_unwind(AssertUnwindSafe(keep));
}

/// The library, loaded when it is first needed. One that is missing is looked for again by the next reload.
pub(super) fn api() -> Result<&'static Api, String> {
    static LOADED: Mutex<Option<&'static Api>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(api) = *loaded {
        return Ok(api);
    }
    let api: &'static Api = Box::leak(Box::new(Api::load(super::FILE)?));
    *loaded = Some(api);
    Ok(api)
}

/// Rule sets are shared by the threads that inspect.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<Rules>>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_or_another_one_is_an_error() {
        for (file, said) in [("libmodsecurity.so.99", "libmodsecurity.so.99"), ("libc.so.6", "msc_init")] {
            let error = Api::load(file).err().unwrap_or_default();
            assert!(error.contains(said), "{file}: {error}");
        }
    }

    #[test]
    fn a_transaction_keeps_a_bounded_number_of_messages() {
        let mut messages = Messages::default();
        let long = CString::new(vec![b'a'; MAX_MESSAGE + 1]).unwrap();
        (0..2 * MAX_MESSAGES).for_each(|_| messages.add(&long));
        assert_eq!((messages.texts.len(), messages.texts[0].len()), (MAX_MESSAGES, MAX_MESSAGE));
        // nothing to write to, nothing to say: nothing happens
        on_message(ptr::null_mut(), ptr::null());
    }
}
