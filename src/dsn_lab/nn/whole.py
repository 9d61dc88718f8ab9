"""DSN as one native plan: a call forward and a call backward, for any loss on the logits."""

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules import module as nn_module

from dsn_lab.kernels.plan import BatchNorm, Plan, PlannedLayer, Tensors
from dsn_lab.nn.parts import PER_LAYER, Parts, read_parts
from dsn_lab.prune.feature_maps import ReadOnly

# Shapes of input whose plans are kept; a training has two, and its tests two more.
SHAPES = 6


class _Ready(NamedTuple):
    """What a pass needs."""

    x: Tensor
    plan: Plan
    tensors: Tensors
    training: bool
    parameters: list[Tensor | None]
    readers: dict[int, list[ReadOnly]]  # of the layers whose feature maps are read


# Hooks on all modules there are; torch changes these in place.
GLOBAL_HOOKS = (
    nn_module._global_forward_pre_hooks,
    nn_module._global_forward_hooks,
    nn_module._global_backward_pre_hooks,
    nn_module._global_backward_hooks,
)


class Whole:
    """The plans of a network, one for each shape of input and pending backward pass.

    Copies and pickles start empty: buffers are no part of a network.
    """

    def __init__(self) -> None:
        self._parts: Parts | None = None
        self._plans: OrderedDict[tuple[int, int], list[Plan]] = OrderedDict()
        self._tensors: tuple[tuple[Any, ...], Tensors] | None = None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()

    def forward(
        self, features: nn.Sequential, classifier: nn.Sequential, x: Tensor
    ) -> Tensor | None:
        """Logits of ``x`` ``(batch, channel, time)``; None where only the modules can do it.

        Those can if somebody looks into the network (an observer, or hooks other than those that
        only read feature maps), if the input wants a gradient, if not all is 32-bit, if a module
        has been exchanged, or where torch makes a graph.
        """
        if torch.compiler.is_compiling():
            return None  # what is read now would be of stand-ins for tensors
        ready = self._ready(features, classifier, x)
        if ready is None:
            return None
        x, plan, known, training, parameters, readers = ready
        how = training, tuple(readers)
        if torch.is_grad_enabled() and any(p is not None and p.requires_grad for p in parameters):
            found: tuple[Tensor, ...] = _Pass.apply(x, plan, known, *how, *parameters)  # type: ignore[no-untyped-call]
        else:
            found = plan.forward(x, known, training=training, kept=False, wanted=how[1])
        logits, *maps = found
        for each, feature_map in zip(readers.values(), maps, strict=True):
            for reader in each:
                reader.read(feature_map)
        return logits

    def step(
        self, features: nn.Sequential, classifier: nn.Sequential, x: Tensor
    ) -> tuple[Tensor, Callable[[Tensor], None]] | None:
        """Logits without a graph, and what turns their gradient into the parameters' ``.grad``.

        Those are replaced, not added to, and always the same tensors. None where
        :meth:`forward` gives it, if feature maps are read, which have gradients only in a graph, or
        if not all parameters are to be trained.
        """
        ready = self._ready(features, classifier, x)
        if (
            ready is None
            or ready.readers
            or not all(p is None or p.requires_grad for p in ready.parameters)
        ):
            return None
        x, plan, known, training, parameters, _ = ready

        def backward(grad: Tensor) -> None:
            gradients = plan.backward(grad.contiguous(), known, known.held_gradients())
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if parameter is not None and parameter.grad is not gradient:
                    parameter.grad = gradient

        (logits,) = plan.forward(x, known, training=training, kept=True)
        return logits, backward

    def _ready(
        self, features: nn.Sequential, classifier: nn.Sequential, x: Tensor
    ) -> _Ready | None:
        parts = self._current(features, classifier)
        if parts is None or not _runs(parts, x):
            return None
        tensors = parts.tensors()
        known = self._known(parts, tensors)
        if known is None:
            return None
        training = parts.norms[0].training
        batch, _, time = x.shape
        if training and batch * time == 1:
            raise ValueError("BatchNorm needs more than one value a channel in training")
        plan = self._plan(parts, time, batch)
        for _, conv, _ in parts.blocks:
            conv.last_backend = "packed"
        readers = {layer: [*each.values()] for layer, each in enumerate(parts.readers) if each}
        return _Ready(x.contiguous(), plan, known, training, parts.trained(tensors), readers)

    def _current(self, features: nn.Sequential, classifier: nn.Sequential) -> Parts | None:
        modules = (*features._modules.values(), *classifier._modules.values())
        if self._parts is None or self._parts.modules != modules:
            self._parts, self._tensors = read_parts(features, classifier), None
            self._plans.clear()
        return self._parts

    def _known(self, parts: Parts, tensors: list[Tensor | None]) -> Tensors | None:
        """The tensors as plans take them, checked once; None if they are not for a plan."""
        key = (*(None if t is None else t.data_ptr() for t in tensors), parts.settings())
        if self._tensors is None or self._tensors[0] != key:
            held = [t for t in tensors if t is not None]
            numbers = [t for t in held if t.is_floating_point()]
            if any(t.dtype != torch.float32 for t in numbers) or not all(
                t.is_contiguous() and t.device.type == "cpu" for t in held
            ):
                return None
            firsts = range(0, len(tensors), PER_LAYER)
            layers = [tensors[first : first + PER_LAYER] for first in firsts]
            made = Tensors(
                [
                    (values, mix, BatchNorm(*norm, each.eps, each.momentum))  # type: ignore[arg-type, call-arg]
                    for (values, mix, *norm), each in zip(layers, parts.norms, strict=True)
                ]
            )
            self._tensors = key, made
        return self._tensors[1]

    def _plan(self, parts: Parts, time: int, batch: int) -> Plan:
        """One that no backward pass waits for."""
        plans = self._plans.setdefault((time, batch), [])
        self._plans.move_to_end((time, batch))
        if len(self._plans) > SHAPES:
            self._plans.popitem(last=False)
        topologies = [conv.packed() for _, conv, _ in parts.blocks]
        for plan in plans:
            if plan.pending is None or plan.pending() is None:
                plan.follow(topologies)
                return plan
        layers = [
            PlannedLayer(packed, taps, 0 if mix is None else mix.in_channels)
            for packed, taps, (mix, *_) in zip(topologies, parts.taps, parts.blocks, strict=True)
        ]
        mix, conv, _ = parts.blocks[0]
        channels = conv.shape[1] if mix is None else mix.in_channels
        classes = parts.classify.out_channels
        plans.append(Plan(layers, channels, classes, conv.padding, time, batch))
        return plans[-1]


def _runs(parts: Parts, x: Tensor) -> bool:
    """Whether nothing asks for more than the logits, in a way that a plan does not do."""
    mix, first, _ = parts.blocks[0]
    channels = first.shape[1] if mix is None else mix.in_channels
    training = parts.norms[0].training
    return (
        x.dtype == torch.float32
        and not x.requires_grad
        and x.dim() == 3
        and x.shape[1] == channels
        and first.is_packed(x)
        and all(conv.prefers_packed and conv.observer is None for _, conv, _ in parts.blocks)
        and all(norm.training == training for norm in parts.norms)
        and not any(GLOBAL_HOOKS)
        and not any(parts.hooks)
        and all(type(hook) is ReadOnly for each in parts.readers for hook in each.values())
    )


class _Pending:
    """A forward pass whose backward pass may come; gone with the graph."""


def _versions(parameters: tuple[Tensor | None, ...]) -> list[int]:
    return [0 if parameter is None else parameter._version for parameter in parameters]


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        plan: Plan,
        tensors: Tensors,
        training: bool,
        wanted: tuple[int, ...],
        *parameters: Tensor | None,
    ) -> tuple[Tensor, ...]:
        found = plan.forward(x, tensors, training=training, kept=True, wanted=wanted)
        ctx.parameters, ctx.versions = parameters, _versions(parameters)
        ctx.pending = _Pending()
        plan.pending = weakref.ref(ctx.pending)
        ctx.plan, ctx.tensors, ctx.passes, ctx.wanted = plan, tensors, plan.passes, wanted
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *of_maps: Tensor) -> tuple[Tensor | None, ...]:
        plan = ctx.plan
        if plan.passes != ctx.passes:
            raise RuntimeError("too late for another backward pass: the network has run again")
        # As torch does with what it saves, only in less time.
        if _versions(ctx.parameters) != ctx.versions:
            raise RuntimeError("a parameter has changed in place since the forward pass")
        maps = {layer: g.contiguous() for layer, g in zip(ctx.wanted, of_maps, strict=True)}
        gradients = plan.backward(grad.contiguous(), ctx.tensors, ctx.tensors.gradients(), maps)
        plan.pending = None
        wanted = ctx.needs_input_grad[5:]
        if not all(wanted):
            gradients = [g if wants else None for g, wants in zip(gradients, wanted, strict=True)]
        return None, None, None, None, None, *gradients
