"""Mistakes that readers make in exercises 6.9 to 6.11."""

ONE_CYCLE = """
def one_cycle(optimizer, max_lr, loader, epochs, accumulate):
    steps = {steps}
    return lr_scheduler.OneCycleLR(optimizer, {arguments})
"""


def one_cycle(steps="epochs * math.ceil(len(loader) / accumulate)", arguments="max_lr=max_lr, total_steps=steps"):
    return ONE_CYCLE.format(steps=steps, arguments=arguments)


YOUNG = """
def young_ema(limit):
    def average(averaged, current, n):
        decay = {decay}
        return {result}

    return {returned}
"""


def young(
    decay="min(limit, (1 + n) / (10 + n))",
    result="decay * averaged + (1 - decay) * current",
    returned="average",
):
    return YOUNG.format(decay=decay, result=result, returned=returned)


REFRESH = """
def refresh(model, batches):
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    settings = [(norm.training, norm.momentum) for norm in norms]
    for norm in norms:
        {reset}
        {momentum}
        {mode}
    with torch.no_grad():
        for inputs, _ in batches:
            {batch}
    for norm, (training_mode, momentum) in zip(norms, settings, strict=True):
        {mode_back}
        {momentum_back}
    return {returned}
"""


def refresh(
    reset="norm.reset_running_stats()",
    momentum="norm.momentum = None",
    mode="norm.train()",
    batch="model(inputs)",
    mode_back="norm.train(training_mode)",
    momentum_back="norm.momentum = momentum",
    returned="model",
):
    return REFRESH.format(**locals())


WRONG = {
    "6.9": [
        (one_cycle("epochs * len(loader)"), "it counts batches"),
        (one_cycle("epochs"), "it counts epochs"),
        (one_cycle("epochs * (len(loader) // accumulate)"), "left at the end of an epoch"),
        (one_cycle("math.ceil(epochs * len(loader) / accumulate)"), "round in each epoch"),
        (
            one_cycle("epochs * math.ceil(len(loader.dataset) // loader.batch_size / accumulate)"),
            "smaller batch",
        ),
        (one_cycle("epochs * math.ceil(len(loader) / accumulate) + 1"), "come too late"),
        (one_cycle("epochs * math.ceil(len(loader) / accumulate) - 1"), "one value is missing"),
        (one_cycle(arguments="max_lr=0.1, total_steps=steps"), "hand max_lr on"),
        (one_cycle(arguments="max_lr, total_steps=steps, pct_start=0.5"), "leave all other settings alone"),
        (one_cycle(arguments="max_lr, total_steps=steps, cycle_momentum=False"), "but not the momentum"),
        (one_cycle("math.ceil(len(loader) / accumulate)"), "it would stop with an error"),
    ],
    "6.10": [
        (young(result="decay * current + (1 - decay) * averaged"), "it belongs to the average"),
        (young(decay="max(limit, (1 + n) / (10 + n))"), "the smaller is asked"),
        (young(decay="limit"), "whatever n is"),
        (young(decay="(1 + n) / (10 + n)"), "without the limit"),
        (young(decay="n / (n + 1)"), "the equal mean"),
        (young(result="decay * averaged + current"), "sum to 1"),
        (young(result="current.mul_(1 - decay).add_(decay * averaged)"), "changed `current`"),
        (young(returned="average(0, 0, 0)"), "no () behind average"),
        (young(result="decay"), "of shape"),
        (young(decay="min(limit, (2 + n) / (11 + n))"), "one too large"),
        (young(decay="min(limit, n / (9 + n))"), "one too small"),
        (young(result="current"), "current weights alone"),
        (young(result="averaged"), "never come in"),
        (
            young()
            .replace("def average", "calls = []\n    def average")
            .replace("(1 + n) / (10 + n)", "(1 + len(calls)) / (10 + len(calls))")
            .replace("decay =", "calls.append(n); decay ="),
            "you count the calls",
        ),
    ],
    "6.11": [
        (refresh(mode="norm.eval()"), "never filled"),
        (refresh(reset="pass"), "begin with reset_running_stats()"),
        (refresh(momentum="pass"), "momentum=None makes an average"),
        (refresh(reset="pass", momentum="pass"), "they were not reset"),
        (refresh(reset="pass", momentum="norm.momentum = 1.0"), "only the last batch"),
        (refresh(momentum_back="pass"), "set it back"),
        (refresh(mode_back="pass"), "its own mode back"),
        (refresh(batch="pass", reset="pass"), "the old ones"),
        (refresh(returned="copy.deepcopy(model)"), "another model"),
        (refresh(returned="None"), "returns nothing"),
        (refresh(reset="norm.reset_parameters()"), "weight has changed"),
        (
            "def refresh(model, batches):\n    swa_utils.update_bn(batches, model)\n    return model",
            "lets update_bn do it",
        ),
        (
            refresh(batch="pass").replace(
                "for inputs, _", "model(torch.cat([x for x, _ in batches]))\n        for inputs, _"
            ),
            "as one batch",
        ),
        (
            refresh(
                batch="seen += len(inputs); [setattr(m, 'momentum', len(inputs) / seen) for m in norms]; model(inputs)"
            ).replace("settings =", "seen = 0\n    settings ="),
            "a larger batch counts more",
        ),
    ],
}
