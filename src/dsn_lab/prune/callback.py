"""Dynamic structured pruning as a Lightning Callback: penalise, analyse, remove, train on."""

import logging
from collections.abc import Callable
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, validate_call
from torch import Tensor, nn

from dsn_lab.data.module import TimeSeriesData
from dsn_lab.errors import UserError
from dsn_lab.prune.activity import analyse, kept_filters
from dsn_lab.prune.channels import Prunable
from dsn_lab.prune.feature_maps import FeatureMaps
from dsn_lab.prune.outcome import Analysis, outcome
from dsn_lab.prune.penalties import Reduction
from dsn_lab.prune.rules.base import Rule
from dsn_lab.prune.surgery import prune, require_prunable
from dsn_lab.records.results import Record
from dsn_lab.registry import penalties, pruning, rules
from dsn_lab.run.evaluate import recalibrated, require_finite
from dsn_lab.run.keeping import BestWeights, History
from dsn_lab.run.stages import Renewable, Staged, Tested
from dsn_lab.run.task import Classification
from dsn_lab.run.validation import validated

log = logging.getLogger(__name__)

Stage = dict[str, Any]
"""A network as what makes it: ``shape`` and ``weights``."""


@pruning.register("structured_pruning")
class StructuredPruning(Staged):
    """Train with a penalty on activations, remove redundant filters, train on without it.

    The trainer's ``max_epochs`` are those of the penalised phase. With its weights of lowest
    training loss (of the trainer's :class:`BestWeights`, which must come before this callback), a
    rule decides over the training set which filters are removed. ``finetune_epochs`` follow; and,
    if ``scratch``, ``scratch_epochs`` in which the pruned shape is trained from the fresh weights
    that the seed gives it. Optimizer and scheduler begin anew with each phase.

    Logs the penalty of each layer, and which phase it is: ``finetuning`` and ``scratch``, 0 or 1.

    Args:
        penalty: lambda, the factor of the sparsity loss.
        loss: which one, of those in :mod:`dsn_lab.prune.penalties`.
        layer_weights: factor of each layer's; 1 by default.
        reduction: ``sum`` over the batch (the authors' scale) or ``mean``.
        penalise_frozen: penalise the maps of filters that cannot go, too, where there are any.
        rule: which filters are redundant, of those in :mod:`dsn_lab.prune.rules`.
        finetune_epochs: epochs of the second phase.
        scratch: whether there is a third.
        scratch_epochs: its epochs; 0 if there is none.
        report: the stage that the result is of, ``finetuned`` or ``scratch``.
        recalibrate: estimate BatchNorm's statistics anew before the analysis, as before the test.
        settings: the rule's; None leaves one at its default.

    Raises:
        UserError: there is no such loss or rule, or a setting that it does not read.
        ValueError: the settings of the third phase contradict each other.
    """

    state_key = "StructuredPruning"  # in checkpoints, whatever the class is called

    @validate_call(config={"arbitrary_types_allowed": True})
    def __init__(
        self,
        penalty: NonNegativeFloat = 1e-5,
        loss: str = "instance_l21",
        layer_weights: list[NonNegativeFloat] | None = None,
        reduction: Reduction = "sum",
        penalise_frozen: bool = False,
        rule: str = "instance_mean",
        finetune_epochs: PositiveInt = 500,
        scratch: bool = False,
        scratch_epochs: NonNegativeInt = 0,
        report: Literal["finetuned", "scratch"] = "finetuned",
        recalibrate: bool = False,
        **settings: Any,
    ) -> None:
        if scratch != (scratch_epochs > 0):
            raise ValueError(f"scratch_epochs={scratch_epochs} contradicts scratch={scratch}")
        if report == "scratch" and not scratch:
            raise ValueError("report=scratch needs scratch=true")
        self.penalty, self.loss = penalty, penalties[loss]
        self.layer_weights, self.reduction = layer_weights, reduction
        self.penalise_frozen = penalise_frozen
        given = {name: value for name, value in settings.items() if value is not None}
        self.rule: Rule = rules.make({**given, "name": rule}, key="dsp")
        self.chosen = {"rule": rule, **given}
        self.finetune_epochs, self.scratch_epochs = finetune_epochs, scratch_epochs
        self.report, self.recalibrate = report, recalibrate
        self.scores: list[Tensor] = []
        self.cuts: list[float] = []
        self.pretrained: Stage = {}
        self.pruned: Stage = {}
        self.finetuned: Stage = {}
        self._maps: FeatureMaps | None = None
        # The epochs at which the second and the third phase begin.
        self._finetuning, self._scratch = 0, 0

    def require_usable(self, network: nn.Module) -> None:
        """Refuse a network that cannot be pruned, or weights of other layers than it has."""
        prunable = require_prunable(network)
        if self.penalise_frozen and not prunable.channels().has_frozen:
            raise UserError(
                f"dsp.penalise_frozen=true: {type(network).__name__} has no frozen filters; leave "
                "it out"
            )
        layers = len(prunable.widths)
        if self.layer_weights is not None and len(self.layer_weights) != layers:
            raise UserError(
                f"dsp.layer_weights={self.layer_weights}: must be {layers} numbers, one a layer"
            )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make room for the later phases."""
        if stage != "fit":
            return
        assert isinstance(pl_module, Classification)
        (self.best,) = (c for c in trainer.callbacks if isinstance(c, BestWeights))  # type: ignore[attr-defined]
        (self.history,) = (c for c in trainer.callbacks if isinstance(c, History))  # type: ignore[attr-defined]
        if self.layer_weights is None:
            self.layer_weights = [1.0] * len(require_prunable(pl_module.network).widths)
        assert trainer.max_epochs is not None
        self._finetuning = trainer.max_epochs
        self._scratch = self._finetuning + self.finetune_epochs
        trainer.fit_loop.max_epochs = self._scratch + self.scratch_epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Register the penalties, unless a resumed run is past them."""
        assert isinstance(pl_module, Classification)
        if trainer.current_epoch < self._finetuning:
            network = require_prunable(pl_module.network)
            self._maps = FeatureMaps(network, beside=self.penalise_frozen)
            pl_module.penalties = {
                f"penalty/layer{layer + 1}": self._penalty_of(self._maps, layer, weight)
                for layer, weight in enumerate(self.layer_weights or [])
            }

    def _penalty_of(self, maps: FeatureMaps, layer: int, weight: float) -> Callable[[], Tensor]:
        def penalise() -> Tensor:
            loss: Tensor = self.loss(maps.latest[layer], self.reduction)
            return self.penalty * weight * loss

        return penalise

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the phase."""
        epoch = trainer.current_epoch
        pl_module.log("finetuning", float(self._finetuning <= epoch < self._scratch))
        if self.scratch_epochs:
            pl_module.log("scratch", float(epoch >= self._scratch))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the penalised phase prune; after fine-tuning begin from scratch."""
        assert isinstance(pl_module, Classification)
        ended = trainer.current_epoch + 1
        if not self.best.weights:
            return
        if ended == self._finetuning:
            self._prune(trainer, pl_module)
        elif ended == self._scratch and self.scratch_epochs and self.pruned:
            self._begin_from_scratch(trainer, pl_module)

    def _prune(self, trainer: Trainer, pl_module: Classification) -> None:
        network = require_prunable(pl_module.network)
        pl_module.penalties = {}
        if self._maps is not None:
            self._maps.remove()
        network.load_state_dict(self.best.weights)
        data: TimeSeriesData = trainer.datamodule  # type: ignore[attr-defined]
        if self.recalibrate:
            recalibrated(network, data, pl_module.device)
        require_finite(network, data, pl_module.device)
        self.scores = analyse(network, self.rule, data.calibration_batches())
        self.cuts = [self.rule.cut(layer) for layer in self.scores]
        pruned = prune(network, kept_filters(self.scores, self.cuts, self.rule, network))
        self.pretrained, self.pruned = _stage(network), _stage(pruned)
        self._go_on_with(pruned, trainer, pl_module)
        log.info(
            "pruned from %s to %s filters; fine-tuning for %d epochs",
            *(sum(map(sum, each.widths)) for each in (network, pruned)),
            self.finetune_epochs,
        )

    def _begin_from_scratch(self, trainer: Trainer, pl_module: Classification) -> None:
        network = require_prunable(pl_module.network)
        network.load_state_dict(self.best.weights)
        self.finetuned = {
            **_stage(network),
            "best_epoch": self.best.epoch,
            "train_loss": self.best.loss,
        }
        data: TimeSeriesData = trainer.datamodule  # type: ignore[attr-defined]
        with torch.random.fork_rng():
            torch.manual_seed(data.seed)  # so dsp=scratch begins with the same weights
            fresh = network.resized(**self.pruned["shape"]).to(pl_module.device)
        self._go_on_with(fresh, trainer, pl_module)
        for each in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(each, Renewable):
                each.renew(trainer, pl_module, self.scratch_epochs)
        log.info("the pruned shape from fresh weights, for %d epochs", self.scratch_epochs)

    def _go_on_with(self, network: Prunable, trainer: Trainer, pl_module: Classification) -> None:
        pl_module.network = network
        self.best.reset()
        trainer.strategy.setup_optimizers(trainer)

    def stages(self, network: nn.Module) -> dict[str, Prunable]:
        """The network before pruning, right after it, fine-tuned and from scratch (as given)."""
        if not self.pruned:
            raise UserError("dsp: training ended before there was anything to prune")
        network = require_prunable(network)
        earlier = {"pretrained": self.pretrained, "pruned": self.pruned}
        if self.scratch_epochs:
            earlier["finetuned"] = self.finetuned
        stages = {}
        for name, stage in earlier.items():
            stages[name] = network.resized(**stage["shape"])
            stages[name].load_state_dict(stage["weights"])
        stages["scratch" if self.scratch_epochs else "finetuned"] = network
        return stages | {self.report: stages.pop(self.report)}

    def phase(self, epoch: int) -> str:
        """Penalised, fine-tuning or from scratch."""
        if epoch < self._finetuning:
            return "penalised"
        return "fine-tuning" if epoch < self._scratch else "from scratch"

    def findings(self, tested: Tested) -> Record:
        """What pruning removed, what it cost, and why."""
        found = outcome(tested, Analysis(self.rule, self.chosen, self.scores, self.cuts))
        if self.scratch_epochs and self.report == "finetuned":
            epoch = self.finetuned["best_epoch"]
            found |= {"best_epoch": epoch, "train_loss": self.finetuned["train_loss"]}
            found["train_accuracy"] = self.history.rows[epoch]["train_accuracy"]
            found |= validated(self.history.rows[epoch])
        return found | {"report": self.report}

    def state_dict(self) -> dict[str, Any]:
        """What the analysis found and the networks at the ends of earlier phases."""
        names = ("scores", "cuts", "pretrained", "pruned", "finetuned")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self.scores, self.cuts = state_dict["scores"], state_dict["cuts"]
        self.pretrained, self.pruned = state_dict["pretrained"], state_dict["pruned"]
        self.finetuned = state_dict.get("finetuned", {})  # there were two phases once


def _stage(network: Prunable) -> Stage:
    weights = {name: tensor.cpu().clone() for name, tensor in network.state_dict().items()}
    return {"shape": network.shape, "weights": weights}
