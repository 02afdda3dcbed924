# %% [markdown] covers=["w2-err-task-text"]
# # Week 2 · Data
#
# **The question of the week: how do files on a disk become the batches that a network learns from, and what may you do to them on the way?**
#
# After this week you can
#
# - write a Dataset, feed a DataLoader with it, and name every object that a sample passes through;
# - split files so that no part knows another, and measure accuracy without fooling yourself;
# - train a network on pictures that lie on your disk, and ask it about a new one;
# - choose, combine and write transforms, and say what each does to shape, range and dtype;
# - tell an augmentation that helps from one that lies.
#
# | lesson | minutes | you build |
# |---|---|---|
# | 2.1 From a for loop to a batch | 60 | a Dataset, its batches, a chain of calls |
# | 2.2 The banknote experiment | 70 | a network that tells 1 yuan from 100 |
# | 2.3 transforms and Normalize | 50 | pictures of mean 0, and the way back |
# | 2.4 Crop, flip, rotate | 60 | crops that are counted, turned, voted on |
# | 2.5 Image transforms, colour, erasing, combinators, your own | 90 | a transform of your own |
# | 2.6 Augmentation that helps, augmentation that lies | 25 | an experiment that tells them apart |
# | 2.7 Larger data by parameter | 10 | the same program on 60,000 pictures |
#
# It builds on week 1: tensors, broadcasting, the training loop with its five parts. Every lesson runs after the parameters cell and the setup cell alone.
#
# *Then and now* and *Myth* look back at an older course (2019 to 2021). Its pictures were never published, so most of its scripts stop at missing files. Ours lie in the folder `data`.

# %% tags=["parameters"]
seed = 0
device = "auto"
epochs = 12
dataset = "banknotes"

# %% tags=["setup"]
import copy
import hashlib
import importlib
import inspect
import math
import pickle
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler, TensorDataset
from torchvision import transforms
from torchvision.transforms import v2
from tqdm.auto import tqdm, trange

from course_utils import curves, data, downloads, explore, grids, session
from course_utils.checks import week2 as check
from course_utils.errors import expected_error, expected_warning
from course_utils.predict import predict
from course_utils.text import rounded

device = session.setup(seed, device)

# %% [markdown]
# ## Warm-up
#
# Three questions on week 1. Guess, then run the cell below each.

# %%
question = predict(
    "A batch of 64 colour pictures, 32 pixels high and 48 wide. What is its shape?",
    ["(64, 32, 48, 3)", "(64, 3, 32, 48)", "(64, 3, 48, 32)"],
)
question

# %%
picture = torch.zeros(3, 32, 48)
question.reveal(tuple(torch.stack([picture] * 64).shape))

# %% [markdown]
# Batch, channel, height, width. The second is about broadcasting: pictures of shape (64, 3, 32, 48) are to lose the mean of each channel.

# %%
question = predict("Which shape must the three means have?", ["(3,)", "(3, 1, 1)", "(1, 3)"])
question

# %%
pictures = torch.zeros(64, 3, 32, 48)
fits = []
for shape in [(3,), (3, 1, 1), (1, 3)]:
    try:
        if (pictures - torch.zeros(shape)).shape == pictures.shape:
            fits.append(shape)
    except RuntimeError:
        pass
question.reveal(fits[0])

# %% [markdown]
# Lined up from the right, (3, 1, 1) stretches over height and width; you need this shape in lesson 2.3. The third is about the training loop.

# %%
question = predict(
    "A loop calls loss.backward() but never empties the gradients. What does it step along?",
    ["the newest gradient", "the sum of all gradients so far", "zero"],
)
question

# %%
w = torch.tensor(1.0, requires_grad=True)
slopes = []
for _ in range(3):
    (w * 2).backward()
    slopes.append(w.grad.item())
print("grad after each backward:", slopes)
question.reveal(
    "the sum of all gradients so far" if slopes == [2.0, 4.0, 6.0] else "the newest gradient"
)


# %% [markdown] covers=["w2-data-module"]
# ## 2.1 From a for loop to a batch
#
# Everything a training program does with data, its **data module** (数据模块), is four steps:
#
# 1. **collect**: samples and their labels, on a disk;
# 2. **split**: one part to learn from, one to choose by, one to measure with (lesson 2.2);
# 3. **read**: a *sampler* chooses numbers, a *Dataset* turns a number into a sample, a *DataLoader* makes batches of them (this lesson);
# 4. **preprocess**: *transforms* make the samples alike, or different on purpose (lessons 2.3 to 2.6).
#
# Step 3 is two classes. We look at them on numbers first, because numbers can be checked in the head.
#
# ### A Dataset answers two questions
#
# A **Dataset** (数据集抽象类) is a class of yours that answers: how many samples are there (`__len__`), and what is sample number i (`__getitem__`)? This one holds 87 numbers and their squares. Look at what one sample is.

# %% covers=["w2-dataset", "w2-data-module"]
class Squares(Dataset):
    def __init__(self, count):
        self.numbers = torch.arange(count)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        number = self.numbers[index]
        return number, number**2


squares = Squares(87)
print(len(squares), "samples; number 9 is", squares[9])


# %% [markdown]
# A sample is what `__getitem__` returns, here a pair (input, label). Nothing is computed before somebody asks for it: that is why a Dataset of a million photographs takes hardly any memory: it holds their names, not their pixels. (Ask by number, or through a loader. `for sample in dataset` counts up until `__getitem__` raises an `IndexError`; one that never does is a loop without end.)
#
# The base class answers neither question. It says so only when it is asked.

# %% covers=["w2-dataset", "w2-dataset-len"] tags=["then-and-now"]
class Nothing(Dataset):
    pass


class Endless(Dataset):
    def __getitem__(self, index):
        return torch.tensor(index)


with expected_error(NotImplementedError):
    Nothing()[0]
with expected_error(TypeError):
    len(DataLoader(Endless()))

# %% [markdown]
# > **Then and now.** The first error came without a word in the versions of the old course; now it says what to write. The second is why `__len__` is needed too: the old text named only `__getitem__`, but a loader that shuffles, or that shall tell its length, must know how many samples there are.
#
# ### A DataLoader makes batches
#
# A **DataLoader** (数据装载器) takes a Dataset and is something to loop over. `batch_size` (批大小) says how many samples make a batch. 87 samples in batches of 8 do not come out even, so guess first.

# %%
question = predict(
    "87 samples, batch_size=8: how long is the last batch?", ["8", "7", "there is no such batch"]
)
question

# %% covers=["w2-dataloader", "w2-dl-batch-size"]
loader = DataLoader(Squares(87), batch_size=8)
for iteration, (inputs, labels) in enumerate(loader):
    if iteration in (0, 1, 10):
        print(iteration, tuple(inputs.shape), tuple(labels.shape), inputs.tolist())
print(len(loader), "batches")
question.reveal(len(inputs))

# %% [markdown]
# The samples were stacked: 8 scalars became one tensor of shape (8,), and the labels another. Eleven batches, and the last has what was left.
#
# Three words to keep apart: an **iteration** (迭代) is one batch and one step of the optimizer; an **epoch** (轮) is one pass over all samples; the **batch size** ties them together. With `drop_last=True` (舍弃最后一批) an incomplete batch is left out: use it in training when a batch of one or two would upset a layer (batch normalisation, week 6), never when you measure.

# %% covers=["w2-epoch-iteration", "w2-dl-drop-last"]
for drop_last in (False, True):
    print("drop_last", drop_last, "->", len(DataLoader(squares, 8, drop_last=drop_last)))

# %% [markdown]
# So iterations per epoch = N / batch size, rounded up, or down with `drop_last`. Is that always so? Two thousand loaders say yes.

# %% covers=["w2-epoch-iteration"] tags=["proof"]
tried = 0
for count in range(1, 101):
    for batch_size in range(1, 11):
        up = len(DataLoader(range(count), batch_size))
        down = len(DataLoader(range(count), batch_size, drop_last=True))
        assert up == math.ceil(count / batch_size) and down == count // batch_size
        tried += 2
print(tried, "loaders agree with the two formulas")

# %% [markdown]
# (Even `range(100)` is a Dataset: all a loader wants is a length and an item for a number.)

# %% [markdown]
# ### Explorer An epoch in batches
#
# Which batch sizes leave a short last row? Switch `drop_last` on: which samples are lost? Go from epoch to epoch, first with `shuffle` on, then with it off: are they always the same ones?

# %%
explore.batches()


# %% [markdown]
# ### Exercise 2.1 How many steps? · 4 min · ★
#
# A schedule of learning rates (week 5) must know how many steps a training will make. Write `steps(samples, batch_size, epochs, drop_last)`: the number of iterations of the whole training.

# %% tags=["exercise"]
def steps(samples, batch_size, epochs, drop_last):
    ...


# %% tags=["check"]
check.steps(steps)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First the iterations of one epoch. Every epoch begins anew: what is left over is not carried into the next.
# </details>
# <details><summary>Hint 2</summary>
#
# `math.ceil(a / b)` rounds up, `a // b` rounds down.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def steps(samples, batch_size, epochs, drop_last):
#     if drop_last:
#         return epochs * (samples // batch_size)
#     return epochs * math.ceil(samples / batch_size)
# ```
# </details>

# %% [markdown]
# ### A new order every epoch
#
# Stochastic gradient descent wants the samples mixed: sorted data would teach the network one class after the other. `shuffle=True` (是否乱序) draws a new order for every epoch. Look at both lines of both runs.

# %% covers=["w2-dl-shuffle"]
for run in (1, 2):
    chance = torch.Generator().manual_seed(seed)
    loader = DataLoader(range(8), batch_size=4, shuffle=True, generator=chance)
    for epoch in (1, 2):
        print("run", run, "epoch", epoch, [batch.tolist() for batch in loader])

# %% [markdown]
# Two epochs, two orders. Two runs, the same two orders, because both began with a `generator` of the same seed. Without one the loader draws from torch's global generator, and every other random number drawn before it would change your order.
#
# > **Then and now.** `shuffle` was `False` by default; today it is `None`, which does the same and lets a loader see that you did not choose. Among its newer arguments are the four below it.

# %% covers=["w2-dataloader"] tags=["then-and-now"]
signature = inspect.signature(DataLoader).parameters
for name in ("shuffle", "generator", "prefetch_factor", "persistent_workers", "in_order"):
    print(f"{name} = {signature[name].default}")

# %% [markdown]
# ### The four stations, one by one
#
# What happens between `for` and the batch? Four objects pass the work on, and a loader holds each of them. The **sampler** (采样器) chooses the order of the numbers, and the batch sampler cuts it into lists.

# %% covers=["w2-dl-sampler", "w2-dl-shuffle"]
tidy = DataLoader(Squares(10), batch_size=4)
mixed = DataLoader(Squares(10), batch_size=4, shuffle=True)
print(type(tidy.sampler).__name__, "in a", type(tidy.batch_sampler).__name__)
print(type(mixed.sampler).__name__, isinstance(mixed.sampler, RandomSampler))
assert isinstance(tidy.sampler, torch.utils.data.Sampler)
print(list(tidy.batch_sampler))

# %% [markdown]
# `shuffle` is nothing but the choice between these two samplers. From a list of numbers to a batch there are two more stations: the Dataset is asked once for each number, and the **collate function** (整理函数) puts the answers together. Here is one batch made by hand. Is it the loader's batch?

# %% covers=["w2-dl-collate", "w2-dl-sampler"] tags=["proof"]
indices = next(iter(tidy.batch_sampler))
samples = [tidy.dataset[index] for index in indices]
by_hand = tidy.collate_fn(samples)
print("indices:", indices)
print("samples:", samples)
print("batch:  ", by_hand)
from_loader = next(iter(tidy))
assert all(torch.equal(a, b) for a, b in zip(by_hand, from_loader, strict=True))
assert tidy.collate_fn is torch.utils.data.default_collate

# %% [markdown]
# That is the whole secret: **sampler → batch sampler → Dataset → collate**. The first two hand on indices, the last two samples. The default collate function turns a list of pairs into a pair of stacks, and it reaches into dictionaries too. Watch the dtypes.

# %% covers=["w2-dl-collate"]
samples = [{"name": "a", "size": 3, "price": 0.5}, {"name": "b", "size": 4, "price": 1.5}]
for key, value in torch.utils.data.default_collate(samples).items():
    print(f"{key:6}", value)

# %% [markdown]
# Text stays a list, whole numbers become `int64`, and Python's decimal numbers become `float64`. That last one bites later: a layer with `float32` weights refuses it. Return a `float32` tensor from your Dataset, and the question never comes up.
#
# What cannot be stacked is refused:

# %% covers=["w2-dl-collate"] tags=["then-and-now"]
with expected_error(RuntimeError):
    torch.utils.data.default_collate([torch.ones(2), torch.ones(3)])


# %% [markdown]
# > **Then and now.** The same mistake used to read `invalid argument 0: Sizes of tensors must match`. It is the most common error of this week, and nearly always means: photographs of several sizes, and no Resize.

# %% [markdown]
# ### Exercise 2.2 A batch of unequal lengths · 8 min · ★★
#
# Sentences, sounds and clicks have different lengths. Write `pad_together(samples)`: it takes a list of pairs (1-D tensor, label) and returns `(batch, lengths, labels)`: the tensors filled up with zeros **on the right** to the longest of them, and two `int64` tensors. A loader with `collate_fn=pad_together` can then read them.

# %% tags=["exercise"]
def pad_together(samples):
    # samples is for example [(torch.tensor([5.0, 6.0]), 0), (torch.tensor([7.0]), 1)]
    ...


# %% tags=["check"]
check.pad_together(pad_together)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The length of the longest is `max(len(tensor) for tensor, _ in samples)`. Make a tensor of zeros of shape (number of samples, that length), and copy each into its row.
# </details>
# <details><summary>Hint 2</summary>
#
# torch has a function for it: `nn.utils.rnn.pad_sequence(list_of_tensors, batch_first=True)`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def pad_together(samples):
#     tensors = [tensor for tensor, _ in samples]
#     batch = nn.utils.rnn.pad_sequence(tensors, batch_first=True)
#     lengths = torch.tensor([len(tensor) for tensor in tensors])
#     labels = torch.tensor([label for _, label in samples])
#     return batch, lengths, labels
# ```
# </details>

# %% [markdown] covers=["w2-call-chain"]
# ### The chain of calls
#
# Now the same in torch's own code: who calls `__getitem__`? Inside a function, `inspect.stack()` lists the functions that are waiting for it. The innermost comes first, so we turn the list round, and begin with the first function of torch's file `dataloader.py`. (Names such as `<listcomp>` are pieces of a function, and left out.)

# %% covers=["w2-call-chain"]
class Traced(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        names = [(Path(frame.filename).name, frame.function) for frame in inspect.stack()[::-1]]
        self.chain = names[names.index(("dataloader.py", "__next__")) :]
        return torch.tensor(index)


traced = Traced()
for _batch in DataLoader(traced):
    functions = [name for name in traced.chain if not name[1].startswith("<")]
    for depth, (file, function) in enumerate(functions):
        print("  " * depth + function, f"in {file}" if depth < 3 else "in the cell above")


# %% [markdown]
# Four functions: `__next__` is called by the `for`, `_next_data` gets the indices from the sampler, `fetch` asks the Dataset for each of them and collates, `__getitem__` is yours.
#
# > **Then and now.** The old text has `DataLoader.__iter__` create a `_SingleProcessDataLoaderIter` whose own `__next__` does all this. Today `__next__` stands in the base class `_BaseDataLoaderIter`, and the subclass has `_next_data`. The names begin with an underscore: they may change again, the four stations will not.

# %% [markdown] covers=["w2-ex-call-chain"]
# ### Exercise 2.3 Trace the calls · 10 min · ★★
#
# The printout above names functions, but not the classes they belong to. Write `call_chain(stack)`: it gets what `inspect.stack()` gave inside a `__getitem__`, and returns the texts `"Class.function"` from torch's `__next__` down to `__getitem__`, for example `["SomeIterator.__next__", …, "MyDataset.__getitem__"]`. The class is that of the frame's `self`; frames without a `self` do not count, nor do pieces of a function such as `<listcomp>`.

# %% covers=["w2-ex-call-chain"] tags=["exercise"]
def call_chain(stack):
    # an entry has .function, .filename, and .frame.f_locals: the local variables, a dictionary with "self"
    ...


class Watched(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        self.chain = call_chain(inspect.stack())
        return torch.tensor(index)


watched = Watched()
for _batch in DataLoader(watched):
    print(watched.chain)

# %% tags=["check"]
check.call_chain(call_chain)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The stack begins with the innermost function, `__getitem__`. Walk along it, note class and function of each entry, and stop after `__next__`.
# </details>
# <details><summary>Hint 2</summary>
#
# `type(entry.frame.f_locals["self"]).__name__` is the name of the class. At the end, turn the list round: `chain[::-1]`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def call_chain(stack):
#     chain = []
#     for entry in stack:
#         owner = entry.frame.f_locals.get("self")
#         if owner is None or entry.function.startswith("<"):
#             continue
#         chain.append(f"{type(owner).__name__}.{entry.function}")
#         if entry.function == "__next__":
#             break
#     return chain[::-1]
#
#
# class Watched(Dataset):
#     def __len__(self):
#         return 1
#
#     def __getitem__(self, index):
#         self.chain = call_chain(inspect.stack())
#         return torch.tensor(index)
#
#
# watched = Watched()
# for _batch in DataLoader(watched):
#     print(watched.chain)
# ```
# </details>

# %% [markdown] covers=["w2-dl-num-workers"]
# ### Workers: several processes read (多进程读取)
#
# With `num_workers=0`, the default, your own process reads each batch when the loop asks for it. With `num_workers=2` two more processes read ahead while the network computes. A worker is a new Python process that gets a **copy of the Dataset**. How does a class get into another process? Not its code, only its address travels: "the class `Squares` in the module `__main__`". Here is a new process that opens such a parcel.

# %% covers=["w2-dl-num-workers"]
parcel = pickle.dumps(Squares(3))
opening = """
import pickle, sys
try:
    pickle.load(sys.stdin.buffer)
except AttributeError as error:
    print("AttributeError:", error)
"""
other = subprocess.run([sys.executable, "-c", opening], input=parcel, capture_output=True)
print(other.stdout.decode().strip())

# %% [markdown]
# In the other process `__main__` is another program, and it has no `Squares`. That is what happens with `num_workers=2` in a notebook on Windows and macOS, where processes are started by *spawn*. On Linux they are still *forked* with Python 3.13 and older, which copies the whole memory, so the same cell works: until a colleague runs it.
#
# The cure: put the Dataset into a file, and import it. This cell writes such a file (you would write it in an editor). Its Dataset says who read each sample.

# %% covers=["w2-dl-num-workers"]
folder = tempfile.mkdtemp()
Path(folder, "who_reads.py").write_text(
    """
import torch
from torch.utils.data import Dataset, get_worker_info

class WhoReads(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        worker = get_worker_info()
        return index, worker.id if worker else -1, torch.rand(())
"""
)
sys.path.insert(0, folder)
from who_reads import WhoReads

print("read here:", [WhoReads()[index][1] for index in range(8)])

# %% [markdown]
# Now with two workers. Look at who reads which batch, and at the random numbers: do the two workers draw the same ones?

# %% covers=["w2-dl-num-workers"]
chance = torch.Generator().manual_seed(seed)
loader = DataLoader(WhoReads(), batch_size=2, num_workers=2, generator=chance)
drawn = []
for index, worker, noise in loader:
    print("samples", index.tolist(), "read by worker", worker.tolist(), rounded(noise.tolist()))
    drawn += noise.tolist()
assert len(set(drawn)) == 8


# %% [markdown]
# The batches go round in turn, worker 0, worker 1, worker 0, and come back in order. All eight random numbers differ: torch seeds its generator, Python's and NumPy's in every worker, with a number drawn from the loader's `generator` plus the number of the worker. So with workers a seeded `generator` repeats these numbers too. Without workers `__getitem__` draws from torch's global generator, and `torch.manual_seed` is needed as well.
#
# Is it faster? Only if reading is the slow part and there are cores to spare; starting processes costs time too. Week 6 measures it. In this course everything is small, so `num_workers` stays 0.

# %% [markdown]
# ### Find the bug 2.1 Twins · 8 min · ★★
#
# This Dataset adds noise to its samples, from a generator of its own. Read in one process, all is well. With two workers pairs of samples get **the same noise**, and every epoch repeats it. (`read_by_workers` does what two workers do: each gets a copy of the Dataset and reads every second sample. So the class may stay in this cell; but no worker is running, `get_worker_info()` is None, and torch's generator goes on from one copy to the next.) Repair the class so that every sample of every epoch gets noise of its own.

# %% tags=["exercise", "find-the-bug"]
class Noisy(Dataset):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return index + self.rng.normal(0, 0.1)


def read_by_workers(samples, workers=2):
    copies = [copy.deepcopy(samples) for _ in range(workers)]
    return [copies[i % workers][i] for i in range(len(samples))]


noisy = Noisy()
for epoch in (1, 2):
    read = read_by_workers(noisy)
    print("noise in epoch", epoch, rounded([float(x) - i for i, x in enumerate(read)]))

# %% tags=["check"]
check.bug_2_1(Noisy)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Each worker gets a copy of `self.rng`, in the same state. What will the two copies draw first?
# </details>
# <details><summary>Hint 2</summary>
#
# Torch's global generator is seeded differently in every worker and every epoch: draw from it, with `torch.randn(())`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class Noisy(Dataset):
#     def __len__(self):
#         return 8
#
#     def __getitem__(self, index):
#         return index + 0.1 * torch.randn(())
#
#
# def read_by_workers(samples, workers=2):
#     copies = [copy.deepcopy(samples) for _ in range(workers)]
#     return [copies[i % workers][i] for i in range(len(samples))]
#
#
# noisy = Noisy()
# for epoch in (1, 2):
#     read = read_by_workers(noisy)
#     print("noise in epoch", epoch, rounded([float(x) - i for i, x in enumerate(read)]))
# ```
# </details>

# %% [markdown]
# ### The other arguments
#
# When a Dataset must keep a generator of its own, `worker_init_fn` is the other cure: a function that each worker calls once, before it reads. There it can find its copy and its own seed with `get_worker_info()`. It runs in the worker, so what it prints is easily lost; here it changes torch's generator, and the samples show it.

# %% covers=["w2-dl-num-workers"]
def same_noise_everywhere(worker):
    torch.manual_seed(100)  # never do this: it undoes what torch did


loader = DataLoader(
    WhoReads(), batch_size=2, num_workers=2, worker_init_fn=same_noise_everywhere
)
noise = [value for _, _, values in loader for value in rounded(values.tolist())]
print("batches 0 and 1, of worker 0 and worker 1:", noise[:2], noise[2:4])
assert noise[:2] == noise[2:4]

# %% [markdown] covers=["w2-dl-pin-timeout"]
# Twins again, and this time on purpose: both workers started from the same number. A useful function gives each worker its own, for instance `np.random.default_rng(get_worker_info().seed)` for a generator of NumPy.
#
# | argument (其他参数) | touch it when |
# |---|---|
# | `worker_init_fn` | each worker must do something first: seed a generator of yours, open its own file |
# | `pin_memory` | you train on CUDA: batches in pinned memory travel faster; without a card it does nothing useful |
# | `timeout` | a worker may hang (a network disk): seconds until an error instead of waiting for ever |
# | `multiprocessing_context` | you want `"spawn"` or `"forkserver"` instead of the platform's way to start workers |
# | `prefetch_factor` | reading comes in bursts: batches that each worker keeps ready (`None`: 2 where there are workers) |
# | `persistent_workers` | epochs are short: keep the workers instead of starting new ones every epoch |
# | `in_order` | `False`: take whichever batch is ready first, when the order does not matter |
#
# The usual way to write the second so that it runs everywhere:

# %% covers=["w2-dl-pin-timeout"]
loader = DataLoader(squares, batch_size=8, pin_memory=device.type == "cuda")
for inputs, _ in loader:
    assert inputs.is_pinned() == (device.type == "cuda")
defaults = inspect.signature(DataLoader).parameters
for name in ("worker_init_fn", "timeout", "multiprocessing_context", "pin_memory"):
    print(f"{name} = {defaults[name].default}")

# %% [markdown]
# ### Two Datasets in a row, and none
#
# `+` puts one Dataset behind another (拼接数据集). And a folder that was mistyped gives a Dataset without samples: nobody complains until the shuffling sampler does.

# %% covers=["w2-dataset-add", "w2-dataset-empty"]
both = squares + Squares(3)
print(type(both).__name__, len(both), isinstance(both, torch.utils.data.ConcatDataset))
print("number 87 is the first of the second:", both[87])
assert len(squares + squares) == 2 * len(squares)
with expected_error(ValueError):
    DataLoader(Squares(0), shuffle=True)  # makes a RandomSampler, which complains
print("without shuffle:", len(DataLoader(Squares(0))), "batches")

# %% [markdown]
# The last line is the dangerous one: without `shuffle` an empty Dataset is silently an epoch of no batches. Print `len(dataset)` once in every program.

# %% [markdown] covers=["w2-rmb-task"]
# ## 2.2 The banknote experiment
#
# The running example of the course: given a photograph of a note, is it 1 yuan or 100 (人民币二分类)? From files on a disk to a trained network that you show a new picture.
#
# Before any code, three questions that every data set asks (the old course answers them with three names):
#
# - **which** data, in which order? That is the sampler (读哪些);
# - **from where**? That is the list of files that the Dataset holds (从哪读);
# - **how**? That is what `__getitem__` does with one of them (怎么读).
#
# ### From where: the files
#
# Each class has a folder that bears its name, the usual layout of image data. The pictures are play money, drawn and photographed by a program of this course. They are shipped in three folders, `train`, `valid` and `test`; we put them together, to split them ourselves (later lessons use the folders). First look at the files themselves; always do.

# %% covers=["w2-rmb-task", "w2-read-three-questions"]
files = sorted(path for part in data.PARTS for path in data.banknotes(part).rglob("*.jpg"))
print(len(files), "files, the first is", "/".join(files[0].parts[-2:]))
print("sizes:", sorted({Image.open(path).size for path in files}))
shown = [Image.open(path).resize((96, 72)) for path in files[::20]]
names = [f"{path.parent.name} yuan" for path in files[::20]]
grids.show_grid(shown, names, title="Every twentieth picture of the banknotes")

# %% [markdown] covers=["w2-split-roles"]
# Four sizes (squeezed into one for this figure), all kinds of tables, notes turned and in shadow, and each class has its colour: remember that one.
#
# ### Split: three parts that do not know each other
#
# - The **training set** (训练集) is what the network learns from.
# - The **validation set** (验证集) is what **you** learn from: does it generalise, when to stop, which model to keep?
# - The **test set** (测试集) measures the model that you chose, once, at the end. Whatever you choose by it is no longer measured by it.
#
# Torch has a splitter. With the usual shares of 80, 10 and 10 percent:

# %% covers=["w2-split-roles"]
chance = torch.Generator().manual_seed(seed)
parts = torch.utils.data.random_split(files, [0.8, 0.1, 0.1], generator=chance)
for name, part in zip(("train", "valid", "test"), parts, strict=True):
    ones = sum(path.parent.name == "1" for path in part)
    print(f"{name:5} {len(part):3} files, {ones} of them 1 yuan")


# %% [markdown]
# The sizes are right, the classes only roughly so: chance may leave a small part with hardly any 1-yuan notes. Splitting each class by itself cures that. And 32 test pictures are few: one mistake costs 3 points. So we write the split out, class by class, with shares of 60, 20 and 20 percent.
#
# > **Then and now.** The old script used `random.shuffle` without a seed: every run had another test set, and pictures that an earlier run had trained on. The seed belongs to the split.

# %% covers=["w2-split-dataset"]
def split_files(files, shares, seed):
    """Three lists of files, each class split by itself in these shares."""
    chance = random.Random(seed)
    parts = ([], [], [])
    for label in sorted({path.parent.name for path in files}):
        mine = [path for path in files if path.parent.name == label]
        chance.shuffle(mine)
        first, second = (round(sum(shares[:k]) * len(mine)) for k in (1, 2))
        for part, chosen in zip(
            parts, (mine[:first], mine[first:second], mine[second:]), strict=True
        ):
            part.extend(chosen)
    return parts


train_files, valid_files, test_files = split_files(files, (0.6, 0.2, 0.2), seed)
for name, part in [("train", train_files), ("valid", valid_files), ("test", test_files)]:
    counts = [sum(path.parent.name == label for path in part) for label in ("1", "100")]
    print(f"{name:5} {counts[0]} of 1 yuan, {counts[1]} of 100 yuan")


# %% [markdown]
# Believe no split that was not checked. A **leak** (数据泄漏) is a picture that stands in two parts: the network may learn it by heart, and the test praises it. A file may also be there twice under two names, so compare what is in the files, not what they are called.

# %% covers=["w2-split-dataset"]
def fingerprints(files):
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


prints = [fingerprints(part) for part in (train_files, valid_files, test_files)]
print("distinct pictures:", [len(part) for part in prints])
pairs = [(0, 1), (0, 2), (1, 2)]
print("in two parts:", [len(prints[first] & prints[second]) for first, second in pairs])
assert sum(map(len, prints)) == len(set.union(*prints)) == len(files)


# %% [markdown]
# ### Exercise 2.4 Ten shots of one note · 10 min · ★★
#
# Worse leaks do not show in the bytes. Somebody photographed each note several times in a row: `note07_shot2.jpg` is the second shot of note 7. A split of the *files* puts shots of one note into both parts, and the test again praises learning by heart. Write `split_notes(names, share, seed)`: two lists (train, test), where all shots of a note stay together, about `share` of the **notes** go to train, every name is used once, the seed decides which, and both lists get at least one note.

# %% tags=["exercise"]
def split_notes(names, share, seed):
    # names is for example ["note01_shot1.jpg", "note01_shot2.jpg", "note02_shot1.jpg"]
    ...


# %% tags=["check"]
check.split_notes(split_notes)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `name.split("_")[0]` is the note. Shuffle and split the **notes**, then sort the files to them.
# </details>
# <details><summary>Hint 2</summary>
#
# `sorted(set(...))` before the shuffle: the order of a set of texts differs from run to run, seed or not.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def split_notes(names, share, seed):
#     notes = sorted({name.split("_")[0] for name in names})
#     random.Random(seed).shuffle(notes)
#     count = min(max(round(share * len(notes)), 1), len(notes) - 1)
#     chosen = set(notes[:count])
#     train = [name for name in names if name.split("_")[0] in chosen]
#     test = [name for name in names if name.split("_")[0] not in chosen]
#     return train, test
# ```
# </details>

# %% [markdown] covers=["w2-read-three-questions", "w2-label-map"]
# ### How: the Dataset
#
# Now the third question. `__getitem__` opens one file, reads the label from the folder's name, and applies what we later pass as `transform`. Labels must be whole numbers from 0, so the names "1" and "100" are mapped to 0 and 1 (标签).

# %% covers=["w2-read-three-questions", "w2-label-map", "w2-rmb-task"]
class Banknotes(Dataset):
    label_of = {"1": 0, "100": 1}

    def __init__(self, files, transform=None):
        if not files:
            raise ValueError("there are no files; look at the folder they should come from")
        self.files, self.transform = files, transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        path = self.files[index]
        picture = Image.open(path).convert("RGB")
        if self.transform is not None:
            picture = self.transform(picture)
        return picture, self.label_of[path.parent.name]


picture, label = Banknotes(train_files)[0]
print(type(picture).__name__, "in mode", picture.mode, "with the label", label)

# %% [markdown]
# Four sizes do not stack, as lesson 2.1 showed. Three transforms make every picture a `float32` tensor of one shape: `Resize` to 32 by 32, `ToImage` from a PIL picture to a tensor, `ToDtype` with `scale=True` from 0…255 to 0…1. (Lesson 2.3 takes them apart.)

# %%
to_tensor = v2.Compose(
    [v2.Resize((32, 32)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
)
images, labels = next(iter(DataLoader(Banknotes(train_files, to_tensor), batch_size=16)))
print(tuple(images.shape), images.dtype, "labels", labels.dtype)

# %% [markdown]
# (batch, channel, height, width), and labels that became an `int64` tensor, as the loss wants them.
#
# One more transform, and it needs numbers: inputs around 0 with spread 1 train faster (lesson 2.3 measures it). The mean and the standard deviation of each channel come from the **training part alone**: the other two are pictures that we pretend not to have seen.

# %%
every_pixel = torch.stack([image for image, _ in Banknotes(train_files, to_tensor)])
mean = every_pixel.mean(dim=(0, 2, 3))
std = every_pixel.std(dim=(0, 2, 3))
prepare = v2.Compose([to_tensor, v2.Normalize(mean.tolist(), std.tolist())])
train_loader = DataLoader(
    Banknotes(train_files, prepare), batch_size=16, shuffle=True, **session.loader_seeding(seed)
)
valid_loader = DataLoader(Banknotes(valid_files, prepare), batch_size=16)
print("mean", rounded(mean.tolist(), 2), "std", rounded(std.tolist(), 2))
print(len(train_loader), "batches to train on,", len(valid_loader), "to validate with")


# %% [markdown]
# (`session.loader_seeding(seed)` is the seeded `generator` of lesson 2.1.)
#
# ### The network
#
# Three names come before their weeks. `nn.Sequential` calls its layers one after the other (week 3; the `*( )` below only group them). `nn.CrossEntropyLoss` takes one score for each class and the number of the right class: it is −ln of the share that softmax gives the right one (week 4). Adam is SGD with a step length of its own for each parameter (week 4).
#
# LeNet is the first network that read digits for banks (LeCun and others, 1998). Two convolutions find patterns, three linear layers decide. Week 3 explains each layer; here it is a box with 3×32×32 numbers in and two **logits** out, one score for each class.

# %% covers=["w2-train-lenet"]
def make_lenet():
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),  # (6, 14, 14)
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),  # (16, 5, 5)
        *(nn.Flatten(), nn.Linear(16 * 5 * 5, 120), nn.ReLU()),
        *(nn.Linear(120, 84), nn.ReLU()),
        nn.Linear(84, 2),
    )


print("logits:", tuple(make_lenet()(images).shape))


# %% [markdown] covers=["w2-err-valid-accuracy", "w2-err-valid-loss-sum"]
# ### Measuring, correctly
#
# Two numbers are measured on the validation part: its **loss**, and its **accuracy**. Both must be means over samples, or else they cannot be compared with those of the training part, which has more of them. `model.eval()` and `torch.no_grad()` belong to every measurement: layers that behave differently in training are switched over (week 6), and no graph is recorded.

# %% covers=["w2-train-lenet", "w2-err-valid-accuracy", "w2-err-valid-loss-sum"]
def measure(model, loader):
    """Mean loss and share of right answers over all samples of the loader."""
    model.eval()
    loss_val, correct_val, total_val = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            logits = model(images)
            loss_val += loss_function(logits, labels).item() * len(labels)
            correct_val += (logits.argmax(dim=1) == labels).sum().item()
            total_val += len(labels)
    return loss_val / total_val, correct_val / total_val


loss_function = nn.CrossEntropyLoss()
torch.manual_seed(seed)
loss, accuracy = measure(make_lenet().to(device), valid_loader)
assert abs(loss - math.log(2)) < 0.1
print("before training the loss is about ln 2 =", rounded(math.log(2)))

# %% [markdown]
# A network that knows nothing gives both classes about one half, so its cross-entropy, −ln of the share of the right class, is near −ln ½ = ln 2. A first loss far from that is a first hint of a bug.
#
# ### Train
#
# The loop has the five parts of week 1: data, model, loss, optimizer, loop. New is the outer loop over epochs, and a bar that shows how far it got (`trange` is `range` with a progress bar).

# %% covers=["w2-train-lenet"]
torch.manual_seed(seed)
model = make_lenet().to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
history = {"train loss": [], "valid loss": [], "train accuracy": [], "valid accuracy": []}
for epoch in trange(epochs, desc="training", bar_format="{desc} {bar}"):
    model.train()
    loss_sum, correct, total = 0.0, 0, 0
    for images, labels in train_loader:
        images, labels = images.to(device), labels.to(device)
        logits = model(images)
        loss = loss_function(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(labels)
        correct += (logits.argmax(dim=1) == labels).sum().item()
        total += len(labels)
    measured = (loss_sum / total, correct / total, *measure(model, valid_loader))
    order = ("train loss", "train accuracy", "valid loss", "valid accuracy")
    for name, value in zip(order, measured, strict=True):
        history[name].append(value)

# %% [markdown]
# Now look at both curves in one picture. While both fall, it learns something general; when the training curve goes on falling and the validation curve turns up, it learns by heart.

# %% covers=["w2-train-lenet"] tags=["nbval-ignore-output"]
both = {name: history[name] for name in ("train loss", "valid loss")}
if epochs >= 10:
    assert min(history["valid loss"]) < 0.5 * history["valid loss"][0]
curves.loss_curves(both, x_label="epoch", title="LeNet on banknotes: the losses of training and validation")

# %% [markdown]
# The validation curve begins below the training curve. That is no bug: the training loss is a mean over the epoch, taken while the network was still getting better, the validation loss is taken at its end. With some seeds it turns up again near the end: there learning by heart begins.
#
# > **Myth.** Seven scripts of the old course print this as validation result: `Loss: loss_val, Acc: correct / total`. Both numbers are wrong. `correct` and `total` count the **training** samples, so the "validation accuracy" is the training accuracy a second time; and `loss_val` is the **sum** over the batches, larger than a mean by as many times as there are batches. Here is what they would have printed after the first epoch, beside the truth.

# %% covers=["w2-err-valid-accuracy", "w2-err-valid-loss-sum"] tags=["nbval-ignore-output"]
truth = history["valid loss"][0], history["valid accuracy"][0]
as_printed = truth[0] * len(valid_loader), history["train accuracy"][0]
print("old course: loss", rounded(as_printed[0]), "accuracy", rounded(as_printed[1]))
print("truth:      loss", rounded(truth[0]), "accuracy", rounded(truth[1]))
assert as_printed[1] != truth[1] and len(valid_loader) == 4

# %% [markdown]
# Here the wrong numbers look worse than the truth: in the first epoch the network was still learning while its training samples were counted. With a network that learns by heart the accuracy looks better than the truth, and the network seems excellent while it fails on every new picture. Our own `measure` has counters of its own, so it cannot mix them up.
#
# Training is over, nothing will be chosen any more: now, once, the test part.

# %% tags=["nbval-ignore-output"]
test_loss, test_accuracy = measure(model, DataLoader(Banknotes(test_files, prepare), 16))
print(f"test accuracy {test_accuracy:.3f} on {len(test_files)} pictures")
if epochs >= 10:
    assert test_accuracy >= 0.9

# %% [markdown] covers=["w2-inference"]
# ### Ask it about one picture (模型推理)
#
# A single picture needs the same preparation as in training, and a batch dimension of one: `unsqueeze(0)`. The answer is the class with the larger logit; `softmax` makes shares of the logits. What will it say to a photograph of a cat?

# %%
question = predict(
    "The network sees a cat. What comes out?",
    ["an error", "1 or 100 yuan", "neither: two logits of zero"],
)
question


# %% covers=["w2-inference"] tags=["nbval-ignore-output"]
def name_it(picture):
    model.eval()
    with torch.no_grad():
        logits = model(prepare(picture).unsqueeze(0).to(device))
    share, index = logits.softmax(dim=1).max(dim=1)
    return f"{('1', '100')[index.item()]} yuan", rounded(share.item(), 2)


note = Image.open(test_files[0]).convert("RGB")
print("a note of", test_files[0].parent.name, "yuan is called", *name_it(note))
print("a cat is called", *name_it(data.photo("cat")))
assert name_it(note)[0] in ("1 yuan", "100 yuan")
question.reveal("1 or 100 yuan" if "yuan" in name_it(data.photo("cat"))[0] else "an error")


# %% [markdown]
# It was never told that there is anything but two notes, so it calls the cat money, and its share may well be high. The share says how the two classes compare, not whether the picture is a note at all.
#
# > **Then and now.** The old script predicted without `torch.no_grad()`: the answers are the same, but every prediction builds a graph, and keeps it as long as its result is kept.

# %% [markdown]
# ### Labels in the names of the files
#
# Not every data set has a folder for each class. In a well-known contest the label stands in the file's name: `cat.0.jpg`, `dog.1.jpg`. This cell makes such a folder from the photographs of the course (our "dogs" are coffee cups and rockets: a Dataset cannot tell, it reads names), with one file in it that is no picture.

# %% covers=["w2-ex-dogcat"]
def make_pictures(folder):
    """Six crops of the shipped photographs, named cat.0.jpg, dog.1.jpg, …, and a text file."""
    for number in range(6):
        kind, photo = (("cat", "cat"), ("dog", "coffee"), ("dog", "rocket"))[number % 3]
        corner = 20 * number
        crop = data.photo(photo).crop((corner, corner, corner + 150, corner + 120))
        crop.save(Path(folder, f"{kind}.{number}.jpg"))
    Path(folder, "readme.txt").write_text("cats and dogs")


with tempfile.TemporaryDirectory() as folder:
    make_pictures(folder)
    print(sorted(path.name for path in Path(folder).iterdir()))


# %% [markdown] covers=["w2-ex-dogcat"]
# ### Exercise 2.5 Cats and dogs · 12 min · ★★
#
# Write `DogCatDataset(folder, transform)` for a folder like the one above: its length is the number of `.jpg` files, in the sorted order of their names; sample i is (RGB picture after the transform, label) with cat 0 and dog 1. Other files in the folder do not count.

# %% covers=["w2-ex-dogcat"] tags=["exercise"]
class DogCatDataset(Dataset):
    def __init__(self, folder, transform):
        ...

    def __len__(self):
        ...

    def __getitem__(self, index):
        ...


# %% tags=["check"]
check.dog_cat(DogCatDataset, make_pictures)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `sorted(Path(folder).glob("*.jpg"))` lists the pictures; do it once, in `__init__`.
# </details>
# <details><summary>Hint 2</summary>
#
# `path.name.split(".")[0]` is `"cat"` or `"dog"`; `path.name` has no folder in it, so a folder called `dogs` cannot confuse you.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class DogCatDataset(Dataset):
#     label_of = {"cat": 0, "dog": 1}
#
#     def __init__(self, folder, transform):
#         self.files = sorted(Path(folder).glob("*.jpg"))
#         self.transform = transform
#
#     def __len__(self):
#         return len(self.files)
#
#     def __getitem__(self, index):
#         path = self.files[index]
#         picture = Image.open(path).convert("RGB")
#         return self.transform(picture), self.label_of[path.name.split(".")[0]]
# ```
# </details>

# %% [markdown] covers=["w2-ex-train-rmb"]
# ### Exercise 2.6 Train it yourself · 15 min · ★★★
#
# Close the lesson and write the loop from memory. `train(model, train_loader, valid_loader, epochs)` trains the model with Adam (learning rate 0.001) and returns the list of its **validation** accuracies, one for each epoch, as numbers from 0 to 1. The check gives you a LeNet and the banknotes of the folders `train` and `valid`, asks for 8 epochs, and wants at least 0.9 at the end. It takes a few seconds, on the CPU: no `.to(device)` is needed.

# %% covers=["w2-ex-train-rmb"] tags=["exercise"]
def train(model, train_loader, valid_loader, epochs):
    ...


# %% tags=["check"]
check.train_banknotes(train)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# For every epoch: `model.train()`, the five lines (forward, loss, empty, backward, step) for every batch, then `model.eval()`, `torch.no_grad()`, and count right answers over the validation loader.
# </details>
# <details><summary>Hint 2</summary>
#
# Two counters that begin at 0 **in every epoch**: right answers, and samples.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def train(model, train_loader, valid_loader, epochs):
#     optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
#     accuracies = []
#     for _ in range(epochs):
#         model.train()
#         for images, labels in train_loader:
#             loss = nn.functional.cross_entropy(model(images), labels)
#             optimizer.zero_grad()
#             loss.backward()
#             optimizer.step()
#         model.eval()
#         correct_val, total_val = 0, 0
#         with torch.no_grad():
#             for images, labels in valid_loader:
#                 correct_val += (model(images).argmax(dim=1) == labels).sum().item()
#                 total_val += len(labels)
#         accuracies.append(correct_val / total_val)
#     return accuracies
# ```
# </details>

# %% [markdown]
# ### Find the bug 2.2 An excellent model, half wrong · 6 min · ★★
#
# This model cannot fail: the classes lie at -3 and +3, and it looks at the sign. Yet the accuracy comes out near one half, and differs from call to call. The labels are right, the model is right. Repair `validation_accuracy`.

# %% tags=["exercise", "find-the-bug"]
def validation_accuracy(model, valid_set):
    loader = DataLoader(valid_set, batch_size=16, shuffle=True)
    labels = torch.stack([label for _, label in valid_set])
    guesses = []
    with torch.no_grad():
        for inputs, _ in loader:
            guesses.append(model(inputs).argmax(dim=1))
    return (torch.cat(guesses) == labels).float().mean().item()


classes = torch.arange(100) % 2
points = TensorDataset(6.0 * classes.unsqueeze(1) - 3.0, classes)
sign = nn.Linear(1, 2)
sign.load_state_dict({"weight": torch.tensor([[-1.0], [1.0]]), "bias": torch.zeros(2)})
torch.manual_seed(seed)
print("measured five times:", rounded([validation_accuracy(sign, points) for _ in range(5)]))

# %% tags=["check"]
check.bug_2_2(validation_accuracy)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# In which order do the guesses come, and in which order are the labels?
# </details>
# <details><summary>Hint 2</summary>
#
# Compare within the loop, where inputs and labels come together. Then no order can be wrong; and a validation loader has no reason to shuffle.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def validation_accuracy(model, valid_set):
#     correct_val = 0
#     with torch.no_grad():
#         for inputs, labels in DataLoader(valid_set, batch_size=16):
#             correct_val += (model(inputs).argmax(dim=1) == labels).sum().item()
#     return correct_val / len(valid_set)
#
#
# classes = torch.arange(100) % 2
# points = TensorDataset(6.0 * classes.unsqueeze(1) - 3.0, classes)
# sign = nn.Linear(1, 2)
# sign.load_state_dict({"weight": torch.tensor([[-1.0], [1.0]]), "bias": torch.zeros(2)})
# torch.manual_seed(seed)
# print("measured five times:", rounded([validation_accuracy(sign, points) for _ in range(5)]))
# ```
# </details>

# %% [markdown] covers=["w2-torchvision-parts"]
# ## 2.3 transforms and Normalize
#
# torchvision (计算机视觉工具包) is torch's companion for pictures. Three of its parts matter here: `transforms` prepare pictures, `datasets` read the well-known collections, `models` builds the well-known networks. One entry of each:

# %% covers=["w2-torchvision-parts"]
print("transforms:", v2.RandomCrop.__name__)
print("datasets:  ", torchvision.datasets.MNIST.__name__)
print("models:    ", torchvision.models.list_models()[0])

# %% [markdown] covers=["w2-tv-datasets"]
# ### torchvision.datasets (常用数据集)
#
# Each class there is a Dataset as you wrote one in lesson 2.2, and most fetch their files for you. MNIST, CIFAR10 and their like take `root` (where the files lie), `train` (which part), `transform`, and `download`; others say `split="train"` instead of `train=True`, or have no `download`. For example:
#
# ```python
# torchvision.datasets.CIFAR10(root="data/cache", train=True, transform=prepare, download=True)
# ```
#
# That line would fetch an archive from the network, so it is not run here: lesson 2.7 does it, when you ask for it. `FakeData` needs no file at all; it makes noise of any shape, good for trying out a program.

# %% covers=["w2-tv-datasets"]
print("CIFAR10 takes:", list(inspect.signature(torchvision.datasets.CIFAR10).parameters))
fake = torchvision.datasets.FakeData(size=3, image_size=(3, 32, 32), num_classes=10)
picture, label = fake[0]
print(len(fake), "samples,", picture.mode, picture.size, "label below 10:", label < 10)
print(all(hasattr(torchvision.datasets, name) for name in ("MNIST", "CIFAR10", "ImageNet")))

# %% [markdown]
# ### torchvision.models (预训练模型)
#
# The well-known networks, with or without trained weights. `weights=None` builds one with random weights and fetches nothing. AlexNet has 61 million numbers; on the device `meta` a tensor has a shape but no memory, enough to look around (week 3 does).

# %% covers=["w2-tv-models"]
with torch.device("meta"):
    alexnet = torchvision.models.get_model("alexnet", weights=None)
print(type(alexnet).__name__, sum(p.numel() for p in alexnet.parameters()), "parameters")
families = ("alexnet", "vgg16", "resnet18", "googlenet")
print("known:", [name for name in families if name in torchvision.models.list_models()])

# %% [markdown]
# > **Then and now.** `models.alexnet(pretrained=True)` became `models.alexnet(weights=AlexNet_Weights.DEFAULT)`: there can be several sets of weights for a network, and each brings the transforms that a picture needs before it is shown to that network (not the random ones of its training). The old argument still works, with a warning; here with `False`, which downloads nothing.

# %% covers=["w2-tv-models"] tags=["then-and-now"]
with torch.device("meta"), expected_warning(UserWarning):
    torchvision.models.alexnet(pretrained=False)
default = torchvision.models.AlexNet_Weights.DEFAULT
print("today:", default.name, "with", type(default.transforms()).__name__)

# %% [markdown]
# > **Myth.** Five names in the old text cannot be typed in as they stand: `torchvision.model`, `touch.utils.data`, `pad_if_need`, `transform.Normalize`, `num_ouput_channels`. A name in this course is run before you read it.

# %% covers=["w2-err-names"]
with expected_error(AttributeError):
    torchvision.model
with expected_error(ModuleNotFoundError):
    importlib.import_module("touch.utils.data")
with expected_error(ModuleNotFoundError):
    importlib.import_module("torchvision.transform")
with expected_error(TypeError):
    v2.RandomCrop(8, pad_if_need=True)
with expected_error(TypeError):
    v2.Grayscale(num_ouput_channels=3)
print(torchvision.models.__name__, v2.RandomCrop(8, pad_if_needed=True).pad_if_needed)


# %% [markdown]
# ### What a transform is, and when it runs (transforms运行机制)
#
# A **transform** is a thing that you call with a picture and that returns a picture. `Compose` (组合) calls several in a row; it is a loop and nothing more. To see when that happens, here is one that reports.

# %% covers=["w2-transforms-mechanism", "w2-compose"]
class Report:
    def __call__(self, picture):
        print("    transform called with", type(picture).__name__)
        return picture


class OneCat(Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.transform(data.photo("cat")), index


both = v2.Compose([Report(), v2.Resize((32, 32)), v2.ToImage(), Report()])
print("Dataset made")
cats = OneCat(both)
for _images, labels in DataLoader(cats, batch_size=2):
    print("batch", labels.tolist())

# %% [markdown]
# Nothing was transformed when the Dataset was made. The transform runs inside `__getitem__`, once for each sample, every time the sample is read. That is why a random transform gives another picture in every epoch. And the loop inside `Compose` is this one:

# %% covers=["w2-compose", "w2-transforms-mechanism"] tags=["proof"]
pipeline = [v2.Resize((32, 32)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
picture = data.photo("cat")
for transform in pipeline:
    picture = transform(picture)
assert torch.equal(picture, v2.Compose(pipeline)(data.photo("cat")))
old_names = [transforms.Resize((32, 32)), transforms.ToTensor()]
assert torch.allclose(picture, transforms.Compose(old_names)(data.photo("cat")), atol=1e-6)
print(tuple(picture.shape), picture.dtype)

# %% [markdown]
# > **Then and now.** `torchvision.transforms` (called v1 today) still works and does not warn. `torchvision.transforms.v2` is the one that is maintained: the same names, also for boxes, masks and videos, and faster on tensors. This course writes v2. One old name is on its way out: `v2.ToTensor` warns, and `ToImage` followed by `ToDtype(scale=True)` takes its place (lesson 2.5).
#
# What do the steps do to shape, dtype and range? Read the table line by line: where does the channel move, where does 255 become 1?

# %% covers=["w2-compose", "w2-normalize"]
cat = data.photo("cat")
print(f"{'PIL picture':12} size {cat.size} mode {cat.mode}")
picture = cat
for transform in [*pipeline, v2.Normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])]:
    picture = transform(picture)
    name = type(transform).__name__
    if isinstance(picture, torch.Tensor):
        ends = rounded([picture.min().item(), picture.max().item()], 2)
        print(f"{name:12} {tuple(picture.shape)} {str(picture.dtype):14} {ends}")
    else:
        print(f"{name:12} size {picture.size} mode {picture.mode}")

# %% [markdown] covers=["w2-preproc-kinds"]
# `ToImage` made a tensor and put the channel in front; `ToDtype` made 255 into 1, and here the brightest of 205 into 0.8; `Normalize` moved the middle to 0.
#
# The kinds of preprocessing (图像预处理方法) that every text on pictures lists, and who does them. Lessons 2.4 and 2.5 show nearly all of them.
#
# | kind | transform |
# |---|---|
# | centring, scaling the values | `ToDtype(scale=True)`, `Normalize` |
# | scaling the picture | `Resize`, `RandomResizedCrop` |
# | cropping | `CenterCrop`, `RandomCrop`, `FiveCrop` |
# | rotating | `RandomRotation` |
# | flipping | `RandomHorizontalFlip`, `RandomVerticalFlip` |
# | padding | `Pad` |
# | noise | `GaussianNoise`, or a class of yours |
# | grey | `Grayscale`, `RandomGrayscale` |
# | affine | `RandomAffine` |
# | colour | `ColorJitter` |
#
# ### Resize (缩放)
#
# `Resize` takes one number or two. A picture 60 wide and 40 high goes through `Resize(32)`.

# %%
question = predict(
    "PIL size (60, 40), that is width, height. After Resize(32)?",
    ["(32, 32)", "(32, 21)", "(48, 32)"],
)
question

# %% covers=["w2-resize", "w2-preproc-kinds"]
small = Image.new("RGB", (60, 40))
print("Resize((32, 32)):", v2.Resize((32, 32))(small).size)
print("the same on a tensor:", tuple(v2.Resize(32)(torch.zeros(3, 40, 60)).shape))
question.reveal(v2.Resize(32)(small).size)

# %% [markdown]
# One number is the length of the **short side**, and the proportions are kept. So `Resize(32)` does not make pictures of one size: a batch of them fails. Use two numbers, or a crop behind it. (PIL says width × height, tensors height × width.)
#
# ### Normalize (数据标准化)
#
# For each channel: output = (input − mean) / std. That is all it does. Here by hand, and the claim everybody remembers: mean 0.5 and std 0.5 take 0…1 to −1…1.

# %% covers=["w2-normalize"] tags=["proof"]
torch.manual_seed(seed)
picture = torch.rand(3, 4, 4)
mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.1, 0.2, 0.3])
by_hand = (picture - mean.view(3, 1, 1)) / std.view(3, 1, 1)
assert torch.allclose(v2.Normalize(mean, std)(picture), by_hand)
ends = torch.tensor([0.0, 1.0]).view(1, 1, 2)
print("0 and 1 become", v2.Normalize([0.5], [0.5])(ends).flatten().tolist())
for wrong in (small, v2.functional.to_image(small)):
    with expected_error(TypeError):
        v2.Normalize([0.5], [0.5])(wrong)

# %% [markdown]
# It needs a float tensor: a PIL picture is refused, and so is a tensor of bytes. So `Normalize` comes after `ToDtype`, always.
#
# With `inplace=True` it writes the result into its input (原地操作). That saves a copy, and destroys what you gave it: the Dataset's own tensor, if it holds one.

# %% covers=["w2-normalize-inplace"]
for inplace in (False, True):
    before = torch.rand(3, 4, 4)
    after = v2.Normalize([0.5] * 3, [0.5] * 3, inplace=inplace)(before)
    print("inplace", inplace, "-> same memory:", after.data_ptr() == before.data_ptr())

# %% [markdown]
# > **Myth.** "After Normalize the data have mean 0 and standard deviation 1." Only if `mean` and `std` are those **of these data**. Many programs carry three famous numbers around, the statistics of ImageNet. Uniform noise through both:

# %% covers=["w2-err-normalize-zero-mean"]
noise = torch.rand(3, 200, 200, generator=torch.Generator().manual_seed(seed))
own = v2.Normalize(noise.mean(dim=(1, 2)).tolist(), noise.std(dim=(1, 2)).tolist())
imagenet = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
for name, transform in [("own", own), ("ImageNet's", imagenet)]:
    after = transform(noise)
    means = [abs(round(m, 2)) for m in after.mean(dim=(1, 2)).tolist()]
    stds = rounded(after.std(dim=(1, 2)).tolist(), 2)
    print(f"{name:10} means {means} stds {stds}")
assert own(noise).mean().abs() < 1e-5

# %% [markdown]
# The famous numbers are right for one purpose: a network that was trained with them (week 5). Anything else gets its own.

# %% [markdown]
# ### Explorer Mean and spread
#
# Turn `mean` and `std` until the histogram sits on 0 with spread 1. Then make `std` very small: where do the values go?

# %%
explore.normalize()


# %% [markdown] covers=["w2-normalize-why"]
# ### Why it is worth it (加快收敛)
#
# The old course says that normalised inputs converge faster. Let us measure. The two clouds of week 1, first around the origin, then pushed away from it by a `bias` that both coordinates get. How many iterations until **more than** 99 % of the points are right? (It looks every 20 iterations.)

# %% covers=["w2-normalize-why"]
def clouds(bias):
    torch.manual_seed(10)
    ones = torch.ones(100, 2)
    first = torch.normal(1.7 * ones, 1) + bias
    second = torch.normal(-1.7 * ones, 1) + bias
    return torch.cat([first, second]), torch.cat([torch.zeros(100), torch.ones(100)])


def iterations_to_99(points, labels, most=1000):
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for iteration in range(most):
        share = model(points).squeeze(1)
        loss = nn.functional.binary_cross_entropy(share, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if iteration % 20 == 0 and ((share > 0.5) == labels).float().mean() > 0.99:
            return iteration
    return None


needed = {bias: iterations_to_99(*clouds(bias)) for bias in (0, 1, 5)}
print(needed)
question = predict(
    "Bias 5 was not done after 1000 iterations. And once the same points are normalised?",
    ["as slow as before", "about as fast as bias 0"],
)
question

# %% [markdown]
# The further from the origin, the slower: a step that turns the line also moves it far away, where the data are. (Week 1 drew it.) Now normalise the same points with their own statistics.

# %% covers=["w2-normalize-why"]
normalised = {}
for bias in (0, 1, 5):
    points, labels = clouds(bias)
    normalised[bias] = iterations_to_99((points - points.mean(dim=0)) / points.std(dim=0), labels)
points, labels = clouds(bias=5)
only_centred = iterations_to_99(points - points.mean(dim=0), labels)
print("as they are:", needed)
print("normalised: ", normalised)
print("bias 5, only the mean taken away:", only_centred)
fast = normalised[5] is not None and normalised[5] <= needed[0] + 40
question.reveal("about as fast as bias 0" if fast else "as slow as before")


# %% [markdown]
# Once normalised the three are the same points, so they take the same number of iterations. (Taking the mean away did it. Dividing by the standard deviation drew these clouds together, so the steps became smaller; it pays where the channels have different spreads.) The model could have learnt the shift; it is cheaper to take it away.

# %% [markdown]
# ### Exercise 2.7 Statistics of a data set · 10 min · ★★
#
# A data set that does not fit into memory must be read batch by batch. Write `channel_statistics(loader)`: it reads a loader of (images, labels) once and returns `(mean, std)`, two tensors of shape (channels,), over **all** pixels of all images. Careful: the mean of the batches' standard deviations is not the standard deviation.

# %% tags=["exercise"]
def channel_statistics(loader):
    # keep, for each channel: the number of pixels, their sum, the sum of their squares
    ...


# %% tags=["check"]
check.channel_statistics(channel_statistics)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `images.sum(dim=(0, 2, 3))` has one number for each channel. Add it up over the batches, and `(images**2)` likewise.
# </details>
# <details><summary>Hint 2</summary>
#
# The variance is the mean of the squares minus the square of the mean. Add in `float64`, so that the difference of two large numbers keeps its digits.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def channel_statistics(loader):
#     count, total, squares = 0, 0.0, 0.0
#     for images, _ in loader:
#         images = images.double()
#         count += images.numel() // images.shape[1]
#         total = total + images.sum(dim=(0, 2, 3))
#         squares = squares + (images**2).sum(dim=(0, 2, 3))
#     mean = total / count
#     return mean, (squares / count - mean**2).sqrt()
# ```
# </details>

# %% [markdown] covers=["w2-transform-invert"]
# ### The way back (反transform)
#
# To look at what the network sees, undo it: times std, plus mean, channel last, 0…255. Left the photograph, in the middle what `Normalize` made of it (drawn with its own range), right the way back.

# %% covers=["w2-transform-invert"]
mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
original = v2.Compose(
    [v2.CenterCrop(256), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
)(data.photo("rocket"))
seen = v2.Normalize(mean, std)(original)
back = seen * std.view(3, 1, 1) + mean.view(3, 1, 1)
for_eyes = (back.permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8)
error = (back - original).abs().max().item()
print(tuple(for_eyes.shape), for_eyes.dtype, "largest difference below 1e-5:", error < 1e-5)
low, high = seen.min(), seen.max()
grids.show_grid(
    [original, (seen - low) / (high - low), for_eyes.permute(2, 0, 1)],
    ["the photograph", "normalised", "the way back"],
    title="Nothing is lost: normalising is a change of units",
)


# %% [markdown]
# ### Exercise 2.8 The undoing transform · 8 min · ★★
#
# Make it a tool. Write `undo(mean, std)`: it gets two lists and returns **a transform**, something to call with a normalised picture (C, H, W), that gives back the picture in 0…1. Nice to know: undoing a Normalize is a Normalize with other numbers.

# %% tags=["exercise"]
def undo(mean, std):
    ...


# %% tags=["check"]
check.undo(undo)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# x = y · std + mean is (y − a) / b with which a and b? Compare: b must be 1/std.
# </details>
# <details><summary>Hint 2</summary>
#
# a = −mean/std. Or return a function: one inside the other, or `v2.Lambda`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def undo(mean, std):
#     return v2.Normalize([-m / s for m, s in zip(mean, std)], [1 / s for s in std])
# ```
# </details>

# %% [markdown]
# ### Find the bug 2.3 Every part its own mean · 8 min · ★★
#
# Bright and dark pictures, one number each: bright lies near 0.7, dark near 0.3, and the boundary is learnt from the training part. It is as easy as can be, but the validation part was taken in the evening and holds mostly dark pictures, and its accuracy is poor. The model is a single threshold, the mean of the normalised training part, and it is right. Repair `normalise`.

# %% tags=["exercise", "find-the-bug"]
def normalise(train, valid):
    train = (train - train.mean()) / train.std()
    valid = (valid - valid.mean()) / valid.std()
    return train, valid


def brightness(dark, bright, seed):
    chance = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.zeros(dark), torch.ones(bright)])
    return 0.3 + 0.4 * labels + 0.05 * torch.randn(dark + bright, generator=chance), labels


train_part, train_labels = brightness(100, 100, seed)
valid_part, valid_labels = brightness(90, 10, seed + 1)
parts = normalise(train_part, valid_part)
for name, part, labels in zip(("train", "valid"), parts, (train_labels, valid_labels), strict=True):
    print(name, "accuracy", rounded(((part > 0) == labels).float().mean().item(), 2))

# %% tags=["check"]
check.bug_2_3(normalise)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which brightness becomes 0 in the training part, and which in the validation part?
# </details>
# <details><summary>Hint 2</summary>
#
# The same picture must become the same number, in whatever part it stands. So there is one mean and one std, from the training part.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def normalise(train, valid):
#     mean, std = train.mean(), train.std()
#     return (train - mean) / std, (valid - mean) / std
#
#
# def brightness(dark, bright, seed):
#     chance = torch.Generator().manual_seed(seed)
#     labels = torch.cat([torch.zeros(dark), torch.ones(bright)])
#     return 0.3 + 0.4 * labels + 0.05 * torch.randn(dark + bright, generator=chance), labels
#
#
# train_part, train_labels = brightness(100, 100, seed)
# valid_part, valid_labels = brightness(90, 10, seed + 1)
# parts = normalise(train_part, valid_part)
# for name, part, labels in zip(("train", "valid"), parts, (train_labels, valid_labels), strict=True):
#     print(name, "accuracy", rounded(((part > 0) == labels).float().mean().item(), 2))
# ```
# </details>

# %% [markdown]
# ## 2.4 Crop, flip, rotate
#
# Three families of transforms change **where** an object stands in the picture, and leave alone **what** it is. A network that has seen only people in the middle of the picture, upright, has learnt that people are in the middle, upright. So we crop (裁剪), flip (翻转) and rotate (旋转) the training pictures. Ask two questions of each transform: *what is it for*, and *what does it break?*
#
# The example is a photograph of 224 by 224 pixels: `Resize(224)` makes the short side 224 and keeps the proportions, `CenterCrop(224)` cuts the square out of the middle. `show` puts pictures of different sizes side by side at one scale, each with its size as PIL counts it: width x height.

# %%
photo = v2.Compose([v2.Resize(224), v2.CenterCrop(224)])(data.photo("astronaut"))


def show(pictures, title):
    side = max(max(picture.size) for picture in pictures.values())
    squares, captions = [], []
    for name, picture in pictures.items():
        square = Image.new("RGB", (side, side), "white")
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        squares.append(v2.Resize((128, 128))(square))
        captions.append(f"{name}: {picture.width}x{picture.height}")
    return grids.show_grid(squares, titles=captions, columns=5, title=title)


print(photo.size, photo.mode, "as an array:", np.array(photo).shape, np.array(photo).dtype)

# %% [markdown]
# ### Crop: the middle
#
# `CenterCrop` (中心裁剪) cuts the same piece each time. That makes it the crop of the **validation** set: nothing random, always the size that the network wants. What it breaks: whatever stands at the border is gone.
#
# It can also be asked for more than there is.

# %%
question = predict(
    "The photograph is 224x224. CenterCrop(512) gives",
    ["an error", "the photograph, enlarged to 512x512", "the photograph in a black frame"],
)
question

# %% covers=["w2-centercrop"]
small, large = v2.CenterCrop(196)(photo), v2.CenterCrop(512)(photo)
print("CenterCrop(196):", small.size, " CenterCrop(512):", large.size)
frame = np.array(large)
frame[144:-144, 144:-144] = 0  # take the photograph out again: (512 - 224) / 2 = 144
framed = large.size == (512, 512) and not frame.any()
question.reveal("the photograph in a black frame" if framed else "an error")

# %% [markdown]
# Around the photograph everything is 0: it was padded, silently. A network that gets such pictures learns from black frames, so look at the sizes of your data before you choose a crop.

# %% covers=["w2-centercrop"]
show(
    {"photo": photo, "CenterCrop(196)": v2.CenterCrop(196)(photo)}
    | {f"CenterCrop({side})": v2.CenterCrop(side)(photo) for side in (112, 300)},
    "The middle, always the same; asked for too much, it pads with black",
)

# %% [markdown]
# ### Crop: anywhere
#
# `RandomCrop` (随机裁剪) cuts at a random place, so the object moves through the picture: the network learns that the place doesn't matter. What it breaks: a small crop may miss the object, and the label stays. Its answer to a picture that is too small is another one.

# %%
question = predict(
    "RandomCrop(512) of the same 224x224 photograph gives", ["a black frame", "an error"]
)
question

# %% covers=["w2-randomcrop"]
torch.manual_seed(seed)
with expected_error(ValueError):
    v2.RandomCrop(512)(photo)
print("pad_if_needed=True:        ", v2.RandomCrop(512, pad_if_needed=True)(photo).size)
print("RandomCrop(224, padding=16):", v2.RandomCrop(224, padding=16)(photo).size)
question.reveal("an error")

# %% [markdown]
# The last line is the usual recipe for small pictures: pad by 16 on each side, then cut the old size out of it. The picture keeps its size and moves by up to 16 pixels. `fill` colours what was added; here it is red, so that you see it.

# %% covers=["w2-randomcrop", "w2-padding-mode-constant"]
torch.manual_seed(seed)
red = (255, 0, 0)
crops = {
    "RandomCrop(160)": v2.RandomCrop(160),
    "and again": v2.RandomCrop(160),
    "RandomCrop(224, padding=40)": v2.RandomCrop(224, padding=40, fill=red),
    "padding=(16, 64)": v2.RandomCrop(224, padding=(16, 64), fill=red),
    "RandomCrop(256, pad_if_needed)": v2.RandomCrop(256, pad_if_needed=True, fill=red),
}
show({name: crop(photo) for name, crop in crops.items()}, "Random crops, padding in red")

# %% [markdown]
# `padding` has three forms: `a` for all four sides, `(a, b)` for left and right, top and bottom, `(a, b, c, d)` for left, top, right, bottom, clockwise. `Pad` takes the same forms, and on a picture 60 wide and 40 high you can check them in your head: `(8, 64)` adds 2 · 8 to the width and 2 · 64 to the height.

# %% covers=["w2-crop-padding-forms"]
little = Image.new("RGB", (60, 40))
for padding in (8, (8, 64), (8, 16, 32, 64)):
    width, height = v2.Pad(padding)(little).size
    print(f"Pad({padding}) on 60x40 gives {width}x{height}")

# %% [markdown]
# ### What stands in the padding
#
# `padding_mode` (填充模式) decides. Four numbers in a row show each rule; find out where the 1 and the 4 are repeated, and where they are not.

# %% covers=["w2-padding-mode-constant", "w2-padding-mode-edge", "w2-padding-mode-reflect", "w2-padding-mode-symmetric"]
row = torch.tensor([[[1, 2, 3, 4]]])  # one channel, one row
padded = {
    mode: v2.Pad((2, 0), fill=9 if mode == "constant" else 0, padding_mode=mode)(row)
    for mode in ("constant", "edge", "reflect", "symmetric")
}
for mode, result in padded.items():
    print(f"{mode:9}", result.flatten().tolist())

# %% [markdown]
# `constant` writes `fill` (here 9). `edge` repeats the border pixel, `reflect` mirrors without repeating it, `symmetric` mirrors and repeats it. On a photograph:

# %% covers=["w2-padding-mode-constant", "w2-padding-mode-edge", "w2-padding-mode-reflect", "w2-padding-mode-symmetric"]
framed = {"constant, red": v2.Pad(60, fill=(255, 0, 0))(photo)}
for mode in ("edge", "reflect", "symmetric"):
    framed[mode] = v2.Pad(60, padding_mode=mode)(photo)
show(framed, "Four ways to fill a frame of 60 pixels")

# %% [markdown]
# A black frame is an edge that does not exist in the world, and a network can learn it. The mirrors leave no edge, but they double things: an astronaut with two helmets is still labelled "astronaut".
#
# ### Crop and resize at once
#
# `RandomResizedCrop` (随机大小长宽比裁剪) is the crop that most ImageNet networks were trained with. It draws an area (`scale`, a share of the picture), an aspect ratio (`ratio`, width over height) and a place, and resizes that piece to `size`. So the object changes its place, its size and a little its proportions, and the output has always the same size. `make_params` shows what one call draws (it gets the list of the inputs, because some draws depend on the size of the picture); here a thousand draws stay inside the two intervals. (Whole pixels: a ratio may miss its border by a hundredth.)

# %% covers=["w2-randomresizedcrop"]
crop = v2.RandomResizedCrop(224)
print("scale", crop.scale, "ratio", rounded(crop.ratio), "output", crop(photo).size)
torch.manual_seed(seed)
draws = [crop.make_params([photo]) for _ in range(1000)]
shares = [draw["height"] * draw["width"] / 224**2 for draw in draws]
ratios = [draw["width"] / draw["height"] for draw in draws]
print("share of the picture inside:", all(0.07 < share <= 1.0 for share in shares))
print("width / height inside:", all(0.73 < ratio < 1.36 for ratio in ratios))

# %% [markdown]
# A share of 0.08 is not much of an astronaut. Four draws of the default, and two at its lower end:

# %% covers=["w2-randomresizedcrop"]
torch.manual_seed(seed)
default, smallest = v2.RandomResizedCrop(112), v2.RandomResizedCrop(112, scale=(0.08, 0.08))
grids.show_grid(
    [default(photo) for _ in range(4)] + [smallest(photo) for _ in range(2)],
    titles=["default"] * 4 + ["scale=(0.08, 0.08)"] * 2,
    columns=6,
    title="Six random resized crops, each 112x112",
)

# %% [markdown]
# What it breaks: a crop of eight per cent can miss the object altogether, and where proportions matter (a circle or an ellipse?) `ratio` changes the answer. Raise the lower end of `scale` when the object is small.
#
# ### Interpolation
#
# Resizing has to invent pixels. **Interpolation** (插值) is the rule: `nearest` copies the nearest pixel, `bilinear` mixes the four around a point, `bicubic` fits a smooth curve through sixteen. The three enlarge the same piece, 32x32 pixels of the face.

# %% covers=["w2-interpolation", "w2-randomresizedcrop"]
piece = v2.functional.crop(photo, top=30, left=74, height=32, width=32)
modes = {mode.value: mode for mode in v2.InterpolationMode}
enlarged = {}
for name in ("nearest", "bilinear", "bicubic"):
    whole = v2.RandomResizedCrop(128, (1.0, 1.0), (1.0, 1.0), interpolation=modes[name])
    enlarged[name] = whole(piece)
grids.show_grid(
    [v2.Resize((128, 128))(photo), *enlarged.values()],
    titles=["the photo", *enlarged],
    columns=4,
    title="One piece of the photo, enlarged by three rules",
)

# %% [markdown]
# Bilinear, the default, is right for photographs. For a picture whose numbers are *names* (the class of each pixel) only `nearest` is: halfway between class 1 and class 3 there is no class 2.
#
# > **Then and now.** Old code says `interpolation=PIL.Image.BILINEAR`. The number 2 behind that name is still accepted; the name of today is `InterpolationMode.BILINEAR`, or just the word `"bilinear"`. `PIL.Image.ANTIALIAS`, a common choice then, is gone: it became `Image.Resampling.LANCZOS`.

# %% covers=["w2-interpolation"] tags=["then-and-now"]
print("Image.BILINEAR is", int(Image.BILINEAR), end="; ")
print("v1 makes of it", transforms.Resize(64, interpolation=Image.BILINEAR).interpolation)
today = [Image.BILINEAR, v2.InterpolationMode.BILINEAR, "bilinear"]
results = [v2.Resize(64, interpolation=mode)(photo) for mode in today]
print("three spellings, one picture:", results[0] == results[1] == results[2])
with expected_error(AttributeError):
    Image.ANTIALIAS

# %% [markdown]
# > **Then and now.** Resizing a *tensor* to a smaller size used to look at a few pixels only. `antialias=True`, the default today, averages over all of them. On fine stripes (0, 1, 0, 1, …), a third as wide, the old rule answers with stripes that do not exist:

# %% covers=["w2-randomresizedcrop"] tags=["then-and-now"]
print("default:", inspect.signature(v2.RandomResizedCrop).parameters["antialias"].default)
stripes = torch.zeros(1, 9, 63)
stripes[:, :, ::2] = 1
for antialias in (False, True):
    smaller = v2.Resize((3, 21), antialias=antialias)(stripes)
    print(f"antialias={antialias!s:5}", rounded(smaller[0, 0, 1:9], 2))

# %% [markdown]
# ### Five crops, ten crops
#
# `FiveCrop` is for testing: it looks at the picture in five places, and the five answers are averaged. It returns a **tuple** of five pictures.
#
# > **Myth.** "It crops from the top, the bottom, the left, the right and the centre." Number the pixels of a 10x10 picture from 0 to 99, row by row, and read where each crop begins:

# %% covers=["w2-fivecrop", "w2-err-fivecrop-position"]
ramp = torch.arange(100).reshape(1, 10, 10)
crops = v2.FiveCrop(2)(ramp)
begins = [crop[0, 0, 0].item() for crop in crops]
print(type(crops).__name__, "of", len(crops), "crops that begin at", begins)

# %% [markdown]
# 0 is the corner at the top left, 8 the one at the top right, 80 and 88 are the two below, 44 is the centre: **four corners and the centre**.
#
# `TenCrop` adds five mirror images. In which order?

# %%
question = predict(
    "ten = TenCrop(112)(photo). ten[5] is the mirror image of", ["ten[0]", "ten[1]"]
)
question

# %% covers=["w2-tencrop"]
ten = v2.TenCrop(112)(photo)
mirrored = [v2.functional.horizontal_flip(crop) for crop in ten[:5]]
partners = [mirrored.index(crop) for crop in ten[5:]]
print("the last five are the mirror images of", partners)
turned = [v2.functional.vertical_flip(crop) for crop in ten[:5]]
vertical = v2.TenCrop(112, vertical_flip=True)(photo)
print("with vertical_flip=True, upside down, of", [turned.index(crop) for crop in vertical[5:]])
question.reveal(f"ten[{partners[0]}]")

# %% [markdown]
# Every crop has its mirror image among the last five, but the sides are exchanged: the *photograph* is flipped, and then cropped at the top left. What was at the right is now at the left.

# %% covers=["w2-tencrop", "w2-fivecrop"]
places = ["top left", "top right", "bottom left", "bottom right", "centre"]
ten = v2.TenCrop(160)(photo)
grids.show_grid(
    [v2.Resize((96, 96))(crop) for crop in ten],
    titles=places + [f"mirrored: {place}" for place in places],
    columns=5,
    title="TenCrop(160): five places, and five of the mirrored photograph",
)

# %% [markdown]
# A network wants a tensor, not a tuple. The old recipe is a `Lambda`, which makes a transform of any function: here one that stacks the crops to (5, C, H, W).
#
# > **Then and now.** `v2.Lambda` has the same name and other manners. A v2 transform takes a tuple apart and works on **each picture in it** (so that a picture and its mask go through together), and so the function gets one crop instead of five. But the same manners make the recipe shorter: every step is done to each crop, and `torch.stack` at the end is a plain function, which gets the tuple whole.

# %% covers=["w2-fivecrop", "w2-lambda"] tags=["then-and-now"]
to_tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def stack(crops):
    return torch.stack([to_tensor(crop) for crop in crops])


then = v2.Compose([v2.FiveCrop(112), transforms.Lambda(stack)])
print("v1 Lambda:  ", tuple(then(photo).shape))
with expected_error(TypeError):
    v2.Compose([v2.FiveCrop(112), v2.Lambda(stack)])(photo)
today = v2.Compose([v2.FiveCrop(112), to_tensor, torch.stack])
print("torch.stack:", tuple(today(photo).shape))

# %% [markdown]
# A DataLoader stacks once more, so its batches have **five** dimensions (五维数据): (batch, crops, channel, height, width). A convolution refuses them. But the crops of one photograph are a batch themselves: the network gives one row of scores (logits) for each crop, and their mean is the answer.

# %% covers=["w2-ncrops-batch"]
to_tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
prepare = v2.Compose([v2.Resize(224), v2.FiveCrop(112), to_tensor, torch.stack])
names = ("hopper", "coffee")
two_photos = [(prepare(data.photo(name)), label) for label, name in enumerate(names)]
inputs, labels = next(iter(DataLoader(two_photos, batch_size=2)))
print("inputs.shape:", tuple(inputs.shape))

torch.manual_seed(seed)
layers = [nn.Conv2d(3, 4, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 2)]
model = nn.Sequential(*layers)
with expected_error(RuntimeError):
    model(inputs)
with torch.no_grad():
    logits = torch.stack([model(crops).mean(dim=0) for crops in inputs])
print("logits:", tuple(logits.shape))


# %% [markdown]
# One row of scores for each photograph: five views voted. What it costs: five forward passes instead of one.

# %% [markdown]
# ### Exercise 2.9 Let the crops vote · 8 min · ★★
#
# The cell above calls the model once for each photograph. Write `vote(model, inputs)` without a loop: `inputs` has shape (batch, crops, C, H, W), the model is called **once**, with a 4-D tensor, and the result has shape (batch, classes): for each picture the mean of the logits of its crops.

# %% tags=["exercise"]
def vote(model, inputs):
    batch, crops, channels, height, width = inputs.shape
    ...


# %% tags=["check"]
check.crop_vote(vote)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `flatten(0, 1)` melts the first two dimensions into one of length batch · crops: the crops of one picture stay together.
# </details>
# <details><summary>Hint 2</summary>
#
# The model gives (batch · crops, classes). Take it apart again in the same order, `view(batch, crops, -1)`, and then ask which dimension should disappear.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def vote(model, inputs):
#     batch, crops, channels, height, width = inputs.shape
#     logits = model(inputs.flatten(0, 1))
#     return logits.view(batch, crops, -1).mean(dim=1)
# ```
# </details>

# %% [markdown]
# ### Flip
#
# `RandomHorizontalFlip` (水平翻转) mirrors left and right with probability `p` (0.5), `RandomVerticalFlip` (垂直翻转) turns upside down. With `p=1` they do it always, and then each is one line of NumPy: the columns, or the rows, read backwards.

# %% covers=["w2-hflip", "w2-vflip"] tags=["proof"]
pixels = np.array(photo)  # (height, width, channel)
left_right = np.array(v2.RandomHorizontalFlip(p=1)(photo))
upside_down = np.array(v2.RandomVerticalFlip(p=1)(photo))
assert np.array_equal(left_right, pixels[:, ::-1])
assert np.array_equal(upside_down, pixels[::-1])
flip = v2.RandomHorizontalFlip()
torch.manual_seed(seed)
flipped = sum(flip(photo) != photo for _ in range(1000))
print("p =", flip.p, "| flipped in about half of 1000 calls:", abs(flipped - 500) < 80)

# %% [markdown]
# A mirrored cup is a cup, so half of the training pictures may be mirrored, for nothing. An upside-down rocket is no rocket that anybody ever photographed. And a mirrored banknote?

# %% covers=["w2-hflip", "w2-vflip"]
fit = v2.Compose([v2.Resize(128), v2.CenterCrop(128)])
note = Image.open(data.banknotes("train") / "100" / "001.jpg").convert("RGB")
cup, rocket, note = fit(data.photo("coffee")), fit(data.photo("rocket")), fit(note)
grids.show_grid(
    [
        v2.RandomHorizontalFlip(p=1)(cup),
        rocket,
        v2.RandomVerticalFlip(p=1)(rocket),
        note,
        v2.RandomHorizontalFlip(p=1)(note),
    ],
    titles=["cup, mirrored", "rocket", "upside down", "100 yuan", "mirrored"],
    columns=5,
    title="Which of these could somebody photograph?",
)

# %% [markdown]
# Nobody will ever hold a note with a mirrored number under the camera. Such pictures do little harm, but they teach the network something that it never needs; with letters, digits (6 and 9) and arrows a flip even makes the label false. The rule: **a transform is allowed when its picture could be a picture of the test set, with the same label.**
#
# ### Rotate
#
# `RandomRotation` (随机旋转) draws an angle in degrees. `degrees=30` means from -30 to 30, `degrees=(10, 20)` means from 10 to 20; positive angles turn against the clock.

# %% covers=["w2-rotation"]
torch.manual_seed(seed)
for degrees in (30, (10, 20)):
    rotation = v2.RandomRotation(degrees)
    angles = [rotation.make_params([])["angle"] for _ in range(1000)]
    low, high = rotation.degrees
    assert all(low <= angle <= high for angle in angles)
    print(f"degrees={degrees}: 1000 angles between {low:g} and {high:g}, not one outside")

# %% [markdown]
# > **Then and now.** `RandomRotation(30, resample=False)` stands in many old programs. The argument is called `interpolation` today.

# %% covers=["w2-rotation"] tags=["then-and-now"]
with expected_error(TypeError):
    v2.RandomRotation(30, resample=False)
torch.manual_seed(seed)
print(v2.RandomRotation(30, interpolation=v2.InterpolationMode.NEAREST)(photo).size)

# %% [markdown]
# A turned square does not fit its old frame. Either the corners are cut off and black ones appear, or the frame grows: `expand=True`. How large must it be? The new width of a picture of width $w$ and height $h$ is $w\,|\cos\alpha| + h\,|\sin\alpha|$; measured from the centre, each half is rounded up to a whole pixel.

# %%
question = predict(
    "224x224, turned by 45 degrees, expand=True: the new width is", ["224", "318", "448"]
)
question

# %% covers=["w2-rotation-expand"] tags=["proof"]
for degrees in (10, 30, 45):
    angle = math.radians(degrees)
    exact = 224 * abs(math.cos(angle)) + 224 * abs(math.sin(angle))
    by_hand = 2 * math.ceil(exact / 2)
    expanded = v2.RandomRotation((degrees, degrees), expand=True)(photo)
    assert expanded.size == (by_hand, by_hand)
    print(f"{degrees} degrees: {exact:.1f} becomes {expanded.width}")
question.reveal(expanded.width)

# %% [markdown]
# `center` moves the pivot (旋转点): `(0, 0)` is the top left corner. The size that `expand` computes is meant for a rotation about the centre; look at what the two do together.

# %% covers=["w2-rotation-expand", "w2-rotation-center", "w2-rotation"]
settings = {
    "in its frame": {},
    "fill": {"fill": (255, 0, 0)},
    "expand": {"expand": True},
    "center=(0, 0)": {"center": (0, 0)},
    "center and expand": {"center": (0, 0), "expand": True},
}
turned = {name: v2.RandomRotation((30, 30), **given)(photo) for name, given in settings.items()}
stays = turned["center=(0, 0)"].getpixel((0, 0)) == photo.getpixel((0, 0))
print("about the corner, the corner pixel stays:", stays)
show(turned, "30 degrees against the clock, five ways")

# %% [markdown]
# In its frame the corners are lost and four black triangles appear. Expanded, nothing is lost, but the pictures of a batch have different sizes: resize afterwards. About the corner much of the photograph leaves the frame, and the larger frame of `expand` brings back only a part of it. What rotation breaks: the black triangles tell the network that a picture was turned, and beyond some angle a 6 is a 9. Small angles are the usual choice. (Rotation works with `nearest` unless you say `interpolation="bilinear"`, hence the jagged lines.)

# %% [markdown]
# ### Explorer A gallery of transforms
#
# **What can this transform do to a picture, and would you still know what it shows?** Take the handwritten 6 and flip it upside down: what would you call it? Find a rotation that is still harmless to it, and one that is not. Then make the photograph of the cat unrecognisable with a crop. (The colours in the list belong to the next lesson. Sizes stand as height × width here, as tensors say them.)

# %%
explore.transform_gallery()

# %% [markdown]
# ### Exercise 2.10 Sizes before you run · 8 min · ★★
#
# A picture is **300 wide and 200 high**. Write down the size that each transform gives, as `(width, height)`, before you let torchvision tell you. Remember: where torchvision takes a pair as a *size*, the height comes first; where it takes a pair as *padding*, left and right come first.

# %% tags=["exercise"]
answer = {
    "CenterCrop(100)": ...,
    "CenterCrop((100, 250))": ...,
    "RandomCrop(200, padding=20)": ...,
    "Pad((10, 20))": ...,
    "Pad((5, 10, 15, 20))": ...,
    "RandomResizedCrop(64)": ...,
    "RandomRotation((90, 90))": ...,
    "RandomRotation((90, 90), expand=True)": ...,
}

# %% tags=["check"]
check.sizes(answer)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A single number as size means a square. Padding counts twice, once on each side.
# </details>
# <details><summary>Hint 2</summary>
#
# Turned by 90 degrees the content lies on its side; the frame follows only when it may: `expand`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# answer = {
#     "CenterCrop(100)": (100, 100),
#     "CenterCrop((100, 250))": (250, 100),
#     "RandomCrop(200, padding=20)": (200, 200),
#     "Pad((10, 20))": (320, 240),
#     "Pad((5, 10, 15, 20))": (320, 230),
#     "RandomResizedCrop(64)": (64, 64),
#     "RandomRotation((90, 90))": (300, 200),
#     "RandomRotation((90, 90), expand=True)": (200, 300),
# }
# ```
# </details>

# %% [markdown]
# ## 2.5 Image transforms, colour, erasing, combinators, your own
#
# The last lesson moved the object. This one changes the picture itself: its frame, its colours, its shape, its numbers; it hides parts; it throws dice about which of all this to do; and at the end you write a transform of your own. The two questions stay: *what is it for, what does it break?*

# %%
photo = v2.Compose([v2.Resize(224), v2.CenterCrop(224)])(data.photo("coffee"))
small = v2.Resize((128, 128))(photo)  # for the figures
print(photo.size, photo.mode, "values from", np.array(photo).min(), "to", np.array(photo).max())

# %% [markdown]
# ### Pad
#
# `Pad` (填充) is for pictures that are not square. `Resize((128, 128))` squeezes a wide photograph into a square and makes everything in it thinner; padded to a square first, it keeps its proportions. Its four numbers are left, top, right, bottom, so this picture grows by 8 + 32 in width and 16 + 64 in height:

# %% covers=["w2-pad"]
print("Pad((8, 16, 32, 64)) on 224x224:", v2.Pad((8, 16, 32, 64))(photo).size)
wide = data.photo("rocket")
missing = wide.width - wide.height
square = v2.Pad((0, missing // 2, 0, missing - missing // 2), fill=(255, 0, 0))(wide)
print("rocket:", wide.size, "padded:", square.size)

# %% [markdown]
# The frame costs pixels: what is not photograph is computed for nothing. The red is for you; in training the frame is usually black or the mean colour.

# %% covers=["w2-pad", "w2-padding-mode-constant"]
grids.show_grid(
    [v2.Resize((128, 128))(wide), v2.Resize((128, 128))(square)]
    + [v2.Resize((128, 128))(v2.CenterCrop(wide.height)(wide))],
    titles=["Resize alone: squeezed", "Pad, then Resize", "CenterCrop, then Resize"],
    columns=5,
    title="Three ways from 640x427 to a square",
)

# %% [markdown]
# ### Colour
#
# `ColorJitter` changes brightness, contrast, saturation and hue (亮度, 对比度, 饱和度, 色相). For the first three, a number `a` means: draw a factor from [max(0, 1 - a), 1 + a]. It multiplies the values (brightness), their distance from the mean grey (contrast), or their distance from the grey picture (saturation); so 1 changes nothing, and 0 leaves black, plain grey, or no colour. Hue is an angle on the colour circle, from -0.5 to 0.5 of a turn, and `hue=a` draws from [-a, a].

# %% covers=["w2-colorjitter", "w2-colorjitter-hue"]
jitter = v2.ColorJitter(brightness=0.5, contrast=3, saturation=0.2, hue=0.3)
print(jitter)
torch.manual_seed(seed)
draws = [jitter.make_params([]) for _ in range(1000)]
for name in ("brightness", "contrast", "saturation", "hue"):
    low, high = getattr(jitter, name)
    factors = [draw[f"{name}_factor"] for draw in draws]
    print(f"{name}: all 1000 inside:", all(low <= factor <= high for factor in factors))
with expected_error(ValueError):
    v2.ColorJitter(hue=0.6)

# %% [markdown]
# Half a turn is the opposite colour, so more than 0.5 would only come back from the other side. What each does, at fixed factors (an interval of one point). The last three pictures are the warning.

# %% covers=["w2-colorjitter", "w2-colorjitter-hue"]
settings = [("brightness", 0.5), ("brightness", 1.5), ("contrast", 0.4), ("contrast", 1.8)]
settings += [("saturation", 0.0), ("hue", 0.3)]
fit = v2.Resize((128, 128))
one, hundred = (
    fit(Image.open(data.banknotes("train") / value / "001.jpg").convert("RGB"))
    for value in ("1", "100")
)
changed = [v2.ColorJitter(**{name: (factor, factor)})(small) for name, factor in settings]
grids.show_grid(
    [small, *changed, one, v2.ColorJitter(hue=(-0.2, -0.2))(one), hundred],
    titles=["photo", *(f"{name} {factor}" for name, factor in settings)]
    + ["1 yuan", "1 yuan, hue -0.2", "100 yuan"],
    columns=5,
    title="One factor at a time",
)

# %% [markdown]
# Brightness and contrast are what light and cameras do every day: use them. Hue is rarely different in the world, and where the colour *is* the class it breaks the label: the green note of 1 yuan has turned pink, nearly the colour of the 100.
#
# ### Grey
#
# `Grayscale` (灰度) always makes grey, `RandomGrayscale` (依概率灰度) does it with probability `p`. Is one the other with `p=1`?

# %%
question = predict(
    "RandomGrayscale(p=1) of an RGB photograph gives a picture with",
    ["1 channel", "3 channels"],
)
question

# %% covers=["w2-grayscale", "w2-randomgrayscale", "w2-err-grayscale-special-case"]
always, by_chance, three = v2.Grayscale(), v2.RandomGrayscale(p=1), v2.Grayscale(3)
print("Grayscale():          mode", always(photo).mode, np.array(always(photo)).shape)
print("RandomGrayscale(p=1): mode", by_chance(photo).mode, np.array(by_chance(photo)).shape)
red, green, blue = np.moveaxis(np.array(three(photo)), -1, 0)
print("Grayscale(3): equal channels:", np.array_equal(red, green) and np.array_equal(red, blue))
print("Grayscale(3) is RandomGrayscale(p=1):", three(photo) == by_chance(photo))
question.reveal(f"{len(by_chance(photo).getbands())} channels")

# %% [markdown]
# > **Myth.** "Grayscale is the special case p = 1 of RandomGrayscale." It changes the number of channels (mode `L`, 1), and a first layer with 3 input channels then stops. The random one keeps the channels it was given, because a batch needs pictures of one shape.
#
# > **Then and now.** The old page lists `RandomGrayscale(num_output_channels, p=0.1)`. There never was such an argument; `p` is the only one.

# %% covers=["w2-randomgrayscale", "w2-err-randomgrayscale-arg"] tags=["then-and-now"]
print(list(inspect.signature(v2.RandomGrayscale).parameters))
with expected_error(TypeError):
    v2.RandomGrayscale(num_output_channels=3, p=0.1)
torch.manual_seed(seed)
sometimes = v2.RandomGrayscale(p=0.1)
grey = sum(sometimes(small) != small for _ in range(1000))
print("p=0.1: about 100 of 1000 came out grey:", 50 < grey < 150)

# %% [markdown]
# What it is for: a network that also recognises the grey ones can't rest on colour alone. What it breaks: the same thing, where colour is the class.
#
# ### Affine: turn, shift, scale, shear
#
# An affine map (仿射变换) sends straight lines to straight lines and parallels to parallels: rotation, translation, scaling, shear. `RandomAffine` draws all of them at once; to see what each means, one at a time, with red where nothing of the photograph is.

# %% covers=["w2-randomaffine"]
affine = {
    "degrees=(20, 20)": {"degrees": (20, 20)},
    "translate=(0.3, 0.3)": {"degrees": 0, "translate": (0.3, 0.3)},
    "scale=(0.5, 0.5)": {"degrees": 0, "scale": (0.5, 0.5)},
    "shear=(30, 30)": {"degrees": 0, "shear": (30, 30)},
    "shear=(0, 0, 30, 30)": {"degrees": 0, "shear": (0, 0, 30, 30)},
}
look = {"fill": (255, 0, 0), "interpolation": v2.InterpolationMode.BILINEAR}
torch.manual_seed(seed)
grids.show_grid(
    [v2.RandomAffine(**given, **look)(small) for given in affine.values()],
    titles=list(affine),
    columns=5,
    title="RandomAffine, one argument at a time",
)

# %% [markdown]
# One trap stands in the first picture: positive `degrees` turn **with** the clock here, and against it in RandomRotation. A bright spot to the right of the centre tells:

# %% covers=["w2-randomaffine"]
spot = torch.zeros(1, 101, 101)
spot[0, 50, 90] = 1
for transform in (v2.RandomRotation((20, 20)), v2.RandomAffine(degrees=(20, 20))):
    row = transform(spot)[0].sum(dim=1).argmax().item()
    print(f"{type(transform).__name__:14} the spot went {'up' if row < 50 else 'down'}")

# %% [markdown]
# > **Myth.** "Five atomic transforms: rotation, translation, scaling, shear and flip." Count in the list below: `degrees`, `translate`, `scale`, `shear`, and no flip; for that there are RandomHorizontalFlip and RandomVerticalFlip. `degrees` has no default, so write 0 when you do not want to turn.
#
# > **Then and now.** `fillcolor` is called `fill` today, and `resample` is called `interpolation`.

# %% covers=["w2-err-affine-flip", "w2-randomaffine"] tags=["then-and-now"]
print(list(inspect.signature(v2.RandomAffine).parameters))
with expected_error(TypeError):
    v2.RandomAffine(0, fillcolor=(255, 0, 0))
with expected_error(TypeError):
    v2.RandomAffine(0, resample=2)

# %% [markdown]
# `translate=(a, b)` (平移) is a **share** of the size: the shift is at most width · a to the side and height · b up or down, in whole pixels. A thousand draws for a picture of 400 by 100:

# %% covers=["w2-affine-translate"]
picture = Image.new("RGB", (400, 100))
shift = v2.RandomAffine(0, translate=(0.1, 0.3))
torch.manual_seed(seed)
moves = [shift.make_params([picture])["translate"] for _ in range(1000)]
furthest = [max(abs(move[axis]) for move in moves) for axis in (0, 1)]
print("furthest to the side", furthest[0], "of 40, furthest up or down", furthest[1], "of 30")
assert furthest[0] <= 40 and furthest[1] <= 30

# %% [markdown]
# The old static form `RandomAffine.get_params(...)`, which wants every interval again, still exists; `make_params` knows them already.
#
# Now two claims of the old course. First: "scale is a zoom ratio in units of area." Take a white square of 40x40, area 1600, and halve it.

# %%
question = predict("After scale=(0.5, 0.5) its area is", ["400", "800", "1600"])
question

# %% covers=["w2-err-affine-scale", "w2-randomaffine"]
black = torch.zeros(1, 100, 100)
black[:, 30:70, 30:70] = 1
halved = v2.RandomAffine(0, scale=(0.5, 0.5))(black)
print("area before:", int(black.sum()))
question.reveal(int(halved.sum()))

# %% [markdown]
# > **Myth.** It is no area: `scale` multiplies **lengths** (缩放). Half as wide and half as high is a quarter of the area. (In RandomResizedCrop `scale` *is* a share of the area. One word, two meanings: look it up.)

# %%
question = predict(
    "RandomAffine(0, shear=(10, 20)): the shear along y is drawn from",
    ["(-20, 20)", "(10, 20)", "nowhere, it is 0"],
)
question

# %% covers=["w2-affine-shear", "w2-err-affine-shear"]
torch.manual_seed(seed)
for shear in (45, (0, 0, 0, 45), (10, 20)):
    transform = v2.RandomAffine(0, shear=shear)
    draws = [transform.make_params([photo])["shear"] for _ in range(50)]
    xs, ys = zip(*draws, strict=True)
    x, y = (f"from {min(values):.0f} to {max(values):.0f}" for values in (xs, ys))
    print(f"shear={shear}: x {x}, y {y}")
assert shear == (10, 20) and all(10 <= x <= 20 for x in xs)
question.reveal("(-20, 20)" if any(ys) else "nowhere, it is 0")

# %% [markdown]
# > **Myth.** "With `shear=(a, b)` the x shear is drawn from (-a, a) and the y shear from (-b, b)." Shear (错切) has three forms: `a` draws the x shear from (-a, a); `(a, b)` is **one interval, for x**; `(a, b, c, d)` gives x the interval (a, b) and y the interval (c, d). In the first two y is never sheared.

# %% [markdown]
# ### Explorer Affine
#
# **Does scale=0.5 halve the lengths or the area, and which controls leave the area alone?** Move one control at a time and read "pixels of the F". Which controls keep the right angles of the F, and which do not? Lean the F with shear x, then set shear x back and turn it by the same angle: what is different?

# %%
explore.affine()

# %% [markdown]
# ### From pictures to numbers
#
# A PIL picture is a block of bytes in the order (height, width, channel), from 0 to 255. A network eats `float32` in the order (channel, height, width), from 0 to 1. `ToTensor` does the three steps in one.

# %% covers=["w2-totensor"]
pixels = np.array(photo)
tensor = transforms.ToTensor()(photo)
print("before:", pixels.shape, pixels.dtype, "from", pixels.min(), "to", pixels.max())
print("after: ", tuple(tensor.shape), tensor.dtype, end=" ")
print("from", rounded(tensor.min()), "to", rounded(tensor.max()))
with expected_error(TypeError):
    transforms.ToTensor()(tensor)

# %% [markdown]
# Once is enough: a second ToTensor refuses a tensor.
#
# > **Then and now.** In v2 the steps have names: `ToImage` makes an image tensor, `ToDtype(torch.float32, scale=True)` converts and scales. The v1 class still works without a word; `v2.ToTensor` warns.

# %% covers=["w2-totensor", "w2-v2-toimage"] tags=["then-and-now"]
with expected_warning(UserWarning):
    v2.ToTensor()
today = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
difference = (today(photo) - transforms.ToTensor()(photo)).abs().max().item()
print("shape", tuple(today(photo).shape), "| same numbers to six digits:", difference < 1e-6)
print(type(today(photo)).__name__, "is a tensor:", isinstance(today(photo), torch.Tensor))

# %% [markdown]
# The result is an `Image`, a tensor that knows it is a picture, so that transforms can tell it from a mask or a label. A surprise waits in arrays that are not bytes.

# %%
question = predict("ToTensor of a float64 array full of 255. gives", ["1.0", "255.0"])
question

# %% covers=["w2-err-totensor-range", "w2-totensor", "w2-v2-toimage"]
today = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
for dtype in (np.uint8, np.float64, np.int64):
    array = np.full((2, 2, 3), 255, dtype=dtype)
    old, new = transforms.ToTensor()(array), today(array).max().item()
    was = f"{old.dtype} {old.max().item()}"
    print(f"{np.dtype(dtype).name:8} ToTensor: {was:20} ToDtype: {new:.3g}")
question.reveal(transforms.ToTensor()(np.full((2, 2, 3), 255.0)).max().item())

# %% [markdown]
# > **Myth.** "An ndarray becomes a tensor in [0, 1]." Only bytes are scaled. ToTensor keeps every other dtype and does **not** scale it: the network gets numbers that are 255 times too large, without a warning. ToDtype leaves floats alone as well, and divides whole numbers by the largest number *of their dtype*: 255 for bytes, but for `int64` a number so large that the picture is black.
#
# It happens easily: multiply the bytes with a float, and the array is no longer one of bytes. So, whichever way you go: **bytes in, and print the minimum and maximum of one batch** before the first training run.
#
# ### Erase
#
# `RandomErasing` (随机遮挡) hides a rectangle: its area is a share `scale` of the picture, its proportions are drawn from `ratio`, its content is `value`. It is for objects that stand behind other things: a network that has one clue only (the ear of the cup) fails when that clue is hidden, so training hides it now and then. It stands after ToTensor, or today after ToDtype. Why not before?

# %% covers=["w2-randomerasing"]
torch.manual_seed(seed)
with expected_error(AttributeError):
    transforms.RandomErasing(p=1)(photo)
print("v2, on a PIL picture: erases:", v2.RandomErasing(p=1)(photo) != photo)
black = v2.functional.to_image(Image.new("RGB", (64, 64)))
for image in (black, v2.functional.to_dtype(black, torch.float32, scale=True)):
    erased = v2.RandomErasing(p=1, value=1.0)(image)
    print(f"value=1.0 on {image.dtype}: the rectangle is", erased.max().item())

# %% [markdown]
# The v1 class fails on a PIL picture. The v2 class takes it, but `value` counts in the picture's own units: among floats 1.0 is white, among bytes it is 1 of 255, nearly black. After ToDtype you get what you wrote.
#
# `value` is a number, one number for each channel, or `"random"`: noise from a normal distribution, meant for a picture that was normalised (mean 0, standard deviation 1).
#
# > **Then and now.** Once any text meant random; old programs say `value="1234"`. Only `"random"` is left.

# %% covers=["w2-randomerasing", "w2-err-erasing-string"] tags=["then-and-now"]
with expected_error(ValueError):
    v2.RandomErasing(value="1234")
image = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])(small)
torch.manual_seed(seed)
erased = [v2.RandomErasing(p=1)(image), v2.RandomErasing(p=1, value=(1.0, 0.0, 0.0))(image)]
noise = v2.RandomErasing(p=1, value="random")(image)
print("random: below 0:", bool(noise.min() < 0), "| above 1:", bool(noise.max() > 1))
small_one = v2.RandomErasing(p=1, scale=(0.02, 0.05), value=0.5)(image)
grids.show_grid(
    [image, *erased, noise.clamp(0, 1), small_one],
    titles=["photo", "value=0", "red", 'value="random", cut to [0, 1]', "scale=(0.02, 0.05)"],
    columns=5,
    title="RandomErasing hides a rectangle",
)


# %% [markdown]
# What it breaks: a rectangle of a third of the picture (the default's upper end) may hide the whole object. The label stays "coffee".
#
# ### Any function: Lambda
#
# `Lambda` makes a transform of a function, and the last lesson stacked crops with it. In a `Compose` you rarely need it: every callable is a transform there. (A function in a module of your own has an advantage over a `lambda`: where the workers of a DataLoader are new processes, as on Windows and macOS, they can be sent the first and not the second.)

# %% covers=["w2-lambda", "w2-err-compose-attr"]
def swap_red_and_blue(picture):
    red, green, blue = picture.split()
    return Image.merge("RGB", (blue, green, red))


wrapped = v2.Compose([v2.Lambda(swap_red_and_blue), v2.CenterCrop(64)])
plain = v2.Compose([swap_red_and_blue, v2.CenterCrop(64)])
print("the same picture:", wrapped(photo) == plain(photo))
print([type(step).__name__ for step in wrapped.transforms])
print(transforms.Compose([v2.CenterCrop(64)]).transforms)

# %% [markdown]
# > **Myth.** The old page prints the source of Compose with a loop over `self.transform`. The list is called `transforms`, as you see; with it you can look into any pipeline, and take a step out of it.
#
# ### Dice: one of, perhaps, in any order
#
# Three combinators take transforms and decide. `RandomChoice` does **one** of them, `RandomApply` does **all or none** with probability `p`, `RandomOrder` does all in a random **order**.

# %% covers=["w2-randomchoice", "w2-randomapply", "w2-randomorder"]
torch.manual_seed(seed)
left_right, upside_down = v2.RandomHorizontalFlip(p=1), v2.RandomVerticalFlip(p=1)
choice = v2.RandomChoice([left_right, upside_down])
mirrored = sum(choice(small) == left_right(small) for _ in range(100))
print("RandomChoice: both occur in 100 calls:", 20 < mirrored < 80)
for p in (0.0, 1.0):
    group = v2.RandomApply([v2.Pad(16), v2.Grayscale()], p=p)
    print(f"RandomApply, p={p:g}:", {(group(photo).size, group(photo).mode) for _ in range(20)})
order = v2.RandomOrder([v2.Pad(16), v2.CenterCrop(196)])
print("RandomOrder: ", sorted({order(photo).size for _ in range(50)}))


# %% [markdown]
# Padded first and cropped afterwards it is 196 wide, the other way round 196 + 2 · 16 = 228: order matters, and two sizes in one batch stop the DataLoader. Put only such transforms into a RandomOrder as keep the size.
#
# > **Then and now.** Today all three draw from torch. v1's RandomChoice and RandomOrder draw from Python's `random`, so `torch.manual_seed` alone does not repeat them: seed both.

# %% covers=["w2-randomchoice"] tags=["then-and-now"]
def outcomes(choice, seed_python=False):
    torch.manual_seed(seed)
    if seed_python:
        random.seed(seed)
    return [choice(small) == left_right(small) for _ in range(60)]


old = transforms.RandomChoice([left_right, upside_down])
new = v2.RandomChoice([left_right, upside_down])
print("v1 repeats after torch.manual_seed:     ", outcomes(old) == outcomes(old))
print("v1 repeats when random is seeded as well:", outcomes(old, True) == outcomes(old, True))
print("v2 repeats after torch.manual_seed:     ", outcomes(new) == outcomes(new))

# %% [markdown]
# A recipe in the style of real projects, and six versions of one cup:

# %% covers=["w2-randomchoice", "w2-randomapply"]
torch.manual_seed(seed)
recipe = v2.Compose(
    [
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4)], p=0.8),
        v2.RandomChoice([v2.RandomRotation(15), v2.RandomAffine(0, shear=15)]),
        v2.RandomResizedCrop(128, scale=(0.5, 1.0)),
        v2.ToImage(),
        v2.RandomErasing(p=0.3, scale=(0.02, 0.15)),
    ]
)
grids.show_grid([recipe(photo) for _ in range(6)], columns=6, title="One photo, six draws")

# %% [markdown]
# ### Your own transform
#
# A transform is anything that takes **one** argument and returns **one** value, and what it returns must be what its right neighbour can take. Settings that stay the same belong in `__init__`, the work in `__call__`.
#
# The example is a broken sensor. Salt-and-pepper noise (椒盐噪声) kills single pixels: some become white (salt), some black (pepper). The **signal-noise ratio** (信噪比, snr) here is the share of pixels that stay. With snr = 0.9 one pixel in ten is lost, half of them to salt, half to pepper. One uniform random number a pixel is enough to decide all three cases:

# %% covers=["w2-salt-pepper", "w2-snr"]
snr = 0.9
torch.manual_seed(seed)
draw = torch.rand(1, 128, 128)  # one number a pixel, for all three channels
salt = draw < (1 - snr) / 2
pepper = draw > 1 - (1 - snr) / 2
image = v2.functional.to_image(small)
noisy = image.masked_fill(salt, 255).masked_fill(pepper, 0)
grids.show_grid(
    [image, salt, ~pepper, noisy],
    titles=["photo", "the salt mask", "the pepper mask, drawn black", "salted and peppered"],
    columns=5,
    title="A mask for the salt, a mask for the pepper",
)


# %% [markdown]
# The masks have shape (1, H, W) and are broadcast over the three channels, so a pixel dies whole; a mask for each channel would make coloured dots. As a class, counted on the larger photograph:

# %% covers=["w2-custom-transform", "w2-salt-pepper", "w2-snr"]
class SaltAndPepper:
    """Keeps a share `snr` of the pixels of a uint8 image (C, H, W), salts or peppers the rest."""

    def __init__(self, snr):
        self.snr = snr

    def __call__(self, image):
        draw = torch.rand(1, *image.shape[-2:])
        noise = 1 - self.snr
        return image.masked_fill(draw < noise / 2, 255).masked_fill(draw > 1 - noise / 2, 0)


torch.manual_seed(seed)
image = v2.functional.to_image(photo)
noisy = SaltAndPepper(snr=0.9)(image)
kept = (noisy == image).all(dim=0).float().mean().item()
white = (noisy == 255).all(dim=0).float().mean().item()
black = (noisy == 0).all(dim=0).float().mean().item()
print(f"kept {kept:.2f}, white {white:.2f}, black {black:.2f}")
assert abs(kept - 0.9) < 0.01 and abs(white - 0.05) < 0.01 and abs(black - 0.05) < 0.01

# %% [markdown]
# In a pipeline it has neighbours. This class works on a tensor of bytes: before ToImage there is no tensor, and after ToDtype white is no longer 255 but 1.

# %% covers=["w2-custom-transform"]
noise, to_float = SaltAndPepper(snr=0.9), v2.ToDtype(torch.float32, scale=True)
torch.manual_seed(seed)
right = v2.Compose([v2.ToImage(), noise, to_float])(photo)
print("between the two:", right.dtype, "from", right.min().item(), "to", right.max().item())
with expected_error(AttributeError):
    v2.Compose([noise, v2.ToImage(), to_float])(photo)
wrong = v2.Compose([v2.ToImage(), to_float, noise])(photo)
print("after ToDtype:  ", wrong.dtype, "from", wrong.min().item(), "to", wrong.max().item())


# %% [markdown]
# The error is harmless, you cannot miss it. The silent 255 in a picture of numbers up to 1 is the mistake that costs a week.
#
# Such a class sees one picture. When a picture and its mask must go through **with the same draw**, derive from `v2.Transform`: `make_params` draws once, `transform` is called for every picture that came in together, and what is no picture (a label) passes.

# %% covers=["w2-custom-transform"]
class RandomShade(v2.Transform):
    """Darkens all pictures of one call by one factor from 0.3 to 1."""

    def make_params(self, flat_inputs):
        return {"factor": 0.3 + 0.7 * torch.rand(1).item()}

    def transform(self, picture, params):
        return v2.functional.adjust_brightness(picture, params["factor"])


torch.manual_seed(seed)
shade = RandomShade()
left, right, label = shade(photo, photo, 7)
print("one call, the same picture: ", left == right, "| the label passes:", label)
print("two calls, the same picture:", shade(photo) == shade(photo))

# %% [markdown]
# ### All 22, in four groups
#
# The old course counted 22 transforms. All of them are in both modules today, under the same names. (RandomErasing came later and is the 23rd; v2 has many more.)
#
# | group | transforms | in v2 |
# |---|---|---|
# | crop (裁剪), 5 | CenterCrop, RandomCrop, RandomResizedCrop, FiveCrop, TenCrop | the same names |
# | flip and rotate (翻转和旋转), 3 | RandomHorizontalFlip, RandomVerticalFlip, RandomRotation | the same names |
# | image (图像变换), 11 | Resize, Normalize, ToTensor, ToPILImage, Pad, ColorJitter, Grayscale, RandomGrayscale, RandomAffine, LinearTransformation, Lambda | the same names, but ToTensor: ToImage + ToDtype; Lambda works on each picture of a tuple |
# | combine (组合), 3 | RandomChoice, RandomApply, RandomOrder | the same names; all draw from torch |

# %% covers=["w2-transforms-summary"]
groups = {
    "crop": "CenterCrop RandomCrop RandomResizedCrop FiveCrop TenCrop",
    "flip and rotate": "RandomHorizontalFlip RandomVerticalFlip RandomRotation",
    "image": "Resize Normalize ToTensor ToPILImage Pad ColorJitter Grayscale RandomGrayscale "
    "RandomAffine LinearTransformation Lambda",
    "combine": "RandomChoice RandomApply RandomOrder",
}
for group, names in groups.items():
    both = all(hasattr(transforms, name) and hasattr(v2, name) for name in names.split())
    print(f"{group:16}{len(names.split()):3}  all in v1 and in v2: {both}")
print("together", sum(len(names.split()) for names in groups.values()))

# %% [markdown]
# Two of them have not been called yet. `ToPILImage` leads back from a tensor to a picture. `LinearTransformation` flattens a picture, subtracts a mean and multiplies with a matrix: once used for *whitening*, which makes the values of all pixels uncorrelated, each with variance 1. With the reversed identity as its matrix the last value comes first: the picture is turned by half a turn, and red and blue change places:

# %% covers=["w2-transforms-summary"]
tiny = v2.functional.resize(v2.functional.to_image(photo), [4, 4]) / 255
values = tiny.numel()
reverse = v2.LinearTransformation(torch.eye(values).flip(0), torch.zeros(values))
print("each value moved to the other end:", torch.equal(reverse(tiny), tiny.flip(0, 1, 2)))
back = v2.ToPILImage()(tiny)
print(type(back).__name__, back.size, back.mode)

# %% [markdown]
# ### Keep what you made
#
# Two ways lead from a picture to a file. `picture.save` writes the pixels, one for one. `plt.savefig` writes a *figure*: the picture with title, axes and margins, in the figure's own size. The first is for data, the second for a report.

# %% covers=["w2-ex-ten-augmentations"]
with tempfile.TemporaryDirectory() as folder:
    photo.save(Path(folder) / "pixels.png")
    figure, axes = plt.subplots(figsize=(4, 3), dpi=100)
    axes.imshow(photo)
    axes.set_title("coffee")
    plt.savefig(Path(folder) / "report.png", dpi=100)
    plt.close(figure)
    for name in ("pixels.png", "report.png"):
        with Image.open(Path(folder) / name) as opened:
            print(name, opened.size, "same size as the photo:", opened.size == photo.size)


# %% [markdown] covers=["w2-ex-ten-augmentations"]
# ### Exercise 2.11 Ten pictures from one · 15 min · ★★
#
# Write `save_ten(picture, folder)`. It gets a PIL picture of 224x224 and a folder (a `Path`), applies **at least ten** transforms one by one, each to the original, and saves what comes out as `folder / f"{name}.png"`. It returns its dictionary `{name: transform}`. Seven names are given and must keep their promise; three or more are yours. Each transform must do something **every time** it is called, so mind the `p`.

# %% covers=["w2-ex-ten-augmentations"] tags=["exercise"]
def save_ten(picture, folder):
    kinds = {
        "crop": ...,  # a part is cut away
        "resize": ...,  # smaller or larger, the proportions may change
        "shift": ...,  # moved, not resized, not turned
        "flip": ...,
        "colour": ...,  # other colours at the same places
        "shear": ...,  # right angles are lost
        "occlusion": ...,  # one region is hidden
        # and at least three more, under names of your own
    }
    ...  # for each: apply it to the picture and save the result as folder / f"{name}.png"
    return kinds


# %% tags=["check"]
check.ten_augmentations(save_ten)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# One line for each: `"crop": v2.CenterCrop(160)`, `"flip": v2.RandomHorizontalFlip(p=1)`. Shift and shear are both `v2.RandomAffine`.
# </details>
# <details><summary>Hint 2</summary>
#
# Which of yours has a `p`? `RandomErasing` and `RandomPerspective` leave half of the pictures alone, if you do not say `p=1`. The loop is one line: `transform(picture).save(...)`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def save_ten(picture, folder):
#     kinds = {
#         "crop": v2.CenterCrop(160),
#         "resize": v2.Resize((112, 112)),
#         "shift": v2.RandomAffine(0, translate=(0.3, 0.3)),
#         "flip": v2.RandomHorizontalFlip(p=1),
#         "colour": v2.ColorJitter(brightness=(1.3, 1.6), hue=(0.2, 0.3)),
#         "shear": v2.RandomAffine(0, shear=(20, 30)),
#         "occlusion": v2.RandomErasing(p=1),
#         "rotate": v2.RandomRotation((20, 40)),
#         "grey": v2.Grayscale(3),
#         "blur": v2.GaussianBlur(11, sigma=(3.0, 5.0)),
#     }
#     for name, transform in kinds.items():
#         transform(picture).save(folder / f"{name}.png")
#     return kinds
#
#
# with tempfile.TemporaryDirectory() as folder:
#     names = list(save_ten(photo, Path(folder)))
#     made = [v2.Resize((128, 128))(Image.open(Path(folder) / f"{name}.png")) for name in names]
# grids.show_grid(made, titles=names, columns=5, title="Ten pictures from one")
# ```
# </details>

# %% [markdown] covers=["w2-ex-pepper-noise"]
# ### Exercise 2.12 AddPepperNoise · 15 min · ★★★
#
# Write the class `AddPepperNoise(snr, p)`: with probability `p` it salts and peppers the picture (a share `snr` of the pixels stays, the rest becomes white or black in equal parts), otherwise it returns it as it is. It should fit **anywhere before ToDtype** in a Compose: a PIL picture comes out as a PIL picture, a `uint8` tensor (3, H, W) as a `uint8` tensor. What it was given stays unchanged.

# %% covers=["w2-ex-pepper-noise"] tags=["exercise"]
class AddPepperNoise:
    def __init__(self, snr, p):
        self.snr = snr
        self.p = p

    def __call__(self, picture):
        ...


# %% tags=["check"]
check.pepper_noise(AddPepperNoise)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First decide whether anything happens at all: `torch.rand(1).item() >= self.p` means no.
# </details>
# <details><summary>Hint 2</summary>
#
# `isinstance(picture, Image.Image)` tells what came in. `v2.functional.to_image` and `v2.functional.to_pil_image` lead there and back, so the noise itself is written once, for tensors. `masked_fill` (without `_`) makes a new tensor.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class AddPepperNoise:
#     def __init__(self, snr, p):
#         self.snr = snr
#         self.p = p
#
#     def __call__(self, picture):
#         if torch.rand(1).item() >= self.p:
#             return picture
#         image = v2.functional.to_image(picture)
#         draw = torch.rand(1, *image.shape[-2:])
#         noise = 1 - self.snr
#         noisy = image.masked_fill(draw < noise / 2, 255).masked_fill(draw > 1 - noise / 2, 0)
#         return v2.functional.to_pil_image(noisy) if isinstance(picture, Image.Image) else noisy
#
#
# prepare = v2.Compose([AddPepperNoise(snr=0.9, p=0.5), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
# grids.show_grid([prepare(small) for _ in range(5)], columns=5, title="About every second one is salted and peppered")
# ```
# </details>

# %% [markdown] covers=["w2-augmentation", "w2-augmentation-principle"]
# ## 2.6 Augmentation that helps, augmentation that lies
#
# **Data augmentation** (数据增强) changes the training pictures at random, so that the network sees more than there is. The principle (增强原则): bring the training set closer to the test set. Ask what may differ in the pictures to come, and make the training pictures differ in that way:
#
# | what may differ | a transform for it |
# |---|---|
# | position | `RandomAffine(translate=…)`, `RandomCrop` |
# | colour, light | `ColorJitter` |
# | shape, angle | `RandomRotation`, `RandomPerspective` |
# | context: something in front, something cut off | `RandomErasing`, `RandomCrop(padding=…)` |
#
# And one rule without exception: **only the training part is augmented**. The validation part stands for what will come, and that is measured as it comes. (The fixed crops that vote, lesson 2.4, are no exception: nothing in them is random.)

# %% covers=["w2-augmentation", "w2-augmentation-principle"]
digits = data.digits()
mixed = torch.randperm(5000, generator=torch.Generator().manual_seed(seed)).tolist()
samples = [(digits.images[number].unsqueeze(0), digits.labels[number]) for number in mixed]
few, held_out = samples[:200], samples[4000:]
pixels = torch.stack([image for image, _ in few]) / 255
own = v2.Normalize([pixels.mean().item()], [pixels.std().item()])
plain = v2.Compose([v2.ToDtype(torch.float32, scale=True), own])
helpful = v2.RandomAffine(degrees=10, translate=(0.1, 0.1), scale=(0.9, 1.1))
for_training, for_validation = v2.Compose([helpful, plain]), plain
six = digits.images[3000].unsqueeze(0)
torch.manual_seed(seed)
random_steps = [[for_training(six) for _ in range(2)], [for_validation(six) for _ in range(2)]]
print("trained on twice, the same picture:", torch.equal(*random_steps[0]))
print("validated on twice, the same picture:", torch.equal(*random_steps[1]))

# %% [markdown]
# (Mean and standard deviation come from the 200 training digits alone.)
#
# Now an experiment with an honest question. 200 handwritten digits to train on, 1,000 others to validate, three ways to augment: not at all, shifted and turned a little, mirrored both ways. Look at what mirroring does to a six.

# %%
mirrored = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()])
augmentations = {"none": v2.Identity(), "a little affine": helpful, "mirrored": mirrored}
torch.manual_seed(seed)
shown = [change(six) for change in augmentations.values() for _ in range(6)]
names = [name for name in augmentations for _ in range(6)]
grids.show_grid(shown, names, columns=6, title="Six draws of a six, by augmentation")

# %%
question = predict(
    "Plain, the network gets about 87 % of the validation digits right. And trained on mirrored ones?",
    ["about the same", "better, it sees more", "much worse"],
)
question


# %% [markdown]
# The training is that of lesson 2.2, with a smaller network; its arguments are the channels and the classes, because banknotes come next.

# %% covers=["w2-augmentation"]
class Changed(Dataset):
    """The samples (image, label) of a list, with a transform."""

    def __init__(self, samples, transform):
        self.samples, self.transform = samples, transform

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        image, label = self.samples[index]
        return self.transform(image), label


def train_on(train_set, rounds, channels, classes):
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Conv2d(channels, 8, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(256, classes)),
    ).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for _ in range(rounds):
        for images, labels in DataLoader(train_set, batch_size=20, shuffle=True):
            logits = model(images.to(device))
            loss = nn.functional.cross_entropy(logits, labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


# %% [markdown]
# Each augmentation trains a network of its own, from the same start. All are validated on the same unchanged digits.

# %% covers=["w2-augmentation"] tags=["nbval-ignore-output"]
validation = Changed(held_out, for_validation)
images, labels = (torch.stack(part) for part in zip(*validation, strict=True))
accuracy, wrong_six = {}, {}
bar = tqdm(augmentations.items(), desc="training the networks", bar_format="{desc} {bar}")
for name, change in bar:
    model = train_on(Changed(few, v2.Compose([change, plain])), 2 * epochs, 1, 10)
    with torch.no_grad():
        guesses = model(images.to(device)).argmax(dim=1).cpu()
    accuracy[name] = (guesses == labels).float().mean().item()
    wrong_six[name] = ((labels == 6) & (guesses == 9)).sum().item()
print("accuracy:", rounded(accuracy))
print("sixes called nine, of", (labels == 6).sum().item(), "sixes:", wrong_six)
if epochs >= 10:
    assert accuracy["mirrored"] < accuracy["none"] - 0.05 < accuracy["a little affine"]
loss_of_mirrored = accuracy["none"] - accuracy["mirrored"]
question.reveal("much worse" if loss_of_mirrored > 0.05 else "about the same")

# %% [markdown]
# A little turning, shifting and scaling made the few digits richer: people write larger, smaller and more slanted than these 200 did. Mirroring taught the network that an upside-down six is a six, but such a thing **is** a nine: that augmentation lies about the label.
#
# So whether an augmentation helps is a question about the *data*, not about the transform. Three more, on the banknotes: small crops from anywhere, small crops from the corners of the photograph, and `hue=0.5`, which paints a note in any colour. Look at what is left of the notes.

# %%
shrink = v2.Compose([v2.Resize((64, 64)), v2.ToImage()])
notes = {
    part: list(torchvision.datasets.ImageFolder(data.banknotes(part), transform=shrink))
    for part in ("train", "valid")
}


def one_corner(image):
    return random.choice(v2.functional.five_crop(image, [12, 12])[:4])


augmentations = {
    "none": v2.Identity(),
    "crops from anywhere": v2.RandomResizedCrop(28, scale=(0.02, 0.1)),
    "crops from corners": one_corner,
    "any hue": v2.ColorJitter(hue=0.5),
}
session.seed_everything(seed)
shown = [
    v2.functional.resize(change(notes["train"][20 * k][0]), [64, 64])
    for change in augmentations.values()
    for k in range(6)
]
names = [name for name in augmentations for _ in range(6)]
grids.show_grid(shown, names, columns=6, title="Six notes, changed in four ways")

# %%
question = predict(
    "One augmentation that looks terrible does no harm. Which?",
    ["crops from anywhere", "crops from corners", "any hue"],
)
question

# %% [markdown]
# Train one network on each, validate all on whole, unchanged pictures.

# %% covers=["w2-augmentation"] tags=["nbval-ignore-output"]
last = [
    *(v2.Resize((28, 28)), v2.ToDtype(torch.float32, scale=True)),
    v2.Normalize([0.5] * 3, [0.2] * 3),
]
whole = Changed(notes["valid"], v2.Compose(last))
images = torch.stack([image for image, _ in whole])
labels = torch.tensor([label for _, label in whole])
accuracy = {}
bar = tqdm(augmentations.items(), desc="training the networks", bar_format="{desc} {bar}")
for name, change in bar:
    random.seed(seed)
    model = train_on(Changed(notes["train"], v2.Compose([change, *last])), epochs, 3, 2)
    with torch.no_grad():
        guesses = model(images.to(device)).argmax(dim=1).cpu()
    accuracy[name] = (guesses == labels).float().mean().item()
    if name in ("none", "crops from corners"):
        own = Changed(notes["train"], v2.Compose([change, *last]))
        own_images = torch.stack([image for image, _ in own]).to(device)
        own_labels = torch.tensor([label for _, label in own])
        with torch.no_grad():
            right = (model(own_images).argmax(dim=1).cpu() == own_labels).float().mean()
        print(f"{name}: {rounded(right.item(), 2)} of its own training pictures right")
print(rounded(accuracy))
if epochs >= 10:
    assert accuracy["crops from anywhere"] > 0.9 < accuracy["none"]
    assert accuracy["crops from corners"] < 0.8 > accuracy["any hue"]
question.reveal(max(list(accuracy)[1:], key=accuracy.get))

# %% [markdown]
# Crops from anywhere: mostly a piece of the note is in them, and a piece has the note's colour. Crops from the corners: the note is gone, the label is still there, and nothing is left to learn: even of its own training pictures it gets only about half right. Any hue: the note is whole, but its colour is now random; a person would read the number, these few pictures teach the network no such thing. So it lives by **colour**. The last check: train and validate on grey pictures, everything else as in "none".

# %% tags=["nbval-ignore-output"]
grey = v2.Compose([v2.Grayscale(3), *last])
model = train_on(Changed(notes["train"], grey), epochs, 3, 2)
grey_images = torch.stack([image for image, _ in Changed(notes["valid"], grey)])
with torch.no_grad():
    right = (model(grey_images.to(device)).argmax(dim=1).cpu() == labels).float().mean().item()
print("grey, validation accuracy:", rounded(right))
if epochs >= 10:
    assert right < accuracy["none"] - 0.1

# %% [markdown]
# Without the colour most of what it knew is gone.
#
# Two lessons. Look at augmented pictures and ask whether **you** could still tell the label, from what the network uses. And a network takes the easiest way: week 5 shows how to see which.

# %% [markdown]
# ### Exercise 2.13 Would the label survive? · 6 min · ★
#
# For each pair of data and transform: is the picture's label still right afterwards, practically always? Fill in `True` or `False`.

# %% tags=["exercise"]
label_survives = {
    "cats and dogs: RandomHorizontalFlip": ...,
    "road signs, arrow left against arrow right: RandomHorizontalFlip": ...,
    "digits: RandomRotation(10)": ...,
    "digits: RandomRotation(180)": ...,
    "ripe or unripe tomatoes: ColorJitter(hue=0.5)": ...,
    "cells under a microscope: RandomVerticalFlip": ...,
    "small tumour in a large X-ray: RandomCrop of a tenth of it": ...,
    "handwritten letters b, d, p, q: RandomVerticalFlip": ...,
}

# %% tags=["check"]
check.label_survives(label_survives)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Imagine the changed picture without having seen the first one. Would you label it the same?
# </details>
# <details><summary>Hint 2</summary>
#
# Letters: which letter is a b that was turned upside down by a mirror? And is the tumour still in the crop?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# label_survives = {
#     "cats and dogs: RandomHorizontalFlip": True,
#     "road signs, arrow left against arrow right: RandomHorizontalFlip": False,
#     "digits: RandomRotation(10)": True,
#     "digits: RandomRotation(180)": False,
#     "ripe or unripe tomatoes: ColorJitter(hue=0.5)": False,
#     "cells under a microscope: RandomVerticalFlip": True,
#     "small tumour in a large X-ray: RandomCrop of a tenth of it": False,
#     "handwritten letters b, d, p, q: RandomVerticalFlip": False,
# }
# ```
# </details>

# %% [markdown]
# ### Find the bug 2.4 A validation that wavers · 8 min · ★★
#
# `make_parts` splits a Dataset and augments it. The program runs and learns. But measured twice in a row, without any training between, the validation gives two different results, because the same sample is not the same twice. Repair `make_parts`, so that it still returns a training part that is augmented and a validation part with the same samples as now.

# %% tags=["exercise", "find-the-bug"]
class Numbered(Dataset):
    def __init__(self, transform):
        self.images, self.transform = data.digits().images[:20].unsqueeze(1), transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(self.images[index]), index


def make_parts(seed):
    augment = v2.RandomAffine(degrees=10, translate=(0.1, 0.1))
    whole = Numbered(augment)
    chance = torch.Generator().manual_seed(seed)
    return torch.utils.data.random_split(whole, [0.8, 0.2], generator=chance)


train_part, valid_part = make_parts(seed)
print(len(train_part), "to train on,", len(valid_part), "to validate with")
print("validation sample 0 twice the same:", torch.equal(valid_part[0][0], valid_part[0][0]))

# %% tags=["check"]
check.bug_2_4(make_parts)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `random_split` gives two views of **one** Dataset. Which transform does that Dataset have?
# </details>
# <details><summary>Hint 2</summary>
#
# Make two Datasets, one with the augmentation and one with `v2.Identity()`, and split both with generators of the same seed. Take the first part of one and the second part of the other.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class Numbered(Dataset):
#     def __init__(self, transform):
#         self.images, self.transform = data.digits().images[:20].unsqueeze(1), transform
#
#     def __len__(self):
#         return len(self.images)
#
#     def __getitem__(self, index):
#         return self.transform(self.images[index]), index
#
#
# def make_parts(seed):
#     augment = v2.RandomAffine(degrees=10, translate=(0.1, 0.1))
#     halves = []
#     for part, transform in enumerate((augment, v2.Identity())):
#         chance = torch.Generator().manual_seed(seed)
#         split = torch.utils.data.random_split(Numbered(transform), [0.8, 0.2], generator=chance)
#         halves.append(split[part])
#     return halves
#
#
# train_part, valid_part = make_parts(seed)
# print(len(train_part), "to train on,", len(valid_part), "to validate with")
# print("validation sample 0 twice the same:", torch.equal(valid_part[0][0], valid_part[0][0]))
# ```
# </details>

# %% [markdown]
# ## 2.7 Larger data by parameter
#
# A program should not care how large its data are. The parameter `dataset` at the top of this notebook chooses among four sets: `"banknotes"` and `"digits"` are shipped; `"fashionmnist"` (70,000 pictures of clothes) and `"cifar10"` (60,000 photographs of ten kinds) are fetched by torchvision into `data/cache`, once, when you ask for them. Without network they end in one line that says so, and the banknotes take their place.
#
# All four are Datasets of (picture, label), so what follows is the same. (`ImageFolder` is torchvision's version of the Dataset that you wrote in lesson 2.2: a folder for each class.)

# %%
def parts_of(name, transform):
    """Training part, validation part, and number of classes of one of the four data sets."""
    if name == "banknotes":
        folders = (data.banknotes(part) for part in ("train", "valid"))
        return *(torchvision.datasets.ImageFolder(path, transform) for path in folders), 2
    if name == "digits":
        images, labels = data.digits()
        pictures = torch.stack([transform(image.unsqueeze(0)) for image in images])
        shares, chance = [0.8, 0.2], torch.Generator().manual_seed(0)
        whole = TensorDataset(pictures, labels)
        return *torch.utils.data.random_split(whole, shares, generator=chance), 10
    return *(downloads.dataset(name, train, transform) for train in (True, False)), 10


# %% [markdown]
# Every picture becomes 3×32×32, grey ones with three equal channels, so one network fits all.

# %%
alike = v2.Compose(
    [
        *(v2.ToImage(), v2.RGB(), v2.Resize((32, 32))),
        *(v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.25] * 3)),
    ]
)
chosen = dataset
try:
    train_part, valid_part, classes = parts_of(chosen, alike)
except (data.DataError, ValueError) as problem:
    print(problem)
    chosen = "banknotes"
    train_part, valid_part, classes = parts_of(chosen, alike)
print(chosen, len(train_part), "and", len(valid_part), "pictures,", classes, "classes")

# %% [markdown]
# One pass over the training part, whatever it is; more is a matter of patience, or of a CUDA card.

# %% tags=["nbval-ignore-output"]
torch.manual_seed(seed)
model = nn.Sequential(
    *(nn.Conv2d(3, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(32 * 5 * 5, classes)),
).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
loader = DataLoader(train_part, batch_size=20, shuffle=True)
losses = []
for images, labels in tqdm(loader, desc="one epoch", bar_format="{desc} {bar}"):
    loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert len(losses) == len(loader) and math.isfinite(losses[-1])
curves.loss_curves({chosen: losses}, title=f"One epoch on {chosen}")

# %% [markdown]
# The curve jumps because each point is the loss of one batch of 20. Nothing in the loop knows which data they are. That is what Dataset and DataLoader are for.

# %% [markdown]
# ## Recap
#
# A **Dataset** answers how many samples there are and what sample i is; a **sampler** chooses the numbers, **collate** makes a batch of the answers, a **DataLoader** does all of it in a loop. Files are split **before** anything is learnt from them, not even a mean, and the split is seeded and checked. Accuracy is right answers over samples, of the part that it is about. A **transform** runs each time a sample is read; know what it does to shape, range, dtype, and to the label. **Normalize** with your own training part's statistics. **Augment** the training part only, and only in ways in which the pictures to come may differ.
#
# | you learned | the official page |
# |---|---|
# | Dataset, DataLoader, samplers, collate, workers | [torch.utils.data](https://docs.pytorch.org/docs/stable/data.html) |
# | seeds in loaders and workers | [Reproducibility](https://docs.pytorch.org/docs/stable/notes/randomness.html) |
# | transforms, v1 and v2 | [torchvision.transforms](https://docs.pytorch.org/vision/stable/transforms.html) |
# | the well-known data sets, `ImageFolder` | [torchvision.datasets](https://docs.pytorch.org/vision/stable/datasets.html) |
# | the well-known networks | [torchvision.models](https://docs.pytorch.org/vision/stable/models.html) |
#
# Your exercises, done and open:

# %%
check.summary()

# %% [markdown]
# **New words.** data module 数据模块 · Dataset 数据集抽象类 · DataLoader 数据装载器 · batch size 批大小 · epoch 轮 · iteration 迭代 · sampler 采样器 · collate function 整理函数 · worker 多进程读取 · training set 训练集 · validation set 验证集 · test set 测试集 · leak 数据泄漏 · label 标签 · inference 模型推理 · transform 变换 · preprocessing 图像预处理 · Normalize 数据标准化 · crop 裁剪 · flip 翻转 · rotation 旋转 · padding 填充 · interpolation 插值 · colour jitter 亮度、对比度、饱和度、色相 · greyscale 灰度 · affine map 仿射变换 · shear 错切 · random erasing 随机遮挡 · salt-and-pepper noise 椒盐噪声 · signal-noise ratio 信噪比 · data augmentation 数据增强
#
# **Next week** the box called LeNet is opened: modules, layers, and where every number of a network lives.
