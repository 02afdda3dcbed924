"""Mistakes that readers make in week 2, by exercise: what they write for the stub, and words the message must hold."""

PAD = """
def pad_together(samples):
    tensors = [tensor for tensor, _ in samples]
    batch = {batch}
    lengths = {lengths}
    labels = torch.tensor([label for _, label in samples])
    return {returned}
"""
SPLIT = """
def split_notes(names, share, seed):
    chance = random.Random({seed})
    notes = sorted({{name.split("_")[0] for name in names}})
    {shuffle}
    chosen = set(notes[: {count}])
    return [n for n in names if n.split("_")[0] in chosen], [n for n in names if n.split("_")[0] not in chosen]
"""
CHAIN = """
def call_chain(stack):
    chain = []
    for entry in stack:
        owner = entry.frame.f_locals.get("self")
        if owner is None:
            continue
        chain.append({entry})
        if entry.function == "__next__":
            break
    return chain{order}
"""
ACCURACY = """
def validation_accuracy(model, valid_set):
    correct, total = 0, 0
    with torch.no_grad():
        for inputs, labels in DataLoader(valid_set, batch_size=16):
            {count}
    return {returned}
"""
PETS = """
class DogCatDataset(Dataset):
    def __init__(self, folder, transform):
        self.files = sorted(Path(folder).{files})
        self.transform = transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        path = self.files[index]
        picture = Image.open(path){convert}
        return {picture}, {label}
"""
TRAIN = """
def train(model, train_loader, valid_loader, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr={lr})
    accuracies = []
    correct_val, total_val = 0, 0
    for _ in range(epochs):
        {counters}
        for images, labels in train_loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            {step}
        with torch.no_grad():
            for images, labels in {measured}:
                correct_val += (model(images).argmax(dim=1) == labels).sum().item()
                total_val += len(labels)
        accuracies.append({accuracy})
    return {returned}
"""
RIGHT_TRAINING = {
    "lr": "0.001",
    "counters": "correct_val, total_val = 0, 0",
    "step": "optimizer.step()",
    "measured": "valid_loader",
    "accuracy": "correct_val / total_val",
    "returned": "accuracies",
}
PARTS = """
class Numbered(Dataset):
    def __init__(self, transform):
        self.images, self.transform = data.digits().images[:20].unsqueeze(1), transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(self.images[index]), index


def make_parts(seed):
    augment = v2.RandomAffine(degrees=10, translate=(0.1, 0.1))
    plain = v2.Identity()
    {body}
"""
SURVIVES = """
label_survives = {{
    "cats and dogs: RandomHorizontalFlip": {cats},
    "road signs, arrow left against arrow right: RandomHorizontalFlip": {arrows},
    "digits: RandomRotation(10)": True,
    "digits: RandomRotation(180)": {digits},
    "ripe or unripe tomatoes: ColorJitter(hue=0.5)": False,
    "cells under a microscope: RandomVerticalFlip": True,
    "small tumour in a large X-ray: RandomCrop of a tenth of it": False,
    "handwritten letters b, d, p, q: RandomVerticalFlip": False,
}}
"""


def training(**changes: str) -> str:
    return TRAIN.format(**(RIGHT_TRAINING | changes))


def pets(**changes: str) -> str:
    right = {
        "files": 'glob("*.jpg")',
        "convert": '.convert("RGB")',
        "picture": "self.transform(picture)",
        "label": '("cat", "dog").index(path.name.split(".")[0])',
    }
    return PETS.format(**(right | changes))


WRONG = {
    "2.1": [
        (
            "def steps(samples, batch_size, epochs, drop_last):\n    return epochs * samples / batch_size",
            "part of a step",
        ),
        (
            "def steps(samples, batch_size, epochs, drop_last):\n    return epochs * (samples // batch_size)",
            "rounded up, the short batch is a step too",
        ),
        (
            "def steps(samples, batch_size, epochs, drop_last):\n    return epochs * math.ceil(samples / batch_size)",
            "rounded down, the short batch is dropped",
        ),
        (
            "def steps(samples, batch_size, epochs, drop_last):\n"
            "    whole = epochs * (samples // batch_size)\n"
            "    return whole if drop_last else math.ceil(samples * epochs / batch_size)",
            "the rest is not carried over",
        ),
    ],
    "2.2": [
        (
            PAD.format(
                batch="torch.stack([tensor[: min(map(len, tensors))] for tensor in tensors])",
                lengths="torch.tensor([len(tensor) for tensor in tensors])",
                returned="batch, lengths, labels",
            ),
            "was cut",
        ),
        (
            PAD.format(
                batch='nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_side="left")',
                lengths="torch.tensor([len(tensor) for tensor in tensors])",
                returned="batch, lengths, labels",
            ),
            "on the left",
        ),
        (
            PAD.format(
                batch="nn.utils.rnn.pad_sequence(tensors, batch_first=True)",
                lengths="torch.tensor([max(map(len, tensors))] * len(tensors))",
                returned="batch, lengths, labels",
            ),
            "lengths is [3, 3, 3, 3], expected [2, 2, 3, 1]",
        ),
        (
            PAD.format(
                batch="nn.utils.rnn.pad_sequence(tensors, batch_first=True)",
                lengths="None",
                returned="batch, labels",
            ),
            "returned 2 thing(s)",
        ),
    ],
    "2.3": [
        (CHAIN.format(entry="entry.function", order="[::-1]"), "not their classes"),
        (CHAIN.format(entry='f"{type(owner).__name__}.{entry.function}"', order=""), "from the inside out"),
        (
            "def call_chain(stack):\n"
            "    chain = [f\"{type(e.frame.f_locals['self']).__name__}.{e.function}\"\n"
            "             for e in stack if 'self' in e.frame.f_locals]\n"
            "    return chain[::-1]",
            "begin with torch's __next__",
        ),
    ],
    "bug 2.1": [
        (
            "class Noisy(Dataset):\n"
            "    def __len__(self):\n        return 8\n"
            "    def __getitem__(self, index):\n"
            "        return index + np.random.default_rng(index).normal(0, 0.1)",
            "the next epoch repeats",
        ),
        (
            "class Noisy(Dataset):\n"
            "    def __len__(self):\n        return 8\n"
            "    def __getitem__(self, index):\n        return index + torch.randn(()).item()",
            "the noise has a spread",
        ),
        (
            "class Noisy(Dataset):\n"
            "    def __len__(self):\n        return 8\n"
            "    def __getitem__(self, index):\n        return float(index)",
            "no noise any more",
        ),
    ],
    "2.4": [
        (
            "def split_notes(names, share, seed):\n"
            "    names = sorted(names)\n"
            "    random.Random(seed).shuffle(names)\n"
            "    return names[: round(share * len(names))], names[round(share * len(names)) :]",
            "shots in both lists",
        ),
        (
            SPLIT.format(seed="seed", shuffle="pass", count="min(max(round(share * len(notes)), 1), len(notes) - 1)"),
            "five other seeds gave the same split",
        ),
        (
            SPLIT.format(
                seed="None",
                shuffle="chance.shuffle(notes)",
                count="min(max(round(share * len(notes)), 1), len(notes) - 1)",
            ),
            "the same seed gave another split",
        ),
        (
            SPLIT.format(seed="seed", shuffle="chance.shuffle(notes)", count="round(share * len(notes))"),
            "one list is empty",
        ),
    ],
    "bug 2.2": [
        (
            ACCURACY.format(
                count="correct += (model(inputs).argmax(dim=1) == labels).sum().item()",
                returned="100 * correct / len(valid_set)",
            ),
            "a share from 0 to 1",
        ),
        (
            ACCURACY.format(
                count="correct += (model(inputs).argmax(dim=1) == labels).float().mean().item(); total += 1",
                returned="correct / total",
            ),
            "the last batch is shorter",
        ),
        (
            "def validation_accuracy(model, valid_set):\n"
            "    labels = torch.stack([label for _, label in valid_set])\n"
            "    with torch.no_grad():\n"
            "        loader = DataLoader(valid_set, 16, shuffle=True, generator=torch.Generator().manual_seed(0))\n"
            "        guesses = torch.cat([model(inputs).argmax(dim=1) for inputs, _ in loader])\n"
            "    return (guesses == labels).float().mean().item()",
            "differ in order",
        ),
    ],
    "2.5": [
        (pets(files='glob("*")'), "the text file is counted"),
        (pets(convert=""), "one channel"),
        (pets(picture="picture"), "apply the transform"),
        (pets(label='path.name.split(".")[0]'), "is the text"),
        (pets(label='int("dog" in str(path))'), "every label is dog"),
        (pets(label='("dog", "cat").index(path.name.split(".")[0])'), "are swapped"),
    ],
    "2.6": [
        (training(step="pass"), "the model is the same as before"),
        (training(counters="pass"), "from 0"),
        (training(lr="1.0"), "expected 0.9"),
        (training(returned="accuracies[-1:]"), "1 accuracies for 8 epochs"),
        (training(accuracy="100 * correct_val / total_val"), "shares from 0 to 1"),
    ],
    "2.7": [
        (
            "def channel_statistics(loader):\n"
            "    batches = [images for images, _ in loader]\n"
            "    return (torch.stack([b.mean(dim=(0, 2, 3)) for b in batches]).mean(dim=0),\n"
            "            torch.stack([b.std(dim=(0, 2, 3)) for b in batches]).mean(dim=0))",
            "the mean of the batches' means",
        ),
        (
            "def channel_statistics(loader):\n"
            "    images = torch.cat([images for images, _ in loader])\n"
            "    return images.mean(), images.std()",
            "mean is one number",
        ),
        (
            "def channel_statistics(loader):\n"
            "    batches = [images for images, _ in loader]\n"
            "    return (torch.cat(batches).mean(dim=(0, 2, 3)),\n"
            "            torch.stack([b.std(dim=(0, 2, 3)) for b in batches]).mean(dim=0))",
            "the mean of the batches' stds",
        ),
        (
            "def channel_statistics(loader):\n"
            "    images = torch.cat([images for images, _ in loader])\n"
            "    return images.mean(dim=(0, 2, 3)), images.var(dim=(0, 2, 3))",
            "its root is missing",
        ),
    ],
    "2.8": [
        ("def undo(mean, std):\n    return v2.Normalize(mean, std)", "a second time"),
        (
            "def undo(mean, std):\n"
            "    m, s = torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)\n"
            "    return lambda picture: (picture + m) * s",
            "the order is turned round",
        ),
        (
            "def undo(mean, std):\n"
            "    m, s = torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)\n"
            "    return lambda picture: picture.mul_(s).add_(m)",
            "changed the picture",
        ),
        ("def undo(mean, std):\n    return torch.tensor(mean) * torch.tensor(std)", "it returned a tensor"),
    ],
    "bug 2.3": [
        (
            "def normalise(train, valid):\n"
            "    both = torch.cat([train, valid])\n"
            "    return (train - both.mean()) / both.std(), (valid - both.mean()) / both.std()",
            "that is a leak",
        ),
        (
            "def normalise(train, valid):\n    return (train - train.mean()) / train.std(), valid",
            "not normalised at all",
        ),
        (
            "def normalise(train, valid):\n"
            "    return (train - train.mean()) / train.std(), (valid - train.mean()) / valid.std()",
            "use the training part's",
        ),
    ],
    "2.13": [
        (SURVIVES.format(cats="True", arrows="True", digits="False"), "left into right"),
        (SURVIVES.format(cats="False", arrows="False", digits="False"), "a mirrored cat"),
        (SURVIVES.format(cats="True", arrows="False", digits="..."), "still open"),
        (SURVIVES.format(cats="True", arrows="False", digits='"False"'), "without quotes"),
    ],
    "bug 2.4": [
        (
            PARTS.format(
                body="split = torch.utils.data.random_split(Numbered(plain), [0.8, 0.2], "
                "generator=torch.Generator().manual_seed(seed))\n    return split"
            ),
            "not augmented either",
        ),
        (
            PARTS.format(
                body="first = torch.utils.data.random_split(Numbered(augment), [0.8, 0.2])[0]\n"
                "    return first, torch.utils.data.random_split(Numbered(plain), [0.8, 0.2])[1]"
            ),
            "in both parts",
        ),
        (
            PARTS.format(
                body="indices = list(range(20))\n"
                "    return (torch.utils.data.Subset(Numbered(augment), indices[:16]),\n"
                "            torch.utils.data.Subset(Numbered(plain), indices[16:]))"
            ),
            "other samples than before",
        ),
    ],
}
