"""Mistakes that readers make in exercises 4.9 to 4.12 and in bugs 4.5 and 4.6."""

RATE = """
def breaking_rate(A):
    return {rate}
"""

GROUPS = """
def three_groups(net):
    optimizer = torch.optim.SGD(net[0].parameters(), lr=0.01, momentum=0.9)
    {second}
    {third}
    return optimizer
"""
SECOND = 'optimizer.add_param_group({"params": net[2].parameters(), "lr": 0.02, "momentum": 0.8})'
THIRD = 'optimizer.add_param_group({"params": net[4].parameters(), "lr": 0.03, "momentum": 0.7})'


def groups(second=SECOND, third=THIRD):
    return GROUPS.format(second=second, third=third)


STEPS = {
    "SGD": "10.0",
    "SGD, momentum 0.9": "10.0",
    "SGD, momentum 0.9, nesterov": "19.0",
    "Adagrad": "0.1",
    "RMSprop": "1.0",
    "Adam": "0.1",
    "Adamax": "0.1",
    "RAdam": "10.0",
}


def steps(**changed):
    entries = STEPS | {name.replace("_", ", "): value for name, value in changed.items()}
    return "first_step = {" + ", ".join(f"{name!r}: {value}" for name, value in entries.items()) + "}"


LION = """
class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=0.001, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {{"lr": lr, "betas": betas, "weight_decay": weight_decay}})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, (beta1, beta2) = {settings}["lr"], group["betas"]
            for p in group["params"]:
                {skip}
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                {before}
                u = {u}
                {update}
                {memory}
"""


def lion(
    settings="group",
    skip="if p.grad is None: continue",
    before="pass",
    u="(beta1 * m + (1 - beta1) * p.grad).sign()",
    update='p.mul_(1 - lr * group["weight_decay"]).sub_(lr * u)',
    memory="m.mul_(beta2).add_(p.grad, alpha=1 - beta2)",
):
    return LION.format(**locals())


TUNE = """
def fine_tune(images, labels):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 2)).double()
    net[0].requires_grad_({features})
    net[2] = nn.Linear(64, 10).double()
    {after}
    losses = []
    for _ in range({rounds}):
        chosen = torch.randperm(len(images))[:50]
        loss = F.cross_entropy(net(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return net, optimizer, losses
"""


def tune(features="False", after="pass", rounds="60"):
    return TUNE.format(**locals())


MAKE = """
def make_optimizer(net):
    matrices = [p for p in net.parameters() if p.ndim >= 2]
    others = [p for p in net.parameters() if p.ndim < 2]
    return torch.optim.SGD({groups}, lr=0.02, momentum=0.9, weight_decay={decay})
"""


def make(groups='[{"params": matrices}, {"params": others, "weight_decay": 0.0}]', decay="0.1"):
    return MAKE.format(**locals())


BIASES_ONLY = """
def make_optimizer(net):
    biases = [p for name, p in net.named_parameters() if "bias" in name]
    others = [p for name, p in net.named_parameters() if "bias" not in name]
    groups = [{"params": others}, {"params": biases, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.02, momentum=0.9, weight_decay=0.1)
"""

WRONG = {
    "4.9": [
        (RATE.format(rate="1 / torch.linalg.eigvalsh(A)[-1].item()"), "lands on 0 in one step"),
        (RATE.format(rate="2 / torch.linalg.eigvalsh(A)[0].item()"), "the flattest axis"),
        (RATE.format(rate="2 / A.diagonal().max().item()"), "along the axes"),
        (RATE.format(rate="2 / A.trace()"), "you added all curvatures up"),
        (RATE.format(rate="2 / torch.linalg.eigvalsh(A)"), "one rate serves all axes"),
        (RATE.format(rate="0.01"), "still comes down"),
        (RATE.format(rate="3.0"), "already flies off"),
        (RATE.format(rate="2 / torch.linalg.eigvals(B)[0]"), "name 'B' is not defined"),
    ],
    "4.10": [
        (groups(third="pass"), "the optimizer has 2 group(s)"),
        (groups(SECOND.replace('"lr": 0.02, ', "")), "group 1 has lr 0.01"),
        (groups(third=THIRD.replace(', "momentum": 0.7', "")), "group 2 has momentum 0.9"),
        (groups(THIRD, SECOND), "in another order"),
        (groups(third=THIRD.replace("net[4].parameters()", "net[4].weight")), "4.bias is in no group"),
        (groups(third=THIRD.replace("0.03", "0.3")), "expected 0.03"),
    ],
    "4.11": [
        (steps(SGD="-10.0"), "asked is the length"),
        (steps(**{"SGD, momentum 0.9": "1.0"}), "starts with the whole gradient"),
        (steps(**{"SGD, momentum 0.9, nesterov": "10.0"}), "and 0.9 of the buffer"),
        (steps(Adagrad="10.0"), "the sum holds one squared gradient"),
        (steps(RMSprop="0.1"), "nothing corrects that"),
        (steps(Adam="10.0"), "after the correction"),
        (steps(RAdam="0.1"), "does not dare to divide"),
        (steps(RAdam="..."), "RAdam is still missing"),
    ],
    "4.12": [
        (lion(u="beta1 * m + (1 - beta1) * p.grad"), "where is the sign?"),
        (lion(update="p.add_(lr * u)"), "up the gradient"),
        (lion(before="m.mul_(beta2).add_(p.grad, alpha=1 - beta2)", u="m.sign()", memory="pass"), "the old m, mixed"),
        (lion(u="p.grad.sign()"), "alone; m never enters"),
        (lion(memory="m.mul_(beta1).add_(p.grad, alpha=1 - beta1)"), "a factor of its own, beta2"),
        (lion(update="p.sub_(lr * u)"), "weight_decay does nothing"),
        (lion(update='p.mul_(1 - group["weight_decay"]).sub_(lr * u)'), "decay too fast"),
        (
            lion(
                u='(beta1 * m + (1 - beta1) * p.grad + group["weight_decay"] * p).sign()',
                update="p.sub_(lr * u)",
            ),
            "where the sign swallows it",
        ),
        (lion(skip="pass"), "your step() stopped with"),
        (lion(skip="if p.grad is None: p.grad = torch.ones_like(p)"), "without a gradient was moved"),
        (lion(settings="self.defaults"), "read lr from the group"),
        (
            lion(update="m.mul_(beta2).add_(p.grad, alpha=1 - beta2); p = p - lr * u", memory="pass"),
            "moves nothing",
        ),
        (lion(before="p.grad.mul_(1.0001)"), "changed the gradient"),
    ],
    "bug 4.5": [
        (tune("True", after="optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)"), "stay frozen"),
        (
            tune(after="optimizer = torch.optim.SGD(net[0].parameters(), lr=0.3, momentum=0.9)"),
            "the last layer is not among them",
        ),
        (
            tune(after="optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9)", rounds="1"),
            "hardly falls",
        ),
    ],
    "bug 4.6": [
        (make("net.parameters()", "0.0"), "nothing decays any more"),
        (BIASES_ONLY, "the gain of a normalisation layer still decays"),
        (make("matrices"), "is in no group"),
        (make('[{"params": matrices, "weight_decay": 0.0}, {"params": others}]'), "the wrong way round"),
        (make(decay="0.01"), "decay with 0.01"),
    ],
}
