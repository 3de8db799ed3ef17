"""The U-Net that revises masks: it starts from the mask, and learns what to change."""

import pytest

torch = pytest.importorskip("torch")

from radlatent.nn.mask_unet import MaskUNet, RevisionMinibatch  # noqa: E402


@pytest.fixture
def minibatch():
    torch.manual_seed(0)
    classes = torch.randint(0, 3, (4, 32, 32))
    x = torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).float()
    image = torch.randn(4, 2, 32, 32)
    return RevisionMinibatch(torch.cat([x, image], dim=1), x)


def test_shapes(minibatch):
    found = MaskUNet(5, 3, width=4)(minibatch.x)
    assert found.logits.shape == (4, 3, 32, 32)
    assert found.presence.shape == (4, 2)


def test_without_weights_of_its_own_the_mask_comes_back(minibatch):
    model = MaskUNet(5, 3, width=4).eval()
    torch.nn.init.zeros_(model.head[0].weight)
    torch.nn.init.zeros_(model.head[0].bias)
    found = model(minibatch.x).logits.argmax(dim=1)
    torch.testing.assert_close(found, minibatch.x[:, :3].argmax(dim=1))


def test_loss_is_the_sum_of_its_parts_by_hand(minibatch):
    model = MaskUNet(5, 3, width=4).eval()
    torch.nn.init.zeros_(model.head[0].weight)
    torch.nn.init.zeros_(model.head[0].bias)
    torch.nn.init.zeros_(model.present.weight)
    torch.nn.init.zeros_(model.present.bias)
    loss = model.loss(minibatch)
    # logits are 2 for the class that is right and 0 for two others
    right = torch.tensor(2.0).exp() / (torch.tensor(2.0).exp() + 2)
    torch.testing.assert_close(loss.parts["entropy"], -right.log().expand(4))
    torch.testing.assert_close(
        loss.parts["presence"], torch.tensor(2.0).log().expand(4)
    )
    share = minibatch.target[:, 1:].mean(dim=(0, 2, 3))
    soft = share * right + (1 - share) * (1 - right) / 2
    dice = (2 * share * right / (share + soft)).mean()
    torch.testing.assert_close(loss.parts["dice"], (1 - dice).expand(4))
    torch.testing.assert_close(loss.total, sum(loss.parts.values()))


def test_it_learns_to_take_a_structure_away(minibatch):
    torch.manual_seed(1)
    model = MaskUNet(5, 3, width=4)
    target = minibatch.x[:, :3].clone()
    target[:, 0] += target[:, 2]
    target[:, 2] = 0
    wanted = minibatch._replace(target=target)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(60):
        loss = model.loss(wanted)
        optimizer.zero_grad()
        loss.total.mean().backward()
        optimizer.step()
        losses.append(loss.parts["entropy"].mean().item())
    assert losses[-1] < 0.3 * losses[0]
    assert (model(wanted.x).presence.sigmoid()[:, 1] < 0.1).all()
