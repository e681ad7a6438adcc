"""What a recipe makes is found by what its file says, and a method uses it."""

import pytest

from maskunet.methods import method_for
from maskunet.records.disk import trained_file
from maskunet.training import checkpoint
from maskunet.training.recipes import SPECS
from tests.models.test_embedding import on
from tests.training.test_loop import run

pytestmark = pytest.mark.usefixtures("short_sheets")


@pytest.mark.parametrize("name", SPECS)
def test_a_recipe_leaves_a_file_of_the_kind_that_it_names_and_something_takes_it(tiny_sd15, tmp_path, name):
    run(tiny_sd15, SPECS[name], tmp_path, steps=1)
    kind = SPECS[name].makes
    assert kind in trained_file.kinds(tmp_path / checkpoint.PART)
    if SPECS[name].word:
        token = next(iter(SPECS[name].presets.values())).token
        assert on(tiny_sd15, tmp_path / checkpoint.PART).added.embeddings == (("trained", token),)
    if kind == trained_file.EMBEDDING:  # no method's: it is put on the model
        return
    user = method_for(kind)
    assert kind in user.takes.values()
    assert set(user.takes) <= set(user.settings().__dataclass_fields__)


def test_what_was_not_trained_here_is_of_no_kind(tmp_path):
    from safetensors.torch import save_file
    from torch import zeros

    save_file({"a": zeros(1)}, tmp_path / "other.safetensors", metadata={"format": "pt"})
    save_file({"a": zeros(1)}, tmp_path / "cut.safetensors", metadata={"maskunet-unet-1": "{"})
    (tmp_path / "none.safetensors").write_bytes(b"no header")
    assert not trained_file.by_kind((path.stem, path) for path in tmp_path.iterdir())


def test_a_kind_of_a_new_file_needs_no_list(tmp_path):
    from torch import zeros

    base = {"model": "tiny", "weights": {}}
    path = tmp_path / "mine.safetensors"
    trained_file.write(path, {"token": zeros(1)}, trained_file.header(base, {}, "maskunet-token-1"))
    assert trained_file.by_kind([("mine", path)]) == {"token": {"mine": path}}


def test_a_kind_that_no_method_takes_is_told():
    with pytest.raises(ValueError, match="No method takes a trained file of the kind “noise”"):
        method_for("noise")
