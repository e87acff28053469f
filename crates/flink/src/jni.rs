//! The natives of the harness' class `io.millstream.flink.Native`: the only file that speaks JNI.
//!
//! Every native catches errors and panics and throws a `NativeException` instead. Handles are pointers to
//! boxes of this library; the harness closes each exactly once, and calls nothing with it afterwards.

use std::ffi::c_void;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use jni::errors::ErrorPolicy;
use jni::objects::{JByteArray, JClass, JObject, JObjectArray, JString, JValue};
use jni::refs::Weak;
use jni::strings::{JNIStr, JNIString};
use jni::sys::{jboolean, jint, jlong};
use jni::{Env, EnvUnowned, JavaVM, NativeMethod, jni_sig, jni_str};
use millstream_checkpoint::flink_form::encode_assignment;
use millstream_record::{Error, ErrorKind};
use millstream_stage::metrics::SubtaskMetrics;
use millstream_stage::source::Assignment;
use parking_lot::Mutex;
use tracing::Level;

use crate::enumerator::{StageEnumerator, is_last};
use crate::epoch::Claimant;
use crate::metrics::RecordCounters;
use crate::program::{Job, Program, help};
use crate::roomy::roomy;
use crate::state::FrozenStage;
use crate::subtask::{FlinkCall, StageSubtask};
use crate::wake::Callback;
use crate::{describe, epoch, logs, metrics};

/// Makes the program. A function and no value: a library that stays loaded holds no memory then.
pub type MakeProgram = fn() -> Box<dyn Program>;

static PROGRAM: OnceLock<MakeProgram> = OnceLock::new();

// Weak: a strong reference would keep the harness' class loader, and with it this library, for ever.
static LOG: OnceLock<Weak<JClass<'static>>> = OnceLock::new();

fn program() -> Result<Box<dyn Program>, Error> {
    let make = PROGRAM.get().ok_or_else(|| Error::bug("the library was loaded without its program"))?;
    Ok(make())
}

/// What a native fails with.
enum NativeError {
    Ours(Error),
    Java(jni::errors::Error),
}

impl From<Error> for NativeError {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<jni::errors::Error> for NativeError {
    fn from(error: jni::errors::Error) -> Self {
        Self::Java(error)
    }
}

type NativeResult<T> = Result<T, NativeError>;

/// Throws a `NativeException` for every error.
struct Throw;

impl<T: Default> ErrorPolicy<T, NativeError> for Throw {
    type Captures<'unowned_env_local: 'native_method, 'native_method> = ();

    fn on_error<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        (): &mut (),
        error: NativeError,
    ) -> jni::errors::Result<T> {
        let message = match error {
            NativeError::Ours(error) => message_of(&error),
            // It is pending, and travels on by itself.
            NativeError::Java(jni::errors::Error::JavaException) => return Ok(T::default()),
            NativeError::Java(error) => format!("[bug] a call of Java failed: {error}"),
        };
        throw(env, &message);
        Ok(T::default())
    }

    fn on_panic<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        (): &mut (),
        payload: Box<dyn std::any::Any + Send + 'static>,
    ) -> jni::errors::Result<T> {
        let text = payload.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        throw(env, &shortened(format!("[bug] native code panicked: {}", text.unwrap_or_default())));
        Ok(T::default())
    }
}

// The exception is pending when this returns; that is said by an error, too.
fn throw(env: &mut Env<'_>, message: &str) {
    let _ = env.throw_new(jni_str!("io/millstream/flink/NativeException"), JNIString::from(message));
}

// The harness reads the kind: some errors must not lead to a restart. It knows the stage and the subtask.
fn message_of(error: &Error) -> String {
    let kind = match error.kind() {
        ErrorKind::Retry => "retry",
        ErrorKind::Restart => "restart",
        ErrorKind::BadRecord => "bad-record",
        ErrorKind::Configuration => "configuration",
        ErrorKind::Data => "data",
        ErrorKind::Fenced => "fenced",
        ErrorKind::Bug => "bug",
    };
    shortened(format!("[{kind}] {}", error.chain()))
}

// Flink sends an exception several times over, and a TaskManager is lost when a message exceeds what its RPC
// takes. A text that quotes a large record can do that.
fn shortened(mut text: String) -> String {
    const LONGEST: usize = 32 << 10;
    let cut = text.len().saturating_sub(LONGEST);
    if cut > 0 {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push_str(&format!("… ({cut} more bytes)"));
    }
    text
}

fn answer<'local, T: Default>(
    mut env: EnvUnowned<'local>,
    call: impl FnOnce(&mut Env<'local>) -> NativeResult<T>,
) -> T {
    env.with_env(call).resolve::<Throw>()
}

/// Registers the natives. Called from `JNI_OnLoad`, with the class loader of the harness in effect.
///
/// # Safety
/// `vm` is the pointer that `JNI_OnLoad` was called with.
pub unsafe fn on_load(vm: *mut c_void, make: MakeProgram) -> jint {
    PROGRAM.get_or_init(|| make);
    // SAFETY: the caller hands over the JVM's own pointer.
    let vm = unsafe { JavaVM::from_raw(vm.cast()) };
    let registered = vm.attach_current_thread(|env| -> jni::errors::Result<()> {
        let class = env.find_class(jni_str!("io/millstream/flink/Native"))?;
        let log = env.find_class(jni_str!("io/millstream/flink/NativeLog"))?;
        let log = env.new_weak_ref(&log)?;
        LOG.get_or_init(|| log);
        // SAFETY: each function has the signature beside it, and all methods are static.
        unsafe { env.register_native_methods(&class, &natives()) }
    });
    match registered {
        Ok(()) => jni::sys::JNI_VERSION_1_8,
        Err(_) => jni::sys::JNI_ERR,
    }
}

fn natives() -> [NativeMethod<'static>; 19] {
    let native = |name: &'static JNIStr, signature: &'static JNIStr, function: *mut c_void| {
        // SAFETY: the list below pairs each function with its own signature.
        unsafe { NativeMethod::from_raw_parts(name, signature, function) }
    };
    [
        native(jni_str!("describe"), jni_str!("([Ljava/lang/String;)[B"), describe_job as *mut c_void),
        native(jni_str!("claimEpoch"), jni_str!("([BLjava/lang/String;ZJ)J"), claim_epoch as *mut c_void),
        native(jni_str!("openEnumerator"), jni_str!("([BII)J"), open_enumerator as *mut c_void),
        native(jni_str!("enumerator"), jni_str!("(JI[B)[B"), enumerator as *mut c_void),
        native(jni_str!("closeEnumerator"), jni_str!("(J)V"), close_enumerator as *mut c_void),
        native(jni_str!("emptyAssignment"), jni_str!("(Z)[B"), empty_assignment as *mut c_void),
        native(jni_str!("isLast"), jni_str!("([B)Z"), is_last_assignment as *mut c_void),
        native(
            jni_str!("openStage"),
            jni_str!("([B[BLio/millstream/flink/Waker;)J"),
            open_stage as *mut c_void,
        ),
        native(jni_str!("call"), jni_str!("(JIJ[B)[[B"), call as *mut c_void),
        native(jni_str!("takeFrozen"), jni_str!("(JJ)J"), take_frozen as *mut c_void),
        native(jni_str!("frozenLists"), jni_str!("(J)[B"), frozen_lists as *mut c_void),
        native(jni_str!("writeFrozen"), jni_str!("(JLjava/lang/String;)[B"), write_frozen as *mut c_void),
        native(jni_str!("frozenTables"), jni_str!("(J)[B"), frozen_tables as *mut c_void),
        native(jni_str!("frozenEntries"), jni_str!("(JI)[B"), frozen_entries as *mut c_void),
        native(jni_str!("dropFrozen"), jni_str!("(J)V"), drop_frozen as *mut c_void),
        native(jni_str!("metrics"), jni_str!("(J)[B"), stage_metrics as *mut c_void),
        native(jni_str!("closeStage"), jni_str!("(J)V"), close_stage as *mut c_void),
        native(jni_str!("version"), jni_str!("()Ljava/lang/String;"), version as *mut c_void),
        native(jni_str!("startLogs"), jni_str!("(Ljava/lang/String;)V"), start_logs as *mut c_void),
    ]
}

/// What a handle of a stage points to.
struct StageHandle {
    subtask: Mutex<StageSubtask>,
    // Read by other threads while a call is under way.
    metrics: Arc<SubtaskMetrics>,
    counters: Arc<RecordCounters>,
}

// A handle that the harness has, as a reference.
fn at<'a, T>(handle: jlong) -> NativeResult<&'a T> {
    let pointer = handle as *const T;
    // SAFETY: handles come from `handle_of` with this type, and are not used after they are closed.
    unsafe { pointer.as_ref() }.ok_or_else(|| Error::bug("a handle is null").into())
}

fn handle_of<T>(value: T) -> jlong {
    Box::into_raw(Box::new(value)) as jlong
}

// Takes back what a handle points to.
fn closed<T>(handle: jlong) -> Option<Box<T>> {
    // SAFETY: see `at`; the harness closes each handle once.
    (handle != 0).then(|| unsafe { Box::from_raw(handle as *mut T) })
}

fn bytes(env: &Env<'_>, array: &JByteArray<'_>) -> NativeResult<Vec<u8>> {
    Ok(if array.is_null() { Vec::new() } else { env.convert_byte_array(array)? })
}

fn array<'local>(env: &mut Env<'local>, bytes: &[u8]) -> NativeResult<JByteArray<'local>> {
    Ok(env.byte_array_from_slice(bytes)?)
}

fn job(env: &Env<'_>, job: &JByteArray<'_>) -> NativeResult<Job> {
    Ok(Job::decode(&bytes(env, job)?)?)
}

extern "system" fn describe_job<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    args: JObjectArray<'local, JString<'local>>,
) -> JByteArray<'local> {
    answer(env, |env| {
        let mut texts = Vec::new();
        for index in 0..args.len(env)? {
            texts.push(args.get_element(env, index)?.try_to_string(env)?);
        }
        if let Some(help) = help(&texts) {
            // Where the user has called; nothing is left to describe.
            let _ = std::io::stdout().write_all(help.as_bytes());
            return array(env, &[]);
        }
        let program = program()?;
        let described = roomy(|| describe::describe(program.as_ref(), texts))?;
        array(env, &described)
    })
}

extern "system" fn claim_epoch<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    of: JByteArray<'local>,
    name: JString<'local>,
    again: jboolean,
    floor: jlong,
) -> jlong {
    answer(env, |env| {
        let job = job(env, &of)?;
        let claimant = Claimant { name: name.try_to_string(env)?, again, floor: floor.max(0) as u64 };
        let program = program()?;
        Ok(roomy(|| epoch::claim(program.as_ref(), &job, &claimant))? as jlong)
    })
}

extern "system" fn open_enumerator<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    of: JByteArray<'local>,
    stage: jint,
    parallelism: jint,
) -> jlong {
    answer(env, |env| {
        let job = job(env, &of)?;
        let (program, stage, parallelism) = (program()?, stage.max(0) as u32, parallelism.max(1) as u16);
        let opened = roomy(|| StageEnumerator::open(program.as_ref(), job, stage, parallelism))?;
        Ok(handle_of(Mutex::new(opened)))
    })
}

extern "system" fn enumerator<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    handle: jlong,
    event: jint,
    argument: JByteArray<'local>,
) -> JByteArray<'local> {
    answer(env, |env| {
        let enumerator: &Mutex<StageEnumerator> = at(handle)?;
        let argument = if argument.is_null() { None } else { Some(bytes(env, &argument)?) };
        let answered = roomy(|| enumerator.lock().on(event, argument.as_deref()))?;
        array(env, &answered)
    })
}

extern "system" fn close_enumerator<'local>(env: EnvUnowned<'local>, _: JClass<'local>, handle: jlong) {
    answer(env, |_| {
        drop(closed::<Mutex<StageEnumerator>>(handle));
        Ok(())
    });
}

extern "system" fn empty_assignment<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    last: jboolean,
) -> JByteArray<'local> {
    answer(env, |env| {
        let assignment = Assignment { subtask: 0, splits: Vec::new(), last };
        array(env, &encode_assignment(&assignment))
    })
}

extern "system" fn is_last_assignment<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    assignment: JByteArray<'local>,
) -> jboolean {
    answer(env, |env| Ok(is_last(&bytes(env, &assignment)?)?))
}

extern "system" fn open_stage<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    of: JByteArray<'local>,
    request: JByteArray<'local>,
    waker: JObject<'local>,
) -> jlong {
    answer(env, |env| {
        let (job, request) = (job(env, &of)?, bytes(env, &request)?);
        let callback = callback(env, &waker)?;
        let program = program()?;
        let subtask = roomy(|| StageSubtask::open(program.as_ref(), &job, &request, callback))?;
        let (metrics, counters) = (Arc::clone(subtask.metrics()), Arc::clone(subtask.counters()));
        Ok(handle_of(StageHandle { subtask: Mutex::new(subtask), metrics, counters }))
    })
}

// Threads of ours stay attached until they end, which they do when the stage is closed.
fn callback(env: &Env<'_>, waker: &JObject<'_>) -> NativeResult<Callback> {
    let (vm, waker) = (env.get_java_vm()?, env.new_global_ref(waker)?);
    Ok(Box::new(move || {
        let woken = vm.attach_current_thread(|env| {
            env.call_method(&waker, jni_str!("wake"), jni_sig!("()V"), &[]).map(drop)
        });
        if let Err(error) = woken {
            tracing::warn!("a subtask in Flink could not be woken: {error}");
        }
    }))
}

extern "system" fn call<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    handle: jlong,
    kind: jint,
    argument: jlong,
    data: JByteArray<'local>,
) -> JObjectArray<'local, JByteArray<'local>> {
    answer(env, |env| {
        let stage: &StageHandle = at(handle)?;
        let data = bytes(env, &data)?;
        let outcome = stage.subtask.lock().call(call_of(kind, argument, &data)?)?;
        let length = outcome.elements.len() + 1;
        let results = JObjectArray::<JByteArray<'_>>::new(env, length, JByteArray::null())?;
        let control = array(env, &outcome.control())?;
        results.set_element(env, 0, &control)?;
        for (index, element) in outcome.elements.iter().enumerate() {
            let element = array(env, &element.bytes)?;
            results.set_element(env, index + 1, &element)?;
            env.delete_local_ref(element);
        }
        Ok(results)
    })
}

fn call_of(kind: jint, argument: jlong, data: &[u8]) -> Result<FlinkCall<'_>, Error> {
    let (id, input) = (argument as u64, argument as usize);
    Ok(match kind {
        0 => FlinkCall::Element(input, data),
        1 | 10 => FlinkCall::Resume,
        2 => FlinkCall::Trigger(id),
        3 => FlinkCall::Prepare(id),
        4 => FlinkCall::Completed(id, false),
        5 => FlinkCall::Completed(id, true),
        6 => FlinkCall::Aborted(id),
        7 => FlinkCall::EndInput(input),
        8 => FlinkCall::Assign(data),
        9 => FlinkCall::Drain,
        other => return Err(Error::bug(format!("the harness made an unknown call, {other}"))),
    })
}

extern "system" fn take_frozen<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    handle: jlong,
    id: jlong,
) -> jlong {
    answer(env, |_| {
        let stage: &StageHandle = at(handle)?;
        let frozen = stage.subtask.lock().take_frozen(id as u64)?;
        Ok(handle_of(Mutex::new(frozen)))
    })
}

extern "system" fn frozen_lists<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    frozen: jlong,
) -> JByteArray<'local> {
    answer(env, |env| {
        let lists = at::<Mutex<FrozenStage>>(frozen)?.lock().lists();
        array(env, &lists)
    })
}

extern "system" fn write_frozen<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    frozen: jlong,
    folder: JString<'local>,
) -> JByteArray<'local> {
    answer(env, |env| {
        let folder = folder.try_to_string(env)?;
        let frozen = at::<Mutex<FrozenStage>>(frozen)?;
        let written = roomy(|| frozen.lock().write(Path::new(&folder)))?;
        array(env, &written)
    })
}

extern "system" fn frozen_tables<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    frozen: jlong,
) -> JByteArray<'local> {
    answer(env, |env| {
        let tables = at::<Mutex<FrozenStage>>(frozen)?.lock().tables();
        array(env, &tables)
    })
}

extern "system" fn frozen_entries<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    frozen: jlong,
    group: jint,
) -> JByteArray<'local> {
    answer(env, |env| {
        let frozen = at::<Mutex<FrozenStage>>(frozen)?;
        let entries = roomy(|| frozen.lock().entries(group.max(0) as u16))?;
        array(env, &entries)
    })
}

extern "system" fn drop_frozen<'local>(env: EnvUnowned<'local>, _: JClass<'local>, frozen: jlong) {
    answer(env, |_| {
        drop(closed::<Mutex<FrozenStage>>(frozen));
        Ok(())
    });
}

extern "system" fn stage_metrics<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    handle: jlong,
) -> JByteArray<'local> {
    answer(env, |env| {
        let stage: &StageHandle = at(handle)?;
        array(env, &metrics::encode(&stage.counters, &stage.metrics))
    })
}

extern "system" fn close_stage<'local>(env: EnvUnowned<'local>, _: JClass<'local>, handle: jlong) {
    answer(env, |_| {
        if let Some(stage) = closed::<StageHandle>(handle) {
            stage.subtask.into_inner().close();
        }
        Ok(())
    });
}

extern "system" fn version<'local>(env: EnvUnowned<'local>, _: JClass<'local>) -> JString<'local> {
    answer(env, |env| Ok(env.new_string(env!("CARGO_PKG_VERSION"))?))
}

extern "system" fn start_logs<'local>(env: EnvUnowned<'local>, _: JClass<'local>, level: JString<'local>) {
    answer(env, |env| {
        let level = level.try_to_string(env)?;
        logs::start(logs::level_of(&level), log_line);
        Ok(())
    });
}

// A failure to log can be told to nobody.
fn log_line(level: Level, target: &str, text: &str) {
    let Some(class) = LOG.get() else { return };
    let _ = JavaVM::singleton().and_then(|vm| {
        vm.attach_current_thread(|env| {
            // The harness is gone: so is its logger.
            let Some(class) = class.upgrade_local(env)? else { return Ok(()) };
            let level = level_number(level);
            let (target, text) = (env.new_string(target)?, env.new_string(shortened(text.to_owned()))?);
            env.call_static_method(
                &class,
                jni_str!("log"),
                jni_sig!("(ILjava/lang/String;Ljava/lang/String;)V"),
                &[JValue::Int(level), JValue::Object(&target), JValue::Object(&text)],
            )
            .map(drop)
        })
    });
}

// As slf4j numbers them.
fn level_number(level: Level) -> jint {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 0,
    }
}
