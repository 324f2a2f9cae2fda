"""Adam: torch's numbers, without what torch loads for them."""

from pathlib import Path

import pytest
import torch

from sds.signal.adam import Adam

SDS = Path(__file__).parents[1] / "sds"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_bit_is_torch_s(dtype):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 5, generator=generator, dtype=dtype)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    adam, peer = Adam(ours, lr=0.1), torch.optim.Adam([theirs], lr=0.1)
    for step in range(60):
        adam.lr = peer.param_groups[0]["lr"] = 0.1 / (1 + step)
        slope = torch.randn(3, 5, generator=generator, dtype=dtype) * 10.0 ** (step % 7 - 3)
        for optimizer, x in ((adam, ours), (peer, theirs)):
            optimizer.zero_grad()
            torch.autograd.backward([(slope * x.sin()).sum()], inputs=[x])
            optimizer.step()
        assert torch.equal(ours, theirs)


def test_a_first_step_has_the_length_of_the_step_size():
    x = torch.zeros(2, requires_grad=True)
    torch.autograd.backward([(x * torch.tensor([1e-3, -50.0])).sum()], inputs=[x])
    Adam(x, lr=0.25).step()
    torch.testing.assert_close(x.detach(), torch.tensor([-0.25, 0.25]), rtol=1e-4, atol=0)


def test_without_a_gradient_there_is_no_step():
    with pytest.raises(ValueError, match="a step needs a gradient"):
        Adam(torch.zeros(2, requires_grad=True), lr=0.1).step()


def test_only_training_loads_the_optimizers_of_torch():
    users = {path for path in SDS.rglob("*.py") if "torch.optim." in path.read_text("utf-8")}
    assert {path.relative_to(SDS).parts[0] for path in users} == {"train", "signal"}
    assert SDS / "signal" / "adam.py" in users  # which names it only
