#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "runner/run/run_queue.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- rows: what is done, in words, and which runs begin ---
 *
 * "i7:k" interactive run 7 waits, wanting k; "b7" one in the background; "I7:k", "B7" goes on
 * already; "-7" is removed; "<7" is given back, "*": what was given back may be had again; "?" asks
 * for all that may begin, which are appended to what comes out.
 */

static void add(struct run_queue *queue, const char *word)
{
    char key[20] = "";
    long long run;
    int parts = sscanf(word + 1, "%lld:%19s", &run, key);
    enum run_class run_class = strchr("iI", *word) ? RUN_INTERACTIVE : RUN_BACKGROUND;
    const char *wanted = parts == 2 ? key : NULL;

    if (strchr("ib", *word))
        run_queue_add(queue, run, run_class, wanted);
    else
        run_queue_add_running(queue, run, run_class, wanted);
}

static void begin_all(struct run_queue *queue, char *out)
{
    int64_t run;

    while (run_queue_next(queue, &run))
        sprintf(out + strlen(out), "%lld ", (long long)run);
    strcat(out, "| ");
}

static void play(struct run_queue *queue, const char *text, char *out)
{
    auto_free char *words = mem_strdup(text);
    char *rest = words;

    for (char *word; (word = strsep(&rest, " "));) {
        if (*word == '?')
            begin_all(queue, out);
        else if (*word == '-')
            run_queue_remove(queue, atoll(word + 1));
        else if (*word == '<')
            run_queue_give_back(queue, atoll(word + 1));
        else if (*word == '*')
            run_queue_try_keys(queue);
        else
            add(queue, word);
    }
}

static void runs_begin_when_it_is_their_turn(void **state)
{
    static const struct {
        const char *name;
        uint32_t interactive, background;
        const char *words, *begin;
    } rows[] = {
        {"nothing waits", 1, 1, "?", "| "},
        {"one", 1, 1, "i1:a ? ?", "1 | | "},
        {"the oldest first", 1, 1, "i1 i2 i3 ? -1 ? -2 ? -3 ?", "1 | 2 | 3 | | "},
        {"as many as may", 3, 1, "i1 i2 i3 i4 ? -2 ?", "1 2 3 | 4 | "},
        {"none may", 0, 0, "i1 b2 ?", "| "},
        {"classes have limits of their own", 1, 2, "b1 b2 b3 i4 i5 ? -1 ?", "4 1 2 | 3 | "},
        {"a full background delays nobody who waits", 2, 1, "b1 b2 b3 i4 ?", "4 1 | "},
        {"who is waited for goes first", 9, 9, "b1 b2 i3 b4 i5 ?", "3 5 1 2 4 | "},
        {"... and takes the key", 9, 9, "b1:a i2:a ? -2 ?", "2 | 1 | "},
        {"and the other way round", 1, 2, "i1 i2 i3 b4 ?", "1 4 | "},
        {"one of a key at a time", 9, 9, "i1:a i2:a i3:a ? -1 ? -2 ?", "1 | 2 | 3 | "},
        {"... which holds up nobody else", 9, 9, "i1:a i2:a i3:b i4:a i5:b i6:c ?", "1 3 6 | "},
        {"... across classes", 9, 9, "b1:a ? i2:a ? -1 ?", "1 | | 2 | "},
        {"no key, nothing to wait for", 9, 9, "b1 b2 b3 ?", "1 2 3 | "},
        {"another key that begins the same", 9, 9, "i1:a i2:ab i3:a ?", "1 2 | "},
        {"the oldest of the key that is free", 1, 1, "i1:a i2:b i3:a ? -1 ?", "1 | 2 | "},
        {"given up while it waited", 1, 1, "i1 i2 i3 ? -2 -1 ?", "1 | 3 | "},
        {"given up, with the key it has not got", 9, 9, "i1:a i2:a i3:a ? -2 ? -1 ?", "1 | | 3 | "},
        {"removed twice", 2, 1, "i1 i2 i3 i4 ? -1 -1 ?", "1 2 | 3 | "},
        {"one that is not there", 1, 1, "i1 i2 -9 ? -9 -0 ?", "1 | | "},
        {"found running counts", 2, 1, "I1 i2 i3 ? -1 ?", "2 | 3 | "},
        {"found running has its key", 9, 1, "I1:a i2:a i3:b ? -1 ?", "3 | 2 | "},
        {"more found running than may", 1, 1, "I1 I2 i3 ? -1 ? -2 ?", "| | 3 | "},
        {"running are found after waiting ones", 9, 9, "i1:a I2:a i3:b ? -2 ?", "3 | 1 | "},
        {"one that came later and may before", 1, 1, "i1:a ? i2:a i3:b -1 ? -2 ?", "1 | 2 | 3 | "},
        {"given back, it waits", 9, 9, "i1:a ? <1 ? * ?", "1 | | 1 | "},
        {"... with the others of its key", 9, 9, "i1:a i2:a i3:b ? <1 ? * ? -1 ?",
         "1 3 | | 1 | 2 | "},
        {"... and leaves its place to others", 1, 1, "i1:a i2:b ? <1 ? -2 * ?", "1 | 2 | 1 | "},
        {"given back and given up", 9, 9, "i1:a i2:a ? <1 -1 ? * ?", "1 | | 2 | "},
        {"come while its key is elsewhere", 9, 9, "i1:a ? <1 i2:a ? -1 * ?", "1 | | 2 | "},
        {"emptied and filled again", 1, 1, "i1 -1 i2 ? -2 i3 ? -3 ?", "2 | 3 | | "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const uint32_t limits[] = {rows[i].interactive, rows[i].background};
        struct run_queue *queue = run_queue_new(limits);
        char out[200] = "";
        play(queue, rows[i].words, out);
        if (strcmp(out, rows[i].begin) != 0)
            fail_msg("%s: %s: %s", rows[i].name, rows[i].words, out);
        run_queue_free(queue);
    }
}

static void it_counts_and_knows_who_waits(void **state)
{
    struct run_queue *queue = run_queue_new((uint32_t[]){1, 1});
    char out[50] = "";

    (void)state;
    play(queue, "i1 i2 i3 b4 I5 ? -5 -1", out);
    assert_string_equal(out, "4 | "); /* 5 fills the interactive class */
    assert_int_equal(run_queue_waiting(queue, RUN_INTERACTIVE), 2);
    assert_int_equal(run_queue_waiting(queue, RUN_BACKGROUND), 0);
    assert_int_equal(run_queue_running(queue, RUN_INTERACTIVE), 0);
    assert_int_equal(run_queue_running(queue, RUN_BACKGROUND), 1);
    assert_false(run_queue_is_waiting(queue, 1)); /* removed */
    assert_true(run_queue_is_waiting(queue, 2));
    assert_true(run_queue_is_waiting(queue, 3));
    assert_false(run_queue_is_waiting(queue, 4)); /* goes on */
    assert_false(run_queue_is_waiting(queue, 9));
    run_queue_free(queue);
}

static void it_knows_what_each_wants(void **state)
{
    struct run_queue *queue = run_queue_new((uint32_t[]){1, 1});
    char out[50] = "";

    (void)state;
    play(queue, "i1:a i2 b3:c ? <1 -3", out);
    assert_string_equal(run_queue_key(queue, 1), "a");
    assert_null(run_queue_key(queue, 2));
    assert_null(run_queue_key(queue, 3));
    assert_null(run_queue_key(queue, 9));
    assert_true(run_queue_is_waiting(queue, 1));
    assert_int_equal(run_queue_waiting(queue, RUN_INTERACTIVE), 2);
    assert_int_equal(run_queue_running(queue, RUN_INTERACTIVE), 0);
    run_queue_free(queue);
}

static void classes_have_names(void **state)
{
    (void)state;
    assert_string_equal(run_class_name(RUN_INTERACTIVE), "interactive");
    assert_string_equal(run_class_name(RUN_BACKGROUND), "background");
    run_queue_free(NULL);
}

/* --- against a list that is looked through from its start every time --- */

enum { RUNS = 10000, KEYS = 7 };

enum phase { UNKNOWN, WAITING, RUNNING, GONE };

struct reference {
    uint32_t limits[RUN_CLASS_COUNT];
    struct {
        enum phase phase;
        enum run_class run_class;
        int key; /* 0: none */
    } runs[RUNS + 1];
    int last;
};

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 33) % limit;
}

static uint32_t count(const struct reference *reference, enum phase phase, enum run_class run_class)
{
    uint32_t found = 0;

    for (int i = 1; i <= reference->last; i++)
        found += reference->runs[i].phase == phase && reference->runs[i].run_class == run_class;
    return found;
}

static bool is_taken(const struct reference *reference, int key)
{
    for (int i = 1; key && i <= reference->last; i++)
        if (reference->runs[i].phase == RUNNING && reference->runs[i].key == key)
            return true;
    return false;
}

static int expected_next(const struct reference *reference)
{
    for (int c = 0; c < RUN_CLASS_COUNT; c++) {
        if (count(reference, RUNNING, (enum run_class)c) >= reference->limits[c])
            continue;
        for (int i = 1; i <= reference->last; i++)
            if (reference->runs[i].phase == WAITING && (int)reference->runs[i].run_class == c &&
                !is_taken(reference, reference->runs[i].key))
                return i;
    }
    return 0;
}

static void add_one(struct reference *reference, struct run_queue *queue)
{
    static const char *const keys[KEYS] = {NULL, "a", "b", "c", "d", "e", "f"};
    int run = ++reference->last;
    int key = (int)random_below(KEYS);
    enum run_class run_class = (enum run_class)random_below(RUN_CLASS_COUNT);
    bool runs = random_below(20) == 0 && !is_taken(reference, key);

    reference->runs[run].phase = runs ? RUNNING : WAITING;
    reference->runs[run].run_class = run_class;
    reference->runs[run].key = key;
    if (runs)
        run_queue_add_running(queue, run, run_class, keys[key]);
    else
        run_queue_add(queue, run, run_class, keys[key]);
}

static void next_one(struct reference *reference, struct run_queue *queue)
{
    int expected = expected_next(reference);
    int64_t run = 0;

    assert_int_equal(run_queue_next(queue, &run), expected != 0);
    assert_int_equal(run, expected);
    reference->runs[expected].phase = RUNNING;
}

/* Of all that there ever were, so that what is gone is removed again, too. */
static void remove_one(struct reference *reference, struct run_queue *queue)
{
    uint32_t back = random_below(random_below(10) == 0 ? (uint32_t)reference->last + 2 : 40);
    int run = reference->last + 1 - (int)back;

    run_queue_remove(queue, run);
    if (run >= 1 && run <= reference->last)
        reference->runs[run].phase = GONE;
}

static void check_counts(const struct reference *reference, const struct run_queue *queue)
{
    for (int c = 0; c < RUN_CLASS_COUNT; c++) {
        enum run_class run_class = (enum run_class)c;
        assert_int_equal(run_queue_waiting(queue, run_class), count(reference, WAITING, run_class));
        assert_int_equal(run_queue_running(queue, run_class), count(reference, RUNNING, run_class));
    }
}

static void it_does_what_a_plain_list_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct reference *reference = mem_zalloc(sizeof *reference);
        random_state = seed;
        reference->limits[0] = random_below(5);
        reference->limits[1] = random_below(5);
        struct run_queue *queue = run_queue_new(reference->limits);
        uint32_t removals = 1 + random_below(4);
        while (reference->last < 400) {
            uint32_t dice = random_below(4 + removals);
            if (dice < 2)
                add_one(reference, queue);
            else if (dice < 4)
                next_one(reference, queue);
            else
                remove_one(reference, queue);
            check_counts(reference, queue);
        }
        for (int i = 0; i <= reference->last + 1; i++)
            assert_int_equal(run_queue_is_waiting(queue, i), reference->runs[i].phase == WAITING);
        run_queue_free(queue);
        free(reference);
    }
}

/* Ten thousand wait, some of them for no pipeline's turn; each pipeline's begin in their order, and
 * all of them begin. */
static void ten_thousand_wait(void **state)
{
    struct run_queue *queue = run_queue_new((uint32_t[]){3, 2});
    int64_t newest[100] = {0}, going[5];
    uint32_t begun = 0, going_count = 0;

    (void)state;
    random_state = 17;
    for (int i = 1; i <= RUNS; i++) {
        char key[20];
        snprintf(key, sizeof key, "pipeline %d", i % 100);
        run_queue_add(queue, i, i % 4 ? RUN_INTERACTIVE : RUN_BACKGROUND, i % 4 ? key : NULL);
    }
    assert_int_equal(run_queue_waiting(queue, RUN_INTERACTIVE), RUNS - RUNS / 4);
    while (begun < RUNS) {
        for (int64_t run; run_queue_next(queue, &run); begun++) {
            assert_true(run > newest[run % 100]);
            newest[run % 100] = run;
            assert_true(going_count < 5);
            going[going_count++] = run;
        }
        uint32_t ended = random_below(going_count);
        run_queue_remove(queue, going[ended]);
        going[ended] = going[--going_count];
    }
    assert_int_equal(run_queue_waiting(queue, RUN_INTERACTIVE), 0);
    assert_int_equal(run_queue_waiting(queue, RUN_BACKGROUND), 0);
    run_queue_free(queue);
}

/* A thousand sets of an experiment wait, as many go on as may; whoever waits for a run has it begin
 * at once, and in a turn in which there is room for both before any of them. */
static void a_thousand_in_the_background_delay_nobody(void **state)
{
    struct run_queue *queue = run_queue_new((uint32_t[]){2, 4});
    int64_t run, going = 0;

    (void)state;
    for (int64_t i = 1; i <= 1000; i++)
        run_queue_add(queue, i, RUN_BACKGROUND, NULL);
    while (run_queue_next(queue, &run))
        going = run;
    assert_int_equal(run_queue_running(queue, RUN_BACKGROUND), 4);
    for (int64_t i = 1001; i <= 1100; i++) {
        run_queue_add(queue, i, RUN_INTERACTIVE, i % 2 ? "a" : "b");
        run_queue_remove(queue, i - 1000);
        assert_true(run_queue_next(queue, &run));
        assert_int_equal(run, i);
        assert_true(run_queue_next(queue, &run));
        assert_int_equal(run, ++going);
        assert_false(run_queue_next(queue, &run));
        run_queue_remove(queue, i);
    }
    run_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_begin_when_it_is_their_turn),
        cmocka_unit_test(it_counts_and_knows_who_waits),
        cmocka_unit_test(it_knows_what_each_wants),
        cmocka_unit_test(classes_have_names),
        cmocka_unit_test(it_does_what_a_plain_list_does),
        cmocka_unit_test(ten_thousand_wait),
        cmocka_unit_test(a_thousand_in_the_background_delay_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
