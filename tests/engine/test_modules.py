"""Models as torch's own modules, held to what the engine predicts and learns."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.training.modules import Module
from tests.engine.yard import Notebook, sequential, training

RNG = np.random.default_rng(0)
ROWS = 12
FLAT, OTHER = RNG.random((ROWS, 5), dtype=np.float32), RNG.random((ROWS, 4), dtype=np.float32)
IMAGES, STEPS = RNG.random((ROWS, 8, 8, 3), dtype=np.float32), RNG.random((ROWS, 6, 5), dtype=np.float32)
OUT = ("Dense", {"output_dim": 2, "name": "out"})

MODELS = {
    "dense": (sequential(("Dense", {"output_dim": 7, "input_dim": 5, "activation": "relu"}), OUT), [FLAT]),
    "convolution": (
        sequential(
            ("Convolution2D", {"nb_filter": 4, "nb_row": 3, "nb_col": 3, "input_shape": [8, 8, 3]}),
            ("MaxPooling2D", {}),
            ("Flatten", {}),
            OUT,
        ),
        [IMAGES],
    ),
    "lstm": (sequential(("LSTM", {"output_dim": 4, "input_shape": [6, 5]}), OUT), [STEPS]),
    "two branches": (
        sequential(
            (
                "Merge",
                {
                    "mode": "concat",
                    "layers": [
                        sequential(("Dense", {"output_dim": 3, "input_dim": 5, "name": "left"})),
                        sequential(("Dense", {"output_dim": 3, "input_dim": 4, "name": "right"})),
                    ],
                },
            ),
            OUT,
        ),
        [FLAT, OTHER],
    ),
}
EMBEDDED = sequential(("Embedding", {"input_dim": 9, "output_dim": 3, "input_length": 4}), ("Flatten", {}), OUT)
STATEFUL = sequential(("LSTM", {"output_dim": 3, "batch_input_shape": [4, 6, 5], "stateful": True}), OUT)


def run_of(model, x, **more):
    names = [f"x{number}" for number in range(len(x))]
    data = dict(zip(names, x, strict=True)) | {"y": RNG.random((ROWS, 2), dtype=np.float32)}
    references = [f"d/{name}" for name in names]
    given = references if len(x) > 1 else references[0]
    fit = {"x": given, "y": "d/y", "batch_size": ROWS, "nb_epoch": 1, "shuffle": False}
    compiled = {"optimizer": {"class_name": "SGD", "config": {"lr": 0.1}}, "loss": "mse"}
    predict = {"x": given, "batch_size": 4}
    return training(data, model=model, compile=compiled, fit=fit, predict=predict, **more), data["y"]


def module_of(run):
    return Module(run.plan.model, run.weights())


def torch_of(x):
    return [torch.from_numpy(each) for each in x]


@pytest.mark.parametrize("name", MODELS)
def test_a_module_predicts_what_the_engine_predicts(name):
    model, x = MODELS[name]
    run, _ = run_of(model, x)
    run.fit(Notebook())
    module = module_of(run)

    for each in (module.eval(), module.train()):
        y = each(*torch_of(x)).detach().numpy()
        np.testing.assert_allclose(y, run.predict(Notebook()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_a_module_learns_by_torch_s_optimizer_what_the_engine_learns(name):
    model, x = MODELS[name]
    run, y = run_of(model, x)
    module, before = module_of(run), run.weights()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    torch.nn.functional.mse_loss(module(*torch_of(x)), torch.from_numpy(y)).backward()
    optimizer.step()
    run.fit(Notebook())

    assert {key for key, _ in module.named_parameters()} == set(before)
    for key, learned in run.weights().items():
        assert not np.array_equal(learned, before[key])
        np.testing.assert_allclose(module.state_dict()[key].numpy(), learned, rtol=0, atol=1e-6)


def test_a_module_keeps_its_weights_under_the_names_of_the_job_s_file(tmp_path):
    model, x = MODELS["two branches"]
    run, _ = run_of(model, x)
    run.save_weights(tmp_path / "weights.safetensors", "safetensors")
    other, _ = run_of(model, x, seed=8)
    module = module_of(other)
    first = module(*torch_of(x))

    module.load_state_dict(load_file(tmp_path / "weights.safetensors"))

    assert set(module.state_dict()) == {"left/W", "left/b", "right/W", "right/b", "out/W", "out/b"}
    assert not torch.equal(module(*torch_of(x)), first)
    assert torch.equal(module(*torch_of(x)), module_of(run)(*torch_of(x)))


def test_a_state_dict_comes_back_through_torch_s_own_file(tmp_path):
    model, x = MODELS["lstm"]
    module, other = (module_of(run_of(model, x, seed=seed)[0]) for seed in (1, 2))
    torch.save(module.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(other(*torch_of(x)), module(*torch_of(x)))


def test_what_is_not_trained_is_a_buffer():
    frozen = ("Dense", {"output_dim": 5, "input_dim": 5, "name": "frozen", "trainable": False})
    run, _ = run_of(sequential(frozen, ("BatchNormalization", {"name": "norm"}), OUT), [FLAT])
    run.fit(Notebook())
    module = module_of(run)

    buffers = {key for key, _ in module.named_buffers()}
    assert buffers == {"frozen/W", "frozen/b", "norm/running_mean", "norm/running_std"}
    np.testing.assert_allclose(module(*torch_of([FLAT])).detach(), run.predict(Notebook()), rtol=0, atol=1e-6)
    assert torch.equal(module(*torch_of([FLAT])), module(*torch_of([FLAT])))


def test_dropout_stays_off():
    run, _ = run_of(sequential(("Dropout", {"p": 0.9, "input_shape": [5]}), OUT), [FLAT])
    module = module_of(run).train()
    assert torch.equal(module(*torch_of([FLAT])), module(*torch_of([FLAT])))


def test_numbers_of_words_come_as_any_type():
    words = RNG.integers(9, size=(ROWS, 4)).astype(np.int32)
    run, _ = run_of(EMBEDDED, [words])
    module, expected = module_of(run), run.predict(Notebook())
    for each in (words, words.astype(np.int64), words.astype(np.float32)):
        np.testing.assert_allclose(module(torch.from_numpy(each)).detach(), expected, rtol=0, atol=1e-6)


def test_stateful_layers_remember_from_call_to_call_until_they_are_reset():
    run = training({"x": STEPS}, model=STATEFUL, predict={"x": "d/x", "batch_size": 4})
    module, expected = module_of(run), run.predict(Notebook())
    batches = torch.from_numpy(STEPS).split(4)
    for _ in range(2):
        y = torch.cat([module(each) for each in batches])
        np.testing.assert_allclose(y.detach(), expected, rtol=0, atol=1e-6)
        module.reset_states()
    assert {key.partition("/")[2] for key in module.state_dict()}.isdisjoint({"h", "c"})
    y.sum().backward()  # what was remembered and forgotten since does not stand in the way
    assert all(each.grad is not None for each in module.parameters())


def test_layers_may_have_dots_in_their_names():
    dotted = sequential(
        ("Dense", {"output_dim": 5, "input_dim": 5, "name": "a.b"}), ("Dense", {"output_dim": 2, "name": "a_b"})
    )
    run, _ = run_of(dotted, [FLAT])
    module = module_of(run)
    assert set(module.state_dict()) == {"a_b/W", "a_b/b", "a_b/W_", "a_b/b_"}
    np.testing.assert_allclose(module(*torch_of([FLAT])).detach(), run.predict(Notebook()), rtol=0, atol=1e-6)


def test_another_number_of_inputs_is_refused_by_their_names():
    model, x = MODELS["two branches"]
    module = module_of(run_of(model, x)[0])
    with pytest.raises(TypeError, match="2 tensors, left_input, right_input, but got 1"):
        module(*torch_of(x[:1]))
