import asyncio

import counting


async def slow():
    await asyncio.sleep(100)


async def quick():
    await asyncio.sleep(0.001)
    return 1


async def main():
    assert await asyncio.wait_for(quick(), 1) == 1
    try:
        await asyncio.wait_for(slow(), 0.002)
    except asyncio.TimeoutError:
        pass
    else:
        raise AssertionError


counting.run(main())
