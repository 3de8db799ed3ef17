"""The VAE of masks: what its loss is made of, and that it can learn masks."""

import pytest

torch = pytest.importorskip("torch")

from torch.distributions import (  # noqa: E402
    Categorical,
    Independent,
    Normal,
    kl_divergence,
)

from radlatent.nn.mask_vae import MaskMinibatch, MaskVAE  # noqa: E402
from radlatent.nn.objective import Ordering, order_loss  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield
    torch.set_num_threads(before)


def masks(n=4, size=16):
    """Return maps of rectangles of another place, size and class each."""
    classes = torch.zeros(n, size, size, dtype=torch.long)
    for number in range(n):
        place = 2 + 2 * number
        classes[number, 2:9, place : place + 5 + number] = 1 + number % 2
    maps = torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2).float()
    return MaskMinibatch(maps.flip(3), maps, torch.linspace(0, 1, n)), classes


def model(**kwargs):
    return MaskVAE(3, 16, 5, width=4, **kwargs)


def test_loss_is_the_sum_that_is_documented():
    found, (minibatch, classes) = model(beta=0.3, constraint=7.0).eval(), masks()
    loss = found.loss(minibatch)
    posterior = found.encode(minibatch.x)
    logits = found.decode(posterior.mean)
    by_pixel = Categorical(logits=logits.permute(0, 2, 3, 1)).log_prob(classes)
    standard = Independent(Normal(torch.zeros(4, 5), torch.ones(4, 5)), 1)
    read = found.position.weight @ posterior.mean.T + found.position.bias
    expected = {
        "reconstruction": -by_pixel.sum(dim=(1, 2)),
        "kl": kl_divergence(posterior, standard),
        "position": (read[0] - minibatch.position) ** 2,
    }
    assert set(loss.parts) == set(expected)
    for name, value in expected.items():
        # float32: sums of 256 pixels in another order
        torch.testing.assert_close(loss.parts[name], value, rtol=1e-5, atol=1e-5)
    total = sum(
        weight * loss.parts[name]
        for name, weight in (("reconstruction", 1), ("kl", 0.3), ("position", 7))
    )
    torch.testing.assert_close(loss.total, total, rtol=1e-6, atol=0)
    assert torch.equal(loss.z, posterior.mean)


def test_shares_of_a_pixel_weigh_its_classes():
    found, (minibatch, _) = model().eval(), masks()
    shared = 0.25 * minibatch.target + 0.75 * minibatch.target.roll(1, 0)
    parts = [
        found.loss(minibatch._replace(target=target)).parts["reconstruction"]
        for target in (shared, minibatch.target, minibatch.target.roll(1, 0))
    ]
    # float32, as above
    torch.testing.assert_close(
        parts[0], 0.25 * parts[1] + 0.75 * parts[2], rtol=1e-5, atol=1e-5
    )


def test_constraint_of_zero_removes_the_term():
    free, (minibatch, _) = model(constraint=0.0), masks()
    moved = minibatch._replace(position=minibatch.position + 5)
    totals, gradients = [], []
    for each in (minibatch, moved):
        torch.manual_seed(3)
        loss = free.loss(each)
        totals.append(loss.total)
        free.zero_grad()
        loss.total.sum().backward()
        gradients.append([p.grad.clone() for p in free.parameters()])
    assert torch.equal(*totals)
    assert all(map(torch.equal, *gradients))
    assert free.position.weight.grad.abs().max() == 0
    held = model(constraint=1.0)
    held.loss(minibatch).total.sum().backward()
    assert held.position.weight.grad.abs().max() > 0


def test_latent_is_the_posterior_mean_in_evaluation_and_a_draw_in_training():
    found, (minibatch, _) = model().eval(), masks()
    mean = found.encode(minibatch.x).mean
    assert torch.equal(found.loss(minibatch).z, mean)
    assert torch.equal(found(minibatch), found.decode(mean))
    assert torch.equal(found(minibatch), found(minibatch))
    found.train()
    assert not torch.equal(found.loss(minibatch).z, found.loss(minibatch).z)


def test_beta_weighs_the_divergence():
    minibatch, _ = masks()
    torch.manual_seed(2)
    light = model(beta=1.0).eval()
    heavy = model(beta=3.0).eval()
    heavy.load_state_dict(light.state_dict())
    one, three = light.loss(minibatch), heavy.loss(minibatch)
    # float32
    torch.testing.assert_close(
        three.total - one.total, 2 * one.parts["kl"], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(("size", "n_classes", "n_latent"), [(16, 2, 1), (48, 4, 9)])
def test_shapes(size, n_classes, n_latent):
    found = MaskVAE(n_classes, size, n_latent, width=2)
    x = torch.rand(3, n_classes, size, size)
    posterior = found.encode(x)
    assert posterior.mean.shape == (3, n_latent)
    assert posterior.batch_shape == (3,)
    assert found.decode(posterior.mean).shape == x.shape
    loss = found.loss(MaskMinibatch(x, x, torch.zeros(3)))
    assert loss.total.shape == (3,)
    assert {part.shape for part in loss.parts.values()} == {(3,)}


def test_learns_four_masks_by_heart():
    found, (minibatch, classes) = model(beta=0.01, constraint=10.0), masks()
    optimizer = torch.optim.Adam(found.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        found.loss(minibatch).total.mean().backward()
        optimizer.step()
    found.eval()
    # what enters is mirrored, what is learned is not: the model restores
    wrong = (found(minibatch).argmax(dim=1) != classes).sum()
    assert wrong == 0
    assert found.loss(minibatch).parts["position"].max() < 0.01


def test_order_is_the_published_mean_over_pairs():
    z, attributes = torch.randn(6, 5), torch.randn(6, 2)
    found = order_loss(z, attributes, 3.0)
    assert found.shape == (6,)
    expected = 0
    for k in (0, 1):
        apart = z[:, k].view(-1, 1) - z[:, k].view(1, -1)
        order = attributes[:, k].view(-1, 1) - attributes[:, k].view(1, -1)
        away = (torch.tanh(3.0 * apart) - torch.sign(order)).abs()
        expected += away.mean()
    # float32
    torch.testing.assert_close(found.mean(), expected, rtol=1e-6, atol=0)


def test_pairs_without_an_attribute_say_nothing_of_the_order():
    z, attributes = torch.randn(5, 3), torch.randn(5, 1)
    gap = torch.cat([attributes, attributes.new_full((1, 1), torch.nan)])
    found = order_loss(torch.cat([z, z.new_zeros(1, 3)]), gap, 1.0)
    torch.testing.assert_close(found[:5], order_loss(z, attributes, 1.0))
    assert found[5] == 0
    z.requires_grad_()
    order_loss(z, torch.full((5, 1), torch.nan), 1.0).sum().backward()
    assert z.grad.abs().max() == 0


def test_the_order_enters_the_total_with_its_weight():
    ordering = Ordering(gamma=7.0, delta=2.0)
    found, (minibatch, _) = model(ordering=ordering).eval(), masks()
    minibatch = minibatch._replace(attributes=torch.randn(4, 2))
    loss = found.loss(minibatch)
    expected = order_loss(loss.z, minibatch.attributes, 2.0)
    assert torch.equal(loss.parts["order"], expected)
    plain = model().eval()
    plain.load_state_dict(found.state_dict())
    rest = loss.total - plain.loss(minibatch).total
    # float32: what is left of totals of hundreds of nats
    torch.testing.assert_close(rest, 7 * expected, rtol=1e-3, atol=1e-4)
    assert "order" not in plain.loss(minibatch).parts


def test_faulty_weights_of_the_order_are_told():
    assert Ordering().problems() == []
    assert len(Ordering(gamma=0, delta=-1).problems()) == 2
