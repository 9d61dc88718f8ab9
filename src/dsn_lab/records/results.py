"""The record of a run: one flat JSON file in its output folder."""

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dsn_lab.data import load
from dsn_lab.errors import UserError
from dsn_lab.records import identity
from dsn_lab.records.cell import RESULT, Cell, Files, Folder
from dsn_lab.storage import exists, written_whole

# What a record says of its data.
DATA = ("sha256_train", "sha256_test")

Record = dict[str, Any]

# Of a pruned run: its stages, in words.
STAGES = {
    "pretrained": "before pruning",
    "pruned": "pruned, not fine-tuned",
    "finetuned": "fine-tuned",
    "scratch": "pruned shape from scratch",
}


def write(record: Record, cell: Files) -> None:
    """Write the record, whole.

    Raises:
        UserError: a number in it is not finite, which no JSON holds.
    """
    odd = [key for key, each in record.items() if isinstance(each, float) and not isfinite(each)]
    if odd:
        raise UserError(
            f"{', '.join(odd)} came out as {record[odd[0]]}, so there is no result: lower "
            "optimizer.lr or check the data"
        )
    with written_whole(cell.result) as temporary:
        temporary.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n")
    cell.anew.unlink(missing_ok=True)


def read(cell: Files) -> Record | None:
    """The folder's record, or None if there is none.

    Raises:
        UserError: the file is damaged.
    """
    if not exists(cell.result):
        return None
    try:
        record = json.loads(cell.result.read_text(encoding="utf-8"), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{cell.result} is damaged; force=true runs the cell anew") from error
    if not isinstance(record, dict):
        raise UserError(f"{cell.result} is not a result; force=true runs the cell anew")
    return record


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def below(folder: Path) -> Iterator[Folder]:
    """The folders below one that hold a result."""
    yield from (Folder(path.parent) for path in sorted(folder.rglob(RESULT)))


def begin_anew(cell: Files) -> None:
    """Mark a finished cell as one to be run; its old result goes when the new one is there.

    One that is marked already is left as it is: what has begun is resumed.
    """
    if (cell.result.exists() or cell.checkpoint.exists()) and not cell.anew.exists():
        cell.anew.touch()


def resumable(cell: Files) -> bool:
    """Whether there is a checkpoint, and not one of before the cell was run anew."""
    if not exists(cell.checkpoint):
        return False
    began = cell.anew.stat().st_mtime_ns if cell.anew.exists() else 0
    return cell.checkpoint.stat().st_mtime_ns >= began


def require_same(stored: Mapping[str, Any], settings: Mapping[str, Any], folder: Path) -> None:
    """Refuse a folder whose run had other settings.

    Args:
        stored: the settings of the run that is there, flat.
        settings: those now.
        folder: the folder, for the message.

    Raises:
        UserError: naming what differs.
    """
    if differing := identity.differences(stored, settings):
        raise UserError(
            f"{folder} holds a run with other settings ({'; '.join(differing[:3])}): choose "
            "another output_dir, or force=true to replace it"
        )


def require_data(stored: Record, cell: Cell) -> None:
    """Refuse the record of a run on other data than the cell would use now.

    Raises:
        UserError: naming both digests.
    """
    if any(key in stored for key in DATA):
        here = load.digests(cell.config.dataset.wanted, cell.config.data_dir) or ()
        require_same_data(stored, dict(zip(DATA, here, strict=False)), cell.folder)


def require_same_data(stored: Mapping[str, Any], now: Mapping[str, str], folder: Path) -> None:
    """Refuse a folder whose run had other data of the same name.

    Args:
        stored: a record, or what a checkpoint says of its data.
        now: digests of the data that a run would use now; empty if there are none here.
        folder: the folder, for the message.

    Raises:
        UserError: naming both digests.
    """
    for key in DATA:
        was, is_now = stored.get(key), now.get(key)
        if was is not None and is_now is not None and was != is_now:
            raise UserError(
                f"{folder} holds a run on other data of this name ({key} was {was[:12]}..., now "
                f"{is_now[:12]}...): choose another results_dir or output_dir, the data that it "
                "was run on, or force=true to replace it"
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
        "seed, fold": f"{record['seed']}, {record['fold']}",
        "training time": f"{record['fit_seconds']:.3g} s",
    }
    if "params" in record:
        rows |= {
            "train accuracy (best epoch)": f"{record['train_accuracy']:.4f}",
            "sparsity of the regions": f"{record['sparsity']:g}",
            "epochs": f"{record['epochs']}"
            + (f" (shortened; protocol: {record['protocol_epochs']})" if short else ""),
            "best epoch (by training loss)": str(record["best_epoch"]),
            "active parameters": f"{record['params_active']:,} of {record['params']:,}",
            "MFLOPs per series": f"{record['flops'] / 1e6:.2f} of "
            f"{record['flops_dense'] / 1e6:.2f}",
        }
    if "inference_ms" in record:
        rows["time of one series, one thread"] = f"{record['inference_ms']:.3g} ms"
    if "compression" in record:
        headline = record.get("report", "finetuned")
        rows["test accuracy"] += f" ({STAGES[headline]})"
        rows |= {
            f"accuracy, {STAGES[stage]}": f"{record[f'accuracy_{stage}']:.4f}"
            for stage in STAGES
            if stage != headline and f"accuracy_{stage}" in record
        }
        rows |= {
            "share of parameters removed": f"{record['compression']:.1%}",
            "latency of one series": f"{record['latency_pruned_ms']:.2f} ms, before pruning "
            f"{record['latency_base_ms']:.2f} ms",
        }
    for name, value in rows.items():
        table.add_row(name, value)
    console = Console()
    console.print(table)
    console.print(f"in {folder}", soft_wrap=True)
