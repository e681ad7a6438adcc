"""What a lab can do with masks as objects: make one, keep it, read it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskunet.library.library import Library
    from maskunet.models.base import DiffusionModel
    from maskunet.records.held_mask import HeldMask


class KeptMasks:
    """The masks of a lab's model; a part of `Lab`."""

    model: "DiffusionModel"
    _library: "Library"

    @property
    def masks(self) -> tuple[str, ...]:
        """The names of the masks that are kept for the model; the method `held_mask` puts one on."""
        return tuple(self.model.trained.get("mask", {}))

    def mask(self, name: str) -> "HeldMask":
        """Read a kept mask, also one of the Hub, hf://OWNER/NAME; `maskunet.masks.algebra` combines several.

        Raises:
            ValueError: there is none of that name, or it is damaged.
        """
        from maskunet.records import held_mask

        name, model = self._here(name), self.model
        return held_mask.load(held_mask.named(model.trained.get("mask", {}), name, model.name))

    def make_mask(self, **source: Any) -> "HeldMask":
        """Make a mask from a run, a trained generator, by chance or by hand; `keep_mask` keeps it.

        Args:
            source: of `runs.mask_sources.of_words`, such as run="my-run", step=3, or generator="light", prompt="a red cube",
                seed=7, or random="iid", removed=0.01, or select="block2.cross.v".

        Raises:
            ValueError: not exactly one source, or nothing can be made from it; says why.
        """
        from maskunet.runs import mask_sources

        self._end()
        if "generator" in source:
            source["generator"] = self._here(source["generator"])
        return mask_sources.of_words(self.model, **source)

    def keep_mask(self, name: str, mask: "HeldMask") -> Path:
        """Write a mask into trained/MODEL/NAME, where the methods find it.

        Raises:
            ValueError: it cannot be called so, something of that name is there, or it is of another model.
        """
        from maskunet.masks import held
        from maskunet.records import held_mask
        from maskunet.runs import mask_sources

        model = self.model
        held_mask.check(mask, name, model.name, model.weights, held.shapes(model.unet))
        path = mask_sources.free_place(name, model.name, model.trained.get("mask", {}), self._library.trained)
        held_mask.save(mask, path)
        return path
