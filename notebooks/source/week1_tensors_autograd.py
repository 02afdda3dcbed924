# %% [markdown]
# # Week 1 · Tensors, graphs and gradients
#
# **The question of the week: how can a program find out by itself how to change its own numbers so that its error gets smaller?**
#
# After this week you can
#
# - make, inspect, reshape and combine tensors, and say when two of them share memory;
# - draw the computation graph of an expression and read the gradient off it;
# - use autograd, and name its traps before they bite;
# - write the five parts of every training program, and train two models with them.
#
# | lesson | minutes | you build |
# |---|---|---|
# | 1.1 Introduction and environment | 10 | a program that says where it runs |
# | 1.2 Tensors | 50 | tensors from data, from values, from chance |
# | 1.3 Operations and linear regression | 75 | a line that learns |
# | 1.4 Computation graphs | 45 | gradients by hand, equal to torch's |
# | 1.5 Autograd and logistic regression | 75 | a classifier, and what breaks it |
#
# It builds on Python and a little NumPy. Every lesson runs after the next two cells alone, so start wherever you like.
#
# Two kinds of boxes look back: *Then and now* runs a line of an older course (2019 to 2021) and shows what became of it, *Myth* corrects something it taught. If PyTorch is new to you, skip them at the first reading.

# %% tags=["parameters"]
seed = 0
device = "auto"

# %% tags=["setup"]
import math

import numpy as np
import torch
import torchvision
from torch import nn

from course_utils import curves, data, explore, grids, session
from course_utils.checks import week1 as check
from course_utils.errors import expected_error, expected_warning
from course_utils.predict import predict
from course_utils.text import rounded

device = session.setup(seed, device)

# %% [markdown] covers=["w1-pytorch-intro"]
# ## 1.1 Introduction and environment
#
# PyTorch is three things in one package: an array library that also runs on graphics cards, a recorder that can differentiate what you computed (autograd), and a box of parts for neural networks. A course needs nothing else: no second framework, no notation of its own. A PyTorch program is a Python program, and everything you know about Python (`if`, `for`, `print`, the debugger) works inside it.
#
# Look at the two version numbers first: the packages are released together, and two versions that don't belong together give strange errors, so they are the first thing to report.

# %% covers=["w1-pytorch-intro", "w1-version"]
print("torch", torch.__version__.split("+")[0])
print("torchvision", torchvision.__version__.split("+")[0])

# %% [markdown]
# The next question is where to compute. A CUDA (统一计算架构) card is an accelerator: it is faster for large tensors and slower for tiny ones. Ask before you use it: only a machine that has a card knows its name.

# %% covers=["w1-cuda-available"]
present = torch.cuda.is_available()
name = torch.cuda.get_device_name(0) if present else "none, the CPU does the work"
print("CUDA card present:", present)
print("its name:", name)

# %% [markdown]
# > **Then and now.** The old course called `torch.cuda.get_device_name(0)` and `tensor.cuda()` without asking. On a machine without a card that stops the program, then as today. (`expected_error` runs a line that must fail, and prints its error in one line.)

# %% tags=["then-and-now"]
if present:
    print(torch.ones(1).cuda().device.type)
else:
    with expected_error(RuntimeError, AssertionError):
        torch.cuda.get_device_name(0)

# %% [markdown]
# The way out is to name the **device** (设备) once and to move everything to it with `.to(device)`. A tensor that has to move comes back as a new tensor; a module, here the layer `nn.Linear`, moves the weights that it holds and comes back itself. The setup cell chose `device` for this notebook in much the same way (it also takes `mps`, the graphics unit of an Apple computer); below it is written out for CUDA.

# %% covers=["w1-device"]
chosen = torch.device("cuda" if torch.cuda.is_available() else "cpu")
numbers = torch.tensor([1.0, 2.0]).to(chosen)
layer = nn.Linear(2, 1).to(chosen)
print("same kind of device:", numbers.device.type == layer.weight.device.type == chosen.type)
print("output shape:", tuple(layer(numbers).shape))


# %% [markdown]
# From here on the same cell runs on any machine. That is all a *device-agnostic* program is.

# %% [markdown] covers=["w1-ex-install"]
# ### Exercise 1.1 Say hello · 3 min · ★
#
# The environment is installed, or you would not read this. Prove it: write `hello()`, which returns one text with the version of torch and with `True` or `False` for "a CUDA card is usable".

# %% covers=["w1-ex-install"] tags=["exercise"]
def hello():
    # for example: "Hello from PyTorch 2.15.0, accelerator: False" - from torch.__version__, not typed in
    ...


# %% tags=["check"]
check.hello(hello)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# An f-string puts values into a text: `f"version {torch.__version__}"`.
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.cuda.is_available` is a function; without `()` you print the function, not its answer.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def hello():
#     return f"Hello from PyTorch {torch.__version__}, accelerator: {torch.cuda.is_available()}"
# ```
# </details>

# %% [markdown] covers=["w1-tensor-concept"]
# ## 1.2 Tensors
#
# A **tensor** (张量) is a block of numbers of one type, arranged in any number of dimensions. Scalar, vector and matrix are its first three cases; a colour image, with channel, height and width, is the fourth. Watch `ndim` count the nesting of the brackets.

# %% covers=["w1-tensor-concept"]
scalar = torch.tensor(3.5)
vector = torch.tensor([1.0, 2.0, 3.0])
matrix = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
image = torch.zeros(3, 4, 5)
for word, tensor in [
    ("scalar", scalar),
    ("vector", vector),
    ("matrix", matrix),
    ("image", image),
]:
    assert isinstance(tensor, torch.Tensor)
    print(f"{word:6} ndim {tensor.ndim}, shape {tuple(tensor.shape)}, {tensor.numel()} numbers")

# %% [markdown]
# A real photograph is such a tensor. (`.item()` takes the number out of a tensor that holds just one.) A file has height, width, channel; `permute` puts the channel in front, as torch wants it. A channel by itself is a matrix, drawn in grey.

# %% covers=["w1-tensor-concept", "w1-attr-dtype"]
cat = torch.from_numpy(np.array(data.photo("cat"))).permute(2, 0, 1)
print(tuple(cat.shape), cat.dtype, "from", cat.min().item(), "to", cat.max().item())
grids.show_grid(
    [channel for channel in cat],
    titles=["red", "green", "blue"],
    title="One photograph, three matrices",
)

# %% [markdown]
# Networks eat many images at once, so one more dimension comes in front: the batch. The order (batch, channel, height, width) is PyTorch's convention; learn it once.

# %% covers=["w1-attr-shape"]
batch = torch.zeros(64, 3, 224, 224)
for size, meaning in zip(batch.shape, ["batch", "channel", "height", "width"], strict=True):
    print(f"{size:4}  {meaning}")

# %% [markdown] covers=["w1-ex-tensor-relations"]
# ### Exercise 1.2 The family of tensors · 5 min · ★
#
# How do tensor, matrix, vector and scalar relate? Answer by building one of each: a scalar, a vector of three numbers, a 2×3 matrix, and an RGB image 4 pixels high and 5 wide. Any values will do.

# %% covers=["w1-ex-tensor-relations"] tags=["exercise"]
my_scalar = ...
my_vector = ...
my_matrix = ...
my_image = ...

# %% tags=["check"]
check.tensor_family(my_scalar, my_vector, my_matrix, my_image)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `torch.tensor([7.0])` has brackets, so it has a dimension. A scalar has none.
# </details>
# <details><summary>Hint 2</summary>
#
# In PyTorch the channel of an image comes first, then height, then width.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# my_scalar = torch.tensor(7.0)
# my_vector = torch.tensor([1.0, 2.0, 3.0])
# my_matrix = torch.zeros(2, 3)
# my_image = torch.rand(3, 4, 5)
# ```
# </details>

# %% [markdown]
# ### What a tensor carries
#
# Beside its numbers a tensor carries attributes. Of these eight, four describe the data; the other four belong to autograd: here they are only shown, lesson 1.4 explains them.
#
# | attribute | Chinese | says |
# |---|---|---|
# | `dtype` | 数据类型 | type of every element: `float32`, `int64`, `bool`, … |
# | `shape` | 形状 | size of each dimension |
# | `device` | 设备 | where the numbers live: `cpu`, `cuda`, … |
# | `data` | 数据 | the bare values, unknown to autograd |
# | `requires_grad` | 是否需要梯度 | should autograd record what happens to it? |
# | `grad` | 梯度 | the gradient, after `backward()` |
# | `grad_fn` | 梯度函数 | the function that made it; `None` if you made it |
# | `is_leaf` | 叶子结点 | did you make it, rather than an operation on a tracked tensor? |

# %% covers=["w1-attr-device", "w1-attr-grad", "w1-attr-grad-fn", "w1-attr-requires-grad", "w1-attr-is-leaf"]
w = torch.tensor([1.0, 2.0], requires_grad=True)
y = w * w
print("w:", w.device.type, w.requires_grad, w.is_leaf, w.grad_fn, w.grad)
print("w + 1 is a leaf:", (w + 1).is_leaf, "| y was made by", y.grad_fn.name())
y.sum().backward()
print("after backward(), w.grad:", w.grad, "with the shape of w:", w.grad.shape == w.shape)

# %% [markdown]
# `w.grad` was `None` and became a tensor of w's shape; `y` remembers the multiplication that made it, `w` remembers nothing because you made it.
#
# The **dtype** follows the values: a decimal point makes `float32`, whole numbers make `int64`. NumPy's floats are `float64`, and they stay so: when an error complains of `Double` and `Float`, look for an array that came from NumPy.

# %% covers=["w1-attr-dtype", "w1-tensor"]
print(torch.tensor([1.0]).dtype, torch.tensor([1]).dtype, torch.tensor(np.ones(3)).dtype)
print(torch.tensor([1, 2], dtype=torch.float32), torch.tensor([True, False]).dtype)

# %% [markdown]
# Gradients are slopes, and a slope needs small steps: only floating-point and complex tensors can have one.

# %% covers=["w1-attr-requires-grad"]
with expected_error(RuntimeError):
    torch.tensor([1], requires_grad=True)

# %% [markdown]
# > **Then and now.** Old programs wrap every tensor in a `Variable`. It was merged into the tensor in PyTorch 0.4: the name still exists, does nothing, and its old switch `volatile` only warns (`expected_warning` shows it in one line). This course never uses it again.

# %% covers=["w1-variable-merged", "w1-ex-variable"] tags=["then-and-now"]
from torch.autograd import Variable

print(isinstance(torch.ones(1), Variable), type(Variable(torch.ones(1))) is torch.Tensor)
print("what it was for, on a plain tensor:", torch.ones(1).requires_grad_())
with expected_warning(UserWarning):
    Variable(torch.ones(1), volatile=True)

# %% [markdown]
# > **Then and now.** Types were classes once: `torch.FloatTensor`, `torch.cuda.FloatTensor`. Today a type is a dtype plus a device, and the default is set with `torch.set_default_dtype`.

# %% tags=["then-and-now"]
with expected_warning(UserWarning):
    torch.set_default_tensor_type(torch.FloatTensor)
print(torch.ones(1).type(), "means", torch.ones(1).dtype, "on the", torch.ones(1).device.type)


# %% [markdown] covers=["w1-ex-variable"]
# ### Exercise 1.3 What did Variable add? · 5 min · ★
#
# It added automatic differentiation: `grad`, `grad_fn`, `requires_grad`, `is_leaf`. Today a plain tensor has them. Write `tracked(values)`: it takes a list of numbers, whole ones too, and returns a `float32` **leaf** tensor that autograd records.

# %% covers=["w1-ex-variable"] tags=["exercise"]
def tracked(values):
    ...


# %% tags=["check"]
check.tracked(tracked)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# What does `torch.tensor([1, 2])` have for a dtype, and can that dtype have a gradient?
# </details>
# <details><summary>Hint 2</summary>
#
# What comes out of an operation on a **tracked** tensor is no leaf. So switch the recording on as the last thing: with the argument, or with `.requires_grad_()`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def tracked(values):
#     return torch.tensor(values, dtype=torch.float32).requires_grad_()
# ```
# </details>

# %% [markdown] covers=["w1-create-direct"]
# ### Making tensors (1): directly from data (直接创建)
#
# Two functions take a NumPy array, and they differ in the one thing that matters: `torch.tensor` copies, `torch.from_numpy` does not. The address of the first number tells: `data_ptr()` in torch, `ctypes.data` in NumPy.

# %% covers=["w1-tensor", "w1-from-numpy", "w1-create-direct"]
array = np.ones((3, 3))
copied = torch.tensor(array)
shared = torch.from_numpy(array)
print(
    "torch.tensor     shares the memory:", copied.data_ptr() == array.ctypes.data, copied.dtype
)
print(
    "torch.from_numpy shares the memory:", shared.data_ptr() == array.ctypes.data, shared.dtype
)

# %%
question = predict("shared[0, 0] = -1. What is array[0, 0] now?", ["1.0", "-1.0"])
question

# %% covers=["w1-from-numpy"]
array = np.ones((3, 3))
shared = torch.from_numpy(array)
shared[0, 0] = -1
question.reveal(array[0, 0])

# %% [markdown]
# One block of memory, two names: it works in the other direction too. That is fast, and it is a trap when the array belongs to somebody else.

# %% covers=["w1-from-numpy"]
array[2, 2] = 7
print(shared)


# %% [markdown] covers=["w1-ex-from-numpy"]
# ### Exercise 1.4 Same memory? · 5 min · ★★
#
# The old task compares `id(array)` with `id(tensor)`. Those are two Python objects, so the ids always differ, shared memory or not. Write the true test: `same_memory(array, tensor)` returns `True` exactly when both start at the same address.

# %% covers=["w1-ex-from-numpy"] tags=["exercise"]
def same_memory(array, tensor):
    # id(array) == id(tensor) is False even for torch.from_numpy(array): compare the addresses of the data instead
    ...


# %% tags=["check"]
check.same_memory(same_memory)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Equal values prove nothing: a copy has equal values too.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def same_memory(array, tensor):
#     return tensor.data_ptr() == array.ctypes.data
#
#
# shared_array = np.ones(3)
# shared_tensor = torch.from_numpy(shared_array)
# print("ids equal:", id(shared_array) == id(shared_tensor), "addresses equal:", same_memory(shared_array, shared_tensor))
# ```
# </details>

# %% [markdown] covers=["w1-pin-memory"]
# One argument of `torch.tensor` only makes sense with a card: `pin_memory=True` (锁页内存) puts the numbers into memory that the operating system may not move, from where copies to the card are faster. Without a card it is refused, so the code asks first.

# %% covers=["w1-pin-memory"] tags=["then-and-now"]
if torch.cuda.is_available():
    print(torch.ones(2).pin_memory().is_pinned())
else:
    with expected_error(RuntimeError):
        torch.tensor([1.0], pin_memory=True)

# %% [markdown] covers=["w1-create-values"]
# ### Making tensors (2): from values (依据数值创建)
#
# Zeros, ones, one value, and the identity. The form `…_like` takes shape **and dtype** from another tensor.

# %% covers=["w1-zeros", "w1-ones", "w1-eye", "w1-create-values"]
print(torch.zeros(3, 3), tuple(torch.zeros(3, 3).shape), torch.zeros(3, 3).dtype)
print(torch.ones(2, 3))
print(torch.eye(3))
print(torch.eye(2, 3))

# %% [markdown]
# `eye(2, 3)` has two rows and three columns: the diagonal stops where the rows end.
#
# > **Myth.** The old course prints the signature of `torch.eye` under the name `torch.linspace`. They are different functions, as the error shows.

# %% covers=["w1-err-eye-signature", "w1-eye"]
with expected_error(TypeError):
    torch.linspace(3)
print(tuple(torch.eye(3).shape))

# %% [markdown]
# The `_like` forms, on a tensor of whole numbers: each result has its shape and its dtype.

# %% covers=["w1-zeros-like", "w1-ones-like", "w1-full-like"]
small = torch.zeros(2, 2, dtype=torch.int32)
for made in (torch.zeros_like(small), torch.ones_like(small), torch.full_like(small, 7)):
    print(made.tolist(), made.dtype)

# %% [markdown]
# `torch.full` fills with one value. Which dtype do you get from a whole number?

# %%
question = predict("What is torch.full((3, 3), 1).dtype?", ["torch.float32", "torch.int64"])
question

# %% covers=["w1-full"] tags=["then-and-now"]
print(torch.full((2, 2), 1.0).dtype, torch.full((2, 2), True).dtype)
with expected_error(RuntimeError):
    torch.full((2, 2), 1) @ torch.ones(2, 2)
question.reveal(torch.full((3, 3), 1).dtype)

# %% [markdown]
# > **Then and now.** In the versions of the old course this gave `float32`. Today the value decides, and old code fails later, where such a tensor meets float weights in a matrix product (`@`).
#
# > **Myth.** The old course calls the argument `full_value`. It is `fill_value`.

# %% covers=["w1-err-full-value", "w1-full"]
with expected_error(TypeError):
    torch.full((3, 3), full_value=1.0)
print(torch.full((3, 3), fill_value=1.0))

# %% [markdown]
# Sequences: `arange` takes a step and leaves the end out, `linspace` takes a number of points and keeps the end, `logspace` does the same for exponents.

# %% covers=["w1-arange", "w1-linspace", "w1-logspace"]
print(torch.arange(2, 10, 2))
print(torch.linspace(2, 10, 6))
print(torch.logspace(0, 2, 3), torch.logspace(0, 3, 4, base=2))

# %% [markdown]
# Six points have five gaps, so the step of `linspace` is $\dfrac{\text{end}-\text{start}}{\text{steps}-1}$, not divided by `steps`. By hand:

# %% covers=["w1-linspace"] tags=["proof"]
start, end, steps = 2.0, 10.0, 6
by_hand = torch.tensor([start + i * (end - start) / (steps - 1) for i in range(steps)])
assert torch.allclose(by_hand, torch.linspace(start, end, steps))
rounded(by_hand, 1)

# %% [markdown]
# > **Then and now.** `steps` was 100 when you left it out. Now it is required, for `logspace` too.

# %% covers=["w1-linspace", "w1-logspace"] tags=["then-and-now"]
with expected_error(TypeError):
    torch.linspace(2, 10)
with expected_error(TypeError):
    torch.logspace(0, 2)

# %% [markdown]
# Two arguments that nearly every one of these functions has: `out=` writes into a tensor that exists, whose dtype wins; `layout=` chooses between the usual strided storage (内存布局) and a sparse one, which keeps only the places that are not zero.

# %% covers=["w1-zeros-out", "w1-layout"]
existing = torch.ones(3, 3, dtype=torch.int64)
returned = torch.zeros((3, 3), out=existing)
print("the same object:", returned is existing, "| its dtype stays", returned.dtype)
print(
    torch.zeros(2, 2).layout is torch.strided, torch.zeros(2, 2, layout=torch.sparse_coo).layout
)

# %% [markdown] covers=["w1-create-random"]
# ### Making tensors (3): from chance (依概率分布创建)
#
# Weights start at random, data are shuffled at random, and still an experiment must be repeatable. The **seed** (随机种子) starts the sequence of random numbers at a known place.

# %% covers=["w1-manual-seed", "w1-rand"]
torch.manual_seed(seed)
first = torch.rand(3)
torch.manual_seed(seed)
second = torch.rand(3)
print("equal after the same seed:", torch.equal(first, second))
print("and the next draw is equal:", torch.equal(second, torch.rand(3)))

# %% [markdown]
# The five generators in one look. `rand` is uniform on [0, 1) and `randint` on whole numbers without the upper end: both intervals are half-open, as in Python's `range`. For `bernoulli` the input holds the probabilities of drawing a 1: with probability 0 the draw is always 0, with probability 1 always 1.

# %% covers=["w1-randn", "w1-rand", "w1-randint", "w1-randperm", "w1-bernoulli", "w1-create-random"]
torch.manual_seed(seed)
normal, uniform = torch.randn(10_000), torch.rand(10_000)
dice = torch.randint(0, 9, (3, 3))
order = torch.randperm(8)
print("randn: mean near 0:", abs(normal.mean().item()) < 0.05, end=", ")
print("std near 1:", abs(normal.std().item() - 1) < 0.05)
print("rand: all in [0, 1):", bool(((uniform >= 0) & (uniform < 1)).all()))
print("randint:", dice.dtype, "| holds a 9:", bool((dice == 9).any()))
print("randperm is every index once:", sorted(order.tolist()) == list(range(8)))
print("bernoulli:", torch.bernoulli(torch.tensor([0.0, 1.0, 1.0])))

# %% [markdown]
# A histogram says more than the mean: one shape is flat with hard edges, the other a bell. (The small print rounds to three digits: the largest number of `torch.rand` is a little below 1.)

# %%
torch.manual_seed(seed)
curves.histograms(
    {"torch.rand": torch.rand(10_000), "torch.randn": torch.randn(10_000)},
    bins=80,
    title="Uniform and normal draws, 10,000 each",
)

# %% [markdown]
# Probabilities must be probabilities, and the `_like` forms keep the dtype, which fails where no such random number exists.

# %% covers=["w1-bernoulli", "w1-randn-like", "w1-rand-like", "w1-randint-like"]
with expected_error(RuntimeError):
    torch.bernoulli(torch.tensor([1.5]))
with expected_error(NotImplementedError):
    torch.randn_like(torch.ones(2, dtype=torch.int64))
model = torch.zeros(2, 3)
print(
    tuple(torch.randn_like(model).shape),
    tuple(torch.rand_like(model).shape),
    torch.randint_like(model, 0, 9).dtype,
)

# %% [markdown]
# `torch.normal` (正态分布) is the only one with four modes, because mean and standard deviation may each be a tensor or a number. With at least one tensor its shape is the result's; with two numbers you must say the size. The last two calls show what it refuses: no size, and a tensor of whole numbers.

# %% covers=["w1-normal"]
torch.manual_seed(seed)
means, stds = torch.arange(1.0, 5.0), torch.full((4,), 0.1)
print("tensor, tensor:", tuple(torch.normal(means, stds).shape))
print("tensor, number:", tuple(torch.normal(means, 0.1).shape))
print("number, tensor:", tuple(torch.normal(0.0, stds).shape))
print("number, number:", tuple(torch.normal(0.0, 1.0, size=(4,)).shape))
with expected_error(TypeError):
    torch.normal(0.0, 1.0)
with expected_error(NotImplementedError):
    torch.normal(torch.arange(1, 5), 0.1)


# %% [markdown] covers=["w1-ex-normal-modes"]
# ### Exercise 1.5 Four modes of normal · 8 min · ★★
#
# Write `four_modes(means, stds)`. It gets two tensors of the same length n and returns four tensors of length n: drawn with both; with the means and standard deviation 1; with mean 0 and the standard deviations; with mean 0 and standard deviation 1.

# %% covers=["w1-ex-normal-modes"] tags=["exercise"]
def four_modes(means, stds):
    both = torch.normal(means, stds)  # the first one is there
    only_means = ...
    only_stds = ...
    neither = ...
    return both, only_means, only_stds, neither


# %% tags=["check"]
check.normal_modes(four_modes)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The order of the arguments is `torch.normal(mean, std)`. A tensor must hold floats, a plain number may be whole.
# </details>
# <details><summary>Hint 2</summary>
#
# Only the fourth call needs `size=`, and it should follow the input: `means.shape`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def four_modes(means, stds):
#     both = torch.normal(means, stds)
#     only_means = torch.normal(means, 1.0)
#     only_stds = torch.normal(0.0, stds)
#     neither = torch.normal(0.0, 1.0, size=means.shape)
#     return both, only_means, only_stds, neither
# ```
# </details>

# %% [markdown]
# ## 1.3 Operations and linear regression
#
# Operations come in four kinds: join and split, pick, change the shape, compute. Then you have all you need to make a line learn.
#
# ### Join and split
#
# `cat` (拼接) joins along a dimension that exists, `stack` makes a new one. Predict the shapes before you read them.

# %%
question = predict(
    "t has shape (2, 3). What is torch.stack([t, t], dim=2).shape?",
    ["(2, 6)", "(2, 3, 2)", "(2, 2, 3)"],
)
question

# %% covers=["w1-cat", "w1-stack"]
t = torch.ones(2, 3)
for dim in (0, 1):
    print("cat   dim", dim, tuple(torch.cat([t, t], dim=dim).shape))
for dim in (0, 2):
    print("stack dim", dim, tuple(torch.stack([t, t], dim=dim).shape))
question.reveal(tuple(torch.stack([t, t], dim=2).shape))

# %% [markdown]
# `chunk` (平均切分) asks for a number of parts, `split` (切分) for their size. When the division leaves a remainder, the last part is smaller; a list of sizes must add up exactly.

# %% covers=["w1-chunk", "w1-split"]
t = torch.ones(2, 5)
print("chunk 2     :", [tuple(part.shape) for part in torch.chunk(t, 2, dim=1)])
print("chunk 3 of 7:", [tuple(part.shape) for part in torch.chunk(torch.ones(2, 7), 3, dim=1)])
print("split 2     :", [tuple(part.shape) for part in torch.split(t, 2, dim=1)])
print("split 2,1,2 :", [tuple(part.shape) for part in torch.split(t, [2, 1, 2], dim=1)])
with expected_error(RuntimeError):
    torch.split(t, [2, 1, 1], dim=1)

# %% [markdown]
# > **Myth.** "`chunk` returns a list of as many parts as you ask for." It is a tuple, and it may hold **fewer** parts: six numbers in four chunks come as three pairs. `tensor_split` keeps its promise.

# %% covers=["w1-err-chunk-count"]
six = torch.ones(6)
chunks, splits = torch.chunk(six, 4), torch.tensor_split(six, 4)
print("chunk:       ", type(chunks).__name__, "of sizes", [len(part) for part in chunks])
print("tensor_split:", type(splits).__name__, "of sizes", [len(part) for part in splits])

# %% [markdown]
# > **Myth.** "After `split` the tensor points to its last part." That was the loop variable, which had the tensor's name. With another name nothing happens to the source.

# %% covers=["w1-err-split-rebinds"]
t = torch.ones(2, 5)
for part in torch.split(t, 2, dim=1):
    last = part
print("the source:", tuple(t.shape), "the last part:", tuple(last.shape))

# %% [markdown]
# ### Pick
#
# `index_select` (按索引) takes whole rows or columns, in the order you name. `masked_select` (按掩码) takes the elements where a mask is true; nothing says that these form a rectangle, so the result is always 1-D.

# %% covers=["w1-index-select", "w1-masked-select"]
t = torch.tensor([[4, 4, 1], [5, 1, 8], [2, 1, 2]])
print(torch.index_select(t, dim=0, index=torch.tensor([0, 2])))
t = torch.tensor([[5, 3, 1], [3, 8, 6], [1, 5, 4]])
mask = t.ge(5)
print(mask)
print(torch.masked_select(t, mask))

# %% [markdown]
# The four comparisons each have a name and a sign.

# %% covers=["w1-ge", "w1-gt", "w1-le", "w1-lt"]
t = torch.tensor([1, 2, 3])
for by_name, by_sign in [
    (t.ge(2), t >= 2),
    (t.gt(2), t > 2),
    (t.le(2), t <= 2),
    (t.lt(2), t < 2),
]:
    assert torch.equal(by_name, by_sign)
    print(by_name.tolist())

# %% [markdown]
# > **Then and now.** An index had to be `int64`; today `int32` is fine too, a float never. `masked_select` took `uint8` masks; today only `bool`.

# %% covers=["w1-index-select", "w1-masked-select"] tags=["then-and-now"]
t = torch.tensor([10.0, 20.0, 30.0])
print(torch.index_select(t, 0, torch.tensor([0, 2], dtype=torch.int32)))
with expected_error(RuntimeError):
    torch.index_select(t, 0, torch.tensor([0.0, 2.0]))
with expected_error(RuntimeError):
    torch.masked_select(t, torch.tensor([1, 0, 1], dtype=torch.uint8))

# %% [markdown]
# ### Change the shape
#
# The numbers lie in memory in one long row. A shape is only a way to read them: how far to jump for the next row, how far for the next column. These jumps are the **strides** (步长). `reshape` (变换形状) gives another way of reading, and `-1` means "work it out".

# %% covers=["w1-reshape"]
torch.manual_seed(seed)
t = torch.randperm(8)
table = torch.reshape(t, (-1, 4))
t[0] = 1024
print(tuple(table.shape), "strides", table.stride(), "| table[0, 0] is", table[0, 0].item())

# %% [markdown]
# The table saw the change: it reads the same memory. But not every new shape can be read off the old row. `x.t()` turns rows into columns by swapping the two strides; no number moves. Read row by row, its numbers now lie criss-cross in memory (it is no longer *contiguous*, 连续), and to lay them in one row `reshape` must copy, without a word.

# %%
question = predict("x is 2×3. Does x.t().reshape(6) share memory with x?", ["yes", "no"])
question

# %% covers=["w1-reshape-copy"]
x = torch.arange(6).reshape(2, 3)
flat = x.t().reshape(6)
print("x.t() is contiguous:", x.t().is_contiguous(), "| its strides:", x.t().stride())
print(x.flatten().tolist(), "became", flat.tolist())
question.reveal("yes" if flat.data_ptr() == x.data_ptr() else "no")

# %% [markdown]
# `view` is the honest form: it never copies, and refuses when it would have to.

# %%
x = torch.arange(6).reshape(2, 3)
with expected_error(RuntimeError):
    x.t().view(6)

# %% [markdown]
# > **Myth.** The old course proves shared memory with `id(t.data) == id(t_reshape.data)`. `.data` makes a Python object that is gone at once, so the next one gets the same place: the ids are equal for two tensors that share nothing. The addresses of the numbers are the true test.

# %% covers=["w1-err-reshape-id"]
x, unrelated = torch.zeros(3), torch.ones(3)
print("id(x.data) == id(unrelated.data):", id(x.data) == id(unrelated.data))
print("same address:", x.data_ptr() == unrelated.data_ptr())

# %% [markdown]
# ### Explorer Strides
#
# **Which operations only change how the row is read, and which need a new row?** Go through the operations, move the element, and follow the formula: offset + row · stride + column · stride. Then find the one that torch refuses.

# %%
explore.strides()

# %% [markdown]
# `transpose` (交换维度) swaps two dimensions, `t` (转置) is its short form for matrices only.

# %% covers=["w1-transpose", "w1-t"]
print(tuple(torch.transpose(torch.rand(2, 3, 4), 1, 2).shape))
matrix = torch.arange(6).reshape(2, 3)
print("t is transpose(0, 1):", torch.equal(torch.t(matrix), torch.transpose(matrix, 0, 1)))
with expected_error(RuntimeError):
    torch.t(torch.rand(2, 3, 4))

# %% [markdown]
# `squeeze` (压缩维度) drops dimensions of size 1, `unsqueeze` (扩展维度) puts one in, `flatten` (展平) melts several into one. A dimension that is not 1 stays, silently.

# %% covers=["w1-squeeze", "w1-unsqueeze", "w1-flatten"]
t = torch.zeros(1, 2, 3, 1)
print(
    "squeeze:",
    tuple(t.squeeze().shape),
    tuple(t.squeeze(dim=0).shape),
    tuple(t.squeeze(dim=1).shape),
)
print("unsqueeze:", tuple(torch.unsqueeze(torch.ones(3), 1).shape))
t = torch.zeros(2, 3, 4)
for shape in (
    torch.flatten(t, start_dim=1),
    torch.flatten(t, start_dim=0, end_dim=1),
    torch.flatten(t),
):
    print("flatten:", tuple(shape.shape))

# %% [markdown]
# > **Then and now.** The old course lists an argument `out` for `squeeze`. There is none; but `dim` may be several at once.
#
# > **Myth.** `torch.usqueeze`, `touch.utils.data`, `create_graph=Flase`: misprints of the old pages. (`torch.torch.ones`, another one, even runs, by luck.) A name that was never run was never checked; here every name is.

# %% covers=["w1-squeeze", "w1-err-typos"] tags=["then-and-now"]
print(tuple(torch.squeeze(torch.zeros(1, 2, 1), dim=(0, 2)).shape))
with expected_error(TypeError):
    torch.squeeze(torch.zeros(1, 2), 0, out=torch.zeros(2))
print(
    "torch.usqueeze exists:",
    hasattr(torch, "usqueeze"),
    "| torch.unsqueeze exists:",
    hasattr(torch, "unsqueeze"),
)

# %% [markdown]
# ### Compute
#
# Arithmetic works element by element, also `*`: the matrix product is `@` or `torch.matmul`.

# %% covers=["w1-mul"]
a, b = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
print("mul:   ", torch.mul(a, b).tolist())
print("matmul:", torch.matmul(a, b).tolist())

# %% [markdown]
# Three functions do two steps in one: $\text{add} = \text{input} + \alpha\cdot\text{other}$, $\text{addcmul} = \text{input} + \text{value}\cdot t_1 t_2$, $\text{addcdiv} = \text{input} + \text{value}\cdot t_1 / t_2$. The optimizers of week 4 are made of them.

# %% covers=["w1-add", "w1-addcmul", "w1-addcdiv", "w1-sub"] tags=["proof"]
zero, one, two = torch.zeros(2), torch.ones(2), torch.full((2,), 2.0)
assert torch.equal(torch.add(one, two, alpha=10), one + 10 * two)
assert torch.equal(torch.sub(5 * one, one, alpha=2), 5 * one - 2 * one)
assert torch.equal(torch.addcmul(zero, one, two, value=3), zero + 3 * one * two)
assert torch.equal(torch.addcdiv(zero, one, two, value=3), zero + 3 * one / two)
print(torch.sub(5 * one, one, alpha=2)[0].item(), end=" | ")
print(
    torch.addcmul(zero, one, two, value=3)[0].item(),
    torch.addcdiv(zero, one, two, value=3)[0].item(),
)

# %% [markdown]
# > **Myth.** The old pages print `torch.add(input, alpha=1, other)` and `torch.addcmul(input, value=1, tensor1, tensor2)`: no legal Python. Write the factor as a keyword.
#
# > **Then and now.** The positional factor still works and warns. `addcdiv` refuses whole numbers.

# %% covers=["w1-err-add-signature", "w1-addcdiv"] tags=["then-and-now"]
one = torch.ones(2)
with expected_warning(UserWarning):
    torch.add(one, 10, one)
with expected_warning(UserWarning):
    torch.addcmul(one, 3, one, one)
with expected_warning(UserWarning):
    torch.addcdiv(one, 3, one, one)
with expected_error(RuntimeError):
    torch.addcdiv(torch.tensor([1]), torch.tensor([1]), torch.tensor([2]))
print(torch.add(one, one, alpha=10), torch.addcmul(one, one, one, value=3))

# %% [markdown]
# Division changed its meaning: what is 5 / 2 for whole numbers?

# %%
question = predict("torch.div(torch.tensor(5), 2) is", ["2", "2.5"])
question

# %% covers=["w1-div"] tags=["then-and-now"]
minus_five = torch.tensor(-5)
for mode in ("trunc", "floor"):
    print(f"-5 / 2, {mode}:", torch.div(minus_five, 2, rounding_mode=mode).item())
question.reveal(torch.div(torch.tensor(5), 2).item())

# %% [markdown]
# > **Then and now.** It used to cut the decimals off, as C does; today that is `rounding_mode="trunc"`. `"floor"` rounds down, which differs below zero, and `/` is true division.
#
# The remaining functions, in two cells, each with a value that you know by heart. (The old course lists `abs` among the trigonometric functions; it is plain arithmetic.)

# %% covers=["w1-log", "w1-log10", "w1-log2", "w1-exp", "w1-pow", "w1-abs", "w1-err-abs-trig"]
print(
    "log e    =",
    torch.log(torch.tensor(math.e)).item(),
    "  log10 100 =",
    torch.log10(torch.tensor(100.0)).item(),
)
print(
    "log2 8   =",
    torch.log2(torch.tensor(8.0)).item(),
    "  exp 0     =",
    torch.exp(torch.tensor(0.0)).item(),
)
print(
    "3 pow 2  =",
    torch.pow(torch.tensor(3.0), 2).item(),
    "  abs -1    =",
    torch.abs(torch.tensor(-1.0)).item(),
)

# %% covers=["w1-cos", "w1-cosh", "w1-acos", "w1-asin", "w1-atan", "w1-atan2"]
zero, one = torch.tensor(0.0), torch.tensor(1.0)
print("cos 0 =", torch.cos(zero).item(), "| cosh 0 =", torch.cosh(zero).item())
print("acos 1 =", torch.acos(one).item(), "| asin 0 =", torch.asin(zero).item())
print(
    "atan 1 =",
    rounded(torch.atan(one), 4),
    "| atan2(1, 1) =",
    rounded(torch.atan2(one, one), 4),
    "= pi / 4",
)

# %% [markdown]
# > **Then and now.** `np.exp(tensor)` and `np.log(tensor)` were used freely. NumPy 2 warns about the way they reach the tensor; use torch's own function, or `.numpy()` first.

# %% tags=["then-and-now"]
with expected_warning(DeprecationWarning):
    np.exp(torch.ones(2))
print(rounded(torch.exp(torch.ones(2))), rounded(np.exp(torch.ones(2).numpy()).tolist()))

# %% [markdown]
# ### Broadcasting
#
# Shapes need not be equal. Torch lines them up **from the right**; a dimension that is 1 or missing is stretched to fit the other, and nothing is copied. A column and a row make a table:

# %%
column = torch.tensor([[10], [20], [30]])
row = torch.tensor([1, 2, 3, 4])
print(tuple(column.shape), "+", tuple(row.shape), "=", tuple((column + row).shape))
print(column + row)

# %% [markdown]
# ### Explorer Broadcasting
#
# **When do two shapes fit?** Choose the sizes from the right. Find a pair that fails, then repair it by changing one size to 1.

# %%
explore.broadcast()


# %% [markdown]
# ### Exercise 1.6 Standardise a table · 8 min · ★★
#
# Each row of a table is a sample, each column a feature. Write `standardise(table)`: from every column subtract its mean and divide by its standard deviation (`std()` as torch computes it). No loop; week 2 does this with photographs.

# %% tags=["exercise"]
def standardise(table):
    # table: (samples, features) -> the same shape
    ...


# %% tags=["check"]
check.standardise(standardise)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `table.mean()` is one number for the whole table. `dim=0` says which dimension disappears.
# </details>
# <details><summary>Hint 2</summary>
#
# The means have shape (features,). Lined up from the right with (samples, features) they fit.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def standardise(table):
#     return (table - table.mean(dim=0)) / table.std(dim=0)
# ```
# </details>

# %% [markdown] covers=["w1-linreg-concept", "w1-linreg-steps"]
# ### Linear regression
#
# **Linear regression** (线性回归) relates a variable y to a variable x by $y = wx + b$. The unknowns w and b are learnt in three steps (求解步骤):
#
# 1. choose the model, $\hat y = wx + b$;
# 2. choose the measure of error, here half the mean squared error (均方误差) $L = \frac{1}{m}\sum \frac12 (y_i - \hat y_i)^2$;
# 3. follow the gradient downhill: $w \leftarrow w - \text{lr}\cdot\frac{\partial L}{\partial w}$ and $b \leftarrow b - \text{lr}\cdot\frac{\partial L}{\partial b}$.
#
# The data: twenty points around the line with slope 2 and height 5. (The small print under such a picture gives the mean squared error without the half.)

# %% covers=["w1-linreg-concept"]
torch.manual_seed(10)
x = torch.rand(20, 1) * 10
y = 2 * x + 5 + torch.randn(20, 1)
curves.line_fit(x, y, lines={"the truth": (2.0, 5.0)}, title="Twenty points around y = 2x + 5")

# %% [markdown]
# One step first, slowly. `backward()` (lesson 1.4 shows how) fills `w.grad` and `b.grad`. For this loss the derivatives are $\frac{\partial L}{\partial w} = \frac1m\sum(\hat y_i - y_i)\,x_i$ and $\frac{\partial L}{\partial b} = \frac1m\sum(\hat y_i - y_i)$: computed by hand they must be the same.

# %% covers=["w1-linreg-steps"] tags=["proof"]
torch.manual_seed(10)
x = torch.rand(20, 1) * 10
y = 2 * x + 5 + torch.randn(20, 1)
w, b = torch.randn(1, requires_grad=True), torch.zeros(1, requires_grad=True)
loss = (0.5 * (y - (w * x + b)) ** 2).mean()
loss.backward()
error = (w * x + b - y).detach()
assert torch.allclose(w.grad, (error * x).mean()) and torch.allclose(b.grad, error.mean())
print("dL/dw", rounded(w.grad), " dL/db", rounded(b.grad))

# %% [markdown]
# Both are negative: a larger w and a larger b make the error smaller. That is why the rule subtracts.
#
# > **Myth.** On the old pages the rule lost its sign, once as "w = LR w.grad". It is $w \leftarrow w - \text{lr}\cdot\frac{\partial L}{\partial w}$, and the same for b. In code: `w -= lr * w.grad`, in place, because `w = w - …` would make a new tensor that nobody tracks.
#
# Now the whole loop. The update must not be recorded, hence `no_grad`; and the gradients must be emptied, because `backward()` adds to them. The loop stops when the loss is below 1.

# %% covers=["w1-linreg-train", "w1-linreg-steps", "w1-err-update-rule"]
torch.manual_seed(10)
x = torch.rand(20, 1) * 10
y = 2 * x + 5 + torch.randn(20, 1)
w, b, lr = torch.randn(1, requires_grad=True), torch.zeros(1, requires_grad=True), 0.05
for iteration in range(1000):
    loss = (0.5 * (y - (w * x + b)) ** 2).mean()
    if iteration % 20 == 0:
        print(f"iteration {iteration:3} loss {loss.item():.3f} w {w.item():.2f} b {b.item():.2f}")
        if loss.item() < 1:
            break
    loss.backward()
    with torch.no_grad():
        w -= lr * w.grad
        b -= lr * b.grad
    w.grad.zero_()
    b.grad.zero_()

# %% [markdown]
# After 80 iterations the loss is below 1, but the line is not there yet: w falls slowly while b rises slowly. The loss is a long valley, steep across and nearly flat along, and the two creep along its floor together. More iterations bring them to the least-squares line:

# %%
x_line, y_line = x.detach(), y.detach()
best = torch.linalg.lstsq(
    torch.cat([x_line, torch.ones_like(x_line)], dim=1), y_line
).solution.flatten()
curves.line_fit(
    x_line,
    y_line,
    lines={
        "after 80 iterations": (w.item(), b.item()),
        "least squares": (best[0].item(), best[1].item()),
    },
    title="The loop is on its way to the least-squares line",
)

# %% [markdown]
# > **Then and now.** Old plotting code collected the tensors themselves. A tensor that is being recorded refuses to become an array; keep the number instead: `loss.item()`.

# %% tags=["then-and-now"]
tracked_loss = torch.tensor(1.5, requires_grad=True)
with expected_error(RuntimeError):
    tracked_loss.numpy()
print([tracked_loss.item()])


# %% [markdown]
# ### The learning rate
#
# The **learning rate** (学习率) scales the step: step = lr · slope, so the steps get shorter by themselves where the loss gets flat. The same loop, the same data, three rates:

# %% covers=["w1-learning-rate-first"]
def losses_with(lr, iterations=40):
    torch.manual_seed(10)
    x = torch.rand(20, 1) * 10
    y = 2 * x + 5 + torch.randn(20, 1)
    w, b = torch.randn(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    losses = []
    for _ in range(iterations):
        loss = (0.5 * (y - (w * x + b)) ** 2).mean()
        losses.append(loss.item())
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad, b.grad = None, None
    return losses


runs = {f"lr {lr}": losses_with(lr) for lr in (0.001, 0.05, 0.06)}
curves.loss_curves(runs, log=True, title="Too short a step, a good one, and one too long")

# %%
question = predict(
    "With lr 0.05 the loop learns. And with lr 0.1, after 1000 iterations: the loss is",
    ["small", "nan"],
)
question

# %% covers=["w1-learning-rate-first"]
final = losses_with(0.1, iterations=1000)[-1]
print("lr 0.05 ends at", rounded(losses_with(0.05, iterations=1000)[-1]))
question.reveal("nan" if math.isnan(final) else "small")

# %% [markdown]
# Why is 0.05 fine and 0.1 fatal? In a steep valley a long step lands on the other side, higher than before. The more the walls bend (the curvature $\lambda$), the shorter the step must be: it multiplies the distance to the bottom by $1 - \text{lr}\cdot\lambda$, which shrinks only while $\text{lr} < 2/\lambda$. This loss is a bowl over the plane of w and b; its two curvatures are the eigenvalues of the 2×2 matrix of its second derivatives:

# %% tags=["proof"]
torch.manual_seed(10)
x = torch.rand(20, 1) * 10
columns = torch.cat([x, torch.ones_like(x)], dim=1)
curvature = torch.linalg.eigvalsh(columns.T @ columns / len(x))
limit = 2 / curvature.max().item()
assert losses_with(0.98 * limit, 2000)[-1] < 1 and not losses_with(1.02 * limit, 2000)[-1] < 1
print("curvatures", rounded(curvature, 2), " steps up to", rounded(limit, 4), "converge")

# %% [markdown]
# So 0.05 learns, 0.06 already explodes, and two per cent on either side of the limit decide. The other, tiny curvature is the flat floor of the valley along which b creeps.

# %% [markdown]
# ### Explorer A line and its learning rate
#
# **How long may a step be?** Start small and watch the line crawl; increase the rate until it hurries; go on until the loss explodes. Which rate is the largest that still learns?

# %%
explore.linear_regression()


# %% [markdown] covers=["w1-ex-linreg"]
# ### Exercise 1.7 Another line, a stricter stop · 10 min · ★★
#
# Write `fit(x, y, lr, enough)`: the loop from above, starting at w = 0 and b = 0, which stops **as soon as the loss is below `enough`** (checked before the update, in every iteration, at most 5,000 of them). Return `w`, `b` and the number of updates that were made. The check uses data with slope 3 and a threshold near 0.5.

# %% covers=["w1-ex-linreg"] tags=["exercise"]
def fit(x, y, lr, enough):
    w, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    for updates in range(5000):
        loss = (0.5 * (y - (w * x + b)) ** 2).mean()
        ...  # stop here? then: backward, update, empty the gradients
    return ...


# %% tags=["check"]
check.linear_fit(fit)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `updates` counts from 0, so at the moment you stop it is the number of updates already made: return it as it is.
# </details>
# <details><summary>Hint 2</summary>
#
# The order: stop if `loss.item() < enough`, then `backward()`, then the update under `no_grad()`, then `grad.zero_()` for both.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def fit(x, y, lr, enough):
#     w, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
#     for updates in range(5000):
#         loss = (0.5 * (y - (w * x + b)) ** 2).mean()
#         if loss.item() < enough:
#             break
#         loss.backward()
#         with torch.no_grad():
#             w -= lr * w.grad
#             b -= lr * b.grad
#         w.grad.zero_()
#         b.grad.zero_()
#     return w.item(), b.item(), updates
#
#
# torch.manual_seed(10)
# x = torch.rand(20, 1) * 10
# y = 3 * x + 5 + torch.randn(20, 1)
# print(fit(x, y, lr=0.05, enough=0.5))
# ```
# </details>

# %% [markdown] covers=["w1-err-linreg-no-zero"]
# ### Find the bug 1.1 The loop of the old course · 6 min · ★
#
# This is the loop as the old course printed it, with lr 0.1. It was stopped at the first loss below 1, and everybody was content. But the loss swings up and down, where it ends depends on when you stop, and you just saw that lr 0.1 must diverge. Something is missing. Repair `train`. (Repaired, it will explode honestly: then choose a rate that you know to learn.)

# %% covers=["w1-err-linreg-no-zero"] tags=["exercise", "find-the-bug"]
def train(x, y, lr=0.1, iterations=101):
    w, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    losses = []
    for _ in range(iterations):
        loss = (0.5 * (y - (w * x + b)) ** 2).mean()
        losses.append(loss.item())
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
    return w.item(), b.item(), losses


torch.manual_seed(10)
x = torch.rand(20, 1) * 10
w, b, losses = train(x, 2 * x + 5 + torch.randn(20, 1))
curves.loss_curves(
    {"the loop of the old course, lr 0.1": losses},
    log=True,
    title=f"It ends at w = {w:.2f}, b = {b:.2f}",
)

# %% tags=["check"]
check.bug_1_1(train)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Print `w.grad` in the loop just after `backward()`. Is it the slope here, or the sum of all slopes so far?
# </details>
# <details><summary>Hint 2</summary>
#
# Once repaired, lr 0.1 diverges honestly. Try lr 0.05.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def train(x, y, lr=0.05, iterations=101):
#     w, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
#     losses = []
#     for _ in range(iterations):
#         loss = (0.5 * (y - (w * x + b)) ** 2).mean()
#         losses.append(loss.item())
#         loss.backward()
#         with torch.no_grad():
#             w -= lr * w.grad
#             b -= lr * b.grad
#         w.grad.zero_()
#         b.grad.zero_()
#     return w.item(), b.item(), losses
#
#
# torch.manual_seed(10)
# x = torch.rand(20, 1) * 10
# w, b, losses = train(x, 2 * x + 5 + torch.randn(20, 1))
# curves.loss_curves({"repaired, lr 0.05": losses}, log=True, title=f"It ends at w = {w:.2f}, b = {b:.2f}")
# ```
# </details>

# %% [markdown]
# The same in numbers. Accumulated, the loop swings past the valley floor again and again, and stops at the first of its looks, one every 20 iterations, that happens to find the loss below 1. Emptied, 0.1 explodes, as the limit says, and 0.05 falls steadily, though slowly.

# %% covers=["w1-err-linreg-no-zero"]
def fitted(lr, empty_gradients, iterations=1000):
    torch.manual_seed(10)
    x = torch.rand(20, 1) * 10
    y = 2 * x + 5 + torch.randn(20, 1)
    w, b = torch.randn(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    for iteration in range(iterations):
        loss = (0.5 * (y - (w * x + b)) ** 2).mean()
        if iteration % 20 == 0 and loss.item() < 1:
            break
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        if empty_gradients:
            w.grad, b.grad = None, None
    return (
        f"stops at {iteration:3}, loss {loss.item():5.3f}, w {w.item():4.2f}, b {b.item():4.2f}"
    )


print("truth                             w 2.00, b 5.00")
print("lr 0.1  accumulated:", fitted(0.1, empty_gradients=False))
print("lr 0.1  emptied:    ", fitted(0.1, empty_gradients=True))
print("lr 0.05 emptied:    ", fitted(0.05, empty_gradients=True))


# %% [markdown]
# ### Find the bug 1.2 Everybody gets the average · 8 min · ★★
#
# The data lie on a line without any noise, the loop is the right one, the gradients are emptied. Yet the loss stops falling far above zero, and the "line" that comes out is flat: every x gets the average y. No error, no warning. Repair `train`.

# %% tags=["exercise", "find-the-bug"]
def train_line(x, y, lr=0.1, iterations=200):
    # x: (N, 1), y: (N,)
    w, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    losses = []
    for _ in range(iterations):
        loss = ((w * x + b - y) ** 2).mean()
        losses.append(loss.item())
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad.zero_()
        b.grad.zero_()
    return w.item(), b.item(), losses


x = torch.linspace(-1, 1, 30).unsqueeze(1)
w, b, losses = train_line(x, 2 * x.squeeze() + 5)
curves.loss_curves(
    {"noise-free data": losses}, title=f"y = 2x + 5 is learnt as y = {w:.2f}x + {b:.2f}"
)

# %% tags=["check"]
check.bug_1_2(train_line)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Print the shape of `w * x + b - y`. How many differences are there, for 30 samples?
# </details>
# <details><summary>Hint 2</summary>
#
# (30, 1) and (30,) line up from the right to (30, 30): every prediction is compared with every label.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def train_line(x, y, lr=0.1, iterations=200):
#     # x: (N, 1), y: (N,)
#     w, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
#     losses = []
#     for _ in range(iterations):
#         loss = ((w * x + b - y.unsqueeze(1)) ** 2).mean()
#         losses.append(loss.item())
#         loss.backward()
#         with torch.no_grad():
#             w -= lr * w.grad
#             b -= lr * b.grad
#         w.grad.zero_()
#         b.grad.zero_()
#     return w.item(), b.item(), losses
#
#
# x = torch.linspace(-1, 1, 30).unsqueeze(1)
# w, b, losses = train_line(x, 2 * x.squeeze() + 5)
# curves.loss_curves({"noise-free data": losses}, title=f"y = 2x + 5 is learnt as y = {w:.2f}x + {b:.2f}")
# ```
# </details>

# %% [markdown] covers=["w1-graph-concept", "w1-ex-graph-concepts"]
# ## 1.4 Computation graphs
#
# How did torch know the slope? While your program runs, torch writes down every operation on tracked tensors: a **computation graph** (计算图), directed and without cycles. Its two elements are **nodes** (结点), which hold data, and **edges** (边), which are operations. Take $y = (x + w)\,(w + 1)$ with the steps $a = x + w$, $b = w + 1$, $y = a\,b$, at $x = 2$ and $w = 1$.
#
# Look at the picture: how many ways lead from w to y?

# %% covers=["w1-graph-concept"]
explore.graph_figure(x=2.0, w=1.0)

# %% [markdown]
# Two: through a and through b. A small change of w reaches y along both, so both count: that is the **chain rule** (链式法则) on a graph. Multiply along a path, add over the paths:
#
# $$\frac{dy}{dw} = \frac{\partial y}{\partial a}\frac{\partial a}{\partial w} + \frac{\partial y}{\partial b}\frac{\partial b}{\partial w} = b\cdot 1 + a\cdot 1 = (w + 1) + (x + w) = 2w + x + 1$$

# %%
question = predict("x = 2, w = 1: what is dy/dw, by this formula?")
question

# %% covers=["w1-graph-backward", "w1-graph-chain-rule"] tags=["proof"]
w = torch.tensor([1.0], requires_grad=True)
x = torch.tensor([2.0], requires_grad=True)
a = torch.add(x, w)
b = torch.add(w, 1)
y = torch.mul(a, b)
y.backward()
assert w.grad.item() == (b + a).item() == (2 * w + x + 1).item() == 5
assert x.grad.item() == b.item() == 2
question.reveal(f"dy/dw = {w.grad.item()}, and dy/dx = {x.grad.item()}")

# %% [markdown]
# ### Explorer Gradients flowing
#
# **How does a change of w reach y?** Choose *forward only* first and watch the values. Then choose *after backward*. Find a w at which dy/dw is zero: what do the two paths contribute there?

# %%
explore.graph()

# %% [markdown]
# ### Leaves, and what is forgotten
#
# You made w and x: they are **leaves** (叶子结点). a, b and y came out of operations. After `backward()` torch keeps the gradients of the leaves and throws the others away, to save memory.

# %%
question = predict("After y.backward(): what is a.grad (a = x + w)?", ["2.0", "None"])
question

# %% covers=["w1-leaf", "w1-nonleaf-grad-freed"] tags=["then-and-now"]
w, x = torch.tensor([1.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)
a = torch.add(x, w)
b = torch.add(w, 1)
y = torch.mul(a, b)
y.backward()
print("leaves w, x, a, b, y:", [tensor.is_leaf for tensor in (w, x, a, b, y)])
with expected_warning(UserWarning):
    kept = [tensor.grad for tensor in (a, b, y)]
print("gradients of a, b, y:", kept)
question.reveal(kept[0])

# %% [markdown]
# > **Then and now.** Reading such a gradient gave a silent `None`; today a warning says what to do: ask for it **before** `backward()` with `retain_grad()` (保存梯度).

# %% covers=["w1-retain-grad", "w1-nonleaf-grad-freed"]
w, x = torch.tensor([1.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)
a = torch.add(x, w)
a.retain_grad()
y = torch.mul(a, torch.add(w, 1))
y.backward()
print("a.grad:", a.grad)

# %% [markdown]
# `grad_fn` records how a tensor was made; here it is walked back. Torch draws the graph the other way round than we did: **its nodes are the operations**, and an edge says whose result goes where. A leaf appears as `AccumulateGrad`, the place where its gradient is added up.

# %% covers=["w1-grad-fn-names", "w1-graph-node-edge"]
w, x = torch.tensor([1.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)
a, b = torch.add(x, w), torch.add(w, 1)
y = torch.mul(a, b)
print(
    "w, x:",
    w.grad_fn,
    x.grad_fn,
    "| a, b:",
    a.grad_fn.name(),
    b.grad_fn.name(),
    "| y:",
    y.grad_fn.name(),
)
for node, _ in y.grad_fn.next_functions:  # pairs: a function, and which of its results
    inner = [entry[0].name() for entry in node.next_functions if entry[0] is not None]
    print(y.grad_fn.name(), "->", node.name(), "->", inner)
print("each of them is a Node:", isinstance(y.grad_fn, torch.autograd.graph.Node))


# %% [markdown]
# ### Exercise 1.8 Count nodes and edges · 12 min · ★★★
#
# What are the two elements of a computation graph? Nodes and edges; now count them. Write `graph_size(y)`, which walks torch's own graph from `y.grad_fn` along `next_functions` and returns `(nodes, edges)`. A node that is reached on two paths is one node; an entry whose function is `None` (a constant) is no edge.

# %% covers=["w1-ex-graph-concepts"] tags=["exercise"]
def graph_size(y):
    nodes, edges = set(), 0
    waiting = [y.grad_fn]
    ...  # take a node off the list; new? then remember it, count its edges and put its neighbours on the list
    return ...


# %% tags=["check"]
check.graph_size(graph_size)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `while waiting: node = waiting.pop()`, and `continue` when the node is already in `nodes`.
# </details>
# <details><summary>Hint 2</summary>
#
# For $y = (x+w)(w+1)$ there are 5 nodes (Mul, Add, Add, and one AccumulateGrad for w and one for x) and 5 edges.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def graph_size(y):
#     nodes, edges = set(), 0
#     waiting = [y.grad_fn]
#     while waiting:
#         node = waiting.pop()
#         if node in nodes:
#             continue
#         nodes.add(node)
#         for neighbour, _ in node.next_functions:
#             if neighbour is not None:
#                 edges += 1
#                 waiting.append(neighbour)
#     return len(nodes), edges
# ```
# </details>

# %% [markdown]
# ### Exercise 1.9 The chain rule by hand · 8 min · ★★
#
# Now $y = (x + w)\,(w + 1)^2$. Draw it, find the paths from w to y, and write `dy_dw(x, w)` for plain numbers, without autograd.

# %% tags=["exercise"]
def dy_dw(x, w):
    ...


# %% tags=["check"]
check.chain_rule(dy_dw)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# With $a = x + w$ and $c = (w+1)^2$: $y = a\,c$. What is $\partial c/\partial w$?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def dy_dw(x, w):
#     a, c = x + w, (w + 1) ** 2
#     return c * 1 + a * 2 * (w + 1)
# ```
# </details>

# %% [markdown] covers=["w1-dynamic-static", "w1-ex-dynamic-static"]
# ### Dynamic and static graphs
#
# A **static graph** (静态图) is built before anything runs, a **dynamic graph** (动态图) while it runs. PyTorch's is dynamic: the next call may take another branch of an `if` and record another graph. The debugger, `print` and Python's control flow work for that reason.

# %% covers=["w1-dynamic-static"]
def bend(x):
    return x**2 if x.sum() > 0 else torch.exp(x) + 1


for value in (2.0, -2.0):
    result = bend(torch.tensor(value, requires_grad=True))
    print(f"x = {value:4}: recorded {result.grad_fn.name()}")

# %% [markdown]
# Why would anybody want a static graph? A graph that is known in advance can be optimised. In 2019 that meant TensorFlow 1; today PyTorch does both: `torch.compile` captures the graph and runs it compiled. A branch that depends on the data does not fit into one graph: asked for a single graph, it refuses. (`backend="eager"` captures without compiling, so it needs no C++ compiler.)

# %% covers=["w1-dynamic-static"]
straight = torch.compile(lambda x: x**2 + 1, backend="eager", fullgraph=True)
print("captured and run:", straight(torch.tensor(3.0)).item())
with expected_error(RuntimeError):
    torch.compile(bend, backend="eager", fullgraph=True)(torch.tensor(3.0))

# %% [markdown]
# > **Then and now.** Graphs used to be captured with `torch.jit.trace`, which follows one example and forgets the other branch: it warns, and then answers wrongly. Today it is deprecated altogether.

# %% tags=["then-and-now"]
with expected_warning(torch.jit.TracerWarning), expected_warning(FutureWarning):
    traced = torch.jit.trace(bend, torch.tensor(2.0))
at = torch.tensor(-2.0)
print("at -2 the trace gives", traced(at).item(), "and the function", rounded(bend(at)))


# %% [markdown] covers=["w1-ex-dynamic-static"]
# ### Exercise 1.10 A graph that depends on the data · 6 min · ★★
#
# What is the difference between a dynamic and a static graph? When it is built: while the program runs, or before. Use it: write `bent(x)` for a tensor with one number: $x^2$ where x > 0 and $-3x$ elsewhere, chosen with a Python `if`, so that a call with a positive x and a call with a negative one record different graphs.

# %% covers=["w1-ex-dynamic-static"] tags=["exercise"]
def bent(x):
    ...


# %% tags=["check"]
check.dynamic_graph(bent)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A tensor with one element may stand in an `if`: `if x > 0:`.
# </details>
# <details><summary>Hint 2</summary>
#
# Return an expression of `x` itself; `x.item()` is a Python number, and autograd knows nothing about it.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def bent(x):
#     if x > 0:
#         return x**2
#     return -3 * x
# ```
# </details>

# %% [markdown] covers=["w1-autograd-backward"]
# ## 1.5 Autograd and logistic regression
#
# **Autograd** (自动求导) has two doors: `torch.autograd.backward`, which adds gradients to the leaves, and `torch.autograd.grad`, which returns them. `y.backward()` is only the short form of the first.

# %% covers=["w1-autograd-backward"]
w, x = torch.tensor([1.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)
torch.autograd.backward((x + w) * (w + 1))
by_function = w.grad.clone()
w.grad = None
((x + w) * (w + 1)).backward()
print(by_function, w.grad, "equal:", torch.equal(by_function, w.grad))

# %% [markdown]
# ### A second backward
#
# `backward()` frees what it no longer needs, so a second one through the same graph fails. `retain_graph=True` (保存计算图) keeps it. And watch the number: it is not the same gradient again.

# %%
question = predict(
    "x = w = 1, y = (x + w)(w + 1): w.grad is 4 after one backward. After a second one?",
    ["4.0", "8.0"],
)
question

# %% covers=["w1-retain-graph"]
w, x = torch.tensor([1.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
y = (x + w) * (w + 1)
y.backward(retain_graph=True)
print("after the first:", w.grad.item())
y.backward()
after_second = w.grad.item()
with expected_error(RuntimeError):
    y.backward()
question.reveal(after_second)

# %% [markdown]
# ### Gradients add up (梯度不自动清零)
#
# The second gradient was **added** to the first. That is on purpose: a batch too large for the memory can be fed in pieces, and the sum is the gradient of the whole. But between two steps of training you want to start at zero, and nobody does that for you.

# %% covers=["w1-tip-accumulate"]
w, x = torch.tensor([1.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)
for round_number in range(3):
    ((x + w) * (w + 1)).backward()
    print("w.grad:", w.grad.item())
    if round_number == 1:
        w.grad.zero_()

# %% [markdown]
# 5, then 5 + 5, then 5 again because it was emptied.
#
# ### A result with several numbers
#
# `backward()` needs one number. For a vector say how much each entry counts: with `gradient=v` (多梯度权值) it differentiates $v_0y_0 + v_1y_1$. Here $y_0 = (x+w)(w+1)$ and $y_1 = (x+w)+(w+1)$ have the slopes 5 and 2, and v is (1, 2).

# %% covers=["w1-grad-tensors"] tags=["proof"]
w, x = torch.tensor([1.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)
a, b = x + w, w + 1
loss = torch.cat([a * b, a + b])
with expected_error(RuntimeError):
    loss.backward()
loss.backward(gradient=torch.tensor([1.0, 2.0]))
assert w.grad.item() == 1 * 5 + 2 * 2
print(w.grad)

# %% [markdown]
# ### Gradients of gradients
#
# `torch.autograd.grad` (求取梯度) returns gradients and touches no `.grad`. With `create_graph=True` the gradient is itself recorded, so it can be differentiated again (高阶求导): $x^2$ at 3 has slope 6 and curvature 2.

# %% covers=["w1-autograd-grad", "w1-create-graph"]
x = torch.tensor([3.0], requires_grad=True)
y = x**2
slope = torch.autograd.grad(y, x, create_graph=True)
curvature = torch.autograd.grad(slope[0], x)
print(rounded([slope[0].item(), curvature[0].item()]), "| x.grad:", x.grad)
with expected_error(RuntimeError):
    torch.autograd.grad(torch.autograd.grad(x**2, x)[0], x)

# %% [markdown]
# Without `create_graph` the slope is a bare number, and there is nothing to differentiate.
#
# > **Myth.** The old course gives `torch.autograd.grad` an argument `grad_tensors`. Three functions, three names for the same weights:

# %% covers=["w1-err-autograd-grad-kw"] tags=["then-and-now"]
w = torch.tensor([1.0, 2.0], requires_grad=True)
v = torch.tensor([10.0, 1.0])
(w**2).backward(gradient=v)
torch.autograd.backward(w**2, grad_tensors=v)
print(
    "twice into w.grad:", w.grad, "| returned:", torch.autograd.grad(w**2, w, grad_outputs=v)[0]
)
with expected_error(TypeError):
    torch.autograd.grad(w**2, w, grad_tensors=v)

# %% [markdown]
# ### Two more rules
#
# What is computed from a tracked leaf is tracked, although nobody said so.

# %% covers=["w1-tip-requires-grad"]
w, x = torch.tensor([1.0], requires_grad=True), torch.tensor([2.0])
a = x + w
b = w + 1
print("a, b, y:", a.requires_grad, b.requires_grad, (a * b).requires_grad)

# %% [markdown]
# An **in-place** (原位) operation, such as `a += 1` or any name with a trailing `_`, writes into the tensor that is there; `a = a + 1` makes a new one.

# %% covers=["w1-inplace-id"]
a = torch.ones(1)
before = id(a)
a += 1
kept = id(a) == before
old, a = a, a + 1
print("a += 1 keeps the object:", kept, "| a = a + 1 keeps it:", a is old)

# %% [markdown]
# > **Myth.** "Leaf tensors cannot be changed in place." Too broad: only leaves that **require grad**, and only **while autograd records**. Inside `no_grad` every optimizer does just that. The three cases:

# %% covers=["w1-tip-leaf-inplace", "w1-err-leaf-inplace-scope"]
print("plain leaf:", torch.ones(1).add_(1))
w = torch.ones(1, requires_grad=True)
with expected_error(RuntimeError):
    w.add_(1)
with torch.no_grad():
    w.add_(1)
print("tracked leaf under no_grad:", w)

# %% [markdown]
# ### `.data`, the back door
#
# `.data` gives the values without autograd noticing. The old course read and wrote through it. Here is why we don't: `y = w·w` was recorded at w = 1, where the slope is 2. Then somebody changes `w` through the back door.

# %% covers=["w1-attr-data"]
question = predict(
    "w = 1, y = w*w, then w.data.add_(1), then y.backward(). What is w.grad?",
    ["2.0", "4.0", "an error"],
)
question

# %% covers=["w1-attr-data"]
w = torch.tensor(1.0, requires_grad=True)
y = w * w
w.data.add_(1)
y.backward()
question.reveal(w.grad.item())

# %% [markdown]
# Neither an error nor the slope of what was computed. Autograd had kept w itself for the slope 2w, not a copy; `.data` changed it unnoticed, and 2w became 4. The same write inside `torch.no_grad()` is counted, and the mistake becomes loud. So: read with `.detach()`, write under `torch.no_grad()`, leave `.data` alone.

# %% covers=["w1-attr-data"]
w = torch.tensor(1.0, requires_grad=True)
y = w * w
with torch.no_grad():
    w.add_(1)
with expected_error(RuntimeError):
    y.backward()


# %% [markdown]
# ### Exercise 1.11 Newton's step · 12 min · ★★★
#
# Newton looks for a minimum with slope and curvature: $x_{\text{new}} = x - \dfrac{f'(x)}{f''(x)}$. On a parabola one step lands exactly in the minimum. Write `newton_step(f, x)`: `f` is a function of one tensor, `x` a Python number; return the new x as a Python number.

# %% tags=["exercise"]
def newton_step(f, x):
    point = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    ...


# %% tags=["check"]
check.newton_step(newton_step)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `torch.autograd.grad` returns a tuple; take `[0]`.
# </details>
# <details><summary>Hint 2</summary>
#
# The first call needs `create_graph=True`, or the second one has nothing to differentiate.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def newton_step(f, x):
#     point = torch.tensor(x, dtype=torch.float64, requires_grad=True)
#     slope = torch.autograd.grad(f(point), point, create_graph=True)[0]
#     curvature = torch.autograd.grad(slope, point)[0]
#     return (point - slope / curvature).item()
# ```
# </details>

# %% [markdown] covers=["w1-sigmoid-formula", "w1-logreg-concept", "w1-linear-vs-logistic"]
# ### From a number to a probability
#
# **Logistic regression** (逻辑回归) is the linear binary classifier: compute $z = wx + b$ as before, then press it between 0 and 1 with the **sigmoid** (Sigmoid函数) $\sigma(z) = \dfrac{1}{1 + e^{-z}}$, and read it as the probability of class 1.
#
# | | linear regression | logistic regression |
# |---|---|---|
# | computes | $wx + b$ | $\sigma(wx + b)$ |
# | predicts | a number | a probability, and with the threshold 0.5 a class |

# %% covers=["w1-sigmoid-formula"]
curves.function_plot(
    {"sigmoid": torch.sigmoid},
    x_range=(-6, 6),
    title="The sigmoid: 0.5 at zero, flat on both sides",
)

# %% covers=["w1-sigmoid-formula", "w1-linear-vs-logistic"] tags=["proof"]
z = torch.linspace(-6, 6, 101, requires_grad=True)
p = torch.sigmoid(z)
assert torch.allclose(p, 1 / (1 + torch.exp(-z)))
slope = torch.autograd.grad(p.sum(), z)[0]
assert torch.allclose(slope, p * (1 - p), atol=1e-6)
print(
    "sigmoid(0) =",
    torch.sigmoid(torch.tensor(0.0)).item(),
    "| steepest slope",
    rounded(slope.max()),
)

# %% [markdown]
# The slope of the sigmoid is $p\,(1-p)$: at most a quarter, and almost nothing where it is sure. Remember that for week 3.
#
# Why can it separate two classes? Class 1 is chosen when $\sigma(z) \ge 0.5$, and that is so exactly when $z \ge 0$: the border is the straight line $wx + b = 0$.

# %% covers=["w1-logreg-concept"] tags=["proof"]
torch.manual_seed(seed)
points, w, b = torch.randn(1000, 2), torch.randn(2), torch.randn(1)
z = points @ w + b
assert torch.equal(torch.sigmoid(z) >= 0.5, z >= 0)
print("the same decision for all", len(points), "points")

# %% [markdown]
# The odds are $p/(1-p)$: 3 to 1 for p = 0.75. Solved for $z$, the sigmoid reads $\ln\dfrac{p}{1-p} = wx + b$: the logarithm of the odds is linear. Hence the other name, **log-odds regression** (对数几率回归). Torch calls the inverse `logit`.

# %% covers=["w1-log-odds"] tags=["proof"]
z = torch.linspace(-4, 4, 9, dtype=torch.float64)
p = torch.sigmoid(z)
assert torch.allclose(torch.logit(p), z) and torch.allclose(torch.log(p / (1 - p)), z)
rounded(torch.logit(p), 6)


# %% [markdown] covers=["w1-ex-why-logreg"]
# ### Exercise 1.12 Classify without the sigmoid · 5 min · ★
#
# Why can logistic regression do binary classification? Because the sigmoid maps $wx + b$ to (0, 1), and 0.5 cuts it at $wx + b = 0$. Show that you believe it: write `classify(w, b, x)` for a tensor `x` of any shape. It returns 1.0 for class 1 and 0.0 for class 0 (`float32`, the shape of `x`), and a sigmoid is not needed.

# %% covers=["w1-ex-why-logreg"] tags=["exercise"]
def classify(w, b, x):
    ...


# %% tags=["check"]
check.classify(classify)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A comparison gives a bool tensor; `.float()` makes 0.0 and 1.0 of it.
# </details>
# <details><summary>Hint 2</summary>
#
# Probability 0.5 itself counts as class 1: `>=`, not `>`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def classify(w, b, x):
#     return (w * x + b >= 0).float()
# ```
# </details>

# %% [markdown] covers=["w1-five-steps"]
# ### The five parts of every training program
#
# Data, model, loss, optimizer, loop (数据、模型、损失函数、优化器、迭代训练). Every program of this course has these five parts, in this order; each later week makes one of them better. First the **data**: two clouds of a hundred points, around (1.7, 1.7) and (−1.7, −1.7), both shifted by a bias of 1. (This bias moves the data; it is not the b of the model. And x has two numbers now, so $wx$ means $w_1x_1 + w_2x_2$.)

# %% covers=["w1-five-steps", "w1-err-label-shape"]
def two_clouds(mean_value=1.7, bias=1.0):
    torch.manual_seed(10)
    ones = torch.ones(100, 2)
    points = torch.cat(
        [torch.normal(mean_value * ones, 1) + bias, torch.normal(-mean_value * ones, 1) + bias]
    )
    labels = torch.cat([torch.zeros(100), torch.ones(100)])
    return points, labels


points, labels = two_clouds()
print("points", tuple(points.shape), "labels", tuple(labels.shape))
curves.boundary(points, labels, title="Two classes of a hundred points")

# %% [markdown]
# > **Myth.** The old comments give the labels the shape (100, 1). `torch.zeros(100)` has the shape (100,), and that matters: the model's output, (200, 1), has one dimension more. The loss refuses to compare them, hence the `squeeze` below.

# %% covers=["w1-err-label-shape"] tags=["then-and-now"]
print(tuple(torch.zeros(100).shape))
with expected_error(ValueError):
    nn.BCELoss()(torch.full((200, 1), 0.5), torch.zeros(200))


# %% [markdown]
# The **model** is a module: layers are made in `__init__` and connected in `forward` (week 3 is about nothing else). The **loss** is the binary cross-entropy (二元交叉熵), $-\frac1m\sum\big[y\ln p + (1-y)\ln(1-p)\big]$. By hand:

# %% covers=["w1-logreg-train"] tags=["proof"]
class LogisticRegression(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Linear(2, 1)

    def forward(self, x):
        return torch.sigmoid(self.features(x))


points, labels = two_clouds()
p = LogisticRegression()(points).squeeze()
by_hand = -(labels * torch.log(p) + (1 - labels) * torch.log(1 - p)).mean()
assert torch.allclose(by_hand, nn.BCELoss()(p, labels))
print("loss before training:", rounded(by_hand))

# %% [markdown]
# The **accuracy** (准确率) needs no gradient: cut at 0.5 and count the matches.

# %% covers=["w1-accuracy"]
p, truth = torch.tensor([[0.9], [0.2], [0.5], [0.4]]), torch.tensor([1.0, 0.0, 1.0, 1.0])
mask = p.ge(0.5).float().squeeze()
accuracy = (mask == truth).float().mean()
print(mask.tolist(), "accuracy", accuracy.item())


# %% [markdown]
# Now the whole program under its five headings. The optimizer does what you did by hand: `zero_grad()` empties the gradients of the model's parameters (`net.parameters()`), `step()` is `w -= lr * w.grad` for each of them; the momentum, explained in week 4, adds speed. The order in the loop is from now on: forward, `zero_grad`, `backward`, `step`. (Lesson 1.3 emptied the gradients after the step, which comes to the same; only between `backward` and `step` it must not happen.) Every 20 iterations it measures the accuracy, and it stops above 99 %.

# %% covers=["w1-logreg-train", "w1-five-steps", "w1-accuracy", "w1-err-logreg-no-zero"]
def train_logistic(points, labels, empty_gradients=True, iterations=1001):
    net = LogisticRegression().to(device)  # 2 model (1 data: the arguments)
    loss_function = nn.BCELoss()  # 3 loss
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)  # 4 optimizer
    points, labels = points.to(device), labels.to(device)
    history = []
    for iteration in range(iterations):  # 5 loop
        p = net(points).squeeze()
        loss = loss_function(p, labels)
        if empty_gradients:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if iteration % 20 == 0:
            correct = (p.ge(0.5).float() == labels).sum().item()
            history.append((iteration, loss.item(), correct / len(labels)))
            if history[-1][2] > 0.99:
                break
    return net, history


net, history = train_logistic(*two_clouds())
print(f"iteration {history[-1][0]}: loss {history[-1][1]:.3f}, accuracy {history[-1][2]:.1%}")

# %% covers=["w1-logreg-train"]
curves.loss_curves(
    {"binary cross-entropy": [row[1] for row in history]},
    x_label="check",
    title="Measured every 20 iterations",
)

# %% covers=["w1-logreg-train"]
points, labels = two_clouds()
weights = (*net.features.weight[0].tolist(), net.features.bias.item())
curves.boundary(
    points,
    labels,
    weights={"learnt border": weights},
    title="One straight line separates the clouds",
)

# %% [markdown] covers=["w1-err-logreg-no-zero"]
# > **Myth.** The old loop had no `zero_grad()`. It even looks better: the accuracy passes 99 % earlier, because the summed gradients take ever longer steps. The right answer for the wrong reason, and lesson 1.3 showed how that ends.

# %% covers=["w1-err-logreg-no-zero"]
for emptied in (True, False):
    _, history = train_logistic(*two_clouds(), empty_gradients=emptied)
    print(f"zero_grad: {emptied!s:5}  passes 99 % at iteration {history[-1][0]}")

# %% [markdown]
# > **Then and now.** `zero_grad()` used to write zeros. Today it sets the gradients to `None`, which saves memory, and makes code fail that reads them too late.

# %% tags=["then-and-now"]
layer = nn.Linear(1, 1)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
layer(torch.ones(1)).backward()
optimizer.zero_grad()
print(layer.weight.grad)

# %% [markdown]
# ### Explorer Mean and bias
#
# **What makes two clouds hard to separate, and what makes the training slow?** Move the clouds together with `mean_value`, then push both away from the origin with `bias`. One of the two limits what any line can reach; the other only slows the training.

# %%
explore.logistic_regression()


# %% [markdown] covers=["w1-ex-logreg-mean"]
# ### Exercise 1.13 Vary mean_value · 6 min · ★
#
# What happens with `mean_value` 1 and 5? Write `accuracy_for(mean_value)`: make the clouds with bias 1, train, and return the last accuracy as a number from 0 to 1. The check compares it with the best that **any** classifier can reach on such clouds.

# %% covers=["w1-ex-logreg-mean"] tags=["exercise"]
def accuracy_for(mean_value):
    # two_clouds and train_logistic from above do the work
    ...


# %% tags=["check"]
check.mean_value(accuracy_for)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `net, history = train_logistic(*two_clouds(mean_value))`; a row of the history is (iteration, loss, accuracy).
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def accuracy_for(mean_value):
#     net, history = train_logistic(*two_clouds(mean_value, bias=1.0))
#     return history[-1][2]
# ```
# </details>

# %% [markdown]
# With mean 1 the clouds overlap: no line can be right about points that lie on the other side. Now the bias. It moves both clouds together, so they stay as separable as before:

# %% covers=["w1-ex-logreg-bias"]
for bias in (0, 1, 5, -5, 20):
    _, history = train_logistic(*two_clouds(1.7, bias))
    print(f"bias {bias:3}: {history[-1][2]:.1%} at iteration {history[-1][0]}")


# %% [markdown] covers=["w1-ex-logreg-bias"]
# ### Exercise 1.14 Make the bias harmless · 8 min · ★★
#
# The bias only moves the clouds, and yet with 5 or 20 the training does not get over 99 % in a thousand iterations: the border must travel a long way, in the flat valley that you know from lesson 1.3. Write `prepare(points)`, applied to the points before training, so that any bias, also a different one in each column, trains as fast as none. Move the points, do not rescale them. The cure is in the data, not in the loop: week 2 begins there.

# %% covers=["w1-ex-logreg-bias"] tags=["exercise"]
def prepare(points):
    # points: (200, 2) -> (200, 2)
    ...


# %% tags=["check"]
check.bias(prepare)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Where is the middle of the two clouds together, and where should it be?
# </details>
# <details><summary>Hint 2</summary>
#
# Each column has its own middle: `dim=0`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def prepare(points):
#     return points - points.mean(dim=0)
#
#
# points, labels = two_clouds(1.7, 20)
# _, history = train_logistic(prepare(points), labels)
# print(f"bias 20, prepared: {history[-1][2]:.1%} at iteration {history[-1][0]}")
# ```
# </details>

# %% [markdown]
# ### Find the bug 1.3 A loss that never moves · 8 min · ★★★
#
# A logistic regression by hand, with gradients emptied and shapes that fit (the squared error is a fair loss here). Somebody added a line that measures the accuracy, and since then the loss stays where it was. Repair `train`, and keep the accuracy.

# %% tags=["exercise", "find-the-bug"]
def train_cloud(points, labels, lr=0.5, iterations=100):
    w, b = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    losses, accuracies = [], []
    for _ in range(iterations):
        p = torch.sigmoid(points @ w + b)
        loss = ((p - labels) ** 2).mean()
        losses.append(loss.item())
        accuracies.append((p.data.round_() == labels).float().mean().item())
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad, b.grad = None, None
    return w.detach(), b.detach(), losses, accuracies


torch.manual_seed(10)
points = torch.cat([torch.randn(100, 2) - 1.5, torch.randn(100, 2) + 1.5])
w, b, losses, accuracies = train_cloud(points, torch.cat([torch.zeros(100), torch.ones(100)]))
curves.loss_curves(
    {"squared error": losses, "accuracy": accuracies}, title=f"The weights stay at {w.tolist()}"
)

# %% tags=["check"]
check.bug_1_3(train_cloud)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Print `p` before and after the new line. What is it after?
# </details>
# <details><summary>Hint 2</summary>
#
# `backward` of the sigmoid computes p · (1 − p) from the p it had kept. `.data.round_()` wrote 0 and 1 into that very memory, behind autograd's back.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def train_cloud(points, labels, lr=0.5, iterations=100):
#     w, b = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
#     losses, accuracies = [], []
#     for _ in range(iterations):
#         p = torch.sigmoid(points @ w + b)
#         loss = ((p - labels) ** 2).mean()
#         losses.append(loss.item())
#         accuracies.append((p.detach().round() == labels).float().mean().item())
#         loss.backward()
#         with torch.no_grad():
#             w -= lr * w.grad
#             b -= lr * b.grad
#         w.grad, b.grad = None, None
#     return w.detach(), b.detach(), losses, accuracies
#
#
# torch.manual_seed(10)
# points = torch.cat([torch.randn(100, 2) - 1.5, torch.randn(100, 2) + 1.5])
# w, b, losses, accuracies = train_cloud(points, torch.cat([torch.zeros(100), torch.ones(100)]))
# curves.loss_curves({"squared error": losses, "accuracy": accuracies}, title="It learns, and is measured")
# ```
# </details>

# %% [markdown]
# ## Recap
#
# A **tensor** is a row of numbers with a shape that says how to read it; views share the row, copies do not. While you compute with tracked tensors, torch records a **graph**. `backward()` walks it from the result to the leaves, multiplies along each path, adds over the paths, and **adds** the outcome to `.grad`. A training program has five parts: data, model, loss, optimizer, loop; the loop is forward, empty, backward, step. The learning rate decides whether it learns, crawls or explodes, and badly placed data make it crawl at any rate.
#
# | you learned | the official page |
# |---|---|
# | creating tensors, joining, picking, reshaping | [torch](https://docs.pytorch.org/docs/stable/torch.html) |
# | attributes of a tensor | [torch.Tensor](https://docs.pytorch.org/docs/stable/tensors.html) |
# | views and strides | [Tensor views](https://docs.pytorch.org/docs/stable/tensor_view.html) |
# | broadcasting | [Broadcasting semantics](https://docs.pytorch.org/docs/stable/notes/broadcasting.html) |
# | graphs, leaves, in-place rules | [Autograd mechanics](https://docs.pytorch.org/docs/stable/notes/autograd.html) |
# | `backward`, `grad`, higher derivatives | [torch.autograd](https://docs.pytorch.org/docs/stable/autograd.html) |
# | binary cross-entropy | [BCELoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html) |
#
# Your exercises, done and open:

# %%
check.summary()

# %% [markdown]
# **New words.** tensor 张量 · device 设备 · dtype 数据类型 · shape 形状 · leaf 叶子结点 · seed 随机种子 · pinned memory 锁页内存 · concatenate 拼接 · mask 掩码 · stride 步长 · transpose 转置 · flatten 展平 · linear regression 线性回归 · mean squared error 均方误差 · learning rate 学习率 · computation graph 计算图 · node 结点 · edge 边 · chain rule 链式法则 · dynamic graph 动态图 · static graph 静态图 · autograd 自动求导 · in-place 原位 · sigmoid Sigmoid函数 · logistic regression 逻辑回归 · log-odds 对数几率 · binary cross-entropy 二元交叉熵 · accuracy 准确率 · optimizer 优化器
#
# **Next week** the data come in: files, batches, and pictures that are changed on purpose.
