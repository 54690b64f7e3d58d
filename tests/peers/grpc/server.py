"""A gRPC service without TLS on a loopback port. Messages are plain bytes: what is tested is how they travel."""

import concurrent.futures
import hashlib
import sys
import threading
import time

import grpc

cancelled = threading.Event()


def echo(request, context):
    """Sends everything back: the message, and the metadata twice."""
    sent = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-mine")]
    context.send_initial_metadata(sent)
    context.set_trailing_metadata([("x-seen-" + key, value) for key, value in sent])
    return request


def seen(_request, context):
    """The metadata, as lines."""
    pairs = [(key, value) for key, value in context.invocation_metadata() if isinstance(value, str)]
    return "\n".join(f"{key}: {value}" for key, value in pairs).encode()


def upload(requests, _context):
    """How many messages came, and what they hold."""
    count, digest = 0, hashlib.sha256()
    for request in requests:
        count += 1
        digest.update(request)
    return f"{count} {digest.hexdigest()}".encode()


def early(requests, _context):
    """Answers after the first message, whatever more is sent."""
    return b"enough: " + next(requests)


def download(request, _context):
    """COUNT messages of SIZE bytes."""
    count, size = (int(number) for number in request.split())
    for nth in range(count):
        yield nth.to_bytes(4, "big") * (size // 4)


def slowly(request, _context):
    """COUNT messages, a pause of so many milliseconds after each."""
    count, pause_ms = (int(number) for number in request.split())
    for nth in range(count):
        yield str(nth).encode()
        time.sleep(pause_ms / 1000)


def chat(requests, context):
    """Answers each message before it waits for the next."""
    context.send_initial_metadata([("x-ready", "yes")])
    for request in requests:
        yield request[::-1]
    context.set_trailing_metadata([("x-over", "yes")])


def refuse(_request, context):
    """Only trailers, with a message that is not ASCII and details that are not text."""
    context.set_trailing_metadata([("detail-bin", bytes(range(256)))])
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not tonight: 100 % ✓")


def break_off(_request, context):
    """Fails after two messages."""
    yield b"one"
    yield b"two"
    context.abort(grpc.StatusCode.DATA_LOSS, "lost")


def endless(_request, context):
    """Goes on until it is cancelled."""
    context.add_callback(cancelled.set)
    while context.is_active():
        yield b"tick"
        time.sleep(0.05)


def was_cancelled(_request, _context):
    return str(cancelled.wait(5)).encode()


def main():
    unary, uploads = grpc.unary_unary_rpc_method_handler, grpc.stream_unary_rpc_method_handler
    downloads, streams = grpc.unary_stream_rpc_method_handler, grpc.stream_stream_rpc_method_handler
    handlers = {
        "Echo": unary(echo),
        "Seen": unary(seen),
        "Upload": uploads(upload),
        "Early": uploads(early),
        "Download": downloads(download),
        "Slowly": downloads(slowly),
        "Chat": streams(chat),
        "Refuse": unary(refuse),
        "BreakOff": downloads(break_off),
        "Endless": downloads(endless),
        "WasCancelled": unary(was_cancelled),
    }
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=32)
    server = grpc.server(pool, options=[("grpc.max_receive_message_length", 64 << 20)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("postern.Test", handlers)])
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
