"""python -m maskunet convert: take over a mask generator that the published training saved."""

import sys
from dataclasses import dataclass
from pathlib import Path

from maskunet.commands.base import CommandSpec, ModelOptions, option


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    mask_generators: Path = option(help="mask_generators.pth of the published training", positional=True)
    adapters: Path = option(help="its adapters.pth", positional=True)
    out: Path = option(
        writes="folder", help="folder for the generator; what is in trained/MODEL/NAME is offered to the methods"
    )


def run(options: Options) -> None:
    """Check both files against the base model and write them as one safetensors file that names their hashes.

    Raises:
        ValueError: the files are not that pair, or not for this base model; says what is wrong.
    """
    from maskunet.library.library import Library
    from maskunet.masks import generator_file, published_file
    from maskunet.records.disk.hub import file_hash
    from maskunet.training.checkpoint import PART

    place = options.out / PART
    if place.exists():
        raise ValueError(f"“{options.out.name}” holds a trained part already. Give another --out.")
    tensors = published_file.read(options.mask_generators, options.adapters)
    library = Library(options.model, options.weights, options.device, **options.added)
    model = library.load_alone(library.default)
    generator = published_file.generator_of(tensors, model.unet)
    source = {path.name: file_hash(path) for path in (options.mask_generators, options.adapters)}
    generator_file.save(generator, place, {"model": model.name, "weights": model.weights, "source": source})
    sys.stdout.write(
        f"The mask generator “{options.out.name}” of {model.name} is in {place}. In trained/{model.name}/ it is offered "
        f"to the methods; as published: --method maskunet_trained --preset published --set generator={options.out.name}\n"
    )


SPEC = CommandSpec(
    name="convert",
    title="take over a mask generator that the published training saved",
    options=Options,
    run=run,
)
