"""HRNet: as many parameters as the authors report, and resolutions that are kept."""

import pytest

torch = pytest.importorskip("torch")

from radlatent.segmentation.networks.build import count_parameters  # noqa: E402
from radlatent.segmentation.networks.hrnet import (  # noqa: E402
    HRNET_FULL,
    HRNET_W18_SMALL,
    HRNet,
    HRNetDepth,
)


@pytest.mark.parametrize(
    ("width", "depth", "million"),
    [
        # github.com/HRNet/HRNet-Semantic-Segmentation, README of pytorch-v1.1:
        # HRNetV2-W48 65.8 M (LIP; Cityscapes has 19 classes), W18-Small-v2 3.9 M
        (48, HRNET_FULL, 65.8),
        (18, HRNET_W18_SMALL, 3.9),
    ],
)
def test_published_numbers_of_parameters(width, depth, million):
    with torch.device("meta"):
        network = HRNet(3, 19, width, depth=depth)
    # printed with one digit, once cut off and once rounded
    assert count_parameters(network) / 1e6 == pytest.approx(million, abs=0.06)


@pytest.mark.parametrize("halvings", [1, 2])
def test_the_first_branch_is_halved_as_often_as_told(halvings):
    network = HRNet(1, 2, 4, depth=HRNetDepth(halvings, 1, 1, 1, 1, 1)).eval()
    seen = []
    network.stages[-1].register_forward_hook(lambda *found: seen.append(found[2]))
    with torch.inference_mode():
        network(torch.zeros(1, 1, 64, 64))
    sides = [one.shape[-1] for one in seen[0]]
    assert sides == [64 // 2 ** (halvings + branch) for branch in range(4)]
    assert [one.shape[1] for one in seen[0]] == [4, 8, 16, 32]
