import asyncio

import counting


async def work():
    await asyncio.sleep(0.003)
    return 7


async def main():
    inner = asyncio.ensure_future(work())
    try:
        await asyncio.wait_for(asyncio.shield(inner), 0.001)
    except asyncio.TimeoutError:
        pass
    assert await inner == 7


counting.run(main())
