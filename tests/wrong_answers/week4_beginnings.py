"""Wrong answers to exercises 4.1 to 4.4 and bugs 4.1 and 4.2, and words that each one's message must hold."""

CLASSIFIER = """
class Classifier(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.layer = nn.Linear(inputs, 10, dtype=torch.float64)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, x):
        return {output}


def train(pixels, digits, steps=200):
    net, losses = Classifier(pixels.shape[1]), []
    optimizer, criterion = torch.optim.SGD(net.parameters(), lr={rate}), {criterion}
    for _ in range(steps):
        loss = criterion(net(pixels), digits)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return net, losses
"""
KINDS = "isinstance(module, (nn.Linear, nn.Conv2d))"
LETTERS = 'meaning_of = {"none": "B", "sum": "D", "mean": "C"}\n'
EACH = """
    chosen = logits[torch.arange(len(targets)), targets]
    each = weights[targets] * (logits.exp().sum(dim=1).log() - chosen)
"""


def classifier(output: str, criterion: str, rate: float = 0.1) -> str:
    """The program of bug 4.1 with another output, loss or step size."""
    return CLASSIFIER.format(output=output, criterion=criterion, rate=rate)


WRONG = {
    "4.1": [
        (
            "def gain(activation):\n    x = torch.randn(200_000)\n    return (x.std() / activation(x).std()).item()",
            "the ratio of the stds",
        ),
        (
            "def gain(activation):\n    x = torch.randn(200_000)\n"
            "    return (activation(x).square().mean() / x.square().mean()).sqrt().item()",
            "output / input",
        ),
        (
            "def gain(activation):\n    x = torch.randn(200_000)\n"
            "    return (x.square().mean() / activation(x).square().mean()).item()",
            "the weights need its square root",
        ),
        (
            "def gain(activation):\n    x = torch.rand(200_000)\n"
            "    return (x.square().mean() / activation(x).square().mean()).sqrt().item()",
            "input standard normal",
        ),
        (
            "def gain(activation):\n    names = {torch.tanh: 5 / 3, torch.relu: math.sqrt(2)}\n"
            "    return torch.ones(3) * names[activation]",
            "should be one number",
        ),
    ],
    "4.2": [
        (
            "def initialise(net):\n    for module in net.children():\n"
            f"        if {KINDS}:\n"
            "            nn.init.kaiming_normal_(module.weight, nonlinearity='relu')\n"
            "            nn.init.zeros_(module.bias)\n    return net",
            "lies inside another module",
        ),
        (
            "def initialise(net):\n    for module in net.modules():\n"
            f"        if {KINDS}:\n"
            "            nn.init.xavier_normal_(module.weight)\n"
            "            if module.bias is not None:\n                nn.init.zeros_(module.bias)\n    return net",
            "that is Xavier",
        ),
        (
            "def initialise(net):\n    for module in net.modules():\n"
            f"        if {KINDS}:\n"
            "            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')\n"
            "            if module.bias is not None:\n                nn.init.zeros_(module.bias)\n    return net",
            "that is fan_out",
        ),
        (
            "def initialise(net):\n    for module in net.modules():\n"
            f"        if {KINDS}:\n"
            "            nn.init.kaiming_normal_(module.weight, nonlinearity='relu')\n    return net",
            "is not 0 everywhere",
        ),
        (
            "def initialise(net):\n    for module in net.modules():\n"
            f"        if {KINDS}:\n"
            "            nn.init.kaiming_normal_(module.weight, nonlinearity='relu')\n"
            "        if getattr(module, 'bias', None) is not None:\n"
            "            nn.init.zeros_(module.bias)\n    return net",
            "only Linear and Conv2d are meant",
        ),
        (
            "def initialise(net):\n    for module in net.modules():\n"
            f"        if {KINDS}:\n"
            "            nn.init.normal_(module.weight, std=math.sqrt(2 / module.weight.shape[1]))\n"
            "            if module.bias is not None:\n                nn.init.zeros_(module.bias)\n    return net",
            "all of them are its fan_in",
        ),
    ],
    "4.3": [
        (
            "def between(loss_class):\n    return [kind.__name__ for kind in loss_class.__mro__[:-2]]",
            "the class itself stands first",
        ),
        (
            "def between(loss_class):\n    return [kind.__name__ for kind in loss_class.__mro__[1:]]",
            "stop before Module",
        ),
        (
            "def between(loss_class):\n    return [kind.__name__ for kind in loss_class.__mro__[1:-1]]",
            "Module does not lie between",
        ),
        (
            "def between(loss_class):\n    return [kind.__name__ for kind in loss_class.__mro__[-3:0:-1]]",
            "in the wrong order",
        ),
        (
            "def between(loss_class):\n    return ['_WeightedLoss', '_Loss']",
            "read the __mro__ of the class that is given",
        ),
    ],
    "4.4": [
        (
            LETTERS.replace('"C"', '"A"') + "def reduced(logits, targets, weights):" + EACH + "    return {}",
            "by what was it divided there",
        ),
        (
            LETTERS
            + "def reduced(logits, targets, weights):"
            + EACH
            + "    return {'none': each, 'sum': each.sum(), 'mean': each.mean()}",
            "with weights it is the sum of their weights",
        ),
        (
            LETTERS
            + "def reduced(logits, targets, weights):"
            + EACH
            + "    return {'none': each, 'sum': each.sum(), 'mean': each.sum() / weights.sum()}",
            "you divided by the sum over the classes",
        ),
        (
            LETTERS
            + "def reduced(logits, targets, weights):"
            + EACH.replace("weights[targets] * ", "")
            + "    return {'none': each, 'sum': each.sum(), 'mean': each.mean()}",
            "has no weights yet",
        ),
        (
            LETTERS
            + "def reduced(logits, targets, weights):"
            + EACH.replace("logits.exp().sum(dim=1).log() - chosen", "-chosen")
            + "    return {'none': each, 'sum': each.sum(), 'mean': each.sum() / weights[targets].sum()}",
            "only minus the logit",
        ),
    ],
    "bug 4.1": [
        (classifier("torch.softmax(self.layer(x), dim=1)", "nn.NLLLoss()"), "below 0"),
        (classifier("torch.sigmoid(self.layer(x))", "nn.CrossEntropyLoss()"), "it cannot fall below 1.46"),
        (
            classifier("torch.log_softmax(self.layer(x), dim=0)", "nn.NLLLoss()"),
            "along which dimension",
        ),
        (
            classifier("10 * torch.softmax(self.layer(x), dim=1)", "nn.CrossEntropyLoss()"),
            "repair only what the loss is given",
        ),
    ],
    "bug 4.2": [
        (
            "def how_sure(scores):\n    sure, digit = torch.softmax(scores, dim=1).max(dim=0)\n    return digit, sure",
            "has shape (10,)",
        ),
        (
            "def how_sure(scores):\n    sure, digit = scores.max(dim=1)\n    return digit, sure",
            "logits are no probabilities",
        ),
        (
            "def how_sure(scores):\n    sure, digit = torch.sigmoid(scores).max(dim=1)\n    return digit, sure",
            "a sigmoid for each digit",
        ),
        (
            "def how_sure(scores):\n    sure, digit = torch.softmax(scores, dim=1).max(dim=1)\n    return sure, digit",
            "have changed places",
        ),
    ],
}
