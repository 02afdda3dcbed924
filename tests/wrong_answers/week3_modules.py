"""Mistakes that readers make in week 3, by exercise: what they write for the stub, and words the message must hold."""

STANDARDISE = """
class Standardise(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        mean, std = torch.tensor(mean), torch.tensor(std)
        {places}

    def forward(self, x):
        return {result}
"""
BUFFERS = """self.register_buffer("mean", mean.view(-1, 1, 1))
        self.register_buffer("std", std.view(-1, 1, 1))
        """
GAIN = "self.gain = nn.Parameter(torch.ones(len(mean), 1, 1))"


def standardise(places=BUFFERS + GAIN, result="self.gain * (x - self.mean) / self.std"):
    return STANDARDISE.format(places=places, result=result)


ALEXNET = """
def named_features():
    layers = OrderedDict()
    layers["conv1"] = nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2)
    layers["relu1"] = nn.ReLU()
    layers["pool1"] = nn.MaxPool2d(3, 2)
    layers["conv2"] = nn.Conv2d(64, 192, 5, padding=2)
    layers["relu2"] = nn.ReLU()
    layers["pool2"] = nn.MaxPool2d(3, 2)
    layers["conv3"] = nn.Conv2d(192, 384, 3, padding=1)
    layers["relu3"] = nn.ReLU()
    layers["conv4"] = nn.Conv2d(384, 256, 3, padding={padding}, padding_mode="{mode}")
    layers["relu4"] = nn.ReLU()
    layers["conv5"] = nn.Conv2d(256, 256, 3, padding=1)
    layers["relu5"] = nn.ReLU()
    layers["{last}"] = nn.MaxPool2d(3, {stride}, ceil_mode={ceil})
    return {returned}
"""


def alexnet(padding=1, last="pool5", stride=2, returned="nn.Sequential(layers)", mode="zeros", ceil=False):
    return ALEXNET.format(**locals())


CENSUS = """
def census(model):
    counts = {{}}
    for name, {item} in model.{walk}():
        {body}
    return counts
"""


def census(body, item="module", walk="named_modules"):
    return CENSUS.format(body=body, item=item, walk=walk)


DEEP = """
class Deep(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.first = nn.Linear(1, 16)
        {hidden}
        self.last = nn.Linear(16, 1)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        for layer in {loop}:
            x = torch.tanh(layer(x))
        return self.last(x)
"""


LAYERS = "self.hidden = nn.ModuleList([nn.Linear(16, 16) for _ in range(depth)])"


def deep(hidden, loop="self.hidden"):
    return DEEP.format(hidden=hidden, loop=loop)


READER = """
class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc = nn.Linear({inputs}, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        {flat}
        return {scores}
"""


def reader(flat, inputs=256, scores="self.fc(x)"):
    return READER.format(flat=flat, inputs=inputs, scores=scores)


WRONG = {
    "3.1": [
        ("def fc1_inputs(side):\n    return 6 * ((side - 4) // 2) ** 2", "there is a second one"),
        ("def fc1_inputs(side):\n    return (((side - 4) // 2 - 4) // 2) ** 2", "there are 16 maps"),
        ("def fc1_inputs(side):\n    return 16 * ((side - 4) // 2 - 4) // 2", "rows AND"),
        ("def fc1_inputs(side):\n    return 16 * (((side - 4) / 2 - 4) / 2) ** 2", "is the float 400"),
        ("def fc1_inputs(side):\n    return 16 * (side // 4) ** 2", "takes 4 pixels"),
        ("def fc1_inputs(side):\n    return 16 * ((side + 1) // 4 - 3) ** 2", "for odd ones"),
        ("def fc1_inputs(side):\n    return 400", "fc1_inputs(28) is 400, expected 256"),
        ("fc1_inputs = 400", "pass it without ()"),
    ],
    "3.2": [
        ("order = 'CEBFDA'", "first runs your own __init__"),
        ("order = 'ECABFD'", "works out the right side of = before"),
        ("order = ['E', 'B', 'F', 'D', 'C', 'A']", "super().__init__() is the first line"),
        ("order = 'ECBDFA'", "a layer is a module"),
        ("order = 'EC FBD A'", "inside Conv2d.__init__"),
        ("order = 'ECBFD'", "belongs in it once"),
        ("order = 213456", "a text of six letters"),
    ],
    "3.3": [
        (standardise(BUFFERS.replace(".view(-1, 1, 1)", "") + GAIN), "run along the width"),
        (
            standardise("self.mean, self.std = mean.view(-1, 1, 1), std.view(-1, 1, 1)\n        " + GAIN),
            "mean is no buffer",
        ),
        (
            standardise(
                "self.mean = nn.Parameter(mean.view(-1, 1, 1))\n        "
                "self.std = nn.Parameter(std.view(-1, 1, 1))\n        " + GAIN
            ),
            "mean is a Parameter",
        ),
        (standardise(BUFFERS.replace("1))", "1), persistent=False)") + GAIN), "leave persistent=False out"),
        (standardise(BUFFERS + "self.gain = torch.ones(len(mean), 1, 1)"), "gain is no parameter"),
        (standardise(BUFFERS + "self.gain = nn.Parameter(torch.ones(1))"), "one for each of the 3 channels"),
        (standardise(result="(x - self.mean) / self.std"), "gain should multiply"),
        (standardise(result="self.gain * x - self.mean / self.std"), "the right shape, but other values"),
        (standardise().replace("super().__init__()", "pass"), "before Module.__init__() call"),
        (standardise(result="self.gain.data * (x - self.mean) / self.std"), "no gradient reaches gain"),
        (standardise(BUFFERS + GAIN + ".requires_grad_(False)"), "gain is frozen"),
        (standardise(result="self.gain * x.sub_(self.mean) / self.std"), "forward writes into the x"),
        (standardise(BUFFERS + GAIN.replace("1, 1)", "1, 1, dtype=torch.float64)")), "the output has dtype"),
        ("def Standardise(mean, std):\n    return nn.BatchNorm2d(len(mean))", "should be a class"),
    ],
    "3.4": [
        (alexnet(returned="nn.Sequential(*layers.values())"), "still have numbers for names"),
        (alexnet(padding=0), "conv4 has padding 0, torchvision's has 1"),
        (alexnet(stride=3), "pool5 has stride 3"),
        (alexnet(last="pool3"), "layer 12 has the name 'pool3'"),
        (alexnet(returned="layers"), "should be a Sequential"),
        (alexnet(returned="nn.Sequential(*layers)"), "stopped in line"),
        (alexnet().replace("return", "layers['norm'] = nn.LocalResponseNorm(5)\n    return"), "there are 14 layers"),
        (alexnet(mode="circular"), "conv4 has padding_mode circular"),
        (alexnet(ceil=True), "pool5 has ceil_mode True"),
        (alexnet(returned="nn.Sequential(layers).double()"), "the weights of conv1 have dtype torch.float64"),
        (alexnet() + "named_features = named_features()", "but it got a Sequential; pass it without ()"),
    ],
    "3.5": [
        (census("counts[name] = sum(p.numel() for p in module.parameters(False))"), "has no parameters; leave it out"),
        (census("counts[name] = sum(float(p.numel()) for p in module.parameters(False))"), "p.numel() gives whole"),
        (
            census(
                "own = sum(p.numel() for p in module.parameters(False))\n        if own:\n"
                "            counts[name.split('.')[-1]] = own"
            ),
            "the key should be the whole dotted name, such as '0.2'",
        ),
        (
            census(
                "own = sum(p.numel() for p in module.parameters())\n        if own:\n            counts[name] = own"
            ),
            "counted again",
        ),
        (census("counts[name] = p.numel()", item="p", walk="named_parameters"), "the keys name parameters"),
        (
            census(
                "own = sum(t.numel() for t in [*module.parameters(False), *module.buffers(False)])\n"
                "        if own:\n            counts[name] = own"
            ),
            "buffers are no parameters",
        ),
        (
            census(
                "own = sum(p.numel() for p in module.parameters())\n        if own:\n            counts[name] = own",
                walk="named_children",
            ),
            "'0' has none of its own",
        ),
        (
            census(
                "own = sum(p.numel() for p in module.parameters(False) if p.requires_grad)\n"
                "        if own:\n            counts[name] = own"
            ),
            "a frozen parameter is a parameter too",
        ),
        (
            census(
                "own = getattr(module, 'weight', None)\n        if own is not None:\n            counts[name] = own.numel()"
            ),
            "40 numbers, not 35",
        ),
        (
            census(
                "own = sum(p.numel() for p in module.parameters(False))\n        if own and name:\n"
                "            counts[name] = own"
            ),
            "the model itself",
        ),
    ],
    "bug 3.1": [
        (deep("self.hidden = nn.ModuleList([nn.Linear(16, 16)] * depth)"), "repeats the same object"),
        (
            deep("self.hidden = nn.ModuleList([nn.Linear(16, 16) for _ in range(depth)])", "self.hidden[:1]"),
            "does not use hidden.1",
        ),
        (
            deep("self.hidden = nn.ModuleList([nn.Linear(16, 16, bias=False) for _ in range(depth)])"),
            "should have 865 parameters, but it has 817",
        ),
        (deep(LAYERS + "\n        self.hidden.requires_grad_(False)"), "is frozen"),
        (deep(LAYERS).replace("return self.last(x)", "return self.last(x).detach()"), "its requires_grad is False"),
        (deep(LAYERS).replace("torch.tanh", ""), "only draw a straight line"),
        (deep(LAYERS).replace("x = torch.tanh(self.first(x))", "x -= 1\n        x = self.first(x)"), "forward writes"),
    ],
    "bug 3.2": [
        (reader("x = x.flatten(0)"), "stopped in line"),
        (reader("x = x.mean(dim=0).flatten().expand(len(x), -1)"), "the same ten scores"),
        (reader("x = x.mean(dim=(2, 3))", inputs=16), "the layers changed"),
        (reader("x = x.flatten(1).mean(dim=1, keepdim=True).repeat(1, 256)"), "own 256 numbers"),
        (reader("x = x.flatten(1)", scores="self.fc(x).softmax(dim=1)"), "forward gives probabilities"),
        (reader("x = x.flatten(1)", scores="self.fc(x).log_softmax(dim=1)"), "forward gives log-probabilities"),
        (reader("x = x.flatten(1).detach()"), "no gradient reaches conv1.weight"),
        (reader("x = x.flatten(1)", scores="self.fc(x).detach()"), "its requires_grad is False"),
    ],
}
