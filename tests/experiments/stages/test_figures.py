import csv
import io

import numpy as np

from experiments.stages.figures import bits_matrix, draw_bits, draw_front, front_points, png_bytes
from experiments.stages.pareto import pareto_csv
from tests.experiments.evaluations import allocation, evaluation

EVALUATIONS = [
    evaluation(0, allocation(8), accuracy=0.95, latency_ms=1.0),
    evaluation(1, allocation(6), accuracy=0.95, latency_ms=0.7),
    evaluation(2, allocation(5), accuracy=0.90, latency_ms=0.8),
    evaluation(3, allocation(4), accuracy=0.92, latency_ms=0.5),
    evaluation(4, allocation(3), accuracy=0.99, latency_ms=None),
]


def test_front_keeps_what_nothing_beats() -> None:
    points, front = front_points(EVALUATIONS)
    assert points.shape == (4, 2)
    assert front.tolist() == [False, True, False, True]
    assert front_points([])[0].shape == (0, 2)


def test_pareto_csv_is_sorted_by_latency() -> None:
    rows = list(csv.DictReader(io.StringIO(pareto_csv(EVALUATIONS))))
    assert [row["index"] for row in rows] == ["3", "1"]
    assert rows[0]["bits"] == "4/8 4/8"


def test_bits_matrix_has_a_row_for_weights_and_one_for_activations() -> None:
    assert bits_matrix(allocation(4, 3)).tolist() == [[4, 4], [8, 3]]


def test_figures_are_png_images_of_the_stated_size() -> None:
    for figure in (
        draw_bits(allocation(4, 3), "best"),
        draw_front(EVALUATIONS, EVALUATIONS[3], 0.6),
    ):
        png, width, height = png_bytes(figure)
        assert png.startswith(b"\x89PNG")
        assert np.frombuffer(png[16:24], ">u4").tolist() == [width, height]
