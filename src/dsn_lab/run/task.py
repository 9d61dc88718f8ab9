"""Classification as a LightningModule: a network, its loss, its optimizer, its metrics."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MeanMetric, MetricCollection

from dsn_lab.nn.prototypes import Prototypical
from dsn_lab.prune.channels import Prunable
from dsn_lab.registry import metrics
from dsn_lab.run.mean import Mean


class Classification(LightningModule):
    """Train ``network`` by cross-entropy and test it; one row of metrics an epoch.

    Args:
        network: maps ``(batch, channel, time)`` to logits ``(batch, n_classes)``.
        n_classes: number of classes, at least 2.
        optimizer: makes the optimizer from the parameters.
        scheduler: makes the learning-rate scheduler, which is stepped once an epoch.
        class_weights: factor of each class's loss ``(n_classes,)``; None: 1.
    """

    def __init__(
        self,
        network: nn.Module,
        n_classes: int,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler],
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.class_weights = class_weights
        self.train_loss, self.train_accuracy = Mean(), Mean()
        # Added to the loss; each is called after the network's forward pass, and logged.
        self.penalties: dict[str, Callable[[], Tensor]] = {}
        self._penalised: dict[str, list[Tensor]] = defaultdict(list)
        self.test_loss = MeanMetric(nan_strategy="disable")
        self.test_probabilities: list[Tensor] = []
        self.test_metrics = MetricCollection(
            {f"test_{name}": metrics[name](n_classes) for name in metrics}
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(batch, n_classes)`` of ``(batch, channel, time)``."""
        logits: Tensor = self.network(x)
        return logits

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimizer, one scheduler stepped at the end of each epoch."""
        trained = [p for p in self.network.parameters() if p.requires_grad]
        optimizer = self.make_optimizer(trained)
        # Lightning steps schedulers that wait for a plateau too late for the checkpoint.
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": self.make_scheduler(optimizer),
                "reduce_on_plateau": False,
            },
        }

    def lr_scheduler_step(self, scheduler: LRScheduler, metric: Any) -> None:
        """Step the scheduler, with the epoch's training loss if it waits for a plateau."""
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(self.train_loss.compute())
        else:
            scheduler.step()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the network's shape, which pruning changes, with its weights."""
        if isinstance(self.network, Prunable):
            checkpoint["shape"] = self.network.shape

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give the network the shape that the weights are of; count its steps as done.

        Lightning has a counter for steps that it took, and one for those that were taken in
        ``training_step``.
        """
        if isinstance(self.network, Prunable) and checkpoint["shape"] != self.network.shape:
            self.network = self.network.resized(**checkpoint["shape"])
        loops = checkpoint["loops"]["fit_loop"]
        for counter in (
            loops["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"],
            loops["epoch_loop.manual_optimization.optim_step_progress"],
        ):
            counter["total"] = dict.fromkeys(("ready", "completed"), checkpoint["global_step"])

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Mean cross-entropy of a batch and the penalties."""
        x, y = batch
        logits = self.network(x, y) if isinstance(self.network, Prototypical) else self.network(x)
        return self.loss_of(logits, y)

    def loss_of(self, logits: Tensor, y: Tensor) -> Tensor:
        """The loss, from logits; it is counted in the epoch's means."""
        if self.class_weights is None:
            loss = F.cross_entropy(logits, y)
        else:
            loss = self._weighted(logits, y, self.class_weights.to(logits))
        for name, penalise in self.penalties.items():
            penalty = penalise()
            self._penalised[name].append(penalty.detach())
            loss = loss + penalty
        self.train_loss.update(loss.detach(), 1)
        self.train_accuracy.update((logits.detach().argmax(dim=1) == y).sum(), len(y))
        return loss

    @staticmethod
    def _weighted(logits: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        """The mean over the batch, whatever the sum of its weights."""
        return F.cross_entropy(logits, y, weight=weights, reduction="sum") / len(y)

    def on_train_epoch_start(self) -> None:
        """Begin the epoch's means anew; log the learning rate that it trains with."""
        self.train_loss.reset()
        self.train_accuracy.reset()
        self._penalised.clear()
        self.record({"lr": self.trainer.optimizers[0].param_groups[0]["lr"]})

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means: of loss and penalties over batches, of accuracy over series."""
        means = {name: float(torch.stack(each).mean()) for name, each in self._penalised.items()}
        self.record(
            {
                "train_loss": self.train_loss.compute(),
                "train_accuracy": self.train_accuracy.compute(),
                **means,
            }
        )

    def record(self, measured: dict[str, float]) -> None:
        """Log what was measured once in this epoch.

        ``self.log`` does the same and more, in half a millisecond for each.
        """
        values = {name: torch.tensor(value) for name, value in measured.items()}
        self.trainer.callback_metrics.update(values)
        for logger in self.trainer.loggers:
            logger.log_metrics(
                {"epoch": self.trainer.current_epoch, **measured}, self.trainer.global_step
            )

    def on_test_epoch_start(self) -> None:
        """Begin anew: several networks may be tested in turn."""
        self.test_loss.reset()
        self.test_metrics.reset()
        self.test_probabilities = []

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Measure a batch."""
        x, y = batch
        logits = self(x)
        self.test_loss.update(F.cross_entropy(logits, y), len(y))
        self.test_metrics.update(logits, y)
        self.test_probabilities.append(logits.float().softmax(dim=1).cpu())

    def on_test_epoch_end(self) -> None:
        """Log loss and metrics over the whole test set."""
        self.log_dict({"test_loss": self.test_loss.compute(), **self.test_metrics.compute()})
