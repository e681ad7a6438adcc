"""Read one network of a model's folder, checked."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WEIGHT_FILES = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
CONFIG_FILES = {
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "tokenizer": "tokenizer_config.json",
    "scheduler": "scheduler_config.json",
}
TINY_DECODER_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
# While they load, diffusers and transformers put functions of their own into torch, for all threads. Two loads at
# once could take back the wrong ones, and every network made from then on would be empty.
_LOADING = threading.Lock()


def read_network(what: str, path: Path, kind: Any, options: Mapping[str, Any]) -> Any:
    weights = WEIGHT_FILES.get(path.name)
    if weights and (path / f"{weights}.fp16.safetensors").is_file():
        full = any((path / f"{weights}.safetensors{end}").is_file() for end in ("", ".index.json"))
        options = options if full else {**options, "variant": "fp16"}
    try:
        with _LOADING:
            loaded = kind.from_pretrained(str(path), local_files_only=True, **options)
    except Exception as error:
        raise ValueError(
            f"The {what} cannot be read: it is incomplete, damaged or not in safetensors format. Download it again."
        ) from error
    if "output_loading_info" not in options:
        return loaded
    module, info = loaded
    # Both libraries fill what a file lacks with random numbers and only log it.
    lacking = [key for key in info["missing_keys"] if not key.endswith("position_ids")]
    if lacking:
        raise ValueError(
            f"The {what} lacks {len(lacking)} of its weights, such as {sorted(lacking)[0]}. Download it again."
        )
    return module
