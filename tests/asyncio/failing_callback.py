import asyncio

import counting


async def main():
    loop = asyncio.get_running_loop()
    seen = []
    loop.set_exception_handler(lambda loop, context: seen.append(context["message"]))
    loop.call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.001)
    assert len(seen) == 1 and seen[0].startswith("Exception in callback"), seen


counting.run(main())
