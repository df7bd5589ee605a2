"""An epoch's steps as one CUDA graph: a GPU that waits for hundreds of launches a step gets one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from miabench.training.meter import CostMeter
from miabench.training.streams import Streams


class Replay:
    """Takes the steps of a training on a GPU: some as written, most by replaying one of them that was recorded.

    In every epoch the first batch is taken as written, the second is recorded, and those of its size are replayed: what
    an epoch decides, such as the learning rate, is recorded anew. Each step does the same operations on the same
    memory, so weights are, bit for bit, those of steps as written. A recorded step has its activations and
    gradients for itself: in an epoch that begins without room for them on the device, all steps are taken as written.

    Args:
        device: a GPU.
        streams: of the training; a replayed step draws from them what a written one would.
        meter: that counts the records of replayed steps too.
    """

    def __init__(self, device: torch.device, streams: Streams, meter: CostMeter) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._memory = torch.cuda.graph_pool_handle()
        self._streams = streams
        self._meter = meter
        self._graph = torch.cuda.CUDAGraph()  # the last, until another has its memory
        self._has_memory = False
        torch.cuda.reset_peak_memory_stats(device)
        self._before = torch.cuda.memory_allocated(device)

    def each(self, step: Callable[[Tensor], object], batches: Iterable[Tensor]) -> None:
        """One step on every batch of pool rows (B,).

        Args:
            step: does the same operations on every batch of a size, and keeps what it keeps by changing tensors.
            batches: on the device.
        """
        outside = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream):
            recorded: Tensor | None = None
            for number, batch in enumerate(batches):
                if number == 1 and self._has_room():
                    recorded = batch.clone()
                    counted = self._record(step, recorded)
                if recorded is None or len(batch) != len(recorded):
                    step(batch)
                    continue
                recorded.copy_(batch)
                self._graph.replay()
                self._meter.add(counted)
        outside.wait_stream(self._stream)

    def _has_room(self) -> bool:
        """Whether graphs have their memory, or the device has as much free as the training took at the most.

        That is more than activations and gradients, for which a graph has its own memory.
        """
        taken = torch.cuda.max_memory_allocated(self._stream.device) - self._before
        return self._has_memory or torch.cuda.mem_get_info(self._stream.device)[0] >= taken

    def _record(self, step: Callable[[Tensor], object], batch: Tensor) -> tuple[int, int]:
        """Record a step, which does nothing yet; what the meter is to count whenever it is replayed."""
        before = self._meter.counted
        graph = torch.cuda.CUDAGraph()
        for generator in self._streams:
            graph.register_generator_state(generator)
        graph.capture_begin(self._memory)
        try:
            step(batch)
        finally:
            graph.capture_end()
        self._graph, self._has_memory = graph, True
        after, self._meter.counted = self._meter.counted, before
        return after[0] - before[0], after[1] - before[1]
