"""Promises of checkpoints: what a run wrote comes back, and anything else is told in a sentence and changes nothing."""

from __future__ import annotations

import json
import os
import pickle

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save  # noqa: E402

from tsmgan.errors import ModelError  # noqa: E402
from tsmgan.training.checkpoint import NAME, State, load_checkpoint, read_state, save_checkpoint  # noqa: E402

STATE = State(7, 1.5, {"period_3": True}, {"name": "smoke"})


def player():
    """A module that has been trained for a step, and its optimiser."""
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return module, optimiser


def load(file):
    module, optimiser = player()
    before = [p.clone() for p in module.parameters()]
    try:
        return load_checkpoint(file, {"generator": module}, {"generator": (module, optimiser)})
    except ModelError:
        assert all(torch.equal(a, b) for a, b in zip(before, module.parameters())), "something was changed"
        raise


@pytest.fixture
def file(tmp_path):
    module, optimiser = player()
    save_checkpoint(tmp_path / NAME, {"generator": module}, {"generator": (module, optimiser)}, STATE)
    return tmp_path / NAME


def rewrite(file, change) -> None:
    """The checkpoint with its tensors and its state changed."""
    from safetensors import safe_open

    with safe_open(str(file), framework="pt") as stored:
        tensors, state = {name: stored.get_tensor(name) for name in stored.keys()}, json.loads(stored.metadata()["state"])
    metadata = change(tensors, state)
    file.write_bytes(save(tensors, {"state": json.dumps(state)} if metadata is None else metadata))


def test_a_checkpoint_comes_back_as_it_was(file):
    assert load(file) == read_state(file) == STATE


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"\xff" * 100, (2**62).to_bytes(8, "little") + b"{}", b"PK\3\4" + bytes(100), pickle.dumps(Evil()), os.urandom(500)],
    ids=["empty", "zeros", "ones", "endless header", "zip", "pickle", "noise"],
)
def test_a_file_that_is_no_checkpoint_is_told_and_not_executed(folder, content):
    file = folder / NAME
    file.write_bytes(content)
    for read in (load, read_state):
        with pytest.raises(ModelError, match="damaged or not a checkpoint"):
            read(file)
    torch.save({"generator": Evil()}, file)
    with pytest.raises(ModelError, match="damaged or not a checkpoint"):
        load(file)
    assert not (folder / "executed").exists()


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_told(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match="damaged"):
        load(file)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_checkpoint_that_is_no_file_is_told_and_not_waited_for(tmp_path, kind):
    place = tmp_path / NAME
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()
    for read in (load, read_state):
        with pytest.raises(ModelError, match="no regular file"):
            read(place)


WEIGHT, MOMENT, COUNT = "generator.weight", "optimiser.generator.weight.exp_avg", "optimiser.generator.weight.step"
SQUARE = f"{MOMENT}_sq"
TENSORS = {
    "a weight that is not a number": lambda t: t.update({WEIGHT: torch.full((2, 3), float("nan"))}),
    "an infinite moment": lambda t: t.update({MOMENT: torch.full((2, 3), float("inf"))}),
    "a negative square": lambda t: t.update({SQUARE: -torch.ones(2, 3)}),
    "a negative count": lambda t: t.update({COUNT: torch.tensor(-3.0)}),
    "another shape": lambda t: t.update({WEIGHT: torch.zeros(3, 2)}),
    "no dimensions": lambda t: t.update({WEIGHT: torch.zeros(())}),
    "a moment of another shape": lambda t: t.update({MOMENT: torch.zeros(6)}),
    "a count that is a vector": lambda t: t.update({COUNT: torch.zeros(4)}),
    "whole numbers": lambda t: t.update({WEIGHT: torch.zeros(2, 3, dtype=torch.int64)}),
    "another precision": lambda t: t.update({WEIGHT: torch.zeros(2, 3, dtype=torch.float16)}),
    "a missing weight": lambda t: t.pop(WEIGHT),
    "a missing moment": lambda t: t.pop(MOMENT),
    "a weight too many": lambda t: t.update({"generator.more": torch.zeros(3)}),
    "a long name": lambda t: t.update({"generator." + "x" * 10**5: torch.zeros(3)}),
}


@pytest.mark.parametrize("change", TENSORS.values(), ids=TENSORS.keys())
def test_tensors_that_are_not_the_runs_own_are_refused_and_change_nothing(file, change):
    rewrite(file, lambda tensors, state: (change(tensors), None)[1])
    with pytest.raises(ModelError, match=r"damaged|another architecture") as caught:
        load(file)
    assert len(str(caught.value)) < 600


STATES = {
    "no state": lambda state: {},
    "no JSON": lambda state: {"state": "{"},
    "a list": lambda state: {"state": "[]"},
    "nested deeply": lambda state: {"state": "[" * 10**5},
    "a number of 5000 digits": lambda state: {"state": '{"format": 1, "step": ' + "9" * 5000 + "}"},
    "another format": lambda state: state.update(format=2),
    "an odd format": lambda state: state.update(format=["x" * 10**5]),
    "a step that is text": lambda state: state.update(step="7"),
    "a negative step": lambda state: state.update(step=-1),
    "a broken step": lambda state: state.update(step=1.5),
    "no step": lambda state: state.pop("step") and None,
    "seconds without end": lambda state: {"state": json.dumps(state | {"seconds": 1e300}).replace("1e+300", "1e999")},
    "seconds that are no number": lambda state: state.update(seconds=float("nan")),
    "seconds that are a flag": lambda state: state.update(seconds=True),
    "gates that are a list": lambda state: state.update(gates=[]),
    "gates that are numbers": lambda state: state.update(gates={"period_3": 0.5}),
    "a recipe that is text": lambda state: state.update(recipe="smoke"),
    "no recipe": lambda state: state.update(recipe=None),
}


@pytest.mark.parametrize("change", STATES.values(), ids=STATES.keys())
def test_a_state_that_no_run_wrote_is_refused_in_a_sentence(file, change):
    rewrite(file, lambda tensors, state: change(state))
    for read in (load, read_state):
        with pytest.raises(ModelError) as caught:
            read(file)
        assert len(str(caught.value)) < 600
