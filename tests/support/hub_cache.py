"""Files as huggingface_hub keeps them."""

import hashlib
import os
import shutil


def hub_cache(root, repo, source):
    """Lay out a folder as huggingface_hub does: blobs named by SHA-256, links in a snapshot."""
    place = root / f"models--{repo.replace('/', '--')}"
    snapshot = place / "snapshots" / ("0" * 40)
    for path in source.rglob("*"):
        if path.is_file():
            blob = place / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
            link = snapshot / path.relative_to(source)
            for made in (blob, link):
                made.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, blob)
            link.symlink_to(os.path.relpath(blob, link.parent))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    return snapshot
