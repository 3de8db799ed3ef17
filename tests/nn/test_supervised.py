import pytest

torch = pytest.importorskip("torch")

from radlatent.nn.blocks import Sizes  # noqa: E402
from radlatent.nn.nonredundant import NonRedundantVAE  # noqa: E402
from radlatent.nn.objective import Minibatch  # noqa: E402
from radlatent.nn.sepvae import SepVAE  # noqa: E402
from radlatent.nn.supervised import Supervised  # noqa: E402
from radlatent.nn.vae import VAE  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        yield


def images(y=(0, 1, 2, 1)):
    x = torch.randn(len(y), 1, 8, 8)
    return Minibatch(x, torch.ones_like(x), torch.randn(len(y), 3), torch.tensor(y))


SIZES = Sizes(1, (8, 8), n_latent=4, n_handcrafted=3, n_classes=3)


def model(weight=1.0):
    return Supervised(VAE(SIZES, width=2), SIZES, weight=weight).eval()


def test_cross_entropy_is_that_of_the_class_of_the_case():
    found, minibatch = model(weight=2.0), images()
    with torch.no_grad():
        found.head.weight.zero_()
        found.head.bias.copy_(torch.tensor([0.5, 0.25, 0.25]).log())
    loss = found.loss(minibatch)
    wanted = -torch.tensor([0.5, 0.25, 0.25, 0.25]).log()
    torch.testing.assert_close(loss.parts["classification"], wanted)
    alone = found.model.loss(minibatch)
    # float32 sums of some hundreds
    torch.testing.assert_close(loss.total, alone.total + 2 * wanted, rtol=1e-6, atol=0)


def test_zero_weight_is_the_model_alone():
    found, minibatch = model(weight=0.0).train(), images()
    assert found.head is None
    names = {f"model.{name}" for name in found.model.state_dict()}
    assert set(found.state_dict()) == names
    losses = []
    for one in (found, found.model):
        torch.manual_seed(0)
        losses.append(one.loss(minibatch))
    assert torch.equal(losses[0].total, losses[1].total)
    assert losses[0].parts.keys() == losses[1].parts.keys()


def test_cases_of_unknown_class_add_nothing():
    found = model()
    minibatch = images((-1, 1, -1, 0))
    loss, alone = found.loss(minibatch), found.model.loss(minibatch)
    added = loss.total - alone.total
    assert added[[0, 2]].tolist() == [0, 0]
    assert torch.all(added[[1, 3]] > 0)


def test_no_known_class_at_all_is_the_loss_of_the_model_and_no_gradient():
    found, minibatch = model(), images((-1, -1))
    loss = found.loss(minibatch)
    assert torch.equal(loss.total, found.model.loss(minibatch).total)
    loss.total.sum().backward()
    assert found.head.weight.grad.abs().max() == 0


def test_without_y_the_loss_is_that_of_the_model():
    found, minibatch = model(), images()._replace(y=None)
    assert torch.equal(found.loss(minibatch).total, found.model.loss(minibatch).total)


def test_classification_moves_the_encoder_and_not_the_decoder():
    found = model().train()
    found.loss(images()).parts["classification"].sum().backward()
    assert found.model.mean.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in found.model.decoder.parameters())


@pytest.mark.parametrize(
    "inner",
    [
        VAE(SIZES, width=2),
        NonRedundantVAE(SIZES, width=2),
        SepVAE(SIZES, 2, width=2),
    ],
    ids=["vae", "nonredundant", "sepvae"],
)
def test_everything_else_is_the_models(inner):
    found, minibatch = Supervised(inner, SIZES).eval(), images()
    z = inner.encode(minibatch.x).mean
    more = (minibatch.h,) if isinstance(inner, NonRedundantVAE) else ()
    assert torch.equal(found.encode(minibatch.x).mean, z)
    assert torch.equal(found.decode(z, *more), inner.decode(z, *more))
    assert torch.equal(found(minibatch), inner(minibatch))
    if hasattr(inner, "pairs"):
        pairs = zip(found.pairs(minibatch), inner.pairs(minibatch), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)


def test_keywords_reach_the_model():
    found = Supervised(VAE(SIZES, width=2, capacity=9.0), SIZES).eval()
    minibatch = images()
    early, late = (found.loss(minibatch, progress=p).total for p in (0.0, 1.0))
    assert not torch.allclose(early, late)


def test_head_learns_classes_that_the_image_shows():
    found, minibatch = model(weight=200.0).train(), images((0, 1, 2) * 4)
    level = minibatch.y[:, None, None, None].float()
    x = minibatch.x * 0.1 + torch.sin(level + torch.arange(8.0) * (1 + level))
    minibatch = minibatch._replace(x=x)
    optimizer = torch.optim.Adam(found.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        found.loss(minibatch).total.mean().backward()
        optimizer.step()
    z = found.eval().encode(minibatch.x).mean
    assert torch.equal(found.head(z).argmax(1), minibatch.y)
