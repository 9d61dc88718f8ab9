"""Dynamic sparse training as a Lightning Callback (Algorithm 1)."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from pydantic import AfterValidator, Field, PositiveInt, validate_call
from pydantic_core import PydanticCustomError
from torch import Tensor, nn
from torch.optim import Optimizer

from dsn_lab.errors import UserError
from dsn_lab.registry import drops, growths, sparse_training
from dsn_lab.sparse.growth.base import Group, Growth, groups_of
from dsn_lab.sparse.layer import Observer, SparseConv1d
from dsn_lab.sparse.moments import MOMENTS, State, ZeroMoments
from dsn_lab.sparse.schedule import drop_fraction, update_due
from dsn_lab.sparse.update import apply, drop_and_grow

NAME = "dynamic_sparse_training"


def _rule(growth: Any) -> Any:
    """Pydantic would name each of the alternatives in its complaint."""
    if isinstance(growth, str) or (isinstance(growth, Mapping) and "name" in growth):
        return growth
    raise PydanticCustomError("rule", "must be a name, or settings with a name")


Rule = Annotated[Any, AfterValidator(_rule)]
Fraction = Annotated[float, Field(ge=0, le=1)]


@sparse_training.register(NAME)
class DynamicSparseTraining(Callback):
    """Every ``update_every`` epochs, in each layer and group, move the weights of lowest score.

    The drop fraction follows a cosine from ``alpha`` to ``alpha_end`` over the first ``stop`` of
    all training steps. Weights dropped and grown are equally many, so the number of active
    weights never changes. A grown weight starts at 0. Nothing moves after the last epoch, when no
    step is left to train what grows, nor in epochs that a later callback adds (structured
    pruning's fine-tuning), unless it begins anew with :meth:`renew`.

    Logs per layer and group, after each update: ``active`` weights, ``drop_fraction``, the share
    ``replaced`` (now at positions that were not active before) and the share of the region ever
    ``explored``.

    Args:
        growth: where weights grow: a module's of ``sparse/growth``, by name; or with settings,
            ``{name: momentum, decay: 0.95}``.
        drop: which weights go: a module's of ``sparse/drop``, by name.
        state: what the optimizer knows of a grown weight: ``zero``, nothing; second moments at
            their ``mean`` over the layer's other weights; or ``dense``, Adam's moments of all its
            gradients, active or not, as in the authors' code, for which every step is dense.
        update_every: update interval Delta T, in epochs.
        update_steps: training steps that must lie between updates: a floor for small datasets,
            whose epochs are few steps; null: none.
        alpha: first drop fraction.
        alpha_end: last drop fraction.
        stop: share of all training steps after which the drop fraction stays at its last value.
        seed: seed of growth.

    Raises:
        UserError: there is no such rule, or a setting is given that ``growth`` leaves unread.
    """

    state_key = "DynamicSparseTraining"  # in checkpoints, whatever the class is called

    @validate_call
    def __init__(
        self,
        growth: Rule = "random",
        drop: str = "magnitude",
        state: State = "zero",
        update_every: PositiveInt = 5,
        update_steps: PositiveInt | None = None,
        alpha: Fraction = 0.5,
        alpha_end: Fraction = 0.001,
        stop: Annotated[float, Field(gt=0, le=1)] = 0.8,
        seed: int = 0,
    ) -> None:
        chosen = {"name": growth} if isinstance(growth, str) else growth
        self.growth: Growth = growths.make(chosen, key="dst.growth")
        self.score = drops[drop]
        self.state = state
        self.update_every, self.update_steps = update_every, update_steps
        self.alpha, self.alpha_end, self.stop = alpha, alpha_end, stop
        if alpha_end > alpha:
            raise UserError(f"dst.alpha_end={alpha_end}: must be at most dst.alpha={alpha}")
        if not self.growth.moves:
            moving: dict[str, Any] = {"drop": drop, "state": state, "alpha": alpha}
            moving |= {"alpha_end": alpha_end, "stop": stop}
            _require_defaults(moving, f"dst.growth={chosen['name']}")
        self.generator = np.random.default_rng(seed)
        self.layers: list[SparseConv1d] = []
        self.groups: list[list[Group]] = []
        self.rules: list[Growth] = []
        self.moments: list[ZeroMoments] = []
        self.explored: list[Tensor] = []
        self.updated = 0
        self.epochs = 0
        self.since = {"epoch": 0, "step": 0}

    def require_usable(self, network: nn.Module) -> None:
        """Refuse a network without sparse layers."""
        if not any(isinstance(module, SparseConv1d) for module in network.modules()):
            raise UserError(f"dst: {type(network).__name__} has no sparse layers; use dst=none")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the sparse layers; what they start with counts as explored."""
        if stage == "fit":
            assert trainer.max_epochs is not None
            self.epochs = trainer.max_epochs
            self._find(pl_module)
            self._forget()
            self.updated = 0

    def _find(self, pl_module: LightningModule) -> None:
        self.layers = [m for m in pl_module.modules() if isinstance(m, SparseConv1d)]
        self.groups = [groups_of(layer.regions, layer.active) for layer in self.layers]

    def _forget(self) -> None:
        self.rules = [deepcopy(self.growth) for _ in self.layers]
        self.moments = [MOMENTS[self.state]() for _ in self.layers]
        self.explored = [layer.mask for layer in self.layers]

    def renew(self, trainer: Trainer, pl_module: LightningModule, epochs: int) -> None:
        """Begin anew with the network's layers: ``epochs`` of training follow this epoch's end."""
        self._find(pl_module)
        self._forget()
        self.updated, self.epochs = trainer.global_step, epochs
        self.since = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}

    def state_dict(self) -> dict[str, Any]:
        """For an exact resume: growth's random state and its rules', when the last update was, what
        was explored, and since when."""
        return {
            "generator": self.generator.bit_generator.state,
            "explored": [explored.cpu() for explored in self.explored],
            "rules": [rule.state_dict() for rule in self.rules],
            "moments": [moments.state_dict() for moments in self.moments],
            "updated": self.updated,
            "since": self.since,
            "epochs": self.epochs,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`; of states of times before there were rules, too."""
        self.generator.bit_generator.state = state_dict["generator"]
        self.explored = list(state_dict["explored"])
        for rule, state in zip(self.rules, state_dict.get("rules", []), strict=False):
            rule.load_state_dict(state)
        for moments, known in zip(self.moments, state_dict.get("moments", []), strict=False):
            moments.load_state_dict(known)
        self.updated = state_dict.get("updated", 0)
        self.since = state_dict.get("since", self.since)
        self.epochs = state_dict.get("epochs", self.epochs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow the layers to their device; a resumed run finds those that it was renewed with."""
        if self.since["epoch"]:
            self._find(pl_module)
        self.explored = [
            explored.to(layer.positions.device)
            for layer, explored in zip(self.layers, self.explored, strict=True)
        ]

    def _due(self, trainer: Trainer, step: int) -> bool:
        """Whether this epoch, which ends at ``step``, ends with an update."""
        epoch, since = trainer.current_epoch + 1 - self.since["epoch"], step - self.updated
        return epoch < self.epochs and update_due(
            epoch, since, every=self.update_every, floor=self.update_steps
        )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Show growth rules and moments the dense gradients of the steps that they observe."""
        if not self._is_watched():
            return
        last = batch_idx + 1 == trainer.num_training_batches
        observed = {
            "nothing": False,
            "updates": last and self._due(trainer, trainer.global_step + 1),
            "epochs": last,
            "steps": True,
        }
        options = trainer.optimizers[0].param_groups[0]
        for layer, rule, moments, groups in zip(
            self.layers, self.rules, self.moments, self.groups, strict=True
        ):
            observers: list[Observer] = []
            if observed[rule.observes]:
                observers.append(partial(rule.observe, groups=groups))
            if observed[moments.observes]:
                observers.append(partial(moments.observe, options=options))
            layer.observer = partial(_each, observers) if observers else None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let the layers be sparse again."""
        if self._is_watched():
            for layer in self.layers:
                layer.observer = None

    def _is_watched(self) -> bool:
        return {self.growth.observes, MOMENTS[self.state].observes} != {"nothing"}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Update every layer when due, and log."""
        if not self._due(trainer, trainer.global_step):
            return
        self.updated = trainer.global_step
        fraction = self._fraction(trainer) if self.growth.moves else 0.0
        metrics: dict[str, float] = {}
        for index, layer in enumerate(self.layers):
            replaced = self._update(index, trainer.optimizers[0], fraction)
            explored = self.explored[index].view(-1)
            explored.index_fill_(0, layer.positions.long(), True)
            for group, share in zip(self.groups[index], replaced, strict=True):
                # Much faster than a sum, which would convert every element first.
                seen = np.count_nonzero(explored[group.region.span].cpu().numpy())
                shares = {"replaced": share, "explored": float(seen / group.region.size)}
                measured = {"active": float(group.active), "drop_fraction": fraction, **shares}
                prefix = f"topology/layer{index + 1}/group{group.index + 1}"
                metrics |= {f"{prefix}/{name}": value for name, value in measured.items()}
        # What Lightning's log_dict would do, without its bookkeeping for each of so many keys.
        trainer.callback_metrics.update({k: torch.tensor(v) for k, v in metrics.items()})
        for logger in trainer.loggers:
            logger.log_metrics(metrics, trainer.global_step)

    def _fraction(self, trainer: Trainer) -> float:
        assert trainer.max_epochs is not None
        steps = trainer.estimated_stepping_batches * self.epochs / trainer.max_epochs
        return drop_fraction(
            trainer.global_step - self.since["step"],
            steps,
            alpha=self.alpha,
            end=self.alpha_end,
            stop=self.stop,
        )

    def _update(self, index: int, optimizer: Optimizer, fraction: float) -> tuple[float, ...]:
        """Drop and grow in one layer; returns each group's share of weights replaced."""
        layer, groups = self.layers[index], self.groups[index]
        if fraction == 0:
            return (0.0,) * len(groups)
        moves = drop_and_grow(
            layer, groups, self.score, self.rules[index], fraction, self.generator
        )
        state = optimizer.state[layer.values]
        apply(
            moves, layer, {k: v for k, v in state.items() if _is_of(v, layer)}, self.moments[index]
        )
        return moves.replaced


def _each(observers: Sequence[Observer], gradient: Tensor) -> None:
    for observer in observers:
        observer(gradient)


def _is_of(state: Any, layer: SparseConv1d) -> bool:
    """Whether an entry of an optimizer's state has a number for each active weight."""
    return isinstance(state, Tensor) and state.shape == layer.values.shape


def _require_defaults(settings: Mapping[str, Any], chosen: str) -> None:
    """Refuse settings other than their defaults where nothing reads them."""
    for name, value in settings.items():
        if value != sparse_training.default(NAME, name):
            raise UserError(f"dst.{name}={value}: nothing reads it with {chosen}; leave it out")
