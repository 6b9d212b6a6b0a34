#include "api/jupyter/offers.h"

#include "base/json.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "places.c"

#define PYTHON3                                                                                    \
    "{\"argv\": [\"py\", \"{connection_file}\"], \"display_name\": \"Python 3 (ipykernel)\", "     \
    "\"language\": \"python\", \"env\": {\"A\": \"1\"}, "                                          \
    "\"metadata\": {\"debugger\": true, \"segue\": \"mine\", \"cull_idle_timeout\": 7.5}}"

static struct offers *open_offers(const struct places *places, const char *default_kernel)
{
    return offers_new(places->projects, default_kernel, &places->state);
}

/* The member of an offer's model: "spec.metadata.segue". free() it. */
static char *look(const struct offer *offer, const char *path)
{
    auto_buf struct buf model = {0};
    auto_json struct json doc = {0};
    auto_free char *names = mem_strdup(path);
    char *rest = names;
    struct err e;
    json_at at = 0;

    offer_put(&model, offer);
    assert_int_equal(json_parse(&doc, (struct str){model.data, model.len}, JSON_STRICT, NULL, &e),
                     0);
    for (char *name; (name = strsep(&rest, "."));)
        at = json_get(&doc, at, name);
    struct str raw = json_raw(&doc, at);
    return mem_strndup(raw.text ? raw.text : "", raw.len);
}

static void assert_member(const struct offer *offer, const char *path, const char *json)
{
    auto_free char *found = look(offer, path);

    assert_string_equal(found, json);
}

static void shows_kernels_of_this_machine(void **state)
{
    const struct places *places = *state;

    put_kernel(places, "Python3", PYTHON3);
    put_file(places->kernels, "kernels/Python3/logo-64x64.png", "png");
    put_file(places->kernels, "kernels/Python3/kernel.js", "js");
    struct offers *offers = open_offers(places, NULL);
    struct offer_list *list = offers_get(offers, OFFERS_RECENT);
    const struct offer *offer = offer_list_find(list, "PYTHON3");
    assert_member(offer, "name", "\"python3\"");
    assert_member(offer, "spec.argv", "[\"py\",\"{connection_file}\"]");
    assert_member(offer, "spec.env", "{\"A\":\"1\"}");
    assert_member(offer, "spec.display_name", "\"Python 3 (ipykernel)\"");
    assert_member(offer, "spec.language", "\"python\"");
    assert_member(offer, "spec.interrupt_mode", "\"signal\"");
    assert_member(offer, "spec.metadata",
                  "{\"debugger\":true,\"segue\":\"mine\",\"cull_idle_timeout\":7.5}");
    assert_member(offer, "resources",
                  "{\"kernel.js\":\"/kernelspecs/python3/kernel.js\","
                  "\"logo-64x64\":\"/kernelspecs/python3/logo-64x64.png\"}");
    assert_int_equal(offer->cull_idle_timeout_s, 7);
    assert_null(offer->environment);
    offer_list_drop(list);
    offers_free(offers);
}

static void keeps_the_case_of_languages(void **state)
{
    const struct places *places = *state;

    put_kernel(places, "ir",
               "{\"argv\": [\"R\"], \"language\": \"R\", \"interrupt_mode\": \"message\"}");
    struct offers *offers = open_offers(places, NULL);
    struct offer_list *list = offers_get(offers, OFFERS_RECENT);
    assert_member(offer_list_find(list, "ir"), "spec.language", "\"R\"");
    assert_member(offer_list_find(list, "ir"), "spec.interrupt_mode", "\"message\"");
    offer_list_drop(list);
    offers_free(offers);
}

static void offers_environments_of_projects(void **state)
{
    const struct places *places = *state;

    put_kernel(places, "python3", PYTHON3);
    put_environments(places, "wine", "{\"science\": {\"kernelspec\": \"python3\"}}");
    put_environments(places, "empty", "{}");
    put_environments(places, "broken", "{\"x\": ");
    put_environments(places, ".hidden", "{\"x\": {}}");
    put_environments(places, "a/b", "{\"x\": {}}");
    put_file(places->projects, "file", "");
    struct offers *offers = open_offers(places, NULL);
    struct offer_list *list = offers_get(offers, OFFERS_RECENT);
    const struct offer *offer = offer_list_find(list, "wine.science");
    assert_member(offer, "spec.display_name", "\"Python 3 \u00b7 science (wine)\"");
    assert_member(offer, "spec.language", "\"python\"");
    assert_member(offer, "spec.argv", "[\"py\",\"{connection_file}\"]");
    assert_member(offer, "spec.metadata.debugger", "true");
    assert_member(offer, "spec.metadata.segue",
                  "{\"project\":\"wine\",\"environment\":\"science\",\"launcher\":\"process\"}");
    assert_member(offer, "resources", "{}");
    assert_string_equal(offer->project, "wine");
    assert_string_equal(offer->environment, "science");
    assert_string_equal(offer->kernelspec, "python3");
    for (size_t i = 0; i < list->count; i++)
        assert_true(!list->items[i].project || strcmp(list->items[i].project, "wine") == 0);
    offer_list_drop(list);
    offers_free(offers);
}

static void the_root_may_be_a_project(void **state)
{
    const struct places *places = *state;

    put_kernel(places, "python3", PYTHON3);
    put_environments(places, ".", "{\"Big Data\": {}}");
    struct offers *offers = open_offers(places, NULL);
    struct offer_list *list = offers_get(offers, OFFERS_RECENT);
    const struct offer *offer = offer_list_find(list, "big-data");
    assert_member(offer, "spec.display_name", "\"Python 3 \u00b7 Big Data\"");
    assert_string_equal(offer->project, ".");
    offer_list_drop(list);
    offers_free(offers);
}

static void links_out_are_no_projects(void **state)
{
    const struct places *places = *state;
    auto_free char *elsewhere = fs_join(places->root, "elsewhere");
    auto_free char *link = fs_join(places->projects, "link");

    put_file(elsewhere, ".segue/environments.json", "{\"x\": {}}");
    assert_int_equal(symlink(elsewhere, link), 0);
    struct offers *offers = open_offers(places, NULL);
    struct offer_list *list = offers_get(offers, OFFERS_RECENT);
    assert_null(offer_list_find(list, "link.x"));
    offer_list_drop(list);
    offers_free(offers);
}

static void names_are_different(void **state)
{
    const struct places *places = *state;

    put_kernel(places, "python3", PYTHON3);
    put_environments(places, ".", "{\"python3\": {}, \"Python3\": {}}");
    put_environments(places, "a b", "{\"x\": {}}");
    put_environments(places, "a-b", "{\"x\": {}, \"x!\": {}}");
    struct offers *offers = open_offers(places, NULL);
    struct offer_list *list = offers_get(offers, OFFERS_RECENT);
    static const char *const names[] = {"python3", "python3-2", "python3-3",
                                        "a-b.x",   "a-b.x-2",   "a-b.x-3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_non_null(offer_list_find(list, names[i]));
    assert_null(offer_list_find(list, "python3")->environment);
    assert_string_equal(offer_list_find(list, "a-b.x")->project, "a b");
    offer_list_drop(list);
    offers_free(offers);
}

static void what_cannot_start_is_offered_with_the_reason(void **state)
{
    const struct places *places = *state;

    put_environments(places, "p", "{\"absent\": {\"kernelspec\": \"no-such\"}}");
    put_file(places->projects, "p/.orchest/environments/u/properties.json",
             "{\"name\": \"docker\", \"uuid\": \"u\", \"base_image\": \"some/image\","
             " \"language\": \"r\"}");
    struct offers *offers = open_offers(places, NULL);
    struct offer_list *list = offers_get(offers, OFFERS_RECENT);
    const struct offer *docker = offer_list_find(list, "p.docker");
    assert_member(docker, "spec.display_name", "\"ir \u00b7 docker (p) (unavailable)\"");
    assert_member(docker, "spec.language", "\"r\"");
    assert_member(docker, "spec.argv", "[\"?\"]");
    assert_member(docker, "spec.metadata.segue.image", "\"some/image\"");
    auto_free char *problem = look(docker, "spec.metadata.segue.problem");
    assert_non_null(strstr(problem, "no-docker.sock"));
    const struct offer *absent = offer_list_find(list, "p.absent");
    auto_free char *missing = look(absent, "spec.metadata.segue.problem");
    assert_non_null(strstr(missing, "no-such"));
    assert_member(absent, "spec.language", "\"python\"");
    offer_list_drop(list);
    offers_free(offers);
}

static void chooses_a_default(void **state)
{
    const struct places *places = *state;
    static const struct {
        const char *wanted, *chosen;
    } rows[] = {{NULL, "python3"}, {"Zebra", "zebra"}, {"absent", NULL}};

    put_kernel(places, "aardvark", PYTHON3);
    put_kernel(places, "python3", PYTHON3);
    put_kernel(places, "zebra", PYTHON3);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct offers *offers = open_offers(places, rows[i].wanted);
        struct offer_list *list = offers_get(offers, OFFERS_RECENT);
        const char *chosen = rows[i].chosen ? rows[i].chosen : list->items[0].name;
        assert_string_equal(offer_list_find(list, NULL)->name, chosen);
        assert_string_equal(offer_list_find(list, "")->name, chosen);
        offer_list_drop(list);
        offers_free(offers);
    }
}

static void what_is_new_is_seen_when_it_must_be(void **state)
{
    const struct places *places = *state;
    struct offers *offers = open_offers(places, NULL);
    struct offer_list *before = offers_get(offers, OFFERS_RECENT);

    put_kernel(places, "newcomer", PYTHON3);
    struct offer_list *now = offers_get(offers, OFFERS_NOW);
    struct offer_list *after = offers_get(offers, OFFERS_RECENT);
    assert_null(offer_list_find(before, "newcomer"));
    assert_non_null(offer_list_find(now, "newcomer"));
    assert_ptr_equal(after, now);
    offers_free(offers); /* the lists stay good */
    assert_null(offer_list_find(before, "newcomer"));
    offer_list_drop(before);
    offer_list_drop(now);
    offer_list_drop(after);
}

static void *ask(void *offers)
{
    for (int i = 0; i < 30; i++) {
        struct offer_list *list = offers_get(offers, i % 3 ? OFFERS_RECENT : OFFERS_NOW);
        if (!offer_list_find(list, "python3"))
            return offers;
        offer_list_drop(list);
    }
    return NULL;
}

static void several_threads_may_ask(void **state)
{
    const struct places *places = *state;
    pthread_t threads[4];

    put_kernel(places, "python3", PYTHON3);
    put_environments(places, "wine", "{\"science\": {}}");
    struct offers *offers = open_offers(places, NULL);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, offers), 0);
    for (size_t i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    offers_free(offers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACES_TEST(shows_kernels_of_this_machine),
        PLACES_TEST(keeps_the_case_of_languages),
        PLACES_TEST(offers_environments_of_projects),
        PLACES_TEST(the_root_may_be_a_project),
        PLACES_TEST(links_out_are_no_projects),
        PLACES_TEST(names_are_different),
        PLACES_TEST(what_cannot_start_is_offered_with_the_reason),
        PLACES_TEST(chooses_a_default),
        PLACES_TEST(what_is_new_is_seen_when_it_must_be),
        PLACES_TEST(several_threads_may_ask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
