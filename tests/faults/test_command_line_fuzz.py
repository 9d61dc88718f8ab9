"""Mutated command lines: each is composed and made ready, or refused in one line."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dsn_lab import cli
from dsn_lab.data import download
from dsn_lab.errors import UserError
from dsn_lab.explain import explain
from dsn_lab.records.numbers import leaves
from dsn_lab.run import dataset, training
from tests.conftest import SMALL, left_in

MUTATIONS, PARTS = 500, 4
# What a user's mistake may come as; the command line turns each into a line.
REFUSED = (UserError, OSError, HydraException, OmegaConfBaseException)
BASES = {
    "dsn": SMALL,
    "lite": ("model=lite", "model.widths=[[4,4,4],[4],[4]]", "dsp=default"),
}
GROUPS = ("model", "dst", "dsp", "dataset", "protocol", "logger", "optimizer", "scheduler")
VALUES = (
    *("0", "1", "-1", "2", "0.5", "1.5", "1e-300", "1e30", "1e400", "nan", "inf", "-inf"),
    *("2147483648", "9223372036854775808", "1" + 40 * "0", "true", "false", "null", "''", "'3'"),
    *("x", "é", "a/b", "../x", "'a b'", "[", "{", "{a:1}", "[]", "[1]", "[[1]]", "[nan]", "[1,x]"),
    *("{name:x}", "{name:momentum,decay:2}", "${seed}", "${nope}", "${oc.env:HOME}", "${"),
    *("${now:%Y}", "${cell:}", "1,2", "range(2)", "/dev/null", "~", "'\\''", "0x10", "1_000"),
)


@pytest.fixture(scope="module")
def keys() -> list[str]:
    """Every setting there is, and a few that there are not."""
    dataset.register()
    cli._register_plugins()
    found = {"nonsense", "model.nonsense", "trainer.max_steps", "trainer.precision"}
    for base in BASES.values():
        with hydra.initialize_config_module("dsn_lab.conf", version_base="1.3"):
            composed = hydra.compose("config", [*base, "output_dir=out"])
        found |= {key for key, _ in leaves(OmegaConf.to_container(composed))}
    return sorted(found)


def mutated(chance: random.Random, keys: Sequence[str]) -> Iterator[str]:
    """One to three overrides."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        sign = chance.choice(("", "", "", "", "+", "++", "~"))
        key = chance.choice(keys) if chance.random() < 0.9 else chance.choice(GROUPS)
        value = chance.choice(VALUES)
        yield f"{sign}{key}" if sign == "~" and chance.random() < 0.5 else f"{sign}{key}={value}"


@pytest.mark.parametrize("part", range(PARTS))
def test_no_mutation_ends_in_a_traceback(
    keys: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, "obtain", _offline)
    chance = random.Random(part)
    ready, fell = 0, []
    for _ in range(MUTATIONS // PARTS):
        base = chance.choice(sorted(BASES))
        given = [*BASES[base], *mutated(chance, keys)]
        monkeypatch.setattr("sys.argv", ["run.py", *given])
        try:
            ready += _made_ready(given)
        except REFUSED as error:
            if len(explain(error).splitlines()) != 1:
                fell.append(f"{given}: {error!r}")
        except Exception as error:
            fell.append(f"{given}: {error!r}")
    assert not fell, "\n".join(fell)
    assert 0 < ready < MUTATIONS // PARTS
    assert not left_in(tmp_path)


def _made_ready(given: Sequence[str]) -> int:
    """What a run does before it makes its folder."""
    GlobalHydra.instance().clear()
    try:
        composed = _composed(given)
    except Exception as error:  # Hydra raises whatever it stumbles over
        raise UserError(explain(error)) from error
    HydraConfig.instance().set_config(composed)
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    assert isinstance(own, DictConfig)
    cell = cli.checked(own, HydraConfig.get())
    if cell.config.logger["name"] is None:
        training.prepare_and_try(cell)
    return 1


def _composed(given: Sequence[str]) -> DictConfig:
    with hydra.initialize_config_module("dsn_lab.conf", version_base="1.3"):
        return hydra.compose("config", ["dataset=ItalyPowerDemand", *given], True)


def _offline(*_: object, **__: object) -> None:
    raise UserError("there is no network in this test")


def test_through_the_front_door(
    run: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    keys: list[str], tmp_path: Path,
) -> None:  # fmt: skip
    """A few of them as a user types them: status 0 or 2, and a line."""
    assert callable(run)
    monkeypatch.setattr(download, "obtain", _offline)
    chance = random.Random("front")
    for _ in range(20):
        given = [*SMALL, *mutated(chance, keys), "dry_run=true"]
        status = run("dataset=ItalyPowerDemand", *given)
        said = capsys.readouterr().err
        assert status in (0, 2), (given, said)
        assert "Traceback" not in said, (given, said)
        lines = [line for line in said.splitlines() if line.startswith("error: ")]
        assert len(lines) == (status == 2), (given, said)
    assert not left_in(tmp_path)
