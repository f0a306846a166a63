import asyncio

import counting


class Twice:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        yield from asyncio.sleep(0.001).__await__()
        return 2


async def main():
    assert await Twice() == 2


counting.run(main())
