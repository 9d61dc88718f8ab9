"""A sweep file for W&B's agents: python -m dsn_lab.sweep.wandb_agents small > small.yaml."""

import argparse
from importlib.resources import files

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Sweep
from omegaconf import OmegaConf

from dsn_lab.run import dataset


def agents_config(sweep: str) -> dict[str, object]:
    """W&B's configuration of a sweep whose agents run the same cells as Hydra's multirun.

    Args:
        sweep: name of a file in ``sweeps/``.
    """
    dataset.register()
    with hydra.initialize_config_module("dsn_lab.conf", version_base="1.3"):
        cfg = hydra.compose("config", overrides=[f"+sweep={sweep}"], return_hydra_config=True)
    parser = OverridesParser.create()
    varied = [parser.parse_override(f"{key}={v}") for key, v in cfg.hydra.sweeper.params.items()]
    return {
        "name": sweep,
        "program": "run.py",
        "method": "grid",
        "metric": {"name": "test_accuracy", "goal": "maximize"},
        "parameters": {override.key_or_group: {"values": _values(override)} for override in varied},
        "command": [
            *("${env}", "${interpreter}", "${program}", f"+sweep={sweep}"),
            *("logger=wandb", "logger.mode=online", "${args_no_hyphens}"),
        ],
    }


def _values(override: Override) -> list[object]:
    value = override.value()
    return list(override.sweep_iterator()) if isinstance(value, Sweep) else [value]


if __name__ == "__main__":
    folder = files("dsn_lab.conf") / "sweep"
    known = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir())
    parser = argparse.ArgumentParser(
        prog="python -m dsn_lab.sweep.wandb_agents", description=__doc__
    )
    parser.add_argument("sweep", choices=known, help="a file in sweeps/")
    print(OmegaConf.to_yaml(OmegaConf.create(agents_config(parser.parse_args().sweep))), end="")
