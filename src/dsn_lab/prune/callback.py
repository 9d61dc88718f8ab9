"""Dynamic structured pruning as a Lightning Callback: penalise, analyse, remove, fine-tune."""

import logging
from collections.abc import Callable
from typing import Annotated, Any, Literal

from lightning.pytorch import LightningModule, Trainer
from pydantic import BeforeValidator, NonNegativeFloat, PositiveInt, validate_call
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from dsn_lab.data.module import TimeSeriesData
from dsn_lab.errors import UserError
from dsn_lab.prune.activity import activity, kept_filters, threshold
from dsn_lab.prune.channels import Prunable
from dsn_lab.prune.feature_maps import FeatureMaps
from dsn_lab.prune.outcome import outcome
from dsn_lab.prune.penalties import Reduction
from dsn_lab.prune.surgery import prune, require_prunable
from dsn_lab.records.results import Record
from dsn_lab.registry import penalties, pruning
from dsn_lab.run.evaluate import recalibrated
from dsn_lab.run.keeping import BestWeights
from dsn_lab.run.stages import Staged, Tested
from dsn_lab.run.task import Classification

log = logging.getLogger(__name__)


def _share(tau: object) -> object:
    """Pydantic would name both of the alternatives in its complaint."""
    if tau == "auto" or (isinstance(tau, int | float) and 0 < tau < 1):
        return tau
    raise PydanticCustomError("share", "must be in (0, 1) or auto")


Tau = Annotated[float | Literal["auto"], BeforeValidator(_share)]
Stage = dict[str, Any]
"""A network as what makes it: ``shape`` and ``weights``."""


@pruning.register("structured_pruning")
class StructuredPruning(Staged):
    """Train with a penalty on activations, remove the idle filters, then fine-tune without it.

    The trainer's ``max_epochs`` are those of the penalised phase; ``finetune_epochs`` are added.
    In between, with the weights of lowest training loss (of the trainer's :class:`BestWeights`,
    which must come before this callback), the largest activity of each filter over
    the training set decides which are removed; optimizer and scheduler begin anew.

    Logs the penalty of each layer, and ``finetuning``: 0 or 1.

    Args:
        penalty: lambda, the factor of the sparsity loss.
        loss: which one, of those in :mod:`dsn_lab.prune.penalties`.
        layer_weights: factor of each layer's; 1 by default.
        reduction: ``sum`` over the batch (the authors' scale) or ``mean``.
        tau: filters whose largest activity is at most this share of their layer's largest go, in
            (0, 1); or ``auto``, see :func:`dsn_lab.prune.activity.threshold`.
        finetune_epochs: epochs of the second phase.
        recalibrate: estimate BatchNorm's statistics anew before the analysis, as before the test.
    """

    state_key = "StructuredPruning"  # in checkpoints, whatever the class is called

    @validate_call(config={"arbitrary_types_allowed": True})
    def __init__(
        self,
        penalty: NonNegativeFloat = 2e-5,
        loss: str = "instance_l21",
        layer_weights: list[NonNegativeFloat] | None = None,
        reduction: Reduction = "sum",
        tau: Tau = 0.01,
        finetune_epochs: PositiveInt = 500,
        recalibrate: bool = False,
    ) -> None:
        self.penalty, self.loss = penalty, penalties[loss]
        self.layer_weights, self.reduction = layer_weights, reduction
        self.tau, self.finetune_epochs, self.recalibrate = tau, finetune_epochs, recalibrate
        self.scores: list[Tensor] = []
        self.cuts: list[float] = []
        self.pretrained: Stage = {}
        self.pruned: Stage = {}
        self._maps: FeatureMaps | None = None
        self._penalised_epochs = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the network, and make room for the second phase."""
        if stage != "fit":
            return
        assert isinstance(pl_module, Classification)
        (self.best,) = (c for c in trainer.callbacks if isinstance(c, BestWeights))  # type: ignore[attr-defined]
        network = require_prunable(pl_module.network)
        layers = len(network.widths)
        if self.layer_weights is None:
            self.layer_weights = [1.0] * layers
        if len(self.layer_weights) != layers:
            raise UserError(
                f"dsp.layer_weights={self.layer_weights}: must be {layers} numbers, one a layer"
            )
        assert trainer.max_epochs is not None
        self._penalised_epochs = trainer.max_epochs
        trainer.fit_loop.max_epochs = trainer.max_epochs + self.finetune_epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Register the penalties, unless a resumed run is past them."""
        assert isinstance(pl_module, Classification)
        if trainer.current_epoch < self._penalised_epochs:
            self._maps = FeatureMaps(require_prunable(pl_module.network))
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
        pl_module.log("finetuning", float(trainer.current_epoch >= self._penalised_epochs))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the penalised phase, analyse and prune."""
        if trainer.current_epoch + 1 != self._penalised_epochs or not self.best.weights:
            return
        assert isinstance(pl_module, Classification)
        network = require_prunable(pl_module.network)
        pl_module.penalties = {}
        if self._maps is not None:
            self._maps.remove()
        network.load_state_dict(self.best.weights)
        data: TimeSeriesData = trainer.datamodule  # type: ignore[attr-defined]
        if self.recalibrate:
            recalibrated(network, data, pl_module.device)
        self.scores = activity(network, data.calibration_batches())
        self.cuts = [threshold(layer, self.tau) for layer in self.scores]
        pruned = prune(network, kept_filters(self.scores, self.cuts, network))
        self.pretrained, self.pruned = _stage(network), _stage(pruned)
        pl_module.network = pruned
        self.best.reset()
        trainer.strategy.setup_optimizers(trainer)
        log.info(
            "pruned from %s to %s filters; fine-tuning for %d epochs",
            *(sum(map(sum, each.widths)) for each in (network, pruned)),
            self.finetune_epochs,
        )

    def stages(self, network: nn.Module) -> dict[str, Prunable]:
        """The network before pruning, right after it, and (as given) after fine-tuning."""
        network, stages = require_prunable(network), {}
        for name, stage in (("pretrained", self.pretrained), ("pruned", self.pruned)):
            stages[name] = network.resized(**stage["shape"])
            stages[name].load_state_dict(stage["weights"])
        return stages | {"finetuned": network}

    def findings(self, tested: Tested) -> Record:
        """What pruning removed, what it cost, and why."""
        return outcome(tested, self.scores, self.cuts, self.tau)

    def state_dict(self) -> dict[str, Any]:
        """What the analysis found and both networks around the surgery."""
        names = ("scores", "cuts", "pretrained", "pruned")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self.scores, self.cuts = state_dict["scores"], state_dict["cuts"]
        self.pretrained, self.pruned = state_dict["pretrained"], state_dict["pruned"]


def _stage(network: Prunable) -> Stage:
    weights = {name: tensor.cpu().clone() for name, tensor in network.state_dict().items()}
    return {"shape": network.shape, "weights": weights}
