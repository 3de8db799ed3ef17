from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from radlatent.nn.blocks import Sizes  # noqa: E402
from radlatent.nn.discriminator import (  # noqa: E402
    Discriminator,
    discriminator_loss,
    shuffled,
)
from radlatent.nn.distributions import divergence, log_variance_of  # noqa: E402
from radlatent.nn.objective import Minibatch  # noqa: E402
from radlatent.nn.sepvae import SepVAE  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


def images(n=6):
    x = torch.randn(n, 1, 8, 8)
    return Minibatch(x, torch.ones_like(x), None, torch.arange(n) % 2)


def model(**kwargs):
    return SepVAE(Sizes(1, (8, 8), 5), 2, width=2, **kwargs)


def test_posterior_joins_common_and_salient():
    found, x = model().eval(), images().x
    common, salient, both = (
        encode(x)
        for encode in (found.encode_common, found.encode_salient, found.encode)
    )
    assert torch.equal(both.mean, torch.cat([common.mean, salient.mean], dim=1))
    variances = [log_variance_of(posterior) for posterior in (common, salient)]
    assert torch.equal(log_variance_of(both), torch.cat(variances, dim=1))
    # float32: five terms against three and two
    torch.testing.assert_close(
        divergence(both), divergence(common) + divergence(salient)
    )


def test_latents_are_named_in_the_order_of_the_posterior():
    found = model()
    assert found.n_latent == 5
    assert found.latent_names == [
        "common000",
        "common001",
        "common002",
        "salient000",
        "salient001",
    ]


def test_encoders_share_nothing():
    found, minibatch = model(), images()
    found.encode_common(minibatch.x).mean.sum().backward()
    assert all(parameter.grad is None for parameter in found.salient.parameters())
    assert found.common.mean.weight.grad.abs().max() > 0


def test_background_cases_are_decoded_without_the_salient_latent():
    found = model().eval()
    z, y = torch.randn(3, 5), torch.tensor([0, 1, -1])
    other = z + torch.tensor([0.0, 0, 0, 1, 1])
    zeroed = z * torch.tensor([1.0, 1, 1, 0, 0])
    same = (found.decode(z, y) == found.decode(other, y)).flatten(1).all(1)
    assert same.tolist() == [True, False, False]
    assert torch.equal(found.decode(z, y)[0], found.decode(zeroed)[0])


def test_without_y_every_case_is_a_target_in_evaluation():
    found, minibatch = model().eval(), images()
    targets = minibatch._replace(y=torch.ones(6, dtype=torch.long))
    unknown, known = found.loss(minibatch._replace(y=None)), found.loss(targets)
    for name in ("reconstruction", "kl_common", "kl_salient"):
        assert torch.equal(unknown.parts[name], known.parts[name])
    assert "salient_classification" not in unknown.parts
    assert torch.equal(found(minibatch._replace(y=None)), found(targets))


def test_training_without_y_is_refused():
    with pytest.raises(ValueError, match="trained with y"):
        model().loss(images()._replace(y=None))


def test_latent_of_the_loss_does_not_see_y():
    found, minibatch = model().eval(), images()
    flipped = minibatch._replace(y=1 - minibatch.y)
    assert torch.equal(found.loss(minibatch).z, found.loss(flipped).z)


@pytest.mark.parametrize("variance", [0.05, 0.5])
def test_salient_prior_of_background_cases_is_narrow(variance):
    found, minibatch = (
        model(background_variance=variance, classification_weight=0.0).eval(),
        images(),
    )
    posterior = found.encode_salient(minibatch.x)
    mean, spread = posterior.mean.double(), posterior.variance.double()
    prior = torch.tensor([variance, 1.0])[minibatch.y][:, None].double()
    terms = (mean**2 + spread) / prior - 1 - torch.log(spread / prior)
    kl = found.loss(minibatch).parts["kl_salient"].double()
    # float32
    torch.testing.assert_close(kl, 0.5 * terms.sum(1), rtol=1e-5, atol=1e-6)


def test_zero_weight_removes_the_classifier():
    without = model(classification_weight=0.0)
    assert without.classifier is None
    assert not any("classifier" in name for name in without.state_dict())
    assert "salient_classification" not in without.loss(images()).parts


def test_cross_entropy_is_that_of_a_coin_for_a_blind_classifier():
    found, minibatch = model().eval(), images()
    with torch.no_grad():
        for parameter in found.classifier.parameters():
            parameter.zero_()
        found.classifier[-1].bias.fill_(torch.tensor(3.0).log())
    y = torch.tensor([0, 1, 2, -1, 0, 1])
    entropy = found.loss(minibatch._replace(y=y)).parts["salient_classification"]
    # log odds of log 3: targets with 3/4, background with 1/4, nothing for unknown
    wanted = -torch.tensor([0.25, 0.75, 0.75, 1, 0.25, 0.75]).log()
    torch.testing.assert_close(entropy, wanted)


def test_classification_moves_the_salient_encoder_only():
    found = model()
    found.loss(images()).parts["salient_classification"].sum().backward()
    assert found.salient.mean.weight.grad.abs().max() > 0
    for part in (found.common, found.decoder):
        assert all(parameter.grad is None for parameter in part.parameters())


def test_mutual_information_moves_both_encoders_and_not_the_decoder():
    class Sure(torch.nn.Module):
        def forward(self, c, s):
            return 10 + c.sum(1) * s.sum(1)

    found = model()
    parts = found.loss(images(), discriminator=Sure()).parts
    parts["mutual_information"].sum().backward()
    for branch in (found.common, found.salient):
        assert branch.mean.weight.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in found.decoder.parameters())


def test_pairs_are_common_and_salient():
    found, minibatch = model().eval(), images()
    joined = torch.cat(found.pairs(minibatch), dim=1)
    assert torch.equal(joined, found.encode(minibatch.x).mean)


def bars_and_spots(n):
    """Return images with a bar in another row, and on every second a spot."""
    y = torch.arange(n) % 2
    bar, spot = 2 + 11 * torch.rand(2, n, 1, 1)
    row, column = torch.arange(16.0)[:, None], torch.arange(16.0)
    bars = 2 * torch.exp(-((row - bar) ** 2) / 4)
    spots = 3 * torch.exp(-((column - spot) ** 2 + (row - 8) ** 2) / 6)
    x = (bars + y[:, None, None] * spots - 0.5)[:, None]
    return Minibatch(x, torch.ones_like(x), None, y), bar.flatten(), spot.flatten()


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@pytest.fixture(scope="module")
def separated():
    """Return the posterior means of new images by a trained model."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        train, test = bars_and_spots(256)[0], bars_and_spots(400)
        found = SepVAE(Sizes(1, (16, 16), 4), 2, width=4)
        discriminator = Discriminator(2, 2)
        one = torch.optim.Adam(found.parameters(), lr=5e-3)
        two = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
        for _ in range(150):
            which = torch.randperm(256)[:64]
            minibatch = Minibatch(*(t if t is None else t[which] for t in train))
            step(one, found.loss(minibatch, discriminator=discriminator).total.mean())
            with torch.no_grad():
                c, s = found.pairs(minibatch)
            logits = discriminator(c, s), discriminator(c, shuffled(s))
            step(two, discriminator_loss(*logits))
        minibatch, bar, spot = test
        with torch.no_grad():
            c, s = found.eval().pairs(minibatch)
        return SimpleNamespace(c=c, s=s, bar=bar, spot=spot, target=minibatch.y == 1)


def explained(latent, factor):
    """Return the share of the variance of a factor that a line through latents has."""
    design = torch.cat([latent, torch.ones(len(latent), 1)], dim=1)
    line = design @ torch.linalg.lstsq(design, factor[:, None]).solution
    return (1 - (factor - line[:, 0]).var() / factor.var()).item()


@pytest.mark.slow
def test_salient_latent_has_what_only_targets_have(separated):
    here, spot = separated.target, separated.spot[separated.target]
    assert explained(separated.s[here], spot) > 0.7
    assert explained(separated.c[here], spot) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("target", [True, False])
def test_common_latent_has_what_all_cases_have(separated, target):
    here = separated.target == target
    assert explained(separated.c[here], separated.bar[here]) > 0.6
    assert explained(separated.s[here], separated.bar[here]) < 0.3


@pytest.mark.slow
def test_salient_means_of_background_cases_are_near_zero(separated):
    size = separated.s.square().mean(dim=1)
    background, target = size[~separated.target], size[separated.target]
    assert background.mean().sqrt() < 0.15
    assert target.mean().sqrt() > 0.7
