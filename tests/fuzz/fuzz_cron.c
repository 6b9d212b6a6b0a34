/* Any bytes as a crontab line: what is refused has a place within the line; what is accepted has
 * words, and a time that comes next, which it names, in a zone with daylight saving too.
 */
#include "runner/schedule/cron.h"
#include "runner/schedule/schedule.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

static int64_t minutes_of(const struct local_time *local)
{
    int64_t day = (local->year * 12 + local->month) * 31 + local->day;

    return (day * 24 + local->hour) * 60 + local->minute;
}

static void check_line(const struct cron *cron, uint32_t seed)
{
    auto_buf struct buf words = {0};
    struct local_time at = {.year = 1970 + seed % 200,
                            .month = 1 + seed / 200 % 12,
                            .day = 1 + seed / 2400 % 28,
                            .hour = seed / 67200 % 24,
                            .minute = seed / 1612800 % 60};

    cron_put_words(cron, &words);
    require(words.len > 0, "a line has words");
    for (int i = 0; i < 20; i++) {
        struct local_time next;
        require(cron_next(cron, &at, &next) == 0, "something comes next");
        require(minutes_of(&next) > minutes_of(&at), "it is later");
        require(cron_matches(cron, &next), "the line names it");
        at = next;
    }
}

static void check_schedule(const char *line, uint32_t seed)
{
    static struct schedule_due due;
    auto_schedule struct schedule *schedule = NULL;
    auto_buf struct buf text = {0};
    struct err e;

    buf_puts(&text, "{\"timezone\":\"Australia/Lord_Howe\",\"catch_up\":\"all\",\"cron\":");
    json_put_text(&text, line);
    buf_putc(&text, '}');
    if (schedule_parse(buf_text(&text), &schedule, &e))
        return;
    msec start = seed * INT64_C(1000), first = schedule_next(schedule, start), at = first;
    require(first > start, "something comes next");
    for (int i = 0; i < 5; i++) {
        msec next = schedule_next(schedule, at);
        require(next > at, "it is later");
        require(schedule_next(schedule, next - 1) == next, "nothing is between");
        at = next;
    }
    schedule_decide(schedule, seed, first, at, &due);
    require(due.count == 6 && due.fires[5].due == at && due.dropped == 0, "nothing is lost");
    require(due.next == schedule_next(schedule, at), "what follows is next");
}

/* The first four bytes say from when on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t seed = 0;
    struct cron cron;
    size_t offset;
    struct err e;

    if (size < sizeof seed)
        return 0;
    memcpy(&seed, data, sizeof seed);
    auto_free char *line = mem_strndup((const char *)data + sizeof seed, size - sizeof seed);
    if (cron_parse(line, &cron, &offset, &e)) {
        require(offset <= strlen(line) && e.text[0], "a refusal has a place and a reason");
        return 0;
    }
    check_line(&cron, seed);
    check_schedule(line, seed);
    return 0;
}
