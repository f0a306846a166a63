import asyncio
import threading

import counting


async def add(a, b):
    await asyncio.sleep(0)
    return a + b


def caller(loop, results):
    for number in range(5):
        results.append(asyncio.run_coroutine_threadsafe(add(number, 1), loop).result(5))


async def main():
    results = []
    thread = threading.Thread(target=caller, args=(asyncio.get_running_loop(), results))
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)
    assert results == [1, 2, 3, 4, 5]


counting.run(main())
