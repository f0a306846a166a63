import asyncio
import time

import counting


async def main():
    results = await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.001) for _ in range(4)))
    assert results == [None] * 4


counting.run(main())
