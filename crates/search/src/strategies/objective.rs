//! What a search layer by layer makes small, and what that changes of its way.

use super::{
    options::{Budget, Holding, SearchOptions, StartBits},
    tensors::{Kind, Tensor},
};
use crate::error::SearchError;
use fixedwise_fixed::{
    Format,
    convert::{count_to_u64, u64_to_f64},
};
use fixedwise_graph::{
    Graph, LowerError, NodeId, Plan, Target,
    footprint::ValueMemory,
    target::{Code, MultiplicationCost},
};
use serde::{Deserialize, Serialize};

/// What a search makes small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The bits of every tensor: the paper's.
    #[default]
    Memory,
    /// Bits times bits, over all multiplications: tensors that take part in more of them may lose
    /// more.
    Multiplications,
    /// Memory and multiplications alike, each as a part of what uniform 8 bit takes; not layer by
    /// layer.
    Mixed,
    /// The bytes of constants that a target stores: weights take widths it stores, one after the
    /// other.
    Flash,
    /// The bytes of a target's working memory: activations take widths it stores, those of the step
    /// at which most is in use.
    Ram,
}

impl Objective {
    /// `memory`, `multiplications`, `flash` or `ram`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Multiplications => "multiplications",
            Self::Mixed => "mixed",
            Self::Flash => "flash",
            Self::Ram => "ram",
        }
    }

    /// Refuses an objective that means nothing on a target.
    ///
    /// # Errors
    /// [`SearchError::Option`] naming the rule.
    pub fn check(self, target: Option<&Target>) -> Result<(), SearchError> {
        if let Some(target) = target
            && matches!(self, Self::Multiplications | Self::Mixed)
            && target.multiplication == MultiplicationCost::Each
        {
            let problem = format!(
                "is {}, but on target `{}` a multiplication costs the same at every width (rule \
                 `multiplication`); use memory, flash or ram",
                self.name(),
                target.name
            );
            return Err(SearchError::Option { option: "objective", problem });
        }
        Ok(())
    }

    /// Whether widths between two that are stored bring nothing.
    const fn is_of_stored_bytes(self) -> bool {
        matches!(self, Self::Flash | Self::Ram)
    }
}

impl SearchOptions {
    /// The usual way for an objective: what it counts comes first, and stored bytes begin at 8 bits.
    pub fn of(objective: Objective) -> Self {
        use Kind::{Activations, Biases, Weights};
        let usual = Self::default();
        let start_bits = StartBits { weights: 8, biases: 8, activations: 8 };
        match objective {
            Objective::Memory | Objective::Mixed => usual,
            Objective::Multiplications => Self { order: [Weights, Activations, Biases], ..usual },
            Objective::Flash => Self { start_bits, ..usual },
            Objective::Ram => Self { start_bits, order: [Activations, Weights, Biases], ..usual },
        }
    }
}

/// What an objective and a target say of each tensor.
pub(super) struct Guide {
    objective: Objective,
    target: Option<Target>,
    /// Where values lie, where their memory is what is made small.
    memory: Option<ValueMemory>,
}

impl Guide {
    /// # Errors
    /// [`SearchError::Option`] for an objective that means nothing on the target; [`SearchError::Lower`] for the
    /// memory of a graph that has no integer form.
    pub(super) fn new(
        graph: &Graph,
        objective: Objective,
        target: Option<&Target>,
    ) -> Result<Self, SearchError> {
        objective.check(target)?;
        let target = match target {
            None if objective.is_of_stored_bytes() => Some(Target::default()),
            target => target.cloned(),
        };
        let of_ram = target.as_ref().filter(|_| objective == Objective::Ram);
        let memory = of_ram.map(|target| ValueMemory::of(graph, target)).transpose()?;
        Ok(Self { objective, target, memory })
    }

    /// A tensor as it is stored.
    pub(super) fn tensor(&self, tensor: Tensor) -> Tensor {
        match &self.target {
            Some(target) => tensor.on(target),
            None => tensor,
        }
    }

    /// The widths that are worth trying, the widest first; `None` where each is.
    pub(super) fn levels(&self, tensor: &Tensor) -> Option<Vec<i32>> {
        let target = self.target.as_ref().filter(|_| self.objective.is_of_stored_bytes())?;
        let levels = tensor.widths(target).levels(tensor.max_bits(tensor.range));
        Some(levels.into_iter().map(i32::from).collect())
    }

    /// Whether a kind is left as it is: the C that a target runs stores biases at the scale of the
    /// accumulator, whatever the plan says.
    pub(super) fn is_idle(&self, kind: Kind) -> bool {
        let is_c = self.target.as_ref().is_some_and(|target| matches!(target.code, Code::C(_)));
        kind == Kind::Biases && is_c && self.objective.is_of_stored_bytes()
    }

    /// How much each tensor of one kind counts for the objective.
    fn gains(&self, graph: &Graph, tensors: &[Tensor]) -> Vec<u64> {
        let elements = |tensor: &Tensor| match tensor.kind {
            Kind::Weights => {
                count_to_u64(graph.nodes[tensor.node].op.weights().map_or(0, <[f32]>::len))
            }
            Kind::Biases => count_to_u64(graph.bias_count(tensor.node)),
            Kind::Activations => count_to_u64(graph.nodes[tensor.node].shape.len()),
        };
        let multiplied = multiplied(graph);
        let gain = |tensor: &Tensor| match (self.objective, tensor.kind) {
            (Objective::Memory, _)
            | (Objective::Flash, Kind::Weights | Kind::Biases)
            | (Objective::Ram, Kind::Activations) => elements(tensor),
            (Objective::Multiplications, Kind::Weights) => graph.node_macs(tensor.node),
            (Objective::Multiplications, Kind::Activations) => multiplied[tensor.node],
            _ => 0,
        };
        tensors.iter().map(gain).collect()
    }

    /// The budgets of the kinds, `tensors` in their order: those that the objective counts share the
    /// bound evenly, more of it for tensors that count more; the others have what is left, or half of the
    /// bound where what is lost before is not seen. `None` where the paper's are meant.
    pub(super) fn budgets(
        &self,
        graph: &Graph,
        tensors: &[Vec<Tensor>; 3],
        bound: f64,
        holding: Holding,
    ) -> Option<[Budget; 3]> {
        if self.objective == Objective::Memory {
            return None;
        }
        let gains = tensors.each_ref().map(|tensors| self.gains(graph, tensors));
        let is_counted = |gains: &Vec<u64>| gains.iter().any(|&gain| gain > 0);
        let n_counted = gains.iter().filter(|gains| is_counted(gains)).count();
        let part = bound / u64_to_f64(count_to_u64(n_counted.max(1)));
        let mut spent = 0.0;
        Some(gains.map(|gains| {
            if !is_counted(&gains) {
                return match holding {
                    Holding::Everything => Budget::Whole,
                    Holding::SameKind => Budget::Linear,
                    Holding::Nothing => Budget::Share,
                };
            }
            // Half of it by how much a tensor counts, half to all alike: small ones come early, and
            // with nothing to lose they would get wider.
            let total = u64_to_f64(gains.iter().sum());
            let alike = 1.0 / u64_to_f64(count_to_u64(gains.len()));
            let mut reached = 0.0;
            let losses = gains.iter().map(|&gain| {
                let share = (u64_to_f64(gain) / total).midpoint(alike);
                reached = if holding == Holding::Nothing { share } else { reached + share };
                spent + part * reached
            });
            let losses = losses.collect();
            if holding == Holding::Everything {
                spent += part;
            }
            Budget::Losses(losses)
        }))
    }

    /// Whether a kind counts for the objective.
    pub(super) fn is_counted(&self, graph: &Graph, tensors: &[Tensor]) -> bool {
        let is_idle = tensors.first().is_none_or(|tensor| self.is_idle(tensor.kind));
        !is_idle && self.gains(graph, tensors).iter().any(|&gain| gain > 0)
    }

    /// The tensors for which another step down is worth some of the loss that is left, those that
    /// save most first; none in the paper's walk, nor activations beside the peak.
    ///
    /// # Errors
    /// Where the plan does not fit the graph.
    pub(super) fn worth_another_step(
        &self,
        graph: &Graph,
        tensors: &[Tensor],
        plan: &Plan,
    ) -> Result<Vec<Tensor>, LowerError> {
        /// A step must save so large a part of what all tensors take.
        const PART: u64 = 64;
        if self.objective == Objective::Memory {
            return Ok(Vec::new());
        }
        // How a tensor is stored, and at the next width.
        let step = |tensor: &Tensor| {
            let bits = tensor.of(plan)?.bits;
            let Some(levels) = self.levels(tensor) else {
                return Some((bits, bits.checked_sub(1).filter(|&to| to > 0)));
            };
            let levels: Vec<u8> = levels.into_iter().filter_map(|l| u8::try_from(l).ok()).collect();
            let from = levels.iter().copied().rfind(|&level| level >= bits)?;
            Some((from, levels.into_iter().find(|&level| level < bits)))
        };
        let counted: Vec<(&Tensor, u64, u8, Option<u8>)> = tensors
            .iter()
            .zip(self.gains(graph, tensors))
            .filter(|(tensor, gain)| *gain > 0 && !self.is_idle(tensor.kind))
            .filter_map(|(tensor, gain)| step(tensor).map(|(from, to)| (tensor, gain, from, to)))
            .collect();
        let total: u64 = counted.iter().map(|(_, gain, from, _)| gain * u64::from(*from)).sum();
        let mut worth = Vec::new();
        for (tensor, gain, from, to) in counted {
            let Some(to) = to else { continue };
            let saved = gain * u64::from(from - to);
            if saved * PART < total || !self.lowers_ram(graph, tensor, to, plan)? {
                continue;
            }
            worth.push((saved, tensor.clone()));
        }
        worth.sort_by_key(|(saved, _)| std::cmp::Reverse(*saved));
        Ok(worth.into_iter().map(|(_, tensor)| tensor).collect())
    }

    /// Whether a narrower tensor alone lowers the peak; true where that is not asked for.
    fn lowers_ram(
        &self,
        graph: &Graph,
        tensor: &Tensor,
        bits: u8,
        plan: &Plan,
    ) -> Result<bool, LowerError> {
        let Some(memory) = &self.memory else { return Ok(true) };
        let mut narrower = plan.clone();
        tensor.set(&mut narrower, tensor.of(plan).map(|format| Format { bits, ..format }));
        let bytes = |plan| memory.of_plan(graph, plan).map(|memory| memory.bytes);
        Ok(bytes(&narrower)? < bytes(plan)?)
    }

    /// Of activations as they stand in a plan, those that need not get narrower: with all others at
    /// the least width the memory is the least there is, whether these are or not.
    ///
    /// # Errors
    /// Where the plan does not fit the graph.
    pub(super) fn free(
        &self,
        graph: &Graph,
        tensors: &[Tensor],
        standing: &Plan,
    ) -> Result<Vec<bool>, LowerError> {
        let mut free = vec![false; tensors.len()];
        let Some(memory) = &self.memory else { return Ok(free) };
        let mut plan = standing.clone();
        for tensor in tensors {
            let (Some(mut format), Some(levels)) = (tensor.of(&plan), self.levels(tensor)) else {
                continue;
            };
            let least = levels.last().and_then(|&least| u8::try_from(least).ok()).unwrap_or(1);
            format.bits = format.bits.min(least);
            tensor.set(&mut plan, Some(format));
        }
        let least = memory.of_plan(graph, &plan)?.bytes;
        let mut by_size: Vec<usize> = (0..tensors.len()).collect();
        by_size.sort_by_key(|&i| (graph.nodes[tensors[i].node].shape.len(), i));
        for i in by_size {
            let narrow = tensors[i].of(&plan);
            tensors[i].set(&mut plan, tensors[i].of(standing));
            if memory.of_plan(graph, &plan)?.bytes <= least {
                free[i] = true;
            } else {
                tensors[i].set(&mut plan, narrow);
            }
        }
        Ok(free)
    }
}

/// For each node that a plan gives an activation's format, the multiplications its value enters.
fn multiplied(graph: &Graph) -> Vec<u64> {
    // The nodes whose formats a value follows.
    let mut sources: Vec<Vec<NodeId>> = Vec::with_capacity(graph.nodes.len());
    let mut multiplied = vec![0; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        let mut of_inputs: Vec<NodeId> =
            node.inputs.iter().flat_map(|&input| sources[input].iter().copied()).collect();
        of_inputs.sort_unstable();
        of_inputs.dedup();
        let multiplies =
            if node.op.is_layer() { vec![node.main_input()] } else { node.inputs.clone() };
        let macs = graph.node_macs(id);
        for input in multiplies.into_iter().filter(|_| macs > 0) {
            let mut taken = sources[input].clone();
            taken.sort_unstable();
            taken.dedup();
            taken.into_iter().for_each(|source| multiplied[source] += macs);
        }
        sources.push(if node.op.has_own_format() { vec![id] } else { of_inputs });
    }
    multiplied
}
