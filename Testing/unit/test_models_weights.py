"""Weights: written whole, read back the same, refused when anything is wrong."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from DeepRegLib.errors import ModelProblem
from DeepRegLib.models import save as save_module
from DeepRegLib.models.build import ARCHITECTURES, build_network
from DeepRegLib.models.card import Architecture, ModelCard
from DeepRegLib.models.find import Model, find_model
from DeepRegLib.models.load import load_network
from DeepRegLib.models.save import save_model
from DeepRegLib.models.weights import load_weights
from DeepRegLib.networks.unet import UNet
from model_cases import UNET_CARD
from safetensors.torch import load_file, save, save_file

CARD = replace(UNET_CARD, name="tiny", description="For the tests.", method="eppenhof2020")


def network(seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    made = UNet(2, 2).train()
    with torch.no_grad():
        made(torch.rand(1, 2, 8, 8, 8))  # moving averages other than zero and one
    return made.eval()


def stored(folder: Path, content: bytes) -> Model:
    """A model whose weights file is ``content``, with the right checksum."""
    (folder / "tiny.safetensors").write_bytes(content)
    card = replace(CARD, weights_file="tiny.safetensors", sha256=hashlib.sha256(content).hexdigest())
    return Model(card, folder)


def raw(header: bytes, data: bytes = b"") -> bytes:
    """A safetensors file by the letter of the format: length of the header, header, data."""
    return struct.pack("<Q", len(header)) + header + data


def test_a_saved_model_is_found_and_infers_the_same(tmp_path):
    original = network()
    save_model(tmp_path, CARD, original)
    loaded = load_network(find_model("tiny", [tmp_path]))
    images = torch.rand(1, 2, 16, 16, 16)
    assert torch.equal(loaded(images), original(images))
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())


def test_the_file_is_plain_safetensors_with_the_checksum_of_the_card(tmp_path):
    model = save_model(tmp_path, CARD, network())
    assert hashlib.sha256(model.weights.read_bytes()).hexdigest() == model.card.sha256
    state = load_file(model.weights)
    assert {name: tensor.shape for name, tensor in state.items()} == {
        name: tensor.shape for name, tensor in network().state_dict().items()
    }


def test_half_precision_is_stored_in_half_and_computed_in_full(tmp_path):
    original = network()
    full = save_model(tmp_path, replace(CARD, name="full"), original)
    half = save_model(tmp_path, replace(CARD, name="half"), copy.deepcopy(original).half())
    header = 8 + struct.unpack("<Q", half.weights.read_bytes()[:8])[0]
    assert half.weights.stat().st_size - header < 0.6 * (full.weights.stat().st_size - header)
    loaded = load_network(half)
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32, torch.int64}
    for name, tensor in original.state_dict().items():
        expected = tensor.half().to(tensor.dtype) if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.state_dict()[name], expected), name


def test_saving_again_replaces_the_model_and_leaves_one(tmp_path):
    first = save_model(tmp_path, CARD, network(0))
    second = save_model(tmp_path, CARD, network(1))
    assert first.weights != second.weights
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["tiny.card.json", second.weights.name])
    assert torch.equal(load_network(find_model("tiny", [tmp_path])).head.weight, network(1).head.weight)
    assert save_model(tmp_path, CARD, network(1)) == second
    assert second.weights.exists()


def test_a_failure_between_weights_and_card_leaves_the_former_model(tmp_path, monkeypatch):
    save_model(tmp_path, CARD, network(0))
    monkeypatch.setattr(ModelCard, "to_json", lambda card: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_model(tmp_path, CARD, network(1))
    monkeypatch.undo()
    assert torch.equal(load_network(find_model("tiny", [tmp_path])).head.weight, network(0).head.weight)


def test_a_network_other_than_the_card_says_is_not_saved(tmp_path):
    with pytest.raises(ModelProblem, match="The weights of 'tiny' hold tensors that the network does not have"):
        save_model(tmp_path, CARD, UNet(2, 3))
    with pytest.raises(ModelProblem, match=r"is \(8, 8, 3, 3, 3\) instead of \(4, 4, 3, 3, 3\)"):
        save_model(tmp_path, CARD, UNet(4, 2))
    broken = network()
    broken.head.bias.data[0] = torch.nan
    with pytest.raises(ModelProblem, match=r"not numbers, in 'head\.bias'"):
        save_model(tmp_path, CARD, broken)
    assert not list(tmp_path.iterdir())


def test_weights_can_be_loaded_to_train_on(tmp_path):
    model = save_model(tmp_path, CARD, network())
    fresh = UNet(2, 2).train()
    parameter = fresh.head.weight
    load_weights(fresh, model.weights, model.card.sha256)
    assert fresh.head.weight is parameter and parameter.requires_grad and fresh.training
    assert torch.equal(parameter, network().head.weight)


def test_missing_weights_are_said(tmp_path):
    model = save_model(tmp_path, CARD, network())
    model.weights.unlink()
    with pytest.raises(ModelProblem, match="are missing beside their model card"):
        load_network(model)


def test_changed_weights_are_refused(tmp_path):
    model = save_model(tmp_path, CARD, network())
    content = bytearray(model.weights.read_bytes())
    content[-1] ^= 1
    model.weights.write_bytes(content)
    with pytest.raises(ModelProblem, match="checksum"):
        load_network(model)


@pytest.mark.parametrize("left", [0, 4, 100, -1])
def test_truncated_weights_are_refused_even_with_their_own_checksum(tmp_path, left):
    content = save(network().state_dict())[:left]
    with pytest.raises(ModelProblem, match="are damaged"):
        load_network(stored(tmp_path, content))


def entry(dtype: str = "F32", shape: tuple[int, ...] = (1,), offsets: tuple[int, int] = (0, 4)) -> bytes:
    return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",  # a header of nine exabytes
        struct.pack("<Q", 50_000_000) + b"{}",
        raw(entry(shape=(2**40,), offsets=(0, 2**42)), b"1234"),  # a tensor larger than the file
        raw(entry(shape=(2**63, 2**63), offsets=(0, 4)), b"1234"),  # whose size overflows
        raw(entry(shape=(4,)), b"1234"),  # shape and bytes disagree
        raw(entry(offsets=(4, 0)), b"1234"),
        raw(entry(offsets=(0, 4)), b"12345678"),  # bytes that belong to nothing
        raw(entry(dtype="F99"), b"1234"),
        raw(b"not json"),
        raw(b'{"a": 5}'),
        raw(b"[" * 100_000),
        b"",
    ],
)
def test_a_hostile_header_is_refused(tmp_path, content):
    with pytest.raises(ModelProblem, match="are damaged"):
        load_network(stored(tmp_path, content))


def test_a_pickle_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    with pytest.raises(ModelProblem, match="are damaged"):
        load_network(stored(tmp_path, pickle.dumps(Trap())))
    torch.save(network().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ModelProblem, match="are damaged"):
        load_network(stored(tmp_path, (tmp_path / "weights.pt").read_bytes()))
    assert not (tmp_path / "sprung").exists()


def test_a_file_far_larger_than_the_network_is_not_read(tmp_path):
    path = tmp_path / "tiny.safetensors"
    with path.open("wb") as file:
        file.truncate(10**12)  # a sparse file
    card = replace(CARD, weights_file=path.name, sha256="0" * 64)
    with pytest.raises(ModelProblem, match="larger"):
        load_network(Model(card, tmp_path))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda state: state.pop("head.bias"), "lack tensors of the network: head.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "hold tensors that the network does not have: extra"),
        (lambda state: state.update({"head.bias": torch.zeros(4)}), r"'head.bias' is \(4,\) instead of \(3,\)"),
        (lambda state: state.update({"head.bias": torch.zeros(3, dtype=torch.int32)}), "holds torch.int32"),
        (lambda state: state.update({"head.bias": torch.full((3,), torch.inf)}), "not numbers, in 'head.bias'"),
        (lambda state: state.update({"head.bias": torch.tensor([0, 1e300, 0]).double()}), "not numbers"),
        (lambda state: [state.pop(name) for name in list(state)], "and 43 more"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, change, sentence):
    state = network().state_dict()
    change(state)
    with pytest.raises(ModelProblem, match=sentence):
        load_network(stored(tmp_path, save(state)))


def test_refused_weights_leave_a_network_as_it_was(tmp_path):
    state = network(1).state_dict()
    state["head.bias"] = torch.full((3,), torch.nan)
    save_file(state, tmp_path / "w.safetensors")
    digest = hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()
    mine = network(0)
    with pytest.raises(ModelProblem):
        load_weights(mine, tmp_path / "w.safetensors", digest)
    assert torch.equal(mine.encoders[0][0].weight, network(0).encoders[0][0].weight)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_architecture_is_built_by_its_name(name):
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build_network(name).parameters()) > 5 * 10**5


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("resnet"),
        Architecture("unet", {"bases": 4}),
        Architecture("unet", {"base": "many"}),
        Architecture("unet", {"base": 10**30}),
        Architecture("unet", {"norm": "group"}),
        Architecture("vgg_grid", {"channels": 5}),
    ],
)
def test_an_architecture_that_cannot_be_built_is_a_problem_of_the_model(tmp_path, architecture):
    card = replace(CARD, architecture=architecture, weights_file="w", sha256="0" * 64)
    with pytest.raises(ModelProblem, match=r"no network 'resnet'|cannot be built with"):
        load_network(Model(card, tmp_path))


def test_a_card_that_asks_for_a_monster_takes_no_memory(tmp_path):
    """A network of a hundred terabytes is described, not made; the weights then do not fit."""
    model = stored(tmp_path, save(network().state_dict()))
    card = replace(model.card, architecture=Architecture("unet", {"base": 40_000, "levels": 5}))
    with pytest.raises(ModelProblem, match=r"do not fit|lack tensors"):
        load_network(Model(card, tmp_path))


def test_weights_and_then_card_are_written_whole(tmp_path, monkeypatch):
    seen = []
    inner = save_module.whole_file

    def watching(path):
        seen.append((path.name, path.exists()))
        return inner(path)

    monkeypatch.setattr(save_module, "whole_file", watching)
    model = save_model(tmp_path, CARD, network())
    assert seen == [(model.weights.name, False), ("tiny.card.json", False)]
