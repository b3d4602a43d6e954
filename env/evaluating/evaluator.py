"""Evaluator: the only expensive call. Retrain, score, convert, build, measure."""

import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from env.decisions.costs import model_bytes
from env.decisions.space import decision_space
from env.errors import EvaluationLimitError
from env.evaluating.accounting import TABLE_ROW, counts
from env.evaluating.env_config import EnvConfig
from env.evaluating.episode import RealEpisode
from env.evaluating.evaluation import Evaluation
from env.evaluating.reference_scores import ReferenceScores
from env.evaluating.search_evaluator import OnEvaluation
from env.evaluating.seen_look import SeenLook, seen_looks
from env.evaluating.staged_trainings import StagedTrainings
from env.evaluating.stored_accuracies import Scored, StoredAccuracies
from env.evaluating.training_pool import TrainedCandidate, Training, TrainingPool
from env.tasks.task import Split
from hardware.device import Device, MeasureResult
from hardware.errors import BuildError
from hardware.measuring.lock import training_lock
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.errors import ConvertError, TrainingError
from quant.network import QuantizedNetwork
from quant.objective.objective import CLASSIFICATION, Objective
from quant.objective.paired import PairedDifference, paired
from quant.objective.scores import ImageScores
from quant.outputs import Outputs, several
from quant.retraining.integer_scores import integer_scores
from quant.retraining.loop import Augment
from quant.retraining.retrainer import Retrainer
from quant.tensors.moving import device_of

_SCORED_TOGETHER = 1000
"""Images that a device is asked to run at once."""


def order_seed(seed: int, number: int) -> int:
    """Return what orders the training images of one retraining.

    Args:
        seed: Of the run.
        number: Of the retraining in it; 0 for every evaluation that starts from the checkpoint,
            but for repeats, which count from 1.
    """
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


class Evaluator:
    """Evaluates allocations one after the other, and refuses more than its limit.

    With `weights: shared` the network goes on training from evaluation to evaluation, so an
    evaluation depends on those before it; with `reset` each starts from the weights that the
    network had when the evaluator was made.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        device: Device,
        train: Split,
        search: Split,
        config: EnvConfig,
        *,
        seed: int,
        limit: int,
        objective: Objective = CLASSIFICATION,
        past: Sequence[Evaluation] = (),
        augment: Augment | None = None,
        accuracies: StoredAccuracies | None = None,
        on_evaluation: Sequence[OnEvaluation] = (),
        pool: TrainingPool | None = None,
        proposals: int = 1,
    ) -> None:
        """Keep the parts; nothing is trained yet.

        Args:
            network: Calibrated, at the float checkpoint; trained in place.
            device: Builds and measures.
            train: Retrained on.
            search: Scored on.
            config: Retraining and whether weights are shared.
            seed: Orders the training images, together with the evaluation's number.
            limit: Largest number of evaluations.
            objective: Loss and metric.
            past: Evaluations that an earlier part of the same run paid for. They are handed back
                while they are asked for in the same order; see `adopt_past`.
            augment: What changed images in the float training.
            accuracies: Known results of retraining, used with `weights: reset` alone; the
                reference's scores, image by image, are kept there always.
            on_evaluation: Called with each finished evaluation, in order.
            pool: Who retrains from the checkpoint; None: this process does. With `weights: reset`
                and `retrain: end` alone.
            proposals: Allocations that methods are to ask for at once.
        """
        self.network = network
        self.device = device
        self.limit = limit
        self.held_back = 0
        """Evaluations of the limit that are kept for later: `remaining` is less by so many."""
        self.proposer = ""
        """Who asks for the next evaluations; written into each of them."""
        self.evaluations: list[Evaluation] = []
        self.on_evaluation = list(on_evaluation)
        self._search = search
        self._retrainer = Retrainer(
            network,
            train.images,
            train.labels,
            config.finetune,
            loss=objective.loss,
            augment=augment,
        )
        self._objective = objective
        self._config = config
        self._pool, self._proposals = pool, proposals
        self._seed = seed
        self._past = deque(past)
        self._accuracies = accuracies if config.weights == "reset" else None
        self._staged = None if config.retrain == "end" else self._stage(network)
        self._reference = ReferenceScores(
            network.layers, accuracies, looked_at=self._staged is not None
        )
        self._watched_s = 0.0
        """Seconds of looks in episodes that are not evaluated yet."""

    def _stage(self, network: QuantizedNetwork) -> StagedTrainings:
        """Return what retrains decision by decision, in the order of an episode."""
        config = self._config
        space = decision_space(network.layers, config.bit_choices, config.layer_rules)
        return StagedTrainings(self._retrainer.basis, space, partial(order_seed, self._seed))

    @property
    def remaining(self) -> int:
        """How many evaluations the limit still allows."""
        return self.limit - self.held_back - sum(map(counts, self.evaluations))

    @property
    def repeatable(self) -> bool:
        """Whether an allocation can be evaluated again with nothing changed but the seed."""
        return self._config.weights == "reset"

    @property
    def parallel(self) -> int:
        """How many allocations to ask for at once: as many as are measured at once, or wanted."""
        return max(self.device.parallel, self._proposals) if self.repeatable else 1

    def evaluate(self, allocations: Sequence[Allocation], *, repeat: int = 0) -> list[Evaluation]:
        """Evaluate allocations in order.

        Where the device measures several candidates at once, the next ones are trained meanwhile.
        Shared weights are trained and measured one by one: what is saved with an evaluation must be
        the weights that it had.

        Args:
            allocations: What to evaluate.
            repeat: 0, or from 1 on: with another order of the training images, so that two
                evaluations of one allocation differ by what retraining adds. With `weights: reset`
                alone.

        Raises:
            EvaluationLimitError: the limit is used up; finished ones are in `evaluations`.
            HardwareLostError: the device is gone; those before the lost one are in `evaluations`.
        """
        if self._pool is not None:
            return self._evaluate_elsewhere(self._pool, allocations, repeat)
        if repeat:
            assert self.repeatable, "shared weights have no second order of images"
            return [self._evaluate(allocation, repeat) for allocation in allocations]
        if len(allocations) < 2 or self.device.parallel == 1 or not self.repeatable:
            return [self._evaluate(allocation) for allocation in allocations]
        return self._evaluate_together(allocations)

    def begin_episode(self) -> RealEpisode | None:
        """Return an episode that is retrained while it is decided; None with `retrain: end`."""
        return None if self._staged is None else RealEpisode(self)

    def look(self, bits: Sequence[int]) -> SeenLook | None:
        """Train the latest decision's share of the steps, and return what is seen.

        What it comes to is that of `evaluate`, which goes on from it.

        Args:
            bits: Widths of the decisions so far, at least one.

        Returns:
            None where the training did not stay finite: its evaluation is that of its start.

        Raises:
            EvaluationLimitError: the limit is used up.
            TrainingError: the float network's losses are not finite.
        """
        assert self._staged is not None, "retraining comes at the end"
        known = [*self._past, *self.evaluations]  # a resumed search plays its episodes again
        if (look := self._staged.known_look(bits, known)) is not None:
            return look
        self._check_limit(waiting=0)
        started = time.perf_counter()
        with training_lock():
            self._reference_scores()
            seen = seen_looks(self._staged.losses(bits), self._reference.looks)
        self._watched_s += time.perf_counter() - started
        return seen[-1] if len(seen) == len(bits) else None

    def beside_reference(self, scores: ImageScores) -> PairedDifference | None:
        """Compare a network with the all-8-bit reference, image by image on the search split.

        None where the reference's scores are not known: it was not evaluated first, or by an
        earlier part of a run with shared weights that kept none.
        """
        with training_lock():
            reference = self._reference_scores()
        return None if reference is None else paired(scores, reference)

    def adopt_past(self) -> None:
        """Count the past evaluations that nobody asked for again as made."""
        while self._past:
            self.evaluations.append(self._past.popleft())

    def _take_past(self, allocation: Allocation, repeat: int = 0) -> Evaluation | None:
        """Return the past evaluation of an allocation; asked in another order, all are adopted."""
        wanted = (allocation, repeat)
        if self._past and (self._past[0].allocation, self._past[0].repeat) == wanted:
            self.evaluations.append(self._past.popleft())
            return self.evaluations[-1]
        left = tuple(self._past)
        self.adopt_past()
        return next((item for item in left if (item.allocation, item.repeat) == wanted), None)

    def _evaluate(self, allocation: Allocation, repeat: int = 0) -> Evaluation:
        if known := self._take_past(allocation, repeat):
            return known
        self._check_limit(waiting=0)
        trained = self._train_one(allocation, repeat)
        result = trained.result or self.device.measure(trained.graph)
        return self._finish(trained, result)

    def _evaluate_together(self, allocations: Sequence[Allocation]) -> list[Evaluation]:
        """Train one after another while boards measure; finish in the order of the allocations."""
        found: list[Evaluation] = []
        waiting: deque[tuple[_Trained, Future[MeasureResult]]] = deque()
        pool = ThreadPoolExecutor(self.device.parallel)

        def finish(at_most: int) -> None:
            while waiting and (len(waiting) > at_most or waiting[0][1].done()):
                trained, future = waiting.popleft()
                found.append(self._finish(trained, future.result()))

        try:
            for allocation in allocations:
                if self._past:
                    finish(0)  # the past was recorded in this order
                    if known := self._take_past(allocation):
                        found.append(known)
                        continue
                self._check_limit(len(waiting))
                trained = self._train_one(allocation)
                if trained.result is None:
                    future = pool.submit(self.device.measure, trained.graph)
                else:
                    future = Future()
                    future.set_result(trained.result)
                waiting.append((trained, future))
                finish(2 * self.device.parallel)
            finish(0)
        except EvaluationLimitError:
            finish(0)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return found

    def _evaluate_elsewhere(
        self, pool: TrainingPool, allocations: Sequence[Allocation], repeat: int
    ) -> list[Evaluation]:
        """Let others retrain, and measure here; finish in the order of the allocations.

        What each comes to is as if they had been retrained one after another.
        """
        found: list[Evaluation] = []
        waiting: deque[tuple[Allocation, Training | None]] = deque()

        def finish(at_most: int) -> None:
            while len(waiting) > at_most:
                trained = self._train_one(waiting[0][0], repeat, waiting[0][1])
                waiting.popleft()
                result = trained.result or self.device.measure(trained.graph)
                found.append(self._finish(trained, result))

        try:
            for allocation in allocations:
                if self._past:
                    finish(0)  # the past was recorded in this order
                if known := self._take_past(allocation, repeat):
                    found.append(known)
                    continue
                self._check_limit(len(waiting))
                stored = self._look_up(allocation, repeat)
                waiting.append((allocation, None if stored else pool.submit(allocation, repeat)))
                finish(2 * pool.workers)
            finish(0)
        except EvaluationLimitError:
            finish(0)
            raise
        finally:
            for _, asked in waiting:
                if asked is not None:
                    asked.cancel()
        return found

    def _check_limit(self, waiting: int) -> None:
        if self.remaining <= waiting and self.proposer != TABLE_ROW:
            raise EvaluationLimitError(
                f"all {self.limit} evaluations are used up", "allow more with --evaluations"
            )

    def _train_one(
        self, allocation: Allocation, repeat: int = 0, asked: Training | None = None
    ) -> "_Trained":
        """Retrain and convert one candidate, or wait for who does; a failure is its result."""
        started = time.perf_counter() - self._watched_s
        self._watched_s = 0.0
        before = self.network.copy_state()
        graph, scored, result, there = None, None, None, None
        try:
            if asked is not None:  # not inside the lock: who trains on this machine needs it, too
                there = asked.result()
            with training_lock():
                graph, scored = self._retrain(allocation, repeat, there)
        except (TrainingError, ConvertError, BuildError) as error:
            # Weights that this candidate ruined must not be handed on to the next one.
            self.network.load_state_dict(before)
            result = MeasureResult(error=str(error))
        return _Trained(
            allocation=allocation,
            repeat=repeat,
            proposer=self.proposer,
            converted=graph,
            scored=scored,
            result=result,
            train_s=there.seconds if there else time.perf_counter() - started,
        )

    def _finish(self, trained: "_Trained", result: MeasureResult) -> Evaluation:
        evaluation = self._record(trained, result)
        self.evaluations.append(evaluation)
        for listener in self.on_evaluation:
            listener(evaluation)
        return evaluation

    def _retrain(
        self, allocation: Allocation, repeat: int, there: TrainedCandidate | None
    ) -> tuple[DeployGraph, Scored]:
        if known := self._look_up(allocation, repeat):
            self._start_at(allocation)
            return convert(self.network), known
        is_reference = allocation == self._reference.allocation and not repeat
        from_checkpoint = self._config.weights == "reset" or not self.evaluations
        if is_reference and from_checkpoint:
            end = there or self.train_and_score(allocation)
            self._reference.keep(end.scores, end.looks)
            reference: ImageScores | None = end.scores
        else:
            reference = self._reference_scores()  # first: it may have to be retrained
            end = there or self.train_and_score(allocation, repeat)
        scored = Scored(
            score=end.scores.score,
            beside_reference=None if reference is None else paired(end.scores, reference),
            retraining=end.retraining,
            looks=() if end.looks is None else seen_looks(end.looks, self._reference.looks),
        )
        if self._accuracies is not None:
            self._accuracies.put(allocation, scored, repeat)
        return end.graph, scored

    def _look_up(self, allocation: Allocation, repeat: int) -> Scored | None:
        """Return what is stored of a retraining; of the reference, only with its scores."""
        if self._accuracies is None:
            return None
        if allocation == self._reference.allocation and self._reference.get() is None:
            return None
        return self._accuracies.get(allocation, repeat)

    def _reference_scores(self) -> ImageScores | None:
        """Return the reference's scores; retrain it where only its evaluation was kept."""
        reference = self._reference
        began = [evaluation.allocation for evaluation in self.evaluations[:1]]
        known = reference.get()
        if known is None and began == [reference.allocation] and self._config.weights == "reset":
            end = self.train_and_score(reference.allocation)
            known = end.scores
            reference.keep(known, end.looks)
        return known

    def _start_at(self, allocation: Allocation, repeat: int = 0) -> int:
        """Put the network where a retraining begins; return the number that orders its images."""
        number = len(self.evaluations)
        if self._config.weights == "reset":
            self._retrainer.reset(self.network)
            # The same images in the same order for every candidate: equal candidates are equal, and
            # others differ by their bits; but for repeats, which show what the order does.
            number = repeat
        self.network.set_allocation(allocation)
        return number

    def train_and_score(self, allocation: Allocation, repeat: int = 0) -> TrainedCandidate:
        """Retrain a candidate, convert it and score it; nothing is counted, stored or measured.

        Raises:
            TrainingError: weights or values are not finite.
            ConvertError: it has no integer form.
        """
        if self._staged is not None:
            end = self._staged.finish(allocation, repeat)
            graph = convert(end.network)
            return TrainedCandidate(
                graph=graph,
                scores=self._score(graph),
                retraining=end.retraining,
                looks=end.losses,
            )
        seed, better = order_seed(self._seed, self._start_at(allocation, repeat)), self.network
        if self._config.weights == "reset":
            retraining = self._retrainer.retrain(better, seed=seed)
        else:
            better, retraining = self._retrainer.carry_on(better, seed=seed)
        graph = convert(better)
        return TrainedCandidate(graph=graph, scores=self._score(graph), retraining=retraining)

    def _score(self, graph: DeployGraph) -> ImageScores:
        """Score the search split on codes computed here, or on the compiled network itself."""
        images, labels = self._search.images, self._search.labels
        if self._config.accuracy_on == "integers":
            device = device_of(self.network)
            return integer_scores(graph, images, labels, self._objective, device=device)
        # In parts, so that each stays inside the device's limit for one request.
        parts = zip(images.split(_SCORED_TOGETHER), labels.split(_SCORED_TOGETHER), strict=True)
        return self._objective.score((self._run(graph, part), wanted) for part, wanted in parts)

    def _run(self, graph: DeployGraph, images: torch.Tensor) -> Outputs:
        """Return what the compiled network returns."""
        returned = self.device.run(graph, images.numpy())
        arrays = returned if isinstance(returned, tuple) else (returned,)
        return several(map(torch.from_numpy, arrays), graph.outputs)

    def _record(self, trained: "_Trained", result: MeasureResult) -> Evaluation:
        allocation, scored = trained.allocation, trained.scored
        score = scored.score if scored else None
        return Evaluation(
            allocation=allocation,
            index=len(self.evaluations),
            repeat=trained.repeat,
            metric=self._objective.metric,
            score=score.value if score else 0.0,
            score_se=score.standard_error if score else 0.0,
            loss=score.loss if score else math.nan,
            beside_reference=scored.beside_reference if scored else None,
            retraining=scored.retraining if scored else None,
            looks=scored.looks if scored else (),
            model_bytes=model_bytes(self.network.layers, allocation),
            measurement=result.measurement,
            error=result.error,
            cached=result.cached,
            proposer=trained.proposer,
            training_samples=self._images_seen(),
            train_s=trained.train_s,
            build_s=result.build_s,
            measure_s=result.measure_s,
        )

    def _images_seen(self) -> int:
        """Return how many training images one retraining looks at."""
        if self._staged is not None:
            return self._staged.images_seen
        return self._retrainer.images_seen(carried_on=self._config.weights == "shared")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trained:
    """A candidate between its two halves."""

    allocation: Allocation
    repeat: int
    proposer: str
    converted: DeployGraph | None
    scored: Scored | None
    result: MeasureResult | None
    """Set where training failed: there is nothing to measure."""
    train_s: float

    @property
    def graph(self) -> DeployGraph:
        """The converted network."""
        assert self.converted is not None
        return self.converted
