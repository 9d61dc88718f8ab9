"""Dynamic sparse training as a Lightning Callback (Algorithm 1)."""

from typing import Annotated, Any, Literal

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from pydantic import Field, PositiveInt, validate_call
from torch import Tensor
from torch.optim import Optimizer

from dsn_lab.errors import UserError
from dsn_lab.registry import sparse_training
from dsn_lab.sparse import topology
from dsn_lab.sparse.layer import SparseConv1d
from dsn_lab.sparse.schedule import drop_fraction

Fraction = Annotated[float, Field(ge=0, le=1)]


@sparse_training.register("dynamic_sparse_training")
class DynamicSparseTraining(Callback):
    """Every ``update_every`` epochs, move the smallest active weights of each layer and group.

    The drop fraction follows a cosine from ``alpha`` to ``alpha_end`` over the first ``stop`` of
    all training steps. Weights dropped and grown are equally many, so the number of active
    weights never changes. A grown weight starts at 0 without optimizer state. Nothing moves
    after the last epoch, when no step is left to train what grows, nor in epochs that a later
    callback adds (structured pruning's fine-tuning).

    Logs per layer and group, after each update: ``active`` weights, ``drop_fraction``, the share
    ``replaced`` (now at positions that were not active before) and the share of the region ever
    ``explored``.

    Args:
        growth: ``random`` (DSN), ``gradient`` (RigL: largest dense gradient of the epoch's last
            batch) or ``none`` (the topology never changes).
        update_every: update interval Delta T, in epochs.
        alpha: first drop fraction.
        alpha_end: last drop fraction.
        stop: share of all training steps after which the drop fraction stays at its last value.
        seed: seed of random growth.
    """

    @validate_call
    def __init__(
        self,
        growth: Literal["random", "gradient", "none"] = "random",
        update_every: PositiveInt = 5,
        alpha: Fraction = 0.5,
        alpha_end: Fraction = 0.001,
        stop: Annotated[float, Field(gt=0, le=1)] = 0.8,
        seed: int = 0,
    ) -> None:
        self.growth = growth
        self.update_every = update_every
        self.alpha, self.alpha_end, self.stop = alpha, alpha_end, stop
        self.generator = np.random.default_rng(seed)
        self.layers: list[SparseConv1d] = []
        self.explored: list[Tensor] = []
        self.epochs = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the sparse layers; what they start with counts as explored."""
        if stage == "fit":
            assert trainer.max_epochs is not None
            self.epochs = trainer.max_epochs
            self.layers = [m for m in pl_module.modules() if isinstance(m, SparseConv1d)]
            if not self.layers:
                network = type(pl_module.network).__name__
                raise UserError(f"dst: {network} has no sparse layers; use dst=none")
            self.explored = [layer.mask for layer in self.layers]

    def state_dict(self) -> dict[str, Any]:
        """Growth's random state and what was explored, for an exact resume."""
        return {
            "generator": self.generator.bit_generator.state,
            "explored": [explored.cpu() for explored in self.explored],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self.generator.bit_generator.state = state_dict["generator"]
        self.explored = list(state_dict["explored"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow the layers to their device."""
        self.explored = [
            explored.to(layer.positions.device)
            for layer, explored in zip(self.layers, self.explored, strict=True)
        ]

    def _due(self, trainer: Trainer) -> bool:
        """Whether this epoch ends with an update."""
        epochs = trainer.current_epoch + 1
        return epochs % self.update_every == 0 and epochs < self.epochs

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Have the last batch before an update rank positions by their dense gradient."""
        if self.growth == "gradient":
            last = batch_idx + 1 == trainer.num_training_batches
            for layer in self.layers:
                layer.ranking_wanted = last and self._due(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Update every layer when due, and log."""
        if not self._due(trainer):
            return
        fraction = 0.0
        if self.growth != "none":
            assert trainer.max_epochs is not None
            steps = trainer.estimated_stepping_batches * self.epochs / trainer.max_epochs
            fraction = drop_fraction(
                trainer.global_step,
                steps,
                alpha=self.alpha,
                end=self.alpha_end,
                stop=self.stop,
            )
        metrics: dict[str, float] = {}
        for index, layer in enumerate(self.layers):
            replaced = (
                self._update(layer, trainer.optimizers[0], fraction)
                if self.growth != "none"
                else [0.0] * len(layer.active)
            )
            self.explored[index].view(-1).index_fill_(0, layer.positions.long(), True)
            for group, (region, active) in enumerate(zip(layer.regions, layer.active, strict=True)):
                # Much faster than a sum, which would convert every element first.
                explored = np.count_nonzero(
                    self.explored[index].view(-1)[region.span].cpu().numpy()
                )
                key = f"topology/layer{index + 1}/group{group + 1}"
                metrics[f"{key}/active"] = float(active)
                metrics[f"{key}/drop_fraction"] = fraction
                metrics[f"{key}/replaced"] = replaced[group]
                metrics[f"{key}/explored"] = float(explored / region.size)
        # What Lightning's log_dict would do, without its bookkeeping for each of so many keys.
        trainer.callback_metrics.update({k: torch.tensor(v) for k, v in metrics.items()})
        for logger in trainer.loggers:
            logger.log_metrics(metrics, trainer.global_step)

    @torch.no_grad()
    def _update(self, layer: SparseConv1d, optimizer: Optimizer, fraction: float) -> list[float]:
        """Drop and grow in each group of one layer; returns the shares of weights replaced."""
        ranking = layer.take_ranking() if self.growth == "gradient" else None
        held = layer.mask.view(-1)
        before = held.clone()
        states = [
            state
            for state in optimizer.state[layer.values].values()
            if isinstance(state, Tensor) and state.shape == layer.values.shape
        ]
        replaced, moves, growths, first = [], [], [], 0
        for group, active in enumerate(layer.active):
            values = layer.values[first : first + active]
            moved = first + topology.smallest(values, topology.drop_count(active, fraction))
            held.index_fill_(0, layer.positions.index_select(0, moved).long(), False)
            grown = (
                topology.grow_random(layer.regions[group], held, len(moved), self.generator)
                if ranking is None
                else topology.grow_by_ranking(ranking[group], held, len(moved))
            )
            replaced.append(float((~before[grown]).count_nonzero()) / max(active, 1))
            moves.append(moved)
            growths.append(grown)
            first += active
        topology.move(
            layer.positions, (layer.values, *states), torch.cat(moves), torch.cat(growths)
        )
        return replaced
