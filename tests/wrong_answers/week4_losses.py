"""Mistakes that readers make in exercises 4.5 to 4.8 and in bugs 4.3 and 4.4."""

PINBALL = """
def pinball(predictions, targets, q):
    missing = targets - predictions
    return {returned}
"""


def pinball(returned):
    return PINBALL.format(**locals())


HARDEST = """
def hardest(embeddings, labels):
    distances = torch.cdist(embeddings, embeddings)
    same = labels[:, None] == labels
    positives = {positives}
    negatives = {negatives}
    return {returned}
"""


def hardest(
    positives="distances.masked_fill(~same, -1.0).argmax(dim=1)",
    negatives="distances.masked_fill(same, math.inf).argmin(dim=1)",
    returned="positives, negatives",
):
    return HARDEST.format(**locals())


FRAMES = """
def frames_needed(target):
    return {returned}
"""


def frames(returned):
    return FRAMES.format(**locals())


RIGHT_MAP = {
    "L1Loss": ("G", "number", "regression"),
    "MSELoss": ("B", "number", "regression"),
    "SmoothL1Loss": ("J", "number", "regression"),
    "PoissonNLLLoss": ("A", "number", "regression"),
    "NLLLoss": ("D", "class", "classification"),
    "CrossEntropyLoss": ("H", "class", "classification"),
    "MultiMarginLoss": ("P", "class", "classification"),
    "SoftMarginLoss": ("C", "+1/-1", "classification"),
    "BCELoss": ("I", "0/1", "classification"),
    "BCEWithLogitsLoss": ("L", "0/1", "classification"),
    "MultiLabelSoftMarginLoss": ("M", "0/1", "multi-label"),
    "MultiLabelMarginLoss": ("Q", "indices", "multi-label"),
    "KLDivLoss": ("E", "distribution", "distribution"),
    "MarginRankingLoss": ("K", "+1/-1", "ranking"),
    "HingeEmbeddingLoss": ("F", "+1/-1", "embedding"),
    "CosineEmbeddingLoss": ("O", "+1/-1", "embedding"),
    "TripletMarginLoss": ("N", "none", "embedding"),
    "CTCLoss": ("R", "letters", "sequence"),
}


def changed(**rows):
    return f"loss_map = {RIGHT_MAP | rows!r}"


FIT = """
def fit(x, y):
    model = nn.Linear(1, 1, bias={bias}, dtype=x.dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    for _ in range(300):
        predictions = model(x.unsqueeze(1)){reshaped}
        loss = {loss}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {returned}
"""


def fit(
    bias="True",
    reshaped=".squeeze(1)",
    loss="((predictions - y) ** 2).mean()",
    returned="model.weight.item(), model.bias.item()",
):
    return FIT.format(**locals())


EPOCH = """
def train_epoch(model, batches, optimizer):
    total = 0.0
    for x, y in batches:
        loss = {loss}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        {add}
    return {returned}
"""


def epoch(loss="F.mse_loss(model(x), y)", add="total += loss.item()", returned="total / len(batches)"):
    return EPOCH.format(**locals())


WRONG = {
    "4.5": [
        (pinball("torch.where(missing > 0, (1 - q) * missing, -q * missing).mean()"), "sides are exchanged"),
        (pinball("torch.where(missing > 0, q * missing, (1 - q) * missing).mean()"), "missing is negative there"),
        (pinball("torch.where(missing > 0, q * missing, (q - 1) * missing).sum()"), "the sum over all elements"),
        (pinball("torch.where(missing > 0, q * missing, (q - 1) * missing)"), "one number for each element"),
        (pinball("(q * missing.abs()).mean()"), "both sides cost q"),
        (pinball("(q * missing.clamp(min=0)).mean()"), "too high costs nothing"),
        (pinball("torch.where(missing > 0, q * missing, (q - 1) * missing).mean().item()"), "should be a Tensor"),
    ],
    "4.6": [
        (hardest(positives="distances.masked_fill(~same, math.inf).argmin(dim=1)"), "its own positive"),
        (hardest(negatives="distances.masked_fill(same, -1.0).argmax(dim=1)"), "not the nearest"),
        (hardest(returned="negatives, positives"), "are exchanged"),
        (hardest(negatives="(distances * ~same).argmin(dim=1)"), "a 0 in place of a distance"),
        (
            hardest(
                positives="distances.masked_fill(~same, -1.0).amax(dim=1)",
                negatives="distances.masked_fill(same, math.inf).amin(dim=1)",
            ),
            "asked are the indices",
        ),
        (
            hardest(
                positives="distances.masked_fill(~same | torch.eye(len(labels), dtype=torch.bool), math.inf)"
                ".argmin(dim=1)"
            ),
            "not the farthest",
        ),
    ],
    "4.7": [
        (frames("len(target)"), "between two equal letters"),
        (frames("2 * len(target) + 1"), "a blank around every letter"),
        (frames("2 * len(target) - len(set(target))"), "not neighbours"),
        (frames("2 * len(target) - 1"), "is still finite"),
        (frames("len(set(target))"), "one of its own"),
    ],
    "4.8": [
        (changed(MSELoss=("J", "number", "regression")), "MSELoss: formula J gives"),
        (changed(SoftMarginLoss=("C", "0/1", "classification")), "wipe out the score"),
        (changed(MultiLabelMarginLoss=("Q", "0/1", "multi-label")), "MultiLabelMarginLoss is not made for"),
        (changed(NLLLoss=("H", "class", "classification")), "NLLLoss: formula H"),
        (changed(TripletMarginLoss=("N", "none", "regression")), "its use is not regression"),
        (changed(CTCLoss=...), "CTCLoss is still missing"),
        (changed(KLDivLoss=("E", "class", "distribution")), "compares two distributions"),
        (changed(MarginRankingLoss=("B", "+1/-1", "ranking")), "cannot even be computed"),
    ],
    "bug 4.3": [
        (fit(loss="((predictions - y) ** 2).sum()"), "nan or infinite"),
        (fit(bias="False", returned="(model.weight.item(), 0.0)"), "the intercept is"),
        (fit(loss="(predictions.mean() - y.mean()) ** 2"), "against its own target"),
    ],
    "bug 4.4": [
        (epoch(add="total += loss", returned="(total / len(batches)).item()"), "during the epoch"),
        (epoch(add="total = loss.item()"), "only the last batch"),
        (epoch(loss="F.mse_loss(model(x), y).detach().requires_grad_()"), "does not learn any more"),
        (epoch(returned="total"), "the sum of the losses"),
    ],
}
