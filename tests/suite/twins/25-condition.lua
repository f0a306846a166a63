local function say(...) print(string.format("%.1f", now()), ...) end
local main

local consumer = async(function(name, lock, changed, items)
  local guard = await(lock:lock())
  while #items == 0 do
    guard:release()
    await(changed:notified())
    guard = await(lock:lock())
  end
  say(name, "got", table.remove(items, 1))
  guard:release()
end)

main = async(function()
  local lock, changed, items = mutex(), notify(), {}
  local tasks = {}
  for _, name in ipairs({ "a", "b" }) do tasks[#tasks + 1] = create_task(consumer(name, lock, changed, items)) end
  for item = 1, 2 do
    await(sleep(1))
    local guard <close> = await(lock:lock())
    items[#items + 1] = item
    changed:notify_one()
  end
  await(gather(tasks))
  say("done")
end)

return { title = "condition", lesson = "The twin of 25-condition.py.", main = async(function() return await(main()) end) }
