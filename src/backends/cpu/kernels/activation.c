/* GELU (arXiv:1606.08415) by the error function and by its approximation with tanh, and ReLU; and their slopes. */
#include "ww.h"
#include "scratch.h"

enum { LANES = WW_LANES, CHUNK = 4096 /* elements, a task */ };
/* As src/backends/cpu/bind-other.ts numbers them. */
enum { GELU, GELU_TANH, RELU };

typedef struct {
  const float *x, *dy;
  float *y;
  int64_t n;
  int kind;
} Activation;

typedef struct {
  vf share, slope; /* the activation is x * share */
} Gelu;

/*
 * The share is the normal distribution's function. Its tail beyond a >= 0 is e^(-a*a/2) * R(t) with t = 1 / (1 + 0.35 a), R a polynomial
 * without constant term that interpolates it at Chebyshev's points of 0 <= a <= 14.5, to 3e-7 of the tail in float32.
 */
static inline Gelu gelu(vf x) {
  vf a = vselect(x < 0, -x, x), t = 1 / (1 + a * 0.35f), bell = vexp(x * x * -0.5f);
  vf r = t * -0.0297322758f + 0.146783993f;
  r = r * t - 0.26141053f;
  r = r * t + 0.165510163f;
  r = r * t - 0.0273219105f;
  r = r * t + 0.107212499f;
  r = r * t + 0.119425096f;
  r = r * t + 0.139914334f;
  r = r * t + 0.139618635f;
  vf tail = r * t * bell, share = vselect(x < 0, tail, 1 - tail);
  return (Gelu){share, share + x * bell * 0.39894228f};
}

/*
 * (1 + tanh(u)) / 2 is the logistic function of v = 2 u, here |v| = |x| * (c + d * x * x); with e = e^-|v| it is 1 / (1 + e) or, for
 * x < 0, e / (1 + e), and its slope e / (1 + e)^2, without differences of near numbers.
 */
static inline Gelu gelu_tanh(vf x) {
  const float c = 1.5957691f, d = 0.071354816f;
  vf a = vselect(x < 0, -x, x), square = x * x, e = vexp(-a * (c + d * square)), near = 1 / (1 + e), far = e * near;
  vf share = vselect(x < 0, far, near);
  return (Gelu){share, share + x * near * far * (c + 3 * d * square)};
}

static inline vf activation(int kind, vf x) {
  if (kind == RELU) return vselect(x > 0, x, (vf){0});
  return x * (kind == GELU_TANH ? gelu_tanh(x) : gelu(x)).share;
}

static inline vf gradient(int kind, vf x, vf dy) {
  if (kind == RELU) return vselect(x > 0, dy, (vf){0});
  return dy * (kind == GELU_TANH ? gelu_tanh(x) : gelu(x)).slope;
}

static void forward_chunk(void *context, int64_t task) {
  const Activation *t = context;
  int64_t end = (task + 1) * CHUNK < t->n ? (task + 1) * CHUNK : t->n;
  for (int64_t i = task * CHUNK; i < end; i += LANES) {
    vf x = vload_n(t->x + i, end - i);
    vstore_n(t->y + i, activation(t->kind, x), end - i);
  }
}

static void backward_chunk(void *context, int64_t task) {
  const Activation *t = context;
  int64_t end = (task + 1) * CHUNK < t->n ? (task + 1) * CHUNK : t->n;
  for (int64_t i = task * CHUNK; i < end; i += LANES) {
    vf x = vload_n(t->x + i, end - i), dy = vload_n(t->dy + i, end - i);
    vstore_n(t->y + i, gradient(t->kind, x, dy), end - i);
  }
}

void ww_activate(const float *x, float *y, int64_t n, int kind) {
  Activation t = {.x = x, .y = y, .n = n, .kind = kind};
  ww_tasks(forward_chunk, &t, (n + CHUNK - 1) / CHUNK, 16 * n);
}
WW_QUEUED(ww_activate, P(0), P(1), N(2), N(3))

void ww_activate_backward(const float *dy, const float *x, float *dx, int64_t n, int kind) {
  Activation t = {.x = x, .dy = dy, .y = dx, .n = n, .kind = kind};
  ww_tasks(backward_chunk, &t, (n + CHUNK - 1) / CHUNK, 16 * n);
}
WW_QUEUED(ww_activate_backward, P(0), P(1), P(2), N(3), N(4))
