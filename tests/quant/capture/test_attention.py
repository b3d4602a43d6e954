"""Attention: its products are integer ones, however it is written; its softmax stays in float."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from quant.allocation import Allocation, ProductBits
from quant.capture.capture import capture
from quant.capture.rewriting.einsum import matrices_of
from quant.convert import convert
from quant.deploy_graph import MatMul
from quant.errors import CaptureError, ConvertError
from quant.integer_parameters import check_products
from quant.testing import prepare_calibrated, random_images
from tests.quant.agreement import check_agreement
from tests.quant.test_special_networks import MOVES
from tests.quant.token_networks import IMAGE, WIDTH, Patches, TinyViT

Tensor = torch.Tensor


class _Attention(Patches):
    """Queries, keys and values of three layers, four heads, and what `mix` makes of them."""

    def __init__(self, mix: Any) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        t = self.tokens(x)
        q, k, v = (
            part(t).reshape(x.shape[0], 16, 4, 8).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        made: Tensor = self.head(
            self.mix(q, k, v).transpose(1, 2).reshape(x.shape[0], 16, -1).mean(1)
        )
        return made


def _by_division(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1) / 8**0.5).softmax(-1) @ v


def _by_turned_values(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    shares = torch.softmax(torch.matmul(k, q.mT).mT * 8**-0.5, dim=-1)
    return (v.mT @ shares.mT).mT


def _by_groups(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (part.reshape(-1, 16, 8) for part in (q, k, v))
    shares = torch.bmm(q * 8**-0.5, k.transpose(1, 2)).softmax(-1)
    return torch.bmm(shares, v).reshape(-1, 4, 16, 8)


def _by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    shares = (torch.einsum("b h i d, b h j d -> b h i j", q, k) * 8**-0.5).softmax(-1)
    return torch.einsum("bhij,bhjd->bhid", shares, v)


def _by_einsum_of_tokens(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    shares = (torch.einsum("bqhd,bkhd->bhqk", q, k) * 8**-0.5).softmax(-1)
    return torch.einsum("bhqk,bkhd->bqhd", shares, v).transpose(1, 2)


def _linear(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return q.relu() @ (k.relu().transpose(-2, -1) @ v)


WAYS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "in one piece": (functional.scaled_dot_product_attention, ("softmax",)),
    "scaled": (
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, scale=0.1),
        ("softmax",),
    ),
    "by division": (_by_division, ("softmax",)),
    "turned": (_by_turned_values, ("softmax",)),
    "by groups": (_by_groups, ("softmax",)),
    "by einsum": (_by_einsum, ("softmax",)),
    "by einsum of tokens": (_by_einsum_of_tokens, ("softmax",)),
    "linear": (_linear, ()),
    "to few": (
        lambda q, k, v: functional.scaled_dot_product_attention(q, k[:, :, ::3], v[:, :, ::3]),
        ("softmax",),
    ),
}


def _network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return _Attention(WAYS[name][0]).eval()


@pytest.mark.parametrize("name", WAYS)
def test_products_are_integer_ones_and_softmax_alone_is_left(name: str) -> None:
    module, images = _network(name), random_images(8, IMAGE)
    network = prepare_calibrated(module, images)
    with torch.no_grad():
        torch.testing.assert_close(network(images), module(images), rtol=1e-4, atol=1e-5)
    left = [one for island in network.graph.islands for one in island.operators]
    assert tuple(one for one in left if one not in MOVES) == WAYS[name][1]
    products = [node.matrices for node in network.graph.nodes if node.matrices is not None]
    assert [one.groups for one in products] == [4, 4]
    assert sum(one.macs for one in products) > 0
    network.set_allocation(Allocation.uniform(network.layers, 8))
    assert sum(isinstance(op, MatMul) for op in convert(network).ops) == 2


@pytest.mark.parametrize("name", WAYS)
def test_attention_is_equal_to_the_bit_and_to_retraining(name: str) -> None:
    images = random_images(24, IMAGE)
    check_agreement(prepare_calibrated(_network(name), images), images, classes=10)


@pytest.mark.parametrize("name", ["in one piece", "scaled", "by division"])
def test_scales_are_a_part_of_the_products(name: str) -> None:
    graph, _ = capture(_network(name), random_images(1, IMAGE))
    first, second = (node for node in graph.nodes if node.matrices is not None)
    assert first.scale == pytest.approx(0.1 if name == "scaled" else 8**-0.5)
    assert second.scale == 1.0
    assert not graph.lookups


def test_each_side_has_bits_and_a_zero_point_of_its_own() -> None:
    network = prepare_calibrated(_network("in one piece"), images := random_images(16, IMAGE))
    widths = {"matmul": (3, 5), "matmul#2": (6, 7)}
    chosen = dict(Allocation.uniform(network.layers, 4).items) | {
        name: ProductBits(weight_bits=right, activation_bits=left)
        for name, (right, left) in widths.items()
    }
    network.set_allocation(Allocation.of(chosen))
    scores, mixed = (op for op in convert(network).ops if isinstance(op, MatMul))
    assert (scores.layer, scores.bits) == ("matmul", (5, 3))
    assert (mixed.layer, mixed.bits) == ("matmul#2", (7, 6))
    assert mixed.input_zero_points[0] == 0  # a softmax is never below zero
    assert 0 < scores.input_zero_points[0] < 31
    assert len(images) == 16


def test_products_are_named_by_their_module_and_know_their_tensors() -> None:
    network = prepare_calibrated(TinyViT().eval(), random_images(2, IMAGE))
    scores, mixed = (la for la in network.layers if la.name.startswith("blocks.1.attn.matmul"))
    assert (scores.name, mixed.name) == ("blocks.1.attn.matmul", "blocks.1.attn.matmul#2")
    assert scores.is_square  # queries and keys are parts of what one layer makes
    assert mixed.right == scores.tensor != mixed.tensor
    assert (scores.in_channels, scores.out_channels, scores.parameters) == (8, 17, 0)
    assert scores.macs == 4 * 17 * 8 * 17
    assert [la.name for la in network.layers if not la.has_weights][:1] == ["blocks.0.attn.matmul"]
    assert "blocks.0.attn.matmul" not in {layer.name for layer in network.weight_layers}


MASKED: dict[str, Any] = {
    "a mask": lambda q, k, v: functional.scaled_dot_product_attention(
        q, k, v, torch.ones(16, 16).tril().bool()
    ),
    "causal": lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True),
}


@pytest.mark.parametrize("name", MASKED)
def test_attention_with_a_mask_stays_in_one_piece_in_float(name: str) -> None:
    torch.manual_seed(0)
    module, images = _Attention(MASKED[name]).eval(), random_images(4, IMAGE)
    network = prepare_calibrated(module, images)
    with torch.no_grad():
        torch.testing.assert_close(network(images), module(images), rtol=1e-4, atol=1e-5)
    (island,) = network.graph.islands
    assert "scaled_dot_product_attention" in island.operators


def test_products_that_are_broadcast_stay_in_float() -> None:
    torch.manual_seed(0)
    module = _Attention(lambda q, k, v: (q @ k[:, :1].transpose(-2, -1)).softmax(-1) @ v).eval()
    network = prepare_calibrated(module, random_images(4, IMAGE))
    left = [one for island in network.graph.islands for one in island.operators]
    assert "matmul" in left
    assert [node.kind for node in network.graph.nodes].count("matmul") == 1


@pytest.mark.parametrize(
    "equation",
    [
        "nchw,ndhw->ncd",
        "bid,bjd",
        "bid,dj->bij",
        "bii,bij->bij",
        "bid,bjd->bi",
        "...id,...jd->...ij",
    ],
)
def test_einsums_that_multiply_no_matrices_are_left(equation: str) -> None:
    assert matrices_of(equation) is None


def test_sums_that_could_leave_int32_are_refused() -> None:
    check_products(33_000, 255, 255, "scores")
    with pytest.raises(ConvertError, match="40000 products are too many"):
        check_products(40_000, 255, 255, "scores")


def test_a_product_with_a_constant_that_is_no_matrix_stays_in_float() -> None:
    class Net(Patches):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(1, WIDTH, WIDTH))

        def forward(self, x: Tensor) -> Tensor:
            made: Tensor = self.head((self.tokens(x) @ self.w).mean(1))
            return made

    graph, _ = capture(Net().eval(), random_images(1, IMAGE))
    assert "matmul" in graph.islands[0].operators


class _Texts(nn.Module):
    """An embedding, positions, maybe kinds of tokens that are all the same, and a Linear."""

    def __init__(self, *, masked: bool = False, shifted: bool = False, kinds: bool = False) -> None:
        super().__init__()
        self.kinds = nn.Embedding(2, 12) if kinds else None
        self.table, self.fc = nn.Embedding(50, 12), nn.Linear(12, 3)
        self.places = nn.Embedding(7, 12)
        self.masked, self.shifted = masked, shifted

    def forward(self, x: Tensor) -> Tensor:
        ids = x.long()
        t = self.table(ids + 1 if self.shifted else ids) + self.places(torch.arange(7))
        if self.kinds is not None:
            t = t + self.kinds(torch.zeros_like(ids)) + self.kinds(ids.new_ones(ids.shape))
        if self.masked:
            t = t * (x > 0).unsqueeze(-1)
        made: Tensor = self.fc(t).mean(1)
        return made


def _texts(count: int) -> Tensor:
    return torch.randint(50, (count, 7), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize("kinds", [False, True])
def test_an_embedding_reads_the_networks_input(kinds: bool) -> None:
    torch.manual_seed(0)
    module, texts = _Texts(kinds=kinds).eval(), _texts(24)
    network = prepare_calibrated(module, texts)
    with torch.no_grad():
        torch.testing.assert_close(network(texts), module(texts), rtol=1e-4, atol=1e-5)
    assert not network.graph.islands
    assert [layer.reads_input for layer in network.layers] == [False]
    check_agreement(network, texts, classes=3)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("masked", "expected numbers of tokens that embeddings alone look up"),
        ("shifted", "expected an embedding that looks up the network's input"),
    ],
)
def test_numbers_that_are_computed_with_are_refused(kind: str, sentence: str) -> None:
    with pytest.raises(CaptureError, match=sentence) as caught:
        capture(_Texts(**{kind: True}).eval(), _texts(1))
    assert caught.value.hint
