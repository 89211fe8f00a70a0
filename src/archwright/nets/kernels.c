/* (ReLU,) depthwise convolution, pointwise convolution of float32 maps with channels innermost, and the sums of
 * BatchNorm, forward and backward: image by image, so that all that lies between is in a cache. `native` compiles it.
 *
 * Channels are multiples of four, from eight on. A depthwise convolution reads a row as one long vector, whose weights repeat after
 * `period` floats, so no lane is idle. Sums are handed out for each image or each thread. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
enum { LANES = 16, TALL = 8 }; /* TALL: rows of a tile of a matrix product; its sums are in registers */
#elif defined(__AVX__)
enum { LANES = 8, TALL = 4 };
#else
enum { LANES = 4, TALL = 4 };
#endif
enum { BLOCK = 16, WIDE = 3, ROWS = 4 }; /* pixels of a pattern; vectors across a tile; rows of output at a time */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 64")
#define SIMD _Pragma("omp simd")
typedef float full __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float half __attribute__((vector_size(2 * LANES), aligned(4), may_alias));

/* Several sources of as many channels each are read as one map. `before`: scale, shift and mean of what is read, or NULL;
 * `after`: mean, p, q and r of the output's BatchNorm, where the gradient of y is p g + q (y - mean) + r. */
typedef struct { long images, height, width, channels, sources, kernel, outputs, relu, threads; } Shape;

long archwright_lanes(void) { return LANES; }

static float *room(long floats) {
    void *made = NULL;
    if (posix_memalign(&made, 64, 4 * (floats + 64))) abort();
    return memset(made, 0, 4 * (floats + 64));
}

INLINE long least(long a, long b) { return a < b ? a : b; }

INLINE long rounded(long n) { return (n + LANES - 1) / LANES * LANES; }

/* Write a vector, or add it; the numbers of bytes are constants, so that vectors stay in registers. */
#define PUT(put, type)                                                                                                 \
    INLINE void put(float *to, type value, int more, long bytes) {                                                     \
        type old = {0};                                                                                                \
        if (more) memcpy(&old, to, bytes), value += old;                                                               \
        memcpy(to, &value, bytes);                                                                                     \
    }
PUT(put, full)
PUT(put_half, half)

__attribute__((noinline)) static void end(float *to, full value, long floats) { memcpy(to, &value, 4 * floats); }

/* c[m][n] = a[m][k] b[k][n] or, with `more`, added to c: M rows, V vectors and H halves of one; `kept` floats are n. */
INLINE void tile(int M, int V, int H, int more, long k, const float *a, long am, long ak, const float *b, long bk,
                 float *c, long cm, long kept) {
    full s[TALL][WIDE] = {0};
    half t[TALL] = {0};
    for (; k > 0; k--, a += ak, b += bk)
        UNROLL for (int m = 0; m < M; m++) {
            UNROLL for (int v = 0; v < V; v++) s[m][v] += a[m * am] * *(const full *)(b + v * LANES);
            if (H) t[m] += a[m * am] * *(const half *)(b + V * LANES);
        }
    const int whole = kept == V * LANES + H * LANES / 2, last = V + H - 1; /* or the last four are not there */
    UNROLL for (int m = 0; m < M; m++, c += cm) {
        UNROLL for (int v = 0; v < last; v++) put(c + v * LANES, s[m][v], more, 4 * LANES);
        if (H && whole) put_half(c + last * LANES, t[m], more, 2 * LANES);
        else if (H) put_half(c + last * LANES, t[m], more, LANES > 8 ? 2 * LANES - 16 : 0);
        else if (whole) put(c + last * LANES, s[m][last], more, 4 * LANES);
        else put(c + last * LANES, s[m][last], more, 4 * LANES - 16);
    }
}

/* What is read or written soon: `row` floats for each row of a product, fetched meanwhile. */
typedef struct { const float *at; long row; } Soon;

INLINE void fetch(const Soon *soon, long rows) {
    for (; soon->at; soon++)
        for (long i = 0; i < TALL * soon->row; i += 16) __builtin_prefetch(soon->at + rows * soon->row + i, 0, 2);
}

static void product(int more, long m, long n, long k, const float *a, long am, long ak, const float *b, long bk,
                    float *c, long cm, const Soon *soon) {
    for (long column = 0, next; column < n; column = next) {
        long left = n - column, vectors = least(left / LANES, WIDE), rest = vectors < WIDE ? left % LANES : 0;
        int halves = rest > 0 && rest <= LANES / 2;
        if (rest > LANES / 2) vectors++;
        next = least(n, column + vectors * LANES + halves * LANES / 2);
        long kept = next - column, row = 0;
#define TILE(M, V, H) tile(M, V, H, more, k, a + row * am, am, ak, b + column, bk, c + row * cm + column, cm, kept)
#define TILES(V, H)                                                                                                    \
    case 2 * V + H:                                                                                                    \
        for (; row + TALL <= m; row += TALL) {                                                                         \
            if (soon && column == 0) fetch(soon, row);                                                                 \
            TILE(TALL, V, H);                                                                                          \
        }                                                                                                              \
        for (; row + 4 <= m; row += 4) TILE(4, V, H);                                                                  \
        for (; row < m; row++) TILE(1, V, H);                                                                          \
        break;
        switch (2 * vectors + halves) { TILES(0, 1) TILES(1, 0) TILES(1, 1) TILES(2, 0) TILES(2, 1) TILES(3, 0) }
    }
}

/* Maps with zeros around them. `period`: floats after which the channels' pattern in a row begins anew at a vector. */
typedef struct { long kernel, channels, height, width, line, period; } Around;

static Around around(const Shape *d) {
    Around z = {d->kernel, d->channels, d->height, d->width, (d->width + d->kernel - 1) * d->channels, LANES};
    while (z.period % z.channels) z.period += LANES;
    z.period = least(z.period, rounded(z.width * z.channels));
    return z;
}

static float *ring(const Around *z) { return room((z->height + z->kernel) * z->line); }

INLINE float *inside(const Around *z, float *maps, long y) {
    return maps + (y + z->kernel / 2) * z->line + z->kernel / 2 * z->channels;
}

/* R rows of the output. `taps`: for each weight the pattern of its channels. */
INLINE void convolve(int K, int R, const Around *z, const float *in, const float *taps, float *out) {
    long n = z->width * z->channels;
    for (long v = 0; v < z->period; v += LANES) {
        full w[49];
        UNROLL for (int t = 0; t < K * K; t++) w[t] = *(const full *)(taps + t * z->period + v);
        for (long j = v; j < n; j += z->period) {
            full sum[ROWS] = {0};
            UNROLL for (int s = 0; s < K; s++)
                UNROLL for (int i = 0; i < R - 1 + K; i++) {
                    full x = *(const full *)(in + i * z->line + s * z->channels + j);
                    UNROLL for (int r = 0; r < R; r++)
                        if (i >= r && i < r + K) sum[r] += x * w[(i - r) * K + s];
                }
            UNROLL for (int r = 0; r < R; r++) {
                if (j + LANES <= n) put(out + r * n + j, sum[r], 0, 4 * LANES);
                else end(out + r * n + j, sum[r], n - j);
            }
        }
    }
}

/* Adds the gradients of the weights from R rows; columns of the kernel from `first` on, T of them. */
INLINE void correlate(int K, int R, int first, int T, const Around *z, const float *in, const float *g, float *taps) {
    long n = z->width * z->channels;
    for (long v = 0; v < z->period; v += LANES) {
        full w[49];
        UNROLL for (int t = 0; t < K * T; t++) w[t] = (full){0};
        for (long j = v; j < n; j += z->period) {
            full own[ROWS] = {0};
            UNROLL for (int r = 0; r < R; r++) own[r] = *(const full *)(g + r * z->line + j);
            UNROLL for (int s = 0; s < T; s++)
                UNROLL for (int i = 0; i < R - 1 + K; i++) {
                    full x = *(const full *)(in + i * z->line + (first + s) * z->channels + j);
                    UNROLL for (int r = 0; r < R; r++)
                        if (i >= r && i < r + K) w[(i - r) * T + s] += x * own[r];
                }
        }
        UNROLL for (int t = 0; t < K * T; t++) *(full *)(taps + (t / T * K + first + t % T) * z->period + v) += w[t];
    }
}

#define EACH_KERNEL(DO)                                                                                                \
    for (long y = 0, rows; y < z->height; y += rows) {                                                                 \
        rows = y + ROWS <= z->height ? ROWS : 1;                                                                       \
        const float *from = in + y * z->line;                                                                          \
        switch (z->kernel * (rows > 1 ? 1 : -1)) {                                                                     \
        case 3: DO(3, ROWS) break;                                                                                     \
        case 5: DO(5, ROWS) break;                                                                                     \
        case 7: DO(7, ROWS) break;                                                                                     \
        case -3: DO(3, 1) break;                                                                                       \
        case -5: DO(5, 1) break;                                                                                       \
        case -7: DO(7, 1) break;                                                                                       \
        }                                                                                                              \
    }

static void convolve_all(const Around *z, const float *in, const float *taps, float *out) {
#define CONVOLVE(K, R) convolve(K, R, z, from, taps, out + y * z->width * z->channels);
    EACH_KERNEL(CONVOLVE)
}

static void correlate_all(const Around *z, const float *in, float *g, float *taps) {
#define CORRELATE(K, R) /* 7 x 7 sums do not fit into registers */                                                     \
    for (int s = 0; s < K; s += K < 7 ? K : 1)                                                                         \
        correlate(K, R, K < 7 ? 0 : s, K < 7 ? K : 1, z, from, inside(z, g, y), taps);
    EACH_KERNEL(CORRELATE)
}

static float *spread(const Around *z, const float *weights, int turned) {
    long taps = z->kernel * z->kernel;
    float *to = room(taps * z->period);
    for (long t = 0; t < taps; t++)
        for (long j = 0; j < z->period; j++)
            to[t * z->period + j] = weights[j % z->channels * taps + (turned ? taps - 1 - t : t)];
    return to;
}

/* A value for each channel, as often as BLOCK pixels have it; and back, summed up. */
static float *pattern(const float *values, float otherwise, long channels) {
    float *to = room(BLOCK * channels);
    for (long j = 0; j < BLOCK * channels; j++) to[j] = values ? values[j % channels] : otherwise;
    return to;
}

static void folded(float *sums, float *to, long channels, float share) {
    memset(to, 0, 4 * channels);
    for (long b = 0; b < BLOCK; b++)
        SIMD for (long j = 0; j < channels; j++) to[j] += sums[b * channels + j] * share;
    memset(sums, 0, 4 * BLOCK * channels);
}

#define EACH(n, channels) /* i floats before a block, j in it */                                                       \
    for (long i = 0, size = BLOCK * (channels); i < (n); i += size)                                                    \
        SIMD for (long j = 0; j < least(size, (n)-i); j++)

INLINE void activate(float *to, const float *x, long n, long channels, const float *a, const float *b, int relu) {
    if (relu) EACH(n, channels) {
        float v = x[i + j] * a[j] + b[j];
        to[i + j] = v < 0 ? 0 : v; /* what is no number stays so */
    } else EACH(n, channels) to[i + j] = x[i + j] * a[j] + b[j];
}

/* Mean and variance of an image, one after the other: a sum of squares would lose digits. */
static void moments(const float *y, long n, long channels, float *sums, float *mean, float *to) {
    float share = (float)channels / n;
    EACH(n, channels) sums[j] += y[i + j];
    folded(sums, to, channels, share);
    for (long j = 0; j < BLOCK * channels; j++) mean[j] = to[j % channels];
    EACH(n, channels) sums[j] += (y[i + j] - mean[j]) * (y[i + j] - mean[j]);
    folded(sums, to + channels, channels, share);
}

void archwright_normalise(const Shape *d, const float *y, const float *scale, const float *shift, float *to) {
    long n = d->height * d->width * d->outputs;
    float *a = pattern(scale, 1, d->outputs), *b = pattern(shift, 0, d->outputs);
#pragma omp parallel for schedule(static) num_threads(d->threads)
    for (long i = 0; i < d->images; i++) activate(to + i * n, y + i * n, n, d->outputs, a, b, 0);
    free(a), free(b);
}

/* For each image the sums of g and of g (y - mean). */
void archwright_sums(const Shape *d, const float *g, const float *y, const float *mean, float *to) {
    long c = d->outputs, n = d->height * d->width * c;
    float *m = pattern(mean, 0, c);
#pragma omp parallel num_threads(d->threads)
    {
        float *s = room(BLOCK * c), *t = room(BLOCK * c);
#pragma omp for schedule(static)
        for (long image = 0; image < d->images; image++) {
            const float *own = g + image * n, *made = y + image * n;
            EACH(n, c) s[j] += own[i + j], t[j] += own[i + j] * (made[i + j] - m[j]);
            folded(s, to + 2 * image * c, c, 1), folded(t, to + (2 * image + 1) * c, c, 1);
        }
        free(s), free(t);
    }
    free(m);
}

static void fill(const Shape *d, const Around *z, const float *x, const float *a, const float *b, float *in) {
    long n = d->width * d->channels;
    if (d->kernel == 1) activate(in, x, d->height * n, d->channels, a, b, d->relu);
    else for (long y = 0; y < d->height; y++) activate(inside(z, in, y), x + y * n, n, d->channels, a, b, d->relu);
}

/* y, and for each image mean and variance of its channels. */
void archwright_forward(const Shape *d, const float *const *x, const float *before, const float *depthwise,
                        const float *pointwise, float *y, float *to) {
    Around shape = around(d), *z = &shape;
    long c = d->channels, o = d->outputs, pixels = d->height * d->width, wide = rounded(o), every = c * d->sources;
    float *taps = d->kernel > 1 ? spread(z, depthwise, 0) : NULL, *matrix = room(every * wide);
    float *a = pattern(before, 1, c), *b = pattern(before ? before + c : NULL, 0, c);
    for (long i = 0; i < every * o; i++) matrix[i % every * wide + i / every] = pointwise[i];
#pragma omp parallel num_threads(d->threads)
    {
        float *in = ring(z), *made = taps ? room(pixels * c) : in, *s = room(BLOCK * o), *m = room(BLOCK * o);
#pragma omp for schedule(static)
        for (long i = 0; i < d->images; i++) {
            float *out = y + i * pixels * o;
            for (long k = 0; k < d->sources; k++) {
                fill(d, z, x[k] + i * pixels * c, a, b, in);
                if (taps) convolve_all(z, in, taps, made);
                Soon soon[] = {{k + 1 < d->sources ? x[k + 1] + i * pixels * c : x[0] + (i + 1) * pixels * c, c},
                               {k ? NULL : out + 4 * TALL * o, o}, {NULL, 0}};
                product(k > 0, pixels, o, c, made, c, 1, matrix + k * c * wide, wide, out, o, soon);
            }
            moments(out, pixels * o, o, s, m, to + 2 * i * o);
        }
        if (taps) free(made);
        free(in), free(s), free(m);
    }
    free(taps), free(matrix), free(a), free(b);
}

/* The gradients of x and, for each thread, of the weights; with `before`, for each image the sums of BatchNorm there. */
void archwright_backward(const Shape *d, const float *const *x, const float *before, const float *depthwise,
                         const float *pointwise, const float *y, const float *after, const float *g, float *const *dx,
                         float *d_depthwise, float *d_pointwise, float *to) {
    Around shape = around(d), *z = &shape;
    long c = d->channels, o = d->outputs, pixels = d->height * d->width, every = c * d->sources;
    long n = pixels * c, many = d->kernel * d->kernel;
    float *taps = d->kernel > 1 ? spread(z, depthwise, 0) : NULL, *turned = taps ? spread(z, depthwise, 1) : NULL;
    float *matrix = room(every * o + LANES), *mean = pattern(after, 0, o), *p = pattern(after + o, 0, o);
    float *q = pattern(after + 2 * o, 0, o), *r = pattern(after + 3 * o, 0, o), *a = pattern(before, 1, c);
    float *b = pattern(before ? before + c : NULL, 0, c), *m = pattern(before ? before + 2 * c : NULL, 0, c);
    memcpy(matrix, pointwise, 4 * every * o);
#pragma omp parallel num_threads(d->threads)
    {
        float *in = ring(z), *made = taps ? room(n) : in, *dy = room(pixels * o);
        float *up = taps ? ring(z) : NULL, *dw = room(many * z->period);
        float *dm = room(o * every), *s = room(BLOCK * c), *t = room(BLOCK * c);
#pragma omp for schedule(static)
        for (long image = 0; image < d->images; image++) {
            const float *gy = g + image * pixels * o, *my = y + image * pixels * o;
            EACH(pixels * o, o) dy[i + j] = p[j] * gy[i + j] + q[j] * (my[i + j] - mean[j]) + r[j];
            for (long k = 0; k < d->sources; k++) {
                const float *from = x[k] + image * n;
                float *out = dx[k] + image * n;
                fill(d, z, from, a, b, in);
                if (taps) convolve_all(z, in, taps, made);
                product(1, o, c, pixels, dy, 1, o, made, c, dm + k * c, every, NULL);
                for (long i = 0, rows = taps ? d->width : pixels; i < pixels; i += rows) {
                    long last = k + 1 == d->sources;
                    Soon soon[] = {{out + i * c, c}, {(last ? x[0] + (image + 1) * n : x[k + 1] + image * n) + i * c, c},
                                   {last ? gy + (pixels + i) * o : NULL, o}, {my + (pixels + i) * o, o}, {NULL, 0}};
                    float *to = taps ? inside(z, up, i / rows) : made;
                    product(0, rows, c, o, dy + i * o, o, 1, matrix + k * c, every, to, c, soon);
                }
                if (taps) correlate_all(z, in, up, dw), convolve_all(z, up, turned, made);
                if (!d->relu) memcpy(out, made, 4 * n);
                else EACH(n, c) out[i + j] = from[i + j] * a[j] + b[j] <= 0 ? 0 : made[i + j];
                if (!before) continue;
                EACH(n, c) s[j] += out[i + j], t[j] += out[i + j] * (from[i + j] - m[j]);
                folded(s, to + 2 * image * c, c, 1), folded(t, to + (2 * image + 1) * c, c, 1);
            }
        }
        long thread = omp_get_thread_num();
        memcpy(d_pointwise + thread * o * every, dm, 4 * o * every);
        if (taps) for (long i = 0; i < many * z->period; i++)
            d_depthwise[(thread * c + i % z->period % c) * many + i / z->period] += dw[i];
        if (taps) free(made), free(up);
        free(in), free(dy), free(dw), free(dm), free(s), free(t);
    }
    free(taps), free(turned), free(matrix), free(mean), free(p), free(q), free(r), free(a), free(b), free(m);
}
