"""Trains the network that names hidden digits, and writes its weights: hidden_digits_network.pt and checksums.json.

    python data/train_hidden_digits.py [folder]

The folder is data/ itself when none is named; it needs the other files of data/. One thread, nine minutes. The
same machine gives the same bytes each time; on another processor the last digits of the weights differ, and with them
the checksum and the numbers in README.md.
"""

import sys
import time
from pathlib import Path

import torch
from torch import nn

from build import write_checksums
from course_utils import cam, data, models, training

SEED = 0
EPOCHS, PICTURES, BATCH = 50, 7500, 20  # each epoch has new pictures
PEAK = 0.008  # learning rate
HELD_OUT = 4000


def main(target: Path) -> None:
    torch.set_num_threads(1)
    started = time.process_time()
    network = train()
    print(f"trained in {time.process_time() - started:.0f} s of CPU")
    torch.save(network.state_dict(), target / "hidden_digits_network.pt")
    write_checksums(target)
    accuracy, pointing, energy = score(network)
    print(f"{HELD_OUT} held-out pictures: accuracy {accuracy:.3f}, pointing {pointing:.3f}, energy {energy:.3f}")


def train(seed: int = SEED) -> models.GapNet:
    torch.manual_seed(seed)
    network = models.GapNet(3, 10).to(memory_format=torch.channels_last)  # almost twice as quick on a CPU
    # the average over 256 places changes little from picture to picture; with a louder classifier learning starts soon
    with torch.no_grad():
        network.classifier.weight *= 8
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK, weight_decay=0.01)
    steps = EPOCHS * PICTURES // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=PEAK, total_steps=steps, pct_start=0.3)
    for epoch in range(EPOCHS):
        images, labels, _ = data.hidden_digits(PICTURES, seed=1000 * seed + epoch)
        images = images.to(memory_format=torch.channels_last)
        batches = ((images[chosen], labels[chosen]) for chosen in torch.randperm(PICTURES).split(BATCH))
        loss = training.train_epoch(network, batches, nn.CrossEntropyLoss(), optimizer, schedule.step)
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {loss:.3f}", flush=True)
    return network.to(memory_format=torch.contiguous_format).eval()


@torch.no_grad()
def score(network: models.GapNet, count: int = HELD_OUT) -> tuple[float, float, float]:
    """Accuracy, pointing game and mean energy in the box on `count` pictures whose handwriting was not trained on.

    The class activation map is that of the digit that is there, resized to the picture.
    """
    pictures = data.hidden_digits(count, part="test")
    right = pointed = energy = 0.0
    for image, label, box in zip(pictures.images, pictures.labels.tolist(), pictures.boxes.tolist(), strict=True):
        right += float(network(image[None]).argmax()) == label
        features = network.features(image[None])[0]
        heat = cam.resize(cam.class_activation_map(features, network.classifier.weight[label]), image.shape[1:])
        pointed += cam.points_inside(heat, box)
        energy += cam.energy_inside(heat, box)
    return right / count, pointed / count, energy / count


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent).resolve())
