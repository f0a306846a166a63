local function say(...) print(string.format("%.1f", now()), ...) end
local main

local producer = async(function(queue)
  for item = 1, 4 do
    await(queue:send(item))
    say("put", item)
  end
  await(queue:send(false))
end)

main = async(function()
  local queue = channel(2)
  local task = create_task(producer(queue))
  while true do
    local item = await(queue:recv())
    if not item then break end
    say("got", item)
    await(sleep(1))
  end
  await(task)
  say("done", queue:len())
end)

return { title = "queue", lesson = "The twin of 19-queue.py.", main = async(function() return await(main()) end) }
