"""Trains the small MLP on a running H2O-3 some times; imported by the Python that has H2O's client."""

import json
import sys
import time


def main() -> None:
    import h2o
    from h2o.estimators import H2ODeepLearningEstimator

    url, file, times = sys.argv[1:]
    h2o.connect(url=url, verbose=False)
    h2o.no_progress()
    frame = h2o.upload_file(file)
    frame["y"] = frame["y"].asfactor()
    seconds = []
    for _ in range(int(times) + 1):
        began = time.perf_counter()
        model = H2ODeepLearningEstimator(hidden=[64, 64], activation="Tanh", epochs=1, mini_batch_size=16)
        model.train(y="y", training_frame=frame)
        seconds.append(time.perf_counter() - began)
    job = h2o.api("GET /3/Jobs")["jobs"][0]["key"]["name"]
    print(json.dumps([seconds[1:], job]))
