"""Mistakes that readers make in exercises 5.1 to 5.3 and in bugs 5.1 and 5.2."""

PAPERS = """
def paper_1(optimizer):
    return {first}


def paper_2(optimizer):
    return {second}


def paper_3(optimizer):
    return {third}
"""


def papers(
    first="lr_scheduler.MultiStepLR(optimizer, [30, 80])",
    second="lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / 40))",
    third="lr_scheduler.CosineAnnealingLR(optimizer, 90, eta_min=0.001)",
):
    return PAPERS.format(first=first, second=second, third=third)


FADE = """
def fade(optimizer, gammas):
    return {scheduler}
"""


def fade(rules, kind="LambdaLR"):
    return FADE.format(scheduler=f"lr_scheduler.{kind}(optimizer, {rules})")


WAVE = """
class CosineThenFloor(lr_scheduler.LRScheduler):
    def __init__(self, optimizer, T_max, floor=0.0, last_epoch=-1):
        {first}
        {second}

    def get_lr(self):
        share = {share}
        height = (1 + math.cos(math.pi * share)) / 2
        return {rates}
"""
KEEP = "self.T_max, self.floor = T_max, floor"
BASE = "super().__init__(optimizer, last_epoch)"


def wave(
    first=KEEP,
    second=BASE,
    share="min(self.last_epoch, self.T_max) / self.T_max",
    rates="[self.floor + (lr - self.floor) * height for lr in self.base_lrs]",
):
    return WAVE.format(first=first, second=second, share=share, rates=rates)


FIT = """
def fit(net, batches, make, epochs):
    optimizer, scheduler = make(net)
    losses = []
    for epoch in range(epochs):
        {before}
        total = 0.0
        for x, y in batches:
            loss = F.mse_loss(net(x), y)
            {zero}
            loss.backward()
            optimizer.step()
            total += loss.item()
            {inside}
        {after}
        losses.append({mean})
    return losses
"""


def fit(
    before="pass",
    inside="pass",
    after="scheduler.step()",
    zero="optimizer.zero_grad()",
    mean="total / len(batches)",
):
    return FIT.format(**locals())


QUICK = """
def fit_quickly(net, batches, make, epochs):
    optimizer, scheduler = make(net)
    {trial}
    losses = []
    for epoch in range({count}):
        {before}
        total = 0.0
        for x, y in batches:
            total += one_step(net, optimizer, x, y)
            {inside}
        losses.append(total / len(batches))
        {after}
    return losses
"""


def quick(
    trial="one_step(net, optimizer, *batches[0])",
    before="pass",
    inside="pass",
    after="scheduler.step()",
    count="epochs",
):
    return QUICK.format(**locals())


WRONG = {
    "5.1": [
        (papers(first="lr_scheduler.MultiStepLR(optimizer, [29, 79])"), "one epoch too early"),
        (papers(first="lr_scheduler.MultiStepLR(optimizer, [31, 81])"), "one epoch too late"),
        (papers(first="lr_scheduler.StepLR(optimizer, 30)"), "every 30 epochs"),
        (papers(first="lr_scheduler.MultiStepLR(optimizer, [30, 50])"), "at epochs 30, 50, expected"),
        (papers(first="lr_scheduler.MultiStepLR(optimizer, [30, 80], gamma=10)"), "not to a tenth"),
        (papers(first="lr_scheduler.MultiStepLR"), "should return a scheduler"),
        (papers(second="lr_scheduler.ExponentialLR(optimizer, 0.01)"), "gamma acts 40 times"),
        (papers(second="lr_scheduler.ExponentialLR(optimizer, 0.891)"), "do not round it"),
        (papers(second="lr_scheduler.StepLR(optimizer, 40, gamma=0.01)"), "has no stairs"),
        (
            papers(second="lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - 0.99 * epoch / 200)"),
            "the factor changes",
        ),
        (papers(first="lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.1)"), "begins with the initial rate"),
        (papers(first="lr_scheduler.ExponentialLR(optimizer, 0.1)"), "1, 2, 3, 4, 5, 6, …, expected"),
        (papers(second="..."), "paper_2 still returns nothing"),
        (papers(third="lr_scheduler.CosineAnnealingLR(optimizer, 45, eta_min=0.001)"), "up again"),
        (papers(third="lr_scheduler.CosineAnnealingLR(optimizer, 180, eta_min=0.001)"), "only half way down"),
        (papers(third="lr_scheduler.CosineAnnealingLR(optimizer, 90)"), "sets the lowest rate"),
        (papers(third="lr_scheduler.CosineAnnealingLR(optimizer, 89, eta_min=0.001)"), "expected 0.001"),
        (
            papers(third="lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - epoch / 90 * 0.99)"),
            "not along the cosine",
        ),
        (papers(third="lr_scheduler.StepLR(optimizer, 500)"), "never changes"),
    ],
    "5.2": [
        (fade("[lambda epoch: gamma**epoch for gamma in gammas]"), "look it up late"),
        (fade("lambda epoch: gammas[0] ** epoch"), "the first gamma"),
        (
            fade(
                "[lambda epoch, gamma=g, lr=group['lr']: lr * gamma**epoch "
                "for g, group in zip(gammas, optimizer.param_groups)]"
            ),
            "wants factors",
        ),
        (fade("[lambda epoch, gamma=gamma: gamma for gamma in gammas]"), "once, and then stays"),
        (
            fade("[lambda epoch, gamma=gamma: gamma**epoch for gamma in gammas]", "MultiplicativeLR"),
            "the powers pile up",
        ),
        (fade("[lambda epoch, gamma=gamma: gamma ** (epoch + 1) for gamma in gammas]"), "epoch 0 is already"),
        (fade("gammas", "ExponentialLR"), "stopped in"),
        (
            "def fade(optimizer, gammas):\n    return [lambda epoch, g=g: g**epoch for g in gammas]",
            "should return a scheduler",
        ),
        (fade("[lambda epoch, gamma=gamma: gamma**epoch for gamma in gammas[::-1]]"), "in epoch 3 the rates"),
        (fade("[lambda epoch, gamma=gamma: float('nan') for gamma in gammas]"), "not finite"),
        (fade("[lambda epoch, gamma=gammas.pop(0): gamma**epoch for _ in list(gammas)]"), "changed the list gammas"),
    ],
    "5.3": [
        (wave(first=BASE, second=KEEP), "before it"),
        (wave(second="pass"), "does not reach the base class"),
        (wave(share="self.last_epoch / self.T_max"), "up again"),
        (wave(share="0.5 * min(self.last_epoch, self.T_max) / self.T_max"), "start from base_lrs"),
        (wave(rates="self.base_lrs[0] * height"), "one rate for each group"),
        (wave(rates="[self.floor + lr * height for lr in self.base_lrs]"), "the wave is (lr - floor) high"),
        (
            wave(rates="[lr * height if self.last_epoch < self.T_max else self.floor for lr in self.base_lrs]"),
            "as if there were no floor",
        ),
        (wave(rates="[max(self.floor, lr * height) for lr in self.base_lrs]"), "cut off"),
        (
            wave(rates="[self.floor + (self.base_lrs[0] - self.floor) * height for lr in self.base_lrs]"),
            "each falls from its own initial rate",
        ),
        (
            wave(rates='[self.floor + (group["lr"] - self.floor) * height for group in self.optimizer.param_groups]'),
            "in epoch 2",
        ),
        (wave(rates="[self.floor + (0.1 - self.floor) * height for lr in self.base_lrs]"), "in epoch 0"),
        (
            wave(
                first="self.T_max, self.floor = T_max, floor; self.last = lambda: self.last_epoch",
                share="min(self.last(), self.T_max) / self.T_max",
            ),
            "goes on differently",
        ),
        (
            wave(rates="[float('nan') for lr in self.base_lrs]"),
            "not finite",
        ),
        (wave(share="(self.last_epoch % self.T_max) / self.T_max"), "expected 0;"),
    ],
    "bug 5.1": [
        (fit(before="scheduler.step()", after="pass"), "is skipped"),
        (fit(after="pass"), "nobody steps the scheduler"),
        (fit(after="scheduler.step(); scheduler.step()"), "the epochs train with"),
        (fit(inside="if scheduler.last_epoch < epoch: scheduler.step()", after="pass"), "in epoch 1, batch 0"),
        (fit(zero="pass"), "the line ends elsewhere"),
        (fit(mean="total"), "not the mean"),
        (fit().replace("make(net)", "plan(net)"), "takes no step"),
    ],
    "bug 5.2": [
        (quick(inside="scheduler.step()", after="pass"), "from batch to batch"),
        (quick(after="pass"), "nobody steps"),
        (quick(count="epochs + 1"), "expected 20"),
        (quick(before="scheduler.step()"), "the epochs train with"),
    ],
}
