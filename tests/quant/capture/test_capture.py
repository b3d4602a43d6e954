import re
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from quant.capture.capture import capture
from quant.errors import CaptureError
from quant.network import prepare
from quant.testing import TinyBranchNet, TinyResidualNet, random_images, shake_batch_norm

IMAGE = (1, 8, 8)
INPUT_READERS: list[Callable[[torch.Tensor], torch.Tensor]] = [
    torch.relu,
    lambda x: x + x,
    lambda x: functional.avg_pool2d(x, 3, 1, 1),
    lambda x: (y := functional.max_pool2d(x, 3, 1, 1)) + y,
]
"""What integers would take anywhere but at the network's input."""


class Net(nn.Module):
    """A function of (modules, x) as a network: conv `a`, conv `b`, norm, linear `fc`."""

    def __init__(self, function: Callable[["Net", torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 8 * 8, 3)
        self.short = nn.Linear(4, 3)
        self._function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._function(self, x)


def test_layer_specs_of_the_residual_net() -> None:
    graph, _ = capture(TinyResidualNet(), random_images(1))
    assert [layer.name for layer in graph.layers] == [
        "stem.0",
        "same.conv1",
        "same.conv2",
        "down.conv1",
        "down.conv2",
        "down.shortcut.0",
        "head",
        "classifier",
    ]
    stem, shortcut, last = graph.layer("stem.0"), graph.layer("down.shortcut.0"), graph.layers[-1]
    assert stem.reads_input
    assert not any(layer.reads_input for layer in graph.layers[1:])
    assert (shortcut.kernel, shortcut.stride, shortcut.padding) == ((1, 1), (2, 2), (0, 0))
    assert (shortcut.input_shape, shortcut.output_shape) == ((9, 8, 8), (15, 4, 4))
    assert (last.kind, last.in_channels, last.out_channels) == ("linear", 52, 10)
    assert (last.input_shape, last.products, last.parameters) == ((52,), 52, 530)


@pytest.mark.parametrize(
    ("net", "shape"), [(TinyResidualNet(), IMAGE), (TinyBranchNet(), (3, 10, 12))]
)
def test_macs_are_half_of_pytorchs_flops(net: nn.Module, shape: tuple[int, ...]) -> None:
    graph, _ = capture(net, random_images(1, shape))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(random_images(1, shape))
    assert sum(layer.macs for layer in graph.layers) * 2 == counter.get_total_flops()


@pytest.mark.parametrize(
    ("net", "shape"), [(TinyResidualNet(), IMAGE), (TinyBranchNet(), (3, 10, 12))]
)
def test_the_folded_network_computes_what_the_module_does(
    net: nn.Module, shape: tuple[int, ...]
) -> None:
    shake_batch_norm(net)
    images = random_images(16, shape)
    with torch.no_grad():
        expected, found = net.eval()(images), prepare(net, images)(images)
    assert float(expected.std()) > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_layers_that_read_one_tensor_are_tied() -> None:
    graph, _ = capture(TinyResidualNet(), random_images(1))
    tensors = {layer.name: layer.tensor for layer in graph.layers}
    assert tensors["down.conv1"] == tensors["down.shortcut.0"]
    assert len(set(tensors.values())) == len(tensors) - 1


def test_pooling_and_flatten_keep_their_input_tensor() -> None:
    graph, _ = capture(TinyResidualNet(), random_images(1))
    head = next(node for node in graph.nodes if node.layer == "head")
    assert graph.layer("classifier").tensor == head.name


def test_wide_values_are_those_of_the_sums() -> None:
    graph, _ = capture(TinyResidualNet(), random_images(1))
    names = {node.layer or node.name: node.name for node in graph.nodes}
    wide = {label for label, name in names.items() if name in graph.wide}
    assert wide == {"stem.0", "same.conv2", "add", "down.conv2", "down.shortcut.0", "add_1"}
    streams = {label: graph.stream_of[names[label]] for label in wide}
    assert streams["stem.0"] == streams["same.conv2"] == streams["add"]
    assert streams["down.conv2"] == streams["down.shortcut.0"] == streams["add_1"]
    assert streams["add"] != streams["add_1"]


def test_activations_are_fused_where_nothing_else_reads() -> None:
    graph, _ = capture(TinyResidualNet(), random_images(1))
    clips = {node.layer or node.name: node.clip for node in graph.nodes if node.clip}
    assert set(clips) == {"stem.0", "same.conv1", "add", "down.conv1", "head"}
    assert clips["stem.0"].maximum == 6.0
    assert clips["head"].maximum is None


def test_layers_may_be_called_like_methods_of_dictionaries() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.keys, self.values, self.update = (nn.Conv2d(1, 4, 3) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.keys(x) * self.values(x) + self.update(x)
            return y.detach().to(torch.float32)

    net, images = Named().eval(), random_images(3)
    network = prepare(net, images)
    assert not network.graph.islands
    assert [layer.name for layer in network.layers] == ["keys", "values", "update"]
    assert network.parameter_prefix("keys") == "layer_modules.keys/"
    with torch.no_grad():
        torch.testing.assert_close(network(images), net(images))


def test_an_activation_is_fused_through_a_flatten() -> None:
    graph, _ = capture(Net(lambda n, x: n.fc(n.a(x).flatten(1).relu())), random_images(1))
    assert [node.kind for node in graph.nodes] == ["input", "conv2d", "flatten", "linear"]


def test_an_activation_stays_apart_where_its_input_is_read_too() -> None:
    net = Net(lambda n, x: n.fc((n.b((y := n.a(x)).relu()) + y).flatten(1)))
    graph, _ = capture(net, random_images(1))
    kinds = [node.kind for node in graph.nodes]
    assert kinds == ["input", "conv2d", "clip", "conv2d", "add", "flatten", "linear"]


def test_a_concatenation_shares_one_quantizer() -> None:
    graph, _ = capture(TinyBranchNet(), random_images(1, (3, 10, 12)))
    nodes = {node.layer or node.kind: node for node in graph.nodes}
    joined = nodes["concat"]
    assert joined.inputs == (nodes["depthwise"].name, nodes["grouped"].name)
    assert joined.shape == (14, 10, 12)
    assert len({graph.tensor_of[name] for name in (*joined.inputs, joined.name)}) == 1
    assert graph.layer("mixed").tensor == nodes["depthwise"].name


def test_branch_net_geometry() -> None:
    graph, _ = capture(TinyBranchNet(), random_images(1, (3, 10, 12)))
    assert graph.layer("depthwise").is_depthwise
    grouped = graph.layer("grouped")
    assert (grouped.groups, grouped.dilation, grouped.products) == (2, (2, 2), 36)
    assert (graph.layer("stem").kernel, graph.layer("stem").padding) == ((3, 5), (1, 2))
    pools = [node.window for node in graph.nodes if node.kind == "avg_pool"]
    assert pools[0] is not None
    assert (pools[0].kernel, pools[0].stride, pools[0].padding) == ((2, 3), (2, 2), (0, 1))


@pytest.mark.parametrize(
    "function",
    [
        lambda n, x: n.short(n.a(x).mean((2, 3))),
        lambda n, x: n.short(n.a(x).mean((-1, -2), keepdim=True).flatten(1)),
        lambda n, x: n.short(functional.adaptive_avg_pool2d(n.a(x), 1).flatten(1)),
        lambda n, x: n.fc(n.norm(n.a(x)).clamp(min=0).reshape(-1, 256)),
        lambda n, x: n.fc(n.a(x).clamp(0, 4).view(x.shape[0], -1)),
        lambda n, x: n.fc(functional.hardtanh(n.a(x), 0.0, 6.0).flatten(1)),
        lambda n, x: n.fc(functional.max_pool2d(n.a(x), 3, 1, 1).flatten(1)),
        lambda n, x: n.short(
            functional.avg_pool2d(functional.adaptive_avg_pool2d(n.a(x), (4, 2)), (4, 2)).flatten(1)
        ),
        lambda n, x: n.b(n.a(x).relu_()),
        *(lambda n, x, f=f: n.a(f(x)) for f in INPUT_READERS),
        lambda n, x: n.a(x) + torch.cat((x, x, x, x), 1),
        lambda n, x: n.b((y := torch.cat((x, n.a(x)[:, 1:]), 1)) + y),
        lambda n, x: n.short(n.a(x).mean((2, 3)) + x.mean((2, 3))),
        lambda n, x: n.fc((y := n.a(x).flatten(1)) + y.sigmoid()),
        lambda n, x: n.fc(functional.layer_norm(n.a(x).flatten(1), (256,))),
        lambda n, x: torch.cat((n.a(x).flatten(1), n.b(n.a(x)).flatten(1)), 1),
    ],
)
def test_other_supported_forms_compute_the_same(
    function: Callable[[Net, torch.Tensor], torch.Tensor],
) -> None:
    net = Net(function).eval()
    shake_batch_norm(net)
    images = random_images(5)
    with torch.no_grad():
        torch.testing.assert_close(prepare(net, images)(images), net(images), rtol=1e-5, atol=1e-5)


def test_layers_whose_result_is_unused_are_left_out() -> None:
    def unused(net: Net, x: torch.Tensor) -> torch.Tensor:
        y = net.a(x)
        net.b(y)
        return net.fc(y.flatten(1))  # type: ignore[no-any-return]

    graph, parameters = capture(Net(unused), random_images(1))
    assert [layer.name for layer in graph.layers] == list(parameters) == ["a", "fc"]


def test_capture_leaves_the_module_as_it_was() -> None:
    net = TinyResidualNet().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    capture(net, random_images(1))
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda n, x: n.fc(torch.log(n.a(x)).flatten(1)), r"aten\.log.*Net"),
        (lambda n, x: n.fc(n.a(x).flatten(1)) * 2, "output is not quantized.*Net"),
        (lambda n, x: (y := n.fc(n.a(x).flatten(1))) * n.short(n.a(x).mean((2, 3))) * y, "output"),
        (
            lambda n, x: n.fc(
                (n.a(x) * functional.adaptive_avg_pool2d(n.b(n.a(x)), (8, 1))).flatten(1)
            ),
            "one value a channel",
        ),
        (lambda n, x: n.fc((2.0 / n.a(x)).flatten(1)), r"aten\.reciprocal"),
        (lambda n, x: n.fc((n.a(x) ** 0.5).flatten(1)), r"aten\.pow"),
        (lambda n, x: n.fc((n.a(x) + x).flatten(1)), "broadcasting"),
        (lambda n, x: n.fc(n.norm(n.a(x).relu()).flatten(1)), r"batch norm must.*module norm"),
        (lambda n, x: n.fc((n.norm(y := n.a(x)) + y).flatten(1)), "batch norm must.*module norm"),
        (lambda n, x: n.fc(n.a(x).roll(1, 2).flatten(1)), r"aten\.roll"),
        (
            lambda n, x: n.fc(
                torch.cat([n.a(x).unflatten(1, (2, 2))] * 2, 2)[:, :, 1:3].flatten(1)
            ),
            "concatenation along axis 2",
        ),
        (lambda n, x: n.short(n.a(x).mean(2).mean(2)), "height and width"),
        (
            lambda n, x: n.short(functional.adaptive_avg_pool2d(n.a(x), 3).mean((2, 3))),
            "divide",
        ),
        (lambda n, x: n.fc(functional.max_pool2d(n.a(x), 5, 1, 2, 1, True).flatten(1)), "dilation"),
        *((lambda n, x, f=f: n.a(f(x)), "reads the network's input") for f in INPUT_READERS),
        (lambda n, x: n.fc((y := n.a(x).flatten(1)) + y), "flattened is read by other operators"),
        (lambda n, x: n.fc(n.a(x).flatten(1).sigmoid()), "flattened is read by other operators"),
    ],
)
def test_what_has_no_integer_form_stays_in_float_and_says_why(
    function: Callable[[Net, torch.Tensor], torch.Tensor], words: str
) -> None:
    graph, _ = capture(Net(function), random_images(1))
    assert re.search(words, graph.islands[0].reason)
    assert re.search(r"test_capture\.py.*line \d+", graph.islands[0].reason)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda n, x: x, "expected at least one Conv2d or Linear"),
        (lambda n, x: torch.tanh(x), "expected at least one Conv2d or Linear"),
        (lambda n, x: n.a(x) if x.sum() > 0 else n.b(x), "Net cannot be captured"),
    ],
)
def test_what_cannot_be_captured_is_refused(
    function: Callable[[Net, torch.Tensor], torch.Tensor], words: str
) -> None:
    with pytest.raises(CaptureError, match=words):
        capture(Net(function), random_images(1))


def test_a_module_called_twice_is_two_layers() -> None:
    graph, parameters = capture(
        Net(lambda n, x: n.fc(n.b(n.b(n.a(x))).flatten(1))), random_images(1)
    )
    assert [layer.name for layer in graph.layers] == ["a", "b", "b#2", "fc"]
    assert torch.equal(parameters["b"].weight, parameters["b#2"].weight)
    assert graph.layer("b").tensor != graph.layer("b#2").tensor


def test_islands_that_follow_each_other_are_one() -> None:
    def function(net: Net, x: torch.Tensor) -> torch.Tensor:
        y = torch.dropout(torch.softmax(net.a(x), 1).tanh(), 0.5, False).cumsum(2)
        return net.fc((net.b(y) + y).flatten(1))  # type: ignore[no-any-return]

    graph, _ = capture(Net(function), random_images(1))
    assert [island.operators for island in graph.islands] == [("softmax", "tanh", "cumsum")]
    assert not graph.lookups


@pytest.mark.parametrize(
    ("function", "operators"),
    [
        (lambda n, x: functional.hardtanh(n.a(x)), [("hardtanh",)]),
        (lambda n, x: n.a(x).clamp(max=6), [("clamp",)]),
        (lambda n, x: n.a(x) + 1.0, [("add",)]),
        (lambda n, x: torch.tanh(n.a(x)) * 2, [("tanh", "mul")]),
        (lambda n, x: n.a(x) * n.scale, [("mul",)]),
        (lambda n, x: (y := n.a(x)) * torch.sigmoid(y), [("sigmoid", "mul")]),
        (lambda n, x: (y := n.a(x)) * (y + 3).clamp(0, 6) / 6, [("add", "clamp", "mul", "div")]),
        (lambda n, x: (y := n.a(x)) * y + y.abs(), [("mul", "abs", "add")]),
        # What others read as well stays a table of its own.
        (lambda n, x: n.b(y := torch.sigmoid(n.a(x))) + y * 2, [("sigmoid",), ("mul",)]),
        (lambda n, x: (y := n.a(x)) + y, []),
    ],
)
def test_functions_of_one_value_are_lookups(
    function: Callable[[Net, torch.Tensor], torch.Tensor], operators: list[tuple[str, ...]]
) -> None:
    def network(net: Net, x: torch.Tensor) -> torch.Tensor:
        return net.fc(function(net, x).flatten(1))  # type: ignore[no-any-return]

    net = Net(network).eval()
    net.register_buffer("scale", torch.tensor(0.5))
    images = random_images(3)
    graph, _ = capture(net, images)
    assert [lookup.operators for lookup in graph.lookups] == operators
    assert not graph.islands
    with torch.no_grad():
        torch.testing.assert_close(prepare(net, images)(images), net(images), rtol=1e-5, atol=1e-5)


def test_same_padding_by_name_is_a_number_where_it_is_the_same_on_both_sides() -> None:
    graph, _ = capture(nn.Sequential(nn.Conv2d(1, 2, 3, padding="same")), random_images(1))
    assert graph.layers[0].padding == (1, 1)
    net = nn.Sequential(nn.Conv2d(1, 2, 4, padding="same"), nn.Conv2d(2, 2, 1))
    graph, _ = capture(net, random_images(1))
    assert "not the same on both sides" in graph.islands[0].reason


def test_examples_of_another_rank_are_refused() -> None:
    with pytest.raises(CaptureError, match=r"\[N, C, H, W\].*\[1, 1, 8, 8, 8\]"):
        capture(TinyResidualNet(), torch.zeros(1, 1, 8, 8, 8))


def test_a_network_of_linears_takes_vectors() -> None:
    net = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    vectors = random_images(7, (6,))
    with torch.no_grad():
        torch.testing.assert_close(prepare(net, vectors)(vectors), net.eval()(vectors))
