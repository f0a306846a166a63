local function say(...) print(string.format("%.1f", now()), ...) end
local main

local worker = async(function(name, queue)
  for seconds in each(queue) do
    await(sleep(seconds))
    say(name, "finished", seconds)
    queue:task_done()
  end
end)

main = async(function()
  local queue = channel()
  for _, seconds in ipairs({ 3, 1, 1.5, 4 }) do queue:try_send(seconds) end
  local workers = { create_task(worker("a", queue)), create_task(worker("b", queue)) }
  await(queue:join())
  say("joined")
  for _, task in ipairs(workers) do task:cancel() end
  workers.return_exceptions = true
  await(gather(workers))
  say(workers[1]:cancelled() and workers[2]:cancelled())
end)

return { title = "queue-join", lesson = "The twin of 20-queue-join.py.", main = async(function() return await(main()) end) }
