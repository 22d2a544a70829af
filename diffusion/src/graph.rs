//! CUDA graphs: work that is always the same is recorded once and then given to the device in one call.
//!
//! tch binds no graphs, so a small library of ours does (`diffusion/cuda/graph.cpp`, built by `make cuda`). Where it is
//! missing, or there is no CUDA, everything runs as it would without graphs.
#![expect(unsafe_code, reason = "calls into a C library")]

pub mod inputs;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use tch::Tensor;

use self::inputs::Inputs;
use crate::Error;
use crate::device;

/// Runs before a recording, so that libraries choose their kernels and get their memory outside of it.
const REHEARSALS: usize = 3;

const LIBRARY: &str = "libreverie_cuda.so";

type Status = *const c_char;

/// The functions of the library.
struct Shim {
    new: unsafe extern "C" fn(c_int, *mut *mut c_void) -> Status,
    enter: unsafe extern "C" fn(*mut c_void) -> Status,
    leave: unsafe extern "C" fn(*mut c_void) -> Status,
    begin: unsafe extern "C" fn(*mut c_void) -> Status,
    end: unsafe extern "C" fn(*mut c_void) -> Status,
    replay: unsafe extern "C" fn(*mut c_void) -> Status,
    drop: unsafe extern "C" fn(*mut c_void) -> Status,
}

/// Recorded work on one device, with the tensors it reads and the one it writes.
pub struct Graph {
    shim: &'static Shim,
    handle: NonNull<c_void>,
    inputs: Inputs,
    output: Tensor,
}

// SAFETY: the handle is used through `&mut self` only, and neither the graph nor its stream belongs to a thread.
unsafe impl Send for Graph {}

/// Whether work can be recorded here, or why not.
///
/// # Errors
/// What is missing.
pub fn available() -> Result<(), &'static str> {
    shim().map(|_| ())
}

impl Graph {
    /// Records `work` on CUDA device `index`. It is run some times before with the inputs as they are.
    ///
    /// `work` gets the tensors of `inputs` and must do the same each time: no reading back, no branches on values, no
    /// random numbers.
    ///
    /// # Errors
    /// When graphs are not [`available`], or the device refuses the recording.
    ///
    /// # Panics
    /// As `work` does; the recording is ended before.
    pub fn record(
        index: usize,
        inputs: Inputs,
        work: impl Fn(&[Tensor]) -> Tensor,
    ) -> Result<Self, Error> {
        let shim = shim().map_err(|reason| Error::Torch(reason.to_owned()))?;
        let recording = Recording::open(shim, index)?;
        for _ in 0..REHEARSALS {
            let _ = work(inputs.own());
        }
        recording.begin()?;
        let output = catch_unwind(AssertUnwindSafe(|| work(inputs.own())));
        let handle = recording.close()?;
        Ok(Self {
            shim,
            handle,
            inputs,
            output: output.unwrap_or_else(|panic| resume_unwind(panic)),
        })
    }

    /// What the recorded work reads; fill it before [`Graph::replay`].
    pub fn inputs(&mut self) -> &mut Inputs {
        &mut self.inputs
    }

    /// Does the work for its inputs as they are now. The result is overwritten by the next call. Does not wait for the
    /// device.
    ///
    /// # Errors
    /// When the device refuses.
    pub fn replay(&mut self) -> Result<Tensor, Error> {
        // SAFETY: the handle is alive until `drop`.
        check(unsafe { (self.shim.replay)(self.handle.as_ptr()) })?;
        Ok(self.output.shallow_clone())
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the handle came from `new` and is not used again. What cannot be freed is left.
        let _ = check(unsafe { (self.shim.drop)(self.handle.as_ptr()) });
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

/// Between the change to the graph's stream and the change back, which happens in any case.
struct Recording {
    shim: &'static Shim,
    handle: Option<NonNull<c_void>>,
}

impl Recording {
    fn open(shim: &'static Shim, index: usize) -> Result<Self, Error> {
        let mut handle = ptr::null_mut();
        let index = c_int::try_from(index).expect("device numbers are small");
        // SAFETY: `handle` is written before the call returns.
        check(unsafe { (shim.new)(index, &raw mut handle) })?;
        let handle = NonNull::new(handle).expect("a graph that was made is not null");
        // SAFETY: the handle was just made.
        check(unsafe { (shim.enter)(handle.as_ptr()) })?;
        Ok(Self {
            shim,
            handle: Some(handle),
        })
    }

    fn begin(&self) -> Result<(), Error> {
        let handle = self.handle.expect("it is taken by close only");
        // SAFETY: the handle is alive.
        check(unsafe { (self.shim.begin)(handle.as_ptr()) })
    }

    fn close(mut self) -> Result<NonNull<c_void>, Error> {
        let handle = self.handle.take().expect("it is taken by close only");
        // SAFETY: the handle is alive, and its stream is current since `open`.
        let ended = check(unsafe { (self.shim.end)(handle.as_ptr()) });
        // SAFETY: as above.
        let left = check(unsafe { (self.shim.leave)(handle.as_ptr()) });
        let closed = ended.and(left);
        if closed.is_err() {
            // SAFETY: nobody has the handle any more.
            let _ = check(unsafe { (self.shim.drop)(handle.as_ptr()) });
        }
        closed.map(|()| handle)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            // SAFETY: the recording was not begun or not closed; the handle is alive and nobody else has it.
            unsafe {
                let _ = check((self.shim.leave)(handle.as_ptr()));
                let _ = check((self.shim.drop)(handle.as_ptr()));
            }
        }
    }
}

fn shim() -> Result<&'static Shim, &'static str> {
    static SHIM: OnceLock<Result<Shim, String>> = OnceLock::new();
    SHIM.get_or_init(|| {
        device::cuda()?;
        load().map_err(|error| format!("no CUDA graphs: {error}; make cuda builds {LIBRARY}"))
    })
    .as_ref()
    .map_err(String::as_str)
}

fn load() -> Result<Shim, libloading::Error> {
    // SAFETY: its only initialisers are those of libtorch's own headers, and the types below are those of graph.cpp.
    unsafe {
        let library = Library::open(Some(LIBRARY), RTLD_NOW | RTLD_LOCAL)?;
        let shim = Shim {
            new: *library.get(b"reverie_graph_new")?,
            enter: *library.get(b"reverie_graph_enter")?,
            leave: *library.get(b"reverie_graph_leave")?,
            begin: *library.get(b"reverie_graph_begin")?,
            end: *library.get(b"reverie_graph_end")?,
            replay: *library.get(b"reverie_graph_replay")?,
            drop: *library.get(b"reverie_graph_drop")?,
        };
        // Its functions are used for the life of the process.
        std::mem::forget(library);
        Ok(shim)
    }
}

fn check(status: Status) -> Result<(), Error> {
    if status.is_null() {
        return Ok(());
    }
    // SAFETY: the library returns null or a string that ends in a null and lives until this thread's next call.
    let message = unsafe { CStr::from_ptr(status) };
    Err(Error::Torch(message.to_string_lossy().into_owned()))
}
