"""Batches in parts when memory runs out: the same answers, and one sentence where nothing helps."""

import logging

import pytest
import torch

from sds.priors.memory import NotEnoughMemory, Rows, one_sentence, ran_out
from sds.priors.stable_audio import StableAudioPrior
from tests.tiny_stable_audio import config, noise, random_model

FULL = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 11.76 GiB"


def limited(limit, tried):
    """A network of the identity that takes `limit` rows at most."""

    def apply(start, stop):
        tried.append(stop - start)
        if stop - start > limit:
            raise torch.OutOfMemoryError(FULL)
        return torch.arange(start, stop)

    return apply


def test_all_rows_at_once_while_memory_lasts():
    tried = []
    assert Rows("it").each(limited(20, tried), 20).tolist() == list(range(20))
    assert tried == [20]


def test_half_as_many_each_time_memory_runs_out_and_so_from_then_on(caplog):
    rows, tried = Rows("the model"), []
    with caplog.at_level(logging.WARNING):
        assert rows.each(limited(6, tried), 20).tolist() == list(range(20))
    assert tried == [20, 10, 5, 5, 5, 5]
    assert "the model: memory is full, going on with 5 rows at once" in caplog.text
    tried.clear()
    assert rows.each(limited(6, tried), 7).tolist() == list(range(7))
    assert tried == [5, 2]


def test_one_row_that_does_not_fit_is_one_sentence():
    with pytest.raises(NotEnoughMemory, match=r"for it even one sound.*20\.00 MiB more") as caught:
        Rows("it").each(limited(0, []), 4)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    assert "shorter sound" in str(caught.value)


def test_other_errors_are_not_taken_for_full_memory():
    def fails(start, stop):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Rows("it").each(fails, 4)
    with pytest.raises(RuntimeError, match="shapes do not fit"), one_sentence():
        fails(0, 1)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(FULL),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
    ],
)
def test_full_memory_is_known_on_every_device(error):
    assert ran_out(error)
    with pytest.raises(NotEnoughMemory, match="there is not enough memory"), one_sentence():
        raise error


def test_a_prior_answers_alike_with_few_rows_at_once():
    """Network and codec raise as a full card does for more than two rows."""
    settings = config()
    prior = StableAudioPrior(random_model(settings), settings, name="tiny")
    x, sigma, cond = noise(5, 8, 24), torch.linspace(0.1, 9, 5), prior.embed(["bell"], 1.0)
    audio = 0.1 * noise(5, 2, 960)

    def answers():
        return [prior.denoise(x, sigma, cond), prior.encode(audio), prior.decode(x)]

    def full(_, args):
        if len(args[0]) > 2:
            raise torch.OutOfMemoryError(FULL)

    whole = answers()
    prior._codec.iterate_batch = False
    for part in (prior.network, prior._codec.model.encoder, prior._codec.model.decoder):
        part.register_forward_pre_hook(full)
    for a, b in zip(answers(), whole, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-6)
    assert (prior._network_rows.most, prior._codec_rows.most) == (2, 2)
