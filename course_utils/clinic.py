"""The error clinic: what a common torch error means, and what to look at first, in two lines.

`explain(error)` goes through the table AILMENTS. A row names the classes of an error, a pattern for its message, and
two sentences. Names in braces stand for what the pattern found in the message, such as the shapes. An error that no
row knows gets an honest line instead of a guess.
"""

import pickle
import re
from dataclasses import dataclass
from html import escape

from course_utils.errors import in_words


@dataclass(frozen=True)
class Explanation:
    """Two lines about an error: `cause`, and the first thing to look at. `known` is False for a stranger."""

    cause: str
    look: str
    known: bool = True

    def __str__(self) -> str:
        return f"cause: {self.cause}\nlook:  {self.look}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return (
            '<div style="border-left:4px solid #E69F00;padding:2px 10px">'
            f"<b>cause</b> {escape(self.cause)}<br><b>look</b> {escape(self.look)}</div>"
        )


@dataclass(frozen=True)
class Ailment:
    """A row of the table: errors of these classes whose message holds the pattern have this cause."""

    kinds: tuple[type[BaseException], ...]
    pattern: str
    cause: str
    look: str


RUNTIME, VALUE, TYPE = (RuntimeError,), (ValueError,), (TypeError,)
INDEX, ATTRIBUTE, PICKLE = (IndexError,), (AttributeError,), (pickle.PicklingError, AttributeError, TypeError)

AILMENTS = (
    # --- shapes ---
    Ailment(
        RUNTIME,
        r"mat1 and mat2 shapes cannot be multiplied \((?P<n>\d+)x(?P<has>\d+) and (?P<wants>\d+)x\d+\)",
        "a linear layer (or @) wants {wants} numbers in each row, but the rows have {has}",
        "print x.shape before the layer: is a flatten(1) missing, or is in_features of another input size?",
    ),
    Ailment(
        RUNTIME,
        r"The size of tensor a \((?P<a>\d+)\) must match the size of tensor b \((?P<b>\d+)\)",
        "two tensors cannot be broadcast: one has {a} where the other has {b}, and neither is 1",
        "write both shapes under each other, flush right; often unsqueeze, a transpose or a kept dimension is missing",
    ),
    Ailment(
        RUNTIME,
        r"to have (?P<wants>\d+) channels, but got (?P<has>\d+) channels",
        "the convolution was built for {wants} channels and got {has}",
        "is the input (N, C, H, W)? grey pictures have 1 channel, colour 3; in_channels is its out_channels before",
    ),
    Ailment(
        RUNTIME,
        r"Expected .* input to (?P<layer>conv\dd|\w+_pool\dd), but got input of size: (?P<shape>\[.*?\])",
        "{layer} got a tensor of shape {shape}: the number of dimensions is wrong",
        "a batch of pictures is (N, C, H, W); a single one needs unsqueeze(0), a grey one may lack its channel",
    ),
    Ailment(
        RUNTIME,
        r"Kernel size can't be greater than actual input size|Output size is too small",
        "nothing is left of the picture: the kernel is larger than the map that arrives",
        "print the shape after each layer; use fewer strides and poolings, some padding, or larger pictures",
    ),
    Ailment(
        RUNTIME,
        r"running_mean should contain (?P<has>\d+) elements not (?P<wants>\d+)",
        "the normalisation was built for {wants} channels and got {has}",
        "num_features has to be the number of channels that the layer before it puts out",
    ),
    Ailment(
        RUNTIME,
        r"stack expects each tensor to be equal size, but got (?P<a>\[.*?\]) at entry 0 and (?P<b>\[.*?\])",
        "samples of different shapes, {a} and {b}, cannot be put into one batch",
        "the transform must give every sample one size (Resize, CenterCrop), or the loader needs its own collate_fn",
    ),
    Ailment(
        RUNTIME,
        r"Sizes of tensors must match except in dimension (?P<dim>\d+)",
        "torch.cat joins along dimension {dim}, and in another dimension the pieces differ",
        "print the shapes of the pieces; for a new dimension use torch.stack, or choose another dim",
    ),
    Ailment(
        RUNTIME,
        r"shape '(?P<shape>\[.*?\])' is invalid for input of size (?P<size>\d+)",
        "{size} numbers do not fill the shape {shape}",
        "the product of the new shape must be {size}; -1 stands for one dimension that torch may work out",
    ),
    Ailment(
        RUNTIME,
        r"view size is not compatible with input tensor's size and stride",
        "view never copies, and these numbers do not lie in memory in the order that it needs",
        "write reshape, which copies where it must; or contiguous() after a transpose or permute",
    ),
    Ailment(
        INDEX,
        r"Dimension out of range \(expected to be in range of \[(?P<low>\S+), (?P<high>\S+)\], but got (?P<dim>\S+)\)",
        "there is no dimension {dim}: the tensor has only dimensions {low} to {high}",
        "print x.shape; an index or a squeeze before has taken a dimension away",
    ),
    # --- types and devices ---
    Ailment(
        RUNTIME,
        r"mat1 and mat2 must have the same dtype, but got (?P<a>\w+) and (?P<b>\w+)",
        "the input is {a} and the weight is {b}; a product needs one dtype",
        "x.float() for the input: NumPy numbers come as double, labels as long, pictures as byte",
    ),
    Ailment(
        RUNTIME,
        r"Input type \(torch\.[\w.]+Tensor\) and (?:weight|bias) type \(torch\.[\w.]+Tensor\)",
        "the picture and the weights of the convolution are on different devices, or of different dtypes",
        "model.to(device) once, and x = x.to(device) for every batch; then compare x.dtype with the weight's",
    ),
    Ailment(
        RUNTIME,
        r"Input type \((?P<a>[\w ]+)\) and (?:weight|bias) type \((?P<b>[\w ]+)\) should be the same",
        "the picture is {a} and the weights of the convolution are {b}",
        "x.float() for the input, and v2.ToDtype(torch.float32, scale=True) for pictures that come as byte",
    ),
    Ailment(
        RUNTIME,
        r"expected m1 and m2 to have the same dtype, but got: (?P<a>[\w ]+) != (?P<b>[\w ]+)",
        "@ got {a} and {b}; a product needs one dtype",
        "make both float with .float(); sums and differences convert by themselves, products of matrices do not",
    ),
    Ailment(
        RUNTIME,
        r"expected target dtype to be Long|expected scalar type Long but found",
        "cross-entropy wants class numbers of type long as targets, and got another dtype",
        "targets.long(); for probabilities as targets they must be float and have the shape of the logits",
    ),
    Ailment(
        RUNTIME,
        r"Found dtype (?P<has>\w+) but expected (?P<wants>\w+)",
        "this loss wants predictions and targets of one dtype: {wants}, not {has}",
        "targets.float() for losses between numbers, such as MSELoss and BCELoss; only class numbers stay long",
    ),
    Ailment(
        RUNTIME,
        r"result type (?P<has>\w+) can't be cast to the desired output type (?P<wants>\w+)",
        "a result of type {has} is to be written into a tensor of type {wants}",
        "make the tensor that is changed (or the targets of the loss) float; += keeps the old dtype",
    ),
    Ailment(
        RUNTIME,
        r"Only Tensors of floating point and complex dtype can require gradients",
        "whole numbers have no slope, so a tensor of integers cannot require a gradient",
        "write 1.0 instead of 1, or dtype=torch.float32, where the tensor is made",
    ),
    Ailment(
        RUNTIME,
        r"Expected all tensors to be on the same device|is not on the expected device",
        "tensors of one operation are on different devices",
        "model.to(device) once, x and y .to(device) in every batch; tensors made in forward need device=x.device",
    ),
    Ailment(
        (RuntimeError, AssertionError),
        r"Found no NVIDIA driver|Torch not compiled with CUDA enabled|No CUDA GPUs are available",
        "the code asks for a CUDA device, and this machine or this torch has none",
        'look for "cuda" and .cuda(): write device = "cuda" if torch.cuda.is_available() else "cpu", and .to(device)',
    ),
    Ailment(
        RUNTIME,
        r"CUDA out of memory",
        "the memory of the GPU is full",
        "halve the batch; is loss kept without .item(), or validation without no_grad()? nvidia-smi shows other users",
    ),
    Ailment(
        RUNTIME,
        r"device-side assert triggered",
        "an index on the GPU was out of range: nearly always a class number that is too large or negative",
        "run the same batch on the CPU, where the message names the number; then start a new process",
    ),
    Ailment(
        RUNTIME,
        r"Attempting to deserialize object on a CUDA device",
        "the file holds tensors of a GPU, and this machine has none",
        'torch.load(file, map_location="cpu"), and model.to(device) after it',
    ),
    # --- gradients ---
    Ailment(
        RUNTIME,
        r"modified by an inplace operation: \[.*?\](?:, which is output \d+ of (?P<node>\w+))?",
        "a tensor that the backward pass still needs was changed in place after it was used",
        "look for +=, an index on the left of =, add_ and ReLU(inplace=True) behind the operation that is named",
    ),
    Ailment(
        RUNTIME,
        r"Trying to backward through the graph a second time",
        "backward() went twice through one graph, which is freed after the first time",
        "compute the forward pass anew in each step; .detach() what is carried from step to step",
    ),
    Ailment(
        RUNTIME,
        r"does not require grad and does not have a grad_fn",
        "backward() starts at a tensor that was recorded by no operation",
        "look for no_grad(), .detach(), .item(), argmax or frozen parameters between the weights and the loss",
    ),
    Ailment(
        RUNTIME,
        r"grad can be implicitly created only for scalar outputs",
        "backward() starts at one number, and this tensor has several",
        "loss.mean() or loss.sum(); was the loss made with reduction='none'?",
    ),
    Ailment(
        RUNTIME,
        r"a leaf Variable that requires grad is being used in an in-place operation",
        "a parameter was changed in place while operations are recorded",
        "put the change under torch.no_grad(), or leave it to the optimizer",
    ),
    Ailment(
        RUNTIME,
        r"is a view and is being modified inplace",
        "a view, here often the output of a layer with a full backward hook, is changed in place",
        "ReLU(inplace=False) behind the hooked layer, or a hook on the tensor (register_hook)",
    ),
    Ailment(
        RUNTIME,
        r"Inference tensors cannot be saved for backward",
        "a tensor made under inference_mode() is used where gradients are wanted",
        "make it under no_grad() instead, or .clone() it outside",
    ),
    Ailment(
        RUNTIME,
        r"Only Tensors created explicitly by the user .* support the deepcopy protocol",
        "deepcopy met a tensor that is the result of an operation, with its graph behind it",
        "store .detach() (or .item()) on the object; copy weights through state_dict",
    ),
    # --- losses, targets, data ---
    Ailment(
        INDEX,
        r"Target (?P<class>-?\d+) is out of bounds",
        "a target has class {class}, and the network has no such output",
        "classes count from 0 to K - 1: compare targets.min() and .max() with out_features of the last layer",
    ),
    Ailment(
        INDEX,
        r"^index out of range in self$",
        "an Embedding got a number that its table does not have",
        "compare x.min() and x.max() with num_embeddings: the largest number allowed is one less",
    ),
    Ailment(
        VALUE,
        r"[Tt]arget size \(torch\.Size\((?P<target>\[.*?\])\)\).*input size \(torch\.Size\((?P<input>\[.*?\])\)\)",
        "this loss compares number with number, but the predictions have shape {input} and the targets {target}",
        "one of them has a dimension of size 1 too many: targets.unsqueeze(1), or predictions.squeeze(1)",
    ),
    Ailment(
        VALUE,
        r"Expected input batch_size \((?P<a>\d+)\) to match target batch_size \((?P<b>\d+)\)",
        "{a} predictions meet {b} targets",
        "print the shape before the last flatten or view: view(-1, n) can move samples into other rows",
    ),
    Ailment(
        RUNTIME,
        r"0D or 1D target tensor expected, multi-target not supported",
        "cross-entropy wants one class number for each sample, shape (N,)",
        "targets.squeeze(1) for the shape (N, 1); for one-hot targets argmax(1), or make them float",
    ),
    Ailment(
        RUNTIME,
        r"all elements of input should be between 0 and 1",
        "BCELoss wants probabilities, and got other numbers (or nan)",
        "BCEWithLogitsLoss takes the numbers as they come from the last layer; if they are nan, look for the first nan",
    ),
    Ailment(
        VALUE,
        r"Expected more than 1 value per channel when training",
        "batch normalisation in training mode cannot take a variance from a single value per channel",
        "drop_last=True in the training loader, a batch of two or more, or model.eval() if this is no training",
    ),
    Ailment(
        TYPE,
        r"default_collate: batch must contain tensors.*found <class '(?P<kind>[^']*)'>",
        "the loader cannot make a batch out of objects of class {kind}",
        "does the transform end with a tensor (v2.ToImage, v2.ToDtype)? look at dataset[0]",
    ),
    Ailment(
        VALUE,
        r"num_samples=0",
        "the Dataset is empty",
        "print len(dataset) and the folder it reads: a wrong path or file pattern finds nothing",
    ),
    Ailment(
        PICKLE,
        r"[Cc]an't (?:get|pickle) .*<lambda>",
        "a lambda cannot be sent to a worker process (or into a file)",
        "make it a function with a name, in a module that the worker can import; or num_workers=0",
    ),
    # --- files ---
    Ailment(
        RUNTIME,
        r'loading state_dict for (?P<model>\w+): .*"module\.',
        "the keys of the file begin with module.: it was saved from inside DataParallel or DistributedDataParallel",
        'nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module."), or save model.module next time',
    ),
    Ailment(
        RUNTIME,
        r"loading state_dict for .*?size mismatch for (?P<key>[\w.]+): .*?shape torch\.Size\((?P<file>\[.*?\])\)"
        r" from checkpoint, the shape in current model is torch\.Size\((?P<model>\[.*?\])\)",
        "{key} has shape {file} in the file and {model} in the model: another width or number of classes",
        "build the model with the numbers it was saved with; for a new task leave this layer out of the dictionary",
    ),
    Ailment(
        RUNTIME,
        r'loading state_dict for (?P<model>\w+): Missing key\(s\) in state_dict: "(?P<key>[\w.]+)"',
        "{model} needs {key}, and the dictionary does not have it",
        "compare list(state) with list(model.state_dict()): other names, a wrapper, or only a part was saved?",
    ),
    Ailment(
        RUNTIME,
        r'loading state_dict for (?P<model>\w+): Unexpected key\(s\) in state_dict: "(?P<key>[\w.]+)"',
        "the dictionary has {key}, and {model} has no place for it",
        'compare list(state) with list(model.state_dict()); is the state one level deeper, as in checkpoint["model"]?',
    ),
    Ailment(
        TYPE,
        r"Expected state_dict to be dict-like, got <class '(?P<kind>[^']*)'>",
        "load_state_dict wants a dictionary of tensors, and got a {kind}",
        "torch.load gives it; for a whole model in the file: model.load_state_dict(loaded.state_dict())",
    ),
    Ailment(
        (pickle.UnpicklingError,),
        r"Weights only load failed",
        "the file holds more than tensors and plain numbers, and torch.load opens only these by default",
        "save state_dicts, and floats instead of NumPy numbers; weights_only=False runs code: for files you trust",
    ),
    # --- from tensor to number ---
    Ailment(
        RUNTIME,
        r"Can't call numpy\(\) on Tensor that requires grad",
        "NumPy knows no gradients, and this tensor belongs to a graph",
        "tensor.detach().numpy(); for a loss that you keep or plot: loss.item()",
    ),
    Ailment(
        TYPE,
        r"can't convert (?P<device>[\w:]+) device type tensor to numpy",
        "NumPy reads the memory of the CPU, and this tensor is on {device}",
        "tensor.detach().cpu().numpy()",
    ),
    Ailment(
        RUNTIME,
        r"a Tensor with (?P<n>\d+) elements cannot be converted to Scalar",
        "item() gives one number, and this tensor has {n}",
        "a mean() or an index is missing; all numbers as a list: tolist()",
    ),
    Ailment(
        RUNTIME,
        r"Boolean value of Tensor with more than one value is ambiguous",
        "if, and, or, not ask for one True or False, and a tensor has many",
        "(a == b).all() or torch.equal(a, b); & and | for elements. Was a loss built with tensors: Loss()(x, y)?",
    ),
    # --- modules and optimizers ---
    Ailment(
        VALUE,
        r"optimizer got an empty parameter list",
        "the optimizer found nothing to train",
        "are the layers in a plain list (use ModuleList), or was the generator parameters() already used up?",
    ),
    Ailment(
        VALUE,
        r"can't optimize a non-leaf Tensor",
        "the optimizer got the result of an operation instead of a parameter",
        "make the tensor first (.to(device), * scale), then requires_grad_() or nn.Parameter",
    ),
    Ailment(
        ATTRIBUTE,
        r"cannot assign \w+ before Module\.__init__\(\) call",
        "a layer is put into a module that is not set up yet",
        "super().__init__() has to be the first line of __init__",
    ),
    Ailment(
        (NotImplementedError,),
        r'Module \[(?P<model>\w+)\] is missing the required "forward" function',
        "{model} has no forward",
        "look for a spelling mistake in def forward, and for a def that is indented too deeply",
    ),
    Ailment(
        (AttributeError, TypeError),
        r"'NoneType' object has no attribute|must be Tensor, not NoneType",
        "something that should be a tensor is None",
        "a return is missing (often in forward), or .grad is read before backward()",
    ),
    Ailment(
        TYPE,
        r"(?P<layer>\w+)\(\): argument '(?P<argument>\w+)' .*must be Tensor, not (?P<kind>[\w.]+)",
        "{layer} got a {kind} instead of a tensor",
        "torch.from_numpy(x).float() for arrays, torch.tensor(x) for lists; an LSTM returns a tuple, take its first",
    ),
    Ailment(
        ATTRIBUTE,
        r"'(?P<kind>\w+)' object has no attribute '(?P<name>\w+)'",
        "a {kind} has nothing called {name}",
        "look for a spelling mistake, a layer that __init__ never made, or a wrapper (then it is in .module)",
    ),
)


def explain(error: BaseException) -> Explanation:
    """The cause of `error` and the first thing to look at, from the first row of AILMENTS that fits.

    An error that no row knows gets an Explanation with `known` False, which says so. Raises TypeError when `error` is
    no exception: catch it first, with `except RuntimeError as error`.
    """
    if not isinstance(error, BaseException):
        raise TypeError(f"explain needs an exception, as in `except Exception as error`, not {type(error).__name__}")
    message = " ".join(str(error).split())
    for ailment in AILMENTS:
        found = re.search(ailment.pattern, message) if isinstance(error, ailment.kinds) else None
        if found:
            words = found.groupdict()
            return Explanation(ailment.cause.format_map(words), ailment.look.format_map(words))
    return Explanation(
        f"not among the {len(AILMENTS)} errors that this clinic knows ({in_words(error, 100)})",
        "the last line of the traceback in your own code: print type, shape, dtype and device of all that goes in",
        known=False,
    )
