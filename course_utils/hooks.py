"""Keeping what the layers of a network give out, with hooks that are always removed again."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ._arguments import kind


class Recorder:
    """Records the outputs of some modules of `model`, and with `gradients` what the loss's derivative by them is.

        with Recorder(net, ["conv1", "fc"]) as recorder:
            net(pictures)
        recorder.outputs["conv1"]  # (N, C, H, W)

    `modules` is one module of the model or its name as in `model.named_modules()`, or a list of them. `.outputs` and
    `.gradients` are dictionaries from the name to a tensor on the same device, without a graph and a copy, so that an
    in-place operation that follows changes nothing in them. They hold the last run of the model: each run begins with
    empty ones. A module that one run calls a second time has that output under "name:2", and so on.

    The hooks are there inside the `with` block only, and are removed after an exception too; the records stay. Raises
    ValueError or TypeError for a module that is not the model's, and, when the model runs, for an output that is no
    tensor, or from which no gradient can come (`gradients` under no_grad).
    """

    def __init__(
        self, model: nn.Module, modules: str | nn.Module | Iterable[str | nn.Module], gradients: bool = False
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model is {kind(model)}; an nn.Module is needed")
        self.outputs: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        self._model, self._wants_gradients = model, gradients
        # an nn.Sequential can be walked through too, but is one module here
        wanted = [modules] if isinstance(modules, (str, nn.Module)) else list(modules)
        self._watched = dict(_found(model, module) for module in wanted)
        if not self._watched:
            raise ValueError("there is no module to record; give at least one name or module")
        self._handles: list[RemovableHandle] = []
        self._calls: dict[str, int] = {}

    def __enter__(self) -> Recorder:
        if self._handles:
            raise RuntimeError("this Recorder is already recording; make another one, or leave the first block")
        self._forget()
        # first of the model's hooks, so that a watched model that is `model` itself is recorded after it
        self._handles.append(self._model.register_forward_pre_hook(lambda *_: self._forget(), prepend=True))
        for name, module in self._watched.items():
            self._handles.append(module.register_forward_hook(partial(self._keep, name)))
        return self

    def __exit__(self, *_: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _forget(self) -> None:
        # new dictionaries: who kept those of an earlier run still has them
        self.outputs, self.gradients, self._calls = {}, {}, {}

    def _keep(self, name: str, _: nn.Module, __: object, output: object) -> None:
        calls = self._calls[name] = self._calls.get(name, 0) + 1
        key = name if calls == 1 else f"{name}:{calls}"
        if not isinstance(output, Tensor):
            raise TypeError(f"module {name!r} returns {kind(output)}; Recorder keeps tensors, record a module inside")
        self.outputs[key] = output.detach().clone()
        if self._wants_gradients:
            if not output.requires_grad:
                raise ValueError(f"the output of {name!r} takes no gradient; run the model without no_grad, unfrozen")
            # the dictionary of this run: a backward pass after the next forward pass must not write into that one's
            gradients = self.gradients
            output.register_hook(lambda gradient: _add(gradients, key, gradient))


def _add(gradients: dict[str, Tensor], key: str, gradient: Tensor) -> None:
    """Gradients add up, as in `.grad`, when backward runs twice through one output."""
    gradients[key] = gradients[key] + gradient.detach() if key in gradients else gradient.detach().clone()


def _found(model: nn.Module, wanted: object) -> tuple[str, nn.Module]:
    """Name and module; ValueError when the model has none such."""
    names = {name: module for name, module in model.named_modules()}
    if isinstance(wanted, nn.Module):
        for name, module in names.items():
            if module is wanted:
                return name, module
        raise ValueError(f"a {type(wanted).__name__} was given that is not a module of this {type(model).__name__}")
    if not isinstance(wanted, str):
        raise TypeError(f"modules holds {kind(wanted)}; names or modules of the model are needed")
    if wanted not in names:
        known = [name for name in names if name]
        few = ", ".join(known[:6]) + (", …" if len(known) > 6 else "")
        raise ValueError(f"the model has no module {wanted!r}; it has: {few}")
    return wanted, names[wanted]
