"""Networks by name: shapes, published numbers of parameters, and clear refusals."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from radlatent.errors import RadlatentError  # noqa: E402
from radlatent.segmentation.networks.build import (  # noqa: E402
    NETWORKS,
    build_network,
    count_parameters,
    fitting_size,
)

#: The smallest images that are no single pixel at the lowest scale.
SMALL = {"swin_unetr": (64, 64), "unet3d": (6, 16, 32)}
WIDTH = {"swin_unetr": 12, "transunet": 8}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(before)


def small(name, in_channels=2, n_classes=3):
    torch.manual_seed(1)
    return build_network(
        name,
        in_channels=in_channels,
        n_classes=n_classes,
        size=SMALL.get(name, (32, 48)),
        width=WIDTH.get(name, 4),
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_of_every_voxel_and_a_gradient_for_every_weight(name):
    network, size = small(name), SMALL.get(name, (32, 48))
    x = torch.randn(2, 2, *size)
    logits = network(x)
    assert logits.shape == (2, 3, *size)
    logits.square().mean().backward()
    without = [key for key, one in network.named_parameters() if one.grad is None]
    assert without == []
    again = small(name)
    assert all(
        torch.equal(a, b)
        for a, b in zip(network.parameters(), again.parameters(), strict=True)
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_a_case_alone_gets_what_it_gets_in_company(name):
    network, size = small(name).eval(), SMALL.get(name, (32, 48))
    x = torch.randn(3, 2, *size)
    with torch.inference_mode():
        together, alone = network(x), network(x[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["unet", "plain_unet", "hrnet", "transunet"])
def test_learns_a_square(name):
    network = small(name, 1, 2).train()
    target = torch.zeros(4, 32, 48, dtype=torch.long)
    for case in range(4):
        target[case, 6 + 3 * case : 20 + 3 * case, 10:30] = 1
    x = target.unsqueeze(1) + 0.3 * torch.randn(4, 1, 32, 48)
    adam = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(15):
        loss = torch.nn.functional.cross_entropy(network(x), target)
        adam.zero_grad()
        loss.backward()
        adam.step()
    drawn = network(x).argmax(dim=1)
    common = ((drawn == 1) & (target == 1)).sum()
    assert 2 * common / ((drawn == 1).sum() + (target == 1).sum()) > 0.9


def test_swin_unetr_has_its_published_number_of_parameters():
    # 62.19 M at feature size 48 in the tables of papers that train MONAI's
    network = build_network(
        "swin_unetr",
        in_channels=1,
        n_classes=14,
        size=(64, 64, 64),
        width=NETWORKS["swin_unetr"].published_width,
    )
    assert count_parameters(network) / 1e6 == pytest.approx(62.19, abs=0.005)


def test_the_u_net_of_64_to_1024_channels_has_as_many_as_its_convolutions():
    # channels 64..1024 of Jiang's code (METHODS 7.1), whose number is not told: counted
    # here, 3 x 3 and a bias a convolution, and a number an activation
    network = build_network(
        "unet", in_channels=1, n_classes=4, size=(128, 128), width=64
    )
    pairs = [(1, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    pairs += [(1536, 256), (512, 128), (256, 64), (128, 4)]
    n = sum(9 * before * after + after for before, after in pairs) + len(pairs) - 1
    assert count_parameters(network) == n


def test_the_residual_u_net_is_monais_of_the_spleen():
    # MONAI's model zoo, spleen_ct_segmentation: 4,808,917 parameters, with batch norm,
    # which has two numbers a channel more than instance norm
    from radlatent.segmentation.networks.from_monai import unet

    ours = unet(1, 2, 16, (2,) * 4, dimensions=3, residual_units=2)
    channels = [16, 16, 32, 32, 64, 64, 128, 128, 256, 256]  # down
    channels += [64, 64, 32, 32, 16, 16, 2]  # up; the last convolution has none
    assert count_parameters(ours) == 4_808_917 - 2 * sum(channels)


def test_sizes_that_fit():
    assert fitting_size("unet", (128, 127)) == (128, 128)
    assert fitting_size("swin_unetr", (65, 33, 64)) == (96, 64, 64)
    # of a single pixel at the lowest scale there is no instance norm
    assert fitting_size("unet", (16, 16)) == (32, 32)
    for n in range(1, 80):
        (fits, *_) = fitting_size("unet3d", (n, 16, 16))
        assert n <= fits < n + 16
        assert fitting_size("unet3d", (fits, 16, 16))[0] == fits


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"name": "hrnett"}, "did you mean 'hrnet'"),
        ({"size": (100, 128)}, r"'unet'.*\(100, 128\).*\(112, 128\)"),
        ({"size": (16, 64, 64)}, "'unet' takes 2 axes.*has 3.*'unet3d'"),
        ({"name": "unet3d"}, "'unet3d' takes 3 axes.*'unet', "),
        ({"n_classes": 1}, "n_classes is 1"),
        ({"width": 0, "in_channels": 0}, "in_channels is 0.*width is 0"),
        ({"name": "swin_unetr", "width": 16}, "multiple of 12"),
    ],
)
def test_refusals_say_what_was_found_and_what_to_do(settings, told):
    usual = {"name": "unet", "in_channels": 1, "n_classes": 4, "size": (128, 128)}
    with pytest.raises(RadlatentError, match=told):
        build_network(**(usual | settings))
