"""Tiny models of diffusers with random weights, in the shapes of the published configurations."""

from types import SimpleNamespace

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from sds.priors.quiet_import import quiet

WORDS = ["<pad>", "<eos>", "<bos>", "<unk>", "a", "bell", "drum", "loud", "kick", "snare", "rain"]


def library():
    """diffusers and transformers: their warnings on import stay inside."""
    with quiet():
        import diffusers
        import transformers

        diffusers.StableAudio3Pipeline, diffusers.StableAudio3InpaintPipeline  # noqa: B018
        diffusers.StableAudioPipeline, diffusers.AudioLDM2Pipeline  # noqa: B018
    return SimpleNamespace(d=diffusers, t=transformers)


def tokenizer(length):
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    return library().t.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>",
        unk_token="<unk>", model_max_length=length,
    )  # fmt: skip


def letters(kind, length):
    """A tokenizer of letters of one of the two classes that AudioLDM 2 asks for."""
    special = ["<pad>", "</s>", "<unk>"] if kind == "T5Tokenizer" else ["<s>", "<pad>", "</s>"]
    special += ["\u2581"] if kind == "T5Tokenizer" else ["<unk>", "<mask>"]
    words = [*special, *"abcdefghijklmnopqrstuvwxyz"]
    if kind == "T5Tokenizer":
        vocabulary = [(word, -2.0) for word in words]
        return library().t.T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=length)
    vocabulary = {word: i for i, word in enumerate(words)}
    return library().t.RobertaTokenizer(vocab=vocabulary, merges=[], model_max_length=length)


def randomised(module, seed=0):
    """Every tensor of weights random: zero-initialised branches would hide what they are given."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            if float(weight.std()) == 0.0 or weight.numel() == 1:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    return module.eval()


def t5gemma(width=16):
    own = dict(
        vocab_size=len(WORDS), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=8, sliding_window=16,
        layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    t = library().t
    config = t.T5GemmaConfig(
        encoder=own, decoder=own, is_encoder_decoder=False, vocab_size=len(WORDS)
    )
    return t.T5GemmaEncoderModel(config).eval()


def stable_audio_3(*, post_trained=False, depth=2, rate=8000):
    """A `StableAudio3Pipeline` of 8 kHz, 256 samples a frame, 12 channels."""
    d = library().d
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        return d.StableAudio3Pipeline(
            vae=randomised(
                d.AutoencoderSAME(
                    patch_size=64, encoder_channels=4, encoder_c_mults=(4,), encoder_strides=(4,),
                    encoder_transformer_depths=(depth,), latent_dim=12, dim_heads=8,
                    decoder_sinusoidal_blocks=(2,), sampling_rate=rate,
                )
            ),
            text_encoder=t5gemma(),
            tokenizer=tokenizer(8),
            duration_embedder=d.StableAudio3DurationEmbedder(output_dim=16, fourier_dim=8).eval(),
            transformer=randomised(
                d.StableAudio3DiTModel(
                    io_channels=12, embed_dim=32, depth=2, num_heads=2, cond_token_dim=16,
                    global_cond_dim=16, local_add_cond_dim=13, timestep_features_dim=16,
                    ff_mult=2.0, num_memory_tokens=3,
                )
            ),
            scheduler=d.FlowMatchEulerDiscreteScheduler(
                num_train_timesteps=1, shift=1.0, stochastic_sampling=post_trained
            ),
        )  # fmt: skip


def t5(words=11, width=16):
    t = library().t
    config = t.T5Config(
        vocab_size=words, d_model=width, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
        pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return t.T5EncoderModel(config).eval()


def stable_audio(scheduler="CosineDPMSolverMultistepScheduler"):
    """A `StableAudioPipeline` of 8 kHz, 32 samples a frame, 8 channels, 2 s."""
    d = library().d
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        return d.StableAudioPipeline(
            vae=d.AutoencoderOobleck(
                encoder_hidden_size=16, downsampling_ratios=[4, 8], channel_multiples=[1, 2],
                decoder_channels=16, decoder_input_channels=8, sampling_rate=8000,
            ).eval(),
            text_encoder=t5(),
            projection_model=d.StableAudioProjectionModel(16, 32, 0.0, 8.0).eval(),
            tokenizer=tokenizer(8),
            transformer=randomised(
                d.StableAudioDiTModel(
                    sample_size=500, in_channels=8, num_layers=2, attention_head_dim=16,
                    num_attention_heads=2, num_key_value_attention_heads=1, out_channels=8,
                    cross_attention_dim=32, time_proj_dim=16, global_states_input_dim=64,
                    cross_attention_input_dim=32,
                )
            ),
            scheduler=getattr(d, scheduler)(
                sigma_min=0.3, sigma_max=500, sigma_data=1.0, prediction_type="v_prediction"
            ),
        )  # fmt: skip


def audioldm2(prediction="epsilon"):
    """An `AudioLDM2Pipeline` of 16 kHz: mels of 16 bands every 160 samples, a quarter of both."""
    d, t = library().d, library().t
    text = dict(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, projection_dim=16, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    heard = dict(
        spec_size=8, window_size=4, num_mel_bins=8, depths=[2, 2], num_attention_heads=[2, 2],
        patch_embeds_hidden_size=16, hidden_size=32, projection_dim=16, num_hidden_layers=2,
        patch_size=2, patch_stride=2, patch_embed_input_channels=1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        clap = t.ClapConfig(text_config=text, audio_config=heard, projection_dim=16)
        words = t.GPT2Config(
            vocab_size=len(WORDS),
            n_embd=16,
            n_layer=1,
            n_head=2,
            n_positions=64,
            n_inner=32,
            bos_token_id=None,
            eos_token_id=None,
        )
        words.max_new_tokens = 3
        return d.AudioLDM2Pipeline(
            vae=d.AutoencoderKL(
                block_out_channels=[8, 16, 16], in_channels=1, out_channels=1, norm_num_groups=4,
                down_block_types=["DownEncoderBlock2D"] * 3,
                up_block_types=["UpDecoderBlock2D"] * 3, latent_channels=4, scaling_factor=0.4,
            ).eval(),
            text_encoder=t.ClapModel(clap).eval(),
            text_encoder_2=t5(32),
            projection_model=d.AudioLDM2ProjectionModel(16, 16, 16).eval(),
            language_model=t.GPT2LMHeadModel(words).eval(),
            tokenizer=letters("RobertaTokenizer", 16),
            tokenizer_2=letters("T5Tokenizer", 32),
            feature_extractor=None,
            unet=randomised(
                d.AudioLDM2UNet2DConditionModel(
                    block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=8,
                    sample_size=8, in_channels=4, out_channels=4,
                    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                    cross_attention_dim=((None, 16, 16), (None, 16, 16)), attention_head_dim=4,
                )
            ),
            scheduler=d.DDIMScheduler(
                beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear",
                clip_sample=False, set_alpha_to_one=False, prediction_type=prediction,
                steps_offset=1,
            ),
            vocoder=t.SpeechT5HifiGan(
                t.SpeechT5HifiGanConfig(
                    model_in_dim=16, sampling_rate=16000, upsample_initial_channel=32,
                    upsample_rates=[5, 4, 4, 2], upsample_kernel_sizes=[10, 8, 8, 4],
                    resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
                    normalize_before=False,
                )
            ).eval(),
        )  # fmt: skip
