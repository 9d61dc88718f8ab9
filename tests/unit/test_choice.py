"""Nothing is called chosen that other than development sets have chosen."""

from pathlib import Path

import pytest

from dsn_lab.analysis.collect import collect
from dsn_lab.data.names import UCR, UCR_OF_2018
from dsn_lab.report.inputs import Inputs
from dsn_lab.report.parts import Section, Table
from dsn_lab.report.tables import choice
from tests.synthetic import record, write

REPORTED = [name for name in UCR if name not in UCR_OF_2018]


def section(root: Path, development: int, seeds: int, **settings: object) -> Section | str:
    """Of two methods, of which the second is better on UCR-85 and worse on development sets."""
    for dataset in (*UCR_OF_2018[:development], *REPORTED[:20]):
        for groups, accuracy in ((3, 0.9), (1, 0.95 if dataset in REPORTED else 0.8)):
            for seed in range(seeds):
                made = record(dataset, accuracy=accuracy, seed=seed, config__model__groups=groups)
                write(root, made | settings, f"dsn-{groups}")
    return choice.section(Inputs(collect(root), None))


def test_development_sets_choose_and_the_others_report(tmp_path: Path) -> None:
    found = section(tmp_path, 12, 3)
    assert isinstance(found, Section)
    (table,) = found.items
    assert isinstance(table, Table)
    assert table.data["method"].tolist() == ["DSN groups=3", "DSN groups=1"]
    assert table.data["report"].tolist() == pytest.approx([0.9, 0.95])
    assert table.display["chosen"].tolist() == ["chosen", ""]
    assert "chosen, by 12 development sets" in table.caption


@pytest.mark.parametrize(
    ("development", "seeds", "settings"), [(11, 3, {}), (12, 2, {}), (12, 3, {"epochs": 5})]
)
def test_too_little_chooses_nothing(
    tmp_path: Path, development: int, seeds: int, settings: dict[str, object]
) -> None:
    found = section(tmp_path, development, seeds, **settings)
    assert isinstance(found, str)
    assert "choosing takes 12" in found
