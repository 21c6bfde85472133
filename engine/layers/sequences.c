/* The step loops of recurrent layers as machine code; `native.py` compiles and calls them, `cells.py` is the same in torch.
 *
 * Sequences have their steps first: z and a are (steps, n, gates * H), hs and cs (steps + 1, n, H) with the state before
 * the first step in front, U is (H, gates * H) and its transpose V (gates * H, H), a mask (steps, n) or null. Gates lie
 * in the order r, z, h (GRU) and o, i, f, c (LSTM). U of a GRU whose reset gate acts after the product has that product's
 * bias as one more row. A few samples at a time go through all steps, so that what they touch stays in the cache; each
 * sum is added in one order wherever a sample lies, so results do not depend on the batch.
 */
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
#define WIDTH 16
#else
#define WIDTH 8
#endif
#define ROWS 4   /* of one tile of a product: with two vectors a row, it fills the registers */
#define BLOCK 16 /* samples that go through the steps together */

typedef long long index;
typedef float vec __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
enum activation { LINEAR, RELU, SIGMOID, HARD_SIGMOID, TANH, CLIP };

/* -- products: C (rows, N) += A (rows, K) B (K, N) ------------------------------------------- */

#define TILE(name, rows, vecs)                                                                                  \
    static void name(index K, const float *A, index lda, const float *B, index ldb, float *C, index ldc) {       \
        vec sums[rows][vecs];                                                                                   \
        for (index r = 0; r < rows; r++)                                                                        \
            for (index v = 0; v < vecs; v++) sums[r][v] = *(const vec *)(C + r * ldc + v * WIDTH);                \
        for (index k = 0; k < K; k++)                                                                           \
            for (index v = 0; v < vecs; v++) {                                                                  \
                vec b = *(const vec *)(B + k * ldb + v * WIDTH);                                                 \
                for (index r = 0; r < rows; r++) sums[r][v] += A[r * lda + k] * b;                               \
            }                                                                                                   \
        for (index r = 0; r < rows; r++)                                                                        \
            for (index v = 0; v < vecs; v++) *(vec *)(C + r * ldc + v * WIDTH) = sums[r][v];                      \
    }
TILE(tile_wide, ROWS, 2)
TILE(tile_slim, ROWS, 1)
TILE(row_wide, 1, 2)
TILE(row_slim, 1, 1)

static void single(index K, const float *A, const float *B, index ldb, float *C) {
    float sum = *C;
    for (index k = 0; k < K; k++) sum = __builtin_fmaf(A[k], B[k * ldb], sum);
    *C = sum;
}

static void product(index rows, index K, index N, const float *A, index lda, const float *B, index ldb, float *C,
                    index ldc) {
    index wide = N - N % (2 * WIDTH), slim = N - N % WIDTH, whole = rows - rows % ROWS;
    for (index j = 0; j < wide; j += 2 * WIDTH) {
        for (index i = 0; i < whole; i += ROWS) tile_wide(K, A + i * lda, lda, B + j, ldb, C + i * ldc + j, ldc);
        for (index i = whole; i < rows; i++) row_wide(K, A + i * lda, lda, B + j, ldb, C + i * ldc + j, ldc);
    }
    if (wide < slim) {
        for (index i = 0; i < whole; i += ROWS) tile_slim(K, A + i * lda, lda, B + wide, ldb, C + i * ldc + wide, ldc);
        for (index i = whole; i < rows; i++) row_slim(K, A + i * lda, lda, B + wide, ldb, C + i * ldc + wide, ldc);
    }
    for (index j = slim; j < N; j++)
        for (index i = 0; i < rows; i++) single(K, A + i * lda, B + j, ldb, C + i * ldc + j);
}

/* -- activations ----------------------------------------------------------------------------- */

static inline float clip(float x) { return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x; }

/* 2 to the nearest whole number of x / ln 2, and a polynomial for what is left of it; not a number stays so */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    float whole = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
    float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    union { int32_t bits; float power; } two = {((int32_t)whole + 127) * (1 << 23)};
    return p * two.power;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

/* near 0, where 1 - 2 / (e^2x + 1) would cancel, its series of odd powers as a minimax polynomial */
static inline float hyperbolic(float x) {
    float far = 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f), s = x * x;
    float p = -5.70498872745e-3f;
    p = p * s + 2.06390887954e-2f;
    p = p * s - 5.37397155531e-2f;
    p = p * s + 1.33314422036e-1f;
    p = p * s - 3.33332819422e-1f;
    float near = x + x * s * p;
    return s < 0.390625f ? near : far;
}

#define EACH(count, expression) \
    for (index j = 0; j < count; j++) expression
/* y = activation(z) */
static void activate(enum activation kind, index count, const float *restrict z, float *restrict y) {
    switch (kind) {
        case LINEAR: EACH(count, y[j] = z[j]); break;
        case RELU: EACH(count, y[j] = z[j] < 0.0f ? 0.0f : z[j]); break;
        case SIGMOID: EACH(count, y[j] = sigmoid(z[j])); break;
        case HARD_SIGMOID: EACH(count, y[j] = clip(0.2f * z[j] + 0.5f)); break;
        case TANH: EACH(count, y[j] = hyperbolic(z[j])); break;
        case CLIP: EACH(count, y[j] = clip(z[j])); break;
    }
}

static inline float inside(float x) { return x >= 0.0f && x <= 1.0f ? 1.0f : 0.0f; }

/* d = d * slope of the activation at z, where it is y; at ties, the mean of both sides or that of the inside */
static void slope(enum activation kind, index count, const float *restrict z, const float *restrict y,
                  float *restrict d) {
    switch (kind) {
        case LINEAR: break;
        case RELU: EACH(count, d[j] *= z[j] > 0.0f ? 1.0f : z[j] < 0.0f ? 0.0f : 0.5f); break;
        case SIGMOID: EACH(count, d[j] *= y[j] * (1.0f - y[j])); break;
        case HARD_SIGMOID: EACH(count, d[j] *= 0.2f * inside(0.2f * z[j] + 0.5f)); break;
        case TANH: EACH(count, d[j] *= 1.0f - y[j] * y[j]); break;
        case CLIP: EACH(count, d[j] *= inside(z[j])); break;
    }
}

/* -- cells ----------------------------------------------------------------------------------- */

#define AT(array, t, i, width) ((array) + ((t) * n + (i)) * (width))
#define SKIPPED(t, i) (mask && !mask[(t) * n + (i)])
#define BLOCKS(i, rows) \
    for (index i = 0, rows; i < n && (rows = n - i < BLOCK ? n - i : BLOCK); i += BLOCK)
#define COPY(to, from, count) memcpy(to, from, (count) * sizeof(float))

void simple_forward(index steps, index n, index H, int phi, int unused, float *z, const float *U, float *hs,
                    const uint8_t *mask) {
    BLOCKS(first, rows)
    for (index t = 0; t < steps; t++) {
        product(rows, H, H, AT(hs, t, first, H), H, U, H, AT(z, t, first, H), H);
        for (index i = first; i < first + rows; i++) {
            activate(phi, H, AT(z, t, i, H), AT(hs, t + 1, i, H));
            if (SKIPPED(t, i)) COPY(AT(hs, t + 1, i, H), AT(hs, t, i, H), H);
        }
    }
}

void simple_backward(index steps, index n, index H, int phi, int unused, const float *z, const float *V,
                     const float *hs, const uint8_t *mask, const float *grad, float *dh, float *dz) {
    BLOCKS(first, rows)
    for (index t = steps; t-- > 0;) {
        for (index i = first; i < first + rows; i++) {
            float *restrict d = AT(dz, t, i, H), *restrict back = dh + i * H;
            const float *restrict g = AT(grad, t, i, H);
            EACH(H, back[j] += g[j]);
            if (SKIPPED(t, i)) {
                memset(d, 0, H * sizeof(float));
                continue;
            }
            EACH(H, (d[j] = back[j], back[j] = 0.0f));
            slope(phi, H, AT(z, t, i, H), AT(hs, t + 1, i, H), d);
        }
        product(rows, H, H, AT(dz, t, first, H), H, V, H, dh + first * H, H);
    }
}

void gru_forward(index steps, index n, index H, int phi, int sigma, float *z, const float *U, float *hs, float *a,
                 float *rh, const uint8_t *mask) {
    index G = 3 * H;
    BLOCKS(first, rows)
    for (index t = 0; t < steps; t++) {
        product(rows, H, 2 * H, AT(hs, t, first, H), H, U, G, AT(z, t, first, G), G);
        for (index i = first; i < first + rows; i++) {
            float *restrict gates = AT(a, t, i, G), *restrict kept = AT(rh, t, i, H);
            const float *restrict h = AT(hs, t, i, H);
            activate(sigma, 2 * H, AT(z, t, i, G), gates);
            if (SKIPPED(t, i)) EACH(H, gates[H + j] = 1.0f);
            EACH(H, kept[j] = gates[j] * h[j]);
        }
        product(rows, H, H, AT(rh, t, first, H), H, U + 2 * H, G, AT(z, t, first, G) + 2 * H, G);
        for (index i = first; i < first + rows; i++) {
            float *restrict gates = AT(a, t, i, G), *restrict after = AT(hs, t + 1, i, H);
            const float *restrict h = AT(hs, t, i, H);
            activate(phi, H, AT(z, t, i, G) + 2 * H, gates + 2 * H);
            EACH(H, after[j] = gates[H + j] * h[j] + (1.0f - gates[H + j]) * gates[2 * H + j]);
        }
    }
}

void gru_backward(index steps, index n, index H, int phi, int sigma, const float *z, const float *V, const float *hs,
                  const float *a, const uint8_t *mask, const float *grad, float *dh, float *drh, float *dz) {
    index G = 3 * H;
    BLOCKS(first, rows)
    for (index t = steps; t-- > 0;) {
        for (index i = first; i < first + rows; i++) {
            float *restrict d = AT(dz, t, i, G), *restrict back = dh + i * H;
            const float *restrict g = AT(grad, t, i, H), *restrict gates = AT(a, t, i, G);
            const float *restrict h = AT(hs, t, i, H);
            EACH(H, (back[j] += g[j], drh[i * H + j] = 0.0f));
            if (SKIPPED(t, i)) {
                memset(d, 0, G * sizeof(float));
                continue;
            }
            EACH(H, d[H + j] = back[j] * (h[j] - gates[2 * H + j]));
            EACH(H, d[2 * H + j] = back[j] * (1.0f - gates[H + j]));
            EACH(H, back[j] *= gates[H + j]);
            slope(sigma, H, AT(z, t, i, G) + H, gates + H, d + H);
            slope(phi, H, AT(z, t, i, G) + 2 * H, gates + 2 * H, d + 2 * H);
        }
        product(rows, H, H, AT(dz, t, first, G) + 2 * H, G, V + 2 * H * H, H, drh + first * H, H);
        for (index i = first; i < first + rows; i++) {
            float *restrict d = AT(dz, t, i, G), *restrict back = dh + i * H;
            const float *restrict gates = AT(a, t, i, G), *restrict h = AT(hs, t, i, H), *restrict r = drh + i * H;
            EACH(H, (d[j] = r[j] * h[j], back[j] += r[j] * gates[j]));
            slope(sigma, H, AT(z, t, i, G), gates, d);
        }
        product(rows, 2 * H, H, AT(dz, t, first, G), G, V, H, dh + first * H, H);
    }
}

void reset_after_forward(index steps, index n, index H, int phi, int sigma, float *z, const float *U, float *hs,
                         float *a, float *back, const uint8_t *mask) {
    index G = 3 * H;
    const float *restrict c = U + H * G;
    BLOCKS(first, rows)
    for (index t = 0; t < steps; t++) {
        for (index i = first; i < first + rows; i++) {
            float *restrict inner = AT(z, t, i, G);
            EACH(2 * H, inner[j] += c[j]);
            COPY(AT(back, t, i, H), c + 2 * H, H);
        }
        product(rows, H, 2 * H, AT(hs, t, first, H), H, U, G, AT(z, t, first, G), G);
        product(rows, H, H, AT(hs, t, first, H), H, U + 2 * H, G, AT(back, t, first, H), H);
        for (index i = first; i < first + rows; i++) {
            float *restrict gates = AT(a, t, i, G), *restrict outer = AT(z, t, i, G) + 2 * H;
            float *restrict after = AT(hs, t + 1, i, H);
            const float *restrict h = AT(hs, t, i, H), *restrict fed = AT(back, t, i, H);
            activate(sigma, 2 * H, AT(z, t, i, G), gates);
            if (SKIPPED(t, i)) EACH(H, gates[H + j] = 1.0f);
            EACH(H, outer[j] += gates[j] * fed[j]);
            activate(phi, H, outer, gates + 2 * H);
            EACH(H, after[j] = gates[H + j] * h[j] + (1.0f - gates[H + j]) * gates[2 * H + j]);
        }
    }
}

void reset_after_backward(index steps, index n, index H, int phi, int sigma, const float *z, const float *V,
                          const float *hs, const float *a, const float *back, const uint8_t *mask, const float *grad,
                          float *dh, float *dback, float *dz) {
    index G = 3 * H;
    BLOCKS(first, rows)
    for (index t = steps; t-- > 0;) {
        for (index i = first; i < first + rows; i++) {
            float *restrict d = AT(dz, t, i, G), *restrict through = AT(dback, t, i, H), *restrict whole = dh + i * H;
            const float *restrict g = AT(grad, t, i, H), *restrict gates = AT(a, t, i, G);
            const float *restrict h = AT(hs, t, i, H), *restrict fed = AT(back, t, i, H);
            EACH(H, whole[j] += g[j]);
            if (SKIPPED(t, i)) {
                memset(d, 0, G * sizeof(float));
                memset(through, 0, H * sizeof(float));
                continue;
            }
            EACH(H, d[H + j] = whole[j] * (h[j] - gates[2 * H + j]));
            EACH(H, d[2 * H + j] = whole[j] * (1.0f - gates[H + j]));
            EACH(H, whole[j] *= gates[H + j]);
            slope(phi, H, AT(z, t, i, G) + 2 * H, gates + 2 * H, d + 2 * H);
            EACH(H, (d[j] = d[2 * H + j] * fed[j], through[j] = d[2 * H + j] * gates[j]));
            slope(sigma, 2 * H, AT(z, t, i, G), gates, d);
        }
        product(rows, 2 * H, H, AT(dz, t, first, G), G, V, H, dh + first * H, H);
        product(rows, H, H, AT(dback, t, first, H), H, V + 2 * H * H, H, dh + first * H, H);
    }
}

void lstm_forward(index steps, index n, index H, int phi, int sigma, float *z, const float *U, float *hs, float *cs,
                  float *a, float *ac, const uint8_t *mask) {
    index G = 4 * H;
    BLOCKS(first, rows)
    for (index t = 0; t < steps; t++) {
        product(rows, H, G, AT(hs, t, first, H), H, U, G, AT(z, t, first, G), G);
        for (index i = first; i < first + rows; i++) {
            float *restrict gates = AT(a, t, i, G), *restrict squashed = AT(ac, t, i, H);
            float *restrict h = AT(hs, t + 1, i, H), *restrict c = AT(cs, t + 1, i, H);
            const float *restrict before = AT(cs, t, i, H);
            activate(sigma, 3 * H, AT(z, t, i, G), gates);
            activate(phi, H, AT(z, t, i, G) + 3 * H, gates + 3 * H);
            EACH(H, c[j] = gates[2 * H + j] * before[j] + gates[H + j] * gates[3 * H + j]);
            activate(phi, H, c, squashed);
            EACH(H, h[j] = gates[j] * squashed[j]);
            if (SKIPPED(t, i)) {
                COPY(h, AT(hs, t, i, H), H);
                COPY(c, before, H);
            }
        }
    }
}

void lstm_backward(index steps, index n, index H, int phi, int sigma, const float *z, const float *V, const float *cs,
                   const float *a, const float *ac, const uint8_t *mask, const float *grad, float *dh, float *dc,
                   float *through, float *dz) {
    index G = 4 * H;
    BLOCKS(first, rows)
    for (index t = steps; t-- > 0;) {
        for (index i = first; i < first + rows; i++) {
            float *restrict d = AT(dz, t, i, G), *restrict back = dh + i * H, *restrict cell = dc + i * H;
            const float *restrict g = AT(grad, t, i, H), *restrict gates = AT(a, t, i, G);
            const float *restrict squashed = AT(ac, t, i, H), *restrict before = AT(cs, t, i, H);
            EACH(H, back[j] += g[j]);
            if (SKIPPED(t, i)) {
                memset(d, 0, G * sizeof(float));
                continue;
            }
            EACH(H, through[j] = back[j] * gates[j]);
            slope(phi, H, AT(cs, t + 1, i, H), squashed, through);
            EACH(H, cell[j] += through[j]);
            EACH(H, d[j] = back[j] * squashed[j]);
            EACH(H, d[H + j] = cell[j] * gates[3 * H + j]);
            EACH(H, d[2 * H + j] = cell[j] * before[j]);
            EACH(H, d[3 * H + j] = cell[j] * gates[H + j]);
            EACH(H, (cell[j] *= gates[2 * H + j], back[j] = 0.0f));
            slope(sigma, 3 * H, AT(z, t, i, G), gates, d);
            slope(phi, H, AT(z, t, i, G) + 3 * H, gates + 3 * H, d + 3 * H);
        }
        product(rows, G, H, AT(dz, t, first, G), G, V, H, dh + first * H, H);
    }
}
