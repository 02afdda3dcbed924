# %% [markdown]
# # Week 5 · Schedules, dashboards, hooks, class maps
#
# **The question of the week: a network trains for minutes or weeks. How do you steer it on the way, watch it, and look inside when it is done?**
#
# After this week you can
#
# - choose a learning-rate schedule, draw it before training, and step it in the right place;
# - read a rate, a loss or a histogram of weights back from the event files that TensorBoard shows;
# - watch any layer of any network with a hook, without changing its code, and leave nothing behind;
# - ask a classifier where it looks, by CAM and by Grad-CAM, and measure the answer against a known box;
# - catch a network that is right for the wrong reason.
#
# | lesson | minutes | you build |
# |---|---|---|
# | 5.1 The learning rate over time | 105 | a scheduler of your own, and five of torch's in closed form |
# | 5.2 When the metric decides: ReduceLROnPlateau | 70 | the plateau rule in plain Python, equal to torch's |
# | 5.3 The whole shelf, per batch, warm-up, and the first rate | 115 | a range test, and a fair comparison over seeds |
# | 5.4 TensorBoard: numbers over time | 95 | curves and histograms of a real training, read back |
# | 5.5 TensorBoard: pictures, graphs and the rest | 80 | every kind of entry, and the real server |
# | 5.6 Hooks: watching without changing | 100 | a recorder that looks into a pretrained network |
# | 5.7 CAM and Grad-CAM: where does it look? | 110 | class maps, scored, and a cheat uncovered |
#
# It builds on weeks 1 to 4: gradients, data, modules, losses and optimizers. Every lesson runs after the parameters cell and the setup cell alone. *Then and now* and *Myth* look back at an older course (2019 to 2021).

# %% tags=["parameters"]
seed = 0
device = "auto"

# %% tags=["setup"]
import copy
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2
from torchvision.utils import make_grid

from course_utils import board, cam, curves, data, explore, grids, models, session, training
from course_utils.checks import week5 as check
from course_utils.errors import expected_error, expected_warning
from course_utils.predict import predict
from course_utils.text import rounded

device = session.setup(seed, device)

# after setup(), which says what to do if tensorboard is missing
from torch.utils.tensorboard import SummaryWriter

# %% [markdown]
# ## Warm-up
#
# Three questions on weeks 1 to 4. Choose before you run. The first is about gradients (week 1):

# %%
question = predict(
    "(3 * w).backward() runs twice, each time on a loss computed anew, without zero_grad. What is w.grad then?",
    ["the same", "twice as large", "an error"],
)
question

# %%
w = torch.tensor(2.0, requires_grad=True)
(3 * w).backward()
once = w.grad.item()
(3 * w).backward()
question.reveal("twice as large" if w.grad.item() == 2 * once else "the same")

# %% [markdown]
# Gradients add up until somebody clears them. A hook (lesson 5.6) can watch each of them arrive. The second is about convolutions (week 3):

# %%
question = predict(
    "A picture of 32x32 goes through Conv2d(3, 8, kernel_size=3, padding=1) and MaxPool2d(2). How large is each of the 8 maps?",
    ["32x32", "16x16", "15x15"],
)
question

# %%
maps = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2))(torch.zeros(1, 3, 32, 32))
question.reveal("x".join(str(size) for size in maps.shape[-2:]))

# %% [markdown]
# A map keeps the picture's layout, at a coarser grain: that is why a map can say **where** (lesson 5.7). The third is about optimizers (week 4):

# %%
question = predict(
    "Plain SGD, lr = 0.5, on the loss w² / 2 from w = 4. Where is w after two steps?",
    ["0", "1", "2"],
)
question

# %%
w = torch.tensor(4.0, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.5)
for _ in range(2):
    optimizer.zero_grad()
    (w**2 / 2).backward()
    optimizer.step()
question.reveal(f"{w.item():.0f}")

# %% [markdown]
# Each step halves w. Here one rate serves for the whole way. Does it also when the gradients are noisy? That is lesson 5.1.

# %% [markdown] covers=["w5-why-schedule"]
# ## 5.1 The learning rate over time
#
# Week 4 looked for **the** learning rate, one number for a whole training. Is there such a number? The smallest problem that can tell has what every training with batches has, **noise**.
#
# The loss is $w^2/2$, its gradient is $w$. A batch shows only some of the data, so its gradient is a little wrong: we add a random number of mean 0 and std 1 to it. To see more than luck, 10,000 walkers start at $w = 4$, each with a noise of its own, and we look at their mean loss.

# %%
question = predict(
    "120 noisy steps. With which rate is the loss smallest at the end?",
    ["0.5 all the time", "0.02 all the time", "0.5 at first, then smaller and smaller"],
)
question


# %% covers=["w5-why-schedule"]
def noisy_descent(rate, steps=120, walkers=10_000):
    noise = torch.Generator().manual_seed(seed)
    w = torch.full((walkers,), 4.0, dtype=torch.float64)
    losses = []
    for step in range(steps):
        losses.append((w**2 / 2).mean().item())
        gradient = w + torch.randn(walkers, dtype=torch.float64, generator=noise)
        w = w - rate(step) * gradient
    return losses


plans = {
    "0.5 all the time": lambda step: 0.5,
    "0.02 all the time": lambda step: 0.02,
    "0.5 at first, then smaller and smaller": lambda step: 0.5 * 0.2 ** (step // 30),
}
losses = {name: noisy_descent(rate) for name, rate in plans.items()}
question.reveal(min(losses, key=lambda name: losses[name][-1]))

# %% [markdown]
# The third plan multiplies the rate by 0.2 after every 30 steps. Look at where each curve bends.

# %% covers=["w5-why-schedule"]
ends = {name: values[-1] for name, values in losses.items()}
small = ends["0.5 at first, then smaller and smaller"]
assert all(end > 3 * small for end in ends.values() if end != small)
title = "Large steps first, small steps later"
curves.loss_curves(losses, "step", "mean loss", log=True, title=title)

# %% [markdown]
# The large rate falls fast and then stands still, at a height that it never leaves. The small one is still on its way. The third one takes the fast fall, and every time the rate gets smaller, the standstill moves down: **large steps first, small steps later** (为什么要调整学习率).
#
# How high is the standstill? One step makes $w' = (1-\eta)\,w - \eta\, n$ with rate $\eta$ and noise $n$. The two parts are independent, so the mean squares add:
#
# $$E[w'^2] = (1-\eta)^2\, E[w^2] + \eta^2$$
#
# The first term shrinks what is left of the start, the second adds new noise in every step. They balance where $E[w^2] = \eta / (2 - \eta)$. Does this describe all 120 steps of the three plans?

# %% covers=["w5-why-schedule"] tags=["proof"]
off = []
for name, rate in plans.items():
    square = 16.0
    for step, measured in enumerate(losses[name]):
        off.append(abs(measured / (square / 2) - 1))
        square = (1 - rate(step)) ** 2 * square + rate(step) ** 2
print(len(off), "steps agree within 10 %:", max(off) < 0.1)
assert max(off) < 0.1
for lr in (0.5, 0.1, 0.02):
    print(f"rate {lr}: the loss stands still at {lr / (2 - lr) / 2:.4f}")
assert abs(np.mean(losses["0.5 all the time"][60:]) / (0.5 / 1.5 / 2) - 1) < 0.05

# %% [markdown]
# The noise that stays is nearly proportional to the rate, and the time to get there is nearly proportional to 1 / rate. One number cannot serve both. So the rate gets a timetable, and the object that keeps it is a **scheduler** (学习率调整策略).
#
# ### What a scheduler does
#
# An optimizer reads its rate from `param_groups` at every step (week 4). Whoever writes another number there has changed the rate. By hand:

# %%
weight = nn.Parameter(torch.zeros(1))
optimizer = torch.optim.SGD([weight], lr=0.1)
for epoch in range(4):
    if epoch == 2:
        for group in optimizer.param_groups:
            group["lr"] *= 0.1
    print("epoch", epoch, "rate", rounded(optimizer.param_groups[0]["lr"], 4))
    optimizer.step()  # the batches of an epoch would stand here

# %% [markdown]
# A scheduler does just this, and keeps the counting and the rule out of your loop. `StepLR` multiplies the rate by `gamma` after every `step_size` epochs. (In all these cells there is one weight and no gradient, so `optimizer.step()` moves nothing. A scheduler never looks at the weights, only at the rates.)

# %% covers=["w5-steplr", "w5-sched-step"]
optimizer = torch.optim.SGD([weight], lr=0.1)
scheduler = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
for epoch in range(4):
    print("epoch", epoch, "rate", rounded(optimizer.param_groups[0]["lr"], 4))
    optimizer.step()
    scheduler.step()

# %% [markdown] covers=["w5-scheduler-base", "w5-sched-optimizer", "w5-sched-last-epoch", "w5-sched-base-lrs", "w5-sched-step", "w5-sched-get-lr"]
# Every scheduler inherits from one base class, `lr_scheduler.LRScheduler`. What it has:
#
# | | |
# |---|---|
# | `optimizer` | the optimizer whose rates it writes (关联的优化器) |
# | `base_lrs` | the rates at the beginning, one for each group (记录初始学习率) |
# | `last_epoch` | the epoch whose rate is in force (记录epoch数) |
# | `step()` | count one epoch on, ask `get_lr()`, write the answer into the groups |
# | `get_lr()` | the rule: the rates of epoch `last_epoch`. Only `step` calls it |
# | `get_last_lr()` | the rates in force, for you to read |
# | `state_dict()`, `load_state_dict()` | to stop and go on |
#
# (Three classes of 5.2 and 5.3, ReduceLROnPlateau, SequentialLR and ChainedScheduler, inherit without `base_lrs` and without a rule in `get_lr()`. `step`, `get_last_lr` and `state_dict` work for all.)
#
# The argument `last_epoch` is −1 by default, "nothing happened yet". What does a fresh scheduler say?

# %%
question = predict("last_epoch of a scheduler that was just built?", ["-1", "0", "1"])
question

# %% covers=["w5-sched-optimizer", "w5-sched-last-epoch", "w5-sched-base-lrs", "w5-scheduler-base"]
optimizer = torch.optim.SGD([weight], lr=0.1)
print("the group has initial_lr:", "initial_lr" in optimizer.param_groups[0], end=" -> ")
scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
print("initial_lr" in optimizer.param_groups[0])
print("an LRScheduler:", isinstance(scheduler, lr_scheduler.LRScheduler))
print("optimizer:", scheduler.optimizer is optimizer, "| base_lrs:", scheduler.base_lrs)
assert optimizer.param_groups[0]["initial_lr"] == 0.1
question.reveal(scheduler.last_epoch)

# %% [markdown]
# The constructor has taken the first step itself, from −1 to 0, so that the rate of epoch 0 is in force before you train. And it has left a note in every group, `initial_lr`, from which `base_lrs` comes. Now one step:

# %% covers=["w5-sched-optimizer", "w5-sched-step"]
before = optimizer.param_groups[0]["lr"]
optimizer.step()
scheduler.step()
after = optimizer.param_groups[0]["lr"]
print("rate in the optimizer:", before, "->", rounded(after, 4))
last = scheduler.get_last_lr()
print("last_epoch", scheduler.last_epoch, "| get_last_lr()", rounded(last, 4))
print("base_lrs", scheduler.base_lrs, "as ever")
assert last == [after]


# %% [markdown]
# ### A scheduler of your own
#
# The oldest timetable of all (Robbins and Monro, 1951) is not in torch: the rate falls like $1/t$. It takes a subclass with one rule, `get_lr`. It knows `self.last_epoch` and `self.base_lrs`, and returns **a list**, one rate for each group.

# %% covers=["w5-scheduler-base", "w5-sched-get-lr"]
class InverseTime(lr_scheduler.LRScheduler):
    def __init__(self, optimizer, half, last_epoch=-1):
        self.half = half  # after so many epochs the rate is half
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [lr / (1 + self.last_epoch / self.half) for lr in self.base_lrs]


optimizer = torch.optim.SGD([weight], lr=0.1)
scheduler = InverseTime(optimizer, half=4)
for epoch in range(13):
    lr = optimizer.param_groups[0]["lr"]
    assert abs(lr - 0.1 / (1 + epoch / 4)) < 1e-12
    if epoch % 4 == 0:
        print("epoch", epoch, "rate", rounded(lr, 4))
    optimizer.step()
    scheduler.step()


# %% [markdown]
# Half, a third, a quarter. Mind the order in `__init__`: the base class's constructor takes the first step, calls your `get_lr`, and that needs `self.half`. The other way round:

# %% covers=["w5-scheduler-base"]
class TooLate(InverseTime):
    def __init__(self, optimizer, half, last_epoch=-1):
        lr_scheduler.LRScheduler.__init__(self, optimizer, last_epoch)
        self.half = half


with expected_error(AttributeError):
    TooLate(optimizer, half=4)

# %% [markdown] covers=["w5-sched-get-lr"]
# > **Then and now.** To read the rate, old programs call `scheduler.get_lr()`. It is the rule, not the rate: for many classes it says "what I would write if somebody stepped now". `ExponentialLR` multiplies the present rate by `gamma` in every epoch, and look what it answers before anything happened:

# %% covers=["w5-sched-get-lr"] tags=["then-and-now"]
optimizer = torch.optim.SGD([weight], lr=0.1)
scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
with expected_warning(UserWarning):
    answer = scheduler.get_lr()
print("get_lr()", answer, "| get_last_lr()", scheduler.get_last_lr(), end=" | ")
print("the rate", optimizer.param_groups[0]["lr"])
assert answer == [0.05] and scheduler.get_last_lr() == [0.1]

# %% [markdown]
# Three more habits of old programs. `verbose=True` once printed each change, `print_lr` did it on demand: both are gone, compare `get_last_lr()` before and after. And `scheduler.step(epoch)`, with a number, warns.

# %% covers=["w5-steplr", "w5-sched-step"] tags=["then-and-now"]
with expected_error(TypeError):
    lr_scheduler.StepLR(optimizer, step_size=2, verbose=True)
with expected_error(AttributeError):
    scheduler.print_lr(True, 0, 0.1)
optimizer.step()
with expected_warning(UserWarning):
    scheduler.step(3)
print("the jump to epoch 3 still works:", rounded(scheduler.get_last_lr(), 4))

# %% [markdown] covers=["w5-err-scheduler-step-name", "w5-scheduler-base"]
# > **Then and now.** The base class was called `_LRScheduler`. Today that name is an empty **subclass** of `LRScheduler`, from which no scheduler inherits. An old `isinstance(…, _LRScheduler)` raises nothing and is always False.
# >
# > **Myth.** The old course writes `scheduler.lr.step(value to monitor)`, the attribute `base_lr`, and the classes `ReduceLRonPlateau` and `ReduceLROnPleateau`. None of them exists. Here are the right names, executed; the class is the subject of the next lesson.

# %% covers=["w5-err-scheduler-step-name", "w5-scheduler-base"] tags=["then-and-now"]
stairs = lr_scheduler.StepLR(torch.optim.SGD([weight], lr=0.1), step_size=1)
print("_LRScheduler:", isinstance(stairs, lr_scheduler._LRScheduler), end=" | ")
print("LRScheduler:", isinstance(stairs, lr_scheduler.LRScheduler), end=" | ")
print("base_lr:", hasattr(stairs, "base_lr"), "| base_lrs:", stairs.base_lrs)
scheduler = lr_scheduler.ReduceLROnPlateau(optimizer)
scheduler.step(0.7)  # the value to monitor
print("scheduler.lr:", hasattr(scheduler, "lr"), end=" | misspelt classes: ")
print(*(hasattr(lr_scheduler, name) for name in ("ReduceLRonPlateau", "ReduceLROnPleateau")))


# %% [markdown]
# ### Where step() belongs
#
# Once in each epoch, at its end, after all batches: so the first epoch trains with the first rate. The loop below is the one to remember. It notes which rate each epoch **used**, and it will draw all curves of this lesson. `make` is a function that builds an optimizer and its scheduler.

# %% covers=["w5-sched-step"]
def rates(make, epochs):
    """The rate that each epoch uses."""
    optimizer, scheduler = make()
    used = []
    for _ in range(epochs):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()  # here: for every batch forward, backward, optimizer.step()
        scheduler.step()
    return used


def make():
    optimizer = torch.optim.SGD([weight], lr=0.1)
    return optimizer, lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)


print(rounded(rates(make, 6), 4))

# %% [markdown] covers=["w5-sched-step"]
# > **Then and now.** Before PyTorch 1.1 the scheduler stepped **first**, and old programs still have that order. Today it costs the first value: two epochs were meant for 0.1, one gets it. torch notices, and warns.

# %% covers=["w5-sched-step"] tags=["then-and-now"]
optimizer, scheduler = make()
used = []
with expected_warning(UserWarning):
    for _ in range(6):
        scheduler.step()
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
print("meant", rounded(rates(make, 6), 4))
print("used ", rounded(used, 4))
assert used[:5] == rates(make, 6)[1:]

# %% [markdown] covers=["w5-step-per-epoch"]
# The whole timetable comes one epoch early. If the first epoch is the one with the large rate, it never happens.
#
# The other mistake is about **how often**. A scheduler counts calls of `step()` and calls them epochs. The schedulers of this lesson are stepped once an epoch (每个epoch调用). With 100 batches an epoch and a `step()` behind each of them, "after 30 epochs" comes in the first third of the first epoch:

# %% covers=["w5-step-per-epoch", "w5-steplr"]
optimizer = torch.optim.SGD([weight], lr=0.1)
scheduler = lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)
for epoch in range(2):
    for batch in range(100):
        optimizer.step()
        scheduler.step()
    print(f"after epoch {epoch}: rate {scheduler.get_last_lr()[0]:.0e}")
print("planned until epoch 29: 0.1")

# %% [markdown]
# No warning, no error: the network just stops learning. torch has schedulers that **are** meant to be stepped after each batch, `CyclicLR` and `OneCycleLR`; their arguments count batches. (They come in 5.3.) So ask of every scheduler: what does its unit mean, in this loop?
#
# ### To stop and go on
#
# A long training is stopped and continued. The scheduler's `state_dict` holds everything it has but the optimizer:

# %% covers=["w5-scheduler-base"]
optimizer, scheduler = make()
for _ in range(3):
    optimizer.step()
    scheduler.step()
stored = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
print({key: value for key, value in stored[1].items() if not key.startswith("_")})
print("the rate is in the optimizer's:", rounded(stored[0]["param_groups"][0]["lr"], 4))


# %% [markdown]
# The rate itself belongs to the optimizer, the count to the scheduler. So **both** have to be stored, and loaded into a pair that was built as before. Below, the next five epochs, once with both and twice with one of them forgotten:

# %% covers=["w5-scheduler-base"]
def continued(load_optimizer, load_scheduler):
    optimizer, scheduler = make()
    if load_optimizer:
        optimizer.load_state_dict(stored[0])
    if load_scheduler:
        scheduler.load_state_dict(stored[1])
    return rates(lambda: (optimizer, scheduler), 5)


print("without a stop   ", rounded(rates(make, 8)[3:], 6))
print("both loaded      ", rounded(continued(True, True), 6))
print("scheduler only   ", rounded(continued(False, True), 6))
print("optimizer only   ", rounded(continued(True, False), 6))
assert continued(True, True) == rates(make, 8)[3:]

# %% [markdown]
# The scheduler alone multiplies at the right epochs, but from a fresh 0.1: ten times too large for ever. The optimizer alone starts at the right rate and counts from 0.
#
# > **Then and now.** The old course gives `last_epoch=3` to the constructor instead, with a fresh optimizer. That failed then and fails today: without the note `initial_lr` the scheduler cannot know where the rate came from.

# %% covers=["w5-sched-last-epoch"] tags=["then-and-now"]
with expected_error(KeyError):
    lr_scheduler.StepLR(torch.optim.SGD([weight], lr=0.1), 2, last_epoch=3)

# %% [markdown]
# ### Look before you train
#
# A timetable is best seen. `curves.plot_lr_curves` runs the loop `rates` from above for you. It wants `make`, the function, and not a scheduler. Why? To draw a scheduler one has to step it to its end, and then it is **used up**: whoever trains with it afterwards trains with the last rates. (This mistake is in print.)

# %%
optimizer, scheduler = make()  # the pair to train with
figure = curves.plot_lr_curves(make, epochs=8, title="StepLR(step_size=2, gamma=0.1)")
print("after drawing, ours is at epoch", scheduler.last_epoch, "with", scheduler.get_last_lr())
assert list(figure.axes[0].lines[0].get_ydata()) == rates(make, 8)
with expected_error(TypeError):
    curves.plot_lr_curves(scheduler, epochs=8)
figure

# %% [markdown]
# The picture is a promise: these rates will be used. Let a real training prove it. A small network reads 640 digits, ten batches an epoch, and after each step we note the rate that the optimizer had. (`training.train_epoch` is the loop of the last weeks: it calls `after_step` after each `optimizer.step()`.)

# %%
digits = data.digits()
pixels = F.avg_pool2d(digits.images[:640].unsqueeze(1).float() / 255, 4).flatten(1)  # (640, 49)
batches = DataLoader(TensorDataset(pixels, digits.labels[:640]), batch_size=64, shuffle=True)


def make_net():
    return nn.Sequential(nn.Linear(49, 32), nn.ReLU(), nn.Linear(32, 10)).to(device)


def with_sgd(build):
    """A function from a network to (optimizer, scheduler)."""

    def make_for(net):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
        return optimizer, build(optimizer)

    return make_for


# %% [markdown]
# Three timetables, `InverseTime` among them (`ExponentialLR` is explained below):

# %% tags=["proof"]
def note():
    used.append(optimizer.param_groups[0]["lr"])


timetables = {
    "StepLR": with_sgd(lambda sgd: lr_scheduler.StepLR(sgd, step_size=2, gamma=0.1)),
    "ExponentialLR": with_sgd(lambda sgd: lr_scheduler.ExponentialLR(sgd, gamma=0.7)),
    "InverseTime": with_sgd(lambda sgd: InverseTime(sgd, half=2)),
}
for name, make_for in timetables.items():
    torch.manual_seed(seed)
    net, used = make_net(), []
    optimizer, scheduler = make_for(net)
    figure = curves.plot_lr_curves(lambda make_for=make_for: make_for(make_net()), epochs=6)
    drawn = figure.axes[0].lines[0].get_ydata()
    losses = []
    for _ in range(6):
        losses.append(training.train_epoch(net, batches, F.cross_entropy, optimizer, note))
        scheduler.step()
    assert used == [lr for lr in drawn for _ in range(10)] and losses[-1] < losses[0]
    print(f"{name:13} {len(used)} steps, all with the drawn rate; the loss fell")


# %% [markdown]
# ### A problem to practise on
#
# For the bugs of this lesson: 100 points near the line $y = 3x - 1$, with a noise of std 0.1, in ten batches. No straight line can do better than a loss of about 0.01, the noise's variance, and one weight and one bias reach it. In double precision and on the CPU, and so small that we can train again and again.

# %%
def make_line():
    line = nn.Linear(1, 1).double()
    nn.init.zeros_(line.weight)
    nn.init.zeros_(line.bias)
    return line


chance = torch.Generator().manual_seed(seed)
x = 2 * torch.rand(100, 1, dtype=torch.float64, generator=chance) - 1
y = 3 * x - 1 + 0.1 * torch.randn(100, 1, dtype=torch.float64, generator=chance)
ten_batches = list(zip(x.split(10), y.split(10), strict=True))


def plan(line):
    """Ten epochs with 0.1, ten with 0.01, ten with 0.001."""
    optimizer = torch.optim.SGD(line.parameters(), lr=0.1)
    return optimizer, lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.1)


curves.plot_lr_curves(lambda: plan(make_line()), epochs=30, title="The plan")


# %% [markdown]
# ### Find the bug 5.1 A slope that stays too small · 6 min · ★
#
# `plan` and the points are right, the curve above is what was wanted, and 30 epochs are more than enough. But the loss stops falling early, far above 0.01, and the slope is nowhere near 3. Repair `fit`. It has to work for every plan whose scheduler counts epochs, and for every number of batches.

# %% covers=["w5-step-per-epoch"] tags=["exercise", "find-the-bug"]
def fit(net, batches, make, epochs):
    optimizer, scheduler = make(net)
    losses = []
    for epoch in range(epochs):
        total = 0.0
        for x, y in batches:
            loss = F.mse_loss(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            scheduler.step()
        losses.append(total / len(batches))
    return losses


line = make_line()
found = fit(line, ten_batches, plan, epochs=30)
curves.loss_curves(
    {"mean loss of an epoch": found, "within reach": [0.01] * len(found)},
    "epoch",
    log=True,
    title=f"Loss {found[-1]:.2f} at the end, slope {line.weight.item():.1f}",
)

# %% tags=["check"]
check.bug_5_1(fit)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Print `scheduler.get_last_lr()` at the end of each epoch, and hold it against the plan.
# </details>
# <details><summary>Hint 2</summary>
#
# How often is `scheduler.step()` called in one epoch, and how often should it be?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def fit(net, batches, make, epochs):
#     optimizer, scheduler = make(net)
#     losses = []
#     for epoch in range(epochs):
#         total = 0.0
#         for x, y in batches:
#             loss = F.mse_loss(net(x), y)
#             optimizer.zero_grad()
#             loss.backward()
#             optimizer.step()
#             total += loss.item()
#         scheduler.step()
#         losses.append(total / len(batches))
#     return losses
#
#
# line = make_line()
# found = fit(line, ten_batches, plan, epochs=30)
# curves.loss_curves(
#     {"mean loss of an epoch": found, "within reach": [0.01] * len(found)},
#     "epoch",
#     log=True,
#     title=f"Loss {found[-1]:.2f} at the end, slope {line.weight.item():.1f}",
# )
# ```
# </details>

# %% [markdown] covers=["w5-steplr", "w5-err-steplr-formula"]
# Four spaces. A curve of the loss that stops falling can mean "learnt all there is", or "the rate is gone". The rate belongs on the same screen as the loss.
#
# ### StepLR
#
# Now the classes, one by one. For each the rule gets a **closed form**: the rate of any epoch, computed without the epochs before. `proven` asserts it for every epoch up to 200, to $10^{-12}$. `maker` builds the functions that `rates` wants.

# %%
def maker(kind, lr=0.1, **settings):
    def make():
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
        return optimizer, kind(optimizer, **settings)

    return make


def proven(formula, make, epochs=200):
    """The used rates, after each was compared with formula(epoch)."""
    used = rates(make, epochs)
    assert all(abs(lr - formula(epoch)) < 1e-12 for epoch, lr in enumerate(used))
    return used


# %% [markdown]
# `StepLR(optimizer, step_size, gamma=0.1)` goes down equal stairs:
#
# $$\text{lr}(e) = \text{lr}_0 \; \gamma^{\lfloor e / \text{step size} \rfloor}$$
#
# > **Myth.** "StepLR: lr = lr × gamma." That is one event, not the schedule: it says nothing about when. (The same sentence stands beside MultiStepLR.) The cell lists the epochs in which something happens.

# %% covers=["w5-steplr", "w5-err-steplr-formula"] tags=["proof"]
stairs = maker(lr_scheduler.StepLR, step_size=50, gamma=0.1)
used = proven(lambda epoch: 0.1 * 0.1 ** (epoch // 50), stairs)
print("changes at epochs", [epoch for epoch in range(1, 200) if used[epoch] != used[epoch - 1]])
print("epochs 49, 50, 100, 150:", *(f"{used[epoch]:.0e}" for epoch in (49, 50, 100, 150)))

# %% [markdown] covers=["w5-multisteplr", "w5-err-steplr-formula"]
# Choose it when you know about how long the loss needs to come to rest at a rate. The last epoch of a stair is `step_size - 1`, because epochs count from 0.
#
# ### MultiStepLR
#
# `MultiStepLR(optimizer, milestones, gamma=0.1)` goes down where you say: a list of epochs. The exponent is the number of milestones that were reached:
#
# $$\text{lr}(e) = \text{lr}_0 \; \gamma^{\#\{m \,\le\, e\}}$$

# %% covers=["w5-multisteplr", "w5-err-steplr-formula"] tags=["proof"]
milestones = [50, 125, 160]
uneven = maker(lr_scheduler.MultiStepLR, milestones=milestones, gamma=0.1)
used = proven(lambda epoch: 0.1 * 0.1 ** sum(m <= epoch for m in milestones), uneven)
for epoch in (0, 49, 50, 124, 125, 159, 160):
    print(f"epoch {epoch:3}: {used[epoch]:.0e}")

# %% [markdown]
# Published recipes are often of this kind: "divided by 10 at epochs 30, 60 and 80". The milestones may come in any order, and one that is listed twice counts twice. Both stairs in one picture:

# %% covers=["w5-steplr", "w5-multisteplr"]
curves.plot_lr_curves(
    {"StepLR, step_size 50": stairs, "MultiStepLR, 50, 125, 160": uneven},
    epochs=200,
    log=True,
    title="Equal stairs, and stairs where you want them (gamma 0.1)",
)

# %% [markdown] covers=["w5-exponentiallr", "w5-err-exp-formula", "w5-err-exp-default"]
# The axis is logarithmic: on a linear one all that comes after the second stair looks like 0. It is not, and the ratio of two neighbouring stairs is what the training feels.
#
# ### ExponentialLR
#
# `ExponentialLR(optimizer, gamma)` has no stairs: every epoch multiplies by `gamma`.
#
# $$\text{lr}(e) = \text{lr}_0 \; \gamma^{e}$$

# %% covers=["w5-exponentiallr"] tags=["proof"]
fading = maker(lr_scheduler.ExponentialLR, gamma=0.95)
used = proven(lambda epoch: 0.1 * 0.95**epoch, fading)
print("epochs 0, 1, 2:", rounded(used[:3], 5))
print("epochs 50, 100:", rounded([used[50], used[100]], 5))

# %% [markdown]
# > **Myth.** "lr = lr × gamma^epoch", with the present rate on the right. Whoever writes that into a loop multiplies by 0.9, then by 0.9², then by 0.9³. The rate to start from is the **initial** one.

# %% covers=["w5-err-exp-formula"] tags=["proof"]
lr = 0.1
for epoch in (1, 2, 3):
    lr = lr * 0.9**epoch
scheduled = rates(maker(lr_scheduler.ExponentialLR, gamma=0.9), 4)[3]
print(f"after 3 epochs, as printed: {lr:.4f} = 0.1 * 0.9**6")
print(f"ExponentialLR:              {scheduled:.4f} = 0.1 * 0.9**3")
assert math.isclose(lr, 0.1 * 0.9**6) and abs(scheduled - 0.1 * 0.9**3) < 1e-12

# %% [markdown]
# `gamma` must be close to 1, for it acts in every epoch. Start from the end: to be at a hundredth after $n$ epochs, $\gamma = 0.01^{1/n}$.
#
# > **Then and now.** The old course prints `ExponentialLR(optimizer, gamma=0.1, last_epoch=-1)`. There never was such a default. With 0.1 the rate would be a hundredth after two epochs, and torch makes you choose.

# %% covers=["w5-err-exp-default", "w5-exponentiallr"] tags=["then-and-now"]
with expected_error(TypeError):
    lr_scheduler.ExponentialLR(torch.optim.SGD([weight], lr=0.1))
for n in (10, 100):
    gamma = 0.01 ** (1 / n)
    used = rates(maker(lr_scheduler.ExponentialLR, gamma=gamma), n + 1)
    print(f"gamma {gamma:.3f}: {used[0]:.3f} -> {used[n]:.3f} after {n} epochs")
    assert abs(used[n] - 0.001) < 1e-12

# %% [markdown] covers=["w5-cosineannealinglr"]
# ### CosineAnnealingLR
#
# `CosineAnnealingLR(optimizer, T_max, eta_min=0.0)` (余弦周期) lets the rate down along a cosine, from $\text{lr}_0$ to $\eta_\text{min}$: slowly at first, fast in the middle, slowly at the end.
#
# $$\text{lr}(e) = \eta_\text{min} + \frac{\text{lr}_0 - \eta_\text{min}}{2}\left(1 + \cos\frac{\pi e}{T_\text{max}}\right)$$

# %%
question = predict(
    "lr 0.1, T_max=50, eta_min=0. The rate in epoch 100?", ["0.0", "0.05", "0.1", "an error"]
)
question


# %% [markdown]
# The name says "maximum", the text of torch "maximum number of iterations". Put $e = 100$ into the formula first.

# %% covers=["w5-cosineannealinglr"] tags=["proof"]
def cosine(epoch, lr=0.1, T_max=50, eta_min=0.0):
    return eta_min + (lr - eta_min) / 2 * (1 + math.cos(math.pi * epoch / T_max))


wave = maker(lr_scheduler.CosineAnnealingLR, T_max=50)
used = proven(cosine, wave)
floor = maker(lr_scheduler.CosineAnnealingLR, T_max=50, eta_min=0.02)
proven(lambda epoch: cosine(epoch, eta_min=0.02), floor)
print("epochs 0, 25, 50, 75:", rounded([used[epoch] for epoch in (0, 25, 50, 75)], 4))
question.reveal(rounded(used[100], 4))

# %% [markdown]
# It comes back. `T_max` is **half** a period: at the bottom the wave turns, and a training that goes on after `T_max` epochs goes on with a growing rate.

# %% covers=["w5-cosineannealinglr"]
curves.plot_lr_curves(
    {"eta_min 0": wave, "eta_min 0.02": floor},
    epochs=201,
    title="CosineAnnealingLR, T_max 50: down, and up again",
)

# %% [markdown]
# So the usual choice is `T_max` = the number of epochs of the whole training. Its first epoch has $\text{lr}_0$, and its last a rate just above $\eta_\text{min}$, which comes one epoch later. Two settings less to choose than with stairs: this is why so many recipes of today use it. (The paper that it is from, SGDR by Loshchilov and Hutter, 2017, restarts the rate at the bottom. That is another class, in 5.3.)
#
# The four beside each other, made for a training of 60 epochs that goes from 0.1 to about 0.001:

# %% covers=["w5-steplr", "w5-multisteplr", "w5-exponentiallr", "w5-cosineannealinglr"]
four = {
    "StepLR, 20": maker(lr_scheduler.StepLR, step_size=20),
    "MultiStepLR, 35 and 50": maker(lr_scheduler.MultiStepLR, milestones=[35, 50]),
    "ExponentialLR": maker(lr_scheduler.ExponentialLR, gamma=0.01 ** (1 / 60)),
    "CosineAnnealingLR": maker(lr_scheduler.CosineAnnealingLR, T_max=60, eta_min=0.001),
}
for name, make_one in four.items():
    used = rates(make_one, 60)
    print(f"{name:22} ends at {used[-1]:.4f}, mean rate {np.mean(used):.3f}")
curves.plot_lr_curves(four, epochs=60, title="Four ways from 0.1 to 0.001")


# %% [markdown]
# Same start, same end, and a different middle. The exponential one spends most of its epochs with small rates; the cosine, and the late stairs, travel far first. The mean rate, times the number of steps, says about how far a training **could** go. Whether it needs to, only the data say: 5.3 lets them compete.

# %% [markdown]
# ### Exercise 5.1 Three papers · 10 min · ★★
#
# Three papers describe their learning rate. Write for each the function that gives the scheduler for an optimizer (with any rate, and any number of groups):
#
# 1. *"The rate is divided by 10 after 30 epochs, and again after 80."*
# 2. *"The rate falls by the same factor after every epoch, and after 40 epochs it is a hundredth of what it was."*
# 3. *"The rate follows half a cosine wave, from its initial value down to 0.001, where it arrives after 90 epochs."*

# %% tags=["exercise"]
def paper_1(optimizer):
    ...


def paper_2(optimizer):
    ...


def paper_3(optimizer):
    ...


# %% tags=["check"]
check.papers(paper_1, paper_2, paper_3)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Stairs at places of your choice, a constant ratio, half a wave: which class has which rule? "After 30 epochs" means that the epochs 0 to 29 have the first rate.
# </details>
# <details><summary>Hint 2</summary>
#
# In the second paper $\gamma^{40} = 0.01$. In the third, look at the argument that is half a period, and at the one that is the lowest rate.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def paper_1(optimizer):
#     return lr_scheduler.MultiStepLR(optimizer, milestones=[30, 80], gamma=0.1)
#
#
# def paper_2(optimizer):
#     return lr_scheduler.ExponentialLR(optimizer, gamma=0.01 ** (1 / 40))
#
#
# def paper_3(optimizer):
#     return lr_scheduler.CosineAnnealingLR(optimizer, T_max=90, eta_min=0.001)
# ```
# </details>

# %% [markdown]
# ### Explorer Which schedule?
#
# **What does each argument do to the curve?** Take `CosineAnnealingLR` and make `T_max` smaller than the number of epochs. Then try to make an `ExponentialLR` that ends where your `StepLR` ends.

# %%
explore.scheduler()

# %% [markdown] covers=["w5-lambdalr"]
# ### LambdaLR: any rule, and one for each group
#
# Where no class fits, `LambdaLR(optimizer, lr_lambda)` takes the rule as a function of the epoch (自定义调整).
#
# > **Myth.** "The function gives the learning rate." It gives a **factor**, and torch multiplies the **initial** rate by it: $\text{lr}(e) = \text{lr}_0 \cdot f(e)$. A function that returns 0.01 leaves a rate of 0.001 here:

# %% covers=["w5-lambdalr"] tags=["proof"]
same = maker(lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.01)
used = proven(lambda epoch: 0.1 * 0.01, same)
print("f(e) = 0.01:       ", rounded(used[:3], 4))
rule = maker(lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch / 4))
used = proven(lambda epoch: 0.1 / (1 + epoch / 4), rule)
assert np.allclose(used, rates(maker(InverseTime, half=4), 200), rtol=0, atol=1e-12)
print("1 / (1 + epoch / 4):", rounded(used[:13:4], 4))

# %% [markdown]
# So $f(0) = 1$ is what you want nearly always. The second line is the class `InverseTime` from above in one function. (To write down the rates themselves, build the optimizer with `lr=1.0`.)
#
# With a **list** every group of the optimizer gets a rule of its own, in their order. Here the first group goes down stairs while the second fades:

# %% covers=["w5-lambdalr"] tags=["proof"]
rules = [lambda epoch: 0.1 ** (epoch // 20), lambda epoch: 0.95**epoch]


def two_groups(**settings):
    body, head = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [body]}, {"params": [head]}], lr=0.1)
    return optimizer, lr_scheduler.LambdaLR(optimizer, **settings)


optimizer, scheduler = two_groups(lr_lambda=rules)
for epoch in range(100):
    first, second = scheduler.get_last_lr()
    assert abs(first - 0.1 * 0.1 ** (epoch // 20)) < 1e-12
    assert abs(second - 0.1 * 0.95**epoch) < 1e-12
    if epoch in (0, 1, 20):
        print(f"epoch {epoch:2}: {rounded([first, second], 4)}")
    optimizer.step()
    scheduler.step()

# %% [markdown]
# `get_last_lr()` has one number a group, and the picture one curve. A list must be as long as the groups are many. And one thing is not kept: a function cannot be stored in a `state_dict`, so whoever goes on must build the same rules again.

# %% covers=["w5-lambdalr"]
print("stored of the rules:", scheduler.state_dict()["lr_lambdas"])
with expected_error(ValueError):
    two_groups(lr_lambda=rules[:1])
curves.plot_lr_curves(
    lambda: two_groups(lr_lambda=rules), epochs=60, title="One rule for each group"
)


# %% [markdown]
# ### Exercise 5.2 A gamma for each group · 8 min · ★★
#
# Rules for groups are the tool for a pretrained network: the new head fast, the body slower. `ExponentialLR` has one `gamma` for all groups. Write `fade(optimizer, gammas)`: it returns a scheduler that multiplies the rate of group $i$ by `gammas[i]` in every epoch, for any number of groups (there are as many gammas). Test it with three groups, and look at **all** of their rates: there is a trap in the short way of writing it.

# %% tags=["exercise"]
def fade(optimizer, gammas):
    ...


# %% tags=["check"]
check.fade(fade)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `LambdaLR` with a list of functions, one for each gamma. Each returns a factor, `gamma**epoch`.
# </details>
# <details><summary>Hint 2</summary>
#
# `[lambda epoch: gamma**epoch for gamma in gammas]` makes functions that look up the name `gamma` **when they are called**. By then the loop is over, and the name holds the last value. Give each function a value of its own: `lambda epoch, gamma=gamma: gamma**epoch`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def fade(optimizer, gammas):
#     rules = [lambda epoch, gamma=gamma: gamma**epoch for gamma in gammas]
#     return lr_scheduler.LambdaLR(optimizer, lr_lambda=rules)
# ```
# </details>

# %% [markdown]
# ### From the present rate, or from the first?
#
# One more look behind the closed forms. `LambdaLR` and our `InverseTime` compute every rate from `base_lrs`. `StepLR`, `MultiStepLR` and `ExponentialLR` do not: they multiply **the rate that they find** in the optimizer. (`CosineAnnealingLR` starts from it as well.) As long as nobody else writes there, the result is the same. Now somebody does, after three epochs:

# %%
def disturbed(make):
    optimizer, scheduler = make()
    used = []
    for epoch in range(6):
        if epoch == 3:
            optimizer.param_groups[0]["lr"] = 1.0
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rounded(used, 4)


halves = {
    "ExponentialLR": maker(lr_scheduler.ExponentialLR, lr=0.8, gamma=0.5),
    "LambdaLR": maker(lr_scheduler.LambdaLR, lr=0.8, lr_lambda=lambda epoch: 0.5**epoch),
}
assert rates(halves["LambdaLR"], 6) == rates(halves["ExponentialLR"], 6)
for name, make_one in halves.items():
    print(f"{name:13} {disturbed(make_one)}")


# %% [markdown]
# The first takes the new rate and halves it, the second puts its own rate back. Multiplying what is there has an advantage: two such schedulers can work on one optimizer, and their factors multiply (5.3 makes use of it). It is also why `get_lr()` answered 0.05 above, and why a continued training needs the optimizer's state.

# %% [markdown]
# For the next bug, the points of the line again and another plan: one fast epoch, then every epoch with a fifth of the rate before it.

# %%
def quick(line):
    optimizer = torch.optim.SGD(line.parameters(), lr=0.5)
    return optimizer, lr_scheduler.ExponentialLR(optimizer, gamma=0.2)


def one_step(net, optimizer, x, y):
    loss = F.mse_loss(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


curves.plot_lr_curves(lambda: quick(make_line()), epochs=6, title="The plan")


# %% [markdown]
# ### Find the bug 5.2 Not quick enough · 8 min · ★★
#
# By this plan the loss is near 0.01 after six epochs. It is not, by far. `quick` and `one_step` are right, and torch has nothing to complain about. Repair `fit_quickly`, for every plan whose scheduler counts epochs.

# %% covers=["w5-sched-step"] tags=["exercise", "find-the-bug"]
def fit_quickly(net, batches, make, epochs):
    optimizer, scheduler = make(net)
    one_step(net, optimizer, *batches[0])  # a first batch, to see that all parts fit
    losses = []
    for epoch in range(epochs):
        scheduler.step()
        total = sum(one_step(net, optimizer, x, y) for x, y in batches)
        losses.append(total / len(batches))
    return losses


line = make_line()
found = fit_quickly(line, ten_batches, quick, epochs=6)
curves.loss_curves(
    {"mean loss of an epoch": found, "within reach": [0.01] * len(found)},
    "epoch",
    log=True,
    title=f"Loss {found[-1]:.2f} at the end, slope {line.weight.item():.1f}",
)

# %% tags=["check"]
check.bug_5_2(fit_quickly)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which rate has the optimizer in the first epoch of the loop, and which in the plan?
# </details>
# <details><summary>Hint 2</summary>
#
# `scheduler.step()` ends an epoch. Where does it stand?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def fit_quickly(net, batches, make, epochs):
#     optimizer, scheduler = make(net)
#     one_step(net, optimizer, *batches[0])  # a first batch, to see that all parts fit
#     losses = []
#     for epoch in range(epochs):
#         total = sum(one_step(net, optimizer, x, y) for x, y in batches)
#         losses.append(total / len(batches))
#         scheduler.step()
#     return losses
#
#
# line = make_line()
# found = fit_quickly(line, ten_batches, quick, epochs=6)
# curves.loss_curves(
#     {"mean loss of an epoch": found, "within reach": [0.01] * len(found)},
#     "epoch",
#     log=True,
#     title=f"Loss {found[-1]:.2f} at the end, slope {line.weight.item():.1f}",
# )
# ```
# </details>

# %% [markdown] covers=["w5-sched-summary"]
# Why no warning this time? torch only looks whether the optimizer has **ever** stepped before the scheduler's first `step()`. The trial batch did that, and the order of the loop went unnoticed. A warning that does not come proves nothing; the used rates do.
#
# ### Ordered, adaptive, custom
#
# The old course has six schedulers, of three kinds (学习率调整小结):
#
# | kind | classes | when the rate changes |
# |---|---|---|
# | ordered (有序调整) | `StepLR`, `MultiStepLR`, `ExponentialLR`, `CosineAnnealingLR` | by a timetable that is fixed before the training |
# | adaptive (自适应调整) | `ReduceLROnPlateau` | when a measured value stops getting better (5.2) |
# | custom (自定义调整) | `LambdaLR` | when your function says so, for each group |
#
# Torch has more of them by now: lesson 5.3 has the other nine.

# %% [markdown]
# ### Exercise 5.3 A wave that stays down · 12 min · ★★★
#
# `CosineAnnealingLR` rises again after `T_max` epochs. Write the class that does not: until epoch `T_max` the cosine of torch, from each group's own initial rate down to `floor`, and from then on `floor`, however long the training goes on. It has to survive a stop: with its `state_dict` loaded into a new one it goes on with the same rates.

# %% covers=["w5-scheduler-base"] tags=["exercise"]
class CosineThenFloor(lr_scheduler.LRScheduler):
    def __init__(self, optimizer, T_max, floor=0.0, last_epoch=-1):
        ...

    def get_lr(self):
        ...


# %% tags=["check"]
check.cosine_then_floor(CosineThenFloor)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `InverseTime` is the pattern: keep the arguments in `self`, then call `super().__init__(optimizer, last_epoch)`. `get_lr` is one list comprehension over `self.base_lrs`.
# </details>
# <details><summary>Hint 2</summary>
#
# The wave of epoch `min(self.last_epoch, self.T_max)` never leaves the bottom.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class CosineThenFloor(lr_scheduler.LRScheduler):
#     def __init__(self, optimizer, T_max, floor=0.0, last_epoch=-1):
#         self.T_max, self.floor = T_max, floor
#         super().__init__(optimizer, last_epoch)
#
#     def get_lr(self):
#         share = min(self.last_epoch, self.T_max) / self.T_max
#         height = (1 + math.cos(math.pi * share)) / 2  # from 1 down to 0
#         return [self.floor + (lr - self.floor) * height for lr in self.base_lrs]
# ```
# </details>

# %% [markdown]
# You have now written what torch's own file consists of: a rule, a counter, and a list of groups. The next lesson's scheduler is of another kind. It has no timetable; it watches.

# %% [markdown] covers=["w5-reducelronplateau"]
# ## 5.2 When the metric decides: ReduceLROnPlateau
#
# The schedules of lesson 5.1 are timetables: written before the training begins, and followed whatever happens. But who knows beforehand that the loss will stand still from epoch 40 on? **ReduceLROnPlateau** (自适应调整) plans nothing. After each validation you tell it a number, and it does what a patient person would do: while the number gets better, nothing; when it has not got better for a while, the rate goes down.
#
# The number is an argument of `step`. Look for the epoch at which the rate changes:

# %% covers=["w5-reducelronplateau", "w5-plateau-factor"]
def fresh(lr=0.1):
    """An optimizer with one weight: here only its learning rate is of interest."""
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


optimizer = fresh(lr=0.1)
scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=2)
for epoch, metric in enumerate([0.9, 0.7, 0.7, 0.7, 0.7, 0.7]):
    optimizer.step()  # in a training, a whole epoch and a validation stand here
    scheduler.step(metric)
    rate = optimizer.param_groups[0]["lr"]
    print(f"after epoch {epoch}: metric {metric}, rate {rate:.2f}")

# %% [markdown]
# Epoch 1 was the last one that was better. Two epochs without progress, 2 and 3, are forgiven (`patience=2`), the third one, 4, is not: the rate is multiplied by `factor` (调整系数), 0.1 becomes 0.01. Without a number `step` can't decide anything:

# %% covers=["w5-reducelronplateau"]
with expected_error(TypeError):
    scheduler.step()

# %% [markdown]
# > **Then and now.** `ReduceLROnPlateau` used to stand outside the family of schedulers. Today it inherits from `LRScheduler` and has `get_last_lr()`.

# %% covers=["w5-reducelronplateau"] tags=["then-and-now"]
print("ReduceLROnPlateau is an LRScheduler:", isinstance(scheduler, lr_scheduler.LRScheduler))
print("get_last_lr():", rounded(scheduler.get_last_lr()))

# %% [markdown]
# ### An old example, again
#
# The old course's example is worth keeping. The loss is 0.5, falls to 0.4 at epoch 5 (epochs count from 0), and never falls again. `patience=10`, and after a reduction `cooldown=10`.

# %% covers=["w5-plateau-16-37-58"]
question = predict(
    "The last improvement is at epoch 5, patience is 10. When is the first reduction?",
    ["epoch 10", "epoch 15", "epoch 16", "epoch 25"],
)
question

# %% [markdown]
# The loop keeps its own log: it compares the rate before and after `step`.

# %% covers=["w5-plateau-16-37-58", "w5-plateau-factor", "w5-err-plateau-log"]
LOSSES = [0.5] * 5 + [0.4] * 95
SETTINGS = {"factor": 0.1, "patience": 10, "cooldown": 10, "min_lr": 1e-4}

optimizer = fresh(lr=0.1)
scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **SETTINGS)
reduced = []
for epoch, loss in enumerate(LOSSES):
    optimizer.step()
    before = scheduler.get_last_lr()[0]
    scheduler.step(loss)
    after = scheduler.get_last_lr()[0]
    if after < before:
        reduced.append(epoch)
        print(f"epoch {epoch}: {before:.0e} -> {after:.0e}, last_epoch {scheduler.last_epoch}")
assert reduced == [16, 37, 58]
question.reveal(f"epoch {reduced[0]}")

# %% [markdown]
# 16, 37, 58, as in the old log. `scheduler.last_epoch` reads one more, because, as in 5.1, `last_epoch` is the epoch that comes next: after epoch 16 seventeen epochs are over. Do not compare it with your loop's index.
#
# > **Then and now.** The old lines "Epoch 16: reducing learning rate of group 0 to 1.0000e-02." came from `verbose=True`. It is gone here as well, so the log is yours to write, as above.

# %% covers=["w5-err-plateau-log"] tags=["then-and-now"]
with expected_error(TypeError):
    lr_scheduler.ReduceLROnPlateau(fresh(), verbose=True)


# %% [markdown]
# The picture shows the rate that each epoch trains with. The decision falls **after** epoch 16, so 17 is the first epoch with the smaller rate.

# %%
def old_example():
    optimizer = fresh(lr=0.1)
    return optimizer, lr_scheduler.ReduceLROnPlateau(optimizer, **SETTINGS)


curves.plot_lr_curves(
    old_example,
    epochs=100,
    metrics=LOSSES,
    log=True,
    title="Best at epoch 5: the rate falls after 16, 37 and 58",
)

# %% [markdown]
# Why 16, and why 21 epochs between two reductions? The scheduler keeps three numbers: the best value so far, the bad epochs since then, and what is left of the cooldown.

# %% covers=["w5-plateau-patience", "w5-plateau-cooldown", "w5-err-patience"]
_, scheduler = old_example()
print("epoch  best  bad epochs  cooldown left")
for epoch, loss in enumerate(LOSSES[:38]):
    scheduler.step(loss)
    if epoch in (0, 4, 5, 6, 15, 16, 17, 26, 27, 36, 37):
        bad, left = scheduler.num_bad_epochs, scheduler.cooldown_counter
        print(f"{epoch:5} {scheduler.best:5} {bad:11} {left:14}", end="")
        print("  reduced" if left == 10 else "")

# %% [markdown]
# - **patience** (耐心): epochs 6 to 15 are ten bad ones, and all ten are forgiven. The reduction comes with bad epoch number patience + 1, at 5 + 11 = 16.
# - **cooldown** (冷却时间): in the ten epochs after a reduction, bad ones are not counted (a new best is still noted). It gives the training time to settle. Then eleven bad ones again: 16 + 10 + 11 = 37, and 37 + 21 = 58.
#
# > **Myth.** "patience: the number of iterations that are accepted without a change of the parameters." Parameters have nothing to do with it. What counts is the **metric**, once for each call of `step(metric)`. Two trainings of twelve epochs: in the first the weight moves and the metric stands still, in the second it is the other way round.

# %% covers=["w5-err-patience", "w5-plateau-patience"]
falling = [0.4 - 0.01 * epoch for epoch in range(12)]
for moves, metrics in [(True, [0.4] * 12), (False, falling)]:
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=10)
    for metric in metrics:
        weight.grad = torch.ones(1) * moves
        optimizer.step()
        scheduler.step(metric)
    print("weight moved:", weight.item() != 0, end=", ")
    print("rate reduced:", scheduler.get_last_lr()[0] < 0.1)


# %% [markdown]
# And "once for each call" means: who calls `step(loss)` after every batch has a patience of ten batches.
#
# ### The whole algorithm
#
# It fits into a few lines of plain Python. `up` is +1 when larger is better and −1 when smaller is; `edge` is the value that the next metric has to pass.

# %% covers=["w5-reducelronplateau", "w5-plateau-patience", "w5-plateau-cooldown"]
def plateau(
    metrics,
    lr=0.1,
    mode="min",
    factor=0.1,
    patience=10,
    threshold=1e-4,
    threshold_mode="rel",
    cooldown=0,
    min_lr=0.0,
    eps=1e-8,
):
    """The rate after each of the metrics."""
    up = 1 if mode == "max" else -1
    best, bad, wait, rates = -up * math.inf, 0, 0, []
    for metric in metrics:
        relative = threshold_mode == "rel"
        edge = best * (1 + up * threshold) if relative else best + up * threshold
        better = metric > edge if mode == "max" else metric < edge
        best, bad = (metric, 0) if better else (best, bad + 1)
        if wait > 0:  # cooling down: bad epochs are not counted
            wait, bad = wait - 1, 0
        if bad > patience:
            wait, bad = cooldown, 0
            smaller = max(lr * factor, min_lr)
            lr = smaller if lr - smaller > eps else lr
        rates.append(lr)
    return rates


# %% [markdown]
# Is that all that torch does? Three hundred random metric curves, each with random settings, must give exactly the same rates.

# %% covers=["w5-reducelronplateau"] tags=["proof"]
def by_torch(metrics, lr=0.1, **settings):
    optimizer, rates = fresh(lr), []
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    for metric in metrics:
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def drops(rates, lr=0.1):
    """The epochs after which the rate was smaller than before."""
    return [epoch for epoch in range(len(rates)) if rates[epoch] < ([lr] + rates)[epoch]]


# %% [markdown]
# The curves wander up and down, some below zero, and half of them in round numbers, so that equal values occur.

# %% tags=["proof"]
chance = np.random.default_rng(seed)
reductions = 0
for curve in range(300):
    metrics = chance.normal(size=60).cumsum() + chance.choice([0, 20])
    metrics = (metrics.round() if curve % 2 else metrics).tolist()
    settings = {
        "mode": str(chance.choice(["min", "max"])),
        "factor": float(chance.choice([0.1, 0.5, 0.9])),
        "patience": int(chance.integers(8)),
        "threshold": float(chance.choice([0.0, 1e-4, 0.1])),
        "threshold_mode": str(chance.choice(["rel", "abs"])),
        "cooldown": int(chance.integers(6)),
        "min_lr": float(chance.choice([0.0, 1e-3])),
        "eps": float(chance.choice([1e-8, 1e-3])),
    }
    rates = plateau(metrics, **settings)
    assert rates == by_torch(metrics, **settings)
    reductions += len(drops(rates))
print("300 curves agree, more than 500 reductions among them:", reductions > 500)
assert drops(plateau(LOSSES, **SETTINGS)) == [16, 37, 58] and reductions > 500

# %% [markdown]
# ### What counts as better
#
# The default is `mode="min"`, for a loss. Here is an accuracy that rises in every epoch, by 0.04, and somebody forgot the mode. `patience=2`.

# %%
question = predict(
    "A rising accuracy, mode left at its default. The rate …",
    ["stays", "falls once", "falls again and again"],
)
question

# %% covers=["w5-plateau-mode"]
accuracy = [0.50 + 0.04 * epoch for epoch in range(12)]
for mode in ("min", "max"):
    print(f"mode {mode}: reduced after", drops(by_torch(accuracy, mode=mode, patience=2)))
times = len(drops(by_torch(accuracy, mode="min", patience=2)))
question.reveal(["stays", "falls once", "falls again and again"][min(times, 2)])

# %% [markdown]
# In "min" mode the first value, 0.5, stays the best for ever, and the better the network gets, the worse it looks. `"min"` for a loss, `"max"` for an accuracy (min/max模式): nothing warns you.
#
# A tiny improvement is no improvement either. With `threshold_mode="rel"`, the default, the metric has to be better by more than the share `threshold` of the best value, 0.0001, which is 0.01 %. With `"abs"` the threshold is a difference.

# %% covers=["w5-plateau-threshold"]
print("mode  best   new     counts as better")
for threshold_mode, best, new in [
    ("rel", 1, 0.99995),
    ("rel", 1, 0.99985),
    ("rel", 100, 99.995),
    ("rel", 100, 99.985),
    ("abs", 100, 99.995),
    ("abs", 100, 99.99995),
]:
    scheduler = lr_scheduler.ReduceLROnPlateau(fresh(), threshold_mode=threshold_mode)
    scheduler.step(best)
    scheduler.step(new)
    print(f"{threshold_mode}   {best:4}   {new:<8} {scheduler.num_bad_epochs == 0}")

# %% [markdown]
# The share has two traps. First, a **negative** metric, such as the losses of lesson 4.3 that are the negative logarithm of a density. For a best of −2 the edge is −2 · (1 − 0.0001) = −1.9998, and a metric that stays at −2 passes it every time. Second, `nan`: is it better, or bad?

# %% covers=["w5-plateau-threshold"]
print("0.4 for ever:      ", drops(by_torch([0.4] * 36)))
print("-2 for ever:       ", drops(by_torch([-2.0] * 36)))
print("-2 for ever, abs:  ", drops(by_torch([-2.0] * 36, threshold_mode="abs")))
print("0.4, then only nan:", drops(by_torch([0.4] + [math.nan] * 35)))

# %% [markdown]
# A negative plateau is never seen, unless you say `threshold_mode="abs"`. And `nan` is a bad epoch like others: no comparison with it is true.
#
# ### Where it ends
#
# Two settings keep it from useless steps (学习率下限): `min_lr` is a floor, and a change that is not larger than `eps` is left out. 400 epochs without progress:

# %% covers=["w5-plateau-min-lr-eps"]
still = [0.4] * 400
for settings in ({"min_lr": 1e-4}, {"eps": 1e-8}, {"eps": 0.0}):
    rates = by_torch(still, **settings)
    print(f"{str(settings):17} {len(drops(rates)):2} reductions, the last rate {rates[-1]:.0e}")

# %% [markdown]
# With the floor three reductions, and then no more. Without one the default `eps`, 1e-8, ends it: the step from 1e-8 to 1e-9 would be a change of 0.9e-8. Several groups may have floors of their own:

# %% covers=["w5-plateau-min-lr-eps"]
optimizer = fresh(lr=0.1)
optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.01})
scheduler = lr_scheduler.ReduceLROnPlateau(
    optimizer, factor=0.5, patience=0, min_lr=[0.02, 0.0]
)
for metric in [0.4] * 5:
    scheduler.step(metric)
    print([f"{rate:.6f}" for rate in scheduler.get_last_lr()])

# %% [markdown]
# ### How much patience?
#
# A validation loss is noisy, and a noisy loss has bad epochs while it falls. Below are 201 curves that fall for 100 epochs without a pause, with noise upon them. Every reduction is a false alarm. When will the first one come, in the middle one of the 201?

# %% covers=["w5-plateau-patience"]
chance = np.random.default_rng(seed)
fall = 0.3 + np.exp(-np.arange(100) / 40)
noisy = fall + 0.08 * chance.normal(size=(201, 100))
shown = {"without noise": fall, "one of 201 curves": noisy[0]}
curves.loss_curves(shown, "epoch", title="It falls all the time, but not in every epoch")

# %% [markdown]
# The same for five settings of `patience`:

# %% covers=["w5-plateau-patience"]
from course_utils import bars  # only here

first = {}
for patience in (0, 2, 5, 10, 20):
    alarms = [drops(plateau(curve.tolist(), patience=patience)) for curve in noisy]
    first[f"patience {patience}"] = float(np.median([(found + [100])[0] for found in alarms]))
assert sorted(first.values()) == list(first.values()) and first["patience 0"] <= 3
bars.bar_chart(first, "epoch of the first false alarm (median; 100: none)", "setting")

# %% [markdown]
# Without patience the rate falls nearly at once. The default of 10 holds for a good part of the way, and only 20 lasts longer than the noise here. The price is time: on a real plateau, 20 epochs pass before anything happens. So the patience has to match the noise of **your** metric, and a steadier metric (a larger validation set, or an average over epochs) is worth more than a clever setting.
#
# ### In a training
#
# Real digits, halved to 14 × 14 pixels, and a network of one hidden layer. After each epoch the validation loss goes to the scheduler. To see that nothing else happens, our own `plateau` gets the recorded losses afterwards.

# %% covers=["w5-reducelronplateau"]
digits = data.digits()
pixels = F.avg_pool2d(digits.images.unsqueeze(1).float() / 255, 2).flatten(1).to(device)
labels = digits.labels.to(device)
order = torch.randperm(5000, generator=torch.Generator().manual_seed(seed)).to(device)
train_part, valid_part = order[:3200], order[3200:3800]
valid_batches = [(pixels[valid_part], labels[valid_part])]
print(len(train_part), "digits for training,", len(valid_part), "for validation")

# %% [markdown]
# One line is new in the loop, the last but one. The rate starts at 0.2, too large for the end.

# %% covers=["w5-reducelronplateau"] tags=["nbval-ignore-output"]
torch.manual_seed(seed)
net = nn.Sequential(nn.Linear(196, 32), nn.ReLU(), nn.Linear(32, 10)).to(device)
optimizer = torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9)
scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=1)
losses, rates = [], []
for _ in range(14):
    shuffled = train_part[torch.randperm(3200).to(device)]
    batches = zip(pixels[shuffled].split(50), labels[shuffled].split(50), strict=True)
    training.train_epoch(net, batches, F.cross_entropy, optimizer)
    losses.append(training.evaluate(net, valid_batches, F.cross_entropy).loss)
    scheduler.step(losses[-1])
    rates += scheduler.get_last_lr()
assert rates == plateau(losses, lr=0.2, factor=0.3, patience=1)
print("reduced after the epochs", drops(rates, lr=0.2))
curves.loss_curves({"validation": losses}, "epoch", title="The loss that decides")

# %% [markdown]
# The first reduction comes after two epochs without progress, and usually the loss falls right after it: the large steps had been dancing around a better place. Later reductions find nothing better any more.
#
# Note which data decide. The validation loss steers the training now, so it is a part of it, and an honest score needs a **test** part that nobody has looked at.

# %% [markdown]
# ### Explorer Patience
#
# **How long should one wait?** Begin with the metric that falls once, move patience and cooldown, and predict each reduction before you look. Then take the one that jitters, and find the smallest patience that is not deceived while the metric still falls. What does it cost on the flat parts? Last, the metric that creeps down: which threshold calls its progress a standstill?

# %%
explore.plateau()

# %% [markdown]
# ### Exercise 5.4 When does it reduce? · 10 min · ★★
#
# Five metrics, five settings. For each, write the list of the epochs (counted from 0) after which the rate is reduced, with paper and pencil; `[]` when it never is. All other settings are the defaults: mode "min", cooldown 0, threshold 0.0001 of the best value. The rate starts at 0.1.

# %% tags=["exercise"]
#      epoch   0  1  2  3  4  5  6  7  8  9 10 11
a_metrics = [9, 7, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]  # patience=2
b_metrics = [9, 7, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]  # patience=2, cooldown=2
c_metrics = [9, 7, 8, 8, 6, 7, 7, 7, 5, 6, 6, 6]  # patience=2
d_metrics = [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]  # patience=3, an accuracy, mode="max"
e_metrics = [9, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 3]  # patience=1, threshold=0.3

reduced_after = {"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}

# %% tags=["check"]
check.reduced_after(reduced_after)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write two rows under each metric: the best value so far, and the number of bad epochs since then. The rate falls when that number is patience + 1, and then it starts again at 0. The best value stays.
# </details>
# <details><summary>Hint 2</summary>
#
# For b: two epochs after each reduction are not counted. For e: with a best of 9 the next best has to be below 9 · 0.7 = 6.3, and everything above is bad, even if it falls.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# reduced_after = {
#     "a": [5, 8, 11],  # best at 2, bad are 3, 4, 5
#     "b": [5, 10],  # 6 and 7 are not counted, bad are 8, 9, 10
#     "c": [7, 11],  # 4 comes in time: two bad ones before it, and the count starts again
#     "d": [],  # best at 8; 9, 10, 11 are three bad ones, all forgiven
#     "e": [2, 4, 7, 11],  # edge 6.3, passed at 5; then 4.2, passed at 9
# }
# ```
# </details>

# %% [markdown]
# When a plateau scheduler surprises you in a training, do just this with its log: best, bad epochs, cooldown. There is nothing else inside.

# %% [markdown] covers=["w5-sched-summary"]
# ## 5.3 The whole shelf, per batch, warm-up, and the first rate
#
# StepLR, MultiStepLR, ExponentialLR, CosineAnnealingLR, LambdaLR and ReduceLROnPlateau: the old course's six, which lessons 5.1 and 5.2 take apart. What else has your torch?

# %% covers=["w5-sched-summary"] tags=["then-and-now"]
six = {"StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR"}
six |= {"LambdaLR", "ReduceLROnPlateau"}
since = {"ConstantLR", "LinearLR", "PolynomialLR", "SequentialLR", "ChainedScheduler"}
classes = set(lr_scheduler.__all__) - {"LRScheduler"}  # the base class
assert six | since < classes
print(len(classes), "classes, beside the six:", *sorted(classes - six), sep="\n  ")
print("new since the old course:", ", ".join(sorted(since)))

# %% [markdown]
# Nine, and they fall into three kinds, which make three parts of this lesson:
#
# | kind | classes | you need it for |
# |---|---|---|
# | simple shapes | `ConstantLR`, `LinearLR`, `PolynomialLR`, `MultiplicativeLR`, `CosineAnnealingWarmRestarts` | a piece of a schedule, or a whole one |
# | made to be stepped **per batch** | `CyclicLR`, `OneCycleLR` | a rate that moves within an epoch |
# | made of other schedulers | `SequentialLR`, `ChainedScheduler` | warm-up, and whatever you put together |
#
# (A sixteenth, `SWALR`, lives beside the averaging of weights in `torch.optim.swa_utils`; it comes with it in week 6.)
#
# Each gets its **closed form**: the rate at step $t$, computed without the steps before it. `rates_of` steps torch's scheduler as a training would; `proven` demands that the formula agrees to 1e-12, at every step.

# %%
LR = 0.1  # the optimizer's rate, everywhere below


def rates_of(build, steps, kind=torch.optim.SGD):
    """The rates that a training of so many steps would use."""
    optimizer = kind([nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler, rates = build(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def proven(formula, build, steps=60):
    rates = rates_of(build, steps)
    worst = max(abs(formula(t) - rate) for t, rate in enumerate(rates))
    assert worst < 1e-12
    print(f"{steps} steps agree, rates from {min(rates):.4f} to {max(rates):.4f}")


# %% [markdown]
# ### Simple shapes
#
# **ConstantLR** is less constant than its name: it multiplies the rate by `factor` (1/3 by default) for `total_iters` epochs, and then gives it back whole. **LinearLR** walks from `start_factor` to `end_factor` in a straight line, and stays there.
#
# $$\text{ConstantLR: } \eta_t = \eta_0 \cdot \begin{cases} f & t < T \\ 1 & t \ge T \end{cases} \qquad \text{LinearLR: } \eta_t = \eta_0 \left( s + (e - s)\, \frac{\min(t, T)}{T} \right)$$

# %% covers=["w5-sched-summary"] tags=["proof"]
proven(
    lambda t: LR * (0.25 if t < 10 else 1),
    lambda optimizer: lr_scheduler.ConstantLR(optimizer, factor=0.25, total_iters=10),
)
proven(
    lambda t: LR * (0.2 + (1.0 - 0.2) * min(t, 20) / 20),
    lambda optimizer: lr_scheduler.LinearLR(optimizer, start_factor=0.2, total_iters=20),
)
proven(
    lambda t: LR * (1.0 + (0.1 - 1.0) * min(t, 40) / 40),
    lambda optimizer: lr_scheduler.LinearLR(optimizer, 1.0, end_factor=0.1, total_iters=40),
)

# %% [markdown]
# Upwards LinearLR is a warm-up, downwards a decay. **PolynomialLR** goes down to exactly 0 at `total_iters`, along a power of what is left: $\eta_t = \eta_0\,(1 - t/T)^p$. With $p = 1$ that is a straight line; networks that label every pixel are often trained with $p = 0.9$, and $p = 2$ begins steep and ends gently.

# %% covers=["w5-sched-summary"] tags=["proof"]
for power in (1.0, 0.9, 2.0):
    proven(
        lambda t, p=power: LR * (1 - min(t, 50) / 50) ** p,
        lambda optimizer, p=power: lr_scheduler.PolynomialLR(optimizer, 50, power=p),
    )


# %% [markdown]
# The shapes side by side, and with them MultiplicativeLR, which multiplies the rate by 0.95 in every epoch here and is explained below. Mind the defaults: `total_iters` is 5 for the first three, so PolynomialLR without it is at 0 after five epochs, and the training stands still.

# %%
def pair(build):
    """For plot_lr_curves: a function that builds a new optimizer and its scheduler."""

    def make():
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.9)
        return optimizer, build(optimizer)

    return make


curves.plot_lr_curves(
    {
        "ConstantLR": pair(lambda o: lr_scheduler.ConstantLR(o, 0.25, total_iters=10)),
        "LinearLR": pair(lambda o: lr_scheduler.LinearLR(o, 0.2, total_iters=20)),
        "PolynomialLR, p = 1": pair(lambda o: lr_scheduler.PolynomialLR(o, 50)),
        "PolynomialLR, p = 2": pair(lambda o: lr_scheduler.PolynomialLR(o, 50, power=2.0)),
        "MultiplicativeLR": pair(
            lambda o: lr_scheduler.MultiplicativeLR(o, lambda epoch: 0.95)
        ),
    },
    epochs=60,
    title="Four simple shapes, with a rate of 0.1",
)

# %% [markdown]
# **MultiplicativeLR** looks like LambdaLR: it takes a function of the epoch. But LambdaLR multiplies the **initial** rate by what the function returns, MultiplicativeLR the **current** one.

# %%
question = predict(
    "MultiplicativeLR with lambda epoch: 0.9**epoch. By 4 steps the rate is multiplied by",
    ["0.9**4", "0.9**10", "0.9**16"],
)
question

# %% covers=["w5-sched-summary"] tags=["proof"]
proven(
    lambda t: LR * math.prod(0.9**k for k in range(1, t + 1)),
    lambda optimizer: lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.9**epoch),
)
proven(
    lambda t: LR * 0.9**t,
    lambda optimizer: lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.9),
)
rates = rates_of(lambda o: lr_scheduler.MultiplicativeLR(o, lambda epoch: 0.9**epoch), 5)
exponent = round(math.log(rates[4] / LR) / math.log(0.9))
question.reveal(f"0.9**{exponent}")


# %% [markdown]
# 1 + 2 + 3 + 4 = 10: the factors pile up, $\eta_t = \eta_0 \prod_{k=1}^{t} f(k)$. Give it the factor of **one step** (0.9 alone is ExponentialLR), and give LambdaLR the factor since the start.
#
# **CosineAnnealingWarmRestarts** runs the half wave of CosineAnnealingLR down, jumps back to the full rate, and begins again, each time `T_mult` times as long. With $T_\text{cur}$ steps done in the present wave of length $T_i$:
#
# $$\eta_t = \eta_\text{min} + \tfrac12 (\eta_0 - \eta_\text{min}) \left(1 + \cos\frac{\pi\, T_\text{cur}}{T_i}\right)$$

# %% covers=["w5-sched-summary"] tags=["proof"]
def restarts(t, length, times=1, low=0.0):
    while t >= length:
        t, length = t - length, length * times
    return low + (LR - low) / 2 * (1 + math.cos(math.pi * t / length))


proven(
    lambda t: restarts(t, 10),
    lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10),
)
proven(
    lambda t: restarts(t, 10, times=2, low=0.001),
    lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10, 2, eta_min=0.001),
)

# %% [markdown]
# Compare it with CosineAnnealingLR, whose `T_max` is half a period: that one climbs back as slowly as it fell.

# %%
curves.plot_lr_curves(
    {
        "T_0=10, T_mult=2": pair(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 10, 2)),
        "CosineAnnealingLR, T_max=10": pair(lambda o: lr_scheduler.CosineAnnealingLR(o, 10)),
    },
    epochs=70,
    title="Warm restarts after 10 and 30 epochs, and a cosine that swings",
)

# %% [markdown]
# Each restart shakes the network out of the place it has found; the networks at the ends of the waves can be kept and asked together. This class is also the only one whose `step` takes a place **between** epochs: `step(epoch + batch / batches)` gives a smooth curve within the epoch.

# %% tags=["proof"]
optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=2)
for epoch in range(40):
    for batch in range(4):
        optimizer.step()
        scheduler.step(place := epoch + batch / 4)
        assert abs(scheduler.get_last_lr()[0] - restarts(place, 10, times=2)) < 1e-12
print("160 quarters of an epoch agree")


# %% [markdown] covers=["w5-step-per-epoch"]
# ### Per batch
#
# A scheduler counts calls of `step()`, nothing else. "Epoch" in its documentation is a habit. Two classes have another habit: their numbers are meant as **batches**, often thousands of them.
#
# **CyclicLR** (Smith, 2015) goes up and down between `base_lr` and `max_lr`, `step_size_up` batches up and as many down. Three modes: `triangular`, `triangular2` (each triangle half as high), `exp_range` (times $\gamma^t$).

# %% covers=["w5-step-per-epoch"] tags=["proof"]
def cyclic(t, mode, low=0.01, high=0.1, up=10, down=20, gamma=0.97):
    cycle, within = divmod(t, up + down)
    height = within / up if within <= up else (up + down - within) / down
    scale = {"triangular": 1, "triangular2": 0.5**cycle, "exp_range": gamma**t}[mode]
    return low + (high - low) * height * scale


def build_cyclic(mode):
    settings = {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 10, "step_size_down": 20}
    return lambda o: lr_scheduler.CyclicLR(
        o, **settings, mode=mode, gamma=0.97, cycle_momentum=False
    )


for mode in ("triangular", "triangular2", "exp_range"):
    proven(lambda t, mode=mode: cyclic(t, mode), build_cyclic(mode), steps=100)

# %% [markdown]
# Note that the rate starts at `base_lr`: the 0.1 of the optimizer is overwritten. The three modes:

# %%
curves.plot_lr_curves(
    {mode: pair(build_cyclic(mode)) for mode in ("triangular", "triangular2", "exp_range")},
    epochs=1,
    steps_per_epoch=100,
    title="CyclicLR: 10 batches up, 20 down",
)

# %% [markdown]
# Unless you say `cycle_momentum=False`, it moves the momentum too, against the rate: large steps need less memory.
#
# > **Then and now.** With Adam, which has no setting called momentum, `cycle_momentum=False` used to be a must. Today the call is accepted as it is, and Adam's $\beta_1$ is cycled: no error, another training.

# %% covers=["w5-step-per-epoch"] tags=["then-and-now"]
optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=LR)
print("betas before:", optimizer.param_groups[0]["betas"])
scheduler = lr_scheduler.CyclicLR(optimizer, base_lr=0.001, max_lr=0.01, step_size_up=4)
for batch in range(5):
    group = optimizer.param_groups[0]
    print(f"batch {batch}: lr {group['lr']:.5f}, beta1 {group['betas'][0]:.3f}")
    optimizer.step()
    scheduler.step()


# %% [markdown]
# **OneCycleLR** (Smith and Topin, 2017) is one single cycle over the whole training: from a small rate up to `max_lr` in the first 30 percent of all steps (`pct_start`), then down to nearly nothing. It starts at `max_lr / div_factor` (25) and ends at a ten-thousandth of that (`final_div_factor`). Both ways follow a half cosine from $a$ to $b$, $b + \frac{a - b}{2}(1 + \cos \pi p)$ with $p$ from 0 to 1, or a straight line.

# %% tags=["proof"]
def one_cycle(t, top=0.5, total=100, share=0.3, strategy="cos"):
    start, end, peak = top / 25, top / 25 / 1e4, share * total - 1
    rising = t <= peak
    a, b = (start, top) if rising else (top, end)
    p = t / peak if rising else (t - peak) / (total - 1 - peak)
    return b + (a - b) * ((1 + math.cos(math.pi * p)) / 2 if strategy == "cos" else 1 - p)


for share, strategy in [(0.3, "cos"), (0.1, "cos"), (0.3, "linear")]:
    proven(
        lambda t, share=share, strategy=strategy: one_cycle(t, 0.5, 100, share, strategy),
        lambda o, share=share, strategy=strategy: lr_scheduler.OneCycleLR(
            o,
            max_lr=0.5,
            total_steps=100,
            pct_start=share,
            anneal_strategy=strategy,
            cycle_momentum=False,
        ),
        steps=100,
    )

# %% [markdown]
# `three_phase=True` splits the way down in two, back to the first rate and from there to nothing:

# %%
curves.plot_lr_curves(
    {
        name: pair(lambda o, s=settings: lr_scheduler.OneCycleLR(o, 0.5, total_steps=100, **s))
        for name, settings in {
            "OneCycleLR": {},
            "anneal_strategy linear": {"anneal_strategy": "linear"},
            "three_phase": {"three_phase": True},
        }.items()
    },
    epochs=1,
    steps_per_epoch=100,
    title="OneCycleLR: up to 0.5 and down to nothing",
)

# %% [markdown]
# Three things to know before you use it. Which of them would have surprised you?

# %% covers=["w5-step-per-epoch"]
optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=7.0, momentum=0.5)
scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, epochs=2, steps_per_epoch=50)
group = optimizer.param_groups[0]
print(f"1. lr and momentum of the optimizer are now {group['lr']:.2f} and {group['momentum']}")
lowest = 1.0
for _ in range(100):
    optimizer.step()
    scheduler.step()
    lowest = min(lowest, group["momentum"])
print(
    "2. the momentum went down to",
    rounded(lowest),
    "and is back at",
    rounded(group["momentum"]),
)
with expected_error(ValueError):
    scheduler.step()

# %% [markdown]
# It overwrites the rate that you gave the optimizer, it moves the momentum (or $\beta_1$) against the rate, and it stops the program when you step further than you said: train five epochs more, and it needs to know beforehand.
#
# So the unit matters. Ten epochs of 64 batches, and three schedulers, each stepped per epoch and per batch. Which combinations are right?

# %% covers=["w5-step-per-epoch"]
per_epoch_or_batch = {
    "StepLR, step_size=3": lambda o: lr_scheduler.StepLR(o, step_size=3),
    "StepLR, step_size=3 * 64": lambda o: lr_scheduler.StepLR(o, step_size=3 * 64),
    "OneCycleLR, 640 steps": lambda o: lr_scheduler.OneCycleLR(o, LR, total_steps=640),
}
print(f"the last epoch's rate     {'per epoch':>10} {'per batch':>10}")
for name, build in per_epoch_or_batch.items():
    by_epoch, by_batch = (rates_of(build, n, torch.optim.Adam)[-1] for n in (10, 640))
    print(f"{name:25} {by_epoch:10.1e} {by_batch:10.1e}")

# %% [markdown]
# StepLR with epochs in mind, stepped per batch (the upper right): the rate is 1e-214, the training ended in its first epoch. OneCycleLR stepped per epoch (the lower left): after ten epochs it is still at the foot of its hill. In the middle row StepLR counts batches, and rightly so: every scheduler may be stepped per batch **if its arguments are batches**. CyclicLR and OneCycleLR are those that nearly always are.

# %% [markdown] covers=["w5-sched-summary"]
# ### Warm-up: one scheduler made of two
#
# The first steps of a training are taken with random weights, large gradients and optimizers whose averages are still young (week 4). **Warm-up** (学习率预热) begins with small steps and grows to the full rate within a few epochs. Then something else takes over. **SequentialLR** hands over at `milestones`; each scheduler counts from 0 when its turn comes. (OneCycleLR and CyclicLR bring a first rate of their own and write it into `initial_lr`, which spoils the part before them: give them their warm-up by their own arguments.)

# %% covers=["w5-sched-summary"] tags=["proof"]
WARM, TOTAL = 5, 60


def warm_then_cosine(optimizer):
    warm = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=WARM)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=TOTAL - WARM)
    return lr_scheduler.SequentialLR(optimizer, [warm, cosine], milestones=[WARM])


def by_hand(t):
    if t < WARM:
        return LR * (0.1 + 0.9 * t / WARM)
    return LR / 2 * (1 + math.cos(math.pi * (t - WARM) / (TOTAL - WARM)))


proven(by_hand, warm_then_cosine, TOTAL)


# %% [markdown]
# Three numbers have to fit: `total_iters` and the milestone are the same, so the warm-up ends where the cosine begins, and `T_max` is what is left of the training.
#
# **ChainedScheduler** puts schedulers not behind but upon one another: all of them step every time, one after the other, each on the rate that it finds. Parts that multiply what is there (5.1) multiply their factors. LambdaLR, CosineAnnealingWarmRestarts, CyclicLR and OneCycleLR do not: they overwrite what stood before them. The same two parts, in sequence and chained:

# %% covers=["w5-sched-summary"] tags=["proof"]
def parts(optimizer):
    return [
        lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=20),
        lr_scheduler.ExponentialLR(optimizer, gamma=0.95),
    ]


def in_sequence(optimizer):
    return lr_scheduler.SequentialLR(optimizer, parts(optimizer), milestones=[20])


def chained(optimizer):
    return lr_scheduler.ChainedScheduler(parts(optimizer))


def warm(t):
    return 0.1 + 0.9 * min(t, 20) / 20


proven(lambda t: LR * (warm(t) if t < 20 else 0.95 ** (t - 20)), in_sequence)
proven(lambda t: LR * warm(t) * 0.95**t, chained)

# %%
together = {
    "LinearLR, CosineAnnealingLR, milestone 5": pair(warm_then_cosine),
    "LinearLR, ExponentialLR in sequence": pair(in_sequence),
    "LinearLR and ExponentialLR chained": pair(chained),
}
curves.plot_lr_curves(together, epochs=60, title="One after the other, or all at once")

# %% [markdown]
# In sequence the decay starts from the full rate at epoch 20. Chained it has been at work from the beginning, and the full rate is never reached. For warm-up take SequentialLR; ChainedScheduler is for factors that are meant together.
#
# One member of the family can never be a part, because its `step` needs a metric, and torch says so at once. (Nor should a SequentialLR contain another SequentialLR or a ChainedScheduler: it is accepted, and goes wrong at a milestone.)

# %% covers=["w5-sched-summary"]
optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
watching = lr_scheduler.ReduceLROnPlateau(optimizer)
rising = lr_scheduler.LinearLR(optimizer)
with expected_error(ValueError):
    lr_scheduler.SequentialLR(optimizer, [rising, watching], milestones=[5])
with expected_error(ValueError):
    lr_scheduler.ChainedScheduler([rising, watching])


# %% [markdown]
# ### Exercise 5.5 Warm-up and cosine in one function · 12 min · ★★★
#
# LambdaLR can do all of this when its function is right. Write `factor(step, warmup, total)`, the factor for the initial rate:
#
# - for the first `warmup` steps it rises in a straight line, $1/\text{warmup}$ at step 0, $2/\text{warmup}$ at step 1, …, so that it is 1 at step `warmup − 1`;
# - from step `warmup` on it follows half a cosine wave, which begins at 1 at step `warmup` and is 0 at step `total`;
# - from step `total` on it stays 0.

# %% tags=["exercise"]
def factor(step, warmup, total):
    # three ints -> a float from 0 to 1
    ...


# %% tags=["check"]
check.factor(factor)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Three cases, three `return`. In the second one, which share of its own way has the cosine gone? It starts at `warmup` and has `total - warmup` steps.
# </details>
# <details><summary>Hint 2</summary>
#
# With that share $p$ from 0 to 1 the half wave is $\frac12 (1 + \cos \pi p)$. And a factor is a factor: the rate 0.1 doesn't occur in it.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def factor(step, warmup, total):
#     # three ints -> a float from 0 to 1
#     if step < warmup:
#         return (step + 1) / warmup
#     if step >= total:
#         return 0.0
#     share = (step - warmup) / (total - warmup)
#     return (1 + math.cos(math.pi * share)) / 2
# ```
# </details>

# %% [markdown]
# `LambdaLR(optimizer, lambda step: factor(step, 500, 10_000))`, stepped per batch, is how many large models are trained. It begins with $1/\text{warmup}$ and not with 0, so that no step is wasted.

# %% [markdown] covers=["w5-lr-init"]
# ### The first rate
#
# All schedules have one number in common that no scheduler knows: where to begin (学习率初始化). The old course's advice was to start small, with 0.01, 0.001 or 0.0001. That is safe and often slow. A **range test** (Smith, 2015) measures it, with little more than a hundred batches: take growing rates, one batch each, from far too small to far too large, and look at the loss.
#
# The data and the network of lesson 5.2, in three parts now: training, validation and test.

# %% covers=["w5-lr-init"]
digits = data.digits()
pixels = F.avg_pool2d(digits.images.unsqueeze(1).float() / 255, 2).flatten(1).to(device)
labels = digits.labels.to(device)
order = torch.randperm(5000, generator=torch.Generator().manual_seed(seed)).to(device)
train_part, valid_part, test_part = order.split([3200, 600, 1200])
valid_batches = [(pixels[valid_part], labels[valid_part])]
test_batches = [(pixels[test_part], labels[test_part])]


def one_epoch():
    """64 batches of 50, in a new order."""
    shuffled = train_part[torch.randperm(3200).to(device)]
    return list(zip(pixels[shuffled].split(50), labels[shuffled].split(50), strict=True))


def new_net(number, lr):
    torch.manual_seed(number)
    net = nn.Sequential(nn.Linear(196, 32), nn.ReLU(), nn.Linear(32, 10)).to(device)
    return net, torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)


# %% [markdown]
# A test must not spoil what it tests. After the growing rates the weights are ruined and the momentum is full of wild gradients, so both are put back. `state_dict()` gives the tensors themselves, not copies: hence the `deepcopy`.

# %% covers=["w5-lr-init"]
def range_test(net, optimizer, batches, low=1e-3, high=10.0):
    """The loss at each of the growing rates; net and optimizer are as before afterwards."""
    kept = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    was_training, losses = net.training, []
    rates = np.geomspace(low, high, len(batches)).tolist()  # equal ratios, not differences
    net.train()
    for rate, (inputs, targets) in zip(rates, batches, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = F.cross_entropy(net(inputs), targets)
        losses.append(loss.item())
        if not losses[-1] < 4 * losses[0]:  # flown off, or nan
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.load_state_dict(kept[0])
    optimizer.load_state_dict(kept[1])
    optimizer.zero_grad()
    net.train(was_training)
    return rates[: len(losses)], losses


# %% [markdown]
# Is everything back? A network trains for an epoch, so that it has a momentum to lose. Then it gets a twin, and only the twin goes through a range test. If nothing is left of the test, both continue alike, to the last bit.

# %% covers=["w5-lr-init"] tags=["proof"]
net, optimizer = new_net(seed, lr=0.1)
training.train_epoch(net, one_epoch(), F.cross_entropy, optimizer)
twin, twin_optimizer = new_net(seed, lr=0.1)
twin.load_state_dict(net.state_dict())
twin_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))

batches = one_epoch()
range_test(twin, twin_optimizer, batches)
for (name, weight), other in zip(net.named_parameters(), twin.parameters(), strict=True):
    momentum = optimizer.state[weight]["momentum_buffer"]
    assert torch.equal(momentum, twin_optimizer.state[other]["momentum_buffer"]), name
print("rate:", twin_optimizer.param_groups[0]["lr"])
losses = [
    training.train_epoch(n, batches, F.cross_entropy, o)
    for n, o in [(net, optimizer), (twin, twin_optimizer)]
]
print("the next epoch has the same loss:", losses[0] == losses[1])
assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))

# %% [markdown]
# (A network with dropout would also have drawn random numbers on the way; keep `torch.get_rng_state()` too if that matters.)
#
# Now a fresh network and two epochs of batches: 128 rates from 0.001 to 10. Each batch has a loss of its own, so an average with bias correction (the one from Adam, β = 0.9) is drawn beside it.

# %% covers=["w5-lr-init"] tags=["nbval-ignore-output"]
net, optimizer = new_net(seed, lr=0.1)
rates, losses = range_test(net, optimizer, one_epoch() + one_epoch())
average, smooth = 0.0, []
for t, loss in enumerate(losses, start=1):
    average = 0.9 * average + 0.1 * loss
    smooth.append(average / (1 - 0.9**t))
lowest = rates[int(np.argmin(smooth))]
assert 0.2 < lowest < 2 and smooth[-1] > 1.5 * min(smooth)
curves.function_plot(
    {"each batch": (np.log10(rates), losses), "average": (np.log10(rates), smooth)},
    x_label="log10 of the learning rate",
    y_label="loss",
    title=f"Range test: the average is lowest at a rate of {lowest:.2f}",
)

# %% [markdown]
# Three regions: at the left nothing moves, in the middle the loss falls, at the right it flies off. The lowest point is **not** the rate to take. There the steps are already about to become too long, and the loss is that low only thanks to the smaller rates before. A usual rule is a tenth of it. Does the rule hold? Two epochs with a constant rate, for four rates around it:

# %% covers=["w5-lr-init"] tags=["nbval-ignore-output"]
choice = lowest / 10
after = {}
for times in (0.1, 1, 10, 100):
    net, optimizer = new_net(seed, lr=choice * times)
    for _ in range(2):
        training.train_epoch(net, one_epoch(), F.cross_entropy, optimizer)
    after[times] = training.evaluate(net, valid_batches, F.cross_entropy).loss
    print(f"rate {choice * times:6.3f}: validation loss {after[times]:.2f}")
assert after[1] < min(after[0.1], after[10], after[100])


# %% [markdown]
# A tenth of the choice crawls, ten times the choice (the lowest point itself) is worse, a hundred times destroys. A range test finds the right **power of ten** for very little; it is no precise instrument. Its answer belongs to this network, this batch size and this optimizer, and a schedule that begins with a peak, or lowers the rate later, bears somewhat more.

# %% [markdown]
# ### Exercise 5.6 The choice · 12 min · ★★
#
# Write the rule as a function. `choose(rates, losses)` gets two lists of equal length from a range test. It averages the losses as above (β = 0.9, with bias correction), finds the rate at which the average is lowest, and returns a **tenth** of it. In some tests the loss ends in `nan` or `inf`: these places, and all behind the first of them, don't count. The first entry is always finite.

# %% tags=["exercise"]
def choose(rates, losses):
    # two lists of floats -> a float
    ...


# %% tags=["check"]
check.choose(choose)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Copy the loop with `average` and `smooth`, and let it end with `if not math.isfinite(loss): break`.
# </details>
# <details><summary>Hint 2</summary>
#
# Look for the **place** of the smallest average, and read the rate at that place: `smooth.index(min(smooth))`. Then a tenth.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def choose(rates, losses):
#     # two lists of floats -> a float
#     average, smooth = 0.0, []
#     for t, loss in enumerate(losses, start=1):
#         if not math.isfinite(loss):
#             break
#         average = 0.9 * average + 0.1 * loss
#         smooth.append(average / (1 - 0.9**t))
#     return rates[smooth.index(min(smooth))] / 10
# ```
# </details>

# %% [markdown] covers=["w5-step-per-epoch"]
# ### What is it worth?
#
# Constant, step, cosine, one cycle: a real comparison on the digits. From week 4 you know what makes it fair. The same budget (5 epochs, 320 batches), the same networks and batches, and each may choose its rate among the same four. Two more rules:
#
# - the rate is chosen on the **validation** part, with one network, and the result comes from the **test** part, with five other networks;
# - not the mean alone is reported but all five: a difference that is smaller than the **spread** (波动) between networks is no difference.
#
# All four are stepped per batch, with their arguments in batches. OneCycleLR leaves the momentum alone, so that only the rate differs.

# %% covers=["w5-step-per-epoch"]
EPOCHS, STEPS = 5, 5 * 64
schedules = {
    "constant": lambda o, peak: lr_scheduler.ConstantLR(o, factor=1.0),
    "step": lambda o, peak: lr_scheduler.MultiStepLR(o, [STEPS // 2, 3 * STEPS // 4]),
    "cosine": lambda o, peak: lr_scheduler.CosineAnnealingLR(o, STEPS),
    "one cycle": lambda o, peak: lr_scheduler.OneCycleLR(
        o, peak, total_steps=STEPS, cycle_momentum=False
    ),
}


def run(name, peak, number):
    """Train network `number`: its validation loss after each epoch, its scores in the test."""
    net, optimizer = new_net(number, peak)
    scheduler = schedules[name](optimizer, peak)
    valid = []
    for _ in range(EPOCHS):
        training.train_epoch(net, one_epoch(), F.cross_entropy, optimizer, scheduler.step)
        valid.append(training.evaluate(net, valid_batches, F.cross_entropy).loss)
    return valid, training.evaluate(net, test_batches, F.cross_entropy)


# %% [markdown]
# First everybody's rate. `train_epoch` calls `scheduler.step` after each batch.

# %% tags=["nbval-ignore-output"]
peaks = {}
for name in schedules:
    tries = {peak: run(name, peak, seed + 1000)[0][-1] for peak in (0.05, 0.1, 0.2, 0.4)}
    peaks[name] = min(tries, key=tries.get)
    print(f"{name:9}", *(f"{peak}: {loss:.3f}" for peak, loss in tries.items()), sep="  ")
print("chosen:", peaks)
assert all(peaks[name] >= 0.1 for name in ("cosine", "one cycle"))

# %% [markdown]
# Those that end with small steps can afford a large rate before. The constant rate has to be a compromise. (The best rate lies between the others: had the largest won everywhere, we would have had to look further.) Now the five networks each.

# %%
question = predict(
    "Who has the highest validation loss after the first of five epochs?", list(schedules)
)
question

# %%
runs = {name: [run(name, peaks[name], seed + 2000 + k) for k in range(5)] for name in schedules}
courses = {name: np.mean([valid for valid, _ in five], axis=0) for name, five in runs.items()}
assert courses["one cycle"][0] > courses["cosine"][0]
question.reveal(max(courses, key=lambda name: courses[name][0]))

# %% [markdown]
# The whole way, as the mean of the five networks:

# %% tags=["nbval-ignore-output"]
assert all(course[-1] < course[0] for course in courses.values())
curves.loss_curves(courses, "epoch", "validation loss", title="Mean of five networks")

# %% [markdown]
# One cycle is still warming up when the others learn, and it makes up for it at the end. A schedule can be judged only when it is over: cosine stopped after three of its five epochs is not "cosine with three epochs".
#
# And the test part. Each line has one schedule's five networks, from the best to the worst.

# %% tags=["nbval-ignore-output"]
tests = {name: sorted(scores.loss for _, scores in five) for name, five in runs.items()}
for name, five in runs.items():
    accuracy = np.array([100 * scores.accuracy for _, scores in five])
    mean, spread = np.mean(tests[name]), np.std(tests[name], ddof=1)
    print(f"{name:9} loss {mean:.3f} ± {spread:.3f}", end="   ")
    print(f"accuracy {accuracy.mean():.1f} ± {accuracy.std(ddof=1):.1f} %")
means = {name: np.mean(losses) for name, losses in tests.items()}
assert max(means["cosine"], means["one cycle"]) < means["constant"]
assert abs(means["cosine"] - means["one cycle"]) < 0.05
curves.loss_curves(
    tests,
    "rank",
    "test loss",
    title="Test loss of five networks each, from best (0) to worst",
)

# %% [markdown]
# Read it with the spread in mind:
#
# - **A decay helps.** Nearly every network of cosine and one cycle ends below nearly every one of the constant rate; step does about as well as they. It costs one line of code.
# - **Which decay?** The lines of step, cosine and one cycle run through the same narrow band. From five networks nobody can say which is better, and a table with three digits that says so says too much.
# - In accuracy the decays gain two or three percent, and the constant rate alone has a spread of about one. Who trains one network with each schedule may find much more, or nothing.
#
# And it holds for these digits, this network and five epochs. That is what an honest comparison looks like: smaller than one had hoped for.

# %% [markdown] covers=["w5-sched-summary"]
# ### Which one, then?
#
# | your situation | take | step it |
# |---|---|---|
# | you know how long you train | `CosineAnnealingLR`, with a warm-up through `SequentialLR` | per batch or per epoch |
# | a short training, a large rate | `OneCycleLR` | per batch |
# | you don't know how long | `ReduceLROnPlateau` | after each validation, with the metric |
# | a paper's recipe | `MultiStepLR`, `PolynomialLR`, as it says | as it says |
# | you want several good networks from one training | `CosineAnnealingWarmRestarts` | per epoch, or in fractions |
# | something of your own | `LambdaLR` | in the unit that your function counts |
# | the factor of one step is easier to say than that since the start | `MultiplicativeLR` | in the same unit |
# | a piece of a schedule: a straight line, or a lower rate for a while | `LinearLR`, `ConstantLR` | as the whole |
# | a rate that swings between two bounds, for as long as you like | `CyclicLR` | per batch |
# | two rules at once, whose factors multiply (no LambdaLR among them) | `ChainedScheduler` | as its parts |
#
# The order of the day: first the range test, then a schedule, then several networks before you believe that a change was one.

# %% [markdown] covers=["w5-tensorboard", "w5-err-task-links"]
# ## 5.4 TensorBoard: numbers over time
#
# A training run prints a line an epoch. After ten runs nobody knows any more which lines belonged to which, and what nobody printed is lost. **TensorBoard** is the usual answer: while it trains, the program writes down what may be of interest; a second program shows it in the browser, all runs side by side. It was born in TensorFlow; today it stands on its own, and torch writes its files.
#
# The old course names eight kinds of things. This lesson has the numbers; lesson 5.5 has the others, and a few more:
#
# | what | method | what it needs beside torch and tensorboard |
# |---|---|---|
# | scalars (标量) | `add_scalar`, `add_scalars` | nothing |
# | histograms (直方图) | `add_histogram` | nothing |
# | images (图像) | `add_image`, `add_images` | pillow, which is installed with torchvision |
# | text | `add_text` | nothing |
# | audio | `add_audio` | nothing |
# | video | `add_video` | the package moviepy |
# | graphs (计算图) | `add_graph` | nothing |
# | embeddings | `add_embedding` | nothing |
#
# (The task sheet of the old course linked these tasks to the lessons of the week before, a slip of copying. Here every exercise stands in the lesson that it belongs to.)

# %% [markdown] covers=["w5-tb-mechanism", "w5-tb-install"]
# ### Two programs and a file between them
#
# ```
#  your program                 a folder on disk              tensorboard               browser
# ┌──────────────────┐         ┌────────────────────┐        ┌─────────────┐        ┌────────────┐
# │ SummaryWriter    │ ──────► │ events.out.tfev…   │ ─────► │ reads, and  │ ─────► │ curves,    │
# │ .add_scalar(…)   │ writes  │ (the event file)   │  reads │ serves pages│  shows │ pictures … │
# └──────────────────┘         └────────────────────┘        └─────────────┘        └────────────┘
# ```
#
# The two programs (运行机制) never speak to each other. So you may start TensorBoard before, during or after the training, on another day, on another computer: all it needs is the folder. Nothing has to be installed here, the course has it (TensorBoard安装).
#
# > **Then and now.** `pip install tensorbord` and `pip install future`, says the old course, and `tensorflow` where that did not help. The first name is misspelt, and a misspelt package is a danger: anyone may offer a program under it. The other two are no longer needed.
# >
# > `from tensorboardX import SummaryWriter` was the way while torch had no writer of its own. It has one since 2019, and the setup cell of this notebook imports it: `from torch.utils.tensorboard import SummaryWriter`.
#
# Here is the course's own line, and what is really installed:

# %% covers=["w5-tb-install", "w5-err-pip-names", "w5-summarywriter"] tags=["then-and-now"]
from importlib import metadata, util  # only this cell looks at what is installed

import tensorboard

asked = metadata.requires("course_utils")
print("the course asks for:", [line for line in asked if "tensor" in line])
installed = tuple(map(int, tensorboard.version.VERSION.split(".")[:2]))
print("tensorboard 2.21 or newer is installed:", installed >= (2, 21))
print("tensorflow is installed:", util.find_spec("tensorflow") is not None)
with expected_error(ModuleNotFoundError):
    from tensorboardX import SummaryWriter

# %% [markdown] covers=["w5-add-scalar"]
# ### A first curve
#
# A **scalar** is one number at one step. `add_scalar(tag, value, global_step)` notes it (记录标量): the **tag** is the name of the curve, the step its place on the x axis. (New since the old course are the arguments `new_style` and `double_precision`; we come to them.) A hundred points of y = 2x:

# %% covers=["w5-tensorboard", "w5-summarywriter", "w5-add-scalar", "w5-tb-mechanism"]
logs = Path(tempfile.mkdtemp())
with SummaryWriter(log_dir=logs) as writer:
    for x in range(100):
        writer.add_scalar("y = 2x", 2 * x, global_step=x)
for file in logs.iterdir():
    print("one file:", ".".join(file.name.split(".")[:3]), "and more in its name")

# %% [markdown] covers=["w5-tb-readback"]
# One file, named `events.out.tfevents`, followed by the second of its start, the computer, and the process. The `with` closes it at the end; without it, `writer.close()` is yours to remember.
#
# What is in it? TensorBoard has a reader of its own, `EventAccumulator`, and you may use it as well. Nothing but the folder goes in:

# %% covers=["w5-tb-readback", "w5-add-scalar", "w5-tb-run"]
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(str(logs)).Reload()
print("tags:", events.Tags()["scalars"])
written = events.Scalars("y = 2x")
print(len(written), "events, the last has step", written[-1].step)
print("at step", written[50].step, "the value", written[50].value)
assert [(event.step, event.value) for event in written] == [(x, 2 * x) for x in range(100)]

# %% [markdown]
# So event files are no secret, and no browser is needed to look into them. From here on we let `course_utils.board` do these lines: `board.read(folder)` gives everything that was written as plain lists and tensors, and `board.draw_…` draws it.

# %% covers=["w5-tb-run"]
run = board.read(logs)
print(run)
print(run.scalars["y = 2x"].values[:5])
board.draw_scalars(run, title="Written to a file, read back, drawn")


# %% [markdown]
# ### Exercise 5.7 A line for the record · 8 min · ★
#
# Write `write_line(folder, tag, slope, steps)`. It writes a new event file into `folder`, with the curve `tag`: for each `x` of `steps` (a list of whole numbers such as `[0, 10, 20]`) the value `slope * x`, at step `x`. When the function returns, the file must be closed.

# %% covers=["w5-ex-y2x"] tags=["exercise"]
def write_line(folder, tag, slope, steps):
    # a writer, and one add_scalar for each x of steps
    ...


# %% covers=["w5-ex-y2x"] tags=["check"]
check.write_line(write_line)

# %% [markdown] covers=["w5-ex-y2x"]
# <details><summary>Hint 1</summary>
#
# A `with SummaryWriter(…) as writer:` closes the file when its block ends.
# </details>
# <details><summary>Hint 2</summary>
#
# `add_scalar` takes the tag, the value, the step, in this order. Without a step every point lands at step 0.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def write_line(folder, tag, slope, steps):
#     with SummaryWriter(folder) as writer:
#         for x in steps:
#             writer.add_scalar(tag, slope * x, x)
# ```
# </details>

# %% [markdown] covers=["w5-sw-purge-queue-flush"]
# ### What a SummaryWriter may be told
#
# Six arguments, all with a default (其他参数):

# %% covers=["w5-sw-purge-queue-flush", "w5-sw-log-dir", "w5-sw-comment", "w5-sw-filename-suffix"]
import inspect  # to read the defaults from the function itself

for name, parameter in inspect.signature(SummaryWriter).parameters.items():
    print(f"{name:16} {parameter.default!r}")

# %% [markdown] covers=["w5-sw-log-dir", "w5-sw-comment", "w5-err-log-dir"]
# `log_dir` is the folder of the event file (event file输出文件夹). Left out, it becomes `runs/<date>_<host>`, a new one for each run, and `comment` is put at its end. Where is this `runs`?
#
# > **Myth.** "`log_dir=None` creates `runs` in the folder of the current .py file." We go to an empty folder for a moment, and look where `runs` comes to be:

# %%
question = predict("The default folder runs is made", ["beside the program", "where we are"])
question

# %% covers=["w5-sw-log-dir", "w5-sw-comment", "w5-err-log-dir"]
import contextlib  # chdir goes back at the end of its block

elsewhere = Path(tempfile.mkdtemp())
with contextlib.chdir(elsewhere):
    with SummaryWriter(comment="_lr0.1") as writer:
        chosen = Path(writer.get_logdir())
print(chosen.parts[0], "/ (date and host)" + chosen.name[-6:])
print("in the folder where we were:", [path.name for path in elsewhere.iterdir()])
assert (elsewhere / chosen).is_dir()
question.reveal("where we are" if (elsewhere / "runs").exists() else "beside the program")

# %% [markdown] covers=["w5-sw-filename-suffix", "w5-sw-comment"]
# The writer knows of no .py file, only of the folder we are in. So the same program, started from two places, leaves two folders `runs`. So give `log_dir` yourself: a name that says what the run is, not when it was. Then `comment` is ignored. `filename_suffix` (文件名后缀) is put at the end of the file's name.

# %% covers=["w5-sw-filename-suffix", "w5-sw-comment"]
chosen = Path(tempfile.mkdtemp()) / "lr0.1"
with SummaryWriter(chosen, comment="_ignored", filename_suffix=".first") as writer:
    print("folder:", Path(writer.get_logdir()).name)
print("file ends in:", [file.suffix for file in chosen.iterdir()])
assert Path(writer.get_logdir()) == chosen

# %% [markdown]
# ### One folder, one run
#
# A notebook's cell is run again and again, and each time a new writer opens. What becomes of the first file?

# %%
question = predict(
    "A cell that writes steps 0, 1, 2 runs twice, with one folder. The curve then has",
    ["3 points", "6 points"],
)
question

# %% covers=["w5-sw-log-dir"]
chosen = Path(tempfile.mkdtemp())
for attempt in range(2):
    with SummaryWriter(chosen) as writer:
        for step in range(3):
            writer.add_scalar("loss", 10 * attempt + step, step)
twice = board.read(chosen).scalars["loss"]
print(len(list(chosen.iterdir())), "files, with the steps", sorted(twice.steps))
question.reveal(f"{len(twice.steps)} points")

# %% [markdown] covers=["w5-sw-purge-queue-flush"]
# Both, in one curve that jumps back to the start: the zigzag that everybody has seen once in TensorBoard. **A new run needs a new folder.** In this notebook each cell that writes makes its own.
#
# There is one good reason to go on in the old folder: the program crashed, and you go on from a checkpoint. Say it crashed after step 7, and the last checkpoint is of step 5. Then steps 5 to 7 were written and will come again. `purge_step=5` says: forget what was there from 5 on.

# %% covers=["w5-sw-purge-queue-flush"]
import time  # a restart is never within the second in which the first file was begun

chosen = Path(tempfile.mkdtemp())
with SummaryWriter(chosen) as writer:
    for step in range(8):
        writer.add_scalar("loss", step, step)
time.sleep(1.1)
with SummaryWriter(chosen, purge_step=5) as writer:
    for step in range(5, 10):
        writer.add_scalar("loss", 100 + step, step)
print(board.read(chosen).scalars["loss"].values)

# %% [markdown] covers=["w5-sw-purge-queue-flush"]
# Nothing was deleted: both files are there, and the reader leaves out what was taken back.
#
# The last two arguments are about time. A training must not wait for a disk, so `add_scalar` only puts its entry into a queue, and a thread of its own writes. `max_queue=10`: when ten are waiting, the next `add_` has to wait too. `flush_secs=120`: where files can't be added to, as in some stores in the net, they are brought up to date that often; on a disk the thread writes each entry as soon as it can.
#
# Whoever reads at any moment therefore sees all, or a little less. `flush()` waits until the queue is empty and everything is in the file; `close()` does that too, and ends the thread. A program that ends without either may lose the last entries.

# %% covers=["w5-sw-purge-queue-flush"]
chosen = Path(tempfile.mkdtemp())
writer = SummaryWriter(chosen)
for step in range(200):
    writer.add_scalar("loss", 0.5, step)
before = len(board.read(chosen).scalars.get("loss", ([], []))[0])
writer.flush()
after = len(board.read(chosen).scalars["loss"].steps)
writer.close()
print("before flush between 0 and 200:", 0 <= before <= 200)
print("after flush:", after)

# %% [markdown] covers=["w5-add-scalar"]
# ### How exactly is a number kept?
#
# As a float of 32 bits, 7 digits. That is enough for a loss. For a counter of tokens it may not be, and there is the argument `double_precision`. Look closely at what it needs:

# %% covers=["w5-add-scalar"] tags=["proof"]
chosen = Path(tempfile.mkdtemp())
with SummaryWriter(chosen) as writer:
    writer.add_scalar("plain", math.pi, 0)
    writer.add_scalar("double alone", math.pi, 0, double_precision=True)
    writer.add_scalar("double, new style", math.pi, 0, double_precision=True, new_style=True)
for tag, series in board.read(chosen).scalars.items():
    print(f"{tag:18} off by {abs(series.values[0] - math.pi):.1e}")
assert board.read(chosen).scalars["plain"].values[0] == np.float32(math.pi)

# %% [markdown]
# `double_precision` alone changes nothing: the old place for a scalar has 32 bits. `new_style=True` puts it into a tensor, and there it keeps all its digits.
#
# ### Reading everything, or a sample
#
# One trap of `EventAccumulator`: by default it keeps a sample only, so that a long run fits into memory. Of twenty histograms it keeps one. `size_guidance` says how many you want of each kind; 0 means all, and `board` reads so.

# %% covers=["w5-tb-readback"]
chosen = Path(tempfile.mkdtemp())
with SummaryWriter(chosen) as writer:
    for step in range(20):
        writer.add_histogram("values", torch.full((3,), float(step)), step)
for wanted in (None, {"histograms": 0}):
    kept = EventAccumulator(str(chosen), size_guidance=wanted).Reload().Histograms("values")
    print(f"size_guidance={wanted}: {len(kept)} of 20")

# %% [markdown] covers=["w5-add-scalars"]
# ### Two curves in one chart
#
# The loss on the training data alone says little. What we want is the loss on the training data **and** on the validation data, in one chart (多条曲线). `add_scalars(main_tag, {name: value}, step)` writes several at once:

# %% covers=["w5-add-scalars"]
logs = Path(tempfile.mkdtemp())
with SummaryWriter(logs) as writer:
    for step in range(30):
        losses = {"Train": 0.9**step, "Valid": 0.4 + 0.6 * 0.85**step}
        writer.add_scalars("Loss", losses, step)
for name, run in board.runs(logs).items():
    print(name, "holds", list(run.scalars))

# %% [markdown]
# Look at the names: `add_scalars` made a **run** for each curve, a folder of its own with an event file of its own: `Loss_Train`, `Loss_Valid`. The tag in both is `Loss`. That is TensorBoard's rule: *one chart for each tag, in it one curve for each run.* You can do it by hand with two writers, for `logs/train` and `logs/valid`, and the same tag. (A tag with a slash, `loss/train`, is something else: it puts charts into one section, but each stays alone.)

# %% covers=["w5-add-scalars"]
board.draw_scalars(logs, "Loss", title="One tag, two runs: one chart")

# %% [markdown]
# A chart of several tags of one run is possible too, on the page *Custom Scalars*. A **layout** says what goes where: `Multiline` for several curves, `Margin` for a curve between two bounds. Three methods write one; the last two are short for a layout of one chart. TensorBoard shows the last layout that a folder got, so write all of it in one call.

# %%
layout = {
    "losses": {"both": ["Multiline", ["loss/train", "loss/valid"]]},
    "spread": {"five seeds": ["Margin", ["mean", "mean - std", "mean + std"]]},
}
with SummaryWriter(logs) as writer:
    writer.add_custom_scalars(layout)
with SummaryWriter(logs / "a") as writer:
    writer.add_custom_scalars_multilinechart(["loss/train", "loss/valid"], category="losses")
with SummaryWriter(logs / "b") as writer:
    tags = ["mean", "mean - std", "mean + std"]
    writer.add_custom_scalars_marginchart(tags, category="spread")
for name in (".", "a", "b"):
    print(name, board.read(logs / name).layout)

# %% [markdown] covers=["w5-monitor-metrics"]
# ### A real training, watched
#
# Now what it is for (模型指标监控). A small network learns digits; 600 for training and 500 for validation, so little that something will go wrong. It computes on the CPU and in double precision, so that every machine draws the same curves.

# %% covers=["w5-monitor-metrics"]
digits = data.digits()
order = torch.randperm(5000, generator=torch.Generator().manual_seed(seed))
images = digits.images[order].flatten(1).double() / 255
labels = digits.labels[order]
train_set = TensorDataset(images[:600], labels[:600])
valid_set = TensorDataset(images[600:1100], labels[600:1100])
print(len(train_set), "to train,", len(valid_set), "to validate")


# %% [markdown]
# The loop writes five things an epoch: loss and accuracy of both parts, measured after the epoch in the same way; and for each parameter a histogram of its weights, and one of its gradients. `train_epoch` empties the gradients at the *beginning* of a step (week 4), so those of the last batch are still there.

# %% covers=["w5-monitor-metrics", "w5-add-scalars", "w5-add-histogram"]
def watched_training(folder, epochs=20):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)).double()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    batches = DataLoader(train_set, 50, shuffle=True, **session.loader_seeding(seed))
    with SummaryWriter(folder) as writer:
        for epoch in range(epochs):
            training.train_epoch(net, batches, F.cross_entropy, optimizer)
            train = training.evaluate(net, DataLoader(train_set, 600), F.cross_entropy)
            valid = training.evaluate(net, DataLoader(valid_set, 500), F.cross_entropy)
            writer.add_scalars("Loss", {"Train": train.loss, "Valid": valid.loss}, epoch)
            accuracies = {"Train": train.accuracy, "Valid": valid.accuracy}
            writer.add_scalars("Accuracy", accuracies, epoch)
            for name, parameter in net.named_parameters():
                writer.add_histogram(f"weights/{name}", parameter, epoch)
                writer.add_histogram(f"gradients/{name}", parameter.grad, epoch)
    return net


logs = Path(tempfile.mkdtemp())
net = watched_training(logs)
watched = logs  # to be opened in the browser at the end of the lesson
print(list(board.runs(logs)))

# %% [markdown]
# Four runs for four curves, and the folder itself for the histograms. The losses in one chart. Before you look: what will the two curves do?

# %%
question = predict(
    "Over 20 epochs the loss on the validation data",
    ["falls to the end", "falls, then rises again", "rises from the start"],
)
question

# %% covers=["w5-monitor-metrics"]
written = board.runs(logs)
train = written["Loss_Train"].scalars["Loss"].values
valid = written["Loss_Valid"].scalars["Loss"].values
lowest = valid.index(min(valid))
assert train[-1] < 0.05 and 0 < lowest < 19 and valid[-1] > valid[lowest]
question.reveal("falls, then rises again" if 0 < lowest < 19 else "falls to the end")

# %% covers=["w5-monitor-metrics"]
board.draw_scalars(logs, "Loss", title="The two losses part: it begins to learn by heart")

# %% [markdown]
# That is the picture TensorBoard is opened for. From where the lower curve goes on falling while the upper one turns, the network learns the 600 pictures by heart (overfitting). Is it getting worse, then? The accuracies:

# %% covers=["w5-monitor-metrics"]
board.draw_scalars(logs, "Accuracy", title="The accuracy does not suffer")

# %% [markdown] covers=["w5-add-histogram"]
# The share of right answers stays where it is. What rises is the price of the wrong ones: the network becomes ever more certain, also where it is wrong. One chart alone would have told half of it.
#
# ### Histograms over time
#
# A **histogram** per epoch (直方图与多分位数折线图) shows a whole layer at once. TensorBoard draws the oldest at the back; so does `board`:

# %% covers=["w5-add-histogram"]
board.draw_histograms(logs, "weights/2.weight", title="The last layer's weights spread out")

# %% [markdown]
# Of the 20 steps 12 are drawn, evenly chosen. After one epoch, at step 0, the weights are still nearly the flat box of nn.Linear's initial weights (week 4); then they grow apart. What is behind such a picture: for each bin a count, and for all values together their number, sum and sum of squares. So mean and standard deviation are exact, the rest is as fine as the bins.

# %% covers=["w5-add-histogram"] tags=["proof"]
last = board.read(logs).histograms["weights/2.weight"][-1]
weight = net[2].weight.detach()
print("values:", int(last.counts.sum()), "in", len(last.counts), "bins")
assert int(last.counts.sum()) == weight.numel() == 640
assert math.isclose(last.mean, weight.mean(), abs_tol=1e-9)
assert math.isclose(last.std, weight.std(correction=0), abs_tol=1e-9)
assert (last.low, last.high) == (weight.min(), weight.max())
counts = torch.histogram(weight.flatten(), last.edges)[0]
print("bins that torch counts otherwise:", int((counts - last.counts).abs().sum()))

# %% [markdown]
# The bins are TensorBoard's own, each a tenth wider than the one before, symmetric about 0: fine for tiny gradients and coarse for large weights, whatever the layer. With `bins=` you choose others, with `max_bins=` fewer. And who has counted already, for data too large to hand over, writes the result with `add_histogram_raw`:

# %% covers=["w5-add-histogram"]
values = torch.tensor([0.5, 0.5, 0.6, 1.5, 3.9])
chosen = Path(tempfile.mkdtemp())
with SummaryWriter(chosen) as writer:
    writer.add_histogram("four bins", values, bins=[0, 1, 2, 3, 4])
    writer.add_histogram_raw(
        "counted before", min=0, max=4, num=5, sum=7.0, sum_squares=18.32,
        bucket_limits=[1.0, 2.0, 3.0, 4.0], bucket_counts=[3, 1, 0, 1],
    )  # fmt: skip
for tag, (entry,) in board.read(chosen).histograms.items():
    print(f"{tag:14} {entry.counts.tolist()} between {entry.edges.tolist()}")

# %% [markdown]
# Now the gradients of the same training:

# %% covers=["w5-add-histogram", "w5-monitor-metrics"]
board.draw_histograms(logs, "gradients/2.weight", title="The gradients shrink")

# %% [markdown] covers=["w5-gradients-shrink"]
# They gather at 0. Vanishing gradients, as in week 4's deep network? No: those are small from the *first* step on, in the layers far from the loss, and the loss stays high. Here the loss is nearly 0, and there is nothing left to correct (梯度变小). A case that can be followed to the end, a linear layer that can fit its data exactly:

# %% covers=["w5-gradients-shrink"]
generator = torch.Generator().manual_seed(seed)
inputs = torch.randn(200, 16, dtype=torch.float64, generator=generator)
targets = inputs @ torch.randn(16, dtype=torch.float64, generator=generator)
weight, losses, sizes = torch.zeros(16, dtype=torch.float64, requires_grad=True), [], []
while not losses or losses[-1] > 1e-4:
    loss = (inputs @ weight - targets).square().mean()
    (gradient,) = torch.autograd.grad(loss, weight)
    losses.append(loss.item())
    sizes.append(gradient.std().item())
    weight.data -= 0.05 * gradient
assert sizes[-1] < sizes[0] / 100
ratios = [size / loss**0.5 for size, loss in zip(sizes, losses, strict=True)]
print("loss at the end below 1e-4:", losses[-1] < 1e-4)
print("gradients 100 times smaller than at the start, or more:", sizes[-1] < sizes[0] / 100)
print(
    "gradient / root of the loss: largest below 3 times smallest:",
    max(ratios) < 3 * min(ratios),
)

# %% [markdown]
# The gradient goes down as the root of the loss does, in step with it. So read gradient histograms together with the loss, never alone.
#
# > **Then and now.** The old course writes `p.grad` after `optimizer.zero_grad()`. In its time that was a tensor of zeros, and the histogram a needle at 0, silently. Today it is `None`, and the writer refuses. Write between `backward()` and `zero_grad()`, and skip parameters without a gradient.

# %% covers=["w5-add-histogram"] tags=["then-and-now"]
parameter = nn.Parameter(torch.ones(3))
parameter.sum().backward()
torch.optim.SGD([parameter], lr=0.1).zero_grad()
with SummaryWriter(tempfile.mkdtemp()) as writer, expected_error(NotImplementedError):
    writer.add_histogram("gradients", parameter.grad, 0)


# %% [markdown]
# ### Exercise 5.8 Both curves in one chart · 15 min · ★★
#
# Complete `log_training`. It trains `model` for `epochs` epochs on the list of batches `train` and must write into `folder`, after each epoch and at the step of its number (0, 1, …): one chart `Loss` and one chart `Accuracy`, each with the curves `Train` and `Valid`, both measured with `training.evaluate` after the epoch. The accuracy is a share from 0 to 1. When it returns, the files are closed.

# %% covers=["w5-ex-curves"] tags=["exercise"]
def log_training(folder, model, train, valid, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        training.train_epoch(model, train, F.cross_entropy, optimizer)
        # training.evaluate(model, batches, F.cross_entropy) gives .loss and .accuracy,
        # and add_scalars writes two curves at once
        ...


# %% covers=["w5-ex-curves"] tags=["check"]
check.log_training(log_training)

# %% [markdown] covers=["w5-ex-curves"]
# <details><summary>Hint 1</summary>
#
# `writer.add_scalars("Loss", {"Train": …, "Valid": …}, epoch)`, and the same for `Accuracy`.
# </details>
# <details><summary>Hint 2</summary>
#
# Open the writer once, around the loop, and not in it: `with SummaryWriter(folder) as writer:`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def log_training(folder, model, train, valid, epochs):
#     optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
#     with SummaryWriter(folder) as writer:
#         for epoch in range(epochs):
#             training.train_epoch(model, train, F.cross_entropy, optimizer)
#             a = training.evaluate(model, train, F.cross_entropy)
#             b = training.evaluate(model, valid, F.cross_entropy)
#             writer.add_scalars("Loss", {"Train": a.loss, "Valid": b.loss}, epoch)
#             writer.add_scalars("Accuracy", {"Train": a.accuracy, "Valid": b.accuracy}, epoch)
# ```
# </details>

# %% [markdown]
# ### Settings and what came of them
#
# After twenty runs the question is: which settings gave the best result? `add_hparams(settings, results)` writes both side by side, in a run of its own, and the page *HParams* makes a table of all runs, to be sorted by any column. (Without `run_name` the run is named after the time.) Three learning rates on $y = 4x^2$ from week 4, ten steps each from $x = 2$. Nothing trains here: each step multiplies x by $1 - 8\,\text{lr}$, so the last loss is a formula.

# %%
logs = Path(tempfile.mkdtemp())
with SummaryWriter(logs) as writer:
    for lr in (0.01, 0.1, 0.2):
        settings = {"lr": lr, "optimizer": "SGD"}
        loss = 4 * (2 * (1 - 8 * lr) ** 10) ** 2
        writer.add_hparams(settings, {"result/loss": loss}, run_name=f"lr {lr}")
for run in board.runs(logs).values():
    if run.hparams:
        print(run.hparams, f"loss {run.scalars['result/loss'].values[-1]:.1e}")

# %% [markdown] covers=["w5-tb-run"]
# ### The real server
#
# Everything until here came from the files. Now the second program (运行可视化). In a terminal it is one line, and the page it names is opened in the browser:
#
# ```
# tensorboard --logdir=./runs
# TensorBoard 2.21.0 at http://localhost:6006/ (Press CTRL+C to quit)
# ```
#
# `board.serve(folder)` starts the same program from Python, at a free port of this computer, and waits until it answers; at the end of the `with` it is stopped, also after an error. The page asks the server for everything at addresses such as `data/runs`. We ask as well:

# %% covers=["w5-tb-run", "w5-tb-mechanism"]
lines = Path(tempfile.mkdtemp())
for name, slope in (("slow", 1), ("fast", 3)):
    with SummaryWriter(lines / name) as writer:
        for step in range(4):
            writer.add_scalar("y", slope * step, step)
with board.serve(lines) as server:
    print("on this computer only:", server.address.startswith("http://127.0.0.1:"))
    print("runs:", sorted(server.ask("data/runs")))
    answer = server.ask("data/plugin/scalars/scalars?run=fast&tag=y")
print("fast:", [(step, value) for _, step, value in answer])
assert [value for _, _, value in answer] == [0, 3, 6, 9]
print(server.folder == lines.name, "and afterwards:", repr(server).split(", ")[1])

# %% [markdown]
# The real TensorBoard has read our files, and says what we wrote. Two things go wrong most often, and TensorBoard starts all the same: its page only says "No dashboards are active". A folder that is not there (you are elsewhere than you think), and a folder without event files:

# %%
with expected_error(FileNotFoundError):
    board.serve("rums")
empty = Path(tempfile.mkdtemp()) / "runs"
empty.mkdir()
with expected_error(ValueError):
    board.serve(empty)

# %% [markdown] covers=["w5-tb-run"]
# A third: the port is taken, mostly by a TensorBoard that you forgot. Below one server is running, and we ask for a second one at the same port:

# %% covers=["w5-tb-run"]
with board.serve(lines) as first:
    port = int(first.address.strip("/").split(":")[-1])
    try:
        board.serve(lines, port)
    except RuntimeError as error:
        print("RuntimeError:", str(error).replace(str(port), "…"))

# %% [markdown] covers=["w5-tb-run"]
# Without a port `board.serve` takes a free one, and `tensorboard --port 0` does too.
#
# > **Then and now.** In a notebook the old course loads `%load_ext tensorboard.notebook`. Today the extension is `tensorboard` itself; the old name explains that when it is loaded:

# %% covers=["w5-tb-run"] tags=["then-and-now"]
from tensorboard import notebook  # what the magic words call

with expected_error(RuntimeError):
    notebook.load_ipython_extension(None)
print("%tensorboard calls:", notebook.start.__module__ + "." + notebook.start.__name__)

# %% [markdown]
# And here is the page, inside the notebook. This cell is the only one that does not run by itself: run it, choose **Time Series**, and compare with the curves of the watched training above. To watch a training, start it *before* the training: the page looks for news every thirty seconds when you switch that on in its settings.

# %% covers=["w5-tb-run"] tags=["skip-execution", "nbval-skip"]
# %load_ext tensorboard
# %tensorboard --logdir {watched} --port 0 --host 127.0.0.1

# %% [markdown] covers=["w5-add-image"]
# ## 5.5 TensorBoard: pictures, graphs and the rest
#
# A number says *how much*, a picture says *what*. A batch as the network gets it, after all transforms: one look, and the channels that were swapped are found. This lesson has the pictures first, and then every other `add_` method that the installed writer has.
#
# ### One picture
#
# `add_image(tag, picture, step)` (记录图像) takes a tensor and keeps it as a PNG. Pictures come in several orders of dimensions, so `dataformats` says which: `CHW` (the default, as torch has it), `HWC` (as NumPy and PIL), `HW` (grey, without channels).

# %% covers=["w5-add-image"]
to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Resize(90)]
small = v2.Compose(to_tensor)(data.photo("cat"))
logs = Path(tempfile.mkdtemp())
with SummaryWriter(logs) as writer:
    writer.add_image("CHW", small)
    writer.add_image("HWC", small.permute(1, 2, 0), dataformats="HWC")
    writer.add_image("HW", small.mean(dim=0), dataformats="HW")
pictures = {tag: entries[0].pixels for tag, entries in board.read(logs).pictures.items()}
print({tag: tuple(pixels.shape) for tag, pixels in pictures.items()})
print("CHW and HWC are the same picture:", torch.equal(pictures["CHW"], pictures["HWC"]))
grids.show_grid(list(pictures.values()), list(pictures), title="Three orders, read back")

# %% [markdown] covers=["w5-add-image"]
# Wrong orders mostly stop at once, with a message about types or sizes:

# %% covers=["w5-add-image"]
with SummaryWriter(tempfile.mkdtemp()) as writer:
    with expected_error(TypeError):
        writer.add_image("HWC said to be CHW", torch.rand(28, 28, 3))
    with expected_error(AssertionError):
        writer.add_image("HW said to be CHW", torch.rand(28, 28))

# %% [markdown] covers=["w5-add-image-scale", "w5-err-image-255"]
# ### From numbers to grey
#
# A PNG holds whole numbers from 0 to 255. What happens to the tensor's (注意尺度)?
#
# > **Myth.** "As soon as one pixel is larger than 1, the image is no longer multiplied by 255." Very old versions did so. Let us see: a picture of 0.5 in which one pixel is 2.0.

# %%
question = predict("Beside a pixel of 2.0, a pixel of 0.5 becomes", ["0", "127", "255"])
question

# %% covers=["w5-add-image-scale", "w5-err-image-255"]
half = torch.full((1, 2, 2), 0.5)
half[0, 0, 0] = 2.0
logs = Path(tempfile.mkdtemp())
with SummaryWriter(logs) as writer:
    writer.add_image("float, 0.5 and a 2.0", half)
    writer.add_image("float, 200.0", torch.full((1, 2, 2), 200.0))
    writer.add_image("uint8, 200", torch.full((1, 2, 2), 200, dtype=torch.uint8))
pictures = {tag: entries[0].pixels for tag, entries in board.read(logs).pictures.items()}
for tag, pixels in pictures.items():
    print(f"{tag:20}", pixels[0].tolist())
question.reveal(str(pictures["float, 0.5 and a 2.0"][0, 1, 1].item()))

# %% [markdown]
# Only the dtype decides. Every float is multiplied by 255 and cut at 0 and 255; uint8 is taken as it is. So floats from 0 to 255 come out white, and normalised pictures (negative values!) lose their dark half. If a picture in TensorBoard is nearly white or nearly black, look at its dtype first.
#
# ### Many pictures: make_grid
#
# `add_images` takes a whole batch and lays it out, eight in a row, edge to edge, and there is nothing to choose. `torchvision.utils.make_grid` (网格图像) gives you a say. It makes **one** picture from a batch. Six pictures of 10×10 with `nrow=3` and a frame of 2: how high will it be?

# %% covers=["w5-make-grid", "w5-err-make-grid-nrow"] tags=["proof"]
batch = torch.rand(6, 1, 10, 10, generator=torch.Generator().manual_seed(seed))
grid = make_grid(batch, nrow=3, padding=2)
rows = math.ceil(6 / 3)
print("6 pictures of 10x10, nrow=3:", tuple(grid.shape))
assert grid.shape == (3, rows * (10 + 2) + 2, 3 * (10 + 2) + 2) == (3, 26, 38)

# %% [markdown] covers=["w5-make-grid", "w5-err-make-grid-nrow"]
# > **Myth.** "`nrow` is the number of rows." It is the number of pictures **per row**, and the rows follow: 26 pixels high are two rows, 38 wide are three columns. (And grey pictures come back with three channels.)
#
# A real batch. Both ways, written and read back:

# %% covers=["w5-make-grid", "w5-add-image"]
digits = data.digits()
batch = digits.images[::420].unsqueeze(1)  # twelve digits, uint8 (12, 1, 28, 28)
logs = Path(tempfile.mkdtemp())
with SummaryWriter(logs) as writer:
    writer.add_images("add_images", batch)
    writer.add_image("make_grid", make_grid(batch, nrow=6, padding=2, pad_value=128))
for tag, entries in board.read(logs).pictures.items():
    print(tag, tuple(entries[0].pixels.shape))
board.draw_pictures(logs, "make_grid", title="Twelve digits, six in a row")

# %% [markdown] covers=["w5-make-grid-pad"]
# `padding` (像素间距) is the width of the frame in pixels and `pad_value` its colour, in the pictures' own numbers: 0 is black, and for uint8 white is 255, for floats 1. One pixel of black around two white pictures:

# %% covers=["w5-make-grid-pad", "w5-make-grid"]
print(make_grid(torch.ones(2, 1, 2, 2), padding=1, pad_value=0)[0].int())

# %% [markdown] covers=["w5-make-grid-normalize"]
# What is not between 0 and 1 needs `normalize=True` (标准化): the smallest value of the batch becomes 0, the largest 1. With `scale_each=True` this is done for each picture by itself; with `value_range=(low, high)` you say what becomes 0 and 1, and what lies beyond is cut. Two pictures of two pixels:

# %% covers=["w5-make-grid-normalize", "w5-make-grid"] tags=["proof"]
two = torch.tensor([[-1.0, 0.0], [0.0, 3.0]]).reshape(2, 1, 1, 2)
together = make_grid(two, padding=0, normalize=True)[0, 0]
each = make_grid(two, padding=0, normalize=True, scale_each=True)[0, 0]
ranged = make_grid(two, padding=0, normalize=True, value_range=(-1, 1))[0, 0]
print("batch      ", rounded(together, 2))
print("each       ", rounded(each, 2))
print("from -1 to 1", rounded(ranged, 2))
assert torch.allclose(together, (two.flatten() + 1) / 4, atol=1e-4)
assert torch.allclose(ranged, ((two.flatten() + 1) / 2).clamp(0, 1), atol=1e-4)

# %% [markdown]
# Which one? The batch together when brightness may be compared; each for itself when only the pattern matters; a range when pictures of different steps are to be compared.
#
# > **Then and now.** `value_range` was called `range`.

# %% covers=["w5-make-grid"] tags=["then-and-now"]
with expected_error(TypeError):
    make_grid(two, normalize=True, range=(0, 1))


# %% [markdown]
# ### Exercise 5.9 A batch for the record · 10 min · ★★
#
# Write `write_batch(folder, batch, step)`. `batch` is a float tensor (N, C, H, W) as it goes into the network: normalised, so with values below 0 and above 1. Write the first 16 pictures as **one** picture with the tag `batch` at step `step`: four in a row, a black frame of 2 pixels, the darkest value of these 16 black, the brightest white.

# %% covers=["w5-ex-make-grid"] tags=["exercise"]
def write_batch(folder, batch, step):
    with SummaryWriter(folder) as writer:
        # one picture by make_grid, then add_image
        ...


# %% covers=["w5-ex-make-grid"] tags=["check"]
check.write_batch(write_batch)

# %% [markdown] covers=["w5-ex-make-grid"]
# <details><summary>Hint 1</summary>
#
# `batch[:16]` first. Then `make_grid` with `nrow`, `padding` and `normalize`.
# </details>
# <details><summary>Hint 2</summary>
#
# `nrow` counts the pictures in a row. `scale_each` would stretch each picture by itself; asked are the darkest and brightest of all 16.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def write_batch(folder, batch, step):
#     with SummaryWriter(folder) as writer:
#         grid = make_grid(batch[:16], nrow=4, padding=2, normalize=True)
#         writer.add_image("batch", grid, step)
# ```
# </details>

# %% [markdown] covers=["w5-kernel-vis"]
# ### Kernels
#
# What did the first layer learn? Its kernels are small pictures (卷积核可视化). The classic are AlexNet's 64 of 11×11. Its weights would have to be downloaded; of the network without weights, on the device `meta`, we can at least ask the shapes. As pictures we take the 32 kernels of EfficientNet-Lite0, enlarged, as weights of 3×3 make tiny pictures.

# %% covers=["w5-kernel-vis"]
from torchvision.models import alexnet  # only for its shapes

with torch.device("meta"):  # tensors with a shape and without values
    shapes = alexnet()
print("AlexNet:", tuple(shapes.features[0].weight.shape))
net = models.efficientnet_lite0()
kernels = net._conv_stem.weight.detach()
print("EfficientNet-Lite0:", tuple(kernels.shape))
logs = Path(tempfile.mkdtemp())
with SummaryWriter(logs) as writer:
    large = F.interpolate(kernels, scale_factor=16)
    writer.add_image("kernels", make_grid(large, nrow=8, normalize=True, scale_each=True))
board.draw_pictures(logs, "kernels", title="Three slices of a kernel are red, green, blue")

# %% [markdown] covers=["w5-kernel-vis"]
# A kernel of the first layer has one slice for each colour channel of the photograph, so it can be shown in colour. Split by channel, `kernel.unsqueeze(1)` makes three grey pictures of one kernel: first the order of dimensions, then the picture of the first eight kernels.

# %% covers=["w5-kernel-vis"]
print("one kernel", tuple(kernels[0].shape), "as a batch", tuple(kernels[0].unsqueeze(1).shape))
with SummaryWriter(logs) as writer:
    for number, kernel in enumerate(kernels[:8]):
        large = F.interpolate(kernel.unsqueeze(1), scale_factor=12)
        writer.add_image("split", make_grid(large, nrow=3, normalize=True), number)
board.draw_pictures(logs, "split", columns=4, title="Red, green, blue slice of eight kernels")

# %% [markdown] covers=["w5-err-kernel-view"]
# The step of `add_image` counted the kernels here, and TensorBoard would show a slider to go through them.
#
# > **Myth.** The old course draws *all* layers in colour, with `kernels.view(-1, 3, k, k)`. From the second layer on a kernel has a slice for each *feature map*, 64 of them in AlexNet, and these are no colours. `view` does not mind: it takes the next three slices, across the border of two kernels. When the number can't be divided by three, it stops.

# %% covers=["w5-err-kernel-view", "w5-kernel-vis"]
second, last = shapes.features[3].weight, shapes.features[10].weight
print("second layer", tuple(second.shape), "viewed as", tuple(second.view(-1, 3, 5, 5).shape))
slices = torch.arange(192 * 64).view(-1, 3)[21]
print("picture 21 mixes the slices", (slices % 64).tolist())
print("           of the kernels", (slices // 64).tolist())
with expected_error(RuntimeError):
    last.view(-1, 3, 3, 3)

# %% [markdown]
# So: colour for the first layer only. For a later one show the slices of a kernel in grey, as many as you care to look at. The first 1×1 convolution of EfficientNet's block 1:

# %% covers=["w5-kernel-vis", "w5-err-kernel-view"]
later = net._blocks[1]._expand_conv.weight.detach()
print("slices of 1x1:", tuple(later.shape))
with SummaryWriter(logs) as writer:
    table = F.interpolate(later.flatten(1).T[None, None], scale_factor=6)[0]
    writer.add_image("later", (table / table.abs().max() + 1) / 2)
board.draw_pictures(logs, "later", title="A column is a kernel, a row a feature map")

# %% [markdown] covers=["w5-fmap-vis"]
# ### Feature maps
#
# And what does the layer make of a photograph (特征图可视化)? The output for one picture is (1, channels, height, width), for `make_grid` a batch of *one* picture with too many channels. `transpose(0, 1)` makes a batch of grey pictures of it. AlexNet's shapes again, and real maps of EfficientNet-Lite0:

# %% covers=["w5-fmap-vis"]
out = shapes.features[0](torch.empty(1, 3, 224, 224, device="meta"))
print("AlexNet:", tuple(out.shape), "->", tuple(out.transpose(0, 1).shape))
with torch.no_grad():
    maps = net._conv_stem(models.imagenet_input(data.photo("cat")))
print("EfficientNet-Lite0:", tuple(maps.shape), "->", tuple(maps.transpose(0, 1).shape))
with SummaryWriter(logs) as writer:
    grid = make_grid(maps.transpose(0, 1), nrow=8, normalize=True, scale_each=True)
    writer.add_image("maps", F.interpolate(grid[None], scale_factor=0.35, mode="area")[0])
board.draw_pictures(logs, "maps", title="32 views of one cat")

# %% [markdown]
# Edges, colours, light and dark: each map is one kernel's view of the cat. The black ones belong to the four kernels without strength (week 3).
#
# ### Boxes and figures
#
# `add_image_with_boxes` draws rectangles (x0, y0, x1, y1) with labels into a picture, for detection. `add_figure` takes a Matplotlib figure, whatever is in it; a confusion matrix, say. It becomes a picture, and is closed afterwards unless you say `close=False`.

# %%
hidden = data.hidden_digits(3, seed=seed)
logs = Path(tempfile.mkdtemp())
with SummaryWriter(logs) as writer:
    for i in range(3):
        box, label = hidden.boxes[i : i + 1], [str(hidden.labels[i].item())]
        writer.add_image_with_boxes("box", hidden.images[i], box, i, rescale=2, labels=label)
    writer.add_figure("figure", curves.function_plot({"y = x²": lambda x: x**2}))
print({tag: len(entries) for tag, entries in board.read(logs).pictures.items()})
board.draw_pictures(logs, "box", columns=3, title="Where the digit is")

# %% [markdown]
# ### Words, sounds, films
#
# `add_text` keeps text, which is shown as Markdown: settings, notes, translations that a network made. `add_audio` keeps a sound, samples from −1 to 1, as a WAV file of 16 bits; what is louder is cut. `add_video` wants (N, time, C, H, W), and a package:

# %% covers=["w5-tensorboard"]
logs = Path(tempfile.mkdtemp())
tone = torch.sin(2 * math.pi * 440 * torch.arange(8000) / 8000)
with SummaryWriter(logs) as writer:
    writer.add_text("notes", "lr **0.1**, seed 0", 0)
    writer.add_audio("tone", tone, 0, sample_rate=8000)
    writer.add_video("film", torch.zeros(1, 4, 3, 8, 8), 0)
run = board.read(logs)
print(run)
print(run.texts["notes"][0].value, "|", len(run.sounds["tone"][0].samples), "samples")
assert (run.sounds["tone"][0].samples - tone).abs().max() < 1e-4
assert "film" not in run.pictures


# %% [markdown]
# > **Then and now.** The video is not in the file. `add_video` needs moviepy, and without it prints one line, writes nothing, and raises nothing. moviepy alone is not enough today: torch asks for its module `moviepy.editor`, which version 2 does not have any more. A row of frames by `make_grid` does the job without it.
#
# ### The graph of a network
#
# `add_graph(model, input)` (计算图可视化) sends the input through the network once, notes every operation, and TensorBoard draws them as boxes that can be opened. LeNet, as the old course has it (colour pictures of 32×32, two classes):

# %% covers=["w5-add-graph", "w5-torchsummary"]
class OldLeNet(nn.Module):
    def __init__(self, classes=2):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(400, 120), nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


torch.manual_seed(seed)
net, x = OldLeNet(), torch.rand(1, 3, 32, 32)
print("logits:", tuple(net(x).shape))

# %% [markdown] covers=["w5-add-graph"]
# > **Then and now.** `add_graph` had faults in torch 1.2 and worked from 1.3 on. It works today, but through `torch.jit.trace`, which is deprecated; so it warns, and one day it will go.

# %% covers=["w5-add-graph"] tags=["then-and-now"]
logs = Path(tempfile.mkdtemp())
with SummaryWriter(logs) as writer, expected_warning(FutureWarning):
    writer.add_graph(net, x)
graph = board.read(logs).graph
print(len(graph), "nodes; convolutions:", [name for name, op in graph.items() if "conv" in op])
print("the network is in training mode as before:", net.training)

# %% [markdown]
# The 68 nodes are the operations, the parameters, and many small things like shapes and constants. The successor is `torch.export`: it runs the network with stand-ins for tensors, and gives back a program that can be read, checked, run, and taken elsewhere. Here is its graph, each operation with the shape it makes:

# %% covers=["w5-add-graph"]
program = torch.export.export(net, (x,))
for node in program.graph.nodes:
    if node.op == "call_function":
        print(f"{node.name:14} {node.target!s:26} {tuple(node.meta['val'].shape)}")
assert torch.allclose(program.module()(x), net(x), atol=1e-6)

# %% [markdown]
# Twelve operations, the ones that we wrote. (Both ways see only the path that *this* input took; an `if` on values is lost in the first, and stops the second.) A third format is ONNX. `add_onnx_graph` draws such a file, but needs the package onnx, which is not installed here:

# %%
with SummaryWriter(tempfile.mkdtemp()) as writer, expected_error(ModuleNotFoundError):
    writer.add_onnx_graph("lenet.onnx")

# %% [markdown] covers=["w5-torchsummary"]
# ### A summary as a table
#
# Often all you want are the shapes and the number of parameters, layer by layer.
#
# > **Then and now.** `torchsummary` did that, and was last changed in 2018. `torchinfo` has taken its place. Mind `input_size`: torchsummary wanted it without the batch, torchinfo wants it **with**.

# %% covers=["w5-torchsummary"] tags=["then-and-now"]
import torchinfo

with expected_error(ModuleNotFoundError):
    import torchsummary  # noqa: F401
table = torchinfo.summary(net, input_size=(1, 3, 32, 32), verbose=0, device="cpu")
print("\n".join(str(table).splitlines()[:12]))
assert table.total_params == sum(p.numel() for p in net.parameters()) == 61326

# %% [markdown]
# Nearly 80 % of the parameters are in `fc1`, between convolution and classes. AlexNet has the same shape of a list, and a thousand times as many; without memory for them, on the device `meta`:

# %% covers=["w5-torchsummary"]
with torch.device("meta"):
    large = alexnet()
table = torchinfo.summary(large, input_size=(1, 3, 224, 224), verbose=0, device="meta")
linear = sum(p.numel() for p in large.classifier.parameters())
print(f"AlexNet: {table.total_params:,} parameters")
print(f"in its linear layers: {linear / table.total_params:.0%}")

# %% [markdown]
# ### Points in space, curves of decisions, meshes, tensors
#
# Four more, each small. `add_embedding` keeps a table of vectors with labels and pictures; the page *Projector* shows them as a cloud to turn, in the three main directions (PCA) or by t-SNE. The numbers stand in text files beside the event file.

# %% covers=["w5-tensorboard"]
chosen = digits.images[::250]
logs = Path(tempfile.mkdtemp())
with SummaryWriter(logs) as writer:
    pictures = chosen.unsqueeze(1).float() / 255
    labels = digits.labels[::250].tolist()
    writer.add_embedding(pictures.flatten(1), metadata=labels, label_img=pictures, tag="digits")
print("beside the event file:", sorted(path.name for path in logs.rglob("*.*sv")))
points = board.read(logs).embeddings["digits"]
print(tuple(points.vectors.shape), points.labels)

# %% [markdown]
# `add_pr_curve` is for yes-or-no questions. At which probability do you say yes? For each threshold it counts the right and wrong yeses and noes, and from them **precision** (of the yeses, how many are right) and **recall** (of those that are, how many were found). By hand for six answers and the threshold 0.5:

# %% tags=["proof"]
labels = torch.tensor([1, 1, 0, 1, 0, 0])
answers = torch.tensor([0.95, 0.75, 0.65, 0.35, 0.25, 0.15])
logs = Path(tempfile.mkdtemp())
with SummaryWriter(logs) as writer:
    writer.add_pr_curve("yes", labels, answers, num_thresholds=11)
curve = board.read(logs).tensors["yes"][0].value  # (6, thresholds)
yes = answers > 0.5
right = int((yes & (labels == 1)).sum())
precision, recall = right / int(yes.sum()), right / int(labels.sum())
print("at 0.5: precision", rounded(curve[4, 5]), "recall", rounded(curve[5, 5]))
assert math.isclose(curve[4, 5], precision, rel_tol=1e-6)
assert math.isclose(curve[5, 5], recall, rel_tol=1e-6)
thresholds = torch.linspace(0, 1, 11)
curves.function_plot(
    {"precision": (thresholds, curve[4]), "recall": (thresholds, curve[5])},
    x_label="threshold",
    y_label="share",
    title="Ask for more, and you find fewer",
)

# %% [markdown]
# (At the threshold 1 there is no yes at all, and its precision is counted as 0.)
#
# `add_pr_curve_raw` takes the six rows when you have counted yourself. `add_mesh` keeps points in space, with colours and triangles if you like, for the page *Mesh*; its tensors have a batch dimension. And `add_tensor` keeps any tensor, which TensorBoard does not show, but which you can read back:

# %%
corners = torch.tensor([[[1.0, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]]])
faces = torch.tensor([[[0, 2, 3], [0, 3, 1], [0, 1, 2], [1, 3, 2]]])
with SummaryWriter(logs) as writer:
    writer.add_pr_curve_raw("counted", *curve, num_thresholds=11)
    writer.add_mesh("pyramid", corners, colors=(corners > 0).int() * 255, faces=faces)
    writer.add_tensor("own", torch.arange(3.0))
tensors = board.read(logs).tensors
for tag in sorted(tensors):
    print(f"{tag:14}", tuple(tensors[tag][0].value.shape))
assert torch.equal(tensors["counted"][0].value, curve)
assert torch.equal(tensors["pyramid_VERTEX"][0].value, corners)


# %% [markdown]
# ### The whole shelf
#
# | method | what it keeps | page of TensorBoard |
# |---|---|---|
# | `add_scalar`, `add_scalars` | a number a step; several, each in a run of its own | Time Series, Scalars |
# | `add_custom_scalars`, `…_multilinechart`, `…_marginchart` | which scalars go into one chart | Custom Scalars |
# | `add_histogram`, `add_histogram_raw` | how values spread; already counted | Histograms, Distributions |
# | `add_hparams` | settings beside results | HParams |
# | `add_image`, `add_images`, `add_image_with_boxes`, `add_figure` | a picture | Images |
# | `add_text` | Markdown | Text |
# | `add_audio` | a sound | Audio |
# | `add_video` | a film, with an old moviepy | Images |
# | `add_graph`, `add_onnx_graph` | the operations of a network | Graphs |
# | `add_embedding` | vectors with labels and pictures | Projector |
# | `add_pr_curve`, `add_pr_curve_raw` | precision and recall | PR Curves |
# | `add_mesh` | points and triangles in space | Mesh |
# | `add_tensor` | any tensor | none |
#
# These are all 22 methods of the installed version; a test of this course notices a new one.

# %% [markdown] covers=["w5-hook-concept"]
# ## 5.6 Hooks: watching without changing
#
# A network takes a picture and gives ten scores. Between the two it computes maps, and on the way back gradients; almost all of them are thrown away as soon as they were used. Who wants to see them could rewrite `forward` so that it returns everything. For a network of fifty layers, written by somebody else, that is no fun.
#
# A **hook** (钩子函数) is a function of yours that is hung up at a place in the computation and called at a certain moment: after a layer, before a layer, when a gradient arrives. The body of the network stays as it is. Hanging it up gives you a **handle**, and `handle.remove()` takes it down again. Look at the number of hooks that wait at the layer, and at what the three calls print.

# %% covers=["w5-hook-concept", "w5-handle-remove"]
def note(module, args, output):
    print("  hook:", type(module).__name__, tuple(args[0].shape), "->", tuple(output.shape))


layer = nn.Linear(3, 2)
x = torch.ones(5, 3)
for moment in ("before", "hooked", "removed"):
    if moment == "hooked":
        handle = layer.register_forward_hook(note)
    elif moment == "removed":
        handle.remove()
    print(moment, "| hooks waiting:", len(layer._forward_hooks))
    layer(x)
assert isinstance(handle, torch.utils.hooks.RemovableHandle) and not layer._forward_hooks

# %% [markdown]
# Only the middle call was watched. The hook is an entry in the dictionary `_forward_hooks` of the module (you counted these dictionaries in week 3), and `remove()` deletes that entry and no other. There are four kinds of hook to know well:
#
# | hung up with | called | gets | a returned value becomes |
# |---|---|---|---|
# | `tensor.register_hook` | when the tensor's gradient is known | `grad` | the gradient |
# | `module.register_forward_pre_hook` | before `forward` | `module, args` | the arguments |
# | `module.register_forward_hook` | after `forward` | `module, args, output` | the output |
# | `module.register_full_backward_hook` | when the gradients passed the module | `module, grad_input, grad_output` | `grad_input` |
#
# A hook that returns nothing (`None`) only watches. We take them one by one, with numbers small enough for a pencil.
#
# ### A hook on a tensor
#
# The graph of week 1: $a = w + x$, $b = w + 1$, $y = a\,b$ with $w = 1$ and $x = 2$. After `backward()` the leaves $w$ and $x$ have their gradients; that of $a$ was needed on the way and is gone.

# %% covers=["w5-tensor-hook"]
question = predict(
    "w = 1, x = 2, a = w + x, y = a (w + 1). The gradient at a?", ["1", "2", "3", "5"]
)
question


# %% [markdown]
# `make_graph` builds it afresh each time. Hooking `a` needs one line: `a_grad.append` is a function of one argument, so it can be the hook itself.

# %% covers=["w5-tensor-hook"]
def make_graph():
    w = torch.tensor([1.0], requires_grad=True)
    x = torch.tensor([2.0], requires_grad=True)
    a = w + x
    return w, x, a, a * (w + 1)


w, x, a, y = make_graph()
a_grad = []
a.register_hook(a_grad.append)
y.backward()
print("a_grad[0] =", a_grad[0], "| w.grad =", w.grad, "| x.grad =", x.grad)
print("a is a leaf:", a.is_leaf, "| keeps its gradient by itself:", a.retains_grad)
assert a_grad[0] == w.detach() + 1 and (w.grad, x.grad) == (5, 2)
question.reveal(int(a_grad[0]))

# %% [markdown]
# $\partial y/\partial a = b = 2$, and the hook saw it pass. (`a.retain_grad()` of week 1 would have kept it as well; a hook can do more than keep.) What it returns **replaces** the gradient. At $w$ a 5 arrives, through $a$ and through $b$ together; a hook that returns six times what it gets should leave 30:

# %% covers=["w5-tensor-hook-modify"]
w, x, a, y = make_graph()
seen = []
w.register_hook(seen.append)  # list.append returns None: watches
w.register_hook(lambda grad: grad * 6)  # returns a tensor: replaces
w.register_hook(seen.append)
y.backward()
print("the hooks saw", rounded(torch.cat(seen)), "| w.grad =", w.grad, "| x.grad =", x.grad)
assert w.grad == 30 and x.grad == 2

# %% [markdown]
# Several hooks run in the order in which they were hung up, and each gets what the one before it left. And on a leaf the hook is called once, with the sum over all ways, not once for each way.
#
# > **Myth.** The old course defines two hooks, one to record and one to scale, and prints `w.grad` 30, `x.grad` 2 and `a_grad[0]` 2. Both of its functions have the **same name**, and they are registered afterwards. Run it as it is written, before you believe the printout:
#
# ```python
# def grad_hook(grad):
#     a_grad.append(grad)
#
# def grad_hook(grad):
#     grad *= 2
#     return grad * 3
#
# handle = w.register_hook(grad_hook)
# handle = a.register_hook(grad_hook)
# ```

# %% covers=["w5-err-hook-literal"]
question = predict(
    "w.grad, x.grad and the number of recorded gradients are, literally",
    ["30, 2, one", "30, 12, one", "90, 12, none"],
)
question


# %% [markdown]
# The second `def` replaces the first, so only one function is left, and it hangs at both places. We write that function under its own name, so that nothing hides:

# %% covers=["w5-err-hook-literal", "w5-tensor-hook-modify"]
def scale(grad):
    grad *= 2
    return grad * 3


w, x, a, y = make_graph()
a_grad = []  # nothing is left that would fill it
w.register_hook(scale)
a.register_hook(scale)
y.backward()
print("literally: w.grad", w.grad.item(), "| x.grad", x.grad.item(), "| a_grad", a_grad)
with expected_error(IndexError):
    a_grad[0]
assert (w.grad, x.grad, a_grad) == (90, 12, [])
question.reveal("90, 12, none")

# %% [markdown]
# Follow the numbers. At $a$ the 2 becomes 12, and all that lies behind $a$ gets it: $x$ has 12. At $w$ there arrive $12 + 3 = 15$ (the 3 came by way of $b$), and the hook there makes 90 of it. A hook in the middle changes everything **behind** it. What the old text meant is a recording hook on $a$ and a scaling one on $w$, each with a name and a handle of its own:

# %% covers=["w5-err-hook-literal", "w5-tensor-hook", "w5-tensor-hook-modify"]
w, x, a, y = make_graph()
a_grad = []
handles = [a.register_hook(a_grad.append), w.register_hook(lambda grad: grad * 6)]
y.backward()
for handle in handles:
    handle.remove()
print("as meant: w.grad", w.grad.item(), "| x.grad", x.grad.item(), "| a_grad", a_grad)
assert (w.grad, x.grad, a_grad[0]) == (30, 2, 2)

# %% [markdown]
# There was a second fault in `scale`: `grad *= 2` writes into the tensor that the hook was **lent**. Here nobody else used it. In $y = w + x$ both gradients are the same 1, and autograd does not copy what it can share. Only $w$ is hooked below:

# %% covers=["w5-err-hook-inplace", "w5-tensor-hook-modify"]
found = []
for name, hook in [("in place", lambda grad: grad.mul_(2)), ("new", lambda grad: 2 * grad)]:
    w, x = (torch.tensor([value], requires_grad=True) for value in (1.0, 2.0))
    w.register_hook(hook)
    (w + x).backward()
    found.append((w.grad.item(), x.grad.item()))
    print(f"{name:8} w.grad {found[-1][0]}, x.grad {found[-1][1]}")
assert found == [(2, 2), (2, 1)]


# %% [markdown]
# In place, `x.grad` came out wrong without a word. So: **never change what a hook gets; return a new tensor.**
#
# Two relatives for special needs. `register_post_accumulate_grad_hook` (leaves only) is called when `.grad` of the leaf is ready, with the leaf itself: an optimizer step can happen there and the gradient be dropped at once, which saves memory. `register_multi_grad_hook` is called once, when the gradients of a whole group have arrived.

# %% covers=["w5-tensor-hook"]
def step_at_once(parameter):
    with torch.no_grad():
        parameter -= 0.1 * parameter.grad
    parameter.grad = None


w, x, a, y = make_graph()
w.register_post_accumulate_grad_hook(step_at_once)
group = []
torch.autograd.graph.register_multi_grad_hook((x, a), group.append)
y.backward()
print("w after backward() alone:", w.item(), "| w.grad:", w.grad)
print("x and a together:", [rounded(grad) for grad in group[0]])
assert w == 0.5 and w.grad is None and len(group) == 1


# %% [markdown]
# $1 - 0.1\cdot 5 = 0.5$ without an optimizer, and $x$ and $a$ reported together.

# %% [markdown]
# ### Exercise 5.10 A clip at every parameter · 10 min · ★★
#
# One wild batch can throw a network out of its valley; **gradient clipping** (梯度裁剪) limits how long a gradient may be. Write `clip_by_hooks(net, limit)`: it hangs a hook at each parameter of `net` and returns the list of their handles. From then on, after a `backward()`, the gradient of each parameter has a norm (root of the sum of squares over that one tensor) of at most `limit`. A shorter one passes unchanged, a longer one keeps its direction. A gradient of nothing but zeros must stay zero. Each `backward()` of the check begins without gradients.

# %% tags=["exercise"]
def clip_by_hooks(net, limit):
    # net: an nn.Module, limit: a number -> list of handles
    ...


# %% tags=["check"]
check.clip_by_hooks(clip_by_hooks)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A function `clip(grad)` that returns a new tensor, and `parameter.register_hook(clip)` for each of `net.parameters()`.
# </details>
# <details><summary>Hint 2</summary>
#
# The factor is `limit / norm`, but never more than 1: `(limit / norm).clamp(max=1)`. For a norm of 0 that is `inf` before the clamp, and 1 after it.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def clip_by_hooks(net, limit):
#     def clip(grad):
#         return grad * (limit / grad.norm()).clamp(max=1)
#
#     return [parameter.register_hook(clip) for parameter in net.parameters()]
# ```
# </details>

# %% [markdown] covers=["w5-forward-hook"]
# ### Hooks around a module: forward
#
# Now a network whose numbers can be read off: a convolution with two 3×3 kernels, one of ones and one of twos, a bias of 0, and a max pooling behind it. The picture is 4×4, all ones. `forward` returns only what comes out of the pooling; the maps before it are what we want to see.

# %% covers=["w5-forward-hook"]
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3)
        self.pool1 = nn.MaxPool2d(2, 2)
        with torch.no_grad():
            self.conv1.weight[0], self.conv1.weight[1] = 1.0, 2.0
            self.conv1.bias.zero_()

    def forward(self, x):
        return self.pool1(self.conv1(x))


net, picture = Net(), torch.ones(1, 1, 4, 4)  # on the CPU, like all of this lesson
print("the network returns", rounded(net(picture).flatten()), tuple(net(picture).shape))

# %% [markdown]
# The hook gets three things: the module itself, the **arguments** it was called with, and its output. With `detach()` it keeps the numbers without the graph behind them. And a handle is a context manager: leaving the `with` removes the hook, whatever happens inside.

# %% covers=["w5-forward-hook", "w5-handle-remove"]
kept = []


def keep(module, args, output):
    kept.append((args, output.detach()))


with net.conv1.register_forward_hook(keep):
    out = net(picture)
args, maps = kept[0]
print("args is a", type(args).__name__, "of", len(args), "| maps", tuple(maps.shape))
print("maps", rounded(maps[0]), "| after the pooling", rounded(out.flatten()))
assert (maps[0, 0] == 9).all() and (maps[0, 1] == 18).all() and not net.conv1._forward_hooks

# %% [markdown]
# Nine ones times 1, nine ones times 2. `args` is a tuple even when there is one argument.
#
# > **Then and now.** The old course gives both forward hooks as `-> None`: they must not return anything. What if they do? Predict, then run:

# %% covers=["w5-err-hook-none"]
question = predict(
    "A forward hook on conv1 returns 10 * output. After the pooling there is",
    ["9 and 18, as before", "90 and 180", "an error"],
)
question

# %% covers=["w5-err-hook-none", "w5-forward-hook"] tags=["then-and-now"]
with net.conv1.register_forward_hook(lambda module, args, output: 10 * output):
    larger = net(picture)
print("with the hook", rounded(larger.flatten()), "| without", rounded(net(picture).flatten()))
assert larger.flatten().tolist() == [90, 180]
question.reveal("90 and 180")

# %% [markdown]
# What it returns is used today. This is how one switches a channel off or adds noise to a layer without touching the model. It is also a trap: a hook that only wants to watch and **returns something by accident** changes the network. `dict.setdefault` returns the value it stored, so the first lambda below does not only note a mean. It puts the mean in the place of the map:

# %% covers=["w5-err-hook-none"]
noted = {}
hooks = {
    "setdefault": lambda module, args, output: noted.setdefault("mean", output.mean()),
    "update": lambda module, args, output: noted.update(mean=output.mean()),
}
for name, hook in hooks.items():
    noted.clear()
    with net.conv1.register_forward_hook(hook):
        shape = tuple(net.conv1(picture).shape)
    print(f"{name:10} noted {noted['mean'].item()}, conv1 puts out a tensor of shape {shape}")


# %% [markdown]
# Both noted 13.5. But with the first, one single number came out of the layer where a map should be.
#
# A **forward pre-hook** comes before `forward` and gets the module and the arguments. What it returns becomes the arguments: a tuple, or a single value that torch puts into one.

# %% covers=["w5-forward-pre-hook", "w5-err-hook-none"]
def look_before(module, args):
    print("before the convolution:", tuple(args[0].shape), args[0].unique().tolist())


def double(module, args):
    return (2 * args[0],)


hang = net.conv1.register_forward_pre_hook
with hang(look_before), hang(double):
    twice = net(picture)
print("with twice the input:", rounded(twice.flatten()))
assert twice.flatten().tolist() == [18, 36]

# %% [markdown] covers=["w5-hook-mechanism"]
# ### Who calls them?
#
# In what order do hooks run, and what if somebody calls `net.forward(x)`? The network below notes when its `forward` runs, and four hooks note themselves. One of them is hung up with `prepend=True`.

# %% covers=["w5-hook-mechanism"]
question = predict(
    "net.forward(picture) instead of net(picture): what runs?",
    ["hooks and forward", "forward alone", "it is an error"],
)
question


# %% covers=["w5-hook-mechanism", "w5-forward-hook"]
class Noting(Net):
    def forward(self, x):
        self.log.append("forward")
        return super().forward(x)


net = Noting()
net.log = log = []
net.register_forward_hook(lambda *given: log.append("hook 1"))
net.register_forward_hook(lambda *given: log.append("hook 2"))
net.register_forward_hook(lambda *given: log.append("hook 3, prepend"), prepend=True)
net.register_forward_pre_hook(lambda *given: log.append("pre-hook"))
net(picture)
print("net(picture):        ", " > ".join(log))
log.clear()
net.forward(picture)
print("net.forward(picture):", " > ".join(log))
question.reveal("forward alone" if log == ["forward"] else "hooks and forward")

# %% [markdown]
# `prepend` puts a hook before those that already wait. And `forward` knows nothing of hooks: **`__call__`** runs them around it. This is why you always write `net(x)`.
#
# > **Then and now.** The old course prints the short source of `Module.__call__`. Today it is another name for `_wrapped_call_impl`, which asks whether the module was compiled and otherwise goes on to `_call_impl`. That one has a fast path: when no hook waits anywhere, it calls `forward` and is done.

# %% covers=["w5-hook-mechanism"] tags=["then-and-now"]
wrapped = nn.Module._wrapped_call_impl
print("__call__ is _wrapped_call_impl:", nn.Module.__call__ is wrapped)
print("it goes on to _call_impl:", "_call_impl" in wrapped.__code__.co_names)
assert nn.Module.__call__ is wrapped and "forward" in nn.Module._call_impl.__code__.co_names


# %% [markdown]
# The heart of it fits into a dozen lines. Here they are: pre-hooks, `forward`, hooks, and each returned value takes its place.

# %% covers=["w5-hook-mechanism"]
def our_call(module, *args):
    for hook in module._forward_pre_hooks.values():
        returned = hook(module, args)
        if returned is not None:
            args = returned if isinstance(returned, tuple) else (returned,)
    output = module.forward(*args)
    for hook in module._forward_hooks.values():
        returned = hook(module, args, output)
        if returned is not None:
            output = returned
    return output


# %% [markdown]
# Does it behave like torch's? Two networks differ in `__call__` alone; both get hooks that note, hooks that change, and one that is prepended. The notes and the outputs must be the same, with hooks and after their removal.

# %% covers=["w5-hook-mechanism"] tags=["proof"]
class Ours(Noting):
    __call__ = our_call


seen = {}
for kind in (Noting, Ours):
    net = kind()
    net.log = log = []
    handles = [
        net.register_forward_pre_hook(lambda module, args: 2 * args[0]),
        net.register_forward_pre_hook(lambda net, args: net.log.append(args[0].sum().item())),
        net.register_forward_hook(lambda module, args, out: out + 1),
        net.register_forward_hook(lambda net, args, out: net.log.append(out.sum().item())),
        net.register_forward_hook(lambda module, args, out: 10 * out, prepend=True),
    ]
    with_hooks = rounded(net(picture).flatten())
    for handle in handles:
        handle.remove()
    seen[kind] = (with_hooks, rounded(net(picture).flatten()), log)
    print(f"{kind.__name__:6}", *seen[kind])
assert seen[Noting] == seen[Ours]


# %% [markdown]
# The outputs with hooks are $10\cdot 18 + 1$ and $10\cdot 36 + 1$: the pre-hook doubled the input (its sum is 32), and the prepended hook multiplied before the other added. Left out in our version: keyword arguments, hooks for all modules at once, backward hooks and errors. Two options of torch's belong there:
#
# - `with_kwargs=True`: the hook also gets the keyword arguments; without it, it never sees them;
# - `always_call=True`: the hook runs even when `forward` stops with an error, and then gets `None` as the output. Good for closing what a pre-hook opened.

# %% covers=["w5-forward-hook"]
class Scale(nn.Module):
    def forward(self, x, *, factor):
        if factor == 0:
            raise ValueError("a factor of 0")
        return factor * x


scale = Scale()
hang = scale.register_forward_hook
hang(lambda module, *seen: print("  plain      ", *seen))
hang(lambda module, *seen: print("  with_kwargs", *seen), with_kwargs=True)
hang(lambda module, *seen: print("  always_call", *seen), always_call=True)
scale(torch.tensor(2), factor=3)
print("and with an error in forward:")
with expected_error(ValueError):
    scale(torch.tensor(2), factor=0)

# %% [markdown]
# Last, a hook for **every** module of the whole program, with `register_module_forward_hook`. Let us use it to count calls in a network that holds one ReLU and uses it twice. Such a global hook must not be forgotten: the `with` takes care.

# %% covers=["w5-forward-hook", "w5-hook-concept"]
relu, calls = nn.ReLU(), []
shared = nn.Sequential(nn.Linear(2, 3), relu, nn.Linear(3, 3), relu)
hang = nn.modules.module.register_module_forward_hook
with hang(lambda module, args, output: calls.append(type(module).__name__)):
    shared(torch.ones(1, 2))
print(" > ".join(calls))
print("modules:", len(list(shared.modules())), "| calls:", len(calls))
assert calls == ["Linear", "ReLU", "Linear", "ReLU", "Sequential"]

# %% [markdown]
# Four modules, five calls: **a hook hangs at a module, not at a place in the drawing.** The shared ReLU reports twice, and who keeps its map under one name keeps only the last. And a container reports after all that is in it.

# %% [markdown] covers=["w5-hook-fmap"]
# ### Every convolution of AlexNet
#
# Now a real network: AlexNet, as torchvision builds it, with random weights (nothing is downloaded). We want what each of its convolutions puts out. One thing to watch in the loop: a function looks its names up when it is **called**, so each hook needs its own `name=name`, or all would write under the last one.

# %% covers=["w5-hook-fmap"]
from torchvision.models import alexnet  # of this lesson alone

torch.manual_seed(seed)
net = alexnet(weights=None).eval()
pictures = torch.randn(1, 3, 224, 224)  # as after normalising: mean 0, std 1
maps, handles = {}, []
for name, module in net.named_modules():
    if isinstance(module, nn.Conv2d):

        def keep(module, args, out, name=name):
            maps[name] = out.detach().clone()

        handles.append(module.register_forward_hook(keep))
with torch.no_grad():
    net(pictures)
for handle in handles:
    handle.remove()
print({name: tuple(kept.shape[1:]) for name, kept in maps.items()})
assert [kept.shape[1] for kept in maps.values()] == [64, 192, 384, 256, 256]

# %% [markdown]
# 64, 192, 384, 256, 256 maps. The hook kept `detach().clone()`. Behind the convolution stands a `ReLU(inplace=True)`. Would `detach()` do?

# %% covers=["w5-ex-hook-inplace"]
question = predict(
    "The hook keeps out.detach(), the ReLU behind works in place. Smallest kept value?",
    ["negative", "exactly 0"],
)
question

# %% [markdown]
# > **Then and now.** The old course has you edit line 28 of torchvision's `alexnet.py` to switch `inplace` off. There is no ReLU in that line any more. And never edit an installed file: every program on the machine would change. The switch is an attribute of the model object, `net.features[1].inplace`.

# %% covers=["w5-err-alexnet-line28", "w5-ex-hook-inplace"] tags=["then-and-now"]
line = Path(type(net).forward.__code__.co_filename).read_text(encoding="utf-8").splitlines()[27]
print("a ReLU in line 28:", "ReLU" in line, "| a Conv2d:", "Conv2d" in line)


def keep_both(module, args, out):
    kept.update({"detach()": out.detach(), "detach().clone()": out.detach().clone()})


for inplace in (False, True):
    net.features[1].inplace, kept = inplace, {}
    with torch.no_grad(), net.features[0].register_forward_hook(keep_both):
        net(pictures)
    for way, out in kept.items():
        share = (out < 0).double().mean()
        print(f"inplace={inplace!s:5} {way:16} min is 0: {(out.min() == 0).item()!s:5}", end="")
        print(f" negative: {share:.0%}")
        assert share == 0 if inplace and way == "detach()" else 0.4 < share < 0.6
question.reveal("exactly 0" if kept["detach()"].min() == 0 else "negative")


# %% [markdown]
# The third row is not what the convolution put out: `detach()` makes no copy, and a ReLU with `inplace=True` writes its result **into the tensor it got**. About half of the true values are negative, as the other rows show: with `inplace=False`, or with a copy. **Copy what you keep.**

# %% [markdown]
# ### Exercise 5.11 Before and after the ReLU · 10 min · ★★
#
# The task of the old course, made safe. `net` is built like AlexNet: `net.features[0]` is a convolution, `net.features[1]` the ReLU behind it, and it may work in place or not. Write `before_and_after(net, pictures)`: **one** run of `net(pictures)`, from which you return two tensors without a graph, what the convolution put out and what the ReLU made of it. `net` stays as it was: its `inplace`, its mode, and no hook is left, not even when `net` stops with an error.

# %% covers=["w5-ex-hook-inplace"] tags=["exercise"]
def before_and_after(net, pictures):
    # two register_forward_hook, one run -> (map before the ReLU, map after it)
    ...


# %% tags=["check"]
check.before_and_after(before_and_after)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# One hook function for both places, which appends `output.detach().clone()` to a list: the convolution comes first.
# </details>
# <details><summary>Hint 2</summary>
#
# `with net.features[0].register_forward_hook(keep), net.features[1].register_forward_hook(keep):` removes both, also after an error.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def before_and_after(net, pictures):
#     kept = []
#
#     def keep(module, args, output):
#         kept.append(output.detach().clone())
#
#     with net.features[0].register_forward_hook(keep), net.features[1].register_forward_hook(keep):
#         net(pictures)
#     return kept[0], kept[1]
# ```
# </details>

# %% [markdown] covers=["w5-backward-hook", "w5-err-backward-hook-args"]
# ### Hooks around a module: backward
#
# > **Myth.** The old course's table gives the backward hook the parameters `module, input, output`. It gets **gradients**: `grad_input`, the gradients of the loss with respect to what went into the module, and `grad_output`, those with respect to what came out. Both are tuples.
#
# Back to the network with the kernels of ones and twos. The loss is the mean of its two outputs, 9 and 18.

# %% covers=["w5-backward-hook"]
question = predict(
    "How many of the 8 numbers in conv1's grad_output are not 0?", ["0", "2", "8"]
)
question


# %% [markdown]
# The picture itself needs no gradient here, and torch warns that the hook has nothing to report on that side: `(None,)`.

# %% covers=["w5-backward-hook", "w5-err-backward-hook-args"] tags=["then-and-now"]
def show(module, grad_input, grad_output):
    print("grad_output", tuple(grad_output[0].shape), rounded(grad_output[0][0]))
    print("grad_input ", grad_input)
    arrived.append(grad_output[0])


net, arrived = Net(), []
net.conv1.register_full_backward_hook(show)
with expected_warning(UserWarning):
    net(picture).mean().backward()
print("gradients of the two kernels:", rounded(net.conv1.weight.grad.unique()))
assert arrived[0][0, :, 0, 0].tolist() == [0.5, 0.5] and (net.conv1.weight.grad == 0.5).all()
question.reveal(int((arrived[0] != 0).sum()))

# %% [markdown]
# The mean gives each of two outputs the slope 0.5. Max pooling hands it to the one position that won (all were equal, the first won), so 2 of 8 are not 0. The gradients of the weights, all 0.5, are **not** among what the hook gets: they are where they always are, in `conv1.weight.grad`.
#
# With `requires_grad` on the picture `grad_input` is filled, one number for each pixel. Predict where it is not zero, and how large: the winning window has nine pixels, and both kernels saw it.

# %% covers=["w5-backward-hook"]
net, given = Net(), []
net.conv1.register_full_backward_hook(lambda module, grad_in, grad_out: given.append(grad_in))
net(picture.clone().requires_grad_()).mean().backward()
for row in rounded(given[0][0][0, 0]):
    print(row)
assert (given[0][0][0, 0, :3, :3] == 1.5).all() and given[0][0].sum() == 9 * 1.5

# %% [markdown]
# $0.5\cdot 1 + 0.5\cdot 2 = 1.5$ in the top-left 3×3, nothing in the last row and column. In general `grad_input` of a convolution is the transposed convolution (week 3) of `grad_output` with the same weights. With random numbers:

# %% covers=["w5-backward-hook"] tags=["proof"]
torch.manual_seed(seed)
conv, given = nn.Conv2d(3, 5, 3, dtype=torch.float64), []
conv.register_full_backward_hook(lambda module, *gradients: given.extend(gradients))
x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
conv(x).square().sum().backward()
(grad_input,), (grad_output,) = given
assert torch.allclose(grad_input, F.conv_transpose2d(grad_output, conv.weight), atol=1e-10)
assert torch.equal(grad_input, x.grad)
assert torch.allclose(grad_output.sum(dim=(0, 2, 3)), conv.bias.grad)
print("conv_transpose2d of", tuple(grad_output.shape), "gives", tuple(grad_input.shape))


# %% [markdown]
# ### The old backward hook, beside the new one
#
# > **Then and now.** `register_backward_hook` of the old course still runs, with a warning, and what it calls `grad_input` is something else:

# %% covers=["w5-backward-hook", "w5-err-backward-hook-input"] tags=["then-and-now"]
def shapes(gradients):
    return ", ".join("None" if grad is None else str(tuple(grad.shape)) for grad in gradients)


net = Net()
net.conv1.register_backward_hook(lambda module, grad_in, out: print("old:", shapes(grad_in)))
with expected_warning(FutureWarning):
    net(picture).mean().backward()

# %% [markdown]
# The old course says "gradient of the layer's input" and shows `(None, weight gradient, bias gradient)`. That is what went into the **last node of the graph** that the module made, not into the module. For a convolution the weights happen to enter there too. For a module made of several steps it is the last step's input. Both hooks, on the convolution and on the whole network, whose input is a 4×4 picture with a gradient:

# %% covers=["w5-err-backward-hook-input", "w5-backward-hook"] tags=["then-and-now"]
import warnings  # of this cell alone: to be silent about what was shown above

for place in ("conv1", ""):
    for way in ("register_backward_hook", "register_full_backward_hook"):
        net = Net()
        register = getattr(net.get_submodule(place), way)
        given = []
        register(lambda module, grad_in, grad_out, given=given: given.extend(grad_in))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            net(picture.clone().requires_grad_()).mean().backward()
        print(f"{place or 'the whole net':14} {way:28} {shapes(given)}")
        assert len(given) == (3 if way == "register_backward_hook" and place else 1)

# %% [markdown]
# The full hook says (1, 1, 4, 4) both times: the gradient of the module's input, nothing else. For the whole network the old one shows a 2×2 map, the input of the pooling. Not both on one module, by the way; and a module that once had a full hook remembers it, even after its removal:

# %% covers=["w5-backward-hook"] tags=["then-and-now"]
net = Net()
net.conv1.register_full_backward_hook(lambda module, grad_in, grad_out: None).remove()
with expected_error(RuntimeError):
    net.conv1.register_backward_hook(lambda module, grad_in, grad_out: None)

# %% [markdown]
# What a full backward hook **returns** (a tuple) goes on as `grad_input`, to whatever lies before the module; the gradients of the module's own weights stay as they are. To change those too, hook the other side: `register_full_backward_pre_hook` gets `grad_output` alone and runs first. The pencil version: weight 3, input 2, so the input's gradient is 3 and the weight's is 2.

# %% covers=["w5-backward-hook"]
signs = []
for name in ("no hook", "full_backward_hook", "full_backward_pre_hook"):
    layer, x = nn.Linear(1, 1, bias=False), torch.tensor([[2.0]], requires_grad=True)
    nn.init.constant_(layer.weight, 3.0)
    if name == "full_backward_hook":
        layer.register_full_backward_hook(lambda module, grad_in, grad_out: (-grad_in[0],))
    elif name == "full_backward_pre_hook":
        layer.register_full_backward_pre_hook(lambda module, grad_out: (-grad_out[0],))
    layer(x).sum().backward()
    signs.append((x.grad.item(), layer.weight.grad.item()))
    print(f"{name:22} gradient of x {signs[-1][0]:4}, of the weight {signs[-1][1]:4}")
assert signs == [(3, 2), (-3, 2), (-3, -2)]

# %% [markdown]
# The middle row is a trick from the literature, the gradient reversal layer: what lies before it learns the opposite.
#
# ### A backward hook and a layer that works in place
#
# A full backward hook wraps the output of its module, and torch does not let a following layer write into the wrapping:

# %% covers=["w5-full-backward-inplace"]
torch.manual_seed(seed)
pair, arrived = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True)), {}
x, hang = torch.randn(1, 1, 6, 6, requires_grad=True), pair[0].register_full_backward_hook
with hang(lambda module, grad_in, grad_out: arrived.update(full=grad_out[0])):
    with expected_error(RuntimeError):
        pair(x)
    pair[1].inplace = False
    pair(x).sum().backward()
print("with inplace=False it works:", tuple(arrived["full"].shape))


# %% [markdown]
# Two ways out: `inplace=False`, or no module hook at all. A forward hook can hang a **tensor hook** at the output, on its way past. That works with every layer behind it, and gives the same gradient. (A `def`, not a lambda: that one would return the handle of `register_hook`, and the handle would become the output.)

# %% covers=["w5-full-backward-inplace", "w5-tensor-hook"]
def hook_the_output(module, args, output):
    output.register_hook(lambda grad: arrived.update(tensor=grad))


pair[1].inplace = True
with pair[0].register_forward_hook(hook_the_output):
    pair(x).sum().backward()
print("in place, the same gradient:", torch.equal(arrived["tensor"], arrived["full"]))


# %% [markdown]
# ### A recorder
#
# Four rules have come together: copy what you keep; give every hook its own name; reach gradients through the output; remove all hooks, whatever happens. It is worth writing that down once, as a **context manager** (上下文管理器): `__enter__` runs at the beginning of a `with`, `__exit__` at its end, after an error too.

# %% covers=["w5-hook-fmap", "w5-handle-remove"]
class Recorder:
    """In a `with`: keeps what the named modules put out, and the gradients that reach it."""

    def __init__(self, model, names, gradients=False):
        # looked up before any hook hangs: a wrong name must leave nothing behind
        self.modules = {name: model.get_submodule(name) for name in names}
        self.wanted, self.outputs, self.gradients = gradients, {}, {}

    def __enter__(self):
        self.handles = [
            module.register_forward_hook(lambda *given, name=name: self.keep(name, given[-1]))
            for name, module in self.modules.items()
        ]
        return self

    def __exit__(self, *error):
        for handle in self.handles:
            handle.remove()

    def keep(self, name, output):
        self.outputs[name] = output.detach().clone()
        if self.wanted:
            output.register_hook(lambda grad: self.gradients.update({name: grad.clone()}))


# %% [markdown]
# Its promise is put to the test at once: a run in order, a run that stops with an error, and a wrong name. How many hooks are left?

# %% covers=["w5-handle-remove"]
def waiting(model):
    return sum(len(module._forward_hooks) for module in model.modules())


net = Net()
with Recorder(net, ["conv1", "pool1"], gradients=True) as record:
    net(picture).mean().backward()
for name in ("pool1", "conv1"):
    out, gradient = record.outputs[name].unique(), record.gradients[name].unique()
    print(f"{name}: different values {out.tolist()}, gradients {gradient.tolist()}")
with expected_error(RuntimeError), Recorder(net, ["conv1", "pool1"]):
    net(torch.ones(1, 7, 4, 4))
with expected_error(AttributeError), Recorder(net, ["conv1", "conv2"]):
    net(picture)
print("hooks left:", waiting(net))
assert waiting(net) == 0 and record.outputs["pool1"].flatten().tolist() == [9, 18]

# %% [markdown]
# Week 6 takes its `Recorder` from `course_utils.hooks`: the same idea, with clearer complaints, and with a place for each call of a module that is called twice.
#
# ### A thermometer in every layer
#
# Week 4 followed the scale of a signal through a hundred layers, with a function written for that network. With hooks the same is done to **any** network. Twenty linear layers with ReLU, once as PyTorch initialises them and once after Kaiming: the root mean square of what each layer puts out, and of the gradient that comes back to it.

# %%
torch.manual_seed(seed)
curves_of = {}
for name in ("PyTorch's default", "Kaiming"):
    net = nn.Sequential()
    for _ in range(20):
        net.append(nn.Linear(128, 128)).append(nn.ReLU())
        if name == "Kaiming":
            nn.init.kaiming_normal_(net[-2].weight, nonlinearity="relu")
            nn.init.zeros_(net[-2].bias)
    names = [str(place) for place in range(0, 40, 2)]  # of the linear layers
    with Recorder(net, names, gradients=True) as record:
        net.double()(torch.randn(64, 128).double()).sum().backward()
    for what in ("outputs", "gradients"):
        kept = [getattr(record, what)[place] for place in names]
        curves_of[f"{name}, {what}"] = [value.square().mean().sqrt().item() for value in kept]
fades = {label: values[0] / values[-1] for label, values in curves_of.items()}
assert fades["PyTorch's default, gradients"] < 1e-5 and 0.02 < fades["Kaiming, gradients"] < 50
title = "Twenty ReLU layers, read by hooks: Kaiming keeps both scales"
curves.loss_curves(
    curves_of, x_label="layer", y_label="root mean square", log=True, title=title
)

# %% [markdown]
# With the default the outputs settle on a low level (the biases keep them there), and that looks harmless; the gradients that reach the first layers are more than a hundred thousand times smaller than those at the last. One look at the forward pass alone would have missed it.
#
# A hook that runs in every step of a long training should keep **numbers, not tensors**. This one counts, for each ReLU, the units that gave 0 for every sample of the batch: the **dead** ones (week 3). We kill twenty in the second layer.

# %%
torch.manual_seed(seed)
net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
nn.init.constant_(net[2].bias[:20], -100.0)
dead = {}


def count_dead(module, args, output):
    dead[module] = int((output == 0).all(dim=0).sum())


with net[1].register_forward_hook(count_dead), net[3].register_forward_hook(count_dead):
    net(torch.randn(1000, 8))
print("dead units by layer:", list(dead.values()))
assert dead[net[1]] == 0 and 20 <= dead[net[3]] < 30


# %% [markdown]
# ### An alarm for nan
#
# A loss of `nan` says that something went wrong, and not where. A hook sees every layer on the way, and one that raises an error stops the run at the first bad one. Here the culprit is a layer that takes logarithms of numbers around 0:

# %%
class Log(nn.Module):
    def forward(self, x):
        return x.log()


def alarm(module, args, output):
    if not output.isfinite().all():
        raise FloatingPointError(f"{type(module).__name__} puts out nan or inf")


torch.manual_seed(seed)
net = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), Log(), nn.ReLU(), nn.Linear(8, 1))
x = torch.randn(16, 4)
print("loss without the alarm:", net(x).mean().item())
with nn.modules.module.register_module_forward_hook(alarm), expected_error(FloatingPointError):
    net(x)


# %% [markdown]
# For `nan` that appears only on the way back there is `torch.autograd.set_detect_anomaly(True)`, which names the operation, slowly. On a GPU both cost time, because `if` has to wait for the number: hang the alarm up when you search, and take it down afterwards.

# %% [markdown]
# ### Exercise 5.12 Who was the first? · 12 min · ★★★
#
# In a large network the type is not enough, you want the **name**. Write `first_bad(net, x)`: run `net(x)` and return the name (as in `net.named_modules()`) of the module whose output was the first to hold a nan **or** an inf. Of nested modules the innermost counts. If all is well, return `"finite"`. Modules need not run in the order in which they were written down, a later layer may turn nan into a number again, and every module gives one tensor. Leave no hook behind.

# %% tags=["exercise"]
def first_bad(net, x):
    # -> name of the first module that puts out nan or inf, or "finite"
    ...


# %% tags=["check"]
check.first_bad(first_bad)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A hook at every module, each with its own name, that appends the name to a list if something in the output is not finite. Hooks run when their module is done, so the list is in the order of time.
# </details>
# <details><summary>Hint 2</summary>
#
# An inner module is done before the one around it: the first entry of the list is the answer.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def first_bad(net, x):
#     bad, handles = [], []
#     for name, module in net.named_modules():
#
#         def note(module, args, output, name=name):
#             if not output.isfinite().all():
#                 bad.append(name)
#
#         handles.append(module.register_forward_hook(note))
#     try:
#         net(x)
#     finally:
#         for handle in handles:
#             handle.remove()
#     return bad[0] if bad else "finite"
# ```
# </details>

# %% [markdown]
# ### Find the bug 5.3 The watchman · 10 min · ★★
#
# `watch` measures in every round what the hidden layer puts out on average. The means are right, the program is calm, and after some hours the machine is out of memory. The picture shows how many copies of the layer's output each round made. Find the cause and repair `watch`: every round has one copy to make, and when it returns, the network must be as it was. Hooks that **others** hung up stay.

# %% tags=["exercise", "find-the-bug"]
def watch(net, pictures, rounds):
    # -> mean output of net[1] in each round, number of copies made in each round
    kept, means, copies = [], [], []
    for _ in range(rounds):
        kept.clear()
        net[1].register_forward_hook(
            lambda module, args, output: kept.append(output.detach().clone())
        )
        net(pictures)
        means.append(kept[0].mean().item())
        copies.append(len(kept))
    return means, copies


torch.manual_seed(seed)
net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
means, copies = watch(net, torch.rand(100, 784), rounds=12)
print("copies:", copies, "| hooks that still wait:", len(net[1]._forward_hooks))
title = f"{sum(copies)} copies in 12 rounds"
curves.loss_curves({"copies": copies}, x_label="round", y_label="copies", title=title)

# %% tags=["check"]
check.bug_5_3(watch)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# How many hooks wait at `net[1]` in round 1, in round 2, in round 12?
# </details>
# <details><summary>Hint 2</summary>
#
# `register_forward_hook` returns something, and nobody takes it.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def watch(net, pictures, rounds):
#     # -> mean output of net[1] in each round, number of copies made in each round
#     kept, means, copies = [], [], []
#
#     def keep(module, args, output):
#         kept.append(output.detach().clone())
#
#     with net[1].register_forward_hook(keep):
#         for _ in range(rounds):
#             kept.clear()
#             net(pictures)
#             means.append(kept[0].mean().item())
#             copies.append(len(kept))
#     return means, copies
#
#
# torch.manual_seed(seed)
# net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
# means, copies = watch(net, torch.rand(100, 784), rounds=12)
# print("copies:", copies, "| hooks that still wait:", len(net[1]._forward_hooks))
# title = f"{sum(copies)} copies in 12 rounds"
# curves.loss_curves({"copies": copies}, x_label="round", y_label="copies", title=title)
# ```
# </details>

# %% [markdown]
# What travels with a model, by the way? A hook is a Python function at the module: a deep copy carries it along, a saved `state_dict` does not.

# %% covers=["w5-hook-concept"]
calls = []
net = nn.Linear(2, 2)
with net.register_forward_hook(lambda *given: calls.append("hook")):
    twin = copy.deepcopy(net)
    fresh = nn.Linear(2, 2)
    fresh.load_state_dict(net.state_dict())
for model in (net, twin, fresh):
    model(torch.ones(1, 2))
print("original, copy, from state_dict:", [waiting(model) for model in (net, twin, fresh)])
print("calls:", len(calls))
assert len(calls) == 1 and waiting(twin) == 1

# %% [markdown]
# The original is clean, and its copy still calls the hook. Remove first, then copy.
#
# ### Inside a trained network
#
# Now the reward. EfficientNet-Lite0 knows the thousand classes of ImageNet, and nobody touched its code. It has many convolutions; `Recorder` takes them all in one run, on a photograph of a cat.

# %% covers=["w5-hook-fmap"]
network = models.efficientnet_lite0()  # pretrained, in evaluation mode, on the CPU
names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
with Recorder(network, names) as record, torch.no_grad():
    scores = network(models.imagenet_input(data.photo("cat")))  # of (1, 3, 224, 224)
print(len(names), "convolutions,", len(record.outputs), "outputs")
for name in (names[0], names[10], names[25], names[-1]):
    print(f"{name:28} {tuple(record.outputs[name].shape[1:])}")
assert len(record.outputs) == len(names) and "cat" in models.imagenet_classes()[scores.argmax()]

# %% [markdown]
# The maps become smaller and more numerous, from 112×112 to 7×7. One picture for each layer, the map that varies most, all enlarged to the same size. Read them like lines of a book. How long can you see the cat?

# %% covers=["w5-hook-fmap"]
liveliest = []
for kept in record.outputs.values():
    maps = kept[0]
    chosen = maps[maps.flatten(1).std(dim=1).argmax()]
    scaled = (chosen - chosen.min()) / (chosen.max() - chosen.min())
    liveliest.append(F.interpolate(scaled[None, None], size=112, mode="nearest")[0])
grids.show_grid(liveliest, columns=10, title="One map of each convolution, first to last")

# %% [markdown]
# Row one is the cat, in outlines and fur. Its eyes can be found down to row four. Beside them, and after them, there are a few bright spots that say "here" and no longer "what", and frames, where a layer noticed the border. What all these spots mean together only the classifier knows, and the next lesson asks it.
#
# And what made such maps? A **depthwise** convolution (week 3) has one kernel for each map and reads that map only, so its kernels can be looked at even in the middle of the network. Sixteen of those in block 3, 5×5, and then the sixteen maps they make of another photograph, a cup of coffee:

# %% covers=["w5-hook-fmap"]
name = "_blocks.3._depthwise_conv"
kernels = network.get_submodule(name).weight
print(name, tuple(kernels.shape))
grids.show_kernels(kernels[:16], columns=8, title="16 kernels of block 3")

# %% [markdown]
# And in the same order:

# %% covers=["w5-hook-fmap"]
with Recorder(network, [name]) as drink, torch.no_grad():
    network(models.imagenet_input(data.photo("coffee")))
maps = drink.outputs[name][0, :16]
grids.show_feature_maps(maps, columns=8, title="What they make of a cup of coffee")

# %% [markdown]
# ### Explorer Inside a network
#
# Choose a photograph and a layer, and turn the pages of its maps. Find an early map that draws outlines, one that reacts to a colour, and the first layer in which you would no longer recognise the picture.

# %%
explore.feature_maps()

# %% [markdown]
# You can now look into any network without changing a line of it, on the way there and on the way back. The next lesson puts two of these hooks together, one for the maps and one for their gradients, and asks a network where it looked.

# %% [markdown] covers=["w5-cam"]
# ## 5.7 CAM and Grad-CAM: where does it look?
#
# A network says "Egyptian cat", and it is right. But what in the picture made it say so: the eyes, the fur, or the sofa on which cats so often lie? The answer is a map over the picture, and for many networks it costs one line. (Lesson 5.6 explains hooks; here we only use them.)
#
# Our network is EfficientNet-Lite0, trained on the 1000 classes of ImageNet and shipped with the course. It runs on the CPU here, in double precision: one picture is quick, and proofs come out exact.

# %%
net = models.efficientnet_lite0().double()  # in evaluation mode
names = models.imagenet_classes()


def ready(photo):
    """A photograph as the network takes it, (1, 3, 224, 224)."""
    return models.imagenet_input(photo).double()


for name in ("cat", "coffee", "astronaut"):
    with torch.no_grad():
        best = net(ready(data.photo(name)))[0].topk(2).indices.tolist()
    print(f"{name:9}", ", ".join(f"{index} {names[index]}" for index in best))
grids.show_grid(
    [models.imagenet_picture(data.photo(n)) for n in ("cat", "coffee", "astronaut")]
)


# %% [markdown]
# A cat, an espresso, and for the astronaut a **football helmet**. Keep that one in mind; the map will explain it.
#
# ### What the pooling sees
#
# The network ends like many today: convolutions make feature maps, **global average pooling** (GAP, 全局平均池化) replaces each map by its mean, and one linear layer turns the means into logits. We want the maps just before the pooling. A forward pre-hook (lesson 5.6) on the pooling gets exactly that: its input.

# %% covers=["w5-cam"]
def look(net, pictures):
    """The logits (N, K), and the maps (N, C, h, w) that the pooling averages."""
    kept = []
    handle = net._avg_pooling.register_forward_pre_hook(
        lambda module, inputs: kept.append(inputs[0])
    )
    try:
        logits = net(pictures)
    finally:
        handle.remove()
    return logits, kept[0]


with torch.no_grad():
    logits, maps = look(net, ready(data.photo("cat")))
print("maps", tuple(maps.shape), "| the pooling is", net._avg_pooling)
print("the classifier's weight", tuple(net._fc.weight.shape))
assert isinstance(net._avg_pooling, nn.AdaptiveAvgPool2d)
assert torch.allclose(net._fc(nn.AdaptiveAvgPool2d(1)(maps).flatten(1)), logits)

# %% [markdown]
# 1280 maps of 7 × 7. Each of the 49 places still knows where in the picture it lies; after the pooling nobody knows any more. Some of the maps, each scaled by itself:

# %%
strongest = maps[0].mean(dim=(1, 2)).topk(16).indices
grids.show_feature_maps(maps[0, strongest].float(), title="The 16 maps with the largest mean")

# %% [markdown]
# ### The class activation map
#
# For one class $c$, write down what the network does with maps $A_k$ of $H \times W$ places, weights $w_{ck}$ and a bias $b_c$, and change the order of the two sums:
#
# $$\text{logit}_c = \sum_k w_{ck} \underbrace{\frac{1}{HW}\sum_{i,j} A_k[i,j]}_{\text{pooling}} + b_c = \frac{1}{HW}\sum_{i,j}\ \underbrace{\sum_k w_{ck}\,A_k[i,j]}_{\text{CAM}_c[i,j]} + b_c$$
#
# The inner sum is a number for every place: the **class activation map** (CAM, 类激活图) of Zhou et al. (2016). Its mean plus the bias **is** the logit. Nothing is estimated: the map is the logit, before it was averaged.
#
# Two maps of 2 × 2, so that you can do it on paper. The class likes map 0 (weight 1) and dislikes map 1 (weight −2), its bias is 3.

# %%
question = predict(
    "Map 0 is 0, but 4 at the top left; map 1 is 0, but 2 at the bottom right. CAM there?",
    ["4 and 2", "4 and -4", "1 and -1"],
)
question

# %% covers=["w5-cam"] tags=["proof"]
small = torch.tensor([[[4.0, 0], [0, 0]], [[0, 0], [0, 2]]])  # (2 maps, 2, 2)
row, bias = torch.tensor([1.0, -2.0]), 3.0
by_hand = row[0] * small[0] + row[1] * small[1]
logit = row @ small.mean(dim=(1, 2)) + bias
print(
    "CAM",
    by_hand.tolist(),
    "| mean + bias",
    (by_hand.mean() + bias).item(),
    "| logit",
    logit.item(),
)
assert by_hand.mean() + bias == logit
question.reveal(f"{by_hand[0, 0]:.0f} and {by_hand[1, 1]:.0f}")


# %% [markdown]
# The top left speaks for the class, the bottom right against it, and the two just cancel. On the real network it is the same sum over 1280 maps, best written as `einsum`: the letter that is missing on the right, c, is summed. We test the formula on all 1000 classes.

# %% covers=["w5-cam"] tags=["proof"]
def weighted_sum(maps, weights):
    """sum over k of weights[k] * maps[k]: (C, h, w), (C,) -> (h, w)."""
    return torch.einsum("chw,c->hw", maps, weights)


with torch.no_grad():
    means = [weighted_sum(maps[0], row).mean() for row in net._fc.weight]
    assert torch.allclose(torch.stack(means) + net._fc.bias, logits[0], rtol=1e-12)
    cat_map = weighted_sum(maps[0], net._fc.weight[285])
print("the mean of each of 1000 maps, plus its bias, is its logit")
print("Egyptian cat:", tuple(cat_map.shape), "from", rounded(cat_map.min(), 1), end=" ")
print("to", rounded(cat_map.max(), 1))


# %% [markdown]
# To lay it on the picture, 7 × 7 numbers are enlarged to 224 × 224, smoothly (`F.interpolate`). `cam.overlay` of the course does this and colours it: yellow is the strongest, red weaker, and where nothing speaks for the class the grey picture is left.

# %%
def enlarge(heat, side):
    """A map (h, w) at (side, side), bilinear."""
    return F.interpolate(heat[None, None], (side, side), mode="bilinear")[0, 0]


def shown(photo, heat):
    """The photograph as the network sees it, under a map."""
    return cam.overlay(models.imagenet_picture(photo), heat)


raw = (cat_map / cat_map.max()).clamp(min=0)
large = enlarge(raw, 224)
over = shown(data.photo("cat"), cat_map)
pieces = [F.interpolate(raw[None, None], (224, 224))[0], large[None], over]
grids.show_grid(
    [piece.float().expand(3, -1, -1) for piece in pieces],
    titles=["7 x 7 numbers", "enlarged, smooth", "over the photograph"],
)

# %% [markdown]
# One number of the map stands for 32 × 32 pixels, and each has seen far more than that. So read it as "about here", never as the outline of a cat. And the football helmet? Reading a map of an answer (CAM分析) begins with this question: where was it seen?

# %% covers=["w5-cam-analysis"]
pieces, titles = [], []
for name in ("coffee", "astronaut"):
    with torch.no_grad():
        logits, maps = look(net, ready(data.photo(name)))
        chosen = logits.argmax().item()
        pieces.append(shown(data.photo(name), weighted_sum(maps[0], net._fc.weight[chosen])))
    titles.append(names[chosen])
grids.show_grid(pieces, titles)

# %% [markdown]
# There is a helmet in the picture, at the bottom right, and it has about the form. The answer was wrong, but not without reason: ImageNet has no class for astronauts' helmets. This is what maps are good for. They turn "wrong" into a question that you can look at.
#
# > **Myth.** "The feature maps are finally combined in a weighted **average**; the weights are those of the **softmax**." It is a weighted **sum**. The weights are the row of the linear layer for the chosen class: they may be negative and do not add up to 1, and no softmax takes part. (One of the old texts also calls the result GAM. The name is CAM, for class activation map.)

# %% covers=["w5-err-cam-average", "w5-err-gam"] tags=["proof"]
row = net._fc.weight[285].detach()
print(
    f"Egyptian cat: {len(row)} weights, {(row < 0).sum()} of them negative, sum {row.sum():.2f}"
)
with torch.no_grad():
    logits, maps = look(net, ready(data.photo("cat")))
for name, weights in [
    ("row", row),
    ("row / sum", row / row.sum()),
    ("softmax", row.softmax(0)),
]:
    mean = weighted_sum(maps[0], weights).mean() + net._fc.bias[285]
    print(f"{name:9} mean of the map + bias {mean:6.2f}, the logit is {logits[0, 285]:.2f}")
assert (row < 0).sum() > 100 and abs(row.sum() - 1) > 0.5
print("".join(word[0] for word in "class activation map".split()).upper())


# %% [markdown]
# Dividing by the sum would even turn this map round, because the sum is negative. And the softmax of weights near 0 is nearly the same number for all maps: the class is lost.
#
# ### Choose the class
#
# The maps $A_k$ belong to the picture, the row belongs to the class. So nobody stops us from taking the row of another class than the one that the network chose. Half a cat and half a cup, side by side:

# %%
def left_half(name):
    """The middle of a photograph, 256 high and 128 wide."""
    return v2.functional.center_crop(v2.functional.resize(data.photo(name), 256), (256, 128))


both_pixels = [v2.functional.pil_to_tensor(left_half(name)) for name in ("cat", "coffee")]
both = v2.functional.to_pil_image(torch.cat(both_pixels, dim=2))
question = predict(
    "The network says Egyptian cat. Where is the map of the class `espresso` strongest?",
    ["on the cat as well", "on the cup", "nowhere: it did not choose it"],
)
question

# %% covers=["w5-cam", "w5-cam-analysis"]
with torch.no_grad():
    logits, maps = look(net, ready(both))
print("its first choice:", names[logits.argmax()])
maps_of = {c: weighted_sum(maps[0], net._fc.weight[c].detach()) for c in (285, 967)}
columns = {c: heat.argmax().item() % 7 for c, heat in maps_of.items()}
print("columns of the maxima, 0 is left and 6 right:", columns)
assert columns[285] < 3 < columns[967]
question.reveal("on the cup" if columns[967] > 3 else "on the cat as well")

# %% [markdown]
# The cat's map is strongest at its left edge, the cup's right of the middle. One forward pass has a map for **every** class, also for those the network did not choose. In the picture:

# %% covers=["w5-cam-analysis"]
pieces = [models.imagenet_picture(both), *(shown(both, heat) for heat in maps_of.values())]
grids.show_grid(pieces, ["the picture", *(names[c] for c in maps_of)])

# %% [markdown]
# One picture, one forward pass, two answers to two questions. A third question is often the better one: why cat **rather than** cup? The answer is the map of the difference of the two rows, positive where the picture speaks for the cat, negative where for the cup. Its mean is the difference of the logits (up to the biases):

# %% covers=["w5-cam"] tags=["proof"]
rather = weighted_sum(maps[0], (net._fc.weight[285] - net._fc.weight[967]).detach())
by_biases = net._fc.bias[285] - net._fc.bias[967]
assert torch.allclose(rather, maps_of[285] - maps_of[967])
assert torch.allclose(rather.mean() + by_biases, logits[0, 285] - logits[0, 967])
left, right = rather[:, :3].mean(), rather[:, 4:].mean()
print("cat rather than cup: the left half", "for" if left > 0 else "against", end=", ")
print("the right half", "for" if right > 0 else "against")
grids.show_grid([shown(both, rather), shown(both, -rather)], ["cat, not cup", "cup, not cat"])

# %% [markdown]
# Another way to see a CAM: take the classifier and let it decide **at every place**, without pooling. A linear layer applied at each place is a 1 × 1 convolution with the same weights.

# %% covers=["w5-cam"] tags=["proof"]
with torch.no_grad():
    everywhere = F.conv2d(maps, net._fc.weight[:, :, None, None], net._fc.bias)
print("a decision at every place:", tuple(everywhere.shape))
assert torch.allclose(everywhere[0, 285] - net._fc.bias[285], maps_of[285])
assert torch.allclose(everywhere.mean(dim=(2, 3)), logits)
deciding = everywhere[0, [285, 967]].argmax(dim=0)
print("cat (.) or cup (#):", *("".join(".#"[v] for v in line) for line in deciding), sep="\n")


# %% [markdown]
# ### Exercise 5.13 Maps for a batch · 10 min · ★★
#
# Write `class_maps(features, classifier, classes)`: for a **batch** of pictures one class activation map each, every picture with its own class. Negative values stay.

# %% tags=["exercise"]
def class_maps(features, classifier, classes):
    # features (N, C, h, w), classifier: an nn.Linear(C, K), classes (N,) int64 -> (N, h, w)
    ...


# %% tags=["check"]
check.class_maps(class_maps)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `classifier.weight` has shape (K, C): a row for each class. Indexing it with `classes` gives the N rows that are needed, (N, C).
# </details>
# <details><summary>Hint 2</summary>
#
# `einsum` with the letters `nchw` and `nc`: which letter is summed, and which three are left?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def class_maps(features, classifier, classes):
#     # features (N, C, h, w), classifier: an nn.Linear(C, K), classes (N,) int64 -> (N, h, w)
#     return torch.einsum("nchw,nc->nhw", features, classifier.weight[classes])
# ```
# </details>

# %% [markdown] covers=["w5-gradcam"]
# ### Grad-CAM: the weight is a slope
#
# CAM needs one special end: pooling, then **one** linear layer. LeNet has no such row of weights. Its last maps go through three linear layers, with ReLU between them. What could be the weight of a map there?
#
# Ask: if map $k$ became a little stronger everywhere, by how much would the score of the class grow? This is a derivative, and autograd has it. **Grad-CAM** (Selvaraju et al., 2017) takes the mean slope over all places as the weight, forms the same weighted sum, and keeps what speaks for the class:
#
# $$\alpha_k = \frac{1}{HW} \sum_{i,j} \frac{\partial y_c}{\partial A_k[i,j]} \qquad\qquad \text{Grad-CAM}_c = \mathrm{ReLU}\Big(\sum_k \alpha_k A_k\Big)$$
#
# $y_c$ is the **logit**, not the probability. `torch.autograd.grad(score, maps)` gives the slopes of one tensor and fills no `.grad` anywhere. On the paper example, where pooling and weights 1 and −2 made the logit:

# %% covers=["w5-gradcam"] tags=["proof"]
A = small.clone().requires_grad_()
score = torch.tensor([1.0, -2.0]) @ A.mean(dim=(1, 2)) + bias
(slopes,) = torch.autograd.grad(score, A)
alphas = slopes.mean(dim=(1, 2))
print("slopes of map 0:", slopes[0].tolist(), "| of map 1:", slopes[1].tolist())
print("alphas", alphas.tolist(), "| Grad-CAM before ReLU", weighted_sum(small, alphas).tolist())
assert torch.equal(4 * weighted_sum(small, alphas), by_hand)

# %% [markdown]
# Each of the four places has a slope of $w_k / 4$, because the mean divides by 4. Now EfficientNet, which has 49 places, and three classes:

# %%
question = predict(
    "CAM and Grad-CAM (before ReLU) of a network with GAP and one linear layer differ by",
    ["nothing", "a factor, the same for all classes", "a factor that depends on the class"],
)
question

# %% covers=["w5-gradcam", "w5-cam"] tags=["proof"]
logits, maps = look(net, ready(data.photo("cat")))  # with a graph this time
factors = []
for c in (285, 967, 560):
    (slopes,) = torch.autograd.grad(logits[0, c], maps, retain_graph=True)
    with torch.no_grad():
        grad_map = weighted_sum(maps[0], slopes.mean(dim=(2, 3))[0])
        plain_map = weighted_sum(maps[0], net._fc.weight[c])
        ratio = (plain_map * grad_map).sum() / (grad_map * grad_map).sum()
        error = (plain_map - 49 * grad_map).abs().max() / plain_map.abs().max()
    factors.append(round(ratio.item(), 6))
    print(f"{names[c]:15} CAM / Grad-CAM = {factors[-1]}, relative error below 1e-12:", end=" ")
    print((error < 1e-12).item())
    assert error < 1e-12
question.reveal(
    "a factor, the same for all classes" if len(set(factors)) == 1 else "something else"
)

# %% [markdown]
# Exactly 49. In such a network every slope is $w_k/(HW)$, so $\alpha_k = w_k/(HW)$, and Grad-CAM is the CAM divided by the number of places, $HW$. That holds for every network that ends in pooling and one linear layer. In a picture, scaled to its largest value, the factor is invisible. So Grad-CAM is CAM where CAM exists, and goes on where it does not.
#
# ### Can we believe the slopes?
#
# An independent test, without any gradient. Take a network with a real head, a LeNet with its three linear layers (untrained, a formula does not mind). Raise map $k$ by a tiny $\varepsilon$ at all places, then lower it, and see how the score moves. Divided by $2\varepsilon\,HW$, this must be $\alpha_k$.

# %% covers=["w5-gradcam"] tags=["proof"]
torch.manual_seed(seed)
lenet = models.LeNet().double().eval()
A = lenet.features(torch.rand(1, 1, 28, 28).double()).detach().requires_grad_()
(slopes,) = torch.autograd.grad(lenet.classifier(A)[0, 7], A)
alphas, epsilon, measured = slopes.mean(dim=(2, 3))[0], 1e-7, []
with torch.no_grad():
    for k in range(A.shape[1]):
        step = torch.zeros_like(A)
        step[:, k] = epsilon
        change = lenet.classifier(A + step)[0, 7] - lenet.classifier(A - step)[0, 7]
        measured.append(change / (2 * epsilon * 4 * 4))
error = (torch.stack(measured) - alphas).abs().max() / alphas.abs().max()
print(
    f"{len(measured)} maps of {A.shape[2]} x {A.shape[3]}, slopes confirmed to 1e-5:",
    (error < 1e-5).item(),
)
assert error < 1e-5


# %% [markdown]
# ### Grad-CAM at any layer, by hooks
#
# LeNet came apart by itself into features and head. A network that we cannot take apart needs hooks. The classical way uses two of them: a forward hook keeps the maps, a full backward hook keeps their gradient, and `backward()` sends everything through.

# %% covers=["w5-gradcam"]
def two_hooks(net, pictures, layer, class_index):
    maps, slopes = [], []
    handles = [
        layer.register_forward_hook(lambda module, inputs, output: maps.append(output)),
        layer.register_full_backward_hook(lambda module, gets, gives: slopes.append(gives[0])),
    ]
    net(pictures)[0, class_index].backward()
    for handle in handles:
        handle.remove()
    return weighted_sum(maps[0][0], slopes[0].mean(dim=(2, 3))[0]).relu().detach()


heat = two_hooks(net, ready(both), net._blocks[15], 285)
filled = sum(p.grad is not None for p in net.parameters())
print("a map of", tuple(heat.shape), "|", filled, "parameters have a .grad now")
net.zero_grad()
assert filled > 100


# %% [markdown]
# It works, and it leaves dirt: a gradient in every parameter, which the next training step would use; and had `net(pictures)` failed, the hooks would hang there for ever. It also does too much, because it computes slopes all the way down to the first convolution, and we need them at one layer.
#
# So cut there. A forward hook may **replace** the output: we give back a detached copy that asks for its own gradient. Everything before it needs no graph, and `autograd.grad` goes only from the score to the cut. (The `Recorder` of 5.6 will not do here: it keeps detached copies, and no graph leads from them to the score.)

# %% covers=["w5-gradcam"] tags=["proof"]
def alphas_at(net, pictures, layer, class_index):
    """The maps of `layer` (C, h, w), and the mean slope of the class's logit for each, (C,)."""
    kept = []

    def cut(module, inputs, output):
        kept.append(output.detach().requires_grad_())
        torch.set_grad_enabled(True)  # from here on, record
        return kept[0]

    handle = layer.register_forward_hook(cut)
    try:
        with torch.no_grad():  # up to here, do not; it also gives back the mode that was
            score = net(pictures)[0, class_index]
    finally:
        handle.remove()
    (slopes,) = torch.autograd.grad(score, kept[0])
    return kept[0][0].detach(), slopes.mean(dim=(2, 3))[0]


cut_map = weighted_sum(*alphas_at(net, ready(both), net._blocks[15], 285)).relu()
print("both ways agree:", torch.allclose(cut_map, heat, rtol=1e-9, atol=1e-12))
print("parameters with a .grad:", sum(p.grad is not None for p in net.parameters()))
assert torch.allclose(cut_map, heat, rtol=1e-9, atol=1e-12)

# %% [markdown]
# Forward to the layer without a graph, back to the layer and not further: the backward pass of the last layers is all that a map costs beyond the forward pass. Now every layer can be asked. The class is the cat each time, and under each picture stands which share of the map lies on the left half, where the cat is:

# %% covers=["w5-gradcam"]
pieces, titles, on_cat = [], [], {}
for number in (15, 14, 10, 4, 1):
    heat = weighted_sum(*alphas_at(net, ready(both), net._blocks[number], 285)).relu()
    on_cat[number] = (heat[:, : heat.shape[1] // 2].sum() / heat.sum()).item()
    pieces.append(shown(both, heat))
    titles.append(f"block {number}: {on_cat[number]:.2f}")
    print(f"block {number:2}: a map of {len(heat)} x {len(heat)}")
assert on_cat[15] > 0.7 > max(on_cat[number] for number in (14, 10, 4, 1))
grids.show_grid(pieces, titles, columns=5, title="Egyptian cat, from late to early")

# %% [markdown]
# Only the last block is sure. One block earlier the map is just as coarse, and lit on the cup more than on the cat (0.36 on the left); the early ones are fine and show edges, of both alike. One weight for a whole map makes sense where the map **means** something and little is left to happen behind it. So Grad-CAM belongs to the last maps, and a pretty map of an early layer says less than it seems to.
#
# ### Two traps
#
# **One module too early.** Behind the head's convolution stand a batch norm (`_bn1`) and a ReLU6, then comes the pooling. Hooking the batch norm looks just as good. But its maps have not gone through the ReLU6 yet: they have negative values that the classifier never sees, and slopes of 0 where the ReLU6 cuts. The factor of 49 is gone. How alike are the two maps, for the first choice in five photographs?

# %% covers=["w5-gradcam"]
alike = []
for name in data.PHOTOS:
    with torch.no_grad():
        logits, maps = look(net, ready(data.photo(name)))
        chosen = logits.argmax().item()
        right = weighted_sum(maps[0], net._fc.weight[chosen])
    early = weighted_sum(*alphas_at(net, ready(data.photo(name)), net._bn1, chosen))
    alike.append(torch.corrcoef(torch.stack([right.flatten(), early.flatten()]))[0, 1].item())
    print(f"{name:9} {names[chosen]:15} correlation {alike[-1]:.2f}")
assert all(0.7 < value < 0.98 for value in alike)

# %% [markdown]
# From 0.76 to 0.96, where 1 was expected. Alike, and another map. Take the input of the pooling, then there is nothing to choose.
#
# **A module that is called twice**, like the shared ReLU of 5.6. The ReLU6 behind `_bn1` is called `_swish`. Hook that one? Count first how often it is called, forward and backward:

# %% covers=["w5-gradcam"]
forward, backward = [], []
handles = [
    net._swish.register_forward_hook(lambda module, inputs, output: forward.append(output)),
    net._swish.register_full_backward_hook(
        lambda module, gets, gives: backward.append(gives[0])
    ),
]
net(ready(data.photo("cat")))[0, 285].backward()
for handle in handles:
    handle.remove()
net.zero_grad()
print("forward: ", *(tuple(output.shape[1:]) for output in forward))
print("backward:", *(tuple(slope.shape[1:]) for slope in backward))

# %% [markdown]
# Twice: once behind the first convolution, once behind the last. Sharing a module without parameters is allowed, and common. On the way back the calls come in **reverse** order. So a hook that keeps "the last one" keeps the right maps and the wrong slopes:

# %% covers=["w5-gradcam"]
with expected_error(RuntimeError):
    weighted_sum(forward[-1][0], backward[-1].mean(dim=(2, 3))[0])
right = weighted_sum(forward[1][0], backward[0].mean(dim=(2, 3))[0]).detach()
assert torch.allclose(49 * right, cat_map)
print("maps of the last call with slopes of the first backward call: the CAM / 49")


# %% [markdown]
# Here the shapes were different and torch refused. In a network whose blocks share one ReLU and keep their width, they would fit, and a wrong map would look right. So count the calls of the module that you hook, or hook one that is called once.

# %% [markdown]
# ### Exercise 5.14 Grad-CAM that leaves no trace · 15 min · ★★★
#
# Write `grad_cam(net, pictures, layer, classes)` for a **batch**: any layer whose output is a map, and for each picture a class of its own, as in 5.13. One forward pass and one backward pass are enough. The network is in evaluation mode, where no picture of a batch has a say in the scores of another. Afterwards it must be as before: no hook left, also when the network **stops with an error**; every `.grad` as it was, for somebody may be between `backward()` and `step()`. The check has a network of its own.

# %% tags=["exercise"]
def grad_cam(net, pictures, layer, classes):
    # pictures (N, …), layer: a module of net with the output (N, C, h, w), called once,
    # classes (N,) int64 -> (N, h, w), for each picture ReLU of the sum of alpha[k] * map[k]
    ...


# %% tags=["check"]
check.grad_cam(grad_cam)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A forward hook keeps the output and returns a clone of it, because the next layer may work in place; `try: … finally: handle.remove()` around the forward pass. With `torch.autograd.grad(score, kept[0])` no `.grad` is touched. It wants one number: the **sum** of the scores that were asked for. Picture 3 has no part in the score of picture 5, so in this sum each picture still has the slopes of its own score.
# </details>
# <details><summary>Hint 2</summary>
#
# `scores.gather(1, classes[:, None])` is the score of each picture's own class. The result of `autograd.grad` is a tuple of one tensor (N, C, h, w). Its mean over the last two dimensions is alpha, (N, C). ReLU comes last, after the sum over C.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def grad_cam(net, pictures, layer, classes):
#     # pictures (N, …), layer: a module of net with the output (N, C, h, w), called once,
#     # classes (N,) int64 -> (N, h, w), for each picture ReLU of the sum of alpha[k] * map[k]
#     kept = []
#
#     def keep(module, inputs, output):
#         kept.append(output)
#         return output.clone()  # the next layer may work in place
#
#     handle = layer.register_forward_hook(keep)
#     try:
#         scores = net(pictures)
#     finally:
#         handle.remove()
#     asked = scores.gather(1, classes[:, None])
#     (slopes,) = torch.autograd.grad(asked.sum(), kept[0])
#     alphas = slopes.mean(dim=(2, 3))
#     return torch.einsum("nchw,nc->nhw", kept[0].detach(), alphas).relu()
# ```
# </details>

# %% [markdown]
# A map is often wanted **during** training: is it beginning to look at the right thing? Here is a network in the middle of it, with dropout before its last layer.

# %%
student = models.hidden_digits_network()
student.classifier = nn.Sequential(nn.Dropout(0.5), student.classifier)
student.train()  # it goes on training, and between two epochs we look
seen = data.hidden_digits(1, seed=11)
print("a picture with the digit", seen.labels.item(), "| training:", student.training)


# %% [markdown]
# ### Find the bug 5.4 The restless map · 10 min · ★★
#
# `heat_map` follows the formula, removes its hook, and touches no `.grad`. It is called twice, for the same picture and the same class, and nothing is trained in between. Yet the two maps differ, and the network is not the same afterwards. Repair `heat_map`, so that it can be called at any moment of a training and leaves no trace in the network.

# %% tags=["exercise", "find-the-bug"]
def heat_map(net, pictures, class_index):
    kept = []
    handle = net.features.register_forward_hook(lambda module, gets, gives: kept.append(gives))
    try:
        score = net(pictures)[0, class_index]
    finally:
        handle.remove()
    (slopes,) = torch.autograd.grad(score, kept[0])
    return torch.einsum("chw,c->hw", kept[0][0].detach(), slopes.mean(dim=(2, 3))[0]).relu()


torch.manual_seed(seed)
before = copy.deepcopy(student.state_dict())
first, second = (heat_map(student, seen.images, seen.labels.item()) for _ in range(2))
after = student.state_dict()
changed = [name for name in before if not torch.equal(before[name], after[name])]
print(
    "two runs agree:", torch.allclose(first, second), "| changed in the network:", len(changed)
)
heats = {"first run": first, "second run": second, "difference": (first - second).abs()}
wide = torch.cat([enlarge(heat, 64) for heat in heats.values()], dim=1)  # joined: one scale for all
row = cam.overlay(seen.images[0].repeat(1, 1, 3), wide)
grids.show_grid(list(row.chunk(3, dim=2)), list(heats))

# %% tags=["check"]
check.bug_5_4(heat_map)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which layers draw random numbers in a forward pass, and which keep running statistics of what passes through? When do they do so, and when not?
# </details>
# <details><summary>Hint 2</summary>
#
# `net.eval()` before the forward pass. And afterwards? Every submodule has a `training` of its own, and some may be in evaluation mode on purpose: keep all of them, and give each its own back, in the `finally`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def heat_map(net, pictures, class_index):
#     kept = []
#     modes = [(module, module.training) for module in net.modules()]
#     handle = net.features.register_forward_hook(lambda module, gets, gives: kept.append(gives))
#     try:
#         net.eval()
#         score = net(pictures)[0, class_index]
#     finally:
#         handle.remove()
#         for module, training in modes:
#             module.training = training
#     (slopes,) = torch.autograd.grad(score, kept[0])
#     return torch.einsum("chw,c->hw", kept[0][0].detach(), slopes.mean(dim=(2, 3))[0]).relu()
#
#
# torch.manual_seed(seed)
# before = copy.deepcopy(student.state_dict())
# first, second = (heat_map(student, seen.images, seen.labels.item()) for _ in range(2))
# after = student.state_dict()
# changed = [name for name in before if not torch.equal(before[name], after[name])]
# print("two runs agree:", torch.allclose(first, second), "| changed in the network:", len(changed))
# heats = {"first run": first, "second run": second, "difference": (first - second).abs()}
# wide = torch.cat([enlarge(heat, 64) for heat in heats.values()], dim=1)  # joined: one scale for all
# row = cam.overlay(seen.images[0].repeat(1, 1, 3), wide)
# grids.show_grid(list(row.chunk(3, dim=2)), list(heats))
# ```
# </details>

# %% [markdown]
# In training mode dropout switches off other maps in each run, and batch norm normalises with this one picture and mixes it into its running mean: **looking changed what was looked at**. A tool that looks has to set the mode, and to give back what it found. `cam.grad_cam` of the course does, for the weeks to come.

# %% [markdown]
# ### Explorer Where does it look?
#
# Five photographs, the classes that the network thinks of, and the layers to ask. Try the hopper photograph: the class is "academic gown", and what does the map say? Then go back layer by layer until the map has lost the class.

# %%
explore.grad_cam()

# %% [markdown]
# ### Is the map right?
#
# A map on a cat is easily believed. To **measure** it we need pictures where we know the place. `data.hidden_digits` writes a real digit somewhere on a piece of a photograph, and says where: a box x0, y0, x1, y1, with x1 and y1 the first pixels outside. A small network with 16 × 16 last maps, trained on other handwriting, names the digit.

# %%
hidden = data.hidden_digits(400, part="test")
network = models.hidden_digits_network().to(device)
images = hidden.images.to(device)
with torch.no_grad():
    features = network.features(images)
    right = network.classifier(network.pool(features).flatten(1)).argmax(
        dim=1
    ) == hidden.labels.to(device)
    digit_maps = torch.einsum(
        "nchw,nc->nhw", features, network.classifier.weight[hidden.labels.to(device)]
    ).cpu()
print("maps of the digits that are there:", tuple(digit_maps.shape))
print("more than 90 % named right:", (right.float().mean() > 0.9).item())
assert right.float().mean() > 0.9


# %% [markdown]
# Nobody told this network **where** the digits are: it was trained with labels only. The box is drawn in white:

# %% covers=["w5-cam-analysis"]
def framed(picture, box):
    """A copy of the picture (3, H, W) with the box's outline in white."""
    (x0, y0, x1, y1), picture = box.tolist(), picture.clone()
    picture[:, y0:y1, [x0, x1 - 1]] = 1
    picture[:, [y0, y1 - 1], x0:x1] = 1
    return picture


pieces = []
for index in range(8):
    heat, box = digit_maps[index], hidden.boxes[index]
    pieces += [hidden.images[index], framed(cam.overlay(hidden.images[index], heat), box)]
grids.show_grid(pieces, columns=8, title="Eight hidden digits, and where their class is seen")


# %% [markdown]
# Looking is not measuring. Two scores are common:
#
# - the **pointing game** (Zhang et al., 2016): is the largest value of the map inside the box? yes or no;
# - the **energy** (Wang et al., 2020): which share of the map's positive values lies inside the box? 0 to 1.

# %% covers=["w5-cam-analysis"] tags=["proof"]
def pointing(heat, box):
    """Is the largest value of the map (H, W) inside the box?"""
    (x0, y0, x1, y1), width = box.tolist(), heat.shape[1]
    row, column = divmod(heat.argmax().item(), width)
    return x0 <= column < x1 and y0 <= row < y1


def energy(heat, box):
    """The share of the map's positive values that lies in the box; 0 if there are none."""
    (x0, y0, x1, y1), positive = box.tolist(), heat.clamp(min=0)
    total = positive.sum().item()
    return positive[y0:y1, x0:x1].sum().item() / total if total > 0 else 0.0


sample = torch.tensor([[0.0, 1, 0, 0], [-9, 6, 2, 0], [0, 1, 0, 0]])
box = torch.tensor([1, 1, 3, 3])  # columns 1 and 2, rows 1 and 2
print(
    "points inside:",
    pointing(sample, box),
    "| energy",
    energy(sample, box),
    "= (6 + 2 + 1) / 10",
)
assert pointing(sample, box) and energy(sample, box) == 0.9
even = torch.ones(64, 64)
print(
    "an even map has the box's share:",
    energy(even, torch.tensor([0, 0, 16, 32])),
    "= 512 / 4096",
)


# %% [markdown]
# The last line is the yardstick. A map that knows nothing has as much energy in the box as the box has area. No score means anything without this **chance**, and it needs controls, too: the map of a digit that is **not** there (one further), and the map of a network that was **never trained**. Digits stand out from their background; would any network point at them?

# %% covers=["w5-cam-analysis"] tags=["nbval-ignore-output"]
def score(maps, boxes, side):
    """The mean of the pointing game and of the energy, over all pictures."""
    pairs = [(enlarge(heat, side), box) for heat, box in zip(maps, boxes, strict=True)]
    points, shares = zip(*((pointing(*pair), energy(*pair)) for pair in pairs), strict=True)
    return sum(points) / len(points), sum(shares) / len(shares)


def maps_for(network, images, classes):
    with torch.no_grad():
        rows = network.classifier.weight[classes.to(device)]
        return torch.einsum("nchw,nc->nhw", network.features(images), rows).cpu()


torch.manual_seed(seed)
untrained = models.GapNet(3, 10).to(device).eval()
chance = ((hidden.boxes[:, 2:] - hidden.boxes[:, :2]).prod(dim=1) / 64**2).mean().item()
found = {
    "the digit": score(digit_maps, hidden.boxes, 64),
    "another": score(maps_for(network, images, (hidden.labels + 1) % 10), hidden.boxes, 64),
    "untrained": score(maps_for(untrained, images, hidden.labels), hidden.boxes, 64),
}
for name, (points, share) in found.items():
    print(f"{name:10} points inside {points:.2f}, energy {share:.2f} (chance {chance:.2f})")
assert found["the digit"][0] > 0.85 and found["the digit"][1] > 3 * chance
assert found["untrained"][0] < 0.6 and found["untrained"][1] < 2 * chance
assert found["the digit"][0] > found["another"][0] + 0.2


# %% [markdown]
# The map of the right digit points into the box nearly always, and its energy there is a multiple of chance. Now look at the controls. The untrained network's energy is just chance, but its **finger** hits the box more often than the box's area would let you expect: strong edges draw any network. And the map of **another** digit hits about every second digit: digits share strokes, and a map has to put its largest value somewhere. "It points at the object" is worth something only beside such controls.

# %% [markdown]
# ### Exercise 5.15 From the map to a box · 10 min · ★★
#
# The network was trained without any box, yet its map can draw one. Write `box_of(heat, share)`: the smallest box that holds **all** places whose value is at least `share` times the largest value. As everywhere in this lesson a box is x0, y0, x1, y1 (columns first), and x1, y1 are the first ones outside. The largest value is positive. For the map `sample` above and a share of 0.3 it is 1, 1, 3, 2.

# %% tags=["exercise"]
def box_of(heat, share):
    # heat (H, W), share between 0 and 1 -> x0, y0, x1, y1 as a tuple of four int
    ...


# %% tags=["check"]
check.box_of(box_of)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `strong = heat >= share * heat.max()` is a bool map. `strong.any(dim=0)` has one entry for each **column**: is anything strong in it?
# </details>
# <details><summary>Hint 2</summary>
#
# `columns = strong.any(dim=0).nonzero()` holds the numbers of these columns in order. The first is x0, the last one **plus 1** is x1.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def box_of(heat, share):
#     # heat (H, W), share between 0 and 1 -> x0, y0, x1, y1 as a tuple of four int
#     strong = heat >= share * heat.max()
#     columns, rows = strong.any(dim=0).nonzero(), strong.any(dim=1).nonzero()
#     x0, x1 = columns.min().item(), columns.max().item() + 1
#     y0, y1 = rows.min().item(), rows.max().item() + 1
#     return x0, y0, x1, y1
#
#
# assert box_of(sample, 0.3) == (1, 1, 3, 2)
# ```
# </details>

# %% [markdown]
# ### Explorer Hidden digits
#
# Ask each picture for a digit that is **not** in it: which part of the digit that is there is taken for it?

# %%
explore.hidden_digits()

# %% [markdown] covers=["w5-cam-analysis"]
# ### Caught
#
# The old course tells of a network that knew aeroplanes by the **sky**. Such a thing happens in silence: photographs of a class tend to come from the same place, so what lies **around** the object gives the class away. We build the case, to see it from training to conviction. A toy banknote of 1 or of 100 is photographed on a table, blue or red.

# %%
GLYPHS = {"1": "010110010010111", "0": "111101101101111"}  # 3 x 5 pixels, row by row


def note(number):
    """Dark digits on white paper with a grey edge, (14, 26)."""
    glyphs = [torch.tensor([float(p) for p in GLYPHS[digit]]).view(5, 3) for digit in number]
    ink = torch.cat([F.pad(glyph, (0, 1)) for glyph in glyphs], dim=1)  # a column between
    ink = ink.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)
    paper = F.pad(torch.full((12, 24), 0.9), (1, 1, 1, 1), value=0.4)
    left = 14 - ink.shape[1] // 2
    paper[2:12, left : left + ink.shape[1]] -= 0.7 * ink
    return paper


def photographs(labels, red, key):
    """Notes (label 0: 1, label 1: 100) on blue or red tables (N, 3, 48, 48), boxes (N, 4)."""
    count, rng = len(labels), torch.Generator().manual_seed(key)
    colours = torch.tensor([[0.25, 0.35, 0.7], [0.7, 0.3, 0.25]])[red.long()]
    grain = 0.06 * torch.randn(count, 1, 48, 1, generator=rng)
    tables = colours[:, :, None, None] + grain
    pictures = tables + 0.05 * torch.randn(count, 3, 48, 48, generator=rng)
    places = torch.stack([torch.randint(r, (count,), generator=rng) for r in (23, 35)], dim=1)
    boxes = torch.cat([places, places + torch.tensor([26, 14])], dim=1)
    for picture, label, (x0, y0, x1, y1) in zip(pictures, labels, boxes.tolist(), strict=True):
        picture[:, y0:y1, x0:x1] = note(["1", "100"][label])
    light = 0.7 + 0.6 * torch.rand(count, 1, 1, 1, generator=rng)
    return (pictures * light).clamp(0, 1), boxes


# %% [markdown]
# Both notes have the same colours, only the printed number tells them apart. But one photographer had only 1-notes and a blue table, the other only 100-notes and a red one. Nobody noticed.

# %%
labels = torch.arange(400) % 2  # for training; the first 200 of them also label the test
test = labels[:200]
tied, _ = photographs(labels, labels == 1, key=2 * seed)
tied_test, _ = photographs(test, test == 1, key=2 * seed + 1)
swapped, boxes = photographs(
    test, test == 0, key=2 * seed + 1
)  # the same notes at the same places
grids.show_grid(
    torch.cat([tied_test[:4], swapped[:4]]),
    titles=["1", "100"] * 4,
    columns=8,
    title="Four photographs as they came, and the same with tables exchanged",
)


# %% [markdown]
# The network is made for CAM: three convolutions, global average pooling, one linear layer. It trains eight epochs, with a learning rate that goes up and down once (lesson 5.3), and is then tested as usual, on new photographs **of the same kind**.

# %%
def trained(pictures, labels):
    torch.manual_seed(seed)
    layers, before = [], 3
    for width, after in [(16, [nn.MaxPool2d(2)]), (32, [nn.MaxPool2d(2)]), (32, [])]:
        layers += [
            nn.Conv2d(before, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            *after,
        ]
        before = width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2)]
    net = nn.Sequential(nn.Sequential(*layers), *head).to(device)
    batches = DataLoader(TensorDataset(pictures, labels), batch_size=50, shuffle=True)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    schedule = lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=8 * len(batches))
    for _ in range(8):
        training.train_epoch(net, batches, F.cross_entropy, optimizer, schedule.step)
    return net.eval()


def accuracy(net, pictures):
    return training.evaluate(net, [(pictures, test)], F.cross_entropy).accuracy


careless = trained(tied, labels)
print("at least 98 % right on new photographs:", accuracy(careless, tied_test) >= 0.98)
assert accuracy(careless, tied_test) >= 0.98

# %% [markdown]
# A test passed, on pictures that the network had never seen. Ready for use?

# %%
question = predict(
    "The same notes, on exchanged tables. What share does it get right?",
    ["about 100 %", "about 50 %", "about 0 %"],
)
question

# %% covers=["w5-cam-analysis"]
share = accuracy(careless, swapped)
assert share < 0.05
question.reveal(f"about {100 * round(2 * share) // 2} %")


# %% [markdown]
# Worse than guessing: it is wrong practically always. So it does not read the number at all. The map would have told us before. With two classes only the **difference** of the logits decides, so the map of an answer is that of its row minus the other row. We ask on the exchanged tables: why did you say that?

# %% covers=["w5-cam-analysis"]
def answers(net, pictures):
    """The answers (N,), and for each the map of its row minus the other row, (N, h, w)."""
    features, classifier = net[0], net[-1]
    with torch.no_grad():
        said = net(pictures.to(device)).argmax(dim=1)
        rows = classifier.weight[said] - classifier.weight[1 - said]
        heat = torch.einsum("nchw,nc->nhw", features(pictures.to(device)), rows)
    return said.cpu(), heat.cpu()


def explained(net, pictures, boxes, count=6):
    said, heat = answers(net, pictures[:count])
    over = [cam.overlay(*pair) for pair in zip(pictures, heat, strict=False)]
    return [framed(*pair) for pair in zip(over, boxes, strict=False)]


grids.show_grid(
    explained(careless, swapped, boxes), columns=6, title="Why? Not because of the note"
)

# %% [markdown]
# Everything is lit except the note: where the light should fall there is a hole of just its form. In numbers, beside chance (the share of the picture that a note covers):

# %% covers=["w5-cam-analysis"] tags=["nbval-ignore-output"]
note_share = 26 * 14 / 48**2
points, share = score(answers(careless, swapped)[1], boxes, 48)
print(f"on the note: points {points:.2f}, energy {share:.2f} (chance {note_share:.2f})")
assert points < 0.1 and share < 0.6 * note_share

# %% [markdown]
# Convicted. The remedy is not another network but other **data**: the same notes, each on a table chosen by a coin. Then the colour says nothing, and only the number is left to learn.

# %% covers=["w5-cam-analysis"]
coins = torch.rand(400, generator=torch.Generator().manual_seed(seed)) < 0.5
mixed, _ = photographs(labels, coins, key=2 * seed)
careful = trained(mixed, labels)
both_ways = [accuracy(careful, pictures) for pictures in (tied_test, swapped)]
print("tables as they came, and exchanged: at least 90 % right:", min(both_ways) >= 0.9)
assert min(both_ways) >= 0.9
grids.show_grid(explained(careful, swapped, boxes), columns=6, title="Because of the number")

# %% [markdown]
# The same pictures, the same architecture, and it looks at the note: on a 100 at the zeros, on a 1 at the empty paper beside it, where they are missing. The numbers of both, side by side:

# %% covers=["w5-cam-analysis"] tags=["nbval-ignore-output"]
better_points, better_share = score(answers(careful, swapped)[1], boxes, 48)
print(f"careless: points {points:.2f}, energy {share:.2f}")
print(
    f"careful:  points {better_points:.2f}, energy {better_share:.2f} (chance {note_share:.2f})"
)
assert better_points > 0.9 and better_share > 2.5 * note_share

# %% [markdown]
# Note what did **not** help: a test set. It came from the same two photographers, so it had the same flaw. A map, or a test made on purpose (the exchange), finds what more of the same data cannot.
#
# | | CAM | Grad-CAM |
# |---|---|---|
# | weight of map $k$ | $w_{ck}$, from the classifier | mean slope $\frac{1}{HW}\sum \partial y_c / \partial A_k$ |
# | needs | GAP and **one** linear layer | a layer that gives maps |
# | cost | one forward pass | and a backward pass down to the layer |
# | the sum of the map | is the logit (without bias), times $HW$ | is no logit in general |
# | on GAP and one linear layer | | CAM / $HW$, with ReLU |
#
# And three limits. A map says **where**, never **what**: on the note it may be the number or a stain. It is coarse. And it explains this network, right or wrong, not the world: a map on the cat does not prove that the answer is right.

# %% [markdown]
# ## Recap
#
# With batches every gradient is a little wrong, so a constant **learning rate** brings the loss down to a height that is nearly proportional to the rate: large steps first, small steps later. A **scheduler** counts the calls of `step()` and writes the rates into `param_groups`. Whether it counts epochs or batches is decided by the place of that call, and the arguments have to agree with it. Draw a timetable from a function that builds it, and store its state beside the optimizer's. **ReduceLROnPlateau** follows a metric instead: the rate falls on bad epoch number patience + 1. A **range test** finds the first rate, and puts everything back.
#
# **TensorBoard** is three things: your program writes, event files keep, a server shows. What was written can be read back without the server, so a test can hold it. Curves of training and validation belong in one chart, weights and gradients into histograms, pictures into grids.
#
# A **hook** is a function of yours that waits at a tensor or a module. What it returns replaces what it watched, so a watching hook returns nothing. Copy what you keep, and remove every hook, best with `with`. **CAM** is the logit before it was averaged; **Grad-CAM** takes slopes for weights, is the same map divided by the number of places where CAM exists, and goes on where it does not. A map shows where the evidence was, so it can be scored against a known box, and it caught a classifier that had learnt the table instead of the note.
#
# | you learned | the official page |
# |---|---|
# | how to adjust the learning rate, the order of the two steps | [torch.optim, How to adjust learning rate](https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate) |
# | the base class: `step`, `get_lr`, `get_last_lr`, `state_dict` | [LRScheduler](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LRScheduler.html) |
# | stairs | [StepLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html), [MultiStepLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html) |
# | a constant ratio, half a wave, any rule | [ExponentialLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ExponentialLR.html), [CosineAnnealingLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html), [LambdaLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html) |
# | when a metric stands still | [ReduceLROnPlateau](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html) |
# | a rate that moves with every batch | [CyclicLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CyclicLR.html), [OneCycleLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html) |
# | warm-up, and schedulers made of schedulers | [SequentialLR](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.SequentialLR.html), [ChainedScheduler](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ChainedScheduler.html) |
# | the writer and every `add_*` | [torch.utils.tensorboard](https://docs.pytorch.org/docs/stable/tensorboard.html) |
# | grids of pictures | [make_grid](https://docs.pytorch.org/vision/stable/generated/torchvision.utils.make_grid.html) |
# | a model as a graph, today | [torch.export](https://docs.pytorch.org/docs/stable/export.html) |
# | hooks of tensors | [Tensor.register_hook](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html) |
# | hooks of modules, what they get and may return | [nn.Module.register_forward_hook](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_forward_hook) |
# | when backward hooks run, and in what order | [Autograd mechanics](https://docs.pytorch.org/docs/stable/notes/autograd.html#backward-hooks-execution) |
# | slopes of one tensor, without filling `.grad` | [torch.autograd.grad](https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html) |
#
# Your exercises, done and open:

# %%
check.summary()

# %% [markdown]
# **New words.** scheduler 学习率调整策略 · initial learning rate 学习率初始化 · cosine annealing 余弦周期 · ordered schedule 有序调整 · adaptive schedule 自适应调整 · custom schedule 自定义调整 · patience 耐心 · factor 调整系数 · cooldown 冷却时间 · warm-up 学习率预热 · event file 事件文件 · scalar 标量 · histogram 直方图 · grid of images 网格图像 · convolution kernel 卷积核 · hook 钩子函数 · handle 句柄 · forward hook 前向传播hook · forward pre-hook 前向传播前hook · backward hook 反向传播hook · gradient clipping 梯度裁剪 · feature map 特征图 · context manager 上下文管理器 · global average pooling 全局平均池化 · class activation map 类激活图
#
# **Next week** the course comes together: modes, checkpoints, regularisation, averaging, tuning, speed, and a clinic for errors.
