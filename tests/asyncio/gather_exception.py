import asyncio

import counting


async def fail():
    await asyncio.sleep(0)
    raise ValueError("one of them")


async def wait():
    await asyncio.sleep(0.002)


async def main():
    try:
        await asyncio.gather(fail(), wait(), fail())
    except ValueError:
        pass
    results = await asyncio.gather(fail(), wait(), return_exceptions=True)
    assert isinstance(results[0], ValueError) and results[1] is None


counting.run(main())
