"""Predict before you run: a question, the reader's guess, and then the truth beside it."""

from html import escape

from course_utils._widgets import close_all, close_earlier_run

# by question and options, so that a cell run again keeps what the reader had chosen
_guesses: dict[tuple[str, ...], str] = {}
NO_GUESS = "no guess yet"


class Prediction:
    """A question with its guess. Shown in a notebook it is a set of buttons, or a text field without options."""

    def __init__(self, question: str, options: list[str] | None, default: str) -> None:
        self.question = question
        self.options = options
        self._default = default
        self._key = (question, *(options or ()))
        self._control = None

    @property
    def guess(self) -> str:
        """What the reader has chosen, else the default."""
        return _guesses.get(self._key) or self._default

    @guess.setter
    def guess(self, value: str) -> None:
        _guesses[self._key] = "" if value is None else str(value)

    def reveal(self, truth: object) -> "Reveal":
        """The guess beside `truth`. A choice is right when it reads the same as `truth`; free text is shown only."""
        text = str(truth)
        if self.options is not None and text not in self.options:
            raise ValueError(f"the truth {text!r} is not among the options of this prediction: {self.options}")
        return Reveal(self.guess, text, judged=self.options is not None)

    def __repr__(self) -> str:
        choices = "" if self.options is None else "  [" + " | ".join(self.options) + "]"
        return f"? {self.question}{choices}"

    def _repr_mimebundle_(self, **_: object) -> dict:
        close_earlier_run(self)
        return {**self._widget()._repr_mimebundle_(), "text/plain": repr(self)}

    def close(self) -> None:
        """Give back the buttons; the guess stays."""
        if self._control is not None:
            close_all([*self._control.children, self._control])
        self._control = None

    def _widget(self) -> object:
        """The buttons, made when first shown: without a front end nothing of ipywidgets is needed."""
        import ipywidgets

        if self._control is None:
            words = f"<b>Predict:</b> {escape(self.question)} <small>Then run the next cell.</small>"
            question = ipywidgets.HTML(words)
            if self.options is None:
                field = ipywidgets.Text(placeholder="your guess", value=_guesses.get(self._key, ""))
            else:
                chosen = self.guess if self.guess in self.options else None
                field = ipywidgets.RadioButtons(options=self.options, value=chosen, layout={"width": "max-content"})
            field.observe(lambda change: setattr(self, "guess", change["new"]), names="value")
            self._control = ipywidgets.VBox([question, field])
        return self._control


class Reveal:
    """A guess and the truth, as text and as HTML."""

    def __init__(self, guess: str, truth: str, judged: bool) -> None:
        self.guess, self.truth = guess, truth
        self.right = judged and guess == truth
        self.wrong = judged and guess not in (truth, NO_GUESS)
        self._mark = " ✓" if self.right else " ✗" if self.wrong else ""

    def __repr__(self) -> str:
        return f"you predicted: {self.guess}{self._mark}\nit is:         {self.truth}"

    def _repr_html_(self) -> str:
        return (
            '<div style="border-left:4px solid #56B4E9;padding:2px 10px">'
            f"you predicted: <b>{escape(self.guess)}{self._mark}</b><br>it is: <b>{escape(self.truth)}</b></div>"
        )


def predict(question: str, options: list[str] | None = None, default: str = NO_GUESS) -> Prediction:
    """Ask `question` before its answer is computed; `.reveal(truth)` in a later cell shows both.

    With `options` (at least two different texts) the reader chooses one of them, otherwise they type. Where no front
    end runs, and until the reader has answered, the guess is `default`. Raises ValueError for an empty question or
    unusable options.
    """
    if not isinstance(question, str) or not question.strip():
        raise ValueError("predict needs a question: a text that says what to guess")
    if options is not None:
        fit = isinstance(options, (list, tuple)) and all(isinstance(option, str) for option in options)
        if not fit or len(set(options)) < 2:
            raise ValueError(f"options must be a list of at least two different texts, not {options!r}")
        if default not in (NO_GUESS, *options):
            raise ValueError(f"the default {default!r} is not among the options of this prediction: {options}")
    return Prediction(question, None if options is None else list(options), default)
