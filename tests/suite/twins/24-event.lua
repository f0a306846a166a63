local function say(...) print(string.format("%.1f", now()), ...) end
local main

local waiter = async(function(name, gate)
  await(gate:wait())
  say(name, "passes")
end)

main = async(function()
  local gate = event()
  local tasks = { create_task(waiter("a", gate)), create_task(waiter("b", gate)) }
  await(sleep(1))
  say(gate:is_set())
  gate:set()
  await(gather(tasks))
  await(gate:wait())
  gate:clear()
  say(gate:is_set())
end)

return { title = "event", lesson = "The twin of 24-event.py.", main = async(function() return await(main()) end) }
