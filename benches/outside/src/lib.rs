//! The load that all programs run.

use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// What a program runs, from its arguments: `WORKERS TASKS POLLS_EACH WORK_NS REPETITIONS`.
///
/// 0 workers are a current-thread runtime.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    workers: usize,
    tasks: usize,
    polls_each: usize,
    work_steps: u64,
    repetitions: usize,
}

/// How tasks are spawned.
pub trait Spawner: 'static {
    /// Spawns a task.
    fn spawn<F>(future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;
}

/// Spawns with [`tokio::spawn`].
struct TokioSpawner;

impl Spawner for TokioSpawner {
    fn spawn<F>(future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(future)
    }
}

/// Pause between two repetitions.
const PAUSE: Duration = Duration::from_millis(5);

impl Load {
    /// Reads the arguments.
    ///
    /// # Panics
    /// Panics if they are not five numbers.
    pub fn from_arguments() -> Self {
        let numbers: Vec<usize> =
            std::env::args().skip(1).map(|argument| argument.parse().expect("arguments are numbers")).collect();
        let [workers, tasks, polls_each, work_ns, repetitions] = numbers[..] else { panic!("expected five numbers") };
        Self { workers, tasks, polls_each, work_steps: steps_for(work_ns), repetitions }
    }

    /// Returns a builder for the runtime.
    pub fn builder(&self) -> Builder {
        let mut builder = match self.workers {
            0 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        if self.workers > 0 {
            builder.worker_threads(self.workers);
        }
        builder.enable_time();
        builder
    }

    /// Runs the load and prints the time for each poll in nanoseconds, a line for each repetition.
    pub fn run(self, runtime: &Runtime) {
        self.run_with::<TokioSpawner>(runtime);
    }

    /// As [`Self::run`], with tasks spawned in another way.
    pub fn run_with<S: Spawner>(self, runtime: &Runtime) {
        runtime.block_on(async {
            for _ in 0..self.repetitions {
                let took = S::spawn(self.repeat::<S>()).await.expect("the load does not panic");
                println!("{}", took.as_nanos() as f64 / (self.tasks * self.polls_each) as f64);
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    async fn repeat<S: Spawner>(self) -> Duration {
        let start = Instant::now();
        let tasks: Vec<_> = (0..self.tasks).map(|_| S::spawn(self.run_task())).collect();
        for task in tasks {
            task.await.expect("a task does not panic");
        }
        start.elapsed()
    }

    async fn run_task(self) {
        let mut polls = 0;
        poll_fn(|cx| {
            work(self.work_steps);
            polls += 1;
            if polls == self.polls_each {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Returns how many steps take this many nanoseconds.
fn steps_for(work_ns: usize) -> u64 {
    const TRIAL_STEPS: u64 = 20_000;
    let mut trials: Vec<f64> = (0..50)
        .map(|_| {
            let start = Instant::now();
            work(TRIAL_STEPS);
            start.elapsed().as_nanos() as f64
        })
        .collect();
    trials.sort_by(f64::total_cmp);
    (TRIAL_STEPS as f64 * work_ns as f64 / trials[trials.len() / 4]) as u64
}

fn work(steps: u64) {
    let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..steps {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}
