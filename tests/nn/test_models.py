"""One contract for every model of the room."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from radlatent.nn.blocks import Sizes  # noqa: E402
from radlatent.nn.discriminator import Discriminator  # noqa: E402
from radlatent.nn.nonredundant import NonRedundantVAE  # noqa: E402
from radlatent.nn.objective import Minibatch, squared_error  # noqa: E402
from radlatent.nn.sepvae import SepVAE  # noqa: E402
from radlatent.nn.supervised import Supervised  # noqa: E402
from radlatent.nn.vae import VAE, regularized  # noqa: E402

N_LATENT, N_HANDCRAFTED, N_CLASSES = 4, 3, 3


def spec(build, *, discriminator=None, size=(8, 12, 9), total):
    """Return how a model is built, and its total loss from its parts."""
    return SimpleNamespace(
        build=build, discriminator=discriminator, size=size, total=total
    )


def sizes(size, channels=1, n_latent=N_LATENT):
    return Sizes(channels, size, n_latent, N_HANDCRAFTED, N_CLASSES)


def vae(size, channels=1, **kwargs):
    return VAE(sizes(size, channels), width=2, **kwargs)


def nonredundant(size, channels=1, **kwargs):
    return NonRedundantVAE(sizes(size, channels), width=2, **kwargs)


def sepvae(size, channels=1, **kwargs):
    return SepVAE(sizes(size, channels), N_LATENT - 2, width=2, **kwargs)


def weighted(**weights):
    def total(parts):
        assert set(parts) == {"reconstruction", *weights}
        penalties = sum(weights[name] * parts[name] for name in weights)
        return parts["reconstruction"] + penalties

    return total


def capped(parts):
    return parts["reconstruction"] + 2 * abs(parts["kl"] - 5)


MODELS = {
    "vae": spec(vae, total=weighted(kl=1)),
    "vae 2d": spec(vae, size=(16, 11), total=weighted(kl=1)),
    "vae dropout": spec(lambda *a: vae(*a, dropout=0.3), total=weighted(kl=1)),
    "beta": spec(lambda *a: vae(*a, beta=15.0), total=weighted(kl=15)),
    "beta 0": spec(lambda *a: vae(*a, beta=0.0), total=weighted(kl=0)),
    "capacity": spec(lambda *a: vae(*a, beta=2.0, capacity=5.0), total=capped),
    "nonredundant": spec(
        lambda *a: nonredundant(*a, beta=2.0, kappa=3.0),
        discriminator=(N_HANDCRAFTED, N_LATENT),
        total=weighted(kl=2, mutual_information=3),
    ),
    "nonredundant alone": spec(nonredundant, total=weighted(kl=1)),
    "unconditional": spec(
        lambda *a: nonredundant(*a, conditional=False),
        discriminator=(N_HANDCRAFTED, N_LATENT),
        total=weighted(kl=1, mutual_information=1),
    ),
    "sepvae": spec(
        lambda *a: sepvae(
            *a,
            beta=(2.0, 3.0),
            kappa=4.0,
            background_variance=0.1,
            classification_weight=5.0,
        ),
        discriminator=(2, N_LATENT - 2),
        total=weighted(
            kl_common=2, kl_salient=3, mutual_information=4, salient_classification=5
        ),
    ),
    "sepvae 2d alone": spec(
        lambda *a: sepvae(*a, background_variance=0.1, classification_weight=0.0),
        size=(16, 11),
        total=weighted(kl_common=1, kl_salient=1),
    ),
    "supervised vae": spec(
        lambda *a: Supervised(vae(*a), sizes(()), weight=7.0),
        total=weighted(kl=1, classification=7),
    ),
    "supervised nonredundant": spec(
        lambda *a: Supervised(nonredundant(*a), sizes(())),
        discriminator=(N_HANDCRAFTED, N_LATENT),
        total=weighted(kl=1, mutual_information=1, classification=1),
    ),
    "supervised sepvae": spec(
        lambda *a: Supervised(sepvae(*a), sizes(())),
        total=weighted(
            kl_common=1, kl_salient=1, salient_classification=1, classification=1
        ),
    ),
}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def case(request):
    """Return a model of one channel, a minibatch, and the keywords of its loss."""
    found, kwargs = request.param, {}
    model = found.build(found.size)
    if found.discriminator:
        kwargs["discriminator"] = Discriminator(*found.discriminator, width=8)
    return SimpleNamespace(
        model=model,
        minibatch=images(found.size),
        kwargs=kwargs,
        total=found.total,
        again=lambda: found.build(found.size),
    )


def images(size, n=4, channels=1):
    mask = (torch.rand(n, 1, *size) < 0.7).float().expand(-1, channels, *size)
    x = torch.randn(n, channels, *size) * mask
    return Minibatch(x, mask, torch.randn(n, N_HANDCRAFTED), torch.arange(n) % 3)


def rows(minibatch, which):
    parts = (None if tensor is None else tensor[which] for tensor in minibatch)
    return Minibatch(*parts)


def test_loss_is_finite_and_the_weighted_sum_of_its_parts(case):
    loss = case.model.loss(case.minibatch, **case.kwargs)
    for value in (loss.total, *loss.parts.values()):
        assert value.shape == (4,)
        assert torch.isfinite(value).all()
    assert loss.z.shape == (4, N_LATENT)
    # float32
    torch.testing.assert_close(loss.total, case.total(loss.parts), rtol=1e-6, atol=0)


@pytest.mark.parametrize("build", [vae, nonredundant, sepvae])
@pytest.mark.parametrize(
    "size", [(7, 9, 11), (16, 16, 16), (5, 32, 24), (2, 3, 3), (1, 16, 16), (33, 20)]
)
def test_any_size_and_number_of_channels_is_reconstructed(build, size):
    model, minibatch = build(size, 2), images(size, n=2, channels=2)
    assert model(minibatch).shape == minibatch.x.shape
    assert model.encode(minibatch.x).mean.shape == (2, N_LATENT)
    assert torch.isfinite(model.loss(minibatch).total).all()


def silent_biases(model):
    """Return the biases that a norm takes away, whose gradient is rounding."""
    found = set()
    for module in model.modules():
        if isinstance(module, torch.nn.Sequential):
            for first, second in pairwise(module):
                if isinstance(second, torch.nn.GroupNorm):
                    found.add(id(first.bias))
    return found


def test_gradient_reaches_every_parameter(case):
    case.model.loss(case.minibatch, **case.kwargs).total.sum().backward()
    silent = silent_biases(case.model)
    assert silent
    for name, parameter in case.model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert id(parameter) in silent or parameter.grad.abs().max() > 0, name


def test_cases_do_not_see_each_other(case):
    model = case.model.eval()
    whole = model.loss(case.minibatch, **case.kwargs)
    halves = [
        model.loss(rows(case.minibatch, which), **case.kwargs)
        for which in (slice(0, 1), slice(1, None))
    ]
    # float32, sums over a thousand voxels
    torch.testing.assert_close(
        whole.total, torch.cat([half.total for half in halves]), rtol=1e-5, atol=0
    )
    for name, part in whole.parts.items():
        joined = torch.cat([half.parts[name] for half in halves])
        torch.testing.assert_close(part, joined, rtol=1e-5, atol=1e-5)


def test_evaluation_decodes_the_posterior_mean_and_training_draws(case):
    model = case.model.eval()
    first, second = (model.loss(case.minibatch, **case.kwargs) for _ in range(2))
    assert torch.equal(first.z, model.encode(case.minibatch.x).mean)
    assert torch.equal(first.total, second.total)
    assert torch.equal(model(case.minibatch), model(case.minibatch))
    model.train()
    first, second = (model.loss(case.minibatch, **case.kwargs) for _ in range(2))
    assert torch.all(first.z != second.z)
    assert torch.all(model(case.minibatch) != model(case.minibatch))


def test_draws_follow_the_posterior():
    minibatch = images((8, 8), n=1)
    model = vae((8, 8))
    posterior = model.encode(minibatch.x)
    draws = torch.cat([model.loss(minibatch).z for _ in range(2000)]).detach()
    # five standard errors of 2000 draws
    away = (draws.mean(0) - posterior.mean[0]) / posterior.stddev[0]
    assert away.abs().max() < 0.112
    ratio = draws.std(0) / posterior.stddev[0]
    assert ratio.tolist() == pytest.approx([1] * N_LATENT, abs=0.08)


def test_state_is_saved_and_loaded(case, tmp_path):
    torch.save(case.model.state_dict(), tmp_path / "model.pt")
    loss = case.model.eval().loss(case.minibatch, **case.kwargs)
    other = case.again().eval()
    assert not torch.equal(other.loss(case.minibatch, **case.kwargs).total, loss.total)
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(other.loss(case.minibatch, **case.kwargs).total, loss.total)


def test_only_voxels_of_the_mask_are_judged(case):
    model, minibatch = case.model.eval(), case.minibatch
    inside, outside = minibatch.mask, 1 - minibatch.mask

    def judged(mask):
        return model.loss(minibatch._replace(mask=mask), **case.kwargs).parts

    everywhere = judged(inside + outside)["reconstruction"]
    both = judged(inside)["reconstruction"] + judged(outside)["reconstruction"]
    torch.testing.assert_close(both, everywhere, rtol=1e-5, atol=0)
    assert judged(0 * inside)["reconstruction"].tolist() == [0.0] * 4
    others = set(judged(inside)) - {"reconstruction"}
    for name in others:
        assert torch.equal(judged(inside)[name], judged(0 * inside)[name])


def test_arguments_are_left_alone(case):
    given = [tensor for tensor in case.minibatch if tensor is not None]
    before = [tensor.clone() for tensor in given]
    case.model.loss(case.minibatch, **case.kwargs).total.sum().backward()
    for tensor, copy in zip(given, before, strict=True):
        assert torch.equal(tensor, copy)
        assert tensor.grad is None


def blobs():
    """Return eight volumes, each with a bright blob in another corner."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(8.0)] * 3, indexing="ij"))
    corners = torch.cartesian_prod(*[torch.tensor([1.5, 5.5])] * 3)  # (8, 3)
    away = grid - corners.reshape(8, 3, 1, 1, 1)
    x = 4 * torch.exp(-(away**2).sum(1, keepdim=True) / 6) - 0.5
    h, y = torch.zeros(8, N_HANDCRAFTED), torch.ones(8, dtype=torch.long)
    return Minibatch(x, torch.ones_like(x), h, y)


@pytest.mark.parametrize(
    "build",
    [
        lambda eight: VAE(eight, width=4),
        lambda eight: NonRedundantVAE(eight, width=4),
        lambda eight: SepVAE(eight, 4, width=4),
        lambda eight: Supervised(VAE(eight, width=4), eight),
    ],
    ids=["vae", "nonredundant", "sepvae", "supervised"],
)
def test_eight_volumes_are_learned_by_heart(build):
    minibatch = blobs()
    model = build(Sizes(1, (8, 8, 8), 8, N_HANDCRAFTED, n_classes=2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        loss = model.loss(minibatch).total.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # the mean image is what a model that ignores its latent gives
    x = minibatch.x
    guess = squared_error(x, x.mean(0, keepdim=True).expand_as(x), minibatch.mask)
    found = model.eval().loss(minibatch).parts["reconstruction"]
    assert found.max() < 0.1 * guess.min()


def test_squared_error_is_half_the_sum_over_the_mask():
    x = torch.tensor([[[1.0, 2.0, 3.0]], [[0.0, 0.0, 100.0]]])
    mask = torch.tensor([[[1.0, 1.0, 0.0]], [[1.0, 1.0, 0.0]]])
    guess = torch.tensor([[[0.0, 4.0, 9.0]], [[3.0, 0.0, 0.0]]])
    assert squared_error(x, guess, mask).tolist() == [2.5, 4.5]


def test_every_case_weighs_as_it_is_told():
    x = torch.tensor([[[1.0, 2.0]], [[3.0, 0.0]]])
    error = squared_error(x, 0 * x, torch.ones_like(x), torch.tensor([2.0, 0.5]))
    assert error.tolist() == [5.0, 2.25]


def test_reconstructions_are_weighed_and_nothing_else(case):
    weight = torch.tensor([1.0, 2.0, 0.5, 4.0])
    found = []
    for minibatch in (case.minibatch, case.minibatch._replace(weight=weight)):
        with torch.random.fork_rng():
            torch.manual_seed(9)
            found.append(case.model.eval().loss(minibatch, **case.kwargs).parts)
    plain, weighed = found
    for name, part in plain.items():
        wanted = part * weight if name == "reconstruction" else part
        torch.testing.assert_close(weighed[name], wanted)


def test_squared_error_of_half_precision_is_summed_in_single():
    # 1/2 * 100 000: float16 ends at 65 504, bfloat16 stops growing at 256
    x = torch.ones(1, 1, 100_000, dtype=torch.bfloat16)
    error = squared_error(x, torch.zeros_like(x), torch.ones_like(x))
    assert error.tolist() == [50_000.0]


def test_capacity_grows_over_the_first_half_of_the_training():
    kl = torch.tensor([0.0, 6.0, 10.0])
    found = [regularized(kl, 2.0, 10.0, p).tolist() for p in (0, 0.25, 0.5, 1)]
    assert found == [[0, 12, 20], [10, 2, 10], [20, 8, 0], [20, 8, 0]]
    assert regularized(kl, 2.0, None, 0.25).tolist() == [0, 12, 20]


def test_capacity_follows_the_progress():
    model, minibatch = vae((8, 8), capacity=5.0).eval(), images((8, 8))
    early, late = (model.loss(minibatch, progress=p) for p in (0.0, 1.0))
    assert torch.equal(early.parts["kl"], late.parts["kl"])
    kl = late.parts["kl"]
    torch.testing.assert_close(late.total - early.total, (kl - 5).abs() - kl)


def test_number_of_parameters_is_within_half_a_percent_of_the_paper():
    model = NonRedundantVAE(Sizes(1, (64, 128, 192), 32, 32), width=4)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    # 1 111 641, and mean and deviation of the input into both heads of 32
    assert n_parameters == 1_111_641 + 2 * 2 * 32
    # Vetil et al. 2023, figure 5
    assert n_parameters == pytest.approx(1_110_240, rel=0.005)


class Sure(torch.nn.Module):
    """A discriminator that is sure of every pair."""

    def forward(self, first, second):
        return 10 + first.sum(1) + second.sum(1)


def test_mutual_information_moves_the_encoder_but_not_h_and_not_the_decoder():
    model, minibatch = nonredundant((8, 8)), images((8, 8))
    loss = model.loss(minibatch, discriminator=Sure())
    loss.parts["mutual_information"].sum().backward()
    assert minibatch.h.grad is None
    assert not minibatch.h.requires_grad
    assert model.mean.weight.grad.abs().max() > 0
    first = next(model.encoder.parameters())
    assert first.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in model.decoder.parameters())


@pytest.mark.parametrize("build", [nonredundant, sepvae])
def test_kappa_zero_is_no_discriminator(build):
    model, minibatch = build((8, 8), kappa=0.0).eval(), images((8, 8))
    without = model.loss(minibatch)
    given = model.loss(minibatch, discriminator=Sure())
    assert torch.equal(given.total, without.total)
    assert given.parts.keys() == without.parts.keys()


@pytest.mark.parametrize("conditional", [True, False])
def test_decoder_sees_h_only_where_it_is_conditional(conditional):
    model = nonredundant((8, 8), conditional=conditional).eval()
    minibatch = images((8, 8))
    other = minibatch._replace(h=minibatch.h + 1)
    assert torch.equal(model(minibatch), model(other)) is not conditional
    assert torch.equal(model.loss(minibatch).z, model.loss(other).z)


def test_pairs_are_h_and_the_latent_of_the_same_case():
    model, minibatch = nonredundant((8, 8)).eval(), images((8, 8))
    h, d = model.pairs(minibatch)
    assert h is minibatch.h
    assert torch.equal(d, model.encode(minibatch.x).mean)


def test_dropout_is_for_training_only():
    model, x = vae((8, 8), dropout=0.5), images((8, 8)).x
    means = [model.encode(x).mean for _ in range(2)]
    assert not torch.equal(*means)
    model.eval()
    assert torch.equal(model.encode(x).mean, model.encode(x).mean)


def test_reconstruction_is_not_bounded():
    minibatch = images((8, 8))
    model = vae((8, 8)).eval()
    with torch.no_grad():
        model.decoder.last.bias.fill_(-7.0)
        assert model(minibatch).mean() < -5
    assert np.isfinite(model.loss(minibatch).total.detach().numpy()).all()
