//! Tensors of which only some elements are stored: a tree, whose levels are the axes in some order and those of blocks
//! within them, each with all positions or with a list of them.
//!
//! Source: `SparsityParameters` of the schema of TensorFlow Lite.

use super::flatbuffer::{BufferError, Table};

/// Positions along one level of the tree.
enum Level {
    /// All.
    Dense(usize),
    /// Under each node of the level before: those from one segment to the next.
    Sparse { segments: Vec<usize>, indices: Vec<usize> },
}

/// Where stored elements lie in the whole tensor.
pub(super) struct Sparsity {
    levels: Vec<Level>,
    /// The distance between positions of each level, in elements of the whole tensor.
    strides: Vec<usize>,
    /// How many positions each level has.
    extents: Vec<usize>,
}

impl Sparsity {
    /// Reads the tree of a tensor of extents `shape`; `None` where it contradicts them or itself.
    pub(super) fn read(table: &Table, shape: &[usize]) -> Result<Option<Self>, BufferError> {
        let order = table.i32s(0, "traversal_order")?;
        let blocks = table.i32s(1, "block_map")?;
        let mut levels = Vec::new();
        for level in table.tables(2, "DimensionMetadata")? {
            levels.push(match level.i8(0, "format", 0)? {
                0 => Level::Dense(usize::try_from(level.i32(1, "dense_size", 0)?).unwrap_or(0)),
                _ => Level::Sparse { segments: list(&level, 2)?, indices: list(&level, 4)? },
            });
        }
        Ok(Self::placed(levels, &order, &blocks, shape))
    }

    fn placed(levels: Vec<Level>, order: &[i32], blocks: &[i32], shape: &[usize]) -> Option<Self> {
        let rank = shape.len();
        let place = |x: &i32| usize::try_from(*x).ok();
        let order: Vec<usize> = order.iter().map(place).collect::<Option<_>>()?;
        let blocks: Vec<usize> = blocks.iter().map(place).collect::<Option<_>>()?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let is_whole = sorted.iter().copied().eq(0..rank + blocks.len());
        if !is_whole || levels.len() != order.len() || blocks.iter().any(|&axis| axis >= rank) {
            return None;
        }
        // The positions within a block are those of one axis after the blocks.
        let level_of = |axis: usize| order.iter().position(|&own| own == axis);
        let mut block_size = vec![1; rank];
        let mut extents = vec![0; levels.len()];
        for (i, &axis) in blocks.iter().enumerate() {
            let level = level_of(rank + i)?;
            let Level::Dense(size) = levels[level] else { return None };
            if size == 0 || block_size[axis] != 1 || !shape[axis].is_multiple_of(size) {
                return None;
            }
            (block_size[axis], extents[level]) = (size, size);
        }
        let mut strides = vec![0; levels.len()];
        for axis in 0..rank {
            let stride: usize = shape[axis + 1..].iter().product();
            let level = level_of(axis)?;
            strides[level] = stride * block_size[axis];
            extents[level] = shape[axis] / block_size[axis];
            if let Some(block) = blocks.iter().position(|&own| own == axis) {
                strides[level_of(rank + block)?] = stride;
            }
        }
        let is_alike = levels.iter().zip(&extents).all(|(level, &extent)| match level {
            Level::Dense(size) => *size == extent,
            Level::Sparse { indices, .. } => indices.iter().all(|&index| index < extent),
        });
        is_alike.then_some(Self { levels, strides, extents })
    }

    /// The places of the stored elements in the whole tensor, in the order in which they are stored, at most `most`.
    pub(super) fn places(&self, most: usize) -> Option<Vec<usize>> {
        // The place that each node of a level begins at.
        let mut nodes = vec![0];
        for ((level, &stride), &extent) in self.levels.iter().zip(&self.strides).zip(&self.extents)
        {
            let mut below = Vec::new();
            for (node, &place) in nodes.iter().enumerate() {
                match level {
                    Level::Dense(_) => below.extend((0..extent).map(|i| place + i * stride)),
                    Level::Sparse { segments, indices } => {
                        let (&from, &to) = (segments.get(node)?, segments.get(node + 1)?);
                        below.extend(indices.get(from..to)?.iter().map(|i| place + i * stride));
                    }
                }
                if below.len() > most {
                    return None;
                }
            }
            nodes = below;
        }
        Some(nodes)
    }
}

/// A list of positions: of 32, 16 or 8 bits.
fn list(table: &Table, slot: usize) -> Result<Vec<usize>, BufferError> {
    let kind = table.i8(slot, "SparseIndexVector", 0)?;
    let Some(vector) = table.table(slot + 1, "SparseIndexVector")? else { return Ok(Vec::new()) };
    let far = |x: i32| usize::try_from(x).unwrap_or(usize::MAX);
    Ok(match kind {
        1 => vector.i32s(0, "values")?.into_iter().map(far).collect(),
        2 => vector.u16s(0, "values")?.into_iter().map(usize::from).collect(),
        3 => vector.bytes(0, "values")?.unwrap_or(&[]).iter().map(|&x| x.into()).collect(),
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(segments: &[usize], indices: &[usize]) -> Level {
        Level::Sparse { segments: segments.to_vec(), indices: indices.to_vec() }
    }

    #[test]
    fn places_follow_the_tree() {
        let csr = || vec![Level::Dense(2), sparse(&[0, 1, 3], &[2, 0, 1])];
        let blocks =
            || vec![Level::Dense(2), sparse(&[0, 1, 2], &[1, 0]), Level::Dense(2), Level::Dense(2)];
        for (what, levels, order, map, shape, expected) in [
            ("rows", csr(), &[0, 1][..], &[][..], [2, 3], Some(vec![2, 3, 4])),
            // Columns first: rows 2 and 0, 1 of a matrix of three rows.
            ("columns", csr(), &[1, 0], &[], [3, 2], Some(vec![4, 1, 3])),
            (
                "blocks",
                blocks(),
                &[0, 1, 2, 3],
                &[0, 1],
                [4, 4],
                Some(vec![2, 3, 6, 7, 8, 9, 12, 13]),
            ),
            ("an index beyond its axis", csr(), &[0, 1], &[], [2, 2], None),
            ("an axis twice", csr(), &[0, 0], &[], [2, 3], None),
            ("a block that does not fit", blocks(), &[0, 1, 2, 3], &[0, 1], [5, 4], None),
            ("a level too few", csr(), &[0, 1, 2], &[1], [2, 3], None),
            (
                "a segment too few",
                vec![Level::Dense(2), sparse(&[0, 1], &[2])],
                &[0, 1],
                &[],
                [2, 3],
                None,
            ),
        ] {
            let found = Sparsity::placed(levels, order, map, &shape);
            assert_eq!(found.and_then(|found| found.places(99)), expected, "{what}");
        }
        assert!(
            Sparsity::placed(blocks(), &[0, 1, 2, 3], &[0, 1], &[4, 4])
                .unwrap()
                .places(7)
                .is_none()
        );
    }
}
