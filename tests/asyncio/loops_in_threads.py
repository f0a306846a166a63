import asyncio
import threading

import counting

lock = threading.Lock()


async def work():
    for _ in range(3):
        await asyncio.sleep(0)


def run():
    loop = asyncio.new_event_loop()

    def factory(loop, coroutine, **options):
        with lock:
            return counting.factory(loop, coroutine, **options)

    loop.set_task_factory(factory)
    loop.run_until_complete(work())
    loop.close()


threads = [threading.Thread(target=run) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
counting.run(work())
