//! The load with dial9, which writes into a folder for temporary files and tracks tasks.

use dial9::{Dial9HandleTokioExt, DiskBuffer, TokioAttachOptions};

/// Spawns tasks whose wakes dial9 sees.
struct Dial9Spawner;

impl outside::Spawner for Dial9Spawner {
    fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        dial9::spawn(future)
    }
}

fn main() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let writer = DiskBuffer::builder()
        .base_path(folder.path().join("trace"))
        .max_file_size(64 << 20)
        .max_total_size(1 << 30)
        .build()?;
    let recorder = dial9::recorder(writer).build();
    let load = outside::Load::from_arguments();
    let options = TokioAttachOptions::builder().task_tracking_enabled(true).build();
    let runtime = recorder.handle().attach_tokio_runtime(load.builder(), options)?;
    load.run_with::<Dial9Spawner>(&runtime);
    Ok(())
}
