"""Small judges on disk: a folder with their width and their weights in fp16."""

import json
from pathlib import Path
from typing import Any

from torch import nn


def load(kind: type[Any], folder: Path) -> Any:
    """The trained network of this kind from its folder, frozen, in fp32."""
    from safetensors.torch import load_file

    network = kind(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
    network.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    return network.eval().requires_grad_(False)


def save(network: nn.Module, folder: Path) -> None:
    """Write config.json and model.safetensors."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"width": network.width}), encoding="utf-8")
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, folder / "model.safetensors")
