"""The record of a run: one flat JSON file in its output folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dsn_lab.errors import UserError
from dsn_lab.storage import written_whole

RESULT = "result.json"
CHECKPOINT = "last.ckpt"
LOCK = ".lock"

Record = dict[str, Any]


def flat(settings: Mapping[Any, Any], prefix: str) -> Record:
    """Nested settings as one level with dotted keys that begin with ``prefix``."""
    record: Record = {}
    for key, value in settings.items():
        record |= (
            flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
        )
    return record


def write(record: Record, folder: Path) -> None:
    """Write the record, whole."""
    with written_whole(folder / RESULT) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")


def read(folder: Path) -> Record | None:
    """The folder's record, or None if there is none.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / RESULT
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path} is damaged; force=true runs the cell anew") from error
    if not isinstance(record, dict):
        raise UserError(f"{path} is not a result; force=true runs the cell anew")
    return record


def discard(folder: Path) -> None:
    """Remove what would be shown or resumed."""
    for name in (RESULT, CHECKPOINT):
        (folder / name).unlink(missing_ok=True)


def require_same(stored: Mapping[str, Any], settings: Mapping[str, Any], folder: Path) -> None:
    """Refuse a folder whose run had other settings.

    Args:
        stored: a record or flat settings.
        settings: the flat settings now.
        folder: the folder, for the message.

    Raises:
        UserError: naming what differs.
    """
    differing = [
        f"{key.removeprefix('config.')} was {stored.get(key)!r}, now {settings.get(key)!r}"
        for key in sorted(stored.keys() | settings.keys())
        if key.startswith("config.") and stored.get(key) != settings.get(key)
    ]
    if differing:
        raise UserError(
            f"{folder} holds a run with other settings ({'; '.join(differing[:3])}): choose "
            "another output_dir, or force=true to replace it"
        )


def show(record: Record, folder: Path) -> None:
    """Print the record as a table for a person."""
    names = ", ".join(f"{group}={record[group]}" for group in ("model", "dst", "dsp"))
    table = Table(title=f"{record['dataset']}, {names}")
    table.add_column("measure")
    table.add_column("value", justify="right")
    short = record["epochs"] != record["protocol_epochs"]
    rows = {
        "test accuracy": f"{record['test_accuracy']:.4f}",
        "test loss": f"{record['test_loss']:.4f}",
        "train accuracy (best epoch)": f"{record['train_accuracy']:.4f}",
        "sparsity of the regions": f"{record['sparsity']:g}",
        "seed, fold": f"{record['seed']}, {record['fold']}",
        "epochs": f"{record['epochs']}"
        + (f" (shortened; protocol: {record['protocol_epochs']})" if short else ""),
        "best epoch (by training loss)": str(record["best_epoch"]),
        "active parameters": f"{record['params_active']:,} of {record['params']:,}",
        "MFLOPs per series": f"{record['flops'] / 1e6:.2f} of {record['flops_dense'] / 1e6:.2f}",
        "training time": f"{record['fit_seconds']:.0f} s",
    }
    if "compression" in record:
        rows |= {
            "test accuracy before pruning": f"{record['accuracy_pretrained']:.4f}",
            "pruned, not fine-tuned": f"{record['accuracy_pruned']:.4f}",
            "share of parameters removed": f"{record['compression']:.1%}",
            "latency of one series": f"{record['latency_pruned_ms']:.2f} ms, before pruning "
            f"{record['latency_base_ms']:.2f} ms",
        }
    for name, value in rows.items():
        table.add_row(name, value)
    console = Console()
    console.print(table)
    console.print(f"in {folder}", soft_wrap=True)
