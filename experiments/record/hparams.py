"""Hparams: a finished run as one line of TensorBoard's HPARAMS tab."""

import time
from collections.abc import Mapping
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from experiments.record import files
from experiments.record.run_folder import RunFolder
from hardware.energy.energy import NO_METER, energy_label

_KEYS = (
    "method",
    "seed",
    "evaluations",
    "task.name",
    "task.metric",
    "target.runner",
    "target.board",
    "env.bit_choices",
    "env.weights",
    "env.finetune.steps",
    "env.finetune.learning_rate",
    "env.finetune.step_learning_rate",
    "env.reward.latency_weight",
    "env.reward.energy_weight",
    "energy.meter",
    "ppo.learning_rate",
    "ppo.practice_episodes",
)
"""What is worth a column; the whole configuration is in `config.yaml`."""

_METRICS = {
    "chosen/latency_ms": "latency of the chosen (ms)",
    "chosen/energy_mj": "energy of the chosen (mJ)",
    "chosen/energy_modelled_mj": "energy of the chosen, modelled (mJ)",
    "chosen/model_bytes": "bytes of the chosen",
    "chosen/mean_weight_bits": "mean weight bits of the chosen (float: 32)",
    "chosen/mean_activation_bits": "mean activation bits of the chosen",
}
"""Tags that no other writer of a run has, as is the score's: the figures of the final table, timed
side by side."""


def write_hparams(folder: RunFolder) -> None:
    """Add the settings of a finished run, and what came out, to its TensorBoard events.

    They get an event file of their own, without torch's SummaryWriter: that one makes a second
    run beside the real one, in which the settings stand apart from the curves.

    Raises:
        RunFolderError: the run has no `results.json`.
    """
    results = folder.read_json(files.RESULTS)
    values, metrics = hparams_of(folder.record.config, results), metrics_of(results)
    score = results["rows"][-1]["metric"]["name"]
    texts = {f"chosen/{score}": f"{score} of the chosen, search split", **_METRICS}
    scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in metrics.items()]
    parts = [
        summary_v2.hparams_config_pb(
            hparams=[summary_v2.HParam(name) for name in values],
            metrics=[
                summary_v2.Metric(tag, display_name=text)
                for tag, text in texts.items()
                if tag in metrics
            ],
        ),
        summary_v2.hparams_pb(values, trial_id=folder.path.name),
        Summary(value=scalars),
        _session_end(),
    ]
    writer = EventFileWriter(str(folder.events), filename_suffix=".hparams")
    for part in parts:
        step = int(results["evaluations"])
        writer.add_event(Event(wall_time=time.time(), step=step, summary=part))
    writer.close()


def hparams_of(
    config: Mapping[str, Any], results: Mapping[str, Any]
) -> dict[str, str | float | bool]:
    """Return the settings by dotted name, with the budget that was decided.

    Args:
        config: Content of `config.yaml`.
        results: Content of `results.json`.
    """
    found: dict[str, str | float | bool] = {"source": str(results["rows"][-1]["source"])}
    for key in _KEYS:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, list):
            found[key] = " ".join(str(item) for item in value)
        elif value is not None:
            found[key] = value
    for name, limit in results["budget"].items():
        if limit is not None:
            found[f"budget.{name}"] = float(limit)
    return found


def metrics_of(results: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of the chosen allocation, `{tag: value}`; without what was not timed."""
    best = results["rows"][-1]
    named = {
        f"chosen/{best['metric']['name']}": best["score"],
        "chosen/latency_ms": best["latency_ms"],
        energy_label("chosen/energy_mj", best.get("energy_source", NO_METER)): best.get(
            "energy_mj"
        ),
        "chosen/model_bytes": best["model_bytes"],
        "chosen/mean_weight_bits": best["weight_bits"],
        "chosen/mean_activation_bits": best["activation_bits"],
    }
    return {tag: float(value) for tag, value in named.items() if value is not None}


def _session_end() -> Summary:
    """Return the mark of a finished run; TensorBoard's own maker of it needs TensorFlow."""
    info = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    data = plugin_data_pb2.HParamsPluginData(session_end_info=info)
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])
