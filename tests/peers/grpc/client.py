"""Calls the service of server.py, as published: every kind of call, its metadata, status and trailers, and its timing.

Prints a line for each thing that is as it should be and ends with status 0; ends with a traceback at the first that is not."""

import argparse
import hashlib
import queue
import threading
import time

import grpc


class Service:
    def __init__(self, channel):
        self.channel = channel

    def unary(self, name):
        return self.channel.unary_unary(f"/postern.Test/{name}")

    def uploads(self, name):
        return self.channel.stream_unary(f"/postern.Test/{name}")

    def downloads(self, name):
        return self.channel.unary_stream(f"/postern.Test/{name}")

    def streams(self, name):
        return self.channel.stream_stream(f"/postern.Test/{name}")


def metadata(pairs):
    return {pair[0]: pair[1] for pair in pairs}


def unary_call_with_metadata(service, _host):
    sent = [("x-mine", "value, with a comma"), ("x-mine-bin", b"\x00\xff")]
    answer, call = service.unary("Echo").with_call(b"hello", metadata=sent, timeout=20)
    assert answer == b"hello", answer
    first, last = metadata(call.initial_metadata()), metadata(call.trailing_metadata())
    assert first["x-mine"] == "value, with a comma" and first["x-mine-bin"] == b"\x00\xff", first
    assert last["x-seen-x-mine"] == "value, with a comma" and last["x-seen-x-mine-bin"] == b"\x00\xff", last
    assert service.unary("Echo")(b"", timeout=20) == b""
    large = bytes(range(256)) * 12_000
    assert service.unary("Echo")(large, timeout=20) == large


def what_the_service_sees(service, host):
    seen = metadata(line.split(": ", 1) for line in service.unary("Seen")(b"", timeout=20).decode().splitlines())
    assert seen["x-forwarded-host"] == host and seen["x-forwarded-proto"] == "https", seen
    assert seen["user-agent"].startswith("grpc-python/"), seen


def many_messages_up(service, _host):
    messages = [bytes([nth % 256]) * 1000 for nth in range(2000)]
    answer = service.uploads("Upload")(iter(messages), timeout=20).decode()
    assert answer == f"2000 {hashlib.sha256(b''.join(messages)).hexdigest()}", answer


def many_messages_down(service, _host):
    got = list(service.downloads("Download")(b"2000 4000", timeout=20))
    assert got == [nth.to_bytes(4, "big") * 1000 for nth in range(2000)], len(got)


def messages_come_as_they_are_sent(service, _host):
    begun, arrived = time.monotonic(), []
    for _ in service.downloads("Slowly")(b"4 400", timeout=20):
        arrived.append(time.monotonic() - begun)
    assert arrived[0] < 0.3, arrived
    assert all(0.2 < later - earlier < 0.7 for earlier, later in zip(arrived, arrived[1:])), arrived


def a_conversation_both_ways(service, _host):
    say = queue.Queue()
    call = service.streams("Chat")(iter(say.get, None), timeout=20)
    assert metadata(call.initial_metadata())["x-ready"] == "yes", "before anything was said"
    for nth in range(300):
        words = f"message {nth}".encode() * (1 if nth % 50 else 5000)
        say.put(words)
        assert next(call) == words[::-1]
    say.put(None)
    assert list(call) == []
    assert metadata(call.trailing_metadata())["x-over"] == "yes"
    assert call.code() == grpc.StatusCode.OK


def conversations_at_once(service, host):
    failed = []

    def converse():
        try:
            a_conversation_both_ways(service, host)
        except BaseException as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=converse) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed


def an_answer_before_the_end_of_the_question(service, _host):
    asking = threading.Event()

    def questions():
        yield b"first"
        asking.wait(20)

    call = service.uploads("Early").future(questions(), timeout=20)
    try:
        assert call.result() == b"enough: first"
    finally:
        asking.set()


def a_refusal_in_trailers_alone(service, _host):
    try:
        service.unary("Refuse")(b"", timeout=20)
        raise AssertionError("it was not refused")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        assert error.details() == "not tonight: 100 % ✓", error
        assert metadata(error.trailing_metadata())["detail-bin"] == bytes(range(256)), error


def a_failure_after_some_messages(service, _host):
    call, got = service.downloads("BreakOff")(b"", timeout=20), []
    try:
        for message in call:
            got.append(message)
        raise AssertionError("it was taken for complete")
    except grpc.RpcError as error:
        assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "lost"), error
    assert got == [b"one", b"two"], got


def a_deadline(service, _host):
    begun = time.monotonic()
    try:
        list(service.downloads("Slowly")(b"2 5000", timeout=1))
        raise AssertionError("it took longer than it may")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert time.monotonic() - begun < 3


def giving_up_reaches_the_service(service, _host):
    call = service.downloads("Endless")(b"", timeout=20)
    assert next(call) == b"tick"
    call.cancel()
    assert service.unary("WasCancelled")(b"", timeout=20) == b"True"


def an_unknown_method(service, _host):
    try:
        service.unary("Nonsense")(b"", timeout=20)
        raise AssertionError("there is no such method")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


CALLS = [
    unary_call_with_metadata,
    what_the_service_sees,
    many_messages_up,
    many_messages_down,
    messages_come_as_they_are_sent,
    a_conversation_both_ways,
    conversations_at_once,
    an_answer_before_the_end_of_the_question,
    a_refusal_in_trailers_alone,
    a_failure_after_some_messages,
    a_deadline,
    giving_up_reaches_the_service,
    an_unknown_method,
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--relay", required=True, help="ADDRESS:PORT")
    parser.add_argument("--host", required=True, help="HOST:PORT")
    parser.add_argument("--authority", required=True, help="certificates to trust, PEM")
    args = parser.parse_args()
    with open(args.authority, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    options = [
        ("grpc.ssl_target_name_override", args.host.split(":")[0]),
        ("grpc.default_authority", args.host),
        ("grpc.max_receive_message_length", 64 << 20),
        ("grpc.enable_http_proxy", 0),
    ]
    with grpc.secure_channel(f"ipv4:{args.relay}", credentials, options) as channel:
        for call in CALLS:
            call(Service(channel), args.host)
            print(call.__name__, flush=True)


if __name__ == "__main__":
    main()
