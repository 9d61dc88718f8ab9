"""The command ``dsn-lab``, and completion in a real shell."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dsn_lab import console
from tests.conftest import SMALL, Run

BIN = Path(sys.executable).parent


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["dsn-lab", *arguments])
    try:
        console.main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def test_every_command_says_what_it_wants(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch) == 0
    listed = capsys.readouterr().out
    for name in console.COMMANDS:
        assert f"  {name} " in listed
        if name in console.MODULES:
            assert call(monkeypatch, name, "--help") == 0
            assert f"usage: dsn-lab {name} " in capsys.readouterr().out
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip().count(".") == 2
    assert call(monkeypatch, "trian") == 2
    assert "error: trian: there is no such command; known are train" in capsys.readouterr().err


def test_train_and_sweep_are_run_py(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cell = ("dataset=ItalyPowerDemand", *SMALL, "trainer.max_epochs=1")
    assert run(*cell) == 0
    capsys.readouterr()
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    assert call(monkeypatch, "train", *cell) == 0
    said = capsys.readouterr()
    assert "is finished; force=true" in said.out + said.err
    GlobalHydra.instance().clear()
    assert call(monkeypatch, "sweep", *cell, "seed=0,1", "dry_run=true") == 0
    assert "2" in capsys.readouterr().out
    GlobalHydra.instance().clear()
    assert call(monkeypatch, "train", "sparsity=2") == 2
    (folder,) = (path.parent.parent for path in tmp_path.rglob("result.json"))
    assert call(monkeypatch, "ensemble", str(folder)) == 0
    assert call(monkeypatch, "ensemble", str(tmp_path / "nowhere")) == 2
    assert "holds no finished run" in capsys.readouterr().err


def test_data_are_listed_and_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "data") == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["GunPoint"].split() == ["UCR", "aeon"]
    assert lines["HAR"].split()[0] == "UCI"
    assert call(monkeypatch, "data", "GunPoint", "JapaneseVowels") == 0
    shown = capsys.readouterr().out
    assert [word in shown for word in ("150", "yes", "no", "12", "9")] == [True] * 5
    assert call(monkeypatch, "data", "GunPiont") == 2
    assert "did you mean GunPoint" in capsys.readouterr().err


TYPED = {
    "dsn-lab en": "ensemble ",
    "dsn-lab train dataset=GunPointA": "dataset=GunPointAgeSpan",
    "dsn-lab train model=": "model=inception",
    "dsn-lab sweep +sweep=tab": "+sweep=table1",
    "dsn-lab train trainer.max_e": "trainer.max_epochs=",
    "dsn-lab completion b": "bash",
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_shell_completes_commands_settings_and_choices(tmp_path: Path) -> None:
    script = ['eval "$(dsn-lab completion bash)"']
    for typed in TYPED:
        words = " ".join(f"'{word}'" for word in typed.split(" "))
        script += [
            f"COMP_WORDS=({words}); COMP_LINE='{typed}'; COMP_POINT=${{#COMP_LINE}}",
            "COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))",
            "_dsn_lab; printf '%s\\n' \"${COMPREPLY[@]}\" END",
        ]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    offered = done.stdout.split("END\n")
    for (typed, expected), found in zip(TYPED.items(), offered, strict=False):
        assert expected in found.splitlines(), (typed, found, done.stderr)
    assert {path.name for path in tmp_path.iterdir()} <= {"home"}
