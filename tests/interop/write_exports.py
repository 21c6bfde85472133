"""Write models of ours for the programs they are exported to, with what we predict, for the scripts that load them.

`python -m tests.interop.write_exports FOLDER` from the repository's root; then `load_keras1.py FOLDER` in an
environment with Keras 1.2.2, and `load_keras3.py FOLDER` in one with Keras 3. See `README.md` beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from engine import exports
from engine.training import exporting
from tests.engine.yard import GOLDEN, Golden, Notebook

#: Cases of the golden numbers that cover every layer, every optimizer, and models within models.
FOR_KERAS_1 = [
    "batchnorm_mode0_2d",
    "bidirectional_gru_ave",
    "conv1d_valid_k3_s2",
    "convlstm2d",
    "deconv2d_same_s2",
    "embedding",
    "gru_mem",
    "lstm_gpu",
    "locally_connected2d",
    "merge_concat",
    "nested_sequential_dense",
    "opt_adadelta_params",
    "opt_adagrad_clipvalue",
    "opt_adam_default",
    "opt_adamax_clipnorm",
    "opt_nadam_clipnorm",
    "opt_rmsprop_clipnorm",
    "opt_sgd_momentum",
    "prelu_conv",
    "srelu",
    "timedistributed_conv2d",
    "trainable_false",
]
FOR_KERAS_3 = [
    "activation_hard_sigmoid",
    "atrous_conv2d_valid",
    "averagepooling2d_valid_p33_s22",
    "batchnorm_3d",
    "bidirectional_lstm_concat",
    "conv1d_valid_k3_s2",
    "conv2d_full_k52_s23",
    "conv2d_same_k24_s11",
    "convlstm2d",
    "cropping2d",
    "deconv2d_same_s2",
    "elu05",
    "embedding",
    "globalmaxpooling2d",
    "gru_gpu",
    "gru_maskzero_right",
    "image_captioning",
    "leakyrelu",
    "lstm_default",
    "masking_lstm",
    "merge3d_dot_1",
    "merge_concat_unequal",
    "merge_cos_dense",
    "merge_three_sum",
    "mlp_softmax",
    "nested_sequential_dense",
    "permute4",
    "prelu_shared",
    "repeatvector",
    "reshape_minus1",
    "simplernn_back",
    "thresholdedrelu",
    "timedistributed_conv2d",
    "upsampling2d",
    "vgg_small",
    "zeropadding2d",
]


def main() -> None:
    """Write every case's files."""
    root = Path(sys.argv[1])
    for program, cases in (("keras1", FOR_KERAS_1), ("keras3", FOR_KERAS_3)):
        for case in cases:
            write(root / program / case, case, program)


def write(folder: Path, case: str, program: str) -> None:
    """Train a case, export it, and keep what it then predicts, and what it predicts after going on."""
    folder.mkdir(parents=True, exist_ok=True)
    golden = Golden(case)
    run = golden.training()
    run.fit(Notebook())
    exporting.export(run, program, folder / exports.EXPORTS[program])
    run.reset_states()
    data = {name: value for name, value in golden.data.items() if name == "x" or name.startswith("x_")}
    data["batch"] = np.array(golden.body()["fit"]["batch_size"])
    np.savez(folder / "data.npz", y=golden.data["y"], ours=run.predict(Notebook()), **data)
    print(case)


if __name__ == "__main__":
    if not GOLDEN.exists():
        raise SystemExit("run it from the repository's root")
    main()
