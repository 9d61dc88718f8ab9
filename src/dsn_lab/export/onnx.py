"""A trained network as an ONNX file: raw series in, probabilities out, any batch."""

import json
import logging
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from dsn_lab.data.transforms import Cleaning
from dsn_lab.errors import UserError
from dsn_lab.sparse.layer import SparseConv1d
from dsn_lab.trained import TrainedModel

INPUT, OUTPUT = "series", "probabilities"
BATCH = 256


class Dense(nn.Module):
    """A sparse convolution with its dense kernel, for what knows no other."""

    def __init__(self, conv: SparseConv1d) -> None:
        super().__init__()
        self.kernel = nn.Parameter(conv.weight.detach(), requires_grad=False)
        self.repeated, self.reach = conv.padding == "replicate", conv.shape[2] - 1

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(batch, in_channels, time)`` to ``(batch, out_channels, time)``."""
        if self.repeated:
            return F.conv1d(F.pad(x, (0, self.reach), mode="replicate"), self.kernel)
        left = self.reach // 2
        return F.conv1d(F.pad(x, (left, self.reach - left)), self.kernel)


def densified(network: nn.Module) -> nn.Module:
    """A copy of a network whose sparse convolutions are dense."""
    if isinstance(network, SparseConv1d):
        return Dense(network)
    copied = deepcopy(network)
    for name, module in list(copied.named_modules()):
        if isinstance(module, SparseConv1d):
            parent, _, last = name.rpartition(".")
            setattr(copied.get_submodule(parent), last, Dense(module))
    return copied


class Whole(nn.Module):
    """Scaling, network and softmax: probabilities of raw series without a gap."""

    def __init__(self, network: nn.Module, cleaning: Cleaning) -> None:
        super().__init__()
        self.network, self.cleaning = densified(network).eval(), cleaning

    def forward(self, series: Tensor) -> Tensor:
        """Probabilities ``(batch, n_classes)`` of ``(batch, channel, time)``."""
        x = series.double()
        if self.cleaning.scaling == "train":
            x = (x - self.cleaning.fitted.mean) / self.cleaning.fitted.std
        elif self.cleaning.scaling == "series":
            size = x.abs().amax(dim=2, keepdim=True)
            x = x - x.mean(dim=2, keepdim=True)
            spread = x.square().mean(dim=2, keepdim=True).sqrt()
            x = x / torch.where(spread > 1e-9 * size, spread, torch.ones_like(spread))
        logits: Tensor = self.network(x.float())
        return logits.softmax(dim=1)


def write(model: TrainedModel, path: Path) -> None:
    """Write the file.

    Raises:
        UserError: ``onnx`` is not installed, or torch cannot export such a network.
    """
    required("onnx", "onnxscript")
    example = torch.zeros(2, model.channels, model.length)
    batch = torch.export.Dim("batch", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                Whole(model.network, model.cleaning),
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: batch},),
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        name = model.settings["name"]
        raise UserError(f"--to onnx: torch cannot export a network {name}: {reason}") from error
    assert program is not None
    program.optimize()
    program.model.metadata_props.update(_metadata(model))
    program.save(path)


def _metadata(model: TrainedModel) -> dict[str, str]:
    return {
        "class_names": json.dumps(model.classes),
        "channels": str(model.channels),
        "length": str(model.length),
        "network": str(model.settings["name"]),
        "provenance": json.dumps(model.provenance),
    }


def session(path: Path) -> Any:
    """The file in ONNX Runtime, on one thread.

    Raises:
        UserError: ``onnxruntime`` is not installed.
    """
    required("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def probabilities(running: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a session says of raw series ``(n, channel, time)``: ``(n, n_classes)``."""
    parts = np.array_split(x, -(-len(x) // BATCH))
    return np.concatenate([running.run(None, {INPUT: part})[0] for part in parts])


def weight_bytes(path: Path) -> int:
    """Bytes of the constants in a file."""
    import onnx

    held = onnx.load(path).graph.initializer
    return sum(onnx.numpy_helper.to_array(each).nbytes for each in held)


def required(*packages: str) -> None:
    """Refuse to go on without packages.

    Raises:
        UserError: naming the first that is missing.
    """
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise UserError(f"--to onnx needs the package {package}: pip install 'dsn-lab[onnx]'")
