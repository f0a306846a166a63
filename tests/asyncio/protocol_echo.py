import asyncio

import counting


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Client(asyncio.Protocol):
    def __init__(self, done):
        self.done = done

    def connection_made(self, transport):
        transport.write(b"ping")

    def data_received(self, data):
        self.done.set_result(data)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    done = loop.create_future()
    transport, _ = await loop.create_connection(lambda: Client(done), *server.sockets[0].getsockname())
    assert await done == b"ping"
    transport.close()
    server.close()
    await asyncio.sleep(0.001)


counting.run(main())
