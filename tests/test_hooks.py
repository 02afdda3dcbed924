"""The recorder: what the layers really gave, gradients as torch computes them, and no hook left behind."""

import gc
import weakref

import pytest
import torch
from torch import nn

from course_utils.hooks import Recorder


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.relu = nn.ReLU(inplace=True)  # called twice, and changes what the convolution gave
        self.fc = nn.Sequential(nn.Flatten(), nn.Linear(18, 3))

    def forward(self, x):
        return self.relu(self.fc(self.relu(self.conv(x))))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def x():
    return torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(1))


def hooks_of(model):
    return [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()]


def test_outputs_are_what_the_layers_give_before_anything_is_changed_in_place(net, x):
    with Recorder(net, ["conv", net.fc, "fc.1"]) as recorder:
        net(x)
    assert list(recorder.outputs) == ["conv", "fc.1", "fc"]
    assert torch.equal(recorder.outputs["conv"], net.conv(x)) and recorder.outputs["conv"].min() < 0
    assert torch.equal(recorder.outputs["fc"], net.fc(net.conv(x).relu()))
    assert torch.equal(recorder.outputs["fc"], recorder.outputs["fc.1"])
    assert not any(output.requires_grad for output in recorder.outputs.values())
    assert recorder.gradients == {}


def test_a_second_call_has_a_name_of_its_own(net, x):
    with Recorder(net, net.relu) as recorder:
        output = net(x)
    assert list(recorder.outputs) == ["relu", "relu:2"]
    assert recorder.outputs["relu"].shape == (4, 2, 3, 3) and torch.equal(recorder.outputs["relu:2"], output)


def test_each_run_of_the_model_begins_anew(net, x):
    with Recorder(net, ["conv", "relu"]) as recorder:
        net(x)
        first = recorder.outputs
        net(x[:1])
        assert list(recorder.outputs) == ["conv", "relu", "relu:2"]
        assert recorder.outputs["conv"].shape[0] == 1 and first["conv"].shape[0] == 4


def test_the_model_itself_can_be_recorded(net, x):
    with Recorder(net, net, gradients=True) as recorder:
        output = net(x)
        (3 * output).sum().backward()
    assert torch.equal(recorder.outputs[""], output)
    assert torch.equal(recorder.gradients[""], torch.full((4, 3), 3.0))


def test_gradients_are_those_of_retain_grad(net, x):
    with Recorder(net, ["conv", "fc"], gradients=True) as recorder:
        net(x).square().sum().backward()
    kept = net.conv(x)
    kept.retain_grad()
    before = net.fc(kept.relu())
    before.retain_grad()
    before.relu().square().sum().backward()
    assert torch.allclose(recorder.gradients["conv"], kept.grad)
    assert torch.allclose(recorder.gradients["fc"], before.grad)
    assert recorder.gradients["conv"].abs().sum() > 0


def test_two_backward_passes_add_up_and_a_late_one_stays_with_its_run(net, x):
    with Recorder(net, "fc", gradients=True) as recorder:
        loss = net(x).sum()
        loss.backward(retain_graph=True)
        once = recorder.gradients["fc"].clone()
        loss.backward()
        assert torch.equal(recorder.gradients["fc"], 2 * once)
        earlier, records = net(x).sum(), recorder.gradients
        net(x)
        earlier.backward()
        assert recorder.gradients == {} and torch.equal(records["fc"], once)


def test_recording_changes_no_result_and_no_gradient(net, x):
    usual = net(x)
    usual.sum().backward()
    gradients = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    state, modes = torch.get_rng_state(), [m.training for m in net.modules()]
    with Recorder(net, ["conv", "relu", "fc"], gradients=True):
        recorded = net(x)
        recorded.sum().backward()
    assert torch.equal(recorded, usual)
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True))
    assert torch.equal(torch.get_rng_state(), state) and [m.training for m in net.modules()] == modes


@pytest.mark.parametrize("error", [False, True])
def test_hooks_are_removed_and_those_of_others_stay(net, x, error):
    seen = []
    net.conv.register_forward_hook(lambda *_: seen.append(1))
    before = hooks_of(net)
    recorder = Recorder(net, ["conv", "fc"])
    assert hooks_of(net) == before, "nothing is hooked before the block"
    for _ in range(2):
        try:
            with recorder:
                assert hooks_of(net) != before
                net(torch.zeros(1, 9, 5, 5) if error else x)
        except RuntimeError:
            assert error
        assert hooks_of(net) == before
    net(x)
    if not error:
        assert len(seen) == 3 and recorder.outputs["conv"].shape[0] == 4


def test_nothing_keeps_the_run_alive(net, x):
    kept = []
    net.conv.register_forward_hook(lambda m, a, output: kept.append(weakref.ref(output)))
    with Recorder(net, ["conv", "fc"], gradients=True) as recorder:
        output = net(x)
        output.sum().backward()
        del output
        gc.collect()
        assert kept[0]() is None, "the layer's own output is gone while the recorder still holds its copy"
    assert recorder.outputs["conv"].grad_fn is None


def test_a_recorder_is_not_entered_twice_at_once(net):
    with Recorder(net, "conv") as recorder:
        with pytest.raises(RuntimeError, match="already recording"):
            recorder.__enter__()
    assert not any(sum(counts) for counts in hooks_of(net))


def test_no_gradient_can_come(net, x):
    with Recorder(net, "conv", gradients=True), torch.no_grad():
        with pytest.raises(ValueError, match="^the output of 'conv' takes no gradient; run the model without no_grad"):
            net(x)
    assert not any(sum(counts) for counts in hooks_of(net))


def test_an_output_that_is_no_tensor():
    model = nn.Sequential(nn.LSTM(3, 4))
    with (
        Recorder(model, "0"),
        pytest.raises(TypeError, match="^module '0' returns a tuple of length 2; Rec"),
    ):
        model(torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ("conv1", "the model has no module 'conv1'; it has: conv, relu, fc, fc.0, fc.1"),
        (["conv", "fc.7"], "the model has no module 'fc.7'"),
        (nn.Conv2d(1, 2, 3), "a Conv2d was given that is not a module of this Net"),
        ([], "there is no module to record"),
        ([3], "modules holds an int"),
    ],
)
def test_a_module_that_is_not_there(net, modules, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}[^\n]*$"):
        Recorder(net, modules)


def test_a_model_is_needed():
    with pytest.raises(TypeError, match="^model is a str; an nn.Module is needed$"):
        Recorder("net", "conv")
