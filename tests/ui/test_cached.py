"""Pictures that gradio offers as files: nobody fetches half of one."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskunet.ui.server.cached import cached

PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def test_a_picture_is_written_once_whole_and_stays_young():
    """Gradio would write it anew for each preview: whoever fetches it meanwhile gets a part."""
    path = Path(cached(PICTURE))
    assert np.array_equal(np.asarray(Image.open(path)), PICTURE) and cached(None) is None
    before = path.stat()
    os.utime(path, (0, 0))
    assert cached(PICTURE) == str(path) and path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime >= before.st_mtime  # old ones are deleted
    assert cached(PICTURE + 1) != str(path) and [each.name for each in path.parent.iterdir()] == ["image.png"]


def test_a_full_disk_is_told(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "/some/where")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ValueError, match="disk is full: the picture was not saved"):
        cached(PICTURE)
