# %% [markdown]
# # Start here
#
# Six weeks, six notebooks, from the first tensor to a trained, tuned and saved network. Everything runs on this machine, without network, in minutes.
#
# This page shows in ten minutes how the course works: **run, predict, turn, solve, unfold**. First it looks at your machine; at the end you can search every term of the course.

# %% tags=["parameters"]
seed = 0
device = "auto"

# %% tags=["setup"]
import torch

from course_utils import curves, explore, machine, session, terms
from course_utils.checks import start as check
from course_utils.predict import predict

device = session.setup(seed, device)

# %% [markdown]
# ## Is this machine ready?
#
# The next cell looks at the versions, the device and the data. Each line should begin with ✓; a line with ✗ says what to do.

# %%
machine.look_around()

# %% [markdown]
# ## Run
#
# Click into the cell below and press **Shift + Enter**. The result appears under it and the next cell is chosen.
#
# Each notebook begins with two cells: *parameters* (the seed of the random numbers, the device) and *setup* (the imports). Run these two, then **any lesson you like**: no lesson needs another one. Every cell may be run twice. If things get tangled, choose *Kernel → Restart Kernel* and run those two again.

# %%
torch.arange(6).reshape(2, 3)

# %% [markdown]
# ## Predict
#
# Before a result that surprises you are asked for a guess. Choose one, then run the next cell, which shows it beside the truth. Wrong guesses are the ones you learn from, and nobody counts them.

# %%
question = predict(
    "Half of the whole number 5, as a tensor: torch.tensor(5) / 2 is", ["2", "2.5"]
)
question

# %%
question.reveal((torch.tensor(5) / 2).item())

# %% [markdown]
# ## Turn
#
# An **explorer** is a picture with sliders. The question stands above it; try to answer it by turning. Click on a slider and use the arrow keys for small steps. (A menu wants the mouse, or the keys Home and End: JupyterLab keeps the arrow keys for walking through cells.) Without a running kernel you see three settings, one below the other, instead.

# %%
explore.graph()

# %% [markdown]
# The other pictures stand still. Under each one a sentence in small print says what it shows, for those who can't see it or don't see the colours.

# %%
curves.function_plot(
    {"sigmoid": torch.sigmoid}, x_range=(-6, 6), title="A picture, and its sentence below"
)

# %% [markdown]
# ## Solve
#
# An exercise leaves a gap, `...`. The cell under it checks your answer and says one of three things:
#
# - **○** not attempted yet: the gap is still there;
# - **✗** not yet: one sentence that names the likely mistake;
# - **✓** right: one sentence that says what to notice.
#
# Stars say how hard it is, from ★ to ★★★. *Find the bug* exercises begin with a ✗ and a program that runs without an error and is wrong all the same.
#
# ### Exercise 0.1 Three states of a check · 2 min · ★
#
# Run both cells as they are: ○. Then write `torch.tensor(41)` for the gap, run both again: ✗. Then the product of 6 and 7: ✓.

# %% tags=["exercise"]
answer = ...

# %% tags=["check"]
check.first_answer(answer)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Hints and solutions are folded like this one. Click on the line to open it; open a hint before you open the solution.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# answer = torch.tensor(6 * 7)
# ```
# </details>

# %% [markdown]
# ## What the boxes mean
#
# > **Then and now.** The course replaces one from 2019 to 2021. Where its code stopped working or changed its meaning, the old line is run and its error or warning is shown.
#
# > **Myth.** Where it taught something that was never true, the truth is shown by code.
#
# A cell tagged *proof* computes a formula by hand and asserts that torch agrees.
#
# ## The six weeks
#
# | week | you learn | notebook |
# |---|---|---|
# | 1 | tensors, computation graphs, autograd, linear and logistic regression | [week1_tensors_autograd.ipynb](week1_tensors_autograd.ipynb) |
# | 2 | data: Dataset, DataLoader, transforms, augmentation | [week2_data.ipynb](week2_data.ipynb) |
# | 3 | models: modules, containers, convolution, pooling, activations | [week3_models.ipynb](week3_models.ipynb) |
# | 4 | weight initialisation, losses, optimizers | [week4_training.ipynb](week4_training.ipynb) |
# | 5 | learning-rate schedulers, TensorBoard, hooks, CAM and Grad-CAM | [week5_looking_inside.ipynb](week5_looking_inside.ipynb) |
# | 6 | training practice: checkpoints, regularisation, tuning, speed | [week6_practice.ipynb](week6_practice.ipynb) |
#
# ## It runs today
#
# Each notebook was run from its first cell to its last, with one thread and without network:
#
# <!-- written by: python course.py proof -->
#
# 2026-11-21, Python 3.11.7, torch 2.15.0+cu132, torchvision 0.29.2+cu132, Linux x86_64, 2 cores, no graphics card:
#
# | notebook | seconds |
# |---|---|
# | start_here | 4 |
# | week1_tensors_autograd | 13 |
# | week2_data | 24 |
# | week3_models | 13 |
# | week4_training | 23 |
# | week5_looking_inside | 42 |
# | week6_practice | 49 |
#
# <!-- end of the proof -->
#
# ## The index
#
# Type an English or a Chinese word, or a part of a function's name: `stride`, `学习率`, `from_numpy`.

# %%
terms.search_box("learning rate")
