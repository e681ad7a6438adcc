"""A frozen network, or a tokenizer, of a folder in transformers' format."""

from pathlib import Path
from typing import Any

import torch


def from_folder(kind: Any, folder: Path, device: torch.device) -> torch.nn.Module:
    """A transformers network of a folder in float32, frozen.

    Args:
        kind: its class, such as transformers.CLIPModel.

    Raises:
        ValueError: the folder holds no such network, or not all of its parameters.
    """
    try:
        network, report = kind.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # each kind of damage raises its own
        raise ValueError(f"“{folder.name}” holds no {kind.__name__} that can be read. {GET_AGAIN}") from error
    lacking = sorted(set(report["missing_keys"]) & {name for name, _ in network.named_parameters()})
    if lacking or report["mismatched_keys"]:  # they would be left random, and judge wrongly
        raise ValueError(f"The {kind.__name__} in “{folder.name}” lacks weights of its own. {GET_AGAIN}")
    return network.to(device).eval().requires_grad_(False)


def tokenizer_from(folder: Path) -> Any:
    """The tokenizer beside a network.

    Raises:
        ValueError: there is none that can be read.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise ValueError(f"“{folder.name}” holds no tokenizer that can be read. {GET_AGAIN}") from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # transformers makes one without its files too
        raise ValueError(f"“{folder.name}” holds no vocabulary. {GET_AGAIN}")
    return tokenizer


GET_AGAIN = "Get it again with python -m maskunet download, or give --weights a folder that holds it."
