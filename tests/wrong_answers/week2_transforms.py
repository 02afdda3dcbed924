"""Mistakes that readers make in lessons 2.4 and 2.5 (transforms): see week2.py."""

TEN = """
def save_ten(picture, folder):
    kinds = {{
        "crop": {crop},
        "resize": {resize},
        "shift": {shift},
        "flip": {flip},
        "colour": {colour},
        "shear": {shear},
        "occlusion": {occlusion},
        {more}
    }}
    {loop}
    return kinds
"""
TEN_RIGHT = {
    "crop": "v2.CenterCrop(160)",
    "resize": "v2.Resize((112, 112))",
    "shift": "v2.RandomAffine(0, translate=(0.3, 0.3))",
    "flip": "v2.RandomHorizontalFlip(p=1)",
    "colour": "v2.ColorJitter(brightness=(1.3, 1.6), hue=(0.2, 0.3))",
    "shear": "v2.RandomAffine(0, shear=(20, 30))",
    "occlusion": "v2.RandomErasing(p=1)",
    "more": '"rotate": v2.RandomRotation((20, 40)), "grey": v2.Grayscale(3), "blur": v2.GaussianBlur(11, 4.0)',
    "loop": 'for name, transform in kinds.items():\n        transform(picture).save(folder / f"{name}.png")',
}


def ten(**changes: str) -> str:
    """A right answer to 2.11 with one thing changed."""
    return TEN.format(**{**TEN_RIGHT, **changes})


NOISE = """
class AddPepperNoise:
    def __init__(self, snr, p):
        self.snr = snr
        self.p = p

    def __call__(self, picture):
        if torch.rand(1).item() {chance}:
            return picture
        image = {image}
        draw = torch.rand({shape}, *image.shape[-2:])
        noise = {noise}
        {work}
        return {result}
"""
NOISE_RIGHT = {
    "chance": ">= self.p",
    "image": "v2.functional.to_image(picture)",
    "shape": "1",
    "noise": "1 - self.snr",
    "work": "noisy = image.masked_fill(draw < noise / 2, 255).masked_fill(draw > 1 - noise / 2, 0)",
    "result": "v2.functional.to_pil_image(noisy) if isinstance(picture, Image.Image) else noisy",
}


def pepper(**changes: str) -> str:
    """A right answer to 2.12 with one thing changed."""
    return NOISE.format(**{**NOISE_RIGHT, **changes})


SIZES = """
answer = {{
    "CenterCrop(100)": (100, 100),
    "CenterCrop((100, 250))": {crop},
    "RandomCrop(200, padding=20)": {padded},
    "Pad((10, 20))": {pad},
    "Pad((5, 10, 15, 20))": {four},
    "RandomResizedCrop(64)": {resized},
    "RandomRotation((90, 90))": {turned},
    "RandomRotation((90, 90), expand=True)": {expanded},
}}
"""
SIZES_RIGHT = {
    "crop": "(250, 100)",
    "padded": "(200, 200)",
    "pad": "(320, 240)",
    "four": "(320, 230)",
    "resized": "(64, 64)",
    "turned": "(300, 200)",
    "expanded": "(200, 300)",
}


def sizes(**changes: str) -> str:
    """A right answer to 2.10 with one entry changed."""
    return SIZES.format(**{**SIZES_RIGHT, **changes})


WRONG = {
    "2.9": [
        ("def vote(model, inputs):\n    return model(inputs.mean(dim=1))", "before the model saw them"),
        (
            "def vote(model, inputs):\n    b, n = inputs.shape[:2]\n    return model(inputs.flatten(0, 1)).view(n, b, -1).mean(dim=0)",
            "mixed up",
        ),
        (
            "def vote(model, inputs):\n    b, n = inputs.shape[:2]\n    return model(inputs.flatten(0, 1)).view(b, n, -1).mean(dim=0)",
            "averaged over the pictures",
        ),
        (
            "def vote(model, inputs):\n    b, n = inputs.shape[:2]\n    return model(inputs.flatten(0, 1)).view(b, n, -1).sum(dim=1)",
            "sums over the crops",
        ),
        ("def vote(model, inputs):\n    return model(inputs)", "takes 4-D batches"),
        (
            "def vote(model, inputs):\n    return torch.stack([model(crops).mean(dim=0) for crops in inputs])",
            "called 3 times",
        ),
        ("def vote(model, inputs):\n    return model(inputs.flatten(0, 1))", "take it apart"),
        (
            "def vote(model, inputs):\n    b, n = inputs.shape[:2]\n    return model(inputs.flatten(0, 1)).view(b, n, -1).mean(1).argmax(1)",
            "argmax can follow",
        ),
        (
            "def vote(model, inputs):\n    b, n = inputs.shape[:2]\n    return model(inputs.flatten(0, 1)).softmax(1).view(b, n, -1).mean(1)",
            "mean probabilities",
        ),
        ("def vote(model, inputs):\n    return model(inputs[:, 0])", "one crop only"),
    ],
    "2.10": [
        (sizes(crop="(100, 250)"), "a pair as size is (height, width)"),
        (sizes(padded="(240, 240)"), "it pads first"),
        (sizes(pad="(310, 220)"), "10 left and 10 right"),
        (sizes(pad="(340, 220)"), "not (340, 220)"),
        (sizes(four="(330, 220)"), "left, top, right, bottom"),
        (sizes(turned="(200, 300)"), "without expand the frame stays"),
        (sizes(expanded="(300, 200)"), "lies on its side"),
        (sizes(resized="..."), "is still open"),
        (sizes(resized="64"), "should be a tuple or list"),
        (sizes(resized="(64.0, 64.0)"), "two whole numbers"),
        ("answer = {'CenterCrop(100)': (100, 100)}", "is missing"),
    ],
    "2.11": [
        (ten(flip="v2.RandomHorizontalFlip()"), "p=1, or more strength"),
        (ten(shear="v2.RandomRotation((20, 30))"), "a rotation is no shear"),
        (ten(crop="v2.Resize((160, 160))"), "a crop cuts a part away"),
        (ten(resize="v2.CenterCrop(150)"), "a frame is no resize"),
        (ten(shift="v2.RandomRotation((20, 30))"), "moves it and nothing else"),
        (ten(flip="v2.RandomRotation((20, 30))"), "nothing is mirrored"),
        (ten(colour="v2.RandomHorizontalFlip(p=1)"), "nothing but colours"),
        (ten(occlusion="v2.CenterCrop(150)"), "one region should be hidden"),
        (ten(occlusion="transforms.RandomErasing(p=1)"), "AttributeError"),
        (
            ten(
                loop='for name, transform in kinds.items():\n        transform(picture)\n        picture.save(folder / f"{name}.png")'
            ),
            "crop.png is the original",
        ),
        (ten(more=""), "holds 7 transforms"),
        (ten(colour="v2.ColorJitter()"), "changed nothing"),
        (
            ten(
                shear="...",
                loop='for name, transform in kinds.items():\n        if transform is not ...:\n            transform(picture).save(folder / f"{name}.png")',
            ),
            "'shear' is still open",
        ),
        (ten(more=TEN_RIGHT["more"].replace("v2.GaussianBlur(11, 4.0)", "v2.RandomGrayscale(p=1)")), "are the same"),
        (ten(loop=""), "no file was written"),
        (
            ten(loop='for name, transform in kinds.items():\n        transform(picture).save(folder / "picture.png")'),
            "no file for 'crop'",
        ),
        (
            ten(
                loop='for name, transform in kinds.items():\n        picture = transform(picture)\n        picture.save(folder / f"{name}.png")'
            ),
            "apply each to `picture`",
        ),
        ("def save_ten(picture, folder):\n    return ['crop', 'resize']", "should be a dict"),
    ],
    "2.12": [
        (pepper(noise="self.snr"), "the share that stays"),
        (pepper(shape="3"), "coloured"),
        (pepper(result="noisy"), "comes out; the right neighbour"),
        (pepper(chance="< self.p"), "not one pixel was changed"),
        (
            pepper(
                work="image[:, draw[0] < noise / 2] = 255\n        image[:, draw[0] > 1 - noise / 2] = 0\n        noisy = image"
            ),
            "into the tensor",
        ),
        (pepper(work="noisy = image.masked_fill(draw < noise, 0)"), "all the dots are black"),
        (pepper(work="noisy = image.masked_fill(draw < noise, 255).masked_fill(draw > 1 - noise, 0)"), "half each"),
        (
            pepper(work="noisy = image.masked_fill(draw < noise / 4, 255).masked_fill(draw > 1 - noise / 4, 0)"),
            "salt and pepper get (1 - snr) / 2 each",
        ),
        (
            pepper(work="noisy = image.masked_fill(draw < noise / 2, 1).masked_fill(draw > 1 - noise / 2, 0)"),
            "in bytes",
        ),
        (pepper(chance="> 2"), "with p=0 the picture was changed in 100% of 50 calls"),
        (pepper(image="picture"), "AttributeError"),
        ("AddPepperNoise = lambda snr, p: None", "the class AddPepperNoise itself"),
        (
            "class AddPepperNoise:\n    def __init__(self, snr, p):\n        self.snr, self.p = snr, p\n\n    def forward(self, picture):\n        return picture",
            "needs a method __call__",
        ),
    ],
}
