"""Command lines: what a job's process is, and the files that it starts from."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from pydantic import TypeAdapter

from experiments.record import files
from experiments.record.run_folder import RunFolder, write_config
from experiments.service.errors import RefusedError
from experiments.service.folder import JobFolder, ServiceFolder
from experiments.service.store.job import Job
from experiments.service.work.admission import Admission
from experiments.service.work.requests import (
    CompareRequest,
    ConfiguredRequest,
    EvaluateRequest,
    ExportRequest,
    JobRequest,
    MeasureRequest,
    StaircaseRequest,
)
from experiments.settings.run_config import RunConfig
from quant.records.disk import remove_leftovers
from quant.records.json_form import json_text

MEASURED = "measured.json"
STAIRCASE = "staircase.json"
_FIGURE = "staircase.png"
_ALLOCATION = "allocation.json"
_CONFIG = ("--config", "config.yaml")
_REQUEST: TypeAdapter[JobRequest] = TypeAdapter(JobRequest)


def prepare(job: Job, service: ServiceFolder, admission: Admission) -> list[str]:
    """Make a job's folder ready, and return what to start in it; goes on where it was.

    Raises:
        BitAllocError: what was possible when the job was handed in is so no more.
    """
    folder = service.job(job.id)
    folder.path.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.path, ".part-*")
    request = _REQUEST.validate_python(job.request)
    if isinstance(request, EvaluateRequest | ExportRequest):
        # What an earlier attempt wrote, and was killed before it could say so.
        shutil.rmtree(folder.path / JobFolder.BUNDLE, ignore_errors=True)
        words = _on_run(request, service.job(request.of))
    else:
        config = admission.config(request)
        write_config(RunFolder(folder.path), config)
        words = _configured(request, folder, config)
    return [sys.executable, "-P", "-m", *words]


def run_of(job: Job, service: ServiceFolder) -> Path:
    """Return the folder of the run that a job makes or works on; it need not be there yet."""
    return service.job(job.of or job.id).run


def _on_run(request: EvaluateRequest | ExportRequest, parent: JobFolder) -> list[str]:
    if not (parent.run / files.RESULTS).is_file():
        raise RefusedError(f"expected the finished run of {request.of}, found none")
    # As a job sees it from its own folder, so that all of them can be moved.
    run = str(Path("..", parent.path.name, JobFolder.RUNS, os.readlink(parent.run)))
    if isinstance(request, EvaluateRequest):
        return ["experiments.evaluate", run]
    onnx = [] if request.onnx else ["--no-onnx"]
    return ["experiments.export", run, "--output", str(JobFolder.BUNDLE), *onnx]


def _configured(request: ConfiguredRequest, folder: JobFolder, config: RunConfig) -> list[str]:
    if isinstance(request, MeasureRequest):
        if request.bits is not None:
            what = ["--bits", str(request.bits)]
        else:
            RunFolder(folder.path).write_text(_ALLOCATION, json_text(request.allocation))
            what = ["--allocation", _ALLOCATION]
        return ["experiments.measure", *_CONFIG, *what, "--json", MEASURED]
    if isinstance(request, StaircaseRequest):
        shapes = ["--shapes", request.shapes] if request.shapes else []
        pairs = ["--all-pairs"] if request.all_pairs else []
        written = ["--json", STAIRCASE, "--figure", _FIGURE]
        bits = ["--bits", *map(str, request.bits)]
        return ["experiments.staircase", *_CONFIG, *shapes, *bits, *pairs, *written]
    if isinstance(request, CompareRequest):
        plan = ["--methods", *request.methods, "--budgets", *map(str, request.budgets)]
        return ["experiments.compare", *_CONFIG, *plan, "--seeds", str(request.seeds)]
    if not (folder.run / files.CONFIG).is_file():
        return ["experiments.run", *_CONFIG]
    tracker = ["--target.tracker", config.target.tracker] if config.target.remote else []
    run = str(JobFolder.RUNS / os.readlink(folder.run))
    return ["experiments.run", "--resume", run, *tracker]


def shown(words: list[str]) -> str:
    """Return a command as one would type it."""
    return shlex.join(["python", *words[1:]])
