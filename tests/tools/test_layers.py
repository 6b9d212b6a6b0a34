"""tests/layers.py: finds each kind of wrong include, and only those."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKER = Path(__file__).resolve().parents[1] / "layers.py"

GOOD = {
    "base/json.h": "",
    "base/json.c": '#include "base/json.h"\n#include "base/json_internal.h"\n#include <stdio.h>\n',
    "base/json_internal.h": '#include "base/json.h"\n',
    "base/http.c": "#include <curl/curl.h>\n",
    "kernel-gateway/wire.h": '#include "base/json.h"\n',
    "kernel-gateway/channels.c": '#include "kernel-gateway/wire.h"\n#include <zmq.h>\n',
    "kernel-gateway/launch/launch.h": '#include "base/json.h"\n',
    "kernel-gateway/keeper/keeper.c": '#include "kernel-gateway/launch/launch.h"\n#include "kernel-gateway/wire.h"\n',
    "kernel-gateway/clients/websocket.c": '#include "base/json.h"\n#include <wslay/wslay.h>\n',
    "kernel-gateway/interactive/gateway.h": '#include "kernel-gateway/wire.h"\n',
    "runner/schedule/zone.c": "#include <glib.h>\n",
    "runner/snapshots/ignore.h": '#include "base/json.h"\n',
    "runner/plan/plan.h": '#include "base/json.h"\n',
    "runner/sets/axis.h": '#include "runner/plan/plan.h"\n',
    "runner/notebook/notebook.h": '#include "base/json.h"\n',
    "runner/step/step.c": '#include "runner/notebook/notebook.h"\n#include "runner/plan/plan.h"\n',
    "runner/run/run.h": '#include "runner/plan/plan.h"\n',
    "runner/plan/plan.c": '#include "runner/plan/plan.h"\n#include "kernel-gateway/wire.h"\n',
    "runner/store/store.c": "#include <sqlite3.h>\n",
    "runner/store/store_inner.h": "#include <sqlite3.h>\n",
    "runner/store/database.h": "#include <sqlite3.h>\n",
    "runner/notices/webhook.h": '#include "base/json.h"\n',
    "runner/engine/engine.c": '#include "runner/run/run.h"\n',
    "runner/jobs/jobs.c": '#include "runner/notices/webhook.h"\n#include "runner/sets/axis.h"\n',
    "api/server/server.c": '#include "base/json.h"\n#include <microhttpd.h>\n',
    "api/jupyter/kernels.c": '#include "kernel-gateway/interactive/gateway.h"\n',
    "api/service/runs.h": '#include "runner/run/run.h"\n',
    "api/commands/cmd_serve.c": '#include "api/service/runs.h"\n',
    "api/commands/jobs/cmd_jobs.c": '#include "base/json.h"\n',
    "api/main.c": '#include "api/service/runs.h"\n',
}

PLANTED = {
    "base above": ("base/json.c", '#include "runner/plan/plan.h"', "lies above"),
    "gateway above": ("kernel-gateway/wire.h", '#  include "runner/plan/plan.h"', "lies above"),
    "runner above": ("runner/plan/plan.c", '#include "api/main.h"', "lies above"),
    "interactive above": ("kernel-gateway/keeper/keeper.c", '#include "kernel-gateway/interactive/gateway.h"', "lies above"),
    "step above": ("runner/plan/plan.c", '#include "runner/step/step.h"', "lies above"),
    "jobs above": ("runner/store/store.c", '#include "runner/jobs/jobs.h"', "lies above"),
    "service above": ("api/server/server.c", '#include "api/service/runs.h"', "lies above"),
    "not from the root": ("runner/plan/plan.c", '#include "run.h"', "not named from the root"),
    "a source": ("runner/plan/plan.c", '#include "runner/plan/graph.c"', "not a header"),
    "header circle": ("base/json.h", '#include "base/json_internal.h"', "circle of headers"),
    "long header circle": ("runner/plan/plan.h", '#include "runner/run/run.h"', "circle of headers"),
    "header of itself": ("runner/plan/plan.h", '#include "runner/plan/plan.h"', "circle of headers"),
    "module circle": ("runner/plan/plan.c", '#include "runner/run/run.h"', "circle of modules"),
    "microhttpd": ("runner/run/run.h", "#include <microhttpd.h>", "belongs to api/server/"),
    "http in a resource": ("api/service/runs.h", "#include <microhttpd.h>", "belongs to api/server/"),
    "zmq": ("runner/plan/plan.c", "#include <zmq.h>", "belongs to kernel-gateway/"),
    "wslay": ("kernel-gateway/keeper/keeper.c", "#include <wslay/wslay.h>", "belongs to kernel-gateway/clients/websocket"),
    "curl": ("kernel-gateway/wire.h", "#include <curl/curl.h>", "belongs to base/http"),
    "glib": ("runner/jobs/jobs.c", "#include <glib.h>", "belongs to runner/schedule/zone"),
    "sqlite": ("runner/plan/plan.c", "#include <sqlite3.h>", "belongs to runner/store/"),
}


def check(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return subprocess.run([sys.executable, CHECKER, root], capture_output=True, text=True)


def test_good(tmp_path):
    done = check(tmp_path, GOOD)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", PLANTED)
def test_planted(tmp_path, name):
    file, line, said = PLANTED[name]
    done = check(tmp_path, {**GOOD, file: GOOD[file] + line + "\n"})
    assert done.returncode == 1, done.stdout + done.stderr
    said_of = [fault for fault in done.stdout.splitlines() if said in fault]
    assert len(said_of) == 1, done.stdout
    if "circle" not in said:  # which of its arrows closes a circle, is arbitrary
        assert said_of[0].startswith(f"{file}:{GOOD[file].count(chr(10)) + 1}: ")


def test_not_a_tree(tmp_path):
    done = check(tmp_path, {"base/json.h": ""})
    assert done.returncode == 1
    assert "no folder" in done.stderr
