"""Record what a function does on a GPU once and replay it: all of its kernels start at once.

An update of Stable Diffusion is some 6,000 kernels, and to start them one by one takes longer than to run them. See
docs/speed.md.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only

log = logging.getLogger(__name__)


class Pool:
    """Memory and a stream for functions that never run at the same time.

    Attributes:
        usable: until one of them could not be recorded.
    """

    def __init__(self, device: torch.device):
        self.handle, self.stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream(device)
        self.usable = True

    def warm_up(self, function: Callable[[Any], Any], given: Any) -> Any:
        """The function's result; what it needs once, such as a library's workspace, is then there for the recording."""
        outside = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):
            result = function(given)
        outside.wait_stream(self.stream)
        return result


class Replayed:
    """A function of tensors that is run as it is the first time, recorded as a CUDA graph the second, then replayed.

    What it returns from the second time on is written anew by every replay: copy what is to be kept.

    Args:
        function: of tensors in dicts, tuples and NamedTuples, whose shapes stay the same, to such. It must not wait for
            the device, nor draw random numbers, and what it reads beside its arguments must stay in its place.
        watched: modules with forward hooks, which a replay would not call: they are called after it.

    Attributes:
        recorded: whether it is replayed by now. What cannot be recorded, also for lack of memory, goes on as it is.
    """

    def __init__(self, function: Callable[[Any], Any], pool: Pool, watched: Iterable[nn.Module] = ()):
        self._function, self._pool, self._watched = function, pool, list(watched)
        self._known = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._seen: list[tuple[nn.Module, Tensor]] = []

    @property
    def recorded(self) -> bool:
        """See above."""
        return self._graph is not None

    def __call__(self, given: Any) -> Any:
        """The function's result for these arguments."""
        if self._known and self._graph is None and self._pool.usable:
            self._record(given)
        self._known = True
        if self._graph is None:
            return self._pool.warm_up(self._function, given)
        torch._foreach_copy_(self._inputs, _tensors(given))
        self._graph.replay()
        for module, output in self._seen:
            for hook in module._forward_hooks.values():
                hook(module, (), output)
        return self._result

    def _record(self, given: Any) -> None:
        graph, inputs = torch.cuda.CUDAGraph(), tree_map_only(Tensor, torch.clone, given)
        try:
            # Of this thread alone, since others may use the device, for a picture of the page, say.
            with (
                self._watching(),
                torch.cuda.graph(
                    graph,
                    pool=self._pool.handle,
                    stream=self._pool.stream,
                    capture_error_mode="thread_local",
                ),
            ):
                result = self._function(inputs)
        except RuntimeError as error:
            log.warning("This work cannot be recorded as a CUDA graph and goes on without: %s", error)
            self._pool.usable = False
            self._seen.clear()
            return
        self._graph, self._inputs, self._result = graph, _tensors(inputs), result

    @contextmanager
    def _watching(self) -> Iterator[None]:
        def see(module: nn.Module, given: tuple, output: Tensor) -> None:
            self._seen.append((module, output))

        hooks = [module.register_forward_hook(see) for module in self._watched]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _tensors(values: Any) -> list[Tensor]:
    return [each for each in tree_flatten(values)[0] if isinstance(each, Tensor)]
