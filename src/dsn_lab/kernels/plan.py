"""A whole network for one shape of input as a native object: forward and backward, a call each."""

import ctypes
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from dsn_lab.kernels.build import load
from dsn_lab.kernels.interface import POINTER, LayerShape, LayerTensors, PlanShape
from dsn_lab.kernels.packed import Packed
from dsn_lab.kernels.passes import Padding, threads_for


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """A layer: a 1x1 convolution of so many ``channels`` (0: none), then a sparse one.

    ``taps`` are those of each output's group, int32 on the CPU.
    """

    packed: Packed
    taps: Tensor
    channels: int

    def shape(self) -> LayerShape:
        """For the C functions."""
        return LayerShape(self.packed.topology(), self.taps.data_ptr(), self.channels)


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """BatchNorm's parts; in training ``mean``, ``variance`` and ``seen`` follow the batches."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor
    seen: Tensor
    epsilon: float
    momentum: float | None


Gradients = tuple[list[Tensor | None], Any]  # tensors, and where they are for the C functions


class Tensors:
    """The parameters and statistics of one call, layer after layer, then the classifier's.

    Args:
        layers: of each its values (the classifier: none), matrix (none where there is none) and
            normalisation. All must be contiguous float32 on the CPU.
    """

    def __init__(self, layers: Sequence[tuple[Tensor | None, Tensor | None, BatchNorm]]) -> None:
        self._kept = layers
        self._gradients: Gradients | None = None
        parameters = [
            tensor
            for values, mix, norm in layers
            for tensor in (values, mix, norm.weight, norm.bias)
        ]
        self._sizes = [0 if tensor is None else tensor.numel() for tensor in parameters]
        self._shapes = [None if tensor is None else tensor.shape for tensor in parameters]
        starts = accumulate(self._sizes, initial=0)
        self._starts = [4 * start for start, _ in zip(starts, self._sizes, strict=False)]
        self.pointers = (LayerTensors * len(layers))(
            *(
                LayerTensors(
                    None if values is None else values.data_ptr(),
                    None if mix is None else mix.data_ptr(),
                    norm.weight.data_ptr(),
                    norm.bias.data_ptr(),
                    norm.mean.data_ptr(),
                    norm.variance.data_ptr(),
                    norm.seen.data_ptr(),
                    norm.epsilon,
                    -1.0 if norm.momentum is None else norm.momentum,
                )
                for values, mix, norm in layers
            )
        )

    def held_gradients(self) -> Gradients:
        """Like :meth:`gradients`, but the same tensors in each call."""
        if self._gradients is None:
            self._gradients = self.gradients()
        return self._gradients

    def gradients(self) -> Gradients:
        """New tensors for the parameters' gradients, and where they are.

        In the order of the layers' values, matrix, weight and bias; None for what is not there.
        """
        flat = torch.empty(sum(self._sizes))
        first = flat.data_ptr()
        pointers = (POINTER * len(self._sizes))(*(first + start for start in self._starts))
        parts = zip(torch.split_with_sizes(flat, self._sizes), self._shapes, strict=True)
        views = [
            None if shape is None else part if len(shape) == 1 else part.view(shape)
            for part, shape in parts
        ]
        return views, pointers


class Plan:
    """Buffers and packed topologies for inputs ``(batch, channels, time)``.

    ``forward`` may be told to keep what ``backward`` needs, until the next ``forward``.

    Args:
        layers: of the network, in order.
        channels: of the input.
        classes: of the output.
        padding: of all sparse convolutions.
        time: steps of the input.
        batch: series in the input.

    Raises:
        KernelUnavailableError: there is no native kernel here.
    """

    def __init__(
        self,
        layers: Sequence[PlannedLayer],
        channels: int,
        classes: int,
        padding: Padding,
        time: int,
        batch: int,
    ) -> None:
        self._layers, self._classes = list(layers), classes
        self._batch, self._time = batch, time
        self._widths = [layer.packed.shape[0] for layer in layers]
        taps = layers[0].packed.shape[2]
        shape = PlanShape(channels, classes, len(layers), taps, padding == "replicate", time, batch)
        shapes = (LayerShape * len(layers))(*(layer.shape() for layer in layers))
        self._library = load()
        self._handle = self._library.plan_new(ctypes.byref(shape), shapes)
        if not self._handle:
            raise MemoryError
        weakref.finalize(self, self._library.plan_free, self._handle)
        products = sum(layer.packed.active for layer in layers) // len(layers)
        self._products = products * time * batch
        self.passes = 0  # forward ones so far
        # What is there as long as a backward pass may come.
        self.pending: weakref.ref[object] | None = None

    def follow(self, topologies: Sequence[Packed]) -> None:
        """Take over what has changed of the layers' topologies."""
        for index, (layer, packed) in enumerate(zip(self._layers, topologies, strict=True)):
            if layer.packed is not packed:
                self._layers[index] = new = replace(layer, packed=packed)
                self._library.plan_layer(self._handle, index, ctypes.byref(new.shape()))

    def forward(
        self,
        x: Tensor,
        tensors: Tensors,
        *,
        training: bool,
        kept: bool,
        wanted: Sequence[int] = (),
    ) -> tuple[Tensor, ...]:
        """Logits ``(batch, classes)``; BatchNorm follows the batch in ``training``.

        After them the feature maps ``(batch, channel, time)`` of the ``wanted`` layers.
        """
        self.passes += 1
        logits = torch.empty(self._batch, self._classes)
        maps = [torch.empty(self._batch, self._widths[layer], self._time) for layer in wanted]
        threads = threads_for(self._products)
        if self._library.plan_forward(
            self._handle,
            x.data_ptr(),
            tensors.pointers,
            training,
            kept,
            threads,
            logits.data_ptr(),
            self._pointers(wanted, maps),
        ):
            raise MemoryError
        return (logits, *maps)

    def _pointers(self, layers: Sequence[int], maps: Sequence[Tensor]) -> Any:
        """Where those layers' maps are; nothing for other layers."""
        pointers = (POINTER * len(self._layers))()
        for layer, each in zip(layers, maps, strict=True):
            pointers[layer] = each.data_ptr()
        return pointers

    def backward(
        self,
        grad: Tensor,
        tensors: Tensors,
        to: Gradients,
        maps: Mapping[int, Tensor] = MappingProxyType({}),
    ) -> list[Tensor | None]:
        """Gradients of the parameters, as :meth:`Tensors.gradients` has them.

        Args:
            grad: that of the logits, contiguous.
            tensors: of the forward pass.
            to: what they are written to.
            maps: gradients of feature maps, contiguous, by their layer.

        Raises:
            RuntimeError: a topology has changed in place since the forward pass.
        """
        for layer in self._layers:
            layer.packed.require_current()
        gradients, pointers = to
        threads = threads_for(self._products)
        if self._library.plan_backward(
            self._handle,
            grad.data_ptr(),
            tensors.pointers,
            pointers,
            threads,
            self._pointers(list(maps), list(maps.values())),
        ):
            raise MemoryError
        return gradients
