"""A trained network as a file that is enough: safetensors, with one JSON text among its metadata.

The text says what makes the network (the name that it is registered by, its settings, its shape),
what makes its input of raw series (channels, length, the cleaning that training was fitted with),
the names of the classes, and where it comes from. Nothing in the file can run anything: no pickle,
no Python path. A SHA-256 of text and weights shows whether they are what was written.
"""

import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dsn_lab.data.transforms import Cleaning, Fitted
from dsn_lab.errors import UserError
from dsn_lab.records import format0
from dsn_lab.storage import written_whole

FORMAT = 1
KEY = "dsn_lab"

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        model: the name and all arguments of the network.
        shape: those of its arguments that pruning decides.
        classes: names of the classes, in the order of the logits.
        weights: the network's ``state_dict``.
        cleaning: how raw series become its input; None if nobody knows.
        provenance: flat: data and their digests, seed, the run's place, the code.
    """

    model: dict[str, Any]
    shape: tuple[str, ...]
    classes: tuple[str, ...]
    weights: Weights
    cleaning: Cleaning | None
    provenance: dict[str, Any]


def write(path: Path, content: Content) -> None:
    """Write the file, whole; equal contents make equal files."""
    weights = {name: each.detach().cpu().contiguous() for name, each in content.weights.items()}
    said = told(content)
    text = json.dumps(said | {"sha256": digest(said, weights)}, allow_nan=False)
    with written_whole(path) as temporary:
        # Copied, because what shares memory is refused.
        temporary.write_bytes(save({n: each.clone() for n, each in weights.items()}, {KEY: text}))


def read(path: Path) -> Content:
    """Read a file of any time.

    Raises:
        UserError: it is damaged, altered, of a later version, or none of ours.
        FileNotFoundError: there is none.
    """
    with path.open("rb") as file:
        first = file.read(2)
    if first == b"PK":
        return _of_torch(path)
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if text is None:
            raise UserError(f"{path} is no model of dsn_lab: only its own model.pt can be read")
        said = json.loads(text)
        if said["format"] > FORMAT:
            raise UserError(
                f"{path} is of format {said['format']}, this version reads 1 to {FORMAT}: "
                "install a later dsn_lab"
            )
        if said.pop("sha256") != digest(said, weights):
            raise UserError(f"{path} was altered since it was written; take the original")
        return _content(said, weights)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged; take the original, or train it anew") from error


def _of_torch(path: Path) -> Content:
    """A file as runs wrote it at first: by torch, without the cleaning."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model = dict(saved["model"])
        if format0.TARGET in model:
            model["name"] = format0.name("model", model.pop(format0.TARGET))
        model["name"] = str(model["name"])
        shape = saved.get("shape", ("widths", "active"))  # which the very first did not name
        return Content(model, tuple(shape), tuple(saved["classes"]), saved["weights"], None, {})
    except (RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as bad:
        raise UserError(f"{path} is damaged; run its cell anew with force=true") from bad


def _content(said: Mapping[str, Any], weights: Weights) -> Content:
    cleaning = said["cleaning"]
    return Content(
        model=said["model"],
        shape=tuple(said["shape"]),
        classes=tuple(said["classes"]),
        weights=weights,
        cleaning=None if cleaning is None else _cleaning(cleaning),
        provenance=said["provenance"],
    )


def told(content: Content) -> dict[str, Any]:
    """The text of a file, all but its digest, as JSON has it."""
    cleaning = None
    if content.cleaning is not None:
        cleaning = asdict(content.cleaning)
        cleaning["fitted"]["channel_mean"] = content.cleaning.fitted.channel_mean.tolist()
    return {
        "format": FORMAT,
        "model": content.model,
        "shape": content.shape,
        "classes": content.classes,
        "cleaning": cleaning,
        "provenance": content.provenance,
    }


def _cleaning(said: Mapping[str, Any]) -> Cleaning:
    fitted = said["fitted"]
    means = np.array(fitted["channel_mean"], dtype=np.float64)
    moments = Fitted(fitted["mean"], fitted["std"], means)
    gaps = said.get("gaps", "interpolate")  # which the first files did not name
    return Cleaning(said["scaling"], said["length"], moments, gaps)


def digest(said: Mapping[str, Any], weights: Weights) -> str:
    """SHA-256 of the text, in one form, and of each tensor: name, type, shape, bytes."""
    sha256 = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(weights):
        tensor = weights[name].contiguous()
        sha256.update(f"\0{name} {tensor.dtype} {list(tensor.shape)}\0".encode())
        sha256.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()
