"""Mistakes that readers make in week 1, by exercise: what they write for the stub, and words the message must hold."""

LINE_LOOP = """
def {name}(x, y, lr={lr}, iterations={iterations}):
    w, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    losses = []
    for _ in range(iterations):
        loss = {loss}
        losses.append(loss.item())
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        {after}
    return {returned}
"""
CLOUD_LOOP = """
def train_cloud(points, labels, lr=0.5, iterations=100):
    w, b = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    losses, accuracies = [], []
    for _ in range(iterations):
        p = torch.sigmoid(points @ w + b)
        loss = ((p - labels) ** 2).mean()
        losses.append(loss.item())
        {measure}
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
        w.grad, b.grad = None, None
    return w.detach(), b.detach(), losses, accuracies
"""
FIT = """
def fit(x, y, lr, enough):
    w, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    for updates in range(5000):
        loss = (0.5 * (y - (w * x + b)) ** 2).mean()
        if {stop}:
            break
        loss.backward()
        with torch.no_grad():
            w {sign}= lr * w.grad
            b {sign}= lr * b.grad
        {after}
    return {returned}
"""
EMPTY = "w.grad, b.grad = None, None"


def line_loop(
    lr=0.1,
    iterations=200,
    loss="((w * x + b - y) ** 2).mean()",
    after=EMPTY,
    returned="w.item(), b.item(), losses",
    name="train",
):
    return LINE_LOOP.format(name=name, lr=lr, iterations=iterations, loss=loss, after=after, returned=returned)


def fit(stop="loss.item() < enough", sign="-", after=EMPTY, returned="w.item(), b.item(), updates"):
    return FIT.format(stop=stop, sign=sign, after=after, returned=returned)


HALF_SQUARED = "(0.5 * (y - (w * x + b)) ** 2).mean()"

WRONG = {
    "1.1": [
        (
            "def hello():\n    return f'Hello {torch.__version__} {torch.cuda.is_available}'",
            "function instead of its answer",
        ),
        ("def hello():\n    return f'Hello, accelerator: {torch.cuda.is_available()}'", "should hold the version"),
        ("def hello():\n    return f'Hello from {torch.__version__}'", "True or False, is missing"),
        ("def hello():\n    return torch.cuda.is_available()", "should be a str"),
        ("def hello():\n    return 'Hello ' + torch.version + 1", "stopped in"),
        ("hello = 'Hello'", "pass it without ()"),
    ],
    "1.2": [
        (
            "my_scalar, my_vector = torch.tensor([7.0]), torch.zeros(3)\nmy_matrix, my_image = torch.zeros(2, 3), torch.zeros(3, 4, 5)",
            "my_scalar has 1 dimension",
        ),
        (
            "my_scalar, my_vector = torch.tensor(7.0), torch.zeros(3)\nmy_matrix, my_image = torch.zeros(2, 3), torch.zeros(4, 5, 3)",
            "channel first",
        ),
        (
            "my_scalar, my_vector = torch.tensor(7.0), torch.zeros(3)\nmy_matrix, my_image = torch.zeros(3, 2), torch.zeros(3, 4, 5)",
            "rows first",
        ),
        ("my_scalar, my_vector, my_matrix, my_image = 7.0, [1, 2, 3], [[1]], [[[1]]]", "should be a Tensor"),
    ],
    "1.3": [
        ("def tracked(values):\n    return torch.tensor(values, dtype=torch.float32)", "does not record"),
        (
            "def tracked(values):\n    return torch.tensor(values, dtype=torch.float32, requires_grad=True) * 1",
            "no leaf",
        ),
        ("def tracked(values):\n    return torch.tensor(values, requires_grad=True)", "RuntimeError"),
        ("def tracked(values):\n    return torch.tensor(values, dtype=torch.float64, requires_grad=True)", "float64"),
    ],
    "1.4": [
        ("def same_memory(array, tensor):\n    return id(array) == id(tensor)", "ids differ always"),
        (
            "def same_memory(array, tensor):\n    return bool((tensor.numpy() == array[: len(tensor)]).all())",
            "equal values",
        ),
        ("def same_memory(array, tensor):\n    return np.shares_memory(array, tensor.numpy())", "another address"),
        ("def same_memory(array, tensor):\n    return tensor.data_ptr()", "True or False"),
    ],
    "1.5": [
        (
            "def four_modes(means, stds):\n    return torch.normal(means, stds), torch.normal(means, 1.0), torch.normal(0.0, stds), torch.normal(0.0, 1.0)",
            "TypeError",
        ),
        (
            "def four_modes(means, stds):\n    return torch.normal(stds, means), torch.normal(means, 1.0), torch.normal(0.0, stds), torch.normal(0.0, 1.0, means.shape)",
            "check its mean",
        ),
        (
            "def four_modes(means, stds):\n    return torch.normal(means, stds), torch.normal(means, 2.0), torch.normal(0.0, stds), torch.normal(0.0, 1.0, means.shape)",
            "wrong spread",
        ),
        (
            "def four_modes(means, stds):\n    return torch.normal(means, stds), torch.normal(means, 1.0), torch.normal(0.0, stds), torch.normal(0.0, 1.0, (4,))",
            "has shape (4,)",
        ),
    ],
    "1.6": [
        ("def standardise(table):\n    return (table - table.mean()) / table.std()", "one mean for the whole table"),
        ("def standardise(table):\n    return table - table.mean(dim=0)", "divide by the standard deviation"),
        ("def standardise(table):\n    return (table - table.mean(dim=1)) / table.std(dim=1)", "RuntimeError"),
        ("def standardise(table):\n    return (table - table.mean(0)) / table.var(0)", "divided by the variance"),
        ("def standardise(table):\n    return (table - table.mean(0)) / table.std(0, correction=0)", "divides by N"),
    ],
    "1.7": [
        (fit(stop="loss.item() > enough"), "before its first update"),
        (fit(sign="+"), "nan"),
        (fit(after="w.grad.zero_()"), "are both gradients emptied"),
        (fit(stop="updates == 10"), "it stopped with a loss"),
        (fit(stop="updates % 20 == 0 and loss.item() < enough"), "was below enough already"),
        (fit(returned="w.item(), b.item(), updates + 1"), "one more or one less"),
        (fit(returned="w.item(), b.item(), loss.item()"), "is a count"),
        (fit(returned="w.item(), b.item()"), "it returned 2 things"),
    ],
    "1.8": [
        (
            "def graph_size(y):\n    nodes, edges, waiting = 0, 0, [y.grad_fn]\n    while waiting:\n        node = waiting.pop()\n        nodes += 1\n"
            "        for other, _ in node.next_functions:\n            if other is not None:\n                edges += 1\n                waiting.append(other)\n"
            "    return nodes, edges",
            "still one node",
        ),
        (
            "def graph_size(y):\n    return len(y.grad_fn.next_functions), len(y.grad_fn.next_functions)",
            "AccumulateGrad counts too",
        ),
        (
            "def graph_size(y):\n    nodes, edges, waiting = set(), 0, [y.grad_fn]\n    while waiting:\n        node = waiting.pop()\n"
            "        if node in nodes:\n            continue\n        nodes.add(node)\n        edges += len(node.next_functions)\n"
            "        waiting += [other for other, _ in node.next_functions if other is not None]\n    return len(nodes), edges",
            "no edge",
        ),
        ("def graph_size(y):\n    return 1, 2", "the other way round"),
        ("def graph_size(y):\n    return 5", "should be a tuple or list"),
    ],
    "1.9": [
        ("def dy_dw(x, w):\n    return (w + 1) ** 2", "one of the two paths"),
        ("def dy_dw(x, w):\n    return (w + 1) ** 2 + (x + w) * (w + 1)", "is 2(w + 1)"),
        ("def dy_dw(x, w):\n    return 2 * w + x + 1", "multiply along each path"),
    ],
    "1.10": [
        ("def bent(x):\n    return torch.where(x > 0, x**2, -3 * x)", "choose with a Python if"),
        ("def bent(x):\n    return torch.tensor(x.item() ** 2 if x > 0 else -3 * x.item())", "not connected to x"),
        ("def bent(x):\n    return -3 * x if x > 0 else x**2", "x² where x > 0"),
        ("def bent(x):\n    return torch.tensor(x.item() ** 2, requires_grad=True)", "a new tensor"),
        ("def bent(x):\n    return x.item() ** 2", "should be a Tensor"),
    ],
    "1.11": [
        (
            "def newton_step(f, x):\n    point = torch.tensor(x, dtype=torch.float64, requires_grad=True)\n    y = f(point)\n"
            "    return (point - y / torch.autograd.grad(y, point)[0]).item()",
            "step to a zero",
        ),
        (
            "def newton_step(f, x):\n    point = torch.tensor(x, dtype=torch.float64, requires_grad=True)\n"
            "    slope = torch.autograd.grad(f(point), point)[0]\n    return (point - slope / torch.autograd.grad(slope, point)[0]).item()",
            "RuntimeError",
        ),
        (
            "def newton_step(f, x):\n    point = torch.tensor(x, dtype=torch.float64, requires_grad=True)\n"
            "    slope = torch.autograd.grad(f(point), point, create_graph=True)[0]\n"
            "    return (point + slope / torch.autograd.grad(slope, point)[0]).item()",
            "wrong way",
        ),
    ],
    "1.12": [
        ("def classify(w, b, x):\n    return (w * x + b >= 0.5).float()", "border of the probability"),
        ("def classify(w, b, x):\n    return (torch.sigmoid(w * x + b) > 0).float()", "everything is class 1"),
        ("def classify(w, b, x):\n    return (torch.sigmoid(w * x + b) >= 0.5).float()", "the sigmoid rounds it"),
        ("def classify(w, b, x):\n    return (w * x + b > 0).float()", "use >="),
        ("def classify(w, b, x):\n    return (x >= -b / w).float()", "a negative w"),
        ("def classify(w, b, x):\n    return w * x + b >= 0", "torch.bool"),
    ],
    "1.13": [
        (
            "def accuracy_for(mean_value):\n    return train_logistic(*two_clouds(mean_value))[1][-1][2] * 100",
            "per cent",
        ),
        (
            "def accuracy_for(mean_value):\n    return train_logistic(*two_clouds(mean_value))[1][-1][1]",
            "return the last accuracy",
        ),
        (
            "def accuracy_for(mean_value):\n    return train_logistic(*two_clouds(mean_value))",
            "accuracy_for(1) should be",
        ),
    ],
    "1.14": [
        ("def prepare(points):\n    return points", "with the bias (10, 10) our own training still takes"),
        (
            "def prepare(points):\n    return points - points.mean()",
            "with the bias (30, -10) our own training still takes",
        ),
        ("def prepare(points):\n    return (points - points.mean(0)) * 10", "do not rescale"),
        ("def prepare(points):\n    return points.mean(0)", "has shape (2,)"),
    ],
    "bug 1.1": [
        (
            line_loop(lr=0.05, iterations=101, loss=HALF_SQUARED).replace(
                "loss.backward()", "loss.backward()\n        w.grad.zero_(), b.grad.zero_()"
            ),
            "after they were used",
        ),
        (line_loop(lr=0.6, iterations=101, loss=HALF_SQUARED), "honestly too high"),
        (line_loop(lr=0.1, iterations=101, loss=HALF_SQUARED), "as wide as the lesson's"),
        (line_loop(lr=0.05, iterations=101, loss=HALF_SQUARED, returned="w.item(), b.item()"), "w, b and the list"),
    ],
    "bug 1.2": [
        (line_loop(name="train_line", lr=0.01), "still gets the average"),
        (
            line_loop(name="train_line", loss="((w * x + b - y.unsqueeze(1)) ** 2).sum()", lr=0.001, iterations=2000),
            "keep the mean",
        ),
        (line_loop(name="train_line", loss="((w * x + b - y.unsqueeze(1)) ** 2).mean()", lr=0.01), "keep the rate"),
    ],
    "bug 1.3": [
        (CLOUD_LOOP.format(measure="pass"), "accuracy of every iteration"),
        (CLOUD_LOOP.format(measure="accuracies.append(1.0)"), "with all weights zero"),
        (
            CLOUD_LOOP.format(measure="accuracies.append((p.detach() == labels).float().mean().item())"),
            "cut the probability",
        ),
        (
            CLOUD_LOOP.format(
                measure="with torch.no_grad():\n            accuracies.append((p.round_() == labels).float().mean().item())"
            ),
            "RuntimeError",
        ),
    ],
}
