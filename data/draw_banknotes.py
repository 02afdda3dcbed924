"""Draws the two play-money notes of the course and photographs them with a camera model.

The notes are a fantasy design: a panda, a flower, a number, "BANK OF TENSORS". As with real money, the
portrait is the same on both; the number, the flower and the colour tell them apart. The table, the camera
and the light come from the photo's own seed, never from the note: nothing outside it gives the class away.

Needs NumPy, Pillow and matplotlib (for its DejaVu fonts).
"""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 1440, 680  # a note is drawn at this size and then reduced, which smooths its thin lines
REDUCED = 4
NOTE_HALF = np.array([1.0, HEIGHT / WIDTH])  # half the note's size on the table, in units of half its width
PICTURE_SIZES = ((160, 120), (120, 160), (128, 128), (144, 108))
SUPERSAMPLING = 3

INKS = {
    1: {"paper": (238, 242, 224), "light": (178, 209, 172), "mid": (86, 146, 104), "dark": (26, 84, 62)},
    100: {"paper": (248, 232, 224), "light": (240, 182, 172), "mid": (208, 88, 92), "dark": (142, 26, 48)},
}
GOLD = (198, 152, 72)
EYE_WHITE = (252, 250, 244)

TABLE_COLOURS = np.array(
    [
        (150, 104, 64), (96, 62, 40), (196, 164, 120), (120, 124, 130), (70, 76, 88), (214, 208, 196),
        (72, 100, 140), (136, 164, 190), (80, 116, 92), (168, 176, 130), (150, 64, 62), (206, 150, 140),
    ]
) / 255.0  # fmt: skip


# ---------------------------------------------------------------------------------------------- the note


def draw_note(value: int, serial: str) -> np.ndarray:
    """One note, float32 of shape (HEIGHT / 4, WIDTH / 4, 3), values 0 to 1. `value` is 1 or 100."""
    ink = INKS[value]
    picture = _paper(ink)
    draw = ImageDraw.Draw(picture)
    _guilloche(draw, ink)
    _rosette(draw, (650, 340), 205, ink["light"], petals=11, rounds=4)
    _rosette(draw, (650, 340), 140, ink["mid"], petals=7, rounds=3)
    _flower(draw, (650, 346), 88, ink, petals=5 if value == 100 else 6, pointed=value == 1)
    _frame(draw, ink)
    _portrait(picture, (1090, 338), ink)
    _texts(draw, value, serial, ink)
    reduced = picture.reduce(REDUCED)
    return np.asarray(reduced, dtype=np.float32) / 255.0


def _paper(ink: dict) -> Image.Image:
    """A sheet whose tint runs from the ink's light colour through pale paper to a touch of gold."""
    position = np.linspace(0, 1, WIDTH)[None, :, None]
    paper, light, gold = (np.array(colour, dtype=float) for colour in (ink["paper"], ink["light"], GOLD))
    left = np.clip(1 - position / 0.45, 0, 1) * 0.8
    right = np.clip((position - 0.62) / 0.38, 0, 1) * 0.35
    row = paper * (1 - left - right) + light * left + (0.5 * gold + 0.5 * paper) * right
    return Image.fromarray(np.repeat(row, HEIGHT, axis=0).round().astype(np.uint8), "RGB")


def _guilloche(draw: ImageDraw.ImageDraw, ink: dict) -> None:
    """Woven waves over the whole note, as engravers use them against copying."""
    x = np.arange(40, WIDTH - 39, 6)
    swell = 60 + 50 * np.sin(np.pi * x / WIDTH) ** 2
    for line in range(36):
        phase = 2 * np.pi * line / 36
        y = HEIGHT / 2 + (line - 17.5) * 15 + swell * 0.45 * np.sin(2 * np.pi * x / 410 + phase)
        y = np.clip(y, 48, HEIGHT - 48)
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=ink["light"], width=3)


def _rosette(draw, centre: tuple, radius: float, colour: tuple, petals: int, rounds: int) -> None:
    angle = np.linspace(0, 2 * np.pi, 720)
    for number in range(rounds):
        for phase in (0, np.pi):
            r = radius * (1 - 0.17 * number) * (1 + 0.09 * np.cos(petals * angle + phase))
            x, y = centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle)
            draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=colour, width=5)


def _flower(draw, centre: tuple, size: float, ink: dict, petals: int, pointed: bool) -> None:
    """Plum blossom (round petals) or lily (pointed petals)."""
    t = np.linspace(0, 1, 40)
    half_width = size * (0.30 * np.sin(np.pi * t) ** 0.8 if pointed else 0.52 * np.sin(np.pi * t**1.5) ** 0.7)
    for petal in range(petals):
        turn = 2 * np.pi * petal / petals - np.pi / 2
        along = np.concatenate([t, t[::-1]]) * size * (1.25 if pointed else 1.05)
        across = np.concatenate([half_width, -half_width[::-1]])
        x = centre[0] + along * np.cos(turn) - across * np.sin(turn)
        y = centre[1] + along * np.sin(turn) + across * np.cos(turn)
        outline = list(zip(x.tolist(), y.tolist(), strict=True))
        draw.polygon(outline, fill=ink["paper"], outline=ink["dark"], width=6)
        for share in (0.45, 0.7):
            tip = (centre[0] + size * share * np.cos(turn), centre[1] + size * share * np.sin(turn))
            draw.line([centre, tip], fill=ink["mid"], width=5)
    _disc(draw, centre, size * 0.2, GOLD, ink["dark"])


def _frame(draw: ImageDraw.ImageDraw, ink: dict) -> None:
    draw.rectangle((0, 0, WIDTH - 1, HEIGHT - 1), outline=ink["paper"], width=26)
    draw.rectangle((26, 26, WIDTH - 27, HEIGHT - 27), outline=ink["dark"], width=10)
    draw.rectangle((46, 46, WIDTH - 47, HEIGHT - 47), outline=ink["mid"], width=5)
    for x in range(70, WIDTH - 60, 44):  # a row of little arches along both long edges
        draw.arc((x - 22, 50, x + 22, 94), 0, 180, fill=ink["mid"], width=5)
        draw.arc((x - 22, HEIGHT - 94, x + 22, HEIGHT - 50), 180, 360, fill=ink["mid"], width=5)
    for y in range(90, HEIGHT - 70, 56):  # the security thread
        draw.rectangle((866, y, 876, y + 34), fill=GOLD)


def _portrait(note: Image.Image, centre: tuple, ink: dict) -> None:
    """A panda among bamboo in an oval, engraved: its shade is made of lines."""
    layer, mask = note.copy(), Image.new("L", note.size)
    draw, (x, y) = ImageDraw.Draw(layer), centre
    oval = (x - 200, y - 254, x + 200, y + 254)
    ImageDraw.Draw(mask).ellipse(oval, fill=255)
    draw.rectangle(oval, fill=ink["light"])
    for line in range(y - 254, y + 254, 16):
        draw.line((x - 200, line, x + 200, line), fill=ink["mid"], width=4)
    for side in (-1, 1):
        for across, up in ((60, 236), (112, 212), (158, 160), (176, 40), (186, -40)):
            leaf = _leaf((x + side * 40, y + 20), (x + side * across, y - up), 24)
            draw.polygon(leaf, fill=ink["mid"], outline=ink["dark"], width=4)
    draw.ellipse((x - 190, y + 112, x + 190, y + 420), fill=ink["dark"])  # shoulders
    for side in (-1, 1):
        _disc(draw, (x + side * 112, y - 116), 52, ink["dark"])  # ears
    draw.ellipse((x - 152, y - 140, x + 152, y + 146), fill=EYE_WHITE, outline=ink["dark"], width=9)
    for side in (-1, 1):
        draw.polygon(_ellipse_points((x + side * 68, y - 4), 42, 60, side * 0.5), fill=ink["dark"])
        _disc(draw, (x + side * 62, y - 12), 19, EYE_WHITE)
        _disc(draw, (x + side * 60, y - 10), 12, (30, 26, 30))
        mouth = (x - 54, y + 48, x, y + 106) if side < 0 else (x, y + 48, x + 54, y + 106)
        draw.arc(mouth, 20, 160, fill=ink["dark"], width=8)
    draw.ellipse((x - 30, y + 38, x + 30, y + 72), fill=ink["dark"])
    draw.ellipse(oval, outline=ink["dark"], width=12)
    note.paste(layer, mask=mask)


def _leaf(root: tuple, tip: tuple, half_width: float) -> list:
    """A lens-shaped outline from `root` to `tip`."""
    t = np.concatenate([np.linspace(0, 1, 20), np.linspace(1, 0, 20)])
    across = half_width * np.sin(np.pi * t) * np.repeat([1, -1], 20)
    along = np.array(tip, dtype=float) - root
    normal = np.array([-along[1], along[0]]) / np.hypot(*along)
    points = np.array(root) + t[:, None] * along + across[:, None] * normal
    return [tuple(point) for point in points.tolist()]


def _texts(draw: ImageDraw.ImageDraw, value: int, serial: str, ink: dict) -> None:
    dark, paper = ink["dark"], ink["paper"]
    centred = {"fill": dark, "anchor": "mm", "stroke_fill": paper}
    number = _font("Serif-Bold", 250 if value == 1 else 196)
    draw.text((290, 330), str(value), font=number, stroke_width=12, **centred)
    draw.text((290, 492), "YUAN", font=_font("Serif-Bold", 84), stroke_width=8, **centred)
    draw.text((470, 128), "BANK OF TENSORS", font=_font("Serif-Bold", 64), stroke_width=8, **centred)
    small = f"PLAY MONEY · SAMPLE · {serial}"
    draw.text((470, 568), small, font=_font("Sans-Bold", 38), stroke_width=6, **centred)
    draw.text((1308, 122), str(value), font=_font("Serif-Bold", 64), stroke_width=8, **centred)


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVu{name}.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _disc(draw, centre: tuple, radius: float, fill: tuple, outline: tuple | None = None) -> None:
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=outline, width=5)


def _ellipse_points(centre: tuple, a: float, b: float, turn: float) -> list:
    angle = np.linspace(0, 2 * np.pi, 60)
    x, y = a * np.cos(angle), b * np.sin(angle)
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    return list(zip((centre[0] + x).tolist(), (centre[1] + y).tolist(), strict=True))


# --------------------------------------------------------------------------------------------- the photo


def photograph(value: int, seed: list[int]) -> Image.Image:
    """A photograph of one note on a table, RGB, of one of PICTURE_SIZES. `seed` decides all but the value."""
    rng = np.random.default_rng(seed)
    width, height = PICTURE_SIZES[rng.integers(len(PICTURE_SIZES))]
    camera = _camera(rng, width, height)
    x, y = _table_points(camera, width * SUPERSAMPLING, height * SUPERSAMPLING)
    scene = _table(rng, x, y)
    shadow, light, blur, noise = _light(rng, width, height)
    bend = _bend(rng)
    serial = "".join(rng.choice(list("ABCDEFGHJKLMNPRSTUVWXYZ"), 2)) + f" {rng.integers(10**6):06d}"
    scene = _lay_note(scene, x, y, draw_note(value, serial), shadow, bend)
    shape = (height, SUPERSAMPLING, width, SUPERSAMPLING, 3)
    picture = scene.reshape(shape).mean(axis=(1, 3)) * light
    blurred = Image.fromarray(_bytes(picture), "RGB").filter(ImageFilter.GaussianBlur(blur))
    grain = rng.normal(0, noise, (height, width, 1)) + rng.normal(0, noise / 2, (height, width, 3))
    return Image.fromarray(_bytes(np.asarray(blurred) / 255.0 + grain), "RGB")


def _bytes(picture: np.ndarray) -> np.ndarray:
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def _camera(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """The 3x3 matrix from points on the table to pixels: a pinhole camera that sees (nearly) all the note."""
    turn, tilt, tilt_axis = rng.uniform(-0.65, 0.65), rng.uniform(0, 0.55), rng.uniform(0, 2 * np.pi)
    focal, size, place = rng.uniform(1.8, 3.0), rng.uniform(0.68, 0.98), rng.uniform(-1, 1, 2)
    corners = np.array([[sx * NOTE_HALF[0], sy * NOTE_HALF[1], 1] for sx in (-1, 1) for sy in (-1, 1)]).T
    while True:
        rotation = _around_z(tilt_axis) @ _around_x(tilt) @ _around_z(turn - tilt_axis)
        pixels_a_unit = size * max(width, height) / 2
        scale = np.diag([focal * pixels_a_unit, focal * pixels_a_unit, 1.0])
        plane = np.column_stack([rotation[:, 0], rotation[:, 1], [0, 0, focal]])
        matrix = scale @ plane
        seen = (matrix @ corners)[:2] / (matrix @ corners)[2]
        low, high = seen.min(axis=1), seen.max(axis=1)
        room = np.array([width, height]) * 1.04 - (high - low)
        if (room >= 0).all():
            shift = np.array([width, height]) / 2 - (low + high) / 2 + place * room / 2
            return np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]]) @ matrix
        size *= 0.97


def _around_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _around_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _table_points(camera: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """For every pixel of the enlarged picture, where on the table it looks."""
    row, column = np.mgrid[0:height, 0:width]
    pixels = np.stack([(column + 0.5) / SUPERSAMPLING, (row + 0.5) / SUPERSAMPLING, np.ones((height, width))])
    points = np.tensordot(np.linalg.inv(camera), pixels, axes=1)
    return points[0] / points[2], points[1] / points[2]


class _Noise:
    """Smooth random values over the plane, repeating every 64 units."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.lattice = rng.random((64, 64))

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        left, top = np.floor(x).astype(int), np.floor(y).astype(int)
        fx, fy = x - left, y - top
        fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
        left, top, right, bottom = left % 64, top % 64, (left + 1) % 64, (top + 1) % 64
        upper = self.lattice[top, left] * (1 - fx) + self.lattice[top, right] * fx
        lower = self.lattice[bottom, left] * (1 - fx) + self.lattice[bottom, right] * fx
        return upper * (1 - fy) + lower * fy

    def cloudy(self, x: np.ndarray, y: np.ndarray, octaves: int = 4) -> np.ndarray:
        layers = [self(x * 2**k + 7.3 * k, y * 2**k + 3.1 * k) / 2**k for k in range(octaves)]
        return sum(layers) / sum(1 / 2**k for k in range(octaves))


def _table(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Colours of wood, checked cloth, linen, stone or paint at the points (x, y), float (H, W, 3)."""
    noise = _Noise(rng)
    kind = rng.choice(["wood", "wood", "checks", "linen", "stone", "paint"])
    first, second = TABLE_COLOURS[rng.choice(len(TABLE_COLOURS), 2, replace=False)]
    turn = rng.uniform(0, 2 * np.pi)
    x, y = x * np.cos(turn) - y * np.sin(turn) + 20, x * np.sin(turn) + y * np.cos(turn) + 20
    if kind == "wood":
        grain = 0.5 + 0.5 * np.sin(2 * np.pi * (3 * y + 3 * noise(x * 0.5, y * 1.6)))
        share = 0.55 * grain + 0.45 * noise.cloudy(x * 1.5, y * 30, 2)
        gap = np.abs((y / 0.9) % 1 - 0.5) > 0.488
        return _mix(first, first * 0.62, share) * np.where(gap, 0.55, 1.0)[..., None]
    if kind == "checks":
        share = 0.5 * (np.sin(9 * x) > 0) + 0.5 * (np.sin(9 * y) > 0)
        weave = 0.94 + 0.06 * np.sin(120 * x) * np.sin(120 * y)
        return _mix(0.25 * first + 0.72, second, share) * weave[..., None]
    if kind == "linen":
        threads = 0.5 * noise(x * 45, y * 3) + 0.5 * noise(x * 3, y * 45)
        return _mix(first * 0.78, first * 0.85 + 0.14, threads)
    if kind == "stone":
        veins = np.abs(noise.cloudy(x * 1.3, y * 1.3, 5) - 0.5) * 7
        speckle = (noise(x * 26, y * 26) - 0.5) * 0.16
        return _mix(0.5 * first + 0.45, 0.45 * first + 0.2, 1 - veins.clip(0, 1)) + speckle[..., None]
    return _mix(first * 0.92, first * 0.95 + 0.05, noise.cloudy(x * 2, y * 2, 5))


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return first + (second - first) * share[..., None]


def _light(rng: np.random.Generator, width: int, height: int) -> tuple:
    """The shadow's shift, the light on every pixel (gradient, dark corners, warm or cool), blur and noise."""
    direction = rng.uniform(0, 2 * np.pi)
    shadow = rng.uniform(0.02, 0.07) * np.array([np.cos(direction), np.sin(direction)])
    row, column = np.mgrid[0:height, 0:width]
    u, v = column / width - 0.5, row / height - 0.5
    gradient = 1 + rng.uniform(0, 0.5) * (u * np.cos(direction) + v * np.sin(direction))
    corners = 1 - rng.uniform(0, 0.5) * (u**2 + v**2)
    warmth = rng.uniform(-0.09, 0.09)
    strength = rng.uniform(0.78, 1.12)
    light = strength * (gradient * corners)[..., None] * np.array([1 + warmth, 1.0, 1 - warmth])
    return shadow, light, rng.uniform(0.0, 0.75), rng.uniform(0.004, 0.022)


def _bend(rng: np.random.Generator) -> dict:
    """How the paper lies: a wave along it, one fold across it, how worn its colours are."""
    return {
        "wave": rng.uniform(0, 0.018), "length": rng.uniform(1.5, 4.0), "phase": rng.uniform(0, 2 * np.pi),
        "fold": rng.uniform(-0.5, 0.5), "crease": rng.uniform(0, 0.10), "worn": rng.uniform(0, 0.22),
    }  # fmt: skip


def _lay_note(scene, x, y, note, shadow, bend) -> np.ndarray:
    """The table with the note and its shadow on it."""
    angle = bend["length"] * x + bend["phase"]
    depth = _inside(x - shadow[0], y - shadow[1] + bend["wave"] * np.sin(angle), softness=0.09)
    scene = scene * (1 - 0.5 * depth[..., None])
    bent_y = y + bend["wave"] * np.sin(angle)
    u = (x / NOTE_HALF[0] + 1) / 2 * note.shape[1] - 0.5
    v = (bent_y / NOTE_HALF[1] + 1) / 2 * note.shape[0] - 0.5
    paper = _sample(note, u, v)
    faded = paper.mean(axis=-1, keepdims=True) * np.array([1, 0.98, 0.92])
    paper = paper + (faded - paper) * bend["worn"]
    shade = 1 + 2 * bend["wave"] * bend["length"] * np.cos(angle)
    shade = shade + bend["crease"] * np.tanh((x - bend["fold"]) * 6) * np.exp(-np.abs(x - bend["fold"]) * 2)
    return _mix(scene, paper * shade[..., None], _inside(x, bent_y, softness=0.012))


def _inside(x: np.ndarray, y: np.ndarray, softness: float) -> np.ndarray:
    """1 inside the note's outline, 0 outside, a ramp `softness` wide between."""
    outside = np.maximum(np.abs(x) - NOTE_HALF[0], np.abs(y) - NOTE_HALF[1])
    return np.clip(0.5 - outside / softness, 0, 1)


def _sample(picture: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`picture` at the (column, row) positions (u, v), bilinear, its edge repeated outside."""
    rows, columns = picture.shape[:2]
    u, v = u.clip(0, columns - 1.001), v.clip(0, rows - 1.001)
    left, top = u.astype(int), v.astype(int)
    fu, fv = (u - left)[..., None], (v - top)[..., None]
    upper = picture[top, left] * (1 - fu) + picture[top, left + 1] * fu
    lower = picture[top + 1, left] * (1 - fu) + picture[top + 1, left + 1] * fu
    return upper * (1 - fv) + lower * fv
