"""WebSockets as nobody should speak them: a clear status or close code, and neither the kernel nor
anybody else who is connected to it notices."""

import json
import socket
import struct
import threading
import time

import pytest
from support.gateway import (
    V1,
    encode_legacy,
    encode_v1,
    execute_content,
    join_v1,
    memory_of,
    new_message,
    open_files,
)
from support.segue import wait_until
from support.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Refused, frame

MB = 1 << 20
MISTAKES = {1002, 1003, 1007, 1008}  # close codes for what was not understood


@pytest.fixture
def kernel(gateway):
    """A kernel that costs nothing; it still works when the test is over."""
    made = gateway.start_kernel("quick")
    yield made
    if gateway.kernel(made):
        with gateway.client(made) as client:
            assert client.execute("lines 0 3", seconds=20).text == "0\n1\n2\n"


def info_request(session="s", channel="shell"):
    return new_message("kernel_info_request", {}, session=session, channel=channel)


# ---------------------------------------------------------------------------------------- handshakes


def refusal(gateway, kernel, **how):
    with pytest.raises(Refused) as refused:
        gateway.open_socket(kernel, **how)
    return refused.value.status


@pytest.mark.parametrize("token", ["wrong", "", None])
def test_without_the_token_there_is_no_socket(gateway, kernel, token):
    assert refusal(gateway, kernel, token=token) in (401, 403)


def test_a_wrong_token_in_the_query_is_refused(gateway, kernel):
    assert refusal(gateway, kernel, token=None, query="?token=wrong") in (401, 403)


def test_the_token_may_be_in_the_query(gateway, kernel):
    with gateway.open_socket(kernel, token=None, query=f"?session_id=a&token={gateway.token}"):
        pass


@pytest.mark.beyond_jupyter
@pytest.mark.parametrize("scheme", ["bearer", "Bearer", "TOKEN"])
def test_the_token_has_the_usual_schemes(gateway, kernel, scheme):
    headers = {"Authorization": f"{scheme} {gateway.token}"}
    with gateway.open_socket(kernel, token=None, headers=headers):
        pass


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1.evil.example", "null"])
def test_pages_of_others_are_refused(gateway, kernel, origin):
    assert refusal(gateway, kernel, origin=origin) == 403


def test_a_page_of_the_same_host_is_not(gateway, kernel):
    with gateway.open_socket(kernel, origin=gateway.url):
        pass


@pytest.mark.parametrize("unknown", ["00000000-0000-4000-8000-000000000000", "nothing", "..%2f..%2fetc"])
def test_unknown_kernels(gateway, kernel, unknown):
    assert refusal(gateway, unknown) == 404


@pytest.mark.parametrize(("header", "value", "statuses"), [
    ("Upgrade", None, (400, 426)), ("Upgrade", "h2c", (400, 426)), ("Connection", "close", (400, 426)),
    ("Sec-WebSocket-Version", "8", (400, 426)), ("Sec-WebSocket-Version", None, (400, 426)),
    ("Sec-WebSocket-Key", None, (400, 426))])
def test_half_a_handshake(gateway, kernel, header, value, statuses):
    assert refusal(gateway, kernel, headers={header: value}) in statuses


def test_a_protocol_that_is_not_known_is_not_promised(gateway, kernel):
    with gateway.open_socket(kernel, protocols=["v9.kernel.example"]) as opened:
        assert opened.protocol is None
    with gateway.open_socket(kernel, protocols=["v9.kernel.example", V1]) as opened:
        assert opened.protocol == V1


@pytest.mark.beyond_jupyter
def test_what_comes_right_behind_the_handshake_is_not_lost(gateway, kernel):
    """In the same packet as the request for the upgrade."""
    session = "early"
    request = info_request(session)
    opcode, data = encode_legacy(request)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as raw:
        head = (f"GET /api/kernels/{kernel}/channels?session_id={session}&token={gateway.token} HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{gateway.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        raw.sendall(head.encode() + frame(opcode, data))
        got = b""
        while b"kernel_info_reply" not in got:
            more = raw.recv(65536)
            assert more, got
            got += more
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in got  # RFC 6455, 1.3


# ---------------------------------------------------------------------------------------- bad frames

BAD_FRAMES = {
    "not masked": (frame(TEXT, b"{}", mask=False), {1002}),
    "reserved bit": (frame(TEXT, b"{}", reserved=4), {1002}),
    "reserved opcode": (frame(3, b"{}"), {1002}),
    "reserved control opcode": (frame(11, b""), {1002}),
    "continuation of nothing": (frame(CONTINUATION, b"{}"), {1002}),
    "message in a message": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), {1002}),
    "control frame in parts": (frame(PING, b"a", fin=False), {1002}),
    "control frame too long": (frame(PING, b"a" * 126), {1002}),
    "close frame of one byte": (frame(CLOSE, b"\3"), {1002}),
    "over the limit": (frame(BINARY, b"abc", length=1 << 40), {1009}),
    "over 63 bits": (frame(BINARY, b"abc", length=(1 << 63) + 5), {1002, 1009}),
    "over the limit in parts": (
        frame(BINARY, b"a" * MB, fin=False) + frame(CONTINUATION, b"a" * MB, fin=False) * 2000, {1009}),
}


@pytest.mark.beyond_jupyter
@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_frames(gateway, kernel, name):
    data, codes = BAD_FRAMES[name]
    with gateway.client(kernel) as other, gateway.open_socket(kernel, protocols=[V1]) as bad:
        sender = threading.Thread(target=send_what_is_taken, args=(bad, data))
        sender.start()
        closed = bad.closes(20)
        sender.join()
        # What is still on its way may end the connection before its close frame is read.
        assert closed.code in codes | ({None} if len(data) > 64 * MB else set()), closed
        assert other.ask("kernel_info_request")["status"] == "ok"


def send_what_is_taken(opened, data):
    try:
        opened.send_raw(data)
    except OSError:
        pass


def test_a_message_in_many_frames_with_pings_between(gateway, kernel):
    with gateway.client(kernel) as client:
        request = info_request(client.session)
        data = encode_v1(request)
        for at in range(len(data)):
            client.socket.send(CONTINUATION if at else BINARY, data[at : at + 1], fin=at + 1 == len(data))
            if at % 50 == 0:
                client.socket.send(PING, b"%d" % at)
        pongs = []
        while True:
            opcode, payload = client.socket.receive(20)
            if opcode == PONG:
                pongs.append(payload)
            elif b"kernel_info_reply" in payload:
                break
        assert pongs == [b"%d" % at for at in range(0, len(data), 50)]


def test_a_message_byte_by_byte(gateway, kernel):
    with gateway.client(kernel) as client:
        request = info_request(client.session)
        for byte in frame(BINARY, encode_v1(request)):
            client.socket.send_raw(bytes([byte]))
        assert client.finish(request["header"]["msg_id"]).status == "ok"


def test_a_big_message_goes_through(gateway, kernel):
    """9 MB, which every gateway takes."""
    buffer = bytes(range(256)) * (9 * MB // 256)
    with gateway.client(kernel) as client:
        sent = client.send("comm_msg", {"comm_id": "c", "data": {}}, buffers=[buffer, b"", b"\xff"])
        back = client.until(lambda m: m["header"]["msg_type"] == "comm_msg")
        assert back["parent_header"]["msg_id"] == sent
        assert back["buffers"] == [buffer, b"", b"\xff"]


def test_closing_is_answered(gateway, kernel):
    with gateway.client(kernel) as client:
        client.ask("kernel_info_request")
        assert client.socket.close(1000).code == 1000


# --------------------------------------------------------------------------------------- bad messages


def v1_parts(**replaced):
    parts = {"channel": b"shell"}
    request = info_request()
    parts |= {name: json.dumps(request[name]).encode() for name in ("header", "parent_header", "metadata", "content")}
    return list((parts | replaced).values())


def u64(*numbers):
    return struct.pack(f"<{len(numbers)}Q", *numbers)


GOOD = join_v1(v1_parts())
BAD_V1 = {
    "nothing": b"",
    "less than a number": b"\1\2\3",
    "no offsets": u64(0),
    "one offset": u64(1, 16),
    "too few parts": join_v1(v1_parts()[:4]),
    "cut off in its offsets": GOOD[:20],
    "cut off in its parts": GOOD[:-1],
    "something behind": GOOD + b"x",
    "a count beyond memory": u64(1 << 61, 8) + GOOD[16:],
    "a count of all ones": u64((1 << 64) - 1) + GOOD[8:],
    "a count beyond the message": u64(1000) + GOOD[8:],
    "first offset too small": u64(6, 0) + GOOD[16:],
    "first offset too big": u64(6, 1 << 40) + GOOD[16:],
    "offsets that fall": u64(6, 56, 61, 60, 59, 58, len(GOOD)) + GOOD[56:],
    "an offset beyond the end": u64(6, 56, 61, 1 << 63, 70, 80, len(GOOD)) + GOOD[56:],
    "an offset of all ones": u64(6, 56, 61, 62, 63, 64, (1 << 64) - 1) + GOOD[56:],
    "too many buffers": join_v1(v1_parts() + [b""] * 100_000),
    "a header that is no JSON": join_v1(v1_parts(header=b"{")),
    "a header that is no object": join_v1(v1_parts(header=b"[1]")),
    "a header of wrong types": join_v1(v1_parts(header=b'{"msg_id": 1, "msg_type": [], "session": {}}')),
    "an empty header": join_v1(v1_parts(header=b"")),
    "a deep header": join_v1(v1_parts(header=b'{"a":' * 100_000 + b"1" + b"}" * 100_000)),
}
TEXT_LEGACY = json.dumps({**info_request(), "buffers": []}).encode()


def u32(*numbers):
    return struct.pack(f"!{len(numbers)}I", *numbers)


BAD_LEGACY = {
    "nothing": (TEXT, b""),
    "no JSON": (TEXT, b"hello"),
    "broken JSON": (TEXT, TEXT_LEGACY[:-1]),
    "a list": (TEXT, b"[]"),
    "null": (TEXT, b"null"),
    "no header": (TEXT, b'{"channel": "shell"}'),
    "a header of text": (TEXT, b'{"channel": "shell", "header": "x"}'),
    "deep": (TEXT, b"[" * 1_000_000),
    "empty binary": (BINARY, b""),
    "no parts": (BINARY, u32(0)),
    "more parts than bytes": (BINARY, u32((1 << 32) - 1, 8)),
    "an offset before its parts": (BINARY, u32(2, 0, 4) + TEXT_LEGACY),
    "an offset beyond the end": (BINARY, u32(2, 12, (1 << 32) - 1) + TEXT_LEGACY),
    "offsets that fall": (BINARY, u32(3, 16, 300, 200) + TEXT_LEGACY + b"x" * 500),
}


def is_refused_or_passed_over(gateway, kernel, bad):
    """Closed with a code that says it was our mistake, or else the same socket goes on."""
    bad.send(PING, b"behind")
    opcode = None
    try:
        while opcode != PONG:
            opcode, _ = bad.receive(20)
    except Exception as closed:
        assert getattr(closed, "code", None) in MISTAKES, repr(closed)
    with gateway.client(kernel) as other:
        assert other.ask("kernel_info_request")["status"] == "ok"


@pytest.mark.beyond_jupyter
@pytest.mark.parametrize("name", BAD_V1)
def test_bad_messages_in_v1(gateway, kernel, name):
    with gateway.open_socket(kernel, protocols=[V1]) as bad:
        bad.send(BINARY, BAD_V1[name])
        is_refused_or_passed_over(gateway, kernel, bad)


@pytest.mark.beyond_jupyter
def test_text_where_v1_was_agreed(gateway, kernel):
    with gateway.open_socket(kernel, protocols=[V1]) as bad:
        bad.send(TEXT, TEXT_LEGACY)
        is_refused_or_passed_over(gateway, kernel, bad)


@pytest.mark.beyond_jupyter
@pytest.mark.parametrize("name", BAD_LEGACY)
def test_bad_legacy_messages(gateway, kernel, name):
    with gateway.open_socket(kernel) as bad:
        bad.send(*BAD_LEGACY[name])
        is_refused_or_passed_over(gateway, kernel, bad)


@pytest.mark.beyond_jupyter
@pytest.mark.parametrize("protocol", ["v1", "legacy"])
def test_a_header_that_is_no_utf8(gateway, kernel, protocol):
    """It would be everybody's: a kernel sends the header back with all that it says."""
    with gateway.client(kernel, protocol=protocol) as bad, gateway.client(kernel) as other:
        if protocol == "v1":
            header = json.dumps(info_request()["header"]).encode().replace(b"judge", b"\xff(")
            bad.socket.send(BINARY, join_v1(v1_parts(header=header)))
        else:
            bad.socket.send(TEXT, TEXT_LEGACY.replace(b"judge", b"\xff\xfe\xc3("))
        assert other.ask("kernel_info_request")["status"] == "ok"
        assert bad.socket.closes(10).code in MISTAKES


@pytest.mark.parametrize("protocol", ["v1", "legacy"])
@pytest.mark.parametrize("channel", ["iopub", "hb", "novelty", "", "shell\0", "x" * 10_000])
@pytest.mark.beyond_jupyter
def test_channels_that_there_are_not(gateway, kernel, protocol, channel):
    """Passed over: JupyterLab's newer relatives may have channels of their own."""
    with gateway.client(kernel, protocol=protocol) as client:
        client.send("kernel_info_request", {}, channel=channel)
        assert client.ask("kernel_info_request")["status"] == "ok"


def test_no_channel_is_the_shell(gateway, kernel):
    with gateway.client(kernel, protocol="legacy") as client:
        message = info_request(client.session)
        del message["channel"]
        client.socket.send(TEXT, json.dumps({**message, "buffers": []}).encode())
        assert client.finish(message["header"]["msg_id"]).status == "ok"


# ------------------------------------------------------------------------------------- legacy clients


def test_legacy_buffers_both_ways(gateway, kernel):
    with gateway.client(kernel, protocol="legacy") as client:
        client.send("comm_msg", {"comm_id": "c", "data": {"a": 1}}, buffers=[b"\x80\xff", b"", b"abc"])
        back = client.until(lambda m: m["header"]["msg_type"] == "comm_msg")
        assert (back["content"]["data"], back["buffers"]) == ({"a": 1}, [b"\x80\xff", b"", b"abc"])


@pytest.mark.beyond_jupyter
def test_jupyter_server_is_sent_text_alone(gateway, kernel):
    """Its gateway client reads every frame as UTF-8, and goes silent for ever at one that is none."""
    with gateway.client(kernel, protocol="legacy", user_agent="Tornado/6.6.1") as client:
        client.send("comm_msg", {"comm_id": "c", "data": {"a": 1}}, buffers=[b"\x80\xff"])
        back = client.until(lambda m: m["header"]["msg_type"] == "comm_msg")
        assert (back["content"]["data"], back["buffers"]) == ({"a": 1}, [])
        assert client.frames[BINARY] == 0


@pytest.mark.beyond_jupyter
def test_jupyter_server_sends_buffers_as_text(gateway, kernel):
    """What the browser sent it as binary, it passes on as text that is no UTF-8."""
    with gateway.client(kernel, protocol="legacy", user_agent="Tornado/6.6.1") as one:
        with gateway.client(kernel) as other:
            message = new_message("comm_msg", {"comm_id": "c", "data": {}}, session=one.session, buffers=[b"\x80\xff\0"])
            opcode, data = encode_legacy(message)
            assert opcode == BINARY
            one.socket.send(TEXT, data)
            assert other.until(lambda m: m["header"]["msg_type"] == "comm_msg")["buffers"] == [b"\x80\xff\0"]
            assert one.ask("kernel_info_request")["status"] == "ok"


@pytest.mark.beyond_jupyter
def test_nothing_that_jupyter_server_gets_is_over_ten_megabytes(gateway):
    """Tornado's clients end the connection at a longer message."""
    kernel = gateway.start_kernel("quick")
    size = 25 * MB
    with gateway.client(kernel, protocol="legacy", user_agent="Tornado/6.6.1") as client:
        with gateway.client(kernel) as browser:
            cell = client.send_execute(f"stream {size} {size}")
            text = client.finish(cell).text
            assert len(text) == size and set(text) == {"x", "\n"}
            assert client.biggest <= 10 * MB
            browser.until(lambda m: m["header"]["msg_type"] == "stream")
            assert browser.biggest > size  # who can take it gets it whole


@pytest.mark.beyond_jupyter
def test_what_cannot_be_cut_in_parts_is_replaced_by_a_note(gateway, kernel):
    with gateway.client(kernel, protocol="legacy", user_agent="Tornado/6.6.1") as client:
        client.send("comm_msg", {"comm_id": "c", "data": {"big": "y" * (9 * MB), "more": "y" * (2 * MB)}})
        came = [client.receive(20)]
        while came[-1]["header"]["msg_type"] != "status" or came[-1]["content"]["execution_state"] != "idle":
            came.append(client.receive(20))
        assert client.biggest <= 10 * MB
        notes = [m["content"] for m in came if m["header"]["msg_type"] == "stream"]
        assert notes and notes[0]["name"] == "stderr", came


# ------------------------------------------------------------------------------------- several clients


def test_everybody_hears_what_is_published_and_answers_go_to_who_asked(gateway, kernel):
    with gateway.client(kernel) as one, gateway.client(kernel, protocol="legacy") as other:
        other.ask("kernel_info_request")
        cell = one.send_execute("lines 0 5")
        assert one.finish(cell).text == "0\n1\n2\n3\n4\n"
        other.until(lambda m: m["header"]["msg_type"] == "status" and m["content"]["execution_state"] == "idle"
                    and m["parent_header"].get("msg_id") == cell)
        heard = other.outcome(cell)
        assert heard.text == "0\n1\n2\n3\n4\n"
        assert heard.reply is None


@pytest.mark.beyond_jupyter
def test_a_session_that_connects_again_takes_the_place_of_the_first(gateway, kernel):
    with gateway.client(kernel, session="same") as first, gateway.client(kernel, session="same") as second:
        assert second.ask("kernel_info_request")["status"] == "ok"
        first.socket.closes(20)


@pytest.mark.beyond_jupyter
def test_the_model_counts_connections(gateway, kernel):
    clients = [gateway.client(kernel) for _ in range(5)]
    wait_until(lambda: gateway.kernel(kernel)["connections"] == 5, 20, "five connections")
    for number, client in enumerate(clients):
        client.cut(reset=number % 2 == 0)
    wait_until(lambda: gateway.kernel(kernel)["connections"] == 0, 20, "no connection")


@pytest.mark.beyond_jupyter
def test_who_is_connected_is_told_of_the_shutdown(gateway, kernel):
    with gateway.client(kernel) as one, gateway.client(kernel, protocol="legacy") as other:
        one.ask("kernel_info_request")
        gateway.shut_down(kernel)
        assert (one.socket.closes(20).code, other.socket.closes(20).code) == (1001, 1001)
    assert gateway.kernel(kernel) is None


# ----------------------------------------------------------------------------------- floods and growth


def memory(gateway):
    """Of the daemon and of every keeper, in kB."""
    return {pid: memory_of(pid)["Pss"] for pid in [gateway.pid, *gateway.keepers()]}


def grown(gateway, before):
    now = memory(gateway)
    return max(now[pid] - before.get(pid, 0) for pid in now)


@pytest.mark.beyond_jupyter
def test_a_client_that_reads_nothing_costs_little_and_loses_nothing(gateway, is_soak):
    kernel = gateway.start_kernel("quick")
    size = (200 if is_soak else 60) * MB
    with gateway.client(kernel) as reader, gateway.client(kernel, receive_buffer=4096) as sleeper:
        reader.ask("kernel_info_request")
        before = memory(gateway)
        cell = reader.send_execute(f"stream {size} 65536")
        assert len(reader.finish(cell, seconds=120).text) == size
        assert grown(gateway, before) < 48 * 1024
        sleeper.until(lambda m: m["header"]["msg_type"] == "status" and m["parent_header"].get("msg_id") == cell
                      and m["content"]["execution_state"] == "idle")
        assert len(sleeper.outcome(cell).text) == size


@pytest.mark.beyond_jupyter
def test_a_client_that_sends_more_than_the_kernel_takes_is_held_back(gateway):
    """The kernel rests; meanwhile comes more than the memory of its keeper should hold."""
    kernel = gateway.start_kernel("quick")
    count, buffer = 300, bytes(MB)
    with gateway.client(kernel) as client, gateway.client(kernel) as other:
        other.ask("kernel_info_request")
        before = memory(gateway)
        cell = client.send_execute("rest 600000")
        client.until(lambda m: m["header"]["msg_type"] == "execute_input")
        messages = [new_message("comm_msg", {"comm_id": "c", "data": n}, session=client.session, buffers=[buffer])
                    for n in range(count)]
        sent = []

        def flood():
            for message in messages:
                client.send_message(message)
                sent.append(message)

        sender = threading.Thread(target=flood)
        sender.start()
        wait_until(lambda: stands_still(sent), 30, "the flood is held back")
        in_memory, taken = grown(gateway, before), len(sent)
        gateway.interrupt(kernel)
        assert client.finish(cell).status == "error"
        come_back = sum(m["header"]["msg_type"] == "comm_msg" for m in client.messages)
        while come_back < count:
            come_back += client.receive(30)["header"]["msg_type"] == "comm_msg"
            client.messages[-1]["buffers"] = []
        sender.join(20)
        assert not sender.is_alive()
        assert in_memory < 160 * 1024, f"{in_memory} kB in memory for {taken} MB of {count}"


def stands_still(sent):
    """Nothing more was sent within a second."""
    count = len(sent)
    time.sleep(1)
    return count == len(sent)


def test_many_small_requests_at_once_are_all_answered(gateway, kernel, is_soak):
    count = 20_000 if is_soak else 3_000
    with gateway.client(kernel) as client:
        requests = [info_request(client.session) for _ in range(count)]
        data = b"".join(frame(BINARY, encode_v1(request)) for request in requests)
        sender = threading.Thread(target=client.socket.send_raw, args=(data,))
        sender.start()
        missing = [request["header"]["msg_id"] for request in requests]
        replies = []
        while len(replies) < count:
            message = client.receive(60)
            if message["channel"] == "shell":
                replies.append(message["parent_header"]["msg_id"])
        sender.join()
        assert replies == missing


@pytest.mark.beyond_jupyter
def test_sockets_that_say_nothing_keep_nobody_out(gateway, kernel):
    """Half a handshake 300 times, and as many WebSockets as a kernel takes."""
    path = f"GET /api/kernels/{kernel}/channels HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgra".encode()
    silent = []
    try:
        for _ in range(300):
            one = socket.create_connection(("127.0.0.1", gateway.port))
            one.sendall(path)
            silent.append(one)
        opened = [gateway.open_socket(kernel, protocols=[V1]) for _ in range(60)]
        with gateway.client(kernel) as client:
            assert client.execute("lines 0 2").text == "0\n1\n"
        for one in opened:
            one.cut(reset=True)
    finally:
        for one in silent:
            one.close()
    wait_until(lambda: gateway.kernel(kernel)["connections"] == 0, 20, "no connection")


@pytest.mark.beyond_jupyter
def test_more_clients_of_a_kernel_than_it_takes_are_told_so(gateway, kernel):
    opened = [gateway.open_socket(kernel, protocols=[V1]) for _ in range(64)]
    with gateway.open_socket(kernel, protocols=[V1]) as one_too_many:
        assert one_too_many.closes(20).code == 1013
    opened.pop().close()
    wait_until(lambda: gateway.kernel(kernel)["connections"] == 63, 20, "one place is free")
    with gateway.client(kernel) as client:
        assert client.ask("kernel_info_request")["status"] == "ok"
    for one in opened:
        one.cut()


@pytest.mark.beyond_jupyter
def test_bad_clients_leave_nothing_behind(gateway, kernel, is_soak):
    """Every mistake of this file again and again: memory and descriptors stay where they were."""
    def misbehave():
        for data, _ in BAD_FRAMES.values():
            if len(data) < MB:
                with gateway.open_socket(kernel, protocols=[V1]) as bad:
                    bad.send_raw(data)
        for data in BAD_V1.values():
            with gateway.open_socket(kernel, protocols=[V1]) as bad:
                bad.send(BINARY, data)
        for opcode, data in BAD_LEGACY.values():
            with gateway.open_socket(kernel) as bad:
                bad.send(opcode, data)
        for how in ({"token": "wrong"}, {"origin": "http://evil.example"}, {"headers": {"Upgrade": None}}):
            refusal(gateway, kernel, **how)
        wait_until(lambda: gateway.kernel(kernel)["connections"] == 0, 20, "no connection")

    for _ in range(3):
        misbehave()
    pids = [gateway.pid, *gateway.keepers()]
    before, files = memory(gateway), {pid: open_files(pid) for pid in pids}
    for _ in range(50 if is_soak else 8):
        misbehave()
    assert grown(gateway, before) < 4 * 1024
    for pid in pids:
        wait_until(lambda pid=pid: open_files(pid) <= files[pid] + 2, 20, "descriptors are closed")


@pytest.mark.beyond_jupyter
def test_a_client_that_answers_no_ping_is_lost(gateway, kernel, is_soak):
    """After three pings of 30 seconds. One that answers is not."""
    if not is_soak:
        return
    with gateway.client(kernel) as good, gateway.open_socket(kernel, protocols=[V1]) as mute:
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline and gateway.kernel(kernel)["connections"] == 2:
            good.drain(1)
        assert gateway.kernel(kernel)["connections"] == 1
        assert good.socket.pings >= 3
        assert good.ask("kernel_info_request")["status"] == "ok"
        mute.cut()


def test_executing_something_silly_is_no_reason_to_close(gateway, kernel):
    """Contents are the kernel's affair."""
    with gateway.client(kernel) as client:
        for content in ({}, {"code": None}, {"code": 5, "silent": "no"}, execute_content("x" * 1000)):
            client.send("execute_request", content)
        client.send("novelty_request", {"a": [1, 2]})
        client.send("kernel_info_request", {}, metadata={"deep": [[[[[1]]]]]})
        assert client.ask("kernel_info_request")["status"] == "ok"
