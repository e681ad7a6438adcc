"""Work that a GPU replays: what is copied, what is called, and on a GPU, that nothing changes by it."""

import dataclasses
from contextlib import contextmanager, nullcontext
from typing import ClassVar, NamedTuple
from unittest.mock import MagicMock

import pytest
import torch
from torch import nn

from maskunet.methods import SPECS
from maskunet.methods.maskunet_free.cuda_graph import Pool, Replayed
from maskunet.methods.maskunet_free.method import IMPROVED, OFFICIAL
from maskunet.models.base import DiffusionModel, from_folder
from maskunet.records import Request
from maskunet.rewards import load_rewards
from maskunet.runs.compare import compare
from tests.support.tiny import tiny_sd_folder
from tests.support.tiny_rewards import write_small

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


class Pair(NamedTuple):
    first: torch.Tensor
    others: dict[str, torch.Tensor]
    words: bool = True


def pair(number: float, device: str = "cpu") -> Pair:
    return Pair(torch.full((3,), number, device=device), {"b": torch.full((2,), 10 * number, device=device)})


class Sum(nn.Module):
    """Its own result, and with hooks."""

    def forward(self, given: Pair) -> torch.Tensor:
        return given.first.sum() + given.others["b"].sum()


@pytest.fixture
def recorder(monkeypatch):
    """A stand-in for CUDA's graphs: what runs while one is recorded runs again at every replay, into the same tensors."""

    class Graph:
        again: ClassVar = None

        def replay(self):
            self.again()

    @contextmanager
    def record(graph, pool, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", record)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: 1)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: MagicMock())
    monkeypatch.setattr(torch.cuda, "current_stream", MagicMock())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    return Graph


def test_no_model_is_replayed_without_a_gpu(tiny_sd15):
    assert not tiny_sd15.replayable
    assert dataclasses.replace(tiny_sd15, device=torch.device("cuda")).replayable


def test_the_second_call_is_recorded_and_replayed_with_each_calls_own_numbers(recorder):
    calls, heard = [], []
    module = Sum()

    def function(given):
        calls.append(given)
        return module(given)

    replayed = Replayed(function, Pool("cuda"), watched=[module])
    with module.register_forward_hook(lambda *told: heard.append(told[2])):
        assert replayed(pair(1)) == 23
        assert not replayed.recorded
        recorder.again = lambda graph: heard[1].copy_(Sum()(calls[1]))
        for number in (2, 3, 4):
            assert replayed(pair(number)) == 23 * number
            assert heard[-1] is heard[1]
    assert replayed.recorded
    assert len(calls) == 2  # as it is, and recorded
    assert len(heard) == 2 + 3  # and after each replay
    assert not module._forward_hooks


@pytest.mark.parametrize("error", [RuntimeError("not permitted"), torch.cuda.OutOfMemoryError("too little")])
def test_what_cannot_be_recorded_goes_on_as_it_is(monkeypatch, recorder, caplog, error):
    @contextmanager
    def refuse(*given, **options):
        yield
        raise error

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    pool = Pool("cuda")
    for _ in range(2):
        replayed = Replayed(Sum(), pool)
        assert [float(replayed(pair(number))) for number in (1, 2, 3)] == [23, 46, 69]
        assert not replayed.recorded
    assert caplog.text.count("cannot be recorded") == 1  # nor is another tried in that memory


@on_a_gpu
def test_a_graph_gives_what_the_function_gives():
    module = Sum()
    replayed = Replayed(module, Pool("cuda"), [module])
    heard = []
    with module.register_forward_hook(lambda *told: heard.append(told[2])):
        for number in (1, 2, 3, 4):
            assert float(replayed(pair(number, "cuda"))) == 23 * number
            assert float(heard[-1]) == 23 * number
    assert replayed.recorded


@on_a_gpu
def test_what_waits_for_the_device_is_not_recorded(caplog):
    replayed = Replayed(lambda given: given.first * given.first.sum().item(), Pool("cuda"))
    assert [float(replayed(pair(number, "cuda")).sum()) for number in (1, 2, 3)] == [9, 36, 81]
    assert not replayed.recorded
    assert "cannot be recorded" in caplog.text


@pytest.fixture(scope="module")
def on_cuda(tmp_path_factory):
    folder, cuda = tmp_path_factory.mktemp("cuda"), torch.device("cuda")
    path = tiny_sd_folder(folder / "model")
    model = from_folder(path, name="tiny", guidance=3.0, device=cuda, dtype=torch.float32)
    return model, load_rewards(write_small(folder / "rewards"), cuda, torch.float32)


@on_a_gpu
@pytest.mark.parametrize(
    "settings",
    [
        dataclasses.replace(OFFICIAL, updates=4, early_steps=1),
        dataclasses.replace(OFFICIAL, updates=3, early_steps=0, common_noise=True, keep_best=True),
        dataclasses.replace(IMPROVED, removes=0.05),
    ],
)
@pytest.mark.parametrize("method", ["maskunet_free", "syngen_maskunet"])
def test_a_picture_is_the_same_with_replays_and_without(on_cuda, settings, method, monkeypatch):
    model, rewards = on_cuda
    spec = SPECS[method]
    if method != "maskunet_free":
        own = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
        settings = dataclasses.replace(spec.settings(), **own)
    request = Request(prompt="a red cube and a blue sphere", method=method, seed=3, steps=4)
    events = []
    for replays in (True, False):
        monkeypatch.setattr(DiffusionModel, "replayable", replays)
        events.append(list(spec.run(model, rewards, request, settings)))
    for ours, theirs in zip(*events, strict=True):
        assert ours.rewards == pytest.approx(theirs.rewards, rel=1e-3, abs=1e-3)
        assert ours.keep_ratio == pytest.approx(theirs.keep_ratio, abs=1e-3)
        assert abs(ours.image.astype(int) - theirs.image.astype(int)).mean() < 1


@on_a_gpu
def test_feature_maps_are_those_of_their_own_step(on_cuda, monkeypatch):
    model, rewards = on_cuda
    request = Request(prompt="a red cube", method="maskunet_free", preset="official", seed=3, steps=9)
    runs = []
    for replays in (True, False):
        monkeypatch.setattr(DiffusionModel, "replayable", replays)
        *_, (_, run) = compare(model, rewards, request)
        runs.append(run)
    ours, theirs = (run.course.maps for run in runs)
    assert ours.keys() == theirs.keys()
    for block in ours:
        assert abs(ours[block].astype(int) - theirs[block].astype(int)).mean() < 3
