"""Mistakes that readers make on start_here, and words that the check's message must hold."""

WRONG = {
    "0.1": [
        ("answer = torch.tensor(41)", "holds 41"),
        ("answer = 42", "should be a Tensor"),
        ("answer = torch.tensor(42.0)", "dtype torch.float32"),
    ]
}
