"""Mistakes that readers make in exercises 5.13 to 5.15 and in bug 5.4."""

MAPS = """
def class_maps(features, classifier, classes):
    return {value}
"""
SUMMED = 'torch.einsum("nchw,nc->nhw", features, {})'
ROWS = SUMMED.format("classifier.weight[classes]")

GRAD_CAM = """
def grad_cam(net, pictures, layer, classes):
    kept = []
    handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    try:
        score = {score}
    finally:
        {finally_}
    {slopes}
    alphas = {alphas}
    return {value}
"""


def grad_cam(
    score="net(pictures).gather(1, classes[:, None]).sum()",
    finally_="handle.remove()",
    slopes="(slopes,) = torch.autograd.grad(score, kept[0])",
    alphas="slopes.mean(dim=(2, 3))",
    value='torch.einsum("nchw,nc->nhw", kept[0].detach(), alphas).relu()',
):
    return GRAD_CAM.format(score=score, finally_=finally_, slopes=slopes, alphas=alphas, value=value)


FORGETFUL = """
def grad_cam(net, pictures, layer, classes):
    kept = []
    handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    score = net(pictures).gather(1, classes[:, None]).sum()
    handle.remove()
    (slopes,) = torch.autograd.grad(score, kept[0])
    return torch.einsum("nchw,nc->nhw", kept[0].detach(), slopes.mean(dim=(2, 3))).relu()
"""
BACKWARD = "kept[0].retain_grad(); score.backward(); slopes = kept[0].grad"

BOX = """
def box_of(heat, share):
    strong = {strong}
    columns, rows = strong.any(dim=0).nonzero(), strong.any(dim=1).nonzero()
    x0, x1 = columns.min().item(), columns.max().item() + 1
    y0, y1 = rows.min().item(), rows.max().item() + 1
    return {value}
"""


def box(value="x0, y0, x1, y1", strong="heat >= share * heat.max()"):
    return BOX.format(value=value, strong=strong)


HEAT_MAP = """
def heat_map(net, pictures, class_index):
    kept = []
    {before}
    handle = net.features.register_forward_hook(lambda module, gets, gives: kept.append(gives))
    try:
        score = net(pictures)[0, class_index]
    finally:
        handle.remove()
        {in_finally}
    {slopes}
    {after}
    return torch.einsum("chw,c->hw", kept[0][0].detach(), slopes.mean(dim=(2, 3))[0]).relu()
"""


def heat_map(
    before="net.eval()",
    in_finally="pass",
    slopes="(slopes,) = torch.autograd.grad(score, kept[0])",
    after="pass",
):
    return HEAT_MAP.format(before=before, in_finally=in_finally, slopes=slopes, after=after)


MODES = "modes = [(module, module.training) for module in net.modules()]; net.eval()"
MODES_BACK = "[setattr(module, 'training', training) for module, training in modes]"

WRONG = {
    "5.13": [
        (MAPS.format(value=SUMMED.format("classifier.weight[:, classes].T")), "a class is a row"),
        (MAPS.format(value=SUMMED.format("classifier.weight[classes].softmax(dim=1)")), "through a softmax"),
        (MAPS.format(value=ROWS + " / features.shape[1]"), "not an average"),
        (MAPS.format(value=ROWS + ".relu()"), "negative values are gone"),
        (
            MAPS.format(value="features.mul_(classifier.weight[classes].detach()[:, :, None, None]).sum(dim=1)"),
            "wrote into the features",
        ),
        (
            MAPS.format(value=SUMMED.format("classifier.weight.data.mul_(2)[classes]") + " / 2"),
            "changed the classifier",
        ),
        (MAPS.format(value=ROWS + " + classifier.bias[classes][:, None, None]"), "the bias is in every pixel"),
        (MAPS.format(value="classifier.weight[classes[0]] @ features.flatten(2)"), "has shape"),
        (
            MAPS.format(value='torch.einsum("nchw,c->nhw", features, classifier.weight[classes[0]])'),
            "all pictures got the row",
        ),
        (
            MAPS.format(value='torch.einsum("nchw,kc->nkhw", features, classifier.weight)'),
            "the maps of all classes",
        ),
    ],
    "5.14": [
        (grad_cam(slopes=BACKWARD), "torch.autograd.grad fills none"),
        (grad_cam(slopes=BACKWARD + "; net.zero_grad()"), "do not call zero_grad()"),
        (grad_cam(finally_="pass"), "still hang in the network"),
        (FORGETFUL, "remove it in a `finally:`"),
        (grad_cam(score="net(pictures)[:, classes[0]].sum()"), "use classes["),
        (grad_cam(score="net(pictures).sum()"), "the scores of all classes"),
        (grad_cam(score="net(pictures)[:, classes].sum()"), "a table of N x N"),
        (grad_cam(score="net(pictures).gather(1, classes[:, None]).mean()"), "every map is divided by N"),
        (
            grad_cam(score="net(pictures).softmax(dim=1).gather(1, classes[:, None]).sum()"),
            "slopes of the probability",
        ),
        (grad_cam(alphas="slopes.mean(dim=(0, 2, 3)).expand(len(pictures), -1)"), "a mean over the batch as well"),
        (grad_cam(alphas="slopes.sum(dim=(2, 3))"), "yours is their sum"),
        (grad_cam(value='torch.einsum("nchw,nc->nhw", kept[0].detach(), alphas)[0].relu()'), "one map for the whole"),
        (grad_cam(value='torch.einsum("nchw,nc->nhw", kept[0].detach(), alphas)'), "ReLU after the sum is missing"),
        (grad_cam(value='torch.einsum("nchw,nc->nhw", kept[0].detach(), alphas.relu())'), "negative alphas were cut"),
        (grad_cam(value="(kept[0] * slopes).sum(dim=1).relu()"), "every place has its own slope"),
        (grad_cam(value="(kept[0] * alphas[:, :, None, None]).mean(dim=1).relu()"), "the mean over the maps"),
        (grad_cam(alphas="slopes.relu().mean(dim=(2, 3))"), "negative slopes were cut"),
        (grad_cam(score="F.cross_entropy(net(pictures), classes)"), "slopes of the loss"),
    ],
    "5.15": [
        (box("y0, x0, y1, x1"), "columns come first, rows second"),
        (box("x0, y0, x1 - 1, y1 - 1"), "first ones outside"),
        (box("x0, y0, x1 - x0, y1 - y0"), "width and height"),
        (box("x0, x1, y0, y1"), "the order is x0, y0, x1, y1"),
        (box("x0, y0, None, y1"), "should be an int or float"),
        (box("x0, y0, x1, float('inf')"), "whole numbers"),
        (box(strong="heat >= share"), "compare with the share itself"),
        (box(strong="heat > share * heat.max()"), "at least means"),
        (box(strong="heat.div_(heat.max()) >= share"), "wrote into the map"),
        (box(strong="heat >= 0.5 * heat.max()"), "using `share`"),
    ],
    "bug 5.4": [
        (heat_map(), "evaluation mode afterwards"),
        (heat_map(in_finally="net.train()"), "on purpose"),
        (heat_map(before="was = net.training; net.eval()", after="net.train(was)"), "after an error"),
        (heat_map(before="net.features.eval()"), "a part of the network stays in evaluation mode"),
        (
            heat_map(before=MODES, in_finally=MODES_BACK, after="net.requires_grad_(False)"),
            "no longer require gradients",
        ),
        (heat_map(before=MODES, in_finally=MODES_BACK).replace(".relu()", ""), "keep the ReLU"),
        (
            heat_map(before=MODES, in_finally=MODES_BACK).replace(".relu()", ".relu().double()"),
            "expected torch.float32",
        ),
        (
            heat_map(before="state = copy.deepcopy(net.state_dict())", after="net.load_state_dict(state)"),
            "is dropout or batch norm still training",
        ),
    ],
}
