use super::{
    images::Images,
    local::{EvaluatorOptions, Local},
    measure::{Measure, Part, Question, Request},
    oracle::{Evaluation, JournalEntry, Oracle},
    predictions::Predictions,
};
use crate::{
    digest::{Digest, Digester},
    error::SearchError,
    score::{ClassBound, ClassScore, Details, Score},
};
use fixedwise_fixed::convert::{count_to_f64, count_to_u64};
use fixedwise_graph::{Graph, LowerError, NodeId, Plan};
use fixedwise_kernels::Kernels;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

/// Chunks after which a plan may be given up; a constant, so that what is run does not depend on
/// the number of threads.
pub(crate) const ROUND: usize = 16;

/// Answers questions about plans of one graph on one set of images.
///
/// It remembers: plans that were measured before are answered at once. Whoever measures may do so in parts.
pub struct Evaluator<'a> {
    graph: &'a Graph,
    predictions: Arc<Predictions>,
    measure: Box<dyn Measure + 'a>,
    digester: Digester,
    /// By plan and images, those that decide soonest first.
    known: BTreeMap<Digest, BTreeMap<usize, Known>>,
    /// The loss that is allowed in every class, and the images of each.
    class_bound: Option<(ClassBound, BTreeMap<usize, ClassScore>)>,
    evaluations: u64,
    images_evaluated: u64,
    macs: u64,
}

/// What is known of a plan on some images.
#[derive(Clone, Debug, Default)]
struct Known {
    score: Score,
    /// Absent where an earlier run did not write it down.
    details: Option<Arc<Details>>,
    /// Images that were lost; absent where an earlier run measured the plan.
    lost: Option<Arc<Lost>>,
}

/// The label of each image that only the float network names it for, and the class that the plan names.
type Lost = BTreeMap<usize, [usize; 2]>;

impl std::fmt::Debug for Evaluator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator")
            .field("images", &self.predictions.len())
            .field("evaluations", &self.evaluations)
            .finish_non_exhaustive()
    }
}

impl<'a> Evaluator<'a> {
    /// Of plans for `graph`, against the float network's `predictions` for the same images, measured here.
    pub fn new(
        graph: &'a Graph,
        images: &'a dyn Images,
        predictions: Predictions,
        kernels: &'static Kernels,
        stop: &'a AtomicBool,
        options: EvaluatorOptions,
    ) -> Self {
        let predictions = Arc::new(predictions);
        let local = Local::new(graph, images, Arc::clone(&predictions), kernels, stop, options);
        Self::over(graph, predictions, Box::new(local))
    }

    /// The same, measured by whoever does.
    pub fn over(
        graph: &'a Graph,
        predictions: Arc<Predictions>,
        measure: Box<dyn Measure + 'a>,
    ) -> Self {
        Self {
            graph,
            predictions,
            measure,
            digester: Digester::default(),
            known: BTreeMap::new(),
            class_bound: None,
            evaluations: 0,
            images_evaluated: 0,
            macs: 0,
        }
    }

    /// Takes over what an earlier run has measured, on the same graph and images.
    pub fn preload(&mut self, entries: impl IntoIterator<Item = JournalEntry>) {
        for JournalEntry { digest, score, classes, .. } in entries {
            let details = Details { classes, ..Details::default() };
            let details = self.class_bound.is_some().then(|| Arc::new(details));
            self.learn(digest, Known { score, details, lost: None });
        }
    }

    /// Bounds the loss of every class, too; before anything is measured.
    ///
    /// # Errors
    /// Where no class has enough images to be judged.
    pub fn bound_classes(&mut self, bound: ClassBound) -> Result<(), SearchError> {
        let labels = self.predictions.labels();
        ClassBound::check(&labels)?;
        self.class_bound = Some((bound, labels));
        Ok(())
    }

    /// The line of a journal that spares the next run an evaluation, where that is new; with what it gives in each
    /// class, where the loss of each is bounded.
    pub fn journal_entry(&self, evaluation: &Evaluation) -> Option<JournalEntry> {
        let details = self.class_bound.as_ref().and_then(|_| self.details_of(evaluation));
        let classes = details.map(|details| details.classes.clone()).unwrap_or_default();
        evaluation.journal_entry().map(|entry| JournalEntry { classes, ..entry })
    }

    /// What was measured together with a score.
    fn details_of(&self, evaluation: &Evaluation) -> Option<&Details> {
        let known = self.known.get(&evaluation.digest)?.get(&evaluation.score.n)?;
        known.details.as_deref()
    }

    /// Plans that were run; those answered from memory do not count.
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// Images that were run, over all plans.
    pub fn images_evaluated(&self) -> u64 {
        self.images_evaluated
    }

    /// Multiplications of layers that were computed, over all plans and images.
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// Bytes of values that are cached now.
    pub fn cached_bytes(&self) -> usize {
        self.measure.cached_bytes()
    }

    /// What is known of a plan on all images.
    pub fn known(&self, plan: &Plan) -> Option<Evaluation> {
        let (digest, all) = (Digest::of_plan(self.graph, plan), self.predictions.len());
        let score = self.furthest(digest, all)?.score;
        (score.n == all).then_some(Evaluation { score, is_complete: true, digest, is_new: false })
    }

    /// Takes over what somebody else has measured of a plan, by its outputs on all images.
    pub fn teach(&mut self, plan: &Plan, score: Score) -> Evaluation {
        let digest = Digest::of_plan(self.graph, plan);
        self.evaluations += 1;
        self.learn(digest, Known { score, details: None, lost: None });
        Evaluation { score, is_complete: true, digest, is_new: true }
    }

    /// What the float network says.
    pub fn predictions(&self) -> &Predictions {
        &self.predictions
    }

    /// What a plan is remembered by.
    pub fn digest(&mut self, plan: &Plan) -> Digest {
        Digest::of_outputs(self.graph, &self.digester.of_nodes(self.graph, plan))
    }

    fn learn(&mut self, digest: Digest, known: Known) {
        self.known.entry(digest).or_default().insert(known.score.n, known);
    }

    /// What is known about a plan on most images, up to so many.
    fn furthest(&self, digest: Digest, images: usize) -> Option<&Known> {
        let known = self.known.get(&digest)?;
        known.range(..=images).next_back().map(|(_, known)| known)
    }

    /// Whether a plan can still get so many images right.
    fn is_reachable(&self, score: &Score, at_least: usize) -> bool {
        score.correct + (self.predictions.len() - score.n) >= at_least
    }

    /// What is known about a plan already, where that answers the question.
    fn recall(&self, digest: Digest, at_least: Option<usize>) -> Option<Evaluation> {
        let score = self.furthest(digest, self.predictions.len())?.score;
        let is_complete = score.n == self.predictions.len();
        let answers =
            is_complete || at_least.is_some_and(|at_least| !self.is_reachable(&score, at_least));
        answers.then_some(Evaluation { score, is_complete, digest, is_new: false })
    }

    /// What all images give.
    fn all(&mut self, request: &Request) -> Result<Part, SearchError> {
        let images = self.predictions.len();
        let chunks = self.predictions.chunks();
        let part = self.measure.part(request, 0..chunks)?;
        self.macs += part.macs;
        self.images_evaluated += count_to_u64(images);
        Ok(part)
    }

    /// The mean divergence of an integer plan's class probabilities from the float network's, in
    /// nats, over all images; of outputs that count as values, the distortion.
    ///
    /// `focus` is as in [`Oracle::evaluate`].
    ///
    /// # Errors
    /// As [`Oracle::evaluate`].
    pub fn divergence(&mut self, plan: &Plan, focus: Option<NodeId>) -> Result<f64, SearchError> {
        let part = self.all(&Request { plan, question: Question::Divergence, focus, ahead: 0 })?;
        Ok(part.divergence() / count_to_f64(self.predictions.len().max(1)))
    }

    /// What a plan says of all images, each output `[image, ...]`, in their own order: after the softmax where
    /// the float network has one.
    ///
    /// # Errors
    /// As [`Oracle::evaluate`].
    pub fn outputs(&mut self, plan: &Plan) -> Result<Vec<Vec<f32>>, SearchError> {
        let part =
            self.all(&Request { plan, question: Question::Outputs, focus: None, ahead: 0 })?;
        let said: Vec<Vec<f32>> = part.outputs.into_values().collect();
        Ok(self.predictions.by_output(&said))
    }

    /// What a plan gives on all images, output by output and class by class; known where it was measured here.
    ///
    /// # Errors
    /// As [`Oracle::evaluate`].
    pub fn details(&mut self, plan: &Plan) -> Result<Details, SearchError> {
        let (digest, all) = (self.digest(plan), self.predictions.len());
        let known = self.furthest(digest, all).filter(|known| known.score.n == all);
        if let Some(details) = known.and_then(|known| known.details.clone()) {
            // What a journal has is of classes alone.
            let has_all = details.figure.is_some() || !self.predictions.is_judged();
            if has_all && details.outputs.len() == self.detailed_outputs() {
                return Ok(Details::clone(&details));
            }
        }
        let request = Request { plan, question: Question::Score, focus: None, ahead: 0 };
        let measured = self.score(&request, Known::begin(), all, None)?;
        let details = measured.details.clone().unwrap_or_default();
        self.learn(digest, measured);
        Ok(Details::clone(&details))
    }

    /// Of each image that only the float network names the label for, the label, and the class that a plan names; known
    /// where the plan was measured here.
    ///
    /// # Errors
    /// As [`Oracle::evaluate`].
    pub fn lost(&mut self, plan: &Plan) -> Result<BTreeMap<usize, [usize; 2]>, SearchError> {
        let (digest, all) = (self.digest(plan), self.predictions.len());
        let known = self.furthest(digest, all).filter(|known| known.score.n == all);
        if let Some(lost) = known.and_then(|known| known.lost.clone()) {
            return Ok(Lost::clone(&lost));
        }
        let request = Request { plan, question: Question::Score, focus: None, ahead: 0 };
        let lost = self.score(&request, Known::begin(), all, None)?.lost;
        Ok(lost.map(|lost| Lost::clone(&lost)).unwrap_or_default())
    }

    /// Outputs that are told one by one.
    fn detailed_outputs(&self) -> usize {
        if self.predictions.n_outputs() > 1 { self.predictions.n_outputs() } else { 0 }
    }

    /// Measures the first `images`, from where `known` ends, or until `at_least` is out of reach.
    fn score(
        &mut self,
        request: &Request,
        Known { mut score, details, lost }: Known,
        images: usize,
        at_least: Option<usize>,
    ) -> Result<Known, SearchError> {
        let from = score.n;
        let mut details = details.map(|details| Details::clone(&details));
        let mut lost = lost.map(|lost| Lost::clone(&lost));
        let mut counted = BTreeMap::new();
        let (mut begin, n_chunks) = (from / Part::CHUNK, images.div_ceil(Part::CHUNK));
        while begin < n_chunks {
            let end = n_chunks.min(begin + if at_least.is_some() { ROUND } else { n_chunks });
            let part = self.measure.part(request, begin..end)?;
            self.macs += part.macs;
            score = score.plus(&part.score);
            details.iter_mut().for_each(|details| details.add(&part.details));
            lost.iter_mut().for_each(|lost| lost.extend(&part.lost));
            counted.extend(part.counted);
            begin = end;
            if at_least.is_some_and(|at_least| !self.is_reachable(&score, at_least)) {
                break;
            }
        }
        self.images_evaluated += count_to_u64(score.n - from);
        let counted: Vec<Vec<f64>> = counted.into_values().collect();
        if let Some(Details { figure: Some(figure), classes, .. }) =
            self.predictions.judge(&counted)
        {
            score = Score::of_loss(figure.loss, figure.error, score.n);
            let figure = Some(figure);
            details = details.map(|details| Details { classes, figure, ..details });
        }
        Ok(Known { score, details: details.map(Arc::new), lost: lost.map(Arc::new) })
    }
}

impl Known {
    /// Of no image.
    fn begin() -> Self {
        Self { score: Score::default(), details: Some(Arc::default()), lost: Some(Arc::default()) }
    }
}

impl Oracle for Evaluator<'_> {
    fn evaluate(
        &mut self,
        plan: &Plan,
        focus: Option<NodeId>,
        at_least: Option<usize>,
    ) -> Result<Evaluation, SearchError> {
        let digest = self.digest(plan);
        if let Some(evaluation) = self.recall(digest, at_least) {
            return Ok(evaluation);
        }
        let all = self.predictions.len();
        let at_least = at_least.filter(|_| !self.predictions.is_judged());
        let ahead = self.predictions.chunks();
        let request = Request { plan, question: Question::Score, focus, ahead };
        let measured = self.score(&request, Known::begin(), all, at_least)?;
        self.evaluations += 1;
        let score = measured.score;
        let is_complete = score.n == all;
        self.learn(digest, measured);
        Ok(Evaluation { score, is_complete, digest, is_new: true })
    }

    fn evaluate_first(&mut self, plan: &Plan, images: usize) -> Result<Evaluation, SearchError> {
        let all = self.predictions.len();
        // Chunks are whole, and what was known before is passed by where it is of other images.
        let is_part = images < all && !self.predictions.is_judged();
        let images = if is_part { images.next_multiple_of(Part::CHUNK).min(all) } else { all };
        let digest = self.digest(plan);
        let known = self.furthest(digest, images);
        if let Some(score) = known.map(|known| known.score).filter(|score| score.n == images) {
            return Ok(Evaluation { score, is_complete: images == all, digest, is_new: false });
        }
        let so_far = known.filter(|known| known.score.n % Part::CHUNK == 0).cloned();
        self.evaluations += u64::from(so_far.is_none());
        let ahead = self.predictions.chunks();
        let request = Request { plan, question: Question::Score, focus: None, ahead };
        let measured = self.score(&request, so_far.unwrap_or_else(Known::begin), images, None)?;
        let score = measured.score;
        self.learn(digest, measured);
        Ok(Evaluation { score, is_complete: images == all, digest, is_new: true })
    }

    fn check(&self, plan: &Plan) -> Result<(), LowerError> {
        self.measure.check(plan)
    }

    fn float_score(&self) -> (usize, usize) {
        (self.predictions.len(), self.predictions.correct())
    }

    fn expected_error(&self) -> Option<f64> {
        self.predictions.expected_error()
    }

    fn class_part(&self, evaluation: &Evaluation, errors: f64) -> Option<f64> {
        let (bound, labels) = self.class_bound.as_ref()?;
        let Some(details) = self.details_of(evaluation) else { return Some(f64::INFINITY) };
        // Images that were not run yet are no loss.
        let all = labels.iter().map(|(label, all)| {
            let run = details.classes.get(label).copied().unwrap_or_default();
            let right = [all.right[0], (all.right[0] + run.right[1]).saturating_sub(run.right[0])];
            (*label, ClassScore { n: all.n, right, ..run })
        });
        Some(bound.part(&all.collect(), errors))
    }
}
