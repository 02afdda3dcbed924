"""Mistakes that readers make in exercises 6.14 and 6.15."""

ACCUMULATE = """
def accumulate(net, parts):
    total = sum(len(x) for x, _ in parts)
    {first}
    for x, y in parts:
        loss = F.mse_loss(net(x), y){scale}
        loss.backward()
    return net
"""


def accumulated(first="net.zero_grad()", scale=" * len(x) / total"):
    return ACCUMULATE.format(first=first, scale=scale)


HEALTHY = """
def healthy(net, images, labels, steps):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x = images.flatten(1) / 255
    logits = net(x)
    losses = []
    for _ in range(steps):
        {logits}
        loss = F.cross_entropy(logits, labels{cast})
        optimizer.zero_grad()
        loss.backward({keep})
        optimizer.step()
        losses.append({kept})
    return {returned}
"""


def repaired(logits="logits = net(x)", cast=".long()", keep="", kept="loss.item()", returned="np.array(losses)"):
    return HEALTHY.format(logits=logits, cast=cast, keep=keep, kept=kept, returned=returned)


WRONG = {
    "6.14": [
        (accumulated(first=""), "is still in it"),
        (accumulated(scale=""), "added up"),
        (accumulated(scale=" / len(parts)"), "count alike"),
        (accumulated(scale=" * len(x)"), "summed over all samples"),
        (
            accumulated().replace("    for x, y in parts:", "    for x, y in parts:\n        net.zero_grad()"),
            "zero_grad() once",
        ),
        (
            "def accumulate(net, parts):\n    net.zero_grad()\n"
            "    x, y = (torch.cat(both) for both in zip(*parts))\n    F.mse_loss(net(x), y).backward()\n    return net",
            "one part at a time",
        ),
        (
            accumulated().replace(
                "    return net", "    torch.optim.SGD(net.parameters(), lr=0.1).step()\n    return net"
            ),
            "the weights have changed",
        ),
        (accumulated().replace("return net", "return net.eval()"), "its mode is not yours"),
        (accumulated().replace("return net", "return net.requires_grad_(False)"), "trainable float64"),
        (accumulated().replace("return net", "return net.parameters()"), "should return net itself"),
    ],
    "6.15": [
        (repaired().replace("        optimizer.step()\n", ""), "and so do the weights"),
        (repaired(returned="np.array(losses)[1:]"), "one number for each step"),
        (repaired(returned="np.array(losses, dtype=str)"), "expected numbers"),
        (repaired(cast=""), "expected target dtype"),
        (repaired(logits="pass"), "backward through the graph a second time"),
        (repaired(kept="loss"), "numpy()"),
        (repaired(logits="pass", keep="retain_graph=True"), "stay the same"),
        (repaired(kept="F.cross_entropy(net(x), labels.long()).item()"), "after the steps"),
        (repaired(returned="losses"), "NumPy array"),
        (repaired().replace(" / 255", ".float()"), "divided by 255"),
        (
            repaired().replace("optimizer =", "net = nn.Linear(64, 10)\n    optimizer ="),
            "train this one",
        ),
        (repaired().replace("        optimizer.zero_grad()\n", ""), "zero_grad() in each step"),
    ],
}
