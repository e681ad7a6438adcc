"""The JSON header of a safetensors file: read, changed and spoiled."""

import json
import struct


def read(path):
    """The header, and where its data begins."""
    data = path.read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:end]), end


def rewrite(path, change):
    """Change the header of a file, keeping its data."""
    header, end = read(path)
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + path.read_bytes()[end:])


def about(header, name, **changes):
    """Change what a header says under a name of its metadata."""
    said = json.loads(header["__metadata__"][name])
    header["__metadata__"][name] = json.dumps({**said, **changes})


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def huge(path):
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])


def nested(path):
    text = b'{"a":' * 200_000
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def empty(path):
    path.write_bytes(b"")
