"""The spectral codec: exact where it can be, bounded where it cannot."""

import pytest
import torch
from safetensors.torch import load_file

from sds.priors.checkpoints import WEIGHTS
from sds.priors.spectral_codec import (
    BINS,
    GROUP,
    HOP,
    N_FFT,
    SCALE_DB,
    SpectralCodec,
    from_db,
    griffin_lim,
    istft,
    mel_matrix,
    mel_spread,
    principal,
    stft,
    to_db,
)

FRAME = HOP * GROUP


@pytest.fixture(scope="module")
def codec():
    """The shipped codec, out of the default model's file."""
    tensors = load_file(WEIGHTS / "default" / "model.safetensors")
    parts = {k.removeprefix("pretransform."): v for k, v in tensors.items()}
    codec = SpectralCodec().eval().requires_grad_(False)
    codec.load_state_dict({k: parts[k].float() for k in codec.state_dict()})
    return codec


def noise(frames, seed=0):
    return 0.1 * torch.randn(2, frames * FRAME, generator=torch.Generator().manual_seed(seed))


def test_istft_inverts_stft():
    audio = noise(6)
    assert torch.allclose(istft(stft(audio)), audio, atol=1e-6)


def test_a_full_scale_sine_on_a_bin_has_magnitude_one():
    k = 100
    t = torch.arange(FRAME * 4)
    audio = torch.sin(2 * torch.pi * k / N_FFT * t)[None]
    magnitude = stft(audio).abs()[0, :, 4:-4]
    assert torch.allclose(magnitude[k], torch.ones(magnitude.shape[1]), atol=1e-4)
    assert float(magnitude[k + 10].max()) < 1e-4


def test_decibels_round_trip_and_floor_is_silence():
    magnitude = torch.logspace(-4.3, 0.5, 50)
    assert torch.allclose(from_db(to_db(magnitude)), magnitude, rtol=1e-4)
    assert float(from_db(to_db(torch.zeros(3))).abs().max()) == 0.0


def test_mel_rows_are_means_and_the_spread_keeps_a_constant():
    mel = mel_matrix(44100, 128)
    assert mel.shape == (128, BINS)
    assert torch.allclose(mel.sum(1), torch.ones(128), atol=1e-5)
    assert torch.allclose(mel_spread(mel) @ torch.full((128, 1), 3.0), torch.full((BINS, 1), 3.0))
    with pytest.raises(ValueError, match="got 250"):
        mel_matrix(44100, 250)


def test_true_magnitude_and_phase_give_the_audio_back():
    audio = noise(4)
    spectrum = stft(audio)
    assert torch.allclose(griffin_lim(spectrum.abs(), spectrum, rounds=0), audio, atol=1e-5)


def test_griffin_lim_rounds_bring_magnitudes_nearer():
    wanted = stft(noise(8)).abs()
    start = stft(noise(8, seed=1))

    def error(rounds):
        return float((stft(griffin_lim(wanted, start, rounds=rounds)).abs() - wanted).norm())

    assert error(16) < 0.6 * error(0)


def test_all_components_lose_nothing():
    mels = 32
    codec = SpectralCodec(latent=GROUP * mels, mels=mels)
    levels = torch.randn(8, mels, 8 * GROUP, generator=torch.Generator().manual_seed(0))
    assert principal(codec, levels) == pytest.approx(1.0, abs=1e-5)
    _, mel = codec.decode_levels(codec.encode_levels(levels))
    assert torch.allclose(mel, levels, atol=1e-3)


def test_components_keep_the_share_they_say():
    mels, latent = 32, 4
    codec = SpectralCodec(latent=latent, mels=mels)
    g = torch.Generator().manual_seed(0)
    shapes = torch.randn(latent, GROUP * mels, generator=g)
    z = torch.randn(400, latent, generator=g)
    x = z @ shapes + 0.01 * torch.randn(400, GROUP * mels, generator=g)
    levels = x.reshape(400, 1, GROUP, mels).permute(0, 3, 1, 2).reshape(400, mels, GROUP)
    assert principal(codec, levels) > 0.999
    latents = codec.encode_levels(levels).detach()
    assert float(latents.var()) == pytest.approx(1.0, abs=0.02)


def fitted(latent, mels):
    """A codec fitted to random levels [500, mels, 4] of quite uneven components."""
    codec = SpectralCodec(latent=latent, mels=mels)
    g = torch.Generator().manual_seed(0)
    spread = torch.logspace(0, -2, GROUP * mels)
    basis = torch.linalg.qr(torch.randn(GROUP * mels, GROUP * mels, generator=g)).Q
    x = (torch.randn(500, GROUP * mels, generator=g) * spread) @ basis + 0.3
    levels = x.reshape(500, 1, GROUP, mels).permute(0, 3, 1, 2).reshape(500, mels, GROUP)
    principal(codec, levels)
    return codec.requires_grad_(False), levels


def test_deviation_is_what_the_latents_of_the_fit_have():
    codec, levels = fitted(16, 32)
    z = codec.encode_levels(levels)[..., 0]
    assert float(z.std(0).max() / z.std(0).min()) > 1.2  # not evened out wholly
    assert torch.allclose(codec.deviation(), z.std(0), rtol=1e-3)


def test_tilts_are_the_latent_changes_of_one_decibel():
    codec, levels = fitted(16, 32)
    z = codec.encode_levels(levels)
    louder = codec.encode_levels(levels + 1.0 / SCALE_DB) - z
    slope = torch.linspace(-1, 1, 32)[:, None] / SCALE_DB
    brighter = codec.encode_levels(levels + slope) - z
    level, tilt = codec.tilts()
    assert torch.allclose(louder, level[:, None].expand_as(louder), atol=1e-4)
    assert torch.allclose(brighter, tilt[:, None].expand_as(brighter), atol=1e-4)


def test_shapes_padding_and_determinism(codec):
    audio = noise(3)[:, None, :-100]
    with torch.no_grad():
        z = codec.encode(audio)
        assert z.shape == (2, 64, 3)
        assert torch.equal(z, codec.encode(audio))
        alone = codec.decode(z)
        assert alone.shape == (2, 1, 3 * FRAME)
        assert torch.equal(alone, codec.decode(z))
        assert codec.decode(z, like=audio).shape == (2, 1, 3 * FRAME)


def test_like_lends_its_phase(codec):
    """With the phase of the original, the decoded wave correlates with it; without, it cannot."""
    t = torch.arange(FRAME * 8) / 44100
    audio = 0.5 * torch.sin(2 * torch.pi * 440 * t)[None, None]
    with torch.no_grad():
        z = codec.encode(audio)
        close = codec.decode(z, like=audio)
    cosine = torch.nn.functional.cosine_similarity(close.flatten(), audio.flatten(), dim=0)
    assert float(cosine) > 0.5


def test_at_speed_one_changes_nothing(codec):
    z = torch.randn(2, 64, 12, generator=torch.Generator().manual_seed(0))
    z = codec.encode_levels(codec.decode_levels(z)[1])
    same = codec.at_speed(z, torch.ones(2), 12)
    torch.testing.assert_close(same, z, rtol=0, atol=3e-3)  # weights are in half


def test_at_speed_is_what_playing_faster_sounds_like(codec):
    """A sine's level curve moves up by the speed; a click comes earlier by it."""
    time = torch.arange(24 * 2048) / 44100
    slow, fast = (torch.sin(2 * torch.pi * 1500 * s * time)[None, None] * 0.3 for s in (1.0, 1.2))
    moved = codec.at_speed(codec.encode(slow), torch.tensor([1.2]), 16)
    heard, wanted = (
        codec.decode_levels(z[..., 4:12])[1].mean(2) for z in (moved, codec.encode(fast))
    )
    assert (
        int(heard.argmax()) == int(wanted.argmax()) != int(codec.levels(slow[0]).mean(2).argmax())
    )
    click = torch.zeros(1, 1, 24 * 2048)
    click[..., 12 * 2048 :] = 0.5 * torch.randn(
        12 * 2048, generator=torch.Generator().manual_seed(1)
    )
    moved = codec.decode_levels(codec.at_speed(codec.encode(click), torch.tensor([1.2]), 16))[1]
    onset = int((moved.mean(1)[0] > moved.mean()).float().argmax())
    assert abs(onset - 48 / 1.2) <= 2


def test_no_level_overflows():
    assert from_db(torch.tensor([3.0, 4.0, 1e4, 1e30])).tolist() == pytest.approx(
        [1.0, 10**0.5, 10**0.5, 10**0.5]
    )
