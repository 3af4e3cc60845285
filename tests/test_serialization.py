"""Models to files and back: every layer, other readers, replaced files."""

import json

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.protocol import Layer
from fastrnn.recurrent import RecurrentLayer
from fastrnn.serialization import from_config, load_with_metadata
from fastrnn.testing import assert_same_bits

MODELS = {
    "LSTM": lambda: fr.LSTM(3, 4, 2, bidirectional=True, dropout=0.25, seed=0),
    "GRU": lambda: fr.GRU(3, 4, bias=False, dtype="float64", seed=0),
    "GRU, reset before": lambda: fr.GRU(3, 4, reset_after=False, batch_first=False, seed=0),
    "RNN": lambda: fr.RNN(3, 4, nonlinearity="relu", seed=0),
    "peepholes": lambda: fr.LSTM(3, 4, 2, peepholes=True, bidirectional=True, seed=0),
    "coupled gates": lambda: fr.LSTM(3, 4, coupled_gates=True, seed=0),
    "both": lambda: fr.LSTM(3, 4, coupled_gates=True, peepholes=True, bias=False, seed=0),
    "independent": lambda: fr.RNN(3, [4, 2], independent=True, nonlinearity="relu", seed=0),
    "all options": lambda: fr.LSTM(
        3,
        [4, 4],
        bidirectional=True,
        merge="mean",
        residual=True,
        pad_output="repeat",
        learn_initial_state=True,
        initializer={"h0": "normal", "weight_hh": "orthogonal"},
        seed=0,
    ),
    "different sizes": lambda: fr.GRU(3, [4, 2], pad_output=-1.5, learn_initial_state=True, seed=0),
    "residual": lambda: fr.Residual(fr.Sequential([fr.GRU(3, 4, seed=0), fr.Linear(4, 3, seed=1)])),
    "one layer": lambda: RecurrentLayer("lstm", 3, 4, reverse=True, seed=0),
    "stack": lambda: fr.Stacked([fr.GRU(3, 4, seed=0), fr.Dropout(0.1), fr.LSTM(4, 2, seed=1)]),
    "bidirectional": lambda: fr.Bidirectional(fr.RNN(3, 4, seed=0), "sum", seed=1),
    "checkpointed": lambda: fr.Checkpointed(fr.GRU(3, 4, 2, seed=0), memory_budget=10**6),
    "model": lambda: fr.Sequential(
        [
            fr.Standardize([0.1, 0.2, 0.3], [1.0, 2.0, 3.0]),
            fr.LSTM(3, 4, bidirectional=True, seed=0),
            fr.Last(bidirectional=True),
            fr.Linear(8, 2, seed=1),
        ]
    ),
    "tokens": lambda: fr.Sequential(
        [fr.Embedding(5, 3, seed=0), fr.GRU(3, 4, seed=1), fr.MeanPool(), fr.Linear(4, 2, seed=2)]
    ),
    "encoder-decoder": lambda: fr.EncoderDecoder(5, 4, 6, embedding_size=3, dropout=0.1, seed=0),
    "tied tokens": lambda: fr.TiedSequential(
        [fr.Embedding(5, 3, seed=0), fr.GRU(3, 3, seed=1), fr.Linear(3, 5, seed=2)]
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_is_the_saved_one(name, tmp_path):
    model, path = MODELS[name](), tmp_path / "model.safetensors"
    fr.save(model, path, metadata={"note": "ä"})
    loaded, metadata = load_with_metadata(path)
    assert metadata == {"note": "ä"}
    assert loaded.config() == model.config()
    assert list(loaded.parameters) == list(model.parameters)
    assert_same_bits(loaded.parameter_vector, model.parameter_vector, "parameters")
    x = np.random.default_rng(0).standard_normal((4, 5, 3)).astype(model.dtype)
    if "tokens" in name:
        x = np.random.default_rng(0).integers(0, 5, (4, 5))
    if name == "encoder-decoder":
        tokens = np.random.default_rng(0).integers(0, 4, (4, 5))
        x = fr.seq2seq.EncoderDecoderInput(tokens, [5, 1, 0, 3], tokens[:, ::-1])
    assert_same_bits(fr.load(path)(x)[0], model(x)[0], "outputs")
    if "tokens" not in name:
        ragged = [4, 2, 0, 3] if model.batch_first else [4, 2, 0, 3, 1]
        assert_same_bits(loaded(x, lengths=ragged)[0], model(x, lengths=ragged)[0], "ragged")
    again = tmp_path / "again.safetensors"
    fr.save(loaded, again, metadata=metadata)
    assert again.read_bytes() == path.read_bytes()


def test_every_public_layer_is_among_them():
    used = json.dumps([make().config() for make in MODELS.values()])
    public = {name: getattr(fr, name) for name in fr.__all__}
    layers = {n for n, c in public.items() if isinstance(c, type) and issubclass(c, Layer)}
    assert [n for n in sorted(layers) if f'"type": "{n}"' not in used] == []


def test_the_safetensors_library_reads_the_parameters(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    model = MODELS["LSTM"]()
    fr.save(model, tmp_path / "model.safetensors")
    tensors = library.load_file(tmp_path / "model.safetensors")
    assert set(tensors) == set(model.parameters)
    for name, view in model.parameters.items():
        assert_same_bits(tensors[name], view, name)


def test_an_existing_file_is_replaced_whole(tmp_path):
    path = tmp_path / "model.safetensors"
    fr.save(fr.GRU(30, 40, seed=0), path)
    fr.save(fr.GRU(3, 4, seed=0), path)
    assert fr.load(path).parameters["weight_ih_l0"].shape == (12, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"type": "Nothing"},
        {"type": "LSTM"},
        {"type": "LSTM", "input_size": 3, "hidden_size": 4, "colour": "red"},
        {"type": "LSTM", "input_size": 0, "hidden_size": 4},
        {"type": "Sequential"},
        {"type": "Sequential", "layers": [{"type": "Nothing"}]},
        {"type": "Bidirectional", "layer": {"type": "Last"}},
        {"type": "Residual"},
        {"type": "Residual", "layer": {"type": "Last"}},
        {"type": "GRU", "input_size": 3, "hidden_size": [4, 0]},
        {"type": "GRU", "input_size": 3, "hidden_size": 4, "pad_output": "last"},
    ],
    ids=str,
)
def test_a_foreign_configuration_is_refused(config):
    with pytest.raises(ValueError, match=r"config|expected"):
        from_config(config)
