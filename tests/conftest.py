"""Offline, single-threaded, with one small model for all."""

import gc
import os

gc.disable()  # until all tests are collected: what they import is kept, and a third of the import is looking through it

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"  # as the program sets it
os.environ["OMP_NUM_THREADS"] = "1"  # of the programs that tests start, too
os.environ["SSL_CERT_DIR"] = os.devnull  # HTTP clients in tests need not read all certificates, 0.04 s each
os.environ.pop("SSL_CERT_FILE", None)  # which would come first

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)

FIRST = (
    "ui",
    "studio",
    "training",
    "runs",
    "experiments",
    "tabletop",
    "methods",
    "models",
)  # rooms whose tests take long


def pytest_xdist_auto_num_workers():
    """Two more than there are cores: tests of the page wait for it a third of the time."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items):
    """What takes long begins first, so that no core waits for another one at the end."""
    order = {room: number for number, room in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.parent.name, len(order)))


def pytest_collection_finish():
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def libraries_are_not_collected():
    """Libraries come to 600,000 objects; without them a collection takes hundredths of a second."""
    if len(gc.get_objects()) > 100_000:
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def processes_are_forked():
    """What the studio does in processes of its own begins at once, with its libraries; `test_process` really spawns."""
    from maskunet.studio import process
    from tests.support.fresh import FRESH

    process.CONTEXT = FRESH


@pytest.fixture
def short_sheets(monkeypatch):
    """The sheets of samples that trainings draw at every checkpoint are made in one step."""
    monkeypatch.setattr("maskunet.training.sheet.STEPS", 1)


@pytest.fixture(scope="session")
def tiny_sd15(tmp_path_factory):
    """A small random model in the format and block order of Stable Diffusion 1.5."""
    from tests.support.tiny import tiny_model

    return tiny_model(tmp_path_factory.mktemp("tiny") / "sd15")


@pytest.fixture(scope="session")
def tiny_xl(tmp_path_factory):
    """A small random model in the format and block order of Stable Diffusion XL."""
    from tests.support.tiny import tiny_model

    return tiny_model(tmp_path_factory.mktemp("tiny") / "sdxl", "sdxl")


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """A library of that model with small rewards, for a Studio."""
    from tests.support import tiny_library

    return tiny_library.read(tiny_library.write(tmp_path_factory.mktemp("page") / "model"))


@pytest.fixture(scope="session")
def chromium():
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    from tests.support.serving import CHROMIUM

    with sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        flags.append("--host-resolver-rules=MAP *.example 127.0.0.1")  # other hosts than this computer, for proxies
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A small folder in Stable Diffusion 1.5's and in 2's format; not to be changed."""
    from tests.support.tiny import tiny_sd_folder

    root = tmp_path_factory.mktemp("originals")
    return {like: tiny_sd_folder(root / like, like) for like in ("sd15", "sd2")}
