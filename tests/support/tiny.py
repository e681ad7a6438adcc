"""Small random parts in the genuine formats, for tests: seconds instead of gigabytes."""

from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from maskunet.masks import generator_file, held
from maskunet.masks.generator import GeneratorSettings, MaskGenerator
from maskunet.models.base import DiffusionModel, fine_tuned, from_folder
from maskunet.models.base.folder import hashes
from maskunet.records import held_mask
from maskunet.records.held_mask import HeldMask

WORDS = ("a", "and", "red", "blue", "cube", "sphere", "cat", "dog", "left", "of")
TEXT_WIDTH = {"sd15": 32, "sd2": 48, "sdxl": 32}
SECOND_WIDTH, POOLED_WIDTH, SIZE_WIDTH = 24, 32, 8  # of Stable Diffusion XL's second encoder, its pooled vector, a size
SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def tiny_unet(like: str = "sd15", seed: int = 0, side: int = 8) -> UNet2DConditionModel:
    """Two levels in the block order of SD: no attention in the last down and the first up block."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=side,
            block_out_channels=(16, 32),
            layers_per_block=1,
            norm_num_groups=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=TEXT_WIDTH[like],
            attention_head_dim=2 if like == "sd15" else [2, 4],
            use_linear_projection=like == "sd2",
        )
    return unet.eval().requires_grad_(False)


def tiny_xl_unet(seed: int = 0, side: int = 8, layers: int = 1) -> UNet2DConditionModel:
    """Three levels in SDXL's order: no attention at the largest size, and more layers of it at the smallest."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=side,
            block_out_channels=(32, 64, 64),
            layers_per_block=layers,
            norm_num_groups=16,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=TEXT_WIDTH["sdxl"] + SECOND_WIDTH,
            transformer_layers_per_block=(1, 1, 2),
            attention_head_dim=[2, 4, 4],
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=SIZE_WIDTH,
            projection_class_embeddings_input_dim=POOLED_WIDTH + 6 * SIZE_WIDTH,
        )
    return unet.eval().requires_grad_(False)


def tiny_vae(seed: int = 0, levels: int = 2) -> AutoencoderKL:
    """A decoder that doubles the size between its levels."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoencoderKL(
            block_out_channels=(8, 16, 16, 16)[:levels],
            norm_num_groups=4,
            latent_channels=4,
            sample_size=16,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
        )


def tiny_tokenizer(**special: str) -> CLIPTokenizer:
    """Ten words and all letters, 16 tokens long."""
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = [*letters, *(f"{c}</w>" for c in letters)]
    merges = []
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1], *parts[2:]]
            if parts[0] not in vocabulary:
                vocabulary.append(parts[0])
    merges = list(dict.fromkeys(merges))
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={w: i for i, w in enumerate(vocabulary)}, merges=merges, model_max_length=16, **special)


def tiny_text_encoder(tokens: int, like: str = "sd15", seed: int = 0) -> CLIPTextModel:
    """Two layers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = CLIPTextConfig(
            vocab_size=tokens, hidden_size=TEXT_WIDTH[like], intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=16, bos_token_id=tokens - 2,
            eos_token_id=tokens - 1, pad_token_id=tokens - 1,
        )  # fmt: skip
        return CLIPTextModel(config)


def tiny_second_encoder(tokens: int, seed: int = 1, **more: object) -> CLIPTextModelWithProjection:
    """Stable Diffusion XL's, three layers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = CLIPTextConfig(
            **{
                "vocab_size": tokens, "hidden_size": SECOND_WIDTH, "intermediate_size": 48, "num_hidden_layers": 3,
                "num_attention_heads": 2, "max_position_embeddings": 16, "projection_dim": POOLED_WIDTH,
                "hidden_act": "gelu", "bos_token_id": tokens - 2, "eos_token_id": tokens - 1, "pad_token_id": 0, **more,
            }
        )  # fmt: skip
        return CLIPTextModelWithProjection(config).eval()


def tiny_xl_pipeline(side: int = 8, prediction: str = "epsilon") -> StableDiffusionXLPipeline:
    """Small random parts in the order of SDXL."""
    tokens = len(tiny_tokenizer())
    vae = tiny_vae()
    vae.register_to_config(scaling_factor=0.13025)
    return StableDiffusionXLPipeline(
        vae=vae,
        unet=tiny_xl_unet(side=side),
        tokenizer=tiny_tokenizer(),
        tokenizer_2=tiny_tokenizer(pad_token="!"),
        text_encoder=tiny_text_encoder(tokens, "sdxl"),
        text_encoder_2=tiny_second_encoder(tokens),
        scheduler=EulerDiscreteScheduler.from_config(SCHEDULER, prediction_type=prediction, timestep_spacing="leading"),
    )


def tiny_xl_folder(path: Path, **how: object) -> Path:
    """A folder that StableDiffusionXLPipeline saved, as the hub's are."""
    tiny_xl_pipeline(**how).save_pretrained(path)
    return path


def tiny_sd_folder(path: Path, like: str = "sd15", prediction: str = "epsilon", side: int = 8, levels: int = 2) -> Path:
    """A folder that StableDiffusionPipeline saved, as the hub's are, with safetensors; `side` is of its latents."""
    tokenizer = tiny_tokenizer()
    StableDiffusionPipeline(
        vae=tiny_vae(levels=levels),
        unet=tiny_unet(like, side=side),
        tokenizer=tokenizer,
        text_encoder=tiny_text_encoder(len(tokenizer), like),
        scheduler=DDIMScheduler(**SCHEDULER, prediction_type=prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(path)
    return path


def tiny_tabletop(path: Path) -> Path:
    """One with pictures of 128 x 128, so that it learns from tabletop scenes in the tabletop model's place."""
    return tiny_sd_folder(path, side=16, levels=4)


def random_generator(unet: UNet2DConditionModel, seed: int = 0, **settings) -> MaskGenerator:
    """A mask generator with random parameters, so that it removes weights without any training."""
    generator, stream = (
        MaskGenerator(unet, GeneratorSettings(**settings)),
        torch.Generator().manual_seed(seed),
    )
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.7 * torch.randn(parameter.shape, generator=stream))
    return generator.eval()


def tiny_generator(folder: Path, name: str = "tiny", learns_from: str = "pictures", **settings) -> Path:
    """The file of such a generator in the folder of the model that it is for."""
    path = folder / "generators" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    base = {"model": "tiny", "weights": hashes(folder), "learns_from": learns_from}
    generator_file.save(random_generator(unet, **settings), path, base)
    return path


def tiny_mask(folder: Path, name: str = "tiny", steps: tuple[int, ...] = (0,), removed: float = 0.1) -> Path:
    """The file of a kept mask that removes this share at each of these timesteps, in an order by chance."""
    unet, stream = UNet2DConditionModel.from_pretrained(folder / "unet"), np.random.default_rng(7)
    sites = held.shapes(unet)
    total = sum(outputs * inputs for outputs, inputs in sites.values())
    orders = {t: stream.permutation(total)[: round(removed * total)].astype(np.uint32) for t in steps}
    path = folder / "masks" / f"{name}.safetensors"
    mask = HeldMask(model="tiny", weights=hashes(folder), sites=sites, steps=orders, recipe={"made": "test"})
    held_mask.save(mask, path)
    return path


def published_state(unet: UNet2DConditionModel, seed: int = 0) -> tuple[dict, dict]:
    """Random states of the names and shapes that the published training saves: its generators' and its adapters'."""
    stream, networks, adapters = torch.Generator().manual_seed(seed), {}, {}
    time = unet.time_embedding.linear_2.out_features

    def put(state: dict, name: str, outputs: int, inputs: int, *, convolution: bool = True) -> None:
        kernel = (1, 1) if convolution else ()
        state[f"{name}.weight"] = torch.randn(outputs, inputs, *kernel, generator=stream) / inputs**0.5
        if convolution:
            state[f"{name}.bias"] = torch.randn(outputs, generator=stream)

    for index, block in enumerate(unet.up_blocks):
        first = block.resnets[0].conv1
        rows, columns = first.out_channels // 4, first.in_channels // 4
        put(networks, f"{index}.conv_kernel_mask.0", 64, first.in_channels)
        put(networks, f"{index}.conv_kernel_mask.2", rows * columns, 64)
        put(networks, f"{index}.proj_temb", first.in_channels, time, convolution=False)
        for path, layer in block.named_modules():
            skipped = ("time_emb_proj", "ff", "conv_shortcut", "proj_in", "proj_out")
            if isinstance(layer, torch.nn.Linear) and not any(part in path for part in skipped):
                name = f"{index}.{path.replace('.', '_')}"
                put(adapters, f"{name}.conv_in", layer.out_features, rows)
                put(adapters, f"{name}.conv_out", layer.in_features, columns)
    return networks, adapters


def published_pair(folder: Path, unet: UNet2DConditionModel, seed: int = 0) -> tuple[Path, Path]:
    """These states as the published training's two files."""
    paths = folder / "mask_generators.pth", folder / "adapters.pth"
    for path, state in zip(paths, published_state(unet, seed), strict=True):
        torch.save(state, path)
    return paths


def tiny_fine_tuned(folder: Path, name: str = "tiny") -> Path:
    """A U-Net with other weights, beside the one that it is for."""
    path = folder / "fine_tuned" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    state = UNet2DConditionModel.from_pretrained(folder / "unet").state_dict()
    tensors = {key: (0.9 * value).contiguous() for key, value in state.items()}
    fine_tuned.save(path, tensors, "full", {"model": "tiny", "weights": hashes(folder)})
    return path


def tiny_decoder(folder: Path, seed: int = 0) -> Path:
    """An AutoencoderTiny as diffusers saves it, in the folder of the model that it is for."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        AutoencoderTiny(
            encoder_block_out_channels=(8, 8),
            num_encoder_blocks=(0, 0),
            decoder_block_out_channels=(8, 8),
            num_decoder_blocks=(1, 0),
        ).save_pretrained(folder / "tiny_decoder")
    return folder / "tiny_decoder"


def tiny_model(path: Path, like: str = "sd15") -> DiffusionModel:
    """The folder's model as the lab loads it, on the CPU in float32, with all that may lie beside it."""
    folder = tiny_xl_folder(path) if like == "sdxl" else tiny_sd_folder(path, like)
    tiny_decoder(folder)
    tiny_generator(folder)
    tiny_generator(folder, "tiny_reward", learns_from="image_reward")
    tiny_fine_tuned(folder)
    tiny_mask(folder)
    return from_folder(folder, name="tiny", guidance=3.0, device=torch.device("cpu"), dtype=torch.float32)


class Zero:
    """Rewards that like everything equally."""

    def __call__(self, image, prompts):
        return {"total": torch.zeros(len(image))}
