"""Run by the upstream packages' Python: their tiny networks, checkpoints and scores into a folder.

python scores.py FOLDER, with the repository's root on PYTHONPATH. Writes ImageReward.pt,
med_config.json, HPS_v2.1_compressed.pt, and scores.json: per reward the scores of tiny_rewards.PROMPTS
for tiny_rewards.picture, the gradient of the first score to the network's input, and the score of the
first prompt for a picture that is not square.
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn
from torchvision.transforms.functional import to_pil_image

from tests.support.tiny_rewards import BLIP, CLIP, PROMPTS, made, picture, write_vocabulary


def image_reward(folder: Path) -> dict[str, list]:
    """ImageReward's own classes at a small size; its constructor only knows the large one."""
    from ImageReward.ImageReward import MLP, ImageReward, _transform
    from ImageReward.models.BLIP.med import BertConfig, BertModel
    from ImageReward.models.BLIP.vit import VisionTransformer
    from transformers import BertTokenizer

    med = {
        "vocab_size": BLIP["vocabulary"], "hidden_size": BLIP["text_width"],
        "num_hidden_layers": BLIP["text_layers"], "num_attention_heads": BLIP["text_heads"],
        "intermediate_size": BLIP["text_intermediate"], "max_position_embeddings": BLIP["max_positions"],
        "layer_norm_eps": 1e-12, "hidden_act": "gelu", "add_cross_attention": True,
        "encoder_width": BLIP["vision_width"], "pad_token_id": 0,
    }  # fmt: skip
    (folder / "med_config.json").write_text(json.dumps(med))
    write_vocabulary(folder)
    scorer = ImageReward.__new__(ImageReward)
    nn.Module.__init__(scorer)
    scorer.device, scorer.mean, scorer.std = "cpu", 0.16717362830052426, 1.0333394966054072
    scorer.preprocess, scorer.mlp = _transform(BLIP["image_size"]), MLP(BLIP["text_width"])
    scorer.blip = nn.Module()
    scorer.blip.tokenizer = BertTokenizer(vocab_file=str(folder / "vocab.txt"))
    scorer.blip.visual_encoder = VisionTransformer(
        img_size=BLIP["image_size"],
        patch_size=BLIP["patch_size"],
        embed_dim=BLIP["vision_width"],
        depth=BLIP["vision_layers"],
        num_heads=BLIP["vision_heads"],
        drop_path_rate=0.1,
    )
    config = BertConfig.from_json_file(folder / "med_config.json")
    scorer.blip.text_encoder = BertModel(config=config, add_pooling_layer=False)
    scorer.blip.vision_proj = nn.Linear(BLIP["vision_width"], 8)
    scorer.blip.text_proj = nn.Linear(BLIP["text_width"], 8)
    scorer.load_state_dict(made(scorer.state_dict()))
    torch.save(scorer.state_dict(), folder / "ImageReward.pt")
    scorer.eval()
    image = to_pil_image(picture()[0])
    scores = [scorer.score(prompt, image) for prompt in PROMPTS]
    tokens = scorer.blip.tokenizer(
        PROMPTS[0], padding="max_length", truncation=True, max_length=35, return_tensors="pt"
    )
    pixels = scorer.preprocess(image)[None].requires_grad_()
    scorer.score_gard(tokens.input_ids, tokens.attention_mask, pixels).sum().backward()
    other = scorer.score(PROMPTS[0], to_pil_image(picture(48)[0, :, :32]))
    return {"scores": scores, "gradient": pixels.grad.flatten().tolist(), "wide": other}


def hpsv2(folder: Path) -> dict[str, list]:
    """hpsv2's own score function with a small network put where it keeps the large one."""
    from hpsv2 import img_score
    from hpsv2.src.open_clip.model import CLIP as Network
    from hpsv2.src.open_clip.tokenizer import tokenize
    from hpsv2.src.open_clip.transform import image_transform

    network = Network(**CLIP, output_dict=True)
    path = folder / "HPS_v2.1_compressed.pt"
    torch.save({"state_dict": made(network.state_dict())}, path)
    # What `create_model_and_transforms` makes of img_score's light_augmentation=True.
    preprocess = image_transform(CLIP["vision_cfg"]["image_size"], is_train=False, resize_longest_max=True)
    img_score.device = "cpu"
    img_score.model_dict.update(model=network, preprocess_val=preprocess)
    image = to_pil_image(picture()[0])
    scores = [float(img_score.score(image, prompt, cp=str(path))[0]) for prompt in PROMPTS]
    pixels = preprocess(image)[None].requires_grad_()
    seen = network.encode_image(pixels, normalize=True)
    (seen * network.encode_text(tokenize([PROMPTS[0]]), normalize=True)).sum().backward()
    wide = to_pil_image(picture(48)[0, :, :32])
    other = float(img_score.score(wide, PROMPTS[0], cp=str(path))[0])
    return {"scores": scores, "gradient": pixels.grad.flatten().tolist(), "wide": other}


if __name__ == "__main__":
    out = Path(sys.argv[1])
    found = {"image_reward": image_reward(out), "hpsv2": hpsv2(out)}
    (out / "scores.json").write_text(json.dumps(found))
