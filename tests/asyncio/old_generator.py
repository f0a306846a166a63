import asyncio
import types

import counting


@types.coroutine
def switch():
    yield


async def main():
    for _ in range(4):
        await switch()


counting.run(main())
