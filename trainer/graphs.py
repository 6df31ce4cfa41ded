"""Training steps that a GPU gets as a whole: CUDA graphs. On a CPU, the same steps as they are.

A kernel is a function that runs on the GPU. To launch one takes the CPU some microseconds, and a step of a small
network has dozens of them, so that the GPU waits most of the time. A CUDA graph is a recording of all of them, which
one launch repeats, on the same places in memory. So nothing in it may depend on the CPU: no number is read, no size
changes, and what is new in each step must be found on the GPU.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainer.loader import MemoryLoader

WARM_UPS = 3  # steps before the recording, in which libraries choose their kernels and take their memory


class GraphedEpochs:
    """Epochs over a MemoryLoader's batches, as train_one_epoch() of train.py makes them, one launch a step.

    The learning rate is recorded like everything else: it stays as it is. The optimizer is SGD, or made with
    capturable=True. compiled: the network, the loss and the preparation of a batch go through torch.compile, too.
    recorded=False launches the kernels one by one, to compare.
    """

    def __init__(
        self, model: nn.Module, loader: MemoryLoader, loss_fn, optimizer, amp=False, compiled=False, recorded=True
    ):
        self.model, self.loader, self.loss_fn, self.optimizer, self.amp = model, loader, loss_fn, optimizer, amp
        device = loader.labels.device
        self.drawn = loader.draw()  # order, flips and shifts: each epoch copies its own to this place
        self.places = torch.arange(loader.batch_size, device=device)
        self.position = torch.zeros((), dtype=torch.int64, device=device)  # how many pictures of the epoch are done
        self.logits = None  # of all pictures, in the order of the epoch: measured at its end, with few kernels a step
        self.compute = torch.compile(self.forward, dynamic=False) if compiled else self.forward
        model.train()

        full, rest = divmod(len(loader.labels), loader.batch_size)
        self.sizes = [loader.batch_size] * full + [rest] * (rest > 0)  # of the steps of an epoch
        steps = {size: lambda size=size: self.step(size) for size in dict.fromkeys(self.sizes)}
        if recorded and device.type == "cuda":
            undo = remember(model, optimizer)
            for step in steps.values():
                warm_up(lambda step=step: (self.position.zero_(), step()))
            undo()
            steps = {size: record(step) for size, step in steps.items()}
        self.steps = steps

    def forward(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """The mean loss of the next pictures, their places in the epoch and logits. Which they are, the GPU counts."""
        order, flips, shifts = self.drawn
        at = self.position + self.places[:size]
        index, flip, shift = order[at], None, None
        if self.loader.augment:
            flip, shift = flips[at], shifts[at]
        images, labels = self.loader.prepare(index, flip, shift), self.loader.labels[index]
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            logits = self.model(images)
            return self.loss_fn(logits, labels), at, logits

    def step(self, size: int) -> None:
        """One step of training on the next pictures."""
        self.optimizer.zero_grad()
        loss, at, logits = self.compute(size)
        loss.backward()
        self.optimizer.step()
        if self.logits is None:
            self.logits = logits.new_empty(len(self.loader.labels), logits.shape[1])
        self.logits.index_copy_(0, at, logits.detach())
        self.position += size

    def run(self, epoch: int = 0) -> tuple[float, float]:
        """One epoch: mean loss and accuracy (0…1) over all samples, as the weights went along."""
        self.loader.set_epoch(epoch)
        for place, fresh in zip(self.drawn, self.loader.draw(), strict=True):
            place.copy_(fresh)
        self.position.zero_()
        for size in self.sizes:
            self.steps[size]()
        logits, labels = self.logits.float(), self.loader.labels[self.drawn[0]]
        hits = (logits.argmax(dim=1) == labels).float().mean()
        return tuple(torch.stack([self.loss_fn(logits, labels), hits]).tolist())  # waits for the GPU, once an epoch


def record(work: Callable[[], None]) -> Callable[[], None]:
    """The work as a CUDA graph: a function that repeats it with one launch. It must have run before: warm_up()."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()  # only noted, not done
    return graph.replay


def warm_up(work: Callable[[], None]) -> None:
    """Do the work a few times, away from the stream on which PyTorch works by default: a recording asks for that."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(stream)


def remember(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """A function that puts weights, buffers and moments back to what they are now, in their places in memory.

    Moments that are not there yet become zeros, with which SGD and Adam begin.
    """
    before = {name: value.clone() for name, value in model.state_dict().items()}
    moments = {place: value.clone() for place, value in _moments(optimizer).items()}

    @torch.no_grad()
    def undo() -> None:
        for name, value in model.state_dict().items():
            value.copy_(before[name])
        for place, value in _moments(optimizer).items():
            value.copy_(moments[place]) if place in moments else value.zero_()
        optimizer.zero_grad()

    return undo


def _moments(optimizer: torch.optim.Optimizer) -> dict[tuple, Tensor]:
    """All tensors that the optimizer keeps, by parameter and name."""
    return {
        (parameter, name): value
        for parameter, kept in optimizer.state.items()
        for name, value in kept.items()
        if isinstance(value, Tensor)
    }
