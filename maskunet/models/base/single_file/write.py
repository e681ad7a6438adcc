"""A model's weights under their original names, as A1111, Forge and ComfyUI read them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from maskunet.models.base.single_file.kinds import TEXT
from maskunet.models.base.single_file.names import THIRDS, originals

# A1111 counts the text encoder's positions in the file, too.
POSITIONS = {kind: f"{TEXT[kind]['text_encoder']}text_model.embeddings.position_ids" for kind in ("sd1", "sdxl")}


def original_state(
    networks: Mapping[str, nn.Module], kind: str, states: Mapping[str, Mapping[str, Tensor]] | None = None
) -> dict[str, Tensor]:
    """Every weight of a U-Net, a VAE and the text encoders by its original name, contiguous and on the CPU.

    Args:
        networks: by the names of their folders. kind: see `kinds.TEXT`.
        states: their weights, where they are not the networks' own.
    """
    states = states or {part: network.state_dict() for part, network in networks.items()}
    state: dict[str, Tensor] = {}
    split: dict[str, dict[int, Tensor]] = {}
    for part, network in networks.items():
        mine = {name: value.detach().cpu() for name, value in states[part].items()}
        for name, place in originals(part, kind, mine, network.config).items():
            if place.third is not None:
                split.setdefault(place.name, {})[place.third] = mine[name]
            elif part == "vae" and ".attentions." in name and mine[name].ndim == 2:
                state[place.name] = mine[name][:, :, None, None].contiguous()
            else:
                state[place.name] = (mine[name].T if place.turned else mine[name]).contiguous()
    state |= {name: torch.cat([each[i] for i in range(len(THIRDS))]) for name, each in split.items()}
    if kind in POSITIONS:
        state[POSITIONS[kind]] = torch.arange(networks["text_encoder"].config.max_position_embeddings)[None]
    return state
