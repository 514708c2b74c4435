// SPDX-License-Identifier: MIT
#include "unit.h"

#include <math.h>

#include "histogram.h"

static double percentile_of_one(uint64_t value, double percent)
{
    static struct histogram histogram;

    histogram_init(&histogram);
    histogram_record(&histogram, value);
    return (double)histogram_percentile(&histogram, percent);
}

/* The value that is read for VALUE when it is neither the smallest nor the largest, which are
 * exact. */
static uint64_t read_back(uint64_t value)
{
    static struct histogram histogram;

    histogram_init(&histogram);
    histogram_record(&histogram, 0);
    histogram_record(&histogram, value);
    histogram_record(&histogram, UINT64_MAX);
    return histogram_percentile(&histogram, 50);
}

static void assert_bounded(uint64_t value)
{
    uint64_t read = read_back(value);

    assert_true(read >= value);
    assert_true(read - value <= value / HISTOGRAM_STEPS);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 2 * HISTOGRAM_STEPS; value++) {
        assert_int_equal(read_back(value), value);
    }
}

static void the_error_is_bounded_over_the_whole_range(void **state)
{
    (void)state;
    for (unsigned power = 0; power < 64; power++) {
        uint64_t value = (uint64_t)1 << power;
        assert_bounded(value - 1);
        assert_bounded(value);
        assert_bounded(value + 1);
        assert_bounded(value + value / 3);
        assert_bounded(value + (value - 1));
    }
    assert_bounded(UINT64_MAX);
    assert_bounded(UINT64_MAX - 1);
}

static void buckets_neither_overlap_nor_leave_gaps(void **state)
{
    uint64_t last = 0;

    (void)state;
    for (uint64_t value = 1; value < 100000; value++) {
        uint64_t read = read_back(value);
        /* The same bucket as the one before, or the next one, which begins here. */
        assert_true(read == last || last == value - 1);
        last = read;
    }
}

static void one_value_is_read_exactly_at_any_percentile(void **state)
{
    const uint64_t values[] = {0, 1, 127, 128, 129, 255, 256, 1000003, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_true(percentile_of_one(values[i], 0) == (double)values[i]);
        assert_true(percentile_of_one(values[i], 50) == (double)values[i]);
        assert_true(percentile_of_one(values[i], 100) == (double)values[i]);
    }
}

static void percentiles_are_those_of_a_sorted_list(void **state)
{
    static struct histogram histogram;

    (void)state;
    histogram_init(&histogram);
    for (uint64_t value = 100; value > 0; value--) {
        histogram_record(&histogram, value);
    }
    assert_int_equal(histogram_percentile(&histogram, 0), 1);
    assert_int_equal(histogram_percentile(&histogram, 1), 1);
    assert_int_equal(histogram_percentile(&histogram, 50), 50);
    assert_int_equal(histogram_percentile(&histogram, 99), 99);
    assert_int_equal(histogram_percentile(&histogram, 99.5), 100);
    assert_int_equal(histogram_percentile(&histogram, 100), 100);
}

static void an_empty_one_has_nothing_to_tell(void **state)
{
    static struct histogram histogram;

    (void)state;
    histogram_init(&histogram);
    assert_int_equal(histogram_percentile(&histogram, 50), 0);
    assert_true(histogram_mean(&histogram) == 0);
    assert_true(histogram_deviation(&histogram) == 0);
    assert_int_equal(histogram_count_between(&histogram, 0, UINT64_MAX), 0);
}

static void two_together_are_as_one_that_had_all(void **state)
{
    static struct histogram odd;
    static struct histogram even;
    static struct histogram all;

    (void)state;
    histogram_init(&odd);
    histogram_init(&even);
    histogram_init(&all);
    for (uint64_t i = 1; i <= 1000; i++) {
        histogram_record(i % 2 ? &odd : &even, i * i);
        histogram_record(&all, i * i);
    }
    histogram_add(&odd, &even);
    assert_memory_equal(odd.counts, all.counts, sizeof(all.counts));
    assert_int_equal(odd.count, 1000);
    assert_int_equal(odd.min, 1);
    assert_int_equal(odd.max, 1000000);
    assert_true(fabs(odd.sum - all.sum) < 1);
    assert_int_equal(histogram_percentile(&odd, 99), histogram_percentile(&all, 99));
}

static void an_empty_one_adds_nothing(void **state)
{
    static struct histogram histogram;
    static struct histogram empty;

    (void)state;
    histogram_init(&histogram);
    histogram_init(&empty);
    histogram_record(&histogram, 42);
    histogram_add(&histogram, &empty);
    histogram_add(&empty, &histogram);
    assert_int_equal(histogram.min, 42);
    assert_int_equal(histogram.max, 42);
    assert_int_equal(empty.min, 42);
    assert_int_equal(empty.count, 1);
}

static void mean_and_deviation_are_of_the_values_and_not_of_buckets(void **state)
{
    static struct histogram histogram;
    const uint64_t values[] = {2, 4, 4, 4, 5, 5, 7, 9};

    (void)state;
    histogram_init(&histogram);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        histogram_record(&histogram, values[i] * 1000003);
    }
    assert_true(fabs(histogram_mean(&histogram) - 5.0 * 1000003) < 0.01);
    assert_true(fabs(histogram_deviation(&histogram) - 2.0 * 1000003) < 0.01);
}

static void counting_in_ranges_finds_every_value_once(void **state)
{
    static struct histogram histogram;
    uint64_t found = 0;

    (void)state;
    histogram_init(&histogram);
    for (uint64_t i = 0; i < 10000; i++) {
        histogram_record(&histogram, i * 7);
    }
    for (uint64_t from = 0; from < 70000; from += 1000) {
        found += histogram_count_between(&histogram, from, from + 1000);
    }
    assert_int_equal(found, 10000);
    assert_int_equal(histogram_count_between(&histogram, 0, 70), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(the_error_is_bounded_over_the_whole_range),
        cmocka_unit_test(buckets_neither_overlap_nor_leave_gaps),
        cmocka_unit_test(one_value_is_read_exactly_at_any_percentile),
        cmocka_unit_test(percentiles_are_those_of_a_sorted_list),
        cmocka_unit_test(an_empty_one_has_nothing_to_tell),
        cmocka_unit_test(two_together_are_as_one_that_had_all),
        cmocka_unit_test(an_empty_one_adds_nothing),
        cmocka_unit_test(mean_and_deviation_are_of_the_values_and_not_of_buckets),
        cmocka_unit_test(counting_in_ranges_finds_every_value_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
