"""Nothing that a kernel says is lost, and nothing is told twice, whoever is killed or goes away."""

import os
import random
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.gateway import links_of
from support.segue import wait_until
from support.service import processes_below
from support.websocket import Closed

pytestmark = pytest.mark.beyond_jupyter
MB = 1 << 20


def lines(start, end):
    return "".join(f"{n}\n" for n in range(start, end))


def printing(count, pause=0.002):
    """Python that prints numbers for a while, and remembers that it did."""
    return f"import time\nfor i in range({count}):\n    print(i, flush=True)\n    time.sleep({pause})\n"


def is_end_of(cell):
    return lambda m: (m["header"]["msg_type"] == "status" and m["content"]["execution_state"] == "idle"
                      and m["parent_header"].get("msg_id") == cell)


# ------------------------------------------------------------------------------ the daemon is killed


@pytest.mark.parametrize("protocol", ["v1", "legacy"])
def test_the_daemon_is_killed_and_the_socket_goes_on(gateway, protocol):
    kernel = gateway.start_kernel("python3")
    with gateway.client(kernel, protocol=protocol) as client:
        client.execute("x = 'kept'")
        cell = client.send_execute(printing(1500))
        client.wait_for_text(cell, "\n100\n")
        gateway.kill9()
        client.wait_for_text(cell, "\n500\n")  # nobody listens on the gateway's port now
        gateway.start()
        assert client.finish(cell).text == lines(0, 1500)
        assert [m["id"] for m in gateway.kernels()] == [kernel]
        assert client.execute("print(x)").text == "kept\n"
        wait_until(lambda: gateway.kernel(kernel)["connections"] == 1, 20, "the connection is known again")
        with gateway.client(kernel) as other:
            assert other.execute("print(x)").text == "kept\n"


def test_the_daemon_is_killed_while_nobody_is_connected(gateway):
    kernel = gateway.start_kernel("python3")
    client = gateway.client(kernel)
    cell = client.send_execute(printing(1500))
    client.wait_for_text(cell, "\n100\n")
    client.hang_up()
    gateway.kill9()
    time.sleep(0.5)  # it prints to nobody at all
    gateway.start()
    client.connect()
    assert client.finish(cell).text == lines(0, 1500)
    assert client.execute("print(i)").text == "1499\n"
    client.close()


def test_a_daemon_that_stops_in_order_leaves_its_kernels(gateway):
    kernel = gateway.start_kernel("python3")
    with gateway.client(kernel) as client:
        cell = client.send_execute(printing(800))
        client.wait_for_text(cell, "\n50\n")
        gateway.restart()
        assert client.finish(cell).text == lines(0, 800)
        assert client.execute("print(i)").text == "799\n"


def test_sessions_are_kept(gateway):
    made = gateway.request("POST", "sessions", {"path": "a.ipynb", "name": "a", "type": "notebook",
                                                "kernel": {"name": "quick"}})
    assert made.status_code == 201, made.text
    gateway.kill9()
    gateway.start()
    listed = gateway.request("GET", "sessions").json()
    assert [(s["id"], s["path"], s["kernel"]["id"]) for s in listed] == [
        (made.json()["id"], "a.ipynb", made.json()["kernel"]["id"])]


def test_the_daemon_is_killed_while_kernels_start(gateway):
    """Each is there afterwards and works, or is gone without a trace."""
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(gateway.request, "POST", "kernels", {"name": "python3"}) for _ in range(6)]
        wait_until(lambda: len(gateway.keepers()) >= 3, 30, "some keepers")
        gateway.kill9()
        gateway.start()
        for one in asked:
            one.exception()
    for model in gateway.kernels():
        gateway.wait_for_state(model["id"], "idle")
        with gateway.client(model["id"]) as client:
            assert client.execute("print('works')").text == "works\n"
    assert len(gateway.keepers()) == len(gateway.kernels())


def test_killed_again_and_again(gateway, is_soak):
    """The daemon at random moments, clients that come and go at others."""
    chance = random.Random(int(os.environ.get("SEGUE_SEED", "1")))
    rounds = 40 if is_soak else 4
    kernels = [gateway.start_kernel("python3") for _ in range(3)]
    clients = [gateway.client(kernel) for kernel in kernels]
    for _ in range(rounds):
        count = chance.randrange(300, 900)
        cells = [client.send_execute(printing(count)) for client in clients]
        clients[0].until(lambda m: m["header"]["msg_type"] == "stream")
        clients[1].hang_up()
        gateway.kill9()
        time.sleep(chance.random() * 0.3)
        gateway.start()
        time.sleep(chance.random() * 0.1)
        clients[1].connect()
        for client, cell in zip(clients, cells):
            assert client.finish(cell).text == lines(0, count)
    for client in clients:
        client.close()


# ------------------------------------------------------------------------------ the client is away


@pytest.mark.parametrize("protocol", ["v1", "legacy"])
@pytest.mark.parametrize("each", [1, 10])
def test_all_that_was_said_in_its_absence(gateway, protocol, each):
    """200,000 lines, and the answer."""
    kernel = gateway.start_kernel("quick")
    client = gateway.client(kernel, protocol=protocol)
    cell = client.send_execute(f"lines 0 200000 {each}")
    client.until(lambda m: m["header"]["msg_type"] == "stream")
    client.hang_up()
    gateway.wait_for_state(kernel, "idle")
    client.connect()
    done = client.finish(cell)
    assert done.text == lines(0, 200_000)
    assert done.status == "ok"
    assert [m["header"]["msg_type"] for m in done.messages if m["header"]["msg_type"] != "stream"] in (
        ["status", "execute_input", "execute_reply", "status"],
        ["status", "execute_input", "status", "execute_reply"])
    client.close()


def test_it_comes_and_goes_while_there_is_output(gateway, is_soak):
    kernel = gateway.start_kernel("quick")
    chance = random.Random(int(os.environ.get("SEGUE_SEED", "1")))
    client = gateway.client(kernel)
    for number in range(20 if is_soak else 3):
        cell = client.send_execute("lines 0 150000 1")
        for _ in range(5):
            for _ in range(chance.randrange(1, 5000)):
                client.receive()
            client.hang_up()
            client.connect()
        assert client.finish(cell).text == lines(0, 150_000), number
    client.close()


def test_behind_a_proxy_rather_twice_than_never(gateway):
    """What a proxy acknowledged, nobody may have read."""
    kernel = gateway.start_kernel("quick")
    client = gateway.client(kernel, may_repeat=True, headers={"X-Forwarded-For": "192.0.2.7"})
    cell = client.send_execute("lines 0 100000 1")
    for _ in range(10):
        for _ in range(500):
            client.receive()
        client.cut()  # with much unread
        client.connect()
    assert client.finish(cell).text == lines(0, 100_000)
    client.close()


def test_the_limit_of_what_is_kept_is_told(gateway):
    """Some 300 MB for nobody: the oldest goes, and who comes back is told how much."""
    kernel = gateway.start_kernel("quick")
    client = gateway.client(kernel)
    assert client.ask("kernel_info_request")["status"] == "ok"
    cell = client.send_execute("lines 0 33000000 8000")
    client.until(lambda m: m["header"]["msg_type"] == "stream")
    client.hang_up()
    gateway.wait_for_state(kernel, "idle", seconds=120)
    client.connect()
    client.until(is_end_of(cell), seconds=120)
    notices = [m["content"] for m in client.messages if m["header"]["msg_type"] == "stream"
               and m["content"]["name"] == "stderr"]
    assert len(notices) == 1 and "dropped" in notices[0]["text"], notices
    numbers = client.outcome(cell).text
    start, _, rest = numbers.partition("\n")
    assert start == "0"
    last = int(rest.rstrip("\n").rpartition("\n")[2])
    assert last == 32_999_999
    breaks = gaps(numbers)
    assert len(breaks) == 1, breaks
    missing = (breaks[0][1] - breaks[0][0] - 1) // 8000
    told = int(re.search(r"\d+", notices[0]["text"]).group())
    assert missing <= told <= missing + 100  # it may have read more than was known of it
    assert client.execute("lines 0 2").text == "0\n1\n"
    client.close()


def gaps(text):
    """[(last before, first after)] of numbers that should follow each other."""
    found, before = [], -1
    for line in text.split("\n")[:-1]:
        number = int(line)
        if number != before + 1:
            found.append((before, number))
        before = number
    return found


def test_somebody_else_gets_what_nobody_heard(gateway):
    """A closed page comes back as another session. The first, when it comes after all, gets its own."""
    kernel = gateway.start_kernel("python3")
    first = gateway.client(kernel)
    cell = first.send_execute(printing(600))
    first.wait_for_text(cell, "\n50\n")
    first.hang_up()
    heard = first.outcome(cell).text
    gateway.wait_for_state(kernel, "idle")
    with gateway.client(kernel) as second:
        second.until(is_end_of(cell))
        unheard = second.outcome(cell).text
        assert lines(0, 600) in (heard + unheard, heard + unheard[len(heard) + len(unheard) - len(lines(0, 600)):])
        assert second.execute("print(i)").text == "599\n"
    first.connect()
    assert first.finish(cell).text == lines(0, 600)
    first.close()


def test_a_connection_that_never_says_a_word_takes_nothing_with_it(gateway):
    """When a browser comes, jupyter_server opens one that it never reads, and a moment later another
    of the same session: what its system acknowledged for the first has reached nobody."""
    kernel = gateway.start_kernel("python3")
    with gateway.client(kernel) as first:
        cell = first.send_execute(printing(200))
        first.wait_for_text(cell, "\n50\n")
        first.hang_up()
    heard = first.outcome(cell).text
    gateway.wait_for_state(kernel, "idle")
    headers = {"User-Agent": "Tornado/6.6.1"}
    with gateway.open_socket(kernel, query="?session_id=page", headers=headers):
        time.sleep(0.05)
        with gateway.client(kernel, session="page", protocol="legacy", headers=headers) as second:
            second.send("kernel_info_request", {})
            second.until(is_end_of(cell))
            assert heard + second.outcome(cell).text == lines(0, 200)


def test_who_comes_first_hears_it_from_the_beginning(gateway):
    """Also what the kernel said while it started."""
    kernel = gateway.start_kernel("quick")
    with gateway.client(kernel) as client:
        client.ask("kernel_info_request")
        with gateway.client(kernel) as other:
            other.ask("kernel_info_request")


# ------------------------------------------------------------------------- kernels and keepers die


def kernel_processes(gateway, what="ipykernel_launcher"):
    return [pid for pid, command in gateway.everything().items() if what in command]


def test_a_kernel_that_is_killed_is_started_again_and_it_is_told_why(gateway):
    kernel = gateway.start_kernel("python3")
    with gateway.client(kernel) as client:
        client.execute("x = 1")
        cell = client.send_execute("import os, time; print('last words'); time.sleep(0.5); os.kill(os.getpid(), 9)")
        client.until(lambda m: m["header"]["msg_type"] == "status" and m["content"]["execution_state"] == "restarting")
        done = client.outcome(cell)
        assert done.text == "last words\n"
        assert "SIGKILL" in done.stream("stderr")
        gateway.wait_for_state(kernel, "idle")
        assert client.execute("print('again')").text == "again\n"
        assert client.execute("x").of("error")[0]["ename"] == "NameError"
        assert "SIGKILL" in gateway.kernel(kernel).get("reason", "")


def test_a_kernel_that_dies_again_and_again_is_dead_in_the_end(gateway):
    kernel = gateway.start_kernel("quick")
    with gateway.client(kernel) as client:
        deadline = time.monotonic() + 60
        while gateway.kernel(kernel)["execution_state"] != "dead":
            assert time.monotonic() < deadline
            client.send_execute("die 3")
            client.until(lambda m: m["header"]["msg_type"] == "status"
                         and m["content"]["execution_state"] in ("restarting", "dead"))
        states = [m["content"]["execution_state"] for m in client.messages if m["header"]["msg_type"] == "status"]
        assert states[-1] == "dead" and states.count("restarting") == 5
        assert "3" in gateway.kernel(kernel)["reason"]
    assert gateway.restart_kernel(kernel)["id"] == kernel
    with gateway.client(kernel) as client:
        assert client.execute("lines 0 1").text == "0\n"


def test_a_restart_keeps_the_connection(gateway):
    kernel = gateway.start_kernel("python3")
    with gateway.client(kernel) as client:
        client.execute("x = 1")
        gateway.restart_kernel(kernel)
        assert client.execute("x").of("error")[0]["ename"] == "NameError"


def test_a_keeper_that_is_killed_takes_its_kernel_along(gateway):
    kernel, other = gateway.start_kernel("python3"), gateway.start_kernel("quick")
    with gateway.client(kernel) as client:
        client.execute("print(1)")
        [process] = kernel_processes(gateway)
        os.kill(gateway.keeper_of(kernel), signal.SIGKILL)
        with pytest.raises(Closed):
            while True:
                client.receive(20)
    wait_until(lambda: not os.path.exists(f"/proc/{process}"), 20, "its kernel is gone too")
    wait_until(lambda: (gateway.kernel(kernel) or {"execution_state": "dead"})["execution_state"] == "dead", 20,
               "the gateway has noticed")
    with gateway.client(other) as client:
        assert client.execute("lines 0 1").text == "0\n"
    if gateway.kernel(kernel):
        gateway.shut_down(kernel)
    with gateway.client(gateway.start_kernel("quick")) as client:
        assert client.execute("lines 0 1").text == "0\n"


def test_daemon_and_keeper_are_killed_at_once(gateway):
    kernel = gateway.start_kernel("python3")
    [process] = kernel_processes(gateway)
    keeper = gateway.keeper_of(kernel)
    gateway.process.kill()
    os.kill(keeper, signal.SIGKILL)
    gateway.kill9()
    gateway.start()
    wait_until(lambda: not os.path.exists(f"/proc/{process}"), 20, "the kernel is gone")
    wait_until(lambda: (gateway.kernel(kernel) or {"execution_state": "dead"})["execution_state"] == "dead", 20,
               "the gateway knows")


def test_nothing_is_left_of_a_kernel_that_was_shut_down(gateway):
    kernel = gateway.start_kernel("bash")
    with gateway.client(kernel) as client:
        client.execute("sleep 1000 & disown; echo $!")
    gateway.shut_down(kernel)
    left = {pid: what for pid, what in processes_below(gateway.root).items() if kernel in what or "keeper" in what}
    assert not left
    assert not [link for link in links_of(gateway.pid) if kernel in link]
    assert not list(gateway.state.rglob(f"*{kernel}*"))


# ------------------------------------------------------------------------------------------- crowds


def test_thirty_starts_at_once(gateway):
    """All of them within the time that clients wait."""
    with ThreadPoolExecutor(30) as pool:
        kernels = list(pool.map(lambda _: gateway.start_kernel("python3"), range(30)))
    assert len({*kernels}) == len(gateway.kernels()) == 30
    for kernel in kernels:
        gateway.wait_for_state(kernel, "idle")
        with gateway.client(kernel) as client:
            assert client.execute("print('works')").text == "works\n"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(gateway.shut_down, kernels))


def test_two_hundred_kernels_and_a_thousand_sockets(gateway, is_soak):
    """Everybody hears everything, before the daemon is killed and after it."""
    count, each = (200, 5) if is_soak else (60, 5)
    with ThreadPoolExecutor(8) as pool:
        kernels = list(pool.map(lambda _: gateway.start_kernel("quick"), range(count)))
    clients = {kernel: [gateway.client(kernel, protocol="v1" if n % 2 else "legacy") for n in range(each)]
               for kernel in kernels}
    everybody_hears_everything(clients)
    gateway.kill9()
    gateway.start()
    assert {model["id"] for model in gateway.kernels()} == {*kernels}
    everybody_hears_everything(clients)
    for some in clients.values():
        for client in some:
            client.cut()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(gateway.shut_down, kernels))


def everybody_hears_everything(clients):
    for rounds in range(3):
        cells = {kernel: some[rounds].send_execute("lines 0 200") for kernel, some in clients.items()}
        for kernel, some in clients.items():
            for client in some:
                client.until(is_end_of(cells[kernel]))
                assert client.outcome(cells[kernel]).text == lines(0, 200)


def test_many_clients_of_one_kernel(gateway):
    kernel = gateway.start_kernel("python3")
    clients = [gateway.client(kernel) for _ in range(40)]
    done = []

    def work(client, number):
        outcome = client.execute(f"print({number})", seconds=60)
        done.append(outcome.text == f"{number}\n")

    threads = [threading.Thread(target=work, args=(c, n)) for n, c in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == [True] * 40
    for client in clients:
        client.cut()
