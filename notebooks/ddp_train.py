"""Train one network in several processes (DistributedDataParallel). Lesson 6.10 starts it; so can you:

    torchrun --standalone --nproc-per-node=2 ddp_train.py FOLDER            # two processes on this machine
    torchrun --nnodes=2 --nproc-per-node=4 --rdzv-backend=c10d \\
             --rdzv-endpoint=FIRST_MACHINE:29500 ddp_train.py FOLDER        # on each of two machines with 4 GPUs
    python ddp_train.py FOLDER                                              # one process, for comparison

Every process runs this file from the first line to the last. It writes FOLDER/rank0.pt, FOLDER/rank1.pt, …: what each
process has seen and learnt.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

SAMPLES, BATCH, EPOCHS = 64, 16, 3  # BATCH is what all processes take together in a step


def make_data() -> TensorDataset:
    """64 points and a noisy linear target: the same in every process, because the generator is seeded."""
    chance = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, 4, generator=chance, dtype=torch.float64)
    noise = 0.1 * torch.randn(SAMPLES, 1, generator=chance, dtype=torch.float64)
    return TensorDataset(x, x.sum(dim=1, keepdim=True) + noise)


def make_model(seed: int) -> nn.Module:
    """A small network in double precision, so that sums in another order differ only in the last digits."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)).double()


def main(folder: Path) -> None:
    # torchrun tells each process its number; without torchrun there is one process, number 0
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local_rank, local_world = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    on_gpu = torch.cuda.device_count() >= local_world  # a GPU for each process, or none
    device = torch.device("cuda", local_rank) if on_gpu else torch.device("cpu")
    if world > 1:
        dist.init_process_group("nccl" if on_gpu else "gloo")

    # another seed in every process, on purpose: DDP sends the weights of rank 0 to all
    model = make_model(seed=rank).to(device)
    if world > 1:
        model = DistributedDataParallel(model, device_ids=[local_rank] if on_gpu else None)
    data = make_data()
    sampler = DistributedSampler(data, num_replicas=world, rank=rank, shuffle=True)
    loader = DataLoader(data, batch_size=BATCH // world, sampler=sampler)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    seen, first_gradient = [], None
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)  # or every epoch has the same order
        seen.append(list(sampler))
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x.to(device)), y.to(device))
            loss.backward()  # here the processes average their gradients
            if first_gradient is None:
                first_gradient = [parameter.grad.cpu().clone() for parameter in model.parameters()]
            optimizer.step()

    plain = model.module if world > 1 else model  # without the wrapper, whose name would stand in every key
    weights = {name: value.cpu() for name, value in plain.state_dict().items()}
    found = {"world": world, "seen": seen, "first_gradient": first_gradient, "weights": weights}
    torch.save(found, folder / f"rank{rank}.pt")
    if world > 1:
        dist.barrier()  # nobody leaves before all have written
        dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
