"""The table as Markdown, for the docs."""

from collections.abc import Mapping, Sequence
from typing import Any

from tools.retraining_table.table import NetworkRows, Row
from tools.retraining_table.ways import COMPENSATED, NEAREST, OURS

_HEAD = (
    *("network", "bits", "nearest", "compensated", "retrained", "kept"),
    *("best rival", "behind it", "allowed", "met"),
)


def table_markdown(networks: Sequence[NetworkRows]) -> str:
    """Return one row for each network and width; accuracies in percent, differences in points."""
    lines = [_line(_HEAD), _line(["---"] * len(_HEAD))]
    for network in networks:
        name = f"{network.title} ({network.float_accuracy:.2f} % in float)"
        for number, row in enumerate(network.rows):
            lines.append(_line(["" if number else name, *_cells(row)]))
    return "\n".join(lines) + "\n"


def footnote(document: Mapping[str, Any]) -> str:
    """Return a sentence about what the table's file says of its making."""
    commits = ", ".join(commit[:10] for commit in document["commits"])
    return (
        f"Commit {commits}; {', '.join(document['cpus'])}, one thread; "
        f"{document['seconds'] / 60:.0f} minutes; {document['seeds']} seeds; rates chosen on at "
        f"most {document['search_images']:,} images of the search split.\n"
    )


def _cells(row: Row) -> list[str]:
    ours, reached = row.reached[OURS], row.reached
    if row.rival is None:
        rival = f"before: {reached[COMPENSATED].accuracy:.2f}"
        behind = f"{row.behind:+.2f} ± {row.change.standard_error:.2f}"
    else:
        best = reached[row.rival]
        rate = best.config.learning_rate
        rival = f"{best.title}{'' if rate is None else f' at {rate:g}'}: {best.accuracy:.2f}"
        behind = f"{row.behind:+.2f}"
    return [
        str(row.bits),
        f"{reached[NEAREST].accuracy:.2f}",
        f"{reached[COMPENSATED].accuracy:.2f}",
        f"{ours.accuracy:.2f} ± {ours.deviation:.2f}",
        f"{ours.trained_kept} of {len(ours.each)}",
        rival,
        behind,
        f"{row.allowed:.2f}",
        "yes" if row.met else "**no**",
    ]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
