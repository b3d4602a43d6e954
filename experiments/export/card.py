"""The model card of a bundle: what it is, what was measured, and how."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.record.islands import ListedIsland
from quant.allocation import Allocation
from quant.layers import width_name
from quant.objective.scores import Score
from quant.retraining.retrained import Kept

_SATURATING = (
    "ONNX Runtime and OpenVINO add two products of 8-bit codes in 16 bits on x86 CPUs without "
    "VNNI, and saturate there: with weights of 8 bits `model.onnx` may then give other results "
    "than this bundle. Weights of 7 bits and below are safe."
)

_TRUST = """\
`run.py` compares every file with `SHA256SUMS` before it runs anything of the folder, and refuses
Python files and libraries that have no sum there; inputs, outputs and other data may lie beside
them. That tells damage, and **is no signature**: who changes a file can write its sum anew.
Libraries are code: run bundles of people you trust.
"""
_SIGNED = """\
`SHA256SUMS.sig` is a signature of the sums, and so of all files. It proves something to who has the
public key from elsewhere, in `KEY.pub`:

```bash
python run.py --verify-key KEY.pub INPUTS.npy
```

A `run.py` that somebody changed would say what they like. Where the folder passed through hands
that you do not trust, verify it before you start anything of it:

```bash
echo "signer $(cat KEY.pub)" > allowed_signers
ssh-keygen -Y verify -f allowed_signers -I signer -n bitalloc-bundle -s SHA256SUMS.sig < SHA256SUMS
sha256sum -c SHA256SUMS
```
"""
_KEPT_START = (
    "; no step made it better on training images that were held back, so it is the float network "
    "rounded to these bits"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """What a card tells."""

    bundle: Mapping[str, Any]
    """Content of `bundle.json`."""
    results: Mapping[str, Any]
    """Content of the run's `results.json`."""
    best: str
    """Name of this allocation's row in the results."""
    command: str
    """Started the run."""
    date: str
    retraining_steps: int
    allocation: Allocation
    score: Score
    """On the test split."""
    kept: Kept
    """Whether the last retraining was kept, or what it began with."""
    float_score: float
    weight_bytes: int
    island_bytes: int
    """Of the float islands' own parameters, which stay in float32."""
    bundle_bytes: int
    islands: Sequence[ListedIsland]
    """What stays in float."""
    signed: bool
    """Whether an SSH key signs the sums."""
    onnx: bool
    about_onnx: str = ""
    """What ONNX Runtime makes of the ONNX model, or why there is none, in one sentence; empty where
    nobody wanted one."""


def model_card(facts: CardFacts) -> str:
    """Return the card as Markdown."""
    bundle = facts.bundle
    weight_bits, activation_bits = facts.allocation.mean_bits()
    parts = [
        f"# {bundle['network']} for {bundle['task']}, {weight_bits:.1f} / {activation_bits:.1f} "
        f"bits{' (float counts as 32)' if facts.allocation.in_float else ''}\n",
        "A network with integer weights and activations whose bit-widths were searched layer by "
        f"layer with BitAlloc, compiled for {bundle['machine']} (`{bundle['cpu']}`).\n",
        "## Run it\n",
        "```bash\npip install apache-tvm==0.27.0.post1 apache-tvm-ffi==0.1.14.post0 numpy\n"
        "python run.py INPUTS.npy        # float32 inputs, prepared as below, [N, ...]\n"
        "```\n",
        _TRUST,
        *([_SIGNED] if facts.signed else []),
        "## Figures\n",
        _figures(facts),
        "\n## Inputs and outputs\n",
        _inputs(facts),
        "\n## Bits\n",
        _bits(facts.allocation),
        *_islands(facts.islands),
        "\n## Where it comes from\n",
        f"- `{facts.command}`, exported {facts.date}",
        f"- retrained for {facts.retraining_steps} steps at these bits from the float checkpoint"
        + ("" if facts.kept == "trained" else _KEPT_START),
    ]
    if facts.onnx:
        parts += [
            "\n## The ONNX model\n",
            "`model.onnx` has the same integer weights in standard operators (QuantizeLinear, "
            "DequantizeLinear), for other tools; a code may differ by one where a float32 sum "
            "falls beside the middle of two.\n",
            f"{facts.about_onnx}\n",
            _SATURATING,
        ]
        if facts.islands:
            parts.append("\nThe float islands are in it as operators in float32.\n")
    elif facts.about_onnx:
        parts += ["\n## No ONNX model\n", f"{facts.about_onnx}\n"]
    return "\n".join(parts) + "\n"


def _figures(facts: CardFacts) -> str:
    score, timed = facts.score, facts.results["best"]["measurement"]
    metric = score.metric
    islands = f" and {facts.island_bytes:,} of float islands" if facts.island_bytes else ""
    lines = [
        f"- test {metric.name} {metric.text_with_error(score.value, score.standard_error)} of "
        f"{score.count:,} images, on integer codes; the float network has "
        f"{metric.text(facts.float_score)}",
        f"- parameters {facts.weight_bytes:,} bytes{islands}; the whole bundle "
        f"{facts.bundle_bytes:,} bytes",
        f"- latency of one image, {timed['source']} on {timed['device']}, median and "
        "interquartile range of the run's last side-by-side timing:\n",
        "| allocation | ms | IQR |",
        "|---|---|---|",
    ]
    for row in facts.results["rows"]:
        latency_ms = row.get("latency_ms")
        if latency_ms is None:
            continue
        name = f"**{row['name']}** (this bundle)" if row["name"] == facts.best else row["name"]
        lines.append(f"| {name} | {latency_ms:.4g} | {row['latency_iqr_ms']:.2g} |")
    return "\n".join(lines)


def _inputs(facts: CardFacts) -> str:
    lines = []
    known = facts.bundle["preprocessing"]
    if known is None:
        lines.append("- inputs: as the network was trained on; nobody said how they are made")
    else:
        lines.append(
            f"- inputs: `(pixel / {known['largest']:g} - mean) / deviation`, mean "
            f"{list(known['mean'])}, deviation {list(known['deviation'])}, channel by channel"
        )
        if known["geometry"]:
            lines.append(f"- size: {known['geometry']}")
    labels, outputs = facts.bundle["labels"], facts.bundle["outputs"]
    if labels and len(outputs) == len(outputs[0]["shape"]) == 1:
        return "\n".join([*lines, f"- outputs: one logit for each of: {', '.join(labels)}"])
    for output in outputs:
        shape = ", ".join(["N", *map(str, output["shape"])])
        lines.append(f"- output `{output['name']}`: float32 `[{shape}]`")
    return "\n".join(lines)


_FOLDERS = re.compile(r'File "[^"]*[/\\]([^"]+)"')
"""A reason quotes the user's line; where the file lay is nobody else's business."""


def _islands(islands: Sequence[ListedIsland]) -> list[str]:
    if not islands:
        return []
    lines = [
        "\n## Float islands\n",
        "These operators have no integer form. They run in float32 between the codes, whatever the "
        "bits are, and retraining left them as they are.\n",
        "| island | operators | of the time at 8 bits | reason |",
        "|---|---|---|---|",
    ]
    for island in islands:
        reason = _FOLDERS.sub(r'File "\1"', island.reason).replace("|", r"\|")
        lines.append(f"| {island.name} | {island.contents} | {island.percent} | {reason} |")
    return lines


def _bits(allocation: Allocation) -> str:
    lines = ["| layer | weights | activations |", "|---|---|---|"]
    lines += [
        f"| {name} | {width_name(bits.weight_bits)} | {bits.activation_bits} |"
        for name, bits in allocation.items
    ]
    if products := allocation.products:
        lines.append(
            f"\n{', '.join(products)}: products of two tensors, which have no weights. Under "
            "weights stand the bits of the right tensor, under activations those of the left one."
        )
    return "\n".join(lines)
