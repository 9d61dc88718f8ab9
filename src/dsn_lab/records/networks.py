"""Networks in files: what makes them, their weights, the names of their classes."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from torch import nn

from dsn_lab.data.load import Dataset
from dsn_lab.errors import UserError
from dsn_lab.prune.channels import Prunable
from dsn_lab.storage import written_whole

MODEL = "model.pt"


def save_network(
    path: Path, settings: Mapping[str, Any], network: nn.Module, dataset: Dataset
) -> None:
    """Write what makes the network (a pruned one's shape too), its weights and class names."""
    shape = network.shape if isinstance(network, Prunable) else {}
    sizes = {"in_channels": dataset.x_train.shape[1], "n_classes": len(dataset.classes)}
    saved = {
        "model": {**settings, **sizes, **shape},
        "weights": network.state_dict(),
        "classes": dataset.classes,
    }
    with written_whole(path) as temporary:
        torch.save(saved, temporary)


def load_network(path: str | Path) -> nn.Module:
    """The network that a run has saved, on the CPU and in eval mode.

    It maps ``(batch, channel, time)``, scaled as in training, to logits. The file names the class
    that is instantiated: load only files that you trust.
    """
    saved = torch.load(path, map_location="cpu", weights_only=True)
    network: nn.Module = instantiate(saved["model"])
    network.load_state_dict(saved["weights"])
    return network.eval()


def pruned_shape(folder: Path) -> dict[str, Any]:
    """The shape of the network that a finished run has left in its folder.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / MODEL
    try:
        model = torch.load(path, weights_only=True)["model"]
        return {name: model[name] for name in ("widths", "active") if name in model}
    except FileNotFoundError as error:
        raise UserError(
            f"dsp=scratch: there is no pruned network in {folder}; run the same command with "
            "dsp=default first, or name the folder of such a run by dsp.shape_from"
        ) from error
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} is damaged; run its cell anew with force=true") from error
