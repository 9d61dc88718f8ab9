"""What is said while a network trains."""

import io
import logging
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console
from torch import Tensor, tensor

from dsn_lab.run import progress
from dsn_lab.run.progress import Progress
from dsn_lab.run.stages import Staged
from dsn_lab.run.task import Classification


class Phases(Staged):
    """Two phases, of three epochs each."""

    def phase(self, epoch: int) -> str:
        return "penalised" if epoch < 3 else "fine-tuning"


def trained(bar: Progress, epochs: int) -> None:
    mean = SimpleNamespace(compute=lambda: 0.25)
    module = Classification.__new__(Classification)
    object.__setattr__(module, "train_loss", mean)
    object.__setattr__(module, "train_accuracy", mean)
    metrics: dict[str, Tensor] = {"topology/layer1/group1/replaced": tensor(0.1)}
    trainer: Any = SimpleNamespace(
        max_epochs=epochs, current_epoch=0, callbacks=[Phases()], callback_metrics=metrics
    )
    bar.on_train_start(trainer, module)
    for epoch in range(epochs):
        trainer.current_epoch = epoch
        logging.getLogger("dsn_lab").warning("a line %d", epoch)
        bar.on_train_epoch_end(trainer, module)
    bar.on_train_end(trainer, module)


def test_a_file_gets_a_line_with_phase_and_time_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "LOG_SECONDS", -1)
    caplog.set_level("INFO")
    trained(Progress(), 6)
    said = [line for line in caplog.messages if "epoch" in line]
    assert said[0].startswith(
        "penalised, epoch 1/6  train loss 0.2500  train acc 0.2500  moved 10%"
    )
    assert said[-1].startswith("fine-tuning, epoch 6/6")
    assert said[-1].endswith("0:00:00 left")


def test_log_lines_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    handler = logging.StreamHandler(screen)
    logging.getLogger().addHandler(handler)
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    try:
        trained(Progress(), 6)
    finally:
        logging.getLogger().removeHandler(handler)
    assert handler.stream is screen
    shown = screen.getvalue()
    assert "train loss 0.2500" in shown
    assert "fine-tuning" in shown
    # Each log line begins a line of its own.
    assert all(f"a line {epoch}\n" in shown for epoch in range(6))
    assert cast(Any, sys.stderr) is screen
