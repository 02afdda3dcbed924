"""Mistakes that readers make in exercises 6.6 to 6.8 and in bugs 6.2 and 6.3."""

FILE = """
def through_a_file(net, fresh, path):
    for parameter in {walk}:
        {fill}
    torch.save({what}, {where})
    {load}
    return {returned}
"""


def file(
    walk="net.parameters()",
    fill="nn.init.constant_(parameter, 0.123)",
    what="net.state_dict()",
    where="path",
    load="fresh.load_state_dict(torch.load(path))",
    returned="fresh",
):
    return FILE.format(**locals())


FITS = """
def load_what_fits(net, state):
    own = net.state_dict()
    renamed = {{{name}: value for name, value in state.items()}}
    fitting = {{name: value for name, value in renamed.items() if {condition}}}
    net.load_state_dict(fitting, strict=False)
    return {answer}
"""


def fits(
    name='name.removeprefix("module.")',
    condition="name in own and value.shape == own[name].shape",
    answer="sorted(set(own) - set(fitting))",
):
    return FITS.format(**locals())


FROZEN = """
class OnFrozenBody(nn.Module):
    def __init__(self, body, head):
        super().__init__()
        self.body, self.head = {parts}
        {start}

    def train(self, mode=True):
        {train}

    def forward(self, x):
        return {forward}
"""
GOOD_TRAIN = """super().train(mode)
        self.body.eval()
        return self"""


def frozen(
    parts="body.requires_grad_(False), head", start="self.train()", train=GOOD_TRAIN, forward="self.head(self.body(x))"
):
    return FROZEN.format(**locals())


FIT = """
def fit(net, train, valid, epochs):
    optimizer = torch.optim.Adam(net.parameters(), lr={rate})
    seen, lowest, best = [], {lowest}, None
    for _ in range(epochs):
        net.train()
        optimizer.zero_grad()
        F.mse_loss(net(train[0]), train[1]).backward()
        optimizer.step()
        net.eval()
        with torch.no_grad():
            seen.append(F.mse_loss(net(valid[0]), valid[1]).item())
        if {better}:
            lowest, best = seen[-1], {keep}
        {more}
    net.load_state_dict(best, strict=False)
    return net, seen
"""


def fit(
    rate="0.02", lowest="math.inf", better="seen[-1] < lowest", keep="copy.deepcopy(net.state_dict())", more="pass"
):
    return FIT.format(**locals())


RESUME = """
def save(path, epoch, model, optimizer, scheduler):
    torch.save({{"epoch": epoch, "m": model.state_dict(), "o": {o}, "s": {s}}}, path)


def resume(path, model, optimizer, scheduler):
    checkpoint = torch.load(path)
    {model}
    {optimizer}
    {scheduler}
    return {start}
"""


def resume(
    o="optimizer.state_dict()",
    s="scheduler.state_dict()",
    model='model.load_state_dict(checkpoint["m"])',
    optimizer='optimizer.load_state_dict(checkpoint["o"])',
    scheduler='scheduler.load_state_dict(checkpoint["s"])',
    start='checkpoint["epoch"] + 1',
):
    return RESUME.format(**locals())


WRONG = {
    "6.6": [
        (file(walk="net.state_dict().values()", fill="parameter.fill_(0.123)"), "only parameters are filled"),
        (file(walk="[net[0].weight]"), "does not hold 0.123 everywhere"),
        (file(fill="parameter.fill_(0.123)"), "a leaf Variable that requires grad"),
        (file(what="net", load="fresh.load_state_dict(net.state_dict())"), "the whole net?"),
        (file(where='str(path) + ".pth"', load="fresh.load_state_dict(net.state_dict())"), "no file at path"),
        (file(what="dict(net.named_parameters())", load="fresh.load_state_dict(net.state_dict())"), "the file lacks"),
        (file(load="[nn.init.constant_(p, 0.123) for p in fresh.parameters()]"), "filled by hand"),
        (file(load="pass"), "was the file loaded into fresh?"),
        (file(load="fresh.load_state_dict(net.state_dict())"), "nobody read the file"),
        (file(returned="fresh.requires_grad_(False)"), "no longer requires a gradient"),
        (
            file(
                what="{n: v.tolist() for n, v in net.state_dict().items()}",
                load="fresh.load_state_dict(net.state_dict())",
            ),
            "in the file should be a Tensor",
        ),
        (file(returned="net"), "you returned net itself"),
        (
            file(load="fresh.load_state_dict(torch.load(path), assign=True)", returned="copy.deepcopy(fresh)"),
            "in place",
        ),
    ],
    "6.7": [
        (fits(name="name"), "take away the prefix first"),
        (fits(name='name.replace("module.", "")'), "at the beginning only"),
        (fits(name='name.lstrip("module.")'), "takes letters away"),
        (fits(answer="net.load_state_dict(fitting, strict=False)"), "should hold names"),
        (fits(answer="sorted(n for n, _ in net.named_parameters() if n not in fitting)"), "running_mean is not in"),
        (fits(answer="2 * sorted(set(own) - set(fitting))"), "more than once"),
        (fits(condition="name in own"), "stopped in line 5"),
        (fits(answer="sorted(fitting)"), "was loaded"),
        (fits(condition="False"), "net did not get its values"),
        (fits(answer="sorted(set(own) - set(renamed))"), "entries of another shape"),
        (fits(answer="sorted(set(renamed) - set(fitting))"), "it is no name in net.state_dict()"),
        (fits(answer="sorted(set(own) - set(fitting), reverse=True)"), "not sorted"),
        (fits(answer="sorted(set(own) - set(fitting) | {state.popitem()[0]})"), "state was changed"),
    ],
    "6.8": [
        (frozen(start="self.body.eval()", train="return super().train(mode)"), "after train(True) the body"),
        (frozen(start="pass"), "right after it was made"),
        (frozen(parts="body, head"), "still requires a gradient"),
        (frozen(train="super().train(mode); self.body.eval()"), "train() should return self"),
        (frozen(train="self.body.eval(); self.training = mode; return self"), "call super().train(mode)"),
        (frozen(parts="copy.deepcopy(body).requires_grad_(False), head"), "themselves and no copies"),
        (frozen(forward="self.body(x)"), "has shape (16, 4)"),
        (frozen(forward="self.head(self.body(x)).detach()"), "carry no gradient"),
        (frozen(start="self.train(); self.requires_grad_(False)"), "the head lost its gradients"),
        (frozen(forward="print(end='')"), "forward() returns nothing"),
        (frozen(forward="self.head(self.body(x)).detach().requires_grad_()"), "the head did not learn"),
        ("OnFrozenBody = nn.Sequential(nn.Linear(2, 2))", "takes your class itself"),
    ],
    "bug 6.2": [
        (fit(keep="{n: p.detach().clone() for n, p in net.named_parameters()}"), "the buffers are not"),
        (fit(better="best is None"), "the network is that of epoch 0"),
        (fit(rate="0.002"), "leave the training as it was"),
        (fit(more="if seen[-1] > lowest: break"), "cut short"),
        (fit().replace("return net, seen", "return net, lowest"), "the list of validation losses, but it is a float"),
        (fit().replace("return net, seen", "return nn.Sequential(net), seen"), "other parts"),
        (fit().replace("return net, seen", "return net.float(), seen"), "of no epoch at all"),
    ],
    "bug 6.3": [
        (resume(scheduler='scheduler.last_epoch = checkpoint["epoch"] + 1'), "right for StepLR(6), but with"),
        (resume(s="scheduler", scheduler="pass"), "Weights only load failed"),
        (resume(scheduler="pass"), "the drop does not come"),
        (resume(model="pass"), "are not those that were saved"),
        (
            resume(optimizer='optimizer.param_groups[0]["lr"] = checkpoint["o"]["param_groups"][0]["lr"]'),
            "did the momentum come back?",
        ),
        (resume(o="{}"), "KeyError"),
        (resume(scheduler="scheduler.__dict__.clear()"), "the scheduler stopped with"),
        (resume().replace("}, path)", '}, "run.pt")').replace("load(path)", 'load("run.pt")'), "no file at path"),
        (resume(start='checkpoint["epoch"]'), "resume() should return 5"),
    ],
}
