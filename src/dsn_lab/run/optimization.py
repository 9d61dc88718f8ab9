"""Optimizers and learning-rate schedulers: torch's, by the names of their classes."""

import difflib
import inspect
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import isfinite
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.adam import adam
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from dsn_lab.errors import UserError

# The schedule is tried over so many epochs at most.
TRIED = 20_000


def optimizer(settings: Mapping[str, Any]) -> Callable[..., Optimizer]:
    """What makes the optimizer from the parameters; it has taken steps of one of its own.

    Args:
        settings: ``name`` of a class in ``torch.optim``, and its arguments.

    Raises:
        UserError: there is no such class, it refuses an argument, or it cannot take a step.
    """
    make: Callable[..., Optimizer] = _named(torch.optim, Optimizer, "optimizer", settings)
    with _refusing("optimizer"):
        weight = nn.Parameter(torch.ones(2, 2))
        tried = make([weight])
        for _ in range(2):
            weight.grad = torch.ones(2, 2)
            tried.step()
        pickle.dumps(tried.state_dict())
    return make


def scheduler(
    settings: Mapping[str, Any], lr: float, epochs: int
) -> Callable[[Optimizer], LRScheduler]:
    """What makes the scheduler from the optimizer; it has been tried over all epochs.

    Args:
        settings: ``name`` of a class in ``torch.optim.lr_scheduler``, and its arguments.
        lr: the learning rate that it begins with.
        epochs: the steps that it will take.

    Raises:
        UserError: there is no such class, it refuses an argument, or a learning rate that it
            comes to is not a positive number.
    """
    make: Callable[[Optimizer], LRScheduler] = _named(
        torch.optim.lr_scheduler, LRScheduler, "scheduler", settings
    )
    with _refusing("scheduler"):
        trial = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
        made = make(trial)
        for epoch in range(min(epochs, TRIED)):
            rate = float(trial.param_groups[0]["lr"])
            if not isfinite(rate) or rate < 0:
                raise UserError(f"scheduler: the learning rate of epoch {epoch} would be {rate:g}")
            trial.step()
            if isinstance(made, ReduceLROnPlateau):
                made.step(1.0)
            else:
                made.step()
        pickle.dumps(made.state_dict())
    return make


def quick_step(optimizer: Optimizer) -> Callable[[], object]:
    """What does as ``optimizer.step``, in a small network's case in half the time.

    For torch's fused Adam, once it has taken a step of its own: the arithmetic without checks of
    each parameter. Other optimizers' step is as they have it.
    """
    group = optimizer.param_groups[0]
    special = ("amsgrad", "capturable", "differentiable", "decoupled_weight_decay")
    if (
        type(optimizer) is not torch.optim.Adam
        or len(optimizer.param_groups) > 1
        or not group["fused"]
        or any(group.get(name) for name in special)
        or optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
    ):
        return optimizer.step
    parameters = group["params"]

    @torch.no_grad()
    def step() -> None:
        gradients = [parameter.grad for parameter in parameters]
        states = [optimizer.state[parameter] for parameter in parameters]
        if any(gradient is None for gradient in gradients) or not all(states):
            optimizer.step()
            return
        beta1, beta2 = group["betas"]
        adam(
            parameters,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            **{name: group[name] for name in ("lr", "weight_decay", "eps", "maximize")},
        )

    return step


def _named(module: Any, base: type, group: str, settings: Mapping[str, Any]) -> Any:
    """The class that is named, with its arguments."""
    known: dict[str, Any] = {
        name: each
        for name, each in vars(module).items()
        if inspect.isclass(each) and issubclass(each, base) and each is not base
    }
    name = settings["name"]
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=3) or sorted(known)
        raise UserError(f"{group}.name={name}: must be a class of torch, as {', '.join(near)}")
    return partial(known[name], **{key: each for key, each in settings.items() if key != "name"})


@contextmanager
def _refusing(group: str) -> Iterator[None]:
    """Whatever torch raises while something is tried is the settings' fault."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"{group}: {said[0].strip()}") from error
