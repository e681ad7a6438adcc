"""The precomputed runs are whole, and the page begins with the one that its controls ask for."""

from maskunet.library.library import Library
from maskunet.models import SPECS
from maskunet.studio.studio import Studio
from maskunet.studio.work import DeviceWork
from maskunet.ui import gallery
from maskunet.ui.page import build


def test_every_folder_is_a_run_and_is_found_by_its_id():
    runs = gallery.load()
    assert len(runs) == len([path for path in gallery.FOLDER.iterdir() if path.is_dir()])
    for run_id in runs:
        assert gallery.load(gallery.folder(run_id).parent)[run_id].request == runs[run_id].request


def test_the_first_is_of_the_prompt_seed_model_and_method_that_the_page_begins_with(tmp_path, monkeypatch):
    monkeypatch.setattr(DeviceWork, "warm_up", lambda work: None)  # no model is needed to draw the page
    studio = Studio(tmp_path, device="cpu")
    parts = build(studio).config["components"]
    studio.close()

    def value(label):
        return next(p["props"]["value"] for p in parts if p["props"].get("label") == label)

    first = next(iter(gallery.load().values())).request
    given = tuple(map(value, ("Prompt", "Seed", "Base model", "Method", "Preset")))
    assert given == (first.prompt, str(first.seed), first.model, first.method, first.preset)
    assert (value("Steps"), value("Guidance scale")) == (first.steps, 0)  # the model's own scale, as this run's
    assert first.guidance == SPECS[first.model].guidance
    assert Library().default != first.model  # the figures in the documents are of the clean base, as commands are
