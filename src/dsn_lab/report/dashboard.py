"""The ablation dashboard (a W&B workspace) and a W&B report, built from code.

Both show what runs with ``logger=wandb`` log; they group runs by cell, so that a line or bar is a
mean over seeds. Methods and datasets come from the results folder.
"""

import json
from pathlib import Path
from typing import Any

from dsn_lab.analysis.collect import Collection, collect
from dsn_lab.errors import UserError
from dsn_lab.storage import written_whole

try:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
except ImportError as error:
    raise UserError(
        "--wandb needs the package wandb-workspaces: pip install wandb-workspaces"
    ) from error

NAME = "dsn_lab ablations"
BY_CELL = "Group"
# W&B's config keys are ours; those that the ablations vary.
FACTORS = ("model.sparsity", "model.groups", "model.width", "model.depth", "dst.growth")
WORKSPACE, REPORT = "wandb_workspace.json", "wandb_report.json"


def publish(results: Path, entity: str, project: str, dry_run: Path | None) -> list[str]:
    """Save both at W&B, or with ``dry_run`` write their JSON into that folder.

    Returns:
        Where they are: addresses or files.

    Raises:
        UserError: no entity is given, W&B refuses, or there are no results.
    """
    collection = collect(results)
    if dry_run is None:
        if not entity:
            raise UserError("--wandb: give entity=NAME, your W&B user or team, or --dry-run")
        return _save(workspace(collection, entity, project), report(collection, entity, project))
    dry_run.mkdir(parents=True, exist_ok=True)
    entity = entity or "entity"
    paths = [dry_run / WORKSPACE, dry_run / REPORT]
    built = [workspace(collection, entity, project), report(collection, entity, project)]
    for path, made in zip(paths, built, strict=True):
        text = made._to_model().model_dump_json(by_alias=True, exclude_none=True)
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(json.loads(text), indent=2) + "\n")
    return [str(path) for path in paths]


def workspace(collection: Collection, entity: str, project: str) -> Any:
    """Accuracy, its dependence on the ablated settings, training and topology."""
    sections = [
        ws.Section("Accuracy", panels=[_accuracy()], is_open=True),
        ws.Section("Ablations", panels=_ablations(), is_open=True),
        ws.Section("Training", panels=_training()),
        ws.Section("Topology", panels=_topology()),
    ]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=sections,
        runset_settings=ws.RunsetSettings(groupby=[ws.Metric(BY_CELL)]),
        settings=ws.WorkspaceSettings(x_axis="Step", max_runs=100),
    )


def report(collection: Collection, entity: str, project: str) -> Any:
    """The same panels in a page, after what the results folder holds."""
    runs = collection.runs
    shortened = int((runs["epochs"] != runs["protocol_epochs"]).sum())
    grid = [
        ("Accuracy", [_accuracy()]),
        ("Ablations", _ablations()),
        ("Training", _training()),
        ("Topology", _topology()),
    ]
    blocks: list[Any] = [
        wr.P(
            f"{len(runs)} runs of {runs['method'].nunique()} methods on "
            f"{runs['dataset'].nunique()} datasets; seeds {sorted(set(runs['seed']))}; "
            f"{shortened} shortened. Runs are grouped by cell: means are over seeds."
        ),
        wr.UnorderedList(sorted(set(runs["method"]))),
    ]
    for title, panels in grid:
        blocks.append(wr.H2(title))
        # Without entity and project the runset is the report's project, and needs no account.
        blocks.append(wr.PanelGrid(runsets=[wr.Runset(groupby=["group"])], panels=panels))
    return wr.Report(
        project=project,
        entity=entity,
        title=NAME,
        description="Made by python -m dsn_lab.report --wandb",
        blocks=blocks,
    )


def _save(made: Any, page: Any) -> list[str]:
    import wandb

    if not wandb.login(prompt=False):
        raise UserError("--wandb: nobody is logged in to W&B; set WANDB_API_KEY, or add --dry-run")
    try:
        made.save()
        page.save()
    except (wandb.Error, ValueError) as error:
        raise UserError(f"--wandb: W&B refuses: {error}") from error
    return [made.url, page.url]


def _accuracy() -> Any:
    return wr.BarPlot(
        title="test accuracy by cell, mean and deviation over seeds",
        metrics=["test_accuracy"],
        groupby=BY_CELL,
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=1000,
        max_bars_to_show=100,
    )


def _ablations() -> list[Any]:
    scatters = [
        wr.ScatterPlot(title=f"accuracy by {key}", x=wr.Config(key), y="test_accuracy")
        for key in FACTORS
    ]
    scatters += [
        wr.ScatterPlot(title=f"accuracy by {measure}", x=measure, y="test_accuracy")
        for measure in ("flops", "params_active")
    ]
    columns = [wr.ParallelCoordinatesPlotColumn(wr.Config(key)) for key in FACTORS]
    columns.append(wr.ParallelCoordinatesPlotColumn("test_accuracy"))
    return [
        *scatters,
        wr.ParallelCoordinatesPlot(title="settings and accuracy", columns=columns),
        wr.ParameterImportancePlot(with_respect_to="test_accuracy"),
    ]


def _training() -> list[Any]:
    return [
        wr.LinePlot(
            title=name,
            x="epoch",
            y=[name],
            log_y=name == "train_loss",
            groupby=BY_CELL,
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
        )
        for name in ("train_loss", "train_accuracy", "lr")
    ]


def _topology() -> list[Any]:
    panels = [
        wr.LinePlot(title=title, x="epoch", metric_regex=f"topology/.*/{suffix}")
        for title, suffix in (
            ("share of weights replaced", "replaced"),
            ("share of the region ever explored", "explored"),
        )
    ]
    return [*panels, wr.MediaBrowser(media_keys=["receptive_fields", "active_weights"])]
