"""An echo server, and a process of its own that sends lines over 8 connections and waits for each answer.
Writes the processor time of the server in seconds to a file."""

import asyncio
import selectors
import socket
import subprocess
import sys
import time

CLIENTS = 8
LINES = 2_000
LINE = b"x" * 63 + b"\n"


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def serve(result_file):
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # Started without a shell and without asyncio's own help, so that only the server is measured.
    client = subprocess.Popen([sys.executable, "-S", __file__, "client", str(port)], stdout=subprocess.PIPE)
    done = asyncio.Event()
    asyncio.get_running_loop().add_reader(client.stdout, done.set)
    begun = time.process_time()
    await done.wait()
    spent = time.process_time() - begun
    asyncio.get_running_loop().remove_reader(client.stdout)
    client.wait()
    server.close()
    with open(result_file, "w", encoding="utf-8") as result:
        result.write(str(spent))


def send(port):
    """Sends a line over each connection when the answer to the one before has come."""
    selector, left = selectors.DefaultSelector(), {}
    for _ in range(CLIENTS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        left[connection] = LINES
        connection.sendall(LINE)
    while left:
        for key, _ in selector.select():
            connection = key.fileobj
            connection.recv(1024)
            left[connection] -= 1
            if left[connection]:
                connection.sendall(LINE)
            else:
                selector.unregister(connection)
                connection.close()
                del left[connection]


if sys.argv[1] == "client":
    send(int(sys.argv[2]))
else:
    asyncio.run(serve(sys.argv[1]))
