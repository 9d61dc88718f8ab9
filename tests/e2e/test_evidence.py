"""From runs to the ledger, to tables, and back to the same run."""

from pathlib import Path

import pytest

from dsn_lab.analysis.collect import collect
from dsn_lab.evidence import again, tables
from dsn_lab.evidence.__main__ import main
from dsn_lab.records import results
from dsn_lab.records.cell import Files
from dsn_lab.records.ledger import Ledger
from dsn_lab.report.inputs import Inputs
from tests.conftest import SMALL, Run

ROOT = Path(__file__).parents[2]
ITALY = ("dataset=ItalyPowerDemand", "protocol_epochs=2", "threads=1")
DSN = (*ITALY, *SMALL)
OTHER = ("dst.growth={name:momentum,decay:0.5}", "model.padding=replicate")
PRUNED = (*ITALY, "model=lite", "dsp=default", "dsp.scratch=true")


read = results.read


def committed(cell: Files) -> results.Record | None:
    """The record as if the code had no changes."""
    record = read(cell)
    return {**record, "commit": "1"} if record else None


def test_a_ledger_is_as_good_as_the_runs(
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(results, "read", committed)
    for arguments in ((*DSN, "seed=1"), (*DSN, "seed=2"), (*DSN, *OTHER), PRUNED):
        assert run(*arguments) == 0
    main(["add", "results"])
    assert "4 added to evidence, 0 there already" in capsys.readouterr().out

    there, kept = (Inputs(collect(tmp_path / root), None) for root in ("results", "evidence"))
    assert there.methods == kept.methods
    for one, other in ((there, kept), (there.ensembles, kept.ensembles)):
        assert one.on_split.equals(other.on_split)
    assert len(kept.ensembles.runs) == 1

    assert run(*DSN, "trainer.max_epochs=1") == 0  # shortened
    main(["add", "results"])
    said = capsys.readouterr().out
    assert "0 added to evidence, 4 there already" in said
    assert "1 left out: shortened" in said

    for path, record in Ledger(tmp_path / "evidence").records().items():
        assert run(*again.overrides(record), "dry_run=true") == 0
        assert path in capsys.readouterr().out  # the same cell


def test_a_row_is_run_again_and_compared(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*DSN, "results_dir=results") == 0
    (folder,) = results.below(tmp_path / "results")
    record = read(folder) or {}
    ledger = Ledger(tmp_path / "evidence")
    (path,) = ledger.add([(record, folder.predicted())])
    with pytest.raises(SystemExit, match="0"):
        main(["verify", path])
    assert f"{path}: the same" in capfd.readouterr().out
    other = Ledger(tmp_path / "other")
    other.add([(record | {"test_accuracy": 0.1}, folder.predicted())])
    with pytest.raises(SystemExit, match="1"):
        main(["--ledger", "other", "verify", path])
    assert "test_accuracy was 0.1, now" in capfd.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["--ledger", "nowhere", "verify", path])
    assert f"{path}: no row of nowhere has this path" in capfd.readouterr().err


def test_tables_are_written_between_their_marks_only(tmp_path: Path) -> None:
    page, ledger = tmp_path / "page.md", Ledger(ROOT / "evidence")
    page.write_text("a\n<!-- evidence: pruning -->\nold\n<!-- end -->\nz\n")
    assert tables.write(page, ledger, check=True)
    assert "old" in page.read_text()
    assert tables.write(page, ledger)
    assert not tables.write(page, ledger)
    first, *_, last = page.read_text().splitlines()
    assert (first, last) == ("a", "z")
    assert "| LITE DSP | Coffee | 3 |" in page.read_text()


@pytest.mark.parametrize("document", tables.DOCUMENTS, ids=str)
def test_the_documents_tables_are_up_to_date(document: Path) -> None:
    assert not tables.write(ROOT / document, Ledger(ROOT / "evidence"), check=True)
