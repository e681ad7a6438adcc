"""Offline, single-threaded, with one small model for all."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_sd15(tmp_path_factory):
    """A small random model in the format and block order of Stable Diffusion 1.5."""
    from tests.tiny import tiny_model

    return tiny_model(tmp_path_factory.mktemp("tiny") / "sd15")


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """A library of that model with small rewards, for a Studio."""
    from maskunet.library import Library
    from maskunet.models.base import ModelSpec
    from tests.tiny import tiny_sd_folder
    from tests.tiny_rewards import write_small

    path = tmp_path_factory.mktemp("page")
    spec = ModelSpec(
        name="tiny",
        title="Tiny random",
        summary="Random weights.",
        license="none",
        guidance=3.0,
        folder=tiny_sd_folder(path / "model"),
        rewards=write_small(path / "rewards"),
        vocabulary={"color": ("red", "blue")},
    )
    return Library("tiny", device="cpu", specs={"tiny": spec})


@pytest.fixture(scope="session")
def chromium():
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    from tests.serving import CHROMIUM

    with sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()
