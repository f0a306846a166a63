import asyncio

import counting


async def sleeper():
    await asyncio.sleep(100)


async def stubborn():
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        raise


async def main():
    tasks = [asyncio.ensure_future(sleeper()), asyncio.ensure_future(stubborn())]
    unstarted = asyncio.ensure_future(sleeper())
    unstarted.cancel()
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, unstarted, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


counting.run(main())
