//! Threads of a job.

use crate::error::Error;

/// Threads of its own for a run.
pub(crate) fn pool(count: Option<usize>) -> Result<rayon::ThreadPool, Error> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count.unwrap_or(0))
        .build()
        .map_err(|error| Error::Option { option: "threads", problem: error.to_string() })
}
