"""What classifying costs, measured: time, memory and, where the machine counts it, energy."""

import copy
import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

BATCH = 64
SECONDS, TURNS = 0.2, 3  # measured for so long, and so often at least
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
ENERGY = Path("/sys/class/powercap/intel-rapl:0/energy_uj")

Predict = Callable[[NDArray[Any]], object]


def measure(predict: Predict, series: NDArray[Any]) -> dict[str, float]:
    """Measure a classifier on one thread.

    Args:
        predict: classifies series ``(n, channel, time)``.
        series: some of them; of fewer than 64 some are taken several times.

    Returns:
        ``inference_ms``, of one series alone, and ``inference_ms_64``, of each in a batch of 64:
        medians, after a first turn that is not counted. ``inference_bytes``: resident memory that
        a batch takes beyond what the process had (Linux). ``inference_mj_64``: millijoules of the
        whole processor for each series of a batch, where it counts them (RAPL).
    """
    batch = series[np.arange(BATCH) % len(series)]
    with one_thread():
        found = memory(lambda: predict(batch))
        alone, _ = _turns(lambda: predict(batch[:1]))
        together, millijoules = _turns(lambda: predict(batch))
    found |= {"inference_ms": round(alone, 4), "inference_ms_64": round(together / BATCH, 4)}
    if millijoules is not None:
        found["inference_mj_64"] = round(millijoules / BATCH, 4)
    return found


def of_network(network: nn.Module) -> Predict:
    """What classifies with a copy of a network, on the CPU."""
    copied = copy.deepcopy(network).cpu().eval()

    @torch.inference_mode()
    def predict(series: NDArray[Any]) -> object:
        return copied(torch.from_numpy(series))

    return predict


def _turns(call: Callable[[], object]) -> tuple[float, float | None]:
    """Milliseconds of a call, median, and the millijoules of each on average."""
    call()
    seconds: list[float] = []
    before, began = _energy(), time.perf_counter()
    while len(seconds) < TURNS or time.perf_counter() - began < SECONDS:
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    after = _energy()
    spent = None if before is None or after is None else (after - before) / len(seconds) / 1e3
    # The counter begins anew now and then.
    return median(seconds) * 1e3, spent if spent is not None and spent > 0 else None


def _energy() -> float | None:
    """Microjoules that the processor has counted."""
    with suppress(OSError, ValueError):
        return float(ENERGY.read_text())
    return None


def memory(call: Callable[[], object]) -> dict[str, float]:
    """``inference_bytes``: by how much the resident memory rises during a call; {} off Linux."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        RESET.write_text("5")  # the peak so far is what there is
        before = _resident("VmRSS")
        call()
        return {"inference_bytes": max(0, _resident("VmHWM") - before)}
    except (OSError, StopIteration):
        return {}


def _resident(which: str) -> int:
    lines = STATUS.read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:"))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch have one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
