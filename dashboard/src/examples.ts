/** Jobs to begin with; they bring their own random data, so that they run as they are. */

import type { Json } from "./types";

const SGD = { class_name: "SGD", config: { lr: 0.05, momentum: 0.9, nesterov: true } };

const labels = (samples: number, classes: number, seed: number): Json => ({
  to_categorical: { random: [samples, 1], seed, high: classes }, nb_classes: classes,
});

const perceptron: Json = {
  name: "my first job",
  seed: 7,
  model: {
    class_name: "Sequential",
    config: [
      { class_name: "Dense", config: { output_dim: 64, input_dim: 20, activation: "relu" } },
      { class_name: "Dropout", config: { p: 0.2 } },
      { class_name: "Dense", config: { output_dim: 10, activation: "softmax" } },
    ],
  },
  compile: { loss: "categorical_crossentropy", optimizer: SGD, metrics: ["accuracy"] },
  fit: {
    x: { random: [1000, 20], seed: 1 }, y: labels(1000, 10, 2),
    nb_epoch: 40, batch_size: 32, validation_split: 0.2,
  },
};

const images: Json = {
  name: "small images",
  seed: 7,
  dim_ordering: "th",
  model: {
    class_name: "Sequential",
    config: [
      { class_name: "Convolution2D", config: { nb_filter: 8, nb_row: 3, nb_col: 3, input_shape: [1, 16, 16], activation: "relu" } },
      { class_name: "MaxPooling2D", config: { pool_size: [2, 2] } },
      { class_name: "Flatten", config: {} },
      { class_name: "Dense", config: { output_dim: 10, activation: "softmax" } },
    ],
  },
  compile: { loss: "categorical_crossentropy", optimizer: "adam", metrics: ["accuracy"] },
  fit: {
    x: { random: [400, 1, 16, 16], seed: 1 }, y: labels(400, 10, 2),
    nb_epoch: 20, batch_size: 32, validation_split: 0.2,
  },
};

const encoder = (name: string): Json => ({
  class_name: "Sequential",
  name,
  config: [{ class_name: "LSTM", config: { output_dim: 16, input_shape: [8, 12] } }],
});

const branches: Json = {
  name: "two encoders",
  seed: 7,
  model: {
    class_name: "Sequential",
    config: [
      { class_name: "Merge", config: { layers: [encoder("question"), encoder("answer")], mode: "concat" } },
      { class_name: "Dense", config: { output_dim: 32, activation: "relu" } },
      { class_name: "Dense", config: { output_dim: 5, activation: "softmax" } },
    ],
  },
  compile: { loss: "categorical_crossentropy", optimizer: "rmsprop", metrics: ["accuracy"] },
  fit: {
    x: [{ random: [500, 8, 12], seed: 1 }, { random: [500, 8, 12], seed: 2 }], y: labels(500, 5, 3),
    nb_epoch: 20, batch_size: 32, validation_split: 0.2,
  },
};

export const EXAMPLES: { title: string; job: Json }[] = [
  { title: "A perceptron", job: perceptron },
  { title: "Small images", job: images },
  { title: "Two branches", job: branches },
];
