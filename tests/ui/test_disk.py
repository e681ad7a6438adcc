"""23: the disk does not grow with use: previews of the page are no files, callers get few, old files go."""

import numpy as np

from maskunet.records import JobEvent, StepEvent
from maskunet.studio.studio import Studio
from maskunet.ui import page
from maskunet.ui.html import live
from maskunet.ui.server import endpoint

IMAGE = np.zeros((512, 512, 3), np.uint8)
STEPS, UPDATES = 20, 10


class Long:
    """A studio whose job reports 200 updates after some waiting."""

    def events(self, job):
        for ahead in (2, 2, 1, 1, 1, 0):
            yield JobEvent(job=job, phase="queued", ahead=ahead)
        for phase in ("base", "result"):
            for i in range(STEPS * UPDATES):
                image = np.full((8, 8, 3), i, np.uint8)  # each another one
                step = StepEvent(step=i // UPDATES, steps=STEPS, timestep=9, update=i % UPDATES, image=image)
                yield JobEvent(job=job, phase=phase, step=step)


def test_23_a_caller_gets_one_preview_of_a_step_and_hears_of_every_place(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    sent = list(filter(None, endpoint._answers(Long(), "0123456789ab")))
    assert [facts["ahead"] for *_, facts in sent if facts["phase"] == "queued"] == [2, 1, 0]
    for phase in ("base", "result"):
        assert [facts["step"] for *_, facts in sent if facts["phase"] == phase] == [*range(1, STEPS + 1)]
    # Gradio deletes what it has sent; what was made and not sent would stay.
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) <= STEPS


def test_23_previews_on_the_page_are_small_and_no_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    watcher = live.Watcher("a red cube", "model", "method", {})
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, IMAGE.shape, np.uint8)  # the worst there is for a compressed picture
    for i in range(STEPS * UPDATES):
        step = StepEvent(step=i // UPDATES, steps=STEPS, timestep=9, update=i % UPDATES, image=noise)
        watcher.see(JobEvent(job="", phase="result", step=step))
    assert "data:image/jpeg" in watcher.pair() and len(watcher.pair()) < 150_000
    assert list(tmp_path.iterdir()) == []


def test_23_what_gradio_keeps_is_deleted_after_hours(library, tmp_path):
    studio = Studio(tmp_path, library=library)
    look, age = page.build(studio, {}).delete_cache
    studio.close()
    assert look <= 3600 and age <= 24 * 3600
