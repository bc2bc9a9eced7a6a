//! What threads need to run images.

use fixedwise_graph::run::Workspace;
use std::sync::Mutex;

/// Images that one thread runs at a time and that are cached together.
pub(super) const CHUNK: usize = 16;

/// What one thread needs to run images.
#[derive(Default)]
pub(super) struct Worker {
    pub(super) workspace: Workspace,
    pub(super) image: Vec<f32>,
}

/// Workers that are not at work: as many come to be as threads run at a time.
pub(super) struct Workers(Mutex<Vec<Worker>>);

impl Workers {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Worker) -> R) -> R {
        let idle = self.0.lock().ok().and_then(|mut idle| idle.pop());
        let mut worker = idle.unwrap_or_default();
        let result = work(&mut worker);
        if let Ok(mut idle) = self.0.lock() {
            idle.push(worker);
        }
        result
    }
}
