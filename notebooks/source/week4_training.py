# %% [markdown]
# # Week 4 · Initial weights, losses, optimizers
#
# **The question of the week: where do the numbers of a network start, what are they pulled towards, and how do they get there?**
#
# After this week you can
#
# - choose initial weights by a rule that you derived, and see at the first forward pass when they are wrong;
# - compute every loss of PyTorch by hand, and choose the one that fits a task;
# - say what an optimizer holds, and write the step of each of them in a few lines;
# - recognise the learning rate that crawls, the one that swings, and the one that explodes;
# - find the silent bugs of training: a softmax too many, a shape that broadcasts, an optimizer that moves the wrong tensors.
#
# | lesson | minutes | you build |
# |---|---|---|
# | 4.1 Weight initialisation | 75 | a network of a hundred layers whose signal survives |
# | 4.2 Losses: cross-entropy and its family | 90 | the cross-entropy, taken apart and put together |
# | 4.3 Losses: the whole shelf | 110 | a map from the task to the loss |
# | 4.4 Optimizers: how a step is made | 95 | gradient descent with momentum, equal to torch's |
# | 4.5 Optimizers: the whole shelf | 110 | a race of all optimizers, on equal terms |
#
# It builds on weeks 1 to 3: gradients, data, modules. Every lesson runs after the parameters cell and the setup cell alone. *Then and now* and *Myth* look back at an older course (2019 to 2021).

# %% tags=["parameters"]
seed = 0
device = "auto"

# %% tags=["setup"]
import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms import v2

from course_utils import bars, curves, data, explore, session, surfaces
from course_utils.checks import week4 as check
from course_utils.errors import expected_error, expected_warning
from course_utils.predict import predict
from course_utils.text import rounded

device = session.setup(seed, device)

# %% [markdown]
# ## Warm-up
#
# Three questions on weeks 1 to 3. Choose before you run. The first is about gradients (week 1):

# %%
question = predict(
    "w = 3, loss = (w * 2 - 10)². What is the slope of the loss in w?", ["-16", "-8", "4"]
)
question

# %%
w = torch.tensor(3.0, requires_grad=True)
((w * 2 - 10) ** 2).backward()
question.reveal(int(w.grad))

# %% [markdown]
# 2 · (6 − 10) from the square, times 2 from inside it: the chain rule. A step against this slope makes w larger, as it should. The second is about normalising (week 2):

# %%
question = predict(
    "Pixels with mean 4 and standard deviation 2 go through Normalize([4], [2]). And then?",
    ["mean 0, std 1", "mean 0, std 2", "mean 1, std 0"],
)
question

# %%
pixels = torch.tensor([[[2.0, 6.0], [2.0, 6.0]]])
after = v2.functional.normalize(pixels, [4.0], [2.0])
mean, std = after.mean().item(), after.std(correction=0).item()
question.reveal(f"mean {mean:.0f}, std {std:.0f}")

# %% [markdown]
# Inputs of mean 0 and spread 1: this week does the same for what flows **between** the layers. The third is about modules (week 3):

# %%
question = predict("How many parameters has nn.Linear(100, 10)?", ["1000", "1010", "1100"])
question

# %%
question.reveal(sum(p.numel() for p in nn.Linear(100, 10).parameters()))

# %% [markdown]
# A weight for each pair, and a bias for each output. Today each of them gets a first value, and then a direction.

# %% [markdown] covers=["w4-vanish-explode"]
# ## 4.1 Weight initialisation
#
# Before the first step of training every weight needs a number. Any small random number will do, one might think. Here is a network of 100 layers with nothing in it but 256 × 256 weights each, no bias and no activation: what comes out of it before anything was learnt?
#
# Its scale is all that matters now, so we follow one number through the network: the standard deviation (**std**, 标准差) of what each layer puts out. The weights begin as in `torch.randn`, normal with mean 0 and std 1.

# %%
question = predict(
    "Inputs and weights have std 1. About how large is the std after the second layer?",
    ["1", "2", "16", "256"],
)
question


# %% [markdown]
# `stds` builds the layers one after the other and keeps the std of the input and of each layer's output. Its first argument is a function that fills a weight: exactly what `torch.nn.init` has, whose functions fill the tensor they get and give it back.

# %% covers=["w4-variance-layer", "w4-vanish-explode"]
def stds(fill, activation=lambda x: x, depth=100, width=256, dtype=torch.float64):
    torch.manual_seed(seed)
    x = torch.randn(64, width, dtype=dtype)  # 64 samples, on the CPU
    found = [x.double().std().item()]
    for _ in range(depth):
        weight = fill(torch.empty(width, width, dtype=dtype))  # (out, in), as in nn.Linear
        x = activation(x @ weight.T)
        found.append(x.double().std().item())
    return found


found = stds(nn.init.normal_, dtype=torch.float32)
print("layers 1, 2, 3:", *(f"{std:.0f}" for std in found[1:4]))
lost = [layer for layer, std in enumerate(found) if not math.isfinite(std)][0]
print(f"layer 31: {found[31]:.0e}, inf or nan from layer", lost)
assert all(abs(found[k] / 16**k - 1) < 0.2 for k in (1, 2, 3)) and 30 <= lost <= 33
question.reveal(min([1, 2, 16, 256], key=lambda option: abs(option - found[2])))

# %% [markdown]
# Close to 16, 256, 4096: every layer makes the numbers 16 times larger, until float32 has no room left. Its largest number is $16^{32}$, so not far from layer 32 the first entries become `inf`, and `inf - inf` is `nan`. This is an **exploding** (爆炸) network, and nothing in it has been trained yet.
#
# Where does the 16 come from? An output is a sum of products: $h = \sum_{i=1}^{n} x_i\,w_i$. Take the products first. For independent variables with mean zero
#
# $$\mathrm{Var}(XY) = \mathrm{Var}(X)\,\mathrm{Var}(Y)$$
#
# and means other than zero add to it. Multiplying two standard normals a million times should give a variance close to 1:

# %% covers=["w4-variance-product"] tags=["proof"]
torch.manual_seed(seed)
x, y = torch.randn(2, 1_000_000, dtype=torch.float64)
for std_x, std_y, mean in [(1, 1, 0), (2, 3, 0), (1, 1, 2)]:
    product = (std_x * x) * (std_y * y + mean)
    formula = std_x**2 * (std_y**2 + mean**2)
    print(f"std {std_x} and {std_y}, mean of y {mean}: variance {product.var():5.2f}", end="")
    print(f", formula {formula}")
    assert abs(product.var() / formula - 1) < 0.03

# %% [markdown]
# Now the sum. Variances of independent terms add up, so $n$ products have $n$ times the variance of one, and a layer with $n$ inputs does this:
#
# $$\mathrm{Var}(H) = n\,\mathrm{Var}(W)\,\mathrm{Var}(X)$$
#
# For 256 inputs and Var(W) = 1 the variance grows 256 times, the std 16 times. Other widths, other scales:

# %% covers=["w4-variance-layer"] tags=["proof"]
torch.manual_seed(seed)
for n, std in [(256, 1.0), (64, 1.0), (64, 0.5), (1024, 0.01)]:
    x = 3 * torch.randn(500, n, dtype=torch.float64)
    weight = nn.init.normal_(torch.empty(400, n, dtype=torch.float64), std=std)
    ratio = ((x @ weight.T).var() / x.var()).item()
    rule = n * std**2
    print(f"n = {n:4}, std of W {std:4}: variance times {ratio:6.3g}, n Var(W) = {rule:.3g}")
    assert abs(ratio / rule - 1) < 0.1

# %% [markdown]
# So the rule for a layer without activation is $n\,\mathrm{Var}(W) = 1$, that is a std of $\sqrt{1/n}$: 1/16 here (方差一致性). Look at what three scales make of 100 layers. They do not differ much; 100 factors do.

# %% covers=["w4-vanish-explode", "w4-init-one-over-n"]
curves.loss_curves(
    {
        f"std {std:g}": stds(lambda weight, std=std: nn.init.normal_(weight, std=std))
        for std in (0.08, 1 / 16, 0.05)
    },
    x_label="layer",
    y_label="std of the output",
    log=True,
    title="100 linear layers of 256 units: too large, right, too small",
)

# %% [markdown]
# With 0.05 the factor is 0.8 a layer, and after 100 layers nothing is left. **Vanishing** (消失) and exploding are the same fact, a product of 100 factors that are not 1.
#
# > **Myth.** "To keep the variance constant, the variance of a layer must be 1." What must be 1 is $n\,\mathrm{Var}(W)$. The layers then keep **any** variance: an input with std 5 stays near 5, one with 0.1 near 0.1. (Not exactly: a layer's 65,536 random weights have not exactly the variance they were drawn with.)

# %% covers=["w4-err-variance-one", "w4-init-one-over-n"] tags=["proof"]
torch.manual_seed(seed)
start = torch.randn(64, 256, dtype=torch.float64)
weights = [nn.init.normal_(torch.empty(256, 256).double(), std=1 / 16) for _ in range(10)]
ratios = []
for std in (0.1, 1, 5):
    x = std * start
    for weight in weights:  # the same ten layers for each
        x = x @ weight.T
    ratios.append((x.std() / (std * start).std()).item())
    print(f"std {std * start.std():.3f}, ten layers on {x.std():.3f}, ratio {ratios[-1]:.3f}")
assert max(ratios) - min(ratios) < 1e-9 and 0.5 < ratios[0] < 2

# %% [markdown]
# ### Why training suffers
#
# A forward pass with tiny or huge numbers would be harmless if the gradients were fine. They are not. Take two linear layers, $H_1 = X W_1^\top$ and $H_2 = H_1 W_2^\top$. By the chain rule the gradient of a weight is a product of what comes back and **what came in**:
#
# $$\frac{\partial L}{\partial W_2} = \left(\frac{\partial L}{\partial H_2}\right)^{\!\top} H_1$$
#
# If $H_1$ tends to 0, so does the gradient of $W_2$ (梯度消失); if it explodes, the gradient explodes (梯度爆炸).

# %% covers=["w4-grad-depends-output"] tags=["proof"]
torch.manual_seed(seed)
x, w1, w2 = torch.randn(8, 5), torch.randn(6, 5), torch.randn(3, 6)
for scale in (1e-6, 1.0, 1e6):
    weight = w2.clone().requires_grad_()
    h1 = x @ (scale * w1).T
    h2 = h1 @ weight.T
    h2.retain_grad()
    h2.sum().backward()
    assert torch.allclose(weight.grad, h2.grad.T @ h1, rtol=1e-5)
    print(f"std of H1 {h1.std():7.1e}: std of the gradient of W2 {weight.grad.std():7.1e}")

# %% [markdown]
# ### An activation changes the scale: the gain
#
# $n\,\mathrm{Var}(W) = 1$ was made for layers without a bend. Put a tanh behind each, which makes every number smaller:

# %% covers=["w4-init-one-over-n"]
found = stds(lambda weight: nn.init.normal_(weight, std=1 / 16), torch.tanh)
for layer in (1, 2, 10, 100):
    print(f"layer {layer:3}: std {found[layer]:.3f}")
assert found[100] < 0.12

# %% [markdown]
# What the activation takes away, the weights have to give back. The factor for that is the **gain** (方差变化尺度): how much smaller does the activation make the numbers that arrive? `nn.init.calculate_gain` has a value for each activation that torch knows.
#
# > **Myth.** "The gain is the variance of the activation's input divided by the variance of its output." It is a ratio of **standard deviations**, because it multiplies the std of the weights. Measure both for tanh and see which one torch's 5/3 is close to.

# %% covers=["w4-calculate-gain", "w4-err-gain-variance"] tags=["proof"]
torch.manual_seed(seed)
x = torch.randn(1_000_000)
y = torch.tanh(x)
by_std, by_variance = (x.std() / y.std()).item(), (x.var() / y.var()).item()
print(f"ratio of variances {by_variance:.2f}, ratio of stds {by_std:.2f}", end=", ")
print(f"torch has {nn.init.calculate_gain('tanh'):.4f}")
assert abs(by_std - 1.59) < 0.01 and abs(by_variance - by_std**2) < 1e-4
assert nn.init.calculate_gain("tanh") == 5 / 3

# %% [markdown]
# 1.59 for an input of std 1; torch takes a little more, 5/3, a value from experience. For activations whose output has a mean other than 0 one thing must be said more exactly. The next layer's variance comes from the **mean square** of what it gets, $n\,\mathrm{Var}(W)\,E[x^2]$, so what counts is the ratio of root mean squares (RMS). With mean 0 that is the std. With ReLU it is not:

# %% covers=["w4-calculate-gain"] tags=["proof"]
listed = nn.init.calculate_gain
gains = {
    "relu": (torch.relu, listed("relu"), math.sqrt(2)),
    "leaky_relu 0.2": (nn.LeakyReLU(0.2), listed("leaky_relu", 0.2), math.sqrt(2 / 1.04)),
    "tanh": (torch.tanh, listed("tanh"), 5 / 3),
    "selu": (F.selu, listed("selu"), 3 / 4),
    "sigmoid": (torch.sigmoid, listed("sigmoid"), 1),
}
print("                  torch   RMS ratio  std ratio")
for name, (activation, value, formula) in gains.items():
    y = activation(x)
    rms = (x.square().mean() / y.square().mean()).sqrt().item()
    print(f"{name:15} {value:8.4f} {rms:9.2f} {x.std() / y.std():10.2f}")
    assert math.isclose(value, formula) and ("relu" not in name or abs(rms - value) < 0.01)

# %% [markdown]
# For ReLU the gain is exact, $\sqrt 2$: it removes half of the mean square. For leaky ReLU with slope $a$ it is $\sqrt{2/(1+a^2)}$. The values for tanh, SELU and sigmoid are experience and convention, no ratio. And for newer activations torch has none:

# %% covers=["w4-calculate-gain"]
with expected_error(ValueError):
    nn.init.calculate_gain("gelu")


# %% [markdown]
# ### Exercise 4.1 A gain by measurement · 8 min · ★★
#
# Write `gain(activation)` for any activation function: send many standard normal numbers through it and return, as a float, the factor that brings their **root mean square** back to what it was. For ReLU that is close to 1.414 (the ratio of its stds, in the last column above, is something else). It will be compared to 2 percent, so draw at least 100,000 numbers.

# %% tags=["exercise"]
def gain(activation):
    # activation: takes and gives a tensor -> float
    ...


# %% tags=["check"]
check.gain(gain)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `x = torch.randn(100_000)`, then `y = activation(x)`. The root mean square of y is `y.square().mean().sqrt()`.
# </details>
# <details><summary>Hint 2</summary>
#
# A gain above 1 means that the activation made the numbers smaller: which of the two stands on top?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def gain(activation):
#     # activation: takes and gives a tensor -> float
#     x = torch.randn(1_000_000)
#     return (x.square().mean() / activation(x).square().mean()).sqrt().item()
# ```
# </details>

# %% [markdown] covers=["w4-xavier"]
# ### Xavier: forward and backward
#
# Gradients travel through the same weights, in the other direction. Forward, an output is a sum over $n_\text{in}$ inputs; backward, the gradient of an input is a sum over $n_\text{out}$ outputs. Keeping the scale asks for two things at once:
#
# $$n_\text{in}\,\mathrm{Var}(W) = 1 \qquad\text{and}\qquad n_\text{out}\,\mathrm{Var}(W) = 1$$
#
# A layer that is not square cannot have both. Glorot and Bengio (2010) took the middle, today called **Xavier initialisation** after the first name of the first (Xavier初始化):
#
# $$\mathrm{Var}(W) = \frac{2}{n_\text{in} + n_\text{out}}$$
#
# It was made for activations such as tanh and sigmoid, which are nearly straight around 0 and flat far away. A layer from 400 to 600 shows the bargain: which column is 1 for which choice?

# %% covers=["w4-xavier"] tags=["proof"]
torch.manual_seed(seed)
n_in, n_out = 400, 600
x, above = torch.randn(300, n_in), torch.randn(300, n_out)  # inputs, gradients from above
print("Var(W)            forward  backward")
for name, variance in {
    "1/n_in": 1 / n_in,
    "1/n_out": 1 / n_out,
    "2/(n_in + n_out)": 2 / (n_in + n_out),
}.items():
    weight = torch.randn(n_out, n_in) * math.sqrt(variance)
    forward, backward = (x @ weight.T).var().item(), (above @ weight).var().item()
    print(f"{name:17} {forward:7.2f} {backward:9.2f}")
    assert abs(forward - n_in * variance) < 0.06 and abs(backward - n_out * variance) < 0.06

# %% [markdown]
# Xavier misses both a little and none by much. torch has two versions, which differ in the shape of the distribution and agree in its variance:
#
# | | draws from | with |
# |---|---|---|
# | `xavier_normal_` (Xavier正态分布) | a normal of mean 0 | std $= \text{gain}\cdot\sqrt{2/(n_\text{in}+n_\text{out})}$ |
# | `xavier_uniform_` (Xavier均匀分布) | evenly from $-a$ to $a$ | $a = \text{gain}\cdot\sqrt{6/(n_\text{in}+n_\text{out})}$ |
#
# The 6 comes from the uniform distribution: from $-a$ to $a$ its variance is $a^2/3$. torch reads $n_\text{in}$ (**fan_in**) and $n_\text{out}$ (**fan_out**) from the shape: a linear weight is (out, in).
#
# > **Myth.** "Xavier standard normal distribution". A standard normal has std 1. Look at the std of this one.

# %% covers=["w4-xavier", "w4-xavier-normal", "w4-xavier-uniform", "w4-err-xavier-standard-normal"] tags=["proof"]
torch.manual_seed(seed)
weight = torch.empty(600, 400)
std, bound = math.sqrt(2 / 1000), math.sqrt(6 / 1000)
nn.init.xavier_normal_(weight)
print(f"xavier_normal_:  std {weight.std():.4f}, formula {std:.4f}")
assert abs(weight.std() / std - 1) < 0.01 and weight.abs().max() > 3 * std
nn.init.xavier_uniform_(weight)
print(f"xavier_uniform_: largest {weight.max():.4f}, formula {bound:.4f}")
assert abs(weight.std() / std - 1) < 0.01 and 0.99 * bound < weight.max() <= bound

# %% [markdown]
# > **Then and now.** Old notebooks write these names without the underscore. That still works, with a warning:

# %% covers=["w4-xavier-uniform"] tags=["then-and-now"]
with expected_warning(FutureWarning):
    nn.init.xavier_uniform(torch.empty(600, 400))

# %% [markdown]
# Back to the 100 layers with tanh. Three ways to begin: std 1 as at the top, $\sqrt{1/n}$, and Xavier with the gain of tanh. Not only the std tells them apart; look at **where** the numbers of layer 100 lie.

# %% covers=["w4-xavier-tanh"]
tanh_gain = nn.init.calculate_gain("tanh")
ways = {
    "std 1": nn.init.normal_,
    "std 1/16": lambda weight: nn.init.normal_(weight, std=1 / 16),
    "Xavier with gain": lambda weight: nn.init.xavier_normal_(weight, gain=tanh_gain),
}
last = {}
for name, fill in ways.items():
    outputs = []
    stds(fill, lambda x, kept=outputs: kept.append(torch.tanh(x)) or kept[-1])
    last[name] = outputs[-1]
    flat = (1 - last[name].square() < 0.1).double().mean()  # tanh's slope is 1 - tanh²
    print(f"{name:17} layer 100: std {last[name].std():.2f}, on a slope below 0.1: {flat:4.0%}")
assert last["std 1"].std() > 0.95 and abs(last["Xavier with gain"].std() - 0.65) < 0.05
curves.histograms(last, title="Layer 100 of a tanh network: saturated, collapsed, alive")

# %% [markdown]
# With std 1 nearly every number is −1 or 1: saturated, no gradient comes through (week 3). With 1/16 all numbers gather around 0. Xavier with the gain of tanh keeps them spread, with a std of about 0.65.
#
# Does the same initialisation serve a ReLU network?

# %%
question = predict(
    "Xavier with tanh's gain, but ReLU behind each of the 100 layers. The std of the last is",
    ["about 0.65", "nearly zero", "millions"],
)
question

# %% covers=["w4-xavier-tanh"]
found = stds(ways["Xavier with gain"], torch.relu)
print("layers 1, 10, 50, 100:", *(f"{found[layer]:.3g}" for layer in (1, 10, 50, 100)))
print(f"5/3 divided by sqrt(2): {tanh_gain / math.sqrt(2):.2f}")
assert found[-1] > 1e5
question.reveal("millions" if found[-1] > 1e5 else "about 0.65")

# %% [markdown] covers=["w4-kaiming"]
# ### Kaiming: for ReLU and its relatives
#
# The gain of tanh is 5/3, ReLU needs $\sqrt 2$: each layer is 1.18 times too strong. He Kaiming and others (2015) did the sum for ReLU. If $h$ is spread evenly around 0, ReLU removes the negative half, and with it half of the mean square, so a layer and a ReLU together multiply it by $\tfrac{n}{2}\mathrm{Var}(W)$. **Kaiming initialisation** (Kaiming初始化) makes that 1, and with a slope $a$ on the negative side, whose half is not lost but shrunk by $a^2$:
#
# $$\mathrm{Var}(W) = \frac{2}{n} \qquad\qquad \mathrm{Var}(W) = \frac{2}{(1 + a^2)\,n}$$
#
# Here $n$ is fan_in, which keeps the forward scale; `mode="fan_out"` takes the other and keeps the gradients'. The measurement, mean square after a layer and its activation against before:

# %% covers=["w4-kaiming"] tags=["proof"]
torch.manual_seed(seed)
x = torch.randn(500, 400)
for slope in (0.0, 0.2, 0.5):
    weight = nn.init.kaiming_normal_(torch.empty(600, 400), a=slope)
    ratio = F.leaky_relu(x @ weight.T, slope).square().mean() / x.square().mean()
    variance = 2 / ((1 + slope**2) * 400)
    print(f"slope {slope}: Var(W) {weight.var():.5f}, formula {variance:.5f}", end="")
    print(f", mean square times {ratio:.2f}")
    assert abs(weight.var() / variance - 1) < 0.02 and abs(ratio - 1) < 0.1

# %% [markdown]
# | | draws from | with |
# |---|---|---|
# | `kaiming_normal_` (Kaiming正态分布) | a normal of mean 0 | std $= \sqrt{2/((1+a^2)\,n)}$ |
# | `kaiming_uniform_` (Kaiming均匀分布) | evenly from $-b$ to $b$ | $b = \sqrt{6/((1+a^2)\,n)}$ |
#
# `a` counts only with `nonlinearity="leaky_relu"`, which is the default, and `a=0` is a ReLU. Again nothing is standard normal about it.

# %% covers=["w4-kaiming-normal", "w4-kaiming-uniform", "w4-err-xavier-standard-normal"] tags=["proof"]
torch.manual_seed(seed)
weight = torch.empty(600, 400)
std, bound = math.sqrt(2 / 400), math.sqrt(6 / 400)
nn.init.kaiming_normal_(weight, nonlinearity="relu")
print(f"kaiming_normal_:  std {weight.std():.4f}, formula {std:.4f}")
assert abs(weight.std() / std - 1) < 0.01
nn.init.kaiming_uniform_(weight, nonlinearity="relu")
print(f"kaiming_uniform_: largest {weight.max():.4f}, formula {bound:.4f}")
assert 0.99 * bound < weight.max() <= bound
nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
print(f"mode='fan_out':   std {weight.std():.4f}, formula {math.sqrt(2 / 600):.4f}")

# %% [markdown]
# Which one do you get when you say nothing? `nn.Linear` and `nn.Conv2d` call `kaiming_uniform_` with `a = sqrt(5)`. That sounds learned, but $\sqrt{6/((1+5)\,n)} = \sqrt{1/n}$: an old bound in a new notation, and nobody means a leaky ReLU of slope $\sqrt 5$. For a convolution every output looks at in · k · k numbers, and that is its fan_in.

# %% covers=["w4-kaiming-uniform"] tags=["proof"]
torch.manual_seed(seed)
for layer, fan_in in [(nn.Linear(400, 600), 400), (nn.Conv2d(16, 200, 5), 16 * 5 * 5)]:
    largest, bound = layer.weight.detach().abs().max(), 1 / math.sqrt(fan_in)
    print(f"{type(layer).__name__}: largest weight {largest:.4f}, 1/sqrt(fan_in) {bound:.4f}")
    assert 0.99 * bound < largest <= bound and layer.bias.detach().abs().max() <= bound
    again = nn.init.kaiming_uniform_(torch.empty_like(layer.weight), a=math.sqrt(5))
    assert 0.99 * bound < again.abs().max() <= bound

# %% [markdown]
# Evenly between $\pm\sqrt{1/n}$ the variance is $1/(3n)$, six times less than ReLU needs. In two or three layers nobody notices. In 100:

# %% covers=["w4-kaiming-relu", "w4-kaiming-normal", "w4-vanish-explode"]
found = {
    "Xavier with tanh's gain": stds(ways["Xavier with gain"], torch.relu),
    "Kaiming": stds(nn.init.kaiming_normal_, torch.relu),
    "torch's default": stds(lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)), torch.relu),
}
for name, values in found.items():
    print(f"{name:23} layer 100: std {values[-1]:.2g}")
assert 0.05 < found["Kaiming"][-1] < 10 and found["torch's default"][-1] < 1e-30
curves.loss_curves(
    found, x_label="layer", y_label="std of the output", log=True,
    title="100 layers of 256 units with ReLU",
)  # fmt: skip


# %% [markdown]
# The default's number would not even fit into float32 without losing digits. (Kaiming does not stay at one number exactly: 100 layers of random weights wander a little.)
#
# The real default has biases, too. They stop the std from falling that far, but look at what they replace: how much do 64 different samples still differ at the end?

# %% covers=["w4-kaiming-relu"]
def by_layers(kaiming, width=256, depth=50):
    torch.manual_seed(seed)
    x, layer = torch.randn(64, width), nn.Linear(width, width)
    with torch.no_grad():
        for _ in range(depth):
            layer.reset_parameters()  # torch's default
            if kaiming:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
            x = torch.relu(layer(x))
    return x.std().item(), x.std(dim=0).mean().item()


for kaiming in (False, True):
    overall, between = by_layers(kaiming)
    print(f"{'Kaiming' if kaiming else 'default'}: std of all numbers {overall:.2f}, ", end="")
    print("samples differ" if between > 0.01 * overall else "all samples are the same")
    assert (between > 0.01 * overall) == kaiming


# %% [markdown]
# After 50 layers the default network gives the same answer to everything: the biases speak, the input is forgotten. What that does to training is quickly tried: 20 layers with ReLU, 1,000 handwritten digits, the plain gradient descent of week 1. The only difference is the initial weights and biases.

# %% covers=["w4-kaiming-relu"]
def deep_net(fill=None):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten())
    for inputs in [784] + [128] * 19:
        net.extend([nn.Linear(inputs, 128), nn.ReLU()])
    net.append(nn.Linear(128, 10))
    for layer in net:
        if isinstance(layer, nn.Linear) and fill is not None:
            fill(layer.weight)
            nn.init.zeros_(layer.bias)
    return net.to(device)


nets = {
    "torch's default": deep_net(),
    "Xavier": deep_net(nn.init.xavier_normal_),
    "Kaiming": deep_net(lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu")),
}
numbers = sum(parameter.numel() for parameter in nets["Kaiming"].parameters())
print(len(nets["Kaiming"]), "modules,", numbers, "numbers to learn")

# %% [markdown]
# Eight rounds over the digits for each. Ten classes and no idea give a loss of about 2.3 (the next lesson says why): who gets below it? The last digits of a trained loss differ between processors, so this cell asserts its claim.

# %% covers=["w4-kaiming-relu", "w4-grad-depends-output"] tags=["nbval-ignore-output"]
images, labels = data.digits()
order = torch.randperm(5000, generator=torch.Generator().manual_seed(seed))[:1000]
x, y = ((images[order].float() / 255 - 0.13) / 0.31).to(device), labels[order].to(device)
losses = {}
for name, start in nets.items():
    net, losses[name] = copy.deepcopy(start), []  # a copy, so that the cell can run again
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    for _ in range(8):
        epoch = []
        for pictures, targets in zip(x.split(50), y.split(50), strict=True):
            loss = F.cross_entropy(net(pictures), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            epoch.append(loss.item())
        losses[name].append(sum(epoch) / len(epoch))
assert losses["Kaiming"][-1] < 1.9
assert losses["torch's default"][-1] > 2.25 and losses["Xavier"][-1] > 2.25
curves.loss_curves(losses, x_label="epoch", title="20 layers with ReLU, three ways to begin")

# %% [markdown]
# Two of the three learn nothing, and nothing is wrong with their layers, their loss or their optimizer. The remedy cost no computing time at all. (Week 6 has another one, normalisation layers, which repair the scale at every step.)

# %% [markdown] covers=["w4-init-list"]
# ### The whole room nn.init
#
# The old course lists ten initialisers in four groups. Today there are four more, marked with a plus. What does each one guarantee?
#
# | group | function | guarantee |
# |---|---|---|
# | Xavier | `xavier_uniform_`, `xavier_normal_` | Var(W) = gain² · 2 / (fan_in + fan_out) |
# | Kaiming | `kaiming_uniform_`, `kaiming_normal_` | Var(W) = 2 / ((1 + a²) · fan) |
# | fixed | `uniform_(w, a, b)` (均匀分布) | every number between a and b |
# | | `normal_(w, mean, std)` (正态分布) | that mean and that std |
# | | `trunc_normal_(w, mean, std, a, b)` + | normal, and no number outside a to b |
# | | `constant_(w, value)` (常数), `ones_` +, `zeros_` + | all numbers equal |
# | structure | `orthogonal_` (正交矩阵) | square: $WW^\top = I$, keeps every length; otherwise the shorter side is orthonormal |
# | | `eye_` (单位矩阵) | a linear layer that passes its input on |
# | | `dirac_` + | a convolution that passes its input on |
# | | `sparse_(w, sparsity)` (稀疏矩阵) | that share of each column is zero |
#
# The first two groups are proven above. The fixed ones:

# %% covers=["w4-init-list", "w4-init-uniform", "w4-init-normal", "w4-init-constant"] tags=["proof"]
torch.manual_seed(seed)
weight = torch.empty(300, 400)
nn.init.uniform_(weight, -0.2, 0.2)
assert weight.abs().max() <= 0.2 and abs(weight.mean()) < 0.002
nn.init.normal_(weight, mean=1.0, std=0.5)
assert abs(weight.mean() - 1) < 0.01 and abs(weight.std() - 0.5) < 0.01
beyond = ((weight - 1).abs() > 1).sum()
nn.init.trunc_normal_(weight, mean=1.0, std=0.5, a=0.0, b=2.0)
assert weight.min() >= 0 and weight.max() <= 2
cut = ((weight - 1).abs() > 1).sum()
print(f"beyond two stds: {beyond} with normal_, {cut} with trunc_normal_")
for fill, value in [(nn.init.ones_, 1), (nn.init.zeros_, 0)]:
    assert (fill(weight) == value).all()
nn.init.constant_(weight, 0.3)
print("constant_: different numbers in the weight:", weight.unique().numel())

# %% [markdown]
# Those with a structure are exact, not just on average. `normal_` with std $\sqrt{1/n}$ keeps the scale on average, and wanders; the narrower the layers, the more. A square `orthogonal_` weight keeps the length of every vector, through any number of layers:

# %% covers=["w4-init-orthogonal", "w4-init-eye", "w4-init-sparse", "w4-init-list"] tags=["proof"]
torch.manual_seed(seed)
square = nn.init.orthogonal_(torch.empty(64, 64))
assert torch.allclose(square @ square.T, torch.eye(64), atol=1e-5)
found = stds(nn.init.orthogonal_, width=64)
normal = stds(lambda weight: nn.init.normal_(weight, std=1 / 8), width=64)
for name, values in {"orthogonal_": found, "normal_": normal}.items():
    print(f"{name:11} std of layers 1, 50, 100:", *(f"{values[i]:.3f}" for i in (1, 50, 100)))
assert abs(found[-1] - found[0]) < 0.01
assert torch.equal(nn.init.eye_(torch.empty(5, 5)), torch.eye(5))
x = torch.randn(2, 4, 6, 6)
same = nn.init.dirac_(torch.empty(4, 4, 3, 3))
assert torch.equal(F.conv2d(x, same, padding=1), x)
zeros = (nn.init.sparse_(torch.empty(10, 6), sparsity=0.3) == 0).sum(dim=0)
print("eye_ and dirac_ pass their input on; sparse_: zeros in each column", zeros.tolist())
assert (zeros == 3).all()

# %% [markdown]
# Is that all of them? Ask torch: every public function whose name ends in an underscore should be in the table.

# %% covers=["w4-init-list"]
taught = "xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ uniform_ normal_"
taught += " trunc_normal_ constant_ ones_ zeros_ orthogonal_ eye_ dirac_ sparse_"
public = {name for name in dir(nn.init) if name[0].islower() and name.endswith("_")}
print(len(public), "functions, not in the table:", sorted(public - set(taught.split())))
assert public == set(taught.split())

# %% [markdown]
# ### Why random at all?
#
# A well chosen constant could keep the scale, too. But give all hidden units the same weights, and they compute the same, get the same gradient, and stay the same however long you train. How many different units are left of 50?

# %% covers=["w4-init-constant"]
torch.manual_seed(seed)
x, y = torch.randn(200, 3, dtype=torch.float64), torch.randn(200, 1, dtype=torch.float64)
ways_to_fill = {"constant": lambda w: nn.init.constant_(w, 0.3), "random": nn.init.normal_}
for name, fill in ways_to_fill.items():
    net = nn.Sequential(nn.Linear(3, 50), nn.Tanh(), nn.Linear(50, 1)).double()
    for layer in (net[0], net[2]):
        fill(layer.weight)
        nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        F.mse_loss(net(x), y).backward()
        optimizer.step()
    units = net[0].weight.detach().mul(1e9).round().unique(dim=0)
    print(f"{name:8}: {len(units)} different units after 50 steps")
    assert len(units) == (1 if name == "constant" else 50)


# %% [markdown]
# Fifty units that work like one. Random numbers **break the symmetry**. Biases may all start at 0, since the weights tell the units apart already. And a network that is a single layer may start at 0 altogether: it has no hidden units that could be alike.
#
# So, in practice:
#
# - ReLU and its relatives, GELU, SiLU: Kaiming, biases 0;
# - tanh: Xavier with `gain=calculate_gain("tanh")`;
# - very deep or recurrent networks: `orthogonal_`;
# - torch's default is good enough for a few layers, and for networks with normalisation.

# %% [markdown]
# ### Exercise 4.2 Initialise a whole network · 10 min · ★★
#
# Write `initialise(net)` for a network with ReLUs, and return `net`: the weight of every `nn.Linear` and `nn.Conv2d` in it, however deep in the tree, gets Kaiming's scale for ReLU and fan_in (normal or uniform, as you like), and their biases become 0. A layer may have no bias. All other modules stay as they are.

# %% tags=["exercise"]
def initialise(net):
    # change the layers in place -> net
    ...


# %% tags=["check"]
check.initialise(initialise)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `for module in net.modules()` finds all of them, those inside of others too. `isinstance(module, (nn.Linear, nn.Conv2d))` is true for both kinds.
# </details>
# <details><summary>Hint 2</summary>
#
# Say `nonlinearity="relu"`. A layer made with `bias=False` has `module.bias is None`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def initialise(net):
#     # change the layers in place -> net
#     for module in net.modules():
#         if isinstance(module, (nn.Linear, nn.Conv2d)):
#             nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
#             if module.bias is not None:
#                 nn.init.zeros_(module.bias)
#     return net
# ```
# </details>

# %% [markdown]
# ### Explorer Initialisation
#
# **Which scheme survives which activation?** Take ReLU and go through the schemes: nn.Linear's default, the two of Xavier, Kaiming. Then the same with tanh, and with none. Make the network shallow: at which depth does the choice begin to matter? Last, find the best std for tanh by hand with "own std".

# %%
explore.initialisation()

# %% [markdown] covers=["w4-loss-concept"]
# ## 4.2 Losses: cross-entropy and its family
#
# A loss says in one number how wrong a network is. All that training does is make this number smaller, so what you write here is what you get. Three words that are often mixed up:
#
# - **loss function** (损失函数): how wrong one prediction is, $l_i = f(\hat y_i, y_i)$;
# - **cost function** (代价函数): its mean over the samples, $\frac1N \sum_i l_i$;
# - **objective function** (目标函数): the cost plus whatever else is wished for, usually small weights: $\text{cost} + \lambda \sum_j w_j^2$. This is what is minimised.
#
# One linear model and three points have all three:

# %% covers=["w4-loss-concept"]
x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 3.0, 7.0])
w = torch.tensor(2.0)
loss = (w * x - y) ** 2  # one number a sample
cost = loss.mean()
objective = cost + 0.1 * w**2
print("loss", rounded(loss), "cost", rounded(cost), "objective", rounded(objective))


# %% [markdown] covers=["w4-loss-base"]
# In everyday speech all three are called loss, and torch's `mean` is the second. (The third is the business of the optimizer: its `weight_decay`, later this week. Its λ comes with a half, $\tfrac{\lambda}{2}\sum w^2$, so λ here would be half of `weight_decay` there.)
#
# ### A loss in torch is a module
#
# `nn.CrossEntropyLoss()` builds an object, and the object is called with an input and a target: a module without anything to learn. What all losses have in common stands in their ancestors. Find them yourself:

# %% [markdown] covers=["w4-ex-ce-mro"]
# ### Exercise 4.3 The family tree of a loss · 5 min · ★
#
# Which classes lie between `nn.CrossEntropyLoss` and `nn.Module`? Write `between(loss_class)`, which returns their **names** in a list, in the order in which Python looks through them. Neither the class itself nor Module belongs to the list.

# %% covers=["w4-ex-ce-mro"] tags=["exercise"]
def between(loss_class):
    # such as nn.CrossEntropyLoss -> list of names
    ...


# %% tags=["check"]
check.between(between)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Every class has `__mro__` (method resolution order): itself, then its ancestors. Print `nn.CrossEntropyLoss.__mro__`.
# </details>
# <details><summary>Hint 2</summary>
#
# `mro.index(nn.Module)` says where to stop, and a class has its name in `__name__`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def between(loss_class):
#     # such as nn.CrossEntropyLoss -> list of names
#     mro = loss_class.__mro__
#     return [ancestor.__name__ for ancestor in mro[1 : mro.index(nn.Module)]]
# ```
# </details>

# %% [markdown]
# Here is the chain of CrossEntropyLoss, and then all losses of torch sorted by it. `_Loss` keeps one text, `reduction`. `_WeightedLoss` also keeps a `weight`, for most of them one number for each class, as a **buffer** (week 3): it moves with `.to(device)`, and nobody learns it.

# %% covers=["w4-loss-base", "w4-ex-ce-mro"]
print(" -> ".join(ancestor.__name__ for ancestor in nn.CrossEntropyLoss.__mro__))
base, with_weights = nn.modules.loss._Loss, nn.modules.loss._WeightedLoss
groups = {"_WeightedLoss": [], "_Loss alone": [], "neither": []}
for name in dir(nn):
    if name.endswith("Loss"):
        kind = getattr(nn, name)
        alone = "_Loss alone" if issubclass(kind, base) else "neither"
        groups["_WeightedLoss" if issubclass(kind, with_weights) else alone].append(name)
for group, names in groups.items():
    print(f"{group} ({len(names)}): {', '.join(names)}")
criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))
print("buffers", dict(criterion.named_buffers()), "| parameters", list(criterion.parameters()))

# %% [markdown] covers=["w4-self-information"]
# ### Surprise, entropy, cross-entropy
#
# Why does the loss of nearly every classifier contain a logarithm? Because it measures surprise. An event of probability $p$ carries the **self-information** (自信息)
#
# $$I = -\log p$$
#
# What is certain tells you nothing, what is rare tells you much, and the surprises of independent events add up, since the logarithm turns products into sums.

# %% covers=["w4-self-information"] tags=["proof"]
for p in (1.0, 0.5, 0.1, 0.01):
    print(f"p = {p:4}: I = {math.log(1 / p):.4f}")
both = -math.log(0.5 * 0.1)
assert math.isclose(both, -math.log(0.5) - math.log(0.1))
print(f"p = 0.5 and then p = 0.1: {both:.4f}")

# %% [markdown]
# (With the natural logarithm, as everywhere in torch, the unit is called nat; with base 2 it would be bit.)
#
# The **entropy** (熵) of a distribution P is the surprise that its events bring on average: $H(P) = -\sum_i p_i \log p_i$. For which coin is it largest?

# %% covers=["w4-entropy"]
curves.function_plot(
    {
        "surprise of heads": lambda p: -p.log(),
        "entropy of the coin": lambda p: -p * p.log() - (1 - p) * (1 - p).log(),
    },
    x_range=(0.01, 0.99),
    x_label="probability of heads",
    y_label="nats",
    title="A fair coin is the hardest to foretell",
)


# %% [markdown]
# Heads of a coin that nearly always falls on tails are very surprising, but they hardly ever come. At 0.5 the entropy is largest. The same holds for any number of events: no distribution over $k$ of them beats the uniform one, whose entropy is $\log k$. A thousand random ones try:

# %% covers=["w4-entropy"] tags=["proof"]
def entropy(p):
    return -torch.special.xlogy(p, p).sum(dim=-1)  # p log p, and 0 where p is 0


torch.manual_seed(seed)
print(f"fair coin {entropy(torch.tensor([0.5, 0.5])):.4f}, log 2 = {math.log(2):.4f}")
for k in (2, 3, 10):
    tries = torch.softmax(torch.randn(1000, k, dtype=torch.float64), dim=1)
    uniform = entropy(torch.full((k,), 1 / k, dtype=torch.float64))
    print(f"{k:2} events: uniform {uniform:.4f}, the largest of 1000 others", end=" ")
    print("is smaller" if entropy(tries).max() < uniform else "is larger")
    assert entropy(tries).max() <= uniform and math.isclose(uniform, math.log(k))

# %% [markdown] covers=["w4-kl", "w4-cross-entropy-identity"]
# Now somebody believes in Q while the events come from P. This is a network: P is what the labels say, Q what it believes. Its average surprise is the **cross-entropy** (交叉熵), and what this is more than the entropy is the price of the wrong belief, the **relative entropy** or **Kullback-Leibler divergence** (相对熵, KL散度):
#
# $$H(P, Q) = -\sum_i p_i \log q_i \qquad D_\text{KL}(P \,\|\, Q) = \sum_i p_i \log \frac{p_i}{q_i}$$
#
# Compute both divergences, and see whether it matters who believes and who is right:

# %% covers=["w4-kl", "w4-cross-entropy-identity"] tags=["proof"]
p = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
forward, backward = (p * (p / q).log()).sum(), (q * (q / p).log()).sum()
crossed = -(p * q.log()).sum()
print(f"KL(P||Q) {forward:.4f}, KL(Q||P) {backward:.4f}")
print(f"H(P) {entropy(p):.4f} + KL(P||Q) {forward:.4f} = H(P,Q) {crossed:.4f}")
assert torch.allclose(crossed, entropy(p) + forward)
assert torch.allclose(F.kl_div(q.log(), p, reduction="sum"), forward)

# %% [markdown]
# It does: the divergence is no distance, it has a direction. And two things to keep. $H(P,Q) = H(P) + D_\text{KL}(P\|Q)$, and training changes only Q: the cross-entropy and the divergence differ by a constant, so making one small makes the other small. And a divergence is never negative, and zero only for Q = P.
#
# Mind the order of `F.kl_div`: the **belief** comes first, as a logarithm, then the truth. (More on it among the losses of the next lesson.) The identity and the sign for a thousand random pairs:

# %% covers=["w4-kl", "w4-cross-entropy-identity"] tags=["proof"]
torch.manual_seed(seed)
p, q = torch.softmax(torch.randn(2, 1000, 5, dtype=torch.float64), dim=2)
kl = F.kl_div(q.log(), p, reduction="none").sum(dim=1)
assert torch.allclose(-(p * q.log()).sum(dim=1), entropy(p) + kl)
assert (kl > 0).all() and abs(F.kl_div(p.log(), p, reduction="sum")) < 1e-9
hot = torch.eye(5, dtype=torch.float64)[torch.randint(5, (1000,))]  # certain labels
picked = -q[hot.bool()].log()
assert entropy(hot).max() == 0 and torch.allclose(-(hot * q.log()).sum(dim=1), picked)
print("H(P,Q) = H(P) + KL, KL > 0, and for a certain label H(P,Q) = -log q[label]")

# %% [markdown] covers=["w4-crossentropyloss"]
# The last line is the one for daily use. A label that says "class c, certainly" has entropy 0, and entropy, divergence and cross-entropy shrink to one term: $-\log q_c$, the network's surprise at the right answer.
#
# ### nn.CrossEntropyLoss
#
# A network's last layer gives any numbers, called **logits**. Softmax makes probabilities of them, $q_c = e^{x_c} / \sum_j e^{x_j}$, and the negative logarithm makes the loss:
#
# $$l = -\log\frac{e^{x_c}}{\sum_j e^{x_j}} = -x_c + \log \sum_j e^{x_j}$$
#
# | | |
# |---|---|
# | input | **logits** (N, C), floating point; also (C), or (N, C, H, W) for one decision a pixel |
# | target | class numbers 0 to C − 1, int64, (N), (), (N, H, W); or probabilities, float, the input's shape |
# | use it for | choosing one of C classes |
#
# The small data set of this lesson: three samples, two classes. Compute the first by hand: logits 1 and 2, class 0.

# %% covers=["w4-crossentropyloss"] tags=["proof"]
logits, target = torch.tensor([[1.0, 2], [1, 3], [1, 3]]), torch.tensor([0, 1, 1])
by_hand = -1 + math.log(math.exp(1) + math.exp(2))
losses = nn.CrossEntropyLoss(reduction="none")(logits, target)
print(f"sample 0 by hand {by_hand:.4f}, all by torch {rounded(losses, 4)}")
assert abs(losses[0].item() - by_hand) < 1e-6
parts = nn.NLLLoss(reduction="none")(nn.LogSoftmax(dim=1)(logits), target)
assert torch.allclose(parts, losses, atol=1e-6)
print("LogSoftmax and then NLLLoss:", rounded(parts, 4))

# %% [markdown]
# So `CrossEntropyLoss` is two parts in one: `LogSoftmax`, and `NLLLoss`, which picks. It wants the logits as they come, **without** a softmax before.
#
# ### Three reductions
#
# A loss of N samples is N numbers, and `backward` wants one. `reduction` says how: `"none"` leaves them, `"sum"` adds, `"mean"`, the default, takes the mean.

# %% covers=["w4-reduction", "w4-loss-base"] tags=["proof"]
for reduction in ("none", "sum", "mean"):
    result = nn.CrossEntropyLoss(reduction=reduction)(logits, target)
    print(f"{reduction:5}", rounded(result, 4))
total = sum(losses.tolist())
assert abs(F.cross_entropy(logits, target, reduction="sum").item() - total) < 1e-6
assert abs(F.cross_entropy(logits, target).item() - total / 3) < 1e-6

# %% [markdown]
# A mean keeps the size of a step independent of the batch size; with a sum, a batch twice as large takes a step twice as long. `"none"` is for looking: which pictures does the network get most wrong?
#
# > **Then and now.** Instead of one text there were two bools, `size_average=` and `reduce=`. They still work, with a warning.

# %% covers=["w4-loss-base"] tags=["then-and-now"]
with expected_warning(UserWarning):
    summed = nn.CrossEntropyLoss(size_average=False)
print("their meaning today: reduction =", repr(summed.reduction))

# %% [markdown]
# ### Weights for the classes
#
# Some classes are rare, some mistakes are worse than others. `weight` (各类别权值) has one number for each class, and multiplies the loss of every sample **of that class**. Class 1 shall count twice:

# %%
question = predict(
    "The sum becomes 1.8210. What does reduction='mean' make of it?",
    ["1.8210 / 3 = 0.6070", "1.8210 / 5 = 0.3642"],
)
question

# %% covers=["w4-ce-weight"] tags=["proof"]
weight = torch.tensor([1.0, 2.0])
found = {}
for reduction in ("none", "sum", "mean"):
    found[reduction] = nn.CrossEntropyLoss(weight=weight, reduction=reduction)(logits, target)
    print(f"{reduction:5}", rounded(found[reduction], 4))
assert torch.allclose(found["none"], weight[target] * losses, atol=1e-6)
shared = weight[target].sum()  # 1 + 2 + 2
assert torch.allclose(found["mean"], found["sum"] / shared, atol=1e-6)
question.reveal(f"{found['sum']:.4f} / {shared:.0f} = {found['mean']:.4f}")

# %% [markdown]
# A **weighted** mean: divided by the weights of the samples that are there, not by their number. So weights (2, 4) give the same mean as (1, 2). Weights must be floating point, one for each class; whole numbers are refused:

# %% covers=["w4-ce-weight", "w4-crossentropyloss"] tags=["then-and-now"]
doubled = F.cross_entropy(logits, target, weight=2 * weight)
print("weights (2, 4):", rounded(doubled, 4))
with expected_error(RuntimeError):
    F.cross_entropy(logits, target, weight=torch.tensor([1, 2]))

# %% [markdown] covers=["w4-ex-reduction"]
# ### Exercise 4.4 The three reductions by hand · 12 min · ★★
#
# First say what each reduction gives **when there are weights**: put one letter behind each name. Then write `reduced(logits, targets, weights)` without torch's losses and without its softmax: a dictionary with the keys `"none"`, `"sum"`, `"mean"`, each what `nn.CrossEntropyLoss(weight=weights, reduction=…)` gives, as a tensor. Try it on the data above: 1.8210 / 5 = 0.3642.

# %% covers=["w4-ex-reduction"] tags=["exercise"]
meanings = {
    "A": "the sum of the weighted losses, divided by the number of samples",
    "B": "one weighted loss for each sample",
    "C": "the sum of the weighted losses, divided by the sum of the samples' weights",
    "D": "the sum of the weighted losses",
}
meaning_of = {"none": ..., "sum": ..., "mean": ...}


def reduced(logits, targets, weights):
    # logits (N, C), targets (N,), weights (C,) -> {"none": …, "sum": …, "mean": …}
    # each as from nn.CrossEntropyLoss(weight=weights, reduction=…), without using it
    ...


# %% tags=["check"]
check.reductions(meaning_of, reduced)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The logit of each sample's class: `logits[torch.arange(len(targets)), targets]`, or `logits.gather(1, targets[:, None])[:, 0]`.
# </details>
# <details><summary>Hint 2</summary>
#
# `weights[targets]` is the weight of each sample. It stands in front of every loss, and its sum below the mean.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# meaning_of = {"none": "B", "sum": "D", "mean": "C"}
#
#
# def reduced(logits, targets, weights):
#     # logits (N, C), targets (N,), weights (C,) -> {"none": …, "sum": …, "mean": …}
#     chosen = logits[torch.arange(len(targets)), targets]
#     each = weights[targets] * (logits.exp().sum(dim=1).log() - chosen)
#     return {"none": each, "sum": each.sum(), "mean": each.sum() / weights[targets].sum()}
#
#
# small = torch.tensor([[1.0, 2], [1, 3], [1, 3]]), torch.tensor([0, 1, 1]), torch.tensor([1.0, 2])
# assert abs(reduced(*small)["mean"].item() - 1.8210 / 5) < 1e-4
# ```
# </details>

# %% [markdown]
# ### Targets of other kinds
#
# **Samples without a label.** A target of −100 (`ignore_index`) is left out: loss 0, and not counted in the mean. This is how padding in texts and unlabelled pixels are treated. If all are left out, the mean is 0 / 0:

# %% covers=["w4-ce-ignore-index"] tags=["proof"]
partly = torch.tensor([0, -100, 1])
print("none", rounded(F.cross_entropy(logits, partly, reduction="none"), 4))
mean = F.cross_entropy(logits, partly)
print("mean", rounded(mean, 4), "= mean of samples 0 and 2")
assert torch.allclose(mean, losses[[0, 2]].mean(), atol=1e-6)
own = nn.CrossEntropyLoss(ignore_index=1)(logits, target)
assert torch.allclose(own, losses[0], atol=1e-6)  # another number may say "leave out"
print("all ignored:", F.cross_entropy(logits, torch.full((3,), -100)).item())

# %% [markdown]
# **Probabilities.** A target may be a distribution over the classes, in the input's shape, floating point (`ignore_index` does not go with it): then the loss is the whole sum $-\sum_c p_c \log q_c$, and nothing is picked. **Label smoothing** is a special case: `label_smoothing=ε` mixes every label with a little of the uniform distribution, $p = (1-\varepsilon)\,\text{onehot} + \varepsilon / C$, so that the network is not paid for being infinitely sure.
#
# > **Then and now.** `CrossEntropyLoss` once had `weight`, `ignore_index` and `reduction`. Both of these came later.

# %% covers=["w4-crossentropyloss"] tags=["proof", "then-and-now"]
logs = torch.log_softmax(logits, dim=1)
soft = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])
summed = -(soft * logs).sum(dim=1)
assert torch.allclose(F.cross_entropy(logits, soft), summed.mean(), atol=1e-6)
onehot = F.one_hot(target, 2).float()
assert torch.allclose(F.cross_entropy(logits, onehot), losses.mean(), atol=1e-6)
mixed = 0.8 * onehot + 0.2 / 2
smooth = F.cross_entropy(logits, target, label_smoothing=0.2)
assert torch.allclose(smooth, F.cross_entropy(logits, mixed), atol=1e-6)
print("soft targets", rounded(F.cross_entropy(logits, soft), 4), "smoothed", rounded(smooth, 4))


# %% [markdown]
# A smoothed loss never reaches 0: its smallest value is the entropy of the smoothed label, reached when the network believes exactly that and not more. Here are both losses of class 0 against the difference of two logits:

# %% covers=["w4-crossentropyloss"]
def class_0(difference, smoothing):
    pairs = torch.stack([difference, torch.zeros_like(difference)], dim=1)
    zeros = torch.zeros(len(pairs), dtype=torch.long)
    return F.cross_entropy(pairs, zeros, label_smoothing=smoothing, reduction="none")


places = torch.linspace(-4, 8, 12001, dtype=torch.float64)
values = class_0(places, 0.2)
lowest = values.argmin()
print(f"smoothing 0.2: lowest {values[lowest]:.4f} at a difference of {places[lowest]:.2f}")
believed = torch.tensor([0.9, 0.1], dtype=torch.float64)
assert abs(values[lowest] - entropy(believed)) < 1e-6
assert abs(torch.sigmoid(places[lowest]) - 0.9) < 1e-3
curves.function_plot(
    {f"smoothing {s}": lambda x, s=s: class_0(x, s) for s in (0.0, 0.2)},
    x_range=(-4, 8), x_label="logit of class 0 minus logit of class 1", y_label="loss",
    title="Smoothing punishes too much confidence",
)  # fmt: skip

# %% [markdown]
# **One decision a pixel.** The classes always stand in dimension 1. Pictures of logits (N, C, H, W) meet a target (N, H, W), and the mean goes over all pixels:

# %% covers=["w4-crossentropyloss", "w4-ce-target"] tags=["proof"]
torch.manual_seed(seed)
maps, wanted = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
rows = maps.permute(0, 2, 3, 1).reshape(-1, 3)  # every pixel a sample
each = F.cross_entropy(maps, wanted, reduction="none")
print("a loss for each pixel:", tuple(each.shape))
assert torch.allclose(each.flatten(), F.cross_entropy(rows, wanted.flatten(), reduction="none"))

# %% [markdown]
# And what is refused: a class that does not exist, and a target of the wrong dtype.
#
# > **Then and now.** The first error once read "Assertion cur_target >= 0 && cur_target < n_classes failed". It still tends to mean the same: labels that count from 1, or a last layer with too few outputs.

# %% covers=["w4-ce-target"] tags=["then-and-now"]
with expected_error(IndexError):
    nn.CrossEntropyLoss()(logits, torch.tensor([0, 1, 2]))
with expected_error(RuntimeError):
    F.cross_entropy(logits, target.int())

# %% [markdown] covers=["w4-nllloss"]
# ### nn.NLLLoss
#
# The second part alone, the **negative log likelihood** (负对数似然): $l = -w_c\, x_c$. It picks the entry of the target and turns its sign. No logarithm is taken, whatever the name says, so the logarithms must come in.
#
# | | |
# |---|---|
# | input | **log-probabilities** (N, C) or (N, C, H, W), from `log_softmax` |
# | target | class numbers, int64; `weight`, `ignore_index` and `reduction` as above |
# | use it for | networks that give log-probabilities anyway |

# %% covers=["w4-nllloss"] tags=["proof"]
raw = nn.NLLLoss(reduction="none")(logits, target)
print("given raw logits:", raw.tolist())
assert raw.tolist() == [-logits[i, c].item() for i, c in enumerate(target)]
fed = nn.NLLLoss(weight=weight)(torch.log_softmax(logits, dim=1), target)
assert torch.allclose(fed, found["mean"], atol=1e-6)
print("given log-probabilities, with weights:", rounded(fed, 4))

# %% [markdown]
# Raw logits raise no error, and the negative losses show what happened: a cross-entropy is never below 0.
#
# > **Then and now.** The old course writes `nn.NLLoss` and `nn.logsoftmax()`, which never existed, and `nn.LogSoftmax()` without `dim`. torch then guesses the dimension from the number of dimensions (0 for one or three, otherwise 1), and warns.

# %% covers=["w4-err-nlloss"] tags=["then-and-now"]
print("nn.NLLoss:", hasattr(nn, "NLLoss"), "| nn.NLLLoss:", hasattr(nn, "NLLLoss"))
print("nn.logsoftmax:", hasattr(nn, "logsoftmax"), end=" | ")
print("nn.LogSoftmax:", hasattr(nn, "LogSoftmax"))
with expected_warning(UserWarning):
    guessed = nn.LogSoftmax()(logits)
print("two dimensions, guessed 1:", torch.equal(guessed, torch.log_softmax(logits, dim=1)))

# %% [markdown]
# ### Why logits go in
#
# Two reasons to leave softmax and logarithm to the loss. The first is arithmetic: $e^{1000}$ has no place in a computer. The loss subtracts the largest logit first, which changes nothing on paper, $\log\sum e^{x_j} = m + \log\sum e^{x_j - m}$, and everything in practice.

# %% covers=["w4-crossentropyloss"] tags=["proof"]
large, second = torch.tensor([[1000.0, 0.0]]), torch.tensor([1])
naive = -(large.exp() / large.exp().sum(dim=1, keepdim=True)).log()[0, 1]
in_steps = -torch.softmax(large, dim=1).log()[0, 1]
print("as the formula says:", naive.item(), "| log of softmax:", in_steps.item(), end=" | ")
print("cross_entropy:", F.cross_entropy(large, second).item())
m = large.max()
assert F.cross_entropy(large, second) == m + (large - m).exp().sum().log() - large[0, 1]

# %% [markdown]
# The second reason is the gradient. Written as one function, the derivative with respect to the logits is as simple as can be, belief minus truth:
#
# $$\frac{\partial l}{\partial x_j} = q_j - \text{onehot}_j$$
#
# A network that is wrong and sure of it gets a gradient of full size, and nothing saturates.

# %% covers=["w4-crossentropyloss"] tags=["proof"]
torch.manual_seed(seed)
leaf = torch.randn(6, 4, requires_grad=True)
classes = torch.tensor([0, 1, 2, 3, 0, 1])
F.cross_entropy(leaf, classes, reduction="sum").backward()
belief = torch.softmax(leaf.detach(), dim=1)
assert torch.allclose(leaf.grad, belief - F.one_hot(classes, 4), atol=1e-6)
print("belief  ", rounded(belief[0]))
print("gradient", rounded(leaf.grad[0]), "for class", classes[0].item())

# %% [markdown]
# With this formula a classifier can be trained without autograd. 500 digits, one layer that starts at zero, 200 steps: it begins at $\log 10$, for a network without an opinion gives each of ten classes 1/10. **Remember this number**: a classifier of C classes whose first loss is far from $\log C$ has a fault in its loss or in its initialisation.

# %% covers=["w4-crossentropyloss"] tags=["proof"]
images, labels = data.digits()
order = torch.randperm(5000, generator=torch.Generator().manual_seed(seed))[:500]
ink, labels = (images[order].double() / 255).flatten(1), labels[order]  # on the CPU, on purpose
weights, by_steps = torch.zeros(784, 10, dtype=torch.float64), []
for _ in range(200):
    belief = torch.softmax(ink @ weights, dim=1)
    by_steps.append(-belief[torch.arange(500), labels].log().mean().item())
    weights -= 0.1 * ink.T @ (belief - F.one_hot(labels, 10)) / 500
digit_scores = ink @ weights
right = (digit_scores.argmax(dim=1) == labels).double().mean()
print(f"first loss {by_steps[0]:.4f}, log 10 = {math.log(10):.4f}")
print(f"after 200 steps {by_steps[-1]:.2f}, right: {right:.0%}")
assert abs(by_steps[0] - math.log(10)) < 1e-6 and by_steps[-1] < 0.6 and right > 0.85

# %% [markdown]
# ### Explorer Cross-entropy
#
# **What does one logit do?** Three classes: move the logit of the true one and watch its probability, the loss and the gradient p − y. Where is the loss a straight line? Then raise all three logits by the same amount: what changes? Last, switch label smoothing on and make the network very sure.

# %%
explore.cross_entropy()


# %% [markdown]
# ### Find the bug 4.1 A floor under the loss · 8 min · ★★
#
# The same 500 digits, one layer, the same 200 steps, now with a module and torch's loss. It begins at the same number. But its loss sinks much more slowly, it is still large when the other is small, and it gets fewer digits right. Repair the program; keep the layer, the optimizer and the steps.

# %% tags=["exercise", "find-the-bug"]
class Classifier(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.layer = nn.Linear(inputs, 10, dtype=torch.float64)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, x):
        return torch.softmax(self.layer(x), dim=1)


def train(pixels, digits, steps=200):
    # pixels: (N, inputs), digits: (N,) -> the trained net, and its loss before each step
    net, losses = Classifier(pixels.shape[1]), []
    optimizer, criterion = torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss()
    for _ in range(steps):
        loss = criterion(net(pixels), digits)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return net, losses


trained, losses = train(ink, labels)
print(f"right: {(trained(ink).argmax(dim=1) == labels).double().mean():.0%}")
curves.loss_curves({"this program": losses, "the cell above": by_steps}, title="500 digits")

# %% tags=["check"]
check.bug_4_1(train)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Imagine a network that is perfectly sure and right. What does `forward` give, and what is the cross-entropy of these ten numbers?
# </details>
# <details><summary>Hint 2</summary>
#
# What does `nn.CrossEntropyLoss` do with its input first? Then count how often it happens here.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class Classifier(nn.Module):
#     def __init__(self, inputs):
#         super().__init__()
#         self.layer = nn.Linear(inputs, 10, dtype=torch.float64)
#         nn.init.zeros_(self.layer.weight)
#         nn.init.zeros_(self.layer.bias)
#
#     def forward(self, x):
#         return self.layer(x)
#
#
# def train(pixels, digits, steps=200):
#     # pixels: (N, inputs), digits: (N,) -> the trained net, and its loss before each step
#     net, losses = Classifier(pixels.shape[1]), []
#     optimizer, criterion = torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss()
#     for _ in range(steps):
#         loss = criterion(net(pixels), digits)
#         optimizer.zero_grad()
#         loss.backward()
#         optimizer.step()
#         losses.append(loss.item())
#     return net, losses
#
#
# trained, losses = train(ink, labels)
# print(f"right: {(trained(ink).argmax(dim=1) == labels).double().mean():.0%}")
# curves.loss_curves({"this program": losses, "the cell above": by_steps}, title="500 digits")
# ```
# </details>

# %% [markdown]
# There is a floor indeed. A network that is perfectly sure and right gave this loss ten numbers, one 1 and nine 0, and the loss took them for logits:

# %% covers=["w4-crossentropyloss"] tags=["proof"]
floor = F.cross_entropy(torch.eye(10)[:1], torch.tensor([0])).item()
assert abs(floor - (math.log(math.e + 9) - 1)) < 1e-6
print(f"the smallest loss that was possible: {floor:.4f}")

# %% [markdown]
# ### nn.LinearCrossEntropyLoss
#
# New in torch: the last linear layer and the cross-entropy in one module. It **has** something to learn, the weight of that layer, so its parameters belong into the optimizer, too.
#
# | | |
# |---|---|
# | formula | cross-entropy of $xW^\top$ (and $+\,b$ with `bias=True`) |
# | input | features (N, in_features), floating point |
# | target | class numbers (N), int64, or probabilities (N, C); the other arguments as above |
# | use it for | very many classes, such as the words of a language model |
#
# Logits of many classes need much memory. With `options=nn.LinearCrossEntropyOptions(…)` the batch is worked off in pieces, and the whole table of logits never exists.

# %% covers=["w4-crossentropyloss"] tags=["proof"]
torch.manual_seed(seed)
features, classes = torch.randn(8, 3, dtype=torch.float64), torch.randint(7, (8,))
pieces = nn.LinearCrossEntropyOptions(batch_chunk_size=2)
for options in (None, pieces):
    criterion = nn.LinearCrossEntropyLoss(3, 7, dtype=torch.float64, options=options)
    fused = criterion(features, classes)
    fused.backward()
    weight_alone = criterion.linear.weight.detach().clone().requires_grad_()
    apart = F.cross_entropy(features @ weight_alone.T, classes)
    apart.backward()
    assert torch.allclose(fused, apart, atol=1e-6)
    assert torch.allclose(criterion.linear.weight.grad, weight_alone.grad, atol=1e-6)
print("loss and gradient as with nn.Linear and F.cross_entropy, in one go and in pieces")
print("parameters:", [name for name, _ in criterion.named_parameters()])

# %% [markdown] covers=["w4-bceloss"]
# ### nn.BCELoss
#
# Sometimes the questions are independent: is there a cat? is there a dog? Both may be so, or neither. Then every output is a probability of its own, and its loss is the cross-entropy of a coin, the **binary cross-entropy** (二分类交叉熵, in week 1 二元交叉熵):
#
# $$l = -\big(y \log q + (1 - y)\log(1 - q)\big)$$
#
# | | |
# |---|---|
# | input | **probabilities** between 0 and 1, any shape |
# | target | between 0 and 1, **floating point**, the same shape |
# | use it for | outputs that already are probabilities; otherwise the next one |

# %% covers=["w4-bceloss"] tags=["proof"]
answers = torch.tensor([[1.0, 2], [2, 2], [3, 4], [4, 5]])  # 4 samples, 2 questions
truth = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
q = torch.sigmoid(answers)
each = nn.BCELoss(reduction="none")(q, truth)
print(rounded(each, 4))
first = -math.log(1 / (1 + math.exp(-1)))  # y = 1: only the first term is left
assert abs(each[0, 0].item() - first) < 1e-6
formula = -(truth * q.log() + (1 - truth) * (1 - q).log())
assert torch.allclose(each, formula, atol=1e-6)
print("first by hand", round(first, 4), "| mean", rounded(nn.BCELoss()(q, truth), 4))

# %% [markdown]
# It is strict about what comes in: logits are no probabilities, and the shapes must be equal.
#
# > **Then and now.** Input (200, 1) and target (200) once got a warning and were broadcast to 200 × 200. Today this is an error. It is the most common one in logistic regression: the layer gives a column, the labels are a row.

# %% covers=["w4-bceloss"] tags=["then-and-now"]
with expected_error(RuntimeError):
    nn.BCELoss()(answers, truth)
column, row = torch.full((200, 1), 0.5), torch.ones(200)
with expected_error(ValueError):
    nn.BCELoss()(column, row)
print("with .squeeze(1):", rounded(nn.BCELoss()(column.squeeze(1), row), 4))

# %% [markdown]
# > **Myth.** The old course gives BCELoss and BCEWithLogitsLoss an `ignore_index`. They never had one. For labels that are missing, compute with `reduction="none"` and take the mean over those that are there.

# %% covers=["w4-err-bce-ignore-index"]
import inspect  # reads what a class can be called with

for kind in (nn.BCELoss, nn.BCEWithLogitsLoss):
    print(kind.__name__, [name for name in inspect.signature(kind).parameters])
    with expected_error(TypeError):
        kind(ignore_index=-100)
known = torch.tensor([[True, True], [True, False], [True, True], [False, True]])
masked = nn.BCELoss(reduction="none")(q, truth)[known].mean()
assert torch.allclose(masked, each[known].sum() / 6)
print("mean over the six known labels:", rounded(masked, 4))

# %% [markdown] covers=["w4-bcewithlogits"]
# ### nn.BCEWithLogitsLoss
#
# The same loss with the sigmoid inside: logits go in, and the network ends **without** a sigmoid.
#
# | | |
# |---|---|
# | formula | $l = \max(x, 0) - x\,y + \log(1 + e^{-\lvert x\rvert})$, the BCE of $\sigma(x)$, rearranged |
# | input | **logits**, any shape |
# | target | between 0 and 1, floating point, the same shape |
# | use it for | yes-or-no questions, one or many |
#
# In the rearranged form nothing is ever the logarithm of 0. Compare both at a logit of 200 with the answer "no": how wrong is that, and which way does the gradient point?

# %% covers=["w4-bcewithlogits"] tags=["proof"]
criterion = nn.BCEWithLogitsLoss(reduction="none")
formula = answers.clamp(min=0) - answers * truth + torch.log1p(torch.exp(-answers.abs()))
assert torch.allclose(criterion(answers, truth), formula, atol=1e-6)
assert torch.allclose(formula, each, atol=1e-6)
print("mean on raw logits:", rounded(nn.BCEWithLogitsLoss()(answers, truth), 4))
x, no = torch.tensor(200.0, requires_grad=True), torch.tensor(0.0)
for name, loss in [
    ("BCELoss", nn.BCELoss()(torch.sigmoid(x), no)),
    ("BCEWithLogitsLoss", nn.BCEWithLogitsLoss()(x, no)),
]:
    (slope,) = torch.autograd.grad(loss, x)
    print(f"{name:17} at logit 200: loss {loss:.0f}, gradient {slope:.0f}")

# %% [markdown]
# The sigmoid of 200 is exactly 1 in float32, so BCELoss would have to take the logarithm of 0. torch stops it at 100, and the gradient is lost in the saturated sigmoid: this sample, as wrong as can be, would never be corrected. With logits the gradient is again belief minus truth.
#
# ### pos_weight
#
# When "yes" is rare, always saying "no" looks good. `pos_weight` (正样本权值) multiplies the terms with $y = 1$, and leaves the others alone. A common choice is the number of negatives divided by the number of positives.

# %% covers=["w4-pos-weight"] tags=["proof"]
three = torch.tensor(3.0)
heavier = nn.BCEWithLogitsLoss(pos_weight=three, reduction="none")(answers, truth)
print(rounded(heavier, 4))
assert torch.allclose(heavier, torch.where(truth == 1, 3 * each, each), atol=1e-6)
print(f"first {each[0, 0]:.4f} becomes {heavier[0, 0]:.4f}", end=", ")
print("mean", rounded(nn.BCEWithLogitsLoss(pos_weight=three)(answers, truth), 4))

# %% [markdown]
# Here the mean is a plain one, over all eight numbers: unlike the class weights above, `pos_weight` does not appear in the denominator.
#
# ### One family
#
# Two classes and a yes-or-no question are the same thing. A softmax over two logits depends on their difference only, and is the sigmoid of it:
#
# $$\frac{e^{x_1}}{e^{x_0} + e^{x_1}} = \frac{1}{1 + e^{-(x_1 - x_0)}} = \sigma(x_1 - x_0)$$

# %% covers=["w4-bcewithlogits", "w4-crossentropyloss"] tags=["proof"]
difference = logits[:, 1] - logits[:, 0]
assert torch.allclose(torch.softmax(logits, dim=1)[:, 1], torch.sigmoid(difference), atol=1e-6)
binary = F.binary_cross_entropy_with_logits(difference, target.float(), reduction="none")
two_classes = F.cross_entropy(logits, target, reduction="none")
assert torch.allclose(binary, two_classes, atol=1e-6)
print("two classes, cross-entropy:     ", rounded(two_classes, 4))
print("one question, BCEWithLogitsLoss:", rounded(binary, 4))


# %% [markdown]
# Which one?
#
# | the question | last layer | loss | target |
# |---|---|---|---|
# | one of C classes | C logits | `CrossEntropyLoss` | class numbers, int64 |
# | the same, the network ends in `log_softmax` | C log-probabilities | `NLLLoss` | class numbers, int64 |
# | the same, and C is huge | features | `LinearCrossEntropyLoss` | class numbers, int64 |
# | K questions, each yes or no | K logits | `BCEWithLogitsLoss` | 0 and 1, float, same shape |
# | the same, probabilities are given | K probabilities | `BCELoss` | 0 and 1, float, same shape |

# %% [markdown]
# ### Find the bug 4.2 Who else is in the room? · 8 min · ★★
#
# `digit_scores` are the logits of the digits that were trained by hand above. `how_sure` reports for each picture the most probable digit, and its probability. Here is the first picture's probability when it is reported together with others. The picture, its logits and the network are the same each time. Repair `how_sure`.

# %% tags=["exercise", "find-the-bug"]
def how_sure(scores):
    # scores: (N, 10) logits -> the digit (N,) and its probability (N,) for each picture
    probabilities = torch.softmax(scores, dim=0)
    sure, digit = probabilities.max(dim=1)
    return digit, sure


first = {}
for others in (0, 1, 9, 99, 499):
    digit, sure = how_sure(digit_scores[: 1 + others])
    first[f"with {others} others"] = sure[0].item()
bars.bar_chart(
    first,
    x_label="probability",
    y_label="report",
    title="How sure the network is of one and the same picture",
)

# %% tags=["check"]
check.bug_4_2(how_sure)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A distribution over ten digits adds up to 1. Print `probabilities.sum(dim=1)` and `probabilities.sum(dim=0)`.
# </details>
# <details><summary>Hint 2</summary>
#
# `dim` names the dimension that disappears when you sum: which of (N, 10) are the classes?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def how_sure(scores):
#     # scores: (N, 10) logits -> the digit (N,) and its probability (N,) for each picture
#     probabilities = torch.softmax(scores, dim=1)
#     sure, digit = probabilities.max(dim=1)
#     return digit, sure
#
#
# first = {}
# for others in (0, 1, 9, 99, 499):
#     digit, sure = how_sure(digit_scores[: 1 + others])
#     first[f"with {others} others"] = sure[0].item()
# bars.bar_chart(
#     first,
#     x_label="probability",
#     y_label="report",
#     title="How sure the network is of one and the same picture",
# )
# ```
# </details>

# %% [markdown]
# No error, numbers between 0 and 1, often even the right digit: a wrong `dim` can hide for long. One line in a test finds it: a row's probabilities add up to 1, and a batch of one gives what a batch of many gives.

# %% [markdown] covers=["w4-loss-count"]
# ## 4.3 Losses: the whole shelf
#
# Cross-entropy is one answer to one question: which of C classes is it? Other questions have other targets: a number, a count, an order, "these two are alike", a line of text. The old course lists 18 losses (18种损失函数). Before we go through the shelf: how long is it today?

# %%
question = predict("How many names in torch.nn end in Loss?", ["18", "23", "31"])
question

# %% covers=["w4-loss-count"]
names = [name for name in dir(nn) if name.endswith("Loss")]
newer = ["AdaptiveLogSoftmaxWithLoss", "GaussianNLLLoss", "HuberLoss"]
newer += ["LinearCrossEntropyLoss", "TripletMarginWithDistanceLoss"]
assert set(newer) <= set(names)
print("not among the 18:", ", ".join(newer))
question.reveal(len(names))


# %% [markdown]
# Nobody learns 23 formulas by heart. You find the right one by asking **what the target is**, and there are only a few answers. This lesson goes through them:
#
# | the target is | and the loss asks |
# |---|---|
# | a number | how far off? |
# | a count, or a number with its doubt | how likely was this? |
# | a distribution | how different are the two? |
# | a class, some labels, an order | is the right one far enough in front? |
# | alike or not alike | how close are the two? |
# | a short sequence for a long input | how likely are all the ways to say it? |
#
# Five of the 23 you know from lesson 4.2. The numbers of this lesson are small and stay on the CPU. Each formula is computed by hand, and this function holds it against torch's answer:

# %%
def agree(by_hand, by_torch):
    by_hand = torch.as_tensor(by_hand, dtype=by_torch.dtype)
    assert by_hand.shape == by_torch.shape, (by_hand.shape, by_torch.shape)
    assert torch.allclose(by_hand, by_torch, rtol=0, atol=1e-6), (by_hand, by_torch)
    return rounded(by_torch, 4)


# %% [markdown] covers=["w4-l1loss", "w4-mseloss"]
# ### The target is a number
#
# The two oldest: the absolute and the squared difference, element by element.
#
# - `nn.L1Loss`: $|x - y|$
# - `nn.MSELoss`: $(x - y)^2$
#
# Input and target have the same shape, any shape, and are floats. With `reduction="none"` you see every element; the default is the mean.

# %% covers=["w4-l1loss", "w4-mseloss"] tags=["proof"]
x, y = torch.ones(2, 2), torch.full((2, 2), 3.0)
print("L1Loss ", agree((x - y).abs(), nn.L1Loss(reduction="none")(x, y)))
print("MSELoss", agree((x - y) ** 2, nn.MSELoss(reduction="none")(x, y)))
print("reduced:", nn.L1Loss()(x, y).item(), nn.MSELoss()(x, y).item())

# %% [markdown]
# Two or four: does it matter, if both are smallest at the same place? They are not, as soon as you can't be right everywhere. Five parcels took 1, 2, 3, 4 and 100 days. You may announce **one** number for all of them.

# %%
question = predict(
    "Which number has the smallest L1Loss, which the smallest MSELoss?",
    ["both 22", "both 3", "L1 3, MSE 22", "L1 22, MSE 3"],
)
question

# %%
days = torch.tensor([1.0, 2, 3, 4, 100])


def best_number(loss):
    candidates = torch.arange(0, 101).float()
    return int(candidates[torch.stack([loss(c.expand(5), days) for c in candidates]).argmin()])


print("median", int(days.median()), "mean", int(days.mean()))
question.reveal(f"L1 {best_number(nn.L1Loss())}, MSE {best_number(nn.MSELoss())}")

# %% [markdown] covers=["w4-smoothl1"]
# L1 finds the **median** (中位数), MSE the **mean**. The squared error lets one lost parcel pull the answer to a number that fits nobody. L1 is robust, but has a corner at 0: its slope is as steep for a tiny error as for a large one.
#
# **SmoothL1** takes the best of both: quadratic near 0, linear beyond. With $d = x - y$:
#
# $$\frac{d^2}{2\beta} \text{ where } |d| < \beta, \qquad |d| - \frac{\beta}{2} \text{ elsewhere}$$
#
# > **Then and now.** The old course knows it with the border at 1 and nothing to set. Today `nn.SmoothL1Loss(beta=1.0)` lets you move it, and `nn.HuberLoss` is a sibling.

# %% covers=["w4-smoothl1"] tags=["proof", "then-and-now"]
d = torch.tensor([-2.0, 0.5, 1.0, 3.0])
zero = torch.zeros(4)
for beta in (1.0, 2.0):
    by_hand = torch.where(d.abs() < beta, d**2 / (2 * beta), d.abs() - beta / 2)
    loss = nn.SmoothL1Loss(reduction="none", beta=beta)
    print(f"SmoothL1 with beta={beta:g}:", agree(by_hand, loss(d, zero)))
print("L1:                  ", nn.L1Loss(reduction="none")(d, zero).tolist())
assert nn.SmoothL1Loss().beta == 1.0

# %% [markdown]
# **Huber** has the same bend in another scale: $d^2/2$ inside, $\delta\,(|d| - \delta/2)$ outside. So it is δ times SmoothL1. With a wide bend Huber becomes half of MSE, with a narrow one SmoothL1 becomes L1.

# %% covers=["w4-loss-count"] tags=["proof"]
for delta in (0.5, 1.0, 2.0):
    by_hand = torch.where(d.abs() < delta, d**2 / 2, delta * (d.abs() - delta / 2))
    huber = nn.HuberLoss(reduction="none", delta=delta)(d, zero)
    agree(delta * nn.SmoothL1Loss(reduction="none", beta=delta)(d, zero), huber)
    print(f"Huber with delta={delta:g}:", agree(by_hand, huber))
wide = nn.HuberLoss(reduction="none", delta=10.0)(d, zero)
narrow = nn.SmoothL1Loss(reduction="none", beta=1e-7)(d, zero)
print("half of MSE:", agree(d**2 / 2, wide), "| L1:", agree(d.abs(), narrow))

# %% [markdown]
# Four curves. Look at the right edge, where the far-off points are, and at the bottom.

# %% covers=["w4-l1loss", "w4-mseloss", "w4-smoothl1"]
losses = {
    "L1Loss": nn.L1Loss(reduction="none"),
    "MSELoss": nn.MSELoss(reduction="none"),
    "SmoothL1Loss, beta=1": nn.SmoothL1Loss(reduction="none"),
    "HuberLoss, delta=2": nn.HuberLoss(reduction="none", delta=2.0),
}
off = torch.arange(-300, 301) / 100
curves.function_plot(
    {name: (off, loss(off, torch.zeros_like(off))) for name, loss in losses.items()},
    x_label="prediction - target",
    y_label="loss",
    title="Square, corner, and two compromises",
)


# %% [markdown]
# A model never sees the height of these curves. It sees their **slope**: how hard an error pulls.

# %%
def slope(function, x):
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(function(x, torch.zeros_like(x)).sum(), x)[0]


curves.function_plot(
    {name: (off, slope(loss, off)) for name, loss in losses.items()},
    x_label="prediction - target",
    y_label="gradient of the loss",
    title="How hard an error pulls",
)

# %% [markdown]
# The slopes by hand: the sign for L1, $2d$ for MSE, and $d$ cut off at a limit for the other two.

# %% tags=["proof"]
by_hand = [d.sign(), 2 * d, d.clamp(-1, 1), d.clamp(-2, 2)]
print("prediction - target ", d.tolist())
for (name, loss), slopes in zip(losses.items(), by_hand, strict=True):
    print(f"{name:20}", agree(slopes, slope(loss, d)))

# %% [markdown]
# MSE pulls harder the further away a point is, and that is how one outlier bends a whole model. L1 pulls equally hard always, even when it is nearly there, so its steps never get small by themselves. The other two fade near 0 and have a limit outside.
#
# The limit is a knob between the median and the mean. The parcels again:

# %%
for delta in (1, 10, 100):
    print(f"Huber with delta={delta:3}: announce day {best_number(nn.HuberLoss(delta=delta))}")

# %% [markdown]
# **When to use which.** MSE when the mean is what you want and outliers are real. L1 when they are mistakes, or when the median is wanted. SmoothL1 or Huber when you want L1's calm and a smooth bottom: object detectors regress their boxes that way.

# %% [markdown]
# ### Explorer Loss curves
#
# **Where does the pull end?** Move the error far to the right and read the gradient of MSE, L1, SmoothL1 and Huber. Then make SmoothL1's beta smaller (the dotted curve beside it is L1): at which beta can you no longer tell them apart? The other losses in the list belong to the margins further down; come back for them.

# %%
explore.loss_curves()


# %% [markdown]
# ### Exercise 4.5 Too little is worse · 8 min · ★★
#
# A bakery predicts how many loaves it will sell. A loaf too many costs little, a loaf too few costs a customer. Write `pinball(predictions, targets, q)`: every unit that the prediction is too **low** costs `q`, every unit too **high** costs `1 - q`; return the mean over all elements, as a tensor that a model can be trained with.

# %% tags=["exercise"]
def pinball(predictions, targets, q):
    # predictions, targets: the same shape, 0 < q < 1 -> 0-D tensor
    ...


# %% tags=["check"]
check.pinball(pinball)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Let `missing = targets - predictions`. Where it is positive, the prediction was too low.
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.where(missing > 0, …, …)`. Neither of the two costs may be negative.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def pinball(predictions, targets, q):
#     # predictions, targets: the same shape, 0 < q < 1 -> 0-D tensor
#     missing = targets - predictions
#     return torch.where(missing > 0, q * missing, (q - 1) * missing).mean()
# ```
# </details>

# %% [markdown]
# Own losses need no class and no `backward`: a function of tensors is enough, autograd does the rest. This one is called the pinball loss, and what it finds is a quantile (分位数): with q = 0.9 the number that nine of ten days stay below. With q = 0.5 it is half of L1, the median.

# %% [markdown]
# ### Find the bug 4.3 A line that lies flat · 8 min · ★
#
# Forty points near the line y = 2x + 1, a linear model, 300 steps of gradient descent. The loss falls and settles, nothing complains. But look at the line. Repair `fit`.

# %% tags=["exercise", "find-the-bug"]
def fit(x, y):
    # x, y: (N,) -> slope and intercept, two floats
    model = nn.Linear(1, 1, dtype=x.dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    for _ in range(300):
        predictions = model(x.unsqueeze(1))
        loss = ((predictions - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.weight.item(), model.bias.item()


torch.manual_seed(seed)
x = torch.linspace(-1, 1, 40, dtype=torch.float64)
y = 2 * x + 1 + 0.3 * torch.randn(40, dtype=torch.float64)
line = rounded(fit(x, y))
curves.line_fit(x, y, {"fitted": line}, title=f"Slope found: {line[0]:.2f}")

# %% tags=["check"]
check.bug_4_3(fit)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Print the shape of every tensor in the line of the loss, and that of their difference.
# </details>
# <details><summary>Hint 2</summary>
#
# (40, 1) minus (40,) is (40, 40): every prediction against every target (week 1). What is the best answer if a prediction has to please all targets?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def fit(x, y):
#     # x, y: (N,) -> slope and intercept, two floats
#     model = nn.Linear(1, 1, dtype=x.dtype)
#     optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
#     for _ in range(300):
#         predictions = model(x.unsqueeze(1)).squeeze(1)
#         loss = ((predictions - y) ** 2).mean()
#         optimizer.zero_grad()
#         loss.backward()
#         optimizer.step()
#     return model.weight.item(), model.bias.item()
#
#
# torch.manual_seed(seed)
# x = torch.linspace(-1, 1, 40, dtype=torch.float64)
# y = 2 * x + 1 + 0.3 * torch.randn(40, dtype=torch.float64)
# line = rounded(fit(x, y))
# curves.line_fit(x, y, {"fitted": line}, title=f"Slope found: {line[0]:.2f}")
# ```
# </details>

# %% [markdown]
# A loss written out by hand broadcasts in silence. torch's own class would have told you. Listen to it, and then to three others:

# %% covers=["w4-mseloss", "w4-marginranking"]
column, row = torch.zeros(3, 1), torch.zeros(3)
with expected_warning(UserWarning):
    nn.MSELoss()(column, row)
with expected_error(ValueError):
    nn.BCEWithLogitsLoss()(column, row)
with expected_error(RuntimeError):
    nn.MarginRankingLoss()(column, column, row)
silent = nn.PoissonNLLLoss(reduction="none")(column, row)
print("PoissonNLLLoss says nothing, and gives", tuple(silent.shape))

# %% [markdown]
# One warns, two refuse, and one is silent. So the habit that helps with every loss is to compare the shapes yourself: `assert predictions.shape == y.shape`.

# %% [markdown] covers=["w4-poissonnll"]
# ### The target is a count, or a number with its doubt
#
# Another way to a loss: say which **distribution** the target comes from, and let the loss be the negative logarithm of its probability. The model then does not predict the target but the parameters of its distribution.
#
# Counts (calls an hour, goals a match) are often close to a Poisson distribution (泊松分布) with rate λ: $P(y) = e^{-\lambda}\lambda^y / y!$. Its negative logarithm is $\lambda - y \log\lambda + \log y!$, and **PoissonNLLLoss** leaves the last term out, because no prediction can change it. By default (`log_input=True`) the model gives $x = \log\lambda$, so that λ cannot become negative:
#
# - `log_input=True`: $e^x - y\,x$
# - `log_input=False`: $x - y \log(x + \text{eps})$
#
# Input and target have the same shape; the target holds counts, as float or int.

# %% covers=["w4-poissonnll"] tags=["proof"]
x, y = torch.tensor([1.0]), torch.tensor([2.0])
as_log = nn.PoissonNLLLoss(reduction="none")(x, y)
as_rate = nn.PoissonNLLLoss(log_input=False, eps=1e-8, reduction="none")(x, y)
print("log_input=True: ", agree(x.exp() - y * x, as_log), "which is e - 2")
print("log_input=False:", agree(x - y * (x + 1e-8).log(), as_rate))
impossible = nn.PoissonNLLLoss(log_input=False)(torch.zeros(1), y)
print("rate 0, count 2:", rounded(impossible, 2), "instead of infinity: that is eps")

# %% [markdown]
# Is it really the logarithm of that probability? torch.distributions knows the Poisson distribution, too. The third setting, `full=True`, adds $\log y!$ back for counts above 1, by Stirling's approximation.

# %% covers=["w4-poissonnll"] tags=["proof"]
counts = torch.tensor([0.0, 1, 2, 5, 20], dtype=torch.float64)
x = torch.full_like(counts, 1.5)
exact = -torch.distributions.Poisson(x.exp()).log_prob(counts)
agree(exact - torch.lgamma(counts + 1), nn.PoissonNLLLoss(reduction="none")(x, counts))
full = nn.PoissonNLLLoss(full=True, reduction="none")(x, counts)
stirling = counts * counts.log() - counts + (2 * math.pi * counts).log() / 2
agree(x.exp() - counts * x + torch.where(counts > 1, stirling, 0.0), full)
print("exact:", rounded(exact, 3))
print("full: ", rounded(full, 3))

# %% [markdown]
# Why not MSE? Because being 2 off is a lot when 1 was expected and nothing when 100 was. Here is how much each loss charges above the best it could be:

# %% covers=["w4-poissonnll"]
poisson = nn.PoissonNLLLoss(log_input=False, reduction="none")
expected, seen = torch.tensor([1.0, 100.0]), torch.tensor([3.0, 102.0])
print("MSE:    ", nn.MSELoss(reduction="none")(expected, seen).tolist())
print("Poisson:", rounded(poisson(expected, seen) - poisson(seen, seen), 2))

# %% [markdown]
# MSE cannot tell the two apart. Poisson knows that large counts scatter more.
#
# **GaussianNLLLoss** goes one step further: the model predicts its own doubt. It gives a value $x$ **and** a variance, and the loss is the negative logarithm of the bell curve:
#
# $$\tfrac12\left(\log \text{var} + \frac{(x - y)^2}{\text{var}}\right)$$
#
# `full=True` adds the constant $\tfrac12\log 2\pi$. Input, target and var have the same shape, all floats (var may also be one number for each row, or one Python float for all). Suppose the model is off by 1.

# %%
question = predict("Off by 1: which variance is punished least?", ["0.1", "1", "10"])
question

# %% tags=["proof"]
x, y, var = torch.zeros(3), torch.ones(3), torch.tensor([0.1, 1.0, 10.0])
loss = nn.GaussianNLLLoss(reduction="none")(x, y, var)
full = nn.GaussianNLLLoss(reduction="none", full=True)(x, y, var)
print("loss:", agree((var.log() + (x - y) ** 2 / var) / 2, loss))
agree(-torch.distributions.Normal(x, var.sqrt()).log_prob(y), full)
question.reveal(f"{var[loss.argmin()]:g}")

# %% [markdown]
# Too sure is expensive, too modest as well. The curve says where each error would like its variance to be.

# %%
gaussian = nn.GaussianNLLLoss(reduction="none")
curves.function_plot(
    {
        f"off by {error:g}": lambda var, error=error: gaussian(
            torch.full_like(var, error), torch.zeros_like(var), var
        )
        for error in (1.0, 1.5, 2.0)
    },
    x_range=(0.6, 8),
    x_label="predicted variance",
    y_label="loss",
    title="Each curve is lowest where the variance is the squared error",
)

# %% [markdown]
# With all errors of a region together, the best variance is their mean square: the model learns where it can be trusted. Use it when the noise differs from place to place. (If the variance is fixed at 1, half of MSE is left.) A variance must not be negative, and torch looks. So let the model give its logarithm and take `exp`, or send it through a softplus.

# %% tags=["proof"]
errors = torch.tensor([0.5, -1.0, 2.0, 0.1])
agree(errors**2 / 2, gaussian(errors, torch.zeros(4), torch.ones(4)))
with expected_error(ValueError):
    gaussian(errors, torch.zeros(4), torch.tensor([1.0, 1.0, 1.0, -0.1]))

# %% [markdown] covers=["w4-kldivloss"]
# ### The target is a distribution
#
# Lesson 4.2 had the KL divergence: what is lost when Q stands for P, $\sum P(\log P - \log Q)$. As a loss, **KLDivLoss** takes
#
# - input: **log**-probabilities of the model, (N, C);
# - target: **probabilities**, (N, C), or log-probabilities with `log_target=True`;
#
# and gives $y\,(\log y - x)$ for each element. On the old course's numbers, what do the two averages say?

# %%
question = predict(
    "N = 2 rows of 3 classes. How many times larger is batchmean than mean?", ["2", "3", "6"]
)
question

# %% [markdown]
# > **Then and now.** The default `reduction="mean"` divides by the number of **elements**, which is no KL of anything. It warns that it will become `batchmean`, which divides by the number of rows.

# %% covers=["w4-kldivloss"] tags=["proof", "then-and-now"]
scores = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
target = torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.7, 0.2]])
x = F.log_softmax(scores, dim=1)
by_hand = target * (target.log() - x)
with expected_warning(UserWarning):
    mean = nn.KLDivLoss()(x, target)
batchmean = nn.KLDivLoss(reduction="batchmean")(x, target)
agree(by_hand, nn.KLDivLoss(reduction="none")(x, target))
print("mean", agree(by_hand.mean(), mean), "batchmean", agree(by_hand.sum() / 2, batchmean))
question.reveal(round((batchmean / mean).item()))

# %% [markdown]
# Which of the two is the divergence? torch.distributions decides. And what happens if you forget the logarithm in the input?

# %% covers=["w4-kldivloss"] tags=["proof"]
p, q = (torch.distributions.Categorical(probs=probs) for probs in (target, x.exp()))
definition = torch.distributions.kl_divergence(p, q).mean()
batchmean = nn.KLDivLoss(reduction="batchmean")
print("definition:", agree(definition, batchmean(x, target)))
agree(definition, nn.KLDivLoss(reduction="batchmean", log_target=True)(x, target.log()))
print("without the logarithm:", rounded(batchmean(x.exp(), target), 4))

# %% [markdown]
# Negative: no divergence ever is. A negative KLDivLoss means that one of the two arguments is in the wrong form.
#
# **When.** When the target itself is uncertain: what three annotators said, or the output of a larger model (knowledge distillation, 知识蒸馏). Cross-entropy with probabilities as target differs from it only by the entropy of the target, which no weight can change. So both train alike:

# %% covers=["w4-kldivloss"] tags=["proof"]
logits = scores.clone().requires_grad_()
kl = nn.KLDivLoss(reduction="batchmean")(F.log_softmax(logits, dim=1), target)
ce = nn.CrossEntropyLoss()(logits, target)
(slope_kl,), (slope_ce,) = torch.autograd.grad(kl, logits), torch.autograd.grad(ce, logits)
entropy = -(target * target.log()).sum(dim=1).mean()
print("cross-entropy", rounded(ce, 4), "= KL", rounded(kl, 4), "+ entropy", rounded(entropy, 4))
agree(kl + entropy, ce)
print("gradients alike:", agree(slope_kl, slope_ce)[0])

# %% [markdown] covers=["w4-softmargin", "w4-multimargin"]
# ### Far enough in front: margins
#
# A likelihood is never content: cross-entropy would like the right class to win by ever more. A **hinge** (折页损失) is content as soon as it wins by a **margin**, and then stops pulling.
#
# **MultiMarginLoss**: scores (N, C), one class for each row (N,), int64. Every other class that is not at least `margin` below the right one costs what it lacks:
#
# $$\frac{1}{C} \sum_{j \ne y} \max(0,\ \text{margin} - x_y + x_j)^p$$

# %% covers=["w4-multimargin"] tags=["proof"]
x, y = torch.tensor([[0.1, 0.2, 0.7], [0.2, 0.5, 0.3]]), torch.tensor([1, 2])
for p, margin in [(1, 1.0), (2, 1.0), (1, 0.25)]:
    by_hand = []
    for scores, right in zip(x, y, strict=True):
        lacks = (margin - scores[right] + scores).clamp(min=0) ** p
        by_hand.append((lacks.sum() - lacks[right]) / 3)
    by_torch = nn.MultiMarginLoss(p=p, margin=margin, reduction="none")(x, y)
    print(f"p={p}, margin={margin:<4}:", agree(torch.stack(by_hand), by_torch))

# %% [markdown]
# First row, by head: class 1 has 0.2. Class 0 lacks 1 − 0.2 + 0.1, class 2 lacks 1 − 0.2 + 0.7; together 2.4, divided by 3 classes. Now a row in which the right class leads by 3:

# %%
question = predict(
    "The right class leads by 3. Who still pulls at its score?",
    ["both losses", "only cross-entropy", "only MultiMarginLoss", "neither"],
)
question

# %% covers=["w4-multimargin"]
pulls = {}
for loss in (nn.CrossEntropyLoss(), nn.MultiMarginLoss()):
    x = torch.tensor([[0.0, 3.0, 0.0]], requires_grad=True)
    loss(x, torch.tensor([1])).backward()
    pulls[type(loss).__name__] = x.grad[0, 1].item()
    print(type(loss).__name__, "gradient at the right class:", rounded(x.grad[0, 1], 4))
still = [name for name, pull in pulls.items() if pull != 0]
question.reveal("only cross-entropy" if still == ["CrossEntropyLoss"] else "both losses")

# %% [markdown]
# A hinge spends nothing on what is already right, and gives no probabilities for it either. That is the trade.
#
# For **two classes** named −1 and +1, $y\,x$ is positive when the sign of the score is right. **SoftMarginLoss** (logistic损失) is $\log(1 + e^{-y x})$, a hinge with the corner rounded off. Input and target have the same shape; the target holds −1 and +1.

# %% covers=["w4-softmargin"] tags=["proof"]
x = torch.tensor([[0.3, 0.7], [0.5, 0.5]])
y = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
loss = nn.SoftMarginLoss(reduction="none")(x, y)
print(agree((1 + (-y * x).exp()).log(), loss))
as_bce = nn.BCEWithLogitsLoss(reduction="none")(x, (y + 1) / 2)
agree(as_bce, loss)
print("BCEWithLogitsLoss with 0 and 1 gives the same numbers")

# %% [markdown]
# So it is the logistic loss of lesson 4.2 with other names for the classes. That makes it easy to give it the wrong ones. Two scores, both right, but the labels are 0 and 1:

# %% covers=["w4-softmargin"]
x = torch.tensor([-5.0, 5.0], requires_grad=True)
loss = nn.SoftMarginLoss(reduction="none")(x, torch.tensor([0.0, 1.0]))
loss.sum().backward()
print("losses:   ", rounded(loss, 4), "| log 2 is", rounded(math.log(2), 4))
print("gradients:", rounded(x.grad, 4))

# %% [markdown]
# Nothing complains. For label 0 the loss is log 2 whatever the score, and the gradient is 0: half of the data teaches nothing. Prefer BCEWithLogitsLoss, unless your labels come as ±1.
#
# The hinges and the logistic curve against $y\,x$, with what we really want to count, the mistakes:

# %%
curves.function_plot(
    {
        "hinge, margin 1": lambda m: (1 - m).clamp(min=0),
        "SoftMarginLoss": lambda m: F.soft_margin_loss(m, torch.ones_like(m), reduction="none"),
        "mistakes (0 or 1)": lambda m: (m < 0).float(),
    },
    x_range=(-2, 4),
    x_label="y · x (above 0: right)",
    y_label="loss",
    title="The hinge ends at its margin, the logistic never",
)

# %% [markdown] covers=["w4-multilabelmargin"]
# ### Several labels at once
#
# A photograph may show a cat **and** a cup. **MultiLabelMarginLoss** (多标签边界损失) wants each label of the picture to lead each of the other classes by 1:
#
# $$\frac{1}{C} \sum_{i \in \text{labels}}\ \sum_{j \notin \text{labels}} \max(0,\ 1 - x_i + x_j)$$
#
# Scores (N, C), target (N, C) and int64, coded in a way that no other loss shares: the **indices** of the labels first, the rest filled with −1. Classes 0 and 3 are `[0, 3, -1, -1]`. Many people write `[1, 0, 0, 1]`.

# %%
question = predict(
    "Classes 0 and 3, given as [1, 0, 0, 1]. What does torch do?",
    ["the same loss, 0.85", "another loss, 2.9", "an error"],
)
question

# %% covers=["w4-multilabelmargin"] tags=["proof"]
x = torch.tensor([[0.1, 0.2, 0.4, 0.8]])
by_hand = 0.0
for label in (0, 3):
    for other in (1, 2):
        by_hand += max(0.0, 1 - x[0, label].item() + x[0, other].item()) / 4
loss = nn.MultiLabelMarginLoss(reduction="none")
print("[0, 3, -1, -1]:", agree([by_hand], loss(x, torch.tensor([[0, 3, -1, -1]]))))
one_hot = loss(x, torch.tensor([[1, 0, 0, 1]])).item()
same = math.isclose(one_hot, by_hand, abs_tol=1e-6)
question.reveal("the same loss, 0.85" if same else f"another loss, {one_hot:.1f}")

# %% [markdown]
# It reads `[1, 0, 0, 1]` as the labels 1, 0, 0 and 1 again, counts each, and is content. To turn rows of 0 and 1 into indices, sort the classes so that the labels come first, and overwrite the rest:

# %% covers=["w4-multilabelmargin"]
hot = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 1, 0]])
order = hot.argsort(dim=1, descending=True, stable=True)
places = torch.arange(4).expand_as(hot)
indices = order.where(places < hot.sum(dim=1, keepdim=True), -1)
print(indices.tolist())

# %% [markdown] covers=["w4-multilabelsoftmargin"]
# **MultiLabelSoftMarginLoss** (多标签SoftMargin) is the easier one. Scores (N, C), target (N, C) of 0 and 1. It asks one yes-or-no question for each class and takes the mean over the classes: one number for each row, and nothing but BCEWithLogitsLoss, averaged.

# %% covers=["w4-multilabelsoftmargin"] tags=["proof"]
x, y = torch.tensor([[0.3, 0.7, 0.8]]), torch.tensor([[0.0, 1.0, 1.0]])
yes = torch.sigmoid(x)
by_hand = -(y * yes.log() + (1 - y) * (1 - yes).log()).mean(dim=1)
loss = nn.MultiLabelSoftMarginLoss(reduction="none")(x, y)
by_bce = nn.BCEWithLogitsLoss(reduction="none")(x, y).mean(dim=1)
print(agree(by_hand, loss), "by BCEWithLogitsLoss", agree(by_bce, loss))

# %% [markdown] covers=["w4-marginranking"]
# ### The target is an order
#
# Sometimes only the order counts: which of two answers is better, which of two pages to show first. **MarginRankingLoss** (排序损失) compares two scores. $y = 1$ says that the first belongs in front, $y = -1$ the second:
#
# $$\max(0,\ -y\,(x_1 - x_2) + \text{margin})$$
#
# Three tensors of the same shape. The default margin is 0: in front by a hair is enough.
#
# > **Myth.** "It computes all pairs and returns an n × n matrix." It goes element by element. The matrix of the old course came from broadcasting columns against a row, as in Find the bug 4.3, and today that is an error.

# %% covers=["w4-marginranking", "w4-err-marginranking-matrix"] tags=["proof", "then-and-now"]
x1, x2 = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 2.0])
y = torch.tensor([1.0, 1.0, -1.0])
for margin in (0.0, 0.5):
    loss = nn.MarginRankingLoss(margin=margin, reduction="none")(x1, x2, y)
    by_hand = (-y * (x1 - x2) + margin).clamp(min=0)
    print(f"margin {margin}:", agree(by_hand, loss), "shape", tuple(loss.shape))
with expected_error(RuntimeError):
    nn.MarginRankingLoss()(x1[:, None], x2[:, None], y)

# %% [markdown]
# The second pair is a tie: free with margin 0, half a point with margin 0.5. A ranking by several scores is built from pairs that you choose yourself. Four answers, best first, and a model that has the last two the wrong way round:

# %% covers=["w4-marginranking"]
scores = torch.tensor([2.5, 1.2, 0.1, 0.9])
better, worse = torch.combinations(torch.arange(4)).T
loss = nn.MarginRankingLoss(reduction="none")(scores[better], scores[worse], torch.ones(6))
for b, w, lost in zip(better.tolist(), worse.tolist(), rounded(loss, 2), strict=True):
    print(f"answer {b} before {w}: {lost}")

# %% [markdown] covers=["w4-hingeembedding", "w4-cosineembedding"]
# ### The target is "alike" or "not alike"
#
# Is this the same face? New faces come every day, so there are no classes to choose from. The network turns each picture into a vector (an **embedding**, 嵌入), and the loss only says how far apart two vectors should be.
#
# **HingeEmbeddingLoss** (相似性) is the barest of them: its input **is** already a distance. $y = 1$: pay the distance. $y = -1$: pay what is missing to the margin.
#
# $$x \text{ if } y = 1, \qquad \max(0,\ \text{margin} - x) \text{ if } y = -1$$
#
# Input and target have the same shape, any shape.

# %% covers=["w4-hingeembedding"] tags=["proof"]
x, y = torch.tensor([1.0, 0.8, 0.5]), torch.tensor([1.0, 1.0, -1.0])
by_hand = torch.where(y == 1, x, (1.0 - x).clamp(min=0))
print(agree(by_hand, nn.HingeEmbeddingLoss(margin=1.0, reduction="none")(x, y)))
far = nn.HingeEmbeddingLoss(reduction="none")(torch.tensor([3.0]), -torch.ones(1))
print("not alike, and 3 apart:", far.tolist())

# %% [markdown]
# **CosineEmbeddingLoss** takes the two vectors themselves, (N, D) each, and looks at the angle between them, by the cosine similarity (余弦相似度):
#
# $$1 - \cos(x_1, x_2) \text{ if } y = 1, \qquad \max(0,\ \cos(x_1, x_2) - \text{margin}) \text{ if } y = -1$$
#
# > **Then and now.** The old line was `target = torch.tensor([[1, -1]])`, of shape (1, 2). Today the target has one number for each pair of vectors, (N,), and other shapes are an error.

# %% covers=["w4-cosineembedding", "w4-err-cosine-target"] tags=["proof", "then-and-now"]
x1 = torch.tensor([[0.3, 0.5, 0.7], [0.3, 0.5, 0.7]])
x2 = torch.tensor([[0.1, 0.3, 0.5], [0.1, 0.3, 0.5]])
cosine = (x1 * x2).sum(dim=1) / (x1.norm(dim=1) * x2.norm(dim=1))
loss = nn.CosineEmbeddingLoss(reduction="none")
by_hand = torch.stack([1 - cosine[0], cosine[1].clamp(min=0)])
print(agree(by_hand, loss(x1, x2, torch.tensor([1.0, -1.0]))))
with expected_error(RuntimeError):
    loss(x1, x2, torch.tensor([[1, -1]]))

# %%
question = predict(
    "One of the two vectors becomes ten times as long. The cosine loss of the pair",
    ["grows", "stays", "shrinks"],
)
question

# %% covers=["w4-cosineembedding"]
loss, alike = nn.CosineEmbeddingLoss(), torch.ones(2)
before, after = loss(x1, x2, alike), loss(10 * x1, x2, alike)
print(rounded(before, 4), "and", rounded(after, 4))
question.reveal("stays" if torch.isclose(before, after, atol=1e-6) else "grows")


# %% [markdown] covers=["w4-tripletmargin"]
# Only the direction counts: good where length means nothing (a long text about the same thing), bad where it does.
#
# Pairs have a weakness: how near is "near"? Three vectors need no such number. In **TripletMarginLoss** (三元组损失) the **anchor** should be nearer to the **positive** (one of its kind) than to the **negative** (another kind), by a margin:
#
# $$\max(0,\ d(a, p) - d(a, n) + \text{margin})$$
#
# Three tensors (N, D), no target at all. The distance $d$ is Euclidean with `p=2`, and torch adds a tiny `eps=1e-6` to each difference, so that the slope at distance 0 exists.

# %% covers=["w4-tripletmargin"] tags=["proof"]
def distance(a, b, p=2.0):
    return ((a - b + 1e-6).abs() ** p).sum(dim=1) ** (1 / p)


a, p, n = torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([[0.5]])
by_hand = (distance(a, p) - distance(a, n) + 1).clamp(min=0)
print("1 - 0.5 + 1 =", agree(by_hand, nn.TripletMarginLoss(reduction="none")(a, p, n)))
a, p, n = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(seed)).double()
for power in (1.0, 2.0):
    by_hand = (distance(a, p, power) - distance(a, n, power) + 0.5).clamp(min=0)
    agree(by_hand, nn.TripletMarginLoss(margin=0.5, p=power, reduction="none")(a, p, n))
swapped = (distance(a, p) - torch.minimum(distance(a, n), distance(p, n)) + 1).clamp(min=0)
agree(swapped, nn.TripletMarginLoss(swap=True, reduction="none")(a, p, n))
print("agrees in 4 dimensions, for p = 1 and p = 2, and with swap")

# %% [markdown]
# `swap=True` looks at the negative from the positive's side, too, and takes the harder of the two. **TripletMarginWithDistanceLoss** is the same with a distance of your own. Here with the Euclidean one, where it must agree, and with the angle:

# %% covers=["w4-loss-count"] tags=["proof"]
triplet = nn.TripletMarginWithDistanceLoss
default = triplet(distance_function=nn.PairwiseDistance(), margin=1.0, reduction="none")
agree(nn.TripletMarginLoss(reduction="none")(a, p, n), default(a, p, n))


def angle(a, b):
    return 1 - F.cosine_similarity(a, b, dim=1)


by_hand = (angle(a, p) - angle(a, n) + 0.2).clamp(min=0)
agree(by_hand, triplet(distance_function=angle, margin=0.2, reduction="none")(a, p, n))
print("the Euclidean distance and the angle agree")

# %% [markdown]
# What such a loss does is best seen on points that may move freely. Thirty points in the plane of three kinds, mixed at random: point i is of kind i % 3, so three places further is one of its kind, one place further another.

# %% covers=["w4-tripletmargin"]
generator = torch.Generator().manual_seed(seed)
points = torch.randn(30, 2, generator=generator, dtype=torch.float64, requires_grad=True)
kinds = torch.arange(30) % 3
alike = (kinds[:, None] == kinds) & ~torch.eye(30, dtype=torch.bool)
other = kinds[:, None] != kinds
for step in range(301):
    positive, negative = points.roll(3 * (step % 9 + 1), 0), points.roll(3 * (step % 10) + 1, 0)
    loss = nn.TripletMarginLoss(reduction="none")(points, positive, negative)
    if step in (0, 10, 300):
        apart = torch.cdist(points.detach(), points.detach())
        own, others = apart[alike].mean(), apart[other].mean()
        print(f"step {step:3}: own kind {own:.1f} apart, others {others:.1f},", end=" ")
        print(f"triplets that cost nothing: {(loss == 0).sum()} of 30")
    loss.sum().backward()
    with torch.no_grad():
        points -= 0.02 * points.grad
    points.grad = None
assert own < others / 2


# %% [markdown]
# Three clusters, and no class was ever named. But watch the last column: the better it gets, the more triplets cost nothing and teach nothing. So people search for the hard ones.

# %% [markdown]
# ### Exercise 4.6 The hardest triplets · 12 min · ★★★
#
# Write `hardest(embeddings, labels)`: for each of the N embeddings as anchor, find the **farthest** one of its own label and the **nearest** one of another label. Return two tensors of N indices: positives, negatives. Every label occurs at least twice, and there are at least two labels.

# %% tags=["exercise"]
def hardest(embeddings, labels):
    # embeddings: (N, D), labels: (N,) -> positives (N,), negatives (N,), int64
    distances = torch.cdist(embeddings, embeddings)  # (N, N)
    ...


# %% tags=["check"]
check.hardest(hardest)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `same = labels[:, None] == labels` is an (N, N) table that says who is of one kind. Then every row has to be searched for a largest and a smallest entry.
# </details>
# <details><summary>Hint 2</summary>
#
# An entry that must not win gets a value that cannot: `masked_fill(~same, -1.0)` before `argmax(dim=1)`, `masked_fill(same, math.inf)` before `argmin(dim=1)`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def hardest(embeddings, labels):
#     # embeddings: (N, D), labels: (N,) -> positives (N,), negatives (N,), int64
#     distances = torch.cdist(embeddings, embeddings)  # (N, N)
#     same = labels[:, None] == labels
#     positives = distances.masked_fill(~same, -1.0).argmax(dim=1)
#     negatives = distances.masked_fill(same, math.inf).argmin(dim=1)
#     return positives, negatives
#
#
# points = torch.randn(6, 2)
# positives, negatives = hardest(points, torch.tensor([0, 0, 0, 1, 1, 1]))
# print(nn.TripletMarginLoss()(points, points[positives], points[negatives]))
# ```
# </details>

# %% [markdown]
# ### Thousands of classes
#
# A language has tens of thousands of words, and most of them are rare. A full linear layer with a softmax over all of them is costly. `nn.AdaptiveLogSoftmaxWithLoss` is a layer and a loss in one: the classes are sorted by frequency, the common ones sit in the **head**, and the rare ones in **tails** that get fewer and fewer inputs. The head has one more entry for each tail. So the logarithm of a rare class is a sum of two: "it is in this tail", and "it is this one of the tail".

# %%
torch.manual_seed(seed)
adaptive = nn.AdaptiveLogSoftmaxWithLoss(16, 1000, cutoffs=[20, 200])
print("head:", adaptive.head)
for number, tail in enumerate(adaptive.tail):
    print(f"tail {number}:", tail[0], tail[1], sep="\n  ")
print(sum(w.numel() for w in adaptive.parameters()), "weights instead of", 16 * 1000)

# %% [markdown]
# Features (N, in_features), classes (N,) int64; back come `output`, the log-probability of the right class for each row, and `loss`, minus their mean. By hand, for a class of the head and one of each tail:

# %% tags=["proof"]
x, y = torch.randn(3, 16), torch.tensor([7, 150, 999])
output, loss = adaptive(x, y)
head = adaptive.head(x).log_softmax(dim=1)
first = adaptive.tail[0](x[1]).log_softmax(dim=0)
second = adaptive.tail[1](x[2]).log_softmax(dim=0)
by_hand = [head[0, 7], head[1, 20] + first[150 - 20], head[2, 21] + second[999 - 200]]
agree(torch.stack(by_hand), output)
agree(-torch.stack(by_hand).mean(), loss)
agree(torch.ones(3), adaptive.log_prob(x).exp().sum(dim=1))
print("agrees; the probabilities of all", adaptive.n_classes, "classes add up to 1")


# %% [markdown] covers=["w4-ctcloss"]
# ### The target is a sequence, and nobody knows when
#
# Someone says "ab" into a microphone. The recording has hundreds of frames, the text two letters, and nobody noted at which frame the b begins. **CTC** (CTC损失, connectionist temporal classification) needs no such note. In each frame the network gives a probability to every letter and to one more class, the **blank** `-`. A way through the frames is a **path**, and a path is read like this: merge repeated letters, then drop the blanks.

# %% covers=["w4-ctcloss"]
def collapse(path):
    merged = [now for i, now in enumerate(path) if i == 0 or path[i - 1] != now]
    return "".join(letter for letter in merged if letter != "-")


for path in ("aab", "-ab", "a-b", "a-ab", "aa"):
    print(f"{path:5} reads {collapse(path)!r}")

# %% [markdown]
# A blank between two equal letters keeps them apart, so `a-ab` reads "aab". Now take three frames and the classes blank, a, b. There are 27 paths.

# %%
question = predict('How many of the 27 paths of three frames read "ab"?', ["1", "3", "5", "9"])
question

# %% [markdown]
# The loss is minus the logarithm of the probability of the **text**, and that is the sum over all its paths. Here they all are, with the probabilities of the frames multiplied along each:

# %% covers=["w4-ctcloss"] tags=["proof"]
frames = torch.tensor([[0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.2, 0.1, 0.7]])  # -, a, b
texts = {}
for path in torch.cartesian_prod(*[torch.arange(3)] * 3):
    letters = "".join("-ab"[i] for i in path)
    probability = frames[torch.arange(3), path].prod().item()
    texts.setdefault(collapse(letters), {})[letters] = probability
for letters, probability in texts["ab"].items():
    print(letters, rounded(probability, 4))
total = sum(texts["ab"].values())
loss = nn.CTCLoss(reduction="none", blank=0)(
    frames.log()[:, None], torch.tensor([[1, 2]]), torch.tensor([3]), torch.tensor([2])
)
print("sum", rounded(total, 4), "| loss", agree([-math.log(total)], loss)[0])
question.reveal(len(texts["ab"]))

# %% [markdown]
# Every path belongs to exactly one text, so the texts share the whole probability among them. All of them, the most likely first:

# %% covers=["w4-ctcloss"]
shares = {text: sum(paths.values()) for text, paths in texts.items()}
assert abs(sum(shares.values()) - 1) < 1e-6
ranked = sorted(shares, key=shares.get, reverse=True)
print("; ".join(f"{text!r} {shares[text]:.3f}" for text in ranked))
print("paths in all:", sum(len(paths) for paths in texts.values()))

# %% [markdown]
# With 27 paths one can list them. With 500 frames and 30 letters CTCLoss gets the same sum by dynamic programming, and a gradient with it.
#
# What it wants, with T frames, N recordings, C classes and targets up to S letters:
#
# - `log_probs` (T, N, C): time first, and **log**-probabilities (`F.log_softmax(…, dim=2)`);
# - `targets` (N, S) of class numbers, never the blank, each row filled up to S with anything;
# - `input_lengths` (N,) and `target_lengths` (N,): how much of each row is real.
#
# `reduction="mean"` divides each loss by the length of its **target** first, so that long texts don't outvote short ones.

# %% covers=["w4-ctcloss"] tags=["proof"]
torch.manual_seed(seed)
log_probs = F.log_softmax(torch.randn(6, 2, 4, dtype=torch.float64), dim=2)
targets = torch.tensor([[1, 2, 3], [2, 2, 0]])
input_lengths, target_lengths = torch.tensor([6, 4]), torch.tensor([3, 2])
lengths = (input_lengths, target_lengths)
each = nn.CTCLoss(reduction="none")(log_probs, targets, *lengths)
mean = nn.CTCLoss()(log_probs, targets, *lengths)
short = nn.CTCLoss(reduction="none")(
    log_probs[:4, 1:], targets[1:, :2], torch.tensor([4]), torch.tensor([2])
)
agree(short, each[1:])  # frames and letters beyond the lengths are not looked at
print("two losses:", rounded(each), "mean:", agree((each / target_lengths).mean(), mean))

# %% [markdown]
# > **Myth.** In the old course's list the comments slipped down by one line, and `reduction="mean"` is said to set infinite values to 0. The argument that does is `zero_infinity`.
#
# Where would infinity come from? From a text that no path can read: "aab" in three frames. It needs `a-ab`, four of them.

# %% covers=["w4-ctcloss", "w4-err-ctc-comments"]
aab, three = torch.tensor([[1, 1, 2]]), torch.tensor([3])
for zero_infinity in (False, True):
    logits = torch.zeros(3, 1, 3, requires_grad=True)
    ctc = nn.CTCLoss(reduction="mean", zero_infinity=zero_infinity)
    loss = ctc(F.log_softmax(logits, dim=2), aab, three, three)
    loss.backward()
    print(f"zero_infinity={zero_infinity}: loss {loss.item():g},", end=" ")
    print("gradient finite:", logits.grad.isfinite().all().item())


# %% [markdown]
# One such recording spoils the gradient of every weight, and with it the whole batch. `zero_infinity=True` ignores it; better still is to find it before training.

# %% [markdown]
# ### Exercise 4.7 Enough frames · 8 min · ★★
#
# Write `frames_needed(target)`: the smallest number of frames in which some path reads `target`, a list of class numbers without blanks, such as `[1, 1, 2]`. Return an `int`. The check asks CTCLoss: with that many frames its loss must be finite, with one frame less infinite.

# %% tags=["exercise"]
def frames_needed(target):
    # target: a list of ints, at least one -> int
    ...


# %% tags=["check"]
check.frames_needed(frames_needed)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Every letter needs a frame. When does it need one more, for a blank before it?
# </details>
# <details><summary>Hint 2</summary>
#
# Only where it equals the letter just before it. `zip(target, target[1:])` gives all neighbours.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def frames_needed(target):
#     # target: a list of ints, at least one -> int
#     repeats = sum(before == now for before, now in zip(target, target[1:]))
#     return len(target) + repeats
# ```
# </details>

# %% [markdown] covers=["w4-ex-loss-map"]
# ### Exercise 4.8 The map of losses · 15 min · ★★
#
# Make your own map of the old course's 18 losses (损失函数总结): for each of them **(formula, target, use)**. Do as much as you can without looking back. The check builds an input and your kind of target, computes your formula, and asks the real loss.
#
# | formula for one loss value; margin 1, for K and O 0 | |
# |---|---|
# | A: exp(x) − y·x | B: (x − y)² |
# | C: log(1 + exp(−y·x)) | D: −x[y] |
# | E: y·(log y − x) | F: x if y = 1; max(0, 1 − x) if y = −1 |
# | G: abs(x − y) | H: −log softmax(x)[y] |
# | I: −y·log x − (1 − y)·log(1 − x) | J: d²/2 where abs(d) < 1, else abs(d) − 1/2, with d = x − y |
# | K: max(0, −y·(x1 − x2)) | L: as I, with sigmoid(x) for x |
# | M: the mean of L over the classes | N: max(0, dist(a, p) − dist(a, n) + 1) |
# | O: 1 − cos(x1, x2) if y = 1; max(0, cos(x1, x2)) if y = −1 | P: Σ max(0, 1 − x[y] + x[j]) over the classes j ≠ y, divided by C |
# | Q: Σ max(0, 1 − x[i] + x[j]) over labels i and other classes j, divided by C | R: −log of the sum over all paths that read y |
#
# - **target**: `number`, `0/1`, `+1/-1`, `class`, `indices` (filled with −1), `distribution`, `letters`, `none`
# - **use**: `regression`, `classification`, `multi-label`, `distribution`, `ranking`, `embedding`, `sequence`

# %% covers=["w4-ex-loss-map", "w4-loss-reduction-table"] tags=["exercise"]
loss_map = {
    "L1Loss": ("G", "number", "regression"),  # an example
    "MSELoss": ...,
    "SmoothL1Loss": ...,
    "PoissonNLLLoss": ...,
    "NLLLoss": ...,
    "CrossEntropyLoss": ...,
    "MultiMarginLoss": ...,
    "SoftMarginLoss": ...,
    "BCELoss": ...,
    "BCEWithLogitsLoss": ...,
    "MultiLabelSoftMarginLoss": ...,
    "MultiLabelMarginLoss": ...,
    "KLDivLoss": ...,
    "MarginRankingLoss": ...,
    "HingeEmbeddingLoss": ...,
    "CosineEmbeddingLoss": ...,
    "TripletMarginLoss": ...,
    "CTCLoss": ...,
}

# %% tags=["check"]
check.loss_map(loss_map)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Start with the targets. Three losses take a class, three 0/1, four +1/-1, one takes no target at all.
# </details>
# <details><summary>Hint 2</summary>
#
# The check names the first row that is wrong, and in which of its three entries, so a guess costs nothing. C and L are the same curve with different targets.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# loss_map = {
#     "L1Loss": ("G", "number", "regression"),
#     "MSELoss": ("B", "number", "regression"),
#     "SmoothL1Loss": ("J", "number", "regression"),
#     "PoissonNLLLoss": ("A", "number", "regression"),
#     "NLLLoss": ("D", "class", "classification"),
#     "CrossEntropyLoss": ("H", "class", "classification"),
#     "MultiMarginLoss": ("P", "class", "classification"),
#     "SoftMarginLoss": ("C", "+1/-1", "classification"),
#     "BCELoss": ("I", "0/1", "classification"),
#     "BCEWithLogitsLoss": ("L", "0/1", "classification"),
#     "MultiLabelSoftMarginLoss": ("M", "0/1", "multi-label"),
#     "MultiLabelMarginLoss": ("Q", "indices", "multi-label"),
#     "KLDivLoss": ("E", "distribution", "distribution"),
#     "MarginRankingLoss": ("K", "+1/-1", "ranking"),
#     "HingeEmbeddingLoss": ("F", "+1/-1", "embedding"),
#     "CosineEmbeddingLoss": ("O", "+1/-1", "embedding"),
#     "TripletMarginLoss": ("N", "none", "embedding"),
#     "CTCLoss": ("R", "letters", "sequence"),
# }
# ```
# </details>

# %% [markdown] covers=["w4-loss-reduction-table"]
# ### Which loss for which task
#
# All 23, for looking up. `*` is any shape. Where nothing else is said, the target is float and has the input's shape.
#
# | task | loss | input | target | take it when |
# |---|---|---|---|---|
# | regression | L1Loss | * | * | outliers are mistakes; finds the median |
# | | MSELoss | * | * | outliers count; finds the mean |
# | | SmoothL1Loss | * | * | L1 with a smooth bottom, slope at most 1 |
# | | HuberLoss | * | * | MSE with a limited slope, at most delta |
# | counts, doubt | PoissonNLLLoss | * log of the rate | * counts | events are counted |
# | | GaussianNLLLoss | * and a variance | * | the noise differs from place to place |
# | classification | CrossEntropyLoss | (N, C) scores | (N,) int64, or (N, C) | one of C classes: the usual choice |
# | | NLLLoss | (N, C) log-probabilities | (N,) int64 | the log_softmax is already there |
# | | LinearCrossEntropyLoss | (N, features) | (N,) int64, or (N, C) | last layer and loss in one |
# | | AdaptiveLogSoftmaxWithLoss | (N, features) | (N,) int64 | very many classes, most of them rare |
# | | MultiMarginLoss | (N, C) scores | (N,) int64 | a margin is enough, no probabilities wanted |
# | yes or no | BCEWithLogitsLoss | * scores | * 0 to 1 | two classes, or several labels |
# | | BCELoss | * probabilities | * 0 to 1 | the sigmoid is already there |
# | | SoftMarginLoss | * scores | * −1 or 1 | the labels come as ±1 |
# | multi-label | MultiLabelSoftMarginLoss | (N, C) scores | (N, C) 0 or 1 | as BCEWithLogitsLoss, one number a row |
# | | MultiLabelMarginLoss | (N, C) scores | (N, C) int64 indices, −1 | labels only have to lead the others |
# | distribution | KLDivLoss | (N, C) log-probabilities | (N, C) probabilities | the target is soft; batchmean |
# | ranking | MarginRankingLoss | two of * | * −1 or 1 | only the order counts |
# | embedding | HingeEmbeddingLoss | * distances | * −1 or 1 | you have the distances |
# | | CosineEmbeddingLoss | two of (N, D) | (N,) −1 or 1 | pairs, and only the direction counts |
# | | TripletMarginLoss | three of (N, D) | none | nearer to its own kind than to others |
# | | TripletMarginWithDistanceLoss | three of (N, D) | none | the same with your distance |
# | sequence | CTCLoss | (T, N, C) log-probabilities | (N, S) int64, lengths | text without an alignment |
#
# Is it complete? The same groups as code, against what torch exports. (The lessons 4.2 and 4.3 have them all.)

# %% covers=["w4-loss-reduction-table", "w4-loss-count"]
taught = {
    "regression": "L1Loss MSELoss SmoothL1Loss HuberLoss",
    "counts, doubt": "PoissonNLLLoss GaussianNLLLoss",
    "classification": "CrossEntropyLoss NLLLoss LinearCrossEntropyLoss"
    " AdaptiveLogSoftmaxWithLoss MultiMarginLoss",
    "yes or no": "BCEWithLogitsLoss BCELoss SoftMarginLoss",
    "multi-label": "MultiLabelSoftMarginLoss MultiLabelMarginLoss",
    "distribution": "KLDivLoss",
    "ranking": "MarginRankingLoss",
    "embedding": "HingeEmbeddingLoss CosineEmbeddingLoss"
    " TripletMarginLoss TripletMarginWithDistanceLoss",
    "sequence": "CTCLoss",
}
taught = {task: names.split() for task, names in taught.items()}
found = sorted(name for name in dir(nn) if name.endswith("Loss"))
assert found == sorted(name for group in taught.values() for name in group)
for task, group in taught.items():
    print(f"{task}:", ", ".join(group))
print("together:", sum(len(group) for group in taught.values()), "of", len(found))


# %% [markdown]
# ### A number with a history
#
# One habit for all of these losses. Each is the end of a graph (week 1): from it autograd can reach everything that led to it, and as long as you keep the loss, all of that is kept. How many nodes are there?

# %%
def graph_nodes(tensor):
    waiting, seen = [getattr(tensor, "grad_fn", None)], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return len(seen)


w = torch.ones(2, requires_grad=True)
print("a number:", graph_nodes(1.0), "| w:", graph_nodes(w), end=" | ")
print("(2 * w).sum():", graph_nodes((2 * w).sum()))


# %% [markdown]
# ### Find the bug 4.4 The longer the epoch · 10 min · ★★
#
# A training loop like thousands of others. It learns, and the mean loss that it reports is right. But its memory grows with every batch, and on a GPU such an epoch ends some day with "out of memory". Bytes depend on the machine, so the run below counts the nodes that can still be reached from the result. A number that is only to be printed should hold none. Repair `train_epoch`.

# %% tags=["exercise", "find-the-bug"]
def train_epoch(model, batches, optimizer):
    # batches: a list of (x, y), all of one size -> the mean loss of the epoch
    total = 0.0
    for x, y in batches:
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss
    return total / len(batches)


torch.manual_seed(seed)
for count in (1, 10, 100):
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    batches = [(torch.randn(16, 2), torch.randn(16, 1)) for _ in range(count)]
    mean = train_epoch(model, batches, torch.optim.SGD(model.parameters(), lr=0.01))
    print(f"{count:3} batches: the mean loss holds on to {graph_nodes(mean)} nodes")

# %% tags=["check"]
check.bug_4_4(train_epoch)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# What is the type of `total` after the first batch, and what does autograd do with a sum?
# </details>
# <details><summary>Hint 2</summary>
#
# A number without history is wanted: `loss.item()`, or `loss.detach()` if you don't want to wait for a GPU in every batch. It has to happen **in** the loop: at the end it is too late.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def train_epoch(model, batches, optimizer):
#     # batches: a list of (x, y), all of one size -> the mean loss of the epoch
#     total = 0.0
#     for x, y in batches:
#         loss = F.mse_loss(model(x), y)
#         optimizer.zero_grad()
#         loss.backward()
#         optimizer.step()
#         total += loss.item()
#     return total / len(batches)
#
#
# torch.manual_seed(seed)
# for count in (1, 10, 100):
#     model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
#     batches = [(torch.randn(16, 2), torch.randn(16, 1)) for _ in range(count)]
#     mean = train_epoch(model, batches, torch.optim.SGD(model.parameters(), lr=0.01))
#     print(f"{count:3} batches: the mean loss holds on to {graph_nodes(mean)} nodes")
# ```
# </details>

# %% [markdown]
# In a training loop the worst is spared: `backward()` has thrown away the intermediate results of each batch, and what piles up is the nodes. In an **evaluation** loop nobody calls `backward()`, and the same line keeps every activation of every batch. You can tell by asking each sum for a gradient: that works only where the intermediate results are still there.

# %%
model, x, y = nn.Linear(2, 1), torch.ones(4, 2), torch.zeros(4, 1)
evaluated, trained = 0.0, 0.0
for _ in range(10):
    evaluated += F.mse_loss(model(x), y)
    loss = F.mse_loss(model(x), y)
    loss.backward()
    trained += loss
evaluated.backward()
print("evaluation: the intermediate results of all batches were still there")
with expected_error(RuntimeError):
    trained.backward()

# %% [markdown]
# So: `.item()` on everything that you only want to look at, and `torch.no_grad()` around every evaluation.

# %% [markdown] covers=["w4-optimizer-concept"]
# ## 4.4 Optimizers: how a step is made
#
# A loss says how wrong a model is. `backward()` says, for each of its numbers, which way the loss goes up. What is left is an **optimizer** (优化器), and it has two jobs:
#
# - it **manages** (管理): it knows which tensors are to be learnt, and with which settings;
# - it **updates** (更新): `step()` changes them so that the loss goes down.
#
# You have used one since week 1. Now we open it, and at the end of the lesson you will have rebuilt `torch.optim.SGD` to the last digit. Here is one step, with the numbers before and after:

# %% covers=["w4-optimizer-concept"]
torch.manual_seed(seed)
layer = nn.Linear(2, 1)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
loss = (layer(torch.tensor([[1.0, 2.0]])) - 3).square().mean()
loss.backward()
before = layer.weight.detach().clone()
optimizer.step()
print("an Optimizer:", isinstance(optimizer, torch.optim.Optimizer))
print("before", rounded(before), "gradient", rounded(layer.weight.grad))
print("after ", rounded(layer.weight))
assert torch.allclose(layer.weight, before - 0.1 * layer.weight.grad)

# %% [markdown] covers=["w4-gradient-definitions"]
# The gradients are negative, so both weights grew: after = before − 0.1 · gradient. Why along the gradient, and why with a minus?
#
# ### Which way is down?
#
# Three words for slopes:
#
# - the **derivative** (导数) is the slope of a function of one variable;
# - with two variables you stand on a hillside, and every direction has a slope of its own, the **directional derivative** (方向导数);
# - the **gradient** (梯度) is the vector of the slopes along the axes. It is what `backward()` computes.
#
# Two numbers for infinitely many directions: that can only be enough if they contain all the others. They do: the slope in a direction $u$ of length 1 is $g \cdot u$. It is largest when $u$ points along $g$.

# %%
question = predict(
    "You walk at a right angle to the gradient. How is the way there?",
    ["steepest", "half as steep", "level"],
)
question


# %% [markdown]
# Let us measure. From one place on a hill we go a tiny bit in each of 360 directions and compute the slopes without any gradient, as a difference of heights.

# %% covers=["w4-gradient-definitions"] tags=["proof"]
def hill(w):  # (..., 2) -> (...)
    return 0.5 * w[..., 0] ** 2 + 2 * w[..., 1] ** 2


place = torch.tensor([2.0, 1.0], dtype=torch.float64, requires_grad=True)
hill(place).backward()
angles = torch.arange(360, dtype=torch.float64)
u = torch.stack([angles.deg2rad().cos(), angles.deg2rad().sin()], dim=1)
here, tiny = place.detach(), 1e-5
slopes = (hill(here + tiny * u) - hill(here - tiny * u)) / (2 * tiny)
assert torch.allclose(slopes, u @ place.grad, atol=1e-6)
assert slopes.max() <= place.grad.norm() + 1e-6
direction = math.degrees(math.atan2(place.grad[1], place.grad[0]))
print("gradient", place.grad.tolist(), "points to", rounded(direction, 1), "degrees")
print("its length:", rounded(place.grad.norm()))
print("steepest measured:", slopes.argmax().item(), "degrees, slope", rounded(slopes.max()))
level = round(direction + 90) % 360
print("slope at a right angle:", rounded(slopes[level], 1))
question.reveal("level" if abs(slopes[level]) < 0.1 else "half as steep")

# %% [markdown]
# The steepest of the 360 ways is the gradient's, and its slope is the gradient's length. Straight back, at 180 degrees from it, it goes down as fast: that is why the step has a minus. At a right angle the way is level.

# %%
curves.function_plot(
    {"slope": (angles, slopes)},
    x_label="direction (degrees)",
    y_label="slope",
    title="One place on a hill, every direction: a cosine with its top at the gradient",
)

# %% [markdown] covers=["w4-gradient-descent"]
# ### Gradient descent
#
# So the rule of **gradient descent** (梯度下降) is: compute the gradient $g$, go a bit against it, repeat.
#
# $$w \leftarrow w - \text{lr} \cdot g$$
#
# `lr` is the **learning rate** (学习率). To see what it does we take the smallest problem there is: one number $x$, the loss $y = 4x^2$, the start $x = 2$. The lowest place is 0, and everybody can check every step.

# %% covers=["w4-gradient-descent"]
x = torch.tensor(2.0, requires_grad=True)
y = 4 * x**2
y.backward()
print("x", x.item(), "| loss", y.item(), "| gradient", x.grad.item())

# %%
question = predict(
    "Subtract the whole gradient (learning rate 1): where is x?", ["0.0", "-14.0", "18.0"]
)
question


# %% [markdown]
# The function below is gradient descent by hand. We need it a few times. It records `y.item()`, a plain number, and a little later you will see why.

# %% covers=["w4-gradient-descent", "w4-err-plot-loss-tensors"]
def descend(lr, steps, start=2.0):
    """Gradient descent on y = 4x²: the places visited, and the loss at each of them."""
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    places, losses = [], []
    for _ in range(steps):
        y = 4 * x**2
        places.append(x.item())
        losses.append(y.item())
        x.grad = None
        y.backward()
        with torch.no_grad():
            x -= lr * x.grad
    return places, losses


places, losses = descend(lr=1.0, steps=5)
print("x:   ", places)
print("loss:", losses)
question.reveal(places[1])

# %% [markdown] covers=["w4-learning-rate"]
# The direction was right, the step far too long: from 2 over the valley to −14, where it is steeper, so the next step is longer still.
#
# ### The learning rate
#
# Here we can say exactly what happens. The gradient is $8x$, so one step is
#
# $$x \leftarrow x - \text{lr}\cdot 8x = (1 - 8\,\text{lr})\,x$$
#
# Every step multiplies by the same factor, and all depends on its size. What do you expect of a factor of −1?

# %% covers=["w4-learning-rate"] tags=["proof"]
for lr in (0.01, 0.1, 0.125, 0.2, 0.25, 0.5, 1.0):
    places, _ = descend(lr, steps=30)
    factor = 1 - 8 * lr
    by_formula = [2 * factor**t for t in range(30)]
    assert np.allclose(places, by_formula, rtol=1e-6, atol=1e-6)
    print(f"lr {lr:<5} factor {rounded(factor, 2):5}  x: {rounded(places[:5], 2)}")

# %% [markdown]
# Read the factors from the top:
#
# - between 0 and 1 it creeps from one side, slowly (0.01) or quickly (0.1);
# - at 0, for lr 0.125, one step lands on the bottom: this is 1 / curvature, for the second derivative of $4x^2$ is 8;
# - between −1 and 0 it jumps from side to side and still gets there (0.2);
# - at −1 it jumps from 2 to −2 and back, for ever (0.25);
# - below −1 every jump is longer than the last (0.5 and 1).
#
# On the parabola:

# %% covers=["w4-learning-rate"]
bottom = torch.linspace(-2.6, 2.6, 101, dtype=torch.float64)
drawn = {"y = 4x²": (bottom, 4 * bottom**2)}
for lr, steps in [(0.01, 12), (0.2, 12), (0.26, 4)]:
    drawn[f"lr {lr}"] = descend(lr, steps)
curves.function_plot(drawn, title="0.01 creeps, 0.2 jumps and arrives, 0.26 jumps out")

# %% [markdown] covers=["w4-lr-curves"]
# In real training you don't know the curvature. What you do is this: try a few rates and look at the loss curves. Ten rates, a hundred iterations each, the losses on a logarithmic scale:

# %% covers=["w4-lr-curves"]
from course_utils.style import BLUE, RED, figure, look  # ten lines are too many for curves.py

rates = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.16, 0.18, 0.2)
with look():
    drawing, axes = figure(
        "Loss over 100 iterations for ten learning rates from 0.01 to 0.2: straight lines on a "
        "logarithmic scale, steepest next to 0.125, flatter on both sides.",
        size=(6.4, 3.6),
    )
    for lr in rates:
        losses = descend(lr, steps=100)[1]
        colour, style, level = (BLUE, "-", 1e-23) if lr < 0.125 else (RED, "--", 1e-18)
        axes.semilogy(losses, style, color=colour)
        shown = max(t for t in range(100) if losses[t] > level)
        axes.annotate(f" {lr}", (shown, losses[shown]), color=colour, fontsize=9)
    axes.set(xlabel="iteration", ylabel="loss", xlim=(0, 108), ylim=(1e-24, 100))
    axes.set_title("Solid: below 0.125. Dashed: above it")
drawing


# %% [markdown]
# A larger rate is faster, up to a point; beyond it a larger rate is slower again, at 0.25 it gets nowhere, and above that nothing holds it any more. With one weight the best rate is half of the one that breaks. With many weights of very different curvature it moves up, close to the one that breaks, and the exercise shows what decides.

# %% [markdown]
# ### Exercise 4.9 The rate at which it breaks · 10 min · ★★
#
# Now many weights at once: the loss is $\frac12 w^\top A w$, its gradient $A w$, and `A` is a symmetric matrix (n, n) of dtype float64 whose eigenvalues are all positive. They are the curvatures along the axes of the valley. Write `breaking_rate(A)`: the learning rate, as a number, below which gradient descent comes down from **every** start, and above which it flies off from some.

# %% tags=["exercise"]
def breaking_rate(A):
    # one step is w - lr * A w; along an axis with curvature c it multiplies by 1 - lr * c
    ...


# %% tags=["check"]
check.breaking_rate(breaking_rate)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The factor $1 - \text{lr}\cdot c$ must stay above −1, for each of the curvatures. Which one is the first to break?
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.linalg.eigvalsh(A)` gives the eigenvalues of a symmetric matrix in rising order.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def breaking_rate(A):
#     return 2 / torch.linalg.eigvalsh(A)[-1].item()
# ```
# </details>

# %% [markdown] covers=["w4-opt-defaults", "w4-opt-state", "w4-opt-param-groups"]
# The steepest direction sets the limit, and the flattest has to live with it: with curvatures 100 and 1 the rate that suits the first moves the second by a hundredth of the way. Remember this valley, momentum and all of lesson 4.5 are answers to it.
#
# ### What an Optimizer holds
#
# Now the object itself. It has three public attributes, whatever its class:

# %% covers=["w4-opt-defaults", "w4-opt-state", "w4-opt-param-groups"]
weight = torch.ones(2, requires_grad=True)
optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
assert isinstance(optimizer, torch.optim.Optimizer)
print([name for name in vars(optimizer) if not name.startswith("_")])
print(len(optimizer.param_groups), "group:")
for key, value in optimizer.param_groups[0].items():
    print(f"  {key:15}", [tuple(p.shape) for p in value] if key == "params" else value)

# %% [markdown]
# - `defaults`: the settings (超参数) for tensors that bring none of their own;
# - `state`: what it has to remember between two steps, such as the momentum (缓存);
# - `param_groups` (参数组): a list of dictionaries, each with some tensors and their settings. Here there is one.
#
# > **Then and now.** `optim.SGD([w])` without a learning rate was an error in 2019. Today there is a default. And SGD has four more settings: `maximize` turns the sign (we try it below); `foreach`, `fused` and `differentiable` change how the step is computed, not what comes out, and torch chooses well.

# %% covers=["w4-opt-defaults", "w4-sgd"] tags=["then-and-now"]
defaults = torch.optim.SGD([weight]).defaults
assert defaults["lr"] == 0.001
then = {"lr", "momentum", "dampening", "weight_decay", "nesterov"}
print("lr if you give none:", defaults["lr"])
print("new:", [name for name in defaults if name not in then])

# %% [markdown]
# A default is convenient, and a trap: 0.001 is small for SGD. Say your learning rate.
#
# > **Myth.** The old course writes `params_groups` and `self.param_grops`, and lists an attribute `_step_count`, "the number of updates". The name is `param_groups`; an optimizer has no `_step_count`. The scheduler has one (week 5).

# %% covers=["w4-err-param-groups-name", "w4-err-step-count"] tags=["then-and-now"]
with expected_error(AttributeError):
    optimizer.params_groups
print("param_groups:", [list(group)[:4] for group in optimizer.param_groups])
scheduler = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([weight], lr=0.1), step_size=1)
print("_step_count on the optimizer:", hasattr(optimizer, "_step_count"))
print("_step_count on the scheduler:", hasattr(scheduler, "_step_count"))

# %% [markdown] covers=["w4-opt-same-tensor"]
# Does the optimizer have a copy of the tensor? It would be of no use: the model must feel the change. It holds **the tensor itself**, the same object at the same place:

# %% covers=["w4-opt-same-tensor", "w4-opt-param-groups"]
assert isinstance(optimizer, torch.optim.Optimizer)  # the base class keeps the tensors
held = optimizer.param_groups[0]["params"][0]
print("the same object:", id(held) == id(weight))

# %% [markdown]
# An object, not a name. If the name `weight` gets another tensor later, the optimizer stays with the first one; that will be a bug to find below.
#
# ### step and zero_grad
#
# `step()` (执行一步更新) looks at the `.grad` of each tensor and nothing else. It does not know your loss. So we may put in a gradient by hand: 1 everywhere.

# %% covers=["w4-opt-step"]
weight = torch.tensor([[0.3, -0.2], [1.5, 0.0]], requires_grad=True)
weight.grad = torch.ones(2, 2)
before = weight.detach().clone()
torch.optim.SGD([weight], lr=0.1).step()
print("moved by", rounded(weight.detach() - before))

# %% [markdown]
# Every number moved by −0.1 · 1. `zero_grad()` (清空梯度) comes before the next `backward()`, because gradients add up (week 1).

# %%
question = predict("After optimizer.zero_grad(), weight.grad is", ["a tensor of zeros", "None"])
question

# %% [markdown] covers=["w4-opt-zero-grad"]
# > **Then and now.** `p.grad.detach_(); p.grad.zero_()` is how the old course prints the inside of `zero_grad`, and so it was. Since torch 2.0 the gradients are thrown away: `set_to_none=True` is the default. The old way is still there on request.

# %% covers=["w4-opt-zero-grad", "w4-err-zero-grad-body"] tags=["then-and-now"]
optimizer = torch.optim.SGD([weight], lr=0.1)
weight.grad = torch.ones(2, 2)
optimizer.zero_grad(set_to_none=False)
print("set_to_none=False:", weight.grad.tolist())
optimizer.zero_grad()
print("zero_grad():      ", weight.grad)
question.reveal("None" if weight.grad is None else "a tensor of zeros")

# %% [markdown]
# Is that only a matter of memory? No. A tensor whose gradient is None is **skipped**. A tensor whose gradient is 0 takes part in the step, and momentum carries it on. Two steps each, the second after `zero_grad`:

# %% covers=["w4-opt-zero-grad"]
for to_none in (True, False):
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.grad = torch.ones(1)
    optimizer.step()
    optimizer.zero_grad(set_to_none=to_none)
    optimizer.step()
    print(f"set_to_none={to_none!s:5}: after two steps", rounded(weight))

# %% [markdown]
# So code that reads gradients must be ready for None. The old course writes histograms of the gradients to TensorBoard (week 5); its line stops today when it stands after `zero_grad()`. Put it between `backward()` and `zero_grad()`, or ask first.

# %% covers=["w4-err-zero-grad-body"] tags=["then-and-now"]
import tempfile  # only this cell writes a file of TensorBoard

from torch.utils.tensorboard import SummaryWriter

optimizer.zero_grad()
with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
    with expected_error(NotImplementedError):
        writer.add_histogram("gradient", weight.grad)
    if weight.grad is not None:
        writer.add_histogram("gradient", weight.grad)

# %% [markdown] covers=["w4-err-plot-loss-tensors"]
# Another line of the old loops that stops is `loss_rec.append(y)` followed by a plot. `y` is a tensor with its graph, and matplotlib asks it for NumPy numbers.

# %% covers=["w4-err-plot-loss-tensors"] tags=["then-and-now"]
from matplotlib.figure import Figure  # the plain drawing library, for this one error

x = torch.tensor(2.0, requires_grad=True)
axes = Figure().subplots()
with expected_error(RuntimeError):
    axes.plot([4 * x**2, 4 * (x / 2) ** 2])
recorded = [(4 * x**2).item(), (4 * (x / 2) ** 2).item()]
print("today:", recorded, "drawn:", len(axes.plot(recorded)) == 1)

# %% [markdown] covers=["w4-opt-state"]
# `y.item()` is a number. It can be drawn, and it lets the graph go: a list of a thousand tensors would keep a thousand graphs alive.
#
# ### state
#
# What must SGD remember? Without momentum nothing. With momentum, one tensor for each parameter, of the parameter's shape. It appears with the first step, not before.

# %% covers=["w4-opt-state"]
layer = nn.Linear(3, 2)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
print("before the first step:", dict(optimizer.state))
layer(torch.ones(1, 3)).sum().backward()
optimizer.step()
for parameter, state in optimizer.state.items():
    print(tuple(parameter.shape), {key: tuple(value.shape) for key, value in state.items()})

# %% [markdown] covers=["w4-opt-add-param-group"]
# ### More than one group
#
# Different parts of a network may want different settings: a small rate for layers that were trained before, a large one for a new layer. Each group is a dictionary; what it doesn't say comes from `defaults`. You can give a list of groups at once, or add one later with `add_param_group` (添加参数组).

# %% covers=["w4-opt-add-param-group", "w4-ex-param-groups"]
body, head = nn.Linear(4, 3), nn.Linear(3, 2)
optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
optimizer.add_param_group({"params": body.parameters(), "lr": 0.0001})
for number, group in enumerate(optimizer.param_groups):
    print("group", number)
    for key, value in group.items():
        print(f"  {key:15}", [tuple(p.shape) for p in value] if key == "params" else value)

# %% [markdown]
# The second group has its own `lr` and took `momentum` from the defaults. Every tensor may be in one group only, or it would be moved twice in a step:

# %% covers=["w4-opt-add-param-group"]
with expected_error(ValueError):
    optimizer.add_param_group({"params": head.weight})
print(len(optimizer.param_groups), "groups, nothing was added")


# %% [markdown] covers=["w4-ex-param-groups"]
# ### Exercise 4.10 Three groups · 8 min · ★
#
# `net` is `nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))`. Write `three_groups(net)`: it returns one SGD optimizer with a group for each linear layer, in this order: learning rates 0.01, 0.02, 0.03 and momentum 0.9, 0.8, 0.7. Then print every key and value of its groups, with the loop above.

# %% covers=["w4-ex-param-groups"] tags=["exercise"]
def three_groups(net):
    # the first group with SGD(...), the others with optimizer.add_param_group({...})
    ...


# %% tags=["check"]
check.three_groups(three_groups)


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `net[0]`, `net[2]` and `net[4]` are the linear layers, and each has `.parameters()`: a weight and a bias.
# </details>
# <details><summary>Hint 2</summary>
#
# A group's dictionary may have any of the settings as a key: `"lr"`, `"momentum"`, …
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def three_groups(net):
#     optimizer = torch.optim.SGD(net[0].parameters(), lr=0.01, momentum=0.9)
#     optimizer.add_param_group({"params": net[2].parameters(), "lr": 0.02, "momentum": 0.8})
#     optimizer.add_param_group({"params": net[4].parameters(), "lr": 0.03, "momentum": 0.7})
#     for number, group in enumerate(optimizer.param_groups):
#         print("group", number)
#         for key, value in group.items():
#             print(f"  {key:15}", [tuple(p.shape) for p in value] if key == "params" else value)
#     return optimizer
# ```
# </details>

# %% [markdown]
# ### Find the bug 4.5 The new head · 8 min · ★★
#
# A network could tell two things apart. Now it shall read the ten digits: its features stay as they are (frozen), its last layer is replaced by one with ten outputs, and only this layer is trained. No error, no warning, the gradients are there. But the loss stays at guessing, log 10. Repair `fine_tune`. (It runs in double precision, so that the curve is the same on every machine.)

# %% tags=["exercise", "find-the-bug"]
def fine_tune(images, labels):
    # images (N, 784) float64, labels (N,) -> the network, its optimizer, the losses
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 2)).double()
    net[0].requires_grad_(False)  # the features stay as they are
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    net[2] = nn.Linear(64, 10).double()  # ten digits instead of two things
    losses = []
    for _ in range(60):
        chosen = torch.randperm(len(images))[:50]
        loss = F.cross_entropy(net(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return net, optimizer, losses


digits = data.digits()
net, optimizer, losses = fine_tune(digits.images.flatten(1).double() / 255, digits.labels)
guessing = [math.log(10)] * len(losses)
curves.loss_curves({"cross-entropy": losses, "guessing": guessing}, title="A new head")

# %% tags=["check"]
check.bug_4_5(fine_tune)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Print `net[2].weight` before and after the training. Who should have moved it?
# </details>
# <details><summary>Hint 2</summary>
#
# An optimizer holds the tensors that it was given, not the name `net[2]`. Which tensors did `net.parameters()` give, and when?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def fine_tune(images, labels):
#     # images (N, 784) float64, labels (N,) -> the network, its optimizer, the losses
#     torch.manual_seed(seed)
#     net = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 2)).double()
#     net[0].requires_grad_(False)  # the features stay as they are
#     net[2] = nn.Linear(64, 10).double()  # ten digits instead of two things
#     optimizer = torch.optim.SGD(net[2].parameters(), lr=0.3, momentum=0.9)
#     losses = []
#     for _ in range(60):
#         chosen = torch.randperm(len(images))[:50]
#         loss = F.cross_entropy(net(images[chosen]), labels[chosen])
#         optimizer.zero_grad()
#         loss.backward()
#         optimizer.step()
#         losses.append(loss.item())
#     return net, optimizer, losses
#
#
# digits = data.digits()
# net, optimizer, losses = fine_tune(digits.images.flatten(1).double() / 255, digits.labels)
# guessing = [math.log(10)] * len(losses)
# curves.loss_curves({"cross-entropy": losses, "guessing": guessing}, title="A new head")
# ```
# </details>

# %% [markdown]
# First the model, whole and on its device, then the optimizer. Whatever replaces a parameter afterwards needs a new optimizer, or an `add_param_group`.
#
# ### closure
#
# `step` takes an optional function, the **closure**: it empties the gradients, computes loss and gradients, and returns the loss. SGD calls it once and gives its result back. There is an optimizer that needs the loss at several places for one step, and cannot work without it: LBFGS, in lesson 4.5.

# %% covers=["w4-opt-step"]
x = torch.tensor([2.0], requires_grad=True)
optimizer = torch.optim.SGD([x], lr=0.1)


def closure():
    optimizer.zero_grad()
    loss = (4 * x**2).sum()
    loss.backward()
    return loss


for _ in range(3):
    loss = optimizer.step(closure)
    print("loss", rounded(loss), "before this step, x", rounded(x), "after it")

# %% [markdown] covers=["w4-opt-state-dict"]
# ### state_dict: to stop today and go on tomorrow
#
# A training run is more than the weights. Whoever stores only `net.state_dict()` and goes on tomorrow starts with an empty momentum. So the optimizer has a `state_dict()` (状态信息字典) too, with its state and its groups. Watch the state after ten steps with momentum 0.9 and gradient 1:

# %% covers=["w4-opt-state-dict"] tags=["proof"]
weight = torch.zeros(2, requires_grad=True)
optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
print("before:", optimizer.state_dict()["state"])
weight.grad = torch.ones(2)
for _ in range(10):
    optimizer.step()
stored = optimizer.state_dict()
print("after: ", rounded(stored["state"], 4))
print("group: ", {key: stored["param_groups"][0][key] for key in ("lr", "momentum", "params")})
buffer = stored["state"][0]["momentum_buffer"]
assert torch.allclose(buffer, torch.full((2,), (1 - 0.9**10) / (1 - 0.9)), atol=1e-6)

# %% [markdown]
# 6.5132 is $(1 - 0.9^{10})/(1 - 0.9)$, a geometric sum; we will come back to it. And look at `params`: the tensors became **numbers**, 0 for the first. A `state_dict` knows its tensors by their order, so tomorrow's optimizer must be built like today's.
#
# Now through a file, into a fresh optimizer (加载状态信息).
#
# > **Then and now.** `torch.load` reads only tensors and plain data today (`weights_only=True`), so that a file from a stranger can't run code. A `state_dict` is plain data and passes.

# %% covers=["w4-opt-load-state-dict"]
fresh = torch.optim.SGD([weight], lr=0.5, momentum=0.9)
print("fresh: ", dict(fresh.state), "lr", fresh.param_groups[0]["lr"])
with tempfile.TemporaryDirectory() as folder:
    torch.save(optimizer.state_dict(), f"{folder}/optimizer.pt")
    fresh.load_state_dict(torch.load(f"{folder}/optimizer.pt", weights_only=True))
buffer = fresh.state[weight]["momentum_buffer"]
print("loaded:", rounded(buffer, 4), "lr", fresh.param_groups[0]["lr"])

# %% [markdown]
# The buffer is back, and so is the learning rate: what was loaded wins over what you wrote when you built the optimizer.

# %% [markdown] covers=["w4-ewma"]
# ### Momentum
#
# Back to the long valley. Across it the gradient points left, right, left, right; along it always the same way, but weakly. If we **averaged** the last gradients, the first would cancel and the second add up. We need an average that is cheap, follows the present, and forgets.
#
# That is the **exponentially weighted average** (指数加权平均): with each new number $\theta_t$
#
# $$v_t = \beta\, v_{t-1} + (1 - \beta)\,\theta_t$$
#
# One number to remember, one setting β. Half a year of made-up temperatures:

# %% covers=["w4-ewma"]
days = torch.arange(180, dtype=torch.float64)
noise = torch.randn(180, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
temperatures = 15 - 10 * torch.cos(2 * math.pi * days / 365) + 2.5 * noise


def averaged(values, beta):
    v, result = 0.0, []
    for value in values:
        v = beta * v + (1 - beta) * value
        result.append(v)
    return torch.stack(result)


curves.function_plot(
    {"measured": (days, temperatures)}
    | {f"β = {beta}": (days, averaged(temperatures, beta)) for beta in (0.9, 0.98)},
    x_label="day",
    y_label="degrees",
    title="A larger β is smoother, and later",
)

# %% [markdown]
# Two things to see. The smoother curve comes later. And after the first day both are far too low for a while, because $v_0 = 0$ counts as a measurement of nought degrees; Adam will have to repair that.
#
# What does $v_t$ contain? Put the formula into itself again and again: $v_t = \sum_i (1-\beta)\,\beta^i\,\theta_{t-i}$. Each older value counts a factor β less. The weights of the last 100 values for β = 0.9:

# %% covers=["w4-ewma"] tags=["proof"]
weights = 0.1 * 0.9 ** torch.arange(100, dtype=torch.float64)
print("the latest five:", rounded(weights[:5], 4))
print("sum of 100:", rounded(weights.sum(), 5))
last = temperatures.flip(0)[:100]
by_weights = (weights * last).sum()
assert torch.allclose(averaged(temperatures[-100:], 0.9)[-1], by_weights, atol=1e-9)

# %% [markdown]
# They sum to nearly 1, so it is an average. How far back does it remember (记忆周期)? A rule of thumb says $1/(1-\beta)$ steps:

# %% covers=["w4-ewma-window"]
age = torch.arange(80, dtype=torch.float64)
drawn = {}
for beta in (0.98, 0.95, 0.9, 0.8):
    weights = (1 - beta) * beta**age
    drawn[f"β = {beta}"] = (age, weights)
    window = round(1 / (1 - beta))
    share = weights[:window].sum()
    print(f"β {beta:<4} window {window:2} steps, which hold {share:.0%} of the weight")
curves.function_plot(
    drawn, x_label="age (steps)", y_label="weight", title="How much an older value counts"
)

# %% [markdown] covers=["w4-momentum-concept"]
# In each case the window holds about two thirds of the weight. Now gradients instead of temperatures, and we have **momentum** (动量). torch writes it without the factor $1-\beta$ in front of the gradient:
#
# $$v \leftarrow m\,v + g, \qquad w \leftarrow w - \text{lr} \cdot v$$
#
# So $v_t = \sum_i m^i g_{t-i}$ is the average, times $1/(1-m)$. Both claims below, with random gradients and with gradients of 1.

# %% covers=["w4-momentum-concept", "w4-sgd"] tags=["proof"]
m, lr = 0.9, 0.1
gradients = torch.randn(60, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
for series in (gradients, torch.ones(60, dtype=torch.float64)):
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=lr, momentum=m)
    v, w = 0.0, 0.0
    for g in series:
        v = m * v + g
        w = w - lr * v
        weight.grad = g.reshape(1).clone()
        optimizer.step()
    closed = sum(m**i * g for i, g in enumerate(series.flip(0)))
    average = averaged(series, m)[-1]
    assert torch.allclose(optimizer.state[weight]["momentum_buffer"], closed, atol=1e-6)
    assert torch.allclose(weight.detach(), w, atol=1e-6)
    assert torch.allclose(closed, average / (1 - m), atol=1e-6)
print("v after 60 gradients of 1:", rounded(v, 2))

# %% [markdown] covers=["w4-momentum-demo"]
# A momentum of 0.9 makes the steps up to ten times as long, in the direction that stays. Hence the practical rule: when you switch momentum on, make the learning rate smaller.
#
# Is it faster, then? Four runs on $y = 4x^2$ from 2. We count the steps until the loss is first below 0.001.

# %%
question = predict(
    "lr 0.01: without momentum, with 0.63, with 0.9. Which is below 0.001 first?",
    ["without", "0.63", "0.9"],
)
question

# %% covers=["w4-momentum-demo"]
runs = {}
for lr, momentum in [(0.03, 0.0), (0.01, 0.0), (0.01, 0.63), (0.01, 0.9)]:
    x = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=lr, momentum=momentum)
    losses = []
    for _ in range(100):
        loss = (4 * x**2).sum()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    runs[f"lr {lr}, {momentum or 'without'}"] = losses
below = {name: next(t for t in range(100) if run[t] < 1e-3) for name, run in runs.items()}
for name, step in below.items():
    print(f"{name:16} first below 0.001 at step {step}")
fastest = min(list(below)[1:], key=below.get)
question.reveal(fastest.split(", ")[1])

# %% [markdown]
# With 0.63 the same learning rate needs 21 steps instead of 59. With 0.9 it needs 60: it shoots through the bottom, up the other side, and back. The picture shows it swinging.

# %%
curves.loss_curves(
    {name: run[:70] for name, run in runs.items() if name.startswith("lr 0.01")},
    title="lr 0.01: some momentum helps, much of it swings",
)

# %% [markdown]
# One parabola is not where momentum is strong: a suitable rate (0.03) does as well. It is strong where one rate has to serve steep and flat directions at once. Try that.

# %% [markdown]
# ### Explorer Valley
#
# **What can momentum do that a learning rate can't?** Start without momentum and find the largest learning rate that does not fly off. How far does the path get along the valley? Then take a smaller rate, raise the momentum, and find the setting that gets closest to the bottom.

# %%
explore.valley()


# %% [markdown] covers=["w4-sgd"]
# ### torch's own SGD
#
# `torch.optim.SGD` (随机梯度下降) is this rule with a few more settings. **Stochastic** (随机) is only the way it is used: the gradient comes from a batch, not from all data. In one step it does, in this order:
#
# 1. `maximize`: turn the sign of $g$;
# 2. `weight_decay` $\lambda$: $g \leftarrow g + \lambda w$;
# 3. `momentum` $m$ and `dampening` $d$: $v \leftarrow m v + (1-d)\, g$, but at the first step $v \leftarrow g$;
# 4. `nesterov`: take $g + m v$, otherwise take $v$;
# 5. $w \leftarrow w - \text{lr} \cdot$ what was taken.

# %% covers=["w4-sgd", "w4-momentum-concept"]
def sgd_by_hand(
    w, gradients, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=0, maximize=0
):
    v = None
    for g in gradients:
        g = (-g if maximize else g) + weight_decay * w
        if momentum:
            v = g if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        w = w - lr * g
    return w


# %% [markdown]
# Is that all? Each setting is changed once, with five random gradients for two tensors, and compared with torch.

# %% covers=["w4-sgd"] tags=["proof"]
generator = torch.Generator().manual_seed(seed)
starts = [torch.randn(size, dtype=torch.float64, generator=generator) for size in (3, 2)]
series = [torch.randn(5, len(w), dtype=torch.float64, generator=generator) for w in starts]
plain, heavy = {"lr": 0.1}, {"lr": 0.1, "momentum": 0.9}
changed = [{}, plain, heavy, plain | {"weight_decay": 0.2}, plain | {"maximize": True}]
changed += [heavy | {"dampening": 0.5}, heavy | {"nesterov": True}]
for settings in changed:
    tensors = [w.clone().requires_grad_() for w in starts]
    optimizer = torch.optim.SGD(tensors, **settings)
    for step in range(5):
        for tensor, gradients in zip(tensors, series, strict=True):
            tensor.grad = gradients[step].clone()
        optimizer.step()
    for tensor, start, gradients in zip(tensors, starts, series, strict=True):
        assert torch.allclose(tensor, sgd_by_hand(start, gradients, **settings), atol=1e-6)
    print("agrees:", settings or "nothing given, lr 0.001")

# %% [markdown] covers=["w4-sgd-weight-decay", "w4-err-dampening-comment"]
# > **Myth.** The old course prints SGD's signature with the comment "L2 regularisation coefficient" beside `dampening`. It belongs to `weight_decay` (L2正则化系数). `dampening` makes new gradients count less in the buffer, and does nothing to a weight whose gradient is 0.

# %% covers=["w4-sgd-weight-decay", "w4-err-dampening-comment"]
for settings in ({"dampening": 0.5}, {"weight_decay": 0.1}):
    weight = torch.ones(1, requires_grad=True)
    weight.grad = torch.zeros(1)
    torch.optim.SGD([weight], lr=0.1, momentum=0.9, **settings).step()
    print(settings, "gradient 0: the weight 1 becomes", rounded(weight.item()))
weight, buffers = torch.ones(1, requires_grad=True), []
weight.grad = torch.ones(1)
optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9, dampening=0.5)
for _ in range(3):
    optimizer.step()
    buffers.append(optimizer.state[weight]["momentum_buffer"].item())
print("gradient 1, dampening 0.5: the buffer is", rounded(buffers))

# %% [markdown]
# Why "L2"? Because $\lambda w$ is the gradient of $\frac{\lambda}{2}\lVert w\rVert^2$. Weight decay is the same as adding that to the loss, without computing it:

# %% covers=["w4-sgd-weight-decay"] tags=["proof"]
inputs = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
ends = []
for decay, penalty in [(0.3, 0.0), (0.0, 0.3)]:
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.05, momentum=0.9, weight_decay=decay)
    for _ in range(10):
        loss = (inputs @ weight - 1).square().mean() + penalty / 2 * weight.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    ends.append(weight.detach())
print("largest difference:", rounded((ends[0] - ends[1]).abs().max().item(), 6))
assert torch.allclose(*ends, atol=1e-6)

# %% [markdown] covers=["w4-nesterov"]
# The last switch is `nesterov` (NAG, Nesterov's accelerated gradient). Momentum will carry the weight on anyway; so look at the gradient of where it will be, not of where it is. torch writes it as in step 4: the new gradient counts once more. Without momentum there is nothing to look ahead to, and torch says so:

# %% covers=["w4-nesterov"]
with expected_error(ValueError):
    torch.optim.SGD([weight], lr=0.1, nesterov=True)
with expected_error(ValueError):
    torch.optim.SGD([weight], lr=0.1, momentum=0.9, dampening=0.5, nesterov=True)
steps = {}
for nesterov in (False, True):
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.ones(1)
    torch.optim.SGD([weight], lr=1.0, momentum=0.9, nesterov=nesterov).step()
    steps[f"nesterov={nesterov}"] = rounded(weight.item())
print("the first step for gradient 1:", steps)

# %% [markdown] covers=["w4-ten-optimizers"]
# ## 4.5 Optimizers: the whole shelf
#
# torch has more optimizers than anybody needs, and most of them are one idea away from another. We take the shelf in that order: each new one gets its idea, its first steps by hand, and the place where it is at home.
#
# > **Then and now.** The old course shows ten optimizers (十种优化器). Five came since: AdamW, NAdam, RAdam, Adafactor and Muon. The cell asks your torch.

# %% covers=["w4-ten-optimizers"] tags=["then-and-now"]
public = [name for name in torch.optim.__all__ if name[0].isupper()]
classes = [name for name in public if name != "Optimizer"]  # the base class
ten = "SGD ASGD Rprop Adagrad Adadelta RMSprop Adam Adamax SparseAdam LBFGS".split()
print(len(classes), "classes, new:", ", ".join(sorted(set(classes) - set(ten))))
print("AdamW, today's usual default:", torch.optim.AdamW.__mro__[1].__name__, "is its parent")

# %% [markdown] covers=["w4-ten-optimizers"]
# | class | in one line |
# |---|---|
# | `SGD` | against the gradient, with momentum if you like |
# | `ASGD` | SGD that also keeps the average of its weights |
# | `Rprop` | only the signs of the gradient, and a step length for each weight |
# | `Adagrad` | divides by the root of all squared gradients, summed |
# | `RMSprop` | divides by the root of their moving average |
# | `Adadelta` | the same, and multiplies by the size of its past updates |
# | `Adam` | moving averages of the gradient and of its square, bias corrected |
# | **`AdamW`** | Adam with the weight decay beside it: **today's usual default** |
# | `Adamax` | Adam with the largest gradient in place of the mean square |
# | `NAdam` | Adam with Nesterov's look ahead |
# | `RAdam` | Adam that holds back while its average is too young |
# | `SparseAdam` | Adam for gradients that are zero nearly everywhere |
# | `Adafactor` | stores the mean squares of a matrix as one row and one column |
# | `Muon` | turns the momentum of a matrix into one whose directions count alike |
# | `LBFGS` | estimates the curvature from past steps, needs a closure |
#
# The plan for the proofs is nearly always the same (SparseAdam and LBFGS get a small problem of their own). Four numbers start somewhere, and eight gradients are given, as if they came from eight batches. torch makes its eight steps, we make ours with plain tensor arithmetic, and **every** place on the way must agree to 1e-6, in double precision.

# %%
generator = torch.Generator().manual_seed(seed)
START = torch.randn(2, 2, dtype=torch.float64, generator=generator)
GRADIENTS = torch.randn(8, 2, 2, dtype=torch.float64, generator=generator)


def steps_of(build, start=START, gradients=GRADIENTS):
    """torch's way: the places after each gradient (T, …), and what the optimizer remembers."""
    w = start.clone().requires_grad_()
    optimizer = build([w])
    places = []
    for gradient in gradients:
        w.grad = gradient.clone()
        optimizer.step()
        places.append(w.detach().clone())
    return torch.stack(places), optimizer.state[w]


def proven(by_hand, build, **given):
    """Assert that our places are torch's, and say what torch keeps in its state."""
    places, state = steps_of(build, **given)
    assert torch.allclose(torch.stack(by_hand), places, rtol=0, atol=1e-6)
    print(len(by_hand), "steps agree | state:", ", ".join(state) or "nothing")


# %% [markdown] covers=["w4-adagrad"]
# ### A rate for every number
#
# In the long valley one learning rate was too long across and too short along. The idea of a whole family (自适应学习率): **divide each number's gradient by the size that its gradients usually have**. Then steep and flat directions make steps of like length.
#
# **Adagrad** sums all squared gradients since the beginning: $s \leftarrow s + g^2$, $w \leftarrow w - \text{lr}\, g / (\sqrt{s} + \varepsilon)$. All operations work number by number.

# %% covers=["w4-adagrad"] tags=["proof"]
w, s, by_hand = START, 0, []
for g in GRADIENTS:
    s = s + g**2
    w = w - 0.1 * g / (s.sqrt() + 1e-10)
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.Adagrad(params, lr=0.1))

# %% [markdown] covers=["w4-rmsprop"]
# It was made for rare features (words that appear in few sentences): who is seldom moved keeps a large rate. But a sum only grows, so every rate falls for ever. **RMSprop** (Adagrad的改进) forgets: a moving average takes the place of the sum, $s \leftarrow \alpha s + (1-\alpha) g^2$ with α = 0.99.

# %% covers=["w4-rmsprop"] tags=["proof"]
w, s, by_hand = START, 0, []
for g in GRADIENTS:
    s = 0.99 * s + 0.01 * g**2
    w = w - 0.1 * g / (s.sqrt() + 1e-8)
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.RMSprop(params, lr=0.1))

# %% [markdown]
# To see the two side by side, and Adam, who comes below, let the gradient be 1 at every step. How long are the steps with lr 0.1?

# %% covers=["w4-adagrad", "w4-rmsprop"]
ones = torch.ones(60, 1, dtype=torch.float64)
lengths = {}
for kind in (torch.optim.Adagrad, torch.optim.RMSprop, torch.optim.Adam):
    places, _ = steps_of(
        lambda params, kind=kind: kind(params, lr=0.1), torch.zeros(1).double(), ones
    )
    lengths[kind.__name__] = -places[:, 0].diff(prepend=torch.zeros(1).double())
    print(f"{kind.__name__:8} first step {rounded(lengths[kind.__name__][0])}", end=", ")
    print("the 60th", rounded(lengths[kind.__name__][-1]))
curves.loss_curves(lengths, "step", "length of the step", title="A gradient of 1, lr 0.1")

# %% [markdown] covers=["w4-adadelta"]
# Adagrad's steps shrink like $1/\sqrt t$. RMSprop starts ten times too long, because its average began at 0 (as the temperatures did in 4.4), so it divides by $\sqrt{0.01}$. Adam, two cells on, will correct exactly that.
#
# **Adadelta** asks another question: the gradient of a length has the unit loss per length, so how can it be added to a length? It multiplies by the size of its own past updates, and the units fit: $\Delta = \frac{\sqrt{d + \varepsilon}}{\sqrt{s + \varepsilon}}\, g$, with $d$ the moving average of $\Delta^2$. Its `lr` is only a last factor, and 1.0 by default.

# %% covers=["w4-adadelta"] tags=["proof"]
w, s, d, by_hand = START, 0, 0, []
for g in GRADIENTS:
    s = 0.9 * s + 0.1 * g**2
    delta = ((d + 1e-6) ** 0.5) / (s + 1e-6).sqrt() * g
    d = 0.9 * d + 0.1 * delta**2
    w = w - delta
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.Adadelta(params))
nothing = torch.zeros(1, requires_grad=True)
print("lr by default:", torch.optim.Adadelta([nothing]).defaults["lr"])
print("its first step:", rounded((by_hand[0] - START).abs().max().item(), 4))

# %% [markdown] covers=["w4-adam"]
# As $d$ starts at 0, Adadelta must first learn to walk: no learning rate to choose, and a slow start.
#
# ### Adam
#
# **Adam** (Kingma and Ba, 2015) joins both ideas (RMSprop结合Momentum): $m$ averages the gradients, $s$ averages their squares, and both are divided by the sum of weights that they have collected so far. This **bias correction** (偏差修正) makes them proper averages from the first step on:
#
# $$m \leftarrow \beta_1 m + (1-\beta_1) g, \quad s \leftarrow \beta_2 s + (1-\beta_2) g^2, \quad w \leftarrow w - \text{lr}\,\frac{m/(1-\beta_1^t)}{\sqrt{s/(1-\beta_2^t)} + \varepsilon}$$

# %% covers=["w4-adam"] tags=["proof"]
w, m, s, by_hand = START, 0, 0, []
for t, g in enumerate(GRADIENTS, start=1):
    m = 0.9 * m + 0.1 * g
    s = 0.999 * s + 0.001 * g**2
    m_fair, s_fair = m / (1 - 0.9**t), s / (1 - 0.999**t)
    w = w - 0.1 * m_fair / (s_fair.sqrt() + 1e-8)
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.Adam(params, lr=0.1))

# %%
question = predict(
    "Two weights have the gradients 1000 and 0.001. Adam's first step, lr 0.1, moves them by",
    ["-100 and -0.0001", "-0.1 and -0.1", "-0.1 and -0.0000001"],
)
question

# %% [markdown]
# Work it out before you run: at $t = 1$ the corrected averages are $g$ and $g^2$ themselves.

# %% covers=["w4-adam"]
unequal = torch.tensor([[1000.0, 0.001]], dtype=torch.float64)
zeros = torch.zeros(2).double()
places, _ = steps_of(lambda params: torch.optim.Adam(params, lr=0.1), zeros, unequal)
print("first step:", rounded(places[0], 4))
question.reveal(" and ".join(str(value) for value in rounded(places[0], 2)))

# %% [markdown]
# $g/\sqrt{g^2}$ is a sign: every weight moves by the learning rate. So Adam's `lr` is a **length**, "about how far may a weight go in one step", and the scale of the loss does not matter. That is why 0.001 works for so many networks, and why SGD's rates are no guide for Adam's.

# %% [markdown] covers=["w4-ten-optimizers"]
# ### AdamW: decay beside the step
#
# SGD's weight decay adds $\lambda w$ to the gradient. Do that in Adam, and the decay is divided by $\sqrt s$ as well: a weight with large gradients hardly decays, one with small gradients decays fast. **AdamW** (Loshchilov and Hutter, 2019) takes it out: first $w \leftarrow (1 - \text{lr}\,\lambda)\, w$, then Adam's step with the pure gradient.

# %% covers=["w4-ten-optimizers"] tags=["proof"]
w, m, s, by_hand = START, 0, 0, []
for t, g in enumerate(GRADIENTS, start=1):
    w = (1 - 0.1 * 0.3) * w
    m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
    w = w - 0.1 * (m / (1 - 0.9**t)) / ((s / (1 - 0.999**t)).sqrt() + 1e-8)
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.AdamW(params, lr=0.1, weight_decay=0.3))

# %% [markdown]
# To see the difference alone: two weights start at 1, their gradients change sign at each step, so that nothing is to be learnt. One has gradients of ±100, the other of ±0.01. Both should decay alike.

# %%
signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(100)
noise = signs[:, None] * torch.tensor([100.0, 0.01], dtype=torch.float64)
for kind in (torch.optim.Adam, torch.optim.AdamW):
    places, _ = steps_of(
        lambda params, kind=kind: kind(params, lr=0.005, weight_decay=0.05),
        torch.ones(2).double(),
        noise,
    )
    large, small = places[-1].tolist()
    print(f"{kind.__name__:5} after 200 steps: gradients ±100 {large:.2f}, ±0.01 {small:.2f}")
print(f"decay alone: {(1 - 0.005 * 0.05) ** 200:.2f}")

# %% [markdown]
# Under Adam the first weight keeps its size, and of the second a quarter is left. Under AdamW both shrink alike, and nearly as the decay alone says, $(1 - \text{lr}\,\lambda)^{200}$; what is missing is Adam's first steps, which the later ones do not quite take back. When you want weight decay with Adam, take AdamW.

# %% [markdown]
# And ask for **which** tensors you want it. Here is a tiny problem to see why: the temperature of a day, 20 degrees on average, five up and five down. The inputs are the hour on a clock's face, then follow a normalisation layer (`nn.RMSNorm`: it divides each row by its root mean square and multiplies each column by a learnt number, its own gain, not that of lesson 4.1) and a linear layer. That is all it takes, for $20 - 5\cos(\ldots)$ is a bias and two weights.

# %%
hours = torch.linspace(0, 23.5, 48, dtype=torch.float64)
angle = 2 * math.pi * hours / 24
clock = torch.stack([angle.cos(), angle.sin()], dim=1)
degrees = 20 - 5 * torch.cos(angle - math.pi / 4)


def day_net():
    torch.manual_seed(seed)
    return nn.Sequential(nn.RMSNorm(2), nn.Linear(2, 1)).double()


def train_day(net, optimizer, rounds=300):
    for _ in range(rounds):
        loss = F.mse_loss(net(clock).squeeze(1), degrees)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net(clock).squeeze(1).detach()


# %% [markdown]
# ### Find the bug 4.6 The cold thermometer · 10 min · ★★
#
# The network above learns the temperature of the day. `day_net` and `train_day` are right, the loss comes to rest, the curve has the right form. But it is too cold all day long. The decay of the weight **matrix** must stay as it is. Repair `make_optimizer`, so that it does the right thing for every network of linear and normalisation layers.

# %% tags=["exercise", "find-the-bug"]
def make_optimizer(net):
    return torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=0.1)


net = day_net()
predicted = train_day(net, make_optimizer(net))
error, bias = (predicted - degrees).mean().item(), net[1].bias.item()
curves.function_plot(
    {"measured": (hours, degrees), "predicted": (hours, predicted)},
    x_label="hour",
    y_label="degrees",
    title=f"Wrong by {error:+.2f} degrees on average, the bias is {bias:.2f}",
)

# %% tags=["check"]
check.bug_4_6(make_optimizer)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The bias has to carry the mean, 20. What does weight decay do to a bias of 20, in every step?
# </details>
# <details><summary>Hint 2</summary>
#
# Two groups: tensors with two dimensions (the weights of linear layers) with decay, tensors with one (biases, and the gains of the normalisation) with `"weight_decay": 0.0`. `p.ndim` tells them apart, in any network.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def make_optimizer(net):
#     matrices = [p for p in net.parameters() if p.ndim >= 2]
#     others = [p for p in net.parameters() if p.ndim < 2]
#     groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
#     return torch.optim.SGD(groups, lr=0.02, momentum=0.9, weight_decay=0.1)
#
#
# net = day_net()
# predicted = train_day(net, make_optimizer(net))
# error, bias = (predicted - degrees).mean().item(), net[1].bias.item()
# curves.function_plot(
#     {"measured": (hours, degrees), "predicted": (hours, predicted)},
#     x_label="hour",
#     y_label="degrees",
#     title=f"Wrong by {error:+.2f} degrees on average, the bias is {bias:.2f}",
# )
# ```
# </details>

# %% [markdown]
# Decay says "prefer small numbers". For a weight matrix that means a smoother function. For a bias it means "prefer answers near 0", for a gain "switch this unit off": two wishes nobody had. You can even say how cold: the training rests where $2(b - 20) + \lambda b = 0$, so at $b = 20/(1 + \lambda/2)$, which is the bias in the title of the first picture. The decay of 0.1 is large so that you see it; a small one does the same in silence.

# %% [markdown] covers=["w4-adamax", "w4-adamax-bound"]
# ### Adam's relatives
#
# **Adamax** (无穷范数) replaces the mean square by the largest gradient, which slowly fades: $u \leftarrow \max(\beta_2 u, |g|)$. With it comes a promise (Adam增加学习率上限): a step is at most about as long as the learning rate (1 percent more in the worst case, because u fades). For a constant gradient every step is exactly `lr`.

# %% covers=["w4-adamax", "w4-adamax-bound"] tags=["proof"]
w, m, u, by_hand = START, 0, torch.zeros(2, 2).double(), []
for t, g in enumerate(GRADIENTS, start=1):
    m = 0.9 * m + 0.1 * g
    u = torch.maximum(0.999 * u, g.abs() + 1e-8)
    w = w - 0.1 / (1 - 0.9**t) * m / u
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.Adamax(params, lr=0.1))
places = torch.stack([START, *by_hand])
print("longest step:", rounded(places.diff(dim=0).abs().max().item()), "of about 0.1 at most")
assert places.diff(dim=0).abs().max() <= 0.1 + 1e-6
constant = GRADIENTS[:1].repeat(5, 1, 1)
same, _ = steps_of(lambda params: torch.optim.Adamax(params, lr=0.1), gradients=constant)
assert torch.allclose(same.diff(dim=0).abs(), torch.tensor(0.1).double(), atol=1e-6)


# %% [markdown]
# **NAdam** puts Nesterov's look ahead into Adam: the new gradient counts at once, not only through the average. Its momentum $\mu_t$ begins near $\beta_1/2$ and grows a little with each step.

# %% covers=["w4-ten-optimizers"] tags=["proof"]
def mu(t):
    return 0.9 * (1 - 0.5 * 0.96 ** (t * 0.004))


w, m, s, product, by_hand = START, 0, 0, 1, []
for t, g in enumerate(GRADIENTS, start=1):
    product = product * mu(t)
    m = 0.9 * m + 0.1 * g
    s = 0.999 * s + 0.001 * g**2
    ahead = (1 - mu(t)) * g / (1 - product) + mu(t + 1) * m / (1 - product * mu(t + 1))
    w = w - 0.1 * ahead / ((s / (1 - 0.999**t)).sqrt() + 1e-8)
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.NAdam(params, lr=0.1))

# %% [markdown]
# **RAdam** distrusts a young average. One squared gradient says little about their size, yet Adam divides by it. RAdam computes how many squares its average is worth, $\rho_t$. While that is at most 5, it steps with the bias-corrected average $m/(1-\beta_1^t)$ alone; afterwards it divides, times a factor $r_t$ that grows towards 1.

# %% covers=["w4-ten-optimizers"] tags=["proof"]
limit = 2 / (1 - 0.999) - 1
w, m, s, by_hand, factors = START, 0, 0, [], []
for t, g in enumerate(GRADIENTS, start=1):
    m = 0.9 * m + 0.1 * g
    s = 0.999 * s + 0.001 * g**2
    step, rho = m / (1 - 0.9**t), limit - 2 * t * 0.999**t / (1 - 0.999**t)
    factor = 0.0
    if rho > 5:
        inside = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
        factor = math.sqrt(inside)
        step = step * factor / ((s.sqrt() + 1e-8) / math.sqrt(1 - 0.999**t))
    w = w - 0.1 * step
    by_hand.append(w)
    factors.append(factor)
proven(by_hand, lambda params: torch.optim.RAdam(params, lr=0.1))
print("r for steps 1 to 8:", rounded(factors, 3))

# %% [markdown] covers=["w4-sparseadam"]
# The first five steps don't divide at all: there RAdam is SGD with momentum, and depends on the scale of the loss like SGD. We will see it pay for that in the race.
#
# **SparseAdam** (稀疏版Adam) is for tables of which a batch touches a few rows. `nn.Embedding(…, sparse=True)`, a table with one row for each word, then gives a gradient that stores only these rows. Adam refuses it, SparseAdam moves these rows and leaves the rest alone.

# %% covers=["w4-sparseadam"]
table = nn.Embedding(4, 2, sparse=True)
table(torch.tensor([1, 3])).sum().backward()
print("rows with a gradient:", table.weight.grad.coalesce().indices().tolist())
with expected_error(RuntimeError):
    torch.optim.Adam(table.parameters()).step()
torch.optim.SparseAdam(table.parameters()).step()

# %% [markdown]
# By hand, on a table of three rows: batch 1 has row 0, batch 2 has rows 0 and 2. Row 1 never moves. The counter $t$ of the bias correction belongs to the whole table, so row 2 starts with $t = 2$.

# %% covers=["w4-sparseadam"] tags=["proof"]
table = nn.Embedding(3, 2, sparse=True, dtype=torch.float64)
optimizer = torch.optim.SparseAdam(table.parameters(), lr=0.1)
w = table.weight.detach().clone()
start, m, s = w.clone(), torch.zeros_like(w), torch.zeros_like(w)
for t, rows in enumerate([[0], [0, 2], [2]], start=1):
    g = torch.tensor([[0.5, -2.0], [0.0, 0.0], [4.0, 0.1]], dtype=torch.float64)[rows] * t
    m[rows] = 0.9 * m[rows] + 0.1 * g
    s[rows] = 0.999 * s[rows] + 0.001 * g**2
    size = 0.1 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    w[rows] = w[rows] - size * m[rows] / (s[rows].sqrt() + 1e-8)
    optimizer.zero_grad()
    (table(torch.tensor(rows)) * g).sum().backward()
    optimizer.step()
    assert torch.allclose(table.weight, w, rtol=0, atol=1e-6)
print("3 steps agree | state:", ", ".join(optimizer.state[table.weight]))
print("rows that moved:", [row for row in range(3) if not torch.equal(w[row], start[row])])

# %% [markdown]
# ### Exercise 4.11 The first step · 8 min · ★★
#
# A fresh optimizer, `lr=0.1`, one weight, and its first gradient is **100**. By how much does the weight move? Give the length of the step (a positive number) for each. All other settings are the defaults, except where it says `momentum 0.9`.

# %% tags=["exercise"]
first_step = {
    "SGD": ...,
    "SGD, momentum 0.9": ...,
    "SGD, momentum 0.9, nesterov": ...,
    "Adagrad": ...,
    "RMSprop": ...,
    "Adam": ...,
    "Adamax": ...,
    "RAdam": ...,
}

# %% tags=["check"]
check.first_step(first_step)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Put $t = 1$ and $g = 100$ into the loops above. Most of the letters cancel.
# </details>
# <details><summary>Hint 2</summary>
#
# Who divides by the size of the gradient, who does not, and who divides by too little in the first step?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# first_step = {
#     "SGD": 0.1 * 100,
#     "SGD, momentum 0.9": 0.1 * 100,  # the buffer starts with the gradient itself
#     "SGD, momentum 0.9, nesterov": 0.1 * (100 + 0.9 * 100),
#     "Adagrad": 0.1,  # 100 / sqrt(100²) = 1
#     "RMSprop": 0.1 / math.sqrt(0.01),  # its average is not corrected
#     "Adam": 0.1,
#     "Adamax": 0.1,
#     "RAdam": 0.1 * 100,  # it doesn't divide yet
# }
# ```
# </details>

# %% [markdown] covers=["w4-rprop"]
# ### Only the sign: Rprop
#
# **Rprop** (弹性反向传播, 1993) goes further than Adam: it throws the size of the gradient away. Each weight has a step length of its own. Same sign as last time: 1.2 times as long. Other sign: it went too far, half as long, and no step this time.

# %% covers=["w4-rprop"] tags=["proof"]
w, length, last, by_hand = START, torch.full_like(START, 0.1), torch.zeros_like(START), []
for g in GRADIENTS:
    product = g * last
    factor = torch.where(product > 0, 1.2, torch.where(product < 0, 0.5, 1.0))
    length = (length * factor).clamp(1e-6, 50)
    g = torch.where(product < 0, 0.0, g)
    w = w - length * g.sign()
    last = g
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.Rprop(params, lr=0.1))

# %% [markdown]
# With the gradient of **all** data this works, and in a straight valley it is fast (in a curved one it is not, as the race will show). With batches it goes wrong, and it is worth knowing why. Take a weight whose gradient is 0.1 in nine batches and −0.9 in the tenth. The mean is 0: it should stay. The signs say: nine steps this way, one that way. A hundred such batches:

# %% covers=["w4-rprop"]
batches = torch.tensor([0.1] * 9 + [-0.9], dtype=torch.float64).repeat(10).unsqueeze(1)
for kind in (torch.optim.SGD, torch.optim.Rprop):
    places, _ = steps_of(
        lambda params, kind=kind: kind(params, lr=0.01), torch.zeros(1).double(), batches
    )
    print(f"{kind.__name__:5} ends {rounded(abs(places[-1].item()))} from the start")

# %% [markdown] covers=["w4-asgd", "w4-err-asgd"]
# RMSprop was invented as "Rprop for batches": it divides by an average over batches, not by each gradient's own size.
#
# ### Averages of weights: ASGD
#
# > **Myth.** "ASGD: stochastic average gradient descent", says the old course, with a paper on SVRG. It averages no gradients. It is averaged SGD (平均SGD), after Polyak and Ruppert: the steps are those of SGD, and the state keeps `ax`, the running average of the **weights**. You have to take it out yourself.

# %% covers=["w4-asgd", "w4-err-asgd"] tags=["proof"]
lr, decay, alpha, t0 = 0.1, 1e-4, 0.75, 2
w, eta, weight, ax, by_hand = START, lr, 1.0, START, []
for t, g in enumerate(GRADIENTS, start=1):
    w = (1 - decay * eta) * w - eta * g
    ax = ax + weight * (w - ax)
    eta, weight = lr / (1 + decay * lr * t) ** alpha, 1 / max(1, t - t0)
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.ASGD(params, lr=0.1, t0=2))
_, state = steps_of(lambda params: torch.optim.ASGD(params, lr=0.1, t0=2))
assert torch.allclose(state["ax"], ax, rtol=0, atol=1e-6)
assert torch.allclose(ax, torch.stack(by_hand[3:]).mean(dim=0), rtol=0, atol=1e-6)
print("the key ax is there:", "ax" in state, "and it is the mean of the places 4 to 8")


# %% [markdown]
# What is it good for? With batches, SGD with a constant rate does not come to rest, it dances around the goal. The average of the dance lies closer. But mind `t0`: the averaging begins after so many steps, and the default is a million.

# %% covers=["w4-asgd"]
def noisy_end(t0):
    x = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    noise = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.ASGD([x], lr=0.1, t0=t0)
    dance = []
    for _ in range(600):
        x.grad = 2 * x.detach() + torch.randn(1, dtype=torch.float64, generator=noise)
        optimizer.step()
        dance.append(abs(x.item()))
    return np.mean(dance[300:]), abs(optimizer.state[x]["ax"].item())


dancing, average = noisy_end(t0=50)
print("the weight is", rounded(dancing), "from the goal on average, ax:", rounded(average))
print("with the default t0 ax is the last weight:", rounded(noisy_end(t0=1e6)[1]))
assert average < dancing


# %% [markdown]
# (Week 6 has the tool that is used for this today: `torch.optim.swa_utils` averages the weights of any optimizer.)
#
# ### Matrices: Adafactor and Muon
#
# So far each number was alone. But most weights live in matrices, and two newer optimizers use that.
#
# **Adafactor** (Shazeer and Stern, 2018) saves memory. Adam remembers two numbers for every weight. For a matrix Adafactor stores only the mean squares of its rows, $R$, and of its columns, $C$, and rebuilds the table as $R\,C / \text{mean}(R)$. It steps by a share of the weight's own size, and limits the size of a step.

# %% covers=["w4-ten-optimizers"] tags=["proof"]
def rms(x):
    return x.square().mean().sqrt().item()


w, rows, columns, by_hand = START, torch.zeros(2, 1).double(), torch.zeros(1, 2).double(), []
for t, g in enumerate(GRADIENTS, start=1):
    new = t**-0.8  # the weight of the new gradient: 1 at first, then less and less
    rows = (1 - new) * rows + new * g.square().mean(dim=1, keepdim=True)
    columns = (1 - new) * columns + new * g.square().mean(dim=0, keepdim=True)
    update = g / (rows @ columns / rows.mean()).sqrt()
    update = update / max(1.0, rms(update))
    w = w - max(0.001, rms(w)) * min(0.1, 1 / math.sqrt(t)) * update
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.Adafactor(params, lr=0.1))

# %% [markdown]
# What does that save? One linear layer with 512 inputs and 256 outputs:

# %% covers=["w4-ten-optimizers"]
layer = nn.Linear(512, 256, bias=False)
print("weights", layer.weight.numel())
for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.Adafactor, torch.optim.Muon):
    optimizer = kind(layer.parameters(), lr=0.001)
    layer.weight.grad = torch.ones_like(layer.weight)
    optimizer.step()
    kept = {key: value.numel() for key, value in optimizer.state[layer.weight].items()}
    names = ", ".join(kept) or "-"
    print(f"{kind.__name__:9} remembers {sum(kept.values()):6} numbers: {names}")


# %% [markdown]
# **Muon** (Jordan and others, 2024) is the youngest. The momentum of a weight matrix is often dominated by a few directions. Muon turns it into a matrix whose directions count (nearly) alike: it moves all **singular values** (奇异值), the strengths of a matrix in its main directions, towards 1. A polynomial does it without computing them: $X \leftarrow aX + b\,(XX^\top)X + c\,(XX^\top)^2X$, five times, in bfloat16 (16 bits), because precision does not matter here.

# %% covers=["w4-ten-optimizers"] tags=["proof"]
def orthogonal(x):  # Newton-Schulz: (rows, columns) with rows <= columns
    x = x.to(torch.bfloat16)
    x = x / x.norm()
    for _ in range(5):
        square = x @ x.T
        mixed = torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315)
        x = torch.addmm(x, mixed, x, beta=3.4445)
    return x


w, v, by_hand = START, torch.zeros_like(START), []
for g in GRADIENTS:
    v = 0.95 * v + 0.05 * g
    ahead = 0.05 * g + 0.95 * v  # Nesterov
    w = (1 - 0.1 * 0.1) * w - 0.1 * orthogonal(ahead).double()
    by_hand.append(w)
proven(by_hand, lambda params: torch.optim.Muon(params, lr=0.1, weight_decay=0.1))

# %% [markdown]
# And what it does to a matrix with one strong direction:

# %% covers=["w4-ten-optimizers"]
generator = torch.Generator().manual_seed(seed)
left = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
right = torch.linalg.qr(torch.randn(8, 6, generator=generator)).Q
strengths = torch.tensor([5.0, 1.0, 0.7, 0.5, 0.4, 0.3])
momentum = left @ strengths.diag() @ right.T
print("singular values before:", rounded(torch.linalg.svdvals(momentum), 1))
after = torch.linalg.svdvals(orthogonal(momentum).float())
print("all between 0.5 and 1.5 after:", bool(after.min() > 0.5 and after.max() < 1.5))
with expected_error(ValueError):
    torch.optim.Muon(nn.Linear(8, 6).parameters())

# %% [markdown] covers=["w4-lbfgs"]
# As the error says, it takes matrices only. Biases, gains and embeddings go to an AdamW beside it: two optimizers, two `step()`.
#
# ### The curvature: LBFGS
#
# Newton's method divides the gradient by the curvature. For $y = 4x^2$ that is lr = 1/8, the bottom in one step. With $n$ weights the curvature is an $n \times n$ matrix, too large to have. **BFGS** (a quasi-Newton method) estimates its inverse $H$ from what it sees anyway: a step $s$ changed the gradient by $y$. The L is for limited memory (BFGS的改进): it keeps the last pairs $(s, y)$ instead of the matrix. By hand, with the matrix, on a bowl:

# %% covers=["w4-lbfgs"] tags=["proof"]
bowl = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)  # gradient: bowl @ w
x = torch.tensor([2.0, -1.5], dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.LBFGS([x], lr=1.0, max_iter=1)


def closure():
    optimizer.zero_grad()
    loss = 0.5 * x @ bowl @ x
    loss.backward()
    return loss


w, g, eye = x.detach().clone(), bowl @ x.detach(), torch.eye(2, dtype=torch.float64)
H, size, pairs = eye, min(1.0, 1 / g.abs().sum()), []  # the first step is a careful one
for _ in range(3):
    s = -size * H @ g
    y = bowl @ (w + s) - g
    w, g, size = w + s, g + y, 1.0
    pairs.append((s, y))
    H = (s @ y) / (y @ y) * eye  # then every pair corrects it, the oldest first
    for s, y in pairs:
        turn = eye - torch.outer(s, y) / (s @ y)
        H = turn @ H @ turn.T + torch.outer(s, s) / (s @ y)
    optimizer.step(closure)
    assert torch.allclose(x, w, rtol=0, atol=1e-6)
print("3 steps agree | H times the curvature:", rounded(H @ bowl, 2))

# %% [markdown]
# After three steps $H$ is the inverse of the bowl's matrix, to two digits: their product is the unit matrix. From now on it makes Newton's steps. Two warnings from its class: it takes one group only, and it keeps up to 100 pairs of the size of the model. Without a closure it cannot work:

# %% covers=["w4-lbfgs"]
with expected_error(TypeError):
    optimizer.step()
print("state:", ", ".join(optimizer.state[x]))

# %% [markdown] covers=["w4-adagrad", "w4-rmsprop", "w4-adadelta", "w4-adam", "w4-adamax", "w4-sparseadam", "w4-asgd", "w4-rprop", "w4-lbfgs"]
# ### All of them on one parabola
#
# Before the race, a test that all can pass: $y = 4x^2$ from 2, twenty steps each, at a rate from its usual range. One number in a table of one row, so that SparseAdam gets its sparse gradient and Muon its matrix. Here is the whole shelf:

# %% covers=["w4-adagrad", "w4-rmsprop", "w4-adadelta", "w4-adam", "w4-adamax", "w4-sparseadam", "w4-asgd", "w4-rprop", "w4-lbfgs", "w4-ten-optimizers"]
shelf = {
    "SGD": lambda params, lr: torch.optim.SGD(params, lr),
    "SGD, momentum": lambda params, lr: torch.optim.SGD(params, lr, momentum=0.9),
    "SGD, nesterov": lambda params, lr: torch.optim.SGD(params, lr, 0.9, nesterov=True),
    "ASGD": torch.optim.ASGD,
    "Rprop": torch.optim.Rprop,
    "Adagrad": torch.optim.Adagrad,
    "Adadelta": torch.optim.Adadelta,
    "RMSprop": torch.optim.RMSprop,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "Adamax": torch.optim.Adamax,
    "NAdam": torch.optim.NAdam,
    "RAdam": torch.optim.RAdam,
    "SparseAdam": torch.optim.SparseAdam,
    "Adafactor": torch.optim.Adafactor,
    "Muon": torch.optim.Muon,
    "LBFGS": lambda params, lr: torch.optim.LBFGS(params, lr, line_search_fn="strong_wolfe"),
}
assert all(any(name.startswith(entry.split(",")[0]) for entry in shelf) for name in classes)
print(len(shelf), "entries for", len(classes), "classes")


# %% [markdown]
# Every step gets a closure: LBFGS needs it, the others call it once.

# %% covers=["w4-adagrad", "w4-rmsprop", "w4-adadelta", "w4-adam", "w4-adamax", "w4-sparseadam", "w4-asgd", "w4-rprop", "w4-lbfgs"]
def toy_losses(name, lr, steps=20):
    table = nn.Embedding(1, 1, sparse=name == "SparseAdam", dtype=torch.float64)
    nn.init.constant_(table.weight, 2.0)
    optimizer = shelf[name](table.parameters(), lr)

    def closure():
        optimizer.zero_grad()
        loss = (4 * table(torch.tensor([0])) ** 2).sum()
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(steps)]


own = {"SGD": 0.03, "SGD, momentum": 0.01, "SGD, nesterov": 0.01, "ASGD": 0.03, "RAdam": 0.03}
own |= {"Adagrad": 0.5, "Adadelta": 1.0, "RMSprop": 0.03, "Muon": 0.08, "LBFGS": 1.0}
for name in shelf:
    losses = toy_losses(name, own.get(name, 0.1))
    assert losses[-1] < losses[0] == 16
    print(f"{name:14} lr {own.get(name, 0.1):<4}  16 -> {rounded(losses[-1], 1)}")

# %% [markdown]
# All go down. More this table doesn't say: with another rate each line would read differently. That is the trouble with most comparisons of optimizers.
#
# ### A fair race
#
# Three rules make a race fair:
#
# 1. everybody may **try equally many learning rates**, and counts with the best;
# 2. everybody may compute **equally many gradients** (LBFGS takes several for one step);
# 3. the course favours nobody. A valley along the axes would be a present to those with a rate for every number, so ours lies askew.
#
# The second surface is Rosenbrock's: a curved valley, easy to find, hard to follow.

# %%
TURN = torch.tensor([[3**0.5, -1.0], [1.0, 3**0.5]], dtype=torch.float64) / 2  # 30 degrees


def valley(w):  # 50 times as steep across as along
    along, across = (w @ TURN).unbind(-1)
    return 0.5 * (along**2 + 50 * across**2)


def rosenbrock(w):  # lowest at (1, 1)
    return (1 - w[..., 0]) ** 2 + 100 * (w[..., 1] - w[..., 0] ** 2) ** 2


def path(surface, name, lr, start, gradients):
    """Where gradients are computed (T, 2), until none is left or the loss is tiny or huge."""
    w = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optimizer, places = shelf[name]([w], lr), []

    def closure():
        places.append(w.detach()[0].clone())
        optimizer.zero_grad()
        loss = surface(w).sum()
        loss.backward()
        return loss

    while len(places) < gradients and 1e-6 < optimizer.step(closure) < 1e6:
        pass
    return torch.stack(places[:gradients])


# %% [markdown]
# A racer's result is the loss at its last place. Below a millionth it has arrived, above a million it has flown off, and both end its run. SparseAdam doesn't start: on a gradient without zeros it is Adam.

# %%
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
COURSES = {"valley": (valley, (-4.0, 1.0), 60), "rosenbrock": (rosenbrock, (-1.2, 1.0), 100)}


def race(course):
    """For each racer its best rate, the path with it, and the loss at the end."""
    surface, start, gradients = COURSES[course]
    results = {}
    for name in shelf:
        if name == "SparseAdam":
            continue
        tries = {}
        for lr in RATES:
            places = path(surface, name, lr, start, gradients)
            heights = surface(places).nan_to_num(math.inf)
            arrived = 1 + int((heights > 1e-6).sum())
            tries[lr] = (round(max(heights[-1].item(), 1e-6), 6), places[:arrived])
        best = min(RATES, key=lambda lr: tries[lr][0])
        results[name] = (best, tries[best][1], tries[best][0])
    return results


# %% [markdown]
# Sixteen racers, seven rates each, two courses. Who is your favourite on Rosenbrock?

# %% tags=["nbval-ignore-output"]
results = {course: race(course) for course in COURSES}
print(f"{'':14} valley, best lr       rosenbrock, best lr")
for name in results["valley"]:
    cells = [f"{results[c][name][2]:<10.3g} ({results[c][name][0]})" for c in COURSES]
    print(f"{name:14} {cells[0]:21} {cells[1]}")
for course in results.values():
    assert course["SGD, momentum"][2] < course["SGD"][2]
    assert course["LBFGS"][2] == 1e-6

# %% [markdown]
# What the table says, and what it doesn't:
#
# - LBFGS is the only one that arrives on both courses. Two weights, exact gradients, a smooth surface: that is its world.
# - Momentum beats plain SGD on both courses.
# - RAdam and SGD take small rates where Adam takes large ones: their first steps depend on the scale of the loss. On Rosenbrock, where the gradients are in the hundreds at the start, RAdam can only take the smallest rate of all.
# - Adadelta has not finished learning to walk.
# - Many of Adam's family chose 1.0, the largest rate on offer, and with a larger one they might do better. A fair race says how wide its grid was.
#
# The paths show the characters.

# %%
shown = ("SGD", "SGD, momentum", "Adam", "LBFGS")
surfaces.descent_paths(
    valley,
    {name: results["valley"][name][1] for name in shown},
    x_range=(-5, 3),
    y_range=(-3.2, 2.2),
    title="The valley: each with its best rate, 60 gradients",
)

# %% [markdown]
# Plain SGD jumps across and creeps along, the old trouble. Momentum swings across for longer, but gets further along in the same time. And on Rosenbrock:

# %%
surfaces.descent_paths(
    rosenbrock,
    {name: results["rosenbrock"][name][1] for name in shown},
    x_range=(-2, 2),
    y_range=(-1.5, 2.5),
    title="Rosenbrock: each with its best rate, 100 gradients; the goal is (1, 1)",
)

# %% [markdown]
# ### Explorer Optimizer race
#
# **Does the winner stay the winner?** Choose a surface, then go through the optimizers, each with the best learning rate that you can find. Then give all of them the same rate, and see how unfair that is.

# %%
explore.optimizer_race()

# %% [markdown]
# ### The digits
#
# A network is no surface with two axes: thousands of weights, and every batch shows a slightly different loss. So a second race, with the real digits, halved to 14 × 14 pixels. Four learning rates for everyone, 80 batches of 64, the same start and the same batches.

# %%
digits = data.digits()
pixels = F.avg_pool2d(digits.images.unsqueeze(1).float() / 255, 2).flatten(1).to(device)
digit_labels = digits.labels.to(device)


def train_digits(build, lr, batches=80):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(196, 32), nn.ReLU(), nn.Linear(32, 10)).to(device)
    optimizers, losses = build(net, lr), []
    for _ in range(batches):
        chosen = torch.randint(len(pixels), (64,)).to(device)
        loss = F.cross_entropy(net(pixels[chosen]), digit_labels[chosen])
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return losses


# %% [markdown]
# Six racers. For Muon the matrices go to Muon and the biases to AdamW, as it wants it. A racer's result is the mean loss of its last ten batches.

# %% covers=["w4-adam", "w4-rmsprop", "w4-adagrad", "w4-ten-optimizers"]
def alone(name):
    return lambda net, lr: [shelf[name](net.parameters(), lr)]


def muon_and_adamw(net, lr):
    matrices = [p for p in net.parameters() if p.ndim == 2]
    biases = [p for p in net.parameters() if p.ndim != 2]
    return [torch.optim.Muon(matrices, lr=lr), torch.optim.AdamW(biases, lr=lr)]


racers = {name: alone(name) for name in ("SGD", "SGD, momentum", "Adagrad", "RMSprop", "AdamW")}
racers["Muon and AdamW"] = muon_and_adamw
question = predict(
    "Which difference is larger?",
    ["between two racers, each at its best rate", "between two rates of one racer"],
)
question

# %% tags=["nbval-ignore-output"]
runs = {
    name: {lr: train_digits(build, lr) for lr in (0.01, 0.03, 0.1, 0.3)}
    for name, build in racers.items()
}
ends = {
    name: {lr: np.mean(run[-10:]) for lr, run in tries.items()} for name, tries in runs.items()
}
print("learning rate  ", *(f"{lr:5}" for lr in ends["SGD"]))
for name, tries in ends.items():
    print(f"{name:15}", *(f"{end:5.2f}" for end in tries.values()))
best = {name: min(tries, key=tries.get) for name, tries in ends.items()}
between_racers = np.ptp([ends[name][lr] for name, lr in best.items()])
between_rates = max(np.ptp(list(tries.values())) for tries in ends.values())
assert between_racers < 0.6 and between_rates > 2 * between_racers
question.reveal(question.options[int(between_rates > between_racers)])

# %% [markdown]
# Read the table along its rows, then down its columns. At the rate 0.01 alone one would say that SGD can't learn to read. At its own best rate each of them learns, and the best results lie close together, except for plain SGD: its best rate is the largest on offer, and with a larger one it might catch up. **Most of the difference between optimizers is a difference between learning rates.** And each has its own good rate: RMSprop's is the smallest of the four, SGD's the largest, 30 times as much. Who takes a rate over from one optimizer to another compares nothing.

# %% tags=["nbval-ignore-output"]
drawn = {
    f"{name}, {best[name]}": np.convolve(runs[name][best[name]], np.ones(8) / 8, mode="valid")
    for name in racers
}
assert all(curve[-1] < curve[0] for curve in drawn.values())
curves.loss_curves(
    drawn,
    x_label="step",
    y_label="mean loss of 8 batches",
    title="The digits: each racer with its best rate",
)


# %% [markdown] covers=["w4-ten-optimizers"]
# ### Which one, then?
#
# | your situation | take |
# |---|---|
# | you don't know yet | **AdamW**, lr 0.001 to 0.003, no decay on biases and gains |
# | a convolutional network, time to search for a rate | SGD with momentum 0.9 (Nesterov if you like), lr 0.1 and lower, with a schedule (week 5) |
# | a large model, memory is short | Adafactor |
# | large weight matrices, at the frontier | Muon for the matrices, AdamW for the rest |
# | large embedding tables, few rows a batch | SparseAdam, or Adagrad |
# | few weights, all data at once, smooth | LBFGS with `line_search_fn="strong_wolfe"` |
# | recurrent networks, old recipes | RMSprop, as the recipe says |
#
# Adadelta, Adamax, NAdam, RAdam and ASGD are worth knowing because papers use them. Nobody is surprised if you never do.

# %% [markdown]
# ### Exercise 4.12 One that is not on the shelf · 15 min · ★★★
#
# **Lion** (Chen and others, 2023) was found by a program that searched through optimizers. For each parameter, with its gradient $g$ and a memory $m$ that starts at 0:
#
# $$u = \text{sign}(\beta_1 m + (1-\beta_1)\, g), \qquad w \leftarrow (1 - \text{lr}\,\lambda)\, w - \text{lr}\; u, \qquad m \leftarrow \beta_2 m + (1-\beta_2)\, g$$
#
# Write it as a torch optimizer. The base class keeps the groups, `zero_grad` and `state_dict`; your part is `step`. Keep $m$ in `self.state[p]["m"]`, read the settings from the group, and skip parameters without a gradient.

# %% tags=["exercise"]
class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=0.001, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                ...


# %% tags=["check"]
check.lion(Lion)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `if p.grad is None: continue`. Then `state = self.state[p]`, an empty dictionary at the first step: `state.setdefault("m", torch.zeros_like(p))` puts the zeros in when nothing is there yet, and returns what is there.
# </details>
# <details><summary>Hint 2</summary>
#
# Change the tensors in place (`p.mul_`, `p.sub_`, `m.mul_(…).add_(…)`): `p = p - …` would only give the name `p` to a new tensor. And $u$ needs the **old** $m$.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# class Lion(torch.optim.Optimizer):
#     def __init__(self, params, lr=0.001, betas=(0.9, 0.99), weight_decay=0.0):
#         super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
#
#     @torch.no_grad()
#     def step(self):
#         for group in self.param_groups:
#             lr, (beta1, beta2) = group["lr"], group["betas"]
#             for p in group["params"]:
#                 if p.grad is None:
#                     continue
#                 m = self.state[p].setdefault("m", torch.zeros_like(p))
#                 u = (beta1 * m + (1 - beta1) * p.grad).sign()
#                 p.mul_(1 - lr * group["weight_decay"]).sub_(lr * u)
#                 m.mul_(beta2).add_(p.grad, alpha=1 - beta2)
# ```
# </details>

# %% [markdown]
# A dozen lines, and it trains whatever AdamW trains, with half of Adam's memory. When the next optimizer appears, you will read its update rule, find out what it remembers and what it divides by, and know where on this shelf it belongs.

# %% [markdown]
# ## Recap
#
# A layer multiplies the variance of what passes through it by n · Var(W), and a hundred factors that are not 1 make nothing or infinity of it, of the gradients as well. **Xavier** balances forwards and backwards (for tanh, with its gain), **Kaiming** gives back what a ReLU takes away. **Cross-entropy** is the average surprise of the network at the right answers; `CrossEntropyLoss` is `LogSoftmax` and `NLLLoss` in one and takes logits, and its gradient is belief minus truth.
#
# A loss follows from the **target**: numbers, counts, distributions, classes, an order, alike or not, a sequence. What a model feels is the slope of the loss, not its height. Two habits for all of them: compare the shapes before you subtract, and take `.item()` of what is only to be printed.
#
# An **optimizer** holds parameter groups and a state for each parameter, and turns gradients into steps. The learning rate has a ceiling that the steepest direction sets; **momentum** averages the past gradients and lets the slow directions catch up. The adaptive ones give each number a step length of its own. Whatever you choose: it moves the tensors that it was given, and no others.
#
# | you learned | the official page |
# |---|---|
# | all initialisers, and `calculate_gain` | [torch.nn.init](https://docs.pytorch.org/docs/stable/nn.init.html) |
# | all losses | [torch.nn, loss functions](https://docs.pytorch.org/docs/stable/nn.html#loss-functions) |
# | cross-entropy: weight, ignore_index, label_smoothing, probabilities | [CrossEntropyLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html) |
# | yes-or-no questions, `pos_weight` | [BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html) |
# | numbers, robustly | [SmoothL1Loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html), [HuberLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html) |
# | distributions | [KLDivLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html) |
# | embeddings | [TripletMarginLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html) |
# | sequences | [CTCLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html) |
# | optimizers, groups, state | [torch.optim](https://docs.pytorch.org/docs/stable/optim.html) |
# | SGD with momentum, dampening, Nesterov | [SGD](https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html) |
# | Adam and its relatives | [Adam](https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html), [AdamW](https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html) |
#
# Your exercises, done and open:

# %%
check.summary()

# %% [markdown]
# **New words.** standard deviation 标准差 · exploding gradient 梯度爆炸 · vanishing gradient 梯度消失 · variance consistency 方差一致性 · Xavier initialisation Xavier初始化 · Kaiming initialisation Kaiming初始化 · gain 方差变化尺度 · loss function 损失函数 · cost function 代价函数 · objective function 目标函数 · self-information 自信息 · entropy 熵 · cross-entropy 交叉熵 · relative entropy, KL divergence 相对熵 · negative log likelihood 负对数似然 · binary cross-entropy 二分类交叉熵 · median 中位数 · quantile 分位数 · Poisson distribution 泊松分布 · hinge loss 折页损失 · ranking loss 排序损失 · embedding 嵌入 · cosine similarity 余弦相似度 · triplet loss 三元组损失 · CTC loss CTC损失 · optimizer 优化器 · learning rate 学习率 · momentum 动量 · parameter group 参数组 · weight decay L2正则化系数
#
# **Next week** the learning rate gets a timetable, and you look inside a network while it works.
