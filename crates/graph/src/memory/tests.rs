use super::{
    arrangement::{Buffer, place},
    plan::{ALIGNMENT, Buffers, MemoryNode, MemoryPlan},
};
use crate::graph::NodeId;
use proptest::prelude::*;

fn node(inputs: &[NodeId], bytes: usize) -> MemoryNode {
    MemoryNode { inputs: inputs.to_vec(), bytes, ..MemoryNode::default() }
}

fn external(inputs: &[NodeId], bytes: usize) -> MemoryNode {
    MemoryNode { is_external: true, ..node(inputs, bytes) }
}

fn over(positions: &[usize], node: MemoryNode) -> MemoryNode {
    MemoryNode { in_place: positions.to_vec(), ..node }
}

/// Last step at which the bytes of each value are needed, followed value by value: the
/// independent twin of the plan's own lifetimes.
fn last_reads(nodes: &[MemoryNode], output: NodeId) -> Vec<usize> {
    let mut last: Vec<usize> = (0..nodes.len()).collect();
    for (id, node) in nodes.iter().enumerate() {
        node.inputs.iter().for_each(|&input| last[input] = id);
    }
    last[output] = nodes.len();
    last
}

/// Runs the network on a block of bytes that remember who wrote them, and fails where a value
/// that is read was overwritten.
fn run(nodes: &[MemoryNode], output: NodeId, plan: &MemoryPlan) {
    let mut memory: Vec<Option<NodeId>> = vec![None; plan.bytes];
    // The node whose bytes an alias reads.
    let mut root: Vec<NodeId> = Vec::new();
    let read = |memory: &[Option<NodeId>], id: NodeId, root: NodeId, step: usize| {
        let Some(offset) = plan.offsets[id] else { return };
        assert_eq!(offset % ALIGNMENT, 0);
        for byte in &memory[offset..offset + nodes[id].bytes.min(nodes[root].bytes)] {
            assert_eq!(*byte, Some(root), "value {id} was overwritten before step {step}");
        }
    };
    for (id, node) in nodes.iter().enumerate() {
        node.inputs.iter().for_each(|&input| read(&memory, input, root[input], id));
        if let Some(scratch) = plan.scratch_offsets[id] {
            assert_eq!(scratch % ALIGNMENT, 0);
            memory[scratch..scratch + node.scratch_bytes].fill(None);
            // Scratch memory and the inputs are used together.
            node.inputs.iter().for_each(|&input| read(&memory, input, root[input], id));
        }
        assert_eq!(plan.scratch_offsets[id].is_some(), node.scratch_bytes > 0);
        assert_eq!(plan.offsets[id].is_none(), {
            let alias = node.alias.map(|position| node.inputs[position]);
            node.is_external || alias.is_some_and(|input| plan.offsets[input].is_none())
        });
        let alias = node.alias.filter(|_| !node.is_external);
        root.push(alias.map_or(id, |position| root[node.inputs[position]]));
        let Some(offset) = plan.offsets[id] else { continue };
        if alias.is_some() {
            continue;
        }
        memory[offset..offset + node.bytes].fill(Some(id));
        if let Some(scratch) = plan.scratch_offsets[id] {
            let disjoint = scratch + node.scratch_bytes <= offset || offset + node.bytes <= scratch;
            assert!(disjoint || node.bytes == 0, "scratch and result of {id}");
        }
        // An input that is not overwritten on purpose must outlive the writing.
        for (position, &input) in node.inputs.iter().enumerate() {
            let same = plan.in_place[id].map(|p| plan.offsets[node.inputs[p]]);
            if plan.in_place[id] != Some(position) && same != Some(plan.offsets[input]) {
                read(&memory, input, root[input], id);
            }
        }
        if let Some(position) = plan.in_place[id] {
            assert!(node.in_place.contains(&position));
            assert_eq!(plan.offsets[node.inputs[position]], Some(offset));
        }
    }
    read(&memory, output, root[output], nodes.len());
}

fn check(nodes: &[MemoryNode], output: NodeId) -> MemoryPlan {
    let plan = MemoryPlan::new(nodes, &[output]);
    run(nodes, output, &plan);
    let round = |bytes: usize| bytes.next_multiple_of(ALIGNMENT);
    let sum: usize = nodes
        .iter()
        .map(|node| {
            round(node.scratch_bytes) + if node.is_external { 0 } else { round(node.bytes) }
        })
        .sum();
    let least = plan.live_bytes.iter().copied().max().unwrap_or(0);
    assert!(plan.bytes <= sum, "{} bytes, all together are {sum}", plan.bytes);
    assert!(plan.bytes >= least, "{} bytes, at least {least} are alive", plan.bytes);
    plan
}

#[test]
fn a_chain_needs_its_two_largest_neighbors() {
    let nodes = [external(&[], 100), node(&[0], 80), node(&[1], 40), node(&[2], 64)];
    let plan = check(&nodes, 3);
    assert_eq!((plan.bytes, plan.offsets[0]), (120, None));
    assert_eq!(plan.live_bytes, [0, 80, 120, 104]);
    assert_eq!((plan.peak_step(), plan.alive(2)), (2, vec![1, 2]));
}

#[test]
fn a_shortcut_stays_until_it_is_added() {
    let add = over(&[0, 1], node(&[3, 1], 32));
    let nodes = [external(&[], 8), node(&[0], 32), node(&[1], 32), node(&[2], 32), add];
    let plan = check(&nodes, 4);
    assert_eq!(plan.bytes, 96);
    assert!(plan.in_place[4].is_some());
    assert_eq!(plan.live_bytes, [0, 32, 64, 96, 64]);
}

#[test]
fn nothing_is_written_over_a_value_that_is_read_later() {
    let nodes = [
        external(&[], 8),
        node(&[0], 16),
        over(&[0], node(&[1], 16)),
        over(&[0], node(&[1, 2], 16)),
    ];
    let plan = check(&nodes, 3);
    assert_eq!(plan.in_place, [None, None, None, Some(0)]);
    assert_eq!(plan.bytes, 32);
}

#[test]
fn a_callers_buffer_is_never_written_over() {
    let nodes = [external(&[], 16), over(&[0], node(&[0], 16)), external(&[1], 16)];
    let plan = check(&nodes, 2);
    assert_eq!((plan.bytes, plan.in_place[1], plan.offsets[2]), (16, None, None));
}

#[test]
fn an_alias_keeps_the_bytes_it_shares() {
    let alias = MemoryNode { alias: Some(0), ..node(&[1], 16) };
    let nodes = [
        external(&[], 8),
        node(&[0], 16),
        alias.clone(),
        // May not be written over node 1: its alias is read later.
        over(&[0], node(&[1], 16)),
        node(&[2, 3], 16),
    ];
    let plan = check(&nodes, 4);
    assert_eq!(plan.offsets[1], plan.offsets[2]);
    assert_eq!((plan.in_place[3], plan.bytes), (None, 48));
    assert_eq!(plan.alive(3), [1, 2, 3]);

    let of_input = [external(&[], 16), MemoryNode { alias: Some(0), ..node(&[0], 16) }];
    assert_eq!(check(&of_input, 1).bytes, 0);
}

#[test]
fn a_small_result_over_a_large_input_frees_the_rest() {
    let nodes = [
        external(&[], 8),
        node(&[0], 800),
        over(&[0], node(&[1], 8)),
        node(&[0], 792),
        node(&[2, 3], 8),
    ];
    assert_eq!(check(&nodes, 4).bytes, 808);
}

#[test]
fn scratch_lies_beside_what_its_node_uses() {
    let nodes = [
        external(&[], 8),
        MemoryNode { scratch_bytes: 20, ..node(&[0], 10) },
        MemoryNode { scratch_bytes: 3, ..over(&[0], node(&[1], 10)) },
    ];
    let plan = check(&nodes, 2);
    assert_eq!(plan.bytes, 40);
    assert!(plan.scratch_offsets[0].is_none());
}

#[test]
fn nothing_takes_nothing() {
    assert_eq!(check(&[external(&[], 5)], 0).bytes, 0);
    assert_eq!(check(&[external(&[], 5), node(&[0], 0)], 1).bytes, 0);
}

/// The least bytes over all orders of taking places.
fn exhaustive(buffers: &[Buffer], order: &mut Vec<usize>, best: &mut usize) {
    if order.len() == buffers.len() {
        *best = (*best).min(place(buffers, order).1);
        return;
    }
    for i in 0..buffers.len() {
        if !order.contains(&i) {
            order.push(i);
            exhaustive(buffers, order, best);
            order.pop();
        }
    }
}

fn any_nodes(max_len: usize) -> impl Strategy<Value = Vec<MemoryNode>> {
    let one = (
        prop::collection::vec(any::<prop::sample::Index>(), 1..3),
        (0..400_usize, prop_oneof![3 => Just(0_usize), 1 => 0..100_usize]),
        (0..10_u8, 0..8_u8, any::<bool>()),
    );
    prop::collection::vec(one, 1..max_len).prop_map(|rows| {
        let mut nodes = vec![external(&[], 64)];
        for (inputs, (bytes, scratch_bytes), (sharing, is_external, near)) in rows {
            let id = nodes.len();
            let inputs: Vec<NodeId> = inputs
                .iter()
                // Mostly a chain with shortcuts.
                .map(|input| if near { id - 1 - input.index(id.min(3)) } else { input.index(id) })
                .collect();
            nodes.push(MemoryNode {
                bytes,
                scratch_bytes,
                is_external: is_external == 0,
                alias: (sharing == 0).then_some(0),
                in_place: if sharing > 4 { (0..inputs.len()).collect() } else { Vec::new() },
                inputs,
            });
        }
        nodes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_value_is_overwritten_before_its_last_use(nodes in any_nodes(24), pick: prop::sample::Index) {
        let output = pick.index(nodes.len());
        let plan = check(&nodes, output);
        let last = last_reads(&nodes, output);
        for (id, &last) in last.iter().enumerate() {
            for step in id..=last.min(nodes.len() - 1) {
                prop_assert_eq!(plan.alive(step).contains(&id), plan.offsets[id].is_some());
            }
        }
        prop_assert_eq!(plan, MemoryPlan::new(&nodes, &[output]));
    }

    #[test]
    fn the_block_is_near_the_bytes_in_use(nodes in any_nodes(24)) {
        let plan = check(&nodes, nodes.len() - 1);
        let least = plan.live_bytes.iter().copied().max().unwrap_or(0);
        prop_assert!(plan.bytes <= least + least / 4 + ALIGNMENT, "{} of {least}", plan.bytes);
    }

    #[test]
    fn small_networks_come_near_the_best_of_all_orders(nodes in any_nodes(6)) {
        let output = nodes.len() - 1;
        let buffers = Buffers::new(&nodes, &(0..nodes.len()).collect::<Vec<_>>(), &[output]).all;
        prop_assume!(buffers.len() <= 6);
        let mut best = usize::MAX;
        exhaustive(&buffers, &mut Vec::new(), &mut best);
        prop_assert!(check(&nodes, output).bytes <= best);
    }
}
