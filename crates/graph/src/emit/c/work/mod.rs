//! How many instructions a printed network executes for one image: assembly is counted line by line, functions in C by
//! how often their loops run and what a turn of each takes on a core, which was measured once.

mod table;

use super::cpu::{Cpu, Optimization};
use crate::{shape::Shape, window::Window};
use fixedwise_fixed::convert::{count_to_u64, f64_to_count, u64_to_f64};

/// Turns of the loops of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What its code depends on: words separated by `_`, the first one the kernel.
    pub kind: String,
    /// How often each of its loops runs, the calls first; a kernel has the same loops in the same order always.
    pub turns: Vec<u64>,
}

/// What is executed for one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Instructions of functions in assembly.
    pub assembly: u64,
    /// Functions in C.
    pub runs: Vec<Run>,
}

impl Work {
    /// Adds what a function does.
    pub(crate) fn add(&mut self, kind: &str, turns: &[usize]) {
        let turns = turns.iter().map(|&turns| count_to_u64(turns));
        match self.runs.iter_mut().find(|run| run.kind == kind) {
            Some(run) => run.turns.iter_mut().zip(turns).for_each(|(sum, turns)| *sum += turns),
            None => self.runs.push(Run { kind: kind.to_owned(), turns: turns.collect() }),
        }
    }

    /// The same so many times.
    #[must_use]
    pub(crate) fn repeated(mut self, times: usize) -> Self {
        let times = count_to_u64(times);
        self.assembly *= times;
        self.runs.iter_mut().flat_map(|run| &mut run.turns).for_each(|turns| *turns *= times);
        self
    }

    /// Executed instructions, as the compiler makes them; the table's functions are those of `optimization`.
    pub fn instructions(&self, cpu: Cpu, optimization: Optimization) -> u64 {
        let of_run = |run: &Run| -> f64 {
            let each = table::instructions(&run.kind, cpu, optimization).unwrap_or(&[]);
            each.iter().zip(&run.turns).map(|(each, &turns)| each * u64_to_f64(turns)).sum()
        };
        self.assembly
            + count_to_u64(f64_to_count(self.runs.iter().map(of_run).sum::<f64>().round()))
    }

    /// Kernels of which nothing is measured on a core: they count as none.
    pub fn unknown(&self, cpu: Cpu, optimization: Optimization) -> Vec<&str> {
        let is_unknown = |run: &&Run| table::instructions(&run.kind, cpu, optimization).is_none();
        self.runs.iter().filter(is_unknown).map(|run| table::kernel(&run.kind)).collect()
    }
}

/// Turns of the loops over the windows of an image, for functions with `$FOR_EACH_WINDOW`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    /// Calls: one for each row where rows flow.
    pub(crate) calls: usize,
    /// Rows of the output, and its pixels.
    pub(crate) rows: usize,
    pub(crate) pixels: usize,
    /// Rows of the kernel that lie inside the image, over all pixels.
    pub(crate) kernel_rows: usize,
    /// Taps of the kernel that lie inside the image, over all pixels.
    pub(crate) taps: usize,
}

impl Windows {
    pub(crate) fn new(window: &Window, x: Shape, y: Shape, flows: bool) -> Self {
        let inside = |axis: usize, outputs: usize, extent: usize| -> Vec<usize> {
            let [kernel, stride, dilation, pad] =
                [window.kernel, window.stride, window.dilation, window.pad_begin]
                    .map(|of| of[axis]);
            let is_inside = |at: usize| (pad..pad + extent).contains(&at);
            let of = |output: usize| {
                (0..kernel).filter(|tap| is_inside(output * stride + tap * dilation)).count()
            };
            (0..outputs).map(of).collect()
        };
        let rows: usize = inside(0, y.h, x.h).iter().sum();
        let columns: usize = inside(1, y.w, x.w).iter().sum();
        Self {
            calls: if flows { y.h } else { 1 },
            rows: y.h,
            pixels: y.h * y.w,
            kernel_rows: rows * y.w,
            taps: rows * columns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_count_the_taps_inside_the_image() {
        let window =
            Window { kernel: [3, 3], pad_begin: [1, 1], pad_end: [1, 1], ..Window::pixel() };
        let (x, y) = (Shape::new(4, 5, 2), Shape::new(4, 5, 7));
        let windows = Windows::new(&window, x, y, false);
        // Two rows less than three for each of four outputs, two columns less for each of five.
        let expected = Windows { calls: 1, rows: 4, pixels: 20, kernel_rows: 50, taps: 130 };
        assert_eq!(windows, expected);
        assert_eq!(Windows::new(&window, x, y, true).calls, 4);
        let strided = Window { stride: [2, 2], dilation: [2, 1], ..window };
        let windows = Windows::new(&strided, x, Shape::new(1, 3, 7), false);
        // Rows -1, 1, 3 and columns -1..2, 1..4, 3..6.
        assert_eq!((windows.kernel_rows, windows.taps), (6, 14));
    }

    #[test]
    fn work_adds_up() {
        let mut work = Work { assembly: 5, ..Work::default() };
        work.add("flow", &[1, 2]);
        work.add("flow", &[3, 4]);
        let work = work.repeated(2);
        assert_eq!(work.assembly, 10);
        assert_eq!(work.runs, [Run { kind: "flow".to_owned(), turns: vec![8, 12] }]);
    }
}
