"""Mistakes that readers make in exercises 5.10 to 5.12 and in bug 5.3."""

CLIP = """
def clip_by_hooks(net, limit):
    def clip(grad):
        {body}

    return [parameter.register_hook(clip) for parameter in net.parameters()]
"""

BEFORE = """
def before_and_after(net, pictures):
    kept = []

    def keep(module, args, output):
        kept.append({keep})

    {first}
    with net.features[0].register_forward_hook(keep), net.features[1].register_forward_hook(keep):
        {run}
    return {answer}
"""


def before(keep="output.detach().clone()", first="pass", run="net(pictures)", answer="kept[0], kept[1]"):
    return BEFORE.format(**locals())


FIRST = """
def first_bad(net, x):
    bad, handles = [], []
    for name, module in net.named_modules():
        {skip}

        def note(module, args, output{bound}):
            if {test}:
                bad.append(name)

        handles.append(module.register_forward_hook(note))
    net(x)
    {end}
    return {answer}
"""


def first(
    skip="pass",
    bound=", name=name",
    test="not output.isfinite().all()",
    end="for handle in handles: handle.remove()",
    answer='bad[0] if bad else "finite"',
):
    return FIRST.format(**locals())


BY_NAMES = """
def first_bad(net, x):
    outputs, handles = {}, []
    for name, module in net.named_modules():
        hook = lambda module, args, output, name=name: outputs.update({name: output})
        handles.append(module.register_forward_hook(hook))
    net(x)
    for handle in handles:
        handle.remove()
    for name, module in net.named_modules():
        if not list(module.children()) and name in outputs and not outputs[name].isfinite().all():
            return name
    return "finite"
"""

AT_THE_END = """
def first_bad(net, x):
    if net(x).isfinite().all():
        return "finite"
    bad, handles = [], []
    for name, module in net.named_modules():
        hook = lambda module, args, output, name=name: None if output.isfinite().all() else bad.append(name)
        handles.append(module.register_forward_hook(hook))
    net(x)
    for handle in handles:
        handle.remove()
    return bad[0]
"""

WATCH = """
def watch(net, pictures, rounds):
    kept, means, copies, handles = [], [], [], []
    {before}
    for _ in range(rounds):
        kept.clear()
        {start}
        net(pictures)
        means.append({mean})
        copies.append({count})
        {end}
    {after}
    return means, copies
"""
HANG = "handles.append(net[1].register_forward_hook(lambda module, args, output: kept.append(output.detach().clone())))"
REMOVE = "[handle.remove() for handle in handles]"


def watch(before="pass", start="pass", mean="kept[0].mean().item()", count="len(kept)", end="pass", after="pass"):
    return WATCH.format(**locals())


WRONG = {
    "5.10": [
        (CLIP.format(body="grad * (limit / grad.norm()).clamp(max=1)"), "does your hook return its result"),
        (CLIP.format(body="return grad.clamp(-limit, limit)"), "clipped each number by itself"),
        (CLIP.format(body="return grad * (limit / grad.norm())"), "zeros became nan"),
        (CLIP.format(body="return grad * (limit / (grad.norm() + 1e-12))"), "were made longer"),
        (CLIP.format(body="return grad.mul_((limit / grad.norm()).clamp(max=1))"), "wrote into the gradient"),
        (CLIP.format(body="return grad * (1 / grad.norm()).clamp(max=1)"), "came out with 1, expected"),
        (CLIP.format(body="return grad / 0"), "without it all of them are finite"),
        (
            CLIP.format(body="net.eval(); return grad * (limit / grad.norm()).clamp(max=1)"),
            "or another mode",
        ),
        (
            """
def clip_by_hooks(net, limit):
    def clip(grad):
        return grad * (limit / grad.norm()).clamp(max=1)

    return [net[0].weight.register_hook(clip)]
""",
            "you return 1 handle(s)",
        ),
        (
            """
def clip_by_hooks(net, limit):
    torch.nn.utils.clip_grad_norm_(net.parameters(), limit)
    return [lambda grad: grad for _ in net.parameters()]
""",
            "entries without remove()",
        ),
        (
            """
def clip_by_hooks(net, limit):
    def clip(grad):
        return grad * (limit / grad.norm()).clamp(max=1)

    for parameter in net.parameters():
        parameter.register_hook(clip)
    return [parameter.register_hook(clip) for parameter in net.parameters()]
""",
            "after remove() on all your handles",
        ),
        (
            CLIP.format(body="return grad * (limit / parameter.grad.norm()).clamp(max=1)"),
            "name 'parameter' is not defined",
        ),
    ],
    "5.11": [
        (before(keep="output.detach()"), "both maps are the ReLU's"),
        (before(keep="output.clone()"), "still carries its graph"),
        (before(answer="kept[1], kept[0]"), "the wrong way round"),
        (before(first="net.features[1].inplace = False"), "you changed inplace"),
        (before(first="net.eval()"), "its mode alone"),
        (before(run="net.features(pictures)"), "net(pictures) ran 0 times"),
        (before(answer="kept[0], kept[0]"), "both maps are the convolution's"),
        (before(answer="kept[0]"), "return two tensors"),
        (before(keep="output.detach().double()"), "expected torch.float32"),
        (before(first="pictures.sub_(1)"), "changed the pictures"),
        (before(first="net.requires_grad_(False)"), "so it cannot train"),
        (before(run="net.eval(); net(pictures); net.train()"), "in evaluation mode and is in training mode now"),
        (
            before(
                first="net.features[1].inplace, was = False, net.features[1].inplace", keep="output.detach()"
            ).replace("return", "net.features[1].inplace = was; return"),
            "what you switched stays so",
        ),
        (
            """
def before_and_after(net, pictures):
    net(pictures)
    convolved = net.features[0](pictures).detach()
    return convolved, convolved.relu()
""",
            "net.features[0] ran 2 times",
        ),
        (
            """
def before_and_after(net, pictures):
    kept = []
    keep = lambda module, args, output: kept.append(output.detach().clone())
    net.features[0].register_forward_hook(keep)
    net.features[1].register_forward_hook(keep)
    net(pictures)
    return kept[0], kept[1]
""",
            "2 hook(s) still wait",
        ),
        (
            """
def before_and_after(net, pictures):
    kept = []
    keep = lambda module, args, output: kept.append(output.detach().clone())
    handles = [net.features[place].register_forward_hook(keep) for place in (0, 1)]
    net(pictures)
    for handle in handles:
        handle.remove()
    return kept[0], kept[1]
""",
            "stops with an error, 2 hook(s) stay behind",
        ),
    ],
    "5.12": [
        (first(bound=""), "did all hooks see the same name"),
        (first(test="output.isnan().any()"), "had put out inf before"),
        (first(end="pass"), "still wait in the network"),
        (first(answer='bad[-1] if bad else "finite"'), "you name the whole network"),
        (first(skip="if list(module.children()): continue"), "expected 'block'"),
        (BY_NAMES, "go by the order of the calls"),
        (AT_THE_END, "turns nan into numbers again"),
        (first(answer="bad[0]"), "your function stopped"),
        (first(answer='"2"'), "'2' is no name in net.named_modules()"),
        (first(answer="bad"), "should be a str"),
        (first(answer="bad[0] if bad else None"), "in which all is finite you return nothing"),
        (first(end="[module._forward_hooks.clear() for module in net.modules()]"), "others had hung up"),
    ],
    "bug 5.3": [
        (watch(before=HANG), "1 hook of yours still waits"),
        (watch(start=HANG, after=REMOVE), "in the end all hooks are gone"),
        (watch(start=HANG, after="net[1]._forward_hooks.clear()"), "others had hung up"),
        (watch(start=HANG, end="handles.pop().remove()", count="len(handles) + 3"), "the numbers of copies are"),
        (watch(before=HANG, after=REMOVE, mean="kept[0].max().item()"), "on average"),
        (watch(before=HANG, start="net.eval()", after=REMOVE), "in evaluation mode after watch()"),
        (watch(before=HANG, after=REMOVE).replace("return means, copies", "return means"), "two lists as before"),
    ],
}
