"""State of a training: what is packed comes back, and nothing is shared."""

import json
from copy import deepcopy

import pytest

torch = pytest.importorskip("torch")

from radlatent.nn.training.state import State, pack, unpack  # noqa: E402


def trained(seed, n_steps=3):
    """Return a small model, its optimizer after some steps, and an input."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 1))
        x = torch.randn(8, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(n_steps):
        step(model, optimizer, x)
    return model, optimizer, x


def step(model, optimizer, x):
    optimizer.zero_grad()
    (model(x) ** 2).mean().backward()
    optimizer.step()


def equal(first, second):
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_next_step_is_the_same_after_a_round_trip():
    model, optimizer, x = trained(0)
    state = pack({"model": model}, {"optimizer": optimizer}, None, {"epoch": 3})
    other, its_optimizer, _ = trained(1, n_steps=5)
    assert not equal(model, other)
    assert unpack(state, {"model": other}, {"optimizer": its_optimizer}) is None
    assert equal(model, other)
    step(model, optimizer, x)
    step(other, its_optimizer, x)
    assert equal(model, other)


def test_moments_of_adam_matter():
    model, optimizer, x = trained(0)
    state = pack({"model": model}, {}, None, {})
    other, its_optimizer, _ = trained(1, n_steps=5)
    unpack(state, {"model": other}, {})
    step(model, optimizer, x)
    step(other, its_optimizer, x)
    assert not equal(model, other)


def test_a_state_does_not_change_as_training_goes_on():
    model, optimizer, x = trained(0)
    state = pack({"model": model}, {"optimizer": optimizer}, model.state_dict(), {})
    before = {name: tensor.clone() for name, tensor in state.tensors.items()}
    step(model, optimizer, x)
    assert all(torch.equal(before[name], t) for name, t in state.tensors.items())
    assert not torch.equal(model[0].weight, state.tensors["model/0.weight"])


def test_training_does_not_change_the_state_it_came_from():
    model, optimizer, _ = trained(0)
    state = pack({"model": model}, {"optimizer": optimizer}, None, {})
    before = {name: tensor.clone() for name, tensor in state.tensors.items()}
    other, its_optimizer, x = trained(1)
    unpack(state, {"model": other}, {"optimizer": its_optimizer})
    step(other, its_optimizer, x)
    assert all(torch.equal(before[name], t) for name, t in state.tensors.items())


def test_best_weights_and_numbers_come_back():
    model, optimizer, _ = trained(0)
    best = deepcopy(trained(2)[0].state_dict())
    numbers = {"epoch": 3, "history": [{"epoch": 0, "total": 1.5}]}
    state = pack({"model": model}, {"optimizer": optimizer}, best, numbers)
    found = unpack(state, {"model": model}, {"optimizer": optimizer})
    assert found.keys() == best.keys()
    assert all(torch.equal(found[name], best[name]) for name in best)
    assert json.loads(json.dumps(state.numbers)) == numbers


def test_modules_with_names_that_begin_alike_are_kept_apart():
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    state = pack({"critic": one, "critic_second": other}, {}, None, {})
    new_one, new_other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    unpack(state, {"critic": new_one, "critic_second": new_other}, {})
    assert equal(one, new_one)
    assert equal(other, new_other)


def test_a_state_of_another_model_is_refused():
    state = pack({"model": torch.nn.Linear(2, 2)}, {}, None, {})
    with pytest.raises(RuntimeError, match="size mismatch"):
        unpack(state, {"model": torch.nn.Linear(3, 2)}, {})
    with pytest.raises(RuntimeError, match="Missing key"):
        unpack(State({}, {}), {"model": torch.nn.Linear(3, 2)}, {})
