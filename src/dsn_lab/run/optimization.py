"""Optimizers and learning-rate schedulers: torch's, by the names of their classes."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.adam import adam
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from dsn_lab.errors import UserError


def optimizer(settings: Mapping[str, Any]) -> Callable[..., Optimizer]:
    """What makes the optimizer from the parameters, tried on one of its own.

    Args:
        settings: ``name`` of a class in ``torch.optim``, and its arguments.

    Raises:
        UserError: there is no such class, or it refuses an argument.
    """
    made: Callable[..., Optimizer] = _tried(
        torch.optim, Optimizer, "optimizer", settings, [nn.Parameter(torch.zeros(1))]
    )
    return made


def scheduler(settings: Mapping[str, Any]) -> Callable[[Optimizer], LRScheduler]:
    """What makes the scheduler from the optimizer, tried on one of its own.

    Args:
        settings: ``name`` of a class in ``torch.optim.lr_scheduler``, and its arguments.

    Raises:
        UserError: there is no such class, or it refuses an argument.
    """
    trial = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    made: Callable[[Optimizer], LRScheduler] = _tried(
        torch.optim.lr_scheduler, LRScheduler, "scheduler", settings, trial
    )
    return made


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
        or any(group[name] for name in special)
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


def _tried(module: Any, base: type, group: str, settings: Mapping[str, Any], trial: Any) -> Any:
    known: dict[str, Any] = {
        name: each
        for name, each in vars(module).items()
        if inspect.isclass(each) and issubclass(each, base) and each is not base
    }
    name = settings["name"]
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=3) or sorted(known)
        raise UserError(f"{group}.name={name}: must be a class of torch, as {', '.join(near)}")
    make = partial(known[name], **{key: each for key, each in settings.items() if key != "name"})
    try:
        made = make(trial)
        if isinstance(made, LRScheduler) and not isinstance(made, ReduceLROnPlateau):
            trial.step()
            made.step()
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise UserError(f"{group}: {error}".splitlines()[0]) from error
    return make
