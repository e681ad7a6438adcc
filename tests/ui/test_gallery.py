"""The precomputed runs are whole, and the page begins with the one that its controls ask for."""

from maskunet.studio.studio import Studio
from maskunet.ui import gallery
from maskunet.ui.page import build


def test_every_folder_is_a_run_and_is_found_by_its_id():
    runs = gallery.load()
    assert len(runs) == len([path for path in gallery.FOLDER.iterdir() if path.is_dir()])
    for run_id in runs:
        assert gallery.load(gallery.folder(run_id).parent)[run_id].request == runs[run_id].request


def test_the_first_is_of_the_prompt_seed_and_method_that_the_page_begins_with(library, tmp_path):
    studio = Studio(tmp_path, library=library)
    parts = build(studio).config["components"]
    studio.close()

    def value(label):
        return next(p["props"]["value"] for p in parts if p["props"].get("label") == label)

    first = next(iter(gallery.load().values())).request
    given = (value("Prompt"), value("Seed"), value("Method"), value("Preset"))
    assert given == (first.prompt, str(first.seed), first.method, first.preset)
