import asyncio
import os
import signal

import counting


async def main():
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, seen.set)
    loop.call_later(0.001, os.kill, os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(seen.wait(), 5)
    loop.remove_signal_handler(signal.SIGUSR1)


counting.run(main())
