//! The Flink driver: runs the stages of a plan inside a real Apache Flink cluster.
//!
//! A program's library is loaded by the Java harness in `flink/`: in the client and the JobManager, where it
//! describes the plan, numbers attempts and runs enumerators, and in TaskManagers, where it runs subtasks.
//! Flink brings the exchange of elements, barriers, coordination and recovery; what a subtask does is decided
//! by the rules of `millstream-protocol`, as on every driver.
//!
//! Start reading at `subtask.rs` (what a call of Flink's leads to), then `element.rs` (what travels between
//! subtasks) and `state.rs` (what a checkpoint holds). `jni.rs` is the border to Java.
//!
//! A pipeline gets all this by one line in a crate of the type `cdylib`:
//!
//! ```text
//! millstream_flink::pipeline!(my_pipeline::program());
//! ```

mod canonical;
mod describe;
mod element;
mod enumerator;
mod epoch;
#[allow(unsafe_code, reason = "the border to Java")]
mod jni;
mod logs;
mod metrics;
mod outcome;
mod program;
mod roomy;
mod savepoint;
mod settings;
mod state;
mod subtask;
mod wake;

pub use crate::jni::{MakeProgram, on_load};
pub use crate::program::Program;

/// Makes a library of a program that Flink can run: an [`Application`](millstream_cli::Application), made anew
/// each time by this expression.
#[macro_export]
macro_rules! pipeline {
    ($program:expr) => {
        /// Called by the JVM that loads the library.
        ///
        /// # Safety
        /// Only the JVM calls it.
        #[unsafe(no_mangle)]
        pub unsafe extern "system" fn JNI_OnLoad(
            vm: *mut ::core::ffi::c_void,
            _: *mut ::core::ffi::c_void,
        ) -> i32 {
            fn make() -> ::std::boxed::Box<dyn $crate::Program> {
                ::std::boxed::Box::new($program)
            }
            // SAFETY: the JVM has handed over its own pointer.
            unsafe { $crate::on_load(vm, make) }
        }
    };
}
