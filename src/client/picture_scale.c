// SPDX-License-Identifier: MIT
#include "picture_scale.h"

#include <math.h>

/* The digits that are labelled in each power of ten; fewer if there are many powers. */
struct digits {
    size_t n;
    double digit[9];
};

static const struct digits every_digit = {9, {1, 2, 3, 4, 5, 6, 7, 8, 9}};
static const struct digits usual_digits = {3, {1, 2, 5}};
static const struct digits no_digits = {1, {1}};

/* Half of a rounding error more or less is the same value. */
static const double hair = 1e-9;

static void add_tick(struct scale *scale, double value)
{
    if (value >= scale->from * (1 - hair) && value <= scale->to * (1 + hair) &&
        scale->n_ticks < SCALE_TICKS_MAX) {
        scale->ticks[scale->n_ticks++] = value;
    }
}

static int exponent_of(double value)
{
    return (int)floor(log10(value) + hair);
}

/* The largest value of DIGITS and a power of ten that is at most VALUE. */
static double round_down(double value, const struct digits *digits)
{
    double power = pow(10, exponent_of(value));
    double found = power;

    for (size_t i = 0; i < digits->n; i++) {
        double candidate = digits->digit[i] * power;
        found = candidate <= value * (1 + hair) ? candidate : found;
    }
    return found;
}

/* The smallest that is at least VALUE. */
static double round_up(double value, const struct digits *digits)
{
    double power = pow(10, exponent_of(value));

    for (size_t i = 0; i < digits->n; i++) {
        if (digits->digit[i] * power >= value * (1 - hair)) {
            return digits->digit[i] * power;
        }
    }
    return 10 * power;
}

void scale_init_logarithmic(struct scale *scale, double from, double to)
{
    double ratio = to / from;
    const struct digits *digits = ratio < 4      ? &every_digit
                                  : ratio < 2000 ? &usual_digits
                                                 : &no_digits;

    *scale = (struct scale){
        .from = round_down(from, digits),
        .to = round_up(to, digits),
        .logarithmic = true,
    };
    if (scale->to <= scale->from * (1 + hair)) {
        scale->to = round_up(scale->from * 1.5, digits);
    }
    for (int exponent = exponent_of(scale->from); exponent <= exponent_of(scale->to); exponent++) {
        for (size_t i = 0; i < digits->n; i++) {
            add_tick(scale, digits->digit[i] * pow(10, exponent));
        }
    }
}

void scale_init_linear(struct scale *scale, double to)
{
    double step = round_up((to > 0 ? to : 1) / 6, &usual_digits);
    int steps = (int)ceil((to > 0 ? to : 1) / step - hair);

    *scale = (struct scale){.to = step * steps};
    for (int i = 0; i <= steps; i++) {
        add_tick(scale, i * step);
    }
}

double scale_at(const struct scale *scale, double value)
{
    double share = scale->logarithmic
                       ? log(fmax(value, scale->from) / scale->from) / log(scale->to / scale->from)
                       : (value - scale->from) / (scale->to - scale->from);

    return scale->start + fmin(fmax(share, 0), 1) * (scale->end - scale->start);
}

double scale_nines(double percent)
{
    return -log10(1 - percent / 100);
}

double scale_percent(double nines)
{
    return 100 * (1 - pow(10, -nines));
}
