//! The tool that watches the load, chosen by a cargo feature.

use tokio::runtime::Builder;
#[cfg(not(feature = "dial9"))]
use tokio::runtime::Runtime;

fn builder(workers: usize) -> Builder {
    let mut builder = match workers {
        0 => Builder::new_current_thread(),
        workers => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    };
    builder.enable_all();
    builder
}

#[cfg(not(feature = "dial9"))]
/// Runs `load` as a task, as most code of a program runs.
fn block_on<F>(runtime: &Runtime, load: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    runtime.block_on(async { tokio::spawn(load).await.expect("the load does not panic") })
}

/// Runs `load` on a runtime with this many workers, or on the current thread with 0.
#[cfg(not(any(feature = "probe", feature = "console", feature = "dial9")))]
pub fn run<F>(workers: usize, load: impl FnOnce() -> F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    block_on(&builder(workers).build().expect("build a runtime"), load())
}

/// Runs `load` with loopscope-probe.
#[cfg(feature = "probe")]
pub fn run<F>(workers: usize, load: impl FnOnce() -> F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let _probe = loopscope_probe::init();
    let mut builder = builder(workers);
    loopscope_probe::runtime(&mut builder);
    block_on(&builder.build().expect("build a runtime"), load())
}

/// Runs `load` with console-subscriber's layer and its aggregator.
#[cfg(feature = "console")]
pub fn run<F>(workers: usize, load: impl FnOnce() -> F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    console_subscriber::ConsoleLayer::builder().server_addr(([127, 0, 0, 1], 0)).init();
    block_on(&builder(workers).build().expect("build a runtime"), load())
}

/// Runs `load` with dial9, which writes to a folder that is removed afterwards.
#[cfg(feature = "dial9")]
pub fn run<F>(workers: usize, load: impl FnOnce() -> F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    use dial9::{Dial9HandleTokioExt, DiskBuffer, TokioAttachOptions};

    let folder = std::env::temp_dir().join(format!("loopscope-bench-dial9-{}", std::process::id()));
    let writer = DiskBuffer::builder()
        .base_path(&folder)
        .max_file_size(64 << 20)
        .max_total_size(256 << 20)
        .build()
        .expect("create a trace");
    let recorder = dial9::recorder(writer).build();
    let options = TokioAttachOptions::builder().task_tracking_enabled(true).build();
    let runtime = recorder.handle().attach_tokio_runtime(builder(workers), options).expect("build a runtime");
    let load = load();
    let value = dial9::block_on(&runtime, async { dial9::spawn(load).await.expect("the load does not panic") });
    drop(runtime);
    drop(recorder);
    let _ = std::fs::remove_dir_all(folder);
    value
}

/// Names an await, where the tool can.
#[cfg(not(feature = "probe"))]
pub fn named<F: Future>(future: F, _name: &'static str) -> F {
    future
}

/// Names an await.
#[cfg(feature = "probe")]
#[track_caller]
pub fn named<F: Future>(future: F, name: &'static str) -> loopscope_probe::NamedAwait<F> {
    use loopscope_probe::AwaitAs;
    future.await_as(name)
}
