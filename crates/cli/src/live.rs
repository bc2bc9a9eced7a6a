//! The page of a search while it goes on.

use crate::{
    host::Host,
    progress,
    server::{Server, Site},
};
use anyhow::Result;
use fixedwise::{
    Now, Observer, Progress, RunResult, Running, ServedPage, Shown, running_page, served_page,
};
use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A search with a page of its own.
pub(crate) struct Live {
    search: Arc<Search>,
    /// Drops last, with what was taken.
    _server: Server,
}

/// What a page tells of a search.
struct Search {
    label: String,
    stop: Arc<AtomicBool>,
    state: Mutex<State>,
    /// Somebody has taken the last page.
    taken: Condvar,
}

#[derive(Default)]
struct State {
    running: Running,
    now: Now,
    /// The page of what came out.
    last: Option<ServedPage>,
    looked: Option<Instant>,
    is_taken: bool,
}

/// A page that was looked at within this time is open, and has so long to take the end.
const OPEN: Duration = Duration::from_secs(2);

impl Live {
    /// Serves the page of a search that will write into a folder, and tells its address.
    pub(crate) fn start(
        port: Option<u16>,
        folder: &Path,
        stop: &Arc<AtomicBool>,
        host: &dyn Host,
    ) -> Result<Self> {
        let search = Arc::new(Search {
            label: folder.display().to_string(),
            stop: Arc::clone(stop),
            state: Mutex::default(),
            taken: Condvar::new(),
        });
        let server = Server::start(port, Arc::clone(&search))?;
        host.address(server.address());
        Ok(Self { search, _server: server })
    }

    /// Shows what came out; a page that is open gets it before the server ends.
    pub(crate) fn finish(&self, result: &RunResult) -> Result<()> {
        let shown = Shown { label: &self.search.label, is_folder: true, result };
        let page = served_page(&[shown])?;
        let mut state = self.search.state();
        state.last = Some(page);
        if state.looked.is_some_and(|looked| looked.elapsed() < OPEN) {
            let wait = self.search.taken.wait_timeout_while(state, OPEN, |state| !state.is_taken);
            drop(wait);
        }
        Ok(())
    }
}

impl Observer for Live {
    fn progress(&self, progress: &Progress) {
        let mut state = self.search.state();
        state.running.take(progress);
        if let Some(now) = progress::now(progress) {
            state.now = now;
        }
    }
}

impl Search {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site for Search {
    fn page(&self) -> Result<ServedPage> {
        let mut state = self.state();
        state.looked = Some(Instant::now());
        if let Some(page) = state.last.clone() {
            state.is_taken = true;
            self.taken.notify_all();
            return Ok(page);
        }
        let is_stopping = self.stop.load(Ordering::Relaxed);
        let now = Now { may_stop: true, is_stopping, ..state.now.clone() };
        let running = state.running.clone();
        // The search goes on meanwhile.
        drop(state);
        Ok(running_page(&self.label, &running, &now)?)
    }

    fn stop(&self) -> bool {
        let goes_on = self.state().last.is_none();
        if goes_on {
            self.stop.store(true, Ordering::Relaxed);
        }
        goes_on
    }
}
