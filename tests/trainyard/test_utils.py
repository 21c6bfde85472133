"""Keras 1's utilities for arrays, the client's files and its regularizers."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from engine.regularizers import L1L2Regularizer
from trainyard import constraints, regularizers, tensors, utils
from trainyard.errors import BadFile


def test_class_numbers_become_one_hot_rows():
    rows = utils.to_categorical(np.array([[0], [2], [1]]), 4)
    assert rows.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]]
    assert utils.to_categorical([0, 2]).shape == (2, 3)
    with pytest.raises(ValueError, match="0 to 1"):
        utils.to_categorical([0, 2], 2)


def test_probabilities_become_classes():
    assert utils.probas_to_classes(np.array([[0.1, 0.9], [0.8, 0.2]])).tolist() == [1, 0]
    assert utils.probas_to_classes(np.array([[0.5], [0.51]])).tolist() == [0, 1]


def test_vectors_are_scaled_to_length_one_and_zeros_stay():
    assert utils.normalize(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_a_kernel_is_turned_around_in_its_window_only():
    kernel = np.arange(8.0).reshape(2, 2, 1, 2)
    assert (utils.convert_kernel(kernel) == kernel[::-1, ::-1]).all()
    assert (utils.convert_kernel(kernel, "th") == kernel[:, :, ::-1, ::-1]).all()
    with pytest.raises(ValueError, match="axes"):
        utils.convert_kernel(np.ones(3))


@pytest.mark.parametrize(("mode", "stride", "length"), [("same", 2, 5), ("valid", 1, 8), ("full", 1, 12)])
def test_a_window_fits_as_often_as_a_convolution_has_outputs(mode, stride, length):
    assert utils.conv_output_length(10, 3, mode, stride) == length


def test_safetensors_are_read_and_written_as_others_do(tmp_path):
    arrays = {"a/W": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([[1.5]])}
    tensors.write(tmp_path / "ours", arrays)
    save_file(arrays, tmp_path / "theirs")
    for read in (load_file(tmp_path / "ours"), tensors.read(tmp_path / "theirs")):
        assert read.keys() == arrays.keys()
        assert all((read[key] == arrays[key]).all() for key in arrays)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 40, (2).to_bytes(8, "little") + b"[]", b"\x08" + b"\0" * 7 + b"{" * 8]
)
def test_a_file_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BadFile, match="no safetensors"):
        tensors.read(tmp_path / "file")


def test_an_array_outside_of_its_file_is_refused(tmp_path):
    tensors.write(tmp_path / "file", {"a": np.ones(4)})
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content[:-4])
    with pytest.raises(BadFile, match="does not lie"):
        tensors.read(tmp_path / "file")


def test_regularizers_and_constraints_are_called_as_in_keras_1():
    assert regularizers.l2(0.1) == regularizers.activity_l2(l=0.1) == L1L2Regularizer(l2=0.1)
    assert regularizers.l1l2() == L1L2Regularizer(0.01, 0.01)
    assert constraints.maxnorm(2) == constraints.MaxNorm(m=2.0, axis=0)
