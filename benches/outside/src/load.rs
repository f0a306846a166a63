//! Loads: tasks that yield, with or without work between.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Tasks that each yield a number of times.
#[derive(Clone, Copy)]
pub struct Load {
    tasks: usize,
    polls_each: u64,
    work_steps: u64,
    repetitions: usize,
}

impl Load {
    /// Only yields.
    pub const YIELDING: Self = Self { tasks: 100, polls_each: 2_000, work_steps: 0, repetitions: 9 };

    /// Works about 5 µs per poll: 1,700 steps of three dependent instructions each at 3 GHz.
    pub const WORKING: Self = Self { tasks: 1_000, polls_each: 20, work_steps: 2_500, repetitions: 7 };

    /// Runs the load and returns the median time per poll over the repetitions, in nanoseconds.
    pub async fn run(self) -> f64 {
        let mut times = Vec::new();
        for _ in 0..self.repetitions {
            let polls = Arc::new(AtomicU64::new(0));
            let start = Instant::now();
            let handles: Vec<_> = (0..self.tasks)
                .map(|_| {
                    let polls = polls.clone();
                    tokio::spawn(async move {
                        for _ in 0..self.polls_each {
                            work(self.work_steps);
                            tokio::task::yield_now().await;
                        }
                        polls.fetch_add(self.polls_each + 1, Ordering::Relaxed);
                    })
                })
                .collect();
            for handle in handles {
                handle.await.expect("the load does not panic");
            }
            times.push(start.elapsed().as_nanos() as f64 / polls.load(Ordering::Relaxed) as f64);
            // Readers of the events catch up.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
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
