"""What makes two runs one run."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from dsn_lab import registry
from dsn_lab.analysis.methods import labels
from dsn_lab.records import format0, identity
from dsn_lab.run.config import decisive
from tests.contract.training import choices, composed
from tests.synthetic import record

USUAL = {
    "dataset": {"name": "GunPoint", "archive": "UCR", "scaling": "train"},
    "model": {"name": "dsn", "width": 47, "sparsity": 0.8, "backend": "auto"},
    "dst": {"name": "dynamic_sparse_training", "growth": "random", "stop": 0.8, "seed": 3},
    "dsp": {"name": None},
    "optimizer": {"name": "Adam", "lr": 3e-4},
    "scheduler": {"name": "CosineAnnealingLR", "T_max": 1000},
    "trainer": {"max_epochs": 1000, "accelerator": "auto"},
    "seed": 3,
    "fold": 0,
    "threads": None,
    "data_dir": "here",
}


def digest(**changes: Any) -> str:
    composed = {**USUAL}
    for key, value in changes.items():
        group, _, setting = key.partition("__")
        part = composed[group]
        composed[group] = {**part, setting: value} if isinstance(part, dict) else value
    return identity.digest(identity.settings_of(composed))


@pytest.mark.parametrize(
    "changes",
    [
        {"model__sparsity": 0.9},
        {"model__width": 48},
        {"model__name": "other"},
        {"dst__growth": "gradient"},
        {"dst__growth": {"name": "momentum", "decay": 0.8}},
        {"dst__seed": 4},
        {"optimizer__lr": 1e-3},
        {"optimizer__name": "SGD"},
        {"trainer__max_epochs": 2},
        {"trainer__gradient_clip_val": 1.0},
        {"dataset__scaling": "none"},
        {"dataset__name": "Coffee"},
    ],
    ids=str,
)
def test_what_decides_a_result_makes_another_run(changes: dict[str, Any]) -> None:
    assert digest(**changes) != digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 2},
        {"data_dir": "elsewhere"},
        {"model__backend": "dense"},
        {"trainer__accelerator": "cpu"},
        {"model__width": 47.0},
        {"seed": 4, "dst__seed": 4},
    ],
    ids=str,
)
def test_how_and_where_it_is_computed_does_not(changes: dict[str, Any]) -> None:
    assert digest(**changes) == digest()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"model__sparsity": 0}, {"model__sparsity": 0.0}),
        ({"dst__stop": 1}, {"dst__stop": 1.0}),
        ({"dst__growth": "momentum"}, {"dst__growth": {"name": "momentum"}}),
        ({"dst__growth": "momentum"}, {"dst__growth": {"name": "momentum", "decay": 0.9}}),
        ({"model__widths": [[2, 3]]}, {"model__widths": ((2.0, 3),)}),
    ],
)
def test_numbers_count_by_their_value(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert digest(**one) == digest(**other)
    assert digest(dst__stop=True) != digest(dst__stop=1)


LATER: list[dict[str, Any]] = [
    {},
    {"config__model__dropout": 0.1},
    {"config__model__dropout": 0.2},
]


@pytest.fixture
def later(registers_its_own: None) -> Iterator[None]:
    """A network whose second setting has come later than its first results."""

    @registry.networks.register("early")
    class Early:
        def __init__(self, depth: int = 1, dropout: float = 0.1) -> None:
            """Settings are all that it is."""

    yield
    identity._default.cache_clear()


@pytest.mark.usefixtures("later")
def test_a_new_setting_at_its_default_leaves_everything_as_it_was() -> None:
    before = digest(model__name="early")
    assert digest(model__name="early", model__dropout=0.1) == before
    assert digest(model__name="early", model__dropout=0.2) != before
    runs = [
        record("GunPoint", model="early", config__model__name="early", **later) for later in LATER
    ]
    given, _ = labels(runs)
    assert given[0] == given[1] != given[2]
    now = identity.recorded(runs[1])
    assert identity.differences(identity.recorded(runs[0]), now) == []
    assert identity.differences(identity.recorded(runs[2]), now) == [
        "model.dropout was 0.2, now 0.1"
    ]


def test_a_setting_that_is_listed_counts_as_absent_at_its_first_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identity, "FIRST", {"model.later": "calm"})
    assert digest(model__later="calm") == digest()
    # A changed default is another value, wherever it is written.
    assert digest(model__later="wild") != digest()


def test_a_changed_meaning_makes_new_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(identity, "REVISIONS", {"model.dsn": 2})
    assert digest() != before
    monkeypatch.setattr(identity, "REVISIONS", {"dst.growth.random": 2})
    assert digest() != before


def test_every_setting_of_ours_has_its_first_value_listed() -> None:
    """Else a default that changes later would take old results for new ones."""
    for group in ("model", "dst", "dsp", "optimizer", "scheduler"):
        for choice in choices(group):
            extra = ("model=lite",) if group == "dsp" else ()
            cfg = composed(*extra, f"{group}={choice}")
            told = identity.flat(decisive(cfg), "")
            for key in told:
                part, _, setting = key.partition(".")
                own = f"{part}.{told.get(f'{part}.name')}.{setting}"
                listed = key in format0.KEYS or {key, own} & identity.FIRST.keys()
                assert listed, f"add {key!r} with the value it came with to identity.FIRST"


def test_every_default_of_a_rule_is_listed_and_as_it_came() -> None:
    """It stands in no configuration file, so a run says nothing of it."""
    for kind, rules in registry.RULES.items():
        for rule in rules:
            for setting, parameter in inspect.signature(rules[rule]).parameters.items():
                if parameter.default is parameter.empty:
                    continue  # what every rule of a kind is called with
                key = f"{kind.partition('.')[0]}.{rule}.{setting}"
                assert key in identity.FIRST, f"add {key!r} to identity.FIRST"
                assert identity.FIRST[key] == parameter.default, (
                    f"keep {key}, or raise identity.REVISIONS[{kind + '.' + rule!r}]"
                )


def test_records_of_the_first_form_are_read_in_todays() -> None:
    old = {
        "config.model._target_": "dsn_lab.nn.LITE",
        "config.dst._target_": None,
        "config.optimizer._target_": "torch.optim.SGD",
        "config.optimizer._partial_": True,
        "config.optimizer.lr": 1.0,
        "test_accuracy": 0.5,
    }
    assert identity.recorded(old) == {
        "model.name": "lite",
        "dst.name": None,
        "optimizer.name": "SGD",
        "optimizer.lr": 1,
    }
    # What was not ours keeps its path, by which nothing is registered.
    assert identity.recorded({"config.model._target_": "os.system"}) == {"model.name": "os.system"}
