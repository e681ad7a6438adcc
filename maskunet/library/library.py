"""The base models of this machine: which there are, which comes first, each loaded once."""

import gc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from maskunet import machine
from maskunet.library import additions, checkpoints, own_models
from maskunet.library.unet_class import without_weights
from maskunet.library.weights import load_model, model_folder, reward_folders
from maskunet.masks.selection import heads_of
from maskunet.masks.sites import find_sites
from maskunet.models import SPECS
from maskunet.models.base import DiffusionModel, ModelSpec, unet_of_others
from maskunet.models.base.dressed import dressed
from maskunet.models.base.folder import beside
from maskunet.models.base.reading import is_xl
from maskunet.records import Card, held_mask
from maskunet.records.added import NOTHING, Added
from maskunet.records.disk import trained_file
from maskunet.records.disk.hub import MissingWeights
from maskunet.records.selection import Network
from maskunet.rewards import load_rewards
from maskunet.rewards.base import WeightedRewards
from maskunet.tabletop.checker import Checker
from maskunet.tabletop.inspector import Inspector

DIRECTIONS = ("erase", "amplify")
MAX_LOADED = 2  # models kept in memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A model and the rewards that judge its pictures, on one device; none where nothing is scored.

    `checker` says what is on a tabletop picture and `inspector` whether it is spoiled, see `maskunet.tabletop`; None
    where nobody asked for them.
    """

    model: DiffusionModel
    rewards: WeightedRewards
    checker: Checker | None = None
    inspector: Inspector | None = None


class Library:
    """Finds and loads base models with their rewards; not safe for several threads at once.

    Args:
        model: the default model's name, or "auto": one with a download if there is a CUDA device and its
            weights and rewards are here, else the first embedded one; a folder given as `weights` comes first.
        weights: for the default model a Stable Diffusion folder, or a .safetensors file after which it is then called;
            a folder of such folders, each under its model's name; or what the Hugging Face cache has of OWNER/NAME.
        device: "cuda", "cuda:1", "mps", "cpu", or None for the best one here.
        specs: the models to choose from.
        for_page: of the embedded ones "auto" takes the one that pages begin with, whose masks do something. Commands take
            the first, as most figures in the documents are of it.
        trained: folder of what the user trained, by the model's name: generators, or folders of trainings, by name.
        models: a folder of files and folders of the user's, each a model; with its folders loras and embeddings.
        aside: where the embedded models are computed, if not on `device`; for a device that is only lent.
        loras, embeddings: files that are put on the default model, as `additions.given`, and `lora_masks`, what masks
            act on then.

    Raises:
        ValueError: no such model or device, `weights` holds no model, or `models` none.
    """

    def __init__(
        self,
        model: str = "auto",
        weights: Path | None = None,
        device: str | None = None,
        specs: Mapping[str, ModelSpec] = SPECS,
        trained: Path = Path("trained"),
        models: Path | None = None,
        *,
        for_page: bool = False,
        aside: str | None = None,
        loras: Sequence[str] = (),
        embeddings: Sequence[str] = (),
        lora_masks: str = "",
    ):
        self.added, files = additions.given(loras, embeddings, lora_masks)
        self._files = additions.on_shelf(models, files)
        self.device = machine.choose_device(device)
        self.dtype = machine.choose_dtype(self.device)
        self._aside = None if aside is None else machine.choose_device(aside)
        weights = None if weights is None else own_models.located(weights)
        shelf = {} if models is None else own_models.shelf(models, specs, may_be_empty=any(self._files.values()))
        if (
            weights is not None
            and model in ("auto", own := own_models.named(weights, specs))
            and (weights.is_file() or (model == own and own_models.is_folder(weights)))
        ):
            shelf, model = {**shelf, own: own_models.spec_of(weights, specs)}, own
        self._own = {name: spec.folder for name, spec in shelf.items()}
        self._specs, self._weights, self.trained = {**shelf, **specs}, weights, trained
        self._loaded: dict[tuple, Loaded] = {}
        self.default = self._choose(for_page) if model == "auto" else self.spec(model).name
        if weights is not None:
            xl = is_xl(self._folder(self.default))
            if self.default == "folder":
                self._specs["folder"] = own_models.of_its_kind(self.spec("folder"), xl)

    def files(self, name: str) -> additions.Files:
        """The LoRA files and embeddings that are here or were trained by now; of one name, the model's own training."""
        return additions.with_trained(self._files, self.trained, name)

    def _choose(self, for_page: bool) -> str:
        if self._weights is not None:
            named = [name for name in self._specs if (self._weights / name).is_dir()]
            return named[0] if named else "folder"
        if self.device.type == "cuda":
            for name, spec in self._specs.items():
                if spec.repo and not self.missing(name, with_rewards=True):
                    return name
        embedded = [name for name, spec in self._specs.items() if spec.embedded]
        opening = [name for name in embedded if self._specs[name].opens]
        return next(iter([*(opening if for_page else ()), *embedded, *self._specs]))

    def spec(self, name: str) -> ModelSpec:
        """The model of that name.

        Raises:
            ValueError: there is none; says which there are.
        """
        if name not in self._specs:
            raise ValueError(f"There is no model “{name}”. There are: {', '.join(self._specs)}.")
        return self._specs[name]

    def find(self, name: str, with_rewards: bool = True) -> tuple[Path, dict[str, Path]]:
        """The folder of the model's weights and, if asked for, those of its rewards by their names.

        Raises:
            ValueError: as `model_folder` and `reward_folders`.
        """
        return self._folder(name), reward_folders(self.spec(name), self._weights) if with_rewards else {}

    def own(self, name: str) -> Path | None:
        """The file or folder of a model of the user's; None for the others."""
        return self._own.get(name)

    def _folder(self, name: str) -> Path:
        weights = self._weights
        # A plain folder stands for one model only, or it would be offered under every name.
        if weights is not None and name != self.default and not (weights / name).is_dir():
            weights = None
        return model_folder(self.spec(name), weights)

    def load_alone(self, name: str) -> DiffusionModel:
        """The model without rewards, as a training needs it; not kept.

        Raises:
            ValueError: weights are missing or damaged; says what to do.
        """
        model = load_model(self.spec(name), self._folder(name), *self.where(name))
        added = self.added if name == self.default else NOTHING
        return model if added == NOTHING else self._dressed(model, added)

    def load_to_train(self, name: str, with_rewards: bool) -> tuple[DiffusionModel, WeightedRewards | None]:
        """The model, and its rewards if the training learns from one; not kept.

        Raises:
            ValueError: weights are missing or damaged; says what to do.
        """
        model = self.load_alone(name)
        if not with_rewards:
            return model, None
        return model, load_rewards(self.find(name)[1], *self.where(name))

    def stays_here(self, name: str) -> bool:
        """Whether the model is computed aside of the device.

        Raises:
            ValueError: no such model.
        """
        return self._aside is not None and self.spec(name).embedded

    def where(self, name: str) -> tuple[torch.device, torch.dtype]:
        """On which device and in which precision the model is computed."""
        if self.stays_here(name):
            return self._aside, machine.choose_dtype(self._aside)
        return self.device, self.dtype

    def missing(self, name: str, with_rewards: bool = False) -> str:
        """Why the model, or the model with its rewards, cannot be used here; empty if it can."""
        try:
            self.find(name, with_rewards)
        except ValueError as error:
            return str(error)
        return ""

    def cards(self) -> list[Card]:
        """All models, the default one first."""
        names = sorted(self._specs, key=lambda name: name != self.default)
        return [self._card(self._specs[name]) for name in names]

    def _card(self, spec: ModelSpec) -> Card:
        reason = self.missing(spec.name)
        return Card(
            name=spec.name,
            title=spec.title,
            summary=f"{spec.summary} License: {spec.license}.",
            available=not reason,
            reason=reason,
            refused=bool(spec.refused),
            unscored="" if reason else self.missing(spec.name, with_rewards=True),
            download_gb=spec.download_gb,
            guidance=spec.guidance,
            steps=spec.steps,
            vocabulary=spec.vocabulary,
        )

    def is_loaded(self, name: str, added: Added | None = None) -> bool:
        """Whether `load` answers at once, with whatever rewards are here."""
        found = self._loaded.get(self._key(name, added))
        return found is not None and bool(found.rewards or self.missing(name, with_rewards=True))

    def load(self, name: str, with_rewards: bool = True, added: Added | None = None) -> Loaded:
        """The model, from memory if it was used lately; what was trained is looked up anew.

        Args:
            with_rewards: load its rewards too, if they are here; else nothing may be scored.
            added: LoRA files and embeddings that are put on a copy of it; None for those of the default model.

        Raises:
            ValueError: the model's weights are missing, or some are damaged; says what to do.
        """
        key = self._key(name, added)
        found = self._loaded.get(key) or self._read(key)
        self._look_for_trainings(found.model)
        if with_rewards and not found.rewards:
            found = replace(found, rewards=self._rewards(name))
        self._loaded.pop(key)  # the one used last is dropped last
        self._loaded[key] = found
        return found

    def find_added(self, added: Added) -> None:
        """Refuse LoRA files and embeddings that are not here.

        Raises:
            ValueError: says which, and what to do.
        """
        additions.find(added, self.files(self.default))

    def _key(self, name: str, added: Added | None) -> tuple:
        """Of a model in memory: its name, what is on it, and when those files were written."""
        added = (self.added if name == self.default else NOTHING) if added is None else added
        self.find_added(added)
        files = self.files(name)
        paths = [files[kind][file] for kind, each in zip(additions.KINDS, added[:2], strict=True) for file, _ in each]
        return name, added, *(path.stat().st_mtime_ns for path in paths)

    def _read(self, key: tuple) -> Loaded:
        name, added, *_ = key
        base = None if added == NOTHING else self.load(name, with_rewards=False, added=NOTHING)
        while len(self._loaded) >= MAX_LOADED:
            # What a lent device computes stays: a Space deletes such a model's files when it has been loaded.
            aside = [other for other in self._loaded if self.stays_here(other[0])]
            self._loaded.pop(next(iter([*aside, *self._loaded])))
            gc.unfreeze()  # a program may have frozen what was there, this model too
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        if base is None:
            model = load_model(self.spec(name), self.find(name, False)[0], *self.where(name))
            rewards = WeightedRewards({})
        else:
            model, rewards = self._dressed(base.model, added), base.rewards
        self._loaded[key] = Loaded(model=model, rewards=rewards)
        return self._loaded[key]

    def _dressed(self, model: DiffusionModel, added: Added) -> DiffusionModel:
        return dressed(model, added, self.files(model.name), [site.name for site in find_sites(model.unet)])

    def _rewards(self, name: str) -> WeightedRewards:
        """Those of a model, or none and why; with something on it a model is judged by the same."""
        if there := [found.rewards for (of, *_), found in self._loaded.items() if of == name and found.rewards]:
            return there[0]
        try:
            folders = reward_folders(self.spec(name), self._weights)
        except MissingWeights as error:
            return WeightedRewards({}, missing=str(error))
        return load_rewards(folders, *self.where(name))

    def parts(self, name: str) -> dict[str, dict[str, Path]]:
        """What came with a model and what the user trained for it, by kind and name; the model is not loaded.

        Raises:
            ValueError: no such model, or its weights are not here.
        """
        found = trained_file.by_kind(beside(self._folder(name)))
        for kind, files in self._of_user(name).items():
            found.setdefault(kind, {}).update(files)
        return found

    def _look_for_trainings(self, model: DiffusionModel) -> None:
        """Add what the user trained for a model."""
        for kind, found in self._of_user(model.name).items():
            model.trained.setdefault(kind, {}).update(found)

    def _of_user(self, name: str) -> dict[str, dict[str, Path]]:
        files = {path.stem: path for path in sorted((self.trained / name).glob("*.safetensors"))}
        files |= {path.parent.name: path for path in sorted((self.trained / name).glob("*/trained.safetensors"))}
        found = trained_file.by_kind(files.items())
        if others := {**checkpoints.here(name), **unet_of_others.beside(self.trained / name)}:
            found["unet"] = {**found.get("unet", {}), **others}
        return found

    def network(self, name: str) -> Network:
        """Where a model can be masked, from its configuration alone.

        Raises:
            ValueError: its weights are missing, its configuration is damaged, or no up block of its U-Net has attention.
        """
        unet = without_weights(self._folder(name))
        sites = find_sites(unet)
        return Network(sites=tuple(site.name for site in sites), heads=tuple(heads_of(unet, sites)))

    def concepts(self, name: str) -> list[Card]:
        """The kept masks of a model that erase or amplify a concept: name, concept (`title`), direction (`kind`).

        Raises:
            ValueError: its weights are missing.
        """
        found = []
        for mask, path in self.parts(name).get("mask", {}).items():
            with suppress(ValueError):  # a damaged one is told to who chooses it by its name
                recipe = held_mask.recipe(path)
                if recipe.get("direction") in DIRECTIONS:
                    concept, made = str(recipe.get("concept") or mask)[:60], str(recipe.get("made", ""))
                    found.append(Card(name=mask, title=concept, summary=made, kind=recipe["direction"]))
        return found

    def clear(self) -> None:
        """Let go of every loaded model."""
        self._loaded.clear()
