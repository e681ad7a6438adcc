"""python -m maskunet export: a base model with a mask folded in, for diffusers, ComfyUI, A1111 and Forge."""

import sys
from dataclasses import dataclass
from pathlib import Path

from maskunet.commands.base import CommandSpec, SamplingOptions, UsageError, option, seed_option

FORMS = ("folder", "file", "difference")  # of `library.export`, which would bring torch; a test compares them


@dataclass(frozen=True, kw_only=True)
class Options(SamplingOptions):
    mask: str | None = option(
        None, "a kept mask; python -m maskunet mask list names them", one_of="source", trained=True
    )
    generator: str | None = option(None, "a trained generator, for --prompt and --seed", one_of="source", trained=True)
    prompt: str | None = option(None, "whose masks the generator makes")
    seed: int = seed_option(0, "of the generator's picture")
    form: str = option(
        "file",
        "file, if left out: one .safetensors in the original layout; folder: as diffusers has it; difference: a small file that ComfyUI, A1111 "
        "and Forge read like a LoRA beside the base, at strength 1",
        choices=FORMS,
    )
    half: bool = option(False, "in float16, half the size")
    out: Path = option(help="the folder, or the .safetensors file", writes="folder or file")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form != "folder" and self.out.suffix != ".safetensors":
            raise UsageError("the name of the file, --out, must end in .safetensors")


def run(options: Options) -> None:
    """Fold the mask in and write the model; masks of several steps become one for all, which is said.

    Raises:
        ValueError: no such mask or generator, it is another model's, or the place cannot be written.
    """
    if options.generator is not None and not options.prompt:
        raise UsageError("--generator takes --prompt: its masks are those of a picture")
    if options.embedding:
        raise UsageError("an embedding is no part of a model; leave out --embedding")
    if options.lora and options.form == "difference":
        raise UsageError("a difference lies beside the base; with --lora give --form folder or file")
    from maskunet.library.export import export
    from maskunet.library.library import Library
    from maskunet.masks import fold, held
    from maskunet.records import held_mask
    from maskunet.records.disk import trained_file
    from maskunet.runs import mask_sources

    library = Library(options.model, options.weights, "cpu", **options.added)  # in float32, so that nothing is rounded
    source, model = library.find(library.default, with_rewards=False)[0], library.load_alone(library.default)
    model.trained.update(library.parts(library.default))
    if options.mask is None:
        named = options.generator or next(iter(model.trained.get("generator", {})), "")
        if named in model.trained.get(trained_file.EMBEDDING, {}):
            raise ValueError(f"The masks “{named}” learned together with a word, and a word is no part of a model.")
        asked = {name: getattr(options, name) for name in ("generator", "prompt", "seed", "steps", "guidance")}
        mask = mask_sources.of_words(model, **asked)
    else:
        path = held_mask.named(model.trained.get("mask", {}), options.mask, model.name)
        mask = held_mask.load(path)
        held_mask.check(mask, options.mask, model.name, model.weights, held.shapes(model.unet))
    whole, differs = fold.over_time(mask)
    made = export(model, source, whole, options.form, options.out, half=options.half)
    if not mask.static:
        sys.stdout.write(
            f"The mask changes over {len(mask.steps)} steps. One for all was folded in: a weight goes if it goes at half "
            f"of them or more, which differs for {differs:.2%} of the masked layers' weights and steps.\n"
        )
    sys.stdout.write(
        f"{options.out} ({made.size / 1e6:.1f} MB): {made.removed:,} weights are 0 now, {made.removed / made.sites:.2%} of "
        f"the masked layers and {made.removed / made.unet:.2%} of the U-Net. Zeros take as much room as other numbers; "
        f"the mask alone takes {min(4 * made.removed, made.sites // 8) / 1e6:.2f} MB.\n"
    )


SPEC = CommandSpec(
    name="export", title="fold a mask into a model, for diffusers, ComfyUI, A1111 or Forge", options=Options, run=run
)
