"""Small random models as single files in the original layout, and the configurations that they are of."""

from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from maskunet.models.base.single_file import kinds, read
from maskunet.models.base.single_file.write import original_state
from tests.support import tiny
from tests.support.tiny import SCHEDULER, TEXT_WIDTH, tiny_unet, tiny_vae

KINDS = {"sd1": "sd15", "sd2": "sd2", "sdxl": "sdxl"}  # ours, and how `tiny` calls them


def tiny_xl_pipeline() -> StableDiffusionXLPipeline:
    """That of `tiny`, with CLIP's own tokenizers."""
    pipeline = tiny.tiny_xl_pipeline()
    ours = dict(zip(read.TOKENIZERS, read.tokenizers(kinds.Kind(name="sdxl", title="sdxl")), strict=True))
    pipeline.register_modules(**ours)
    tokens = {"vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407, "max_position_embeddings": 77}
    config = {**pipeline.text_encoder.config.to_dict(), **tokens, "hidden_act": "quick_gelu"}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        pipeline.register_modules(
            text_encoder=CLIPTextModel(CLIPTextConfig(**config)).eval(),
            text_encoder_2=tiny.tiny_second_encoder(49408, **tokens),
        )
    return pipeline


def tiny_pipeline(kind: str) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """A pipeline of small random parts with CLIP's own tokenizer."""
    if kind == "sdxl":
        return tiny_xl_pipeline()
    like = KINDS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = CLIPTextConfig(
            vocab_size=49408, hidden_size=TEXT_WIDTH[like], intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=77, bos_token_id=49406, eos_token_id=49407,
            hidden_act="quick_gelu" if kind == "sd1" else "gelu",
        )  # fmt: skip
        text_encoder = CLIPTextModel(config)
    return StableDiffusionPipeline(
        vae=tiny_vae(),
        unet=tiny_unet(like),
        tokenizer=read.tokenizers(kinds.Kind(name=kind, title=kind))[0],
        text_encoder=text_encoder.eval(),
        scheduler=DDIMScheduler(**SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def write(place: Path, kind: str, **metadata: str) -> tuple[Path, Path]:
    """A model as a folder and as a single file with the same weights; `configs` in `place` has its configurations."""
    pipeline = tiny_pipeline(kind)
    folder, file = place / f"{kind}-folder", place / f"{kind}.safetensors"
    pipeline.save_pretrained(folder)
    parts = kinds.Kind(name=kind, title=kind).networks
    for part in (*parts, "scheduler"):
        configs = place / "configs" / kind / part
        configs.mkdir(parents=True)
        for path in (folder / part).glob("*config.json"):
            (configs / path.name).write_bytes(path.read_bytes())
    networks = {part: getattr(pipeline, part) for part in parts}
    save_file(original_state(networks, kind), file, metadata={"format": "pt", **metadata})
    return folder, file
