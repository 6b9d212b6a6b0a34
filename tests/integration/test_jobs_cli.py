"""`segue jobs`, each verb as a person uses it, against a real service."""

import csv
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.project import Step, uuid_of
from support.segue import Running, program, wait_until

TRAIN = """\
import segue
depth, trees = segue.get_step_param("depth", 0), segue.get_pipeline_param("trees", 0)
segue.log_metric("score", depth * 10 + trees)
segue.log_metric("loss", 1 / (1 + depth))
if depth == segue.get_pipeline_param("bad", None):
    raise SystemExit(7)
"""


class Client:
    """`segue jobs` beside a service."""

    def __init__(self, root, service):
        self.root = root
        self.service = service
        self._running = []

    @property
    def env(self):
        env = {**self.service.env, "SEGUE_TOKEN": self.service.token, "TERM": "xterm"}
        return {**env, "SEGUE_URL": self.service.url} if self.service.url else env

    def start(self, *words, env=None):
        output = self.root / f"output-{len(self._running)}"
        argv = [program(), "jobs", *words]
        running = Running(argv, env or self.env, self.root, output)
        self._running.append(running)
        return running

    def __call__(self, *words):
        return self.start(*words).wait(90)

    def good(self, *words):
        """What it prints; its exit status must be 0."""
        result = self(*words)
        assert result.code == 0, result.explain() + result.stdout
        return result.stdout

    def refused(self, *words):
        """What it says on stderr; its exit status must be 2 and nothing be on stdout."""
        result = self(*words)
        assert (result.code, result.stdout) == (2, ""), f"{result.explain()}{result.stdout}"
        return result.stderr

    def create(self, *words):
        """The uuid of the job that was made."""
        return json.loads(self.good("create", *words, "--json").splitlines()[0])["uuid"]

    def json(self, *words):
        return json.loads(self.good(*words, "--json"))

    def on_screen(self, columns, *words):
        """(exit status, what a terminal of that width is sent)."""
        pid, terminal = pty.fork()
        if pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.execve(program(), [str(w) for w in ("segue", "jobs", *words)], self.env)
        out = b""
        try:
            while data := os.read(terminal, 65536):
                out += data
        except OSError:
            pass  # the other end was closed
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), out.decode("utf-8").replace("\r\n", "\n")

    def close(self):
        for running in self._running:
            running.close()


@pytest.fixture
def service(new_service):
    return new_service("--allow-local-webhooks").start()


@pytest.fixture
def jobs(tmp_path, service):
    made = Client(tmp_path, service)
    yield made
    made.close()


@pytest.fixture
def project(service):
    made = service.project("p", Step("Train it", TRAIN, path="train.py"))
    (made.root / ".segue").mkdir()
    return made


@pytest.fixture
def forest(jobs, project):
    """A job that has ended: 2 x 2 sets."""
    uuid = jobs.create(project.pipeline, "--name", "forest", "-g", "Train it:depth=1,2",
                       "-g", "trees=3..4", "--objective", "score", "--wait")
    return uuid


def rows_of(table):
    return [re.split(r"  +", line.strip()) for line in table.splitlines()]


# -------------------------------------------------------------------------------------------- create


def test_from_a_grid_to_a_table(jobs, project):
    lines = jobs.good("create", project.pipeline, "-g", "train.py:depth=1..3", "--grid", "trees=5,9",
                      "--exclude", "5", "--objective", "score", "--wait").splitlines()
    assert lines[0] == "5 sets: Train it:depth, trees"
    assert re.fullmatch(r"job [0-9a-f-]{36}, STARTED", lines[1])
    assert "5 of 5 sets done" in lines
    table = lines[lines.index("5 of 5 sets done") + 1:]
    assert table[0].split() == ["SET", "depth", "trees", "score", "loss", "STATUS", "TIME", "RUN"]
    assert [line.split()[:4] for line in table[1:6]] == [
        ["4*", "3", "5", "35"], ["3", "2", "9", "29"], ["2", "2", "5", "25"],
        ["1", "1", "9", "19"], ["0", "1", "5", "15"]]
    assert table[6:] == ["* the best: the highest score"]


def test_a_preview_makes_nothing(jobs, project):
    said = jobs.good("create", project.pipeline, "-g", "Train it:depth=1..30", "-p", "bad=3",
                     "--cron", "0 2 * * MON-FRI", "--timezone", "Europe/Berlin", "--preview")
    lines = said.splitlines()
    assert lines[0] == "30 sets: Train it:depth"
    assert lines[1].split() == ["SET", "Train", "it:depth"]
    assert lines[2].split() == ["0", "1"] and lines[21].split() == ["19", "20"]
    assert lines[22].startswith("(and 10 more")
    assert lines[23] == "runs at 02:00 on Monday to Friday (Europe/Berlin)"
    assert len(lines) == 29 and all(re.fullmatch(r"  \d{4}-\d\d-\d\d 02:00", at) for at in lines[24:])
    shown = jobs.json("create", project.pipeline, "-g", "Train it:depth=1..30", "--preview")
    assert shown["set_count"] == len(shown["sets"]) == 30
    assert jobs.good("--json") == ""


def test_draws_are_the_same_each_time(jobs, project):
    words = ("create", project.pipeline, "--preview", "-g", 'train.py:rate={"log_uniform":[1e-5,0.1]}',
             "--random", "20")
    sets = jobs.json(*words)["sets"]
    values = [s["parameters"][uuid_of("Train it")]["rate"] for s in sets]
    assert len(values) == 20 and all(1e-5 <= value <= 0.1 for value in values)
    assert jobs.json(*words)["sets"] == sets
    assert jobs.json(*words, "--seed", "1")["sets"] != sets


def test_sets_come_from_files(jobs, project):
    sets = project.root / "sets.json"
    sets.write_text(json.dumps([{"pipeline_parameters": {"trees": 1, "x": "a b"}},
                                {"pipeline_parameters": {"trees": 2}}]))
    lines = jobs.good("create", project.pipeline, "--sets", sets, "--preview").splitlines()
    assert lines[:4] == ["2 sets: trees, x", "SET  trees  x", "0    1      a b", "1    2      -"]
    grid = project.root / "pipeline.parameters.json"
    grid.write_text(json.dumps({"pipeline_parameters": {"trees": "[1, 2, 3]"},
                                uuid_of("Train it"): {"depth": "[4, 5]"}}))
    shown = jobs.json("create", project.pipeline, "--parameters-file", grid, "--preview")
    assert shown["set_count"] == 6
    assert shown["sets"][5]["parameters"] == {"pipeline_parameters": {"trees": 3},
                                              uuid_of("Train it"): {"depth": 5}}


def test_a_project_of_the_service_by_name(jobs, project):
    shown = jobs.json("create", "pipeline.json", "--project", "p", "-g", "Train it:depth=1,2", "--preview")
    assert list(shown["sets"][1]["parameters"]) == [uuid_of("Train it")]


def test_a_failed_set_is_1(jobs, project):
    result = jobs("create", project.pipeline, "-g", "Train it:depth=1,2,3", "-p", "bad=2", "--wait")
    assert result.code == 1, result.explain()
    assert "3 of 3 sets done, 1 failed" in result.stdout
    assert "FAILURE (exit_code)" in result.stdout and "the best" not in result.stdout


def test_waiting_in_json_is_lines_of_json(jobs, project):
    out = jobs.good("create", project.pipeline, "-g", "Train it:depth=1,2", "--wait", "--json")
    job, *fires = [json.loads(line) for line in out.splitlines()]
    assert job["set_count"] == 2 and job["status"] == "STARTED"
    assert fires[-1]["status"] == "SUCCESS" and fires[-1]["counts"]["SUCCESS"] == 2
    assert {fire["number"] for fire in fires} == {1}


@pytest.mark.parametrize(("words", "said"), [
    ("-g a", '--grid "a" is not [STEP:]NAME=VALUES'),
    ("-g a=[1,", '--grid "a=[1," is no JSON'),
    ("-g nobody:a=1", 'no step has the uuid, title or file path "nobody"'),
    ("-g a=1:", '--grid a: "1:" has no step'),
    ("-g a=1,2 --exclude 7", "--exclude: there is no set 7"),
    ("-g a=1,2 -g b=1 --zip", "--grid b: has 1 values"),
    ('-g a={"uniform":[0,1]}', "--grid a: a distribution"),
    ("--random 3", "--random goes with --grid"),
    ("--cron 61_*_*_*_*", "--cron: "),
    ("--cron @daily --timezone Europe/Berlim", 'did you mean "Europe/Berlin"?'),
    ("--at tomorrow", "--at: "),
    ("--parallel 0", "--parallel: must be"),
    ("--parallel x", "--parallel is a whole number"),
    ("--timeout 5y", "--timeout is a time such as"),
    ("--stop-after-failures 200%", "--stop-after-failures: "),
    ("--draft --wait", "exclude each other"),
    ("--bogus", "segue jobs create --help"),
    ("twice", "there are words too many"),
])
def test_wrong_options_are_2(jobs, project, words, said):
    words = [word.replace("_", " ") for word in words.split()]
    assert said in jobs.refused("create", project.pipeline, *words)
    assert jobs.good("--json") == ""


def test_a_broken_pipeline_has_its_place_in_the_file(jobs, project):
    project.write("bad.json", '{"steps":\n {"a": {"uuid": "a", "title": 5}}, "name": 7}')
    said = jobs.refused("create", project.root / "bad.json", "--name", "n")
    assert "bad.json:2:31: /steps/a/title: " in said
    assert "nosuch.json" in jobs.refused("create", project.root / "nosuch.json")


# ------------------------------------------------------------------------------------------- waiting


HOLDS = "while [ ! -e {go} ]; do sleep 0.05; done\n"


def held(service, tmp_path):
    """A project whose step waits for a file, and the file."""
    go = tmp_path / "go"
    made = service.project("held", Step("a", HOLDS.format(go=go), path="a.sh"))
    (made.root / ".segue").mkdir()
    return made, go


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_the_job(jobs, service, tmp_path, number, status):
    project, go = held(service, tmp_path)
    waiting = jobs.start("create", project.pipeline, "--wait", "-g", "x=1,2")
    shown = tmp_path / "output-0.stdout"
    wait_until(lambda: "sets done" in shown.read_text(), 60, "it waits")
    waiting.signal(number)
    result = waiting.wait(60)
    assert result.code == status, result.explain()
    uuid = re.search(r"job ([0-9a-f-]{36})", result.stdout).group(1)
    assert f"the job goes on; segue jobs show {uuid[:8]} looks at it" in result.stdout
    assert jobs.json("show", uuid)["status"] == "STARTED"
    go.touch()
    wait_until(lambda: jobs.json("show", uuid)["status"] == "SUCCESS", 60, "it ends")


def test_a_killed_service_is_waited_for(jobs, service, tmp_path):
    project, go = held(service, tmp_path)
    waiting = jobs.start("create", project.pipeline, "--wait")
    shown = tmp_path / "output-0.stdout"
    wait_until(lambda: "sets done" in shown.read_text(), 60, "it waits")
    listen = service.url.removeprefix("http://")
    service.kill9()
    wait_until(lambda: "waiting for it ..." in shown.read_text(), 60, "it misses the service")
    go.touch()
    service.launch(listen=listen)
    assert service.wait_until_listening()
    result = waiting.wait(60)
    assert result.code == 0, result.explain() + result.stdout
    assert "does not answer" in result.stdout and "1 of 1 sets done" in result.stdout


def test_who_waits_for_what_never_comes_is_told(jobs, project, tmp_path):
    waiting = jobs.start("create", project.pipeline, "--wait", "--at", "2099-01-01T00:00:00Z", "--name", "far")
    shown = tmp_path / "output-0.stdout"
    wait_until(lambda: "the job is PENDING, and due at 2099-01-01 00:00" in shown.read_text(), 60, "it waits")
    jobs.good("abort", "far")
    result = waiting.wait(60)
    assert result.code == 1 and "the job is ABORTED" in result.stdout


def test_who_waits_for_a_deleted_job_is_told(jobs, project, tmp_path):
    waiting = jobs.start("create", project.pipeline, "--wait", "--at", "2099-01-01T00:00:00Z", "--name", "far")
    shown = tmp_path / "output-0.stdout"
    wait_until(lambda: "PENDING, and due" in shown.read_text(), 60, "it waits")
    jobs.good("delete", "far")
    result = waiting.wait(60)
    assert result.code == 1 and "somebody has deleted the job" in result.stdout


def test_a_terminal_has_one_line_that_changes(jobs, project):
    status, shown = jobs.on_screen(80, "create", project.pipeline, "-g", "Train it:depth=1..4", "--wait")
    assert status == 0, shown
    lines = shown.split("\n")
    assert lines[0] == "4 sets: Train it:depth"
    assert lines[2].startswith("\r\033[K0 of 4 sets done")
    assert lines[2].rpartition("\r\033[K")[2] == "4 of 4 sets done"
    assert lines[3].startswith("SET  depth ")


# --------------------------------------------------------------------------------- naming, lists, show


def test_the_list(jobs, project, forest):
    jobs.create(project.pipeline, "--name", "bad \x1b[2J\nname", "--cron", "0 2 * * *",
                "--timezone", "Europe/Berlin")
    head, cron, ended = jobs.good().splitlines()
    assert head.split() == ["JOB", "NAME", "STATUS", "SETS", "DONE", "RUNS", "NEXT"]
    assert "bad ?[2J?name  STARTED  -  " in cron
    assert re.search(r"at 02:00 every day \(Europe/Berlin\) +\d{4}-\d\d-\d\d 02:00$", cron), cron
    assert ended.startswith(f"{forest[:8]}  forest ") and "4 of 4" in ended
    assert len(jobs.good("list", "--json").splitlines()) == 2
    assert jobs.good("--project", "p", "--json") == jobs.good("list", "--json")
    assert jobs.good("--project", "q", "--json") == ""
    for columns in (80, 120):
        _, shown = jobs.on_screen(columns, "list")
        assert all(len(line) <= columns for line in shown.splitlines())


def test_show_and_fires(jobs, forest):
    said = dict(re.split(r"  +", line, maxsplit=1) for line in jobs.good("show", "forest").splitlines()
                if "  " in line)
    assert said["job"] == forest and said["sets"] == "4 sets: Train it:depth, trees"
    assert said["best"] == "the highest score" and said["status"] == "SUCCESS"
    assert jobs.json("show", forest[:8].upper())["uuid"] == forest
    head, fire = rows_of(jobs.good("fires", forest))
    assert head == ["FIRE", "KIND", "STATUS", "DUE", "ENDED", "SETS DONE"]
    assert (fire[0], fire[2], fire[5]) == ("1", "SUCCESS", "4 of 4")
    assert jobs.json("fires", forest)["number"] == 1
    fires = jobs.service.get(f"jobs/{forest}/fires", number=1).json()["fires"]
    assert [fire["number"] for fire in fires] == [1]
    assert jobs.service.get(f"jobs/{forest}/fires", number=2).json() == {"fires": [], "next_cursor": None}
    assert jobs.service.get(f"jobs/{forest}/fires", number=0).status_code == 400


def test_which_job(jobs, project, forest):
    twins = [jobs.create(project.pipeline, "--name", "twin", "--draft") for _ in range(2)]
    said = jobs.refused("show", "twin")
    assert '2 jobs are called "twin"' in said and all(uuid in said for uuid in twins)
    assert 'there is no job "nobody" (segue jobs lists them)' in jobs.refused("pause", "nobody")
    assert "there is no job" in jobs.refused("delete", forest[:3])
    assert "which job?" in jobs.refused("results")
    assert "which job?" in jobs.refused("trigger", "")
    assert "there is no job" in jobs.refused("show", "00000000-0000-4000-8000-000000000000")


def test_no_service_is_3(jobs, project):
    for words in (["list"], ["show", "x"], ["fires", "x"], ["create", project.pipeline], ["edit", "x", "--name", "y"],
                  ["results", "x"], ["compare", "latest", "latest"], ["pause", "x"], ["webhooks"]):
        result = jobs(*words, "--url", "http://127.0.0.1:9")
        assert (result.code, result.stdout) == (3, ""), f"{words} {result.explain()}"
        assert "http://127.0.0.1:9 does not answer" in result.stderr


# ------------------------------------------------------------------------------------------- changes


def test_the_life_of_a_job(jobs, project):
    uuid = jobs.create(project.pipeline, "--name", "life", "--draft", "--cron", "0 2 1 1 *")
    short = uuid[:8]
    assert jobs.good("confirm", "life") == f"job {short} is confirmed\n"
    assert "only a draft can be confirmed" in jobs("confirm", "life").stderr
    assert jobs("confirm", "life").code == 1
    assert jobs.good("pause", "life") == f"job {short} is paused\n"
    assert jobs.json("show", "life")["status"] == "PAUSED"
    assert jobs.good("resume", uuid) == f"job {short} goes on\n"
    assert jobs.good("refresh", uuid) == f"job {short} has a new copy of the project\n"
    assert jobs.good("trigger", uuid) == f"job {short} is triggered: fire 1\n"
    wait_until(lambda: jobs.json("fires", uuid)["status"] == "SUCCESS", 60, "the fire ends")
    twin = re.fullmatch(r"job ([0-9a-f-]{36}), DRAFT\n", jobs.good("duplicate", uuid)).group(1)
    assert jobs.json("show", twin)["duplicate_of"] == uuid
    assert jobs.json("abort", uuid)["status"] == "ABORTED"
    assert jobs.good("delete", uuid) == f"job {short} is deleted\n"
    assert jobs.good("delete", twin, "--json") == ""
    assert jobs.good("--json") == ""


def test_edit_keeps_what_it_does_not_name(jobs, project):
    uuid = jobs.create(project.pipeline, "--name", "old", "--draft", "--cron", "0 2 1 1 *", "--timezone",
                       "Europe/Berlin", "--retries", "2:1m", "--keep-runs", "10", "--parallel", "2")
    said = jobs.good("edit", "old", "--name", "new", "--parallel", "3", "--jitter", "5m")
    assert "name        new\n" in said and "parallel    3 at a time\n" in said
    job = jobs.json("show", uuid)
    assert job["policy"]["retries"]["limit"] == 2 and job["policy"]["retention"] == {"runs": 10}
    schedule = job["schedule"]
    assert (schedule["cron"], schedule["timezone"], schedule["jitter"]) == ("0 2 1 1 *", "Europe/Berlin", 300)
    job = jobs.json("edit", uuid, "--at", "2099-01-01T00:00:00Z")
    assert "cron" not in job["schedule"] and job["schedule"]["at"].startswith("2099-01-01")
    assert "nothing is to be changed" in jobs.refused("edit", uuid)
    assert "--cron: " in jobs.refused("edit", uuid, "--cron", "x")


# ------------------------------------------------------------------------------------------- results


def test_results(jobs, forest):
    def sets(*words):
        table = [line.split() for line in jobs.good("results", "forest", *words).splitlines()]
        return [row[0] for row in table[1:] if row[0][0].isdigit()]

    assert sets() == ["3*", "2", "1", "0"]
    assert sets("--sort", "score") == ["0", "1", "2", "3"]
    assert sets("--sort", "-loss", "--limit", "2") == ["0", "1"]
    assert "(2 of 4 rows" in jobs.good("results", "forest", "--limit", "2")
    assert "FIRE" in jobs.good("results", "forest", "--fire", "all")
    assert len(jobs.json("results", "forest")["rows"]) == 4
    for words, said in ((["--fire", "9"], "no fire 9"), (["--fire", "x"], "fire is a number"), (["--limit", "2x"], "--limit"),
                        (["--sort", "nobody"], 'no column "nobody"'), (["--csv", "--json"], "exclude each other")):
        assert said in jobs.refused("results", "forest", *words)


def test_results_before_anything_ran(jobs, project):
    jobs.create(project.pipeline, "--name", "draft", "--draft", "-g", "a=1,2")
    head, *rest = jobs.good("results", "draft").splitlines()
    assert head.split() == ["SET", "a", "STATUS", "TIME", "RUN"] and rest == []


def test_a_csv_of_many_rows(jobs, service, project):
    jobs.create(project.pipeline, "--name", "many", "-g", "a=1..2000", "--parallel", "1")
    wait_until(lambda: jobs.good("results", "many", "--csv").count("\n") == 2001, 60, "its sets are there")
    jobs.good("abort", "many")
    rows = list(csv.DictReader(io.StringIO(jobs.good("results", "many", "--csv"))))
    assert sorted(int(row["a"]) for row in rows) == list(range(1, 2001))
    assert "(100 of 2000 rows" in jobs.good("results", "many")


WIDE = """\
import segue
for i in range(12):
    segue.log_metric(f"metric_number_{i}", i / 3)
    segue.log_param(f"note_{i}", f"text \\x1b[2J number {i}")
"""


def test_wide_tables_fit_the_terminal(jobs, service):
    project = service.project("wide", Step("W", WIDE, path="w.py"))
    (project.root / ".segue").mkdir()
    uuid = jobs.create(project.pipeline, "-g", 'p=["x","a longer value than any column has room for"]',
                       "--objective", "metric_number_7:min", "--wait")
    for columns in (50, 80, 120, 1000):
        status, shown = jobs.on_screen(columns, "results", uuid)
        *table, best, note = shown.splitlines() if columns < 1000 else [*shown.splitlines(), ""]
        assert status == 0 and best == "* the best: the lowest metric_number_7"
        assert all(len(line) <= columns for line in table), shown
        assert "metric_numb" in table[0] and "\033" not in shown
        assert "more columns than fit here" in note or columns == 1000
    assert "text ?[2J number 11" in shown
    assert jobs.good("results", uuid, "--csv").splitlines()[0].count(",") > 25


def test_compare(jobs, forest):
    runs = [row["run_uuid"] for row in jobs.json("results", "forest")["rows"]]
    best, worst = runs[0], runs[-1]
    said = jobs.good("compare", best[:10], worst[:10])
    rows = rows_of(said)
    assert ["RUN", best[:8], worst[:8]] in rows
    assert ["Train it:depth", "2", "1"] in rows and ["trees", "4", "3"] in rows
    assert ["Train it:score", "24", "13", "-11"] in rows
    assert any(row[0] == "Train it" and row[1].startswith("SUCCESS in ") for row in rows)
    assert jobs.json("compare", best, worst)["a"]["uuid"] == best
    assert "which run" in jobs.refused("compare", best)
    assert '"x" is no run' in jobs.refused("compare", "x", best)


# ------------------------------------------------------------------------------------------ webhooks


@pytest.fixture
def receiver():
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((dict(self.headers), json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.got = got
    server.url = f"http://127.0.0.1:{server.server_port}/x"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_webhooks(jobs, forest, receiver, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("It's a Secret to Everybody\n")
    hook = jobs.good("webhooks", "add", receiver.url, "--secret-file", secret, "--event", "job_finished",
                     "--job", "forest", "--failures-only").strip()
    other = jobs.json("webhooks", "add", receiver.url, "--project", "p")["uuid"]
    head, first, second = rows_of(jobs.good("webhooks"))
    assert head == ["WEBHOOK", "URL", "EVENTS", "ABOUT", "SIGNED"]
    assert first == [hook[:8], receiver.url, "job_finished (failures)", f"job {forest[:8]}", "yes"]
    assert second == [other[:8], receiver.url, "run_finished, job_finished", "project p", "no"]
    assert "there is no webhook" in jobs.refused("webhooks", "remove", hook[:3])
    assert "is sent a notice" in jobs.good("webhooks", "ping", hook[:8])
    wait_until(lambda: receiver.got, 60, "the notice")
    headers, body = receiver.got[0]
    assert body["event"] == "ping" and any("signature" in name.lower() for name in headers)
    wait_until(lambda: "DELIVERED" in jobs.good("webhooks", "log", hook), 60, "it is in the log")
    assert rows_of(jobs.good("webhooks", "log", hook))[1][1:] == ["ping", "DELIVERED", "1", "200", "-"]
    assert jobs.json("webhooks", "log", hook)["event"] == "ping"
    assert jobs.good("webhooks", "remove", hook) == f"webhook {hook[:8]} is removed\n"
    assert [json.loads(line)["uuid"] for line in jobs.good("webhooks", "list", "--json").splitlines()] == [other]


def test_wrong_webhooks_are_2(jobs, forest, receiver):
    for words, said in (
        (["add"], "which URL?"), (["ping"], "which webhook?"), (["bogus"], "it is list, add, remove, ping or log"),
        (["list", "x"], "words too many"), (["add", "ftp://x"], "URL: must begin with http"),
        (["add", receiver.url, "--event", "x"], '--event: unknown event "x"'),
        (["add", receiver.url, "--job", "x"], 'there is no job "x"'),
        (["add", receiver.url, "--secret-file", "/nowhere/x"], "/nowhere/x"),
        (["ping", "x", "--event", "y"], "go with add"), (["remove", "x"], 'there is no webhook "x"'),
        (["remove", f"../jobs/{forest}"], "there is no webhook"),
    ):
        assert said in jobs.refused("webhooks", *words)
    assert jobs.json("show", forest)["uuid"] == forest


# ---------------------------------------------------------------------------------------------- help


VERBS = ("list create show fires results compare edit confirm pause resume trigger refresh duplicate abort"
         " delete webhooks").split()


def test_help(jobs):
    whole = jobs.good("--help")
    for verb in VERBS:
        assert f"  {verb} " in whole or f" {verb}" in whole
        said = jobs.good(verb, "--help")
        assert said.startswith("usage: segue jobs ") and "--json" in said and "--url URL" in said
        assert all(len(line) <= 100 for line in said.splitlines()), verb
    result = subprocess.run([program(), "help"], capture_output=True, text=True, check=False)
    assert "\n  jobs " in result.stdout
    assert 'did you mean "create"?' in jobs.refused("creat")
