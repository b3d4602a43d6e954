"""python -m experiments.export RUN --output DIR: the chosen allocation as a folder that runs."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import tyro

from experiments.errors import RunFolderError, cannot_write
from experiments.export.card import CardFacts, model_card
from experiments.export.onnx_agreement import IMAGES, onnx_agreement
from experiments.export.onnx_island import NotInOnnxError
from experiments.export.onnx_model import import_bundle_onnx, onnx_model
from experiments.export.onnx_types import Opset
from experiments.export.signature import sign, try_key
from experiments.record.given import say_changes
from experiments.record.run_folder import RunFolder, open_run
from experiments.settings.command_line import Command, RunPath, run_typed
from experiments.settings.run_config import RunConfig
from experiments.stages.conclusion import BEST_FOUND
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.stages.retraining import FinalNetwork, retrain_and_score
from experiments.terminal.progress import LiveProgress
from hardware.errors import BuildError
from hardware.worker.write_bundle import write_program, write_sums
from quant.allocation import Allocation
from quant.deploy_graph import DeployGraph, RunIsland
from quant.records.disk import probe

_VERSION = 2
_ONNX = "model.onnx"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """Write a run's best allocation as a folder that runs with apache-tvm and numpy alone.

    It is retrained from the float checkpoint and compiled for the run's target.
    """

    run: RunPath
    """Folder of a finished run, such as runs/latest."""
    output: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The bundle; must not exist."""
    onnx: bool = True
    """Write an ONNX model, too."""
    onnx_opset: Opset = 25
    """Version of the ONNX model's operators; 25 is the first with types of two bits."""
    sign_with: Annotated[Path | None, tyro.conf.arg(metavar="KEY")] = None
    """Sign the bundle with this SSH key, by ssh-keygen; the public one of a key in ssh-agent will
    do."""
    quiet: bool = False
    """Show no live progress line."""


def main(arguments: Sequence[str]) -> int:
    """Export a finished run and return the exit code."""
    return run_typed("experiments.export", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(options=ExportOptions, work=_command)


def export(
    folder: RunFolder,
    config: RunConfig,
    output: Path,
    *,
    opset: int | None,
    key: Path | None,
    progress: LiveProgress,
) -> str:
    """Retrain a run's best allocation and write it as a bundle.

    The bundle appears whole, by renaming; nothing that is there already is overwritten.

    Args:
        folder: Of the finished run.
        config: The run's configuration.
        output: The bundle's folder, which must not exist.
        opset: Version of the ONNX model's operators; None for no ONNX model.
        key: What the bundle is signed with; None for no signature.
        progress: Where the stages are shown.

    Returns:
        What ONNX Runtime makes of the ONNX model, or why there is none, in one sentence; empty
        where nobody wanted one.

    Raises:
        BitAllocError: the folder is there, nothing links for the target, onnx is missing, or the
            key cannot sign.
    """
    if output.exists():
        raise RunFolderError(
            f"cannot write a bundle to {output}: it is there already",
            "give another folder (--output on the command line)",
        )
    if config.target.runner == "simulated":
        raise RunFolderError(
            f"expected a run on a real target, found {folder.path}, whose times are simulated",
            "start a run with --target.runner local, or on a board",
        )
    _check_room(output)
    setup = set_up_network(config, progress)
    say_changes(folder.record.given, setup.given)
    allocation = folder.record.chosen(setup.network.layers)
    final = retrain_and_score(
        setup, allocation, setup.task.test, partial(progress.stage, "retraining")
    )
    graph = final.graph
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(output, error, "--output DIR") from None
    _check_room(output)
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=output.parent) as name:
        made = Path(name) / "bundle"
        made.mkdir()
        progress.stage("bundle", 0, 1, "compiling")
        try:
            _write_parts(made, setup, graph, allocation)
        except BuildError:
            _check_room(output)
            raise
        about_onnx = ""
        if opset is not None:
            about_onnx = _write_onnx(made, graph, opset, setup.task.test.images[:IMAGES])
        _write_card(made, folder, setup, final, allocation, about_onnx, signed=key is not None)
        write_sums(made)
        if key is not None:
            sign(made, key)
        made.replace(output)
        progress.stage("bundle", 1, 1)
    return about_onnx


def _check_room(output: Path) -> None:
    """Refuse a place that takes nothing: the linker only says that it failed.

    Raises:
        RunFolderError: names the place.
    """
    there = next(folder for folder in output.absolute().parents if folder.exists())
    if (refused := probe(there)) is not None:
        raise cannot_write(output, refused, "--output DIR")


def _write_parts(
    made: Path,
    setup: NetworkSetup,
    graph: DeployGraph,
    allocation: Allocation,
) -> None:
    program = write_program(graph, setup.config.device_target, made)
    task = setup.task
    document = {
        "version": _VERSION,
        "task": task.name,
        "network": task.network,
        "labels": list(task.labels),
        "preprocessing": task.preprocessing,
        **program,
    }
    bundle = RunFolder(made)
    bundle.write_json("bundle.json", document)
    bundle.write_json("allocation.json", allocation)


def _write_onnx(made: Path, graph: DeployGraph, opset: int, images: torch.Tensor) -> str:
    """Write the ONNX model; return what it is worth, or why there is none, in one sentence."""
    try:
        (made / _ONNX).write_bytes(onnx_model(graph, opset=opset))
    except NotInOnnxError as error:
        return f"There is no ONNX model: {error.message}."
    return f"{onnx_agreement(made / _ONNX, graph, images)}."


def _write_card(
    made: Path,
    folder: RunFolder,
    setup: NetworkSetup,
    final: FinalNetwork,
    allocation: Allocation,
    about_onnx: str,
    *,
    signed: bool,
) -> None:
    bundle, record = RunFolder(made), folder.record
    results = record.results
    assert results is not None  # the folder was opened as that of a finished run
    facts = CardFacts(
        bundle=bundle.read_json("bundle.json"),
        results=results,
        best=BEST_FOUND,
        command=record.command.partition("\n")[0],
        date=time.strftime("%Y-%m-%d"),
        retraining_steps=setup.config.final.steps,
        allocation=allocation,
        score=final.scores.score,
        kept=final.retraining.kept,
        float_score=setup.float_scores(setup.task.test).value,
        weight_bytes=final.graph.weight_bytes(),
        island_bytes=sum(
            op.parameter_bytes
            for op in final.graph.ops
            if isinstance(op, RunIsland) and not op.layer
        ),
        bundle_bytes=_size(made),
        islands=record.islands,
        onnx=(made / _ONNX).is_file(),
        about_onnx=about_onnx,
        signed=signed,
    )
    bundle.write_text("README.md", model_card(facts))


def _size(bundle: Path) -> int:
    return sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file())


def _command(options: ExportOptions) -> None:
    folder, config = open_run(options.run, finished=True)
    opset = options.onnx_opset if options.onnx else None
    if opset is not None:
        import_bundle_onnx()  # what is missing is said before anything is retrained
    if options.sign_with is not None:
        try_key(options.sign_with)
    with LiveProgress(quiet=options.quiet or config.quiet) as progress:
        about_onnx = export(
            folder,
            config,
            options.output,
            opset=opset,
            key=options.sign_with,
            progress=progress,
        )
    print(f"bundle of {_size(options.output):,} bytes: {options.output}")
    if about_onnx:
        print(about_onnx)
    print(f"run it with: python {options.output / 'run.py'} INPUTS.npy")
