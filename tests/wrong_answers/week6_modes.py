"""Mistakes that readers make in exercises 6.1 to 6.5 and in bug 6.1."""

HEAD = """
def only_head(net):
    {first}
    {second}
    {third}
    {fourth}
    return {returned}
"""


def head(
    first="net.train()",
    second="net.body.eval()",
    third="net.body.requires_grad_(False)",
    fourth="net.head.requires_grad_(True)",
    returned="list(net.head.parameters())",
):
    return HEAD.format(**locals())


LINE = "grad = grad.add(param, alpha=weight_decay)"
STEPS = """
line = {line!r}


def two_steps(w, g1, g2, lr, momentum, decay):
    {body}
    return {returned}
"""
BUFFER = "buffer = g1 + decay * w; w = w - lr * buffer; buffer = momentum * buffer + g2 + decay * w"


def steps(line=LINE, body=BUFFER, returned="w - lr * buffer"):
    return STEPS.format(**locals())


DROP = """
def drop_out(x, p, training):
    if not training:
        return {evaluation}
    if p == 1:
        return x * 0
    keep = {keep}
    return {returned}
"""


def drop(evaluation="x", keep="torch.rand_like(x) >= p", returned="x * keep / (1 - p)"):
    return DROP.format(**locals())


NO_END = """
def drop_out(x, p, training):
    keep = torch.rand_like(x) >= p
    return x * keep / (1 - p) if training else x
"""
IN_PLACE = """
def drop_out(x, p, training):
    if training:
        x[torch.rand_like(x) < p] = 0
        x /= 1 - p
    return x
"""
SEEDED = """
def drop_out(x, p, training):
    torch.manual_seed(0)
    keep = torch.rand_like(x) >= p
    return x * keep / (1 - p) if training and p < 1 else x * (not training)
"""

FOUR = """
four = {{
    "measured, subtracted in evaluation": {a!r},
    "measured, its root divides in evaluation": {b!r},
    "learnt, multiplied": {c!r},
    "learnt, added": {d!r},
}}


def normalise_batch(x, norm):
    mean, var = norm.running_mean, norm.running_var
    if {when}:
        mean, var, m = x.mean(dim=0), x.var(dim=0, correction={correction}), norm.momentum
        with {context}:
            {memory}
    return {returned}
"""
MEMORY = "norm.running_mean.mul_(1 - m).add_(m * mean); norm.running_var.mul_(1 - m).add_(m * x.var(dim=0))"


def four(
    a="running_mean",
    b="running_var",
    c="weight",
    d="bias",
    when="norm.training",
    correction="0",
    context="torch.no_grad()",
    memory=MEMORY,
    returned="norm.weight * (x - mean) / (var + norm.eps).sqrt() + norm.bias",
):
    return FOUR.format(**locals())


GROUPS = """
operations = {{"subtract": {a!r}, "divide by": {b!r}, "multiply by": {c!r}, "add": {d!r}}}


def normalise_groups(x, groups, gamma, beta):
    parts = x.reshape({shape})
    mean = parts.mean(dim={dim}, keepdim=True)
    var = parts.var(dim={dim}, keepdim=True, correction={correction})
    normed = ({normed}).reshape(x.shape)
    return {returned}
"""


def groups(
    a="mean",
    b="std",
    c="gamma",
    d="beta",
    shape="len(x), groups, -1",
    dim="2",
    correction="0",
    normed="(parts - mean) / (var + 1e-5).sqrt()",
    returned="normed * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)",
):
    return GROUPS.format(**locals())


ACCURACY = """
def accuracy(net, inputs, targets, batch_size):
    right = 0
    {before}
    with {context}:
        for part in torch.arange(len(inputs)).split({size}):
            logits = net(inputs[part])
            right += (logits.argmax(dim=1) == targets[part]).sum().item()
    {after}
    return {returned}
"""


def accuracy(
    before="pass",
    context="evaluating(net), torch.no_grad()",
    size="batch_size",
    after="pass",
    returned="right / len(inputs)",
):
    return ACCURACY.format(**locals())


WRONG = {
    "6.1": [
        (
            head(second="[m.eval() for m in net.body.modules() if 'Norm' in type(m).__name__]"),
            "its dropout is still active",
        ),
        (head(first="net.body.eval()", second="net.train()"), "body.1.running_mean has moved"),
        (head(third="pass"), "still has requires_grad"),
        (head(first="net.eval()", second="pass"), "of the head is in evaluation mode"),
        (head(fourth="pass"), "cannot learn"),
        (head(returned="list(net.parameters())"), "the head alone should be learnt"),
        (head(returned="list(net.head.named_parameters())"), "pairs of name and parameter"),
        (head(returned="net.head[0]"), "list of parameters"),
        (head(returned="[net.head[-1].weight]"), "is not in the list"),
        (head(returned='[{"params": list(net.head.parameters())}]'), "parameter groups"),
        (head(returned="[net.head]"), "one of its entries is a Sequential"),
        (head(first="net.body = nn.Identity(); net.train()"), "another body or head"),
        (
            head(
                first="net.train(); norms = [m for m in net.body.modules() if 'Norm' in type(m).__name__]",
                second="[m.eval() for m in net.body.modules() if isinstance(m, nn.Dropout)]; "
                "[setattr(m, 'track_running_stats', False) for m in norms]",
            ),
            "depends on its batch",
        ),
        (head(first="torch.set_grad_enabled(False); net.train()"), "no graph is recorded any more"),
    ],
    "6.2": [
        (steps(line="d_p.add_(weight_decay, p.data)"), "the line of the old course"),
        (steps(line="if weight_decay != 0:"), "only asks about the decay"),
        (steps(line='weight_decay=group["weight_decay"],'), "takes or hands on the number"),
        (steps(line="grad = grad + weight_decay * param"), "not in the source"),
        (
            steps(body=BUFFER.replace("g1 + decay * w", "g1").replace("g2 + decay * w", "g2")),
            "decay has no effect",
        ),
        (
            steps(
                body="k = 1 - lr * decay; b = g1; w = k * w - lr * b; b = momentum * b + g2",
                returned="k * w - lr * b",
            ),
            "beside the step in yours",
        ),
        (
            steps(body="start = w; " + BUFFER.replace("g2 + decay * w", "g2 + decay * start")),
            "takes the weight of the start",
        ),
        (steps(body=BUFFER.replace("momentum * buffer + ", "")), "momentum has no effect"),
        (
            steps(body=BUFFER.replace("g1 + decay", "g1 - decay").replace("g2 + decay", "g2 - decay")),
            "makes the weight larger",
        ),
        (steps(body="buffer = g1 + decay * w"), "the weight after one step"),
        (steps(line="alpha=weight_decay"), "only a part of a line"),
        (steps(returned="w + lr * buffer", body=BUFFER.replace("w - lr", "w + lr")), "goes uphill"),
        (
            steps(body="w = w - lr * g1 - decay * w; b = momentum * g1 + g2", returned="w - lr * b - decay * w"),
            "not multiplied by lr",
        ),
        (
            steps(
                body="p = nn.Parameter(torch.tensor([w]))\n"
                "    o = torch.optim.SGD([p], lr=lr, momentum=momentum, weight_decay=decay)\n"
                "    for g in (g1, g2): p.grad = torch.tensor([g]); o.step()",
                returned="p.item()",
            ),
            "torch's own optimizer",
        ),
        (steps(body="buffer = 1", returned="float('nan')"), "gives nan"),
    ],
    "6.3": [
        (drop(keep="torch.rand_like(x) < p"), "not of keeping"),
        (drop(returned="x * keep"), "keeps its size"),
        (drop(returned="x * keep * (1 - p)"), "it is divided by it"),
        (drop(returned="x * keep / p"), "expected 1/(1 - p)"),
        (drop(evaluation="x * (1 - p)"), "the scaling was done in training"),
        (drop(evaluation="x * (torch.rand_like(x) >= p)"), "numbers are still dropped"),
        (drop(keep="torch.rand(x.shape[-1]) >= p"), "whole columns are dropped"),
        (NO_END, "there you divide by 0"),
        (IN_PLACE, "x itself was changed"),
        (SEEDED, "drop the same numbers"),
        (drop(returned="(x * keep / (1 - p)).detach()"), "no gradient can come back"),
        (drop(returned="F.dropout(x, p)"), "torch's own dropout"),
        (
            drop(keep="(torch.randperm(x.numel()) >= int(p * x.numel())).view(x.shape)"),
            "exactly as many are dropped",
        ),
        (drop(returned="(x * keep / (1 - p)).float()"), "keep the type of x"),
        (drop(keep="torch.rand_like(x) >= 0.5", returned="x * keep * 2"), "expected about 0.1"),
    ],
    "6.4": [
        (four(a="weight"), "parameters are learnt, buffers are measured"),
        (four(c="bias", d="weight"), "the other part in the formula"),
        (four(b="running_std"), "among its four"),
        (four(correction="1"), "the one with 1/n"),
        (four(when="not norm.training"), "of the other mode"),
        (four(when="True"), "there the memory is only read"),
        (
            four(when="True", memory=f"if norm.training: {MEMORY}"),
            "in evaluation mode you take",
        ),
        (four(memory="pass"), "running_mean should be updated"),
        (four(memory=MEMORY.replace("x.var(dim=0)", "var")), "1/(n - 1)"),
        (
            four(memory="norm.running_mean.mul_(m).add_((1 - m) * mean); norm.running_var.mul_(m)"),
            "the share of the new batch",
        ),
        (
            four(
                context="torch.enable_grad()",
            ),
            "carries a graph",
        ),
        (four(memory=MEMORY + "; mean, var = mean.detach(), var.detach()"), "not the gradient of x"),
        (
            four(returned="norm.weight.data * (x - mean) / (var + norm.eps).sqrt() + norm.bias"),
            "norm.weight gets no gradient",
        ),
        (four(memory="norm.running_mean = mean.detach().float(); norm.running_var = var"), "is no tensor of"),
        (four(memory=MEMORY + "; norm.eval()"), "the mode of norm was changed"),
        (
            four().replace("x.mean(dim=0), x.var(dim=0, correction=0)", "x.mean(), x.var(correction=0)"),
            "one number for the whole batch",
        ),
        (
            four(
                memory="norm.running_mean.mul_(0.9).add_(0.1 * mean); "
                "norm.running_var.mul_(0.9).add_(0.1 * x.var(dim=0))"
            ),
            "moves by a tenth",
        ),
        (four(returned="(x - mean) / (var + norm.eps).sqrt()"), "gamma and beta are missing"),
        (four(returned="norm.weight * (x - mean) / (var + 1e-5).sqrt() + norm.bias"), "a number of norm's"),
        (four(returned="norm.weight * (x - mean) / (var + norm.eps) + norm.bias"), "not by the variance"),
        (four(returned="norm(x)"), "norm is not to be called"),
        (four(returned="(norm.weight * (x - mean) / (var + norm.eps).sqrt() + norm.bias).detach()"), "has no graph"),
    ],
    "6.5": [
        (groups(a="beta", d="mean"), "First the batch is brought to mean 0"),
        (groups(b="variance"), "none of the four words"),
        (groups(shape="len(x), x.shape[1], -1"), "over every channel of its own"),
        (groups(shape="len(x), 1, -1"), "has no effect"),
        (groups(correction="1"), "the one with 1/n"),
        (groups(returned="normed"), "gamma and beta are missing"),
        (groups(normed="(parts - mean) / (var + 1e-5)"), "the root of the variance"),
        (groups(normed="(parts - mean) / var.sqrt()"), "eps is missing"),
        (groups(normed="parts * float('nan')"), "nan or inf"),
        (groups(shape="len(x), -1, groups", dim="1"), "are not those of group normalisation"),
        (groups(returned="normed * gamma + beta"), "stopped in line"),
        (groups(dim="(0, 2)"), "over all samples of a group"),
        (groups(normed="(parts - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()"), "one mean for the whole of x"),
        (groups(returned="x"), "x comes back as it was"),
        (groups(normed="parts.sub_(mean) / (var + 1e-5).sqrt()"), "x itself was changed"),
        (groups(returned="F.group_norm(x, groups, gamma, beta)"), "torch's own normalisation"),
    ],
    "bug 6.1": [
        (accuracy(context="evaluating(net)"), "now a graph is recorded"),
        (accuracy(before="net.eval()", context="torch.no_grad()"), "goes in another"),
        (accuracy(before="net.eval()", context="torch.no_grad()", after="net.train()"), "came in eval mode"),
        (accuracy(context="evaluating(net[1]), torch.no_grad()"), "with dropout off"),
        (accuracy(returned="100 * right / len(inputs)"), "in percent"),
        (accuracy(size="len(inputs)"), "went through the network at once"),
        (
            accuracy(before="was = net.training; net.eval()", context="torch.no_grad()", after="net.train(was)"),
            "keep the mode of each",
        ),
        (
            accuracy(returned="right / math.ceil(len(inputs) / batch_size)").replace(".sum()", ".double().mean()"),
            "the mean of the batches' accuracies",
        ),
        (
            accuracy().replace("torch.arange(len(inputs))", "torch.arange(len(inputs) // batch_size * batch_size)"),
            "are left out",
        ),
        (accuracy(before="net.eval(); torch.set_grad_enabled(False)", after="net.train()"), "as a with block"),
    ],
}
