"""The checks of week 1. Each compares with something other than the solution: a closed form, a slow loop, torch."""

import math

import numpy as np
import torch

from course_utils._arguments import kind
from course_utils.checks import core
from course_utils.checks.core import (
    Mistake,
    attempted,
    call,
    exercise,
    expect_close,
    expect_tensor,
    expect_type,
)


def summary() -> core.Summary:
    """The exercises of week 1, done and open."""
    return core.summary(1)


@exercise("1.1", "Say hello")
def hello(function: object) -> str:
    text = call(function)
    expect_type(text, str, "what hello() returns")
    if "<" in text:
        raise Mistake("the text holds a function instead of its answer; write is_available() with its brackets")
    version = torch.__version__.split("+")[0]
    if version not in text:
        raise Mistake(f"the text should hold the version {version} (torch.__version__), but it is {text!r}")
    if str(torch.cuda.is_available()) not in text:
        raise Mistake("the version is there; the answer of torch.cuda.is_available(), True or False, is missing")
    return "this line belongs at the top of every bug report you will ever write"


@exercise("1.2", "The family of tensors")
def tensor_family(scalar: object, vector: object, matrix: object, image: object) -> str:
    family = {"my_scalar": (scalar, 0), "my_vector": (vector, 1), "my_matrix": (matrix, 2), "my_image": (image, 3)}
    for name, (tensor, ndim) in family.items():
        expect_type(tensor, torch.Tensor, name)
        if tensor.ndim != ndim:
            raise Mistake(f"{name} has {tensor.ndim} dimension(s), expected {ndim}; count the nested brackets")
    if tuple(vector.shape) != (3,):
        raise Mistake(f"my_vector holds {len(vector)} numbers, expected 3")
    if tuple(matrix.shape) != (2, 3):
        raise Mistake(f"my_matrix has shape {tuple(matrix.shape)}, expected (2, 3): rows first, then columns")
    if tuple(image.shape) == (4, 5, 3):
        raise Mistake(
            "my_image is (height, width, channel) as in NumPy and PIL; torch wants the channel first: (3, 4, 5)"
        )
    if tuple(image.shape) != (3, 4, 5):
        raise Mistake(f"my_image has shape {tuple(image.shape)}, expected (3, 4, 5): channel, height, width")
    return "scalar, vector and matrix are tensors of dimension 0, 1 and 2; the family goes on as far as you like"


@exercise("1.3", "What did Variable add?")
def tracked(function: object) -> str:
    tensor = call(function, [1.5, 2.5])
    expect_type(tensor, torch.Tensor, "what tracked() returns")
    if not tensor.requires_grad:
        raise Mistake("autograd does not record this tensor: requires_grad is False")
    if not tensor.is_leaf:
        raise Mistake("this tensor is no leaf: it came out of an operation, so backward() would not fill its grad")
    tensor = call(function, [1, 2, 3])
    expect_tensor(tensor, "tracked([1, 2, 3])", dtype=torch.float32, shape=(3,), requires_grad=True)
    (tensor**2).sum().backward()
    expect_close(tensor.grad, 2 * torch.tensor([1.0, 2.0, 3.0]), "the gradient of its squares", "were the values kept?")
    return "grad, grad_fn, requires_grad and is_leaf: all that Variable added is part of every tensor today"


@exercise("1.4", "Same memory?")
def same_memory(function: object) -> str:
    def verdict(array: np.ndarray, tensor: torch.Tensor) -> bool:
        answer = call(function, array, tensor)
        if not isinstance(answer, (bool, np.bool_)):
            raise Mistake(f"same_memory should return True or False, but it returned {kind(answer)}")
        return bool(answer)

    array = np.arange(4.0)
    if not verdict(array, torch.from_numpy(array)):
        raise Mistake("from_numpy(array) shares its memory, yet you say False; ids differ always, compare addresses")
    if verdict(array, torch.tensor(array)):
        raise Mistake("torch.tensor(array) is a copy, yet you say True; equal values are no proof of shared memory")
    if verdict(array, torch.from_numpy(array)[1:]):
        raise Mistake("a tensor that starts at the second number has another address, yet you say True")
    return "id() names the Python object, data_ptr() the numbers: one block of memory can have many owners"


@exercise("1.5", "Four modes of normal")
def normal_modes(function: object) -> str:
    count = 4000
    means, stds = torch.linspace(50.0, 90.0, count), torch.linspace(5.0, 9.0, count)
    torch.default_generator.manual_seed(0)
    draws = call(function, means, stds)
    draws = list(draws) if isinstance(draws, torch.Tensor) and draws.ndim else draws
    expect_type(draws, (tuple, list), "what four_modes() returns")
    if len(draws) != 4:
        raise Mistake(f"four_modes should return four tensors, but it returned {len(draws)}")
    zeros, ones = torch.zeros(count), torch.ones(count)
    wanted = {"both": (means, stds), "only_means": (means, ones), "only_stds": (zeros, stds), "neither": (zeros, ones)}
    for (name, (mean, std)), draw in zip(wanted.items(), draws, strict=True):
        attempted(draw)
        expect_tensor(draw, name, dtype=torch.float32, shape=(count,))
        # if it was drawn as asked, this is standard normal: mean 0 and std 1 within 5 standard errors
        standard = (draw - mean) / std
        if abs(standard.mean().item()) > 5 / math.sqrt(count):
            raise Mistake(
                f"{name} lies around {draw.mean().item():.3g}, expected {mean.mean().item():.3g}; check its mean"
            )
        if abs(standard.std().item() - 1) > 5 / math.sqrt(2 * count):
            raise Mistake(f"{name} has the right middle but the wrong spread; check its standard deviation")
    return "with a tensor the shape is known; only two plain numbers need size="


@exercise("1.6", "Standardise a table")
def standardise(function: object) -> str:
    torch.default_generator.manual_seed(0)
    table = torch.rand(5, 3) * torch.tensor([1.0, 10.0, 100.0]) + torch.tensor([0.0, 50.0, -7.0])
    answer = call(function, table.clone())
    expect_tensor(answer, "standardise(table)", dtype=torch.float32, shape=(5, 3))
    by_loops = torch.empty(5, 3)
    for column in range(3):
        values = table[:, column].tolist()
        mean = sum(values) / len(values)
        std = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
        by_loops[:, column] = torch.tensor([(value - mean) / std for value in values])
    if torch.allclose(answer, (table - table.mean()) / table.std(), atol=1e-4):
        raise Mistake("you used one mean for the whole table; every column needs its own: which dimension disappears?")
    if torch.allclose(answer, table - table.mean(dim=0), atol=1e-3):
        raise Mistake("the columns are centred, but their spread is still there; divide by the standard deviation")
    if torch.allclose(answer, (table - table.mean(dim=0)) / table.var(dim=0), atol=1e-3):
        raise Mistake("you divided by the variance; the standard deviation is its root")
    if torch.allclose(answer, (table - table.mean(dim=0)) / table.std(dim=0, correction=0), atol=1e-3):
        raise Mistake("your standard deviation divides by N, std() as torch computes it divides by N - 1")
    expect_close(answer, by_loops, "standardise(table)", "every column should get mean 0 and std 1", 1e-3)
    return "(features,) against (samples, features): lined up from the right, broadcasting does the loop"


@exercise("1.7", "Another line, a stricter stop")
def linear_fit(function: object) -> str:
    generator = torch.Generator().manual_seed(10)
    x = torch.rand(20, 1, generator=generator) * 10
    y = 3 * x + 5 + torch.randn(20, 1, generator=generator)
    best = torch.linalg.lstsq(torch.cat([x, torch.ones_like(x)], dim=1), y).solution.flatten().tolist()
    enough = _half_squared(x, y, *best) + 0.02
    answer = call(function, x.clone(), y.clone(), 0.05, enough)
    expect_type(answer, (tuple, list), "what fit() returns")
    if len(answer) != 3:
        raise Mistake(f"fit should return w, b and the number of updates, but it returned {len(answer)} things")
    attempted(answer)
    w, b, updates = (_number(entry, name) for entry, name in zip(answer, ("w", "b", "updates"), strict=True))
    if not (math.isfinite(w) and math.isfinite(b)):
        raise Mistake(
            "w or b became nan: the steps lead uphill or grow; check the sign, and that gradients are emptied"
        )
    if updates == 0:
        raise Mistake("the loop stopped before its first update; stop when the loss is BELOW enough, not above")
    if updates >= 4999:
        raise Mistake("the loop never came below the threshold; are both gradients emptied after each update?")
    if _half_squared(x, y, w, b) >= enough:
        raise Mistake(f"it stopped with a loss of {_half_squared(x, y, w, b):.3f}, not below {enough:.3f}")
    if updates != int(updates):
        raise Mistake(f"the third value is a count of updates, but it is {updates:.4g}")
    away = [math.dist((w, b), _descent(x, y, 0.05, int(updates) + shift)) for shift in (-1, 0, 1)]
    if min(away) > 1e-3:
        raise Mistake(
            f"w and b are not those after {updates:.0f} steps of lr times the slope: are both gradients emptied after "
            "each update?"
        )
    if away[1] > min(away):
        raise Mistake(f"you count {updates:.0f} updates, but w and b have seen one more or one less")
    # near the end a step lowers the loss by 2e-4: rounding stays far below the margin
    if _half_squared(x, y, *_descent(x, y, 0.05, int(updates) - 1)) < enough - 5e-5:
        raise Mistake(f"after {updates - 1:.0f} updates the loss was below enough already; check before every update")
    wanted = _updates_needed(x, y, 0.05, enough)
    return f"slope {w:.2f} after {wanted} updates: the last hundredths of the loss cost most of the work"


def _half_squared(x: torch.Tensor, y: torch.Tensor, w: float, b: float) -> float:
    return (0.5 * (y - (w * x + b)) ** 2).mean().item()


def _updates_needed(x: torch.Tensor, y: torch.Tensor, lr: float, enough: float) -> int:
    """How many steps of gradient descent, with the gradient from its closed form, go below `enough`."""
    w = b = 0.0
    for updates in range(5000):
        if _half_squared(x, y, w, b) < enough:
            return updates
        w, b = _step(x, y, lr, w, b)
    return 5000


def _descent(x: torch.Tensor, y: torch.Tensor, lr: float, updates: int) -> tuple[float, float]:
    """w and b after so many steps of gradient descent from 0, 0."""
    w = b = 0.0
    for _ in range(updates):
        w, b = _step(x, y, lr, w, b)
    return w, b


def _step(x: torch.Tensor, y: torch.Tensor, lr: float, w: float, b: float) -> tuple[float, float]:
    error = (w * x + b - y).double()
    return w - lr * (error * x).mean().item(), b - lr * error.mean().item()


def _number(value: object, name: str) -> float:
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        return value.item()
    if isinstance(value, (np.generic, np.ndarray)) and value.size == 1:
        return value.item()
    expect_type(value, (int, float), name)
    return value


@exercise("1.8", "Count nodes and edges")
def graph_size(function: object) -> str:
    w, x = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    diamond = (x + w) * (w + 1)
    shared = x + w
    cases = [
        (torch.sin(x), (2, 1), "sin(x)"),
        (diamond, (5, 5), "(x + w) * (w + 1)"),
        (x * x, (2, 2), "x * x"),
        (shared * shared, (4, 4), "s * s with s = x + w"),
    ]
    for result, (nodes, edges), text in cases:
        answer = call(function, result)
        expect_type(answer, (tuple, list), "what graph_size() returns")
        if len(answer) != 2:
            raise Mistake("graph_size should return two numbers: nodes and edges")
        attempted(answer)
        got_nodes, got_edges = (_number(entry, name) for entry, name in zip(answer, ("nodes", "edges"), strict=True))
        if (got_edges, got_nodes) == (nodes, edges) and nodes != edges:
            raise Mistake("the order is (nodes, edges), yours is the other way round")
        if got_nodes > nodes:
            raise Mistake(
                f"{text} has {nodes} nodes, you count {got_nodes}: one that two paths reach is still one node"
            )
        if got_nodes < nodes:
            raise Mistake(
                f"{text} has {nodes} nodes, you count {got_nodes}: AccumulateGrad counts too, names may repeat"
            )
        if got_edges > edges:
            raise Mistake(f"{text} has {edges} edges, you count {got_edges}: an entry None is a constant and no edge")
        if got_edges < edges:
            raise Mistake(f"{text} has {edges} edges, you count {got_edges}: two edges may lead to the same node")
    return "nodes and edges are all there is: backward() is a walk over exactly this graph"


@exercise("1.9", "The chain rule by hand")
def chain_rule(function: object) -> str:
    for x_value, w_value in [(2.0, 1.0), (-1.0, 0.5), (3.0, -2.0)]:
        answer = _number(call(function, x_value, w_value), "dy_dw(x, w)")
        w = torch.tensor(w_value, dtype=torch.float64, requires_grad=True)
        ((x_value + w) * (w + 1) ** 2).backward()
        through_a, through_c = (w_value + 1) ** 2, (x_value + w_value) * 2 * (w_value + 1)
        if math.isclose(answer, through_a) or math.isclose(answer, through_c):
            raise Mistake("that is one of the two paths only; w reaches y through both factors: add them")
        if math.isclose(answer, through_a + through_c / 2):
            raise Mistake("both paths are there, but the slope of (w + 1)² is 2(w + 1)")
        where = f"dy_dw({x_value:g}, {w_value:g})"
        expect_close(answer, w.grad, where, "multiply along each path, then add the paths", 1e-6)
    return "multiply along a path, add over the paths: that is all backward() does"


@exercise("1.10", "A graph that depends on the data")
def dynamic_graph(function: object) -> str:
    kinds = []
    for value in (2.0, -2.0):
        x = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        result = call(function, x)
        expect_type(result, torch.Tensor, "what bent(x) returns")
        if not result.requires_grad:
            raise Mistake("the result is not connected to x: compute with x itself, not with x.item() or x.detach()")
        expect_close(
            result.detach(), value**2 if value > 0 else -3 * value, f"bent({value:g})", "x² where x > 0, else -3x"
        )
        slope = torch.autograd.grad(result, x, retain_graph=True, allow_unused=True)[0]
        if slope is None:
            raise Mistake("the result is a new tensor, not connected to x: compute with x itself, not with x.item()")
        step = 1e-6
        ahead, behind = (call(function, torch.tensor(value + d, dtype=torch.float64)) for d in (step, -step))
        expect_close(slope, (ahead - behind) / (2 * step), f"the slope at {value:g}", "compare with a small step", 1e-4)
        inputs = [str(node and node.name()) for node, _ in result.grad_fn.next_functions]
        kinds.append([result.grad_fn.name(), *inputs])
    if kinds[0] == kinds[1]:
        raise Mistake(f"values and slopes are right, but both calls record {kinds[0][0]}: choose with a Python if")
    return f"two calls, two graphs, {kinds[0][0]} and {kinds[1][0]} on top; a static graph would need both branches"


@exercise("1.11", "Newton's step")
def newton_step(function: object) -> str:
    def parabola(x: torch.Tensor) -> torch.Tensor:
        return 3 * (x - 2) ** 2 + 5

    def growth(x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x) - 2 * x

    answer = _number(call(function, parabola, 10.0), "newton_step(f, x)")
    if math.isclose(answer, 10 - float(parabola(torch.tensor(10.0))) / 48, rel_tol=1e-6):
        raise Mistake("that is Newton's step to a zero, f / f'; for a minimum divide the slope by the curvature")
    if math.isclose(answer, 18.0, rel_tol=1e-6):
        raise Mistake("the step goes the wrong way: subtract slope / curvature")
    expect_close(answer, 2.0, "from 10, one step on 3(x - 2)² + 5", "it should land in the minimum at once", 1e-6)
    answer = _number(call(function, growth, 0.5), "newton_step(f, x)")
    truth = 0.5 - (math.exp(0.5) - 2) / math.exp(0.5)
    expect_close(answer, truth, "from 0.5, one step on exp(x) - 2x", "the curvature changes with x", 1e-6)
    return "a gradient of a gradient, thanks to create_graph: on a parabola Newton needs one step"


@exercise("1.12", "Classify without the sigmoid")
def classify(function: object) -> str:
    torch.default_generator.manual_seed(0)
    b, x = torch.tensor([0.3]), torch.randn(50, 1)
    for w in (torch.tensor([1.5]), torch.tensor([-1.5])):
        answer = call(function, w.clone(), b.clone(), x.clone())
        expect_tensor(answer, "classify(w, b, x)", dtype=torch.float32, shape=(50, 1))
        z = w * x + b
        if torch.equal(answer, (z >= 0.5).float()):
            raise Mistake("0.5 is the border of the probability; for w*x + b itself the border is another number")
        if torch.equal(answer, (torch.sigmoid(z) > 0).float()):
            raise Mistake("everything is class 1: a sigmoid is never below 0")
        why = "sigmoid(z) >= 0.5 is the standard to meet" if w > 0 else "try a negative w: the inequality turns round"
        expect_close(answer, torch.sigmoid(z).ge(0.5).float(), "classify(w, b, x)", why)
    for shape in ((), (2, 3, 4)):
        expect_tensor(call(function, w[0], b[0], torch.rand(shape)), "classify(w, b, x)", shape=shape)
    just_below = torch.tensor([-1e-9])
    if call(function, torch.ones(1), torch.zeros(1), just_below).item() != 0:
        raise Mistake(
            "at z = -1e-9 you say class 1: the sigmoid rounds it to 0.5; compare w * x + b itself, it is exact"
        )
    border = call(function, torch.ones(1), torch.zeros(1), torch.zeros(1))
    expect_close(border, torch.ones(1), "a point exactly on the border", "probability 0.5 counts as class 1: use >=")
    return "the border is the straight line wx + b = 0; the sigmoid only grades the distance from it"


@exercise("1.13", "Vary mean_value")
def mean_value(function: object) -> str:
    for mean in (1.0, 5.0):
        accuracy = _number(call(function, mean), f"accuracy_for({mean:g})")
        if accuracy > 1:
            raise Mistake(
                f"accuracy_for({mean:g}) is {accuracy:.4g}; give a number from 0 to 1, not an iteration or per cent"
            )
        # two normal clouds with spread 1 whose centres are 2·√2·mean apart: no classifier beats Φ(√2·mean)
        best = 0.5 * (1 + math.erf(mean))
        if not abs(accuracy - best) <= 0.03:  # also when it is nan
            raise Mistake(
                f"accuracy_for({mean:g}) is {accuracy:.3f}, but about {best:.3f} is possible: return the last accuracy"
            )
    return "at 1 the clouds overlap, and about 92 % is all that anybody can reach; at 5 the starting weights will do"


@exercise("1.14", "Make the bias harmless")
def bias(function: object) -> str:
    generator = torch.Generator().manual_seed(11)
    # not along the diagonal: there a common mean of both columns would do by luck
    clouds = torch.randn(200, 2, generator=generator) + torch.tensor([[2.5, 1.0]] * 100 + [[-2.5, -1.0]] * 100)
    labels = torch.tensor([0.0] * 100 + [1.0] * 100)
    reference = _iterations_to_98(clouds, labels)
    for shift in ([10.0, 10.0], [30.0, -10.0]):
        points = call(function, clouds + torch.tensor(shift))
        expect_tensor(points, "prepare(points)", dtype=torch.float32, shape=(200, 2))
        if (points - clouds).std(dim=0).max() > 1e-3:
            raise Mistake(
                "the points did not all move by the same amount; move the clouds together, do not rescale them"
            )
        needed = _iterations_to_98(points, labels)
        if needed > 3 * reference + 20:
            raise Mistake(
                f"with the bias {tuple(int(part) for part in shift)} our own training still takes {needed} iterations "
                f"instead of {reference}: where is the middle of each column?"
            )
    return "centred data turn the flat valley into a bowl; week 2 does it with every picture (Normalize)"


def _iterations_to_98(points: torch.Tensor, labels: torch.Tensor, most: int = 1000) -> int:
    """Iterations of gradient descent (rate 0.1, gradient from its closed form) until 98 % are right, at most `most`."""
    w, b = torch.zeros(points.shape[1]), torch.zeros(1)
    for iteration in range(most):
        p = torch.sigmoid(points @ w + b)
        if iteration > 0 and ((p >= 0.5).float() == labels).float().mean() >= 0.98:
            return iteration
        error = (p - labels) / len(labels)
        w, b = w - 0.1 * points.T @ error, b - 0.1 * error.sum()
    return most


@exercise("bug 1.1", "The loop of the old course")
def bug_1_1(function: object) -> str:
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(30, 1, generator=generator) * 4
    y = -1.5 * x + 4 + 0.1 * torch.randn(30, 1, generator=generator)
    w, b, losses = _trained(function, x, y)
    if losses[1] == losses[0]:
        raise Mistake("nothing is learnt now: empty the gradients after they were used, not before the update")
    if not any(_same_course(losses, x, y, lr) for lr in _rates(losses, x, y)):
        raise Mistake(
            "the steps are not lr times the slope: print w.grad after each backward() and compare it with the slope "
            "computed by hand, (error * x).mean()"
        )
    if not losses[-1] < losses[0]:
        raise Mistake(
            "the gradients are right, but the loss does not fall: now the rate is honestly too high, try 0.05"
        )
    generator = torch.Generator().manual_seed(10)
    x = 10 * torch.rand(20, 1, generator=generator)  # spread as in the lesson, where 0.1 is above the limit
    losses = _trained(function, x, 2 * x + 5 + torch.randn(20, 1, generator=generator))[2]
    if not losses[-1] < losses[0]:
        raise Mistake(
            "the gradients are right, but on points as wide as the lesson's the loss explodes: the rate is still too "
            "high, try 0.05"
        )
    return "backward() adds, so empty the gradients in every iteration; its authors repaired it in 2019"


def _trained(function: object, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float, list[float]]:
    answer = call(function, x.clone(), y.clone())
    expect_type(answer, (tuple, list), "what the function returns")
    if len(answer) != 3:
        raise Mistake("the function should still return w, b and the list of losses")
    w, b = _number(answer[0], "w"), _number(answer[1], "b")
    losses = answer[2].tolist() if isinstance(answer[2], torch.Tensor) else answer[2]
    expect_type(losses, (list, tuple), "the losses")
    if len(losses) < 10:
        raise Mistake("the function should still return the loss of every iteration, at least ten")
    return w, b, [_number(loss, "a loss") for loss in losses]


def _rates(losses: list[float], x: torch.Tensor, y: torch.Tensor) -> list[float]:
    """The learning rates that lead from the first loss to the second: along the gradient the loss is a parabola."""
    columns = torch.cat([x, torch.ones_like(x)], dim=1).double()
    gradient = -columns.T @ y.double() / len(x)
    curvature = (gradient.T @ (columns.T @ columns / len(x)) @ gradient).item()
    slope = (gradient.T @ gradient).item()
    under_root = slope**2 + 2 * curvature * (losses[1] - losses[0])
    if not under_root >= 0:
        return []
    return [(slope + sign * math.sqrt(under_root)) / curvature for sign in (1, -1)]


def _same_course(losses: list[float], x: torch.Tensor, y: torch.Tensor, lr: float) -> bool:
    """Do the first losses agree with gradient descent from w = b = 0, by the closed form of the gradient?"""
    w = b = 0.0
    for loss in losses[:8]:
        if not math.isclose(loss, _half_squared(x, y, w, b), rel_tol=1e-3, abs_tol=1e-4):
            return False
        w, b = _step(x, y, lr, w, b)
    return True


@exercise("bug 1.2", "Everybody gets the average")
def bug_1_2(function: object) -> str:
    x = torch.linspace(-1, 1, 30).unsqueeze(1)
    y = -3 * x.squeeze() + 1
    w, b, losses = _trained(function, x, y)
    if abs(w) < 0.1:
        raise Mistake(f"the slope is {w:.2f}, everybody still gets the average: print the shape of w * x + b - y")
    first = (y**2).mean().item()
    if not math.isclose(losses[0], first, rel_tol=1e-3):
        raise Mistake(
            f"the first loss is {losses[0]:.2f}, the mean of 30 squared differences is {first:.2f}: "
            "keep the mean squared error"
        )
    if abs(w + 3) > 0.05 or abs(b - 1) > 0.05:
        raise Mistake(
            f"it should find y = -3x + 1, but it found y = {w:.2f}x + {b:.2f}; keep the rate and the iterations"
        )
    return "(30, 1) against (30,) is (30, 30): nothing fails, everything is wrong; look at shapes before losses"


@exercise("bug 1.3", "A loss that never moves")
def bug_1_3(function: object) -> str:
    generator = torch.Generator().manual_seed(4)
    points = torch.randn(80, 2, generator=generator) + torch.tensor([[2.0]] * 40 + [[-2.0]] * 40)
    labels = torch.tensor([1.0] * 40 + [0.0] * 40)
    answer = call(function, points.clone(), labels.clone())
    expect_type(answer, (tuple, list), "what the function returns")
    if len(answer) != 4:
        raise Mistake("the function should still return w, b, the losses and the accuracies")
    w, b, losses, accuracies = answer
    expect_tensor(w, "w", shape=(2,))
    if len(losses) < 2 or not losses[-1] < 0.9 * losses[0]:
        raise Mistake(
            "the loss still does not move: print w.grad, and print p before and after the accuracy is measured"
        )
    if len(accuracies) != len(losses):
        raise Mistake("it learns now, but the accuracy of every iteration should still be there")
    truth = ((points @ w + b >= 0).float() == labels).float().mean().item()
    if abs(float(accuracies[-1]) - truth) > 0.05:
        raise Mistake(
            f"it learns, but the last accuracy says {float(accuracies[-1]):.2f} where {truth:.2f} of the points are "
            "right: cut the probability at 0.5"
        )
    if abs(_number(accuracies[0], "the first accuracy") - 0.5) > 0.05:
        raise Mistake("with all weights zero half of the points are right, but the first accuracy is another number")
    return "measure on p.detach(), and never write through .data: autograd cannot see it, so it cannot warn you"
