"""Models that were trained on the service, as torch's own modules here."""

import numpy as np
import torch

from tests.trainyard.small import X, Y, make
from trainyard.layers import LSTM, Dense, Merge
from trainyard.models import Sequential


def close(module, x, expected):
    y = module(*(torch.from_numpy(each) for each in x)).detach().numpy()
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


def test_a_module_predicts_what_the_service_predicts_also_when_the_job_is_come_back_to(client):
    branches = [Sequential([Dense(4, input_dim=5, activation="tanh")]) for _ in range(2)]
    model = make(Merge(branches, mode="concat"), Dense(3, activation="softmax"))
    x = [X, X[::-1].copy()]
    history = model.fit(x, Y, nb_epoch=2, verbose=0)
    expected = model.predict(x)

    close(model.to_torch(), x, expected)
    close(Sequential.attach(history.job, client, verbose=0).to_torch(), x, expected)


def test_a_model_that_was_not_trained_yet_becomes_one_without_a_service():
    model = make(LSTM(4, input_shape=(6, 5)), Dense(3))
    parameters = [each.detach().numpy() for each in model.to_torch().parameters()]
    assert sorted(each.shape for each in parameters) == sorted(each.shape for each in model.get_weights())
    state = model.to_torch().state_dict()
    model.set_weights([each * 2 for each in model.get_weights()])
    assert all(torch.equal(doubled, state[key] * 2) for key, doubled in model.to_torch().state_dict().items())


def test_what_is_done_to_a_module_stays_in_the_module():
    model = make()
    before = model.get_weights()
    for parameter in model.to_torch().parameters():
        torch.nn.init.zeros_(parameter)
    assert all((a == b).all() for a, b in zip(model.get_weights(), before, strict=True))
