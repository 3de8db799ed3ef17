"""The NVAE: its loss part by part, its latents group by group, and that it learns."""

import math

import pytest

torch = pytest.importorskip("torch")

from torch.distributions import Categorical, Normal, kl_divergence  # noqa: E402

from radlatent.nn import Sources, Training, train  # noqa: E402
from radlatent.nn.distributions import bounded_normal, whitened  # noqa: E402
from radlatent.nn.mask_vae import MaskMinibatch  # noqa: E402
from radlatent.nn.nvae import NVAE, Hierarchy, Penalties  # noqa: E402

#: Three groups on masks of 16 x 16: 2 at 4 x 4, 1 at 2 x 2.
SMALL = Hierarchy(n_groups=(2, 1), n_channels=(8, 12), n_latent=(2, 3), factor=4)


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
        place = 2 + 2 * number % 8
        classes[number, 2:9, place : place + 5 + number % 4] = 1 + number % 2
    maps = torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2).float()
    return MaskMinibatch(maps.flip(3), maps, torch.linspace(0, 1, n)), classes


def model(hierarchy=SMALL, in_channels=3, beta=1.0, **penalties):
    told = {"beta": beta, "penalties": Penalties(**penalties)}
    return NVAE(in_channels, 3, 16, hierarchy=hierarchy, **told)


class TestResidualNormal:
    def test_kl_is_that_of_torch_and_that_of_the_formula(self):
        mean, log_scale, shift, stretch = 3 * torch.randn(4, 50)
        p = bounded_normal(mean, log_scale)
        q = bounded_normal(mean + shift, log_scale + stretch)
        e = whitened(q, p)
        expected = kl_divergence(q, p)
        standard = Normal(torch.zeros(50), torch.ones(50))
        # float32 of means in units of scales as small as 0.02
        torch.testing.assert_close(
            kl_divergence(e, standard), expected, rtol=1e-4, atol=1e-4
        )
        moved, ratio = q.mean - p.mean, q.scale / p.scale
        formula = 0.5 * ((moved / p.scale) ** 2 + ratio**2) - 0.5 - ratio.log()
        torch.testing.assert_close(formula, expected, rtol=1e-4, atol=1e-4)

    def test_bounds(self):
        """5 tanh(x / 5) of both, and 0.01 on top of the scale."""
        found = bounded_normal(torch.tensor([2.0, 1e6]), torch.tensor([1.0, -1e6]))
        expected = [5 * math.tanh(0.4), 5.0]
        assert found.mean.tolist() == pytest.approx(expected)
        scales = [math.exp(5 * math.tanh(0.2)) + 0.01, math.exp(-5) + 0.01]
        assert found.scale.tolist() == pytest.approx(scales)


class TestLoss:
    def test_parts_are_what_is_documented(self):
        found, (minibatch, classes) = model(beta=0.3).eval(), masks()
        loss = found.loss(minibatch)
        posterior = found.encode(minibatch.x)
        logits = found.decode(posterior.mean)
        by_pixel = Categorical(logits=logits.permute(0, 2, 3, 1)).log_prob(classes)
        standard = Normal(torch.zeros(1), torch.ones(1))
        kl = kl_divergence(posterior.base_dist, standard).sum(dim=1)
        # float32: sums of 256 pixels, or 76 latents, in another order
        close = {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(
            loss.parts["reconstruction"], -by_pixel.sum(dim=(1, 2)), **close
        )
        torch.testing.assert_close(loss.parts["kl"], kl, **close)
        groups = sum(loss.parts[f"kl_{name}"] for name in found.group_names)
        torch.testing.assert_close(groups, kl, **close)
        total = loss.parts["reconstruction"] + 0.3 * kl
        torch.testing.assert_close(loss.total, total, **close)
        assert torch.equal(loss.z, posterior.mean)

    def test_betas_go_from_the_shallowest_group_to_the_top(self):
        minibatch, _ = masks()
        plain = model(beta=0.0).eval()
        loss = plain.loss(minibatch)
        names = plain.group_names
        assert names == ("4_1", "4_2", "2")
        for number, name in enumerate(names):
            betas = tuple(float(k == number) for k in range(3))
            charged = model(beta=betas).eval()
            charged.load_state_dict(plain.state_dict())
            torch.testing.assert_close(
                charged.loss(minibatch).total - loss.total,
                loss.parts[f"kl_{name}"],
                rtol=1e-3,
                atol=1e-3,
            )

    def test_warm_up(self):
        found, (minibatch, _) = model(warm_up=0.4, is_balanced=False).eval(), masks()
        charged = []
        for progress in (0.0, 0.1, 0.4, 1.0):
            loss = found.loss(minibatch, progress=progress)
            more = (loss.total - loss.parts["reconstruction"]) / loss.parts["kl"]
            charged.append(more.mean().item())
        # differences of float32
        assert charged == pytest.approx([1e-4, 0.25, 1, 1], abs=1e-3)

    def test_groups_are_balanced_while_the_term_grows(self):
        found = model(warm_up=0.5)
        terms = torch.tensor([[3.0, 1, 8], [1, 5, 4]])
        # 4^1 / 2 for both groups below the top, 1 for the top
        assert found.alphas == [2, 2, 1]
        shares = torch.tensor([2.01 / 2, 3.01 / 2, 6.01])
        expected = 0.5 * shares / shares.mean()
        torch.testing.assert_close(found._weights(terms, 0.25), expected)
        torch.testing.assert_close(found._weights(terms, 0.5), torch.ones(3))

    def test_penalties_are_added(self):
        minibatch, _ = masks()
        plain = model().eval()
        held = model(spectral=0.5, batch_norm=2.0).eval()
        held.load_state_dict(plain.state_dict(), strict=False)
        without, loss = plain.loss(minibatch), held.loss(minibatch)
        assert set(loss.parts) - set(without.parts) == {"spectral", "batch_norm"}
        expected = 0.5 * loss.parts["spectral"] + 2 * loss.parts["batch_norm"]
        torch.testing.assert_close(loss.total - without.total, expected)
        assert (loss.parts["spectral"] > 1).all()

    def test_a_spectral_penalty_makes_weights_smaller(self):
        minibatch, _ = masks()
        found = model(spectral=100.0)
        before = found.loss(minibatch).parts["spectral"][0].item()
        optimizer = torch.optim.Adamax(found.parameters(), lr=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            found.loss(minibatch).total.mean().backward()
            optimizer.step()
        assert found.loss(minibatch).parts["spectral"][0].item() < 0.9 * before


class TestLatents:
    def test_vector_starts_at_the_top(self):
        found = model().eval()
        assert found.n_latent == 3 * 2 * 2 + 2 * 2 * 4 * 4
        posterior = found.encode(masks()[0].x)
        parts = found.split(posterior.mean)
        shapes = [tuple(part.shape[1:]) for part in parts.values()]
        assert shapes == [(3, 2, 2), (2, 4, 4), (2, 4, 4)]
        top = posterior.base_dist.mean[:, :12], posterior.base_dist.scale[:, :12]
        kl = kl_divergence(Normal(*top), Normal(torch.zeros(1), torch.ones(1)))
        by_group = found.kl_by_group(posterior)
        assert list(by_group) == list(found.group_names)
        torch.testing.assert_close(by_group["2"], kl.sum(dim=1), rtol=1e-4, atol=1e-4)

    def test_groups_that_are_not_given_are_at_the_mean_of_their_prior(self):
        found, (minibatch, _) = model().eval(), masks()
        z = found.encode(minibatch.x).mean
        outline = z.clone()
        outline[:, 12:] = 0
        expected = found.decode(outline)
        assert torch.equal(found.decode(z[:, :12]), expected)
        assert torch.equal(found.reconstruct(minibatch.x, 1), expected)
        assert torch.equal(found.reconstruct(minibatch.x), found.decode(z))
        assert torch.equal(found.reconstruct(minibatch.x, 3), found.decode(z))
        nothing = found.reconstruct(minibatch.x, 0)
        assert torch.equal(nothing[0], nothing[1])

    def test_means_in_evaluation_draws_in_training(self):
        found, (minibatch, _) = model().eval(), masks()
        assert torch.equal(found(minibatch), found.reconstruct(minibatch.x))
        found.train()
        assert not torch.equal(found(minibatch), found(minibatch))

    def test_what_lies_below_does_not_reach_up(self):
        """The posterior of a group is given those above it alone."""
        found, (minibatch, _) = model().eval(), masks()
        before = found.encode(minibatch.x).mean
        with torch.no_grad():
            found.down[2].merge.weight.add_(1.0)
            found.down[2].to_posterior[1].weight.add_(1.0)
        after = found.encode(minibatch.x).mean
        assert torch.equal(before[:, :44], after[:, :44])
        assert not torch.equal(before[:, 44:], after[:, 44:])

    def test_samples(self):
        found = model().eval()
        draws = [
            found.sample(5, temperature, torch.Generator().manual_seed(3))
            for temperature in (0.0, 0.5, 0.5, 1.0)
        ]
        assert draws[0].shape == (5, 3, 16, 16)
        mean = found.decode(torch.zeros(5, found.n_latent))
        torch.testing.assert_close(draws[0], mean)
        assert torch.equal(draws[1], draws[2])
        near, far = ((draws[k] - mean).abs().mean() for k in (1, 3))
        assert near < far


@pytest.mark.parametrize(
    "hierarchy",
    [
        Hierarchy((1,), (4,), (1,), factor=8),
        Hierarchy((1, 2, 1), (4, 5, 6), (1, 2, 1), factor=2, n_cells=2),
        Hierarchy((2, 1), (4, 8), (2, 1), factor=4, is_depthwise=True),
    ],
)
@pytest.mark.parametrize("in_channels", [3, 9])
def test_shapes(hierarchy, in_channels):
    found = model(hierarchy, in_channels)
    x = torch.rand(3, in_channels, 16, 16)
    target = torch.rand(3, 3, 16, 16).softmax(dim=1)
    loss = found.loss(MaskMinibatch(x, target, torch.zeros(3)), progress=0.1)
    assert loss.total.shape == (3,)
    assert {part.shape for part in loss.parts.values()} == {(3,)}
    assert loss.z.shape == (3, found.n_latent)
    loss.total.mean().backward()
    assert all(p.grad is not None for p in found.parameters())


def test_faulty_settings_are_told_together():
    assert "multiple of 32" in Hierarchy((1, 1), (8, 8), (2, 2), 16).problems(16)[0]
    assert "whole numbers" in Hierarchy((0,), (8,), (2,)).problems(16)[0]
    broken = Hierarchy(n_groups=(1, 1), n_channels=(8,), n_latent=(2, 2), factor=4)
    with pytest.raises(ValueError, match="other numbers of scales"):
        NVAE(3, 3, 16, hierarchy=broken)
    for beta in ((1.0, 2.0), -1.0):
        with pytest.raises(ValueError, match="or 3: one a group"):
            model(beta=beta)
    with pytest.raises(ValueError, match=r"below 0; .*warm_up is 2"):
        model(spectral=-1.0, warm_up=2)


class FewMasks:
    """The rectangles as a source of minibatches."""

    def __len__(self):
        return 12

    def minibatch(self, rows, device, *, augment):
        found, _ = masks(12)
        parts = (found.x, found.target, found.position)
        return MaskMinibatch(*(each[rows] for each in parts))


def test_learns_masks_in_the_one_training_loop():
    found = model(beta=0.01)
    training = Training(
        epochs=30,
        minibatch_size=4,
        learning_rate=0.05,
        optimizer="adamax",
        eps=1e-3,
        clip_norm=200.0,
    )
    trained = train(found, Sources(FewMasks()), training)
    minibatch, classes = masks(12)
    # what enters is mirrored, what is learned is not: the model restores
    wrong = (found(minibatch).argmax(dim=1) != classes).float().mean()
    # nothing but background would be wrong in this share of the pixels
    assert (classes > 0).float().mean() > 0.15
    assert wrong < 0.03
    assert {"kl_4_1", "kl_4_2", "kl_2"} < set(trained.history[0])
