"""Sequences and texts made ready here, held to what Keras 1.2.2 itself made of them."""

import json
import string

import numpy as np
import pytest

from tests.engine.yard import GOLDEN
from trainyard.preprocessing.sequence import make_sampling_table, pad_sequences, skipgrams
from trainyard.preprocessing.text import Tokenizer, base_filter, one_hot, text_to_word_sequence

SEQUENCES = [[3, 1, 4], [], [1, 5, 9, 2, 6, 5], [3], [5, 8, 9, 7, 9]]
RECORDED = json.loads((GOLDEN / "preprocessing.json").read_text())
TEXTS = json.loads((GOLDEN / "texts.json").read_text())


def named(case):
    return json.dumps(case["arguments"])


@pytest.mark.parametrize("case", RECORDED["pad_sequences"], ids=named)
def test_sequences_are_padded_as_by_keras_1(case):
    padded = pad_sequences(SEQUENCES, **case["arguments"])
    assert (padded.tolist(), padded.dtype.name) == (case["result"], case["dtype"])


def test_steps_may_be_vectors_of_one_shape():
    steps = [np.ones((1, 2)), [], [[3.0, 4.0], [5.0, 6.0]]]
    assert pad_sequences(steps, dtype=float, value=-1).tolist() == [
        [[-1, -1], [1, 1]],
        [[-1, -1], [-1, -1]],
        [[3, 4], [5, 6]],
    ]
    with pytest.raises(ValueError, match="one shape"):
        pad_sequences([np.ones((1, 2)), np.ones((1, 3))])
    assert pad_sequences([[], []]).shape == (2, 0)


@pytest.mark.parametrize("wrong", [{"padding": "left"}, {"truncating": "end"}, {"dtype": "int8"}, {"maxlen": -1}])
def test_what_padding_does_not_take_is_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        pad_sequences(SEQUENCES, **wrong)


WORDS = [3, 0, 1, 4, 1, 5, 9, 0, 0, 2]


def test_words_are_paired_with_their_neighbours_as_by_keras_1():
    assert skipgrams(WORDS, 10, 2, 0, shuffle=False) == (RECORDED["skipgrams"], [1] * len(RECORDED["skipgrams"]))
    np.testing.assert_allclose(make_sampling_table(200), RECORDED["sampling_table"], rtol=1e-12)


def test_pairs_by_chance_are_as_many_as_asked_for_and_follow_numpy_s_seed():
    drawn = []
    for _ in range(2):
        np.random.seed(4)
        drawn.append(skipgrams(WORDS, 10, 2, 0.5, categorical=True))
    assert drawn[0] == drawn[1]
    pairs, labels = drawn[0]
    near, far = (
        [pair for pair, label in zip(pairs, labels, strict=True) if label == kind] for kind in ([0, 1], [1, 0])
    )
    assert sorted(near) == sorted(RECORDED["skipgrams"])
    assert near != RECORDED["skipgrams"]
    assert len(far) == len(near) // 2
    assert all(word in WORDS and 1 <= other < 10 for word, other in far)


def test_words_that_are_never_taken_have_no_pairs():
    table = np.zeros(10)
    table[9] = 1
    pairs, _ = skipgrams(WORDS, 10, 2, 0, sampling_table=table)
    assert {word for word, _ in pairs} == {9}
    assert skipgrams([0, 0], 10) == ([], [])


@pytest.mark.parametrize("case", RECORDED["sequences_to_matrix"], ids=named)
def test_numbers_are_counted_as_by_keras_1(case):
    tokenizer = Tokenizer(case["arguments"]["nb_words"])
    tokenizer.fit_on_sequences(case["fit_on"] or SEQUENCES)
    counted = tokenizer.sequences_to_matrix(SEQUENCES, case["arguments"]["mode"])
    np.testing.assert_allclose(counted, case["result"], rtol=1e-12)


@pytest.mark.parametrize("case", TEXTS["words"], ids=named)
def test_texts_are_parted_into_words_as_by_keras_1(case):
    assert [text_to_word_sequence(text, **case["arguments"]) for text in TEXTS["texts"]] == case["result"]


@pytest.mark.parametrize("case", TEXTS["tokenizers"], ids=named)
def test_words_are_numbered_and_counted_as_by_keras_1(case):
    tokenizer = Tokenizer(**case["arguments"])
    tokenizer.fit_on_texts(TEXTS["texts"])
    backwards = TEXTS["texts"][::-1]

    assert tokenizer.word_index == case["word_index"]
    assert {str(number): found for number, found in tokenizer.index_docs.items()} == case["index_docs"]
    assert tokenizer.texts_to_sequences(backwards) == case["sequences"]
    for mode, expected in case["matrices"].items():
        np.testing.assert_allclose(tokenizer.texts_to_matrix(backwards, mode), expected, rtol=1e-12)


def test_a_second_text_adds_to_the_words_that_are_known():
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(["a b b"])
    tokenizer.fit_on_texts(iter(["a a c"]))
    assert (tokenizer.word_index, tokenizer.document_count) == ({"a": 1, "b": 2, "c": 3}, 1)


def test_a_matrix_needs_a_width_a_mode_and_for_rarity_a_past():
    with pytest.raises(ValueError, match="nb_words"):
        Tokenizer().texts_to_matrix(["a"])
    with pytest.raises(ValueError, match="mode"):
        Tokenizer(5).sequences_to_matrix([[1]], "sum")
    with pytest.raises(ValueError, match="fit_on_texts"):
        Tokenizer(5).sequences_to_matrix([[1]], "tfidf")


def test_words_are_hashed_to_numbers_below_n():
    numbers = one_hot("the cat and the dog", 5)
    assert numbers[0] == numbers[3] == abs(hash("the")) % 4 + 1
    assert set(numbers) <= {1, 2, 3, 4}
    assert set(base_filter()) == {*string.punctuation, "\t", "\n"} - {"'"}
