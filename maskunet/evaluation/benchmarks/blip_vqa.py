"""T2I-CompBench's BLIP-VQA: is each noun phrase of the prompt in the picture (Huang et al. 2023)?

BLIP (Li et al. 2022) is asked "a red book?" for each phrase; the score is the product of the probabilities
of yes.

Published code differs: it rounds each probability to four digits. Its network was trained for 480 pixels;
transformers' port holds the positions of 384, which are interpolated back here.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskunet.encoders.pixels import from_uint8, standardized
from maskunet.encoders.pretrained import from_folder, tokenizer_from
from maskunet.evaluation.benchmarks.base import BenchmarkSpec, Judgment, Network, Row, Score, by_prompt, place
from maskunet.evaluation.intervals import bootstrap
from maskunet.prompts import dependencies, lexicon, rules
from maskunet.prompts.files import Prompt
from maskunet.prompts.words import Group, words_of

TASKS = ("color", "texture", "shape")
SIZE = 480
MOST = 8  # phrases of a prompt, and tokens of a question:
TOKENS = 35
NO_THING = ("top", "the side", "the left", "the right")

BLIP = Network(
    name="blip-vqa-base",
    title="BLIP for visual questions, ViT-B",
    license="BSD-3-Clause",
    repo="Salesforce/blip-vqa-base",
    files=("config.json", "model.safetensors", "*token*.json", "vocab.txt"),
    download_gb=1.54,
)


def phrases_of(prompt: str) -> tuple[str, ...]:
    """The noun phrases of a prompt, the first eight, without those that name a place only.

    As published, they are spaCy's noun chunks where spaCy and its small English model are installed.
    Elsewhere they are this project's word groups with the article or count before them. Those are the same
    for "a red book and a yellow vase", but leave out adverbs ("very"), and take in what is said behind a
    copula: "the cube is red" asks for "the red cube", where spaCy has "the cube".
    """
    language = dependencies.language()
    if language:
        found = [chunk.text for chunk in language(prompt).noun_chunks]
    else:
        found = [_with_starter(group, prompt) for group in rules.groups(prompt)]
    return tuple(phrase for phrase in found if phrase.lower() not in NO_THING)[:MOST]


def _with_starter(group: Group, prompt: str) -> str:
    start = min(word.start for word in (group.noun, *group.modifiers))
    before = words_of(prompt[:start])[-1:]
    opened = before and before[0].text.lower() in lexicon.STARTERS
    return f"{before[0].text} {group}" if opened else str(group)


class Judge:
    """Judges pictures by what is seen in them.

    Args:
        yes: (picture (H, W, 3) uint8, questions) -> the probability of yes to each.
    """

    def __init__(self, yes: Callable[[np.ndarray, Sequence[str]], Sequence[float]]):
        self._yes = yes

    def __call__(self, pixels: np.ndarray, prompt: Prompt) -> Judgment:
        """The product over the phrases, and each phrase's probability as the reason."""
        phrases = phrases_of(prompt.text)
        found = self._yes(pixels, [f"{phrase}?" for phrase in phrases])
        parts = (f"{phrase} {p:.4f}" for phrase, p in zip(phrases, found, strict=True))
        return Judgment(value=math.prod(found), reason="; ".join(parts))


class Questions:
    """BLIP of a folder in transformers' format.

    Args:
        size: side to which a picture is resized, pixels.
    """

    def __init__(self, folder: Path, device: torch.device, size: int = SIZE):
        from transformers import BlipForQuestionAnswering

        self._network = from_folder(BlipForQuestionAnswering, folder, device)
        self._tokenizer, self._device, self._size = tokenizer_from(folder), device, size
        config = self._network.config.text_config
        # BLIP appended two words to BERT's: what opens an answer, and what opens a question.
        self._answer, self._question = config.bos_token_id, config.bos_token_id + 1
        self._yes_no = self._tokenizer.convert_tokens_to_ids(["yes", "no"])
        unknown = self._tokenizer.unk_token_id in self._yes_no
        if unknown or self._question >= config.vocab_size:
            raise ValueError(f"The vocabulary in “{folder.name}” is not BLIP's. Get it again.")

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray, questions: Sequence[str]) -> list[float]:
        """The probability of yes, against no, of each question about a picture (H, W, 3) uint8."""
        seen = self._network.vision_model(self._prepared(pixels), interpolate_pos_encoding=True)
        return [self._answered(question, seen.last_hidden_state) for question in questions]

    def _answered(self, question: str, seen: Tensor) -> float:
        """The probability of yes, from the vision states (1, P, W).

        One question at a time: in a batch they are padded, and transformers 5.23 drops the mask that keeps
        the decoder from reading the padding.
        """
        tokens = self._tokenizer(
            cleaned(question), truncation=True, max_length=TOKENS, return_tensors="pt"
        ).input_ids.to(self._device)
        tokens[:, 0] = self._question
        asked = self._network.text_encoder(input_ids=tokens, encoder_hidden_states=seen).last_hidden_state
        answer = self._network.text_decoder(input_ids=tokens.new_tensor([[self._answer]]), encoder_hidden_states=asked)
        return float(answer.logits[0, 0, self._yes_no].softmax(0)[0])

    def _prepared(self, pixels: np.ndarray) -> Tensor:
        """The network's picture (1, 3, S, S); both sides are resized, as published."""
        from PIL import Image

        picture = Image.fromarray(pixels).resize((self._size, self._size), Image.Resampling.BICUBIC)
        return standardized(from_uint8(np.array(picture), self._device))


def cleaned(question: str) -> str:
    """A question as BLIP was trained on: small letters, no marks but the question mark."""
    return re.sub(r"[.!\"()*#:;~]", "", question.lower()).rstrip()


def task_of(prompt: Prompt, stem: str) -> str:
    """The part of T2I-CompBench that a prompts' file such as color_val.txt holds."""
    return next((task for task in TASKS if stem.lower().startswith(task)), stem)


def check(prompts: Sequence[Prompt]) -> None:
    """Refuse prompts without a noun phrase: nothing could be asked, and every picture would be right.

    Raises:
        ValueError: names the first such line.
    """
    for prompt in prompts:
        if not phrases_of(prompt.text):
            raise ValueError(f"{place(prompt)} has no noun phrase to ask for. Take it out, or name a thing in it.")


def load(folders: Mapping[str, Path], device: torch.device, prompts: Sequence[Prompt]) -> Judge:
    """The judge with its network.

    Raises:
        ValueError: the network is damaged.
    """
    return Judge(Questions(folders[BLIP.name], device))


def summarize(rows: Sequence[Row]) -> list[Score]:
    """The mean over the prompts of each task."""
    scores = []
    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        values = by_prompt(of_task)
        low, high = bootstrap(values)
        scores.append(
            Score(name=task, value=sum(values) / len(values), low=low, high=high, n=len(of_task), prompts=len(values))
        )
    return scores


PAPER = {
    "SD 1.5": (0.3750, 0.4159, 0.3742),
    "SD 2.0, 50 steps": (0.5056, 0.4922, 0.4221),
    "SynGen": (0.6288, 0.5796, 0.3881),
    "Attend-and-Excite, 50 steps": (0.6400, 0.5963, 0.4517),
    "MaskUNet": (0.4958, 0.4938, 0.4529),
    "SynGen+MaskUNet": (0.6989, 0.6209, 0.4644),
}

SPEC = BenchmarkSpec(
    name="blip_vqa",
    title="T2I-CompBench BLIP-VQA",
    summary="Product of the probabilities that BLIP sees each noun phrase of the prompt.",
    source="Huang et al. 2023; ImageReward is made from BLIP too, so this is no independent check of it",
    interval="the bootstrap over prompts, each with the mean of its pictures",
    networks=(BLIP,),
    task_of=task_of,
    check=check,
    load=load,
    summarize=summarize,
    protocols={
        "the paper, Table 2": {
            "prompts": "not stated", "images per prompt": "not stated", "steps": "15; 50 where said",
            "guidance": "7.5", "seed": "not stated", "sampler": "DPM-Solver",
        },
        "T2I-CompBench": {
            "prompts": "300 per task", "images per prompt": "10", "steps": "30", "guidance": "7.5",
            "seed": "42 and following, for each prompt", "sampler": "DDIM",
        },
    },
    published={method: dict(zip(TASKS, figures, strict=True)) for method, figures in PAPER.items()},
)  # fmt: skip
