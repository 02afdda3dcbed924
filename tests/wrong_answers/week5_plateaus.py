"""Mistakes that readers make in exercises 5.4 to 5.6."""

LISTS = {"a": "[5, 8, 11]", "b": "[5, 10]", "c": "[7, 11]", "d": "[]", "e": "[2, 4, 7, 11]"}


def lists(**changed):
    entries = LISTS | changed
    return "reduced_after = {" + ", ".join(f"{name!r}: {value}" for name, value in entries.items()) + "}"


FACTOR = """
def factor(step, warmup, total):
    if step < warmup:
        return {warm}
    {stop}
    share = {share}
    return {wave}
"""


def factors(
    warm="(step + 1) / warmup",
    stop="if step >= total: return 0.0",
    share="(step - warmup) / (total - warmup)",
    wave="(1 + math.cos(math.pi * share)) / 2",
):
    return FACTOR.format(**locals())


CHOOSE = """
def choose(rates, losses):
    average, smooth = {start}, []
    for t, loss in enumerate(losses, start=1):
        {stop}
        average = 0.9 * average + 0.1 * loss
        smooth.append({kept})
    return {returned}
"""


def choices(
    start="0.0",
    stop="if not math.isfinite(loss): break",
    kept="average / (1 - 0.9**t)",
    returned="rates[smooth.index(min(smooth))] / 10",
):
    return CHOOSE.format(**locals())


WRONG = {
    "5.4": [
        (lists(a="[4, 6, 8, 10]"), "too early"),
        (lists(a="[6, 10]"), "too late"),
        (lists(a="[6, 9]"), "one too large"),
        (lists(a="[5]"), "count starts again"),
        (lists(b="[5, 8, 11]"), "cooldown"),
        (lists(c="[3, 7, 11]"), "after epoch 3"),
        (lists(d="[4, 8]"), "mode"),
        (lists(d="[11]"), "d: too early"),
        (lists(d="[3]"), "never falls"),
        (lists(e="[]"), "0.7 times"),
        (lists(e="[4, 7, 11]"), "missing"),
        (lists(e="..."), "still missing"),
        (lists(c="7"), "c should be a list, but"),
        (lists(c="[12]"), "only the epochs"),
        (lists(c='["7"]'), "an entry of c"),
        (lists(a="[5, 5, 8, 11]"), "epoch 5 more than once"),
    ],
    "5.5": [
        (factors(warm="step / warmup"), "not with 0"),
        (factors(stop="pass"), "climbs again"),
        (factors(share="step / total"), "subtract warmup"),
        (factors(share="(step - warmup) / total"), "only total - warmup"),
        (factors(share="(step - warmup + 1) / (total - warmup)"), "number 0"),
        (factors(wave="1 + math.cos(math.pi * share)"), "half of it"),
        (factors(wave="math.cos(math.pi * share)"), "add 1"),
        (factors(wave="1 - share"), "straight line"),
        ("def factor(step, warmup, total):\n    return 1.0", "equal stairs"),
        ("def factor(step, warmup, total):\n    return float('nan')", "finite number"),
        (factors(warm="0.1 * (step + 1) / warmup", wave="0.05 * (1 + math.cos(math.pi * share))"), "that is a rate"),
        (factors(wave="(1 + math.cos(share)) / 2"), "pi is missing"),
        (factors(wave="(1 + math.cos(2 * math.pi * share)) / 2"), "a whole wave"),
        (factors().replace("step < warmup", "step <= warmup"), "the warm-up is over"),
        (factors(stop="if step >= total - 1: return 0.0"), "not one step earlier"),
        (factors(stop="if step >= total: return"), "gives nothing"),
    ],
    "5.6": [
        (choices(returned="rates[smooth.index(min(smooth))]"), "a tenth of it"),
        (choices(returned="rates[smooth.index(min(smooth))] * 10"), "ten times"),
        (choices(returned="smooth.index(min(smooth))"), "place in the list"),
        (choices(returned="min(smooth)"), "this is a loss"),
        (choices(kept="average"), "bias correction"),
        (choices(start="losses[0]", kept="average"), "counts too much"),
        (choices(kept="loss"), "lucky batch"),
        (choices(stop="if not math.isfinite(loss): continue"), "nan or inf"),
        (choices(returned='float("nan")'), "never true"),
        (choices(stop="if not math.isfinite(loss): del losses[t - 1 :]; break"), "shortened the lists"),
        ("def choose(rates, losses):\n    return 0.1", "expected"),
    ],
}
