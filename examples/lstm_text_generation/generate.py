"""Let a trained model write: a character at a time, by asking the service for the chances of the next one."""

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from examples.lstm_text_generation.data import ALPHABET, WINDOW
from trainyard.http import Client

TEMPERATURES = (0.2, 0.5, 1.0, 1.2)
SEED = "call me ishmael. some years ago-never mi"
LENGTH = 400


def sampled(chances: NDArray[np.float64], temperature: float, rng: np.random.Generator) -> int:
    """Draw a character's number; below 1 the likely ones become likelier, above 1 the others."""
    logs = np.log(np.maximum(chances, 1e-30)) / temperature
    shares = np.exp(logs - logs.max())
    return int(rng.choice(len(shares), p=shares / shares.sum()))


def written(client: Client, job_id: str, seed: str = SEED, length: int = LENGTH) -> dict[float, str]:
    """Write a text at each temperature; all of them ask together, so each character is one request."""
    rng = np.random.default_rng(1337)
    texts = dict.fromkeys(TEMPERATURES, seed)
    for _ in range(length):
        windows = [[ALPHABET.index(each) for each in text[-WINDOW:]] for text in texts.values()]
        x = {"to_categorical": windows, "nb_classes": len(ALPHABET)}
        chances = np.array(client.predictions.create({"job": job_id, "x": x})["y"])
        for row, temperature in zip(chances, TEMPERATURES, strict=True):
            texts[temperature] += ALPHABET[sampled(row, temperature, rng)]
    return texts


def show(client: Client, console: Console, job_id: str, length: int = LENGTH) -> None:
    """Print what it writes."""
    for temperature, text in written(client, job_id, length=length).items():
        console.rule(f"temperature {temperature}")
        console.print(text, markup=False, highlight=False)
