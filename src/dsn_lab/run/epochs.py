"""Training in which Lightning is asked for once an epoch, not once a step."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from lightning.pytorch import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from dsn_lab.run.optimization import quick_step
from dsn_lab.run.task import Classification

Batch = tuple[Tensor, Tensor]

# With other arguments of the Trainer, Lightning has something to do between two steps.
TRAINER_KEYS = {"max_epochs", "accelerator", "devices"}


HOOKS = (
    *("on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward"),
    *("on_before_optimizer_step", "on_train_batch_end"),
)


class WholeEpochs(Classification):
    """Takes all steps of an epoch in one call of ``training_step``, in manual optimization.

    The arithmetic, what callbacks are called with, and ``global_step`` are those of
    :class:`Classification`; Lightning's own work between two steps, a millisecond, is left out:
    it would accumulate or clip gradients, stop within an epoch, profile, or log.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.automatic_optimization = False

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Log what does not depend on a batch; of its size, Lightning knows nothing here."""
        super().log(*args, **({"batch_size": 1} | kwargs))

    def training_step(self, dataloader_iter: Iterator[tuple[Batch, int, int]]) -> None:  # type: ignore[override]
        """All steps of an epoch, and the one of the learning rate."""
        optimizer = self.trainer.optimizers[0]
        steps = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        tell = {hook: self._listeners(hook) for hook in HOOKS}
        batch: Batch | None = None
        take_step: Callable[[], object] = optimizer.step
        for (x, y), index, _ in dataloader_iter:
            # Of these two hooks Lightning itself calls the first and the last.
            if index > 0:
                tell["on_train_batch_end"]({}, batch, index - 1)
                if self.trainer.received_sigterm:
                    raise SIGTERMException
            batch = x.to(self.device), y.to(self.device)
            if index > 0:
                tell["on_train_batch_start"](batch, index)
            begun = self._begun(batch[0])
            if begun is None:
                loss = super().training_step(batch, index)
            else:
                logits, backward = begun
                loss = self.loss_of(logits.requires_grad_(), batch[1])
            tell["on_before_zero_grad"](optimizer)
            if begun is None:
                optimizer.zero_grad()
            tell["on_before_backward"](loss)
            torch.autograd.backward(loss)
            if begun is not None:
                assert logits.grad is not None
                backward(logits.grad)
            tell["on_after_backward"]()
            tell["on_before_optimizer_step"](optimizer)
            take_step()
            if index == 0:
                take_step = quick_step(optimizer)
            steps.increment_ready()
            steps.increment_completed()
        self.lr_scheduler_step(cast(LRScheduler, self.lr_schedulers()), None)

    def _begun(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], None]] | None:
        """Logits of a network that needs no graph for a loss of the logits alone."""
        step = getattr(self.network, "step", None)
        return None if step is None or self.penalties else step(x)

    def _listeners(self, hook: str) -> Callable[..., None]:
        """What calls those callbacks that have something to do in a hook."""
        trainer, unused = self.trainer, getattr(Callback, hook)
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        listening = [getattr(c, hook) for c in callbacks if getattr(type(c), hook) is not unused]

        def tell(*args: Any) -> None:
            for listen in listening:
                listen(trainer, self, *args)

        return tell


def possible(trainer: Mapping[str, Any], logger: object) -> bool:
    """Whether nothing is asked for that happens between two steps of an epoch."""
    return logger is None and trainer.keys() <= TRAINER_KEYS
