"""A character language model: fit to a text, measure, write on, save."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastrnn import _checks, initializers, optim, serialization
from fastrnn.composition import Sequential
from fastrnn.data import ParallelStreams
from fastrnn.layers import CELLS
from fastrnn.parallel import Communicator
from fastrnn.protocol import Layer
from fastrnn.streaming import Stream
from fastrnn.text.budget import Budget
from fastrnn.text.evaluation import bits_per_token
from fastrnn.text.network import network
from fastrnn.text.reading import read_texts
from fastrnn.text.sampling import check_options, sample
from fastrnn.text.streams import TokenStreams, parts_of
from fastrnn.text.vocabulary import TextLike, Vocabulary
from fastrnn.training import History, Trainer
from fastrnn.training.callbacks import LearningRate

_KEY = "fastrnn_char_lm"  # of the metadata in files


class CharLM:
    """A recurrent network that predicts a text's next character (Mikolov et al. 2010; Graves 2013).

    `Embedding`, LSTM, GRU or RNN, `Linear`, trained by truncated BPTT with carried states and Adam,
    whose learning rate rises over the first steps and falls to 0 along half a cosine.

    Parameters
    ----------
    hidden_size : int or sequence of int, default 256
        H; a sequence has one for each layer.
    num_layers : int or None, default None
        None: as many as `hidden_size` has, else 1.
    cell : {"lstm", "gru", "rnn"}, default "lstm"
    embedding_size : int or None, default None
        E, numbers for a character. None: 64, or as many as the last recurrent layer puts out where
        embeddings are tied.
    dropout : float, default 0.0
        Between the recurrent layers and behind the last, in training.
    tied_embeddings : bool, default False
        Whether the output layer's weight is the embedding's (see `TiedSequential`). With an
        `embedding_size` other than the last layer's output, a `Linear` leads from that to E.
    vocabulary : Vocabulary or None, default None
        None: the characters of the text that the model is fitted to; others are refused.
    seed : int or None, default None
        Of initial values, order and dropout. With a seed `fit` gives the same bits each time, but
        where `max_seconds` ends it.
    **options
        Of the recurrent layers, such as ``layer_norm=True``: see `LSTM`, `GRU`, `RNN` and
        `fastrnn.options.NetworkOptions`.

    Attributes
    ----------
    model : Sequential or None
        From tokens (N, T) to scores (N, T, V) before the softmax; None before `fit`.
    vocabulary : Vocabulary or None
    history : History or None
        Of the last `fit`; losses are in nats.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import fastrnn as fr
    >>> model = fr.CharLM(hidden_size=32, seed=0)
    >>> text = "the quick brown fox jumps over the lazy dog. " * 40
    >>> history = model.fit(text, epochs=30, batch_size=4, steps=16, learning_rate=1e-2)
    >>> model.bits_per_character("the lazy dog. the quick brown fox ") < 1
    True
    >>> "".join(model.generate("the quick", 6, temperature=0.0))
    ' brown'
    """

    def __init__(
        self,
        hidden_size: int | Sequence[int] = 256,
        num_layers: int | None = None,
        *,
        cell: str = "lstm",
        embedding_size: int | None = None,
        dropout: float = 0.0,
        tied_embeddings: bool = False,
        vocabulary: Vocabulary | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        sizes = _checks.layer_sizes(hidden_size, num_layers)
        self.hidden_size = sizes[0] if len(set(sizes)) == 1 else list(sizes)
        self.num_layers = len(sizes)
        self.cell = _checks.choice("cell", cell, tuple(CELLS))
        if embedding_size is not None:
            embedding_size = _checks.positive_integer("embedding_size", embedding_size)
        self.embedding_size = embedding_size
        self.dropout = _checks.probability("dropout", dropout)
        self.tied_embeddings = _checks.switch("tied_embeddings", tied_embeddings)
        if vocabulary is not None and not isinstance(vocabulary, Vocabulary):
            raise TypeError(
                f"vocabulary: expected a Vocabulary or None, got {type(vocabulary).__name__}"
            )
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
            raise TypeError(f"seed: expected an integer or None, got {type(seed).__name__}")
        self.seed = None if seed is None else int(seed)
        for name, expected in (("bidirectional", False), ("reverse", False), ("batch_first", True)):
            if options.get(name, expected) != expected:
                raise ValueError(f"{name}: expected {expected}, got {options[name]!r}")
        self.options = options
        self.vocabulary = self._given_vocabulary = vocabulary
        self.history: History | None = None
        self.model: Sequential | None = None
        self._network(1)  # refuses options that the cell does not have

    def __repr__(self) -> str:
        if self.model is None or self.vocabulary is None:
            state = "not fitted"
        else:
            state = (
                f"{len(self.vocabulary)} characters, {self.model._parameter_vector.size} parameters"
            )
        return f"CharLM({self.cell}, {self.num_layers} x {self.hidden_size}, {state})"

    # ---- training ----

    def fit(
        self,
        text: TextLike,
        validation: TextLike | float | None = None,
        *,
        epochs: int = 10,
        max_seconds: float | None = None,
        batch_size: int = 32,
        steps: int = 64,
        learning_rate: float = 4e-3,
        clip_norm: float | None = 1.0,
        warm_up: int = 100,
        callbacks: Sequence[Any] = (),
        progress: bool | str = True,
        encoding: str = "utf-8-sig",
        resume: str | os.PathLike[str] | None = None,
        communicator: Communicator | None = None,
    ) -> History:
        """Train a new model; what an earlier `fit` has learned is gone.

        The text is read as `batch_size` parts side by side, `steps` characters at a time, with
        states carried on and no gradient across.

        Parameters
        ----------
        text : str or path-like
            A string is the text itself, a `pathlib.Path` a file.
        validation : str, path-like, float or None, default None
            Another text, or the share of this one, at its end, that is held out. The loss on it is
            found after each epoch, and the parameters of the best epoch are kept.
        epochs : int, default 10
            Passes over the text.
        max_seconds : float or None, default None
            End by then where the epochs take longer; the learning rate falls to 0 in that time.
            What is trained follows from the speed of the machine then, whatever the seed.
        batch_size : int, default 32
            N.
        steps : int, default 64
            T of truncated BPTT.
        learning_rate : float, default 4e-3
            Adam's largest.
        clip_norm : float or None, default 1.0
            Scale gradients to at most this norm.
        warm_up : int, default 100
            Optimizer steps in which the learning rate rises; at most a tenth of all.
        callbacks : sequence, default ()
            As for `Trainer`.
        progress : bool or "tqdm", default True
            As for `Trainer.fit`.
        encoding : str, default "utf-8-sig"
            Of files; UTF-8, with or without a byte order mark.
        resume : path-like or None, default None
            A checkpoint, as for `Trainer.fit`; not with `max_seconds`.
        communicator : Communicator or None, default None
            As for `Trainer`; not with `max_seconds`, as clocks differ.

        Returns
        -------
        History
            Losses in nats: divide by log 2 for bits.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above, a text is too short, or it has characters that the
            vocabulary lacks; before anything is computed, and the model is what it was.
        OSError, UnicodeDecodeError
            If a file cannot be read.
        FloatingPointError
            If training diverges; the parameters are those before that step.
        """
        epochs = _checks.positive_integer("epochs", epochs)
        batch_size = _checks.positive_integer("batch_size", batch_size)
        steps = _checks.positive_integer("steps", steps)
        warm_up = _checks.positive_integer("warm_up", warm_up)
        if max_seconds is not None:
            max_seconds = _checks.above_zero("max_seconds", max_seconds)
            for name, value in (("resume", resume), ("communicator", communicator)):
                if value is not None:
                    raise ValueError(f"{name}: expected None with max_seconds, got {value}")
        rate = _checks.above_zero("learning_rate", learning_rate)
        vocabulary, tokens, held_out = read_texts(
            text, validation, self._given_vocabulary, encoding
        )
        if len(tokens) <= batch_size:
            raise ValueError(
                f"text: expected more than batch_size = {batch_size} characters for training, "
                f"got {len(tokens)}"
            )
        model = self._network(len(vocabulary))
        budget = Budget(1, max_seconds)
        streams = TokenStreams(tokens, batch_size, steps, budget)
        budget.steps = epochs * streams.batches_per_epoch
        budget.warm_up = min(warm_up, budget.steps // 10)
        trainer = Trainer(
            model,
            optimizer=optim.Adam(rate),
            clip_norm=clip_norm,
            callbacks=(LearningRate(budget.factor), *callbacks, lambda history: budget.spent()),
            communicator=communicator,
        )
        shown = None
        if held_out is not None:
            shown = ParallelStreams(held_out[:-1], held_out[1:], parts_of(held_out), 256)
        before = self.vocabulary, self.model
        self.vocabulary, self.model = vocabulary, model
        try:
            return trainer.fit(
                streams,
                shown,
                epochs=epochs,
                seed=self.seed,
                patience=None if shown is None else epochs,  # restores the best parameters
                progress=progress,
                resume=resume,
            )
        except (TypeError, ValueError, OSError):
            if not trainer.history.steps:  # of an argument: nothing was trained
                self.vocabulary, self.model = before
            raise
        finally:
            if self.model is model:
                self.history = trainer.history

    def _network(self, num_tokens: int) -> Sequential:
        last = self.hidden_size if isinstance(self.hidden_size, int) else self.hidden_size[-1]
        if self.cell == "lstm":
            last = self.options.get("proj_size", 0) or last
        usual = last if self.tied_embeddings else 64
        return network(
            num_tokens,
            self.cell,
            self.hidden_size,
            self.num_layers if isinstance(self.hidden_size, int) else None,
            self.embedding_size or usual,
            self.dropout,
            self.tied_embeddings,
            initializers.generator(self.seed),
            self.options,
        )

    # ---- use ----

    def bits_per_character(
        self, text: TextLike, *, parts: int | None = None, encoding: str = "utf-8-sig"
    ) -> float:
        """Return the mean of -log2 p(character | those before), over all but the first character.

        The state is carried through the whole text. It is read as several parts side by side, for
        speed; each begins 256 characters before the first that counts, so that the number differs
        from that with ``parts=1``, which is exact, only by what is older than that. Two to the
        power of it is the perplexity.

        Parameters
        ----------
        text : str or path-like
            At least two characters. Where the vocabulary has an unknown character, p is its
            probability for all that it stands for.
        parts : int or None, default None
            None: one for every 1024 characters, at most 32.
        encoding : str, default "utf-8-sig"
            Of a file.

        Returns
        -------
        float

        Raises
        ------
        RuntimeError
            If the model is not fitted.
        TypeError, ValueError
            If an argument is not as above or the vocabulary lacks a character.
        """
        model, vocabulary = self._fitted()
        if parts is not None:
            parts = _checks.positive_integer("parts", parts)
        tokens = vocabulary.encode(text, encoding=encoding)
        if len(tokens) < 2:
            raise ValueError(f"text: expected at least 2 characters, got {len(tokens)}")
        parts = min(parts or parts_of(tokens), len(tokens) - 1)
        return bits_per_token(model, tokens, parts, context=256)

    def generate(
        self,
        prompt: str,
        length: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        r"""Write on: yield characters one by one, as they are drawn.

        Parameters
        ----------
        prompt : str
            At least one character, such as ``"\n"``; read first, not yielded.
        length : int
            Characters to yield.
        temperature : float, default 1.0
            Scores are divided by it: below 1 likelier characters, at 0 always the likeliest.
        top_k : int or None, default None
            Draw from the so many likeliest characters. None: all.
        seed : int or None, default None
            With the same seed the same characters, however they are taken from the iterator.

        Returns
        -------
        iterator of str
            It has the weights of now, whatever happens to the model while it runs.

        Raises
        ------
        RuntimeError
            If the model is not fitted; at once.
        TypeError, ValueError
            If an argument is not as above; at once.

        Examples
        --------
        >>> import fastrnn as fr
        >>> model = fr.CharLM(hidden_size=8, seed=0)
        >>> history = model.fit("abc" * 999, batch_size=4, steps=16, learning_rate=2e-2)
        >>> for character in model.generate("ab", 3, seed=0):
        ...     print(character, end="", flush=True)
        cab
        """
        model, vocabulary = self._fitted()
        if not isinstance(prompt, str):
            raise TypeError(f"prompt: expected a str, got {type(prompt).__name__}")
        if not prompt:
            raise ValueError("prompt: expected at least one character, got none")
        tokens = vocabulary.encode(prompt)
        length = _checks.positive_integer("length", length)
        check_options(temperature, top_k)
        rng = initializers.generator(seed)
        stream = Stream(model)

        def characters() -> Iterator[str]:
            for token in tokens[:-1, None]:
                stream.step(token)
            token = tokens[-1:]
            for _ in range(length):
                token = sample(stream.step(token), rng, temperature=temperature, top_k=top_k)
                yield vocabulary.characters[token[0]]

        return characters()

    def _fitted(self) -> tuple[Layer, Vocabulary]:
        if self.model is None or self.vocabulary is None:
            raise RuntimeError("CharLM: expected a fitted model; call fit first")
        return self.model, self.vocabulary

    # ---- files ----

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file; `fastrnn.load` reads its network, `CharLM.load` all of it.

        Parameters
        ----------
        path : path-like
            Replaced if it exists.

        Raises
        ------
        RuntimeError
            If the model is not fitted.
        OSError
            If the file cannot be written.
        """
        model, vocabulary = self._fitted()
        recurrent = model._parts()[1].config()
        about = {
            "characters": vocabulary.characters,
            "unknown": vocabulary.unknown,
            "settings": {
                "hidden_size": self.hidden_size,
                "num_layers": self.num_layers,
                "cell": self.cell,
                "embedding_size": self.embedding_size,
                "dropout": self.dropout,
                "tied_embeddings": self.tied_embeddings,
                "seed": self.seed,
            },
            # As JSON values, which options need not be: initializers may be objects.
            "options": {name: recurrent[name] for name in self.options if name in recurrent},
        }
        serialization.save(model, path, metadata={_KEY: json.dumps(about)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CharLM:
        """Read what `save` has written.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If the file is damaged or was not written by `save`.

        Examples
        --------
        >>> import os, tempfile
        >>> import fastrnn as fr
        >>> model = fr.CharLM(hidden_size=8, seed=0)
        >>> history = model.fit("abc" * 99, epochs=1)
        >>> path = os.path.join(tempfile.mkdtemp(), "abc.safetensors")
        >>> model.save(path)
        >>> fr.CharLM.load(path)
        CharLM(lstm, 1 x 8, 3 characters, 2587 parameters)
        """
        model, metadata = serialization.load_with_metadata(path)
        where = os.fspath(path)
        if _KEY not in metadata or not isinstance(model, Sequential):
            raise ValueError(f"{where}: expected a model written by CharLM.save, got another one")
        try:
            about = json.loads(metadata[_KEY])
            vocabulary = Vocabulary(about["characters"], unknown=about["unknown"])
            loaded = cls(vocabulary=vocabulary, **about["settings"], **about["options"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{where}: {error}") from error
        expected = loaded._network(len(vocabulary)).shapes()
        if expected != model.shapes():
            raise ValueError(f"{where}: expected a model of its settings, got another one")
        loaded.model = model
        return loaded
