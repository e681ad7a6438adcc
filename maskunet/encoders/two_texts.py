"""Text states of models with two text encoders, as Stable Diffusion XL's."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from maskunet.encoders.text_states import TextStates

BEFORE_LAST = -2  # the layer that is read, without the final normalization


def encode(
    prompts: list[str], readers: Sequence[tuple[Any, nn.Module]], sizes: Sequence[int], *, zeros: bool, place: tuple
) -> TextStates:
    """Text states of B prompts: both encoders' side by side, the second one's pooled vector, and the picture's sizes.

    Args:
        readers: a tokenizer and its text encoder, twice; of the second one the projected end of the text is pooled.
        sizes: six numbers, height and width as they were, the cut's top and left, height and width as they are.
        zeros: an empty prompt is zeros, not the encoding of nothing.
        place: device and dtype of what is returned.
    """
    hidden, (device, dtype) = [], place
    for tokenizer, encoder in readers:
        tokens = tokenizer(
            prompts,
            padding="max_length",
            truncation=True,
            max_length=tokenizer.model_max_length,
            return_tensors="pt",
        )
        nn.Module.to(encoder, device)  # it may have been at rest
        seen = encoder(tokens.input_ids.to(device), output_hidden_states=True)
        hidden.append(seen.hidden_states[BEFORE_LAST])
    states, pooled = torch.cat(hidden, -1).to(dtype), seen.text_embeds.to(dtype)
    empty = [zeros and not prompt.strip() for prompt in prompts]
    states[empty], pooled[empty] = 0, 0
    return TextStates(states, pooled, torch.tensor(sizes, dtype=dtype, device=device).repeat(len(prompts), 1))
